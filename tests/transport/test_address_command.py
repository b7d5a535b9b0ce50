"""A pod that moves: its address is asked at each connect, and its key is known by its name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from being_remote.demo.pod import Pod
from being_remote.errors import HostKeyChanged, Unreachable
from being_remote.inventory import Inventory, SshHost
from being_remote.inventory_trust import runnable_parts
from being_remote.transport import open_session
from being_remote.transport.address_command import find_address
from being_remote.workflows.trust import trust

MakeInventory = Callable[..., Inventory]


def moving(make_inventory: MakeInventory, pod: Pod, said: Path) -> Inventory:
    """The inventory of a pod of which only a file says where it is."""
    entry: dict[str, Any] = {k: v for k, v in pod.inventory_entry().items() if k not in ("address", "port")}
    command = [sys.executable, "-c", f"print(open({str(said)!r}).read())"]
    return make_inventory({"My_pod": {**entry, "address_command": command}}, trusted=False)


@pytest.mark.parametrize("form", ["{} {}", "{}:{}", "ssh root@{} -p {}"])
def test_a_pod_that_moved_is_found_and_its_key_is_still_checked(
    form: str, own_pod: Pod, pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    inventory = moving(make_inventory, own_pod, said)
    said.write_text(form.format(own_pod.address, own_pod.port))
    trust(inventory, host="My_pod", fingerprint=own_pod.fingerprint)
    before = own_pod.port
    own_pod.stop()
    own_pod.port = pod.port + 1 if pod.port + 1 != before else pod.port + 2
    own_pod.start()
    said.write_text(form.format(own_pod.address, own_pod.port))
    with open_session(inventory.host("My_pod"), inventory) as session:
        assert session.run(["echo", "x"]).stdout == b"x\n"
        with session.stream(["echo", "x"]) as stream:
            assert stream.read(10) == b"x\n"
    said.write_text(form.format(pod.address, pod.port))  # another pod got the address
    with pytest.raises(HostKeyChanged):
        open_session(inventory.host("My_pod"), inventory)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "no pod of that name",
        "203.0.113.10 99999",
        "203.0.113.10 0",
        "a:b 22",
        "-oProxyCommand=x 22",
        "a b c",
    ],
)
def test_what_is_no_address_is_said_and_nothing_is_contacted(
    said: str, own_pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    (tmp_path / "said").write_text(said)
    inventory = moving(make_inventory, own_pod, tmp_path / "said")
    with pytest.raises(Unreachable, match="must print ADDRESS PORT"):
        open_session(inventory.host("My_pod"), inventory)
    (tmp_path / "said").unlink()
    with pytest.raises(Unreachable, match="ended with 1"):
        open_session(inventory.host("My_pod"), inventory)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("2001:db8::1 19870", ("2001:db8::1", 19870, "root")),
        ("2001:db8::1", ("2001:db8::1", 22, "root")),
        ("ssh me@2001:db8::1 -p 19870", ("2001:db8::1", 19870, "me")),
        ("203.0.113.10", ("203.0.113.10", 22, "root")),
    ],
)
def test_what_an_address_command_leaves_out_is_as_the_inventory_says(
    said: str, expected: tuple[str, int, str]
) -> None:
    entry = {"name": "pod", "address": "pod", "port": 22, "user": "root", "workdir": "/w"}
    found = find_address(SshHost.model_validate({**entry, "address_command": ["echo", said]}))
    assert (found.address, found.port, found.user) == expected


def test_an_address_command_is_a_program_that_the_user_is_asked_about(
    own_pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    parts = runnable_parts(moving(make_inventory, own_pod, tmp_path / "said"))
    assert "hosts.My_pod.address_command" in [part.place for part in parts]
