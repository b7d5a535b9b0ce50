"""What a person should know of a tracking before it starts: what its settings do to the crop and its cost."""

from __future__ import annotations

from being_remote.errors import DataError
from being_remote.inventory import Actor
from being_remote.recipes.tracking_facts import TrackingFacts, decoded
from being_remote.tracker import layout
from being_remote.tracker.frame_cost import describe_cost, frame_cost
from being_remote.tracker.settings import Keys, Settings, complete


def crop_notes(
    facts: TrackingFacts, actor: Actor, own: Settings, settings: Settings, keys: Keys
) -> tuple[str, ...]:
    """How `settings` change the crop of the run that `own` settings made; none where that is unknown."""
    from being_remote.camera.crop import crop_from_box
    from being_remote.tracker.box_file import parse_box
    from being_remote.tracker.settings_forecast import crop_settings, what_if

    before, after = complete(own, keys), complete(settings, keys)
    size_wh = facts.host.picture_size or actor.source_size
    if size_wh is None or not (before["crop_image"] and after["crop_image"]):
        return ()
    box = facts.local.box
    try:
        if facts.host.box is not None:  # that of the run of the actor's own settings; a job has its own
            box = parse_box(decoded(facts.host.box), layout.BBOX)
        crop = crop_from_box(box, size_wh, crop_settings(before).image_size_wh) if box is not None else None
    except (DataError, ValueError):
        return ()  # damaged, or of another video; `find-bbox` says what is wrong with it
    return what_if(crop, before, after).lines if crop is not None else ()


def cost_notes(settings: Settings, keys: Keys) -> tuple[str, ...]:
    """What a frame costs, where that differs from the checkout's defaults."""
    usual, work = frame_cost({}, keys), frame_cost(settings, keys)
    if usual is None or work is None or work == usual:
        return ()
    return (describe_cost(work, usual, "the defaults"),)
