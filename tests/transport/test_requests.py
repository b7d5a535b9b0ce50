"""Bounded requests to servers that refuse, hang up or fall silent at any step."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import paramiko
import pytest
from faults import FaultProxy, when

from being_remote.demo.pod import Pod
from being_remote.errors import ConnectionLost
from being_remote.inventory import Inventory
from being_remote.session import Session
from being_remote.transport import open_session
from being_remote.transport.output_framing import frame_command
from being_remote.transport.requests import FabricRequests, OpenSshRequests

Serve = Callable[..., FabricRequests]


class Server(paramiko.ServerInterface):
    """Lets everybody in, and answers as it is told to."""

    def __init__(self, transport: paramiko.Transport) -> None:
        self.transport = transport

    def check_auth_none(self, username: str) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        # After the answer to the request, which this thread sends when this has returned.
        threading.Timer(0.05, channel.shutdown_write).start()
        return True


class RefusesSessions(Server):
    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED


class HangsUpAtSessions(Server):
    def check_channel_request(self, kind: str, chanid: int) -> int:
        self.transport.close()
        return paramiko.OPEN_SUCCEEDED


class HangsUpAtSubsystems(Server):
    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        self.transport.close()
        return False


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Requests over Fabric's kind of link to a server of that class."""
    opened: list[paramiko.Transport] = []

    def begin(kind: type[Server]) -> FabricRequests:
        ours, theirs = socket.socketpair()
        server, client = paramiko.Transport(theirs), paramiko.Transport(ours)
        opened.extend((client, server))
        server.add_server_key(paramiko.ECDSAKey.generate())
        server.start_server(event=threading.Event(), server=kind(server))
        client.start_client(timeout=5)
        client.auth_none("somebody")
        connection: Any = SimpleNamespace(transport=lambda: client)
        return FabricRequests(connection, "pod", 5.0, lambda: None)

    yield begin
    for transport in opened:
        transport.close()


def test_a_host_that_ends_both_streams_and_keeps_quiet_holds_no_request(serve: Serve) -> None:
    command = serve(Server).start(frame_command(["true"], has_input=False), "true")
    assert command.streams.read_out() == b"" == command.streams.read_err()
    said: list[bool] = []
    asking = threading.Thread(target=lambda: said.append(command.has_ended()), daemon=True)
    asking.start()
    asking.join(5)
    assert said == [False]


@pytest.mark.parametrize("kind", [RefusesSessions, HangsUpAtSessions, HangsUpAtSubsystems])
def test_whether_there_is_sftp_is_unknown_where_the_link_breaks_or_no_session_is_given(
    kind: type[Server], serve: Serve
) -> None:
    with pytest.raises(ConnectionLost):
        serve(kind).has_sftp()


def test_a_host_that_refuses_the_subsystem_has_no_sftp(serve: Serve) -> None:
    assert serve(Server).has_sftp() is False


@pytest.mark.parametrize("said", ["Broken pipe", "subsystem request failed on channel 0"])
def test_the_code_of_a_broken_link_means_no_sftp_only_where_openssh_says_so(said: str) -> None:
    ssh: Any = SimpleNamespace(shell=["sh", "-c", f"echo '{said}' >&2; exit 255", "sh"], target="pod")
    requests = OpenSshRequests(ssh, "pod", 5.0, lambda: None)
    if said.startswith("subsystem"):
        assert requests.has_sftp() is False
    else:
        with pytest.raises(ConnectionLost, match="Broken pipe"):
            requests.has_sftp()


def test_a_real_sshd_without_the_subsystem_has_no_sftp_on_either_way(
    own_pod: Pod, make_inventory: Callable[..., Inventory], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    config = own_pod._config().replace("Subsystem sftp internal-sftp\n", "")
    monkeypatch.setattr(own_pod, "_config", lambda: config)
    own_pod.restart()
    with open_on_either_way(make_inventory, own_pod, tmp_path, only_openssh=False) as session:
        assert session.has_sftp() is False
    with open_on_either_way(make_inventory, own_pod, tmp_path, only_openssh=True) as session:
        assert session.has_sftp() is False


def open_on_either_way(
    make_inventory: Callable[..., Inventory],
    pod: Pod,
    folder: Any,
    *,
    only_openssh: bool,
    port: int | None = None,
) -> Session:
    """A session by Fabric, or by OpenSSH because of a setting that Paramiko lacks."""
    config = folder / "ssh_config"
    config.write_text("Host *\n  BindAddress 127.0.0.1\n" if only_openssh else "")
    entry = {**pod.inventory_entry(), "port": port or pod.port}
    inventory = make_inventory({"pod": entry}, ssh_config=str(config))
    inventory.state.mkdir(mode=0o700, exist_ok=True)
    (inventory.state / "known_hosts").write_text(f"[127.0.0.1]:{entry['port']} {pod.host_key_line}\n")
    return open_session(inventory.host("pod"), inventory)


def test_a_request_over_openssh_reaches_a_host_that_comes_back_between_two_tries(
    pod: Pod, proxy: FaultProxy, make_inventory: Callable[..., Inventory], tmp_path: Any
) -> None:
    with open_on_either_way(make_inventory, pod, tmp_path, only_openssh=True, port=proxy.port) as session:
        ssh: Any = session._ssh  # type: ignore[attr-defined]
        before, proxy.mode = proxy.connections, "refuse"
        proxy.cut()
        while ssh._control("check") == 0:  # until the shared connection's process has noticed
            pass
        when(lambda: proxy.connections > before, lambda: setattr(proxy, "mode", "ok"))
        assert session.run(["echo", "on"]).stdout == b"on\n"
