"""One rsync call that fetches named files: its words, its progress, its end put into our errors.

Names travel NUL-separated on stdin and never through a shell. What arrives is regular files with
the pod's modification times and with permissions of our own. A cut transfer leaves its half file
in a folder aside, where the next call finds it. Nothing is ever deleted here.
"""

from __future__ import annotations

import functools
import os
import re
import select
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from being_remote.errors import CommandFailed, ConnectionLost, NoSpace, ToolMissing, UnsafeFile
from being_remote.session import OnProgress, Progress, Pull, Pulled, Result, no_progress

OLDEST = (3, 2, 5)
PARTIAL_DIR = ".rsync-partial"
_STALL_S = 60
_KEPT_BYTES = 64 << 10
_END_S = 10.0

# rsync(1), "EXIT VALUES": what can only come from a link that broke or fell silent.
_LINK = {
    10: "the link broke",
    12: "the link broke in the middle",
    30: "nothing came for too long",
    35: "the other side did not answer",
    255: "ssh lost the connection",
}
_WORDS = {
    1: "it did not understand its own options",
    2: "the two rsyncs do not understand each other",
    3: "a folder cannot be read or entered",
    5: "the other side refused to start",
    11: "a file could not be read or written",
    13: "it could not report",
    14: "it could not talk to its own processes",
    20: "it was stopped",
    22: "it ran out of memory",
    23: "some files could not be transferred",
}


@dataclass(frozen=True)
class Remote:
    """How rsync reaches the host: the remote shell as words, and its name for the host."""

    shell: Sequence[str]
    target: str


def version() -> tuple[int, int, int] | None:
    """The version of this machine's rsync; None if there is none, or another program of that name."""
    found = shutil.which("rsync")
    return _version_of(found) if found else None


