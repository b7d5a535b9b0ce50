"""The inventory: defaults, laptop paths, and files that are wrong."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path, PurePosixPath

import pytest

from being_remote.backup.history import History
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
        "line 2: hosts.a.adress: unknown field; did you mean 'address'?",
        "line 2: hosts.a.workdir: must be an absolute path",
        "hosts.a.port",
        "hosts.b.address: must be letters",
        "actors.ro/man.name",
        "actors.ro/man.input: must not climb",
        "actors.x.source_size",
        "line 7: bakups: unknown field; did you mean 'backups'?",
    ):
        assert wrong in said, wrong
    assert str(tmp_path / "inventory.yaml") in said
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "hosts:\n  a: {workdir: /w}\n  b:\n    prot: 22\n    workdir: /w\n",
            "line 4: hosts.b.prot: unknown field; did you mean 'port'?",
        ),
        ("hosts:\n  a: {address: x}\n", "line 2: hosts.a.workdir: is missing"),
        (
            "defaults:\n  usr: root\nhosts: {a: {workdir: /w}, b: {workdir: /w}}\n",
            "line 2: defaults.usr: unknown field; did you mean 'user'?",
        ),
        (
            "hosts:\n  a:\n    workdir: /w\n    search_roots:\n    - /w\n    - here\n",
            "line 6: hosts.a.search_roots.1: must be an absolute path",
        ),
        (
            "x: &x\n  prt: 5\nhosts:\n  a: {<<: *x, workdir: /w}\n",
            "line 2: hosts.a.prt: unknown field; did you mean 'port'?",
        ),
        (
            "hosts: {a: {workdir: /w, tracker: {\n  rot: /w, python: p}}}\n",
            "line 2: hosts.a.tracker.rot: unknown field; did you mean 'root'?",
        ),
        (
            "actors:\n  roman: {vidoe: v.mp4}\n",
            "line 2: actors.roman.vidoe: unknown field; did you mean 'video'?",
        ),
        ("hosts:\n  local: {workdir: /w}\n", "line 2: hosts.local.name: 'local' is this laptop"),
        (
            "hosts: {a: {workdir: /w, whatever: 1}}\n",
            "line 1: hosts.a.whatever: unknown field; known: address, address_command,",
        ),
    ],
)
def test_a_wrong_field_is_one_line_with_its_line_number_and_the_field_that_was_meant(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(InventoryError) as caught:
        _load(tmp_path, text)
    (line,) = [line for line in caught.value.what.splitlines() if said in line]
    assert line.startswith("line ")
    assert caught.value.what.count("defaults.usr") <= 1


def test_several_wrong_fields_stand_on_a_line_each_in_the_order_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(InventoryError) as caught:
        _load(tmp_path, "bakups: x\nhosts:\n  a:\n    workdir: w\n    port: many\n")
    head, *lines = caught.value.what.splitlines()
    assert head == "3 fields are wrong"
    assert [line.split(":")[0] for line in lines] == ["line 1", "line 4", "line 5"]


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


_BOMB = "\n".join(
    ["a0: &a0 {k: v}"] + [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 18)]
)


@pytest.mark.parametrize(
    "text",
    [
        _BOMB,
        "[" * 100_000,
        "{a: " * 50_000,
        "- " * 50_000,
        "hosts: &h {a: *h}",
        "hosts: {a: {workdir: !!bool x}}",
        "hosts: {a: {workdir: !!timestamp x}}",
        "hosts: {a: {workdir: !!int ''}}",
        "hosts: {a: {workdir: /w, port: !!float ''}}",
        "hosts: {a: {workdir: 2001-99-99}}",
        "hosts: {a: {workdir: !!python/object/apply:os.system [x]}}",
        "hosts: {a: {workdir: !!set {x}}}",
        "hosts: {a: {workdir: !!binary x}}",
        "hosts: {[a]: {}}",
        "? {a: b}\n: c",
        "hosts: {1: {kind: local}}\ndefaults: 5",
        "hosts: {1: {kind: [local]}}",
        "hosts: {1: {kind: {local: 1}, workdir: /w}}",
        "hosts: {a: {kind: local}}\ndefaults: [user]",
        "hosts: {a: {workdir: /w, identity_file: ~nobody-of-that-name/key}}",
        "backups: ~nobody-of-that-name/data",
        "ssh_config: ~nobody-of-that-name/data",
        'hosts: {a: {workdir: "/w\\0"}}',
        'hosts: {a: {workdir: "/w\\n"}}',
        'hosts: {a: {workdir: "/\\ud800"}}',
        'hosts: {a: {workdir: /w, identity_file: "k\\ney"}}',
        'hosts: {a: {workdir: /w, python: ""}}',
        "hosts: {a: {workdir: /w, connect_timeout_s: .inf}}",
        "hosts: {a: {workdir: /w, answer_timeout_s: 1e300}}",
        "hosts: {a: {workdir: /w, port: 1" + "0" * 5000 + "}}",
        "hosts: {a: {workdir: /w, port: 0x" + "f" * 4000 + "}}",
        "%YAML 1." + "9" * 5000 + "\n---\na",
        '"\\U00110000"',
        "actors: {" + "x" * 300 + ": {}}",
        "--- {}\n--- {}",
        "x: '" + "a" * 300_000 + "'",
        "a: =",
        "*a",
        "5: 6",
    ],
)
def test_a_hostile_file_is_refused_at_once_and_in_words(tmp_path: Path, text: str) -> None:
    started = time.process_time()
    with pytest.raises(InventoryError, match=r"inventory\.yaml") as caught:
        _load(tmp_path, text)
    assert time.process_time() - started < 2
    _, *more = caught.value.what.splitlines()
    assert all(line.startswith("line ") for line in more)  # ours, and none of the file's own


@pytest.mark.parametrize(
    "odd", ["-oProxyCommand=x", "a b", "a%h", "`id`", "$(id)", "a;b", "a\nb", "", "a'b", "é", "a/b"]
)
@pytest.mark.parametrize("field", ["address", "user"])
def test_what_ssh_or_a_shell_could_read_otherwise_is_no_address_and_no_user(
    tmp_path: Path, field: str, odd: str
) -> None:
    with pytest.raises(InventoryError, match=rf"hosts\.a\.{field}"):
        _load(tmp_path, f"hosts: {{a: {{workdir: /w, {field}: {json.dumps(odd)}}}}}")


@pytest.mark.parametrize(
    ("pasted", "fields"),
    [
        ("root@203.0.113.10 -p 19870", "address: 203.0.113.10, port: 19870, user: root"),
        ("ssh root@203.0.113.10 -p 19870", "address: 203.0.113.10, port: 19870, user: root"),
        ("ssh://root@203.0.113.10:19870", "address: 203.0.113.10, port: 19870, user: root"),
        ("203.0.113.10:19870", "address: 203.0.113.10, port: 19870"),
        ("[::1]:22", "address: ::1, port: 22"),
        ("[::1]", "address: ::1"),
        ("root@pod7", "address: pod7, user: root"),
    ],
)
def test_a_pasted_address_is_answered_with_the_fields_to_write(
    tmp_path: Path, pasted: str, fields: str
) -> None:
    with pytest.raises(InventoryError) as caught:
        _load(tmp_path, f"hosts: {{a: {{workdir: /w, address: '{pasted}'}}}}")
    assert f"as fields of their own: {fields}" in str(caught.value)


@pytest.mark.parametrize("address", ["203.0.113.10", "::1", "fe80::2", "pod-7.example.org", "My_alias.2"])
@pytest.mark.parametrize("user", ["root", "abc123-6441103b", "roman@lab.example", "_svc", "a.b+c"])
def test_the_addresses_and_users_that_people_have_are_taken(tmp_path: Path, address: str, user: str) -> None:
    host = _load(tmp_path, f"hosts: {{a: {{workdir: /w, address: '{address}', user: '{user}'}}}}").host("a")
    assert isinstance(host, SshHost) and (host.address, host.user) == (address, user)


def test_anchors_and_merge_keys_that_are_meant_work(tmp_path: Path) -> None:
    inventory = _load(
        tmp_path,
        "defaults: {workdir: /w}\nhosts:\n  a: &a {port: 22, user: root}\n  b: {<<: *a, port: 23}\n"
        "  2024-01-01: {<<: [{user: x}, *a]}\n  7: {kind: local}\n",
    )
    found = {name: (h.user, h.port) for name, h in inventory.hosts.items() if isinstance(h, SshHost)}
    assert found == {"a": ("root", 22), "b": ("root", 23), "2024-01-01": ("x", 22)}
    assert isinstance(inventory.host("7"), LocalHost)


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
    with pytest.raises(UsageError, match=r"there are 2 hosts: name one\n.*--host one of: a, b"):
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


def test_an_inventory_inside_a_backup_is_passed_over(tmp_path: Path) -> None:
    outer, folder = tmp_path / "inventory.yaml", tmp_path / "data" / "roman" / "runs" / "job"
    folder.mkdir(parents=True)
    inner = folder / "inventory.yaml"
    inner.write_text("hosts: {here: {kind: local, workdir: /w}}\n")
    outer.write_text("hosts: {}\n")
    assert find_inventory(folder) == inner
    outer.write_text("backups: data\n")
    assert find_inventory(folder) == outer
    # One that keeps its backups around itself, or cannot be read, says nothing about what is below.
    for text in ("backups: .\n", "backups: ..\n", "backups: [\n"):
        outer.write_text(text)
        assert find_inventory(folder) == inner
    # A backup is known by its history, too: here no inventory above knows of it.
    with History(tmp_path / "data" / "roman").lock():
        pass
    assert find_inventory(folder) == outer
    outer.unlink()
    with pytest.raises(InventoryError, match="not inside a backup"):
        find_inventory(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_another_users_inventory_above_has_no_say_about_mine(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "inventory.yaml").touch()
    (tmp_path / "inventory.yaml").write_text("backups: mine\n")
    assert find_inventory(folder) == tmp_path / "inventory.yaml"
    os.chown(tmp_path / "inventory.yaml", 4321, -1)
    assert find_inventory(folder) == folder / "inventory.yaml"


def test_no_inventory_anywhere_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="--inventory FILE"):
        find_inventory(tmp_path)
