"""The programs of `pod/` as one text on stdin, and the bounded question that carries them.

A pod has nothing of ours installed, so every question brings its answerer along: its modules as
source, then whatever it is to read. The far interpreter runs isolated (-I) and writes no bytecode.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Literal

from pydantic import ValidationError

from being_remote.errors import CommandFailed, HostError, ToolMissing
from being_remote.foreign_text import quote
from being_remote.jobs.spec import canonical
from being_remote.session import Session

BOOT = (
    "import sys\n"
    "i = sys.stdin.buffer\n"
    "n = int(i.readline(20))\n"
    "t = i.read(n)\n"
    "len(t) == n or sys.exit('cut short')\n"
    "exec(compile(t, 'being_remote', 'exec'))\n"
)
Program = Literal["claim", "status", "cancel", "placement"]
_RECORDS = ("job_records", "processes", "boot_identity", "gate", "cancel_mark", "exit_record", "heartbeat")
_STATUS = (*_RECORDS, "locks", "client", "lease", "status")
_MODULES = {
    "claim": (*_STATUS, "claim"),
    "status": _STATUS,
    "cancel": (*_STATUS, "cancel"),
    "placement": ("placement",),
}
_LOADER = """
import sys, types
def load(name, source):
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = []
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, module)
    exec(compile(source, name, "exec"), module.__dict__)
for name, source in {modules!r}:
    load(name, source)
"""
_MAIN = "sys.modules[{main!r}].main(sys.argv[1], sys.stdin.buffer)\n"
# The source comes last and as it stands, so that it is the main program.
_LOOKING = """
sys.modules["being_remote.pod.client"].end_with_client()
exec(compile({source!r}, {module!r}, "exec"))
"""


def ask(
    session: Session,
    program: Program,
    request: Mapping[str, Any],
    *,
    python: str,
    timeout_s: float | None,
    limit: int,
    payload: bytes = b"",
) -> bytes:
    """Run one of our programs over there and return what it printed.

    All of them may run twice, so a link that breaks is tried again.

    Raises:
        CommandFailed: it ended with an error; the text quotes the last of it.
        HostError: no answer.
    """
    text = program_text(program)
    stdin = b"%d\n" % len(text) + text + payload
    argv = [python, "-I", "-B", "-c", BOOT, canonical(request).decode("ascii")]
    result = session.run(argv, stdin=stdin, timeout_s=timeout_s, repeatable=True, max_output_bytes=limit)
    if result.exit_code != 0:
        raise CommandFailed(
            f"our {program} program ended with {result.exit_code}: {quote(result.stderr)}",
            host=session.host,
            result=result,
            hint="`doctor` says what the host lacks; calling it again does no harm",
        )
    return result.stdout


def ask_alone(
    session: Session,
    module: Literal["listing", "tracking_facts", "disk_survey"],
    request: Mapping[str, Any],
    *,
    python: str,
    what: str,
    timeout_s: float | None = None,
    limit: int,
    payload: bytes = b"",
) -> bytes:
    """Run one module of `pod/` that only looks over there and return what it printed.

    Args:
        what: what could not be had where it fails, for people.
        payload: what it is to read from its stdin; `request` comes as its one word.

    Raises:
        ToolMissing: there is no such Python.
        CommandFailed: it ended with an error; the text quotes the last of it.
        HostError: no answer.
    """
    text = looking_text(module)
    argv = [python, "-I", "-B", "-S", "-c", BOOT, json.dumps(request)]
    stdin = b"%d\n" % len(text) + text + payload
    result = session.run(argv, stdin=stdin, timeout_s=timeout_s, repeatable=True, max_output_bytes=limit)
    if result.exit_code in (126, 127):
        raise ToolMissing(
            host=session.host,
            tool=python,
            hint="install python3 (3.8 or newer) there, or name one: `python:` in the inventory",
        )
    if result.exit_code != 0:
        raise CommandFailed(
            f"{what}: {quote(result.stderr)}",
            host=session.host,
            result=result,
            hint=f"`python:` in the inventory must be Python 3.8 or newer; it is {python!r}",
        )
    return result.stdout


def odd_form(host: str, what: str, e: ValidationError) -> HostError:
    """The error for an answer of `ask_alone` that is not what our program prints."""
    return HostError(
        f"{what} is not in our form ({e.error_count()} wrong fields)",
        host=host,
        hint="something else than our program answered: does its shell print on login?",
    )


@cache
def program_text(program: Program) -> bytes:
    """The whole program, its modules in the order in which they import one another."""
    main = f"being_remote.pod.{program}"
    return (_loader(_MODULES[program]) + _MAIN.format(main=main)).encode()


@cache
def looking_text(module: str) -> bytes:
    """One module of `pod/` that only looks, and what these share. It ends with its client."""
    return (
        _loader(("kernel_fs", "processes", "client")) + _LOOKING.format(source=_source(module), module=module)
    ).encode()


def _loader(names: Sequence[str]) -> str:
    modules = [("being_remote", ""), ("being_remote.pod", "")]
    modules += [(f"being_remote.pod.{name}", _source(name)) for name in names]
    return _LOADER.format(modules=modules)


def _source(name: str) -> str:
    return resources.files("being_remote.pod").joinpath(f"{name}.py").read_text(encoding="utf-8")