@functools.cache
def _version_of(program: str) -> tuple[int, int, int] | None:
    said = subprocess.run([program, "--version"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    found = re.match(rb"rsync\s+version v?(\d+)\.(\d+)\.(\d+)", said.stdout)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def pull(request: Pull, *, host: str, remote: Remote | None, on_progress: OnProgress = no_progress) -> Pulled:
    """Fetch `request.names`; without `remote` from this machine's own disk.

    Files that are gone over there are left out silently: they vanished since they were listed.

    Raises:
        ToolMissing: no rsync over there (host is the pod), or none here that is new enough
            (host is "local").
        ConnectionLost: the link broke; a second call goes on where this one stopped.
        NoSpace: the disk is full here.
        CommandFailed: anything else that rsync says.
        UnsafeFile: a name would leave the folder.
    """
    require_rsync()
    check_names(request.names)
    if not request.names:
        return Pulled(0, 0, "rsync")
    request.into.mkdir(parents=True, exist_ok=True)
    argv = words(request, remote, with_progress=on_progress is not no_progress)
    with tempfile.TemporaryFile() as names:
        # A leading ./ keeps a name that begins with # or ; from being a comment.
        names.write(b"".join(b"./" + name + b"\0" for name in request.names))
        names.seek(0)
        with _AllEnded() as ended:
            process = subprocess.Popen(
                argv,
                stdin=names,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[ended.mark],
                env={**os.environ, "LC_ALL": "C"},
            )
            assert process.stdout and process.stderr
            complaints = Complaints(process.stderr)
            try:
                stats = _watch(process.stdout, request, on_progress)
                code = process.wait()
            finally:
                _stop(process)
        said = complaints.said()
    if code not in (0, 24):
        _fail(code, said, argv, host, request.into)
    return Pulled(stats.get("transferred", 0), stats.get("literal", 0), "rsync")


def require_rsync() -> None:
    """See that this machine's rsync is new enough.

    Raises:
        ToolMissing: it is not; older ones believe file lists that were not asked for.
    """
    found = version()
    if found is None or found < OLDEST:
        needed, have = ".".join(map(str, OLDEST)), ".".join(map(str, found or ()))
        raise ToolMissing(
            host="local",
            tool=f"rsync >= {needed}" + (f" (found {have})" if have else ""),
            hint="apt-get install rsync; on macOS: brew install rsync",
        )


def check_names(names: Iterable[bytes]) -> None:
    """Refuse names that are no path below a folder.

    Raises:
        UnsafeFile: absolute, empty, or climbing.
    """
    for name in names:
        parts = name.split(b"/")
        if b"\0" in name or any(part in (b"", b".", b"..") for part in parts):
            raise UnsafeFile("is not a path below the folder it was listed in", file=repr(name))


def words(request: Pull, remote: Remote | None, *, with_progress: bool) -> list[str]:
    """rsync's command line; each word says why it is there."""
    source = f"{request.source}/"
    argv = [
        "rsync",
        "--times",
        "--secluded-args",  # the folder's name travels in the protocol, never through a shell
        "--from0",
        "--files-from=-",
        "--no-implied-dirs",  # the pod's folders' own properties are not believed
        "--ignore-missing-args",
        "--no-links",
        "--no-devices",
        "--no-specials",
        "--chmod=D755,F644",  # what cannot be read here is no backup
        f"--partial-dir={PARTIAL_DIR}",
        f"--timeout={_STALL_S}",
        "--stats",
        "--no-human-readable",
    ]
    if request.unless_in.is_dir():
        argv.append(f"--compare-dest={request.unless_in.resolve()}")
    if with_progress:
        argv += ["--info=progress2", "--no-inc-recursive", "--outbuf=N"]
    if remote is not None:
        argv += ["-e", " ".join(remote.shell)]
        source = f"{remote.target}:{source}"
    return [*argv, "--", source, f"{request.into.resolve()}/"]


class Complaints:
    """The beginning of a program's stderr; the host writes there too, so the rest is read and dropped."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._kept = bytearray()
        self._reader = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._reader.start()

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            while data := os.read(pipe.fileno(), 65536):
                self._kept += data[: _KEPT_BYTES - len(self._kept)]

    def said(self) -> bytes:
        """What came so far, once the program has ended; what it left behind may keep the pipe open."""
        self._reader.join(timeout=1)
        return bytes(self._kept)


class _AllEnded:
    """Left only when the last of rsync's processes on this machine is gone.

    rsync is two or three of them, and the first does not wait for the others when it gives up: for a
    moment they still write where the next call would. Each inherits the pipe's end `mark`; ssh closes
    what it inherits, so a connection that is kept open does not count.
    """

    def __init__(self) -> None:
        self._gone, self.mark = os.pipe()

    def __enter__(self) -> _AllEnded:
        return self

    def __exit__(self, *exc: object) -> None:
        """Wait until all have ended, within reason: one may be stuck in a disk's own wait."""
        os.close(self.mark)
        select.select([self._gone], [], [], _END_S)
        os.close(self._gone)


def _watch(out: IO[bytes], request: Pull, on_progress: OnProgress) -> dict[str, int]:
    """Read rsync to its end, reporting as it goes; returns the figures of --stats."""
    stats: dict[str, int] = {}
    for line in _lines(out.fileno()):
        if step := re.match(rb"\s*(\d+)\s+\d+%\s", line):
            on_progress(Progress(f"fetching {request.source.name}", int(step[1]), request.total_bytes))
        elif found := re.match(rb"Number of regular files transferred: (\d+)", line):
            stats["transferred"] = int(found[1])
        elif found := re.match(rb"Literal data: (\d+) bytes", line):
            stats["literal"] = int(found[1])
    return stats


def _lines(fd: int) -> Iterable[bytes]:
    """Lines as they come; rsync ends a line of progress by a carriage return."""
    rest = b""
    while data := os.read(fd, 65536):
        *whole, rest = re.split(rb"[\r\n]", rest + data)
        # A pod chooses what its rsync says, so a line without an end must not grow without bounds.
        rest = rest[-4096:]
        yield from whole
    yield rest


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End rsync if it still runs (Ctrl-C); it keeps its half file when it is asked politely."""
    if process.stdout:
        process.stdout.close()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _fail(code: int, said: bytes, argv: Sequence[str], host: str, into: Path) -> None:
    text = said.decode("utf-8", "backslashreplace").strip()
    last = text[-600:]
    # The far shell's 127 reaches us as 127 or as 12, depending on which side notices first.
    if re.search(rb"rsync: (command )?not found|rsync: No such file", said) and code in (12, 127, 255):
        raise ToolMissing(host=host, tool="rsync", hint="apt-get install rsync on the host")
    if b"No space left on device" in said:
        raise NoSpace(
            "the disk is full", file=str(into), hint="free some space, then call it again: it goes on"
        )
    # An rsync that gives up over there looks like a broken link from here; its own words tell.
    codes = {code, *(int(found) for found in re.findall(rb"\(code (\d+)\)", said))}
    if codes <= _LINK.keys():
        raise ConnectionLost(
            f"rsync: {_LINK[code]}: {last}",
            host=host,
            hint="call it again: what arrived stays, and it goes on",
        )
    raise CommandFailed(
        f"rsync: {_WORDS.get(min(codes - _LINK.keys()), 'it failed')}: {last}",
        host=host,
        result=Result(host, tuple(argv), code, b"", said, 0.0),
    )
