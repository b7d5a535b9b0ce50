"""What a host's name means: as ssh reads it, for both stacks."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from being_remote.demo.pod import Pod
from being_remote.errors import InventoryError
from being_remote.inventory import Inventory, SshHost, load_inventory
from being_remote.transport import open_session
from being_remote.transport.host_keys import HostKey, KnownHosts, parse_key, trusted_keys
from being_remote.transport.openssh import OpenSsh
from being_remote.transport.ssh_config import Hop, resolve

Resolve = Callable[..., tuple[Hop, ...]]


@pytest.fixture
def resolved(make_inventory: Callable[..., Inventory], tmp_path: Path) -> Resolve:
    def ask(config: str, **host: Any) -> tuple[Hop, ...]:
        (tmp_path / "config").write_text(config)
        entry = {"address": "pod", "workdir": "/w", **host}
        inventory = make_inventory({"h": entry}, ssh_config=str(tmp_path / "config"))
        found = inventory.host("h")
        assert isinstance(found, SshHost)
        return resolve(found, inventory)

    return ask


def test_an_alias_with_include_and_match_means_what_it_means_to_ssh(
    resolved: Resolve, tmp_path: Path
) -> None:
    (tmp_path / "inc").write_text("Host pod\n  HostName 127.0.0.9\n  Port 2209\n")
    (hop,) = resolved(f'Include "{tmp_path}/inc"\nMatch host 127.0.0.9\n  User someone\n')
    assert (hop.hostname, hop.port, hop.user, hop.known_name) == (
        "127.0.0.9",
        2209,
        "someone",
        "[127.0.0.9]:2209",
    )


def test_what_the_inventory_says_beats_the_configuration(resolved: Resolve) -> None:
    (hop,) = resolved("Host pod\n  HostName 127.0.0.9\n  Port 2209\n  User a\n", port=77, user="b")
    assert (hop.hostname, hop.port, hop.user) == ("127.0.0.9", 77, "b")


def test_port_22_is_spelt_bare_as_in_known_hosts(resolved: Resolve) -> None:
    (hop,) = resolved("Host pod\n  HostName Pod.Example.ORG\n")
    assert (hop.known_name, hop.address) == ("pod.example.org", "pod.example.org:22")


def test_an_alias_for_the_key_is_the_name_it_is_kept_under(resolved: Resolve) -> None:
    (hop,) = resolved("Host pod\n  HostKeyAlias My-Pod\n")
    assert hop.known_name == "my-pod"


def test_ssh_s_own_default_keys_are_not_taken_for_the_users_choice(resolved: Resolve) -> None:
    (hop,) = resolved("Host other\n  IdentityFile ~/chosen\n")
    assert all(path.is_file() for path in hop.identity_files)
    (hop,) = resolved("Host pod\n  IdentityFile ~/chosen-%r-%h\n  User u\n")
    assert [path.name for path in hop.identity_files] == ["chosen-u-pod"]


def test_an_identity_of_the_inventory_is_the_only_one_offered(resolved: Resolve, pod: Pod) -> None:
    (hop,) = resolved("Host pod\n  IdentityFile ~/other\n", identity_file=str(pod.client_key))
    assert hop.identity_files == (pod.client_key,) and hop.identities_only


def test_jumps_come_in_the_order_of_travel_and_with_their_own_settings(resolved: Resolve) -> None:
    hops = resolved(
        """Host pod
  ProxyJump ann@first:2201,second
Host first
  HostName 127.0.0.1
  ProxyJump zeroth
Host second
  HostName 127.0.0.2
  Port 2202
  ProxyJump never
Host zeroth
  HostName 127.0.0.10
