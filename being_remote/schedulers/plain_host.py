"""The scheduler of a host without one: detached supervisors on the host itself, by `pod/`'s programs."""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

from being_remote.inventory import LocalHost, SshHost
from being_remote.pod_client.job_answers import (
    BootIdentity,
    CancelAnswer,
    StatusAnswer,
    SubmitAnswer,
    inflate_status,
    parse_answer,
    parse_status,
)
from being_remote.pod_client.runner import run_program
from being_remote.schedulers.scheduler import CancelRequest, StartRequest
from being_remote.session import Session

SUPERVISOR_WAIT_S = 20.0


class PlainHost:
    """Supervisors are children of the host's first process."""

    def find_volume(self, session: Session, host: SshHost | LocalHost) -> BootIdentity:
        said = run_program(session, "claim", _request(host, job=None), python=host.python)
        return parse_answer(BootIdentity, "claim", said, session.host)

    def start(
        self, session: Session, host: SshHost | LocalHost, request: StartRequest, archive: bytes
    ) -> SubmitAnswer:
        asked = _request(
            host,
            **dataclasses.asdict(request),
            bundle_bytes=len(archive),
            bundle_sha256=hashlib.sha256(archive).hexdigest(),
            nonce=secrets.token_hex(8),
            wait_s=SUPERVISOR_WAIT_S,
        )
        said = run_program(session, "claim", asked, python=host.python, payload=archive)
        return parse_answer(SubmitAnswer, "claim", said, session.host)

    def look(self, session: Session, host: SshHost | LocalHost, only: Sequence[str] | None) -> StatusAnswer:
        asked = _request(host, only=None if only is None else list(only))
        said = run_program(session, "status", asked, python=host.python)
        return parse_status(inflate_status(said, session.host), session.host)

    def cancel(self, session: Session, host: SshHost | LocalHost, request: CancelRequest) -> CancelAnswer:
        said = run_program(
            session,
            "cancel",
            _request(host, **dataclasses.asdict(request)),
            python=host.python,
            timeout_s=request.wait_s + host.answer_timeout_s,
        )
        return parse_answer(CancelAnswer, "cancel", said, session.host)


def _request(host: SshHost | LocalHost, **more: Any) -> dict[str, Any]:
    return {"workdir": str(host.workdir), **more}
