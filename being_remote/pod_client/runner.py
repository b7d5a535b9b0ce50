"""Run a program of `pod/` on a host and validate its answer.

Nothing of ours is installed on a pod, so each question and each stream carries its program: the modules'
source, then the payload, both on stdin. The host's Python runs isolated (`-I`) and writes no bytecode (`-B`).
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from being_remote.errors import CommandFailed, MalformedAnswer
from being_remote.foreign_text import quote
from being_remote.pod_client.refusal import find_error
from being_remote.session import Session
from being_remote.strict_model import StrictModel, first_problem

BOOT = (
    "import sys\n"
    "sys.version_info >= (3, 8) or sys.exit('Python %d.%d' % sys.version_info[:2])\n"
    "import zlib\n"
    "i = sys.stdin.buffer\n"
    "n = int(i.readline(20))\n"
    "t = i.read(n)\n"
    "len(t) == n or sys.exit('cut short')\n"
    "exec(compile(zlib.decompress(t), 'being_remote', 'exec'))\n"
)
_LOADER = """
import sys, types
def load(name, source):
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = []
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, module)
    exec(compile(source, name, "exec"), module.__dict__)
def start():
    for name, source in {modules!r}:
        load(name, source)
{start}
for name, source in {first!r}:
    load(name, source)
sys.modules['being_remote.pod.os_problem'].run(start)
"""
_END_WITH_CLIENT = "    sys.modules['being_remote.pod.client'].end_with_client()\n"
_IMPORT = re.compile(r"^from being_remote\.pod(?:\.(\w+))? import (\([^)]*\)|[^\n(]+)", re.MULTILINE)
_MAIN = "    sys.modules[{main!r}].main(sys.argv[1], sys.stdin.buffer)\n"

ProgramName = Literal[
    "box_search",
    "cancel",
    "disk_survey",
    "forget",
    "host_facts",
    "listing",
    "log_stream",
    "login_files",
    "offer",
    "placement",
    "receive",
    "same_intent",
    "send",
    "status",
    "tracking_facts",
]
Answer = TypeVar("Answer", bound=StrictModel)


@dataclass(frozen=True)
class PodProgram:
    """A program of `pod/`.

    Attributes:
        task: what it does, for error messages: "listing files".
        max_answer_bytes: a longer answer is refused; of a stream, which has bounds of its own, none is.
        read_only: it changes nothing, so it ends as soon as its client is gone.
        site_packages: it looks for packages of the host's Python.
    """

    task: str
    max_answer_bytes: int
    read_only: bool = False
    site_packages: bool = False


PROGRAMS: dict[ProgramName, PodProgram] = {
    "box_search": PodProgram("searching for bbox.pt", 16 << 20, read_only=True),
    "cancel": PodProgram("cancelling a job", 1 << 20, site_packages=True),
    "disk_survey": PodProgram("surveying the disk", 16 << 20, read_only=True),
    "forget": PodProgram("forgetting a job", 64 << 10),
    "host_facts": PodProgram("checking the host", 256 << 10, read_only=True, site_packages=True),
    "listing": PodProgram("listing files", 64 << 20, read_only=True),
    "log_stream": PodProgram("reading a log", 0),
    "login_files": PodProgram("reading the login files", 64 << 10, read_only=True),
    "offer": PodProgram("submitting a job", 64 << 20),
    "placement": PodProgram("placing uploaded files", 64 << 20, site_packages=True),
    "receive": PodProgram("receiving files", 64 << 20),
    "same_intent": PodProgram("looking for the same job", 64 << 10, read_only=True),
    "send": PodProgram("sending files", 0),
    "status": PodProgram("reading job states", 32 << 20, read_only=True, site_packages=True),
    "tracking_facts": PodProgram(
        "reading the tracker's folders", 1 << 20, read_only=True, site_packages=True
    ),
}


def ask(
    session: Session,
    program: ProgramName,
    request: Mapping[str, Any],
    answer: type[Answer],
    *,
    python: str,
    timeout_s: float | None = None,
    payload: bytes = b"",
) -> Answer:
    """Run a program and return its validated answer.

    Raises:
        MalformedAnswer: the program cannot have printed it.
        HostError: as `run_program`.
    """
    said = run_program(session, program, request, python=python, timeout_s=timeout_s, payload=payload)
    try:
        return answer.model_validate_json(said)
    except ValidationError as e:
        raise malformed_answer(session.host, program, first_problem(e)) from e


def run_program(
    session: Session,
    program: ProgramName,
    request: Mapping[str, Any],
    *,
    python: str,
    timeout_s: float | None = None,
    payload: bytes = b"",
    reply: Callable[[bytes], bytes] | None = None,
) -> bytes:
    """Run a program and return what it printed. Every program is idempotent, so a lost link is retried.

    Args:
        request: its argument, as JSON; at most 100 KiB. What is longer goes into `payload`.
        python: the host's Python, 3.8 or newer.
        timeout_s: default: the host's `answer_timeout_s`.
        reply: makes, of the first line that it prints, what it is sent next; see `Session.run`.

    Raises:
        ToolMissing: no such Python on the host, or it is too old or incomplete.
        HostDiskFull: the host's disk is full.
        CommandFailed: the system refused something else, or the program failed: the message quotes the end
            of its stderr.
        HostError: no answer.
    """
    about = PROGRAMS[program]
    result = session.run(
        start_words(program, request, python),
        stdin=program_stdin(program) + payload,
        timeout_s=timeout_s,
        repeatable=True,
        max_output_bytes=about.max_answer_bytes,
        reply=reply,
    )
    if result.exit_code != 0:
        raise find_error(result, about.task, python) or CommandFailed(
            f"{about.task} failed with exit code {result.exit_code}: {quote(result.stderr)}",
            host=session.host,
            result=result,
            hint=f"run doctor --host {session.host}; `python` in the inventory ({python!r}) must be 3.8 or"
            " newer",
        )
    return result.stdout


def start_words(program: ProgramName, request: Mapping[str, Any], python: str) -> list[str]:
    """The command that starts a program on a host; its stdin begins with `program_stdin`."""
    flags = ["-I", "-B"] if PROGRAMS[program].site_packages else ["-I", "-B", "-S"]
    return [python, *flags, "-c", BOOT, json.dumps(request, separators=(",", ":"), allow_nan=False)]


def program_stdin(program: ProgramName) -> bytes:
    """The program's length and source, which its payload follows."""
    text = program_text(program)
    return b"%d\n" % len(text) + text


