"""The login that a provider shows, and the inventory that is written from it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from being_remote.errors import UsageError
from being_remote.inventory import Inventory, SshHost, parse_inventory
from being_remote.inventory_text import PastedLogin as Login
from being_remote.inventory_text import add_host, is_shipped, new_text, parse_login

REPOSITORY = Path(__file__).parent.parent


def parsed(text: str) -> Inventory:
    return parse_inventory(text.encode(), Path("/nowhere/inventory.yaml"))


@pytest.mark.parametrize(
    ("text", "login"),
    [
        ("ssh root@203.0.113.10 -p 19870", Login("203.0.113.10", "root", 19870)),
        (
            "ssh -p 123 root@ssh5.example.net -L 8080:localhost:8080",
            Login("ssh5.example.net", "root", 123),
        ),
        (
            "ssh u-6441@ssh.example.net -i ~/.ssh/k",
            Login("ssh.example.net", "u-6441", None, "~/.ssh/k"),
        ),
        ("ssh -tt -p22 -l root 203.0.113.10", Login("203.0.113.10", "root", 22)),
        ("203.0.113.10:19870", Login("203.0.113.10", None, 19870)),
        ("root@[2001:db8::1]:22", Login("2001:db8::1", "root", 22)),
        ("[::1]", Login("::1")),
        ("ssh://root@pod:22", Login("pod", "root", 22)),
        ("ssh://root@pod:22/", Login("pod", "root", 22)),
        ("ssh root@2001:db8::1 -p 22", Login("2001:db8::1", "root", 22)),
        ("my-alias", Login("my-alias")),
    ],
)
def test_a_login_is_understood_as_providers_write_it(text: str, login: Login) -> None:
    assert parse_login(text) == login


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ssh", "no host is named"),
        ("ssh -J jump pod", "-J has no field"),
        ("ssh -oProxyCommand=x pod", "-o has no field"),
        ("ssh root@pod -i", "-i has no value"),
        ("ssh pod ls", "what is 'ls'"),
        ("ssh root@pod -p many", "is not a port"),
        ("root@pod:99999", "is not a port"),
        ("root@pod:0", "is not a port"),
        ("root@pod;ls", "is not a login"),
        ("ssh a:b", "is not a login"),
        ("ssh -l -x pod", "is not a login name"),
        ("'", "cannot be read"),
    ],
)
def test_what_an_inventory_cannot_keep_is_refused_with_the_way_to_say_it(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse_login(text)
    assert "init" in caught.value.hint


@pytest.mark.parametrize("name", ["pod", "no", "5", "a: b", "it's", "x # y"])
def test_a_new_inventory_says_what_was_pasted_whatever_the_host_is_called(name: str) -> None:
    made = parsed(new_text(name, Login("203.0.113.10", "root", 19870, "~/my key"), "/workspace/Being"))
    host = made.the_host(name)
    assert isinstance(host, SshHost)
    assert (host.address, host.user, host.port) == ("203.0.113.10", "root", 19870)
    assert host.workdir == PurePosixPath("/workspace/Being") and str(host.identity_file).endswith("my key")


def test_the_actor_of_the_remarks_is_one_when_the_marks_are_removed() -> None:
    text = new_text("pod", Login("x"), "/w").replace("\n#  ", "\n  ")
    assert parsed(text).the_actor("roman").input == PurePosixPath("input/roman")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_host_is_added_and_every_other_byte_stays(end: str) -> None:
    before = "# mine\nhosts:   # all of them\n\n    # the first\n    a: {workdir: /w}\n\nactors: {x: {}}\n"
    before = before.replace("\n", end)
    after = add_host(before, "b", Login("203.0.113.10", None, 22), "/w")
    assert set(parsed(after).hosts) == {"a", "b"}
    added = [line for line in after.splitlines() if line not in before.splitlines()]
    assert all(line.startswith("    ") for line in added)
    for line in added:
        after = after.replace(f"{line}\n", "", 1)
    assert after == before


@pytest.mark.parametrize("text", ["hosts: {a: {workdir: /w}}\n", "actors: {}\n", "hosts:\n"])
def test_hosts_in_braces_are_left_alone_and_the_line_to_add_is_shown(text: str) -> None:
    with pytest.raises(UsageError, match="is not a list of lines") as caught:
        add_host(text, "b", Login("203.0.113.10", "root", 22), "/w")
    line = caught.value.hint.split("`hosts:`: ")[1]
    assert set(parsed(f"hosts: {{{line}}}\n").hosts) == {"b"}


def test_the_example_of_this_repository_is_known_as_long_as_it_is_unedited() -> None:
    shipped = (REPOSITORY / "inventory.yaml").read_text()
    assert is_shipped(shipped) and is_shipped(shipped.replace("\n", "\r\n"))
    assert not is_shipped(shipped.replace("roman", "anna"))
