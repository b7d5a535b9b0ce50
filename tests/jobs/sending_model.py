"""Sending and cancelling as an explicit-state model: the ledger, a host that may change its disk, and
messages that arrive whenever they like.

Two terminals send the same attempt, a third one cancels it, each step by step. A message that was
sent arrives later or never; the terminal that sent it may be dead by then. Once, the host shows
another disk. A disk keeps the programs for the next job; once, they are damaged, and a claim that stores
them may be killed. The code that it stands for: a sender is `jobs/dispatch.py` with
`Ledger.record_volume`, a canceller `workflows/cancel.py` with `Ledger.cancel_unsent`, what happens on arrival
`pod/offer.py`, `pod/claim.py`, `pod/supervisor.py` and `pod/cancel.py`. `Rules` names what makes it right.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Rules:
    """What it relies on; each may be broken to see that it is needed."""

    volume_is_written_before_the_job_is_sent: bool = True
    claim_is_taken_on_its_volume_only: bool = True
    mark_is_left_where_it_will_arrive: bool = True
    mark_is_left_before_the_look: bool = True
    supervisor_reads_the_mark_after_the_claim: bool = True
    unsent_is_decided_with_the_ledger_locked: bool = True
    stored_programs_are_compared_with_their_hash: bool = True
    a_job_keeps_programs_of_its_own: bool = True
    a_jobs_programs_are_compared_with_their_hash: bool = True


class State(NamedTuple):
    """Everything that lasts, and where everybody is.

    Attributes:
        disk: which one the host shows.
        aimed, word: the ledger's: the disk that the attempt goes to, and "created" or "cancelled".
        senders: "look" | "aim <disk seen>" | "send <disk>" | "" each, with a "+" where the disk seen lacks
            the programs.
        flying: the claims on their way, each with the disk that it is for, and a "+" if the programs come
            with it.
        claims: on arrival a claim renames, then its supervisor reads the mark: disks in between.
        jobs, marks, starts: disks that hold the job, that hold a mark, how often each started it.
        looked: disks on which a claim looked for a mark too early (only if that rule is broken).
        killed: disks on which a cancel ended the payload.
        canceller: "ledger" | "ask" | "mark" | "look" | "".
        store, bundle: on each disk the stored programs, and the job's: "" | "whole" | "torn".
        ran_torn: torn programs were run.
    """

    disk: int = 0
    may_swap: bool = True
    aimed: int | None = None
    word: str = "created"
    senders: tuple[str, str] = ("look", "look")
    flying: tuple[str, ...] = ()
    claims: tuple[int, ...] = ()
    looked: frozenset[int] = frozenset()
    jobs: frozenset[int] = frozenset()
    marks: frozenset[int] = frozenset()
    starts: tuple[int, int] = (0, 0)
    killed: frozenset[int] = frozenset()
    canceller: str = "ledger"
    store: tuple[str, str] = ("", "")
    bundle: tuple[str, str] = ("", "")
    may_tear: bool = True
    ran_torn: bool = False


def successors(s: State, rules: Rules) -> Iterator[tuple[str, State]]:
    """Every (step, state after it)."""
    for i in (0, 1):
        yield from _sender(s, i, rules)
    for n, claim in enumerate(s.flying):
        rest = s._replace(flying=s.flying[:n] + s.flying[n + 1 :])
        yield from _arrival(rest, int(claim[0]), claim.endswith("+"), rules)
    for n, disk in enumerate(s.claims):
        yield from _supervisor(s._replace(claims=s.claims[:n] + s.claims[n + 1 :]), disk, rules)
    yield from _canceller(s, rules)
    if s.may_swap:
        yield "the host shows another disk", s._replace(disk=1, may_swap=False)
    if s.may_tear and s.store[s.disk] == "whole":
        # In place: the file of a job's is the same one.
        torn = "torn" if s.bundle[s.disk] else ""
        bundle = _of_disk(s.bundle, s.disk, torn)
        damaged = _stored(s, s.disk, "torn")._replace(bundle=bundle, may_tear=False)
        yield "the stored programs are damaged", damaged
    if s.may_tear and s.store[s.disk]:
        yield "the stored programs are removed", _stored(s, s.disk, "")._replace(may_tear=False)


def _of_disk(values: tuple[str, str], disk: int, value: str) -> tuple[str, str]:
    return (value, values[1]) if disk == 0 else (values[0], value)


def _stored(s: State, disk: int, state: str) -> State:
    return s._replace(store=_of_disk(s.store, disk, state))


def _sender(s: State, i: int, rules: Rules) -> Iterator[tuple[str, State]]:
    at, disk = s.senders[i][:4].strip(), s.senders[i][4:].strip(" +")
    plus = "+" if s.senders[i].endswith("+") else ""

    def moved(to: str, **more: object) -> State:
        other = s.senders[1 - i]
        return s._replace(senders=(to, other) if i == 0 else (other, to), **more)  # type: ignore[arg-type]

    if at == "":
        return
    yield f"sender {i} is killed", moved("")
    if at == "look":
        to = "aim" if rules.volume_is_written_before_the_job_is_sent else "send"
        here = s.store[s.disk]
        has = here == "whole" or (here and not rules.stored_programs_are_compared_with_their_hash)
        yield f"sender {i} sees disk {s.disk}", moved(f"{to} {s.disk}{'' if has else '+'}")
    elif at == "aim" and s.word == "cancelled":
        yield f"sender {i} finds it cancelled", moved("")
    elif at == "aim":
        aimed = int(disk) if s.aimed is None else s.aimed
        yield f"sender {i} aims at disk {aimed}", moved(f"send {aimed}{plus}", aimed=aimed)
    elif at == "send":
        yield f"sender {i} sends", moved("", flying=(*s.flying, disk + plus))


def _arrival(s: State, disk: int, with_programs: bool, rules: Rules) -> Iterator[tuple[str, State]]:
    yield "a claim is lost on its way", s
    if with_programs:
        s = _stored(s, s.disk, "whole")
        yield "a claim is killed when it has stored the programs", s
    if s.store[s.disk] == "" or (
        s.store[s.disk] == "torn" and rules.stored_programs_are_compared_with_their_hash
    ):
        yield "a claim finds no programs to run", s
        return
    s = s._replace(ran_torn=s.ran_torn or s.store[s.disk] == "torn")
    if s.disk in s.jobs:
        yield "a claim finds the job", s._replace(claims=(*s.claims, s.disk))
    elif s.disk == disk or not rules.claim_is_taken_on_its_volume_only:
        if not rules.supervisor_reads_the_mark_after_the_claim and s.disk not in s.looked:
            if s.disk not in s.marks:
                yield (
                    "a claim finds no mark",
                    s._replace(flying=(*s.flying, str(disk)), looked=s.looked | {s.disk}),
                )
            return
        bundle = _of_disk(s.bundle, s.disk, s.store[s.disk])
        there = s._replace(jobs=s.jobs | {s.disk}, claims=(*s.claims, s.disk), bundle=bundle)
        yield "a claim is renamed into place", there
    else:
        yield "a claim finds another disk", s


def _supervisor(s: State, disk: int, rules: Rules) -> Iterator[tuple[str, State]]:
    if s.disk != disk:
        yield "its pod is gone", s
    elif disk in s.marks and rules.supervisor_reads_the_mark_after_the_claim:
        yield "a supervisor finds a mark", s
    elif s.starts[disk]:
        yield "a supervisor finds it started", s
    elif rules.a_jobs_programs_are_compared_with_their_hash and _programs(s, disk, rules) != "whole":
        yield "a supervisor finds its programs damaged", s
    else:
        s = s._replace(ran_torn=s.ran_torn or _programs(s, disk, rules) != "whole")
        starts = (s.starts[0] + (disk == 0), s.starts[1] + (disk == 1))
        yield f"it starts on disk {disk}", s._replace(starts=starts)


def _programs(s: State, disk: int, rules: Rules) -> str:
    return s.bundle[disk] if rules.a_job_keeps_programs_of_its_own else s.store[disk]


def _canceller(s: State, rules: Rules) -> Iterator[tuple[str, State]]:
    def found_there() -> State:
        there = s.marks | {s.disk}
        return s._replace(canceller="", word="cancelled", marks=there, killed=s.killed | {s.disk})

    if s.canceller == "ledger" and s.aimed is None:
        if rules.unsent_is_decided_with_the_ledger_locked:
            yield "a cancel finds it unsent", s._replace(canceller="", word="cancelled")
        else:
            yield "a cancel reads that it is unsent", s._replace(canceller="unsent")
    elif s.canceller == "unsent":
        yield "a cancel writes that it is cancelled", s._replace(canceller="", word="cancelled")
    elif s.canceller == "ledger":
        yield "a cancel is sent", s._replace(canceller="ask")
    elif s.canceller == "ask":
        if s.disk in s.jobs:
            yield "a cancel finds the job", found_there()
        elif s.disk != s.aimed:
            yield "a cancel finds another disk", s._replace(canceller="")
        elif not rules.mark_is_left_where_it_will_arrive:
            yield "a cancel finds nothing", s._replace(canceller="", word="cancelled")
        elif rules.mark_is_left_before_the_look:
            yield "a cancel leaves a mark", s._replace(canceller="look", marks=s.marks | {s.disk})
        else:
            yield "a cancel finds nothing", s._replace(canceller="mark")
    elif s.canceller == "mark":
        done = s._replace(canceller="", word="cancelled", marks=s.marks | {s.disk})
        yield "a cancel leaves a mark unseen", done
    elif s.canceller == "look" and s.disk != s.aimed:
        yield "its pod is gone", s._replace(canceller="")
    elif s.canceller == "look" and s.disk in s.jobs:
        yield "a cancel finds the job after all", found_there()
    elif s.canceller == "look":
        yield "a cancel is sure", s._replace(canceller="", word="cancelled")


def harm(s: State, rules: Rules) -> str | None:
    """What may never be."""
    if sum(s.starts) > 1:
        return "the payload started twice"
    runs = [disk for disk in (0, 1) if s.starts[disk] and disk not in s.killed]
    if s.word == "cancelled" and s.canceller == "" and runs:
        return "it is called cancelled, and runs"
    if s.ran_torn:
        return "programs ran that are not whole"
    if any(_programs(s, disk, rules) == "" for disk in s.jobs):
        return "a job has no programs"
    return None


@dataclass(frozen=True)
class Search:
    """What the search saw; `trace` leads to the harm."""

    states: int
    words: frozenset[tuple[str, int]]
    harm: str | None
    trace: tuple[str, ...]


def search(rules: Rules = Rules()) -> Search:
    """Visit every state that can be reached; stops at the first harm."""
    first = State()
    came: dict[State, tuple[State, str] | None] = {first: None}
    queue, words = deque([first]), set()
    while queue:
        state = queue.popleft()
        words.add((state.word, sum(state.starts)))
        found = harm(state, rules)
        if found is not None:
            return Search(len(came), frozenset(words), found, _way(state, came))
        for step, after in successors(state, rules):
            if after not in came:
                came[after] = (state, step)
                queue.append(after)
    return Search(len(came), frozenset(words), None, ())


def _way(state: State, came: dict[State, tuple[State, str] | None]) -> tuple[str, ...]:
    steps = []
    while (before := came[state]) is not None:
        state, step = before
        steps.append(step)
    return tuple(reversed(steps))
