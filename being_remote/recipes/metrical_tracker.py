"""A tracking: metrical-tracker in its own checkout, on an input folder made for this job alone.

The tracker caches crops, landmarks and its box in the input folder and then ignores every change of
`bbox_scale` or `image_size`; so each attempt has a folder of its own that links to the actor's
source images and identity, and nothing else. Three steps run on the pod: `tracker.begin` writes the
settings, the tracker runs, `tracker.finish` judges its files (its exit code proves nothing) and
transforms the camera. Earlier results of the actor are never touched.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from being_remote.errors import DataError, InconsistentData, NotFoundError, UsageError
from being_remote.inventory import Actor, LocalHost, SshHost, Tracker
from being_remote.jobs.spec import JobSpec
from being_remote.pod_client.runner import ask_alone, odd_form
from being_remote.recipes import (
    CarriedFiles,
    CommandStep,
    FileProgress,
    JobPlan,
    Request,
    RunVerdict,
    WorkFolder,
)
from being_remote.session import Session
from being_remote.tracker import layout
from being_remote.tracker.begin import unusable_path
from being_remote.tracker.checkout_defaults import CONFIG, CheckoutDefaults, from_values, read_defaults
from being_remote.tracker.frame_cost import describe_cost, frame_cost
from being_remote.tracker.presets import preset
from being_remote.tracker.settings import (
    FOOTAGE,
    PATHS,
    Keys,
    Settings,
    check,
    coerce,
    compare,
    complete,
    parse_override,
    parse_settings,
    to_yaml,
)

NAME = "metrical-tracker"
SCRIPT = "tracker.py"
SETTINGS = "settings.yml"
REQUEST = "tracking.json"
# A frame takes seconds, the landmarks of a long video before the first frame up to an hour.
STALL_S = 7200.0
MAX_ANSWER_BYTES = 1 << 20

_Small = Annotated[str, Field(max_length=1 << 17)]


class Facts(BaseModel):
    """The answer of `pod/tracking_facts.py`: what is there of the checkout and of the actor's input.

    Attributes:
        script, folder: whether `tracker.py` and the actor's input folder are there.
        images: how many source images; 0: the tracker would cut the video itself.
        head: the first bytes of the first of them, base64.
        video, identity: whether these files are there.
        box, settings, defaults: bbox.pt, the actor's settings file and the checkout's `configs/config.py`,
            base64; None: not there, or too large.
        numpy: whether the host's Python has it.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

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


