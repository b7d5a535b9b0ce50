"""inventory.yaml, read once into frozen values. A leaf.

Paths on this laptop are relative to the file, `~` is expanded. Unknown keys are refused, and the error
for a wrong file names all its wrong fields. Nothing is contacted here.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)
from yaml import Node

from being_remote import bounded_yaml
from being_remote.errors import InventoryError, UsageError

FILE_NAME = "inventory.yaml"
ENVIRONMENT = "BEING_REMOTE_INVENTORY"
LOCAL = "local"
FORMATS = "docs/formats.md lists every field"
Entry = TypeVar("Entry")

# What ssh, its configuration, its %-tokens and every shell take literally.
_ADDRESS = re.compile(r"[A-Za-z0-9:][A-Za-z0-9._:-]{0,252}")
_PASTED = re.compile(
    r"(?:ssh://|ssh\s+)?(?:([^@\s]+)@)?(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)"
    r"|([^\s:@\[\]/]+))(?::(\d{1,5})|\s+-p\s*(\d{1,5}))?/?"
)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,63}")
MAX_SECONDS = 86_400.0
MAX_NAME = 100  # a folder's name, and more is added to it
_ONLY_SSH = (
    "address",
    "address_command",
    "user",
    "port",
    "identity_file",
    "host_key",
    "scheduler",
    "connect_timeout_s",
)


def is_address(text: str) -> bool:
    """Whether `text` can be a DNS name, an IP address or an alias: letters, digits, dot, dash, colon."""
    return _ADDRESS.fullmatch(text) is not None


def read_pasted_address(text: str) -> tuple[str | None, str, int | None] | None:
    """User, address and port of a login as providers print it; None for anything else.

    Example:
        >>> read_pasted_address("ssh root@203.0.113.10 -p 19870")
        ('root', '203.0.113.10', 19870)
        >>> read_pasted_address("[::1]:22")
        (None, '::1', 22)
        >>> read_pasted_address("root@2001:db8::1 -p 22")
        ('root', '2001:db8::1', 22)
    """
    found = _PASTED.fullmatch(text.strip())
    if found is None:
        return None
    user, bracketed, bare, name, port, flag = found.groups()
    address, number = bracketed or bare or name, port or flag
    if not is_address(address) or (bare and not _is_ipv6(bare)) or (user and not is_user(user)):
        return None
    return user, address, int(number) if number else None


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def is_user(text: str) -> bool:
    """Whether `text` can be a login name: letters, digits and `._@+-`, no leading dash."""
    return _USER.fullmatch(text) is not None


def _check_printable(value: str) -> str:
    if any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise ValueError(f"holds a control character: {value!r}")
    return value


def _check_host_path(value: PurePosixPath) -> PurePosixPath:
    _check_printable(str(value))
    return value


def _expand_laptop_path(value: Any, info: ValidationInfo) -> Any:
    """Expand `~`; make a path relative to the folder of the file that names it."""
    if not isinstance(value, str):
        return value
    try:
        path = Path(_check_printable(value)).expanduser()
    except RuntimeError as e:  # ~somebody
        raise ValueError(f"unknown user's folder: {value!r}") from e
    return info.context / path if info.context is not None else path


def _check_absolute(value: PurePosixPath) -> PurePosixPath:
    if not value.is_absolute():
        raise ValueError(f"must be an absolute path on the host, got {str(value)!r}")
    return value


def _check_relative(value: PurePosixPath) -> PurePosixPath:
    if ".." in value.parts:
        raise ValueError(f"must not climb with '..', got {str(value)!r}")
    return value


def _check_name(name: str) -> str:
    """Refuse what cannot be a folder and a word on the command line."""
    bad = len(name) > MAX_NAME or name in ("", ".", "..") or name.startswith("-") or not name.isprintable()
    if bad or "/" in name or "\\" in name:
        raise ValueError(
            f"{name!r} cannot be a name: no slash, no leading dash, nothing unprintable, not long"
        )
    return name


def _check_host_name(name: str) -> str:
    if name == LOCAL:
        raise ValueError(f"{LOCAL!r} is this laptop in every table; choose another name")
    return _check_name(name)


def _check_address(value: str) -> str:
    pasted = read_pasted_address(value)
    if pasted is not None and pasted != (None, value, None):
        user, address, port = pasted
        fields = {"address": address, "port": port, "user": user}
        spelt = ", ".join(f"{name}: {field}" for name, field in fields.items() if field is not None)
        raise ValueError(f"write {value!r} as fields of their own: {spelt}")
    if not is_address(value) or value.count(":") == 1:
        raise ValueError(f"must be letters, digits and '.-_:' only, no leading dash, got {value!r}")
    return value


def _check_user(value: str) -> str:
    if not is_user(value):
        raise ValueError(f"must be letters, digits and '._@+-' only, no leading dash, got {value!r}")
    return value


Program = Annotated[str, AfterValidator(_check_printable), Field(min_length=1, max_length=4096)]
HostPath = Annotated[PurePosixPath, AfterValidator(_check_host_path)]
AbsolutePath = Annotated[HostPath, AfterValidator(_check_absolute)]
RelativePath = Annotated[HostPath, AfterValidator(_check_relative)]
LaptopPath = Annotated[Path, BeforeValidator(_expand_laptop_path)]
Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS)]
Pixels = Annotated[int, Field(ge=1)]


class _InventoryModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tracker(_InventoryModel):
    """Where metrical-tracker is checked out on a host, and the Python that runs it."""

    root: AbsolutePath = Field(description="absolute folder of the checkout")
    python: Program = Field("python3", description="interpreter of the tracker's own environment")


class _HostEntry(_InventoryModel):
    name: Annotated[str, AfterValidator(_check_host_name)]
    workdir: AbsolutePath = Field(description="absolute folder on the host that we own")
    tracker: Tracker | None = None
    python: Program = Field("python3", description="interpreter for our probes and recipes")
    search_roots: tuple[AbsolutePath, ...] = Field((), description="where find-bbox looks")
    gpus: int | None = Field(None, ge=0, description="GPUs we may use; default: all")
    usd_per_hour: float | None = Field(
        None, gt=0, le=10_000, allow_inf_nan=False, description="what the machine costs while it runs"
    )
    answer_timeout_s: Seconds = Field(60.0, description="seconds for one bounded answer")

    @property
    def roots(self) -> tuple[PurePosixPath, ...]:
        """Where to search on this host: as configured, else the workdir and the tracker's root."""
        if self.search_roots:
            return self.search_roots
        return (self.workdir, *((self.tracker.root,) if self.tracker else ()))


