"""What a host says is believed only where it was asked for, within its bounds and in its time."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import pytest
from pydantic import ValidationError

from being_remote.errors import CommandFailed, HostError, MalformedAnswer, UnrequestedFile
from being_remote.inventory import LocalHost
from being_remote.pace import READ_BYTES_PER_S
from being_remote.pod import os_problem
from being_remote.pod_client import listing
from being_remote.pod_client.asked_once import AskedOnce
from being_remote.pod_client.disk_survey import SurveyRequest, survey_disk
from being_remote.pod_client.encoded_names import _decode_path, decode
from being_remote.pod_client.job_answers import (
    BootIdentity,
    ExitRecord,
    JobFacts,
    inflate_status,
    parse_status,
)
from being_remote.pod_client.job_folders import find_job
from being_remote.pod_client.listing import FolderQuery, ListingAnswer, ask_listing, hash_files, read_each
from being_remote.pod_client.many_hosts import ask_all
from being_remote.pod_client.placement import UploadFile, ask_place
from being_remote.pod_client.refusal import SystemRefusal, find_error
from being_remote.pod_client.runner import PROGRAMS, run_program
from being_remote.schedulers.plain_host import PlainHost, pack_submit
from being_remote.schedulers.scheduler import CancelRequest, StartRequest
from being_remote.session import Result

POD = LocalHost(name="pod", workdir="/w", answer_timeout_s=7.0)
FOLDER = PurePosixPath("/w/in")
LIFE = {"pid_ns": 1, "init_start": 2, "boot_id": "b", "volume": "v", "alone": None}
SHA256 = "0" * 64


class Said:
    """A session whose host prints what the test says; what it was asked is kept."""

    host = "pod"

    def __init__(self, said: bytes = b"", code: int = 0, stderr: bytes = b"") -> None:
        self.result = Result("pod", ("python3",), code, said, stderr, 0.0)
        self.asked: list[dict[str, Any]] = []

    def run(self, argv: Any, **more: Any) -> Result:
        self.asked.append({"argv": tuple(argv), **more})
        if reply := more.get("reply"):
            first, _, rest = self.result.stdout.partition(b"\n")
            self.asked[-1]["replied"] = reply(first)
            return dataclasses.replace(self.result, stdout=first + b"\n" + rest)
        return self.result

    def __enter__(self) -> Said:
        return self

    def __exit__(self, *_: object) -> None: ...


def session(said: bytes = b"", **more: Any) -> Any:
    return Said(said, **more)


def listed(*lines: Any, folders: int = 1, skipped: Any = (), cut: bool = False) -> bytes:
    """An answer of `pod/listing.py`."""
    one = {"exists": True, "error": None, "skipped": list(skipped), "cut": cut}
    start = {"boot_id": None, "pid_namespace": None}
    end = {"incarnation": start, "clock_ns": 1, "folders": [one] * folders, "digest": SHA256}
    return zlib.compress(b"".join(json.dumps(line).encode() + b"\n" for line in (*lines, end)))


def row(name: str, size: Any = 1) -> list[Any]:
    return [name, size, 1, 1, 1, None]


def asked(said: bytes, query: FolderQuery) -> list[str]:
    names: list[str] = []
    answer = ask_listing(session(said), "python3", [query])
    read_each(answer, lambda _, file: names.append(file.name.decode()))
    return names


ALL = FolderQuery(FOLDER, FOLDER, "*", recursive=True)
FLAT = FolderQuery(FOLDER, FOLDER, "*.pt", recursive=False)


def test_a_listing_names_only_what_was_asked_for() -> None:
    assert asked(listed({"folder": 0, "files": [row("a/b"), row("c")]}), ALL) == ["a/b", "c"]
    for query, name in (
        (ALL, "../a"),
        (ALL, "/a"),
        (ALL, "a/../../b"),
        (FLAT, "a/b.pt"),
        (FLAT, "config.yml"),
    ):
        with pytest.raises(UnrequestedFile):
            asked(listed({"folder": 0, "files": [row(name)]}), query)
        with pytest.raises(UnrequestedFile):  # also where its other values are impossible
            asked(listed({"folder": 0, "files": [row(name, -1)]}), query)
        with pytest.raises(UnrequestedFile):
            asked(listed(skipped=[(name, "link")]), query)


@pytest.mark.parametrize(
    "said",
    [
        listed({"folder": 1, "files": [row("a")]}),
        listed(folders=2),
        listed(folders=0),
        listed() + b"more",
        listed()[:-3],
        zlib.compress(b"{}"),
    ],
    ids=["another folder", "more folders", "fewer folders", "something behind it", "cut", "no end"],
)
def test_a_listing_in_another_form_is_refused(said: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        asked(said, ALL)


def test_what_follows_a_whole_answer_in_a_later_slice_is_refused() -> None:
    said = listed({"folder": 0, "files": [row("a")]})
    with pytest.raises(MalformedAnswer, match="something follows it"):
        asked(said + bytes(200_000), ALL)


def test_a_listing_has_no_more_files_than_it_may() -> None:
    few = dataclasses.replace(ALL, most=2)
    assert len(asked(listed({"folder": 0, "files": [row("a"), row("b")]}), few)) == 2
    with pytest.raises(MalformedAnswer, match="more files than it may"):
        asked(listed({"folder": 0, "files": [row("a"), row("b")]}, {"folder": 0, "files": [row("c")]}), few)


def test_an_answer_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [{"folder": 0, "files": [row(f"{n:0100d}") for n in range(10)]} for _ in range(20)]
    said = listed(*lines)
    monkeypatch.setattr(listing, "MAX_INFLATED_BYTES", 10_000)
    with pytest.raises(MalformedAnswer, match="too large"):
        asked(said, ALL)


@pytest.mark.parametrize("whole", [True, False])
def test_hashes_are_asked_of_so_many_bytes_with_the_time_that_they_need(whole: bool) -> None:
    name, size = b"a", int(10 * READ_BYTES_PER_S)
    said = listed({"folder": 0, "files": [["a", 1, 1, 1, 1, SHA256]]})
    host = session(said)
    hash_files(host, "python3", {(FOLDER, name): size}, whole=whole)
    (request,) = host.asked
    payload = request["stdin"]
    payload = payload[payload.index(b"\n") + 1 + int(payload[: payload.index(b"\n")]) :]
    (folder,) = json.loads(zlib.decompress(payload))["folders"]
    assert folder["names"] == [["a", None if whole else size]]
    assert request["timeout_s"] == 70.0
    with pytest.raises(UnrequestedFile):
        hash_files(host, "python3", {(FOLDER, b"other"): 1})


@pytest.mark.parametrize("text", ["Lw==", "L2EvLi4vYg==", "YQ==", "L2EA", "L3=h"])
def test_a_path_of_a_host_is_absolute_and_leads_nowhere_else(text: str) -> None:
    if text == "Lw==":
        assert _decode_path(text) == b"/"
        return
    with pytest.raises(ValueError):
        _decode_path(text)


def test_base64_with_anything_else_in_it_is_refused() -> None:
    assert decode("YWI=") == b"ab"
    for text in ("YW I=", "YWI=!", "YWI", 7):
        with pytest.raises(ValueError, match="base64"):
            decode(text)


def test_only_a_repeatable_question_is_answered_twice_by_one_answer() -> None:
    host = session(b"x")
    once: Any = AskedOnce(host)
    for repeatable in (False, True):
        for _ in range(2):
            once.run(["a"], repeatable=repeatable)
    once.run(["a"], repeatable=True, stdin=b"other")
    once.run(["a"])
    assert len(host.asked) == 5


@pytest.mark.parametrize("count", [0, 2])
def test_a_survey_of_other_jobs_than_asked_for_is_refused(count: int) -> None:
    nothing: dict[str, Any] = {"count": 0, "examples": []}
    document = {"now_ns": 1, "newest_ns": None, "main_walked": "L3c=", "up_s": None, "truncated": []}
    document |= {name: [] for name in ("folders", "counted", "others", "odd")}
    document |= {"recipes": [None] * count, "unreadable": nothing, "outside": nothing, "away": nothing}
    request = SurveyRequest(FOLDER, [FOLDER], [], b"x", jobs=["demo-a"])
    with pytest.raises(HostError, match="about other jobs"):
        survey_disk(session(json.dumps(document).encode()), POD, request)


@pytest.mark.parametrize(("files", "beside"), [(1, 1), (3, 1), (2, 0), (2, 2)])
def test_an_answer_about_other_places_than_asked_for_is_refused(files: int, beside: int) -> None:
    document = {"files": ["same"] * files, "staged_bytes": 0, "left_over_bytes": 0, "free_bytes": 0}
    said = json.dumps({**document, "beside": [0] * beside}).encode()
    wanted = [UploadFile(name, 1, SHA256, False) for name in (b"a", b"b")]
    with pytest.raises(MalformedAnswer):
        ask_place(session(said), "python3", "look", FOLDER, wanted, ["x"])


def test_what_is_wrong_with_one_host_is_a_bug_and_not_lost() -> None:
    def ask(number: int) -> int:
        if number == 2:
            raise ZeroDivisionError
        return number

    with pytest.raises(ZeroDivisionError):
        ask_all([1, 2, 3], ask)


def test_a_quota_is_a_full_disk_as_well_and_no_other_refusal_is() -> None:
    for name, full in (("ENOSPC", True), ("EDQUOT", True), ("EIO", False), ("EACCES", False)):
        refusal = SystemRefusal(errno=name, path="/w")
        assert (refusal.full_disk("pod", "nothing was stored") is not None) is full


def test_only_a_program_that_ends_as_refused_is_read_as_a_refusal() -> None:
    said = b'{"errno": "ENOSPC", "path": "/w"}\n'

    def error(code: int) -> HostError | None:
        return find_error(Result("pod", (), code, b"", said, 0.0), "listing files", "python3")

    assert error(os_problem.EXIT_CODE) is not None and error(1) is None and error(3) is None


@pytest.mark.parametrize("code", [1, 3, 255, -9])
def test_a_program_that_failed_has_no_answer(code: int) -> None:
    with pytest.raises(CommandFailed):
        run_program(session(b"{}", code=code), "listing", {}, python="python3")


def test_a_program_is_given_its_time_and_its_bound() -> None:
    host = session(b"{}")
    run_program(host, "forget", {}, python="python3", timeout_s=3.5)
    (request,) = host.asked
    assert request["timeout_s"] == 3.5
    assert request["max_output_bytes"] == PROGRAMS["forget"].max_answer_bytes == 64 << 10


def test_a_folder_that_only_begins_like_the_jobs_folder_holds_no_jobs() -> None:
    assert find_job("/w/jobs/demo-a/attempts/1/work", ["/w/jobs"], []) == "demo-a"
    assert find_job("/w/jobs-of-mine/demo-a", ["/w/jobs"], []) is None


@pytest.mark.parametrize("part", ["pid_ns", "init_start", "boot_id"])
def test_a_boot_is_known_only_as_a_whole(part: str) -> None:
    whole = BootIdentity.model_validate(LIFE)
    assert whole.boot == (1, 2, "b")
    assert whole.model_copy(update={part: None}).boot is None


def facts(**more: Any) -> JobFacts:
    return JobFacts.model_validate({"job": "demo-a", "lock": "free", "asked": 1, "attempts": [], **more})


def test_an_attempt_that_was_asked_for_is_newer_than_those_that_were_made() -> None:
    made = [{"attempt": 1}, {"attempt": 2}]
    assert (facts(attempts=made).newest or facts()).attempt == 2
    waiting = facts(attempts=made, asked=3)
    assert waiting.newest is None and waiting.attempt == 3
    assert facts(attempts=made).attempt == 2


def test_an_exit_record_holds_an_end() -> None:
    end: dict[str, Any] = {"exit_code": 0, "reason": "", "elapsed_s": 1.0, "gpus": []}
    end |= {"frames_done": None, "frames_total": None}
    assert ExitRecord.model_validate({**end, "state": "lost"}).state == "lost"
    for state in ("running", "unknown", "created"):
        with pytest.raises(ValidationError):
            ExitRecord.model_validate({**end, "state": state})


def test_a_status_that_goes_on_behind_its_end_is_refused() -> None:
    said = zlib.compress(b"{}")
    assert inflate_status(said, "pod") == b"{}"
    for bad in (said + b"x", said[:-1]):
        with pytest.raises(MalformedAnswer):
            inflate_status(bad, "pod")


def test_a_number_too_long_for_any_field_hides_no_other_job() -> None:
    rows = b'{"job": "a", "lock": "free", "asked": ' + b"9" * 5000 + b', "attempts": []}'
    good = b'{"job": "b", "lock": "free", "asked": 0, "attempts": []}'
    said = b'{"incarnation": %b, "gpus": [], "gpu_problem": null, "jobs": [%b, %b, {"lock": 1}]}'
    answer = parse_status(said % (json.dumps(LIFE).encode(), rows, good), "pod")
    assert [(one.job, one.problem is None) for one in answer.jobs] == [("a", False), ("b", True)]
    assert answer.problems == ("1 of its 3 rows about jobs are malformed",)


# -- the scheduler of a plain host ----------------------------------------------------------------------


def request_for(job: str) -> StartRequest:
    return StartRequest(job, SHA256, 1, "v", None, {"spec.json": b"{}"}, unless_same=True)


def submitted(*jobs: str, has_programs: bool = False) -> bytes:
    nothing = {"claim": "absent", "supervisor": None, "reason": None, "problem": None, "seen": None}
    rows = [{"job": job, **nothing} for job in jobs]
    offer = json.dumps({"volume": "v", "has_programs": has_programs}).encode()
    return offer + b"\n" + json.dumps({"incarnation": LIFE, "jobs": rows}).encode()


@pytest.mark.parametrize("jobs", [("demo-b",), ("demo-b", "demo-a"), ("demo-a",)])
def test_an_answer_about_other_jobs_than_were_sent_is_refused(jobs: tuple[str, ...]) -> None:
    requests = [request_for("demo-a"), request_for("demo-b")]
    with pytest.raises(MalformedAnswer, match="about other jobs"):
        PlainHost().start(session(submitted(*jobs)), POD, b"programs", lambda _: requests)


@pytest.mark.parametrize("has_programs", [True, False])
def test_programs_are_sent_to_a_host_that_lacks_them_and_to_no_other(has_programs: bool) -> None:
    host = session(submitted("demo-a", has_programs=has_programs))
    choose: Callable[[Any], Any] = lambda volume: [request_for("demo-a")] if volume == "v" else []  # noqa: E731
    assert PlainHost().start(host, POD, b"the programs", choose) is not None
    sizes, _, _ = host.asked[0]["replied"].partition(b"\n")
    assert (int(sizes.split()[0]) == 0) is has_programs


def test_each_version_of_the_programs_is_asked_for_under_its_own_hash() -> None:
    asked_for = []
    for tail in (b"a", b"b"):
        host = session(submitted("demo-a"))
        PlainHost().start(host, POD, bytes(4000) + tail, lambda _: [request_for("demo-a")])
        asked_for.append(json.loads(host.asked[0]["argv"][-1])["programs"])
    assert len(set(asked_for)) == 2


def test_what_is_sent_of_a_job_says_all_that_it_was_asked_with() -> None:
    packed = pack_submit([request_for("demo-a")], b"")
    claims = zlib.decompress(packed.partition(b"\n")[2])
    (sent,) = json.loads(claims.partition(b"\n")[0])["jobs"]
    assert sent.pop("nonce") and sent == {
        "job": "demo-a",
        "spec_sha256": SHA256,
        "attempt": 1,
        "volume": "v",
        "pushed": None,
        "unless_same": True,
        "files": [["spec.json", 2]],
    }


@pytest.mark.parametrize("same", [[], [None, None]])
def test_an_answer_about_other_intents_than_asked_for_is_refused(same: list[None]) -> None:
    with pytest.raises(MalformedAnswer):
        PlainHost().find_same_intents(session(json.dumps({"same": same}).encode()), POD, [b"{}"])


def test_a_cancel_is_given_the_time_that_the_job_needs_to_end() -> None:
    host = session(json.dumps({"cancel": "absent", "incarnation": LIFE, "seen": None}).encode())
    PlainHost().cancel(host, POD, CancelRequest("demo-a", 1, None, None, 30.0))
    assert host.asked[0]["timeout_s"] == 37.0


def test_an_answer_that_was_not_asked_for_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = ListingAnswer("pod", b"not deflated", ())
    with pytest.raises(MalformedAnswer):
        read_each(answer, lambda *_: None)
