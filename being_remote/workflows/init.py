"""`init`: from the login that a provider shows to an inventory, a trusted host key, and what the host lacks.

A file of the user's is never written over: another host is added to one only where that is asked for, and
every other byte of it stays.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from being_remote import inventory_text
from being_remote.durable_files import write_whole
from being_remote.errors import HostError, UsageError
from being_remote.inventory import FILE_NAME, Inventory, SshHost, parse_inventory
from being_remote.workflows.doctor import doctor
from being_remote.workflows.hosts import HostsReport
from being_remote.workflows.trust import Confirm, TrustReport, normalize_fingerprint, trust

TASKS_NAME = "tasks.py"


@dataclass(frozen=True)
class InitReport:
    """What was written, and how far the host is usable.

    Attributes:
        inventory: the file that names the host.
        host: its name there.
        wrote: the files that were written, or would be.
        text: what the inventory holds now.
        error: why the host's key was not trusted, or the host could not be asked.
        next: the command to type now.
    """

    inventory: str
    host: str
    wrote: tuple[str, ...]
    text: str
    next: str
    dry_run: bool
    trust: TrustReport | None = None
    doctor: HostsReport | None = None
    error: str | None = None

    @property
    def exit_code(self) -> int:
        """4 where the host is not trusted or does not answer."""
        if self.error is not None:
            return 4
        return 0 if self.doctor is None else self.doctor.exit_code


@dataclass(frozen=True)
class InitRequest:
    """What a person asks for.

    Attributes:
        login: as a provider shows it: "ssh root@HOST -p PORT".
        name: what the host is called; None: `pod`, or the next free `pod2`.
        workdir: our folder on the host.
        add: add the host to an inventory that is there.
        fingerprint: as for `trust`.
    """

    login: str
    name: str | None = None
    workdir: str = inventory_text.WORKDIR
    add: bool = False
    fingerprint: str | None = None


def init(
    path: Path,
    wanted: InitRequest,
    *,
    confirm: Confirm | None = None,
    dry_run: bool = False,
    say: Callable[[str], None] = lambda _: None,
    require_trust: Callable[[Inventory], None] = lambda _: None,
) -> InitReport:
    """Write an inventory with one host, or add the host to one; then trust its key and check it.

    Args:
        path: the inventory.
        confirm: as for `trust`.
        say: receives what was written before the host is asked.
        require_trust: refuses an inventory that may run programs, before anything is written.

    Raises:
        UsageError: no login, a name that is taken, or an inventory of the user's without `add`.
    """
    login = _with_whole_path(inventory_text.parse_login(wanted.login), path)
    if wanted.fingerprint is not None:
        normalize_fingerprint(wanted.fingerprint)  # refused before anything is written
    before = _read(path)
    known = parse_inventory(before.encode(), path) if before is not None else None
    own = before is not None and not inventory_text.is_shipped(before)
    fresh = inventory_text.new_text(wanted.name or "pod", login, wanted.workdir)
    if before is not None and known is not None and own and before != fresh:
        if not wanted.add:
            raise UsageError("is there and is yours", where=str(path), hint="init --add adds the host to it")
        host = wanted.name or _free_name(known)
        text = _with_host(path, before, known, host, login, wanted.workdir)
    else:
        if wanted.add and not own:
            raise UsageError("you have no inventory to add to", where=str(path), hint="leave out --add")
        host, text = wanted.name or "pod", fresh
    inventory = parse_inventory(text.encode(), path)
    require_trust(inventory)
    wrote = _write(path, text, before, dry_run=dry_run)
    report = InitReport(str(path), host, wrote, text, f"doctor --host {host}", dry_run)
    if dry_run:
        return report
    say(f"wrote {', '.join(wrote)}" if wrote else f"{path} is as it should be")
    return _check(report, inventory, wanted.fingerprint, confirm)


def _with_whole_path(login: inventory_text.PastedLogin, inventory: Path) -> inventory_text.PastedLogin:
    """The login with a path of its key that means the same from the inventory's folder."""
    key = login.identity_file
    if key is None or key.startswith("~") or inventory.parent.resolve() == Path.cwd():
        return login
    return replace(login, identity_file=os.path.abspath(key))


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(
            f"cannot be read: {e}", where=str(path), hint="--inventory FILE names another"
        ) from e


def _free_name(known: Inventory) -> str:
    numbered = ("pod", *(f"pod{number}" for number in range(2, len(known.hosts) + 3)))
    return next(name for name in numbered if name not in known.hosts)


def _with_host(
    path: Path, before: str, known: Inventory, name: str, login: inventory_text.PastedLogin, workdir: str
) -> str:
    """The text with the host added, read back to see that nothing else of it changed."""
    if name in known.hosts:
        raise UsageError(f"has a host {name!r} already", where=str(path), hint="--name gives it another name")
    for other in known.hosts.values():
        if isinstance(other, SshHost) and (other.address, other.port) == (login.address, login.port):
            hint = f"trust --host {other.name}, then doctor --host {other.name}"
            raise UsageError(f"has this address already, as {other.name!r}", where=str(path), hint=hint)
    text = inventory_text.add_host(before, name, login, workdir)
    after = parse_inventory(text.encode(), path)
    others = {key: host for key, host in after.hosts.items() if key != name}
    if len(others) == len(after.hosts) or after.model_copy(update={"hosts": others}) != known:
        hint = "add it by hand: docs/formats.md lists the fields"
        raise UsageError("the host cannot be added to it", where=str(path), hint=hint)
    return text


def _write(path: Path, text: str, before: str | None, *, dry_run: bool) -> tuple[str, ...]:
    """Write the inventory, and tasks.py beside it where there is none."""
    tasks = path.with_name(TASKS_NAME)
    files = {path: text} if text != before else {}
    if path.name == FILE_NAME and not tasks.exists():
        files[tasks] = inventory_text.TASKS
    for file, content in () if dry_run else files.items():
        scratch = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            write_whole(file, content.encode(), scratch=scratch)
        except OSError as e:
            scratch.unlink(missing_ok=True)
            raise UsageError(f"cannot be written: {e.strerror}", where=str(file)) from e
    return tuple(map(str, files))


def _check(
    report: InitReport, inventory: Inventory, fingerprint: str | None, confirm: Confirm | None
) -> InitReport:
    try:
        trusted = trust(inventory, host=report.host, fingerprint=fingerprint, confirm=confirm)
    except HostError as e:
        return replace(report, error=str(e), next=f"trust --host {report.host}")
    checked = doctor(inventory, (report.host,))
    reached = checked.exit_code == 0
    following = "find-bbox, once an actor is in the inventory" if reached else report.next
    return replace(report, trust=trusted, doctor=checked, next=following)
