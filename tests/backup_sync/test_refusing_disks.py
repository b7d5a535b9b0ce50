"""Network disks: what they refuse of flock, fsync, rights, times and room stops no sync."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from refusing_disk import FUSE, NFS, refusing
from remote_homes import Homes, empty, homes_on

from being_remote.demo.actor import make_actor
from being_remote.demo.pod import Pod
from being_remote.inventory import Inventory

MakeInventory = Callable[..., Inventory]


@pytest.fixture(scope="session")
def long_actor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of so many frames that they come by stream."""
    root = tmp_path_factory.mktemp("long") / "tracker"
    make_actor(root, "demo", frames=70, pictures=False, video=False)
    return root


@pytest.fixture
def homes(
    actor: Path, pod: Pod, make_inventory: MakeInventory, request: pytest.FixtureRequest
) -> Iterator[Homes]:
    source = actor if getattr(request, "param", "rsync") == "rsync" else request.getfixturevalue("long_actor")
    made = homes_on(pod, source, make_inventory)
    yield made
    empty(made.tracker)


def sync_on(homes: Homes, *words: str, **refused: str) -> tuple[int, dict[str, Any], str]:
    """`being-remote sync` where the disk of the backups refuses these calls."""
    homes.inventory.backups.mkdir(exist_ok=True)
    env = {**os.environ, **refusing(homes.inventory.backups, **refused)}
    with homes.start(*words, env=env) as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, json.loads(out) if out else {}, err


def check_whole(homes: Homes, said: dict[str, Any]) -> None:
    assert len(homes.live()) == said["files"] and set(homes.live().values()) <= homes.whole
    homes.check_history()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("homes", "refused"), [("rsync", NFS), ("stream", FUSE)], ids=["NFS", "FUSE"], indirect=["homes"]
)
def test_a_backup_on_a_disk_that_refuses_locks_syncs_rights_and_times_is_whole_and_not_sent_twice(
    homes: Homes, refused: dict[str, str]
) -> None:
    code, said, err = sync_on(homes, **refused)
    assert code == 0 and said["quarantined"] == [], err
    check_whole(homes, said)
    assert (
        len([w for w in said["warnings"] if "offers no flock, no fsync of folders, no chmod, no utime" in w])
        == 1
    )
    code, again, err = sync_on(homes, **refused)
    assert (code, again["transferred_files"], again["snapshot"]) == (0, 0, said["snapshot"]), err
    # What changes on the pod comes, though no time here tells of it.
    homes.log.write_bytes(homes.log.read_bytes() + b"00000007 loss 0.1\n")
    homes.known()
    code, more, err = sync_on(homes, "--verify", **refused)
    assert (code, more["transferred_files"], more["verified"]) == (0, 1, more["files"]), err
    assert homes.live()["run/logs/train.log"] == homes.log.read_bytes()
    check_whole(homes, more)


@pytest.mark.slow
def test_a_used_up_quota_is_not_called_a_full_disk(homes: Homes) -> None:
    code, said, _ = sync_on(homes, write="EDQUOT")
    assert (code, said["error"]["class"]) == (6, "NoSpace")
    assert said["error"]["what"].startswith("quota exceeded") and "are free" not in said["error"]["what"]
    code, said, err = sync_on(homes)
    assert code == 0, err
    check_whole(homes, said)


@pytest.mark.slow
@pytest.mark.parametrize("homes", ["rsync", "stream"], indirect=True)
def test_a_quota_that_ends_in_the_middle_of_a_download_is_named(homes: Homes) -> None:
    # rsync and the stream write below incoming, after the backup was locked and read.
    homes.history.incoming.mkdir(parents=True)
    env = {**os.environ, **refusing(homes.history.incoming, write="EDQUOT")}
    with homes.start(env=env) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 6 and json.loads(out)["error"]["what"].startswith("quota exceeded")
    assert homes.sync().exit_code == 0


@pytest.mark.slow
def test_a_sync_waits_for_the_backup_as_long_as_it_is_told(homes: Homes) -> None:
    homes.sync()
    with homes.history.lock():
        code, said, err = sync_on(homes, "--wait", "1s")
        assert (code, said["error"]["class"]) == (4, "Busy") and f"process {os.getpid()} on " in err
        waiting = homes.start("--wait", "30s")
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(1.0)
    out, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == 0 and json.loads(out)["snapshot"] == 0
