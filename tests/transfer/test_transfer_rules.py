"""Which file is whole, the host's, and worth its room: the rules of every transfer, one by one."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest

from being_remote.errors import (
    HostDiskFull,
    InconsistentData,
    NoSpace,
    NotFoundError,
    TornFile,
    Unreachable,
    UnsafeFile,
)
from being_remote.inventory import LocalHost
from being_remote.pod_client.placement import PlacementStatus
from being_remote.session import PARTIAL_DIR, Hashed, Pull, no_progress
from being_remote.transfer import disk_room, staged_upload
from being_remote.transfer.arrival_folder import Fetch, build_on, host_time, is_listed, sorted_fetch
from being_remote.transfer.checked_files import (
    NO_JUDGE,
    CheckedFile,
    Judge,
    StoredFile,
    check_files,
    find_fault,
    hash_of,
)
from being_remote.transfer.disk_room import share_room
from being_remote.transfer.download import note_sent
from being_remote.transfer.download_plan import RemoteFile, RemoteFolder, has_same_bytes, plan_download
from being_remote.transfer.hash_comparison import Arrivals, HashComparison, HashQueries, HostFiles
from being_remote.transfer.known_hashes import (
    load_known_hashes,
    outlasts_writes,
    save_known_hashes,
    version_digest,
)
from being_remote.transfer.quarantine import NOTE, Quarantine, QuarantinedFile
from being_remote.transfer.staged_upload import push_files

SECOND = 1_000_000_000
THERE = PurePosixPath("/w/out")
FRAMES = RemoteFolder("checkpoint", THERE, THERE, rank=0)
MESHES = RemoteFolder("run/mesh", THERE, THERE, rank=3, wave=2, is_precious=False)


def offer(name: str, size: int = 5, origin: RemoteFolder = FRAMES, **more: Any) -> RemoteFile:
    fields = {"mtime_ns": 7 * SECOND + 1, "ctime_ns": 8 * SECOND + 1, "inode": 9, **more}
    return RemoteFile(f"{origin.local}/{name}", origin, size, **fields)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# -- what arrived ---------------------------------------------------------------------------------------


def test_a_file_is_the_listed_version_by_its_size_and_its_time_to_whole_seconds_at_least() -> None:
    def at(size: int, mtime_ns: int) -> Any:
        return SimpleNamespace(st_size=size, st_mtime_ns=mtime_ns)

    listed = 7 * SECOND + 5
    assert is_listed(at(3, listed), 3, listed) and is_listed(at(3, 7 * SECOND), 3, listed)
    for other in (at(3, 7 * SECOND + 6), at(3, 8 * SECOND), at(4, listed), None):
        assert not is_listed(other, 3, listed)
    assert host_time(listed, 7 * SECOND) == listed and host_time(listed, 7 * SECOND + 6) == 7 * SECOND + 6


def test_what_is_fetched_again_builds_on_what_lies_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a part")
    build_on(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    assert (tmp_path / PARTIAL_DIR / "a").read_bytes() == b"a part"


def test_each_name_of_a_request_finds_its_own_file_in_every_wave(tmp_path: Path) -> None:
    files = [(f"{n:02d}".encode(), offer(f"{n:02d}", origin=o)) for o in (MESHES, FRAMES) for n in range(5)]
    named = [(name + (b"m" if one.origin is MESHES else b""), one) for name, one in files]
    fetch = sorted_fetch(THERE, named, tmp_path, tmp_path / "none")
    assert isinstance(fetch, Fetch) and isinstance(fetch.request, Pull)
    assert [fetch.offer(name) for name, _ in named] == [one for _, one in named]
    with pytest.raises(KeyError):
        fetch.offer(b"00x")


def test_a_hash_that_came_along_counts_only_for_the_version_that_was_listed(tmp_path: Path) -> None:
    one = offer("a")
    fetch = sorted_fetch(THERE, [(b"a", one)], tmp_path, tmp_path / "none")
    clock_ns, hashed = 60 * SECOND, Hashed(*one.figures, b"h" * 32)
    for said, clock, kept in (
        (hashed, clock_ns, True),
        (None, clock_ns, False),
        (hashed._replace(inode=10), clock_ns, False),
        (hashed, one.ctime_ns, False),  # it may have been written once more at the same tick
    ):
        got = Arrivals(sent={one.path: b"of the version before"})
        note_sent(fetch, got, clock, b"a", said)
        assert got.sent == ({one.path: b"h" * 32} if kept else {})


@pytest.mark.parametrize(
    ("ctime_ns", "clock_ns", "certain"),
    [
        (5 * SECOND + 1, 5 * SECOND + 200_000_000, True),
        (5 * SECOND + 1, 5 * SECOND + 50_000_000, False),
        (5 * SECOND + 1, 4 * SECOND, False),
        (5 * SECOND, 6 * SECOND, False),  # a disk of whole seconds
        (5 * SECOND, 8 * SECOND, True),
    ],
)
def test_a_hash_outlasts_writes_only_where_the_file_was_at_rest_for_a_tick(
    ctime_ns: int, clock_ns: int, certain: bool
) -> None:
    assert outlasts_writes(offer("a", ctime_ns=ctime_ns), clock_ns) is certain


def test_a_known_hash_is_of_one_version_of_one_file_of_one_host(tmp_path: Path) -> None:
    one = offer("a")
    others = [
        offer("b"),
        *(dataclasses.replace(one, **{f: 1}) for f in ("bytes", "mtime_ns", "ctime_ns", "inode")),
    ]
    assert len({version_digest(each, "h") for each in (one, *others)} | {version_digest(one, "i")}) == 7
    assert all(not one.looks_like(other) for other in others[1:])
    paths: Any = SimpleNamespace(known_hashes=tmp_path / "known", scratch=tmp_path / "scratch")
    save_known_hashes(paths, "pod", [version_digest(one, "h")])
    assert load_known_hashes(paths, "pod") == {version_digest(one, "h")}
    assert load_known_hashes(paths, "other") == frozenset()


# -- read files -----------------------------------------------------------------------------------------


def _must_end(name: str, data: bytes) -> None:
    if not data.endswith(b"END"):
        raise TornFile("it does not end with END", file=name)


JUDGE = Judge(lambda _: 8, _must_end)


def checked(folder: Path, data: bytes, judge: Judge = JUDGE) -> CheckedFile:
    (folder / "a").write_bytes(data)
    (found,) = check_files({"checkpoint/a": folder / "a"}, judge, no_progress)
    return found


def test_a_file_is_judged_up_to_the_size_of_a_whole_one_and_refused_beyond(tmp_path: Path) -> None:
    whole, torn, large = (checked(tmp_path, data) for data in (b"12345END", b"12345EN", b"123456END"))
    assert (whole.problem, whole.torn) == (None, False)
    assert (torn.problem, torn.torn) == ("it does not end with END", True)
    assert large.problem is not None and not large.torn and large.sha256 == sha256(b"123456END")
    plain = checked(tmp_path, b"123456", NO_JUDGE)
    assert (plain.judged, plain.problem) == (False, None)


def test_a_file_that_grows_while_it_is_read_has_the_hash_of_what_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, path = os.read, tmp_path / "a"

    def read(descriptor: int, size: int) -> bytes:
        data = real(descriptor, size)
        if data == b"12345":
            with path.open("ab") as file:
                file.write(b"END")
        return data

    monkeypatch.setattr(os, "read", read)
    assert checked(tmp_path, b"12345", NO_JUDGE).sha256 in (sha256(b"12345"), sha256(b"12345END"))


def test_an_entry_looks_like_a_file_by_its_very_size_and_time(tmp_path: Path) -> None:
    entry = StoredFile("a", "h", 5, 7 * SECOND + 1)
    at = SimpleNamespace
    assert entry.looks_like(at(st_size=5, st_mtime_ns=7 * SECOND + 1))  # type: ignore[arg-type]  # two fields
    for size, mtime_ns in ((5, 7 * SECOND + 2), (6, 7 * SECOND + 1)):
        assert not entry.looks_like(at(st_size=size, st_mtime_ns=mtime_ns))  # type: ignore[arg-type]  # as above


def test_a_link_in_the_place_of_a_content_is_corrupt_and_nothing_at_all_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    faults = [find_fault(tmp_path / name, sha256(b"x")) for name in ("a", "link", "none", "a/none")]
    assert faults == [None, "rotten", "missing", "missing"]
    assert find_fault(tmp_path / "a", sha256(b"y")) == "rotten"


def test_a_hash_of_the_first_bytes_is_of_no_more_than_these(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * (1 << 20) + b"yz")
    for size in (0, 1, 1 << 20, (1 << 20) + 1):
        assert hash_of(tmp_path / "a", size) == sha256((b"x" * (1 << 20) + b"yz")[:size])


# -- plan and room --------------------------------------------------------------------------------------


def plan(*offers: RemoteFile, here: Mapping[str, StoredFile] | None = None, torn: Any = None) -> Any:
    return plan_download(offers, here or {}, torn or {}, folds=True, most_bytes=lambda _: 100)


def test_a_file_one_byte_larger_than_a_whole_one_is_not_downloaded() -> None:
    assert [f.path for f in plan(offer("a", 100)).wanted] == ["checkpoint/a"]
    assert plan(offer("a", 101)).wanted == () and len(plan(offer("a", 101)).refused) == 1


def test_of_two_files_for_one_place_one_is_downloaded() -> None:
    for second in (offer("a"), offer("A")):
        planned = plan(offer("a"), second)
        assert (len(planned.wanted), len(planned.refused)) == (1, 1)


def test_hashes_decide_where_both_sides_have_one_and_size_and_time_elsewhere() -> None:
    hashed = offer("a", sha256=sha256(b"x"))
    assert has_same_bytes(hashed, 1, 1, sha256(b"x"))
    assert not has_same_bytes(hashed, hashed.bytes, hashed.mtime_ns, sha256(b"y"))
    for one, known in ((hashed, ""), (offer("a"), sha256(b"x"))):
        assert has_same_bytes(one, one.bytes, one.mtime_ns, known)
        assert not has_same_bytes(one, one.bytes, one.mtime_ns + 1, known)


def test_a_torn_file_is_not_fetched_again_while_the_host_has_the_same_bytes() -> None:
    one = offer("a")
    kept = QuarantinedFile(one.path, "torn", None, one.bytes, one.mtime_ns, "")
    assert plan(one, torn={one.path: [kept]}).still_torn == (kept,)
    assert plan(offer("a", mtime_ns=1), torn={one.path: [kept]}).wanted != ()


def fitting(room: int, *offers: RemoteFile, later: int = 0, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(disk_room, "room_bytes", lambda _: room * 4096)
    shared = share_room(Path("/"), offers, lambda o: o.bytes * 4096, lambda _: later * 4096)
    assert len(shared.fit) + len(shared.left_out) == len(offers)
    return [o.name.decode() for o in shared.fit]


def test_room_goes_to_the_most_precious_files_and_to_all_of_them_or_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames = [offer("f1", 4), offer("f2", 4)]
    meshes = [offer("m1", 1, MESHES), offer("m2", 3, MESHES)]
    assert fitting(12, *meshes, *frames, monkeypatch=monkeypatch) == ["m1", "m2", "f1", "f2"]
    assert fitting(9, *meshes, *frames, monkeypatch=monkeypatch) == ["m1", "f1", "f2"]
    assert fitting(7, *meshes, *frames, monkeypatch=monkeypatch) == ["m1", "m2"]  # one frame alone is no use


def test_room_that_precious_files_need_later_is_not_given_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, mesh = [offer("f1", 4), offer("f2", 4)], offer("m1", 1, MESHES)
    assert fitting(12, *frames, mesh, later=2, monkeypatch=monkeypatch) == ["f1", "f2"]
    assert fitting(15, *frames, mesh, later=2, monkeypatch=monkeypatch) == ["f1", "f2", "m1"]
    assert fitting(10, *frames, later=2, monkeypatch=monkeypatch) == ["f1", "f2"]  # what is here is safe


# -- compared with the host -------------------------------------------------------------------------------


class Folder:
    """Where files arrive, in this test's folder."""

    host = "pod"

    def __init__(self, folder: Path) -> None:
        self.folder, self.quarantine = folder, Quarantine(folder / "quarantine", folder / "scratch")

    def file(self, one: RemoteFile) -> Path:
        return self.folder / Path(one.path).name

    def find_arrived(self, one: RemoteFile) -> Any:
        path = self.file(one)
        return path.lstat() if path.is_file() else None


