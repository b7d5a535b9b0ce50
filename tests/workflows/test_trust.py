"""`trust`: a first key needs somebody's word, a changed one needs its fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from being_remote.demo.pod import Pod, start_pod
from being_remote.errors import HostError, HostKeyChanged, HostKeyUnknown, Unreachable, UsageError
from being_remote.inventory import Inventory
from being_remote.transport import open_session
from being_remote.workflows.trust import trust

MakeInventory = Callable[..., Inventory]


@pytest.fixture
def own_pod(tmp_path: Path) -> Iterator[Pod]:
    with start_pod(tmp_path / "own_pod") as running:
        yield running


def stored(inventory: Inventory) -> str:
    path = inventory.state / "known_hosts"
    return path.read_text() if path.exists() else ""


def line(pod: Pod) -> str:
    return f"[127.0.0.1]:{pod.port} {pod.host_key_line}\n"


def test_a_first_key_with_its_fingerprint_is_trusted_and_then_let_in(
    pod: Pod, make_inventory: MakeInventory
) -> None:
    inventory = make_inventory({"pod": pod}, trusted=False)
    report = trust(inventory, host="pod", fingerprint=pod.fingerprint)
    assert [(k.action, k.fingerprint, k.previous) for k in report.keys] == [
        ("trusted", pod.fingerprint, None)
    ]
    assert stored(inventory) == line(pod) and report.exit_code == 0
    open_session(inventory.host("pod"), inventory).close()
    assert trust(inventory, host="pod").keys[0].action == "already trusted"


def test_nobody_s_word_is_an_error_that_shows_the_fingerprint(
    pod: Pod, make_inventory: MakeInventory
) -> None:
    inventory = make_inventory({"pod": pod}, trusted=False)
    with pytest.raises(HostKeyUnknown) as caught:
        trust(inventory, host="pod")
    assert caught.value.fingerprint == pod.fingerprint and stored(inventory) == ""


@pytest.mark.parametrize("answer", [True, False])
def test_a_person_is_shown_the_key_and_asked(answer: bool, pod: Pod, make_inventory: MakeInventory) -> None:
    inventory = make_inventory({"pod": pod}, trusted=False)
    asked: list[str] = []

    def confirm(text: str) -> bool:
        asked.append(text)
        return answer

    if answer:
        trust(inventory, host="pod", confirm=confirm)
    else:
        with pytest.raises(HostKeyUnknown):
            trust(inventory, host="pod", confirm=confirm)
    assert len(asked) == 1 and pod.fingerprint in asked[0]
    assert stored(inventory) == (line(pod) if answer else "")


def test_another_fingerprint_than_the_shown_one_is_refused(pod: Pod, make_inventory: MakeInventory) -> None:
    inventory = make_inventory({"pod": pod}, trusted=False)
    other = "SHA256:" + "A" * 43
    with pytest.raises(HostError, match="not SHA256:AAAA") as caught:
        trust(inventory, host="pod", fingerprint=other, yes=True)
    assert caught.value.exit_code == 4 and stored(inventory) == ""


@pytest.mark.parametrize("how", [{"yes": True}, {"confirm": lambda _: True}, {}])
def test_a_changed_key_is_never_replaced_by_a_yes(
    how: dict[str, object], own_pod: Pod, make_inventory: MakeInventory
) -> None:
    inventory = make_inventory({"pod": own_pod})
    before, old = stored(inventory), own_pod.fingerprint
    own_pod.restart(new_host_key=True)
    with pytest.raises(HostKeyChanged) as caught:
        trust(inventory, host="pod", **how)  # type: ignore[arg-type]  # a table of keywords
    assert (caught.value.trusted, caught.value.shown) == (old, own_pod.fingerprint)
    assert stored(inventory) == before


def test_a_changed_key_is_replaced_by_its_fingerprint_alone(
    own_pod: Pod, make_inventory: MakeInventory
) -> None:
    inventory = make_inventory({"pod": own_pod})
    old = own_pod.fingerprint
    own_pod.restart(new_host_key=True)
    (key,) = trust(inventory, host="pod", fingerprint=own_pod.fingerprint).keys
    assert (key.action, key.previous) == ("replaced", old)
    assert stored(inventory) == line(own_pod)
    open_session(inventory.host("pod"), inventory).close()


def test_a_dry_run_says_the_same_and_stores_nothing(
    pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    inventory = make_inventory({"pod": pod}, trusted=False)
    before = sorted(tmp_path.rglob("*"))
    report = trust(inventory, host="pod", yes=True, dry_run=True)
    assert (report.dry_run, report.keys[0].action) == (True, "trusted")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_a_key_of_another_type_is_found_by_its_fingerprint(
    own_pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    import subprocess

    from being_remote.transport.host_keys import fingerprint_of

    rsa = tmp_path / "rsa_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", str(rsa)], check=True)
    own_pod.stop()
    text = own_pod._config() + f'HostKey "{rsa}"\n'
    own_pod._config = lambda: text  # type: ignore[method-assign]  # this pod has two host keys
    own_pod.start()
    printed = fingerprint_of(" ".join(rsa.with_suffix(".pub").read_text().split()[:2]))
    inventory = make_inventory({"pod": own_pod}, trusted=False)
    (key,) = trust(inventory, host="pod", fingerprint=printed).keys
    assert (key.key_type, key.fingerprint) == ("ssh-rsa", printed)
    open_session(inventory.host("pod"), inventory).close()
    assert trust(inventory, host="pod").keys[0].action == "already trusted"


@pytest.mark.slow
def test_jump_hosts_are_asked_about_first_and_stored_too(
    pod: Pod, own_pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    config = tmp_path / "ssh_config"
    config.write_text(
        f"Host inner\n  HostName 127.0.0.1\n  Port {pod.port}\n  ProxyJump outer\n"
        f'  IdentityFile "{pod.client_key}"\n'
        f'Host outer\n  HostName 127.0.0.1\n  Port {own_pod.port}\n  IdentityFile "{own_pod.client_key}"\n'
    )
    host = {"address": "inner", "workdir": "/w"}
    inventory = make_inventory({"inner": host}, ssh_config=str(config))
    with pytest.raises(HostKeyUnknown) as caught:
        trust(inventory, host="inner")
    assert caught.value.address == f"127.0.0.1:{own_pod.port}"
    # The next step that the error named settles the jump; then the host's own fingerprint is shown.
    with pytest.raises(HostKeyUnknown) as caught:
        trust(inventory, host="inner", fingerprint=own_pod.fingerprint)
    assert (caught.value.address, caught.value.fingerprint) == (f"127.0.0.1:{pod.port}", pod.fingerprint)
    report = trust(inventory, host="inner", fingerprint=pod.fingerprint)
    assert [k.action for k in report.keys] == ["already trusted", "trusted"]
    assert stored(inventory) == line(own_pod) + line(pod)


def test_a_key_pinned_by_the_inventory_is_not_replaced_here(
    own_pod: Pod, make_inventory: MakeInventory
) -> None:
    inventory = make_inventory({"pod": {**own_pod.inventory_entry(), "host_key": own_pod.host_key_line}})
    assert trust(inventory, host="pod").keys[0].action == "already trusted"
    own_pod.restart(new_host_key=True)
    with pytest.raises(HostKeyChanged, match="host_key"):
        trust(inventory, host="pod", fingerprint=own_pod.fingerprint)


def test_a_pin_is_the_pods_and_its_jump_is_trusted_as_any_other(
    pod: Pod, own_pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    config = tmp_path / "ssh_config"
    config.write_text(
        f"Host inner\n  HostName 127.0.0.1\n  Port {pod.port}\n  ProxyJump outer\n"
        f'  IdentityFile "{pod.client_key}"\n'
        f'Host outer\n  HostName 127.0.0.1\n  Port {own_pod.port}\n  IdentityFile "{own_pod.client_key}"\n'
    )
    host = {"address": "inner", "workdir": "/w", "host_key": pod.host_key_line}
    inventory = make_inventory({"inner": host}, ssh_config=str(config))
    report = trust(inventory, host="inner", fingerprint=own_pod.fingerprint)
    assert [k.action for k in report.keys] == ["trusted", "already trusted"]
    assert stored(inventory) == line(own_pod)
    # A wrong pin is said of the pod, and naming what the pod shows does not overrule it.
    wrong = make_inventory({"inner": {**host, "host_key": own_pod.host_key_line}}, ssh_config=str(config))
    (wrong.state / "known_hosts").write_text(line(own_pod))
    with pytest.raises(HostKeyChanged, match="host_key") as caught:
        trust(wrong, host="inner", fingerprint=pod.fingerprint)
    assert caught.value.address == f"127.0.0.1:{pod.port}"
    # Nor is its jump replaced without its own name, and with it it is.
    own_pod.restart(new_host_key=True)
    with pytest.raises(HostKeyChanged) as caught:
        trust(inventory, host="inner", fingerprint=pod.fingerprint)
    assert caught.value.address == f"127.0.0.1:{own_pod.port}"
    report = trust(inventory, host="inner", fingerprint=own_pod.fingerprint)
    assert [k.action for k in report.keys] == ["replaced", "already trusted"]


def test_usage_is_checked_before_anything_is_contacted(make_inventory: MakeInventory) -> None:
    inventory = make_inventory(
        {"here": {"kind": "local", "workdir": "/w"}, "pod": {"address": "x.invalid", "workdir": "/w"}}
    )
    for wrong in ({"host": "nobody"}, {"host": "here"}, {"host": "pod", "fingerprint": "MD5:aa"}):
        with pytest.raises(UsageError):
            trust(inventory, **wrong)


def test_a_host_that_is_down_is_unreachable(own_pod: Pod, make_inventory: MakeInventory) -> None:
    inventory = make_inventory({"pod": own_pod}, trusted=False)
    own_pod.stop()
    with pytest.raises(Unreachable):
        trust(inventory, host="pod", yes=True)
