"""What a check of a host is, and which checks there are.

A new check is one class with `run` and its test: listed in `BUILT_IN` or, in another package, registered
as an instance under the entry point group `being_remote.checks`. One with `find_obstacles` also keeps jobs
from being sent that could not run.
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


@dataclass(frozen=True)
class JobNeeds:
    """What a job needs of its host: how many GPUs, and tools by the names of `jobs.recipe.Recipe.tools`."""

    gpus: int
    tools: frozenset[str]


@runtime_checkable
class HostCheck(Protocol):
    """One check. `tests/plugin_package/example_check.py` is one of another package."""

    def run(self, host: OpenHost) -> CheckResult:
        """Check the host; quote what it says (`foreign_text.quote`).

        Raises:
            HostError: the check could not be made.
        """


@runtime_checkable
class JobCheck(HostCheck, Protocol):
    """A check that can tell that a job cannot run on the host."""

    def find_obstacles(self, host: OpenHost, needs: JobNeeds) -> tuple[str, ...]:
        """Those problems with which the job cannot run, in the same sentences as `run`."""


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
