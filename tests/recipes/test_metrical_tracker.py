"""Planning a tracking: what goes into the job, what is said beforehand, what is refused."""

from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from plan_runner import DEMO, MakePlan, nothing_local

from being_remote.demo.checkout import CONFIG
from being_remote.errors import HostError, NotFoundError, UsageError
from being_remote.inventory import Actor, LocalHost, Tracker
from being_remote.jobs.recipe import JobPlan, JobRequest, TypedOptions
from being_remote.jobs.spec import JobSpec
from being_remote.recipes.earlier_runs import LastJob, LocalRuns
from being_remote.recipes.registry import find_recipe
from being_remote.recipes.tracking_facts import TrackerFolders, TrackingFacts
from being_remote.session import Result

SETTINGS = b"actor: './input/demo'\nbegin_frames: 1\nkeyframes: [0, 1]\noptimize_shape: true\nw_exp: 0.05\n"
HOST = LocalHost(
    name="pod",
    workdir="/workspace/Being",
    tracker=Tracker(root="/workspace/mt", python="/opt/tracker/bin/python"),
    python="/opt/conda/bin/python",
)


def facts(**changed: Any) -> TrackerFolders:
    there = {
        "script": True,
        "folder": True,
        "images": 839,
        "head": None,
        "video": True,
        "identity": True,
        "box": None,
        "settings": base64.b64encode(SETTINGS).decode(),
        "defaults": base64.b64encode(CONFIG.encode()).decode(),
        "numpy": True,
    }
    return TrackerFolders(**{**there, **changed})


TRACKING = find_recipe("metrical-tracker")


def plan(
    *sets: str,
    known: TrackerFolders | None = None,
    preset: str | None = None,
    host: LocalHost = HOST,
    actor: Actor | None = DEMO,
    settings: bytes | None = None,
    last_job: LastJob | None = None,
) -> JobPlan:
    request = JobRequest(host, TRACKING.parse_options(TypedOptions(preset, sets)), actor)
    local = LocalRuns(settings=settings, last_job=last_job)
    return TRACKING.plan(request, TrackingFacts(known or facts(), local))


def settings_of(made: JobPlan) -> dict[str, Any]:
    return yaml.safe_load(made.files["settings.yml"]) or {}


def test_a_preset_starts_from_the_defaults_but_frames_keep_their_numbers() -> None:
    made = settings_of(plan(preset="gaussiantalker-round2"))
    assert made["begin_frames"] == 1 and made["keyframes"] == [0, 1]
    assert made["bbox_scale"] == 3.5 and made["image_size"] == [768, 768]
    assert "w_exp" not in made  # the last run's taste is not the preset's
    assert settings_of(plan(preset="flashavatar")) == {"keyframes": [0, 1], "begin_frames": 1}


def test_without_a_preset_the_last_settings_are_the_base_and_overrides_come_last() -> None:
    made = settings_of(plan("w_exp=0.1", "image_size=768"))
    assert made == {
        "keyframes": [0, 1],
        "begin_frames": 1,
        "image_size": [768, 768],
        "optimize_shape": True,
        "w_exp": 0.1,
    }
    assert settings_of(plan("bbox_scale=4", preset="gaussiantalker-round2"))["bbox_scale"] == 4.0


def test_the_changes_are_those_against_the_actors_last_run() -> None:
    changes = {c.key: (c.before, c.after) for c in plan(preset="full-face").changes}
    assert changes == {"w_exp": (0.05, 0.02), "optimize_jaw": (False, True)}
    assert any("no settings" in note for note in plan(known=facts(settings=None)).notes)


def test_a_later_job_is_what_changes_are_compared_with_and_no_base_for_the_next() -> None:
    last = LastJob("demo-k3x7a2bq", dict(plan("bbox_scale=4", preset="full-face").intent["settings"]))
    later = plan(preset="full-face", last_job=last)
    assert [(c.key, c.before, c.after) for c in later.changes] == [("bbox_scale", 4.0, 2.5)]
    assert any("compared with demo-k3x7a2bq" in note for note in later.notes)
    for wish in ((), ("w_exp=0.1",)):
        assert plan(*wish, last_job=last).intent == plan(*wish).intent
    # The file on the host counts; the one at home only where the host has none.
    assert plan(settings=b"bbox_scale: 3.5\n").intent == plan().intent
    at_home = plan(settings=b"bbox_scale: 3.5\n", known=facts(settings=None))
    assert settings_of(at_home) == {"bbox_scale": 3.5}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


FORK = CONFIG.replace("w_lmks = 7000", "w_lmks = 5000.0") + "cfg.sampling = [[0.5, 100]]\ncfg.gpu = '0'\n"


