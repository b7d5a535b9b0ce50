"""`--then CMD`: a local program that runs after a yes, and whose exit code becomes ours."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

from being_remote.errors import UsageError


def parse_command(text: str) -> tuple[str, ...]:
    """The words of one string, split as a shell splits them; no shell sees them.

    Raises:
        UsageError: no words, an open quote, or no such program.

    Example:
        >>> parse_command("echo 'pod 7' $HOME")
        ('echo', 'pod 7', '$HOME')
    """
    try:
        words = shlex.split(text)
    except ValueError as e:
        raise UsageError(f"{text!r} is no command: {e}", where="--then") from e
    if not words or "\0" in text:
        raise UsageError(f"{text!r} is no command", where="--then", hint="--then 'PROGRAM WORD...'")
    if shutil.which(words[0]) is None:
        hint = "name a program of this laptop; for a shell's own words: --then \"sh -c '...'\""
        raise UsageError(f"there is no program {words[0]!r}", where="--then", hint=hint)
    return tuple(words)


def run_command(words: Sequence[str], *, keep_stdout: bool) -> int:
    """Run it to its end and return its exit code, as a shell would report it.

    Args:
        words: the program and its words.
        keep_stdout: what it prints goes to stderr, for stdout carries a document.
    """
    sys.stdout.flush()
    code = subprocess.run(words, stdout=sys.stderr if keep_stdout else None, check=False).returncode
    return code if code >= 0 else 128 - code
