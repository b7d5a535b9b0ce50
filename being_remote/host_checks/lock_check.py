"""Is the folder of the jobs' locks ours?"""

from __future__ import annotations

from being_remote.host_checks.host_check import CheckResult, OpenHost


class LockCheck:
    """Where another user owns the folder, locks lie in the home folder instead."""

    def run(self, host: OpenHost) -> CheckResult:
        if host.facts.locks is None:
            return CheckResult()
        return CheckResult(
            (f"{host.facts.locks}: remove it if you may; until then the jobs' locks lie in the home folder",)
        )
