"""Whether an inventory that was found, not named, may run programs on this laptop.

An ssh configuration can run commands (Match exec, ProxyCommand), and so can a `kind: local` host. An
inventory with such parts is asked about once, and again when they change, as direnv does. What
was allowed is kept outside the inventory's own folder: the hash of those parts, by the file's path.
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

# Whatever is not listed counts as a program: a field that is added later is asked about until it is here.
HARMLESS = frozenset({"path", "hosts", "actors", "backups", "search_roots", "state"})
HARMLESS_OF_HOST = frozenset(
    {
        *("name", "kind", "address", "port", "user", "identity_file", "host_key", "scheduler"),
        *("workdir", "tracker", "python", "search_roots", "gpus", "usd_per_hour"),
        *("answer_timeout_s", "connect_timeout_s"),
    }
)


@dataclass(frozen=True)
class Program:
    """One part of an inventory that can run programs here: its place, and all that it consists of."""

    place: str
    content: Any


def programs(inventory: Inventory) -> tuple[Program, ...]:
    """What of the inventory can run programs on this laptop."""
    found = [part for name, host in sorted(inventory.hosts.items()) for part in _of_host(name, host)]
    if inventory.ssh_config is not None:
        files = _config_files(inventory.ssh_config)
        found += [Program(f"ssh_config {str(inventory.ssh_config)!r}", files)] if files else []
    rest = inventory.model_dump(
        mode="json", exclude={*HARMLESS, "ssh_config"}, exclude_unset=True, exclude_none=True
    )
    return (*found, *(Program(name, value) for name, value in rest.items()))


def require_trust(
    inventory: Inventory, *, trusted: bool = False, confirm: Callable[[str], bool] | None = None
) -> None:
    """Stop unless the inventory can run nothing, or somebody allowed what it can run.

    Args:
        inventory: one that was found by climbing from the current folder.
        trusted: the caller allows it, this once.
        confirm: asked with a text that shows the programs; True allows them from now on.

    Raises:
        InventoryUntrusted: nobody allowed it.
        InventoryError: the answer cannot be remembered.
    """
    parts = programs(inventory)
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


def _of_host(name: str, host: SshHost | LocalHost) -> Iterator[Program]:
    if isinstance(host, LocalHost):
        yield Program(f"hosts.{name} (kind: local)", host.model_dump(mode="json", exclude_unset=True))
        return
    rest = host.model_dump(mode="json", exclude=set(HARMLESS_OF_HOST), exclude_unset=True, exclude_none=True)
    yield from (Program(f"hosts.{name}.{field}", value) for field, value in rest.items())


def _config_files(first: Path) -> tuple[tuple[str, str], ...]:
    """An ssh configuration and what it includes, each with its hash; none that says nothing.

    What it includes from ~/.ssh is the user's own.

    Raises:
        InventoryError: they are too many, too large or no files.
    """
    found: dict[str, str] = {}
    wanted = [str(first)]
    own = os.path.expanduser("~/.ssh") + os.sep
    while wanted:
        name = wanted.pop()
        if name in found or name == os.devnull or not os.path.exists(name):
            continue  # what is missing says nothing, and is asked about when it is there
        lines, digest = _read_config(name)
        if any(lines):
            found[name] = digest
        for words in lines:
            for pattern in words[1:] if words and words[0].lower() == "include" else ():
                # A path that is not absolute is one of ~/.ssh, for ssh.
                place = os.path.normpath(os.path.join(own, os.path.expanduser(pattern)))
                if not place.startswith(own):
                    wanted += itertools.islice(glob.iglob(place), MAX_CONFIGS + 1)
        if len(found) + len(wanted) > MAX_CONFIGS:
            raise InventoryError(f"`ssh_config` includes more than {MAX_CONFIGS} files", where=str(first))
    return tuple(sorted(found.items()))


def _read_config(name: str) -> tuple[list[list[str]], str]:
    """The words of each line that is no comment, and the file's hash."""
    try:
        if not os.path.isfile(name):
            raise InventoryError("is named as `ssh_config` and is no regular file", where=name)
        with open(name, "rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as e:
        raise InventoryError(f"`ssh_config` cannot be read: {e.strerror}", where=name) from e
    if len(data) > MAX_CONFIG_BYTES:
        raise InventoryError(f"`ssh_config` has more than {MAX_CONFIG_BYTES >> 20} MiB", where=name)
    lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines()]
    return [_words(line) for line in lines if line and line[0] != "#"], hashlib.sha256(data).hexdigest()


def _words(line: str) -> list[str]:
    """The words as ssh takes them: a keyword may be followed by one equals sign."""
    try:
        return shlex.split(re.sub(r"^(\S+?)\s*=", r"\1 ", line))
    except ValueError:  # a quote that is never closed: ssh refuses it, too
        return [line]


def _hash(parts: tuple[Program, ...]) -> str:
    return hashlib.sha256(json.dumps([[p.place, p.content] for p in parts]).encode()).hexdigest()


def _record(path: Path) -> Path:
    """Where the answer about an inventory is kept."""
    state = os.environ.get(STATE, "")
    folder = Path(state) if os.path.isabs(state) else Path("~/.local/state").expanduser()
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
    return folder / "being-remote" / "trusted-inventories" / name


def _allowed(path: Path) -> str | None:
    try:
        return _record(path).read_text(encoding="ascii").partition(" ")[0]
    except (OSError, ValueError):
        return None


def _allow(path: Path, hash_of_parts: str) -> None:
    record = _record(path)
    try:
        record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp makes it readable by us alone.
        handle, temporary = tempfile.mkstemp(prefix=".", dir=record.parent)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{hash_of_parts} {str(path.resolve())!a}\n")
        os.replace(temporary, record)
    except OSError as e:
        raise InventoryError(
            f"the answer cannot be kept: {e.strerror}",
            where=str(record.parent),
            hint=f"mend that folder, set {STATE}, or use --trust-inventory",
        ) from e
