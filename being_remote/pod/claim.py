"""Runs on the pod: store jobs as a whole or not at all, then make sure that a supervisor runs for each.

Both are idempotent, so one round trip does both. A job's files come from `offer`, are written to a staging
folder, synced and renamed into place; what a killed claim staged is removed by a later one. The supervisor is
detached in a session of its own; of our descriptors it has only its place in the queue: jobs of one command
wait in the command's order.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import select
import shutil
import sys
import time
from typing import BinaryIO, Dict, Iterator, List, Optional, Tuple

from being_remote.pod import (
    disk_features,
    job_records,
    os_problem,
    processes,
    program_store,
    start_gate,
    status,
    supervisor,
    tickets,
    waiting_records,
)
from being_remote.pod.boot_identity import (
    boot_key,
    is_boot_known,
    read_boot,
    read_boot_identity,
    read_volume,
)
from being_remote.pod.forget import remove_whole
from being_remote.pod.job_paths import PUSHED_NOTE, SPEC, JobPaths, incoming_folder, jobs_folder
from being_remote.pod.job_records import Record
from being_remote.pod.same_intent import IntentSearch
from being_remote.pod.supervisor_start import (
    MAX_REASON_LETTERS,
    fork_supervisor,
    start_supervisor,
    write_answer,
)
from being_remote.pod.tickets import Ticket
from being_remote.pod.tombstone import is_forgotten

MAX_ANSWER_BYTES = 1 << 16
MAX_NOTE_BYTES = 64 << 20
AT_ONCE = 32
ABANDONED_S = 24 * 3600.0
_STAGING = re.compile(r".*\.(?P<boot>[0-9a-f]{16})\.(?P<pid>[0-9]{1,10})\.(?P<start>[0-9]{1,20})")

Files = Dict[str, bytes]


def claim(query: Record, asked: Record, files: Files, others: Optional[IntentSearch] = None) -> str:
    """Store a job unless it is there: "made", "there", "refused", "absent", "torn" or "elsewhere".

    "unpushed": the upload from which its attempt resumes is not there. "forgotten": it was removed for good.
    "same": another ledger's job with the same intent may be at work.

    Args:
        query: the request of `offer`.
        asked: the job: {"job", "spec_sha256", "attempt", "volume", "pushed", "unless_same", "nonce"}.
        files: its files, by their names below its folder; none of a job that is known to be here.
        others: searches for jobs of the same intent; None: a new one.
    """
    others = others or IntentSearch(query["workdir"])
    job = JobPaths.of(query["workdir"], asked["job"])
    found = _compare_spec(job, asked["spec_sha256"]) or _refuse(asked, job, files, others)
    if found not in (None, "there"):
        return str(found)
    if asked["pushed"] is not None and not _is_whole(job.pushed(asked["pushed"])):
        return "unpushed"
    return found or _receive(query, asked, job, files)


def _is_whole(pushed: str) -> bool:
    """Whether the note, which comes last, is there and is the one after which the folder is named."""
    note = job_records.read_bytes(f"{pushed}/{PUSHED_NOTE}", MAX_NOTE_BYTES)
    return note is not None and pushed.endswith("." + hashlib.sha256(note).hexdigest())


def _refuse(asked: Record, job: JobPaths, files: Files, others: IntentSearch) -> Optional[str]:
    """Why a job that is not here cannot be stored; None where it can."""
    if not files:
        return "absent"
    if asked["volume"] is None or asked["volume"] != read_volume(job.jobs):
        return "elsewhere"  # an earlier claim may have reached the disk that was here before
    if hashlib.sha256(files.get(SPEC, b"")).hexdigest() != asked["spec_sha256"]:
        return "torn"
    if asked.get("unless_same") and _find_same(asked, files, others):
        return "same"
    return None


def _find_same(asked: Record, files: Files, others: IntentSearch) -> Optional[str]:
    return others.find(asked["job"], json.loads(files[SPEC].decode("utf-8")))


def _receive(query: Record, asked: Record, job: JobPaths, files: Files) -> str:
    incoming = incoming_folder(job.jobs)
    os.makedirs(incoming, 0o700, exist_ok=True)
    ours, boot = processes.identify(os.getpid()), boot_key(read_boot())
    staging = f"{incoming}/{asked['job']}.{asked['nonce']}.{boot}.{ours['pid']}.{ours['start']}"
    os.mkdir(staging, 0o700)
    try:
        return _store(files, staging, job, query["programs"], asked)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _store(files: Files, staging: str, job: JobPaths, programs: str, asked: Record) -> str:
    """Write the job's files to `staging` and rename that into place."""
    staged = JobPaths(staging)
    try:
        write_files(files, staging)
        program_store.give_to_job(job.jobs, programs, staged)
        start_gate.write_asked(staged, asked["attempt"], asked["pushed"] or "")
        sync_tree(staging)
        os.rename(staging, job.folder)
        job_records.sync_folder(job.jobs)
        if is_forgotten(job):  # meanwhile: nothing of it may stay
            shutil.rmtree(job.folder)
            return "forgotten"
        return "made"
    except OSError:
        # Another claim was first; all else (a full disk, no rights) stays an error.
        found = _compare_spec(job, asked["spec_sha256"])
        if found is None:
            raise
        return found


