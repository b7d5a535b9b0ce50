"""What is known before a tracking is planned: of the tracker's folders on the host, and of local runs."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from being_remote.errors import NotFoundError, UsageError
from being_remote.inventory import Actor, LocalHost, SshHost, Tracker
from being_remote.pod_client.runner import ask
from being_remote.recipes.earlier_runs import LocalRuns
from being_remote.session import Session
from being_remote.strict_model import StrictModel
from being_remote.tracker import layout
from being_remote.tracker.checkout_defaults import CONFIG, CheckoutDefaults, read_defaults

SCRIPT = "tracker.py"

_Small = Annotated[str, Field(max_length=1 << 17)]


class TrackerFolders(StrictModel):
    """The answer of `pod/tracking_facts.py`: what is there of the checkout and of the actor's input.

    Attributes:
        script, folder: whether `tracker.py` and the actor's input folder are there.
        images: how many source images; 0: the tracker would cut the video itself.
        head: the first bytes of the first of them, base64.
        video, identity: whether these files are there.
        box, settings, defaults: bbox.pt, the actor's settings file and the checkout's `configs/config.py`,
            base64; None: missing, or too large.
        numpy: whether the host's Python has one that our steps can use.
    """

    script: bool
    folder: bool
    images: Annotated[int, Field(ge=0, le=1_000_000)]
    head: _Small | None
    video: bool
    identity: bool
    box: _Small | None
    settings: _Small | None
    defaults: _Small | None
    numpy: bool

    @property
    def picture_size(self) -> tuple[int, int] | None:
        """Width and height of the first source image, where it is a PNG."""
        data = decoded(self.head)
        if not data.startswith(b"\x89PNG\r\n\x1a\n") or len(data) < 24:
            return None
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


class _DefaultsOnly(StrictModel):
    defaults: _Small | None


@dataclass(frozen=True)
class TrackingFacts:
    """What `MetricalTracker.plan` decides by."""

    host: TrackerFolders
    local: LocalRuns


def look_at_tracker(session: Session, host: SshHost | LocalHost, actor: Actor) -> TrackerFolders:
    """Look at the checkout and the actor's input: one round trip, which changes nothing.

    Raises:
        UsageError: the inventory names no tracker on that host.
        HostError: no answer, or an invalid one.
    """
    request = {
        **_checkout(host),
        "input": str(actor.input),
        "config": f"{layout.ACTOR_CONFIGS}/{actor.output.name}.yml",
        "names": {
            "script": SCRIPT,
            "source": layout.SOURCE,
            "video": layout.VIDEO,
            "identity": layout.IDENTITY,
            "box": layout.BBOX,
        },
    }
    return ask(session, "tracking_facts", request, TrackerFolders, python=host.python)


def look_at_defaults(session: Session, host: SshHost | LocalHost) -> CheckoutDefaults:
    """The keys and defaults of the checkout on a host: one round trip, which changes nothing.

    Raises:
        UsageError: the inventory names no tracker on that host.
        HostError: no answer, or an invalid one.
    """
    found = ask(session, "tracking_facts", _checkout(host), _DefaultsOnly, python=host.python)
    return checkout_defaults(host, found.defaults)


def checkout_defaults(host: SshHost | LocalHost, encoded: str | None) -> CheckoutDefaults:
    """The keys and defaults that the checkout's `configs/config.py` (base64) names."""
    data = decoded(encoded) if encoded is not None else None
    return read_defaults(data, f"{host.name}: {tracker_of(host).root / CONFIG}")


def tracker_of(host: SshHost | LocalHost) -> Tracker:
    """The host's tracker. Raises UsageError where the inventory names none."""
    if host.tracker is None:
        raise UsageError(
            f"the inventory names no tracker on {host.name!r}",
            hint=f"hosts: {host.name}: tracker: {{root: /workspace/metrical-tracker, python: ...}}",
        )
    return host.tracker


def check_input(host: SshHost | LocalHost, actor: Actor, found: TrackerFolders) -> None:
    """See that the checkout, the video or its images, and the identity are there. Raises NotFoundError."""
    root = tracker_of(host).root
    folder = f"{host.name}: {root / actor.input}"
    if not found.script:
        raise NotFoundError(
            f"there is no {SCRIPT}",
            where=f"{host.name}: {root}",
            hint=f"{layout.CHECKOUT_FILES[SCRIPT]}, or correct tracker.root in the inventory",
        )
    if not found.images and not found.video:
        raise NotFoundError(
            f"there are neither images in {layout.SOURCE}/ nor a {layout.VIDEO}"
            if found.folder
            else "the actor's input folder is missing",
            where=folder,
            hint=f"put the video there as {layout.VIDEO}, or correct the actor's `input` in the inventory",
        )
    if not found.identity:
        raise NotFoundError(
            f"there is no {layout.IDENTITY}, without which the tracker ends at its first frame",
            where=folder,
            hint="MICA makes it (https://github.com/Zielon/MICA); `sync` may have downloaded one",
        )


def decoded(text: str | None) -> bytes:
    """The bytes of base64; none of what is missing or malformed."""
    try:
        return base64.b64decode(text or "", validate=True)
    except ValueError:
        return b""


def _checkout(host: SshHost | LocalHost) -> dict[str, Any]:
    return {"root": str(tracker_of(host).root), "defaults": CONFIG}
