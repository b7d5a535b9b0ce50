"""A host check from another package: is there swap space?"""

from __future__ import annotations

from being_remote.foreign_text import quote
from being_remote.host_checks.host_check import CheckResult, OpenHost


class SwapCheck:
    """Jobs on a host with swap may slow down instead of failing."""

    def run(self, host: OpenHost) -> CheckResult:
        said = host.session.run(["cat", "/proc/swaps"], repeatable=True)
        if said.exit_code != 0:
            return CheckResult((f"cannot read its swap space: {quote(said.stderr)}",))
        areas = len(said.stdout.splitlines()) - 1
        return CheckResult(notes=(f"{areas} swap areas",))


SWAP = SwapCheck()