def compared(
    folder: Path,
    here: bytes | None,
    there: bytes | None,
    *,
    clock_ns: int = 60 * SECOND,
    sent: bytes | None = None,
    unmoved: bool = True,
    fails: bool = False,
    now: Mapping[str, Any] | None = None,
    listed: Mapping[str, Any] | None = None,
) -> tuple[Arrivals, RemoteFile]:
    """What becomes of one file: its bytes here, and those that the host has now, None: none."""
    data = here if here is not None else b""
    one = offer("a", len(data), **(listed or {}))
    places = Folder(folder)
    if here is not None:
        places.file(one).write_bytes(here)
        os.utime(places.file(one), ns=(one.mtime_ns, one.mtime_ns))

    def hashes(files: Any) -> HostFiles:
        if fails:
            raise Unreachable("gone", host="pod")
        assert [size for _, size in files] == [len(data)]
        found = (
            {} if there is None else {one.path: dataclasses.replace(one, sha256=sha256(there), **(now or {}))}
        )
        return HostFiles(clock_ns, found)

    got = Arrivals(sent={} if sent is None else {one.path: bytes.fromhex(sha256(sent))})
    queries = HashQueries(hashes, lambda: unmoved, clock_ns)
    HashComparison(places, got, JUDGE, queries, no_progress).compare([one])  # type: ignore[arg-type]  # enough of it
    return got, one