def test_a_job_is_planned_by_the_keys_and_defaults_of_the_checkout_on_the_host() -> None:
    there = facts(defaults=encoded(FORK), settings=encoded("sampling: [[0.5, 200]]\nw_exp: 0.05\n"))
    made = plan("w_lmks=6000", known=there)
    assert settings_of(made) == {"w_exp": 0.05, "sampling": [[0.5, 200]], "w_lmks": 6000.0}
    assert not any("table" in note or "sampling" in note for note in made.notes)
    assert {c.key: (c.before, c.after) for c in made.changes} == {"w_lmks": (5000.0, 6000.0)}
    full = made.intent["settings"]
    assert (full["gpu"], full["sampling"], full["w_lmks_68"]) == ("0", [[0.5, 200]], 1000)
    assert json.loads(made.files["tracking.json"])["defaults"]["sampling"] == [[0.5, 100]]
    with pytest.raises(UsageError, match="not a setting of the tracker"):
        plan("w_lmks_68=1", known=facts(defaults=encoded(CONFIG.replace("cfg.w_lmks_68 = 1000\n", ""))))
    # A default that is another one there is another wish.
    assert plan(known=facts(defaults=encoded(FORK))).intent != plan().intent


def test_where_the_checkouts_defaults_cannot_be_read_the_table_is_taken_with_a_note() -> None:
    for defaults in (None, encoded("x" * 20), encoded("cfg.a = '")):
        made = plan(preset="gaussiantalker-round2", known=facts(defaults=defaults))
        assert made.intent == plan(preset="gaussiantalker-round2").intent
        (note,) = (n for n in made.notes if "table" in n)
        assert note.startswith("pod: /workspace/mt/configs/config.py")
        assert json.loads(made.files["tracking.json"])["defaults"] is None
    assert not any("table" in n for n in plan().notes)


def test_a_preset_changes_the_pyramid_of_the_checkout_and_its_cost_is_reported() -> None:
    levels = [[0.5, 100], [0.25, 20], [0.5, 300]]
    there = encoded(CONFIG.replace("[[1.0, 160], [0.25, 40], [0.5, 40], [1.0, 70]]", str(levels)))
    made = plan(preset="gaussiantalker-round2", known=facts(defaults=there))
    assert settings_of(made)["pyr_levels"] == [[0.5, 150], [0.25, 30], [0.5, 450]]
    dense = (0.0625 * 31 + 0.25 * 451) * 768**2 / ((0.0625 * 21 + 0.25 * 301) * 512**2)
    (note,) = (n for n in made.notes if n.startswith("cost of a tracked frame"))
    assert f"{dense:.1f} times the dense work of the defaults" in note and "151 landmark iterations" in note
    alone = plan("pyr_levels=[[1.0, 160]]")
    assert any("no dense work: one level" in n for n in alone.notes)


def test_a_job_that_moves_keeps_its_settings_whatever_the_new_hosts_defaults() -> None:
    first = plan("w_exp=0.1", known=facts(defaults=encoded(FORK)))
    spec = first.spec("demo-k3x7a2bq", "ledger")
    request = TRACKING.repeat(spec, first.files, HOST, DEMO)

    def repeated(defaults: str) -> JobPlan:
        return TRACKING.plan(request, TrackingFacts(facts(defaults=encoded(defaults)), LocalRuns()))

    other = FORK.replace("5000.0", "9000.0")
    moved = repeated(other)
    assert moved.intent["settings"] == first.intent["settings"]
    assert settings_of(moved)["w_lmks"] == 5000.0
    assert repeated(FORK).files == first.files
    with pytest.raises(UsageError, match="'gpu' is not a setting"):
        repeated(CONFIG)


def test_settings_of_a_fork_are_named_and_left_out() -> None:
    fork = base64.b64encode(b"sampling: [[0.5, 200]]\nfps: 30\n").decode()
    made = plan(known=facts(settings=fork))
    assert settings_of(made) == {"fps": 30}
    assert any("sampling" in note for note in made.notes)
    broken = plan(known=facts(settings=base64.b64encode(b"- [").decode()))
    assert settings_of(broken) == {} and any("defaults" in note for note in broken.notes)


def test_the_spec_is_whole_and_equal_wishes_have_one_intent() -> None:
    made = plan(preset="gaussiantalker-round2")
    spec = made.spec("demo-k3x7a2bq", "ledger")
    assert JobSpec.from_bytes(spec.as_bytes) == spec
    assert spec.gpus == 1 and spec.progress is not None and spec.progress.total == 838
    again = plan("image_size=768", preset="gaussiantalker-round2").spec("other-aaaaaaaa", "ledger")
    assert again.intent_key == spec.intent_key and again.sha256 != spec.sha256
    assert plan("bbox_scale=3", preset="gaussiantalker-round2").spec("a", "b").intent_key != spec.intent_key
    # A default that is spelt out is the same wish.
    assert plan("fps=25").intent == plan().intent


