"""Is the tracker's checkout complete, and can its Python run it?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from being_remote.host_checks.host_check import CheckResult, OpenHost
from being_remote.inventory import LocalHost, SshHost
from being_remote.pod_client.host_facts import HostFacts
from being_remote.tracker.layout import CHECKOUT_FILES, CHECKOUT_MODULES


@dataclass(frozen=True)
class CheckoutStatus:
    """The tracker's checkout: which files are missing, and what its interpreter has."""

    root: str
    exists: bool
    missing_files: tuple[str, ...]
    python: str | None
    modules: dict[str, str | None]
    cuda: bool | None
    ffmpeg: bool


class TrackerCheck:
    """The checkout's files, the packages of its environment, CUDA and ffmpeg."""

    def run(self, host: OpenHost) -> CheckResult:
        return CheckResult(tuple(_problems(host)))


def checkout_request(host: SshHost | LocalHost) -> dict[str, object] | None:
    """Return what to look for; None where the inventory names no tracker."""
    if host.tracker is None:
        return None
    return {
        "root": str(host.tracker.root),
        "python": host.tracker.python,
        "files": list(CHECKOUT_FILES),
        "modules": CHECKOUT_MODULES,
    }


def checkout_status(host: SshHost | LocalHost, facts: HostFacts) -> CheckoutStatus | None:
    """Return how the checkout stands; None where there is none to look at."""
    found = facts.tracker
    if found is None or host.tracker is None:
        return None
    python = found.python
    return CheckoutStatus(
        root=str(host.tracker.root),
        exists=found.exists,
        missing_files=tuple(name for name in found.missing if name in CHECKOUT_FILES),
        python=python.version if python else None,
        modules={name: python.modules.get(name) if python else None for name in CHECKOUT_MODULES},
        cuda=python.cuda if python else None,
        ffmpeg=facts.ffmpeg is None,
    )


def _problems(host: OpenHost) -> Iterator[str]:
    status, found, tracker = checkout_status(host.host, host.facts), host.facts.tracker, host.host.tracker
    if status is None or found is None or tracker is None:
        return
    if not status.exists:
        yield (
            f"no folder {status.root!r}: correct `tracker.root`, or {CHECKOUT_FILES['tracker.py']}, or upload"
            f" a checkout from this laptop: push --host {host.host.name} --tracker DIR"
        )
        return
    for name in status.missing_files:
        yield f"{status.root}/{name} is missing: {CHECKOUT_FILES[name]}"
    interpreter = tracker.python
    if found.python is None:
        why = found.error or "no answer"
        yield f"the tracker's {interpreter!r} does not run ({why}): correct `tracker.python`"
        return
    for name, version in status.modules.items():
        if version is None:
            yield f"{interpreter!r} has no {name}: install it into the tracker's environment"
    if found.python.error:
        yield f"{interpreter!r} cannot import torch; reinstall it: {found.python.error[:200]}"
    elif status.cuda is False:
        yield f"torch of {interpreter!r} sees no CUDA: install a CUDA build, check the driver"
    if not status.ffmpeg:
        yield "no ffmpeg: apt-get install ffmpeg; the tracker cuts the video into frames with it"
