"""The trusted host keys: our own known_hosts, read by both stacks.

One file under the inventory's `state`, one line a key: `[host]:port keytype base64`, replaced as a whole
under a lock. The user's own known_hosts are read by `ssh-keygen -F`, which understands hashed names and
patterns. Lines of an authority (`@cert-authority`) are ignored; keys that are `@revoked` never count.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.disk import FULL, describe_full
from being_remote.durable_files import sync_descriptor
from being_remote.errors import HostKeyChanged, HostKeyUnknown, InventoryError, NoSpace
from being_remote.inventory import SshHost
from being_remote.local_lock import LockRequest, held_lock
from being_remote.transport.ssh_config import Hop

if TYPE_CHECKING:
    import paramiko

FILE_NAME = "known_hosts"
_LOCK_S = 60.0


@dataclass(frozen=True)
class HostKey:
    """A public host key: `type` as in "ssh-ed25519", `blob` its bytes."""

    type: str
    blob: bytes

    @classmethod
    def of(cls, key: paramiko.PKey) -> HostKey:
        """The same key as paramiko has it."""
        return cls(key.get_name(), key.asbytes())

    @property
    def fingerprint(self) -> str:
        """As OpenSSH and the consoles of pods print it: "SHA256:...", without padding."""
        digest = hashlib.sha256(self.blob).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def line(self) -> str:
        """As it stands in known_hosts after the host's name."""
        return f"{self.type} {base64.b64encode(self.blob).decode()}"


def parse_key(line: str) -> HostKey:
    """The key in "keytype base64 [comment]". Raises ValueError for anything else.

    Example:
        >>> parse_key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVs").type
        'ssh-ed25519'
    """
    kind, _, rest = line.strip().partition(" ")
    try:
        blob = base64.b64decode(rest.split()[0], validate=True)
    except (IndexError, binascii.Error):
        raise ValueError(f"not a host key: {line[:80]!r}") from None
    inner = blob[4 : 4 + int.from_bytes(blob[:4], "big")]
    if inner != kind.encode():
        raise ValueError(f"the key says it is {inner[:32]!r}, its line says {kind!r}")
    return HostKey(kind, blob)


def fingerprint_of(key_line: str) -> str:
    """The fingerprint of "keytype base64"."""
    return parse_key(key_line).fingerprint


class KnownHosts:
    """Our own file. Reading needs no lock; writing takes one."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.path = state / FILE_NAME

    def keys(self, name: str) -> tuple[HostKey, ...]:
        """The keys trusted for the machine of that name in known_hosts."""
        return tuple(key for spelt, key in self._entries() if spelt == name)

    def replace(self, name: str, keys: Iterable[HostKey]) -> None:
        """Trust exactly `keys` for `name`."""
        with disk_errors(self._state), self._locked():
            others = [(spelt, key) for spelt, key in self._entries() if spelt != name]
            self._write([*others, *((name, key) for key in dict.fromkeys(keys))])

    def add_if_unknown(self, name: str, keys: Iterable[HostKey]) -> None:
        """Trust `keys` unless something is trusted for `name` already."""
        with disk_errors(self._state), self._locked():
            entries = self._entries()
            if all(spelt != name for spelt, _ in entries):
                self._write([*entries, *((name, key) for key in dict.fromkeys(keys))])

    def _entries(self) -> list[tuple[str, HostKey]]:
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        except OSError as e:
            raise _unusable(self.path, e) from e
        entries = []
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.startswith("#"):
                continue
            name, _, rest = line.partition(" ")
            try:
                entries.append((name, parse_key(rest)))
            except ValueError as e:
                raise InventoryError(
                    f"line {number}: {e}", where=str(self.path), hint="remove that line, then run trust again"
                ) from e
        return entries

    def _write(self, entries: Iterable[tuple[str, HostKey]]) -> None:
        text = "".join(f"{name} {key.line}\n" for name, key in entries)
        # One name, under the lock: it replaces what a killed process left.
        temporary = self._state / f".{FILE_NAME}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with open(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                sync_descriptor(file.fileno())
            os.replace(temporary, self.path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock, asked = self._state / f"{FILE_NAME}.lock", LockRequest(wait_s=_LOCK_S)
        with held_lock(lock, "another command changes the host keys", where=str(self.path), asked=asked):
            yield


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the local disk into ours."""
    try:
        yield
    except OSError as e:
        raise _unusable(folder, e) from e


def _unusable(path: Path, error: OSError) -> InventoryError | NoSpace:
    if error.errno in FULL:
        return NoSpace(
            f"{describe_full(error)}; nothing was changed",
            file=str(path),
            hint="free some space, then retry",
        )
    return InventoryError(
        f"cannot be used: {error.strerror}",
        where=str(path),
        hint="`state` in the inventory is where trusted keys are kept: repair it, or name another folder",
    )


def read_user_keys(hop: Hop) -> tuple[HostKey, ...]:
    """The keys in the user's known_hosts files for this machine."""
    trusted: dict[HostKey, None] = {}
    revoked: set[HostKey] = set()
    for file in hop.known_hosts_files:
        if not file.is_file():
            continue
        found = subprocess.run(
            ["ssh-keygen", "-F", hop.known_name, "-f", str(file)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,  # 1 says that nothing was found
        )
        for line in found.stdout.decode("utf-8", "replace").splitlines():
            words = line.split()
            if len(words) < 3 or words[0] in ("#", "@cert-authority"):
                continue
            marked = words[0] == "@revoked"
            try:
                key = parse_key(" ".join(words[2:4] if marked else words[1:3]))
            except ValueError:
                continue  # ssh skips such lines, too
            if marked:
                revoked.add(key)
            else:
                trusted[key] = None
    return tuple(key for key in trusted if key not in revoked)


def require_trusted(keys: Sequence[HostKey], shown: HostKey, *, host: str, address: str) -> None:
    """Check that `shown` is one of the trusted `keys`.

    Raises:
        HostKeyUnknown: no key is trusted yet.
        HostKeyChanged: another key is trusted.
    """
    if not keys:
        raise HostKeyUnknown(host=host, address=address, fingerprint=shown.fingerprint)
    if shown not in keys:
        same_type = [key for key in keys if key.type == shown.type] or list(keys)
        raise HostKeyChanged(
            host=host, address=address, trusted=same_type[0].fingerprint, shown=shown.fingerprint
        )


def pinned(host: SshHost, inventory_path: Path) -> tuple[HostKey, ...]:
    """The key that the inventory names for the host. Raises InventoryError if it is none."""
    if host.host_key is None:
        return ()
    try:
        return (parse_key(host.host_key),)
    except ValueError as e:
        raise InventoryError(
            f"hosts.{host.name}.host_key: {e}",
            where=str(inventory_path),
            hint="spell it as in known_hosts after the name: 'ssh-ed25519 AAAA...'",
        ) from e


def trusted_keys(
    hops: tuple[Hop, ...], host: SshHost, inventory_path: Path, known: KnownHosts, *, remember: bool
) -> list[tuple[HostKey, ...]]:
    """The trusted keys of each hop: the inventory's, else our file's, else the user's own.

    With `remember`, keys that only the user's own file has are copied into ours.
    """
    found = []
    for position, hop in enumerate(hops):
        pin = pinned(host, inventory_path) if position == len(hops) - 1 else ()
        keys = pin or known.keys(hop.known_name)
        if not keys and (keys := read_user_keys(hop)) and remember:
            known.add_if_unknown(hop.known_name, keys)
        found.append(keys)
    return found
