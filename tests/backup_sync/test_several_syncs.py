"""A sync of several actors and hosts: one after the other, and none stops the others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from being_remote.cli import main
from being_remote.errors import UsageError
from being_remote.inventory import Inventory
from being_remote.workflows.sync import sync_each


@pytest.fixture
def two(tmp_path: Path, actor: Path, make_inventory: Callable[..., Inventory]) -> Inventory:
    """The host `a` holds the actor `demo`, `b` the same as `twin`; none holds `none`. `gone` is no host."""
    hosts = {}
    for name in ("a", "b"):
        tracker = tmp_path / name / "tracker"
        shutil.copytree(actor, tracker)
        hosts[name] = {"kind": "local", "workdir": str(tmp_path / name), "tracker": {"root": str(tracker)}}
    for named in sorted((tmp_path / "b").rglob("demo*")):
        named.rename(named.with_name(named.name.replace("demo", "twin")))
    gone = {"address": "127.0.0.1", "port": 1, "workdir": "/w", "tracker": {"root": "/t"}}
    entry = {"source_size": [1920, 1080]}
    return make_inventory({**hosts, "gone": gone}, {"demo": entry, "twin": entry, "none": entry})


@pytest.mark.slow
def test_each_actor_comes_from_the_host_that_holds_it(two: Inventory) -> None:
    report = sync_each(two, ["demo", "twin"], ["a", "b"])
    assert [(one.actor, one.host, one.snapshot) for one in report.syncs] == [
        ("demo", "a", 0),
        ("twin", "b", 0),
    ]
    assert [(f.actor, f.host, f.error_class) for f in report.failed] == [
        ("demo", "b", "NotFoundError"),
        ("twin", "a", "NotFoundError"),
    ]
    assert report.exit_code == 0
    assert sync_each(two, ["demo", "none"], ["a", "b"]).exit_code == 3


@pytest.mark.slow
def test_a_host_that_does_not_answer_stops_no_other_sync_and_ends_with_4(two: Inventory) -> None:
    report = sync_each(two, ["demo"], ["gone", "a"])
    assert [one.host for one in report.syncs] == ["a"] and (two.backups / "demo/bbox.pt").exists()
    assert [(f.host, f.exit_code) for f in report.failed] == [("gone", 4)]
    assert report.exit_code == 4


def test_a_name_that_is_wrong_is_refused_before_anything_is_downloaded(two: Inventory) -> None:
    with pytest.raises(UsageError, match="nobody"):
        sync_each(two, ["demo"], ["a", "nobody"])
    assert not two.backups.exists()


def run(two: Inventory, *words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["sync", "--inventory", str(two.path), *words])
    return int(ended.value.code or 0)


@pytest.mark.slow
def test_several_syncs_are_one_document_and_one_named_twice_is_one(
    two: Inventory, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--actor", "demo", "--json")
    assert run(two, *words, "--host", "a", "--host", "gone") == 4
    document = json.loads(capsys.readouterr().out)
    assert [one["host"] for one in document["syncs"]] == ["a"]
    assert [(f["host"], f["error_class"]) for f in document["failed"]] == [("gone", "Unreachable")]
    assert run(two, *words, "--host", "a", "--host", "a") == 0
    assert json.loads(capsys.readouterr().out)["host"] == "a"


@pytest.mark.slow
def test_people_read_what_came_and_what_failed(two: Inventory, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(two, "--actor", "demo", "--host", "a", "--host", "gone") == 4
    said = capsys.readouterr().out
    assert f"backup: {two.backups / 'demo'}, snapshot 0" in said
    assert "failed: demo from gone: " in said and "\n  next: " in said


@pytest.mark.parametrize("option", [["--watch"], ["--list"], ["--prune", "keep=1"], ["--restore", "0"]])
def test_what_works_on_one_backup_takes_no_several(
    two: Inventory, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(two, *option, "--actor", "demo", "--actor", "twin") == 2
    assert "2 are named: demo, twin" in capsys.readouterr().err
