"""The text of inventory.yaml: a new one from a pasted login, and one with another host in it. A leaf.

Nothing is written or contacted here.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass

from being_remote import bounded_yaml
from being_remote.errors import UsageError
from being_remote.inventory import is_user, read_pasted_address

# The unedited example of this repository; a test compares them.
SHIPPED_SHA256 = "67e14d059cbe111c3dfb0b07dbaef6f46b397e871b33c5f790dc60c35a582557"
WORKDIR = "/workspace/Being"
_HINT = 'paste the provider\'s line: init "ssh root@HOST -p PORT"'
_WITHOUT_VALUE = "46AaCfGgKkMNnqsTtVvXxYy"
_FORWARDS = "LRDWw"  # of one's own shell; the inventory has no use for them
TASKS = '''"""`invoke X` is `being-remote X`."""

from being_remote.cli.invoke_tasks import collection

namespace = collection()
'''


@dataclass(frozen=True)
class PastedLogin:
    """How a host is reached, as its provider writes it. None: as ~/.ssh/config says."""

    address: str
    user: str | None = None
    port: int | None = None
    identity_file: str | None = None


def parse_login(text: str) -> PastedLogin:
    """Read a pasted login: ssh's command line, `USER@HOST:PORT`, or an alias of ~/.ssh/config.

    Raises:
        UsageError: no host, or an option that the inventory cannot keep.

    Example:
        >>> parse_login("ssh root@203.0.113.10 -p 19870")
        PastedLogin(address='203.0.113.10', user='root', port=19870, identity_file=None)
        >>> parse_login("root@[2001:db8::1]:22").address
        '2001:db8::1'
    """
    try:
        words = shlex.split(text)
    except ValueError as e:
        raise UsageError(f"{text!r} cannot be read: {e}", where="init", hint=_HINT) from e
    target, options = _split_words(words[1:] if words[:1] == ["ssh"] else words)
    pasted = read_pasted_address(target)
    if pasted is None:
        raise UsageError(f"{target!r} is not a login", where="init", hint=_HINT)
    user, address, port = pasted
    user = options.get("l", user)
    if user is not None and not is_user(user):
        raise UsageError(f"{user!r} is not a login name", where="init", hint=_HINT)
    port_text = options.get("p", port if port is None else str(port))
    if port_text is not None and not (re.fullmatch("[0-9]{1,5}", port_text) and 0 < int(port_text) < 65536):
        raise UsageError(f"{port_text!r} is not a port", where="init", hint=_HINT)
    return PastedLogin(address, user, int(port_text) if port_text else None, options.get("i"))


def _split_words(words: list[str]) -> tuple[str, dict[str, str]]:
    """The host of ssh's words, and its options that take a value."""
    targets, options, rest = [], {}, iter(words)
    for word in rest:
        if not word.startswith("-"):
            targets.append(word)
        elif word[1:2] not in _WITHOUT_VALUE:
            options[word[1:2]] = word[2:] or next(rest, "")
            if not options[word[1:2]]:
                raise UsageError(f"{word} has no value", where="init", hint=_HINT)
    unknown = [f"-{name}" for name in options if name not in ("p", "i", "l", *_FORWARDS)]
    if unknown:
        hint = "write it under a Host alias in ~/.ssh/config, then: init ALIAS"
        raise UsageError(f"{unknown[0]} has no field in the inventory", where="init", hint=hint)
    if len(targets) != 1:
        raise UsageError("no host is named" if not targets else f"what is {targets[1]!r}?", hint=_HINT)
    return targets[0], options


def new_text(name: str, login: PastedLogin, workdir: str) -> str:
    """A whole inventory with one host."""
    return f"""\
# Nothing secret belongs here: keys are named by their path. Relative paths are relative to this file.
# docs/formats.md explains every field.
hosts:
{_host_lines(name, login, workdir, "  ")}
# Each actor is one person in one video.
actors:
#  roman:
#    video: data/roman/video.mp4         # the original video on this laptop
#    input: input/roman                  # on the host, under tracker.root
#    output: output/roman                # on the host, under tracker.root

backups: data/metrical-tracker-backup    # on this laptop
search_roots: [.]                        # on this laptop, besides the backups
state: .being-remote                     # host keys that are trusted, the ledger, logs
"""


def add_host(text: str, name: str, login: PastedLogin, workdir: str) -> str:
    """The text with another host in it; every other byte stays as it is.

    Raises:
        UsageError: `hosts:` is written in braces, or is not there; the message has the lines to add.
    """
    found = re.search(
        r"^hosts:[ \t]*(#.*)?\r?\n(?P<body>(?:[ \t]*(?:#.*)?\r?\n)*)(?P<indent> +)\S", text, re.M
    )
    indent = found["indent"] if found else "  "
    lines = _host_lines(name, login, workdir, indent)
    if found is None:
        fields = ", ".join(part.split("#")[0].strip() for part in lines.splitlines()[1:-1])
        raise UsageError(
            "`hosts:` is not a list of lines to which one could be added",
            hint=f"add this by hand in `hosts:`: {_scalar(name)}: {{{fields}}}",
        )
    return f"{text[: found.start('body')]}{lines}{text[found.start('body') :]}"


def is_shipped(text: str) -> bool:
    """Whether it is the example of this repository, as it was shipped."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest() == SHIPPED_SHA256


def _host_lines(name: str, login: PastedLogin, workdir: str, indent: str) -> str:
    fields = {"address": login.address, "port": login.port, "user": login.user}
    fields |= {"identity_file": login.identity_file, "workdir": workdir}
    lines = [f"{_scalar(key)}: {_scalar(value)}" for key, value in fields.items() if value is not None]
    lines += [
        "search_roots: [/workspace]           # where find-bbox looks",
        "# tracker: {root: /workspace/metrical-tracker, python: python3}    # for sync, retrack",
    ]
    return "".join([f"{indent}{_scalar(name)}:\n", *(f"{indent}  {line}\n" for line in lines)])


def _scalar(value: object) -> str:
    """A value as YAML reads it back."""
    text = str(value)
    try:
        plain = bounded_yaml.load(f"- {text}") == [value]
    except ValueError:
        plain = False
    return text if plain and "#" not in text else "'" + text.replace("'", "''") + "'"
