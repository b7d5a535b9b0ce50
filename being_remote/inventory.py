"""inventory.yaml, read once into frozen values. A leaf: it imports nothing of ours but errors.

Paths on this laptop are relative to the file, `~` is expanded. Unknown keys are refused, and a
wrong file names all its wrong fields at once. Nothing is contacted here.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from being_remote.errors import InventoryError, UsageError

FILE_NAME = "inventory.yaml"
ENVIRONMENT = "BEING_REMOTE_INVENTORY"
LOCAL = "local"
FORMATS = "docs/formats.md lists every field"


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
    bad = "/" in name or "\\" in name or name in ("", ".", "..") or name.startswith("-")
    if bad or not name.isprintable():
        raise ValueError(f"{name!r} cannot be a name: no slash, no leading dash, nothing unprintable")
    return name


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tracker(_Strict):
    """Where metrical-tracker is checked out on a host, and the Python that runs it."""

    root: PurePosixPath = Field(description="absolute folder of the checkout")
    python: str = Field("python3", description="interpreter of the tracker's own environment")

    _check = field_validator("root")(_absolute)


class _Machine(_Strict):
    name: str
    workdir: PurePosixPath = Field(description="absolute folder on the host that we own")
    tracker: Tracker | None = None
    python: str = Field("python3", description="interpreter for our probes and recipes")
    search_roots: tuple[PurePosixPath, ...] = Field((), description="where find-bbox looks")
    gpus: int | None = Field(None, ge=0, description="GPUs we may use; default: all")
    usd_per_hour: float | None = Field(
        None, gt=0, le=10_000, allow_inf_nan=False, description="what the machine costs while it runs"
    )
    answer_timeout_s: float = Field(60.0, gt=0, description="seconds for one bounded answer")

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
    identity_file: Path | None = Field(None, description="private key on this laptop")
    host_key: str | None = Field(None, description="pinned key, as in known_hosts: 'ssh-ed25519 AAAA...'")
    scheduler: Literal["none"] = "none"
    connect_timeout_s: float = Field(10.0, gt=0, description="seconds for each step of connecting")

    @field_validator("address", "user")
    @classmethod
    def _one_word(cls, value: str | None) -> str | None:
        # A leading dash would be read as an option by ssh; white space would split the word.
        if value is not None and (not value or value.startswith("-") or any(c.isspace() for c in value)):
            raise ValueError(f"must be one word without a leading dash, got {value!r}")
        return value


class LocalHost(_Machine):
    """This machine, with the same surface."""

    kind: Literal["local"] = "local"


Host = Annotated[SshHost | LocalHost, Field(discriminator="kind")]


class Actor(_Strict):
    """One person in one video: where the tracker keeps the input and the output."""

    name: str
    source_size: tuple[int, int] | None = Field(None, description="width, height of the video")
    video: Path | None = Field(None, description="the original video, on this laptop")
    input: PurePosixPath = Field(description="on the host, under tracker.root")
    output: PurePosixPath = Field(description="on the host, under tracker.root")
    host_backups: tuple[PurePosixPath, ...] = Field((), description="on the host, under workdir")

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


class Inventory(_Strict):
    """The whole file. `path` is where it was read, for messages."""

    path: Path
    hosts: dict[str, Host]
    actors: dict[str, Actor]
    backups: Path
    search_roots: tuple[Path, ...]
    state: Path
    ssh_config: Path | None = Field(None, description="read instead of ~/.ssh/config")

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


def find_inventory(start: Path) -> Path:
    """The inventory for a command started in `start`: the environment's, else upwards from there.

    Raises:
        InventoryError: there is none.
    """
    named = os.environ.get(ENVIRONMENT)
    if named:
        return Path(named).expanduser()
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    raise InventoryError(
        f"no {FILE_NAME} here or in any folder above",
        where=str(start),
        hint=f"write one (README, 'Your own pod'), or name it: --inventory FILE, {ENVIRONMENT}",
    )


def load_inventory(path: Path) -> Inventory:
    """Read and check the whole file.

    Raises:
        InventoryError: missing, not YAML, or wrong fields; all of them are named at once.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as e:
        hint = "name one with --inventory FILE"
        raise InventoryError(f"cannot be read: {e.strerror}", where=str(path), hint=hint) from e
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise InventoryError(f"is not YAML: {e}", where=str(path), hint=FORMATS) from e
    if not isinstance(document, dict):
        raise InventoryError("must be a mapping with `hosts:` and `actors:`", where=str(path), hint=FORMATS)
    try:
        return Inventory.model_validate(_filled(document, path))
    except ValidationError as e:
        raise InventoryError(_in_words(e), where=str(path), hint=FORMATS) from e


def _filled(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """The document with names, defaults and absolute laptop paths put in; checking comes after."""
    base = path.resolve().parent

    def laptop(value: Any) -> Any:
        return base / Path(value).expanduser() if isinstance(value, str) else value

    def named(section: str, defaults: dict[str, Any]) -> Any:
        entries = document.get(section) or {}
        if not isinstance(entries, dict):
            return entries
        return {
            str(name): {**defaults, **entry, "name": str(name)} if isinstance(entry, dict) else entry
            for name, entry in ((n, {} if e is None else e) for n, e in entries.items())
        }

    filled = {k: v for k, v in document.items() if k != "defaults"}
    defaults = document.get("defaults") or {}
    hosts = named("hosts", defaults if isinstance(defaults, dict) else {"defaults": defaults})
    for name, host in hosts.items() if isinstance(hosts, dict) else ():
        if isinstance(host, dict):
            host.setdefault("kind", "ssh")
            if host["kind"] == "ssh":
                host.setdefault("address", name)
                host["identity_file"] = laptop(host.get("identity_file"))
            else:
                for key in ("user", "port", "identity_file", "connect_timeout_s"):
                    if key in defaults and key not in (document["hosts"][name] or {}):
                        host.pop(key, None)
    actors = named("actors", {})
    for name, actor in actors.items() if isinstance(actors, dict) else ():
        if isinstance(actor, dict):
            actor.setdefault("input", f"input/{name}")
            actor.setdefault("output", f"output/{name}")
            actor["video"] = laptop(actor.get("video"))
    roots = document.get("search_roots", ["."])
    return {
        **filled,
        "path": path,
        "hosts": hosts,
        "actors": actors,
        "backups": laptop(document.get("backups", "data/metrical-tracker-backup")),
        "search_roots": [laptop(r) for r in roots] if isinstance(roots, list) else roots,
        "state": laptop(document.get("state", ".being-remote")),
        "ssh_config": laptop(document.get("ssh_config")),
    }


def _in_words(error: ValidationError) -> str:
    """One line for each wrong field, with its place in the file."""
    lines = []
    for item in error.errors(include_url=False, include_context=False):
        # pydantic puts the discriminator's value into the path of a union; the file has no such key.
        place = [str(p) for i, p in enumerate(item["loc"]) if not (i == 2 and p in ("ssh", "local"))]
        text = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            text = "no such field"
        lines.append(f"{'.'.join(place) or 'the file'}: {text}")
    return "; ".join(lines)
