"""Files in one stream: what a hostile, cut or odd one may do, and which files come this way."""

from __future__ import annotations

import hashlib
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from types import TracebackType

import pytest
from faults import FaultProxy
from file_trees import AWKWARD, WHEN, got, put

from being_remote.demo.pod import Pod
from being_remote.errors import CommandFailed, ConnectionLost, HostError, UnsafeFile
from being_remote.inventory import Inventory, LocalHost
from being_remote.session import PARTIAL_DIR, Hashed, Pull, Stream, TransferProgress, no_progress, not_noted
from being_remote.transport import open_session, stream_download
from being_remote.transport.local_session import LocalSession

MakeInventory = Callable[..., Inventory]


class Canned:
    """A stream of bytes that somebody thought up; an error stands for how the link ends."""

    def __init__(self, said: bytes, end: Exception | None = None, chunk: int = 64 << 10) -> None:
        self._left, self._end, self._chunk = said, end, chunk

    def read(self, timeout_s: float) -> bytes:
        data, self._left = self._left[: self._chunk], self._left[self._chunk :]
        if not data and self._end is not None:
            raise self._end
        return data

    def close(self) -> None: ...

    def __enter__(self) -> Canned:
        return self

    def __exit__(self, *exc: type[BaseException] | BaseException | TracebackType | None) -> None: ...


class CannedSession(LocalSession):
    """Whatever is asked, that is the answer."""

    def __init__(self, answer: Canned) -> None:
        super().__init__(LocalHost.model_validate({"name": "pod", "workdir": "/"}))
        self._answer = answer

    def stream(self, argv: object, *, stdin: bytes = b"") -> Stream:  # type: ignore[override]  # answers all
        return self._answer


def here() -> LocalSession:
    return LocalSession(LocalHost.model_validate({"name": "here", "workdir": "/"}))


def request_for(source: Path, names: list[bytes], into: Path, size: int = 3000) -> Pull:
    return Pull(PurePosixPath(source), tuple(names), (size,) * len(names), into, into.with_name("live"))


def head(number: int, size: int, mtime_ns: int = WHEN) -> bytes:
    return struct.pack("!IQqqQ", number, size, mtime_ns, WHEN, 1)


def one(
    number: int,
    data: bytes,
    *,
    sound: bool = True,
    good: int | None = None,
    sha256: bytes | None = None,
    mtime_ns: int = WHEN,
    now_ns: int | None = None,
) -> bytes:
    digest = hashlib.sha256(data).digest() if sha256 is None else sha256
    now_ns, good = mtime_ns if now_ns is None else now_ns, len(data) if good is None else good
    return head(number, len(data), mtime_ns) + data + struct.pack("!?Qq32s", sound, good, now_ns, digest)


END = head(2, 0)


def pulled(answer: Canned, tmp_path: Path, **noted: object) -> dict[bytes, tuple[bytes, int]]:
    request = request_for(tmp_path / "far", [b"a", b"d/b"], tmp_path / "into")
    stream_download.pull(request, CannedSession(answer), "python3", no_progress, not_noted)
    return got(tmp_path / "into")


@pytest.mark.parametrize("chunk", [1, 7, 1 << 16])
def test_a_stream_in_pieces_of_any_size_is_the_same_files(tmp_path: Path, chunk: int) -> None:
    answer = Canned(one(0, b"1" * 3000) + one(1, b"", mtime_ns=-5 * 10**9) + END, chunk=chunk)
    assert pulled(answer, tmp_path) == {b"a": (b"1" * 3000, WHEN), b"d/b": (b"", -5 * 10**9)}


@pytest.mark.parametrize(
    "said",
    [
        one(2, b"x") + END,  # behind the last one
        one(7, b"x") + END,
        one(1, b"x") + one(0, b"x") + END,  # backwards
        one(0, b"x") + one(0, b"y") + END,  # twice
        head(0, 1 << 63) + b"x",
        head(0, (256 << 20) + 100),
        one(0, b"x", sha256=bytes(32)) + END,
        one(0, b"x", good=2) + END,
        one(0, b"x") + END + b"more",
        b"Welcome to your pod!\n" * 100,
    ],
    ids=range(10),
)
def test_a_stream_that_was_not_requested_is_refused_and_leaves_at_most_whole_files(
    said: bytes, tmp_path: Path
) -> None:
    with pytest.raises(UnsafeFile, match="pod sent"):
        pulled(Canned(said), tmp_path)
    whole = [{}, {b"a": (b"x", WHEN)}, {b"d/b": (b"x", WHEN)}]
    assert got(tmp_path / "into") in whole


