"""What the remote shell of rsync brings of the host's last words."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from being_remote.transport import rsync_process, rsync_shell

# Stands for ssh: the host's shell runs the one line that ssh was given.
SSH = """#!/bin/sh
for line; do :; done
exec sh -c "$line"
"""


def start_shell(folder: Path, words: str) -> subprocess.Popen[bytes]:
    """rsync's remote shell, which runs these words of a shell on the host."""
    ssh = folder / "ssh"
    ssh.write_text(SSH)
    ssh.chmod(0o755)
    return subprocess.Popen(
        ["sh", "-c", rsync_shell.script([str(ssh)]), "sh", "--", "pod", "sh", "-c", words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_the_hosts_complaint_arrives_after_rsync_told_its_shell_that_it_gives_up(tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    words = f"echo listens; read go < {go}; echo 'disk quota exceeded' >&2; exit 11"
    with start_shell(tmp_path, words) as shell:
        assert shell.stdout and shell.stderr
        assert shell.stdout.readline() == b"listens\n"
        shell.send_signal(signal.SIGUSR1)  # as rsync does
        go.write_text("go\n")
        assert b"disk quota exceeded" in shell.stderr.read()
        assert shell.wait(timeout=10) == 11


def test_a_message_that_begins_like_a_mark_is_shown_before_the_next_one_comes(tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    words = f"printf '\\036the disk of this pod will be read-only soon' >&2; read go < {go}"
    with start_shell(tmp_path, words) as shell:
        assert shell.stderr
        came = select.select([shell.stderr], [], [], 5)[0]
        go.write_text("go\n")
        assert came and b"read-only soon" in shell.stderr.read()


def test_a_mistake_of_ours_in_rsyncs_shell_is_printed_and_is_no_lost_link() -> None:
    code = (
        "from being_remote.transport import rsync_shell\n"
        "rsync_shell.MarkReader = None\n"
        "rsync_shell.main(['true', '--', 'pod', 'rsync'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert b"Traceback" in done.stderr and b"TypeError" in done.stderr
    assert done.returncode not in {0, *rsync_process._LINK, *rsync_process._WORDS}
