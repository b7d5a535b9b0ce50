"""A job that moves to other hosts as an explicit-state model: the ledger, an old host that is away and
comes back, and messages that arrive whenever they like.

Attempt 1 runs on host 0, which nobody hears at first. Two terminals, on the user's word, have the job
go on on host 1 and on host 2, each step by step; either may be killed between any two steps, and one
of the commands be repeated. What they sent arrives later, again, or never. A third looks after the
job and pulls its results, again and again. The code that it stands for: a mover is
`jobs/move.py` with `Ledger.next_attempt`, what happens on arrival `pod/claim.py` and
`pod/supervisor.py`, a puller `workflows/pull.py` with `tending/watch.py` and `Ledger.record`. `Rules`
names what makes it right.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

MOST_ATTEMPTS = 3


@dataclass(frozen=True)
class Rules:
    """What it relies on; each may be broken to see that it is needed."""

    an_attempt_is_made_only_after_the_one_that_was_looked_at: bool = True
    the_move_is_written_before_the_job_is_sent: bool = True
    the_ledger_says_where_an_attempt_goes: bool = True
    nothing_follows_a_success: bool = True
    word_of_an_attempt_that_does_not_count_is_no_news: bool = True
    only_what_counts_is_pulled: bool = True
    a_host_starts_an_attempt_once: bool = True


class State(NamedTuple):
    """Everything that lasts, and where everybody is.

    Attributes:
        hosts: the ledger's host of each attempt; the last one is the attempt that counts.
        word: the ledger's of that attempt: "open" or "succeeded".
        movers: (step, attempt looked at) of each; "look" | "write" | "send" | "send first" | "".
        runs: how often each command may still be repeated.
        flying: submits on their way: (attempt, host).
        starts: (attempt, host) of each payload that started.
        done: attempts that came to a good end.
        puller: (step, attempt, host); "find" | "look" | "record" | "publish".
        away: whether host 0 answers nobody.
        published: attempts whose results lie at home.
    """

    hosts: tuple[int, ...] = (0,)
    word: str = "open"
    movers: tuple[tuple[str, int], ...] = (("look", 0), ("look", 0))
    runs: tuple[int, ...] = (1, 0)
    flying: frozenset[tuple[int, int]] = frozenset()
    starts: tuple[tuple[int, int], ...] = ((1, 0),)
    done: frozenset[int] = frozenset()
    puller: tuple[str, int, int] = ("find", 0, 0)
    away: bool = True
    published: frozenset[int] = frozenset()

    @property
    def attempt(self) -> int:
        """The one that counts."""
        return len(self.hosts)


def successors(s: State, rules: Rules) -> Iterator[tuple[str, State]]:
    """Every (step, state after it)."""
    for i in range(len(s.movers)):
        yield from _mover(s, i, rules)
    for attempt, host in sorted(s.flying):
        yield from _arrival(s, attempt, host, rules)
    for attempt in sorted({attempt for attempt, _ in s.starts} - s.done):
        yield f"attempt {attempt} comes to its end", s._replace(done=s.done | {attempt})
    yield from _puller(s, rules)
    if s.away:
        yield "host 0 answers again", s._replace(away=False)


def _mover(s: State, i: int, rules: Rules) -> Iterator[tuple[str, State]]:
    (at, seen), target = s.movers[i], i + 1

    def moved(to: str, attempt: int = 0, **more: object) -> State:
        movers = (*s.movers[:i], (to, attempt), *s.movers[i + 1 :])
        return s._replace(movers=movers, **more)  # type: ignore[arg-type]

    def sent(attempt: int, host: int, then: str) -> State:
        return moved(then, seen, flying=s.flying | {(attempt, host)})

    if at == "":
        if s.runs[i]:
            runs = (*s.runs[:i], s.runs[i] - 1, *s.runs[i + 1 :])
            yield f"the command to host {target} is repeated", moved("look", runs=runs)
        return
    yield f"mover {i} is killed", moved("")
    if at == "look":
        if s.word == "succeeded":
            yield f"mover {i} finds that it succeeded", moved("")
        elif s.hosts[-1] == target:
            yield f"mover {i} finds it on host {target}", moved("send", s.attempt)
        elif s.attempt < MOST_ATTEMPTS:
            first = "write" if rules.the_move_is_written_before_the_job_is_sent else "send first"
            yield f"mover {i} looks at attempt {s.attempt}", moved(first, s.attempt)
    elif at == "send first":
        yield f"mover {i} sends attempt {seen + 1} unwritten", sent(seen + 1, target, "write")
    elif at == "write":
        fresh = s.attempt == seen or not rules.an_attempt_is_made_only_after_the_one_that_was_looked_at
        if not fresh or (s.word == "succeeded" and rules.nothing_follows_a_success):
            yield f"mover {i} was too late", moved("send")
        else:
            hosts = (*s.hosts[:seen], target)
            yield f"mover {i} writes attempt {seen + 1}", moved("send", seen + 1, hosts=hosts, word="open")
    elif at == "send" and s.word == "open" and s.attempt > 1:
        host = s.hosts[-1] if rules.the_ledger_says_where_an_attempt_goes else target
        yield f"mover {i} sends attempt {s.attempt} to host {host}", sent(s.attempt, host, "")


def _arrival(s: State, attempt: int, host: int, rules: Rules) -> Iterator[tuple[str, State]]:
    """It may arrive again later: whoever sent it may have sent it twice."""
    yield "a submit is lost on its way", s._replace(flying=s.flying - {(attempt, host)})
    if (attempt, host) not in s.starts or not rules.a_host_starts_an_attempt_once:
        starts = tuple(sorted((*s.starts, (attempt, host))))
        yield f"attempt {attempt} starts on host {host}", s._replace(starts=starts)


def _puller(s: State, rules: Rules) -> Iterator[tuple[str, State]]:
    at, attempt, host = s.puller

    def moved(to: str, **more: object) -> State:
        return s._replace(puller=(to, attempt, host), **more)  # type: ignore[arg-type]

    if at == "find":
        yield f"a pull finds attempt {s.attempt}", s._replace(puller=("look", s.attempt, s.hosts[-1]))
    elif at == "look":
        if not (host == 0 and s.away) and attempt in s.done:
            yield f"a pull sees the end of attempt {attempt}", moved("record")
        yield "a pull finds nothing", s._replace(puller=("find", 0, 0))
    elif at == "record":
        counts = attempt == s.attempt
        news = counts or not rules.word_of_an_attempt_that_does_not_count_is_no_news
        goes_on = counts or not rules.only_what_counts_is_pulled
        word = "succeeded" if news else s.word
        yield "a pull writes it down", moved("publish" if goes_on else "find", word=word)
    elif at == "publish":
        published = s.published | {attempt}
        yield f"attempt {attempt} is published", s._replace(puller=("find", 0, 0), published=published)


def harm(s: State) -> str | None:
    """What may never be."""
    if len({attempt for attempt, _ in s.starts}) < len(s.starts):
        return "a payload of one attempt started twice"
    if len(s.published) > 1:
        return "two attempts are published"
    if s.word == "succeeded" and s.attempt not in s.done:
        return "it is called succeeded, and the attempt that counts is not"
    if s.published and s.published != {s.attempt}:
        return "what is published is not the attempt that counts"
    return None


@dataclass(frozen=True)
class Search:
    """What the search saw; `ends` are the attempts that counted, ran and were published; `trace`
    leads to the harm."""

    states: int
    ends: frozenset[tuple[int, int, int]]
    harm: str | None
    trace: tuple[str, ...]


def search(rules: Rules = Rules()) -> Search:
    """Visit every state that can be reached; stops at the first harm."""
    first = State()
    came: dict[State, tuple[State, str] | None] = {first: None}
    queue, ends = deque([first]), set()
    while queue:
        state = queue.popleft()
        ends.add((state.attempt, len(state.starts), max(state.published, default=0)))
        found = harm(state)
        if found is not None:
            return Search(len(came), frozenset(ends), found, _way(state, came))
        for step, after in successors(state, rules):
            if after not in came:
                came[after] = (state, step)
                queue.append(after)
    return Search(len(came), frozenset(ends), None, ())


def _way(state: State, came: dict[State, tuple[State, str] | None]) -> tuple[str, ...]:
    steps = []
    while (before := came[state]) is not None:
        state, step = before
        steps.append(step)
    return tuple(reversed(steps))
