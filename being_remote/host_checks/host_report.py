"""Check hosts: whether each can be reached and is trusted, what it has, and what it lacks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from being_remote.errors import (
    AnswerTimeout,
    BeingRemoteError,
    CommandFailed,
    ConnectionLost,
    HostError,
    HostKeyChanged,
    HostKeyUnknown,
    InventoryError,
    LoginRefused,
    MalformedAnswer,
    ToolMissing,
    Unreachable,
)
from being_remote.host_checks.built_in_checks import BUILT_IN, rsync_version
from being_remote.host_checks.host_check import CheckResult, HostCheck, OpenHost, installed_checks
from being_remote.host_checks.probe import probe_host
from being_remote.host_checks.tracker_check import CheckoutStatus, checkout_status
from being_remote.inventory import LocalHost, SshHost
from being_remote.pod_client.host_facts import ContainerLimits
from being_remote.pod_client.job_answers import GpuFacts
from being_remote.pod_client.login_files import find_printing_files
from being_remote.pod_client.many_hosts import ask_all
from being_remote.session import OpenSession, Session

# What the error of an attempt to connect tells of the host's key; None: unknown.
_TRUSTED = {HostKeyUnknown: False, HostKeyChanged: False, LoginRefused: True}

_NO_ANSWER = (AnswerTimeout, ConnectionLost, LoginRefused, Unreachable)


@dataclass(frozen=True)
class HostReport:
    """One host's row.

    Attributes:
        reachable: a session was opened, and it answered.
        trusted: its key and those of its jumps are trusted; None: unknown.
        rsync, python, numpy: versions; None where missing or unknown, `problems` says which.
        sftp: None: not checked.
        disk_free_bytes: on the workdir's disk.
        limits: what the host's cgroup allows, of memory and of CPUs; None: not asked.
        tracker: None where the inventory names none, or it was not checked.
        problems: one sentence each, with the fix. notes: nothing to do.
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
    limits: ContainerLimits | None = None
    tracker: CheckoutStatus | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    error: str | None = None
    error_class: str | None = None
    next: str | None = None
    seconds: float = 0.0


def check_hosts(
    hosts: Sequence[SshHost | LocalHost], open_session: OpenSession, *, thorough: bool
) -> tuple[HostReport, ...]:
    """Return a row for each host, in their order; hosts are checked in parallel.

    Args:
        hosts: what to check; one round trip each.
        thorough: also check sftp and the tracker's checkout and run the checks of other packages, which
            takes seconds.

    Raises:
        UsageError: an installed check cannot be loaded.
    """
    checks = (*BUILT_IN, *installed_checks()) if thorough else BUILT_IN

    def check(host: SshHost | LocalHost) -> HostReport:
        started = time.monotonic()
        address = "this machine"
        if isinstance(host, SshHost):
            address = host.address if host.port is None else f"{host.address}:{host.port}"
            address = "address_command" if host.address_command else address
        row = HostReport(host.name, host.kind, address, reachable=False, trusted=None)
        try:
            session = open_session(host.name)
        except (HostError, InventoryError) as e:  # a missing key file concerns this host alone
            row = _failed(replace(row, trusted=_TRUSTED.get(type(e))), e)
        else:
            with session:
                row = _check_open(replace(row, reachable=True, trusted=True), host, session)
        return replace(row, seconds=round(time.monotonic() - started, 3))

    def _check_open(row: HostReport, host: SshHost | LocalHost, session: Session) -> HostReport:
        try:
            if thorough:
                row = replace(row, sftp=session.has_sftp())
            facts = probe_host(session, host, tracker=thorough, cuda=thorough)
            results = [_run(check, OpenHost(host, session, facts)) for check in checks]
            printing = _find_printing_files(session, host.python) if thorough else ()
        except (ToolMissing, CommandFailed, MalformedAnswer) as e:
            problems = (f"{e.what}: {e.hint}; nothing else could be checked",)
            return replace(row, problems=problems, notes=session.notes)
        except HostError as e:  # a login that answers nothing is of no use
            return _failed(replace(row, reachable=not isinstance(e, _NO_ANSWER), notes=session.notes), e)
        return replace(
            row,
            python=facts.python,
            numpy=facts.numpy,
            rsync=rsync_version(facts),
            gpus=facts.gpus,
            disk_free_bytes=facts.disk.free_bytes,
            limits=facts.limits,
            tracker=checkout_status(host, facts),
            problems=tuple(problem for result in results for problem in result.problems),
            notes=(*session.notes, *printing, *(note for result in results for note in result.notes)),
        )

    return tuple(ask_all(hosts, check))


def _run(check: HostCheck, host: OpenHost) -> CheckResult:
    """Run one check; where it cannot be made, that is a problem and hides no other."""
    try:
        return check.run(host)
    except HostError as e:
        return CheckResult((f"{type(check).__name__}: {e.what}" + (f": {e.hint}" if e.hint else ""),))


def _find_printing_files(session: Session, python: str) -> tuple[str, ...]:
    """Which login files print, if the login does; where that cannot be told, it hides nothing else."""
    if not session.greeting_bytes:
        return ()
    try:
        return find_printing_files(session, python)
    except HostError as e:
        return (f"which login file prints is unknown: {e.what}",)


def _failed(row: HostReport, error: BeingRemoteError) -> HostReport:
    return replace(row, error=error.what, error_class=type(error).__name__, next=error.hint or None)
