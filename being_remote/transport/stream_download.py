"""Fetching many small files, or from a pod without rsync: one stream, made by a small program over there.

rsync spends a name on each file and waits for some of them; over a slow link a thousand frames take
as long as their names. Here all come one behind the other. Only files that were asked for, and only
regular ones, are taken; each is written aside and renamed when it is whole, so what stands under its
name is complete, and a second call asks only for the rest. Nothing is ever deleted but half files and
empty folders that a whole file replaces.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import resources
from itertools import compress, islice
from pathlib import Path

from being_remote.disk import FULL, no_space, room_bytes
from being_remote.errors import (
    AnswerTimeout,
    ConnectionLost,
    HostError,
    ToolMissing,
    UnsafeFile,
)
from being_remote.pace import SLOWEST, Pace, Rate
from being_remote.pod.send import HEADER, TRAILER
from being_remote.session import (
    PARTIAL_DIR,
    Hashed,
    OnHashed,
    OnProgress,
    Pull,
    PullResult,
    Session,
    Stream,
    TransferProgress,
    no_progress,
)
from being_remote.transport.rsync import check_names, left_out
from being_remote.transport.rsync_process import Outgrown

# Files up to so many bytes, if there are so many of them, come faster so than by rsync: a cut costs at
# most the one that was on its way. A few are not worth a request of their own.
SMALL_BYTES = 1 << 20
MANY = 64
_STALL_S = 60
_CHUNK = 1 << 20
_TELL_BYTES = 1 << 18
_ROWS = 1000
_HALF = re.compile(r"\.being-remote-[0-9a-f]{16}")
_SECOND_NS = 1_000_000_000
_LOOK_BYTES = 16 << 20  # how often the room on the disk is looked at
# Also names that this disk cannot hold.
_IN_THE_WAY = (
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENOTEMPTY,
    errno.ENAMETOOLONG,
    errno.EILSEQ,
    errno.EINVAL,
)


def divided(request: Pull) -> tuple[Pull, Pull]:
    """The part of a request that shall come as one stream, and the rest."""
    small = [size <= SMALL_BYTES for size in request.sizes]
    if sum(small) < MANY or request.unless_in.is_dir():  # of what is here in part rsync sends the difference
        return _part(request, [False] * len(small)), request
    return _part(request, small), _part(request, [not each for each in small])


def sweep(folder: Path) -> None:
    """Remove what a killed stream left half there."""
    with suppress(FileNotFoundError):
        for name in os.listdir(folder):
            if _HALF.fullmatch(name):
                (folder / name).unlink()


def _part(request: Pull, chosen: Sequence[bool]) -> Pull:
    return replace(
        request, names=tuple(compress(request.names, chosen)), sizes=tuple(compress(request.sizes, chosen))
    )


def pull(
    request: Pull,
    session: Session,
    python: str,
    on_progress: OnProgress,
    on_hashed: OnHashed,
    rate: Rate = SLOWEST,
) -> PullResult:
    """Fetch what is not here yet of `request.names`; of a file that grew since, as much as was listed.

    Args:
        request: see `session.Pull`.
        session: an open way to the host.
        python: the host's Python, 3.8 or newer.
        on_progress: told the bytes so far.
        on_hashed: see `Session.pull`.
        rate: how slow it may be.

    Raises:
        ConnectionLost: the link broke; what arrived whole stays.
        AnswerTimeout: it came more slowly than `rate`.
        ToolMissing: the pod has no such Python.
        CommandFailed: a file or the folder cannot be read over there; all others came.
        UnsafeFile: the pod sent something else than was asked for.
        NoSpace: the disk here is full, or nearly.
        HostError: a folder lies here where a file belongs, or the other way round; all others came.
    """
    check_names(request.names)
    if not request.names:
        return PullResult(0, 0, "stream")
    program = resources.files("being_remote.pod").joinpath("send.py").read_text(encoding="utf-8")
    try:
        with session.stream([python, "-I", "-B", "-S", "-c", program], stdin=_asked(request)) as stream:
            return _IncomingStream(request, stream, session.host, on_progress, on_hashed, rate).all()
    except ToolMissing as e:
        raise ToolMissing(
            host=session.host, tool=f"rsync or {python}", hint="apt-get install rsync on the host"
        ) from e
    except OSError as e:
        if e.errno in FULL:
            raise no_space(request.into) from e
        raise


def after_rsync(
    request: Pull, fetch: Callable[[], PullResult], session: Session, python: str, on_hashed: OnHashed
) -> PullResult:
    """Fetch by rsync (`fetch`), then as one stream what outgrew its listing, as much of it as was listed."""
    try:
        came = fetch()
    except Outgrown:
        came = PullResult(0, 0, "rsync")
    left = left_out(request)
    return together(came, pull(left, session, python, no_progress, on_hashed)) if left.names else came


def together(one: PullResult, other: PullResult) -> PullResult:
    """Two parts of one pull."""
    methods = {p.method for p in (one, other) if p.transferred_files} or {one.method}
    files, size = (
        one.transferred_files + other.transferred_files,
        one.transferred_bytes + other.transferred_bytes,
    )
    return PullResult(files, size, ", ".join(sorted(methods)))


def _asked(request: Pull) -> bytes:
    """The question: each name, the versions of the file that are here or in the live tree, and its size."""
    folders = [os.fsencode(f) for f in (request.into, request.unless_in) if f.is_dir()]
    rows = (  # JSON text at once, for speed
        f"[{json.dumps(_letters(name))}, {[v for f in folders if (v := _version(f, name))]}, {size}]"
        for name, size in zip(request.names, request.sizes, strict=True)
    )
    deflate = zlib.compressobj(1)
    said = [deflate.compress(json.dumps(_letters(os.fsencode(request.source))).encode("ascii"))]
    while some := list(islice(rows, _ROWS)):
        said.append(deflate.compress(f"\n[{', '.join(some)}]".encode("ascii")))
    return b"".join((*said, deflate.flush()))


def _version(folder: bytes, name: bytes) -> list[int] | None:
    try:
        found = os.lstat(folder + b"/" + name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return [found.st_size, found.st_mtime_ns // _SECOND_NS]


def _letters(name: bytes) -> str:
    """One letter for each byte, as `pod/send.py` spells names."""
    return name.decode("latin-1")


def _half_files(folder: bytes) -> set[bytes]:
    """Make a folder; the names of the half files that rsync left for it."""
    os.makedirs(folder, exist_ok=True)
    try:
        return set(os.listdir(os.path.join(folder, os.fsencode(PARTIAL_DIR))))
    except (FileNotFoundError, NotADirectoryError):
        return set()


class _IncomingStream:
    """The stream of one pull, believed in nothing."""

    def __init__(
        self,
        request: Pull,
        stream: Stream,
        host: str,
        on_progress: OnProgress,
        on_hashed: OnHashed,
        rate: Rate,
    ) -> None:
        self._request, self._stream, self._host = request, stream, host
        self._on_progress, self._on_hashed = on_progress, on_hashed
        self._into = os.fsencode(request.into)
        self._aside = self._into + b"/.being-remote-" + secrets.token_hex(8).encode("ascii")
        self._half: dict[bytes, set[bytes]] = {}
        self._unplaced: list[str] = []
        self._have, self._at = b"", 0
        self._files, self._bytes, self._told, self._looked = 0, 0, 0, 0
        self._pace, self._read = Pace(host, rate), 0
        self._what, self._total = f"fetching {request.source.name}", request.total_bytes

    def all(self) -> PullResult:
        """Take every file there is."""
        names, before = self._request.names, -1
        os.makedirs(self._into, exist_ok=True)
        try:
            while True:
                number, size, *figures = HEADER.unpack(self._exactly(HEADER.size))
                if not before < number <= len(names):
                    raise self._unsafe(f"file {number} behind {before} of {len(names)}")
                if number == len(names):
                    break
                if size > self._request.sizes[number]:
                    raise self._unsafe(f"{size} bytes of file {number}, of which fewer were listed")
                hashed = self._receive(size, *figures)
                if self._place(names[number]):
                    self._files += 1
                    self._on_hashed(names[number], hashed)
                before = number
        finally:
            with suppress(FileNotFoundError):
                os.unlink(self._aside)
        if self._some() or self._at < len(self._have):
            raise self._unsafe("something behind the last file")
        if self._unplaced:
            raise HostError(
                f"{len(self._unplaced)} files cannot be put where files arrive, as {self._unplaced[0]}",
                host=self._host,
                hint=f"something lies in the way below {self._request.into}: move it away, then again",
            )
        return PullResult(self._files, self._bytes, "stream")

    def _receive(self, size: int, mtime_ns: int, ctime_ns: int, inode: int) -> Hashed | None:
        """Write one file aside; returns what the host says of it if nobody wrote it meanwhile."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._aside, flags, 0o644)
        try:
            here = self._bytes_into(descriptor, size)
            sound, good, after_ns, there = TRAILER.unpack(self._exactly(TRAILER.size))
            if there != here or good > size:
                raise self._unsafe("other bytes than it hashed")
            if good < size:
                os.ftruncate(descriptor, good)
            # Not the time that was listed if it was written since: it is not what was listed.
            os.utime(descriptor, ns=(after_ns, after_ns))
        finally:
            os.close(descriptor)
        whole = sound and good == size and after_ns == mtime_ns
        return Hashed(size, mtime_ns, ctime_ns, inode, there) if whole else None

    def _bytes_into(self, descriptor: int, size: int) -> bytes:
        """Write the next bytes; returns their sha256."""
        here, left = hashlib.sha256(), size
        while left:
            data = self._exactly(min(left, _CHUNK))
            here.update(data)
            left -= len(data)
            self._bytes += len(data)
            if self._bytes - self._looked >= _LOOK_BYTES:
                self._looked = self._bytes
                if room_bytes(self._request.into) < 0:
                    raise no_space(self._request.into)
            while data:
                data = data[os.write(descriptor, data) :]
            if self._bytes - self._told >= _TELL_BYTES or self._bytes == self._total:
                self._told = self._bytes
                self._on_progress(TransferProgress(self._what, self._bytes, self._total))
        return here.digest()

    def _place(self, name: bytes) -> bool:
        """Give what lies aside its name; False if something is in the way, which is told at the end."""
        folder, _, last = name.rpartition(b"/")
        final = self._into + b"/" + name
        try:
            if folder not in self._half:
                self._half[folder] = _half_files(os.path.join(self._into, folder))
            try:
                os.replace(self._aside, final)
            except IsADirectoryError:
                os.rmdir(final)  # only an empty one gives way, as it does to rsync
                os.replace(self._aside, final)
        except OSError as e:
            if e.errno not in _IN_THE_WAY:
                raise
            self._unplaced.append(f"{os.fsdecode(name)!r}: {e.strerror}")
            os.unlink(self._aside)
            return False
        if last in self._half[folder]:
            half = os.path.join(folder, os.fsencode(PARTIAL_DIR), last)
            if half not in self._request.names:
                os.unlink(os.path.join(self._into, half))
        return True

    def _exactly(self, size: int) -> bytes:
        """The next `size` bytes."""
        if len(self._have) - self._at < size:
            parts, there = [self._have[self._at :]], len(self._have) - self._at
            while there < size:
                data = self._some()
                if not data:  # an exit code of 0 may overtake what it wrote: see `Stream.read`
                    raise ConnectionLost(
                        "what it sends broke off",
                        host=self._host,
                        hint="call it again: what arrived whole stays",
                    )
                parts.append(data)
                there += len(data)
            self._have, self._at = b"".join(parts), 0
        self._at += size
        return self._have[self._at - size : self._at]

    def _some(self) -> bytes:
        """What comes next; b"" at the end."""
        try:
            data = self._stream.read(_STALL_S)
        except AnswerTimeout as e:
            raise ConnectionLost(
                f"nothing came for {_STALL_S} s",
                host=self._host,
                hint="call it again: what arrived whole stays",
            ) from e
        self._read += len(data)
        self._pace.came(self._read)
        return data

    def _unsafe(self, what: str) -> UnsafeFile:
        return UnsafeFile(f"{self._host} sent {what}", file=str(self._request.source))
