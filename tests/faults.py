"""Faults that are real: a TCP proxy on loopback that harms what passes through it, and disks that are full.

    with FaultProxy((pod.address, pod.port)) as proxy:
        entry = {**pod.inventory_entry(), "port": proxy.port}
        proxy.cut()                 # reset every open connection now
        proxy.mode = "hang"         # connections stay open, nothing passes any more
        proxy.mode = "mute"         # the same, but only what the target says is held back
        proxy.mode = "deaf"         # the same, but only what is said to the target is held back
        proxy.mode = "refuse"       # new connections are reset at once
        proxy.delay_s = 0.1         # each way, whatever the amount; order is kept
        proxy.rate = 1e6            # bytes a second from the target, over all connections; None: no limit
        proxy.cut_after = 100_000   # bytes from the target, in all, then reset; None: no limit
        proxy.cut_after_sent = 100_000  # the same for bytes to the target
        proxy.heals = True          # after such a cut the next connection is a good one
        proxy.connections           # how many were accepted so far

A proxied pod is trusted under the proxy's port: `known_host(proxy, pod)` is the line for it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

MAX_ON_THE_WAY = 4 << 20


def when(happened: Callable[[], bool], action: Callable[[], object]) -> None:
    """Do something, in a thread of its own, as soon as something has happened."""

    def wait() -> None:
        while not happened():
            time.sleep(0.002)
        action()

    threading.Thread(target=wait, daemon=True).start()


class FaultProxy:
    """Listens on `address`:`port` and passes everything on to `target`, with faults."""

    address = "127.0.0.1"

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.mode = "ok"
        self.delay_s = 0.0
        self.rate: float | None = None
        self.cut_after: int | None = None
        self.heals = False
        self.connections = 0
        self.bytes_from_target = 0
        self.cut_after_sent: int | None = None
        self.bytes_to_target = 0
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._free_at = 0.0
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
                server.settimeout(None)  # a target may be silent for long
            except OSError:
                self._reset(client)
                continue
            with self._lock:
                self._ends |= {client, server}
            self._pump(client, server, back=False)
            self._pump(server, client, back=True)

    def _pump(self, source: socket.socket, sink: socket.socket, *, back: bool) -> None:
        held = ("hang", "mute") if back else ("hang", "deaf")
        waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        # Of bytes, as a network counts: many small packets must not be slower than few large ones.
        room, on_the_way = threading.Condition(), 0

        def read() -> None:
            nonlocal on_the_way
            try:
                while data := source.recv(65536):
                    with room:
                        while on_the_way >= MAX_ON_THE_WAY:  # the sender has to wait, too
                            room.wait()
                        on_the_way += len(data)
                    waiting.put((time.monotonic() + self.delay_s, data))
                waiting.put((time.monotonic() + self.delay_s, b""))
            except OSError:
                self._reset(sink)

        def write() -> None:
            nonlocal on_the_way
            try:
                while True:
                    due, data = waiting.get()
                    time.sleep(max(0.0, due - time.monotonic()))
                    with room:
                        on_the_way -= len(data)
                        room.notify()
                    while self.mode in held:
                        time.sleep(0.01)
                    if not data:
                        sink.shutdown(socket.SHUT_WR)
                        return
                    left = self._left(len(data)) if back else self._left_to_send(len(data))
                    sink.sendall(data[:left])
                    if left is not None:
                        self.cut()
                        return
            except OSError:
                self._reset(source)

        for work in (read, write):
            threading.Thread(target=work, daemon=True).start()

    def _left(self, amount: int) -> int | None:
        """How many of so many bytes from the target may still pass before the cut; None: all of them."""
        with self._lock:
            start, self.bytes_from_target = self.bytes_from_target, self.bytes_from_target + amount
            if self.rate is not None:
                self._free_at = max(self._free_at, time.monotonic()) + amount / self.rate
            free_at, limit = self._free_at, self.cut_after
            spent = limit is not None and self.bytes_from_target > limit
            if spent and self.heals:
                self.cut_after = None
        time.sleep(max(0.0, free_at - time.monotonic()))
        return max(0, limit - start) if limit is not None and spent else None

    def _left_to_send(self, amount: int) -> int | None:
        """The same for bytes to the target."""
        with self._lock:
            start, self.bytes_to_target = self.bytes_to_target, self.bytes_to_target + amount
            limit = self.cut_after_sent
            spent = limit is not None and self.bytes_to_target > limit
            if spent and self.heals:
                self.cut_after_sent = None
        return max(0, limit - start) if limit is not None and spent else None

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
        _unmount(folder)


def leave_room(disk: Path, what: str, count: int = 0) -> None:
    """Make a `small_disk` so small that so many more "pages", or "files", fit; "all": give it much room."""
    at = os.statvfs(disk)
    size = max((at.f_blocks - at.f_bfree) * at.f_frsize + count * 4096, 4096)  # 0 is no limit at all
    limits = {
        "pages": f"size={size},nr_inodes=10000",
        "files": f"size=8m,nr_inodes={at.f_files - at.f_ffree + count}",
        "all": "size=8m,nr_inodes=10000",
    }
    subprocess.run(["mount", "-o", f"remount,{limits[what]}", disk], check=True)


@contextlib.contextmanager
def folding_disk(folder: Path) -> Iterator[Path]:
    """A folder, which is made, on a file system that takes `A` and `a` for one name."""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("mounting needs root, and mkfs.ext4")
    image = folder.with_name(f"{folder.name}.img")
    image.write_bytes(b"")
    os.truncate(image, 32 << 20)
    folder.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-O", "casefold", "-E", "encoding=utf8", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True).returncode != 0:
        pytest.skip("this machine's kernel has no file system that folds case")
    try:
        inside = folder / "Folding"
        inside.mkdir()
        subprocess.run(["chattr", "+F", inside], check=True)
        yield inside
    finally:
        _unmount(folder)


def _unmount(folder: Path) -> None:
    # The kernel lets go of the files of a process that ended a moment after its end is told.
    deadline = time.monotonic() + 10
    while (done := subprocess.run(["umount", folder], capture_output=True, text=True)).returncode != 0:
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.05)
