"""`trust`: decide which host keys to trust, for a host and for every jump on the way to it.

A first key is accepted by `yes`, by its fingerprint, or by a person who is asked. A changed key is
replaced only by naming the new fingerprint. A dry run reads the keys and stores none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from being_remote.errors import HostError, HostKeyChanged, UsageError
from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.transport.host_keys import HostKey, KnownHosts, pinned, require_trusted, trusted_keys
from being_remote.transport.ssh_config import Hop, resolve

Confirm = Callable[[str], bool]


@dataclass(frozen=True)
class TrustedKey:
    """One machine on the way. `action`: "already trusted", "trusted" or "replaced"."""

    address: str
    key_type: str
    fingerprint: str
    previous: str | None
    action: str


@dataclass(frozen=True)
class TrustReport:
    """What is trusted now; with `dry_run`, what would be. Jumps first, the host itself last."""

    host: str
    keys: tuple[TrustedKey, ...]
    dry_run: bool

    @property
    def exit_code(self) -> int:
        return 0


def trust(
    inventory: Inventory,
    *,
    host: str,
    fingerprint: str | None = None,
    yes: bool = False,
    confirm: Confirm | None = None,
    dry_run: bool = False,
) -> TrustReport:
    """Read the keys on the way to `host`, and trust those that the caller accepts.

    Args:
        fingerprint: "SHA256:..." of the one key to trust; the only way to replace a changed one.
        yes: accept first keys unseen.
        confirm: asks about each first key, with a text that shows it; True accepts.

    Raises:
        HostKeyUnknown: a first key was not accepted.
        HostKeyChanged: a changed key whose fingerprint was not named.
        HostError: the host shows another fingerprint than the one named.
        Unreachable, LoginRefused: a host on the way does not answer.
    """
    entry = inventory.host(host)
    if isinstance(entry, LocalHost):
        raise UsageError(f"{host!r} is this machine: it has no host key to trust", where=str(inventory.path))
    named = None if fingerprint is None else normalize_fingerprint(fingerprint)
    known, hops = KnownHosts(inventory.state), resolve(entry, inventory)
    keys = trusted_keys(hops, entry, inventory.path, known, remember=not dry_run)
    rows: list[TrustedKey] = []
    for position, hop in enumerate(hops):
        shown = _read_key(entry, hops, keys, position, named)
        pin = pinned(entry, inventory.path) if position == len(hops) - 1 else ()
        if shown not in keys[position] and pin:
            raise _pinned_key_changed(entry, hop, pin[0], shown)
        # A fingerprint that an earlier hop has shown belongs to that hop alone.
        of_jump = named != shown.fingerprint and any(row.fingerprint == named for row in rows)
        row = _decide(entry, hop, keys[position], shown, None if of_jump else named, yes=yes, confirm=confirm)
        if row.action != "already trusted":
            keys[position] = (shown,)
            if not dry_run:
                known.replace(hop.known_name, keys[position])
        rows.append(row)
    return TrustReport(host, tuple(rows), dry_run)


def _decide(
    host: SshHost,
    hop: Hop,
    keys: Sequence[HostKey],
    shown: HostKey,
    named: str | None,
    *,
    yes: bool,
    confirm: Confirm | None,
) -> TrustedKey:
    def decided(action: str, previous: str | None = None) -> TrustedKey:
        return TrustedKey(hop.address, shown.type, shown.fingerprint, previous, action)

    if shown in keys:
        return decided("already trusted")
    if named == shown.fingerprint:
        of_type = [key for key in keys if key.type == shown.type] or list(keys)
        return decided("replaced", of_type[0].fingerprint) if of_type else decided("trusted")
    if named is not None and not keys:
        raise HostError(
            f"{hop.address} shows the host key {shown.fingerprint}, not {named}, which was named",
            host=host.name,
            hint="compare it with the pod's console; trust only a key that is equal",
        )
    question = (
        f"{hop.address} shows this {shown.type} key:\n  {shown.fingerprint}\n"
        "On the pod's console this should print the same:\n"
        "  ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\nTrust it?"
    )
    if not keys and (yes or (confirm is not None and confirm(question))):
        return decided("trusted")
    require_trusted(keys, shown, host=host.name, address=hop.address)
    raise AssertionError("require_trusted accepted a key that is not trusted")


def _pinned_key_changed(host: SshHost, hop: Hop, pin: HostKey, shown: HostKey) -> HostKeyChanged:
    changed = HostKeyChanged(
        host=host.name, address=hop.address, trusted=pin.fingerprint, shown=shown.fingerprint
    )
    changed.hint = "the inventory pins the key: change `host_key` there if this is a new pod"
    return changed


def _read_key(
    host: SshHost, hops: Sequence[Hop], keys: Sequence[Sequence[HostKey]], position: int, named: str | None
) -> HostKey:
    """Return the key of one hop: of a type already trusted if there is one, else the one that was named.

    A host has several keys, and its console may print any of them; so the others are read too when the
    first does not have the fingerprint that was named.
    """
    from being_remote.transport.connection import KEY_TYPES, read_host_key
    from being_remote.transport.openssh import OpenSsh

    ssh = OpenSsh(hops, keys, connect_timeout_s=host.connect_timeout_s)
    try:
        known = {key.type for key in keys[position]}
        types = sorted((t for group in KEY_TYPES for t in group), key=lambda t: _key_type(t) not in known)
        first = read_host_key(ssh, host, hops[position], position, tuple(types))
        if named is None or first in keys[position] or first.fingerprint == named:
            return first
        for group in KEY_TYPES:
            try:
                other = read_host_key(ssh, host, hops[position], position, group)
            except HostError:
                continue  # the host has no key of this type
            if other.fingerprint == named:
                return other
        return first
    finally:
        ssh.close()


def _key_type(negotiated: str) -> str:
    """Return the type of the key: an RSA key is one, whichever hash it signs with."""
    return "ssh-rsa" if negotiated.startswith("rsa-sha2-") else negotiated


def normalize_fingerprint(fingerprint: str) -> str:
    """ "SHA256:..." without its padding. Raises UsageError for anything else."""
    bare = fingerprint.removeprefix("SHA256:").rstrip("=")
    if not re.fullmatch(r"[A-Za-z0-9+/]{43}", bare):
        raise UsageError(
            f"{fingerprint!r} is not a SHA256 fingerprint",
            hint="`ssh-keygen -lf KEY.pub` on the host prints it: SHA256: and 43 characters",
        )
    return f"SHA256:{bare}"
