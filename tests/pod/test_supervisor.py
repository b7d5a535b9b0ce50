"""The parts of the supervisor: the folded log, the records."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from being_remote.pod import folded_log, job_records, newest_log, processes, start_gate, supervisor
from being_remote.pod.job_paths import JobPaths


def folded(tmp_path: Path, *pieces: bytes, limit: int = 10_000) -> bytes:
    path = tmp_path / "log"
    log = folded_log.FoldedLog(str(path), limit)
    for piece in pieces:
        log.feed(piece)
    log.finish()
    return b"".join(Path(part).read_bytes() for _, part in newest_log.find_parts(str(path)))


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"a\nb\n", b"a\nb\n"),
        (b"a\r\nb\r\n", b"a\nb\n"),
        (b"1%\r2%\r3%\ndone", b"3%\ndone\n"),
        (b"1%\r2%\r", b"2%\n"),
        (b"\r1%\r2%\n", b"2%\n"),
        (b"a\r\r\nb", b"a\nb\n"),
        (b"\n\n", b"\n\n"),
        (b"no end \xff\x00", b"no end \xff\x00\n"),
        (b"\x0bv\x0cf\x1cx\n", b"\x0bv\x0cf\x1cx\n"),
    ],
)
def test_what_a_terminal_would_overwrite_is_overwritten_wherever_the_pieces_are_cut(
    tmp_path: Path, said: bytes, shown: bytes
) -> None:
    for at in range(len(said) + 1):
        assert folded(tmp_path, said[:at], said[at:]) == shown, at
        (tmp_path / "log").unlink()


def test_a_bar_is_shown_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folded_log, "SHOWN_EVERY_S", 0.0)
    assert folded(tmp_path, b"1%\r2%\r3%") == b"1%\n2%\n3%\n"


def test_beyond_its_bound_a_log_keeps_its_end(tmp_path: Path) -> None:
    lines = [b"line %06d\n" % i for i in range(20_000)]
    log = folded(tmp_path, *lines, limit=5000)
    assert newest_log.MIN_PART_BYTES < len(log) <= 5000 + 2 * newest_log.MIN_PART_BYTES
    assert log.startswith(lines[0]) and log.endswith(lines[-1])
    assert newest_log.log_end(str(tmp_path / "log")) == 240_000


def test_what_a_full_disk_refuses_of_a_log_waits_and_what_is_too_much_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, full = os.write, [True]

    def refuse(fd: int, data: bytes) -> int:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr(os, "write", refuse)
    log = folded_log.FoldedLog(str(tmp_path / "log"), 100 << 20)
    lines = [b"line %07d\n" % i for i in range(200_000)]
    for first in range(0, len(lines), 1000):
        log.feed(b"".join(lines[first : first + 1000]))
    assert log.is_waiting and (tmp_path / "log").stat().st_size == 0
    full.clear()
    log.retry()
    assert not log.is_waiting
    note, _, kept = (tmp_path / "log").read_bytes().lstrip().partition(b"\n")
    refused = int(note.split()[1])
    assert note == b"[... %d bytes are left out here, the disk was full ...]" % refused
    assert 0 < len(kept) <= newest_log.MAX_WAITING_BYTES
    assert kept == b"".join(lines)[refused:] and kept.startswith(b"line ")


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    log = folded(tmp_path, *([b"x" * 1000] * 200), limit=1_000_000)
    assert log.replace(b"\n", b"") == b"x" * 200_000


def test_records_are_whole_or_absent_and_odd_ones_are_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "r.json")
    assert job_records.read_json(path) is None
    job_records.write_json(path, {"a": 1})
    assert job_records.read_json(path) == {"a": 1} and os.listdir(tmp_path) == ["r.json"]
    for odd in (b"[]", b"\xff", b'{"a":', b"[" * 5000, b" " * (2 << 20)):
        (tmp_path / "r.json").write_bytes(odd)
        with pytest.raises(ValueError):
            job_records.read_json(path)
    os.unlink(path)
    os.mkfifo(path)
    with pytest.raises(ValueError):
        job_records.read_json(path)


def test_of_two_that_found_nothing_one_passes_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a volume that two pods see, whose locks are not one."""
    folder = tmp_path / "jobs" / "a-1"
    (folder / "attempts").mkdir(parents=True)
    (folder / "spec.json").write_text('{"gpus": 0}')
    monkeypatch.setattr(supervisor, "Wakeups", object)
    request = {"workdir": str(tmp_path), "job": "a-1", "attempt": 1, "answer": None}
    both = [supervisor.Supervisor(request) for _ in range(2)]
    for one in both:
        assert not one._is_unfinished()
    assert start_gate.pass_gate(both[0].paths, 1)
    with pytest.raises(supervisor.NothingToDo, match="another pod already started this attempt"):
        both[1]._run_locked([os.open(tmp_path, os.O_RDONLY)])


def test_a_process_is_known_by_its_start_and_not_by_its_number_alone() -> None:
    me = processes.identify(os.getpid())
    assert processes.is_alive(me) is True
    assert processes.is_alive({**me, "start": me["start"] + 1}) is False
    assert processes.is_alive({"pid": os.getpid(), "start": None}) is None


def test_attempts_that_were_asked_for_count_and_odd_names_do_not(tmp_path: Path) -> None:
    for name in ("1", "2", "10", "0", "x", "3.asked.tmp", "99999"):
        (tmp_path / "attempts" / name).mkdir(parents=True)
    job = JobPaths(str(tmp_path))
    start_gate.ask_for(job, 11)
    assert start_gate.list_attempts(job) == ([1, 2, 10], 11)
