"""What a pod that lies about names can reach: nothing but its own files, in the parts that were asked for."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile_pod import HostilePod, start_hostile_pod
from local_actor import FRAMES
from local_jobs import retrack
from remote_homes import Homes, homes_on

from being_remote.errors import DataError, UnrequestedFile
from being_remote.inventory import Inventory
from being_remote.workflows.pull import pull
from being_remote.workflows.safe_to_stop import safe_to_stop
from being_remote.workflows.sync import sync, watch

MakeInventory = Callable[..., Inventory]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostilePod]:
    with start_hostile_pod(tmp_path_factory.mktemp("hostile")) as running:
        yield running


@pytest.fixture
def homes(hostile: HostilePod, actor: Path, make_inventory: MakeInventory) -> Iterator[Homes]:
    yield homes_on(hostile, actor, make_inventory)
    hostile.be_honest()
    shutil.rmtree(hostile.root)
    (hostile.root / "Being").mkdir(parents=True)


TOOLS = (
    ".git/config",
    ".envrc",
    "a/.vscode/tasks.json",
    "inventory.yaml",
    "Makefile",
    ".DS_Store",
    "tasks.py",
    "mypy.ini",
    "a/CLAUDE.md",
)


def everything(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but the lock and what is only remembered."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.name != "lock"
    }


def offer_beside_the_box(request: Any, answer: Any, names: list[str]) -> None:
    """More names in the folder of bbox.pt, whose place here is the backup's top; all of them exist."""
    import os

    for number, folder in enumerate(request["folders"]):
        if folder.get("pattern") != "bbox.pt":
            continue
        rows = []
        for name in names:
            path = os.path.join(folder["path"], name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as f:
                f.write("EVIL " + name)
            at = os.stat(path)
            rows.append([name, at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino, None])
        answer.insert(0, {"folder": number, "files": rows})
        answer[-1]["digest"] = f"{5:064x}"


@pytest.mark.parametrize(
    "name",
    [
        ".history/manifests/7.json",
        f".history/objects/{0:064x}",
        "runs/other/cameras.json",
        "inventory.yaml",
        "checkpoint/00000.frame",
        "../../inventory.yaml",
        "BBOX.PT",
    ],
)
@pytest.mark.parametrize("first", [True, False], ids=["first sync", "later sync"])
def test_a_listing_that_names_what_was_not_asked_for_is_refused_whole_with_that_name(
    homes: Homes, hostile: HostilePod, tmp_path: Path, name: str, first: bool
) -> None:
    if not first:
        homes.sync()
    before = everything(tmp_path / "backups")
    (homes.checkpoint / "00000.frame").unlink()
    shutil.copy(homes.checkpoint / "00001.frame", homes.checkpoint / "00007.frame")
    hostile.lie("listing", offer_beside_the_box, names=[name])
    with pytest.raises(DataError, match=name.rpartition("/")[2]) as refused:
        homes.sync()
    assert refused.value.exit_code == 6
    assert everything(tmp_path / "backups") == before


def test_names_that_tools_run_or_read_are_refused_by_name_and_the_rest_is_local(
    homes: Homes, tmp_path: Path
) -> None:
    logs = homes.tracker / "output/demo/logs"
    for name in (*TOOLS, "events.out", "a/fine.txt"):
        (logs / name).parent.mkdir(parents=True, exist_ok=True)
        (logs / name).write_text("x")
    report = homes.sync()
    assert report.exit_code == 6
    assert {q.path for q in report.quarantined} == {f"run/logs/{name}" for name in TOOLS}
    there = {p.name for p in (tmp_path / "backups").rglob("*") if ".history" not in p.parts}
    assert {"events.out", "fine.txt", "00000.frame", "bbox.pt"} <= there
    assert not there & {
        "config",
        ".envrc",
        "tasks.json",
        "inventory.yaml",
        "Makefile",
        ".DS_Store",
        "tasks.py",
        "mypy.ini",
        "CLAUDE.md",
    }
    assert homes.sync(dry_run=True).quarantined == report.quarantined


def test_the_same_names_on_an_honest_pod_in_a_backup_there_are_refused_too(
    homes: Homes, hostile: HostilePod, tmp_path: Path, make_inventory: MakeInventory
) -> None:
    backup = hostile.root / "Being/kept/checkpoint"
    shutil.copytree(homes.checkpoint, backup)
    (backup / ".hidden.frame").write_bytes((backup / "00000.frame").read_bytes())
    shutil.rmtree(homes.checkpoint)
    actor = {"source_size": [1920, 1080], "host_backups": ["kept"]}
    report = sync(make_inventory({"pod": hostile}, {"demo": actor}))
    assert [q.path for q in report.quarantined] == ["checkpoint/.hidden.frame"]
    assert (tmp_path / "backups/demo/checkpoint/00000.frame").is_file()


def say_impossible(request: Any, answer: Any, values: dict[str, Any]) -> None:
    """One row of each checkpoint's folder gets a value that cannot be."""
    for line in answer[:-1]:
        for row in line["files"]:
            if row[0] in values:
                row[values[row[0]][0]] = values[row[0]][1]


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        (1, -1, "size"),
        (1, 1 << 60, "size"),
        (2, 1 << 63, "modification time"),
        (4, 1.5, "inode"),
        (3, None, "change"),
    ],
)
def test_an_impossible_value_leaves_that_file_out_by_name_and_the_rest_is_local(
    homes: Homes, hostile: HostilePod, column: int, value: Any, what: str
) -> None:
    hostile.lie("listing", say_impossible, values={"00001.frame": [column, value]})
    report = homes.sync()
    assert report.exit_code == 6
    (bad,) = report.quarantined
    assert bad.path == "checkpoint/00001.frame" and what in bad.reason
    assert "00001.frame" not in homes.frames() and len(homes.frames()) == FRAMES - 1
    assert (homes.root / "bbox.pt").is_file()


