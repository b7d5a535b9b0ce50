"""Runs on the pod: which file that a login reads prints something. Writes nothing.

It prints {"files": [[path, bytes], ...]}: those of the login shell's files, and of sshd's, that print when
they are read once more, each alone, without a terminal and with nothing on stdin.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import select
import signal
import subprocess
import sys
import time
from typing import BinaryIO, List, Tuple

LONGEST_S = 3.0
MOST_BYTES = 64 << 10
# The words before a file that make a shell read just that one.
READ_BY = {
    "bash": ["bash", "--norc", "--noprofile", "-c", '. "$1"', "bash"],
    "zsh": ["zsh", "-f", "-c", '. "$1"', "zsh"],
    "tcsh": ["tcsh", "-f"],
    "csh": ["csh", "-f"],
    "fish": ["fish", "--no-config"],
}
SHELL_FILES = {
    "bash": ["/etc/bash.bashrc", "~/.bashrc"],
    "zsh": ["/etc/zshenv", "/etc/zsh/zshenv", "~/.zshenv"],
    "tcsh": ["/etc/csh.cshrc", "~/.tcshrc", "~/.cshrc"],
    "csh": ["/etc/csh.cshrc", "~/.cshrc"],
    "fish": ["/etc/fish/config.fish", "~/.config/fish/config.fish"],
}
SSHD_FILES = ["~/.ssh/rc", "/etc/ssh/sshrc"]


def count_printed(words: List[str]) -> int:
    """Return how many bytes a command prints, of the first ones that it prints in a few seconds."""
    process = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout
    printed, until = 0, time.monotonic() + LONGEST_S
    try:
        while printed < MOST_BYTES and time.monotonic() < until:
            ended = process.poll() is not None
            if select.select([process.stdout], [], [], 0 if ended else 0.02)[0]:
                data = os.read(process.stdout.fileno(), 4096)
                if not data:
                    break
                printed += len(data)
            elif ended:  # what it left behind keeps the pipe open
                break
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    return printed


def find_printing() -> List[Tuple[str, int]]:
    """Return the files that print, with their bytes."""
    shell = os.path.basename(pwd.getpwuid(os.getuid()).pw_shell)
    readers = [(READ_BY[shell], path) for path in SHELL_FILES.get(shell, [])]
    readers += [(["sh"], path) for path in SSHD_FILES]
    found = []
    for words, path in readers:
        file = os.path.expanduser(path)
        if os.path.isfile(file):
            printed = count_printed([*words, file])
            if printed:
                found.append((file, printed))
    return found


def main(_: str, stdin: BinaryIO) -> None:
    """Print the answer."""
    json.dump({"files": find_printing()}, sys.stdout)
