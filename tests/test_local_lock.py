"""Locks on this laptop: one holder at a time, on a disk with flock and on one that refuses it."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from refusing_disk import refusing

from being_remote import local_lock
from being_remote.errors import Busy
from being_remote.local_lock import (
    LockOwner,
    LockRequest,
    _takers_of_this_machine,
    _this_process,
    held_lock,
    read_holder,
)

_HOLD = """
import sys
from pathlib import Path
from being_remote.local_lock import LockRequest, held_lock
asked = LockRequest(float(sys.argv[2]), bool(sys.argv[3:]))
with held_lock(Path(sys.argv[1]), "another holds it", where="here", asked=asked, options=True):
    print("held", flush=True)
    sys.stdin.read()
"""
REFUSALS = ["ENOLCK", "ENOSYS", "ENOTSUP", "EINVAL"]


class Contender:
    """Processes that want one lock, where flock is refused or not."""

    def __init__(self, folder: Path, refusal: str | None) -> None:
        self.lock, self.claim = folder / "lock", folder / "lock.held"
        self._env = {**os.environ, **(refusing(folder, flock=refusal) if refusal else {})}

    def _words(self, wait_s: float, *more: str) -> list[str]:
        return [sys.executable, "-c", _HOLD, str(self.lock), str(wait_s), *more]

    def start(self, wait_s: float = 0.0) -> subprocess.Popen[str]:
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(self._words(wait_s), env=self._env, text=True, **streams)  # type: ignore[call-overload, no-any-return]  # streams of one kind

    @contextmanager
    def held(self) -> Iterator[subprocess.Popen[str]]:
        with self.start() as holder:
            assert holder.stdout is not None and holder.stdout.readline() == "held\n"
            try:
                yield holder
            finally:
                holder.kill()

    def take(self, *more: str) -> str:
        """ "held", or why not."""
        done = subprocess.run(
            self._words(0.0, *more), env=self._env, text=True, capture_output=True, input=""
        )
        return done.stdout.strip() or done.stderr.rpartition("Busy: ")[2]


@pytest.fixture(params=[None, "ENOLCK"], ids=["flock", "no flock"])
def contender(tmp_path: Path, request: pytest.FixtureRequest) -> Contender:
    return Contender(tmp_path, request.param)


def test_a_second_command_is_refused_and_told_who_holds_the_lock(contender: Contender) -> None:
    with contender.held() as holder:
        said = contender.take()
        assert f"another holds it (process {holder.pid} on " in said and "sync --wait" in said
    assert contender.take() == "held"


def test_a_lock_is_free_when_its_holder_ends_and_leaves_no_file(contender: Contender) -> None:
    for _ in range(2):
        assert contender.take() == "held"
        assert not contender.claim.exists()


def test_a_killed_holder_frees_the_lock(contender: Contender) -> None:
    with contender.held() as holder:
        holder.kill()
        holder.wait()
        assert contender.take() == "held"


def test_a_command_that_waits_gets_the_lock_when_it_is_free(contender: Contender) -> None:
    with contender.held() as holder, contender.start(wait_s=60.0) as waiting:
        assert holder.stdin is not None and waiting.stdout is not None
        holder.stdin.close()
        assert waiting.stdout.readline() == "held\n"
        waiting.kill()


@pytest.mark.parametrize("refusal", REFUSALS)
def test_whatever_a_disk_says_that_offers_no_flock_one_process_holds_the_lock(
    tmp_path: Path, refusal: str
) -> None:
    contender = Contender(tmp_path, refusal)
    with contender.held() as holder:
        assert contender.claim.exists() and str(holder.pid) in contender.take()
        assert str(holder.pid) in contender.take("break")


@pytest.mark.parametrize(
    ("boot", "namespace"), [("0" * 36, None), (None, 1), ("-", None)], ids=["boot", "container", "unknown"]
)
def test_a_lock_file_of_another_boot_machine_or_container_is_kept_until_a_person_breaks_it(
    tmp_path: Path, boot: str | None, namespace: int | None
) -> None:
    contender, me = Contender(tmp_path, "ENOLCK"), _this_process()
    dead = subprocess.Popen(["true"])
    dead.wait()
    contender.claim.write_text(
        LockOwner(dead.pid, "elsewhere", boot or me.boot, namespace or me.namespace, 5).note
    )
    said = contender.take()
    assert "on elsewhere, which cannot be asked from here" in said
    assert str(contender.claim) in said and "--break-lock" in said
    assert contender.take("break") == "held" and contender.take() == "held"


def test_a_lock_file_is_stale_when_its_number_is_another_process_by_now(tmp_path: Path) -> None:
    contender, me = Contender(tmp_path, "ENOLCK"), _this_process()
    contender.claim.write_text(LockOwner(me.pid, me.host, me.boot, me.namespace, me.start + 1).note)
    assert contender.take() == "held"
    contender.claim.write_text(me.note)
    assert f"process {me.pid}" in contender.take()


def test_an_empty_lock_file_of_an_unknown_process_is_kept_until_a_person_breaks_it(tmp_path: Path) -> None:
    contender = Contender(tmp_path, "ENOLCK")
    contender.claim.touch()
    assert "an unknown process" in contender.take()
    assert contender.take("break") == "held"


def test_a_lock_file_keeps_out_a_process_that_gets_an_flock_and_the_other_way_round(tmp_path: Path) -> None:
    refused, granted = Contender(tmp_path, "ENOLCK"), Contender(tmp_path, None)
    for first, second in ((refused, granted), (granted, refused)):
        with first.held() as holder:
            assert f"process {holder.pid}" in second.take() and f"process {holder.pid}" in second.take(
                "break"
            )
        assert second.take() == "held"


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [3, pytest.param(100, marks=pytest.mark.soak)])
def test_of_many_that_find_a_stale_file_one_at_a_time_holds_the_lock(tmp_path: Path, rounds: int) -> None:
    contender = Contender(tmp_path, "ENOLCK")
    for _ in range(rounds):
        with contender.held() as killed:
            killed.kill()
        assert contender.claim.exists()
        started = [contender.start() for _ in range(4)]
        first = [process.stdout.readline() for process in started if process.stdout]
        assert first.count("held\n") == 1, [process.stderr.read() for process in started if process.stderr]
        for process in started:
            process.communicate()
        assert not contender.claim.exists()


def test_a_stale_file_is_removed_by_one_process_of_this_machine_at_a_time(tmp_path: Path) -> None:
    contender = Contender(tmp_path, "ENOLCK")
    with contender.held() as killed:
        killed.kill()
    stale = contender.claim.read_text()
    with _takers_of_this_machine(contender.claim):
        other = contender.start()
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(0.7)
        assert contender.claim.read_text() == stale
    out, _ = other.communicate(timeout=30)
    assert out == "held\n"


def test_an_interrupted_wait_holds_nothing(tmp_path: Path) -> None:
    contender = Contender(tmp_path, "ENOLCK")
    with contender.held() as holder, contender.start(wait_s=60.0) as waiting:
        waiting.send_signal(signal.SIGINT)
        waiting.wait()
        assert str(holder.pid) in contender.claim.read_text()


def test_within_one_process_a_second_holder_is_refused(tmp_path: Path) -> None:
    with held_lock(tmp_path / "lock", "another holds it", where="here"):
        with (
            pytest.raises(Exception, match=rf"process {os.getpid()} on ") as raised,
            held_lock(tmp_path / "lock", "another holds it", where="here", asked=LockRequest(0.05)),
        ):
            pass
        assert getattr(raised.value, "exit_code", None) == 4


def test_a_note_reads_back_and_no_other_text_names_a_process() -> None:
    me = _this_process()
    assert read_holder(me.note) == me and re.fullmatch(r"[0-9a-f-]{36}", me.boot)
    for text in (
        "",
        "process 5 on host",
        f"{me.note} and more",
        "process x on h; boot b, namespace 0, start 0",
    ):
        assert read_holder(text) is None


def test_a_process_has_ended_only_where_that_is_known_of_it_on_this_machine() -> None:
    me = _this_process()
    dead = subprocess.Popen(["true"])
    dead.wait()
    gone = replace(me, pid=dead.pid)
    assert gone.has_ended() and gone.may_be_broken()
    assert not me.has_ended() and not me.may_be_broken()
    assert replace(me, start=me.start + 1).has_ended()  # its number is another process's by now
    unknown = replace(me, start=0)
    assert not unknown.has_ended() and unknown.may_be_broken()
    for elsewhere in (replace(gone, boot="0"), replace(gone, namespace=1), replace(gone, boot="-")):
        assert not elsewhere.has_ended() and elsewhere.may_be_broken()
        assert not elsewhere.is_of_this_machine()


def test_where_a_machine_cannot_be_told_from_others_nothing_is_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_lock, "_boot_identity", lambda: ("-", 0))
    assert not LockOwner(1, "here").is_of_this_machine() and not LockOwner(1, "here").has_ended()


def test_a_lock_that_a_person_broke_is_not_taken_from_its_new_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(local_lock, "_takers_of_this_machine", lambda _: nullcontext())
    claim, other = tmp_path / "lock.held", replace(_this_process(), pid=1)
    with held_lock(tmp_path / "lock", "another holds it", where="here"):
        claim.write_text(other.note)
    assert claim.read_text() == other.note
    claim.write_text("")
    local_lock._remove_own(claim, "mine")  # on a full disk it may hold nothing
    assert not claim.exists()


def test_of_two_that_find_no_lock_file_at_once_one_holds_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    real, other = local_lock._find_file_holder, replace(_this_process(), pid=1).note

    def made_meanwhile(file: Path, break_lock: bool) -> object:
        found = real(file, break_lock)
        (tmp_path / "lock.held").write_text(other)
        return found

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(local_lock, "_takers_of_this_machine", lambda _: nullcontext())
    monkeypatch.setattr(local_lock, "_find_file_holder", made_meanwhile)
    with (
        pytest.raises(Busy, match="process 1 on"),
        held_lock(tmp_path / "lock", "another holds it", where="here", asked=LockRequest(break_lock=True)),
    ):
        pass
    assert (tmp_path / "lock.held").read_text() == other
