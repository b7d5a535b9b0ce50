"""What `recover` starts from: which run, which box and whose, and how large the original frames are.

Every answer comes with where it was found; what is not certain comes back as a warning, and what two
places say differently is an error. Files are looked for on this laptop only, and nothing is written.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.errors import NotFoundError, UsageError
from being_remote.tracker import layout

if TYPE_CHECKING:
    from being_remote.inventory import Actor, Inventory
    from being_remote.tracker.run_settings import RunSettings

Size = tuple[int, int]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Run:
    """One run's files on this laptop: `base` is an actor's backup, a tracker's output, or a plain folder."""

    name: str
    base: Path
    checkpoints: Path
    actor: Actor | None

    def boxes(self, settings: RunSettings) -> tuple[Path, ...]:
        """Where its bbox.pt may lie, the likeliest place first."""
        places = (layout.Home(self.base).bbox, self.trackers_box(settings), self.checkpoints / layout.BBOX)
        return tuple(dict.fromkeys(p for p in places if p is not None))

    def trackers_box(self, settings: RunSettings) -> Path | None:
        """Where the tracker itself writes the box of this run, where this is one of its output folders.

        An output is named after its settings file, and several may read one input folder: the
        settings say which.
        """
        if self._checkout is None:
            return None
        folder = settings.actor if settings.actor.strip("./") else f"{layout.INPUT}/{self.base.name}"
        return Path(os.path.normpath(self._checkout / folder / layout.BBOX))

    @property
    def settings_files(self) -> tuple[Path, ...]:
        """Where its settings may lie."""
        config = f"{self.base.name}.yml"
        there = (self._checkout / layout.ACTOR_CONFIGS / config,) if self._checkout else ()
        return (layout.Home(self.base).config, *there)

    @property
    def meshes(self) -> tuple[Path, ...]:
        """The folders in which its meshes may lie."""
        return layout.Home(self.base).meshes, self.base / layout.MESH

    @property
    def _checkout(self) -> Path | None:
        """The tracker's checkout, where this is one of its output folders."""
        folder = self.base.absolute().parent
        return folder.parent if folder.name == layout.OUTPUT else None


@dataclass(frozen=True)
class FoundBox:
    """A box, its file, and why it is not known to be the run's ("" when it is)."""

    box: Box
    path: Path
    doubt: str


@dataclass(frozen=True)
class SourceSize:
    """Width and height of the original frames, who says so, and the video or frame folder if at hand."""

    size_wh: Size
    said_by: str
    video: Path | None
    warnings: tuple[str, ...] = ()


def find_run(inventory: Inventory | None, actor: str | None, run: str | None) -> Run:
    """The run that was asked for: an actor's name, a folder, or the inventory's only actor.

    A name that is both means the actor; write `./NAME` for the folder.

    Raises:
        UsageError: nothing says which, or an unknown actor.
        NotFoundError: no such folder or actor; or nothing of the actor came home yet.
    """
    if inventory is None and (actor is not None or run is None):
        raise UsageError("without an inventory a run is named by its folder", hint="--run FOLDER")
    if run is not None and (inventory is None or run not in inventory.actors):
        folder = Path(run).expanduser()
        if folder.is_dir():
            return _run_in(folder, inventory, actor)
        known = f", or one of the actors: {', '.join(sorted(inventory.actors))}" if inventory else ""
        raise NotFoundError(
            f"{run!r} is neither a folder nor an actor",
            where="--run",
            hint=f"name a folder of .frame files{known}",
        )
    if run is not None and actor not in (None, run):
        raise UsageError(f"--run {run} and --actor {actor} name two actors", hint="give one of them")
    assert inventory is not None  # the first two checks leave no other way here
    chosen = inventory.the_actor(run or actor)
    home = layout.Home(inventory.backup_of(chosen))
    if not home.checkpoint.is_dir():
        raise NotFoundError(
            f"no checkpoints of actor {chosen.name!r} are here yet",
            where=str(home.checkpoint),
            hint=f"being-remote sync --actor {chosen.name}",
        )
    return Run(chosen.name, home.root, home.checkpoint, chosen)


def _run_in(folder: Path, inventory: Inventory | None, actor: str | None) -> Run:
    if (folder / layout.CHECKPOINT).is_dir():
        base, checkpoints = folder, folder / layout.CHECKPOINT
    else:
        base = folder.absolute().parent if folder.absolute().name == layout.CHECKPOINT else folder
        checkpoints = folder
    owner = None
    if inventory is not None:
        here = folder.resolve()
        backups = {inventory.backup_of(a).resolve(): a for a in inventory.actors.values()}
        owner = next((a for home, a in backups.items() if home in (here, *here.parents)), None)
        owner = inventory.the_actor(actor) if actor is not None else owner
    return Run(base.absolute().name, base, checkpoints, owner)


def find_settings(run: Run) -> tuple[RunSettings, tuple[str, ...]]:
    """The run's settings and, where no file holds them, a warning that says what was assumed instead.

    Raises:
        DataError: the file is there and cannot be read.
    """
    from being_remote.tracker.run_settings import parse_run_settings, read_run_settings

    for path in run.settings_files:
        if path.exists():
            return read_run_settings(path), ()
    return parse_run_settings(b"begin_frames: 1", "assumed settings"), (
        "no settings file of this run is here: source file numbers assume begin_frames 1, as in the"
        " tracker's own examples, and times are left out; `sync --only configs` brings it",
    )


