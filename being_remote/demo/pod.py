"""A throw-away pod on this machine: a real OpenSSH server on loopback, with its own keys and disk.

For `being-remote demo` and the tests. It is reached exactly as a rented pod is, but shares this machine's
processes, users and programs. Keys, log and disk are in the given folder; the caller removes it.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from being_remote.errors import HostError, ToolMissing
from being_remote.transport.host_keys import fingerprint_of

_START_S = 15.0
_STOP_S = 5.0
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin"
_MARK = "BEING_REMOTE_POD"


class Pod:
    """One running sshd. Make it with `start_pod`; it stops at the end of a `with` block.

    Attributes:
        name, address, port, user: how to reach it.
        root: its "disk"; the workdir is root/"Being", the tracker root/"metrical-tracker".
        client_key: the private key that may log in.
        host_key_line: "ssh-ed25519 AAAA...", as in known_hosts after the host's name.
        fingerprint: "SHA256:..." of the host key.
        log: the output of sshd.
    """

    address = "127.0.0.1"

    def __init__(self, folder: Path, *, name: str, path: str | None) -> None:
        self.name, self.user = name, getpass.getuser()
        self.root = folder / "disk"
        self.client_key = folder / "client_key"
        self.log = folder / "sshd.log"
        self.port = _free_port()
        self._folder, self._path = folder, path
        self._sshd: subprocess.Popen[bytes] | None = None
        for part in (folder, folder / "home", self.root / "Being", self.root / "metrical-tracker"):
            part.mkdir(parents=True, exist_ok=True)
        _new_key(self.client_key)
        _new_key(folder / "host_key")
        shutil.copy(self.client_key.with_suffix(".pub"), folder / "authorized_keys")

    @property
    def host_key_line(self) -> str:
        return " ".join((self._folder / "host_key.pub").read_text().split()[:2])

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.host_key_line)

    @property
    def pid(self) -> int | None:
        """The server's process; None while it is stopped. Killing it also ends the pod's connections."""
        return self._sshd.pid if self._sshd is not None else None

    def inventory_entry(self) -> dict[str, Any]:
        """The pod's entry under `hosts:` of inventory.yaml."""
        return {
            "address": self.address,
            "port": self.port,
            "user": self.user,
            "identity_file": str(self.client_key),
            "workdir": str(self.root / "Being"),
            "search_roots": [str(self.root)],
            "tracker": {"root": str(self.root / "metrical-tracker"), "python": "python3"},
            "python": "python3",
        }

    def start(self) -> None:
        """Start the server, and return when it accepts connections.

        Raises:
            ToolMissing: this machine has no sshd or ssh-keygen.
            HostError: sshd ended or did not listen in time; the text quotes its log.
        """
        # sshd starts itself again for every connection, so it must be named by its absolute path.
        sshd = _program("sshd")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, parents=True, exist_ok=True)  # compiled in, lost at reboot
        config = self._folder / "sshd_config"
        config.write_text(self._config())
        with self.log.open("ab") as log:
            self._sshd = subprocess.Popen(
                [sshd, "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_S
        while not _listens(self.address, self.port):
            if self._sshd.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise HostError(
                    f"sshd did not start: {self.log.read_text(errors='replace')[-500:].strip()}",
                    host=self.name,
                    hint=f"its settings are in {config}",
                )
            time.sleep(0.01)

    def stop(self) -> None:
        """Kill the server, every session and their processes, as when a pod is deleted."""
        if self._sshd is None:
            return
        victims = self._frozen()
        _signal(victims, signal.SIGKILL)
        self._sshd.kill()
        self._sshd.wait()
        self._sshd = None
        deadline = time.monotonic() + _STOP_S
        while any(map(_alive, victims)) and time.monotonic() < deadline:
            time.sleep(0.005)

    def restart(self, *, new_host_key: bool = False) -> None:
        """Stop and start on the same port; with `new_host_key`, as a new pod."""
        self.stop()
        if new_host_key:
            _new_key(self._folder / "host_key")
        self.start()

    def pause(self) -> None:
        """Freeze the server and all sessions: connections are accepted, nothing answers."""
        self._frozen()

    def resume(self) -> None:
        """Continue a paused pod."""
        _signal(self._processes(), signal.SIGCONT)

    def __enter__(self) -> Pod:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _config(self) -> str:
        def quoted(value: object) -> str:
            return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'

        # A private HOME keeps this machine's ~/.bashrc out of the pod's commands. sshd reads only the
        # first SetEnv line.
        environment = {
            "HOME": self._folder / "home",
            "PATH": self._path or _SYSTEM_PATH,
            "BEING_REMOTE_LOCKS": self._folder / "home" / "locks",  # as two pods have a /tmp each
            _MARK: self._folder,
        }
        lines = {
            "ListenAddress": self.address,
            "Port": self.port,
            "HostKey": quoted(self._folder / "host_key"),
            "PidFile": "none",
            "AuthorizedKeysFile": quoted(str(self._folder / "authorized_keys").replace("%", "%%")),
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
            "UsePAM": "yes" if _needs_pam() else "no",
            "StrictModes": "no",  # a folder below a world-writable /tmp is refused otherwise
            "UseDNS": "no",
            "PrintMotd": "no",
            "MaxStartups": "200:30:400",
            "KexAlgorithms": "curve25519-sha256,curve25519-sha256@libssh.org",  # half the default's time
            "Subsystem": "sftp internal-sftp",
            "SetEnv": " ".join(quoted(f"{k}={v}") for k, v in environment.items()),
        }
        return "".join(f"{key} {value}\n" for key, value in lines.items())

    def _frozen(self) -> list[int]:
        """Stop and return all its processes, also those that start meanwhile."""
        stopped: set[int] = set()
        while more := set(self._processes()) - stopped:
            _signal(more, signal.SIGSTOP)
            stopped |= more
        return sorted(stopped)

    def _processes(self) -> list[int]:
        """The server, its sessions, and everything started through them, even if detached."""
        if self._sshd is None:
            return []
        parents = _parents()
        family = {self._sshd.pid}
        while more := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= more
        mark = f"{_MARK}={self._folder}".encode()
        return sorted(family | {pid for pid in parents if mark in _environment(pid)})


def start_pod(folder: Path, *, name: str = "pod", path: str | None = None) -> Pod:
    """Start a pod with its keys, log and disk in `folder`, which is created; `name` is for messages.

    Args:
        path: PATH of its commands; default: the usual system folders. It has no other programs.

    Raises:
        ToolMissing: this machine has no sshd or ssh-keygen.
        HostError: sshd did not start.
    """
    pod = Pod(folder.resolve(), name=name, path=path)
    pod.start()
    return pod


def _program(name: str) -> str:
    # Ordinary users' PATH often lacks the folders where sshd is.
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin")
    if found is None:
        raise ToolMissing(
            host="local", tool=name, hint="apt-get install openssh-server openssh-client (macOS has them)"
        )
    return found


def _new_key(path: Path) -> None:
    path.unlink(missing_ok=True)
    subprocess.run(
        [_program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "being-remote demo", "-f", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )


def _needs_pam() -> bool:
    """sshd as an ordinary user logs in only through PAM, and so does a root whose password is locked."""
    if os.geteuid() != 0:
        return True
    shadow = Path("/etc/shadow")
    return shadow.exists() and any(line.startswith("root:!") for line in shadow.read_text().splitlines())


def _free_port() -> int:
    with socket.socket() as s:
        s.bind((Pod.address, 0))
        return int(s.getsockname()[1])


def _listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def _parents() -> dict[int, int]:
    """pid -> parent of every process; empty where there is no /proc (then only sshd itself is known)."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The command's name may hold blanks and brackets; the fields after its last ")" do not.
            found[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue  # it has ended
    return found


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []  # it has ended, or belongs to another user


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
