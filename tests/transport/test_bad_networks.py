"""Links that break, freeze or never come up: which error, how fast, and what is tried again."""

from __future__ import annotations

import logging
import pkgutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import paramiko
import pytest
from faults import FaultProxy, when

from being_remote.demo.pod import Pod
from being_remote.errors import AnswerTimeout, ConnectionLost, HostError, Unreachable
from being_remote.inventory import Inventory
from being_remote.session import Session
from being_remote.transport import open_session, ssh_errors

QUICK: dict[str, Any] = {"connect_timeout_s": 1.0, "answer_timeout_s": 5.0}


@pytest.fixture
def linked(proxied: Inventory) -> Iterator[Session]:
    with open_session(proxied.host("pod"), proxied) as session:
        yield session


def open_within(seconds: float, inventory: Inventory, error: type[HostError], match: str) -> None:
    started = time.monotonic()
    with pytest.raises(error, match=match):
        open_session(inventory.host("pod"), inventory)
    assert time.monotonic() - started < seconds


def test_a_closed_port_is_unreachable_at_once(pod: Pod, make_inventory: Callable[..., Inventory]) -> None:
    with socket.socket() as taken:  # bound but not listening: refused, and nobody else gets it
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        inventory = make_inventory({"pod": {**pod.inventory_entry(), "port": port, "connect_timeout_s": 5.0}})
        open_within(2.5, inventory, Unreachable, f"pod: 127.0.0.1:{port} refuses the connection")