class SshHost(_HostEntry):
    """A machine reached over SSH. What is None is left to ~/.ssh/config, read by `ssh -G`."""

    kind: Literal["ssh"] = "ssh"
    address: Annotated[str, AfterValidator(_check_address)] = Field(
        description="DNS name, IP, or a Host alias of ~/.ssh/config"
    )
    address_command: tuple[Program, ...] = Field(
        (), description="run here at each connect; prints the address and the port of the pod as it is now"
    )
    port: int | None = Field(None, ge=1, le=65535)
    user: Annotated[str, AfterValidator(_check_user)] | None = None
    identity_file: LaptopPath | None = Field(None, description="private key on this laptop")
    host_key: str | None = Field(None, description="pinned key, as in known_hosts: 'ssh-ed25519 AAAA...'")
    scheduler: Literal["none"] = "none"
    connect_timeout_s: Seconds = Field(10.0, description="seconds for each step of connecting")


class LocalHost(_HostEntry):
    """This machine, with the same surface."""

    kind: Literal["local"] = "local"


Host = Annotated[SshHost | LocalHost, Field(discriminator="kind")]


class Actor(_InventoryModel):
    """One person in one video: where the tracker keeps the input and the output."""

    name: Annotated[str, AfterValidator(_check_name)]
    source_size: tuple[Pixels, Pixels] | None = Field(None, description="width, height of the video")
    video: LaptopPath | None = Field(None, description="the original video, on this laptop")
    input: RelativePath = Field(description="on the host, under tracker.root")
    output: RelativePath = Field(description="on the host, under tracker.root")
    host_backups: tuple[RelativePath, ...] = Field((), description="on the host, under workdir")


