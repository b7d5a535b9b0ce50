"""Whether an inventory that was found, not named, may run programs on this laptop.

An ssh configuration can run commands (Match exec, ProxyCommand), and so can a `kind: local` host. The
user is asked about such parts once, and again when they change, as with direnv. The answer is kept
outside the inventory's folder: the hash of those parts, by the file's path.
"""

from __future__ import annotations

import glob
import hashlib
import itertools
import json
import os
import re
import shlex
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from being_remote.errors import InventoryError, InventoryUntrusted
from being_remote.inventory import Inventory, LocalHost, SshHost

STATE = "XDG_STATE_HOME"
MAX_CONFIG_BYTES = 1 << 20
MAX_CONFIGS = 64

# Every other field counts as a program, so that one added later is asked about.
HARMLESS = frozenset({"path", "hosts", "actors", "backups", "search_roots", "state"})
HARMLESS_OF_HOST = frozenset(
    {
        *("name", "kind", "address", "port", "user", "identity_file", "host_key", "scheduler"),
        *("workdir", "tracker", "python", "search_roots", "gpus", "usd_per_hour"),
        *("answer_timeout_s", "connect_timeout_s"),
    }
)


@dataclass(frozen=True)
class RunnablePart:
    """One part of an inventory that can run programs on this laptop: its place and its content."""

    place: str
    content: Any


def runnable_parts(inventory: Inventory) -> tuple[RunnablePart, ...]:
    """Return what of the inventory can run programs on this laptop.

    Raises:
        InventoryError: its ssh configuration cannot be read, or is too large.
    """
    found = [part for name, host in sorted(inventory.hosts.items()) for part in _parts_of_host(name, host)]
    if inventory.ssh_config is not None:
        files = _config_files(inventory.ssh_config)
        found += [RunnablePart(f"ssh_config {str(inventory.ssh_config)!r}", files)] if files else []
    rest = inventory.model_dump(
        mode="json", exclude={*HARMLESS, "ssh_config"}, exclude_unset=True, exclude_none=True
    )
    return (*found, *(RunnablePart(name, value) for name, value in rest.items()))


def require_trust(
    inventory: Inventory, *, trusted: bool = False, confirm: Callable[[str], bool] | None = None
) -> None:
    """Stop unless the inventory can run nothing, or the user allowed what it can run.

    Args:
        inventory: one that was found above the current folder.
        trusted: allow it, this once.
        confirm: asks the user, with a text that shows the parts; True allows them from now on.

    Raises:
        InventoryUntrusted: it is not allowed.
        InventoryError: the answer cannot be stored.
    """
    parts = runnable_parts(inventory)
    if trusted or not parts:
        return
    wanted, allowed = _hash(parts), _allowed(inventory.path)
    if allowed == wanted:
        return
    places = ", ".join(part.place for part in parts)
    since = "has changed since it was trusted" if allowed else "is not trusted yet"
    if confirm is None or not confirm(
        f"{str(inventory.path)!r} {since}, and can run programs on this laptop: {places}\n"
        "An inventory is as trusted as a Makefile. Trust it?"
    ):
        raise InventoryUntrusted(
            f"{since}, and can run programs on this laptop: {places}",
            where=str(inventory.path),
            hint="read it; then add --trust-inventory, or run this at a terminal and answer yes",
        )
    _allow(inventory.path, wanted)


def _parts_of_host(name: str, host: SshHost | LocalHost) -> Iterator[RunnablePart]:
    if isinstance(host, LocalHost):
        yield RunnablePart(f"hosts.{name} (kind: local)", host.model_dump(mode="json", exclude_unset=True))
        return
    rest = host.model_dump(mode="json", exclude=set(HARMLESS_OF_HOST), exclude_unset=True, exclude_none=True)
    yield from (RunnablePart(f"hosts.{name}.{field}", value) for field, value in rest.items())


def _config_files(first: Path) -> tuple[tuple[str, str], ...]:
    """Return an ssh configuration and what it includes, each with its hash, without empty ones.

    What it includes from ~/.ssh is the user's own, so it is left out.

    Raises:
        InventoryError: too many files, a file too large, or not a regular file.
    """
    found: dict[str, str] = {}
    wanted = [str(first)]
    own = os.path.expanduser("~/.ssh") + os.sep
    while wanted:
        name = wanted.pop()
        if name in found or name == os.devnull or not os.path.exists(name):
            continue  # asked about when it exists
        lines, digest = _read_config(name)
        if any(lines):
            found[name] = digest
        for words in lines:
            for pattern in words[1:] if words and words[0].lower() == "include" else ():
                # ssh reads a relative path from ~/.ssh.
                place = os.path.normpath(os.path.join(own, os.path.expanduser(pattern)))
                if not place.startswith(own):
                    wanted += itertools.islice(glob.iglob(place), MAX_CONFIGS + 1)
        if len(found) + len(wanted) > MAX_CONFIGS:
            raise InventoryError(f"`ssh_config` includes more than {MAX_CONFIGS} files", where=str(first))
    return tuple(sorted(found.items()))


def _read_config(name: str) -> tuple[list[list[str]], str]:
    """Return the words of each line that is not a comment, and the file's hash."""
    try:
        if not os.path.isfile(name):
            raise InventoryError("`ssh_config` is not a regular file", where=name)
        with open(name, "rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as e:
        raise InventoryError(f"`ssh_config` cannot be read: {e.strerror}", where=name) from e
    if len(data) > MAX_CONFIG_BYTES:
        raise InventoryError(f"`ssh_config` has more than {MAX_CONFIG_BYTES >> 20} MiB", where=name)
    lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines()]
    return [_words(line) for line in lines if line and line[0] != "#"], hashlib.sha256(data).hexdigest()


def _words(line: str) -> list[str]:
    """Split a line as ssh does: an equals sign may follow the keyword."""
    try:
        return shlex.split(re.sub(r"^(\S+?)\s*=", r"\1 ", line))
    except ValueError:  # an unclosed quote: ssh refuses it, too
        return [line]


def _hash(parts: tuple[RunnablePart, ...]) -> str:
    return hashlib.sha256(json.dumps([[p.place, p.content] for p in parts]).encode()).hexdigest()


def _answer_file(path: Path) -> Path:
    state = os.environ.get(STATE, "")
    folder = Path(state) if os.path.isabs(state) else Path("~/.local/state").expanduser()
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
    return folder / "being-remote" / "trusted-inventories" / name


def _allowed(path: Path) -> str | None:
    try:
        return _answer_file(path).read_text(encoding="ascii").partition(" ")[0]
    except (OSError, ValueError):
        return None


def _allow(path: Path, hash_of_parts: str) -> None:
    record = _answer_file(path)
    try:
        record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp makes it readable by this user alone.
        handle, temporary = tempfile.mkstemp(prefix=".", dir=record.parent)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{hash_of_parts} {str(path.resolve())!a}\n")
        os.replace(temporary, record)
    except OSError as e:
        raise InventoryError(
            f"the answer cannot be stored: {e.strerror}",
            where=str(record.parent),
            hint=f"make that folder writable, set {STATE}, or use --trust-inventory",
        ) from e
