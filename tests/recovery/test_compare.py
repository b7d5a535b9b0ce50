"""`compare`: what differs between two runs or settings, what it means, and the picture of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from console_text import console_text
from face_runs import K_CROP, REST, flashavatar, make_run, usual

from being_remote.cli.json_values import to_json
from being_remote.cli.run_tables import show_compare
from being_remote.demo.checkout import CONFIG
from being_remote.errors import InconsistentData, NotFoundError, UnsafeFile, UsageError
from being_remote.inventory import Inventory
from being_remote.jobs.dispatch import pack_files
from being_remote.jobs.ledger import Intent, ledger_of
from being_remote.jobs.result_download import runs_of
from being_remote.recovery import run_comparison
from being_remote.recovery.run_comparison import CompareReport
from being_remote.report.curves import Panel
from being_remote.report.plots import plot_panels
from being_remote.tracker.checkout_defaults import read_defaults
from being_remote.workflows.compare import compare

ROUND_2 = "bbox_scale: 3.5\nimage_size: [768, 768]\noptimize_shape: true\noptimize_jaw: true\n"


def printed(report: CompareReport, width: int = 200) -> str:
    return console_text(show_compare, report, width)


def row(report: CompareReport, name: str):  # type: ignore[no-untyped-def]
    return next(r for r in report.parameters if r.name == name)


def test_the_flashavatar_run_against_round_2_is_described_as_the_guide_asks(tmp_path: Path) -> None:
    K = np.array([[2506.0, 0, 380], [0, 2506, 390], [0, 0, 1]])
    a = make_run(tmp_path, "flash", flashavatar)
    b = make_run(tmp_path, "round2", usual, settings=ROUND_2, image_size_wh=(768, 768), K=K)
    report = compare(None, str(a), str(b))
    assert report.exit_code == 0
    assert report.config_changes is not None
    assert [(c.key, c.before, c.after) for c in report.config_changes] == [
        ("bbox_scale", 2.5, 3.5),
        ("image_size", [512, 512], [768, 768]),
        ("optimize_shape", False, True),
        ("optimize_jaw", False, True),
    ]
    assert all(c.meaning for c in report.config_changes)
    (frozen,) = report.a.remarks
    assert frozen.startswith("frozen jaw") and report.b.remarks == ()
    said = " ".join(report.differences)
    assert "jaw: moves in B only; in A it stands still" in said
    assert "other pixels" in said and "never mix" in said
    assert "same K" not in said and "focal length differs" not in said  # of other pixels: not comparable
    assert (row(report, "jaw, open").a.most, round(row(report, "jaw, open").b.most, 3)) == (0.0, 8.0)
    text = printed(report)
    assert "frozen jaw" in text and "[768, 768]" in text and "768x768" in text


def test_a_mouth_only_run_is_called_so(tmp_path: Path) -> None:
    quiet = {"eyes": [[*REST, *REST]], "eyelids": [[0, 0]]}
    a = make_run(tmp_path, "mouth", lambda i: {**usual(i), **quiet}, settings="optimize_jaw: true\n")
    b = make_run(tmp_path, "full", settings="optimize_jaw: true\n")
    report = compare(None, str(a), str(b))
    assert [r.split(":")[0] for r in report.a.remarks] == ["mouth-only"]
    assert sum("moves in B only" in line for line in report.differences) == 2


def test_the_same_run_twice_differs_in_nothing(tmp_path: Path) -> None:
    a = make_run(tmp_path, "roman", settings="optimize_jaw: true\n")
    report = compare(None, str(a), str(a))
    assert report.config_changes == () and report.differences == ("cameras: both have the same K",)
    assert all(r.a == r.b for r in report.parameters)


def test_on_a_narrow_terminal_a_and_b_stand_below_each_other_and_no_number_is_broken(tmp_path: Path) -> None:
    a, b = make_run(tmp_path, "a"), make_run(tmp_path, "b")
    report = compare(None, str(a), str(b))
    wide, narrow = (printed(report, width).split("settings:")[1] for width in (120, 80))
    assert "A jitter" in wide and max(map(len, narrow.splitlines())) <= 80
    assert {w for w in wide.split() if "." in w} == {w for w in narrow.split() if "." in w}
    (distance,) = (line.split() for line in narrow.splitlines() if line.startswith("distance, t_z"))
    assert distance[2:] == ["m", "A", "1.0000", "1.0025", "1.0050", "0.0010", "0.0000"]


def test_a_side_without_frames_gets_no_rows_on_a_narrow_terminal(tmp_path: Path) -> None:
    (tmp_path / "b.yml").write_text("begin_frames: 1\n")
    report = compare(None, str(make_run(tmp_path, "a")), str(tmp_path / "b.yml"))
    assert report.parameters and " B " in printed(report, 120)
    rows = [line.split() for line in printed(report, 80).split("over all frames")[1].splitlines()]
    assert not any("B" in row[:3] or row.count("-") > 1 for row in rows)


def test_frames_that_only_one_has_are_named_by_their_own_ids(tmp_path: Path) -> None:
    a = make_run(tmp_path, "a", ids=[0, 1, 2, 3, 7])
    b = make_run(tmp_path, "b", ids=[0, 2, 3, 4])
    report = compare(None, str(a), str(b))
    said = " ".join(report.differences)
    assert "2 are in A only: 00001, 00007" in said and "1 are in B only: 00004" in said
    assert (report.a.missing, report.b.missing) == (3, 1)


def test_other_begin_frames_shift_the_ids_before_they_are_compared(tmp_path: Path) -> None:
    # B begins one image later: its frame 0 is A's frame 1. Unshifted, frame 5 would be "in A only".
    a = make_run(tmp_path, "a", ids=[0, 1, 2, 3, 4, 5], settings="begin_frames: 1\n")
    b = make_run(tmp_path, "b", ids=[0, 1, 2, 3, 4], settings="begin_frames: 2\n")
    said = " ".join(compare(None, str(a), str(b)).differences)
    assert "frame i of A is frame i-1 of B" in said
    assert "1 are in A only: 00000" in said and "in B only" not in said


def test_noise_is_reported_with_its_factor(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noisy = lambda i: {**usual(i), "eyelids": [[0.1 + 0.01 * i + rng.normal(0, 0.05), 0.1]]}  # noqa: E731 - short
    a = make_run(tmp_path, "a", noisy, frames=30)
    b = make_run(
        tmp_path, "b", lambda i: {**usual(i), "eyelids": [[0.1 + 0.01 * i + 0.002 * (i % 2), 0.1]]}, frames=30
    )
    said = [line for line in compare(None, str(a), str(b)).differences if line.startswith("left eyelid")]
    assert len(said) == 1 and "B is smoother" in said[0]


def test_a_focal_that_differs_at_one_size_is_reported_in_percent(tmp_path: Path) -> None:
    a = make_run(tmp_path, "a")
    K = K_CROP.copy()
    K[0, 0] = K[1, 1] = 2339 * 1.1
    b = make_run(tmp_path, "b", K=K)
    assert any("+10.0 %" in line for line in compare(None, str(a), str(b)).differences)


def test_two_settings_files_are_compared_without_any_run(tmp_path: Path) -> None:
    a, b = tmp_path / "a.yml", tmp_path / "b.YAML"
    a.write_text("actor: ./input/x\nbegin_frames: 1\n")
    b.write_text("actor: ./input/y\npyr_levels: [[1, 500]]\nnew_key_of_a_fork: 3\n")
    report = compare(None, str(a), str(b))
    assert report.config_changes is not None
    assert [(c.key, c.before, c.after) for c in report.config_changes] == [
        ("begin_frames", 1, 0),
        ("pyr_levels", [[1.0, 160], [0.25, 40], [0.5, 40], [1.0, 70]], [[1.0, 500]]),
        ("new_key_of_a_fork", None, 3),
    ]
    assert report.parameters == () and report.a.frames is None
    assert any("B's cost of a tracked frame: no dense work" in line for line in report.differences)
    assert all(any("by a table" in note for note in side.notes) for side in (report.a, report.b))
    assert "begin_frames" in printed(report)


def test_settings_in_a_checkout_are_completed_with_its_own_defaults(tmp_path: Path) -> None:
    older = CONFIG.replace("w_lmks = 7000", "w_lmks = 5000").replace("cfg.w_lmks_68 = 1000\n", "")
    for name, config in (("a", older), ("b", CONFIG)):
        actors = tmp_path / name / "configs" / "actors"
        actors.mkdir(parents=True)
        (actors / "roman.yml").write_text("begin_frames: 1\nw_lmks: 7000\n" if name == "a" else "fps: 25\n")
        (actors.parent / "config.py").write_text(config)
    a, b = (str(tmp_path / name / "configs" / "actors" / "roman.yml") for name in ("a", "b"))
    report = compare(None, a, b)
    assert report.config_changes is not None
    changes = {c.key: (c.before, c.after) for c in report.config_changes}
    assert changes == {"begin_frames": (1, 0), "w_lmks_68": (None, 1000)}
    assert report.a.notes == report.b.notes == ()
    (tmp_path / "a" / "configs" / "config.py").unlink()
    report = compare(None, a, b)
    assert [c.key for c in report.config_changes or ()] == ["begin_frames"]
    assert any("those of B are taken" in note for note in report.a.notes)


def test_changed_weights_of_landmarks_are_reported_to_change_the_camera(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("w_lmks_68: 1000\n")
    (tmp_path / "b.yml").write_text("w_lmks_68: 2000\n")
    report = compare(None, str(tmp_path / "a.yml"), str(tmp_path / "b.yml"))
    assert [(c.key, c.before, c.after) for c in report.config_changes or ()] == [("w_lmks_68", 1000, 2000)]
    assert any("fitted on other frames or by other weights" in line for line in report.differences)


def test_a_run_against_a_settings_file_compares_settings_and_shows_the_run(tmp_path: Path) -> None:
    run = make_run(tmp_path, "a")
    other = tmp_path / "x.yml"
    other.write_text(ROUND_2)
    report = compare(None, str(run), str(other))
    assert report.config_changes and len(report.config_changes) == 4
    assert row(report, "jaw, open").b is None and row(report, "jaw, open").a is not None


def test_a_run_without_settings_is_compared_by_what_its_frames_say(tmp_path: Path) -> None:
    a = make_run(tmp_path, "a", flashavatar, settings=None)
    b = make_run(tmp_path, "b")
    report = compare(None, str(a), str(b))
    assert report.config_changes is None
    assert any("no settings file" in note for note in report.a.notes)
    assert "settings: not compared" in printed(report)


def test_settings_that_the_frames_contradict_are_reported_as_another_runs(tmp_path: Path) -> None:
    a = make_run(tmp_path, "a", flashavatar, settings="optimize_jaw: true\nimage_size: [768, 768]\n")
    remarks = " ".join(compare(None, str(a), str(a)).a.remarks)
    assert "optimize_jaw true, and the jaw stands still" in remarks and "the frames are 512x512" in remarks


def test_a_run_may_be_an_actor_or_a_checkpoint_folder(
    tmp_path: Path, make_inventory: Callable[..., Inventory]
) -> None:
    inventory = make_inventory({"pod": {"address": "127.0.0.1", "port": 1, "workdir": "/w"}}, {"demo": {}})
    run = make_run(tmp_path, "a")
    home = tmp_path / "backups" / "demo"
    home.mkdir(parents=True)
    (run / "checkpoint").rename(home / "checkpoint")
    report = compare(inventory, "demo", str(home / "checkpoint"))
    assert report.a.path == report.b.path == str(home / "checkpoint")


def test_a_job_is_a_run_with_the_settings_that_it_was_given(
    tmp_path: Path, make_inventory: Callable[..., Inventory]
) -> None:
    inventory = make_inventory({"pod": {"address": "127.0.0.1", "port": 1, "workdir": "/w"}}, {"demo": {}})
    config = CONFIG.replace("raster_update = 8", "raster_update = 9").encode()
    files = {"tracking.json": json.dumps({"defaults": read_defaults(config, "c").values}).encode()}
    made = ledger_of(inventory).intend(
        Intent(
            "20260101-000000-abcd",
            "pod",
            "demo",
            "metrical-tracker",
            b"{}",
            "0" * 64,
            pack_files(files),
            "key",
        )
    )
    # A later job of another kind has no run: `last` is the last tracking.
    ledger_of(inventory).intend(
        Intent("20260101-000001-abcd", "pod", None, "command", b"{}", "0" * 64, b"{}", "key 2")
    )
    make_run(runs_of(inventory, "demo") / made.job.job, "demo", settings=ROUND_2)
    a = make_run(tmp_path, "a", flashavatar)
    report = compare(inventory, str(a), "last")
    assert report.b.frames == 6 and report.config_changes is not None
    assert [c.key for c in report.config_changes][:2] == ["bbox_scale", "image_size"]
    # The defaults are those of the checkout that the job was planned for; the other run has none of its own.
    assert "raster_update" not in [c.key for c in report.config_changes]
    (tmp_path / "configs/config.py").write_text(CONFIG)
    report = compare(inventory, str(a), "last")
    changes = {c.key: (c.before, c.after) for c in report.config_changes or ()}
    assert changes["raster_update"] == (8, 9)


@pytest.mark.slow
def test_curves_are_drawn_over_the_frames_of_b(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Sequence[Panel]] = []

    def plot(title: str, panels: Sequence[Panel], *, columns: int) -> bytes:
        seen.append(panels)
        return plot_panels(title, panels, columns=columns)

    monkeypatch.setattr(run_comparison, "plot_panels", plot)
    a = make_run(tmp_path, "a", settings="begin_frames: 1\n")
    b = make_run(tmp_path, "b", settings="begin_frames: 3\n")
    compare(None, str(a), str(b), plot=tmp_path / "x.png")
    first, second = seen[0][0].curves
    # A's frame 0 is the source's second picture, B's the fourth: unshifted they would lie over each other.
    assert first.frame_ids.tolist() == [-2, -1, 0, 1, 2, 3] and second.frame_ids.tolist() == [
        0,
        1,
        2,
        3,
        4,
        5,
    ]
    assert (first.name, second.name) == ("A", "B")


def test_names_that_are_nothing_are_3_and_files_that_are_no_settings_2(
    tmp_path: Path, make_inventory: Callable[..., Inventory]
) -> None:
    run = make_run(tmp_path, "a")
    inventory = make_inventory({"pod": {"address": "127.0.0.1", "port": 1, "workdir": "/w"}})
    for known in (None, inventory):
        with pytest.raises(NotFoundError) as caught:
            compare(known, str(run), "nothing")
        assert "--run" not in str(caught.value) and ".yml" in caught.value.hint
    with pytest.raises(NotFoundError):
        compare(None, str(run), str(tmp_path / "not-there.yml"))
    with pytest.raises(UsageError, match="neither a run's folder nor a settings file"):
        compare(None, str(run), str(run / "checkpoint" / "00000.frame"))
    with pytest.raises(NotFoundError, match=r"holds no \.frame file"):
        compare(None, str(run), str(tmp_path / "input"))


def test_two_runs_in_one_folder_are_refused_with_the_frame_where_it_changes(tmp_path: Path) -> None:
    a = make_run(tmp_path, "a", ids=[0, 1, 2])
    b = make_run(tmp_path, "b", ids=[3, 4], K=K_CROP * [[1.01, 1, 1], [1, 1.01, 1], [1, 1, 1]])
    for frame in (b / "checkpoint").iterdir():
        frame.rename(a / "checkpoint" / frame.name)
    with pytest.raises(InconsistentData, match=r"K changes at 00003\.frame"):
        compare(None, str(a), str(a))


def test_broken_settings_of_a_run_cost_a_note_and_named_directly_they_are_6(tmp_path: Path) -> None:
    a = make_run(tmp_path, "a", settings="begin_frames: [\n")
    report = compare(None, str(a), str(a))
    assert report.config_changes is None and any("not compared" in note for note in report.a.notes)
    with pytest.raises(InconsistentData):
        compare(None, str(tmp_path / "configs" / "actors" / "a.yml"), str(a))


def test_settings_that_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    laughs = "a: &a [x, x, x]\n" + "".join(f"b{i}: &b{i} [*a, *a, *a]\n" for i in range(2))
    bomb = tmp_path / "bomb.yml"
    bomb.write_text(laughs + "pyr_levels: [*b0, *b1]\n" + "".join(f"k{i}: 1\n" for i in range(300)))
    report = compare(None, str(bomb), str(bomb))
    assert report.config_changes == () and len(report.a.notes) < 20
    bomb.write_text("k: 1\n" * 20_000)
    with pytest.raises(UnsafeFile, match="100000 bytes"):
        compare(None, str(bomb), str(bomb))


@pytest.mark.slow
def test_the_picture_is_written_whole_and_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    a = make_run(tmp_path, "a", flashavatar)
    b = make_run(tmp_path, "b")
    path = tmp_path / "made" / "curves.png"
    dry = compare(None, str(a), str(b), plot=path, dry_run=True)
    assert dry.plot == str(path) and not path.parent.exists()
    assert "would write" in printed(dry)
    compare(None, str(a), str(b), plot=path)
    picture = cv2.imread(str(path))
    assert picture is not None and picture.shape[1] >= 800 and (picture < 200).any()
    assert [p.name for p in path.parent.iterdir()] == ["curves.png"]


def test_a_picture_needs_a_pictures_name_and_a_run(tmp_path: Path) -> None:
    a = make_run(tmp_path, "a")
    frame = a / "checkpoint" / "00000.frame"
    before = frame.read_bytes()
    with pytest.raises(UsageError, match="does not end in"):
        compare(None, str(a), str(a), plot=frame)
    assert frame.read_bytes() == before
    settings = tmp_path / "a.yml"
    settings.write_text("fps: 25\n")
    with pytest.raises(UsageError, match="no parameters to draw"):
        compare(None, str(settings), str(settings), plot=tmp_path / "x.png")


@pytest.mark.slow
def test_one_frame_against_many_is_drawn_and_described(tmp_path: Path) -> None:
    a, b = make_run(tmp_path, "a", frames=1), make_run(tmp_path, "b")
    report = compare(None, str(a), str(b), plot=tmp_path / "x.png")
    json.dumps(to_json(report), allow_nan=False)
    assert row(report, "jaw, open").a.jitter is None and "-" in printed(report)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    a = make_run(tmp_path / "x\x1b]0;owned\x07\n[bold]", "a", settings='optimize_jaw: true\n"k\\e[31m": 1\n')
    text = printed(compare(None, str(a), str(a), plot=tmp_path / "x.png"))
    assert "\x1b" not in text and "\x07" not in text and "[bold]" in text
