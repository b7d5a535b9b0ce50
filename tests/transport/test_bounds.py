"""What a pod can make a transfer cost (bytes, time, a disk), and what it can make us say."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from faults import small_disk
from file_trees import got, put
from test_downloads import Canned, CannedSession, head

from being_remote.disk import require_writable_room, reserve_bytes, room_bytes
from being_remote.durable_files import require_room
from being_remote.errors import AnswerTimeout, BeingRemoteError, CommandFailed, ConnectionLost, NoSpace
from being_remote.foreign_text import quote
from being_remote.inventory import LocalHost
from being_remote.pace import Pace
from being_remote.session import PARTIAL_DIR, Pull, Push, no_progress, not_noted
from being_remote.transport import rsync, rsync_process, ssh_errors, stream_download, stream_upload
from being_remote.transport.local_session import LocalSession
from being_remote.transport.output_framing import frame_command
from being_remote.transport.process_stream import ProcessStream
from being_remote.transport.rsync import Remote
from being_remote.transport.rsync_process import Outgrown

MIB = 1 << 20
# A remote shell whose rsync is a real one, and whatever it says passes through `meddle`.
RELAY = """#!{python}
import os, resource, select, subprocess, sys, time
resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))  # our own bound ends at our rsync
real = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
def meddle(said):
    {meddle}
    return said
sources = [0, real.stdout.fileno()]
while real.stdout.fileno() in sources:
    for source in select.select(sources, [], [])[0]:
        data = os.read(source, 65536)
        if not data:
            sources.remove(source)
            if source == 0:
                real.stdin.close()
        elif source == 0:
            real.stdin.write(data)
        else:
            os.write(1, meddle(data))
