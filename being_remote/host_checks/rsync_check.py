"""Does the host have rsync?"""

from __future__ import annotations

import re

from being_remote.host_checks.host_check import CheckResult, OpenHost
from being_remote.pod_client.host_facts import HostFacts


class RsyncCheck:
    """Without rsync on the host, files travel in one stream."""

    def run(self, host: OpenHost) -> CheckResult:
        if rsync_version(host.facts) is not None:
            return CheckResult()
        why = host.facts.rsync.error or "unknown program"
        return CheckResult((f"no rsync ({why}): apt-get install rsync (until then: one stream)",))


def rsync_version(facts: HostFacts) -> str | None:
    """Return the version of the host's rsync; None if it has none that we know."""
    found = re.match(r"rsync\s+version v?([0-9.]{1,20})", facts.rsync.out or "")
    return found[1] if found else None
