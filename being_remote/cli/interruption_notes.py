"""What is printed when Ctrl-C stops a command: what it leaves, and what to do next."""

from __future__ import annotations

from contextvars import ContextVar

from being_remote.errors import Interrupted

_AGAIN = "run the same command again"
_GOES_ON = "run the same command again: it continues from there"
_UNCHANGED = ("nothing was changed", _AGAIN)
# Of each command: what is kept, and what to do next. Why that is so: docs/guarantees.md.
KEPT: dict[str, tuple[str, str]] = {
    "find-bbox": ("no file is left half written", _AGAIN),
    "sync": ("what was downloaded is kept", _GOES_ON),
    "recover": ("finished files and pictures are kept, and none is cut short", _GOES_ON),
    "analyze": _UNCHANGED,
    "compare": _UNCHANGED,
    "hosts": _UNCHANGED,
    "doctor": _UNCHANGED,
    "ssh": _UNCHANGED,
    "init": ("files that were written are kept", _GOES_ON),
    "trust": ("keys that were trusted before are kept", _AGAIN),
    "retrack": (
        "a job that was submitted is kept and may run",
        "run the same command again: it attaches to that job, and nothing starts twice",
    ),
    "run": (
        "a job that was submitted is kept and may run",
        "run the same command again: it attaches to that job, and nothing starts twice",
    ),
    "jobs": ("no job was changed, and none was forgotten by half", _AGAIN),
    "logs": ("no job was changed", _AGAIN),
    "cancel": ("the job may have been cancelled", _GOES_ON),
    "pull": ("what was downloaded is kept", _GOES_ON),
    "resume": (
        "an attempt that was submitted is kept and may run",
        "run the same command again: no attempt starts twice; jobs shows its status",
    ),
    "forget": ("a job is forgotten as a whole or not at all", _GOES_ON),
    "push": ("what was uploaded is kept", _GOES_ON),
    "safe-to-stop": _UNCHANGED,
    "demo": ("nothing of the demo is left", "run the same command again: it starts over"),
}

_command: ContextVar[str | None] = ContextVar("command", default=None)
_end_shown: ContextVar[bool] = ContextVar("end_shown", default=False)


def begin(command: str | None) -> None:
    """Remember which command runs; it has not printed its end yet."""
    _command.set(command)
    _end_shown.set(False)


def note_end_shown() -> None:
    """Remember that the command has printed its end: a report or an error."""
    _end_shown.set(True)


def end_shown() -> bool:
    """Whether the command has printed its end."""
    return _end_shown.get()


def interrupted(followed_job: str | None = None) -> Interrupted:
    """The error for Ctrl-C; `followed_job` keeps running."""
    if followed_job is not None:
        return Interrupted(
            f"stopped by Ctrl-C; job {followed_job} keeps running",
            hint=f"logs {followed_job} --follow, or cancel {followed_job}",
        )
    kept, hint = KEPT.get(_command.get() or "", ("", _AGAIN))
    return Interrupted(f"stopped by Ctrl-C; {kept}" if kept else "stopped by Ctrl-C", hint=hint)
