"""Submit, see and cancel on this machine: the whole way of a job."""

from __future__ import annotations

import json


def test_a_job_runs_once_and_leaves_its_end_and_its_log(desk) -> None:
    spec = desk.spec(
        "sh", "-c", "echo hello $BEING_REMOTE_ATTEMPT; sleep 0.2; echo $$ >> ../../../starts; echo bye"
    )
    first = desk.submit(spec)
    assert (first.claim, first.supervisor, first.state) == ("made", "started", "running")
    seen = desk.until(spec.job, "succeeded", "failed", "lost")
    assert (seen.state, seen.exit_code) == ("succeeded", 0), seen
    assert desk.log(spec.job) == f"hello {spec.job}/1\nbye\n".encode()
    again = desk.submit(spec)
    assert (again.claim, again.supervisor, again.state) == ("there", "ended", "succeeded")
    assert len((desk.folder(spec.job) / "starts").read_text().split()) == 1
    assert json.loads((desk.folder(spec.job, 1) / "end.json").read_text())["state"] == "succeeded"
