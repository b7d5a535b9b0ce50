"""Fetching files by rsync and by our own stream: bytes, names and times arrive; nothing else does."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from faults import FaultProxy, small_disk, when
from file_trees import AWKWARD, WHEN, got, put
from harmed_links import through

from being_remote.demo.pod import Pod, start_pod
from being_remote.errors import (
    CommandFailed,
    HostError,
    NoSpace,
    ToolMissing,
    UnsafeFile,
)
from being_remote.inventory import Inventory
from being_remote.session import Pull, Session, TransferProgress, TransferResult
from being_remote.transport import open_session, rsync
from being_remote.transport.rsync_process import StderrHead

MakeInventory = Callable[..., Inventory]


def request_for(source: Path, names: Any, into: Path, total: int = 1 << 20, live: Path | None = None) -> Pull:
    sizes = (total // len(names),) * len(names)
    return Pull(PurePosixPath(source), tuple(names), sizes, into, live or into.with_name("live"))


def test_awkward_names_arrive_with_bytes_and_times_and_nothing_else_does(
    way: Session, tmp_path: Path
) -> None:
    source, into = tmp_path / "far side $(x) 'q'", tmp_path / "in to"
    files = {name: name * 7 for name in AWKWARD}
    put(source, {**files, b"not requested": b"no"})
    pulled = way.pull(request_for(source, files, into))
    assert got(into) == {name: (data, WHEN) for name, data in files.items()}
    assert pulled == TransferResult(
        len(files), sum(map(len, files.values())), way.host if way.host == "stream" else "rsync"
    )
    assert not list(tmp_path.rglob("hacked")) and not (Path.home() / "hacked").exists()


def test_what_is_here_already_or_stands_in_the_live_tree_is_not_fetched(way: Session, tmp_path: Path) -> None:
    source, into, live = tmp_path / "far", tmp_path / "into", tmp_path / "live"
    put(source, {b"here": b"1" * 10, b"live": b"2" * 10, b"newer": b"3" * 10, b"longer": b"4" * 11})
    put(into, {b"here": b"1" * 10})
    put(live, {b"live": b"2" * 10, b"longer": b"4" * 10})
    put(live, {b"newer": b"0" * 10}, when=WHEN - 5 * 10**9)
    pulled = way.pull(request_for(source, [b"here", b"live", b"newer", b"longer"], into, live=live))
    assert set(got(into)) == {b"here", b"newer", b"longer"}
    assert pulled.transferred_files == 2
    again = way.pull(request_for(source, [b"here", b"live", b"newer", b"longer"], into, live=live))
    assert (again.transferred_files, again.transferred_bytes) == (0, 0)


def test_files_that_vanished_are_left_out_and_the_rest_arrives(way: Session, tmp_path: Path) -> None:
    put(tmp_path / "far", {b"there": b"x"})
    way.pull(request_for(tmp_path / "far", [b"gone", b"there", b"no/folder"], tmp_path / "into"))
    assert set(got(tmp_path / "into")) == {b"there"}


def test_only_regular_files_arrive_and_second_names_arrive_as_files(way: Session, tmp_path: Path) -> None:
    source, into = tmp_path / "far", tmp_path / "into"
    put(source, {b"real": b"x", b"folder/f": b"y"})
    os.link(source / "real", source / "second")
    (source / "link").symlink_to("/etc/passwd")
    os.mkfifo(source / "pipe")
    way.pull(request_for(source, [b"real", b"second", b"link", b"pipe", b"folder"], into))
    assert {name: data for name, (data, _) in got(into).items()} == {b"real": b"x", b"second": b"x"}
    assert sorted(os.listdir(into)) in (["real", "second"], ["folder", "real", "second"])


def test_a_file_without_permissions_on_the_host_is_readable_here(way: Session, tmp_path: Path) -> None:
    put(tmp_path / "far", {b"f": b"x"})
    (tmp_path / "far" / "f").chmod(0o4000 if os.geteuid() == 0 else 0o400)
    way.pull(request_for(tmp_path / "far", [b"f"], tmp_path / "into"))
    assert (tmp_path / "into" / "f").stat().st_mode & 0o7777 == 0o644


@pytest.mark.parametrize("name", [b"../x", b"/etc/passwd", b"a/../../x", b"", b"a//b", b"./a", b"a\0b"])
def test_a_name_that_leaves_the_folder_is_refused_before_any_request(
    way: Session, name: bytes, tmp_path: Path
) -> None:
    with pytest.raises(UnsafeFile, match="not a path below"):
        way.pull(request_for(tmp_path / "far", [b"fine", name], tmp_path / "into"))


def test_progress_grows_to_the_whole(way: Session, tmp_path: Path) -> None:
    files = {b"f%d" % n: os.urandom(1 << 20) for n in range(8)}
    put(tmp_path / "far", files)
    seen: list[TransferProgress] = []
    way.pull(request_for(tmp_path / "far", files, tmp_path / "into", 8 << 20), seen.append)
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert (seen[-1].done, seen[-1].total, seen[-1].unit) == (8 << 20, 8 << 20, "bytes")


def test_a_source_that_is_no_folder_is_the_hosts_error(way: Session, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="No such file"):
        way.pull(request_for(tmp_path / "none", [b"f"], tmp_path / "into"))


@pytest.mark.slow
def test_a_cut_transfer_resumes_where_it_stopped(
    there: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    files = {b"f%02d" % n: os.urandom(1 << 20) for n in range(24)}
    put(tmp_path / "far", files)
    with FaultProxy((there.address, there.port)) as proxy, through(proxy, there, make_inventory) as session:
        session.run(["true"])
        proxy.heals, proxy.cut_after = True, proxy.bytes_from_target + (12 << 20)
        pulled = session.pull(request_for(tmp_path / "far", files, tmp_path / "into", 24 << 20))
        assert proxy.cut_after is None  # it was cut
    assert {name: data for name, (data, _) in got(tmp_path / "into").items()} == files
    assert 8 << 20 <= pulled.transferred_bytes <= 16 << 20
    assert proxy.bytes_from_target < 30 << 20


@pytest.mark.slow
def test_a_transfer_that_freezes_ends_with_an_error(
    there: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    put(tmp_path / "far", {b"f": os.urandom(64 << 20)})
    with (
        FaultProxy((there.address, there.port)) as proxy,
        through(proxy, there, make_inventory, 1.0) as session,
    ):
        start = proxy.bytes_from_target
        when(lambda: proxy.bytes_from_target >= start + (1 << 20), lambda: setattr(proxy, "mode", "hang"))
        started = time.monotonic()
        with pytest.raises(HostError):
            session.pull(request_for(tmp_path / "far", [b"f"], tmp_path / "into", 64 << 20))
        assert time.monotonic() - started < 20
    assert not (tmp_path / "into" / "f").exists()


def test_of_endless_complaints_only_the_beginning_is_kept() -> None:
    command = ["sh", "-c", "echo first >&2; head -c 5000000 /dev/zero >&2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert process.stderr
    complaints = StderrHead(process.stderr)
    assert process.wait(timeout=10) == 0
    said = complaints.read()
    assert said.startswith(b"first") and len(said) == 64 << 10


def test_a_full_local_disk_is_reported_as_that(tmp_path: Path, way: Session) -> None:
    put(tmp_path / "far", {b"f": os.urandom(8 << 20)})
    with small_disk(tmp_path / "small") as small:
        with pytest.raises(NoSpace, match="full"):
            way.pull(request_for(tmp_path / "far", [b"f"], small / "into", 8 << 20))
        assert not (small / "into" / "f").exists()


def test_a_pull_that_failed_has_ended_with_all_its_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put(tmp_path / "far", {b"f": b"1"})
    gives_up_first = tmp_path / "rsync"  # as the real one: it does not wait for its own writer
    gives_up_first.write_text(
        "#!/bin/sh\n"
        '[ "$1" = --version ] && { echo "rsync  version 3.4.1  protocol version 32"; exit; }\n'
        f"(sleep 0.3; touch {tmp_path}/ended) >/dev/null 2>&1 &\n"
        'echo "rsync: write failed: No space left on device (28)" >&2; exit 11\n'
    )
    gives_up_first.chmod(0o755)
    rsync._version_of.cache_clear()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(CommandFailed, match="a file could not be read or written"):
        rsync.pull(request_for(tmp_path / "far", [b"f"], tmp_path / "into", 1), host="local", remote=None)
    assert (tmp_path / "ended").exists()
    rsync._version_of.cache_clear()


def test_without_a_new_enough_rsync_here_the_error_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = tmp_path / "rsync"
    for said in ("rsync  version 3.2.3  protocol version 31", "openrsync: protocol version 29"):
        old.write_text(f"#!/bin/sh\necho '{said}'\n")
        old.chmod(0o755)
        rsync._version_of.cache_clear()
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        with pytest.raises(ToolMissing, match=r"local: rsync >= 3\.2\.5(.|\n)*brew install rsync"):
            rsync.require_rsync()
    rsync._version_of.cache_clear()


def test_a_pod_without_rsync_and_python_names_both(make_inventory: MakeInventory, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to("/bin/sh")
    (tmp_path / "bin" / "env").symlink_to("/usr/bin/env")
    with start_pod(tmp_path / "pod", path=str(tmp_path / "bin")) as empty:
        inventory = make_inventory({"pod": empty})
        with open_session(inventory.host("pod"), inventory) as session, pytest.raises(ToolMissing) as caught:
            session.pull(request_for(empty.root, [b"f"], tmp_path / "into"))
    assert caught.value.host == "pod" and caught.value.tool == "rsync or python3"


@pytest.mark.slow
def test_a_file_that_becomes_shorter_while_it_is_sent_keeps_no_other_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rsync, "_COMMON", (*rsync._COMMON, "--bwlimit=6m"))
    far, into = tmp_path / "far", tmp_path / "into"
    put(far, {b"last": b"last"})
    size = 12 << 20
    with open(far / "first", "wb") as file:
        file.truncate(size)
    shrunk: list[TransferProgress] = []

    def shrink(progress: TransferProgress) -> None:
        if not shrunk:
            os.truncate(far / "first", 9)
            shrunk.append(progress)

    request = Pull(PurePosixPath(far), (b"first", b"last"), (size, 4), into, tmp_path / "live")
    rsync.pull(request, host="pod", remote=None, on_progress=shrink)
    assert shrunk and shrunk[0].done < size
    arrived = got(into)
    assert arrived[b"last"][0] == b"last"
    assert arrived.get(b"first", (bytes(9), 0))[0] == bytes(9)
