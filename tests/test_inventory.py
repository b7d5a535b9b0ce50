"""The inventory: defaults, laptop paths, and files that are wrong."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from being_remote.errors import InventoryError, UsageError
from being_remote.inventory import ENVIRONMENT, Inventory, LocalHost, SshHost, find_inventory, load_inventory


def _load(folder: Path, text: str) -> Inventory:
    path = folder / "inventory.yaml"
    path.write_text(text)
    return load_inventory(path)


def test_the_inventory_in_this_repository_loads() -> None:
    inventory = load_inventory(Path(__file__).parent.parent / "inventory.yaml")
    host = inventory.the_host(None)
    assert isinstance(host, SshHost)
    assert (host.user, host.roots) == ("root", (PurePosixPath("/workspace"),))
    assert inventory.the_actor(None).source_size == (1920, 1080)


def test_laptop_paths_are_relative_to_the_file_and_host_paths_are_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/roman")
    inventory = _load(
        tmp_path,
        "hosts: {a: {workdir: /w, identity_file: ~/.ssh/pod}}\n"
        "actors: {roman: {video: clips/roman.mp4}}\n"
        "backups: ~/Being/data\nsearch_roots: [., ~/Being]\n",
    )
    host = inventory.the_host("a")
    assert isinstance(host, SshHost)
    assert host.identity_file == Path("/home/roman/.ssh/pod")
    assert inventory.actors["roman"].video == tmp_path / "clips/roman.mp4"
    assert inventory.actors["roman"].input == PurePosixPath("input/roman")
    assert inventory.backup_of(inventory.actors["roman"]) == Path("/home/roman/Being/data/roman")
    assert inventory.search_roots == (tmp_path, Path("/home/roman/Being"))
    assert inventory.state == tmp_path / ".being-remote"


def test_a_host_without_an_address_is_reached_by_its_name_and_without_roots_searched_at_home(
    tmp_path: Path,
) -> None:
    inventory = _load(tmp_path, "hosts: {pod7: {workdir: /w/Being, tracker: {root: /w/mt}}}\n")
    host = inventory.the_host(None)
    assert isinstance(host, SshHost)
    assert (host.address, host.port, host.user) == ("pod7", None, None)
    assert host.roots == (PurePosixPath("/w/Being"), PurePosixPath("/w/mt"))


def test_defaults_that_mean_nothing_to_a_local_host_do_not_reach_it(tmp_path: Path) -> None:
    inventory = _load(
        tmp_path, "defaults: {user: root, workdir: /w}\nhosts: {here: {kind: local}, there: {port: 22}}\n"
    )
    assert isinstance(inventory.host("here"), LocalHost)
    assert inventory.host("here").workdir == PurePosixPath("/w")


def test_every_wrong_field_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InventoryError) as caught:
        _load(
            tmp_path,
            "hosts:\n"
            "  a: {adress: 1.2.3.4, workdir: relative, port: 70000}\n"
            "  b: {address: -oProxyCommand=x, workdir: /w}\n"
            "actors:\n  'ro/man': {input: ../up}\n  x: {source_size: [1920]}\n"
            "bakups: here\n",
        )
    said = str(caught.value)
    for wrong in (
        "hosts.a.adress: no such field",
        "hosts.a.workdir: must be an absolute path",
        "hosts.a.port",
        "hosts.b.address: must be one word",
        "actors.ro/man.name",
        "actors.ro/man.input: must not climb",
        "actors.x.source_size",
        "bakups: no such field",
    ):
        assert wrong in said, wrong
    assert str(tmp_path / "inventory.yaml") in said
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a list\n",
        "hosts: [a, b]\n",
        "hosts: {a: 5}\n",
        "defaults: 3\nhosts: {a: {}}\n",
        "hosts: {a: {\n",
        "\x00",
    ],
)
def test_a_file_of_another_shape_is_refused_in_words(tmp_path: Path, text: str) -> None:
    with pytest.raises(InventoryError, match=r"inventory\.yaml"):
        _load(tmp_path, text)


def test_what_a_host_costs_is_a_price_or_nothing(tmp_path: Path) -> None:
    assert _load(tmp_path, "hosts: {a: {workdir: /w}}\n").the_host("a").usd_per_hour is None
    loaded = _load(tmp_path, "hosts: {a: {workdir: /w, usd_per_hour: 2.49}}\n")
    assert loaded.the_host("a").usd_per_hour == 2.49
    for wrong in ("0", "-1", ".inf", ".nan", "1e9", "dear"):
        with pytest.raises(InventoryError, match=r"hosts\.a\.usd_per_hour"):
            _load(tmp_path, f"hosts: {{a: {{workdir: /w, usd_per_hour: {wrong}}}}}\n")


def test_local_is_not_free_as_a_hosts_name(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="this laptop"):
        _load(tmp_path, "hosts: {local: {kind: local, workdir: /w}}\n")


def test_an_unknown_host_or_actor_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    inventory = _load(tmp_path, "hosts: {a: {workdir: /w}, b: {workdir: /w}}\nactors: {x: {}, y: {}}\n")
    with pytest.raises(UsageError, match=r"no host named 'c'\n.*known hosts: a, b"):
        inventory.the_host("c")
    with pytest.raises(UsageError, match=r"one must be named\n.*--host one of: a, b"):
        inventory.the_host(None)
    with pytest.raises(UsageError, match=r"no actor named 'z'\n.*known actors: x, y"):
        inventory.the_actor("z")
    with pytest.raises(UsageError, match="--actor one of: x, y"):
        inventory.the_actor(None)


def test_the_nearest_inventory_upwards_is_found_unless_the_environment_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "inventory.yaml").touch()
    assert find_inventory(deep) == tmp_path / "inventory.yaml"
    (tmp_path / "a" / "inventory.yaml").touch()
    assert find_inventory(deep) == tmp_path / "a" / "inventory.yaml"
    monkeypatch.setenv(ENVIRONMENT, "/elsewhere/pods.yaml")
    assert find_inventory(deep) == Path("/elsewhere/pods.yaml")


def test_no_inventory_anywhere_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="--inventory FILE"):
        find_inventory(tmp_path)
