"""A TCP proxy on loopback that harms what passes through it, for tests of bad networks.

    with FaultProxy((pod.address, pod.port)) as proxy:
        entry = {**pod.inventory_entry(), "port": proxy.port}
        proxy.cut()                 # reset every open connection now
        proxy.mode = "hang"         # connections stay open, nothing passes any more
        proxy.mode = "refuse"       # new connections are reset at once
        proxy.delay_s = 0.1         # each way, whatever the amount; order is kept
        proxy.cut_after = 100_000   # bytes from the target, in all, then reset; None: no limit
        proxy.connections           # how many were accepted so far

A proxied pod is trusted under the proxy's port: `known_host(proxy, pod)` is the line for it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class FaultProxy:
    """Listens on `address`:`port` and passes everything on to `target`, with faults."""

    address = "127.0.0.1"

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.mode = "ok"
        self.delay_s = 0.0
        self.cut_after: int | None = None
        self.connections = 0
        self.bytes_from_target = 0
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server((self.address, 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def known_host(self, pod: Any) -> str:
        """The known_hosts line for `pod` as reached through this proxy."""
        return f"[{self.address}]:{self.port} {pod.host_key_line}\n"

    def cut(self) -> None:
        """Reset every open connection, as a network that is gone does at last."""
        for end in list(self._ends):
            self._reset(end)

    def close(self) -> None:
        # Without the shutdown one more connection would be accepted.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.mode = "ok"
        self.cut()

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.mode == "refuse":
                self._reset(client)
                continue
            try:
                server = socket.create_connection(self.target, 5)
            except OSError:
                self._reset(client)
                continue
            with self._lock:
                self._ends |= {client, server}
            self._pump(client, server, count=False)
            self._pump(server, client, count=True)

    def _pump(self, source: socket.socket, sink: socket.socket, *, count: bool) -> None:
        waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

        def read() -> None:
            try:
                while data := source.recv(65536):
                    waiting.put((time.monotonic() + self.delay_s, data))
                waiting.put((time.monotonic() + self.delay_s, b""))
            except OSError:
                self._reset(sink)

        def write() -> None:
            try:
                while True:
                    due, data = waiting.get()
                    time.sleep(max(0.0, due - time.monotonic()))
                    while self.mode == "hang":
                        time.sleep(0.01)
                    if not data:
                        sink.shutdown(socket.SHUT_WR)
                        return
                    if count and self._spent(len(data)):
                        self.cut()
                        return
                    sink.sendall(data)
            except OSError:
                self._reset(source)

        for work in (read, write):
            threading.Thread(target=work, daemon=True).start()

    def _spent(self, amount: int) -> bool:
        with self._lock:
            self.bytes_from_target += amount
            return self.cut_after is not None and self.bytes_from_target > self.cut_after

    def _reset(self, end: socket.socket) -> None:
        with self._lock:
            self._ends.discard(end)
        try:
            # Zero seconds of linger: closing sends a reset instead of a goodbye.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it was closed already
        end.close()


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 2 MB at `folder`, which is made."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        # The kernel lets go of the files of a process that ended a moment after its end is told.
        deadline = time.monotonic() + 10
        while (done := subprocess.run(["umount", folder], capture_output=True, text=True)).returncode != 0:
            assert time.monotonic() < deadline, done.stderr
            time.sleep(0.05)
