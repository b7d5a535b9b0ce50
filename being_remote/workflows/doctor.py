"""`doctor`: what is missing where, on the hosts and on this laptop, and what to do about it."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from being_remote.host_checks.checks import HostCheck, check_hosts
from being_remote.inventory import LOCAL, Inventory
from being_remote.pod_client.host_facts import LOW_DISK_BYTES

# What a pod that is not honest can do to an older rsync on this side.
_HOLES = (
    ((3, 2, 5), "CVE-2022-29154: the other side chooses which files are written here"),
    ((3, 4, 0), "CVE-2024-12085, -12086, -12087: the other side can read files here and leave the folder"),
)


@dataclass(frozen=True)
class DoctorReport:
    """This laptop's row (`host: local`) first, then one a host.

    Exit code 4 if a host could not be reached or is not trusted. Problems alone are the answer that
    was asked for, so they leave it at 0; scripts look at `problems`.
    """

    hosts: tuple[HostCheck, ...]

    @property
    def exit_code(self) -> int:
        return 0 if all(row.reachable for row in self.hosts) else 4


def doctor(inventory: Inventory, names: Sequence[str] = ()) -> DoctorReport:
    """Look at this laptop and, in parallel, at all hosts or the named ones.

    Raises:
        UsageError: a name that the inventory does not have.
    """
    rows = check_hosts(inventory, names, thorough=True)
    return DoctorReport((laptop(inventory.backups), *rows))


def laptop(backups: Path) -> HostCheck:
    """What this machine itself lacks."""
    from being_remote.transport import rsync

    version, problems, notes = rsync.version(), [], []
    if shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        problems.append("no ssh: apt-get install openssh-client")
    else:
        said = subprocess.run(
            ["ssh", "-V"], stdin=subprocess.DEVNULL, capture_output=True, check=False
        ).stderr
        notes.append(said.decode("utf-8", "replace").strip().split(",")[0])
    spelt = ".".join(map(str, version)) if version else None
    if version is None or version < rsync.OLDEST:
        needed = ".".join(map(str, rsync.OLDEST))
        has = f"rsync {spelt} is too old" if spelt else "no rsync (macOS's own is another program)"
        problems.append(f"{has}: apt-get install rsync, or brew install rsync; {needed} or newer is needed")
    holes = [text for fixed_in, text in _HOLES if version is not None and version < fixed_in]
    notes += [f"rsync {spelt}, unless your distribution has mended it: {text}" for text in holes]
    free = _free_bytes(backups)
    if free < LOW_DISK_BYTES:
        problems.append(
            f"only {free / 2**30:.1f} GiB free for {str(backups)!r}: make room, or move `backups`"
        )
    return HostCheck(
        host=LOCAL,
        kind="laptop",
        address="this machine",
        reachable=True,
        trusted=True,
        rsync=spelt,
        python=platform.python_version(),
        disk_free_bytes=free,
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _free_bytes(folder: Path) -> int:
    """Free bytes where the folder is, or where it would be made."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
