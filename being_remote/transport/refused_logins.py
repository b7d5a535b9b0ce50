"""Why a login that works runs none of our commands: it wants a terminal, gives a shell, or runs its own."""

from __future__ import annotations

import re

from being_remote.errors import LoginRefused
from being_remote.foreign_text import quote
from being_remote.transport.output_framing import LONGEST_LOGIN_S, CommandAnswer

_MULTIPLEXER = re.compile(rb"open terminal failed|must be connected to a terminal", re.IGNORECASE)
_TERMINAL = re.compile(rb"\b(pty|tty|terminal)s?\b", re.IGNORECASE)
# bash reads ~/.bashrc for our commands, too; its first line ends that.
_GUARD = "make `case $- in *i*) ;; *) return;; esac` the first line of"


def refused_login(answer: CommandAnswer, *, host: str, user: str, has_input: bool) -> LoginRefused:
    """The error for a login that ended without our opening mark, or was given up before it.

    A command that `has_input` waits for it, so it did not run; another may have run without an answer.
    """
    said = answer.greeting + answer.err
    quoted = f": {quote(said)}" if said.strip() else ""
    files = f"the login files of {user} on the host (such as ~/.bashrc)"
    if _MULTIPLEXER.search(said):
        what = "a login file starts tmux or screen instead of running commands"
        hint = f"{_GUARD} {files}, or start it only in a terminal"
    elif _TERMINAL.search(said):
        what = "it wants a terminal and runs no commands"
        hint = (
            "this is a gateway for people: use the pod's own address and port"
            " (providers call it SSH over TCP, or direct SSH)"
        )
    elif answer.given_up_s is not None and answer.listens:
        seconds = round(answer.given_up_s, 1)
        what = f"no command started within {seconds:g} s: a login file is slow, or reads what is sent"
        longer = ", or raise answer_timeout_s in the inventory" if seconds < LONGEST_LOGIN_S else ""
        hint = f"{_GUARD} {files}{longer}"
    elif answer.given_up_s is not None or not said.strip():
        what = "something reads what is sent instead of running commands: another shell, or a login file"
        hint = (
            f"{_GUARD} {files} if they start a shell (`exec zsh`) or read; else this is a gateway that gives"
            " a shell: use the pod's own address and port"
        )
    else:
        what = "it runs a command of its own instead of ours"
        hint = (
            f"look at the login shell of {user}, at ForceCommand in the host's sshd_config and at command= in"
            " its authorized_keys, or use another login"
        )
    sent = "nothing was sent" if has_input else "whether the command ran is unknown"
    return LoginRefused(f"the login works, but {what}{quoted}; {sent}", host=host, hint=hint)
