"""First `sync` of 838 frames and 200 MB of meshes, phase by phase, against bare tools on the same files.

The transfer, connecting aside, against one bare `rsync -a` over an open connection of the same ssh;
the check against a bare loop of CRC-32 and SHA-256. Both sides run on this machine's cores.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
import yaml
from common import Row, show

from being_remote.demo.actor import make_actor
from being_remote.demo.pod import Pod, start_pod
from being_remote.inventory import load_inventory
from being_remote.transport.openssh import OpenSsh
from being_remote.workflows.sync import SyncReport, sync

FRAMES = 838
VERTICES = 20_833  # of three floats: 250 kB, as FLAME's meshes as text
RUNS = 5


def fill(pod: Pod) -> Path:
    """The run on the pod's disk; meshes of a size as FLAME's, with bytes that do not compress."""
    root = pod.root / "metrical-tracker"
    make_actor(root, "demo", frames=FRAMES, pictures=False, video=False)
    for landmarks in ("kpt", "kpt_dense"):
        shutil.rmtree(root / "input/demo" / landmarks)  # 838 frames and 200 MB of meshes are the measure
    rng = np.random.default_rng(0)
    properties = b"".join(b"property float %s\n" % axis for axis in (b"x", b"y", b"z"))
    header = b"ply\nformat binary_little_endian 1.0\nelement vertex %d\n%send_header\n"
    for mesh in (root / "output/demo/mesh").iterdir():
        mesh.write_bytes(
            header % (VERTICES, properties) + rng.standard_normal((VERTICES, 3)).astype("<f4").tobytes()
        )
    return root


def bare_rsync(pod: Pod, root: Path, folder: Path) -> float:
    """Seconds for one rsync of all the same folders over an open connection."""
    target, socket = folder / "bare", folder / "ssh.sock"
    put_away(target)
    target.mkdir()
    os.sync()  # the disk is not to be busy with what was written before
    options = ["-F", "/dev/null", "-i", str(pod.client_key), "-p", str(pod.port), "-S", str(socket)]
    options += [
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "LogLevel=ERROR",
    ]
    subprocess.run(["ssh", *options, "-MNf", f"{pod.user}@{pod.address}"], check=True)
    sources = [f"{pod.user}@{pod.address}:{root}/./{part}" for part in ("output", "input", "configs")]
    shell = " ".join(["ssh", *options])
    started = time.perf_counter()
    subprocess.run(["rsync", "-aR", "-e", shell, *sources, f"{target}/"], check=True)
    seconds = time.perf_counter() - started
    subprocess.run(["ssh", *options, "-O", "exit", pod.address], check=True, stderr=subprocess.DEVNULL)
    return seconds


def bare_check(files: list[Path]) -> float:
    """Seconds for CRC-32 and SHA-256 of each file, read once."""
    started = time.perf_counter()
    for file in files:
        data = file.read_bytes()
        zlib.crc32(data)
        hashlib.sha256(data).hexdigest()
    return time.perf_counter() - started


def put_away(folder: Path) -> None:
    """Make room for a new folder of that name; nothing is deleted before the end of all.

    ext4 gives no inode away again within a minute or more, and looks at each of them when it seeks a
    free one: after twenty thousand deletions a new file takes up to ten times as long.
    """
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}.{time.time_ns()}"))


def first_sync(inventory_path: Path) -> tuple[SyncReport, float]:
    """A sync into nothing, and how many seconds of its transfer went into connecting."""
    connecting: list[float] = []
    share = OpenSsh.share

    def timed(self: OpenSsh) -> str:
        started = time.perf_counter()
        said = share(self)
        connecting.append(time.perf_counter() - started)
        return said

    inventory = load_inventory(inventory_path)
    put_away(inventory.backups)
    os.sync()
    OpenSsh.share = timed  # type: ignore[method-assign]  # only to time it
    report = sync(inventory)
    OpenSsh.share = share  # type: ignore[method-assign]
    if report.exit_code or report.files != report.transferred_files:
        quarantined = "; ".join(f"{row.path}: {row.reason}" for row in report.quarantined[:3])
        raise SystemExit(
            f"not a whole first sync: {report.transferred_files} of {report.files} files; {quarantined}"
        )
    return report, connecting[0]


def inventory_file(pod: Pod, folder: Path) -> Path:
    (folder / "ssh_config").touch()
    (folder / "state").mkdir(mode=0o700)
    (folder / "state/known_hosts").write_text(f"[{pod.address}]:{pod.port} {pod.host_key_line}\n")
    document = {"hosts": {"pod": pod.inventory_entry()}, "actors": {"demo": None}, "backups": "backups"}
    document |= {"state": "state", "ssh_config": "ssh_config"}
    path = folder / "inventory.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def main() -> None:
    runs = next((int(word) for word in sys.argv[1:] if word.isdigit()), RUNS)
    figures: dict[str, list[float]] = {}

    def note(**seconds: float) -> None:
        for name, value in seconds.items():
            figures.setdefault(name, []).append(value)

    with tempfile.TemporaryDirectory() as name, start_pod(Path(name) / "pod") as pod:
        folder = Path(name)
        root = fill(pod)
        path = inventory_file(pod, folder)
        first_sync(path)  # what is imported and compiled once is no part of any figure
        for number in range(runs):
            # In turns, so that neither always finds the disk busy with what the other left behind.
            rsync = bare_rsync(pod, root, folder) if number % 2 else 0.0
            report, connecting = first_sync(path)
            transfer, check = report.phases_s["transfer"] - connecting, report.phases_s["check"]
            rsync = rsync or bare_rsync(pod, root, folder)
            backup = load_inventory(path).backups / "demo"
            files = [f for f in backup.rglob("*") if f.is_file() and ".history" not in f.parts]
            bare = bare_check(files)
            again_started = time.perf_counter()
            sync(load_inventory(path))
            note(
                transfer=transfer,
                rsync=rsync,
                transfer_ratio=transfer / rsync,
                check=check,
                bare=bare,
                check_ratio=check / bare,
                connecting=connecting,
                whole=report.seconds,
                again=time.perf_counter() - again_started,
            )
        total_mb = report.bytes / 1e6
    middle = {name: statistics.median(values) for name, values in figures.items()}
    rows = [
        Row(
            f"transfer (without {middle['connecting']:.2f} s of connecting)",
            f"{middle['transfer']:.2f} s",
            f"{middle['rsync']:.2f} s rsync -a",
            middle["transfer_ratio"],
            1.15,
        ),
        Row(
            "check: hash, CRC, safe reading",
            f"{middle['check']:.2f} s",
            f"{middle['bare']:.2f} s CRC + SHA-256",
            middle["check_ratio"],
            1.3,
        ),
        Row(
            "all of it, connecting, history and live copies too",
            f"{middle['whole']:.2f} s",
            f"{middle['rsync'] + middle['bare']:.2f} s both",
            middle["whole"] / (middle["rsync"] + middle["bare"]),
        ),
        Row(
            "a second sync, nothing new",
            f"{middle['again']:.2f} s",
            f"{middle['rsync']:.2f} s",
            middle["again"] / middle["rsync"],
        ),
    ]
    show(f"first sync of {FRAMES} frames, {report.files} files, {total_mb:.0f} MB, medians of {runs}", rows)


if __name__ == "__main__":
    main()
