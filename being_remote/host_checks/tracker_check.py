"""Is the tracker's checkout complete, can its Python run it, and is there ffmpeg for its video?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from being_remote.host_checks.host_check import CheckResult, JobNeeds, OpenHost
from being_remote.inventory import LocalHost, SshHost
from being_remote.pod_client.host_facts import HostFacts
from being_remote.tracker.layout import CHECKOUT_FILES, CHECKOUT_MODULES, FFMPEG_TOOL, TRACKER_TOOL


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
    """The checkout's files, the packages of its environment, and CUDA."""

    def run(self, host: OpenHost) -> CheckResult:
        return CheckResult((*_find_faults(host), *_find_torch_faults(host)))

    def find_obstacles(self, host: OpenHost, needs: JobNeeds) -> tuple[str, ...]:
        return tuple(_find_faults(host)) if TRACKER_TOOL in needs.tools else ()


class FfmpegCheck:
    """The tracker cuts the video into frames with ffmpeg."""

    def run(self, host: OpenHost) -> CheckResult:
        status = checkout_status(host.host, host.facts)
        return CheckResult(self._find_faults(host) if status is not None and status.exists else ())

    def find_obstacles(self, host: OpenHost, needs: JobNeeds) -> tuple[str, ...]:
        return self._find_faults(host) if FFMPEG_TOOL in needs.tools else ()

    def _find_faults(self, host: OpenHost) -> tuple[str, ...]:
        why = host.facts.ffmpeg
        if why is None:
            return ()
        how = "" if why == "not there" else f" that runs ({why})"
        return (f"no ffmpeg{how}: apt-get install ffmpeg; the tracker cuts the video into frames with it",)


def checkout_request(host: SshHost | LocalHost, *, cuda: bool) -> dict[str, object] | None:
    """Return what to look for; None where the inventory names no tracker.

    Args:
        cuda: ask the tracker's torch whether it sees a GPU, which takes seconds.
    """
    if host.tracker is None:
        return None
    return {
        "root": str(host.tracker.root),
        "python": host.tracker.python,
        "files": list(CHECKOUT_FILES),
        "modules": CHECKOUT_MODULES,
        "cuda": cuda,
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


def _find_faults(host: OpenHost) -> Iterator[str]:
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


def _find_torch_faults(host: OpenHost) -> Iterator[str]:
    found, tracker = host.facts.tracker, host.host.tracker
    if found is None or found.python is None or tracker is None:
        return
    interpreter = tracker.python
    if found.python.error:
        yield f"{interpreter!r} cannot import torch; reinstall it: {found.python.error[:200]}"
    elif found.python.cuda is False:
        yield f"torch of {interpreter!r} sees no CUDA: install a CUDA build, check the driver"