def remove_abandoned(workdir: str) -> None:
    """Remove what killed claims of this boot left, and what others left long ago. Raises OSError.

    Claims of another pod on this volume may be at work: no lock and no process of theirs is seen from here.
    """
    jobs, boot = jobs_folder(workdir), read_boot()
    incoming = incoming_folder(jobs)
    try:
        now = os.stat(incoming).st_mtime  # by the volume's own clock, where a claim has just used it
    except FileNotFoundError:
        return
    abandoned = []
    for name in os.listdir(incoming):
        path = os.path.join(incoming, name)
        with contextlib.suppress(FileNotFoundError):  # its claim has ended
            if _is_dead(name, boot) or now - os.lstat(path).st_mtime > ABANDONED_S:
                abandoned.append(path)
    if abandoned:
        # Renamed first: a claim that only slept must not put half of it into place.
        remove_whole(jobs, abandoned)


def _is_dead(staging: str, boot: Record) -> bool:
    """Whether a staging folder is of this boot, of a process that has ended; False where that is unknown."""
    made = _STAGING.fullmatch(staging)
    if made is None or not is_boot_known(boot) or made["boot"] != boot_key(boot):
        return False
    return processes.is_alive({"pid": int(made["pid"]), "start": int(made["start"])}) is False


def write_files(files: Files, into: str) -> None:
    """Write files below `into`. Raises ValueError for a name that leaves it."""
    for name, data in files.items():
        path = os.path.normpath(os.path.join(into, name))
        if not path.startswith(into + os.sep):
            raise ValueError(f"{name!r} leaves the job's folder")
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        with open(path, "xb") as file:
            disk_features.set_mode(file.fileno(), 0o600)
            file.write(data)


