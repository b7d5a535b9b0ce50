"""The recipe `metrical-tracker`: the tracker in its own checkout, on an input folder made for one job.

The tracker caches crops, landmarks and its box in the input folder and then ignores every change of
`bbox_scale` or `image_size`; so each attempt has a folder of its own that links to the actor's
source images and identity, and nothing else. Three steps run on the host: `tracker.begin` writes the
settings, the tracker runs, `tracker.finish` checks its files (its exit code proves nothing) and
transforms the camera. Earlier results of the actor are never touched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from being_remote.errors import InconsistentData, UsageError
from being_remote.inventory import Actor, Inventory, LocalHost, SshHost
from being_remote.jobs.recipe import CarriedFiles, JobPlan, JobRequest, OptionChange, TypedOptions
from being_remote.jobs.spec import CommandStep, FileProgress, JobSpec, WorkFolder
from being_remote.recipes.earlier_runs import LocalRuns, read_local_runs
from being_remote.recipes.tracking_facts import (
    SCRIPT,
    TrackerFolders,
    TrackingFacts,
    check_input,
    checkout_defaults,
    look_at_tracker,
    tracker_of,
)
from being_remote.recipes.tracking_files import (
    NAME,
    REQUEST,
    SETTINGS,
    full_settings_of,
    read_request,
    write_tracking_files,
)
from being_remote.recipes.tracking_notes import cost_notes, crop_notes
from being_remote.recipes.tracking_settings import (
    RepeatedTracking,
    TrackingOptions,
    last_settings,
    own_settings,
    settings_for,
)
from being_remote.session import Session
from being_remote.tracker import layout
from being_remote.tracker.begin import unusable_path
from being_remote.tracker.checkout_defaults import CONFIG
from being_remote.tracker.presets import find_preset
from being_remote.tracker.settings import PATHS, Settings, compare, complete

# A frame takes seconds, the landmarks of a long video before the first frame up to an hour.
STALL_S = 7200.0

_FRAMES = f"{layout.OUTPUT}/*/{layout.CHECKPOINT}/*{layout.FRAME_SUFFIX}"
_BOX = f"{layout.INPUT}/*/{layout.BBOX}"
_SETTINGS = f"{layout.ACTOR_CONFIGS}/*.yml"
_CROPS = f"{layout.OUTPUT}/*/{layout.CROPS}/*.png"
_MESHES = f"{layout.OUTPUT}/*/{layout.MESH}/*.ply"


@dataclass(frozen=True)
class MetricalTracker:
    """The recipe `metrical-tracker`."""

    name: str = NAME
    unit: str = "frames"
    results: tuple[str, ...] = (
        "intrinsics.json",
        "result.json",
        _BOX,
        _SETTINGS,
        f"{layout.OUTPUT}/*/{layout.TRAIN_LOG}",
    )
    more_results: tuple[str, ...] = (
        _FRAMES,
        _CROPS,
        f"{layout.OUTPUT}/*/{layout.CROPS}/*.jpg",
        _MESHES,
        f"{layout.INPUT}/*/{layout.KPT}/*.npy",
        f"{layout.INPUT}/*/{layout.KPT_DENSE}/*.npy",
    )
    checkpoints: tuple[str, ...] = (_FRAMES, _BOX, _SETTINGS, _CROPS, _MESHES)

    def parse_options(self, typed: TypedOptions) -> TrackingOptions:
        if typed.words:
            raise UsageError("a tracking takes no command line of its own", hint="--recipe command")
        if typed.preset is not None:
            find_preset(typed.preset)  # an unknown name is refused before a host is contacted
        return TrackingOptions(preset=typed.preset, overrides=typed.sets)

    def look(self, session: Session, request: JobRequest, inventory: Inventory) -> TrackingFacts:
        actor = _actor(request)
        folders = look_at_tracker(session, request.host, actor)
        repeated = request.options.repeated is not None
        return TrackingFacts(folders, LocalRuns() if repeated else read_local_runs(inventory, actor))

    def plan(self, request: JobRequest, facts: TrackingFacts) -> JobPlan:
        """The job: its settings, its folders, its three steps.

        Keys and defaults are those of the checkout on the host, where its file can be read.

        Raises:
            UsageError: invalid settings, or paths that the tracker cannot work with.
            NotFoundError: what the tracker needs is not on the host.
            InconsistentData: there are not as many images as the job that is repeated has frames.
        """
        host, actor, options = request.host, _actor(request), request.options
        root = tracker_of(host).root
        check_input(host, actor, facts.host)
        defaults = checkout_defaults(host, facts.host.defaults)
        keys = defaults.keys
        own, own_notes = own_settings(facts, keys)
        settings = settings_for(options, own, defaults, f"{host.name}: {root / CONFIG}")
        _check_workdir(host)
        full = complete(settings, keys)
        expected, count_notes = _expected_frames(facts.host, full)
        if options.repeated is not None and None not in (expected, options.repeated.frames):
            _check_count(host, actor, expected, options.repeated.frames)
        folder = _folder_name(actor)
        compared, compared_notes = last_settings(own, facts.local)
        return JobPlan(
            recipe=NAME,
            actor=actor.name,
            host=host.name,
            intent={
                "recipe": NAME,
                "host": host.name,
                "actor": actor.name,
                "tracker": str(root),
                "input": str(actor.input),
                # Every key, so that a default that is spelt out makes no other intent.
                "settings": {key: value for key, value in full.items() if key not in PATHS},
            },
            prepare=_work_folder(host, actor, facts.host, folder),
            steps=_steps(host, facts.host, folder),
            progress=FileProgress(_FRAMES, expected),
            gpus=1 if request.gpus is None else request.gpus,
            wall_s=request.wall_s,
            stall_s=STALL_S if request.stall_s is None else request.stall_s,
            files=write_tracking_files(actor, folder, settings, expected, defaults),
            changes=tuple(OptionChange(**vars(c)) for c in compare(compared, settings, keys)),
            notes=(
                *defaults.notes,
                *own_notes,
                *compared_notes,
                *count_notes,
                *crop_notes(facts, actor, own, settings, keys),
                *cost_notes(settings, keys),
                *(find_preset(options.preset).advice(keys) if options.preset else ()),
            ),
        )

    def repeat(
        self, spec: JobSpec, files: Mapping[str, bytes], host: SshHost | LocalHost, actor: Actor | None
    ) -> JobRequest:
        """The same settings and limits; of a job that another laptop sent only the intent is known."""
        settings = full_settings_of(files) if SETTINGS in files else dict(spec.intent["settings"])
        repeated = RepeatedTracking(settings=settings, frames=read_request(files).get("expected"))
        options = TrackingOptions(repeated=repeated)
        return JobRequest(host, options, actor, spec.gpus, spec.wall_s, spec.stall_s)

    def tools(self, spec: JobSpec) -> tuple[str, ...]:
        """The tracker; and ffmpeg where it is given a video without images."""
        cuts_video = any(name.endswith(f"/{layout.VIDEO}") for name, _ in spec.prepare.links)
        return (layout.TRACKER_TOOL, layout.FFMPEG_TOOL) if cuts_video else (layout.TRACKER_TOOL,)

    def needs_input(self, facts: TrackingFacts) -> bool:
        """Images will do for the video; the identity has no substitute."""
        found = facts.host
        return found.script and not ((found.images or found.video) and found.identity)

    def find_resumable(self, files: Mapping[str, bytes], folders: Sequence[Path]) -> CarriedFiles | None:
        """The longest run of whole frames with its box, and the crops and meshes beside them."""
        from being_remote.recipes.resumable_files import find_resumable

        return find_resumable(read_request(files), folders) if REQUEST in files else None

    def verify_results(self, folder: Path) -> None:
        """Repeat the transform here and compare it with the one made on the host."""
        from being_remote.tracker.intrinsics_file import check_intrinsics

        check_intrinsics(folder)


def _actor(request: JobRequest) -> Actor:
    if request.actor is None:
        raise UsageError("a tracking is of one actor", hint="--actor NAME")
    return request.actor


def _folder_name(actor: Actor) -> str:
    """The actor's name where the tracker can have it in its paths."""
    plain = re.fullmatch(r"[A-Za-z0-9_-]{1,64}", actor.name) is not None
    return actor.name if plain and unusable_path(actor.name) is None else "actor"


