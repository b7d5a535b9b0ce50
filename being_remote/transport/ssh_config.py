"""A host's settings resolved by ssh itself (`ssh -G`), once, for both stacks.

So Include, Match, ProxyJump and every default mean here what they mean on the command line; Fabric ignores
or misreads them. The answer is compared with that of an empty configuration, so that ssh's default keys are
not taken for the user's choice.
"""

from __future__ import annotations

import functools
import os
import pwd
import re
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from being_remote.errors import InventoryError, ToolMissing
from being_remote.inventory import Inventory, SshHost, is_address, is_user
from being_remote.transport.address_command import find_address

# What the user set of these holds for OpenSSH as it is: algorithms, other proofs of identity, the way out.
_PASSED_ON = (
    "addressfamily",
    "bindaddress",
    "bindinterface",
    "casignaturealgorithms",
    "certificatefile",
    "ciphers",
    "gssapiauthentication",
    "hostbasedacceptedalgorithms",
    "hostbasedauthentication",
    "hostkeyalgorithms",
    "ipqos",
    "kexalgorithms",
    "macs",
    "pkcs11provider",
    "preferredauthentications",
    "pubkeyacceptedalgorithms",
    "pubkeyauthentication",
    "rekeylimit",
    "requiredrsasize",
    "securitykeyprovider",
)
_PATHS = ("certificatefile", "pkcs11provider", "securitykeyprovider")
# Of these Paramiko knows nothing, so nothing is tried with it.
_ONLY_OPENSSH = {
    "identityagent": "IdentityAgent",
    "certificatefile": "CertificateFile",
    "pkcs11provider": "PKCS11Provider",
    "bindaddress": "BindAddress",
    "bindinterface": "BindInterface",
}
_MAX_HOPS = 8
_ANSWER_S = 20.0  # a `Match exec` of the user's may take its time


@dataclass(frozen=True)
class Hop:
    """One machine on the way to a host, resolved."""

    # where and as whom
    hostname: str
    port: int
    user: str
    # private keys to offer, in order: the user's choice, else ssh's defaults that exist
    identity_files: tuple[Path, ...]
    identities_only: bool  # offer no other key of the agent
    agent: str | None  # "none", a socket, or None for the environment's
    proxy_command: str | None  # the user's own ProxyCommand, ready for `sh -c`
    known_name: str  # how known_hosts spells this machine
    known_hosts_files: tuple[Path, ...]  # the user's own
    settings: tuple[tuple[str, str], ...] = ()  # the user's own, for OpenSSH alone
    needs_openssh: str = ""  # why Paramiko cannot log in; "" if it may

    @property
    def address(self) -> str:
        return f"[{self.hostname}]:{self.port}" if ":" in self.hostname else f"{self.hostname}:{self.port}"


def resolve(host: SshHost, inventory: Inventory) -> tuple[Hop, ...]:
    """The machines on the way to `host`, in the order of travel; the last one is `host` itself.

    Raises:
        InventoryError: the identity file is missing, ssh refuses its configuration, or the jumps lead in
            a circle.
        ToolMissing: this laptop has no ssh.
        Unreachable: the host's `address_command` does not say where it is.
    """
    if host.identity_file is not None and not host.identity_file.is_file():
        raise InventoryError(
            f"hosts.{host.name}.identity_file: no such file: {host.identity_file}",
            where=str(inventory.path),
            hint="name a private key on this laptop that the host accepts",
        )
    at = find_address(host) if host.address_command else host
    answer = _ask(at.address, at.user, at.port, inventory)
    target = _hop(at.address, answer, identity_file=host.identity_file)
    if host.address_command:  # its key is known by its name, wherever it is
        target = replace(target, known_name=_known_name(host.name))
    return (*_jumps(answer, inventory, depth=0), target)


def _known_name(host: str) -> str:
    """How known_hosts spells a host that has no address of its own; ssh compares it in small letters."""
    plain = re.fullmatch(r"[a-z0-9._-]+", host)
    return f"host-{host}" if plain else f"host.{host.encode().hex()}"


def _jumps(answer: Mapping[str, Sequence[str]], inventory: Inventory, *, depth: int) -> tuple[Hop, ...]:
    spelt = answer.get("proxyjump", ["none"])[0]
    if spelt == "none":
        return ()
    if depth >= _MAX_HOPS:
        raise InventoryError(f"ProxyJump leads in a circle or over more than {_MAX_HOPS} hosts: {spelt!r}")
    hops: list[Hop] = []
    for position, jump in enumerate(spelt.split(",")):
        user, _, place = jump.removeprefix("ssh://").rpartition("@")
        parts = re.fullmatch(r"(\[[^]]+\]|[^:]+)(?::(\d+))?/?", place)
        name = parts[1].strip("[]") if parts else ""
        if parts is None or not is_address(name) or not is_user(user or "root"):
            raise InventoryError(
                f"cannot read the ProxyJump {jump!r} of the ssh configuration",
                hint="give the jump a Host entry of its own, and name that",
            )
        settings = _ask(name, user or None, int(parts[2]) if parts[2] else None, inventory)
        if position == 0:
            # Only the first one's own jumps count, as with ssh: the others are reached through it.
            hops.extend(_jumps(settings, inventory, depth=depth + 1))
        hops.append(_hop(name, settings, identity_file=None))
    return tuple(hops)


