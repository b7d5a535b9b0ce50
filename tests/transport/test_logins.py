"""Which keys are offered, and what is said when none is taken."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from being_remote.demo.pod import Pod
from being_remote.errors import LoginRefused
from being_remote.inventory import Inventory
from being_remote.transport import open_session

MakeInventory = Callable[..., Inventory]


def new_key(path: Path, *, passphrase: str = "", kind: str = "ed25519") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path)], check=True)
    return path


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """A private ssh-agent; call it with a key file to add."""
    socket = tmp_path / "agent"
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not socket.exists():
        assert process.poll() is None
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    yield lambda key: subprocess.run(["ssh-add", "-q", str(key)], check=True) and None
    process.terminate()
    process.wait()


def opened(make_inventory: MakeInventory, pod: Pod, config: str = "", **host: Any) -> Any:
    entry = {**pod.inventory_entry(), **host}
    path = pod.root.parent / f"config{os.getpid()}"
    path.write_text(config)
    inventory = make_inventory(
        {"pod": {k: v for k, v in entry.items() if v is not None}}, ssh_config=str(path)
    )
    (inventory.state / "known_hosts").write_text(f"[{pod.address}]:{pod.port} {pod.host_key_line}\n")
    return open_session(inventory.host("pod"), inventory)


def test_a_key_that_the_host_does_not_know_is_refused_and_named(
    pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    wrong = new_key(tmp_path / "wrong")
    with pytest.raises(LoginRefused) as caught:
        opened(make_inventory, pod, identity_file=str(wrong))
    assert f"{wrong}: refused" in str(caught.value) and "authorized_keys" in caught.value.hint


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_keys_of_other_types_are_accepted(
    kind: str, own_pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    key = new_key(tmp_path / "other", kind=kind)
    shutil.copy(f"{key}.pub", own_pod.client_key.with_name("authorized_keys"))
    opened(make_inventory, own_pod, identity_file=str(key)).close()


def test_a_key_with_a_passphrase_is_used_through_the_agent_without_a_question(
    own_pod: Pod, make_inventory: MakeInventory, tmp_path: Path, agent: Callable[[Path], None]
) -> None:
    key = new_key(tmp_path / "locked")
    shutil.copy(f"{key}.pub", own_pod.client_key.with_name("authorized_keys"))
    agent(key)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(key)], check=True)
    opened(make_inventory, own_pod, identity_file=str(key)).close()


def test_a_key_with_a_passphrase_and_no_agent_names_ssh_add(
    own_pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    key = new_key(tmp_path / "locked", passphrase="secret")
    with pytest.raises(LoginRefused, match=r"has a passphrase.*ssh-add"):
        opened(make_inventory, own_pod, identity_file=str(key))


def test_the_agents_other_keys_are_not_offered_when_one_identity_is_named(
    pod: Pod, make_inventory: MakeInventory, tmp_path: Path, agent: Callable[[Path], None]
) -> None:
    agent(pod.client_key)
    wrong = new_key(tmp_path / "wrong")
    with pytest.raises(LoginRefused):
        opened(make_inventory, pod, identity_file=str(wrong))


def test_the_agents_keys_are_accepted_when_no_identity_is_named(
    pod: Pod, make_inventory: MakeInventory, agent: Callable[[Path], None]
) -> None:
    agent(pod.client_key)
    opened(make_inventory, pod, identity_file=None).close()


def test_the_named_key_comes_before_an_agent_full_of_others(
    pod: Pod, make_inventory: MakeInventory, tmp_path: Path, agent: Callable[[Path], None]
) -> None:
    for number in range(7):
        agent(new_key(tmp_path / f"k{number}"))
    config = f'Host *\n  IdentityFile "{pod.client_key}"\n'
    opened(make_inventory, pod, config, identity_file=None).close()


def test_an_agent_full_of_wrong_keys_ends_in_a_refusal_that_lists_them(
    pod: Pod, make_inventory: MakeInventory, tmp_path: Path, agent: Callable[[Path], None]
) -> None:
    for number in range(7):
        agent(new_key(tmp_path / f"k{number}"))
    with pytest.raises(LoginRefused, match="more keys were not offered"):
        opened(make_inventory, pod, identity_file=None)


def test_the_agent_is_not_forwarded_to_the_host(
    pod: Pod, make_inventory: MakeInventory, agent: Callable[[Path], None]
) -> None:
    agent(pod.client_key)
    with opened(make_inventory, pod, "Host *\n  ForwardAgent yes\n") as session:
        assert session.run(["sh", "-c", 'echo "[$SSH_AUTH_SOCK]"']).stdout == b"[]\n"


def test_a_login_shell_that_runs_nothing_is_distinguished_from_a_lost_link(
    own_pod: Pod, make_inventory: MakeInventory
) -> None:
    authorized = own_pod.client_key.with_name("authorized_keys")
    authorized.write_text('command="echo Please use the console; exit 1" ' + authorized.read_text())
    with (
        opened(make_inventory, own_pod) as session,
        pytest.raises(LoginRefused, match="Please use the console"),
    ):
        session.run(["true"])


def test_a_talkative_login_shell_does_not_spoil_answers(own_pod: Pod, make_inventory: MakeInventory) -> None:
    (own_pod.client_key.with_name("home") / ".bashrc").write_text("echo Welcome to your GPU pod\n")
    with opened(make_inventory, own_pod) as session:
        assert session.run(["echo", "x"]).stdout == b"x\n"