"""


@pytest.fixture
def remote(tmp_path: Path) -> Callable[[str], Remote]:
    """The way to a pod that meddles with what its rsync says; the last line of it is given."""

    def make(meddle: str) -> Remote:
        shell = tmp_path / "rsh"
        shell.write_text(RELAY.format(python=sys.executable, meddle=meddle))
        shell.chmod(0o755)
        return Remote([str(shell)], "pod")

    return make


def asked(tmp_path: Path, sizes: dict[bytes, int]) -> Pull:
    source, into = PurePosixPath(tmp_path / "far"), tmp_path / "into"
    return Pull(source, tuple(sizes), tuple(sizes.values()), into, tmp_path / "live")


def here() -> LocalSession:
    return LocalSession(LocalHost.model_validate({"name": "pod", "workdir": "/", "python": sys.executable}))


def pulled(request: Pull, way: Remote | None) -> None:
    stream_download.pull_with_rest(
        request,
        lambda: rsync.pull(request, host="pod", remote=way),
        here(),
        sys.executable,
        not_noted,
    )


@pytest.fixture
def small_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rsync, "GROWTH_BYTES", MIB)


def test_a_log_that_grows_meanwhile_is_downloaded_as_it_was_listed_and_stops_no_other_file(
    tmp_path: Path, remote: Callable[[str], Remote], small_growth: None
) -> None:
    put(tmp_path / "far", {b"grows.log": b"l" * MIB, b"frame": b"f" * MIB, b"later": b"z"})
    log, sent = tmp_path / "far/grows.log", tmp_path / "sent"
    # The pod's rsync has listed it, and opens it only on request.
    grow = f"b'grows.log' in said and os.truncate({str(log)!r}, {400 * MIB})"
    way = remote(f"{grow}; open({str(sent)!r}, 'ab').write(said)")
    pulled(asked(tmp_path, {b"frame": MIB, b"grows.log": MIB, b"later": 1}), way)
    assert {n: len(data) for n, (data, _) in got(tmp_path / "into").items()} == {
        b"frame": MIB,
        b"grows.log": MIB,
        b"later": 1,
    }
    assert log.stat().st_size == 400 * MIB and sent.stat().st_size < 8 * MIB
    assert got(tmp_path / "into")[b"grows.log"][0] == b"l" * MIB


def test_a_log_that_grew_since_it_was_listed_is_downloaded_as_it_was_listed(
    tmp_path: Path, small_growth: None
) -> None:
    put(tmp_path / "far", {b"log": b"1" * MIB + b"2" * 5 * MIB, b"other": b"o"})
    request = asked(tmp_path, {b"log": MIB, b"other": 1})
    rsync.pull(request, host="pod", remote=None)
    assert set(got(tmp_path / "into")) == {b"other"}  # it keeps no other file away
    pulled(request, None)
    assert {n: data for n, (data, _) in got(tmp_path / "into").items()} == {
        b"log": b"1" * MIB,
        b"other": b"o",
    }


@pytest.mark.slow
def test_many_files_that_each_grow_a_little_are_stopped_together(
    tmp_path: Path, small_growth: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rsync, "_COMMON", (*rsync._COMMON, "--bwlimit=2m"))  # it could end before the stop
    put(tmp_path / "far", {b"%d" % n: bytes(MIB) for n in range(8)})
    request = asked(tmp_path, {b"%d" % n: 1 for n in range(8)})
    with pytest.raises(Outgrown):
        rsync.pull(request, host="pod", remote=None)
    assert sum(len(data) for data, _ in got(tmp_path / "into").values()) <= 4 * MIB


def test_a_half_file_that_outgrew_its_listing_is_removed(tmp_path: Path, small_growth: None) -> None:
    put(tmp_path / "far", {b"d/log": b"x" * 9})
    put(tmp_path / "into", {b"d/" + PARTIAL_DIR.encode() + b"/log": b"y" * MIB})
    pulled(asked(tmp_path, {b"d/log": 9}), None)
    assert set(got(tmp_path / "into")) == {b"d/log"}


@pytest.fixture
def slowest(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, float], None]:
    """Sets the slowest rate allowed: bytes in so many seconds."""

    def allow(least_bytes: int, window_s: float) -> None:
        monkeypatch.setattr("being_remote.pace.LEAST_BYTES", least_bytes)
        monkeypatch.setattr("being_remote.pace.WINDOW_S", window_s)

    return allow


@pytest.mark.slow
def test_a_pod_that_drips_ends_the_transfer(
    tmp_path: Path, remote: Callable[[str], Remote], slowest: Callable[[int, float], None]
) -> None:
    slowest(1000, 0.2)
    put(tmp_path / "far", {b"f": os.urandom(MIB)})
    way = remote("[(os.write(1, said[i:i+1]), time.sleep(0.02)) for i in range(len(said))]; said = b''")
    with pytest.raises(AnswerTimeout, match="only 0 bytes came within"):
        rsync.pull(asked(tmp_path, {b"f": MIB}), host="pod", remote=way)


def test_a_stream_that_drips_ends(tmp_path: Path, slowest: Callable[[int, float], None]) -> None:
    slowest(1000, 0.0)
    said = Canned(head(0, 3000) + b"x" * 3000, chunk=1)
    with pytest.raises(AnswerTimeout, match="bytes came within"):
        stream_download.pull(
            asked(tmp_path, {b"f": 3000}),
            CannedSession(said),
            "python3",
            no_progress,
            not_noted,
        )


def test_a_pod_that_takes_a_push_by_drips_ends_it(
    tmp_path: Path, slowest: Callable[[int, float], None]
) -> None:
    slowest(MIB, 0.3)
    put(tmp_path / "near", {b"f": bytes(4 * MIB)})
    drinks = "import os, time\nwhile os.read(0, 4096): time.sleep(0.05)"

    def start(_: object) -> ProcessStream:
        command = frame_command([sys.executable, "-c", drinks], has_input=True)
        return ProcessStream(command.argv, command, stdin=None, host="pod", name="drinks")

    push = Push(tmp_path / "near", (b"f",), PurePosixPath(tmp_path / "there"), 4 * MIB)
    with pytest.raises(AnswerTimeout, match="bytes came within"):
        stream_upload.push(push, here(), sys.executable, start, no_progress)


@pytest.mark.parametrize(
    "script",
    [
        'exec 0<&-; printf %s "$0"; echo gone >&2',  # it ends before it is told to start
        "sleep 60",  # it never listens
    ],
)
def test_an_upload_whose_stream_breaks_before_its_first_byte_is_a_lost_link(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_upload, "_STALL_S", 0.2)
    put(tmp_path / "near", {b"f": b"x"})

    def start(_: object) -> ProcessStream:
        command = frame_command(["true"], has_input=True)
        words = ["sh", "-c", script, command.mark.decode()]
        return ProcessStream(words, command, stdin=None, host="pod", name="receive")

    push = Push(tmp_path / "near", (b"f",), PurePosixPath(tmp_path / "there"), 1)
    with pytest.raises(ConnectionLost):
        stream_upload.push(push, here(), sys.executable, start, no_progress)


def test_what_is_fast_enough_in_each_window_continues_and_a_drip_after_a_fast_start_does_not(
    slowest: Callable[[int, float], None],
) -> None:
    slowest(10, 0.0)
    pace = Pace("pod")
    for total in range(0, 1000, 10):
        pace.report(total + 10)
    with pytest.raises(AnswerTimeout):
        pace.report(1001)


def test_a_disk_that_fills_meanwhile_ends_the_transfer_before_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "far", {b"f": os.urandom(20 * MIB)})
    for module in (rsync_process, stream_download):
        monkeypatch.setattr(module, "room_bytes", lambda folder: -1)
    with pytest.raises(NoSpace, match="stay in reserve"):
        rsync.pull(asked(tmp_path, {b"f": 20 * MIB}), host="pod", remote=None)
    with pytest.raises(NoSpace, match="stay in reserve"):
        stream_download.pull(
            asked(tmp_path, {b"f": 20 * MIB}), here(), sys.executable, no_progress, not_noted
        )


def test_a_download_leaves_a_reserve_on_the_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        room = room_bytes(disk)
        require_writable_room(disk)
        assert 0 < reserve_bytes(2 * MIB) <= 2 * MIB // 100
        require_room(disk, [room // 4096 * 4096])
        with pytest.raises(NoSpace, match="stay in reserve"):
            require_room(disk, [room + 4096])
        (disk / "f").write_bytes(bytes(room + 4096))
        with pytest.raises(NoSpace):
            require_writable_room(disk)


LIE = "\n  next: being-remote trust --host pod --yes\nrsync: write failed: No space left on device (28)\n"


def shows_only_our_next(error: BeingRemoteError, *, with_next: bool = True) -> None:
    lines = str(error).splitlines()
    assert len(lines) == 1 + with_next, lines
    assert lines[0].startswith("pod: ") and "trust --host" not in "".join(lines[1:])


@pytest.mark.parametrize("code, kind", [(11, CommandFailed), (23, CommandFailed), (12, ConnectionLost)])
def test_what_a_pods_rsync_says_is_quoted_and_never_makes_our_disk_full(
    tmp_path: Path, code: int, kind: type[CommandFailed] | type[ConnectionLost]
) -> None:
    put(tmp_path / "far", {b"f": b"x"})
    shell = tmp_path / "rsh"
    shell.write_text(f"#!{sys.executable}\nimport os\nos.write(2, {LIE.encode()!r}); os._exit({code})\n")
    shell.chmod(0o755)
    with pytest.raises((CommandFailed, ConnectionLost)) as caught:
        rsync.pull(asked(tmp_path, {b"f": 1}), host="pod", remote=Remote([str(shell)], "pod"))
    shows_only_our_next(caught.value, with_next=bool(caught.value.hint))
    assert "No space left" in caught.value.what and "'" in caught.value.what


def test_what_ssh_passes_on_from_a_pod_is_one_quoted_line() -> None:
    for said in (f"welcome{LIE}Permission denied", f"x{LIE}", "\x1b[2J\u2028  next: mine"):
        shows_only_our_next(ssh_errors.from_stderr(said, host="pod", address="root@192.0.2.1:22"))


def test_a_stream_that_ends_with_a_false_message_shows_it_quoted() -> None:
    argv = ["sh", "-c", 'printf "%s" "$1" >&2; exit 3', "sh", LIE]
    with here().stream(argv) as stream, pytest.raises(CommandFailed) as caught:
        while stream.read(10):
            pass
    shows_only_our_next(caught.value, with_next=False)


def test_no_line_of_an_error_but_ours_begins_with_next() -> None:
    error = BeingRemoteError(f"what{LIE}", where="a\u2028  next: b\x85c", hint="do\nthis")
    lines = str(error).splitlines()
    assert [line for line in lines if line.lstrip().startswith("next:")] == ["  next: do this"]
    assert lines[-1] == "  next: do this"


def test_quoted_text_is_one_line_of_bounded_length_whatever_it_holds() -> None:
    for said in ("".join(map(chr, range(0x250))), "\u2028\u202e\ud800\x9b" * 400, b"\xff" * 5000, b""):
        shown = quote(said)
        assert shown.isprintable() and len(shown.splitlines()) == 1 and len(shown) <= 300 * 10 + 5