def test_a_file_with_the_hosts_bytes_is_good(tmp_path: Path) -> None:
    got, one = compared(tmp_path, b"12END", b"12END")
    assert (list(got.good), got.good_offers, got.compared, got.certain) == ([one.path], [one], 1, 1)
    assert (got.mismatched, got.unfinished, got.torn, got.missing) == ((), (), [], [])


def test_a_file_that_differs_is_fetched_again_and_a_whole_one_is_kept_in_any_case(tmp_path: Path) -> None:
    got, one = compared(tmp_path, b"12END", b"34END")
    assert (got.mismatched, got.unfinished, got.good) == ((one.path,), (), {})
    assert (tmp_path / PARTIAL_DIR / "a").read_bytes() == b"12END"
    (kept,) = [p for p in (tmp_path / "quarantine").iterdir() if not p.name.endswith(".json")]
    assert kept.read_bytes() == b"12END"
    # What the host rewrote is not torn: it does not keep the same bytes from coming again.
    assert Quarantine(tmp_path / "quarantine", tmp_path / "scratch").read() == {}


def test_a_file_that_the_host_is_writing_is_no_mismatch(tmp_path: Path) -> None:
    for now, data in (({"mtime_ns": 59 * SECOND}, b"12END"), ({}, b"torn")):
        got, one = compared(tmp_path, data, b"34END", now=now)
        assert (got.mismatched, got.unfinished) == ((), (one.path,))
    assert list(tmp_path.glob("quarantine/*torn*")) == []