def _check_workdir(host: SshHost | LocalHost) -> None:
    problem = unusable_path(str(host.workdir))
    if problem is not None:
        raise UsageError(
            f"the tracker cannot work below {str(host.workdir)!r}: {problem}",
            where=host.name,
            hint="give the host another `workdir` in the inventory",
        )


def _expected_frames(found: TrackerFolders, full: Settings) -> tuple[int | None, tuple[str, ...]]:
    """How many frames there will be; None, and a note, where there are no images to count yet."""
    begin, end, keyframes = full["begin_frames"], full["end_frames"], full["keyframes"]
    assert isinstance(begin, int) and isinstance(end, int) and isinstance(keyframes, list)  # coerced
    if not found.images:
        return None, (f"the tracker will cut {layout.VIDEO} into images itself: their number is unknown",)
    expected = found.images - begin - end
    if expected < 1:
        raise UsageError(
            f"begin_frames {begin} and end_frames {end} leave none of {found.images} source images",
            hint="--set begin_frames=0 --set end_frames=0",
        )
    if max(keyframes) >= expected:
        raise UsageError(
            f"key frame {max(keyframes)} does not exist: {expected} frames are tracked, counted from 0",
            hint="--set keyframes=[0]",
        )
    return expected, ()


def _check_count(host: SshHost | LocalHost, actor: Actor, expected: int | None, frames: int | None) -> None:
    """See that the images on the host are those of the job that is repeated there."""
    if frames != expected:
        raise InconsistentData(
            f"there are images for {expected} frames, but the job has {frames}",
            file=f"{host.name}:{tracker_of(host).root / actor.input / layout.SOURCE}",
            hint="they are of another video, or were cut otherwise: correct the actor's input there",
        )


