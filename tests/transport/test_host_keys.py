"""Which keys are trusted: unknown and changed ones stop, on every hop, for both stacks."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

from being_remote.demo.pod import Pod, start_pod
from being_remote.errors import (
    HostKeyChanged,
    HostKeyUnknown,
    InventoryError,
    LoginRefused,
    NoSpace,
    Unreachable,
)
from being_remote.inventory import Inventory
from being_remote.session import Pull
from being_remote.transport import open_session
from being_remote.transport.host_keys import HostKey, KnownHosts, fingerprint_of, parse_key, read_user_keys
from being_remote.transport.ssh_config import resolve

MakeInventory = Callable[..., Inventory]


def known(*pods: Pod) -> str:
    return "".join(f"[{p.address}]:{p.port} {p.host_key_line}\n" for p in pods)


@pytest.fixture
def jump(tmp_path: Path) -> Iterator[Pod]:
    with start_pod(tmp_path / "jump", name="jump") as running:
        yield running


@pytest.fixture
def behind(pod: Pod, jump: Pod, make_inventory: MakeInventory, tmp_path: Path) -> Inventory:
    """The healthy pod as a Host alias behind a jump host, by way of an included file."""
    (tmp_path / "more").write_text(
        f"""Host bastion
  HostName 127.0.0.1
  Port {jump.port}
  User {jump.user}
  IdentityFile "{jump.client_key}"
Match originalhost inner exec "true"
  HostName 127.0.0.1
  Port {pod.port}
  User {pod.user}
  IdentityFile "{pod.client_key}"
  ProxyJump bastion
