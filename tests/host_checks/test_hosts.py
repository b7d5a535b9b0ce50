"""`hosts`: every host has its row, whatever becomes of the others."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from being_remote.demo.pod import Pod, start_pod
from being_remote.errors import UsageError
from being_remote.inventory import Inventory
from being_remote.workflows.find_bbox import find_bbox
from being_remote.workflows.hosts import hosts

MakeInventory = Callable[..., Inventory]


def trusting(make_inventory: MakeInventory, pod: Pod, **changed: str) -> Inventory:
    """An inventory with the pod's entry changed, and its key trusted all the same."""
    make_inventory({"pod": pod})
    return make_inventory({"pod": {**pod.inventory_entry(), **changed}}, trusted=False)


def test_a_healthy_host_says_what_it_has(pod: Pod, make_inventory: MakeInventory) -> None:
    report = hosts(make_inventory({"pod": pod}))
    (row,) = report.hosts
    assert (row.host, row.reachable, row.trusted, row.error) == ("pod", True, True, None)
    assert row.rsync is not None and row.rsync[0] == "3"
    assert row.python is not None and row.python.startswith("3.")
    assert row.disk_free_bytes is not None and row.disk_free_bytes > 0
    assert report.exit_code == 0


@pytest.mark.slow
def test_down_frozen_unknown_and_changed_hosts_each_have_their_own_row_and_delay_nobody(
    pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    with (
        start_pod(tmp_path / "frozen") as frozen,
        start_pod(tmp_path / "changed") as changed,
        start_pod(tmp_path / "unknown") as unknown,
        socket.socket() as taken,
    ):
        taken.bind(("127.0.0.1", 0))
        quick = {"connect_timeout_s": 2.0}
        down = {**pod.inventory_entry(), **quick, "port": taken.getsockname()[1]}
        inventory = make_inventory({"pod": pod, "frozen": frozen, "changed": changed, "down": down})
        entries = {"pod": pod.inventory_entry(), "down": down, "changed": changed.inventory_entry()}
        entries |= {"frozen": {**frozen.inventory_entry(), **quick}, "unknown": unknown.inventory_entry()}
        trusted = (inventory.state / "known_hosts").read_text()
        inventory = make_inventory(entries, trusted=False)
        (inventory.state / "known_hosts").write_text(trusted)
        changed.restart(new_host_key=True)
        frozen.pause()
        started = time.monotonic()
        report = hosts(inventory)
        seconds = time.monotonic() - started
        frozen.resume()
    rows = {row.host: row for row in report.hosts}
    assert list(rows) == list(inventory.hosts)
    assert {n: r.error_class for n, r in rows.items()} == {
        "pod": None,
        "down": "Unreachable",
        "changed": "HostKeyChanged",
        "frozen": "Unreachable",
        "unknown": "HostKeyUnknown",
    }
    assert {n: r.trusted for n, r in rows.items()} == {
        "pod": True, "down": None, "changed": False, "frozen": None, "unknown": False,
    }  # fmt: skip
    assert unknown.fingerprint in str(rows["unknown"].next)
    assert rows["pod"].reachable and report.exit_code == 4
    assert seconds < 2.0 * 1.5 + 1.5


def test_a_host_without_python_says_so_and_is_still_reachable(
    make_inventory: MakeInventory, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to("/bin/sh")
    with start_pod(tmp_path / "pod", path=str(tmp_path / "bin")) as bare:
        report = hosts(make_inventory({"bare": bare}))
    (row,) = report.hosts
    assert row.reachable and row.python is None and report.exit_code == 0
    assert "'python3'" in row.problems[0] and "set `python`" in row.problems[0]


def test_a_python_that_is_something_else_gives_no_answer_that_is_believed(
    pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    liar = tmp_path / "python"
    for said in ("not json", '{"python": "3.9"}', "x" * 300_000):
        liar.write_text(f"#!/bin/sh\nprintf %s '{said}'\n")
        liar.chmod(0o755)
        (row,) = hosts(trusting(make_inventory, pod, python=str(liar))).hosts
        assert row.reachable and row.python is None
        assert row.problems or row.error_class == "HostError"


def test_a_number_from_a_pod_that_no_disk_has_is_not_believed(
    pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    absent = '{"out": null, "error": "not there"}'
    said = (
        f'{{"python": "3.9.1", "numpy": null, "rsync": {absent}, "ffmpeg": null, "gpus": {absent}, '
        f'"disk": {{"exists": true, "free_bytes": {"9" * 400}, "writable": true}}, "tracker": null}}'
    )
    liar = tmp_path / "python"
    liar.write_text(f"#!/bin/sh\nprintf %s '{said}'\n")
    liar.chmod(0o755)
    (row,) = hosts(trusting(make_inventory, pod, python=str(liar))).hosts
    assert row.disk_free_bytes is None and "malformed answer" in row.problems[0]


def test_a_key_file_that_is_missing_costs_only_its_own_hosts_row(
    pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    broken = {**pod.inventory_entry(), "identity_file": str(tmp_path / "no key")}
    inventory = make_inventory({"pod": pod, "broken": broken})
    report = hosts(inventory)
    assert {row.host: row.error_class for row in report.hosts} == {"pod": None, "broken": "InventoryError"}
    found = find_bbox(inventory)
    assert {row.host for row in found.results if row.error_class == "InventoryError"} == {"broken"}
    assert (report.exit_code, found.exit_code) == (4, 4)


def test_this_machine_as_a_host_has_the_same_row(make_inventory: MakeInventory, tmp_path: Path) -> None:
    report = hosts(make_inventory({"here": {"kind": "local", "workdir": str(tmp_path / "not yet")}}))
    (row,) = report.hosts
    assert (row.kind, row.reachable, row.trusted) == ("local", True, True)
    assert row.disk_free_bytes is not None and any("does not exist yet" in note for note in row.notes)


def test_only_named_hosts_are_asked_and_unknown_names_stop_first(
    pod: Pod, make_inventory: MakeInventory
) -> None:
    inventory = make_inventory({"pod": pod, "other": {"address": "other.invalid", "workdir": "/w"}})
    assert [row.host for row in hosts(inventory, ["pod"]).hosts] == ["pod"]
    with pytest.raises(UsageError, match="nobody"):
        hosts(inventory, ["pod", "nobody"])
