"""A question that was asked is not asked again; whatever changes something always is."""

from __future__ import annotations

from pathlib import Path

from being_remote.inventory import LocalHost
from being_remote.pod_client.asked_once import AskedOnce
from being_remote.transport.local_session import LocalSession


def test_a_repeatable_question_is_asked_once_and_all_else_each_time(tmp_path: Path) -> None:
    session = LocalSession(LocalHost(name="here", workdir=tmp_path))
    once, words = AskedOnce(session), ["sh", "-c", "cat; echo $$"]
    first = once.run(words, stdin=b"a", repeatable=True)
    assert once.run(words, stdin=b"a", repeatable=True).stdout == first.stdout
    assert once.round_trips == 1 and once.host == "here"
    assert once.run(words, stdin=b"b", repeatable=True).stdout != first.stdout
    assert once.run(words, stdin=b"a").stdout != once.run(words, stdin=b"a").stdout
    assert session.round_trips == 4