"""
    )
    (tmp_path / "ssh_config").write_text(f'Include "{tmp_path}/more"\n')
    host = {"address": "inner", "workdir": str(pod.root / "Being"), "connect_timeout_s": 5.0}
    inventory = make_inventory({"inner": host}, ssh_config=str(tmp_path / "ssh_config"))
    inventory.state.mkdir(mode=0o700, exist_ok=True)
    return inventory


def trust_file(inventory: Inventory) -> Path:
    return inventory.state / "known_hosts"


def test_an_unknown_key_stops_and_shows_the_fingerprint_that_ssh_keygen_prints(
    pod: Pod, make_inventory: MakeInventory
) -> None:
    inventory = make_inventory({"pod": pod}, trusted=False)
    with pytest.raises(HostKeyUnknown) as caught:
        open_session(inventory.host("pod"), inventory)
    public = pod.client_key.with_name("host_key.pub")
    printed = subprocess.run(["ssh-keygen", "-lf", str(public)], capture_output=True, text=True, check=True)
    assert caught.value.fingerprint == printed.stdout.split()[1]
    assert caught.value.address == f"127.0.0.1:{pod.port}"
    assert not trust_file(inventory).exists()


def test_a_changed_key_stops_and_shows_both(own_pod: Pod, make_inventory: MakeInventory) -> None:
    inventory = make_inventory({"pod": own_pod})
    before = own_pod.fingerprint
    own_pod.restart(new_host_key=True)
    with pytest.raises(HostKeyChanged) as caught:
        open_session(inventory.host("pod"), inventory)
    assert (caught.value.trusted, caught.value.shown) == (before, own_pod.fingerprint)


def test_a_new_pod_under_an_open_session_is_not_connected_again(
    own_pod: Pod, make_inventory: MakeInventory
) -> None:
    inventory = make_inventory({"pod": own_pod})
    with open_session(inventory.host("pod"), inventory) as session:
        own_pod.restart(new_host_key=True)
        with pytest.raises(HostKeyChanged):
            session.run(["true"])


def test_the_stream_stack_refuses_a_changed_key_too(
    own_pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    inventory = make_inventory({"pod": own_pod})
    with open_session(inventory.host("pod"), inventory) as session:
        (own_pod.root / "f").write_text("x")
        own_pod.restart(new_host_key=True)
        with pytest.raises(HostKeyChanged):
            session.pull(Pull(PurePosixPath(own_pod.root), (b"f",), (1,), tmp_path / "in", tmp_path / "live"))
    assert not (tmp_path / "in" / "f").exists()


def test_jumps_work_for_commands_and_streams(behind: Inventory, pod: Pod, jump: Pod, tmp_path: Path) -> None:
    trust_file(behind).write_text(known(pod, jump))
    source = pod.root / "behind a jump"
    source.mkdir(exist_ok=True)
    (source / "f").write_text("through")
    with open_session(behind.host("inner"), behind) as session:
        answer = session.run(["sh", "-c", "echo $SSH_CONNECTION"]).stdout.split()
        assert int(answer[-1]) == pod.port
        session.pull(Pull(PurePosixPath(source), (b"f",), (7,), tmp_path / "in", tmp_path / "live"))
    assert (tmp_path / "in" / "f").read_text() == "through"


def test_an_unknown_key_of_a_jump_host_names_the_jump_host(behind: Inventory, pod: Pod, jump: Pod) -> None:
    trust_file(behind).write_text(known(pod))
    with pytest.raises(HostKeyUnknown) as caught:
        open_session(behind.host("inner"), behind)
    assert (caught.value.address, caught.value.fingerprint) == (f"127.0.0.1:{jump.port}", jump.fingerprint)


def test_a_changed_key_of_a_jump_host_names_the_jump_host_and_both_keys(
    behind: Inventory, pod: Pod, jump: Pod
) -> None:
    trust_file(behind).write_text(known(pod, jump))
    before = jump.fingerprint
    jump.restart(new_host_key=True)
    with pytest.raises(HostKeyChanged) as caught:
        open_session(behind.host("inner"), behind)
    assert caught.value.address == f"127.0.0.1:{jump.port}"
    assert (caught.value.trusted, caught.value.shown) == (before, jump.fingerprint)


def test_an_unknown_key_behind_a_trusted_jump_host_is_the_targets(
    behind: Inventory, pod: Pod, jump: Pod
) -> None:
    trust_file(behind).write_text(known(jump))
    with pytest.raises(HostKeyUnknown) as caught:
        open_session(behind.host("inner"), behind)
    assert caught.value.fingerprint == pod.fingerprint


def test_a_jump_host_that_is_down_is_unreachable_and_named(behind: Inventory, pod: Pod, jump: Pod) -> None:
    trust_file(behind).write_text(known(pod, jump))
    jump.stop()
    with pytest.raises(Unreachable, match=f"127.0.0.1 port {jump.port}: Connection refused"):
        open_session(behind.host("inner"), behind)


@pytest.mark.slow
def test_a_jump_host_that_refuses_our_key_is_named(behind: Inventory, pod: Pod, jump: Pod) -> None:
    trust_file(behind).write_text(known(pod, jump))
    jump.client_key.with_name("authorized_keys").write_text("")
    with pytest.raises(LoginRefused, match="Permission denied"):
        open_session(behind.host("inner"), behind)


@pytest.mark.parametrize("hashed", [False, True])
def test_what_the_users_known_hosts_says_is_copied_into_ours(
    hashed: bool, pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    other = "@cert-authority *.example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVs\n"
    theirs.write_text(other + known(pod))
    if hashed:
        subprocess.run(["ssh-keygen", "-H", "-f", str(theirs)], check=True, capture_output=True)
        assert "127.0.0.1" not in theirs.read_text()
    config = tmp_path / "config"
    config.write_text(f"Host *\n  UserKnownHostsFile {theirs}\n")
    inventory = make_inventory({"pod": pod}, trusted=False, ssh_config=str(config))
    with open_session(inventory.host("pod"), inventory, remember=False) as session:
        assert session.run(["true"]).exit_code == 0
    assert not trust_file(inventory).exists()
    open_session(inventory.host("pod"), inventory).close()
    assert trust_file(inventory).read_text() == known(pod)


def test_a_key_that_the_user_revoked_is_not_copied(
    pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text(known(pod) + f"@revoked * {pod.host_key_line}\n")
    (tmp_path / "config").write_text(f"Host *\n  UserKnownHostsFile {theirs}\n")
    inventory = make_inventory({"pod": pod}, trusted=False, ssh_config=str(tmp_path / "config"))
    host = inventory.host("pod")
    assert host.kind == "ssh"
    assert read_user_keys(resolve(host, inventory)[-1]) == ()
    with pytest.raises(HostKeyUnknown):
        open_session(host, inventory)


def test_the_inventorys_pin_beats_the_file(own_pod: Pod, make_inventory: MakeInventory) -> None:
    pinned = {**own_pod.inventory_entry(), "host_key": own_pod.host_key_line}
    inventory = make_inventory({"pod": pinned})
    open_session(inventory.host("pod"), inventory).close()
    before = own_pod.fingerprint
    own_pod.restart(new_host_key=True)
    KnownHosts(inventory.state).replace(f"[127.0.0.1]:{own_pod.port}", [parse_key(own_pod.host_key_line)])
    with pytest.raises(HostKeyChanged) as caught:
        open_session(inventory.host("pod"), inventory)
    assert caught.value.trusted == before


def pinning(inventory: Inventory, line: str) -> Inventory:
    """The same inventory, in which the host behind the jump has a pinned key."""
    host = inventory.host("inner")
    return inventory.model_copy(update={"hosts": {"inner": host.model_copy(update={"host_key": line})}})


def test_a_pin_is_the_pods_and_not_its_jump_hosts(
    behind: Inventory, pod: Pod, jump: Pod, tmp_path: Path
) -> None:
    trust_file(behind).write_text(known(jump))
    (pod.root / "f").write_text("through")
    pinned = pinning(behind, pod.host_key_line)
    with open_session(pinned.host("inner"), pinned) as session:
        assert session.run(["true"]).exit_code == 0
        session.pull(Pull(PurePosixPath(pod.root), (b"f",), (7,), tmp_path / "in", tmp_path / "live"))
    assert (tmp_path / "in" / "f").read_text() == "through"


@pytest.mark.slow
def test_a_wrong_pin_stops_at_the_pod_though_the_jump_hosts_key_is_that_one(
    behind: Inventory, pod: Pod, jump: Pod
) -> None:
    trust_file(behind).write_text(known(pod, jump))
    pinned = pinning(behind, jump.host_key_line)
    with pytest.raises(HostKeyChanged) as caught:
        open_session(pinned.host("inner"), pinned)
    assert caught.value.address == f"127.0.0.1:{pod.port}"
    assert (caught.value.trusted, caught.value.shown) == (jump.fingerprint, pod.fingerprint)


def test_a_pin_vouches_for_no_jump_host(behind: Inventory, pod: Pod, jump: Pod) -> None:
    pinned = pinning(behind, jump.host_key_line)
    with pytest.raises(HostKeyUnknown) as caught:
        open_session(pinned.host("inner"), pinned)
    assert caught.value.address == f"127.0.0.1:{jump.port}"


def test_a_pin_that_is_no_key_is_the_inventorys_error(pod: Pod, make_inventory: MakeInventory) -> None:
    inventory = make_inventory({"pod": {**pod.inventory_entry(), "host_key": "ssh-ed25519 nonsense!"}})
    with pytest.raises(InventoryError, match=r"hosts\.pod\.host_key"):
        open_session(inventory.host("pod"), inventory)


def test_the_pinned_type_is_negotiated_when_the_host_has_several(
    own_pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    folder = own_pod.client_key.parent
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(folder / "ecdsa_key")], check=True)
    own_pod.stop()
    text = own_pod._config() + f'HostKey "{folder}/ecdsa_key"\n'
    own_pod._config = lambda: text  # type: ignore[method-assign]  # this pod has two host keys
    own_pod.start()
    ecdsa = " ".join((folder / "ecdsa_key.pub").read_text().split()[:2])
    inventory = make_inventory({"pod": own_pod}, trusted=False)
    inventory.state.mkdir(mode=0o700, exist_ok=True)
    trust_file(inventory).write_text(f"[127.0.0.1]:{own_pod.port} {ecdsa}\n")
    with open_session(inventory.host("pod"), inventory) as session:
        assert session.run(["true"]).exit_code == 0


def test_our_file_is_ours_alone_and_survives_many_writers(tmp_path: Path) -> None:
    book = KnownHosts(tmp_path / "deep" / "state")
    keys = [HostKey("ssh-ed25519", b"\0\0\0\x0bssh-ed25519" + bytes([n]) * 36) for n in range(12)]
    writers = [threading.Thread(target=book.replace, args=(f"[h]:{n}", [key])) for n, key in enumerate(keys)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [book.keys(f"[h]:{n}") for n in range(12)] == [(key,) for key in keys]
    assert oct(os.stat(book.path).st_mode & 0o777) == "0o600"
    assert oct(os.stat(book.path.parent).st_mode & 0o777) == "0o700"
    assert sorted(p.name for p in book.path.parent.iterdir()) == ["known_hosts", "known_hosts.lock"]


def test_a_damaged_file_of_ours_stops_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text("# ours\n[h]:1 ssh-ed25519 AAAA\n")
    with pytest.raises(InventoryError, match="line 2"):
        KnownHosts(tmp_path).keys("[h]:1")


def test_a_state_that_cannot_be_used_is_named_and_no_bug(tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_bytes(b"\xff\xfe\0 of another program")
    with pytest.raises(InventoryError, match="line 1"):
        KnownHosts(tmp_path).keys("a")
    (tmp_path / "file").write_text("")
    for act in (lambda known: known.keys("a"), lambda known: known.replace("a", [])):
        with pytest.raises(InventoryError, match=r"file.*: cannot be used: (File exists|Not a directory)"):
            act(KnownHosts(tmp_path / "file"))


def test_a_full_disk_under_the_state_is_reported_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoSpace, match="the disk is full"):
        KnownHosts(tmp_path).replace("a", [])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["known_hosts.lock"]


def test_what_a_killed_command_left_half_written_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".known_hosts.new").write_text("half")
    KnownHosts(tmp_path).replace("a", [])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["known_hosts", "known_hosts.lock"]


def test_a_fingerprint_is_that_of_a_published_key() -> None:
    # GitHub's own, from its documentation of SSH key fingerprints.
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    assert fingerprint_of(line) == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
