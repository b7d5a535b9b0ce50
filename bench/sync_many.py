"""Many small files and one large one: first sync and a sync with nothing to do, against bare tools.

    python bench/sync_many.py [FILES MIB]      default: 2000 files of 300 bytes, 32 MiB

Connecting aside; of "nothing to do" also what an empty question costs on either side. The same over a
link of 80 ms each way, made by the tests' proxy in a process of its own; SFTP is measured on a sample,
file by file as Fabric's `get` does. Both sides run on this machine's cores.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from common import Row, process_cost, show
from sync import bare_check, first_sync, inventory_file, put_away

from being_remote.demo.pod import Pod, start_pod
from being_remote.inventory import load_inventory
from being_remote.pod_client import listing
from being_remote.transport import open_session
from being_remote.workflows.sync import sync

DELAY_S = 0.08
SIZES = (2000, 32)
SAMPLE = 25
LIMIT_MIB = 150
LOGS = "metrical-tracker/output/demo/logs"

# A proxy in our own process would slow us down, and not rsync.
_PROXY = """
import sys
sys.path.insert(0, sys.argv[1])
from faults import FaultProxy
with FaultProxy((sys.argv[2], int(sys.argv[3]))) as proxy:
    proxy.delay_s = float(sys.argv[4])
    print(proxy.port, flush=True)
    sys.stdin.read()
"""


def fill(pod: Pod, files: int, mib: int) -> None:
    """Small files with bytes that do not compress, a thousand to a folder; one large file."""
    logs = pod.root / LOGS
    for i in range(files):
        folder = logs / f"{i // 1000:04d}"
        if i % 1000 == 0:
            folder.mkdir(parents=True)
        (folder / f"{i:06d}.bin").write_bytes(os.urandom(300))
    logs.mkdir(parents=True, exist_ok=True)
    with open(logs / "large.bin", "wb") as f:
        for _ in range(mib):
            f.write(os.urandom(1 << 20))
    time.sleep(2.5)  # what was written just now is hashed again by the next sync


@contextmanager
def open_ssh(pod: Pod, port: int, folder: Path) -> Iterator[list[str]]:
    """The words of an ssh whose connection is open already."""
    options = ["-F", "/dev/null", "-i", str(pod.client_key), "-p", str(port), "-S", str(folder / "ssh.sock")]
    for option in ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"):
        options += ["-o", option]
    subprocess.run(["ssh", *options, "-MNf", f"{pod.user}@{pod.address}"], check=True)
    try:
        yield ["ssh", *options]
    finally:
        subprocess.run(["ssh", *options, "-O", "exit", pod.address], check=True, stderr=subprocess.DEVNULL)


@contextmanager
def slow_link(pod: Pod) -> Iterator[int]:
    """The port of a proxy that delays everything."""
    tests = Path(__file__).parents[1] / "tests"
    argv = [sys.executable, "-c", _PROXY, str(tests), pod.address, str(pod.port), str(DELAY_S)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout is not None
        yield int(proxy.stdout.readline())
        proxy.communicate()


def question_s(path: Path) -> float:
    """Seconds for the question of a listing that asks for nothing."""
    inventory = load_inventory(path)
    host = inventory.the_host(None)
    with open_session(host, inventory) as session:
        return min(seconds(lambda: listing.list_files(session, host.python, [])) for _ in range(3))


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def sftp_s(pod: Pod, port: int, sample: list[Path], folder: Path) -> float:
    """Seconds for one file by Fabric's `get`, connecting aside."""
    import fabric

    keys = {"key_filename": str(pod.client_key), "allow_agent": False, "look_for_keys": False}
    with fabric.Connection(pod.address, user=pod.user, port=port, connect_kwargs=keys) as connection:
        connection.open()
        connection.sftp()
        got = str(folder / "got")
        return seconds(lambda: [connection.get(str(file), local=got) for file in sample]) / len(sample)


def measured(pod: Pod, port: int, path: Path, folder: Path, files: int, link: str) -> Iterator[Row]:
    """One link: the first sync, one with nothing to do, and SFTP."""
    bare = folder / "bare"
    put_away(bare)
    bare.mkdir()
    with open_ssh(pod, port, folder) as shell:
        source = f"{pod.user}@{pod.address}:{pod.root}/{LOGS}"
        (pod.root / "empty").mkdir(exist_ok=True)
        argv = ["rsync", "-a", "-e", " ".join(shell), source, f"{bare}/"]
        empty = [*argv[:-2], f"{pod.user}@{pod.address}:{pod.root}/empty", f"{bare}/"]
        rsync_first = seconds(lambda: subprocess.run(argv, check=True))
        rsync_again = min(seconds(lambda: subprocess.run(argv, check=True)) for _ in range(3))
        rsync_again -= min(seconds(lambda: subprocess.run(empty, check=True)) for _ in range(3))
    report, connecting = first_sync(path)
    transfer, check = report.phases_s["transfer"] - connecting, report.phases_s["check"]
    live = [f for f in (load_inventory(path).backups / "demo/run").rglob("*") if f.is_file()]
    crc = bare_check(live)
    sync(load_inventory(path))
    again = min(sync(load_inventory(path)).phases_s["list"] for _ in range(3)) - question_s(path)
    limit = 1.1 if link == "no delay" else 1.0
    yield Row(
        f"{link}: transfer",
        f"{transfer:.2f} s",
        f"{rsync_first:.2f} s rsync -a",
        transfer / rsync_first,
        limit,
    )
    if link == "no delay":
        yield Row(
            "hashed on both sides, checked", f"{check:.2f} s", f"{crc:.2f} s CRC + SHA-256", check / crc, 1.3
        )
    yield Row(
        f"{link}: nothing to do", f"{again:.3f} s", f"{rsync_again:.3f} s rsync -a", again / rsync_again, 1.3
    )
    if files:
        sample = sorted((pod.root / LOGS).rglob("0*.bin"))[:SAMPLE]
        sftp = sftp_s(pod, port, sample, folder) * files
        yield Row(
            f"{link}: SFTP (from {len(sample)} files)",
            f"{transfer:.2f} s",
            f"{sftp:.0f} s",
            transfer / sftp,
            0.2,
        )


def main() -> None:
    sizes = tuple(int(word) for word in sys.argv[1:] if word.isdigit())
    files, mib = sizes if len(sizes) == len(SIZES) else SIZES
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name, start_pod(Path(name) / "pod") as pod:
        folder = Path(name)
        fill(pod, files, mib)
        path = inventory_file(pod, folder)
        first_sync(path)  # what is imported and compiled once is no part of any figure
        rows += measured(pod, pod.port, path, folder, files, "no delay")
        put_away(load_inventory(path).backups)
        cost = process_cost(
            [sys.executable, "-m", "being_remote", "sync", "--inventory", str(path), "--json"]
        )
        rows.append(
            Row(
                "memory of a first sync",
                f"{cost.peak_mib:.0f} MiB",
                f"{LIMIT_MIB} MiB",
                cost.peak_mib / LIMIT_MIB,
                1,
            )
        )
        with slow_link(pod) as port:
            document = yaml.safe_load(path.read_text())
            document["hosts"]["pod"]["port"] = port
            path.write_text(yaml.safe_dump(document))
            (folder / "state/known_hosts").write_text(f"[{pod.address}]:{port} {pod.host_key_line}\n")
            rows += measured(pod, port, path, folder, files, f"{DELAY_S * 1000:.0f} ms each way")
    show(f"{files} files of 300 bytes and one of {mib} MiB", rows)


if __name__ == "__main__":
    main()
