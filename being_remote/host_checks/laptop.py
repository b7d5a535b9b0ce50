"""What this laptop itself lacks: ssh, a safe rsync, room for backups."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

from being_remote.disk import existing_parent
from being_remote.host_checks.built_in_checks import LOW_DISK_BYTES
from being_remote.host_checks.host_report import HostReport
from being_remote.inventory import LOCAL
from being_remote.weak_disk import describe_weakness, refuses_record_locks

Version = tuple[int, ...]

# What a dishonest pod can do to an older rsync on this laptop.
_HOLES = (
    ((3, 2, 5), "CVE-2022-29154: the host chooses which files are written here"),
    ((3, 4, 0), "CVE-2024-12085, -12086, -12087: the host can read files here and leave the folder"),
)


def check_laptop(
    backups: Path, *, rsync: Version | None, oldest_rsync: Version, state: Path | None = None
) -> HostReport:
    """Return this laptop's row.

    Args:
        backups: where backups lie, or will.
        rsync: the version of this laptop's rsync; None: it has none.
        oldest_rsync: the oldest version that is used.
        state: where the ledger of jobs lies, or will.
    """
    problems, notes = [], []
    if shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        problems.append("no ssh: apt-get install openssh-client")
    else:
        said = subprocess.run(["ssh", "-V"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        notes.append(said.stderr.decode("utf-8", "replace").strip().split(",")[0])
    version = _dotted(rsync) if rsync else None
    if rsync is None or rsync < oldest_rsync:
        found = f"rsync {version} is too old" if version else "no rsync (macOS has another program)"
        needed = _dotted(oldest_rsync)
        problems.append(f"{found}: apt-get install rsync, or brew install rsync; {needed} or newer is needed")
    notes += [
        f"rsync {version}, unless your distribution has fixed it: {hole}"
        for fixed_in, hole in _HOLES
        if rsync is not None and rsync < fixed_in
    ]
    free = shutil.disk_usage(existing_parent(backups)).free
    if free < LOW_DISK_BYTES:
        problems.append(
            f"only {free / 2**30:.1f} GiB free for {str(backups)!r}: make room, or move `backups`"
        )
    if (weakness := describe_weakness(backups)) is not None:
        notes.append(weakness)
    if state is not None and refuses_record_locks(state):
        problems.append(
            f"the disk of {str(state)!r} offers no locks, which the ledger of jobs needs: set `state` in the"
            " inventory to a folder on a disk of this machine"
        )
    return HostReport(
        host=LOCAL,
        kind="laptop",
        address="this machine",
        reachable=True,
        trusted=True,
        rsync=version,
        python=platform.python_version(),
        disk_free_bytes=free,
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