def find_box(run: Run, settings: RunSettings, explicit: Path | None) -> FoundBox:
    """The run's box: the file given, else the one that lies where a run's box lies.

    It is the run's own when the newest manifest of the backup lists these very bytes and all the
    frames as coming from one host, or when it lies where the tracker itself writes it. Anything else
    may belong to another run: the same place, an earlier video, a deleted and remade box.

    Raises:
        NotFoundError: there is none.
        DataError: it cannot be read safely, or is no box.
    """
    from being_remote.tracker.frame_file import MAX_BOX_BYTES, parse_box, read_bytes

    places = run.boxes(settings)
    path = explicit or next((p for p in places if p.exists() or p.is_symlink()), None)
    if path is None:
        hint = "look for it with find-bbox and put it there, or name one: --bbox FILE"
        if run.actor:
            hint = f"being-remote find-bbox --actor {run.actor.name} --fetch, or name one: --bbox FILE"
        raise NotFoundError(f"no bbox.pt for run {run.name!r}", where=", ".join(map(str, places)), hint=hint)
    data = read_bytes(path, MAX_BOX_BYTES)
    return FoundBox(parse_box(data, str(path)), path, _doubt(run, settings, path, data))


def _doubt(run: Run, settings: RunSettings, path: Path, data: bytes) -> str:
    if Path(os.path.normpath(path.absolute())) == run.trackers_box(settings):
        if not settings.actor:
            return "no settings file says that the run read this folder"
        return ""  # a tracker's checkout: there is no other place where this run could have put it
    if not layout.Home(run.base).history.is_dir():
        return "nothing records where it came from"
    from being_remote.backup.history import History

    newest = History(run.base).newest()
    entry = newest.files.get(layout.BBOX) if newest else None
    if newest is None or entry is None:
        return "the backup's manifest does not list it"
    if entry.sha256 != hashlib.sha256(data).hexdigest():
        return "it is not the file that the backup's manifest lists"
    frame_hosts = {e.host for p, e in newest.files.items() if p.startswith(f"{layout.CHECKPOINT}/")}
    if entry.host is None:
        return "it lay in the backup already when the first sync came"
    if frame_hosts != {entry.host}:
        others = ", ".join(sorted(repr(h) if h else "a time before the first sync" for h in frame_hosts))
        return f"it came from {entry.host!r}, the frames from {others or 'nowhere known'}"
    return ""


def find_source_size(
    run: Run, stated: Size | None, video: Path | None, inventory: Inventory | None
) -> SourceSize:
    """Width and height of the original frames: from the command line, else from the inventory.

    Of several places that say it, all must agree; what was given on the command line is never
    overruled by the inventory.

    Raises:
        UsageError: nothing says it, or two places contradict each other.
        NotFoundError, DataError: the video is missing or cannot be read.
    """
    if stated is not None or video is not None:
        measured = _measure(video) if video is not None else None
        _agree([("--source-size", stated), (f"--video {video}", measured)])
        size = measured or _sane(stated or (0, 0), "--source-size")
        listed = run.actor.source_size if run.actor else None
        doubts = () if listed in (None, size) else (f"the inventory says {_text(listed)}, not {_text(size)}",)
        found = SourceSize(size, "--video" if video else "--source-size", video, doubts)
        return found if video is not None else _with_the_actors_video(found, run)
    if run.actor is None or (run.actor.video is None and run.actor.source_size is None):
        raise UsageError(
            f"nothing says how large the original frames of {run.name!r} are",
            where=str(inventory.path) if inventory else "",
            hint="--source-size WIDTHxHEIGHT, or --video FILE, or `video:` of the actor in the inventory",
        )
    actor = run.actor
    if actor.video is None or (not actor.video.exists() and actor.source_size is not None):
        assert actor.source_size is not None  # one of the two is there
        missing = () if actor.video is None else (f"the actor's video is not here: {actor.video}",)
        said_by = "the inventory's source_size"
        return SourceSize(_sane(actor.source_size, said_by), said_by, None, missing)
    measured = _measure(actor.video)
    _agree([("source_size in the inventory", actor.source_size), (f"the video {actor.video}", measured)])
    return SourceSize(measured, "the inventory's video", actor.video)


def _with_the_actors_video(found: SourceSize, run: Run) -> SourceSize:
    """For the picture only: the actor's video, if it is here and has the size that was stated."""
    video = run.actor.video if run.actor else None
    if video is None or not video.exists():
        return found
    measured = _measure(video)
    if measured == found.size_wh:
        return SourceSize(found.size_wh, found.said_by, video, found.warnings)
    words = f"the actor's video {video} is {_text(measured)}, not {_text(found.size_wh)}; it is not used"
    return SourceSize(found.size_wh, found.said_by, None, (*found.warnings, words))


def _sane(size: Size, said_by: str) -> Size:
    """A size that was only stated, held to what a video may have: a picture of it is drawn."""
    from being_remote.video import MAX_PIXELS

    if size[0] * size[1] > MAX_PIXELS:
        raise UsageError(
            f"{_text(size)} is more than any video has ({MAX_PIXELS} pixels at most)",
            where=said_by,
            hint="write WIDTHxHEIGHT, e.g. 1920x1080",
        )
    return size


def _measure(video: Path) -> Size:
    from being_remote.video import open_source

    with open_source(video) as source:
        return source.size_wh


def _agree(said: Iterable[tuple[str, Size | None]]) -> None:
    known = [(who, size) for who, size in said if size is not None]
    if len({size for _, size in known}) > 1:
        swapped = known[0][1] == known[1][1][::-1]
        raise UsageError(
            " but ".join(f"{who} says {_text(size)}" for who, size in known),
            hint="sizes are WIDTHxHEIGHT: are the two swapped?" if swapped else "which of the two is right?",
        )


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
