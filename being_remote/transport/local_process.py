"""A command of this machine: ssh, or on the host `local` the command itself."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from being_remote.transport.output_framing import Streams


def start_process(words: Sequence[str], *, stdin: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    """Start a command of this machine in a process group of its own, in the folder where logins start."""
    return subprocess.Popen(
        list(words),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd=Path.home(),
        start_new_session=True,  # Ctrl-C is ours to answer
    )


def end_process(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a command; that ends the threads which read from it."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def process_streams(process: subprocess.Popen[bytes]) -> Streams:
    """The streams of a command that `start_process` started."""
    assert process.stdin and process.stdout and process.stderr
    out, err, to = process.stdout, process.stderr, process.stdin
    return Streams(
        lambda: os.read(out.fileno(), 65536),
        lambda: os.read(err.fileno(), 65536),
        lambda data: write_all(to.fileno(), data),
        to.close,
        out.close,
        err.close,
    )