class Inventory(_InventoryModel):
    """The whole file. `path` is where it was read, for messages.

    Example:
        >>> text = b"hosts: {a100: {address: 203.0.113.10, workdir: /workspace}}"
        >>> inventory = parse_inventory(text, Path("inventory.yaml"))
        >>> inventory.host("a100").address, list(inventory.actors)
        ('203.0.113.10', [])
    """

    path: Path
    hosts: dict[str, Host]
    actors: dict[str, Actor]
    backups: LaptopPath
    search_roots: tuple[LaptopPath, ...]
    state: LaptopPath
    ssh_config: LaptopPath | None = Field(None, description="read instead of ~/.ssh/config")

    def host(self, name: str) -> SshHost | LocalHost:
        """Return the host of that name.

        Raises:
            UsageError: the inventory has none; the message lists those that it has.
        """
        return _pick(self.hosts, "host", name, self.path)

    def the_host(self, name: str | None) -> SshHost | LocalHost:
        """Return the host of that name, or the only one. Raises UsageError."""
        return _pick(self.hosts, "host", name, self.path)

    def the_actor(self, name: str | None) -> Actor:
        """Return the actor of that name, or the only one. Raises UsageError."""
        return _pick(self.actors, "actor", name, self.path)

    def backup_of(self, actor: Actor) -> Path:
        """Return the folder on this laptop that holds the actor's backup."""
        return self.backups / actor.name


def _pick(entries: Mapping[str, Entry], what: str, name: str | None, path: Path) -> Entry:
    names = ", ".join(sorted(entries))
    if name is not None:
        if name in entries:
            return entries[name]
        raise UsageError(
            f"no {what} named {name!r}", where=str(path), hint=f"known {what}s: {names or 'none'}"
        )
    if len(entries) == 1:
        return next(iter(entries.values()))
    raise UsageError(
        f"there are {len(entries)} {what}s: name one" if entries else f"the inventory has no {what}",
        where=str(path),
        hint=f"--{what} one of: {names}" if entries else f"add one under `{what}s:`",
    )


def given_inventory(named: str | Path | None) -> Path | None:
    """Return the inventory that is named, else the one that the environment names.

    Raises:
        InventoryError: `~USER` names no user.
    """
    named = named or os.environ.get(ENVIRONMENT)
    try:
        return Path(named).expanduser() if named else None
    except RuntimeError as e:
        raise InventoryError(str(e), where=str(named), hint="write the whole path") from e


def find_inventory(start: Path) -> Path:
    """Return the environment's inventory, else the first one in `start` or a folder above it.

    One inside a backup is skipped: a pod may have written it.

    Raises:
        InventoryError: none was found.
    """
    named = given_inventory(None)
    if named is not None:
        return named
    start = start.resolve()
    found = [f / FILE_NAME for f in (start, *start.parents) if (f / FILE_NAME).is_file()]
    for position, path in enumerate(found):
        if not _is_in_a_backup(path, found[position + 1 :]):
            return path
        logging.getLogger(__name__).info("skipped %s: it is inside a backup", path)
    inside = f" that is not inside a backup ({found[0]} is)" if found else ""
    raise InventoryError(
        f"no {FILE_NAME} here or in any folder above{inside}",
        where=str(start),
        hint=f"write one (README, 'Your own pod'), or name it: --inventory FILE, {ENVIRONMENT}",
    )


