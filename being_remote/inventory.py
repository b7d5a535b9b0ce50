"""inventory.yaml, read once into frozen values. A leaf: it imports nothing of ours but errors.

Paths on this laptop are relative to the file, `~` is expanded. Unknown keys are refused, and a
wrong file names all its wrong fields at once. Nothing is contacted here.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from being_remote import bounded_yaml
from being_remote.errors import InventoryError, UsageError

FILE_NAME = "inventory.yaml"
ENVIRONMENT = "BEING_REMOTE_INVENTORY"
LOCAL = "local"
FORMATS = "docs/formats.md lists every field"


# What ssh, its configuration, its %-tokens and every shell take as they stand.
_ADDRESS = re.compile(r"[A-Za-z0-9:][A-Za-z0-9._:-]{0,252}")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,63}")
MAX_SECONDS = 86_400.0
MAX_NAME = 100  # a folder's name, and more is added to it
_ONLY_SSH = ("address", "user", "port", "identity_file", "host_key", "scheduler", "connect_timeout_s")


def is_address(text: str) -> bool:
    """Whether `text` can be a DNS name, an IP address or an alias: letters, digits, dot, dash, colon."""
    return _ADDRESS.fullmatch(text) is not None


def is_user(text: str) -> bool:
    """Whether `text` can be a login name: letters, digits and `._@+-`, no dash in front."""
    return _USER.fullmatch(text) is not None


def _printable(value: str) -> str:
    if any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise ValueError(f"holds a control character: {value!r}")
    return value


def _printable_path(value: PurePosixPath) -> PurePosixPath:
    _printable(str(value))
    return value


def _laptop_path(value: Any, info: ValidationInfo) -> Any:
    """A path of this laptop: `~` expanded, relative to the folder of the file that names it."""
    if not isinstance(value, str):
        return value
    try:
        path = Path(_printable(value)).expanduser()
    except RuntimeError as e:  # ~somebody
        raise ValueError(f"no such user's folder: {value!r}") from e
    return info.context / path if info.context is not None else path


def _absolute(value: PurePosixPath) -> PurePosixPath:
    if not value.is_absolute():
        raise ValueError(f"must be an absolute path on the host, got {str(value)!r}")
    return value


def _relative(value: PurePosixPath) -> PurePosixPath:
    if ".." in value.parts:
        raise ValueError(f"must not climb with '..', got {str(value)!r}")
    return value


def _plain_name(name: str) -> str:
    """A name that can be a folder and a word on the command line."""
    bad = (
        len(name) > MAX_NAME or "/" in name or "\\" in name or name in ("", ".", "..") or name.startswith("-")
    )
    if bad or not name.isprintable():
        raise ValueError(
            f"{name!r} cannot be a name: no slash, no leading dash, nothing unprintable, not long"
        )
    return name


Program = Annotated[str, AfterValidator(_printable), Field(min_length=1, max_length=4096)]
HostPath = Annotated[PurePosixPath, AfterValidator(_printable_path)]
LaptopPath = Annotated[Path, BeforeValidator(_laptop_path)]
Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS)]


class _InventoryModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tracker(_InventoryModel):
    """Where metrical-tracker is checked out on a host, and the Python that runs it."""

    root: HostPath = Field(description="absolute folder of the checkout")
    python: Program = Field("python3", description="interpreter of the tracker's own environment")

    _check = field_validator("root")(_absolute)


class _Machine(_InventoryModel):
    name: str
    workdir: HostPath = Field(description="absolute folder on the host that we own")
    tracker: Tracker | None = None
    python: Program = Field("python3", description="interpreter for our probes and recipes")
    search_roots: tuple[HostPath, ...] = Field((), description="where find-bbox looks")
    gpus: int | None = Field(None, ge=0, description="GPUs we may use; default: all")
    usd_per_hour: float | None = Field(
        None, gt=0, le=10_000, allow_inf_nan=False, description="what the machine costs while it runs"
    )
    answer_timeout_s: Seconds = Field(60.0, description="seconds for one bounded answer")

    _workdir = field_validator("workdir")(_absolute)

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if value == LOCAL:
            raise ValueError(f"{LOCAL!r} is this laptop in every table; choose another name")
        return _plain_name(value)

    @field_validator("search_roots")
    @classmethod
    def _roots(cls, values: tuple[PurePosixPath, ...]) -> tuple[PurePosixPath, ...]:
        return tuple(_absolute(v) for v in values)

    @property
    def roots(self) -> tuple[PurePosixPath, ...]:
        """Where to search on this host: as configured, else workdir and the tracker's root."""
        if self.search_roots:
            return self.search_roots
        return (self.workdir, *((self.tracker.root,) if self.tracker else ()))


