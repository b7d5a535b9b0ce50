"""The scheduler of a host without one: detached supervisors on the host itself, by `pod/`'s programs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
import zlib
from collections.abc import Sequence
from typing import Any

from being_remote.inventory import LocalHost, SshHost
from being_remote.pod_client.job_answers import (
    CancelAnswer,
    HostOffer,
    SameIntents,
    StatusAnswer,
    SubmitAnswer,
    inflate_status,
    parse_answer,
    parse_status,
)
from being_remote.pod_client.runner import malformed_answer, run_program
from being_remote.schedulers.scheduler import CancelRequest, Choose, StartRequest
from being_remote.session import Session

SUPERVISOR_WAIT_S = 20.0


class PlainHost:
    """Supervisors are children of the host's first process."""

    def start(
        self, session: Session, host: SshHost | LocalHost, programs: bytes, choose: Choose
    ) -> SubmitAnswer | None:
        requests: Sequence[StartRequest] = ()

        def reply(line: bytes) -> bytes:
            nonlocal requests
            offer = parse_answer(HostOffer, "offer", line, session.host)
            requests = choose(offer.volume)
            return pack_submit(requests, b"" if offer.has_programs else programs) if requests else b""

        asked = _request(host, programs=hashlib.sha256(programs).hexdigest(), wait_s=SUPERVISOR_WAIT_S)
        said = run_program(session, "offer", asked, python=host.python, reply=reply)
        if not requests:
            return None
        answer = parse_answer(SubmitAnswer, "offer", said.partition(b"\n")[2], session.host)
        if [job.job for job in answer.jobs] != [request.job for request in requests]:
            raise malformed_answer(session.host, "offer", "it is about other jobs")
        return answer

    def look(self, session: Session, host: SshHost | LocalHost, only: Sequence[str] | None) -> StatusAnswer:
        asked = _request(host, only=None if only is None else list(only))
        said = run_program(session, "status", asked, python=host.python)
        return parse_status(inflate_status(said, session.host), session.host)

    def find_same_intents(
        self, session: Session, host: SshHost | LocalHost, specs: Sequence[bytes]
    ) -> Sequence[str | None]:
        asked = b"[" + b",".join(specs) + b"]"
        said = run_program(session, "same_intent", _request(host), python=host.python, payload=asked)
        answer = parse_answer(SameIntents, "same_intent", said, session.host)
        if len(answer.same) != len(specs):
            raise malformed_answer(session.host, "same_intent", "it is about other jobs")
        return answer.same

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


def pack_submit(requests: Sequence[StartRequest], programs: bytes) -> bytes:
    """What `pod/offer.py` reads: two sizes, the programs, and the jobs with their files; both deflated."""
    jobs = [
        {
            "job": request.job,
            "spec_sha256": request.spec_sha256,
            "attempt": request.attempt,
            "volume": request.volume,
            "pushed": request.pushed,
            "unless_same": request.unless_same,
            "nonce": secrets.token_hex(8),
            "files": [[name, len(data)] for name, data in request.files.items()],
        }
        for request in requests
    ]
    files = (data for request in requests for data in request.files.values())
    claims = zlib.compress(b"".join([json.dumps({"jobs": jobs}).encode() + b"\n", *files]))
    sent = zlib.compress(programs, 9) if programs else b""
    return b"%d %d\n" % (len(sent), len(claims)) + sent + claims
