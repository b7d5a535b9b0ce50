"""Which parts of an inventory can run programs here, and where the answer about them is kept."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from being_remote.errors import InventoryError, InventoryUntrusted
from being_remote.inventory import Inventory, load_inventory
from being_remote.inventory_trust import require_trust, runnable_parts

HOSTS = "hosts: {pod: {workdir: /w, address: 203.0.113.10, identity_file: key, python: ./evil}}\n"
ROOT = Path(__file__).parents[1]


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], Inventory]:
    def load(text: str) -> Inventory:
        (tmp_path / "inventory.yaml").write_text(text)
        return load_inventory(tmp_path / "inventory.yaml")

    return load


def asked(inventory: Inventory) -> bool:
    """Whether a question is put; it is answered with yes."""
    questions = []

    def confirm(text: str) -> bool:
        questions.append(text)
        return True

    require_trust(inventory, confirm=confirm)
    return bool(questions)


def test_the_inventory_of_a_fresh_clone_can_run_nothing() -> None:
    assert runnable_parts(load_inventory(ROOT / "inventory.yaml")) == ()


def test_a_pod_and_an_ssh_configuration_that_says_nothing_can_run_nothing(
    load: Callable[[str], Inventory], tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("# nothing\n\n")
    for config in ("config", "missing", "/dev/null"):
        assert runnable_parts(load(f"{HOSTS}ssh_config: {config}\n")) == ()


def test_a_local_host_is_asked_about_and_again_when_its_programs_change(
    load: Callable[[str], Inventory],
) -> None:
    here = "hosts: {here: {kind: local, workdir: /w, python: %s}, pod: {workdir: /w, port: %d}}\n"
    assert [part.place for part in runnable_parts(load(here % ("python3", 22)))] == [
        "hosts.here (kind: local)"
    ]
    assert asked(load(here % ("python3", 22)))
    assert not asked(load(here % ("python3", 23)))
    assert asked(load(here % ("./evil", 23)))
    assert asked(load(here % ("./evil", 23) + "defaults: {tracker: {root: /t, python: ./worse}}\n"))
    assert not asked(load(HOSTS))


def test_what_an_ssh_configuration_includes_is_a_part_of_it_unless_it_is_the_users_own(
    load: Callable[[str], Inventory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    own = tmp_path / "home" / ".ssh" / "config"
    own.parent.mkdir(parents=True)
    own.touch()
    more, deep = tmp_path / "more.conf", tmp_path / "deep"
    (tmp_path / "config").write_text(f'include "{tmp_path}/mor?.conf"\nInclude ~/.ssh/config ../climbed\n')
    more.write_text(f"Include={deep} {tmp_path}/config\n")
    inventory = load(f"{HOSTS}ssh_config: config\n")
    assert asked(inventory) and not asked(inventory)
    own.write_text("Match exec true\n")
    assert not asked(inventory)
    deep.write_text("Match exec true\n")
    assert asked(inventory) and not asked(inventory)
    more.write_text(f"Include={deep}\nProxyCommand true\n")
    assert asked(inventory) and not asked(inventory)
    (tmp_path / "home" / "climbed").write_text("Match exec true\n")
    assert asked(inventory)


def test_an_ssh_configuration_without_end_is_refused(
    load: Callable[[str], Inventory], tmp_path: Path
) -> None:
    inventory = load(f"{HOSTS}ssh_config: config\n")
    (tmp_path / "config").write_text("#" + "x" * (2 << 20))
    with pytest.raises(InventoryError, match="MiB"):
        runnable_parts(inventory)
    (tmp_path / "config").unlink()
    os.mkfifo(tmp_path / "config")
    with pytest.raises(InventoryError, match="not a regular file"):
        runnable_parts(inventory)
    (tmp_path / "config").unlink()
    (tmp_path / "config").write_text(f"Include {tmp_path}/many/*\n")
    (tmp_path / "many").mkdir()
    for n in range(80):
        (tmp_path / "many" / str(n)).write_text(f"Host a{n}\n")
    with pytest.raises(InventoryError, match="more than"):
        runnable_parts(inventory)


def test_the_answer_is_kept_for_this_user_outside_of_the_folder(
    load: Callable[[str], Inventory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    inventory = load("hosts: {here: {kind: local, workdir: /w}}\n")
    before = sorted(tmp_path.glob("*"))
    with pytest.raises(InventoryUntrusted) as caught:
        require_trust(inventory, confirm=lambda _: False)
    require_trust(inventory, trusted=True)
    assert caught.value.exit_code == 4 and "hosts.here (kind: local)" in caught.value.what
    assert sorted(tmp_path.glob("*")) == before
    assert asked(inventory)
    (record,) = (p for p in (tmp_path / "state").rglob("*") if p.is_file())
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert stat.S_IMODE(record.parent.stat().st_mode) == 0o700
    require_trust(inventory)
    # The same file in another place is another one.
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "inventory.yaml").write_text(inventory.path.read_text())
    with pytest.raises(InventoryUntrusted):
        require_trust(load_inventory(tmp_path / "copy" / "inventory.yaml"))
