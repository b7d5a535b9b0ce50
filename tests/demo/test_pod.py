"""The throw-away pod: it is a real server, it dies completely, and it keeps this machine out."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from being_remote.demo import pod as pod_module
from being_remote.demo.pod import Pod, start_pod
from being_remote.errors import ToolMissing


@pytest.fixture
def own_pod(tmp_path: Path) -> Iterator[Pod]:
    with start_pod(tmp_path / "a pod") as running:
        yield running


def ssh_to(pod: Pod, folder: Path, *command: str, timeout: float = 20) -> subprocess.CompletedProcess[bytes]:
    known = folder / "known"
    known.write_text(f"[{pod.address}]:{pod.port} {pod.host_key_line}\n")
    options = ["-F", "/dev/null", "-i", str(pod.client_key), "-p", str(pod.port), "-o", "BatchMode=yes"]
    options += ["-o", f"UserKnownHostsFile={known}", "-o", "IdentitiesOnly=yes"]
    target = f"{pod.user}@{pod.address}"
    return subprocess.run(
        ["ssh", *options, target, *command], capture_output=True, timeout=timeout, check=False
    )


def test_ssh_logs_in_with_the_pods_key_and_finds_the_pods_own_home_folder(
    own_pod: Pod, tmp_path: Path
) -> None:
    done = ssh_to(own_pod, tmp_path, "echo $HOME")
    assert done.stdout.decode().strip() == str(tmp_path / "a pod" / "home"), done.stderr


def test_the_fingerprint_is_the_one_that_ssh_keygen_prints(own_pod: Pod, tmp_path: Path) -> None:
    public = tmp_path / "a pod" / "host_key.pub"
    printed = subprocess.run(["ssh-keygen", "-lf", str(public)], capture_output=True, check=True).stdout
    assert own_pod.fingerprint == printed.decode().split()[1]


def test_a_path_takes_programs_away(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to("/bin/sh")
    with start_pod(tmp_path / "pod", path=str(tmp_path / "bin")) as bare:
        assert ssh_to(bare, tmp_path, "command -v rsync || echo none").stdout == b"none\n"


def test_stopping_kills_what_was_started_through_it_even_if_detached(own_pod: Pod, tmp_path: Path) -> None:
    started = ssh_to(own_pod, tmp_path, "setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $!")
    pid = int(started.stdout)
    own_pod.stop()
    assert not pod_module._alive(pid)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((own_pod.address, own_pod.port), timeout=2)


def test_a_restart_keeps_the_port_and_the_key_and_a_new_key_is_another(own_pod: Pod, tmp_path: Path) -> None:
    port, fingerprint = own_pod.port, own_pod.fingerprint
    own_pod.restart()
    assert (own_pod.port, own_pod.fingerprint) == (port, fingerprint)
    assert ssh_to(own_pod, tmp_path, "true").returncode == 0
    own_pod.restart(new_host_key=True)
    assert own_pod.port == port
    assert own_pod.fingerprint != fingerprint
    assert ssh_to(own_pod, tmp_path, "true").returncode == 0


def test_a_paused_pod_accepts_connections_and_does_not_answer(own_pod: Pod, tmp_path: Path) -> None:
    own_pod.pause()
    with socket.create_connection((own_pod.address, own_pod.port), timeout=2) as frozen:
        frozen.settimeout(0.2)
        with pytest.raises(TimeoutError):
            frozen.recv(1)
    own_pod.resume()
    assert ssh_to(own_pod, tmp_path, "true").returncode == 0


def test_without_sshd_the_error_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pod_module.shutil.which
    monkeypatch.setattr(pod_module.shutil, "which", lambda n, **k: None if n == "sshd" else real(n, **k))
    with pytest.raises(ToolMissing, match="openssh-server"):
        start_pod(tmp_path / "pod")


def test_the_inventory_entry_names_existing_folders(own_pod: Pod) -> None:
    entry = own_pod.inventory_entry()
    assert Path(entry["workdir"]).is_dir() and Path(entry["tracker"]["root"]).is_dir()
    assert oct(os.stat(entry["identity_file"]).st_mode & 0o777) == "0o600"
