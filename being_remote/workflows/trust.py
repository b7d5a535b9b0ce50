"""`trust`: decide which host keys may be believed, for a host and every jump on the way to it.

A first key may be accepted by a yes, by its fingerprint, or by a person who is asked. A key that
changed is replaced only by naming the new fingerprint. A dry run looks at the keys and stores none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from being_remote.errors import HostError, HostKeyChanged, UsageError
from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.transport.host_keys import HostKey, KnownHosts, pinned, require_trusted, trusted_keys
from being_remote.transport.ssh_config import Hop, resolve


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
    confirm: Callable[[str], bool] | None = None,
    dry_run: bool = False,
) -> TrustReport:
    """Look at the keys on the way to `host`, and trust those that the caller vouches for.

    Args:
        inventory: names the host and where trusted keys are kept.
        host: its name in the inventory.
        fingerprint: "SHA256:..." of the one key to trust; the only way to replace a changed one.
        yes: accept first keys unseen.
        confirm: asked about each first key, with a text that shows it; True accepts.
        dry_run: store nothing.

    Raises:
        HostKeyUnknown: a first key that nobody vouched for.
        HostKeyChanged: a changed key whose fingerprint was not named.
        HostError: the fingerprint named is not what the host shows.
        Unreachable, LoginRefused: a host on the way cannot be asked.
    """
    entry = inventory.host(host)
    if isinstance(entry, LocalHost):
        raise UsageError(f"{host!r} is this machine: there is no key to trust", where=str(inventory.path))
    wanted = None if fingerprint is None else _spelt(fingerprint)
    known, hops = KnownHosts(inventory.state), resolve(entry, inventory)
    keys = trusted_keys(hops, entry, inventory.path, known, remember=not dry_run)
    rows: list[TrustedKey] = []
    for position, hop in enumerate(hops):
        shown = _shown(entry, hops, keys, position, wanted)
        pin = pinned(entry, inventory.path) if position == len(hops) - 1 else ()
        # A fingerprint that a jump has shown is its own: of what follows nobody has said anything.
        said = None if wanted != shown.fingerprint and any(r.fingerprint == wanted for r in rows) else wanted
        row = _decide(entry, hop, keys[position], shown, said, yes=yes, confirm=confirm, pin=pin)
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
    wanted: str | None,
    *,
    yes: bool,
    confirm: Callable[[str], bool] | None,
    pin: Sequence[HostKey],
) -> TrustedKey:
    previous = next((key.fingerprint for key in keys if key.type == shown.type), None)
    previous = previous or (keys[0].fingerprint if keys else None)
    if shown in keys:
        return TrustedKey(hop.address, shown.type, shown.fingerprint, None, "already trusted")
    if pin:
        changed = HostKeyChanged(
            host=host.name, address=hop.address, trusted=pin[0].fingerprint, shown=shown.fingerprint
        )
        changed.hint = "the inventory itself pins the key: change `host_key` if the pod was made anew"
        raise changed
    if wanted == shown.fingerprint:
        return TrustedKey(
            hop.address, shown.type, shown.fingerprint, previous, "replaced" if keys else "trusted"
        )
    if wanted is not None and not keys:
        raise HostError(
            f"{hop.address} shows the host key {shown.fingerprint}, not the {wanted} that was named",
            host=host.name,
            hint="compare it with the pod's console; trust only what agrees",
        )
    question = (
        f"{hop.address} shows the {shown.type} key {shown.fingerprint}\nThe pod's console should print the"
        " same: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\nTrust it?"
    )
    if not keys and (yes or (confirm is not None and confirm(question))):
        return TrustedKey(hop.address, shown.type, shown.fingerprint, None, "trusted")
    require_trusted(keys, shown, host=host.name, address=hop.address)
    raise AssertionError("a key that is not among the trusted ones was let through")


def _shown(
    host: SshHost, hops: Sequence[Hop], keys: Sequence[Sequence[HostKey]], position: int, wanted: str | None
) -> HostKey:
    """The key of one hop: of a type already trusted if there is one, else the one that was named.

    A host has several keys, and its console may print any of them; so the others are asked for
    when the first does not have the fingerprint that was named.
    """
    from being_remote.transport.hop_socket import KEY_TYPES, read_host_key
    from being_remote.transport.openssh import OpenSsh

    ssh = OpenSsh(hops, keys, connect_timeout_s=host.connect_timeout_s)
    try:
        known = {key.type for key in keys[position]}
        types = sorted((t for group in KEY_TYPES for t in group), key=lambda t: _plain(t) not in known)
        first = read_host_key(ssh, host, hops[position], position, tuple(types))
        if wanted is None or first in keys[position] or first.fingerprint == wanted:
            return first
        for group in KEY_TYPES:
            try:
                other = read_host_key(ssh, host, hops[position], position, group)
            except HostError:
                continue  # the host has no key of this type
            if other.fingerprint == wanted:
                return other
        return first
    finally:
        ssh.close()


def _plain(negotiated: str) -> str:
    """An RSA key is one type, whichever hash it is asked to sign with."""
    return "ssh-rsa" if negotiated.startswith("rsa-sha2-") else negotiated


def _spelt(fingerprint: str) -> str:
    bare = fingerprint.removeprefix("SHA256:").rstrip("=")
    if not re.fullmatch(r"[A-Za-z0-9+/]{43}", bare):
        raise UsageError(
            f"{fingerprint!r} is not a SHA256 fingerprint",
            hint="`ssh-keygen -lf KEY.pub` on the host prints it: SHA256: and 43 characters",
        )
    return f"SHA256:{bare}"
