"""`doctor`: each thing that is missing has a sentence that says what to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from being_remote.demo.pod import Pod, start_pod
from being_remote.host_checks.laptop import check_laptop
from being_remote.inventory import Inventory
from being_remote.tracker.layout import CHECKOUT_FILES
from being_remote.transport.rsync import OLDEST
from being_remote.workflows.doctor import doctor

MakeInventory = Callable[..., Inventory]

NVIDIA_SMI = """#!/bin/sh
cat <<'END'
0, GPU-11111111-aaaa, NVIDIA A100-SXM4-80GB, 81920, 1024, 7
1, GPU-22222222-bbbb, NVIDIA A100-SXM4-80GB, 81920, [N/A], [Not Supported]
Unable to determine the device handle for GPU
END
"""


@pytest.fixture
def equipped(tmp_path: Path) -> Iterator[Pod]:
    """A pod whose programs are all of this test's making."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "nvidia-smi").write_text(NVIDIA_SMI)
    (programs / "rsync").write_text("#!/bin/sh\necho 'rsync  version 3.2.7  protocol version 31'\n")
    (programs / "ffmpeg").write_text("#!/bin/sh\necho ffmpeg version 5\n")
    (programs / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    with start_pod(tmp_path / "pod", path=f"{programs}:/usr/bin:/bin") as running:
        yield running


def put_tracker(pod: Pod) -> None:
    for name in CHECKOUT_FILES:
        path = pod.root / "metrical-tracker" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def tracker_python(pod: Pod, folder: Path, modules: dict[str, str]) -> dict[str, Any]:
    """An interpreter that has just these modules; the entry for the inventory."""
    site = folder / "site"
    for name, text in modules.items():
        (site / name).mkdir(parents=True, exist_ok=True)
        (site / name / "__init__.py").write_text(text)
    python = folder / "tracker_python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{site}" exec "{os.path.realpath(sys.executable)}" -S "$@"\n')
    python.chmod(0o755)
    entry = pod.inventory_entry()
    return {**entry, "tracker": {**entry["tracker"], "python": str(python)}}


WHOLE = {
    "torch": "class cuda:\n    is_available = staticmethod(lambda: True)\n",
    "pytorch3d": "",
    "mediapipe": "",
    "face_alignment": "",
}


def test_a_host_that_has_everything_has_no_problem_but_what_nvidia_smi_mumbles(
    equipped: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    put_tracker(equipped)
    inventory = make_inventory({"p": equipped})
    trusted = (inventory.state / "known_hosts").read_text()
    inventory = make_inventory({"p": tracker_python(equipped, tmp_path, WHOLE)})
    (inventory.state / "known_hosts").write_text(trusted)
    report = doctor(inventory)
    here, row = report.hosts
    assert (here.host, row.host, report.exit_code) == ("local", "p", 0)
    assert row.problems == (
        "GPU 1 is broken: nvidia-smi shows neither its memory nor its use;"
        " restart the pod, or use another one",
        "nvidia-smi says: Unable to determine the device handle for GPU",
    )
    assert (row.rsync, row.sftp) == ("3.2.7", True)
    assert row.numpy is not None
    assert [(g.index, g.memory_total_mib, g.memory_used_mib, g.utilization_percent) for g in row.gpus] == [
        (0, 81920, 1024, 7),
        (1, 81920, None, None),
    ]
    assert row.tracker is not None and row.tracker.cuda is True and row.tracker.missing_files == ()


def test_an_empty_checkout_names_every_file_and_module_and_what_to_do(
    pod: Pod, make_inventory: MakeInventory
) -> None:
    (row,) = doctor(make_inventory({"pod": pod})).hosts[1:]
    said = "\n".join(row.problems)
    for name in CHECKOUT_FILES:
        assert f"/{name} is missing: " in said
    for module in ("torch", "pytorch3d", "mediapipe", "face_alignment"):
        assert f"no {module}: install it" in said


def test_a_torch_that_breaks_or_sees_no_gpu_is_told_apart(
    equipped: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    put_tracker(equipped)
    trusted = (make_inventory({"p": equipped}).state / "known_hosts").read_text()
    for torch, expected in (
        ("raise OSError('libcudart.so.12: cannot open shared object file')", "cannot import torch"),
        ("class cuda:\n    is_available = staticmethod(lambda: False)\n", "sees no CUDA"),
    ):
        entry = tracker_python(equipped, tmp_path, {**WHOLE, "torch": torch})
        inventory = make_inventory({"p": entry})
        (inventory.state / "known_hosts").write_text(trusted)
        row = doctor(inventory).hosts[1]
        assert expected in "\n".join(row.problems)


def test_a_tracker_interpreter_that_is_not_there_names_the_setting(
    pod: Pod, make_inventory: MakeInventory
) -> None:
    inventory = make_inventory({"pod": pod})
    trusted = (inventory.state / "known_hosts").read_text()
    entry = pod.inventory_entry()
    inventory = make_inventory({"pod": {**entry, "tracker": {**entry["tracker"], "python": "/no/python"}}})
    (inventory.state / "known_hosts").write_text(trusted)
    assert "correct `tracker.python`" in "\n".join(doctor(inventory).hosts[1].problems)


def test_a_host_that_is_down_makes_it_4_and_the_laptop_still_has_its_row(
    make_inventory: MakeInventory,
) -> None:
    report = doctor(
        make_inventory({"gone": {"address": "gone.invalid", "workdir": "/w", "connect_timeout_s": 1.0}})
    )
    assert report.exit_code == 4
    assert [row.reachable for row in report.hosts] == [True, False]


def test_an_old_rsync_here_names_the_holes_and_the_way_out(tmp_path: Path) -> None:
    row = check_laptop(tmp_path / "not" / "yet", rsync=(3, 2, 3), oldest_rsync=OLDEST)
    assert "brew install rsync" in row.problems[0] and row.rsync == "3.2.3"
    assert any("CVE-2022-29154" in note for note in row.notes)
    row = check_laptop(tmp_path, rsync=(3, 4, 1), oldest_rsync=OLDEST)
    assert not any("CVE" in note for note in row.notes) and row.disk_free_bytes is not None
    assert "no rsync" in check_laptop(tmp_path, rsync=None, oldest_rsync=OLDEST).problems[0]


@pytest.mark.slow
def test_somebody_who_took_the_locks_folders_name_is_said(
    equipped: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    # A pod whose user has a number of this test's own: in /tmp the real one's folder is left alone.
    number = 100_000_000 + os.getpid()
    python = tmp_path / "bin" / "python3"
    python.write_text(
        f"#!{sys.executable}\nimport os, sys\nos.geteuid = lambda: {number}\n"
        "code = sys.argv.index('-c')\nsys.argv = sys.argv[code:]\nexec(sys.argv.pop(1))\n"
    )
    taken = Path(f"/tmp/being-remote-{number}")
    inventory = make_inventory({"p": equipped})
    row = doctor(inventory).hosts[1]
    assert row.python and not any(str(taken) in problem for problem in row.problems)
    taken.touch()
    try:
        row = doctor(inventory).hosts[1]
    finally:
        taken.unlink()
    assert any(str(taken) in problem and "remove it" in problem for problem in row.problems)