class SshHost(_Machine):
    """A machine reached over SSH. What is None is left to ~/.ssh/config, read by `ssh -G`."""

    kind: Literal["ssh"] = "ssh"
    address: str = Field(description="DNS name, IP, or a Host alias of ~/.ssh/config")
    port: int | None = Field(None, ge=1, le=65535)
    user: str | None = None
    identity_file: LaptopPath | None = Field(None, description="private key on this laptop")
    host_key: str | None = Field(None, description="pinned key, as in known_hosts: 'ssh-ed25519 AAAA...'")
    scheduler: Literal["none"] = "none"
    connect_timeout_s: Seconds = Field(10.0, description="seconds for each step of connecting")

    @field_validator("address")
    @classmethod
    def _address(cls, value: str) -> str:
        if not is_address(value):
            raise ValueError(f"must be letters, digits and '.-_:' only, no dash in front, got {value!r}")
        return value

    @field_validator("user")
    @classmethod
    def _user(cls, value: str | None) -> str | None:
        if value is not None and not is_user(value):
            raise ValueError(f"must be letters, digits and '._@+-' only, no dash in front, got {value!r}")
        return value


class LocalHost(_Machine):
    """This machine, with the same surface."""

    kind: Literal["local"] = "local"


Host = Annotated[SshHost | LocalHost, Field(discriminator="kind")]


