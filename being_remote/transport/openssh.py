"""The system's ssh: one configuration file for every hop and every stream of a session.

Options given to ssh do not reach the hops of a jump; a configuration file does. So each hop has an entry
in it with our known_hosts, strict checking and nothing forwarded. The file, the socket of the shared
connection and the session's trusted keys live in a private folder with a short path.
"""

from __future__ import annotations

import atexit
import math
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from being_remote.scratch import make_folder
from being_remote.transport.host_keys import HostKey, disk_errors, parse_key
from being_remote.transport.ssh_config import Hop

# Their values are the rest of the line, or several words.
_WORD_LISTS = ("proxycommand", "ipqos", "rekeylimit")
_KEY_TYPES = "hostkeyalgorithms"
_KEEP_S = 30  # how long the shared connection outlives a process of ours that was killed


class OpenSsh:
    """ssh's command lines for one host; `close` ends the shared connection and removes the folder."""

    def __init__(
        self, hops: Sequence[Hop], keys: Sequence[Sequence[HostKey]], *, connect_timeout_s: float
    ) -> None:
        self._hops, self._keys = hops, keys
        self._timeout_s = connect_timeout_s
        self._master = threading.Lock()
        self._has_master = False
        # The socket's name must fit into about 100 bytes, which macOS's own folder leaves no room for.
        short = Path("/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir())
        with disk_errors(short):
            self._folder = make_folder(short)
            atexit.register(self.close)  # for a thread that Ctrl-C leaves behind with its session open
            known = self._folder / "known_hosts"
            trusted = zip(hops, keys, strict=True)
            known.write_text(
                "".join(f"{hop.known_name} {key.line}\n" for hop, ours in trusted for key in ours)
            )
            self._config = self._folder / "config"
            self._config.write_text(self._text(known))

    @property
    def target(self) -> str:
        """The name of the host itself in the configuration."""
        return _alias(len(self._hops) - 1)

    @property
    def shell(self) -> list[str]:
        """The words before the target; none of them holds a blank."""
        return ["ssh", "-F", str(self._config)]

    def proxy_command(self, position: int) -> list[str] | None:
        """A command whose stdin and stdout are connected to that hop; None for a plain TCP connect."""
        hop = self._hops[position]
        if position > 0:
            return [*self.shell, "-W", f"[{hop.hostname}]:{hop.port}", "--", _alias(position - 1)]
        return ["/bin/sh", "-c", f"exec {hop.proxy_command}"] if hop.proxy_command else None

    def share(self) -> str:
        """Open the connection that all streams share; returns "", or ssh's message if that failed."""
        with self._master:
            if self._has_master and self._control("check") == 0:
                return ""
            # A file and not a pipe: the shared connection keeps stderr open as long as it lives.
            with tempfile.TemporaryFile() as stderr:
                try:
                    done = subprocess.run(
                        [*self.shell, "-f", "-N", "-T", "--", self.target],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=stderr,
                        # ConnectTimeout ends at the key exchange; a server may freeze after that.
                        timeout=2 * self._timeout_s * len(self._hops),
                        check=False,
                    )
                except subprocess.TimeoutExpired:
                    return "ssh: the login timed out"
                stderr.seek(0)
                text = stderr.read(16 << 10).decode("utf-8", "backslashreplace").strip()
            self._has_master = done.returncode == 0
            return "" if self._has_master else text or f"ssh exited with {done.returncode}"

    def read_host_key(self, position: int, key_types: Sequence[str]) -> tuple[HostKey | None, str]:
        """The key that a hop proves to own, without a login; None with ssh's message if there is none."""
        shown = self._folder / "shown"
        shown.unlink(missing_ok=True)
        options = {
            "UserKnownHostsFile": shown,
            "StrictHostKeyChecking": "no",  # of this hop alone; those before it are checked
            "HashKnownHosts": "no",
            "PreferredAuthentications": "none",
            "ControlPath": "none",
            **({"HostKeyAlgorithms": ",".join(key_types)} if key_types else {}),
        }
        words = [f"-o{name}={value}" for name, value in options.items()]
        try:
            asked = subprocess.run(
                [*self.shell, *words, "-T", "--", _alias(position), "true"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=2 * self._timeout_s * len(self._hops),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None, "ssh: the key exchange timed out"
        try:
            return parse_key(shown.read_text().partition(" ")[2]), ""
        except (OSError, ValueError):
            return None, asked.stderr.decode("utf-8", "backslashreplace").strip() or "ssh was shown no key"

    def close(self) -> None:
        with self._master:
            if self._has_master:
                self._control("exit")
                self._has_master = False
        shutil.rmtree(self._folder, ignore_errors=True)
        atexit.unregister(self.close)

    def _control(self, order: str) -> int:
        return subprocess.run(
            [*self.shell, "-O", order, "--", self.target],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        ).returncode

    def _text(self, known: Path) -> str:
        alive_s = max(1, math.ceil(self._timeout_s / 3))
        common = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": known,
            "GlobalKnownHostsFile": "none",
            "UpdateHostKeys": "no",
            "VerifyHostKeyDNS": "no",
            "CheckHostIP": "no",
            "ForwardAgent": "no",
            "ForwardX11": "no",
            "PermitLocalCommand": "no",
            "ConnectTimeout": max(1, math.ceil(self._timeout_s)),
            "ServerAliveInterval": alive_s,
            "ServerAliveCountMax": 3,
            "LogLevel": "ERROR",
        }
        blocks = [_block(_alias(i), self._entry(i, hop)) for i, hop in enumerate(self._hops)]
        return "".join([*blocks, _block("*", common)])

    def _entry(self, position: int, hop: Hop) -> dict[str, object]:
        entry: dict[str, object] = {
            "HostName": _verbatim(hop.hostname),
            "Port": hop.port,
            "User": hop.user,
            "HostKeyAlias": hop.known_name,
            "IdentitiesOnly": "yes" if hop.identities_only else "no",
        }
        if hop.agent is not None:
            entry["IdentityAgent"] = _verbatim(hop.agent)
        proxy = self.proxy_command(position)
        if position > 0 and proxy is not None:
            entry["ProxyCommand"] = _verbatim(shlex.join(proxy))
        elif hop.proxy_command is not None:
            entry["ProxyCommand"] = _verbatim(hop.proxy_command)
        if position == len(self._hops) - 1:
            entry |= {
                "ControlMaster": "auto",
                "ControlPath": self._folder / "%C",
                "ControlPersist": _KEEP_S,
            }
        for number, identity in enumerate(hop.identity_files):
            entry[f"IdentityFile {number}"] = _verbatim(str(identity))
        for number, (name, value) in enumerate(hop.settings):
            entry[f"{name} {number}"] = self._known_first(position, value) if name == _KEY_TYPES else value
        return entry

    def _known_first(self, position: int, algorithms: str) -> str:
        """The user's host key algorithms, those of trusted keys first, as ssh has them by default."""
        known = {key.type for key in self._keys[position]}
        return ",".join(
            sorted(
                algorithms.split(","),
                key=lambda name: ("ssh-rsa" if name.startswith("rsa-sha2-") else name) not in known,
            )
        )


def _alias(position: int) -> str:
    return f"being-remote-hop-{position}"


def _verbatim(text: str) -> str:
    """`text` so that ssh finds no %-token in it."""
    return text.replace("%", "%%")


def _block(host: str, settings: dict[str, object]) -> str:
    lines = [f"Host {host}"]
    for key, value in settings.items():
        name = key.partition(" ")[0]  # such as IdentityFile may stand several times
        text = str(value)
        if "\n" in text:
            raise ValueError(f"{name} cannot hold a line break: {text!r}")
        if name.lower() not in _WORD_LISTS and re.search(r'[\s"\\]', text):
            text = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        lines.append(f"  {name} {text}")
    return "\n".join(lines) + "\n"
