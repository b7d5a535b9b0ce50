"""Sending files by rsync and in one stream: bytes, names and times arrive, and a cut costs only what was
on its way."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from faults import FaultProxy, small_disk, when
from file_trees import AWKWARD, WHEN, got, put
from harmed_links import through

from being_remote.demo.pod import Pod, start_pod
from being_remote.errors import (
    BeingRemoteError,
    CommandFailed,
    HostError,
    NoSpace,
    NotFoundError,
    ToolMissing,
    UnsafeFile,
)
from being_remote.inventory import Inventory
from being_remote.session import Push, Session, TransferProgress, TransferResult
from being_remote.transport import open_session

MakeInventory = Callable[..., Inventory]
BIG = 30 << 20
METHODS = {"rsync": "rsync", "stream": "stream", "here": "rsync"}


def request_for(source: Path, names: Any, into: Path, total: int = BIG) -> Push:
    return Push(source, tuple(names), PurePosixPath(into), total)


def test_awkward_names_arrive_with_bytes_and_times_and_nothing_else_does(
    way: Session, tmp_path: Path
) -> None:
    source, into = tmp_path / "near side $(x) 'q'", tmp_path / "far $(x) 'q'" / "in to"
    files = {name: name * 7 for name in AWKWARD}
    put(source, {**files, b"not requested": b"no"})
    pushed = way.push(request_for(source, files, into))
    assert got(into) == {name: (data, WHEN) for name, data in files.items()}
    assert pushed == TransferResult(len(files), sum(map(len, files.values())), METHODS[way.host])
    assert not list(tmp_path.rglob("hacked")) and not (Path.home() / "hacked").exists()


def test_what_is_there_already_is_not_sent_and_what_differs_is(way: Session, tmp_path: Path) -> None:
    source, into = tmp_path / "near", tmp_path / "into"
    names = [b"there", b"older", b"shorter", b"absent", b"empty"]
    put(
        source,
        {b"there": b"1" * 10, b"older": b"2" * 10, b"shorter": b"3" * 10, b"absent": b"4", b"empty": b""},
    )
    put(into, {b"there": b"1" * 10, b"shorter": b"3" * 9, b"not ours": b"kept"})
    put(into, {b"older": b"0" * 10}, when=WHEN - 5 * 10**9)
    assert way.push(request_for(source, names, into)).transferred_files == 4
    assert got(into) == {**got(source), b"not ours": (b"kept", WHEN)}
    again = way.push(request_for(source, names, into))
    assert (again.transferred_files, again.transferred_bytes) == (0, 0)


def test_local_links_are_sent_as_files_and_executables_stay_executable(way: Session, tmp_path: Path) -> None:
    source, into = tmp_path / "near", tmp_path / "into"
    put(source, {b"plain": b"x", b"script": b"y", b"away/real": b"z"})
    (source / "plain").chmod(0o600)
    (source / "script").chmod(0o700)
    (source / "link").symlink_to("away/real")
    (source / "folder").symlink_to("away")
    way.push(request_for(source, [b"plain", b"script", b"link", b"folder/real"], into))
    assert {name: data for name, (data, _) in got(into).items()} == {
        b"plain": b"x", b"script": b"y", b"link": b"z", b"folder/real": b"z",
    }  # fmt: skip
    modes = [stat.S_IMODE((into / name).lstat().st_mode) for name in ("plain", "script", "link", "folder")]
    assert modes == [0o644, 0o755, 0o644, 0o755]


@pytest.mark.parametrize("name", [b"../x", b"/etc/passwd", b"a/../../x", b"", b"a//b", b"./a", b"a\0b"])
def test_a_name_that_leaves_the_folder_is_refused_and_nothing_is_sent(
    way: Session, name: bytes, tmp_path: Path
) -> None:
    put(tmp_path / "near", {b"fine": b"x"})
    with pytest.raises(UnsafeFile, match="not a path below"):
        way.push(request_for(tmp_path / "near", [b"fine", name], tmp_path / "into"))
    assert got(tmp_path / "into") == {}


def test_a_file_that_is_not_here_is_named(way: Session, tmp_path: Path) -> None:
    put(tmp_path / "near", {b"fine": b"x"})
    (tmp_path / "near" / "folder").mkdir()
    for name in (b"gone", b"folder"):
        with pytest.raises(NotFoundError, match=name.decode()):
            way.push(request_for(tmp_path / "near", [b"fine", name], tmp_path / "into"))


def test_progress_grows_to_the_whole(way: Session, tmp_path: Path) -> None:
    files = {b"f%d" % n: os.urandom(1 << 20) for n in range(4)}
    put(tmp_path / "near", files)
    seen: list[TransferProgress] = []
    way.push(request_for(tmp_path / "near", files, tmp_path / "into", 4 << 20), seen.append)
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert seen[-1] == TransferProgress("sending", 4 << 20, 4 << 20)


def test_a_folder_that_cannot_be_made_on_the_host_is_the_hosts_error(way: Session, tmp_path: Path) -> None:
    put(tmp_path, {b"near/f": b"x", b"file": b"x"})
    with pytest.raises(CommandFailed, match="file"):
        way.push(request_for(tmp_path / "near", [b"f"], tmp_path / "file" / "into"))


def test_a_full_remote_disk_is_reported_as_that(way: Session, tmp_path: Path) -> None:
    put(tmp_path / "near", {b"f": os.urandom(8 << 20)})
    with small_disk(tmp_path / "small") as small:
        with pytest.raises(NoSpace, match="disk full on") as caught:
            way.push(request_for(tmp_path / "near", [b"f"], small / "into", 8 << 20))
        assert caught.value.file == f"{way.host}:{small}/into"
        whole = small / "into" / "f"
        assert not whole.exists() or whole.stat().st_size < 8 << 20


@pytest.mark.slow
@pytest.mark.parametrize("cut_mb", [0.02, 14.5, 29.99])
def test_a_cut_push_resumes_in_the_middle_of_the_file(
    cut_mb: float, there: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    put(tmp_path / "near", {b"big": os.urandom(BIG)})
    with FaultProxy((there.address, there.port)) as proxy, through(proxy, there, make_inventory) as session:
        session.run(["true"])
        proxy.heals, proxy.cut_after_sent = True, proxy.bytes_to_target + int(cut_mb * 2**20)
        pushed = session.push(request_for(tmp_path / "near", [b"big"], tmp_path / "into"))
        assert proxy.cut_after_sent is None  # it was cut
        sent = proxy.bytes_to_target
    assert got(tmp_path / "into") == got(tmp_path / "near")
    # What was in ssh's and the sockets' buffers is sent again.
    lost = BIG - int(cut_mb * 2**20)
    assert lost - (1 << 20) <= pushed.transferred_bytes <= min(BIG, lost + (4 << 20))
    assert sent < BIG + (5 << 20)


@pytest.mark.slow
def test_a_push_that_freezes_ends_with_an_error(
    there: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    put(tmp_path / "near", {b"big": os.urandom(BIG)})
    with (
        FaultProxy((there.address, there.port)) as proxy,
        through(proxy, there, make_inventory, 0.9) as session,
    ):
        start = proxy.bytes_to_target
        when(lambda: proxy.bytes_to_target >= start + (1 << 20), lambda: setattr(proxy, "mode", "hang"))
        started = time.monotonic()
        with pytest.raises(HostError):
            session.push(request_for(tmp_path / "near", [b"big"], tmp_path / "into"))
        assert time.monotonic() - started < 30


def last_size(folder: Path) -> int:
    """The bytes in a folder once they have stopped to grow: what had passed the network has arrived."""
    size, seen = -1, 0
    while size != seen or size == 0:
        time.sleep(0.1)
        size, seen = seen, sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    return size


@pytest.mark.slow
def test_after_a_silent_cut_the_next_push_resumes_although_the_last_one_still_runs_on_the_host(
    there: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    put(tmp_path / "near", {b"big": os.urandom(BIG)})
    wanted = request_for(tmp_path / "near", [b"big"], tmp_path / "into")
    with (
        FaultProxy((there.address, there.port)) as proxy,
        ThreadPoolExecutor(1) as pool,
        through(proxy, there, make_inventory) as first,
    ):
        start = proxy.bytes_to_target
        stuck = pool.submit(first.push, wanted)
        while proxy.bytes_to_target < start + (20 << 20):
            time.sleep(0.001)
        proxy.mode = "hang"
        arrived_so_far = last_size(tmp_path / "into")
        inventory = make_inventory({"pod": there})
        with open_session(inventory.host("pod"), inventory) as second:
            pushed = second.push(wanted)
        assert got(tmp_path / "into") == got(tmp_path / "near")
        assert 0 < pushed.transferred_bytes <= BIG - arrived_so_far + (64 << 10)  # rsync compares blocks
        proxy.mode = "ok"
        assert isinstance(stuck.result(timeout=60), TransferResult)
    assert got(tmp_path / "into") == got(tmp_path / "near")


@pytest.mark.slow
def test_a_cut_between_many_small_files_sends_only_the_rest(
    there: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    files = {b"d%d/f%03d" % (n % 3, n): os.urandom(20_000) for n in range(300)}
    put(tmp_path / "near", files)
    with FaultProxy((there.address, there.port)) as proxy, through(proxy, there, make_inventory) as session:
        session.run(["true"])
        proxy.heals, proxy.cut_after_sent = True, proxy.bytes_to_target + (4 << 20)
        pushed = session.push(request_for(tmp_path / "near", files, tmp_path / "into", 6_000_000))
        assert proxy.cut_after_sent is None
    assert got(tmp_path / "into") == got(tmp_path / "near")
    assert 0 < pushed.transferred_files < 250


def fake_pod(folder: Path, **programs: str) -> Pod:
    """A pod on whose path lie a few real programs and these scripts."""
    (folder / "bin").mkdir()
    for name in ("sh", "env", "mkdir", "cat", "head"):
        (folder / "bin" / name).symlink_to(str(shutil.which(name)))
    for name, text in programs.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / "bin" / name).chmod(0o755)
    return start_pod(folder / "pod", path=str(folder / "bin"))


def test_a_pod_without_rsync_and_python_names_both(make_inventory: MakeInventory, tmp_path: Path) -> None:
    put(tmp_path / "near", {b"f": b"x"})
    with fake_pod(tmp_path) as bare:
        inventory = make_inventory({"pod": bare})
        with open_session(inventory.host("pod"), inventory) as session, pytest.raises(ToolMissing) as caught:
            session.push(request_for(tmp_path / "near", [b"f"], bare.root / "into"))
    assert caught.value.host == "pod" and caught.value.tool == "rsync or python3"


@pytest.mark.parametrize(
    "answer",
    [
        "echo hello",
        "echo '[null, null]'",
        "echo '[7]'",
        "echo '[-1]'",
        "echo '[true]'",
        "exec cat /dev/zero",
        "kill -9 $$",
    ],
)
def test_an_answer_that_is_none_ends_in_an_error_and_no_file_is_sent(
    answer: str, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    put(tmp_path / "near", {b"f": b"xyz"})
    with fake_pod(tmp_path, python3=answer) as odd:
        inventory = make_inventory({"pod": odd})
        with open_session(inventory.host("pod"), inventory) as session, pytest.raises(HostError):
            session.push(request_for(tmp_path / "near", [b"f"], odd.root / "into", 3))
    assert got(tmp_path / "near") == {b"f": (b"xyz", WHEN)}


@pytest.mark.parametrize(
    "rsync",
    [
        "echo Welcome to your pod",
        "head -c 3000000 /dev/zero",
        "kill -9 $$",
        "exit 11",
        "echo 'unknown' >&2; exit 1",
    ],
)
def test_an_rsync_that_is_none_ends_in_an_error(
    rsync: str, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    put(tmp_path / "near", {b"f": b"xyz"})
    with fake_pod(tmp_path, rsync=rsync) as odd:
        inventory = make_inventory({"pod": odd})
        with open_session(inventory.host("pod"), inventory) as session, pytest.raises(BeingRemoteError):
            session.push(request_for(tmp_path / "near", [b"f"], odd.root / "into", 3))
    assert got(tmp_path / "near") == {b"f": (b"xyz", WHEN)}
