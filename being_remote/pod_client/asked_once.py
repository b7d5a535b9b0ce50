"""A session for a phase that only looks: a question that was asked before gets the answer that it got."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from being_remote.session import Result, Session


class AskedOnce:
    """`session`, with the answers of its repeatable commands kept."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._answers: dict[tuple[Any, ...], Result] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, argv: Sequence[str], **more: Any) -> Result:
        """See `Session.run`."""
        if not more.get("repeatable"):
            return self._session.run(argv, **more)
        question = (tuple(argv), *sorted(more.items()))
        if question not in self._answers:
            self._answers[question] = self._session.run(argv, **more)
        return self._answers[question]
