"""Following a log: every byte once and in order, over links that drop, freeze and lie."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest
from faults import FaultProxy
from hypothesis import given
from hypothesis import strategies as st

from being_remote.demo.pod import Pod
from being_remote.errors import AnswerTimeout, HostError, HostKeyUnknown, NotFoundError, ToolMissing
from being_remote.inventory import Inventory
from being_remote.jobs import logs
from being_remote.jobs.logs import LogChunk, LogEnd, LogLines, attempt_folder
from being_remote.pace import Pace
from being_remote.session import Session, Stream
from being_remote.transport import open_session


@pytest.fixture
def attempt(tmp_path: Path) -> Path:
    """The folder of an attempt that runs, with an empty log."""
    folder = tmp_path / "w" / "jobs" / "demo-a" / "attempts" / "1"
    folder.mkdir(parents=True)
    (folder / "log").touch()
    return folder


def test_the_folder_is_where_the_supervisor_writes() -> None:
    assert str(attempt_folder(PurePosixPath("/w"), "j", 2)) == "/w/jobs/j/attempts/2"


@pytest.fixture(params=["ssh", "local"])
def session(
    request: pytest.FixtureRequest, pod: Pod, make_inventory: Callable[..., Inventory], tmp_path: Path
) -> Iterator[Session]:
    hosts = {"ssh": pod, "local": {"kind": "local", "workdir": str(tmp_path)}}
    inventory = make_inventory({"there": hosts[request.param]})
    with open_session(inventory.host("there"), inventory) as opened:
        yield opened


def end(attempt: Path) -> None:
    (attempt / "end.json").write_text("{}")


def content(items: list[LogChunk | LogEnd]) -> bytes:
    return b"".join(item.data for item in items if isinstance(item, LogChunk))


def read(session: Session, attempt: Path, **options: object) -> list[LogChunk | LogEnd]:
    return list(logs.read(session, "python3", PurePosixPath(attempt), **options))  # type: ignore[arg-type]


class Dripping:
    """A session whose log comes by one letter at a time, over a link that never breaks."""

    host = "pod"

    def stream(self, argv: object, *, stdin: bytes = b"") -> Dripping:
        self._left = b"9999 9999\n" + b"x" * 9999
        self._begun = False
        return self

    def read(self, timeout_s: float) -> bytes:
        data, self._left = self._left[:1], self._left[1:]
        if self._begun and data == b"x":
            return data
        self._begun = self._begun or data == b"\n"
        return data

    def __enter__(self) -> Dripping:
        return self

    def __exit__(self, *exc: object) -> None: ...


def test_a_log_that_is_only_read_ends_where_it_drips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("being_remote.pace.WINDOW_S", 0.0)
    reading = logs.read(
        Dripping(),  # type: ignore[arg-type]  # of a session only the stream is used
        "python3",
        PurePosixPath("/w"),
        offset=9999,
    )
    with pytest.raises(AnswerTimeout, match="bytes came within"):
        list(reading)


def test_the_time_in_which_nobody_asks_for_more_is_not_the_hosts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("being_remote.pace.WINDOW_S", 0.05)
    pace = Pace("pod")
    time.sleep(0.1)
    pace.pause(0.1)
    pace.report(1)


# -- streams ---------------------------------------------------------------------------------------


def test_a_streams_bytes_come_before_its_command_ends(session: Session, tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = 'cat; echo first; while ! test -e "$1"; do sleep 0.02; done; echo second'
    with session.stream(["sh", "-c", script, "sh", str(go)], stdin=b"given\n") as stream:
        said = b""
        while b"first" not in said:
            said += stream.read(10)
        assert said == b"given\nfirst\n"
        with pytest.raises(AnswerTimeout):
            stream.read(0.05)
        go.touch()
        assert stream.read(10) == b"second\n"
        assert stream.read(10) == b""


@pytest.mark.parametrize(("code", "error"), [(3, "CommandFailed"), (127, "ToolMissing"), (0, None)])
def test_a_streams_end_is_the_commands_own(session: Session, code: int, error: str | None) -> None:
    with session.stream(["sh", "-c", f"echo oops >&2; exit {code}"]) as stream:
        if error is None:
            assert stream.read(10) == b""
            return
        with pytest.raises(HostError) as e:
            stream.read(10)
        assert type(e.value).__name__ == error
    with pytest.raises(ToolMissing), session.stream(["no-such-program"]) as stream:
        stream.read(10)


def test_words_of_a_stream_reach_the_command_as_they_are(session: Session) -> None:
    words = ["a b", "it's", "$(id)", "*", "x\ny", "\udcff", ""]
    with session.stream(["printf", r"%s\0", *words]) as stream:
        said = b""
        while data := stream.read(10):
            said += data
    assert [w.decode("utf-8", "surrogateescape") for w in said.split(b"\0")[:-1]] == words


def test_a_closed_stream_leaves_no_command_behind(session: Session, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with session.stream(["sh", "-c", f'echo $$ > "{pid}"; while echo x; do sleep 0.02; done']) as stream:
        assert stream.read(10)
        number = int(pid.read_text())
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{number}/stat").read_text().split()[2] == "Z":
                return
        except (FileNotFoundError, ProcessLookupError):  # the latter: it went between the open and the read
            return
        time.sleep(0.02)
    pytest.fail("it still runs")


def test_streams_over_ssh_share_one_connection(pod: Pod, proxied: Inventory, proxy: FaultProxy) -> None:
    with open_session(proxied.host("pod"), proxied) as session:
        before = proxy.connections
        for _ in range(3):
            with session.stream(["echo", "x"]) as stream:
                assert stream.read(10) == b"x\n"
        assert proxy.connections == before + 1


def test_a_stream_trusts_no_other_key_than_the_session(proxied: Inventory, pod: Pod) -> None:
    (proxied.state / "known_hosts").write_text("")
    with pytest.raises(HostKeyUnknown), open_session(proxied.host("pod"), proxied) as session:
        session.stream(["true"])


# -- logs ------------------------------------------------------------------------------------------


@pytest.fixture
def proxy(pod: Pod) -> Iterator[FaultProxy]:
    with FaultProxy((pod.address, pod.port)) as running:
        yield running


@pytest.fixture
def proxied(pod: Pod, proxy: FaultProxy, make_inventory: Callable[..., Inventory]) -> Inventory:
    quick = {"connect_timeout_s": 3.0, "answer_timeout_s": 10.0}
    inventory = make_inventory({"pod": {**pod.inventory_entry(), "port": proxy.port, **quick}})
    (inventory.state / "known_hosts").parent.mkdir(mode=0o700, exist_ok=True)
    (inventory.state / "known_hosts").write_text(proxy.known_host(pod))
    return inventory


def test_what_is_there_is_read_once_and_from_any_byte_on(session: Session, attempt: Path) -> None:
    (attempt / "log").write_bytes(b"one\ntwo\n")
    assert content(read(session, attempt)) == b"one\ntwo\n"
    assert read(session, attempt, offset=4) == [LogChunk(4, b"two\n"), LogEnd(8, "all")]
    end(attempt)
    assert read(session, attempt, offset=8) == [LogEnd(8, "ended")]


def test_a_log_is_followed_until_its_attempt_has_ended(session: Session, attempt: Path) -> None:
    got = b""
    followed = logs.read(session, "python3", PurePosixPath(attempt), follow=True)
    with (attempt / "log").open("ab", buffering=0) as log:
        for number in range(5):
            line = f"line {number}\n".encode()
            log.write(line)
            while not got.endswith(line):
                item = next(followed)
                assert isinstance(item, LogChunk)
                got += item.data
        log.write(b"the last words")
    end(attempt)
    rest = list(followed)
    assert got + content(rest) == b"".join(b"line %d\n" % n for n in range(5)) + b"the last words"
    assert rest[-1] == LogEnd(len(got) + 14, "ended")


def test_an_attempt_that_waits_is_waited_for(
    session: Session, attempt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "BEAT_S", 0.1)
    later = attempt.parent / "2"
    followed = logs.read(session, "python3", PurePosixPath(later), follow=True)
    assert [next(followed), next(followed)] == [LogChunk(0, b""), LogChunk(0, b"")]
    (later).mkdir()
    (later / "log").write_bytes(b"begun\n")
    end(later)
    assert content(list(followed)) == b"begun\n"


def test_a_newer_attempt_ends_the_following_of_the_older(session: Session, attempt: Path) -> None:
    (attempt / "log").write_bytes(b"x\n")
    (attempt.parent / "2").mkdir()
    assert read(session, attempt, follow=True) == [LogChunk(0, b"x\n"), LogEnd(2, "superseded")]


def test_a_job_that_is_not_there_is_said_so(session: Session, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no job in"):
        read(session, tmp_path / "w" / "jobs" / "nope" / "attempts" / "1", follow=True)


def test_a_log_that_became_shorter_is_an_error_and_not_read_again(session: Session, attempt: Path) -> None:
    (attempt / "log").write_bytes(b"short")
    with pytest.raises(HostError, match="became shorter"):
        read(session, attempt, offset=50)


def test_a_log_that_is_a_link_is_not_read(session: Session, attempt: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (attempt / "log").unlink()
    (attempt / "log").symlink_to(tmp_path / "secret")
    end(attempt)
    assert read(session, attempt, follow=True) == [LogEnd(0, "ended")]


def lines_of(amount: int, seed: int) -> bytes:
    """Numbered lines of very different lengths, some of them not text."""
    rng, out = random.Random(seed), bytearray()
    for number in range(amount):
        out += b"%06d " % number + rng.randbytes(rng.choice((0, 3, 40, 3000))).replace(b"\n", b"") + b"\n"
    return bytes(out)


def followed_through_cuts(
    proxied: Inventory, proxy: FaultProxy, attempt: Path, wanted: bytes, steps: list[int]
) -> bytes:
    """Follow a log that grows, while the link is cut each time that so many more bytes have passed."""
    got, over = bytearray(), threading.Event()

    def grow() -> None:
        with (attempt / "log").open("ab", buffering=0) as log:
            for start in range(0, len(wanted), 2000):
                while start > len(got) + 4000 and not over.is_set():  # never far ahead of the reader
                    time.sleep(0.001)
                log.write(wanted[start : start + 2000])
        end(attempt)

    def cut() -> None:
        for step in [*steps, None]:
            proxy.bytes_from_target, proxy.cut_after = 0, step
            while step is not None and proxy.bytes_from_target <= step and not over.is_set():
                time.sleep(0.002)

    with open_session(proxied.host("pod"), proxied) as session:
        for work in (grow, cut):
            threading.Thread(target=work, daemon=True).start()
        for item in logs.read(session, "python3", PurePosixPath(attempt), follow=True, patience_s=30):
            assert item.offset == len(got)
            if isinstance(item, LogChunk):
                got += item.data
    over.set()
    return bytes(got)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_no_byte_is_lost_or_repeated_when_the_link_is_cut_anywhere(
    proxied: Inventory, proxy: FaultProxy, attempt: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun_at: list[int] = []
    real = logs._open
    monkeypatch.setattr(logs, "_open", lambda *a, **k: begun_at.append(a[3]) or real(*a, **k))
    rng, wanted = random.Random(seed), lines_of(400, seed)
    # Cuts fall into the key exchange, the login, the first bytes and the middle of the log.
    steps = [rng.choice((rng.randrange(1, 3500), rng.randrange(3500, 40_000))) for _ in range(3)]
    got = followed_through_cuts(proxied, proxy, attempt, wanted, [30_000, *steps, 40_000])
    assert hashlib.sha256(got).digest() == hashlib.sha256(wanted).digest(), (len(got), len(wanted))
    assert proxy.connections > 3  # it was cut in earnest,
    assert len(set(begun_at)) > 1, begun_at  # and in the middle of the log


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_no_byte_is_lost_or_repeated_for_a_cut_after_every_so_many_bytes(
    proxied: Inventory, proxy: FaultProxy, attempt: Path
) -> None:
    wanted = lines_of(200, 1)
    for step in range(1, 12_000, 97):
        (attempt / "log").write_bytes(b"")
        (attempt / "end.json").unlink(missing_ok=True)
        got = followed_through_cuts(proxied, proxy, attempt, wanted, [12_000, step])
        assert got == wanted, step


@pytest.mark.slow
def test_a_link_that_freezes_is_noticed_and_followed_on(
    proxied: Inventory, proxy: FaultProxy, attempt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "BEAT_S", 0.1)
    monkeypatch.setattr(logs, "SILENCE_S", 0.7)
    (attempt / "log").write_bytes(b"before\n")
    with open_session(proxied.host("pod"), proxied) as session:
        followed = logs.read(session, "python3", PurePosixPath(attempt), follow=True, patience_s=30)
        assert next(followed) == LogChunk(0, b"before\n")
        proxy.mode = "hang"
        threading.Timer(1.5, lambda: setattr(proxy, "mode", "ok")).start()
        with (attempt / "log").open("ab") as log:
            log.write(b"while frozen\n")
        end(attempt)
        assert content(list(followed)) == b"while frozen\n"


@pytest.mark.slow
def test_a_host_that_stays_away_is_an_error_after_the_patience(
    proxied: Inventory, proxy: FaultProxy, attempt: Path
) -> None:
    with open_session(proxied.host("pod"), proxied) as session:
        followed = logs.read(session, "python3", PurePosixPath(attempt), follow=True, patience_s=1.5)
        next(followed)
        proxy.mode = "refuse"
        proxy.cut()
        started = time.monotonic()
        with pytest.raises(HostError):
            list(followed)
        assert time.monotonic() - started < 10


class Said:
    """A session whose stream says what it is told to."""

    host = "pod"

    def __init__(self, *said: bytes) -> None:
        self.said = list(said)

    def stream(self, argv: object, *, stdin: bytes = b"") -> Stream:
        return self  # type: ignore[return-value]

    def read(self, timeout_s: float) -> bytes:
        return self.said.pop(0)

    def __enter__(self) -> Said:
        return self

    def __exit__(self, *exc: object) -> None: ...


@pytest.mark.parametrize(
    "said",
    [
        b"hello\n",
        b"0 9999999\n",
        b"7 3\nabc",  # not the byte that was asked for
        b"0 -1\n",
        b"x" * 100,
        b"end 0 because\n",
        b"0 3\nabcend 2 ended\n",
        "٣ 1\n".encode(),
    ],
)
def test_a_stream_that_is_none_of_ours_is_refused(said: bytes) -> None:
    with pytest.raises(HostError, match="malformed log"):
        read(Said(said), Path("/x"))  # type: ignore[arg-type]


@given(st.binary(max_size=400), st.lists(st.integers(1, 50), max_size=20))
def test_however_the_stream_is_cut_into_pieces_the_bytes_are_the_same(data: bytes, cuts: list[int]) -> None:
    half = len(data) // 2
    framed = b"0 %d\n%b%d 0\n" % (half, data[:half], half) if half else b""
    framed += b"%d %d\n%bend %d ended\n" % (half, len(data) - half, data[half:], len(data))
    pieces, at = [], 0
    for cut in [*cuts, len(framed)]:
        pieces.append(framed[at : at + cut])
        at += cut
    items = read(Said(*filter(None, pieces)), Path("/x"))  # type: ignore[arg-type]
    assert content(items) == data and items[-1] == LogEnd(len(data), "ended")


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=20))
def test_lines_are_whole_and_tell_where_they_begin(data: bytes, cuts: list[int]) -> None:
    lines, found, at = LogLines(), [], 0
    for cut in [*cuts, len(data)]:
        found += lines.add(LogChunk(at, data[at : at + cut]))
        at = min(len(data), at + cut)
    found += lines.rest()
    expected = data.split(b"\n")
    expected = expected[:-1] if expected[-1] == b"" else expected
    assert [line.text for line in found] == [e.decode("utf-8", "backslashreplace") for e in expected]
    assert all(data[line.offset :].startswith(e) for line, e in zip(found, expected, strict=True))


def test_a_line_without_an_end_is_cut_and_memory_stays_small() -> None:
    lines, found = LogLines(), []
    for n in range(40):
        found += lines.add(LogChunk(n * 10_000, b"x" * 10_000))
    assert sum(len(line.text) for line in found + lines.rest()) == 400_000
    assert max(len(line.text) for line in found) <= logs.MAX_LINE_BYTES


_MEASURE = """
import json, resource, sys
from pathlib import Path, PurePosixPath
from being_remote.inventory import load_inventory
from being_remote.jobs import logs
from being_remote.transport import open_session
inventory = load_inventory(Path(sys.argv[1]))
amount = 0
with open_session(inventory.host("pod"), inventory) as session:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = logs.LogLines()
    for item in logs.read(session, "python3", PurePosixPath(sys.argv[2])):
        if isinstance(item, logs.LogChunk):
            amount += len(item.data)
            lines.add(item)
print(json.dumps([amount, before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


@pytest.mark.slow
def test_the_length_of_a_log_costs_no_memory(
    pod: Pod, make_inventory: Callable[..., Inventory], attempt: Path
) -> None:
    inventory = make_inventory({"pod": pod})
    with (attempt / "log").open("wb") as log:
        for _ in range(64):
            log.write((b"frame 00001: loss 0.123456789\n" * 40_000)[: 1 << 20])
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(inventory.path), str(attempt)],
        capture_output=True,
        text=True,
        env={**os.environ},
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    amount, before_kib, after_kib = json.loads(done.stdout)
    assert amount == 64 << 20
    assert after_kib - before_kib < 8 << 10, (before_kib, after_kib)
