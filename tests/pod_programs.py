"""A program of `pod/` started as the runner starts it, on an interpreter of this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from being_remote.pod_client.runner import BOOT, ProgramName, program_text


def program_words(request: Mapping[str, Any] | None = None, *, python: str = sys.executable) -> list[str]:
    """The command line that starts any of them."""
    return [python, "-I", "-B", "-c", BOOT, json.dumps(request or {})]


def program_stdin(program: ProgramName, payload: bytes = b"") -> bytes:
    """What it reads: its own source, then the payload."""
    text = program_text(program)
    return b"%d\n" % len(text) + text + payload


def start_program(
    program: ProgramName,
    request: Mapping[str, Any] | None = None,
    payload: bytes = b"",
    *,
    python: str = sys.executable,
) -> subprocess.Popen[bytes]:
    """A started program whose stdin is complete, in a session of its own."""
    process = subprocess.Popen(
        program_words(request, python=python),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(program_stdin(program, payload))
    process.stdin.close()
    return process


def run_program_here(
    program: ProgramName,
    request: Mapping[str, Any] | None = None,
    payload: bytes = b"",
    *,
    words: Sequence[str] = (),
    **options: Any,
) -> subprocess.CompletedProcess[bytes]:
    """Run it to its end; `words` stand in place of the command line, the rest goes to `subprocess.run`."""
    argv = list(words) or program_words(request)
    return subprocess.run(argv, input=program_stdin(program, payload), capture_output=True, **options)
