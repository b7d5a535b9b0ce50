"""The built-in checks, in the order in which `doctor` shows them."""

from __future__ import annotations

from being_remote.host_checks.disk_check import DiskCheck
from being_remote.host_checks.gpu_check import GpuCheck
from being_remote.host_checks.host_check import HostCheck
from being_remote.host_checks.lock_check import LockCheck
from being_remote.host_checks.python_check import PythonCheck
from being_remote.host_checks.rsync_check import RsyncCheck
from being_remote.host_checks.tracker_check import TrackerCheck

BUILT_IN: tuple[HostCheck, ...] = (
    RsyncCheck(),
    PythonCheck(),
    GpuCheck(),
    LockCheck(),
    DiskCheck(),
    TrackerCheck(),
)
