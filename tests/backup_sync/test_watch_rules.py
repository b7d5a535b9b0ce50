"""Which errors a watch waits out, how long it waits, and what it says of its rounds."""

from __future__ import annotations

from typing import Any

import pytest

from being_remote.backup_sync import watch
from being_remote.backup_sync.watch import ActorWatch, WatchPause
from being_remote.errors import (
    AnswerTimeout,
    Busy,
    CommandFailed,
    ConnectionLost,
    HostKeyChanged,
    LoginRefused,
    NoSpace,
    NotFoundError,
    Unreachable,
)


class Stop(Exception):
    """Ends a watch."""


def watched(errors: list[Exception], monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], list[float]]:
    """What a watch says whose rounds fail so, until `Stop`, and how long it sleeps between them."""
    said: list[Any] = []
    slept: list[float] = []
    made = ActorWatch.__new__(ActorWatch)
    made._say, made._trouble, made._away_since, made._away_s = said.append, None, None, 0.0

    def run_round(*_: Any) -> Any:
        raise errors.pop(0)

    monkeypatch.setattr(made, "_run_round", run_round)
    monkeypatch.setattr(watch.time, "sleep", slept.append)
    with pytest.raises(Stop):
        made.run(5.0)
    return [line.waiting_for for line in said if isinstance(line, WatchPause)], slept


@pytest.mark.parametrize("kind", [Unreachable, ConnectionLost, AnswerTimeout])
def test_a_host_that_is_away_is_asked_again_ever_more_rarely(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, slept = watched([kind("away", host="pod") for _ in range(7)] + [Stop()], monkeypatch)
    assert (said, slept) == (["away"], [1, 2, 4, 8, 16, 30, 30])


def test_a_program_that_a_stopping_pod_kills_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = CommandFailed("killed", host="pod", result=None)
    assert watched([failed, Stop()], monkeypatch) == (["away"], [1])


def test_a_full_disk_waits_longer_and_a_busy_or_empty_backup_as_long_as_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full = [NoSpace("full", file="b") for _ in range(2)]
    assert watched([*full, Stop()], monkeypatch) == (["full"], [1, 2])
    said, slept = watched([Busy("busy"), NotFoundError("empty"), Stop()], monkeypatch)
    assert said == ["busy", "empty"] and all(4 < pause <= 5 for pause in slept)


@pytest.mark.parametrize(
    "error",
    [
        LoginRefused("no", host="pod"),
        HostKeyChanged(host="pod", address="a", trusted="SHA256:x", shown="SHA256:y"),
    ],
)
def test_what_only_a_person_can_mend_ends_the_watch(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(type(error)):
        watched([error], monkeypatch)