def _hop(name: str, answer: Mapping[str, Sequence[str]], *, identity_file: Path | None) -> Hop:
    usual = _defaults()
    one = {key: values[0] for key, values in answer.items()}
    hostname, port, user = one["hostname"].lower(), int(one["port"]), one["user"]
    tokens = {"h": hostname, "p": str(port), "r": user, "n": name, "u": _me().pw_name, "d": _me().pw_dir}

    if identity_file is not None:
        identities: tuple[Path, ...] = (identity_file,)
    else:
        identities = tuple(_path(value, tokens) for value in answer.get("identityfile", []))
        if answer.get("identityfile") == usual["identityfile"]:
            identities = tuple(p for p in identities if p.is_file())
    # ssh -G does not distinguish `port 22, name in brackets`; known_hosts spells port 22 bare.
    spelt = hostname if port == 22 else f"[{hostname}]:{port}"
    command = one.get("proxycommand", "none")
    agent = one.get("identityagent")
    return Hop(
        hostname=hostname,
        port=port,
        user=user,
        identity_files=identities,
        identities_only=identity_file is not None or one.get("identitiesonly") == "yes",
        agent=None if agent in (None, "SSH_AUTH_SOCK") else _expanded(str(agent), tokens),
        proxy_command=None if command == "none" else _expanded(command, tokens),
        known_name=one.get("hostkeyalias", spelt).lower(),
        known_hosts_files=tuple(
            _path(value, tokens)
            for key in ("userknownhostsfile", "globalknownhostsfile")
            for value in one.get(key, "").split()
            if value not in ("none", "/dev/null")
        ),
        settings=tuple(
            (key, str(_path(value, tokens)).replace("%", "%%") if key in _PATHS else value)
            for key in _PASSED_ON
            if answer.get(key, []) != usual.get(key, [])
            for value in answer.get(key, [])
        ),
        needs_openssh=" and ".join(
            f"{name} of the ssh configuration"
            for key, name in _ONLY_OPENSSH.items()
            if one.get(key, "none") not in ("none", "SSH_AUTH_SOCK")
        ),
    )


def _ask(name: str, user: str | None, port: int | None, inventory: Inventory) -> dict[str, list[str]]:
    options = ["-F", str(inventory.ssh_config)] if inventory.ssh_config else []
    options += ["-l", user] if user else []
    options += ["-p", str(port)] if port else []
    return _answer(tuple(options), name, where=str(inventory.ssh_config or "~/.ssh/config"))


@functools.cache
def _defaults() -> dict[str, list[str]]:
    """What ssh says without a configuration."""
    return _answer(("-F", "/dev/null"), "host", where="ssh")


def _answer(options: Sequence[str], name: str, *, where: str) -> dict[str, list[str]]:
    try:
        done = subprocess.run(
            ["ssh", *options, "-G", "--", name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_S,
            check=False,
        )
    except FileNotFoundError as e:
        raise ToolMissing(
            host="local", tool="ssh", hint="apt-get install openssh-client (macOS has it)"
        ) from e
    except subprocess.TimeoutExpired as e:
        raise InventoryError(f"`ssh -G {name}` did not answer in {_ANSWER_S:g} s", where=where) from e
    if done.returncode != 0:
        message = "; ".join(os.fsdecode(done.stderr).split("\n"))[:400] or "no reason given"
        raise InventoryError(f"ssh refuses its configuration for {name!r}: {message}", where=where)
    answer: dict[str, list[str]] = defaultdict(list)
    for line in os.fsdecode(done.stdout).splitlines():
        key, _, value = line.partition(" ")
        answer[key.lower()].append(value)
    return dict(answer)


def _me() -> pwd.struct_passwd:
    # ssh takes home and name from the password file, not from the environment.
    return pwd.getpwuid(os.getuid())


def _expanded(text: str, tokens: Mapping[str, str]) -> str:
    """`text` with ssh's %-tokens filled in; unknown ones stay as they are.

    Example:
        >>> _expanded("nc %h %p 100%% %C", {"h": "a", "p": "22"})
        'nc a 22 100% %C'
    """
    return re.sub(r"%(.)", lambda found: {**tokens, "%": "%"}.get(found[1], found[0]), text)


def _path(text: str, tokens: Mapping[str, str]) -> Path:
    expanded = _expanded(text, tokens)
    return Path(_me().pw_dir + expanded[1:]) if expanded.startswith("~/") else Path(expanded)