def sync_tree(top: str) -> None:
    """Make everything below `top` survive a power cut."""
    for here, _, names in os.walk(top):
        for name in names:
            fd = os.open(os.path.join(here, name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                disk_features.sync_descriptor(fd)
            finally:
                os.close(fd)
        job_records.sync_folder(here)


def ensure(query: Record, asked: List[Record], deadline: float) -> List[Tuple[str, Optional[str]]]:
    """Start a supervisor for each attempt; returns (its answer, its reason), "silent" without one in time.

    Args:
        deadline: until when answers are awaited, by the monotonic clock.
    """
    readers: List[int] = []
    for one in asked:
        reader, writer = os.pipe()
        readers.append(reader)
        try:
            _start(query, one, writer, not_its_own=readers)
        except OSError as e:
            write_answer(writer, "error", _words(e))
        os.close(writer)
    return [_read_answer(reader, deadline) for reader in readers]


def _start(query: Record, asked: Record, answer: int, not_its_own: List[int]) -> None:
    job = JobPaths.of(query["workdir"], asked["job"])
    start_gate.ask_for(job, asked["attempt"], asked["pushed"] or "")
    program_store.mend(job)
    what = query["workdir"], asked["job"], asked["attempt"]
    if program_store.version_of(job) == query["programs"]:
        ticket = _draw_ticket(query["workdir"], job, asked["attempt"])
        try:
            fork_supervisor(supervisor.main, *what, answer=answer, ticket=ticket, not_its_own=not_its_own)
        finally:
            if ticket is not None:
                os.close(ticket[1])
    else:
        start_supervisor(*what, answer=answer)


def _draw_ticket(workdir: str, job: JobPaths, attempt: int) -> Optional[Ticket]:
    """The place in the queue of an attempt that may come to need it; None: it draws its own.

    Supervisors that are started at once draw in any order.
    """
    with contextlib.suppress(OSError, ValueError):
        needs_gpus = job_records.read_spec(job.spec)[0].get("gpus") != 0
        if needs_gpus and attempt not in start_gate.list_attempts(job)[0]:
            folder = waiting_records.boot_folder(workdir, read_boot())
            return tickets.draw(lambda: waiting_records.find_highest(folder))
    return None


def _read_answer(reader: int, deadline: float) -> Tuple[str, Optional[str]]:
    answer_line = _read_line(reader, deadline)
    os.close(reader)
    if answer_line is None:
        return "silent", None
    try:
        answer = json.loads(answer_line.decode("utf-8"))
        return answer["supervisor"], answer["reason"]
    except (ValueError, KeyError, TypeError):
        return "error", "the supervisor ended without an answer; see supervisor.log in the job's folder"


def _read_line(fd: int, deadline: float) -> Optional[bytes]:
    """One line; b"" if the other end closed without one, None if the time was over."""
    answer_line = b""
    while True:
        left = max(0.0, deadline - time.monotonic())
        if not select.select([fd], [], [], left)[0]:
            return None
        data = os.read(fd, MAX_ANSWER_BYTES)
        answer_line += data
        if not data or data.endswith(b"\n"):
            return answer_line


def _compare_spec(job: JobPaths, spec_sha256: str) -> Optional[str]:
    """Compare the job's folder with the spec: "there" or "refused"; None without a folder.

    "forgotten": its folder was removed for good.
    """
    if is_forgotten(job):
        return "forgotten"
    if not os.path.lexists(job.folder):
        return None
    spec = job_records.read_bytes(job.spec)
    same = spec is not None and hashlib.sha256(spec).hexdigest() == spec_sha256
    return "there" if same else "refused"


def main(query: Record, claims: BinaryIO) -> None:
    """Answer one request of `jobs/submit.py`, which came through `offer`.

    Args:
        query: the request of `offer`.
        claims: a line of JSON, {"jobs": [{..., "files": [[name, bytes]]}]}, and the files, one after another;
            it is closed.
    """
    others = IntentSearch(query["workdir"])
    answers = [(asked, _claim_one(query, asked, files, others)) for asked, files in _split(claims)]
    claims.close()  # what a supervisor is forked from should be small
    with contextlib.suppress(OSError):  # they are other claims', and a later one tries again
        remove_abandoned(query["workdir"])
    deadline = time.monotonic() + query["wait_s"]
    standing = [(asked, answer) for asked, answer in answers if answer["claim"] in ("made", "there")]
    for some in _groups(query, standing):
        for (_, answer), (word, reason) in zip(some, ensure(query, [asked for asked, _ in some], deadline)):
            answer["supervisor"], answer["reason"] = word, reason and str(reason)[:MAX_REASON_LETTERS]
    for _, answer in standing:
        answer["seen"] = status.look(query["workdir"], answer["job"])
    incarnation = read_boot_identity(query["workdir"])
    sys.stdout.write(json.dumps({"incarnation": incarnation, "jobs": [answer for _, answer in answers]}))
    sys.stdout.flush()


def _groups(query: Record, standing: List[Tuple[Record, Record]]) -> Iterator[List[Tuple[Record, Record]]]:
    """The jobs whose supervisors start at once, in their order.

    A supervisor of other programs than ours gets no place in the queue from us: it starts alone, and draws
    one before the next ones start.
    """
    some: List[Tuple[Record, Record]] = []
    for one in standing:
        alone = not _has_our_programs(query, one[0])
        if some and (alone or len(some) == AT_ONCE):
            yield some
            some = []
        if alone:
            yield [one]
        else:
            some.append(one)
    if some:
        yield some


def _has_our_programs(query: Record, asked: Record) -> bool:
    try:
        version = program_store.version_of(JobPaths.of(query["workdir"], asked["job"]))
    except OSError:
        return False
    return version is not None and version == query["programs"]


def _split(claims: BinaryIO) -> Iterator[Tuple[Record, Files]]:
    """Each job that is asked for, with its files."""
    for asked in json.loads(claims.readline().decode("utf-8"))["jobs"]:
        yield asked, {name: claims.read(size) for name, size in asked["files"]}


def _claim_one(query: Record, asked: Record, files: Files, others: IntentSearch) -> Record:
    answer: Record = {
        "job": asked["job"],
        "claim": "failed",
        "supervisor": None,
        "reason": None,
        "problem": None,
        "seen": None,
    }
    try:
        answer["claim"] = claim(query, asked, files, others)
        if answer["claim"] == "same":
            answer["reason"] = _find_same(asked, files, others)
    except OSError as e:  # this job's only: others may have room, or be here already
        if e.errno is not None and e.filename is None:  # a write names no file
            e.filename = query["workdir"]
        answer["reason"] = _words(e)
        answer["problem"] = None if e.errno is None else os_problem.record_of(e)
    except ValueError as e:  # something odd under the name of a record
        answer["reason"] = str(e)[:MAX_REASON_LETTERS]
    return answer


def _words(error: OSError) -> str:
    return str(error) if error.errno is None else os_problem.describe(error)
