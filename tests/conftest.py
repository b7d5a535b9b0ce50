"""What every test shares: no address outside loopback, no personal settings, one real pod.

Run as root on Linux, the whole test run moves into a network namespace of its own that has only
loopback: no process that a test starts can reach anything else. Elsewhere Python's own sockets
are refused other addresses.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import network
import pytest
import yaml
from local_jobs import Works
from tracker_checkout import install
from two_pods import FRAMES, TwoPods, entry

from being_remote.demo.actor import make_actor
from being_remote.demo.pod import Pod, start_pod
from being_remote.inventory import Inventory, load_inventory

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def _enter_a_network_of_our_own() -> bool:
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))
    return True


def pytest_configure(config: pytest.Config) -> None:
    # A shell's `nohup` or `&` leaves its children deaf to these, and the commands under test would be so too.
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
    config.stash[_FENCED] = _enter_a_network_of_our_own()


_FENCED = pytest.StashKey[bool]()


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0])
            ours = host.startswith("127.") or host in ("localhost", "::1", network.THERE)
            assert ours, f"a test went for {host}"
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture(autouse=True)
def no_personal_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in ("SSH_AUTH_SOCK", "BEING_REMOTE_INVENTORY", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "no-personal-state"))


@pytest.fixture(scope="session")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """One real sshd on loopback for all tests that only need a healthy pod."""
    running = start_pod(tmp_path_factory.mktemp("pod"), name="pod")
    yield running
    running.stop()


MakeInventory = Callable[..., Inventory]


@pytest.fixture
def make_inventory(tmp_path: Path) -> MakeInventory:
    """Write an inventory into this test's folder and load it.

    `hosts` maps names to Pods or plain dicts; pods are trusted beforehand unless `trusted=False`.
    """

    def make(
        hosts: dict[str, Any], actors: dict[str, Any] | None = None, *, trusted: bool = True, **more: Any
    ) -> Inventory:
        state = tmp_path / "state"
        no_config = tmp_path / "no_ssh_config"
        no_config.touch()
        entries = {n: h.inventory_entry() if isinstance(h, Pod) else h for n, h in hosts.items()}
        document = {
            "hosts": entries,
            "actors": actors or {"demo": {"source_size": [1920, 1080]}},
            "backups": str(tmp_path / "backups"),
            "search_roots": [str(tmp_path / "search")],
            "state": str(state),
            "ssh_config": str(no_config),
            **more,
        }
        path = tmp_path / "inventory.yaml"
        path.write_text(yaml.safe_dump(document))
        if trusted:
            state.mkdir(mode=0o700, exist_ok=True)
            lines = [
                f"[{h.address}]:{h.port} {h.host_key_line}\n" for h in hosts.values() if isinstance(h, Pod)
            ]
            (state / "known_hosts").write_text("".join(lines))
        return load_inventory(path)

    return make


@pytest.fixture
def works(make_inventory: Callable[..., Inventory], tmp_path: Path) -> Iterator[Works]:
    """Jobs on this machine."""
    host = {"kind": "local", "workdir": str(tmp_path / "Being"), "python": sys.executable}
    made = Works(make_inventory({"here": host}), tmp_path)
    yield made
    made.clean()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty but for what a test puts there."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def actor_of_12(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the stand-in tracker and an actor that it can track anew; copy it."""
    checkout = tmp_path_factory.mktemp("two_pods") / "metrical-tracker"
    checkout.mkdir()
    install(checkout, make_actor(checkout, "demo", frames=FRAMES, size_wh=(640, 360), video=False))
    return checkout


@pytest.fixture
def two_pods(
    make_inventory: Callable[..., Inventory], actor_of_12: Path, tmp_path: Path
) -> Iterator[TwoPods]:
    """Two pods on loopback, each with the tracker and the actor's input; the video is here, too."""
    shutil.copytree(actor_of_12 / "input/demo/source", tmp_path / "video")
    (tmp_path / "backups/demo/actor").mkdir(parents=True)
    shutil.copy(actor_of_12 / "input/demo/identity.npy", tmp_path / "backups/demo/actor")
    with contextlib.ExitStack() as held:
        pods = {name: held.enter_context(start_pod(tmp_path / name, name=name)) for name in ("a", "b")}
        for pod in pods.values():
            shutil.copytree(actor_of_12, pod.root / "metrical-tracker", dirs_exist_ok=True)
        hosts = {name: entry(pod) for name, pod in pods.items()}
        inventory = make_inventory(hosts, {"demo": {"video": str(tmp_path / "video")}})
        inventory.state.mkdir(mode=0o700, exist_ok=True)
        lines = [f"[{p.address}]:{p.port} {p.host_key_line}\n" for p in pods.values()]
        (inventory.state / "known_hosts").write_text("".join(lines))
        yield TwoPods(pods, inventory, tmp_path)
