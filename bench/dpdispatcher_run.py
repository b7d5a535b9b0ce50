"""dpdispatcher_run.py HOST PORT USER KEY REMOTE LOCAL STAMPS JOBS: the same jobs, by dpdispatcher.

Run by `bench/jobs.py` with the Python that has dpdispatcher. Each job writes the time into a file of STAMPS.
Prints, as JSON, the seconds that the submission and one look at all its jobs took.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time

from dpdispatcher import Machine, Resources, Submission, Task
from dpdispatcher.utils.job_status import JobStatus


def main(host: str, port: str, user: str, key: str, remote: str, local: str, stamps: str, jobs: str) -> None:
    os.makedirs(f"{local}/work", exist_ok=True)
    profile = {"hostname": host, "port": int(port), "username": user, "key_filename": key}
    machine = Machine.load_from_dict(
        {
            "batch_type": "Shell",
            "context_type": "SSHContext",
            "local_root": local,
            "remote_root": remote,
            "remote_profile": {**profile, "look_for_keys": False, "timeout": 10},
        }
    )
    resources = Resources.load_from_dict(
        {"number_node": 1, "cpu_per_node": 1, "gpu_per_node": 0, "queue_name": "", "group_size": 1}
    )
    tasks = [
        Task(f"date +%s.%N > {stamps}/{n}", "./", [], [], f"out{n}", f"err{n}") for n in range(int(jobs))
    ]
    submission = Submission(work_base="work", machine=machine, resources=resources, task_list=tasks)
    started = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        submission.run_submission(exit_on_submit=True)
    submitted = time.perf_counter()
    for job in submission.belonging_jobs:
        job.job_state = JobStatus.running  # one that is known to be ended is not asked for
    submission.update_submission_state()
    seconds = {"submit_s": submitted - started, "status_s": time.perf_counter() - submitted}
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