def _work_folder(host: SshHost | LocalHost, actor: Actor, found: TrackerFolders, folder: str) -> WorkFolder:
    given, made = tracker_of(host).root / actor.input, f"{layout.INPUT}/{folder}"
    frames = layout.SOURCE if found.images else layout.VIDEO
    return WorkFolder(
        folders=(made, layout.OUTPUT, layout.ACTOR_CONFIGS),
        links=tuple((f"{made}/{name}", str(given / name)) for name in (frames, layout.IDENTITY)),
    )


def _steps(host: SshHost | LocalHost, found: TrackerFolders, folder: str) -> tuple[CommandStep, ...]:
    tracker = tracker_of(host)
    config = f"{{work}}/{layout.ACTOR_CONFIGS}/{folder}.yml"
    # Our steps need numpy, which the tracker's own environment has in any case.
    python = host.python if found.numpy else tracker.python

    def own_step(state: Literal["running", "transforming"], module: str, *more: str) -> CommandStep:
        env = {"PYTHONPATH": "{bundle}", "PYTHONDONTWRITEBYTECODE": "1"}
        argv = (python, "-m", f"being_remote.tracker.{module}", "{work}", "{files}", *more)
        return CommandStep(state, argv, "{work}", env, verifies=module == "finish")

    tracker_env: dict[str, str] = {
        # The tracker reads its own files with a plain torch.load, which newer torch refuses.
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
        "PYTHONUNBUFFERED": "1",
    }
    return (
        own_step("running", "begin", "{previous}", "{pushed}"),
        CommandStep("running", (tracker.python, SCRIPT, "--cfg", config), str(tracker.root), tracker_env),
        own_step("transforming", "finish"),
    )
