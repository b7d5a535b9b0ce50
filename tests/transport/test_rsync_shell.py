"""What the remote shell of rsync brings of the host's last words."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from being_remote.transport import rsync_shell

# Stands for ssh: the host's shell runs the one line that ssh was given.
SSH = """#!/bin/sh
for line; do :; done
exec sh -c "$line"
"""


def test_the_hosts_complaint_arrives_after_rsync_told_its_shell_that_it_gives_up(tmp_path: Path) -> None:
    ssh, go = tmp_path / "ssh", tmp_path / "go"
    ssh.write_text(SSH)
    ssh.chmod(0o755)
    os.mkfifo(go)
    words = f"echo listens; read go < {go}; echo 'disk quota exceeded' >&2; exit 11"
    command = ["sh", "-c", rsync_shell.script([str(ssh)]), "sh", "--", "pod", "sh", "-c", words]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as shell:
        assert shell.stdout and shell.stderr
        assert shell.stdout.readline() == b"listens\n"
        shell.send_signal(signal.SIGUSR1)  # as rsync does
        go.write_text("go\n")
        assert b"disk quota exceeded" in shell.stderr.read()
        assert shell.wait(timeout=10) == 11