class Actor(_InventoryModel):
    """One person in one video: where the tracker keeps the input and the output."""

    name: str
    source_size: tuple[int, int] | None = Field(None, description="width, height of the video")
    video: LaptopPath | None = Field(None, description="the original video, on this laptop")
    input: HostPath = Field(description="on the host, under tracker.root")
    output: HostPath = Field(description="on the host, under tracker.root")
    host_backups: tuple[HostPath, ...] = Field((), description="on the host, under workdir")

    _name = field_validator("name")(_plain_name)
    _paths = field_validator("input", "output")(_relative)

    @field_validator("source_size")
    @classmethod
    def _positive(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and min(value) < 1:
            raise ValueError("must be two positive numbers: [width, height]")
        return value

    @field_validator("host_backups")
    @classmethod
    def _host_backups(cls, values: tuple[PurePosixPath, ...]) -> tuple[PurePosixPath, ...]:
        return tuple(_relative(v) for v in values)


class Inventory(_InventoryModel):
    """The whole file. `path` is where it was read, for messages."""

    path: Path
    hosts: dict[str, Host]
    actors: dict[str, Actor]
    backups: LaptopPath
    search_roots: tuple[LaptopPath, ...]
    state: LaptopPath
    ssh_config: LaptopPath | None = Field(None, description="read instead of ~/.ssh/config")

    def host(self, name: str) -> SshHost | LocalHost:
        """The host called `name`; else an error that lists the known ones (exit 2)."""
        if name not in self.hosts:
            raise UsageError(
                f"no host named {name!r}",
                where=str(self.path),
                hint=f"known hosts: {', '.join(sorted(self.hosts)) or 'none'}",
            )
        return self.hosts[name]

    def the_host(self, name: str | None) -> SshHost | LocalHost:
        """`name`'s host, or the only one when no name is given."""
        return self.host(name if name is not None else _only(self.hosts, "host", self.path))

    def the_actor(self, name: str | None) -> Actor:
        """`name`'s actor, or the only one when no name is given."""
        if name is None:
            name = _only(self.actors, "actor", self.path)
        if name not in self.actors:
            raise UsageError(
                f"no actor named {name!r}",
                where=str(self.path),
                hint=f"known actors: {', '.join(sorted(self.actors)) or 'none'}",
            )
        return self.actors[name]

    def backup_of(self, actor: Actor) -> Path:
        """The folder on this laptop that holds all that came home of this actor."""
        return self.backups / actor.name


def _only(known: dict[str, Any], what: str, path: Path) -> str:
    if len(known) == 1:
        return next(iter(known))
    names = ", ".join(sorted(known))
    raise UsageError(
        f"there are {len(known)} {what}s, so one must be named" if known else f"it names no {what}",
        where=str(path),
        hint=f"--{what} one of: {names}" if known else f"add one under `{what}s:`",
    )


def named_inventory() -> Path | None:
    """The inventory that the environment names."""
    named = os.environ.get(ENVIRONMENT)
    return Path(named).expanduser() if named else None


def find_inventory(start: Path) -> Path:
    """The inventory for a command started in `start`: the environment's, else upwards from there.

    One inside a backup is passed over: what lies there may have come from a pod.

    Raises:
        InventoryError: there is none.
    """
    named = named_inventory()
    if named is not None:
        return named
    start = start.resolve()
    found = [f / FILE_NAME for f in (start, *start.parents) if (f / FILE_NAME).is_file()]
    for position, path in enumerate(found):
        if not _is_in_a_backup(path, found[position + 1 :]):
            return path
        logging.getLogger(__name__).info("passed over %s: it is inside a backup", path)
    inside = f" that is not inside a backup ({found[0]} is)" if found else ""
    raise InventoryError(
        f"no {FILE_NAME} here or in any folder above{inside}",
        where=str(start),
        hint=f"write one (README, 'Your own pod'), or name it: --inventory FILE, {ENVIRONMENT}",
    )


def _is_in_a_backup(path: Path, above: Sequence[Path]) -> bool:
    """Whether a folder above is one that we made for a backup, or an inventory above says so."""
    folder = path.parent
    if any((f / ".history" / "manifests").is_dir() for f in (folder, *folder.parents)):
        return True
    for other in above:
        # On a shared machine another user's file has no say about this one.
        if other.stat().st_uid not in (path.stat().st_uid, 0):
            continue
        try:
            backups = load_inventory(other).backups.resolve()
        except InventoryError:
            continue  # it is named when it is used
        if folder.is_relative_to(backups) and not other.is_relative_to(backups):
            return True
    return False


def load_inventory(path: Path) -> Inventory:
    """Read and check the whole file.

    Raises:
        InventoryError: missing, not YAML, or wrong fields; all of them are named at once.
    """
    try:
        with path.open("rb") as file:
            document = bounded_yaml.load(file.read(bounded_yaml.MAX_BYTES + 1))
    except OSError as e:
        hint = "name one with --inventory FILE"
        raise InventoryError(f"cannot be read: {e.strerror}", where=str(path), hint=hint) from e
    except ValueError as e:
        raise InventoryError(f"cannot be read as YAML: {e}", where=str(path), hint=FORMATS) from e
    if not isinstance(document, dict):
        raise InventoryError("must be a mapping with `hosts:` and `actors:`", where=str(path), hint=FORMATS)
    try:
        return Inventory.model_validate(_filled(document, path), context=path.resolve().parent)
    except ValidationError as e:
        raise InventoryError(_in_words(e), where=str(path), hint=FORMATS) from e


def _filled(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """The document with names and defaults put in; checking comes after."""
    defaults = document.get("defaults") or {}

    def host(name: str, entry: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(defaults, dict):
            return {"name": name, **entry, "defaults": defaults}
        kind = entry.get("kind", defaults.get("kind", "ssh"))
        usual = {k: v for k, v in defaults.items() if kind == "ssh" or k not in _ONLY_SSH}
        address = {"address": name} if kind == "ssh" else {}
        return {**address, **usual, **entry, "name": name, "kind": kind}

    def actor(name: str, entry: dict[str, Any]) -> dict[str, Any]:
        return {"input": f"input/{name}", "output": f"output/{name}", **entry, "name": name}

    return {
        "backups": "data/metrical-tracker-backup",
        "search_roots": ["."],
        "state": ".being-remote",
        **{k: v for k, v in document.items() if k != "defaults"},
        "path": path,
        "hosts": _named(document.get("hosts"), host),
        "actors": _named(document.get("actors"), actor),
    }


def _named(entries: Any, fill: Callable[[str, dict[str, Any]], dict[str, Any]]) -> Any:
    """A section with every entry filled; what is no section is left for the check."""
    if not isinstance(entries, dict):
        return entries or {}
    given = {str(name): {} if entry is None else entry for name, entry in entries.items()}
    return {name: fill(name, e) if isinstance(e, dict) else e for name, e in given.items()}


def _in_words(error: ValidationError) -> str:
    """One line for each wrong field, with its place in the file."""
    lines = []
    for item in error.errors(include_url=False, include_context=False):
        # pydantic puts the discriminator's value into the path of a union; the file has no such key.
        place = [_word(p) for i, p in enumerate(item["loc"]) if not (i == 2 and p in ("ssh", "local"))]
        text = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            text = "no such field"
        lines.append(f"{'.'.join(place) or 'the file'}: {text}")
    return "; ".join(lines)


def _word(part: str | int) -> str:
    text = str(part)[:MAX_NAME]
    return text if text.isprintable() else repr(text)
