"""A log past its bound keeps its newest part visible; `--tail` and `--since` begin where they say."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from being_remote.errors import NotFoundError
from being_remote.inventory import LocalHost
from being_remote.jobs import logs
from being_remote.jobs.logs import LogChunk, LogEnd, LogLines, LogStart
from being_remote.pod import newest_log
from being_remote.pod.newest_log import LogTimes, NewestLog
from being_remote.transport.local_session import LocalSession
from being_remote.workflows import logs as workflow


@pytest.fixture
def attempt(tmp_path: Path) -> Path:
    folder = tmp_path / "w" / "jobs" / "demo-a" / "attempts" / "1"
    folder.mkdir(parents=True)
    return folder


def lines_of(attempt: Path, **options: Any) -> list[str]:
    session, lines, found = LocalSession(LocalHost(name="here", workdir=attempt)), LogLines(), []
    for item in logs.read(session, sys.executable, PurePosixPath(attempt), **options):
        found += lines.add(item) if isinstance(item, LogChunk) else lines.rest()
    return [line.text for line in found]


def numbered(first: int, last: int) -> bytes:
    return b"".join(b"line %06d\n" % n for n in range(first, last))


def write_past_its_bound(attempt: Path, monkeypatch: pytest.MonkeyPatch) -> NewestLog:
    """1000 lines up to the bound; of the 9000 after it the newest stay."""
    monkeypatch.setattr(newest_log, "MIN_PART_BYTES", 6000)
    (attempt / "log").write_bytes(numbered(0, 1000))
    log = NewestLog(str(attempt / "log"), 12_000)
    for n in range(1000, 10_000, 10):
        log.add(numbered(n, n + 10))
        log.write()
    return log


def test_a_reader_sees_the_beginning_how_much_is_left_out_and_the_newest_part(
    attempt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_past_its_bound(attempt, monkeypatch)
    seen = lines_of(attempt)
    assert seen[:1000] == numbered(0, 1000).decode().splitlines()
    newest = int(seen[-1].split()[1])
    assert newest == 9999
    assert seen[1001:] == [f"line {n:06}" for n in range(10_000 - len(seen) + 1001, 10_000)]
    left_out = int(seen[1000].removeprefix("[... ").split()[0])
    assert left_out + 12 * (len(seen) - 1) == 120_000
    assert len(seen) - 1001 >= 500  # at least one whole part of 6000 bytes
    assert sum(p.stat().st_size for p in attempt.iterdir()) <= 12_000 + 2 * 6_000


def test_a_follower_that_is_slower_than_the_payload_continues_with_what_is_still_there(
    attempt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = write_past_its_bound(attempt, monkeypatch)
    session = LocalSession(LocalHost(name="here", workdir=attempt))
    read = logs.read(session, sys.executable, PurePosixPath(attempt), follow=True)
    lines, found = LogLines(), []
    for item in read:
        assert isinstance(item, LogChunk | LogEnd)
        found += lines.add(item) if isinstance(item, LogChunk) else lines.rest()
        if found and found[-1].text == "line 009999":
            for n in range(10_000, 20_000, 10):
                log.add(numbered(n, n + 10))
                log.write()
        if found and found[-1].text == "line 019999":
            (attempt / "end.json").write_text("{}")
    assert found[-1].text == "line 019999"
    offsets = [line.offset for line in found]
    assert offsets == sorted(offsets)
    plain = [line for line in found if line.text.startswith("line")]
    assert all(line.offset == 12 * int(line.text.split()[1]) for line in plain)
    assert len({line.offset for line in plain}) == len(plain)


def test_a_writer_that_was_killed_is_continued_without_a_gap(
    attempt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_past_its_bound(attempt, monkeypatch)
    second = NewestLog(str(attempt / "log"), 12_000)
    second.add(numbered(10_000, 10_010))
    second.write()
    assert lines_of(attempt)[-11:] == [f"line {n:06}" for n in range(9999, 10_010)]


@pytest.mark.parametrize("tail", [0, 1, 2, 10, 499, 900, 1200, 100_000])
def test_the_last_lines_are_as_many_as_were_asked_for(
    attempt: Path, monkeypatch: pytest.MonkeyPatch, tail: int
) -> None:
    write_past_its_bound(attempt, monkeypatch)
    whole = lines_of(attempt)
    seen = lines_of(attempt, start=LogStart(tail=tail))
    if tail < 900:
        assert seen == ([f"line {n:06}" for n in range(10_000 - tail, 10_000)] if tail else [])
    elif tail == 100_000:
        assert seen == whole
    else:
        assert [s for s in seen if s.startswith("line")] == [s for s in whole if s.startswith("line")][-tail:]


@pytest.mark.parametrize(
    ("text", "tail", "seen"),
    [("a\nb\nc", 2, ["b", "c"]), ("a\nb\n", 1, ["b"]), ("", 3, []), ("\n\n", 1, [""])],
)
def test_a_last_line_without_its_end_counts(attempt: Path, text: str, tail: int, seen: list[str]) -> None:
    (attempt / "log").write_text(text)
    assert lines_of(attempt, start=LogStart(tail=tail)) == seen


def test_of_a_log_in_which_nothing_was_written_yet_nothing_is_left_out(attempt: Path) -> None:
    (attempt / "log").write_bytes(b"")
    assert newest_log.offset_since(str(attempt / "log"), 60.0) == 0


@pytest.mark.parametrize("text", ["one\ntwo\n", "one\ntwo"])
def test_no_last_lines_of_a_log_are_none(attempt: Path, text: str) -> None:
    (attempt / "log").write_text(text)
    assert lines_of(attempt, start=LogStart(tail=0)) == []


def test_what_was_written_lately_is_shown_and_little_that_is_older(
    attempt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1_000_000.0]
    monkeypatch.setattr(newest_log.time, "time", lambda: clock[0])
    monkeypatch.setattr(newest_log, "TIMES_EVERY_S", 0.0)
    times = LogTimes(str(attempt / "log"))
    (attempt / "log").write_bytes(b"")
    for n in range(20):
        times.note()
        with (attempt / "log").open("ab") as log:
            log.write(b"minute %d\n" % n)
        clock[0] += 60
    monkeypatch.undo()
    begin = newest_log.offset_since
    ago = time.time() - clock[0]
    data = (attempt / "log").read_bytes()
    assert data[begin(str(attempt / "log"), ago + 130) or 0 :] == b"minute 18\nminute 19\n"
    assert begin(str(attempt / "log"), ago + 1e6) == 0
    assert lines_of(attempt, start=LogStart(since_s=ago + 190)) == ["minute 17", "minute 18", "minute 19"]
    assert lines_of(attempt, start=LogStart(since_s=1.0)) == []
    assert lines_of(attempt, start=LogStart(tail=1, since_s=ago + 190)) == ["minute 19"]


def test_a_log_without_times_is_not_taken_for_one_in_which_nothing_was_written(attempt: Path) -> None:
    assert lines_of(attempt, start=LogStart(since_s=60)) == []  # there is no log yet
    (attempt / "log").write_text("old\n")
    with pytest.raises(NotFoundError, match="has no times") as e:
        lines_of(attempt, start=LogStart(since_s=60))
    assert "--tail" in e.value.hint


@pytest.mark.slow
def test_the_command_prints_the_last_lines_followed_or_not(works: Any) -> None:
    job = works.command("for i in 1 2 3 4; do echo $i; done", follow_it=True).job

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "being_remote", "logs", str(job), *words]
        argv += [f"--inventory={works.inventory.path}"]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60)

    done = run("--tail=2", "--json")
    assert [line["line"] for line in json.loads(done.stdout)["lines"]] == ["3", "4"]
    followed = [json.loads(line) for line in run("--tail=1", "--follow", "--json").stdout.splitlines()]
    assert [line["line"] for line in followed if "line" in line] == ["4"]
    assert run("--since=yesterday").returncode == 2
    assert workflow.logs(works.inventory, str(job), start=LogStart(tail=1)).lines[0].offset == 6


@pytest.mark.slow
def test_a_job_that_writes_more_than_its_log_holds_is_seen_at_work_and_not_ended_as_stalled(
    desk: Any,
) -> None:
    write = "head -c 9000 /dev/zero | tr '\\0' x; echo; echo n $i; sleep 0.1"
    write = f"i=0; while [ $i -lt 60 ]; do i=$((i+1)); {write}; done"
    spec = desk.spec("sh", "-c", f"{write}; echo it is over; exit 3", log_bytes=4096, stall_s=3.0)
    desk.submit(spec)
    desk.until(spec.job, "running")
    folder, seen = desk.folder(spec.job, 1), 0
    while seen < 20:  # far beyond the bound, while it runs
        last = [line for line in lines_of(folder, start=LogStart(tail=2)) if line.startswith("n ")]
        seen = int(last[-1].split()[1]) if last else 0
    assert desk.see(spec.job).state == "running"
    ended = desk.until(spec.job, "failed")
    assert ended.reason == "sh ended with 3; last in its log: it is over"
    assert sum(p.stat().st_size for p in folder.iterdir() if p.is_file()) < 4096 + 2 * 65536 + 20_000