def test_the_steps_run_where_they_must_with_what_the_tracker_needs() -> None:
    begin, track, finish = plan().steps
    assert track.argv == ("/opt/tracker/bin/python", "tracker.py", "--cfg", "{work}/configs/actors/demo.yml")
    assert track.cwd == "/workspace/mt"
    assert track.env["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"
    assert begin.argv[0] == finish.argv[0] == "/opt/conda/bin/python"
    assert (begin.state, track.state, finish.state) == ("running", "running", "transforming")
    # Without numpy in the host's Python the tracker's own has it.
    assert plan(known=facts(numpy=False)).steps[2].argv[0] == "/opt/tracker/bin/python"


def test_no_part_of_the_attempts_path_holds_what_the_tracker_replaces() -> None:
    odd = Actor(name="my_images", input="input/my_images", output="output/my_images")
    made = plan(actor=odd)
    assert made.prepare.links == (
        ("input/actor/source", "/workspace/mt/input/my_images/source"),
        ("input/actor/identity.npy", "/workspace/mt/input/my_images/identity.npy"),
    )
    spaced = Actor(name="a b", input="input/ab", output="output/ab")
    assert plan(actor=spaced).prepare.folders[0] == "input/actor"
    for workdir in ("/data/sources/w", "/w/my images", "/w/jpg", "/w/[a]", "/w/$x"):
        with pytest.raises(UsageError, match="cannot work below") as caught:
            plan(host=HOST.model_copy(update={"workdir": Path(workdir)}))
        assert "workdir" in caught.value.hint


def test_a_video_alone_is_linked_and_the_number_of_frames_is_left_open() -> None:
    made = plan(known=facts(images=0))
    assert made.prepare.links[0] == ("input/demo/video.mp4", "/workspace/mt/input/demo/video.mp4")
    assert made.progress is not None and made.progress.total is None
    assert json.loads(made.files["tracking.json"])["expected"] is None
    assert any("video.mp4" in note for note in made.notes)


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"script": False}, NotFoundError, r"tracker\.py"),
        ({"identity": False}, NotFoundError, r"identity\.npy"),
        ({"images": 0, "video": False}, NotFoundError, r"neither images"),
        ({"images": 0, "video": False, "folder": False}, NotFoundError, r"input folder is missing"),
        ({"images": 1}, UsageError, r"leave none of 1"),
        ({"images": 2}, UsageError, r"key frame 1 does not exist"),
    ],
)
def test_what_cannot_run_is_refused_before_a_gpu_is_waited_for(
    changed: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        plan(known=facts(**changed))


def test_a_host_without_a_tracker_and_a_job_without_an_actor_are_refused() -> None:
    with pytest.raises(UsageError, match="no tracker"):
        plan(host=HOST.model_copy(update={"tracker": None}))
    with pytest.raises(UsageError, match="one actor"):
        plan(actor=None)
    with pytest.raises(UsageError, match="not square"):
        plan("image_size=[540, 960]")
    with pytest.raises(UsageError, match="no recipe"):
        find_recipe("cook")


def test_the_notes_forecast_the_gain_for_this_actor(make_plan: MakePlan) -> None:
    # The real box of the generated actor, and the size in its first PNG.
    notes = " ".join(make_plan(preset="gaussiantalker-round2").notes)
    assert "for this actor" in notes and "cuts that crop at the top" in notes
    assert "for this actor" not in " ".join(make_plan(preset="full-face").notes)


def test_the_gain_is_forecast_from_the_run_that_the_box_is_of(make_plan: MakePlan) -> None:
    # The last run was a job of ours with bbox_scale 3.5; the box on the host is still the first run's.
    last = LastJob("demo-k3x7a2bq", {"bbox_scale": 3.5})
    (note,) = (
        n for n in make_plan("bbox_scale=4", "image_size=512", last_job=last).notes if "for this actor" in n
    )
    assert "(bbox_scale 2.5, 512)" in note and "(4, 512)" in note
    assert "37 % fewer" in note or "38 % fewer" in note


def test_the_survey_of_the_host_counts_its_images(checkout: Path, make_plan: MakePlan) -> None:
    made = make_plan()
    assert made.progress is not None and made.progress.total == 12  # 13 images, the first left out
    nobody = Actor(name="nobody", input="input/nobody", output="output/nobody")
    with pytest.raises(NotFoundError, match="input folder is missing"):
        make_plan(actor=nobody)


@pytest.mark.parametrize(
    "answer",
    [b"", b"Welcome!\n{}", b"[]", b'{"script": 1}', json.dumps({"script": True, "images": -1}).encode()],
)
def test_an_answer_that_is_not_ours_is_not_believed(answer: bytes) -> None:
    @dataclasses.dataclass
    class Says:
        host: str = "pod"

        def run(self, argv: list[str], **_: Any) -> Result:
            return Result("pod", tuple(argv), 0, answer, b"", 0.0)

    request = JobRequest(HOST, TRACKING.parse_options(TypedOptions()), DEMO)
    with pytest.raises(HostError, match="malformed answer while reading the tracker's folders"):
        TRACKING.look(Says(), request, nothing_local(HOST))  # type: ignore[arg-type]


@pytest.mark.parametrize("box", ["", "AAAA", base64.b64encode(b"PK\3\4" + b"x" * 100).decode()])
def test_a_box_that_cannot_be_read_costs_only_a_note(box: str) -> None:
    assert not any(
        "for this actor" in n for n in plan(preset="gaussiantalker-round2", known=facts(box=box)).notes
    )
