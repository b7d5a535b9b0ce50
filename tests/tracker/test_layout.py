"""Where the tracker keeps things, there and here."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from being_remote import backup_paths
from being_remote.backup_paths import BackupPaths
from being_remote.tracker import layout
from being_remote.tracker.layout import (
    ACTOR_CONFIGS,
    KINDS,
    ON_REQUEST,
    PLACES,
    derived_folder,
    places_of,
)

ROOT, INPUT, OUTPUT = (
    PurePosixPath("/w/metrical-tracker"),
    PurePosixPath("input/roman"),
    PurePosixPath("output/r2"),
)


def homes(there: str) -> set[str]:
    """Where a file of the host comes to lie at home: by every place that takes it."""
    found = set()
    for place in PLACES:
        folder = place.folder_on(ROOT, INPUT, OUTPUT)
        if PurePosixPath(there).is_relative_to(folder):
            name = str(PurePosixPath(there).relative_to(folder))
            if place.takes(name, OUTPUT):
                found.add(place.home_path(name))
    return found


def test_each_file_of_a_run_has_one_place_in_the_backup() -> None:
    expected = {
        "/w/metrical-tracker/output/r2/checkpoint/00000.frame": "checkpoint/00000.frame",
        "/w/metrical-tracker/input/roman/bbox.pt": "bbox.pt",
        "/w/metrical-tracker/input/roman/identity.npy": "actor/identity.npy",
        "/w/metrical-tracker/input/roman/kpt/00001.npy": "actor/kpt/00001.npy",
        "/w/metrical-tracker/input/roman/kpt_dense/00001.npy": "actor/kpt_dense/00001.npy",
        "/w/metrical-tracker/configs/actors/r2.yml": "actor/config.yml",
        "/w/metrical-tracker/output/r2/config.yml": "run/config.yml",
        "/w/metrical-tracker/output/r2/input/00000.png": "run/input/00000.png",
        "/w/metrical-tracker/output/r2/input/00000.jpg": "run/input/00000.jpg",
        "/w/metrical-tracker/output/r2/mesh/00000.ply": "run/mesh/00000.ply",
        "/w/metrical-tracker/output/r2/canonical.obj": "run/canonical.obj",
        "/w/metrical-tracker/output/r2/train.log": "run/logs/train.log",
        "/w/metrical-tracker/output/r2/logs/a/events.out": "run/logs/a/events.out",
        "/w/metrical-tracker/input/roman/video.mp4": "actor/video.mp4",
        "/w/metrical-tracker/input/roman/source/00001.png": "actor/source/00001.png",
        "/w/metrical-tracker/input/roman/source/00001.jpg": "actor/source/00001.jpg",
    }
    assert {there: homes(there) for there in expected} == {there: {home} for there, home in expected.items()}


def test_what_is_not_the_actor_s_is_not_taken() -> None:
    for there in (
        "configs/actors/other.yml",
        "output/r2/checkpoint/old/00000.frame",
        "input/roman/another.mp4",
    ):
        assert homes(f"/w/metrical-tracker/{there}") == set()


def test_the_box_lies_in_the_input_folder_not_in_the_output() -> None:
    (box,) = (p for p in PLACES if p.kind == "bbox")
    assert box.base == "input"


def test_every_kind_has_a_place_and_every_place_a_kind() -> None:
    assert {p.kind for p in PLACES} == set(KINDS)


def test_sources_are_taken_only_on_request() -> None:
    assert {p.kind for p in places_of()} == set(KINDS) - set(ON_REQUEST)
    assert {p.kind for p in places_of(["sources", "bbox"])} == {"sources", "bbox"}


def test_a_run_whose_name_is_a_pattern_takes_only_its_own_config() -> None:
    (config,) = (p for p in PLACES if p.base == "root" and p.folder == ACTOR_CONFIGS)
    odd = PurePosixPath("output/[ab]*{run}")
    assert config.takes("[ab]*{run}.yml", odd)
    assert not config.takes("axx.yml", odd)


def test_names_that_are_not_utf_8_keep_their_bytes() -> None:
    name = b"\xff\n.frame".decode("utf-8", "surrogateescape")
    assert PLACES[0].takes(name, OUTPUT)
    assert PLACES[0].home_path(name).encode("utf-8", "surrogateescape") == b"checkpoint/\xff\n.frame"


def test_the_tracker_replaces_every_source_in_the_path_not_only_the_last() -> None:
    assert derived_folder(PurePosixPath("input/source_a"), "images") == PurePosixPath("input/images_a/images")
    assert derived_folder(PurePosixPath("input/my_png"), "kpt") == PurePosixPath("input/my_npy/kpt")
    assert derived_folder(PurePosixPath("input/my_png"), "images") == PurePosixPath("input/my_png/images")


def test_backup_paths_and_places_agree() -> None:
    home = BackupPaths(Path("/b/roman"))
    by_hand = {
        "checkpoints": home.checkpoint,
        "crops": home.crops,
        "meshes": home.meshes,
        "logs": home.logs,
    }
    for kind, folder in by_hand.items():
        assert folder in {Path("/b/roman", p.home) for p in PLACES if p.kind == kind}
    assert home.bbox == Path("/b/roman/bbox.pt")
    assert home.identity == Path("/b/roman/actor/identity.npy")
    assert home.config == Path("/b/roman/actor/config.yml")
    assert {home.kpt, home.kpt_dense} == {Path("/b/roman", p.home) for p in PLACES if p.kind == "kpt"}


def test_a_backup_names_checkpoints_and_boxes_as_the_tracker_does() -> None:
    # backup_paths knows no tracker, so it spells these names itself
    for name in ("BBOX", "CHECKPOINT", "FRAME_SUFFIX"):
        assert getattr(backup_paths, name) == getattr(layout, name)