def malformed_answer(host: str, program: ProgramName, problem: str) -> MalformedAnswer:
    """Return the error for an answer that the program cannot have printed."""
    return MalformedAnswer(
        f"malformed answer while {PROGRAMS[program].task}: {problem}",
        host=host,
        hint=f"check that `python` of {host} in the inventory is a plain Python that prints nothing itself",
    )


@cache
def program_text(program: ProgramName) -> bytes:
    """Return the program's source with all modules of `pod/` that it imports, deflated."""
    modules = {"being_remote": "", "being_remote.pod": ""}

    def add(name: str) -> None:
        source = resources.files("being_remote.pod").joinpath(f"{name}.py").read_text(encoding="utf-8")
        for imported in _imports(source):
            add(imported)
        modules.setdefault(f"being_remote.pod.{name}", source)

    add("os_problem")
    first = list(modules.items())
    read_only = PROGRAMS[program].read_only
    if read_only:
        add("client")
    add(program)
    start = (_END_WITH_CLIENT if read_only else "") + _MAIN.format(main=f"being_remote.pod.{program}")
    text = _LOADER.format(first=first, modules=list(modules.items())[len(first) :], start=start)
    return zlib.compress(text.encode(), 9)


def _imports(source: str) -> Iterator[str]:
    """Yield the modules of `pod/` that a source imports."""
    for module, names in _IMPORT.findall(source):
        yield from [module] if module else [name.split()[0] for name in names.strip("()\n ,").split(",")]