def test_a_refused_connection_is_tried_again_and_each_try_is_logged(
    proxied: Inventory, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.mode = "refuse"
    with caplog.at_level(logging.INFO, logger="being_remote"), pytest.raises(Unreachable):
        open_session(proxied.host("pod"), proxied)
    assert proxy.connections == 3
    said = [r.message for r in caplog.records if r.name == "being_remote"]
    assert [line.partition(" failed")[0] for line in said] == ["pod: attempt 1", "pod: attempt 2"]


def test_a_host_that_comes_back_between_two_tries_is_reached(proxied: Inventory, proxy: FaultProxy) -> None:
    proxy.mode = "refuse"

    def heal() -> None:
        while proxy.connections == 0:
            time.sleep(0.005)
        proxy.mode = "ok"

    threading.Thread(target=heal, daemon=True).start()
    with open_session(proxied.host("pod"), proxied) as session:
        assert session.run(["echo", "here"]).stdout == b"here\n"


def test_a_server_that_freezes_after_connecting_ends_within_the_time_out(
    own_pod: Pod, make_inventory: Callable[..., Inventory]
) -> None:
    inventory = make_inventory({"pod": {**own_pod.inventory_entry(), **QUICK}})
    own_pod.pause()
    try:
        open_within(2.5, inventory, Unreachable, "did not answer within 1 s")
    finally:
        own_pod.resume()


def test_a_name_that_does_not_resolve_is_unreachable(
    pod: Pod, make_inventory: Callable[..., Inventory]
) -> None:
    inventory = make_inventory({"pod": {**pod.inventory_entry(), "address": "no-such-host.invalid"}})
    open_within(10, inventory, Unreachable, "no-such-host.invalid")


def test_something_that_is_no_ssh_server_is_unreachable(
    pod: Pod, make_inventory: Callable[..., Inventory]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            for _ in range(3):
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=greet, daemon=True).start()
        entry = {**pod.inventory_entry(), "port": server.getsockname()[1], **QUICK}
        open_within(4, make_inventory({"pod": entry}), Unreachable, "an SSH server listens")


def test_a_link_cut_while_a_command_runs_is_lost_and_not_an_exit_code(
    linked: Session, proxy: FaultProxy
) -> None:
    threading.Timer(0.3, proxy.cut).start()
    with pytest.raises(ConnectionLost, match="whether it was carried out is unknown"):
        linked.run(["sleep", "20"])


def test_what_is_not_repeatable_is_sent_once(linked: Session, proxy: FaultProxy, tmp_path: Any) -> None:
    ran = tmp_path / "ran"
    when(lambda: ran.exists() and ran.read_text() != "", proxy.cut)
    with pytest.raises(ConnectionLost):
        linked.run(["sh", "-c", f"echo x >> '{ran}'; sleep 5"])
    assert ran.read_text() == "x\n"


def test_what_is_repeatable_is_sent_again_over_a_new_connection(
    linked: Session, proxy: FaultProxy, tmp_path: Any
) -> None:
    ran = tmp_path / "ran"
    when(lambda: ran.exists() and ran.read_text() != "", proxy.cut)
    command = f"test -e '{ran}' && echo again && exit; echo x >> '{ran}'; sleep 5"
    assert linked.run(["sh", "-c", command], repeatable=True).stdout == b"again\n"
    assert proxy.connections == 2


def test_after_a_cut_between_two_requests_the_next_one_connects_again(
    linked: Session, proxy: FaultProxy
) -> None:
    linked.run(["true"])
    proxy.cut()
    assert linked.run(["echo", "on"]).stdout == b"on\n"


def test_a_link_that_freezes_under_a_running_command_ends_within_the_time_out(
    linked: Session, proxy: FaultProxy
) -> None:
    threading.Timer(0.2, setattr, (proxy, "mode", "hang")).start()
    started = time.monotonic()
    with pytest.raises(AnswerTimeout):
        linked.run(["sleep", "20"], timeout_s=1.0)
    assert time.monotonic() - started < 2


@pytest.mark.slow
def test_a_request_on_a_link_that_froze_before_ends_within_the_time_outs(
    linked: Session, proxy: FaultProxy
) -> None:
    linked.run(["true"])
    proxy.mode = "hang"
    started = time.monotonic()
    with pytest.raises((ConnectionLost, Unreachable)):
        linked.run(["true"], timeout_s=1.0)
    assert time.monotonic() - started < 7  # the channel's time-out, then one new connection's
    proxy.mode = "ok"
    assert linked.run(["echo", "on"]).stdout == b"on\n"


@pytest.mark.slow
def test_a_megabyte_to_a_link_that_froze_does_not_hang_the_caller(linked: Session, proxy: FaultProxy) -> None:
    linked.run(["true"])
    threading.Timer(0.2, setattr, (proxy, "mode", "hang")).start()
    started = time.monotonic()
    with pytest.raises(HostError):
        linked.run(["sh", "-c", "sleep 1; cat"], stdin=bytes(32 << 20), timeout_s=2.0)
    assert time.monotonic() - started < 4
    linked.close()
    assert time.monotonic() - started < 6


@pytest.mark.slow
def test_a_pod_that_is_killed_under_a_command_is_lost_and_then_unreachable(
    own_pod: Pod, make_inventory: Callable[..., Inventory]
) -> None:
    inventory = make_inventory({"pod": own_pod})
    with open_session(inventory.host("pod"), inventory) as session:
        threading.Timer(0.3, own_pod.stop).start()
        with pytest.raises(ConnectionLost):
            session.run(["sleep", "20"])
        with pytest.raises(Unreachable):
            session.run(["true"])


def test_every_exception_of_paramiko_becomes_one_of_ours() -> None:
    # These never leave paramiko while connecting, or are caught where a key file is read.
    elsewhere = {"BERException", "InvalidHostKey", "NeedRekeyException", "SFTPError", "UnknownKeyType"}
    found = {}
    for info in pkgutil.iter_modules(paramiko.__path__):
        if info.name.startswith(("_winapi", "win_")):
            continue
        for name, value in vars(import_module(f"paramiko.{info.name}")).items():
            ours_to_map = isinstance(value, type) and issubclass(value, Exception)
            if ours_to_map and value.__module__.startswith("paramiko"):
                found[name] = value
    assert len(found) >= 18
    assert {n for n, kind in found.items() if not issubclass(kind, ssh_errors.CONNECTING)} == elsewhere
    for kind in found.values():
        if issubclass(kind, ssh_errors.CONNECTING) and kind is not paramiko.BadHostKeyException:
            bare = type("Bare", (kind,), {"__init__": lambda self: None, "__str__": lambda self: "text"})()
            ours = ssh_errors.while_connecting(bare, host="pod", address="a:1", timeout_s=1, message="")
            assert isinstance(ours, HostError) and ours.host == "pod" and ours.hint


@pytest.mark.slow
def test_a_link_that_breaks_prints_nothing_by_itself(
    own_pod: Pod, make_inventory: Callable[..., Inventory], capfd: pytest.CaptureFixture[str]
) -> None:
    inventory = make_inventory({"pod": {**own_pod.inventory_entry(), **QUICK}})
    code = (
        "import sys, pathlib\n"
        "from being_remote.inventory import load_inventory\n"
        "from being_remote.errors import Unreachable\n"
        "from being_remote.transport import open_session\n"
        "inventory = load_inventory(pathlib.Path(sys.argv[1]))\n"
        "try: open_session(inventory.host('pod'), inventory)\n"
        "except Unreachable: print('unreachable')\n"
    )
    own_pod.pause()
    subprocess.run([sys.executable, "-c", code, str(inventory.path)], check=True)
    own_pod.resume()
    assert capfd.readouterr() == ("unreachable\n", "")
