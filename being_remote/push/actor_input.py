"""Upload a new actor's input: the video or its frames, and identity.npy.

Every file is read safely before a byte is sent. The tracker makes the rest (crop, landmarks) from these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from being_remote.backup_paths import BackupPaths
from being_remote.errors import InconsistentData, NotFoundError, UsageError
from being_remote.inventory import Actor, Inventory, LocalHost, SshHost
from being_remote.media.picture import image_size
from being_remote.session import OnProgress, Session, no_progress
from being_remote.tracker.layout import IDENTITY, SOURCE, VIDEO
from being_remote.transfer.staged_upload import UploadResult, push_files

TRACKER_SUFFIXES = (".png", ".jpg")  # case matters to the tracker
MICA = "MICA makes it from a picture of the face: https://github.com/Zielon/MICA"


@dataclass(frozen=True)
class ActorInput:
    """The local files of an actor's input, by their names below the actor's input folder."""

    files: Mapping[str, Path]
    notes: tuple[str, ...]


def find_actor_input(inventory: Inventory, actor: Actor) -> ActorInput:
    """Find and check the actor's video and identity on this laptop.

    Raises:
        NotFoundError: the video is missing, or there is nothing to push.
        UnsafeFile, TornFile: the video, a frame or the identity cannot be read.
        InconsistentData: frames of several sizes, or of another size than the inventory's.
    """
    files: dict[str, Path] = {}
    notes: tuple[str, ...] = ()
    if actor.video is not None:
        pictures, notes = _read_pictures(actor, actor.video)
        files |= pictures
    identity = BackupPaths(inventory.backup_of(actor)).identity
    if identity.exists():
        from being_remote.tracker.npy_file import read_identity

        read_identity(identity)
        files[IDENTITY] = identity
    if not files:
        raise NotFoundError(
            f"nothing to push for {actor.name}: no `video:`, and no {identity}",
            where=str(inventory.path),
            hint=f"actors: {actor.name}: video: FILE, in the inventory",
        )
    return ActorInput(files, notes)


def push_actor(
    inventory: Inventory,
    session: Session,
    host: SshHost | LocalHost,
    actor: Actor,
    *,
    found: ActorInput | None = None,
    dry_run: bool = False,
    on_progress: OnProgress = no_progress,
) -> UploadResult:
    """Upload the actor's video (or frames) and identity to the tracker's input folder on `host`.

    Args:
        found: the result of `find_actor_input`, if it is known.
        dry_run: compare only.

    Raises:
        UsageError: the host has no `tracker:`.
        NotFoundError, DataError, HostError: see `find_actor_input` and `push_files`.
    """
    found = found or find_actor_input(inventory, actor)
    has_video, has_frames = VIDEO in found.files, any(n.startswith(f"{SOURCE}/") for n in found.files)
    uploaded = push_files(
        session,
        host,
        found.files,
        input_folder(inventory, host, actor),
        beside=(SOURCE, IDENTITY),
        alone=(SOURCE,) if has_frames else (),
        dry_run=dry_run,
        on_progress=on_progress,
    )
    notes = [*found.notes, *uploaded.notes]
    if has_video and uploaded.beside[SOURCE]:
        notes.append(
            f"the host has {SOURCE}/ with {uploaded.beside[SOURCE]} files: the tracker takes these, and not"
            " the video; move that folder away if they are not this video's frames"
        )
    if not (has_video or has_frames):
        notes.append(f"no video: actors: {actor.name} has no `video:` in the inventory")
    if IDENTITY not in found.files and not uploaded.beside[IDENTITY]:
        notes.append(f"no {IDENTITY}, which the tracker needs, neither local nor remote: {MICA}")
    return replace(uploaded, notes=tuple(notes))


def input_folder(inventory: Inventory, host: SshHost | LocalHost, actor: Actor) -> PurePosixPath:
    """The actor's input folder on the host. Raises UsageError as `tracker_root`."""
    return tracker_root(inventory, host) / actor.input


def tracker_root(inventory: Inventory, host: SshHost | LocalHost) -> PurePosixPath:
    """The tracker's checkout on the host. Raises UsageError if the inventory does not name it."""
    if host.tracker is None:
        raise UsageError(
            f"host {host.name} has no `tracker:`",
            where=str(inventory.path),
            hint=f"hosts: {host.name}: tracker: {{root: /workspace/metrical-tracker, python: ...}}",
        )
    return host.tracker.root


def _read_pictures(actor: Actor, video: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    from being_remote.media.video import open_source

    with open_source(video) as source:
        size_wh, names, notes = source.size_wh, source.names, source.notes
    if actor.source_size is not None and size_wh != actor.source_size:
        raise InconsistentData(
            f"has {size_wh[0]}x{size_wh[1]} pixels, but the inventory's source_size of {actor.name} is"
            f" {actor.source_size[0]}x{actor.source_size[1]}",
            file=str(video),
            hint="check that it is the right video; else correct source_size, or leave it out",
        )
    if not names:
        return {VIDEO: video}, notes
    for name in names:
        if not name.endswith(TRACKER_SUFFIXES):
            raise InconsistentData(
                f"{name!r}: the tracker takes {' and '.join(TRACKER_SUFFIXES)} only, in small letters",
                file=str(video),
                hint="rename or convert it",
            )
        size = image_size(video / name)
        if size not in (size_wh, size_wh[::-1]):  # as stored; a turn noted in EXIF comes on top
            raise InconsistentData(
                f"{name!r} has {size[0]}x{size[1]} pixels, the first one {size_wh[0]}x{size_wh[1]}",
                file=str(video),
                hint="keep the frames of one video in a folder, and nothing else",
            )
    return {f"{SOURCE}/{name}": video / name for name in names}, notes