def _is_in_a_backup(path: Path, above: Sequence[Path]) -> bool:
    """Whether it lies in a backup of ours, or in the backups of an inventory above it."""
    folder = path.parent
    if any((f / ".history" / "manifests").is_dir() for f in (folder, *folder.parents)):
        return True
    for other in above:
        # On a shared machine another user's file decides nothing about this one.
        if other.stat().st_uid not in (path.stat().st_uid, 0):
            continue
        try:
            backups = load_inventory(other).backups.resolve()
        except InventoryError:
            continue  # reported when it is used
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
            data = file.read(bounded_yaml.MAX_BYTES + 1)
    except OSError as e:
        hint = "name one with --inventory FILE"
        raise InventoryError(f"cannot be read: {e.strerror}", where=str(path), hint=hint) from e
    return parse_inventory(data, path)


def parse_inventory(data: bytes, path: Path) -> Inventory:
    """Check the text of an inventory that lies at `path`, or will.

    Raises:
        InventoryError: not YAML, or wrong fields.
    """
    try:
        node = bounded_yaml.compose(data)
        document = None if node is None else bounded_yaml.value_of(node)
    except ValueError as e:
        raise InventoryError(f"cannot be read as YAML: {e}", where=str(path), hint=FORMATS) from e
    if node is None or not isinstance(document, dict):
        raise InventoryError("must be a mapping with `hosts:` and `actors:`", where=str(path), hint=FORMATS)
    try:
        return Inventory.model_validate(_fill(document, path), context=path.resolve().parent)
    except ValidationError as e:
        raise InventoryError(_explain(e, node), where=str(path), hint=FORMATS) from e


def _fill(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """Put names and defaults into the document, before it is checked."""
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
        "hosts": _fill_section(document.get("hosts"), host),
        "actors": _fill_section(document.get("actors"), actor),
    }


def _fill_section(entries: Any, fill: Callable[[str, dict[str, Any]], dict[str, Any]]) -> Any:
    """Fill every entry of a section; anything else is left for the check to refuse."""
    if not isinstance(entries, dict):
        return entries or {}
    given = {str(name): {} if entry is None else entry for name, entry in entries.items()}
    return {name: fill(name, e) if isinstance(e, dict) else e for name, e in given.items()}


def _explain(error: ValidationError, document: Node) -> str:
    """One line for each wrong field, with its line and its place in the file, in the order of the file."""
    found: dict[str, int] = {}
    for item in error.errors(include_url=False, include_context=False):
        # pydantic puts the discriminator's value into the path of a union; the file has no such key.
        place = [p for i, p in enumerate(item["loc"]) if not (i == 2 and p in ("ssh", "local"))]
        depth, line = bounded_yaml.locate(document, place)
        if place[0] == "hosts" and depth == 2:
            usual = ["defaults", *place[2:]]
            usual_depth, usual_line = bounded_yaml.locate(document, usual)
            if usual_depth > 1:
                place, line = usual, usual_line
        text = item["msg"].removeprefix("Value error, ")
        if item["type"] == "missing":
            text = "is missing"
        elif item["type"] == "extra_forbidden":
            text = f"unknown field{_did_you_mean(place)}"
        found[f"line {line}: {'.'.join(map(_word, place)) or 'the file'}: {text}"] = line
    lines = sorted(found, key=lambda text: found[text])
    return lines[0] if len(lines) == 1 else "\n".join((f"{len(lines)} fields are wrong", *lines))


def _did_you_mean(place: Sequence[str | int]) -> str:
    """The field that an unknown one is probably meant to be."""
    import difflib

    *folders, name = map(str, place)
    if folders[-1:] == ["tracker"]:
        fields = set(Tracker.model_fields)
    elif folders and folders[0] == "actors":
        fields = {*Actor.model_fields} - {"name"}
    elif folders:
        fields = {*SshHost.model_fields} - {"name"}
    else:
        fields = {*Inventory.model_fields, "defaults"} - {"path"}
    near = difflib.get_close_matches(name, fields, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(fields))}"


def _word(part: str | int) -> str:
    text = str(part)[:MAX_NAME]
    return text if text.isprintable() else repr(text)