@pytest.mark.parametrize("mtime_ns", [59 * SECOND + 1, 10 * SECOND + 1])
def test_a_torn_file_counts_once_the_host_has_stopped_writing_it(tmp_path: Path, mtime_ns: int) -> None:
    got, one = compared(tmp_path, b"torn", b"torn", listed={"mtime_ns": mtime_ns})
    young = mtime_ns > 58 * SECOND
    assert (got.unfinished, len(got.torn)) == (((one.path,), 0) if young else ((), 1))
    assert (tmp_path / "a").exists() is not young


def test_what_the_host_has_no_more_is_kept_as_it_came(tmp_path: Path) -> None:
    got, one = compared(tmp_path, b"12END", None)
    assert (list(got.good), got.missing, got.compared, got.certain) == ([one.path], [one.path], 0, 0)


def test_a_hash_that_came_along_is_believed_only_while_nothing_moved_there(tmp_path: Path) -> None:
    got, one = compared(tmp_path, b"12END", b"other", sent=b"12END")
    assert list(got.good) == [one.path]
    got, one = compared(tmp_path, b"12END", b"34END", sent=b"12END", unmoved=False)
    assert got.good == {} and got.mismatched == (one.path,)


def test_after_a_failed_link_only_the_listed_version_counts(tmp_path: Path) -> None:
    got, one = compared(tmp_path, b"12END", None, fails=True)
    assert list(got.good) == [one.path] and (got.compared, got.failure is not None) == (0, True)


# -- quarantine -------------------------------------------------------------------------------------------


