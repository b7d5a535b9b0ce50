"""The protocol of forgetting a job as an explicit-state model, searched exhaustively: a forget, late
claims of the same attempt, their supervisors, and kills.

The job has run and ended once. Two claims that were sent before arrive late, each step by step; a forget
is under way, may be killed at any step and is then repeated. The code that it stands for: the forget is
`pod/forget.py`, a claim `pod/claim.py`, a supervisor `pod/supervisor.py`. `Rules` names what makes it right.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Rules:
    """What the protocol relies on; each may be broken to see that it is needed."""

    tombstone_is_left_before_the_folder_goes: bool = True
    claim_looks_again_after_its_rename: bool = True
    supervisor_looks_for_the_tombstone: bool = True


class State(NamedTuple):
    """Everything that lasts, and where everybody is.

    Attributes:
        folder: "ended" (the attempt has run), "fresh" (a claim brought it back) or "".
        claims: "tombstone" | "folder" | "rename" | "again" | "start" | "" each.
        supervisors: "lock" | "look" | "gate" | "" each, one for each claim.
        lock: who holds the job's lock: "f", a supervisor's number, or "".
        forget: its next step; "" once it is done.
        starts: how often the payload was started, beside the once before.
        kills: how many may still come; killed: a claim was killed, and may have left its folder.
    """

    folder: str = "ended"
    tombstone: bool = False
    claims: tuple[str, str] = ("tombstone", "tombstone")
    supervisors: tuple[str, str] = ("", "")
    lock: str = ""
    forget: str = "lock"
    starts: int = 0
    kills: int = 2
    killed: bool = False


def _with(items: tuple[str, str], i: int, value: str) -> tuple[str, str]:
    return (value, items[1]) if i == 0 else (items[0], value)


def successors(s: State, rules: Rules) -> Iterator[tuple[str, State]]:
    """Every (step, state after it)."""
    yield from _forget(s, rules)
    for i in (0, 1):
        yield from _claim(s, i, rules)
        yield from _supervisor(s, i, rules)
    if s.kills:
        fewer = s._replace(kills=s.kills - 1)
        if s.forget not in ("", "lock"):
            yield "the forget is killed and repeated", fewer._replace(forget="lock", lock="")
        for i in (0, 1):
            if s.claims[i]:
                yield f"claim {i} is killed", fewer._replace(claims=_with(s.claims, i, ""), killed=True)


def _forget(s: State, rules: Rules) -> Iterator[tuple[str, State]]:
    mark, away = "tombstone", "rename"
    if not rules.tombstone_is_left_before_the_folder_goes:
        mark, away = away, mark
    if s.forget == "lock" and not s.lock:
        yield "the forget takes the lock", s._replace(forget="first", lock="f")
    elif s.forget in ("first", "second"):
        step = mark if s.forget == "first" else away
        after = s._replace(forget="second" if s.forget == "first" else "done")
        if step == "tombstone":
            yield "it leaves the tombstone", after._replace(tombstone=True)
        else:
            yield "it renames the folder away", after._replace(folder="")
    elif s.forget == "done":
        yield "the forget ends", s._replace(forget="", lock="")


def _claim(s: State, i: int, rules: Rules) -> Iterator[tuple[str, State]]:
    def moved(to: str, **more: object) -> State:
        return s._replace(claims=_with(s.claims, i, to), **more)  # type: ignore[arg-type]

    at = s.claims[i]
    if at == "tombstone":
        yield f"claim {i} looks for the tombstone", moved("" if s.tombstone else "folder")
    elif at == "folder":
        yield f"claim {i} looks for the folder", moved("start" if s.folder else "rename")
    elif at == "rename":
        if s.folder:
            yield f"claim {i} finds the folder", moved("start")
        else:
            again = "again" if rules.claim_looks_again_after_its_rename else "start"
            yield f"claim {i} puts the folder there", moved(again, folder="fresh")
    elif at == "again":
        if s.tombstone:
            yield f"claim {i} removes its folder", moved("", folder="" if s.folder == "fresh" else s.folder)
        else:
            yield f"claim {i} finds no tombstone", moved("start")
    elif at == "start":
        yield f"claim {i} starts a supervisor", moved("", supervisors=_with(s.supervisors, i, "lock"))


def _supervisor(s: State, i: int, rules: Rules) -> Iterator[tuple[str, State]]:
    def moved(to: str, **more: object) -> State:
        return s._replace(supervisors=_with(s.supervisors, i, to), **more)  # type: ignore[arg-type]

    at = s.supervisors[i]
    if at == "lock" and not s.lock:
        yield f"supervisor {i} takes the lock", moved("look", lock=str(i))
    elif at == "look":
        stops = s.folder != "fresh" or (s.tombstone and rules.supervisor_looks_for_the_tombstone)
        yield f"supervisor {i} looks", moved("" if stops else "gate", lock="" if stops else s.lock)
    elif at == "gate":
        started = s.folder == "fresh"
        yield (
            f"supervisor {i} passes the gate",
            moved("", lock="", starts=s.starts + started, folder="ended" if started else s.folder),
        )


def harm(s: State, at_rest: bool) -> str | None:
    """What must never be."""
    if s.starts:
        return "the payload started again"
    if not s.folder and not s.tombstone:
        return "neither the folder nor a tombstone"
    if at_rest and not s.killed and s.folder:
        return "the folder is there after the forget"
    return None


def search(rules: Rules) -> tuple[str | None, list[str], int]:
    """(the first harm that is found, the steps to it, how many states there are)."""
    start = State()
    came: dict[State, tuple[State, str] | None] = {start: None}
    waiting = deque([start])
    while waiting:
        s = waiting.popleft()
        steps = list(successors(s, rules))
        kills_only = all("killed" in step for step, _ in steps)
        found = harm(s, kills_only)
        if found is not None:
            trace: list[str] = []
            back = came[s]
            while back is not None:
                trace.append(back[1])
                back = came[back[0]]
            return found, trace[::-1], len(came)
        for step, after in steps:
            if after not in came:
                came[after] = (s, step)
                waiting.append(after)
    return None, [], len(came)
