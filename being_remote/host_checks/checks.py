"""What `hosts` and `doctor` both ask: can each host be reached, is it trusted, what does it have.

Hosts are asked at once, each by one probe in one round trip; what one of them does delays or hides
no other. An answer from a pod is checked field by field before anything is believed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from being_remote.errors import (
    BeingRemoteError,
    CommandFailed,
    HostError,
    HostKeyChanged,
    HostKeyUnknown,
    InventoryError,
    LoginRefused,
    MalformedAnswer,
    ToolMissing,
)
from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.pod_client.host_facts import (
    GpuFacts,
    HostFacts,
    TrackerCheck,
    notes_of,
    parse_gpus,
    problems_of,
    rsync_version,
    tracker_of,
)
from being_remote.pod_client.many_hosts import ask_all
from being_remote.pod_client.runner import ask
from being_remote.session import Session
from being_remote.tracker.layout import CHECKOUT_FILES, CHECKOUT_MODULES


@dataclass(frozen=True)
class HostCheck:
    """One host's row.

    Attributes:
        reachable: a session came about.
        trusted: its key and those of its jumps are trusted; None if nobody could ask.
        rsync, python, numpy: versions; None where absent or unknown, `problems` says which.
        sftp: None where it was not asked.
        gpus: empty without an answer from nvidia-smi.
        disk_free_bytes: where the workdir is, or would be made.
        tracker: None where the inventory names none, or it was not asked.
        problems: one sentence each, saying what to do. notes: worth knowing, nothing to do.
        error, error_class, next: why there was no session or no answer.
    """

    host: str
    kind: str
    address: str
    reachable: bool
    trusted: bool | None
    rsync: str | None = None
    python: str | None = None
    numpy: str | None = None
    sftp: bool | None = None
    gpus: tuple[GpuFacts, ...] = ()
    disk_free_bytes: int | None = None
    tracker: TrackerCheck | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    error: str | None = None
    error_class: str | None = None
    next: str | None = None
    seconds: float = 0.0


def check_hosts(inventory: Inventory, names: Sequence[str], *, thorough: bool) -> tuple[HostCheck, ...]:
    """A row for each named host (default: all), in the inventory's order, asked in parallel.

    Args:
        inventory: the hosts.
        names: which of them; unknown ones raise UsageError before anything is contacted.
        thorough: also ask for sftp and look into the tracker's checkout, which takes seconds.
    """
    wanted = [inventory.host(name) for name in dict.fromkeys(names or inventory.hosts)]
    if not wanted:
        return ()
    # Loaded by one thread before there are several: it takes a third of a second.
    from being_remote.transport import open_session

    def check(host: SshHost | LocalHost) -> HostCheck:
        started = time.monotonic()

        def opened() -> Session:
            return open_session(host, inventory)

        row = _check(host, opened, thorough=thorough)
        return replace(row, seconds=round(time.monotonic() - started, 3))

    return tuple(ask_all(wanted, check))


def _check(host: SshHost | LocalHost, opened: Callable[[], Session], *, thorough: bool) -> HostCheck:
    address = "this machine"
    if isinstance(host, SshHost):
        address = host.address if host.port is None else f"{host.address}:{host.port}"
    row = HostCheck(host.name, host.kind, address, reachable=False, trusted=None)
    try:
        session = opened()
    except (HostError, InventoryError) as e:  # a key file that is not there concerns this host alone
        trusted = {HostKeyUnknown: False, HostKeyChanged: False, LoginRefused: True}.get(type(e))
        return _failed(replace(row, trusted=trusted), e)
    row = replace(row, reachable=True, trusted=True)
    with session:
        try:
            sftp = session.has_sftp() if thorough and hasattr(session, "has_sftp") else None
            row = replace(row, sftp=sftp)
            request = _request(host, thorough=thorough)
            facts = ask(session, "host_facts", request, HostFacts, python=host.python)
        except (ToolMissing, CommandFailed, MalformedAnswer) as e:
            return replace(row, problems=(f"{e.what}: {e.hint}; nothing else could be checked",))
        except HostError as e:
            return _failed(row, e)
    return _judged(row, host, facts)


def _request(host: SshHost | LocalHost, *, thorough: bool) -> dict[str, object]:
    tracker = None
    if thorough and host.tracker is not None:
        tracker = {
            "root": str(host.tracker.root),
            "python": host.tracker.python,
            "files": list(CHECKOUT_FILES),
            "modules": CHECKOUT_MODULES,
        }
    return {"folder": str(host.workdir), "tracker": tracker}


def _judged(row: HostCheck, host: SshHost | LocalHost, answer: HostFacts) -> HostCheck:
    return replace(
        row,
        python=answer.python,
        numpy=answer.numpy,
        rsync=rsync_version(answer),
        gpus=parse_gpus(answer.gpus.out or "")[0],
        disk_free_bytes=answer.disk.free_bytes,
        tracker=tracker_of(host, answer),
        problems=tuple(problems_of(host, answer)),
        notes=tuple(notes_of(host, answer)),
    )


def _failed(row: HostCheck, error: BeingRemoteError) -> HostCheck:
    return replace(row, error=error.what, error_class=type(error).__name__, next=error.hint or None)
