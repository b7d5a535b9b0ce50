"""`find-bbox` on eight pods against one, each behind 100 ms of delay; and its round trips, counted.

Pods are real OpenSSH servers on this machine, so their half of the work is paid for here too. The
delay is a proxy's, in a process of its own: half of it each way, or all of it each way.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import yaml
from common import Row, paired, show

from being_remote.demo.actor import make_actor
from being_remote.demo.pod import Pod, start_pod
from being_remote.inventory import load_inventory
from being_remote.workflows.find_bbox import find_bbox

PODS = 8
RUNS = 5
TARGET = 1.3


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """Every chunk leaves `delay_s` after it came; later ones do not wait for earlier ones' delay."""
    chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            due, data = await chunks.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not data:
                writer.close()
                return
            writer.write(data)

    delivering = asyncio.create_task(deliver())
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            chunks.put_nowait((time.monotonic() + delay_s, data))
    chunks.put_nowait((time.monotonic() + delay_s, b""))
    await delivering


def _proxies(ports: Sequence[int], delay_s: float, ready: Connection) -> None:
    """One delaying proxy for each port; sends the list of its own ports, then serves for ever."""

    async def serve() -> None:
        servers = []
        for port in ports:

            async def handle(r: asyncio.StreamReader, w: asyncio.StreamWriter, port: int = port) -> None:
                await asyncio.sleep(delay_s * 2)  # TCP's own first round trip
                far_r, far_w = await asyncio.open_connection("127.0.0.1", port)
                await asyncio.gather(
                    _pump(r, far_w, delay_s), _pump(far_r, w, delay_s), return_exceptions=True
                )

            servers.append(await asyncio.start_server(handle, "127.0.0.1", 0))
        ready.send([s.sockets[0].getsockname()[1] for s in servers])
        await asyncio.Event().wait()

    asyncio.run(serve())


@contextlib.contextmanager
def delayed(pods: Sequence[Pod], delay_s: float) -> Iterator[list[int]]:
    """Ports on which the pods answer late."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_proxies, args=([p.port for p in pods], delay_s, there), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.kill()
        process.join()


def inventory_file(folder: Path, pods: Sequence[Pod], ports: Sequence[int]) -> Path:
    """An inventory that reaches the pods through the proxies, their keys trusted."""
    folder.mkdir(parents=True)
    (folder / "ssh_config").touch()
    (folder / "search").mkdir()
    (folder / "state").mkdir(mode=0o700)
    known = [f"[{p.address}]:{port} {p.host_key_line}\n" for p, port in zip(pods, ports, strict=True)]
    (folder / "state" / "known_hosts").write_text("".join(known))
    document: dict[str, Any] = {
        "hosts": {
            f"pod{i}": {**pod.inventory_entry(), "port": port}
            for i, (pod, port) in enumerate(zip(pods, ports, strict=True))
        },
        "actors": {"demo": {"source_size": [1920, 1080]}},
        "backups": "backups",
        "search_roots": ["search"],
        "state": "state",
        "ssh_config": "ssh_config",
    }
    path = folder / "inventory.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def command_s(path: Path, hosts: Sequence[str]) -> float:
    """The whole command in a fresh process, as a person waits for it."""
    argv = [
        str(Path(sys.executable).with_name("being-remote")),
        "find-bbox",
        "--json",
        "--inventory",
        str(path),
    ]
    for host in hosts:
        argv += ["--host", host]
    started = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, env={**os.environ, "SSH_AUTH_SOCK": ""})
    seconds = time.perf_counter() - started
    report = json.loads(done.stdout)
    trips = {r["host"]: r["round_trips"] for r in report["results"]}
    if done.returncode or set(trips.values()) != {1} or len(trips) != len(hosts) + 1:
        raise SystemExit(f"exit code {done.returncode}, round trips {trips}: {done.stderr.decode()[-500:]}")
    return seconds


def call_s(path: Path, hosts: Sequence[str]) -> float:
    """The search alone, imports paid for already."""
    inventory = load_inventory(path)
    started = time.perf_counter()
    report = find_bbox(inventory, hosts=hosts)
    seconds = time.perf_counter() - started
    if any(r.error for r in report.results):
        raise SystemExit(f"{[(r.host, r.error) for r in report.results]}")
    return seconds


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        pods = [stack.enter_context(start_pod(folder / f"pod{i}", name=f"pod{i}")) for i in range(PODS)]
        for pod in pods:
            make_actor(pod.root / "metrical-tracker", "demo", frames=24, pictures=False, video=False)
        everyone = [f"pod{i}" for i in range(PODS)]
        for delay_text, delay_s in (("100 ms a round trip", 0.05), ("100 ms each way", 0.1)):
            with delayed(pods, delay_s) as ports:
                path = inventory_file(folder / delay_text.replace(" ", "_"), pods, ports)
                call_s(path, everyone)
                for what, cost in (("whole command", command_s), ("search, imports aside", call_s)):
                    eight, one, ratio = paired(
                        lambda cost=cost, path=path: cost(path, everyone),
                        lambda cost=cost, path=path: cost(path, everyone[:1]),
                        RUNS,
                    )
                    rows.append(
                        Row(
                            f"{PODS} pods against 1, {delay_text}, {what}",
                            f"{eight:.2f} s",
                            f"{one:.2f} s",
                            ratio,
                            TARGET,
                        )
                    )
    show("find-bbox: one round trip to each host (counted in every run)", rows)


if __name__ == "__main__":
    main()
