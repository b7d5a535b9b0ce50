"""A backup in a power cut: nothing is renamed before it is synced, nothing named before it is safe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from disk_order import DiskOrder, recorded
from folder_sync import FolderHost
from killed_snapshots import act
from sync_scenes import another_run, by_hand, first, more

from being_remote.backup.history import History
from being_remote.backup.incoming import ExpectedFile, note_expected
from being_remote.backup.prune import merge_snapshots
from being_remote.backup.put_file import put_file
from being_remote.durable_files import write_whole
from being_remote.inventory import LocalHost
from being_remote.session import Pull, TransferResult
from being_remote.transfer.known_hashes import save_known_hashes
from being_remote.transport.local_session import LocalSession

FRAME = "checkpoint/00000.frame"


def is_commit(path: Path) -> bool:
    """A manifest, or the note of what is live."""
    return path.parent.name == "manifests" or path.name == "live"


def is_transient(path: Path) -> bool:
    """Made anew after a crash."""
    return any(
        f"/.history/{name}" in path.as_posix() for name in ("incoming", "next", "previous", "adopting")
    )


def problems(order: DiskOrder) -> list[str]:
    return order.problems(commits=is_commit, transient=is_transient)


def synced(prepare: Callable[[FolderHost], object]) -> Callable[[FolderHost], Callable[[], object]]:
    def case(host: FolderHost) -> Callable[[], object]:
        prepare(host)
        return host.sync

    return case


def torn(host: FolderHost) -> None:
    host.put(FRAME, "torn")


def rewritten(host: FolderHost) -> Callable[[], object]:
    """The host writes over a frame just after it was fetched."""
    host.put(FRAME, "whole END")
    host.at_next_question(lambda: host.put(FRAME, "other END", 1_700_000_100))
    return host.sync


def salvaged(host: FolderHost) -> Callable[[], object]:
    """A killed sync left a frame in incoming."""
    host.put(FRAME, "0 END")
    host.sync()
    file = host.history.incoming / "x/files/1.frame"
    file.parent.mkdir(parents=True)
    file.write_text("1 END")
    note_expected(
        host.history,
        "here",
        [ExpectedFile("checkpoint/00001.frame", "x/files/1.frame", 5, file.stat().st_mtime_ns)],
    )
    return host.sync


class StoppedSession(LocalSession):
    """Ctrl-C after all has arrived."""

    def pull(self, request: Pull, *rest: object) -> TransferResult:
        super().pull(request, *rest)  # type: ignore[arg-type]  # as they came
        raise KeyboardInterrupt


def stale(host: FolderHost) -> Callable[[], object]:
    """What an interrupted sync left, nobody knows which, is another version than the host has now."""
    host.put(FRAME, "0 END")
    with pytest.raises(KeyboardInterrupt):
        host.sync(session=StoppedSession(LocalHost(name="here", workdir=PurePosixPath("/"))))
    host.history.fetching.unlink()
    host.put(FRAME, "again 0 END", 1_700_000_100)
    return host.sync


def two_snapshots(host: FolderHost) -> None:
    host.put(FRAME, "0 END")
    host.sync()
    host.put("checkpoint/00001.frame", "1 END")
    host.put(FRAME, "again 0 END", 1_700_000_100)
    host.sync()


def rotten(host: FolderHost) -> None:
    """One content that the live tree repairs, and one that is lost."""
    two_snapshots(host)
    contents = {p: host.history.object(e.sha256) for p, e in host.history.read(1).files.items()}
    contents[FRAME].write_text("agaiN 0 END")
    contents["checkpoint/00001.frame"].write_text("1 ENd")
    host.hand("checkpoint/00001.frame", "1 eND", 1_700_000_000)


def done(
    action: str, prepare: Callable[[FolderHost], object]
) -> Callable[[FolderHost], Callable[[], object]]:
    def case(host: FolderHost) -> Callable[[], object]:
        prepare(host)
        return lambda: act(action, host.root)

    return case


def pruned(host: FolderHost) -> Callable[[], object]:
    two_snapshots(host)
    host.put(FRAME, "and again 0 END", 1_700_000_200)
    host.sync()
    return lambda: act("prune_to_two", host.root)


def absorbed(host: FolderHost) -> Callable[[], object]:
    host.put("run/logs/train.log", "one\n")
    host.sync()
    host.put("run/logs/train.log", "one\ntwo\n", 1_700_000_100)
    host.sync()
    history = host.history

    def work() -> None:
        with history.lock():
            assert merge_snapshots(history, history.read(0), history.read(1))

    return work


def put(host: FolderHost) -> Callable[[], object]:
    two_snapshots(host)
    return lambda: put_file(host.root, "bbox.pt", b"box", host="here")


def put_first(host: FolderHost) -> Callable[[], object]:
    host.root.mkdir()
    return lambda: put_file(host.root, "bbox.pt", b"box", host="here")


CASES: dict[str, Callable[[FolderHost], Callable[[], object]]] = {
    "a first sync": synced(first),
    "a backup made by hand": synced(by_hand),
    "changed, torn and removed files": synced(more),
    "another run": synced(another_run),
    "a torn file": synced(torn),
    "a whole file that was rewritten": rewritten,
    "what a killed sync left": salvaged,
    "what nobody knows": stale,
    "a restore": done("restore_first", two_snapshots),
    "a repair": done("scrub_all", rotten),
    "a prune": pruned,
    "rounds of a watch": absorbed,
    "one file": put,
    "the very first file": put_first,
}


@pytest.mark.parametrize("syncfs", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_nothing_is_renamed_or_committed_before_it_is_safe_on_the_disk(
    host: FolderHost, monkeypatch: pytest.MonkeyPatch, case: str, syncfs: bool
) -> None:
    work = CASES[case](host)
    pull = LocalSession.pull
    with recorded(monkeypatch, host.root, syncfs=syncfs) as order:

        def pulled(self: LocalSession, request: Pull, *rest: object) -> TransferResult:
            came = pull(self, request, *rest)  # type: ignore[arg-type]  # as they came
            order.wrote(host.history.incoming)  # rsync did
            return came

        monkeypatch.setattr(LocalSession, "pull", pulled)
        order.wrote(host.history.incoming)
        work()
    assert order.steps and problems(order) == []


def test_a_file_that_is_written_whole_needs_each_of_its_syncs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the test above fails where one is missing."""
    with recorded(monkeypatch, tmp_path, syncfs=False) as order:
        write_whole(tmp_path / "live", b"1", scratch=tmp_path / "scratch")
    assert problems(order) == []
    assert [bool(problems(order.without(number))) for number in order.syncs()] == [True, True]


def test_facts_about_a_host_are_written_whole(host: FolderHost, monkeypatch: pytest.MonkeyPatch) -> None:
    host.put(FRAME, "0 END")
    host.sync()
    with recorded(monkeypatch, host.root, syncfs=False) as order:
        save_known_hashes(History(host.root), "here", [b"x" * 16])
    assert order.renamed() and not [p for p in problems(order) if "before its bytes" in p]


def test_what_left_incoming_is_noted_on_the_disk_before_it_leaves(
    host: FolderHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.put(FRAME, "0 END")
    with recorded(monkeypatch, host.root, syncfs=False) as order:
        host.sync()
    note = host.history.fetching
    noted = max(i for i, step in enumerate(order.steps) if step.what == "write" and step.path == note)
    safe = min(
        i for i, step in enumerate(order.steps) if i > noted and step.what == "sync" and step.path == note
    )
    left = min(i for i, step in enumerate(order.steps) if step.path.parent == host.history.objects)
    assert noted < safe < left
