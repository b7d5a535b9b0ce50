"""Two machines and a cable that can be harmed: this one, and a pod in a network namespace of its own.

    with cabled_pod(folder) as (pod, cable):      # skips the test where root or a tool is missing
        cable.rate("8mbit")                       # what the pod sends, by a token bucket
        cable.drop(percent=5)                     # of the packets of both ways; 100: a silent cut
        cable.mute()                              # all that the pod says is dropped; it hears us
        cable.heal()                              # no packet is dropped any more
        cable.unplug(); cable.plug()

Unlike behind a proxy, TCP itself is at work over the whole way: it sends again, slows down, gives up.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from being_remote.demo.pod import Pod

CLONE_NEWNET = 0x40000000
TOOLS = ("ip", "tc", "nft", "unshare", "nsenter")
HERE, THERE = "10.77.0.1", "10.77.0.2"


class CabledPod(Pod):
    """A pod that listens at the other end."""

    address = THERE


class Cable:
    """See above. `pid` is a process in the pod's namespace, which lasts as long as it does."""

    def __init__(self, pid: int) -> None:
        self._namespace = f"/proc/{pid}/ns/net"
        _do("ip", "link", "add", "here", "type", "veth", "peer", "name", "there", "netns", str(pid))
        _do("ip", "address", "add", f"{HERE}/24", "dev", "here")
        _do("ip", "link", "set", "here", "up")
        self._there("ip", "address", "add", f"{THERE}/24", "dev", "there")
        self._there("ip", "link", "set", "there", "up")
        self._there("ip", "link", "set", "lo", "up")
        self._there("nft", "add table inet faults")
        for hook in ("input", "output"):
            self._there("nft", f"add chain inet faults {hook} {{ type filter hook {hook} priority 0; }}")

    @contextlib.contextmanager
    def other_end(self) -> Iterator[None]:
        """This thread, and what it starts, stands at the other end."""
        with open("/proc/thread-self/ns/net") as back, open(self._namespace) as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(back.fileno())

    def rate(self, speed: str) -> None:
        bucket = ("burst", "32kb", "latency", "200ms")
        self._there("tc", "qdisc", "replace", "dev", "there", "root", "tbf", "rate", speed, *bucket)

    def drop(self, percent: int) -> None:
        for hook, device in (("input", "iifname"), ("output", "oifname")):
            dice = f"numgen random mod 100 < {percent}" if percent < 100 else ""
            self._there("nft", f'add rule inet faults {hook} {device} "there" {dice} drop')

    def mute(self) -> None:
        self._there("nft", 'add rule inet faults output oifname "there" drop')

    def heal(self) -> None:
        self._there("nft", "flush table inet faults")

    def unplug(self) -> None:
        self._there("ip", "link", "set", "there", "down")

    def plug(self) -> None:
        self._there("ip", "link", "set", "there", "up")

    def sent_bytes(self) -> int:
        """What the pod has sent so far, with all of TCP's own."""
        told = _do("nsenter", f"--net={self._namespace}", "cat", "/proc/net/dev")
        row = next(line for line in told.splitlines() if line.strip().startswith("there:"))
        return int(row.split()[9])

    def _there(self, *words: str) -> None:
        _do("nsenter", f"--net={self._namespace}", *words)


@contextlib.contextmanager
def cabled_pod(folder: Path) -> Iterator[tuple[Pod, Cable]]:
    """A running pod at the other end of a cable; the test run itself is in a namespace already."""
    if os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"not on this machine: {', '.join(missing)}")
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo; exec sleep 3600"], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout
        if not holder.stdout.readline():
            pytest.skip("this machine gives no network namespaces")
        cable = Cable(holder.pid)
        pod = CabledPod(folder, name="pod", path=None)
        with cable.other_end():
            pod.start()
        try:
            yield pod, cable
        finally:
            pod.stop()
            _do("ip", "link", "delete", "here")
    finally:
        holder.kill()
        holder.communicate()


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _do(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout
