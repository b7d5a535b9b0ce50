"""The protocol of claim, ensure, lock, gate and end as an explicit-state model, searched exhaustively.

Two clients submit the same job at once, each step by step, to one pod or to two pods that see one
volume; at any moment something may crash: a client, a supervisor, a waiter, the payload, or the whole first
pod (which then lives on as another incarnation). When nothing but the payload can move any more, a third
client submits once more: its supervisor starts the payload, or is put back over it, or judges the files of
an attempt that ended without a record. The GPU of each pod may be busy at first, and free at any moment: a
supervisor that finds it busy records the job, makes sure that the pod's waiter runs, and leaves. An observer
on the first pod looks at the job in two steps, the lock and the supervisor, then the end, with anything in
between.

A cancel may find the attempt without a supervisor that it can see, and write its end.

The code that it stands for: a client is `pod/claim.py`, a supervisor `pod/supervisor.py` with
`pod/orphaned_attempt.py`, a waiter `pod/waiter.py`, the canceller `pod/cancel.py`, the observer
`pod/status.py` with `jobs/status_verdict.py`. `Rules` names what makes it right, so that a test can take each
away and see the search find the harm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Rules:
    """What the protocol relies on; each may be broken to see that it is needed."""

    claim_is_one_rename: bool = True
    gate_is_exclusive: bool = True
    payload_inherits_the_lock: bool = True
    started_is_never_restarted: bool = True
    lock_is_read_before_the_end: bool = True
    lost_needs_a_free_lock: bool = True
    another_life_on_a_shared_volume_is_unknown: bool = True
    judged_under_the_lock: bool = True
    judged_only_where_it_ran: bool = True
    a_supervisor_without_the_lock_is_seen: bool = True
    the_end_is_read_last: bool = True
    a_place_is_recorded_before_the_waiter_is_looked_for: bool = True
    a_waiter_looks_again_once_its_lock_is_free: bool = True
    a_cancel_writes_an_end_only_where_it_ran: bool = True


class State(NamedTuple):
    """Everything that lasts, and where everybody is.

    Attributes:
        claim: 0 nothing, 1 half a folder (only if the rename is broken), 2 whole.
        made, ended, started: attempts/1 is there; end.json is there; how often a payload started.
        payload: "" | "runs" | "done".
        pods: where each supervisor is; each pod has a lock of its own.
        lock: who holds a descriptor of one: supervisors' numbers, "p" for the payload.
        clients: steps of the two submits and of the repeated one; "" once gone.
        supervisors: one per client, and one of each pod's waiter.
        busy: whether the GPU of each pod is.
        records: (pod, life) of the waiting records; a waiter reads those of its own life.
        waiters: of each pod: "" none, "look", "close" (about to free its lock), "again" (has freed it).
        canceller: where a cancel is that finds no living supervisor on its pod, the last one; "": none.
        life: the first pod's incarnation; born: (pod, life) of the attempt.
        crashes, crashed: how many may still come; whether one came.
        look: what the observer has seen: (lock free, supervisor alive, born in this life, ended).
        verdict: what it said last; what was once called ended must stay so.
    """

    pods: tuple[int, ...] = (0, 0, 0, 0, 1)

    claim: int = 0
    made: bool = False
    ended: bool = False
    started: int = 0
    payload: str = ""
    lock: frozenset[str] = frozenset()
    clients: tuple[str, ...] = ("claim", "claim", "later")
    supervisors: tuple[str, ...] = ("", "", "", "", "")
    busy: tuple[bool, bool] = (False, False)
    records: frozenset[tuple[int, int]] = frozenset()
    waiters: tuple[str, ...] = ("", "")
    canceller: str = ""
    life: int = 0
    born: tuple[int, int] = (-1, -1)
    crashes: int = 1
    crashed: bool = False
    look: tuple[bool, bool, bool, bool] | None = None
    verdict: str = ""

    def life_of(self, pod: int) -> tuple[int, int]:
        """The pod and its present life; only the first one ever has another."""
        return pod, self.life if pod == 0 else 0

    def holders(self, pod: int) -> frozenset[str]:
        """Who holds the lock of that pod."""
        at = {"p": self.born[0], "c": self.cancel_pod}
        return frozenset(h for h in self.lock if (at[h] if h in at else self.pods[int(h)]) == pod)

    @property
    def cancel_pod(self) -> int:
        return max(self.pods[:3])

    def may_judge(self, i: int, rules: Rules) -> bool:
        """Whether supervisor i may look after the attempt: it ran here, or no other pod sees the disk."""
        here = self.born == (self.pods[i], self.life if self.pods[i] == 0 else 0)
        return here or set(self.pods[:3]) == {0} or not rules.judged_only_where_it_ran

    def supervised(self, pod: int) -> bool:
        """Whether a supervisor lives on that pod that looks after the attempt."""
        return any(
            at in ("put back", "judge", "write", "watch", "start") and self.pods[i] == pod
            for i, at in enumerate(self.supervisors)
        )


def with_item(items: tuple[str, ...], i: int, value: str) -> tuple[str, ...]:
    return (*items[:i], value, *items[i + 1 :])


def successors(s: State, rules: Rules) -> Iterator[tuple[str, State]]:
    """Every (step, state after it)."""
    for i in range(len(s.clients)):
        yield from _client(s, i, rules)
    for i in range(len(s.supervisors)):
        yield from _supervisor(s, i, rules)
    for pod in sorted(set(s.pods[:3])):
        yield from _waiter(s, pod, rules)
        if s.busy[pod]:
            yield (
                f"the GPU of pod {pod} is free",
                s._replace(busy=(s.busy[0] and pod == 1, s.busy[1] and pod == 0)),
            )
    yield from _canceller(s, rules)
    if s.payload == "runs":
        yield "payload ends", s._replace(payload="done", lock=s.lock - {"p"})
    yield from _observer(s, rules)
    if s.crashes:
        yield from _crashes(s)


def _client(s: State, i: int, rules: Rules) -> Iterator[tuple[str, State]]:
    at = s.clients[i]

    def moved(to: str, **more: object) -> State:
        return s._replace(clients=with_item(s.clients, i, to), **more)  # type: ignore[arg-type]

    if at == "claim":
        if s.claim == 2:
            yield f"client {i} finds the job", moved("spawn")
        elif rules.claim_is_one_rename:
            yield f"client {i} renames its folder", moved("spawn", claim=2)
        elif s.claim == 1:
            yield f"client {i} finds half a job", moved("spawn")
        else:
            yield f"client {i} makes half a folder", moved("fill", claim=1)
    elif at == "fill":
        yield f"client {i} fills it", moved("spawn", claim=2)
    elif at == "spawn":
        yield (
            f"client {i} starts a supervisor",
            moved("")._replace(supervisors=with_item(s.supervisors, i, "lock")),
        )
    elif at == "later" and s.clients[:2] == ("", "") and _is_at_rest(s):
        # Everything came to rest: the submit is repeated, and nothing crashes any more.
        yield "the submit is repeated", moved("claim", crashes=0)


def _is_at_rest(s: State) -> bool:
    """Nothing but the payload can move."""
    return not any(s.supervisors) and not any(s.waiters) and not any(s.busy)


def _waiter(s: State, pod: int, rules: Rules) -> Iterator[tuple[str, State]]:
    """Of each pod one at most, and its supervisor: the lock of a waiter is not modelled apart from it."""
    at, record, child = s.waiters[pod], s.life_of(pod), 3 + pod

    def moved(to: str, **more: object) -> State:
        return s._replace(waiters=with_item(s.waiters, pod, to), **more)  # type: ignore[arg-type]

    if at == "look" and record not in s.records:
        yield f"waiter {pod} finds no record", moved("close")
    elif at == "look" and s.made:
        yield f"waiter {pod} drops a record", moved("look", records=s.records - {record})
    elif at == "look" and not s.busy[pod] and not s.supervisors[child] and not s.holders(pod):
        yield (
            f"waiter {pod} starts a supervisor",
            moved("look", supervisors=with_item(s.supervisors, child, "lock")),
        )
    elif at == "close":
        again = rules.a_waiter_looks_again_once_its_lock_is_free
        yield f"waiter {pod} frees its lock", moved("again" if again else "")
    elif at == "again":
        yield f"waiter {pod} looks again", moved("look" if record in s.records else "")


def _supervisor(s: State, i: int, rules: Rules) -> Iterator[tuple[str, State]]:
    at, me = s.supervisors[i], str(i)

    def moved(to: str, **more: object) -> State:
        return s._replace(supervisors=with_item(s.supervisors, i, to), **more)  # type: ignore[arg-type]

    def leaves(**more: object) -> State:
        return moved("", **more)._replace(lock=s.lock - {me})

    if at == "lock":
        if s.claim != 2:
            yield f"supervisor {i} finds no spec", leaves()
        elif s.holders(s.pods[i]) == {"p"} and s.made and not s.ended and s.may_judge(i, rules):
            yield f"supervisor {i} is put back", moved("put back")
        elif s.holders(s.pods[i]):
            yield f"supervisor {i} finds the lock held", leaves()
        else:
            yield f"supervisor {i} takes the lock", moved("look", lock=s.lock | {me})
    elif at == "look":
        if s.ended or (s.made and rules.started_is_never_restarted and not s.may_judge(i, rules)):
            yield f"supervisor {i} finds a start or an end", leaves()
        elif s.made and rules.started_is_never_restarted:
            yield f"supervisor {i} finds a start without an end", moved("judge")
        else:
            yield f"supervisor {i} finds nothing", moved("gpu")
    elif at == "put back":
        if not rules.judged_under_the_lock:
            yield f"supervisor {i} judges without the lock", moved("judge")
        elif not s.holders(s.pods[i]):
            yield f"supervisor {i} takes the lock after the payload", moved("judge", lock=s.lock | {me})
    elif at == "judge":
        if s.ended:
            yield f"supervisor {i} finds an end", leaves()
        else:
            yield f"supervisor {i} verifies the files", moved("write")
    elif at == "write":
        yield f"supervisor {i} writes how it ended", moved("unlock", ended=True)
    elif at == "gpu" and not s.busy[s.pods[i]]:
        yield f"supervisor {i} leases the GPU", moved("gate")
    elif at == "gpu":
        first = rules.a_place_is_recorded_before_the_waiter_is_looked_for
        yield f"supervisor {i} finds the GPU busy", moved("record" if first else "ensure")
    elif at == "record":
        records = s.records | {s.life_of(s.pods[i])}
        later = rules.a_place_is_recorded_before_the_waiter_is_looked_for
        yield (
            f"supervisor {i} records its place",
            (moved("ensure") if later else leaves())._replace(records=records),
        )
    elif at == "ensure":
        waiter = s.waiters[s.pods[i]]
        # A waiter that has freed its lock and looks again is one that this supervisor replaces.
        waiters = s.waiters if waiter in ("look", "close") else with_item(s.waiters, s.pods[i], "look")
        later = rules.a_place_is_recorded_before_the_waiter_is_looked_for
        yield (
            f"supervisor {i} ensures a waiter",
            (leaves() if later else moved("record"))._replace(waiters=waiters),
        )
    elif at == "gate":
        if s.made and rules.gate_is_exclusive and rules.started_is_never_restarted:
            yield f"supervisor {i} finds the gate closed", leaves()
        else:
            yield (
                f"supervisor {i} passes the gate",
                moved("start", made=True, born=s.life_of(s.pods[i])),
            )
    elif at == "start":
        lock = s.lock | ({"p"} if rules.payload_inherits_the_lock else set())
        yield (
            f"supervisor {i} starts the payload",
            moved("watch", payload="runs", started=s.started + 1, lock=lock),
        )
    elif at == "watch" and s.payload == "done":
        yield f"supervisor {i} writes the end", moved("unlock", ended=True)
    elif at == "unlock":
        yield f"supervisor {i} leaves", leaves()


def _canceller(s: State, rules: Rules) -> Iterator[tuple[str, State]]:
    """`pod/cancel.py` where it finds an attempt whose supervisor does not live on its pod."""
    at, pod = s.canceller, s.cancel_pod
    is_ours = s.born == s.life_of(pod) or set(s.pods[:3]) == {0}
    if at == "look" and s.made and not s.ended and not s.supervised(pod):
        yield "the cancel sees no supervisor", s._replace(canceller="end")
    elif at == "end" and s.payload == "runs" and s.born == s.life_of(pod):
        yield "the cancel ends the payload", s._replace(canceller="lock", payload="done", lock=s.lock - {"p"})
    elif at == "end":
        yield "the cancel finds no process", s._replace(canceller="lock")
    elif at == "lock" and s.holders(pod):
        yield "the cancel finds the lock held", s._replace(canceller="")
    elif at == "lock":
        yield "the cancel takes the lock", s._replace(canceller="write", lock=s.lock | {"c"})
    elif at == "write":
        writes = is_ours or not rules.a_cancel_writes_an_end_only_where_it_ran
        left = s._replace(canceller="", lock=s.lock - {"c"})
        yield "the cancel writes the end, or leaves", left._replace(ended=s.ended or writes)


def _observer(s: State, rules: Rules) -> Iterator[tuple[str, State]]:
    if s.look is None:
        if s.made and (rules.lock_is_read_before_the_end or not s.ended):
            look = (not s.holders(0), s.supervised(0), s.born == (0, s.life), s.ended)
            yield "observer reads the lock and the supervisor", s._replace(look=look)
        return
    free, supervised, same_life, ended = s.look
    watched = supervised and s.supervised(0)
    if not rules.lock_is_read_before_the_end:
        free, supervised, ended = not s.holders(0), s.supervised(0), False
    elif rules.the_end_is_read_last:
        ended = s.ended
    else:
        supervised = s.supervised(0)
    supervised = supervised and rules.a_supervisor_without_the_lock_is_seen
    free = (free and not supervised) or not rules.lost_needs_a_free_lock
    alone = set(s.pods[:3]) == {0} or not rules.another_life_on_a_shared_volume_is_unknown
    verdict = "ended" if ended else "running" if not free else "lost" if same_life or alone else "unknown"
    if verdict == "lost" and (s.ended or watched):
        verdict = "lost, wrongly"
    yield "observer judges", s._replace(look=None, verdict=verdict)


def _crashes(now: State) -> Iterator[tuple[str, State]]:
    s = now._replace(crashes=now.crashes - 1, crashed=True)
    for pod in (0, 1):
        if s.waiters[pod]:
            yield f"waiter {pod} is killed", s._replace(waiters=with_item(s.waiters, pod, ""))
    for i in (3, 4):
        if s.supervisors[i]:
            yield (
                f"supervisor {i} is killed",
                s._replace(supervisors=with_item(s.supervisors, i, ""), lock=s.lock - {str(i)}),
            )
    for i in range(2):
        if s.clients[i] not in ("", "later"):
            yield f"client {i} is killed", s._replace(clients=with_item(s.clients, i, ""))
        if s.supervisors[i]:
            yield (
                f"supervisor {i} is killed",
                s._replace(supervisors=with_item(s.supervisors, i, ""), lock=s.lock - {str(i)}),
            )
    if s.payload == "runs":
        yield "the payload is killed", s._replace(payload="done", lock=s.lock - {"p"})
    here = [pod == 0 for pod in s.pods]
    yield (
        "the pod is killed",
        s._replace(
            clients=tuple(
                "" if gone and at != "later" else at for gone, at in zip(here[:3], s.clients, strict=True)
            ),
            supervisors=tuple("" if gone else at for gone, at in zip(here, s.supervisors, strict=True)),
            payload="done" if s.payload == "runs" and s.born[0] == 0 else s.payload,
            lock=s.lock - s.holders(0),
            life=s.life + 1,
            waiters=with_item(s.waiters, 0, ""),
            canceller=s.canceller if s.cancel_pod else "",
            look=None,
        ),
    )


def harm(s: State) -> str | None:
    """What the guarantee of section "Jobs" forbids, if this state shows it."""
    if s.started > 1:
        return "the payload started twice"
    if s.verdict == "lost, wrongly" or (
        s.verdict == "lost" and (s.payload == "runs" or any(x in ("start", "watch") for x in s.supervisors))
    ):
        return "called lost while it runs, or after its end"
    if s.ended and s.payload == "runs":
        return "called ended while it runs"
    if s.supervisors.count("write") > 1:
        return "judged twice at once"
    waits = not s.made and s.records and s.clients[:2] == ("", "") and _is_at_rest(s)
    if waits and not s.crashed:
        return "a waiting job was forgotten, though nothing crashed"
    if s.verdict == "ended" and not s.ended:
        return "called ended without an end"
    return None


def harm_at_rest(s: State) -> str | None:
    """What may not be left when nothing can move, the repeated submit behind us."""
    if not s.made:
        return "a job that could run did not"
    if not s.crashed and not (s.started and s.ended):
        return "nothing crashed and it did not run to its end"
    if not s.ended and s.verdict != "unknown":
        return "it has no end, though nobody else can run it"
    if s.lock:
        return "a lock is held by nobody who lives"
    return None


@dataclass(frozen=True)
class Search:
    """What the search saw."""

    states: int
    at_rest: int
    harm: str | None
    trace: tuple[str, ...]


def search(
    rules: Rules = Rules(),
    *,
    crashes: int = 1,
    pods: tuple[int, ...] = (0, 0, 0),
    busy: bool = False,
    cancels: bool = False,
) -> Search:
    """Visit every state that can be reached; stops at the first harm, with the way to it."""
    first = State(crashes=crashes, pods=(*pods, 0, 1), canceller="look" if cancels else "")
    if busy:  # with another job, and a waiter that other jobs have needed
        busy_pods = (True, 1 in pods)
        first = first._replace(busy=busy_pods, waiters=tuple("look" if pod else "" for pod in busy_pods))
    came: dict[State, tuple[State, str] | None] = {first: None}
    queue, at_rest = deque([first]), 0
    while queue:
        state = queue.popleft()
        steps = list(successors(state, rules))
        found = harm(state)
        if found is None and all(after == state or "observer reads" in step for step, after in steps):
            at_rest += 1
            judged = [a.verdict for _, look in steps for _, a in successors(look, rules)]
            found = harm_at_rest(state._replace(verdict=judged[0]) if judged else state)
        if found is not None:
            return Search(len(came), at_rest, found, _way(state, came))
        for step, after in steps:
            if after not in came:
                came[after] = (state, step)
                queue.append(after)
    return Search(len(came), at_rest, None, ())


def _way(state: State, came: dict[State, tuple[State, str] | None]) -> tuple[str, ...]:
    steps = []
    while (before := came[state]) is not None:
        state, step = before
        steps.append(step)
    return tuple(reversed(steps))