def test_each_version_of_a_refused_file_is_kept_with_its_note(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "q", tmp_path / "scratch")
    for data in (b"one", b"two"):
        quarantine.keep(checked(tmp_path, data), 5)
    found = quarantine.read()["checkpoint/a"]
    assert {one.kept_as.read_bytes() for one in found if one.kept_as} == {b"one", b"two"}
    assert {one.sha256 for one in found} == {sha256(b"one"), sha256(b"two")}
    for one in found:
        if one.kept_as:
            one.kept_as.unlink()
    assert len(list((tmp_path / "q").glob(f"*{NOTE}"))) == 2 and quarantine.read() == {}


# -- uploads ----------------------------------------------------------------------------------------------


def status(*states: str, **more: Any) -> PlacementStatus:
    fields = {
        "files": list(states),
        "staged_bytes": 0,
        "left_over_bytes": 0,
        "free_bytes": 1 << 40,
        "beside": [],
    }
    return PlacementStatus.model_validate({**fields, **more})


class Uploads:
    """A host that says this of its places, one answer after the other."""

    host = "pod"

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: PlacementStatus) -> None:
        self.answers, self.pushes, self.wanted = list(answers), 0, list[Any]()
        monkeypatch.setattr(staged_upload, "ask_place", self._answer)

    def _answer(self, *arguments: Any) -> PlacementStatus:
        self.wanted = arguments[4]
        return self.answers.pop(0)

    def push(self, *_: Any) -> Any:
        self.pushes += 1
        return SimpleNamespace(transferred_files=1, transferred_bytes=4, method="rsync")


POD = LocalHost(name="pod", workdir="/w")


def upload(host: Uploads, file: Path, name: str = "a", **more: Any) -> Any:
    return push_files(host, POD, {name: file}, THERE, **more)  # type: ignore[arg-type]  # enough of a session


@pytest.fixture
def local_file(tmp_path: Path) -> Path:
    (tmp_path / "a").write_bytes(b"data")
    return tmp_path / "a"


def test_what_arrived_damaged_is_sent_once_more_and_then_given_up(
    local_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Uploads(monkeypatch, status("absent"), status("absent"), status("same"))
    assert upload(host, local_file).transferred_files == 2 and host.pushes == 2
    host = Uploads(monkeypatch, status("absent"), status("absent"), status("absent"))
    with pytest.raises(InconsistentData, match="did not arrive as hashed here"):
        upload(host, local_file)


@pytest.mark.parametrize("state", ["different", "link", "folder", "special", "behind"])
def test_an_upload_never_takes_the_place_of_anything(
    local_file: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    host = Uploads(monkeypatch, status(state))
    with pytest.raises(InconsistentData, match="nothing was changed"):
        upload(host, local_file)
    assert host.pushes == 0
    late = Uploads(monkeypatch, status("absent"), status(state))
    with pytest.raises(InconsistentData, match="nothing was changed"):
        upload(late, local_file)


def test_what_a_broken_upload_has_sent_needs_no_room_again(
    local_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Uploads(monkeypatch, status("absent", staged_bytes=3, free_bytes=1), status("same"))
    assert upload(host, local_file).transferred_files == 1
    with pytest.raises((NoSpace, HostDiskFull)):
        upload(Uploads(monkeypatch, status("absent", staged_bytes=2, free_bytes=1)), local_file)


def test_other_files_in_a_folder_that_must_hold_none_refuse_an_upload(
    local_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Uploads(monkeypatch, status("absent", beside=[0, 3]))
    with pytest.raises(InconsistentData, match="'source' holds 3 other files"):
        upload(host, local_file, beside=("identity.npy",), alone=("source",))
    counted = Uploads(monkeypatch, status("absent", beside=[3, 0]), status("same"))
    assert upload(counted, local_file, beside=("x",), alone=("source",)).beside == {"x": 3}


@pytest.mark.parametrize("name", [".being-remote-push", ".being-remote-push/a", "../a", "/a", "a/../../b"])
def test_a_name_that_leaves_its_folder_or_is_ours_is_not_uploaded(
    local_file: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with pytest.raises(UnsafeFile):
        upload(Uploads(monkeypatch), local_file, name)


def test_a_program_stays_one_for_its_user_and_a_missing_file_is_named(
    local_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for mode, executable in ((0o700, True), (0o610, False)):
        local_file.chmod(mode)
        host = Uploads(monkeypatch, status("same"))
        upload(host, local_file)
        assert [one.executable for one in host.wanted] == [executable]
    local_file.unlink()
    with pytest.raises(NotFoundError):
        upload(Uploads(monkeypatch), local_file)
