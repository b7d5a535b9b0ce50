"""What a run's settings leave out has the default of the checkout that tracked it, not of a table."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from being_remote.demo.checkout import CONFIG
from being_remote.inventory import Inventory
from being_remote.jobs.dispatch import pack_files
from being_remote.jobs.ledger import Intent, ledger_of
from being_remote.jobs.result_download import runs_of
from being_remote.recovery.local_runs import find_settings
from being_remote.tracker.checkout_defaults import read_defaults
from being_remote.workflows.run_names import find_run

FORK = CONFIG.replace("begin_frames = 0", "begin_frames = 3").replace("bbox_scale = 2.5", "bbox_scale = 2.0")


def test_a_run_in_a_checkout_and_one_in_a_backup_have_the_defaults_of_their_checkout(
    tmp_path: Path, make_inventory: Callable[..., Inventory]
) -> None:
    checkout = tmp_path / "mt"
    (checkout / "configs/actors").mkdir(parents=True)
    (checkout / "configs/actors/demo.yml").write_text("fps: 30\n")
    (checkout / "output/demo/checkpoint").mkdir(parents=True)
    run = find_run(None, None, str(checkout / "output/demo"))
    assert (find_settings(run)[0].begin_frames, find_settings(run)[0].bbox_scale) == (0, 2.5)
    (checkout / "configs/config.py").write_text(FORK)
    found, _ = find_settings(run)
    assert (found.begin_frames, found.bbox_scale, found.fps) == (3, 2.0, 30)
    (checkout / "configs/config.py").write_text(FORK.replace("scale = 2.0", "scale = 0.001"))
    assert find_settings(run)[0].begin_frames == 0  # no defaults that anything could be tracked with

    inventory = make_inventory({"pod": {"address": "127.0.0.1", "port": 1, "workdir": "/w"}}, {"demo": {}})
    home = tmp_path / "backups/demo"
    shutil.copytree(checkout / "output/demo/checkpoint", home / "checkpoint")
    (home / "actor").mkdir()
    (home / "actor/config.yml").write_text("bbox_scale: 3.0\n")
    (home / "actor/config.py.txt").write_text(FORK)
    found, _ = find_settings(find_run(inventory, "demo", None))
    assert (found.begin_frames, found.bbox_scale) == (3, 3.0)


def test_a_job_has_the_defaults_that_it_was_planned_with(
    tmp_path: Path, make_inventory: Callable[..., Inventory]
) -> None:
    inventory = make_inventory({"pod": {"address": "127.0.0.1", "port": 1, "workdir": "/w"}}, {"demo": {}})
    files = {"tracking.json": json.dumps({"defaults": read_defaults(FORK.encode(), "c").values}).encode()}
    ledger_of(inventory).intend(
        Intent("demo-k3x7a2bq", "pod", "demo", "metrical-tracker", b"{}", "0" * 64, pack_files(files), "key")
    )
    folder = runs_of(inventory, "demo") / "demo-k3x7a2bq"
    (folder / "output/demo/checkpoint").mkdir(parents=True)
    (folder / "configs/actors").mkdir(parents=True)
    (folder / "configs/actors/demo.yml").write_text("fps: 30\n")
    run = find_run(inventory, None, "last")
    assert find_settings(run)[0].begin_frames == 3
