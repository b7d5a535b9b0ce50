"""Ask a host for the facts that the checks look at."""

from __future__ import annotations

from being_remote.host_checks.tracker_check import checkout_request
from being_remote.inventory import LocalHost, SshHost
from being_remote.pod_client.host_facts import HostFacts
from being_remote.pod_client.runner import ask
from being_remote.session import Session


def probe_host(session: Session, host: SshHost | LocalHost, *, tracker: bool, cuda: bool) -> HostFacts:
    """Return the facts, in one round trip.

    Args:
        tracker: also look at the tracker's checkout.
        cuda: and ask its torch for CUDA, which takes seconds.

    Raises:
        HostError: no answer.
    """
    request = {
        "folder": str(host.workdir),
        "tracker": checkout_request(host, cuda=cuda) if tracker else None,
    }
    return ask(session, "host_facts", request, HostFacts, python=host.python)
