"""Where `ssh HOST` gets in, every request does, and the host's key is checked as ever."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from file_trees import put
from test_logins import agent, new_key

from being_remote.demo.pod import Pod
from being_remote.errors import HostKeyChanged, HostKeyUnknown, LoginRefused
from being_remote.inventory import Inventory
from being_remote.session import Pull, Session
from being_remote.transport import open_session

MakeInventory = Callable[..., Inventory]
__all__ = ["agent"]


class ParticularPod(Pod):
    """A pod whose sshd has settings of its own; the first of a kind counts."""

    settings = ""

    def _config(self) -> str:
        return self.settings + super()._config()


@pytest.fixture
def start(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., ParticularPod]:
    def begin(settings: str) -> ParticularPod:
        pod = ParticularPod(tmp_path / "particular", name="pod", path=None)
        pod.settings = settings
        pod.start()
        request.addfinalizer(pod.stop)
        return pod

    return begin


def opened(make_inventory: MakeInventory, pod: Pod, config: str = "", **more: Any) -> Session:
    entry = {**pod.inventory_entry(), **more}
    path = pod.root.parent / "ssh_config"
    path.write_text(config)
    hosts = {"pod": {key: value for key, value in entry.items() if value is not None}}
    inventory = make_inventory(hosts, ssh_config=str(path))
    inventory.state.mkdir(exist_ok=True)
    (inventory.state / "known_hosts").write_text(f"[{pod.address}]:{pod.port} {pod.host_key_line}\n")
    return open_session(inventory.host("pod"), inventory)


def all_is_served(session: Session, tmp_path: Path) -> None:
    put(tmp_path / "far", {b"f": b"x"})
    assert session.run(["cat"], stdin=b"given").stdout == b"given"
    with session.stream(["echo", "x"]) as stream:
        assert stream.read(10) == b"x\n"
    session.pull(Pull(PurePosixPath(tmp_path / "far"), (b"f",), (1,), tmp_path / "into", tmp_path / "none"))
    assert (tmp_path / "into" / "f").read_bytes() == b"x"
    assert session.has_sftp()  # type: ignore[attr-defined]  # of sessions over SSH


OF_OPENSSH_ALONE = [
    "KexAlgorithms sntrup761x25519-sha512@openssh.com\n",
    "Ciphers chacha20-poly1305@openssh.com\n",
    "Ciphers aes128-ctr\nMACs umac-128-etm@openssh.com\n",
]


@pytest.mark.parametrize("settings", OF_OPENSSH_ALONE)
def test_a_server_that_speaks_what_only_openssh_speaks_is_served_and_said(
    settings: str, start: Callable[..., ParticularPod], make_inventory: MakeInventory, tmp_path: Path
) -> None:
    with opened(make_inventory, start(settings)) as session:
        all_is_served(session, tmp_path)
        assert "go through the system's ssh" in session.notes[0]  # type: ignore[attr-defined]


def test_the_key_of_such_a_server_is_checked_and_read(
    start: Callable[..., ParticularPod], make_inventory: MakeInventory
) -> None:
    pod = start(OF_OPENSSH_ALONE[0])
    inventory = make_inventory({"pod": pod}, trusted=False)
    with pytest.raises(HostKeyUnknown, match=re.escape(pod.fingerprint)):
        open_session(inventory.host("pod"), inventory)
    inventory = make_inventory({"pod": pod})
    pod.restart(new_host_key=True)
    with pytest.raises(HostKeyChanged, match=re.escape(pod.fingerprint)):
        open_session(inventory.host("pod"), inventory)


def test_a_certificate_of_the_ssh_configuration_logs_in(
    start: Callable[..., ParticularPod], make_inventory: MakeInventory, tmp_path: Path
) -> None:
    authority, mine = new_key(tmp_path / "authority"), new_key(tmp_path / "mine")
    sign = ["ssh-keygen", "-q", "-s", str(authority), "-I", "me", "-n", "root", f"{mine}.pub"]
    subprocess.run(sign, check=True)
    (tmp_path / "mine-cert.pub").rename(tmp_path / "elsewhere.pub")
    pod = start(f"TrustedUserCAKeys {authority}.pub\n")
    pod.client_key.with_name("authorized_keys").write_text("")
    config = f'Host *\n  IdentityFile "{mine}"\n  CertificateFile "{tmp_path}/elsewhere.pub"\n'
    with opened(make_inventory, pod, config, identity_file=None) as session:
        all_is_served(session, tmp_path)
        assert "CertificateFile of the ssh configuration" in session.notes[0]  # type: ignore[attr-defined]


def test_an_agent_that_only_the_ssh_configuration_names_logs_in(
    own_pod: Pod,
    make_inventory: MakeInventory,
    tmp_path: Path,
    agent: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent(own_pod.client_key)
    monkeypatch.delenv("SSH_AUTH_SOCK")
    config = f"Host *\n  IdentityAgent {tmp_path}/agent\n  IdentityFile {tmp_path}/none\n"
    with opened(make_inventory, own_pod, config, identity_file=None) as session:
        all_is_served(session, tmp_path)


@pytest.mark.parametrize("place", ["ssh configuration", "inventory"])
def test_the_public_half_of_an_agents_key_is_an_identity(
    place: str, own_pod: Pod, make_inventory: MakeInventory, tmp_path: Path, agent: Callable[[Path], None]
) -> None:
    for number in range(7):
        agent(new_key(tmp_path / f"k{number}"))
    agent(own_pod.client_key)
    public = tmp_path / "public.pub"
    public.write_bytes(own_pod.client_key.with_suffix(".pub").read_bytes())
    config = f"Host *\n  IdentitiesOnly yes\n  IdentityFile {public}\n" if place != "inventory" else ""
    identity = str(public) if place == "inventory" else None
    with opened(make_inventory, own_pod, config, identity_file=identity) as session:
        all_is_served(session, tmp_path)
        assert session.notes == ()  # type: ignore[attr-defined]


def test_a_login_that_both_refuse_lists_the_keys(
    own_pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    wrong = new_key(tmp_path / "wrong")
    with pytest.raises(LoginRefused, match=f"{wrong}: refused"):
        opened(make_inventory, own_pod, identity_file=str(wrong))


@pytest.mark.slow
def test_such_a_server_behind_a_jump_is_served_and_each_key_on_the_way_is_checked(
    pod: Pod, start: Callable[..., ParticularPod], make_inventory: MakeInventory, tmp_path: Path
) -> None:
    target = start(OF_OPENSSH_ALONE[1])
    jump = f"Host {pod.address}\n  ProxyJump none\n  IdentityFile {pod.client_key}\n"
    # Both have one address here, so the target goes by another name.
    config = f"Host far\n  HostName {target.address}\n  ProxyJump {pod.user}@{pod.address}:{pod.port}\n{jump}"
    with pytest.raises(HostKeyUnknown, match=re.escape(pod.fingerprint)):
        opened(make_inventory, target, config, address="far")
    ssh_config = target.root.parent / "ssh_config"
    entry = {**target.inventory_entry(), "address": "far"}
    inventory = make_inventory({"pod": entry}, ssh_config=str(ssh_config))
    lines = [f"[{each.address}]:{each.port} {each.host_key_line}\n" for each in (pod, target)]
    (inventory.state / "known_hosts").write_text("".join(lines))
    with open_session(inventory.host("pod"), inventory) as session:
        all_is_served(session, tmp_path)