@pytest.mark.parametrize(
    "said", [b"", one(0, b"x")[:-1], one(0, b"x"), one(0, b"x") + END[:-1]], ids=range(4)
)
def test_a_stream_without_its_end_broke_off_whatever_the_exit_code_says(said: bytes, tmp_path: Path) -> None:
    with pytest.raises(ConnectionLost, match="broke off"):
        pulled(Canned(said), tmp_path)


@pytest.mark.slow
def test_what_was_on_its_way_when_the_link_broke_after_the_programs_end_is_fetched_again(
    proxied: Inventory, proxy: FaultProxy, tmp_path: Path
) -> None:
    files = {b"%04d" % n: bytes([n]) * 10_000 for n in range(100)}
    put(tmp_path / "far", files)
    request = Pull(
        PurePosixPath(tmp_path / "far"),
        tuple(files),
        (10_000,) * 100,
        tmp_path / "into",
        tmp_path / "live",
    )
    came: list[bytes] = []

    def read_slowly(name: bytes, said: Hashed | None) -> None:
        came.append(name)
        if len(came) == 1:
            time.sleep(1.0)  # all of it is here by then, with its exit code: in ssh, which tells nobody
            proxy.cut()

    with open_session(proxied.host("pod"), proxied) as session:
        session.pull(request, on_hashed=read_slowly)
    assert got(tmp_path / "into") == {n: (data, WHEN) for n, data in files.items()}
    assert len(came) == len(set(came)) == 100


def test_a_link_that_breaks_keeps_what_is_whole_and_nothing_of_the_rest(tmp_path: Path) -> None:
    with pytest.raises(ConnectionLost):
        pulled(Canned(one(0, b"x") + head(1, 50) + b"half", ConnectionLost("cut", host="pod")), tmp_path)
    assert got(tmp_path / "into") == {b"a": (b"x", WHEN)}


def test_a_file_that_was_written_meanwhile_does_not_look_as_it_was_listed(tmp_path: Path) -> None:
    short = one(0, b"x\0\0", sound=False, good=1, now_ns=WHEN + 5)
    grown = one(1, b"y", sound=False, now_ns=WHEN + 7)
    assert pulled(Canned(short + grown + END), tmp_path) == {b"a": (b"x", WHEN + 5), b"d/b": (b"y", WHEN + 7)}


def test_only_a_file_that_did_not_change_meanwhile_counts_as_hashed_by_the_host(tmp_path: Path) -> None:
    noted: list[tuple[bytes, Hashed | None]] = []
    answer = Canned(one(0, b"x", sound=False) + one(1, b"yy") + END)
    request = request_for(tmp_path / "far", [b"a", b"d/b"], tmp_path / "into")
    stream_download.pull(
        request, CannedSession(answer), "python3", no_progress, lambda *each: noted.append(each)
    )
    said = Hashed(2, WHEN, WHEN, 1, hashlib.sha256(b"yy").digest())
    assert noted == [(b"a", None), (b"d/b", said)]
    assert set(got(tmp_path / "into")) == {b"a", b"d/b"}


def test_half_files_of_a_killed_transfer_and_of_rsync_are_removed_when_the_whole_file_arrives(
    tmp_path: Path,
) -> None:
    into = tmp_path / "into"
    half, kept = b".being-remote-0123456789abcdef", PARTIAL_DIR.encode()
    put(into, {half: b"h", b"d/" + kept + b"/b": b"h", b"d/" + kept + b"/other": b"h"})
    put(into, {b".being-remote-notes": b"n"})
    stream_download.sweep(into)
    stream_download.sweep(tmp_path / "none")
    files = pulled(Canned(one(0, b"x") + one(1, b"y") + END), tmp_path)
    assert set(files) == {b"a", b"d/b", b"d/" + kept + b"/other", b".being-remote-notes"}


def test_a_file_that_is_called_like_a_half_one_arrives_like_any_other(tmp_path: Path) -> None:
    name = b".being-remote-0123456789abcdef"
    put(tmp_path / "far", {name: b"1", b"f": b"2"})
    request = request_for(tmp_path / "far", [name, b"f"], tmp_path / "into")
    for _ in range(2):
        stream_download.pull(request, here(), sys.executable, no_progress, not_noted)
        assert {n: data for n, (data, _) in got(tmp_path / "into").items()} == {name: b"1", b"f": b"2"}


@pytest.mark.parametrize("lying, comes", [(b"a/inside", b"d/b"), (b"d", b"a")])
def test_what_lies_in_a_files_place_stays_and_is_reported_and_the_others_arrive(
    tmp_path: Path, lying: bytes, comes: bytes
) -> None:
    put(tmp_path / "into", {lying: b"1"})
    with pytest.raises(HostError, match=r"1 files cannot be put(.|\n)*move away what lies"):
        pulled(Canned(one(0, b"x") + one(1, b"y") + END), tmp_path)
    assert set(got(tmp_path / "into")) == {lying, comes}


