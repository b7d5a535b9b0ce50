"""What a check of a host is, and which checks there are.

A new check is one class with `run` and its test: listed in `BUILT_IN` or, in another package, registered
as an instance under the entry point group `being_remote.checks`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from being_remote import plugins
from being_remote.errors import UsageError
from being_remote.inventory import LocalHost, SshHost
from being_remote.pod_client.host_facts import HostFacts
from being_remote.session import Session


@dataclass(frozen=True)
class OpenHost:
    """A host to check: its entry, an open session, and what `pod/host_facts.py` found in one round trip."""

    host: SshHost | LocalHost
    session: Session
    facts: HostFacts


@dataclass(frozen=True)
class CheckResult:
    """`problems`: one sentence each, saying what is wrong and how to fix it. `notes`: nothing to do."""

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@runtime_checkable
class HostCheck(Protocol):
    """One check. `tests/plugin_package/example_check.py` is one of another package."""

    def run(self, host: OpenHost) -> CheckResult:
        """Check the host; quote what it says (`foreign_text.quote`).

        Raises:
            HostError: the check could not be made.
        """


def installed_checks() -> tuple[HostCheck, ...]:
    """Return the checks of other packages.

    Raises:
        UsageError: one cannot be loaded, or is not a check.
    """
    found = plugins.installed("being_remote.checks")
    for name, check in found.items():
        if isinstance(check, type) or not isinstance(check, HostCheck):
            raise UsageError(
                f"being_remote.checks: {name!r} is not an instance with a method `run`",
                hint="update or uninstall the package that registers it",
            )
    return tuple(found.values())
