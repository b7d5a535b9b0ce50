"""Why a job cannot run on a host: doctor's own checks, asked before anything is sent."""

from __future__ import annotations

from collections.abc import Collection

from being_remote.host_checks.built_in_checks import BUILT_IN
from being_remote.host_checks.host_check import JobCheck, JobNeeds, OpenHost, installed_checks
from being_remote.host_checks.probe import probe_host
from being_remote.inventory import LocalHost, SshHost
from being_remote.session import Session


def find_obstacles(
    session: Session, host: SshHost | LocalHost, *, gpus: int, tools: Collection[str]
) -> tuple[str, ...]:
    """Return what is wrong with the host for a job that needs so many GPUs and these tools.

    One round trip, which changes nothing. Torch is not imported, so that it takes no seconds.

    Raises:
        HostError: no answer.
        UsageError: an installed check cannot be loaded.
    """
    facts = probe_host(session, host, tracker=bool(tools), cuda=False)
    opened, needs = OpenHost(host, session, facts), JobNeeds(gpus, frozenset(tools))
    checks = [check for check in (*BUILT_IN, *installed_checks()) if isinstance(check, JobCheck)]
    return tuple(obstacle for check in checks for obstacle in check.find_obstacles(opened, needs))