class _DefaultsAlone(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    defaults: _Small | None


@dataclass(frozen=True)
class MetricalTracker:
    """The recipe `metrical-tracker`."""

    name: str = NAME
    results: tuple[str, ...] = (
        "intrinsics.json",
        "result.json",
        f"{layout.INPUT}/*/{layout.BBOX}",
        f"{layout.ACTOR_CONFIGS}/*.yml",
        f"{layout.OUTPUT}/*/{layout.TRAIN_LOG}",
    )
    more_results: tuple[str, ...] = (
        f"{layout.OUTPUT}/*/{layout.CHECKPOINT}/*{layout.FRAME_SUFFIX}",
        f"{layout.OUTPUT}/*/{layout.CROPS}/*.png",
        f"{layout.OUTPUT}/*/{layout.CROPS}/*.jpg",
        f"{layout.OUTPUT}/*/{layout.MESH}/*.ply",
        f"{layout.INPUT}/*/{layout.KPT}/*.npy",
        f"{layout.INPUT}/*/{layout.KPT_DENSE}/*.npy",
    )
    checkpoints: tuple[str, ...] = (
        f"{layout.OUTPUT}/*/{layout.CHECKPOINT}/*{layout.FRAME_SUFFIX}",
        f"{layout.INPUT}/*/{layout.BBOX}",
        f"{layout.ACTOR_CONFIGS}/*.yml",
        f"{layout.OUTPUT}/*/{layout.CROPS}/*.png",
        f"{layout.OUTPUT}/*/{layout.MESH}/*.ply",
    )

    def look(self, session: Session, request: Request) -> Facts:
        """One round trip; nothing is written there.

        Raises:
            UsageError: the inventory names no tracker on that host, or no actor was given.
            HostError: no answer, or none that can be believed.
        """
        tracker, actor = _tracker(request.host), _actor(request)
        asked = {
            "root": str(tracker.root),
            "input": str(actor.input),
            "config": f"{layout.ACTOR_CONFIGS}/{actor.output.name}.yml",
            "defaults": CONFIG,
            "names": {
                "script": SCRIPT,
                "source": layout.SOURCE,
                "video": layout.VIDEO,
                "identity": layout.IDENTITY,
                "box": layout.BBOX,
            },
        }
        said = _ask(session, request.host, asked)
        try:
            return Facts.model_validate_json(said)
        except ValidationError as e:
            raise odd_form(session.host, "its answer about the tracker", e) from e

    def plan(self, request: Request, facts: Facts) -> JobPlan:
        """The job: its settings, its folders, its three steps.

        Without a preset the actor's own settings file is the base (never a job of ours, or a wish
        would mean something else after each); with one, the tracker's defaults and the preset. In
        both cases what describes the video (`config.FOOTAGE`) is kept from the file, so that frames
        keep their numbers; overrides come last. The changes are those against the last run. Keys and
        defaults are those of the checkout on the host, where its file can be read.

        Raises:
            UsageError: settings that cannot be meant, or paths that the tracker cannot live with.
            NotFoundError: what the tracker needs is not on the host.
            InconsistentData: the images there are not as many as those of the job that moves there.
        """
        tracker, actor = _tracker(request.host), _actor(request)
        _check_there(request.host.name, tracker, actor, facts)
        defaults = _defaults(request.host, tracker, facts.defaults)
        keys = defaults.keys
        own, base_notes = _own_settings(request, facts, keys)
        try:
            settings = _settings(request, own, defaults)
        except UsageError as e:
            if e.where or not defaults.read:
                raise
            raise UsageError(
                e.what, where=f"{request.host.name}: {tracker.root / CONFIG}", hint=e.hint
            ) from e
        folder = _folder_name(actor)
        _check_path(request.host)
        check(settings, keys)
        full = complete(settings, keys)
        expected, count_notes = _expected(facts, full)
        if request.frames is not None and expected is not None and request.frames != expected:
            raise InconsistentData(
                f"there are images for {expected} frames, the job is of {request.frames}",
                file=f"{request.host.name}:{tracker.root / actor.input / layout.SOURCE}",
                hint="they are of another video, or were cut otherwise: mend the actor's input there",
            )
        last, last_notes = _last_run(request, own)
        changes = compare(last, settings, keys)
        return JobPlan(
            recipe=NAME,
            actor=actor.name,
            host=request.host.name,
            intent=_intent(request, tracker, actor, full),
            prepare=_prepare(tracker, actor, facts, folder),
            steps=_command(request.host, tracker, facts, folder),
            progress=_measure(expected),
            gpus=1 if request.gpus is None else request.gpus,
            wall_s=request.wall_s,
            stall_s=STALL_S if request.stall_s is None else request.stall_s,
            files={
                SETTINGS: to_yaml(settings, keys),
                REQUEST: _pod_request(actor, folder, full, expected, defaults),
            },
            changes=changes,
            notes=(
                *defaults.notes,
                *base_notes,
                *last_notes,
                *count_notes,
                *_crop_notes(request, facts, actor, own, settings, keys),
                *_cost_notes(settings, keys),
                *(preset(request.preset).advice(keys) if request.preset else ()),
            ),
        )

    def again(
        self, spec: JobSpec, files: Mapping[str, bytes], host: SshHost | LocalHost, actor: Actor | None
    ) -> Request:
        """The same settings and limits; of a job that another laptop sent only the intent is known."""
        settings = dict(spec.intent["settings"])
        if SETTINGS in files:
            settings, defaults = settings_of(files)
            settings = {**(defaults.values if defaults is not None else {}), **settings}
        return Request(
            host=host,
            actor=actor,
            gpus=spec.gpus,
            wall_s=spec.wall_s,
            stall_s=spec.stall_s,
            settings=settings,
            frames=json.loads(files[REQUEST])["expected"] if REQUEST in files else None,
        )

    def takes_input(self, facts: Facts) -> bool:
        """Images will do for the video; the identity has no substitute."""
        return facts.script and not ((facts.images or facts.video) and facts.identity)

    def carried(self, files: Mapping[str, bytes], homes: Sequence[Path]) -> CarriedFiles | None:
        """The longest run of whole frames with its box, and what of crops and meshes lies beside."""
        from being_remote.recipes.carrying import carry

        return carry(json.loads(files[REQUEST]), homes) if REQUEST in files else None

    def judge(self, folder: Path) -> RunVerdict:
        """Judge what was pulled: the transform is repeated here and compared with the pod's."""
        from being_remote.tracker.intrinsics_file import check_intrinsics

        try:
            return RunVerdict(True, check_intrinsics(folder))
        except (DataError, NotFoundError) as e:
            return RunVerdict(False, (str(e),))


def settings_of(files: Mapping[str, bytes]) -> tuple[dict[str, Any], CheckoutDefaults | None]:
    """What a job's own files set, and the defaults of the checkout that it was planned for, if they say.

    Keys that we do not know are kept as they are written: they are the checkout's.
    """
    request = json.loads(files[REQUEST]) if REQUEST in files else {}
    defaults = from_values(request.get("defaults"))
    if defaults is not None:
        settings, _ = parse_settings(files.get(SETTINGS, b""), SETTINGS, defaults.keys, keep_unknown=True)
    else:
        settings, _ = parse_settings(files.get(SETTINGS, b""), SETTINGS, keep_unknown=True)
    return settings, defaults


def look_at_defaults(session: Session, host: SshHost | LocalHost) -> CheckoutDefaults:
    """The keys and defaults of the checkout on a host: one round trip, which changes nothing.

    Raises:
        UsageError: the inventory names no tracker on that host.
        HostError: no answer, or none that can be believed.
    """
    tracker = _tracker(host)
    said = _ask(session, host, {"root": str(tracker.root), "defaults": CONFIG})
    try:
        found = _DefaultsAlone.model_validate_json(said)
    except ValidationError as e:
        raise odd_form(session.host, "its answer about the tracker", e) from e
    return _defaults(host, tracker, found.defaults)


def _ask(session: Session, host: SshHost | LocalHost, asked: Mapping[str, Any]) -> bytes:
    return ask_alone(
        session,
        "tracking_facts",
        asked,
        python=host.python,
        what="could not look at the tracker's folders",
        limit=MAX_ANSWER_BYTES,
    )


def _defaults(host: SshHost | LocalHost, tracker: Tracker, found: str | None) -> CheckoutDefaults:
    data = _bytes(found) if found is not None else None
    return read_defaults(data, f"{host.name}: {tracker.root / CONFIG}")


def _tracker(host: SshHost | LocalHost) -> Tracker:
    if host.tracker is None:
        raise UsageError(
            f"the inventory names no tracker on {host.name!r}",
            hint=f"hosts: {host.name}: tracker: {{root: /workspace/metrical-tracker, python: ...}}",
        )
    return host.tracker


def _actor(request: Request) -> Actor:
    if request.actor is None:
        raise UsageError("a tracking is of one actor", hint="--actor NAME")
    if request.words:
        raise UsageError("a tracking takes no command line of its own", hint="--recipe command")
    return request.actor


def _check_there(host: str, tracker: Tracker, actor: Actor, facts: Facts) -> None:
    folder = tracker.root / actor.input
    if not facts.script:
        raise NotFoundError(
            f"{SCRIPT} is not there",
            where=f"{host}: {tracker.root}",
            hint=f"{layout.CHECKOUT_FILES[SCRIPT]}, or correct tracker.root in the inventory",
        )
    if not facts.images and not facts.video:
        raise NotFoundError(
            f"there are neither images in {layout.SOURCE}/ nor a {layout.VIDEO}"
            if facts.folder
            else "the actor's input folder is not there",
            where=f"{host}: {folder}",
            hint=f"put the video there as {layout.VIDEO}, or correct the actor's `input` in the inventory",
        )
    if not facts.identity:
        raise NotFoundError(
            f"there is no {layout.IDENTITY}, without which the tracker ends at its first frame",
            where=f"{host}: {folder}",
            hint="MICA makes it (https://github.com/Zielon/MICA); `sync` may have brought one home",
        )


def _own_settings(request: Request, facts: Facts, keys: Keys) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The actor's own settings without their paths, and what was not understood of them.

    The file on the host counts, since the tracker there would read it; else the one that came home.
    """
    data = _bytes(facts.settings) if facts.settings is not None else request.own_settings
    if data is None:
        return {}, ("the actor has no settings file there or here: the tracker's defaults are its own",)
    try:
        found, passed_over = parse_settings(data, "the actor's settings", keys)
    except DataError as e:
        said = e.what.splitlines()[0]  # a YAML error draws a picture below
        return {}, (f"the actor's settings: {said}; the tracker's defaults are taken for them",)
    kept = {key: value for key, value in found.items() if key not in PATHS}
    return kept, tuple(f"in the actor's settings, not taken over: {line}" for line in passed_over)


def _last_run(request: Request, own: Settings) -> tuple[Settings, tuple[str, ...]]:
    """What a new run is compared with: the actor's newest good job, else the run of its own settings."""
    if request.last_job is None:
        return own, ()
    return request.last_job.settings, (
        f"compared with {request.last_job.job}, the actor's last job that succeeded",
    )


def _settings(request: Request, own: Settings, defaults: CheckoutDefaults) -> dict[str, Any]:
    keys = defaults.keys
    if request.settings is not None:
        # Of a job that moves: this checkout has to take the very same, whatever its own defaults are.
        moved = {k: coerce(k, value, keys) for k, value in request.settings.items() if k not in PATHS}
        return {k: value for k, value in moved.items() if not defaults.read or value != keys[k].default}
    base = dict(own)
    if request.preset is not None:
        footage = {key: base[key] for key in FOOTAGE if key in base}
        base = {**footage, **preset(request.preset).settings_for(keys)}
    for written in request.overrides:
        key, value = parse_override(written, keys)
        base[key] = value
    return base


def _folder_name(actor: Actor) -> str:
    """The actor's name where the tracker can live with it in its paths."""
    plain = re.fullmatch(r"[A-Za-z0-9_-]{1,64}", actor.name) is not None
    return actor.name if plain and unusable_path(actor.name) is None else "actor"


def _check_path(host: SshHost | LocalHost) -> None:
    problem = unusable_path(str(host.workdir))
    if problem is not None:
        raise UsageError(
            f"the tracker cannot work below {str(host.workdir)!r}: {problem}",
            where=host.name,
            hint="give the host another `workdir` in the inventory",
        )


def _expected(facts: Facts, full: Settings) -> tuple[int | None, tuple[str, ...]]:
    """How many frames there will be, where the images are there to be counted."""
    begin, end, keyframes = full["begin_frames"], full["end_frames"], full["keyframes"]
    assert isinstance(begin, int) and isinstance(end, int) and isinstance(keyframes, list)  # coerced
    if not facts.images:
        return None, (
            f"the tracker will cut {layout.VIDEO} into images itself: their number is not known yet",
        )
    expected = facts.images - begin - end
    if expected < 1:
        raise UsageError(
            f"begin_frames {begin} and end_frames {end} leave none of {facts.images} source images",
            hint="--set begin_frames=0 --set end_frames=0",
        )
    if max(keyframes) >= expected:
        raise UsageError(
            f"key frame {max(keyframes)} does not exist: {expected} frames are tracked, counted from 0",
            hint="--set keyframes=[0]",
        )
    return expected, ()


def _intent(request: Request, tracker: Tracker, actor: Actor, full: Settings) -> dict[str, Any]:
    # Every key, so that a default that is spelt out is the same wish as one that is not.
    return {
        "recipe": NAME,
        "host": request.host.name,
        "actor": actor.name,
        "tracker": str(tracker.root),
        "input": str(actor.input),
        "settings": {key: value for key, value in full.items() if key not in PATHS},
    }


def _prepare(tracker: Tracker, actor: Actor, facts: Facts, folder: str) -> WorkFolder:
    given, made = tracker.root / actor.input, f"{layout.INPUT}/{folder}"
    frames = layout.SOURCE if facts.images else layout.VIDEO
    return WorkFolder(
        folders=(made, layout.OUTPUT, layout.ACTOR_CONFIGS),
        links=tuple((f"{made}/{name}", str(given / name)) for name in (frames, layout.IDENTITY)),
    )


def _command(
    host: SshHost | LocalHost, tracker: Tracker, facts: Facts, folder: str
) -> tuple[CommandStep, ...]:
    config = f"{{work}}/{layout.ACTOR_CONFIGS}/{folder}.yml"
    theirs = {
        # The tracker reads its own files with a plain torch.load, which newer torch refuses.
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
        "PYTHONUNBUFFERED": "1",
    }

    def ours(state: Literal["running", "transforming"], module: str, *more: str) -> CommandStep:
        # The transform needs numpy, which the tracker's own environment has in any case.
        python = host.python if facts.numpy else tracker.python
        env = {"PYTHONPATH": "{bundle}", "PYTHONDONTWRITEBYTECODE": "1"}
        argv = (python, "-m", f"being_remote.tracker.{module}", "{work}", "{files}", *more)
        return CommandStep(state, argv, "{work}", env)

    return (
        ours("running", "begin", "{previous}", "{pushed}"),
        CommandStep("running", (tracker.python, SCRIPT, "--cfg", config), str(tracker.root), theirs),
        ours("transforming", "finish"),
    )


def _measure(expected: int | None) -> FileProgress:
    return FileProgress(f"{layout.OUTPUT}/*/{layout.CHECKPOINT}/*{layout.FRAME_SUFFIX}", expected)


def _pod_request(
    actor: Actor, folder: str, full: Settings, expected: int | None, defaults: CheckoutDefaults
) -> bytes:
    document = {
        "actor": actor.name,
        "folder": folder,
        "settings": SETTINGS,
        "expected": expected,
        "begin_frames": full["begin_frames"],
        "end_frames": full["end_frames"],
        "keyframes": full["keyframes"],
        "fps": full["fps"],
        "crop_image": full["crop_image"],
        "image_size_hw": full["image_size"],
        "source_size_wh": actor.source_size,
        # For `compare`, later: what the settings leave out.
        "defaults": defaults.values if defaults.read else None,
    }
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


def _crop_notes(
    request: Request, facts: Facts, actor: Actor, own: Settings, settings: Settings, keys: Keys
) -> tuple[str, ...]:
    from being_remote.tracker.box_file import parse_box

    # The box is of the run of the actor's own settings; a job of ours has a box of its own.
    before, after = complete(own, keys), complete(settings, keys)
    box = request.own_box
    try:
        if facts.box is not None:
            box = parse_box(_bytes(facts.box), layout.BBOX)
    except DataError:
        return ()  # only for a note; `find-bbox` says what is wrong with it
    size_wh = _png_size(facts.head) or actor.source_size
    cropped = before["crop_image"] and after["crop_image"]
    if box is None or size_wh is None or not cropped:
        return ()
    from being_remote.camera.crop import crop_from_box
    from being_remote.tracker.settings_forecast import crop_settings, what_if

    try:
        crop = crop_from_box(box, size_wh, crop_settings(before).image_size_wh)
    except ValueError:
        return ()  # the box is another video's, or the sizes are: likewise
    return what_if(crop, before, after).lines


def _cost_notes(settings: Settings, keys: Keys) -> tuple[str, ...]:
    """What a frame costs, where that differs from the checkout's defaults."""
    usual, work = frame_cost({}, keys), frame_cost(settings, keys)
    if usual is None or work is None or work == usual:
        return ()
    return (describe_cost(work, usual, "the defaults"),)


def _png_size(head: str | None) -> tuple[int, int] | None:
    """Width and height from a PNG's first bytes; other formats tell it further inside."""
    data = _bytes(head) if head is not None else b""
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or len(data) < 24:
        return None
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
