"""Can we write to the workdir, and is there room on its disk?"""

from __future__ import annotations

from being_remote.host_checks.host_check import CheckResult, OpenHost

LOW_DISK_BYTES = 5 << 30


class DiskCheck:
    """The workdir, or the folder that it will be made in."""

    def run(self, host: OpenHost) -> CheckResult:
        disk, workdir = host.facts.disk, str(host.host.workdir)
        problems = []
        if not disk.writable:
            problems.append(f"cannot write to {workdir!r}: choose another `workdir`")
        if disk.free_bytes is not None and disk.free_bytes < LOW_DISK_BYTES:
            problems.append(f"only {disk.free_bytes / 2**30:.1f} GiB free at {workdir!r}: make room")
        missing = f"{workdir!r} does not exist yet; it is made when first needed"
        return CheckResult(tuple(problems), () if disk.exists else (missing,))