def test_an_empty_folder_gives_way_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "into/a").mkdir(parents=True)
    assert set(pulled(Canned(one(0, b"x") + one(1, b"y") + END), tmp_path)) == {b"a", b"d/b"}


def test_a_file_in_a_folder_that_is_called_like_rsyncs_own_stays(tmp_path: Path) -> None:
    names = [b"d/b", b"d/" + PARTIAL_DIR.encode() + b"/b"]
    put(tmp_path / "far", {name: name for name in names})
    request = request_for(tmp_path / "far", names[::-1], tmp_path / "into")
    for _ in range(2):
        stream_download.pull(request, here(), sys.executable, no_progress, not_noted)
        assert set(got(tmp_path / "into")) == set(names)


def test_a_file_that_cannot_be_read_on_the_host_is_an_error_once_the_others_are_local(tmp_path: Path) -> None:
    put(tmp_path / "far", {b"good": b"1"})
    request = request_for(tmp_path / "far", [b"n" * 256, b"good"], tmp_path / "into")
    with pytest.raises(CommandFailed, match="File name too long"):
        stream_download.pull(request, here(), sys.executable, no_progress, not_noted)
    assert set(got(tmp_path / "into")) == {b"good"}


@pytest.mark.slow
def test_progress_is_reported_regularly_and_at_the_end(tmp_path: Path) -> None:
    files = {b"%04d" % n: bytes(1000) for n in range(1000)}
    put(tmp_path / "far", files)
    seen: list[TransferProgress] = []
    stream_download.pull(
        request_for(tmp_path / "far", list(files), tmp_path / "into", 1000),
        here(),
        sys.executable,
        seen.append,
        not_noted,
    )
    assert seen[-1].done == seen[-1].total == 1_000_000 and 3 <= len(seen) <= 6


def test_many_small_files_arrive_by_stream_and_the_large_ones_among_them_by_rsync(
    pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    small = {name + b".%d" % n: name for n in range(3) for name in AWKWARD}
    assert len(small) >= stream_download.MANY
    large = {b"large": bytes(stream_download.SMALL_BYTES + 1)}
    put(tmp_path / "far", small | large)
    names = sorted(small | large)
    sizes = tuple(len((small | large)[n]) for n in names)
    request = Pull(PurePosixPath(tmp_path / "far"), tuple(names), sizes, tmp_path / "into", tmp_path / "live")
    noted: dict[bytes, bytes | None] = {}
    seen: list[TransferProgress] = []
    inventory = make_inventory({"pod": pod})
    with open_session(inventory.host("pod"), inventory) as session:
        came = session.pull(
            request, seen.append, lambda name, said: noted.update({name: said and said.sha256})
        )
    assert got(tmp_path / "into") == {n: (data, WHEN) for n, data in (small | large).items()}
    assert (came.transferred_files, came.transferred_bytes, came.method) == (
        len(names),
        sum(sizes),
        "rsync, stream",
    )
    assert noted == {n: hashlib.sha256(data).digest() for n, data in small.items()}
    done = [p.done for p in seen]
    assert done == sorted(done) and (seen[-1].done, seen[-1].total) == (sum(sizes), sum(sizes))


def test_small_files_of_which_a_part_is_here_are_left_to_rsync(tmp_path: Path) -> None:
    many = request_for(Path("/far"), [b"%d" % n for n in range(stream_download.MANY)], tmp_path / "into")
    assert stream_download.split_by_size(many)[0].names == many.names
    many.unless_in.mkdir()
    assert stream_download.split_by_size(many)[0].names == ()


def test_a_small_file_that_cannot_be_read_stops_no_large_one(
    pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    small = {b"%d" % n: b"x" for n in range(stream_download.MANY)}
    put(tmp_path / "far", {**small, b"large": bytes(stream_download.SMALL_BYTES + 1)})
    names = [*small, b"large", b"n" * 256]
    sizes = (*(1 for _ in small), stream_download.SMALL_BYTES + 1, 1)
    request = Pull(PurePosixPath(tmp_path / "far"), tuple(names), sizes, tmp_path / "into", tmp_path / "live")
    inventory = make_inventory({"pod": pod})
    with (
        open_session(inventory.host("pod"), inventory) as session,
        pytest.raises(CommandFailed, match="File name too long"),
    ):
        session.pull(request)
    assert set(got(tmp_path / "into")) == {*small, b"large"}


def test_a_few_small_files_are_not_worth_a_request_of_their_own() -> None:
    few = request_for(Path("/far"), [b"%d" % n for n in range(stream_download.MANY - 1)], Path("/into"))
    small, rest = stream_download.split_by_size(few)
    assert small.names == () and rest is few
