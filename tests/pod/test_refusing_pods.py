"""Pods whose volume is a network disk: uploads and jobs work where it refuses locks, syncs, rights, times."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from local_jobs import Works
from refusing_disk import FUSE, NFS, start_refusing_pod

from being_remote.errors import HostDiskFull, HostError
from being_remote.inventory import Inventory
from being_remote.transfer.staged_upload import push_files
from being_remote.transport import open_session
from being_remote.workflows.pull import pull

MakeInventory = Callable[..., Inventory]


@pytest.mark.parametrize(("method", "refused"), [("rsync", NFS), ("stream", FUSE)])
def test_an_upload_to_a_disk_that_refuses_rights_times_and_links_arrives_and_is_not_sent_twice(
    make_inventory: MakeInventory, tmp_path: Path, method: str, refused: dict[str, str]
) -> None:
    path = None
    if method == "stream":
        (tmp_path / "bin").mkdir()
        for name in ("sh", "mkdir"):
            (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
        (tmp_path / "bin/python3").symlink_to(Path(sys.executable).resolve())
        path = str(tmp_path / "bin")
    files = {f"videos/{n}.mp4": tmp_path / f"{n}.mp4" for n in range(3)}
    for n, file in enumerate(files.values()):
        file.write_bytes(bytes([n]) * 100_000)
    files["same.mp4"] = files["videos/0.mp4"]
    with start_refusing_pod(tmp_path / "pod", path=path, **refused, link="EPERM") as pod:
        inventory, into = make_inventory({"pod": pod}), PurePosixPath(pod.root / "Being/in")
        with open_session(inventory.host("pod"), inventory) as session:
            sent = push_files(session, inventory.host("pod"), files, into)
            assert (sent.method, sent.transferred_files) == (method, 3)
            again = push_files(session, inventory.host("pod"), files, into)
            assert (again.already, again.transferred_files) == (4, 0)
        for name, file in files.items():
            assert Path(into, name).read_bytes() == file.read_bytes()


@pytest.mark.slow
def test_a_job_on_a_disk_that_refuses_locks_syncs_rights_times_and_links_succeeds_and_is_pulled(
    make_inventory: MakeInventory, tmp_path: Path
) -> None:
    with start_refusing_pod(tmp_path / "pod", **NFS, link="EPERM") as pod:
        works = Works(make_inventory({"pod": pod}), tmp_path)
        job = works.command("echo 7 > result").job
        works.until(lambda: (works.attempt(job) / "end.json").exists())
        report = pull(works.inventory, job, all_files=True)
        assert report.exit_code == 0
        assert (Path(report.folder) / "result").read_text() == "7\n"
        assert works.command("echo 7 > result", again=True).job != job
        works.clean()


@pytest.mark.parametrize("refusal", ["ENOLCK", "ENOSYS"])
def test_a_job_is_not_started_where_no_lock_can_be_had_and_the_text_says_why(
    make_inventory: MakeInventory, tmp_path: Path, refusal: str
) -> None:
    with start_refusing_pod(tmp_path / "pod", below="home", flock=refusal) as pod:
        works = Works(make_inventory({"pod": pod}), tmp_path)
        with pytest.raises(HostError) as raised:
            works.command("echo 7 > result")
        locks = pod.root.with_name("home") / "locks"
        assert f"the disk offers no locks ({locks}/" in raised.value.what and "/var/lib" in raised.value.hint
        assert not list((pod.root / "Being/jobs").rglob("attempts/1"))


def test_a_used_up_quota_of_a_pod_is_not_called_a_full_disk(
    make_inventory: MakeInventory, tmp_path: Path
) -> None:
    (tmp_path / "big.mp4").write_bytes(bytes(100_000))
    with start_refusing_pod(tmp_path / "pod", write="EDQUOT") as pod:
        inventory, into = make_inventory({"pod": pod}), PurePosixPath(pod.root / "Being/in")
        with open_session(inventory.host("pod"), inventory) as session:
            with pytest.raises(HostDiskFull, match="quota exceeded on pod") as raised:
                push_files(session, inventory.host("pod"), {"big.mp4": tmp_path / "big.mp4"}, into)
            assert raised.value.exit_code == 6
        works = Works(inventory, tmp_path)
        with pytest.raises(HostDiskFull, match="quota exceeded on pod"):
            works.command("echo 7 > result")