"""
    )
    travelled = [(h.hostname, h.port) for h in hops]
    assert travelled == [("127.0.0.10", 22), ("127.0.0.1", 2201), ("127.0.0.2", 2202), ("pod", 22)]
    assert hops[1].user == "ann"


def test_the_inventorys_settings_of_a_pod_are_not_those_of_its_jumps(
    resolved: Resolve, pod: Pod, tmp_path: Path
) -> None:
    config = "Host pod\n  ProxyJump first,second\nHost first second\n  User other\n  Port 2201\n"
    pin = pod.host_key_line
    named = {"user": "roman", "port": 77, "identity_file": str(pod.client_key), "host_key": pin}
    *jumps, last = resolved(config, **named)
    assert (last.user, last.port, last.identity_files) == ("roman", 77, (pod.client_key,))
    assert [(hop.user, hop.port) for hop in jumps] == [("other", 2201)] * 2
    assert all(pod.client_key not in hop.identity_files and not hop.identities_only for hop in jumps)
    inventory = load_inventory(tmp_path / "inventory.yaml")
    host = inventory.host("h")
    assert isinstance(host, SshHost)
    keys = trusted_keys((*jumps, last), host, inventory.path, KnownHosts(tmp_path / "none"), remember=False)
    assert keys == [(), (), (parse_key(pin),)]


@pytest.mark.parametrize("jump", ["-oProxyCommand=x", "a@-b", "-l@b", "a`id`", "x@y`id`", "a%h", "$(id)@b"])
def test_a_jump_that_ssh_or_a_shell_could_read_otherwise_is_refused(resolved: Resolve, jump: str) -> None:
    with pytest.raises(InventoryError, match=r"(?i)proxyjump"):
        resolved(f"Host pod\n  ProxyJump {jump}\n")


def test_a_jump_in_a_circle_is_refused(resolved: Resolve) -> None:
    with pytest.raises(InventoryError, match="circle"):
        resolved("Host pod\n  ProxyJump a\nHost a\n  ProxyJump b\nHost b\n  ProxyJump a\n")


def test_a_configuration_that_ssh_refuses_is_quoted(resolved: Resolve, tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="Bad configuration option: nosuchoption"):
        resolved("Host pod\n  NoSuchOption yes\n")


def test_a_missing_identity_file_is_the_inventorys_error(resolved: Resolve) -> None:
    with pytest.raises(InventoryError, match=r"hosts.h.identity_file: no such file"):
        resolved("", identity_file="/no/such/key")


def test_a_proxy_command_carries_both_stacks(
    pod: Pod, make_inventory: Callable[..., Inventory], tmp_path: Path
) -> None:
    relay = tmp_path / "relay.py"
    relay.write_text(
        "import socket, sys, threading, os\n"
        "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "def up():\n"
        "    while d := os.read(0, 65536): s.sendall(d)\n"
        "threading.Thread(target=up, daemon=True).start()\n"
        "while d := s.recv(65536): os.write(1, d)\n"
    )
    config = tmp_path / "config"
    config.write_text(f"Host alias\n  HostName 127.0.0.1\n  ProxyCommand python3 '{relay}' %h %p\n")
    inventory = make_inventory({"pod": {**pod.inventory_entry(), "address": "alias"}}, ssh_config=str(config))
    (inventory.state / "known_hosts").write_text(f"[{pod.address}]:{pod.port} {pod.host_key_line}\n")
    with open_session(inventory.host("pod"), inventory) as session:
        assert session.run(["echo", "through"]).stdout == b"through\n"
        assert session._ssh.share() == ""  # type: ignore[attr-defined]  # the stream stack, too


def test_ssh_reads_our_file_as_strict_on_every_hop_and_forwards_nothing(
    resolved: Resolve, tmp_path: Path, pod: Pod
) -> None:
    hops = resolved(
        "Host pod\n  ForwardAgent yes\n  ProxyJump j\n"
        f'Host j\n  IdentityFile "{tmp_path}/a key"\n  ForwardAgent yes\n'
    )
    key = HostKey("ssh-ed25519", b"\0\0\0\x0bssh-ed25519" + bytes(36))
    ssh = OpenSsh(hops, [(key,), (key,)], connect_timeout_s=10)
    try:
        for position in (0, 1):
            answer = subprocess.run(
                [*ssh.shell, "-G", f"being-remote-hop-{position}"], capture_output=True, text=True, check=True
            ).stdout.splitlines()
            expected = {
                "stricthostkeychecking true",
                "batchmode yes",
                "forwardagent no",
                "updatehostkeys false",
                "globalknownhostsfile none",
                "connecttimeout 10",
                "serveraliveinterval 4",
            }
            assert expected <= set(answer)
            assert next(x for x in answer if x.startswith("userknownhostsfile")).endswith("/known_hosts")
        assert (
            f"identityfile {tmp_path}/a key"
            in subprocess.run(
                [*ssh.shell, "-G", "being-remote-hop-0"], capture_output=True, text=True, check=True
            ).stdout.splitlines()
        )
        folder = Path(ssh.shell[-1]).parent
        assert oct(folder.stat().st_mode & 0o777) == "0o700"
    finally:
        ssh.close()
    assert not folder.exists()