def name_an_impossible_file(request: Any, answer: Any, name: str) -> None:
    """A file that cannot be, in the first folder."""
    answer.insert(0, {"folder": 0, "files": [[name, -1, 1, 1, 1, None]]})


@pytest.mark.parametrize("name", ["../../inventory.yaml", "\ud800"])
def test_an_impossible_file_that_was_not_asked_for_refuses_the_whole_answer(
    homes: Homes, hostile: HostilePod, name: str
) -> None:
    hostile.lie("listing", name_an_impossible_file, name=name)
    with pytest.raises(UnrequestedFile):
        homes.sync()


def test_half_a_surrogate_pair_in_one_row_leaves_that_row_out_by_name(
    homes: Homes, hostile: HostilePod
) -> None:
    hostile.lie("listing", say_impossible, values={"00001.frame": [0, "\ud800.frame"]})
    report = homes.sync()
    assert report.exit_code == 6 and [q.reason for q in report.quarantined] == [
        "not downloaded: its name is impossible"
    ]
    assert "00001.frame" not in homes.frames() and len(homes.frames()) == FRAMES - 1


def answer_for_another(request: Any, answer: Any) -> None:
    """Hashes of files that nobody named."""
    for number, folder in enumerate(request["folders"]):
        if "names" in folder:
            answer.insert(0, {"folder": number, "files": [["other", 1, 0, 0, 0, None]]})


@pytest.mark.slow
def test_an_answer_with_hashes_of_files_not_named_is_refused(homes: Homes, hostile: HostilePod) -> None:
    homes.sync()
    before = everything(homes.root)
    shutil.copy(homes.checkpoint / "00001.frame", homes.checkpoint / "00000.frame")
    hostile.lie("listing", answer_for_another)
    with pytest.raises(UnrequestedFile, match="other"):
        homes.sync(verify=True)
    assert everything(homes.root) == before


@pytest.mark.slow
def test_whether_a_pod_that_names_what_was_not_asked_for_may_be_stopped_is_unknown(
    homes: Homes, hostile: HostilePod
) -> None:
    homes.sync()
    hostile.lie("listing", offer_beside_the_box, names=["evil"])
    report = safe_to_stop(homes.inventory)
    assert report.exit_code == 4 and any("evil" in reason.what for reason in report.reasons)


def offer_outside(request: Any, answer: Any, name: str) -> None:
    """One more name, in the last folder of a job's results."""
    answer.insert(0, {"folder": len(request["folders"]) - 2, "files": [[name, 1, 1, 1, 1, None]]})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["../../other/cameras.json", "/etc/passwd", "a//b"])
def test_a_pull_refuses_an_answer_that_names_what_lies_outside_the_job(
    hostile: HostilePod, make_inventory: MakeInventory, tmp_path: Path, name: str
) -> None:
    inventory = make_inventory({"pod": hostile})
    words = "sh -c 'echo x > ok'"
    job = retrack(inventory, recipe="command", command=words, gpus=0, follow_it=True).job
    hostile.lie("listing", offer_outside, name=name)
    try:
        with pytest.raises(UnrequestedFile):
            pull(inventory, job, all_files=True)
        assert [p for p in (tmp_path / "backups").rglob("*") if p.is_file() and p.suffix != ".lock"] == []
    finally:
        hostile.be_honest()
    assert pull(inventory, job, all_files=True).exit_code == 0


@pytest.mark.slow
def test_a_result_in_a_folder_that_is_called_as_our_record_keeps_no_other_away(
    hostile: HostilePod, make_inventory: MakeInventory
) -> None:
    inventory = make_inventory({"pod": hostile})
    words = "sh -c 'mkdir Pulled.json; echo x > Pulled.json/a; echo x > ok'"
    job = retrack(inventory, recipe="command", command=words, gpus=0, follow_it=True).job
    report = pull(inventory, job, all_files=True)
    assert report.exit_code == 6 and [q.path for q in report.quarantined] == ["Pulled.json/a"]
    assert (report.folder / "ok").read_text() == "x\n"


@pytest.mark.slow
def test_a_watch_ends_with_6_where_the_pod_names_what_was_not_asked_for(
    homes: Homes, hostile: HostilePod, tmp_path: Path
) -> None:
    homes.sync()
    before = everything(tmp_path / "backups")
    hostile.lie("listing", offer_beside_the_box, names=[".history/manifests/7.json"])
    with pytest.raises(UnrequestedFile) as refused:
        watch(homes.inventory)
    assert refused.value.exit_code == 6 and everything(tmp_path / "backups") == before


def send_other_bytes(request: Any, answer: Any) -> None:
    """Every log comes with other bytes than its file has, and their right hash."""
    for record in answer:
        if record.get("data", b"").startswith(b"log "):
            record["data"] = b"LOG " + record["data"][4:]


def test_a_stream_of_other_bytes_is_stored_as_what_it_is_and_nowhere_else(
    homes: Homes, hostile: HostilePod
) -> None:
    logs = homes.tracker / "output/demo/logs"
    logs.mkdir(exist_ok=True)
    for number in range(70):
        (logs / f"{number}.txt").write_text(f"log {number}")
    hostile.lie("send", send_other_bytes)
    report = homes.sync()
    assert "stream" in report.method.split(", ")  # rsync may fetch what was refused
    homes.check_history()
    live = {path: data for path, data in homes.live().items() if path.endswith(".txt")}
    assert set(live.values()) <= {f"{word} {n}".encode() for word in ("log", "LOG") for n in range(70)}
