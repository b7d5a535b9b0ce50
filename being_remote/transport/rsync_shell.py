"""The remote shell of rsync: ssh, with rsync's words between our marks.

rsync takes the first byte that it gets for its protocol, sends its own at once, and waits until all that a
login started has ended. So this stands between: it drops what a login prints, sends nothing before the host
listens, and ends with the remote rsync.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from being_remote.transport.local_process import write_all
from being_remote.transport.output_framing import (
    GO,
    LAST_ERR_S,
    LONGEST_LOGIN_S,
    EndlessGreeting,
    MarkedCommand,
    MarkReader,
    frame_command,
    quote_words,
)

_CHUNK = 256 << 10
_LOST = 255  # ssh's own code
_FAILED = 70  # no code of rsync's own, so it is not taken for a lost link
# Without the current folder, where anybody's modules may lie.
_START = "import sys; sys.path[:1] = [sys.argv.pop(1)]; from {module} import main; main(sys.argv[1:])"


def script(ssh_words: Sequence[str]) -> str:
    """A shell script that is rsync's remote shell, given the words of ssh before the host."""
    code = _START.format(module="being_remote.transport.rsync_shell")
    root = str(Path(__file__).parents[2])
    return f'exec {shlex.join([sys.executable, "-B", "-c", code, root, *ssh_words])} "$@"\n'


def main(argv: Sequence[str]) -> None:
    """Run ssh's words, a host behind `--`, and rsync's words for it; ends this process."""
    at = argv.index("--") + 2
    command = frame_command(argv[at:], has_input=True)
    process = subprocess.Popen(
        [*argv[:at], quote_words(command.argv)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    code = _LOST
    # rsync sends this to its shell when it gives up; what the host says of it is still to come.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    for descriptor in (0, 1):  # rsync gives its remote shell pipes that do not wait
        os.set_blocking(descriptor, True)
    try:
        code = _relay(process, command)
    except BrokenPipeError:
        pass  # rsync ended
    except OSError as e:
        os.write(2, f"rsync's remote shell: {e}\n".encode(errors="replace"))
    except EndlessGreeting:
        os.write(2, b"the login prints without end\n")
        code = _FAILED
    except Exception:  # noqa: BLE001 - a mistake of ours, which is printed whole
        os.write(2, traceback.format_exc().encode(errors="replace"))
        code = _FAILED
    finally:
        process.kill()
        os._exit(code)  # its threads may wait for what never comes


def _relay(process: subprocess.Popen[bytes], command: MarkedCommand) -> int:
    """Move bytes both ways until the remote command ends; returns its exit code."""
    assert process.stdin and process.stdout and process.stderr
    to, out, err = process.stdin.fileno(), process.stdout.fileno(), process.stderr.fileno()
    errors = _start(_relay_errors, err, command.mark)
    reader, listens = MarkReader(command.mark), threading.Event()

    def give_up() -> None:
        if not listens.wait(LONGEST_LOGIN_S):
            os.write(2, b"the login started no command\n")
            process.kill()

    def feed() -> None:
        with contextlib.suppress(BrokenPipeError):
            write_all(to, GO)
            while data := os.read(0, _CHUNK):
                write_all(to, data)
        os.close(to)

    _start(give_up)
    while reader.exit_code is None and (data := os.read(out, _CHUNK)):
        own = reader.feed(data)
        if reader.is_open and not listens.is_set():
            listens.set()
            _start(feed)
        write_all(1, own)
    errors.join(LAST_ERR_S)
    return _LOST if reader.exit_code is None else reader.exit_code


def _relay_errors(err: int, mark: bytes) -> None:
    held = b""
    while data := os.read(err, _CHUNK):
        held, found, _ = (held + data).partition(mark)
        ready = len(held) if found else held.rfind(mark[:1])
        if ready < 0 or len(held) - ready >= len(mark):  # no mark has begun: its first byte is in it once
            ready = len(held)
        write_all(2, held[:ready])
        held = held[ready:]
        if found:
            return
    write_all(2, held)


def _start(target: Callable[..., None], *args: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=args, daemon=True)
    thread.start()
    return thread
