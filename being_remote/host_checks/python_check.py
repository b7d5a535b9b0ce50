"""Is the host's Python new enough, and has it numpy?"""

from __future__ import annotations

import re

from being_remote.host_checks.host_check import CheckResult, OpenHost

OLDEST = (3, 8)


class PythonCheck:
    """The Python that the inventory names runs our programs."""

    def run(self, host: OpenHost) -> CheckResult:
        python, facts, problems = host.host.python, host.facts, []
        if tuple(int(part) for part in re.findall(r"\d+", facts.python)[:2]) < OLDEST:
            problems.append(f"{python!r} is Python {facts.python}: set `python` to 3.8 or newer")
        if facts.numpy is None:
            problems.append(f"the inventory's python {python!r} has no numpy: only jobs that compute need it")
        return CheckResult(tuple(problems))
