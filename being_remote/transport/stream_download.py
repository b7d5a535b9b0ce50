"""Downloads of many small files, or from a pod without rsync: one stream, made by a program on the pod.

rsync spends a round trip on some of the names; over a slow link a thousand frames take as long as their
names. Here all files come one behind the other. Only requested, regular files are taken; each is written
aside and renamed when it is whole, so a second call asks only for the rest. Nothing is deleted but half
files, and empty folders in the place of a file.
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
from itertools import compress, islice
from pathlib import Path

from being_remote.disk import FULL, no_space, room_bytes
from being_remote.durable_files import set_time
from being_remote.errors import (
    AnswerTimeout,
    CommandFailed,
    ConnectionLost,
    HostError,
    ToolMissing,
    UnsafeFile,
)
from being_remote.foreign_text import quote
from being_remote.pace import Pace
from being_remote.pod.send import HEADER, TRAILER
from being_remote.pod_client.encoded_names import letters
from being_remote.pod_client.runner import program_stdin, start_words
from being_remote.session import (
    PARTIAL_DIR,
    Hashed,
    OnHashed,
    OnProgress,
    Pull,
    Session,
    Stream,
    TransferProgress,
    TransferResult,
    no_progress,
)
from being_remote.transport.rsync import check_names, not_arrived
from being_remote.transport.rsync_process import Outgrown

# Files up to this size, if there are so many of them, come faster by stream than by rsync, and a cut costs
# one of them at most.
SMALL_BYTES = 1 << 20
MANY = 64
_STALL_S = 60
_CHUNK = 1 << 20
_TELL_BYTES = 1 << 18
_ROWS = 1000
_HALF = re.compile(r"\.being-remote-[0-9a-f]{16}")
_SECOND_NS = 1_000_000_000
_LOOK_BYTES = 16 << 20  # how often the room on the disk is looked at
# Also for names that this disk cannot hold.
_IN_THE_WAY = (
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENOTEMPTY,
    errno.ENAMETOOLONG,
    errno.EILSEQ,
    errno.EINVAL,
)


def split_by_size(request: Pull) -> tuple[Pull, Pull]:
    """The part of a request for the stream, and the part for rsync."""
    small = [size <= SMALL_BYTES for size in request.sizes]
    if sum(small) < MANY or request.unless_in.is_dir():  # of files that are here in part rsync sends the rest
        return _part(request, [False] * len(small)), request
    return _part(request, small), _part(request, [not each for each in small])


def sweep(folder: Path) -> None:
    """Remove the half files that a killed process left."""
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
) -> TransferResult:
    """Fetch the files of `request` that are not here yet; of one that grew, as much as was listed.

    Args:
        python: the host's Python, 3.8 or newer.
        on_hashed: see `Session.pull`.

    Raises:
        ConnectionLost: the link broke; files that arrived whole stay.
        AnswerTimeout: see `pace`.
        ToolMissing: the pod has no such Python.
        CommandFailed: a file or the folder cannot be read on the host; the others arrived.
        UnsafeFile: the pod sent something that was not requested.
        NoSpace: the local disk is full, or nearly.
        HostError: a folder lies here in a file's place, or the other way round; the others arrived.
    """
    check_names(request.names)
    if not request.names:
        return TransferResult(0, 0, "stream")
    try:
        words, stdin = start_words("send", {}, python), program_stdin("send") + _query(request)
        with session.stream(words, stdin=stdin) as stream:
            return _IncomingStream(request, stream, session.host, on_progress, on_hashed).receive_all()
    except ToolMissing as e:
        raise ToolMissing(
            host=session.host, tool=f"rsync or {python}", hint="apt-get install rsync on the host"
        ) from e
    except CommandFailed as e:
        if e.result.exit_code != 1:
            raise
        raise CommandFailed(
            f"not everything can be read: {quote(e.result.stderr)}",
            host=session.host,
            result=e.result,
            hint="check the owner and the rights of these files on the host; all others arrived",
        ) from e
    except OSError as e:
        if e.errno in FULL:
            raise no_space(request.into, error=e) from e
        raise


def pull_with_rest(
    request: Pull, fetch: Callable[[], TransferResult], session: Session, python: str, on_hashed: OnHashed
) -> TransferResult:
    """Fetch by rsync (`fetch`), then by stream the files that outgrew their listing, as long as listed."""
    try:
        moved = fetch()
    except Outgrown:
        moved = TransferResult(0, 0, "rsync")
    rest = not_arrived(request)
    return moved.plus(pull(rest, session, python, no_progress, on_hashed)) if rest.names else moved


def _query(request: Pull) -> bytes:
    """Each name, its versions here and in the live tree (size, seconds), and its listed size; deflated."""
    folders = [os.fsencode(f) for f in (request.into, request.unless_in) if f.is_dir()]
    rows = (  # JSON text at once, for speed
        f"[{json.dumps(letters(name))}, {[v for f in folders if (v := _version(f, name))]}, {size}]"
        for name, size in zip(request.names, request.sizes, strict=True)
    )
    deflate = zlib.compressobj(1)
    parts = [deflate.compress(json.dumps(letters(os.fsencode(request.source))).encode("ascii"))]
    while batch := list(islice(rows, _ROWS)):
        parts.append(deflate.compress(f"\n[{', '.join(batch)}]".encode("ascii")))
    return b"".join((*parts, deflate.flush()))


def _version(folder: bytes, name: bytes) -> list[int] | None:
    try:
        found = os.lstat(folder + b"/" + name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return [found.st_size, found.st_mtime_ns // _SECOND_NS]


def _half_files(folder: bytes) -> set[bytes]:
    """Make a folder; returns the names of the half files that rsync left in it."""
    os.makedirs(folder, exist_ok=True)
    try:
        return set(os.listdir(os.path.join(folder, os.fsencode(PARTIAL_DIR))))
    except (FileNotFoundError, NotADirectoryError):
        return set()


class _IncomingStream:
    """The stream of one pull; nothing in it is trusted."""

    def __init__(
        self,
        request: Pull,
        stream: Stream,
        host: str,
        on_progress: OnProgress,
        on_hashed: OnHashed,
    ) -> None:
        self._request, self._stream, self._host = request, stream, host
        self._on_progress, self._on_hashed = on_progress, on_hashed
        self._into = os.fsencode(request.into)
        self._aside = self._into + b"/.being-remote-" + secrets.token_hex(8).encode("ascii")
        self._half: dict[bytes, set[bytes]] = {}
        self._unplaced: list[str] = []
        self._have, self._at = b"", 0
        self._files, self._bytes, self._reported, self._looked = 0, 0, 0, 0
        self._pace, self._read = Pace(host), 0
        self._what, self._total = f"fetching {request.source.name}", request.total_bytes

    def receive_all(self) -> TransferResult:
        """Receive every file of the stream."""
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
                hashed = self._receive_file(size, *figures)
                if self._place(names[number]):
                    self._files += 1
                    self._on_hashed(names[number], hashed)
                before = number
        finally:
            with suppress(FileNotFoundError):
                os.unlink(self._aside)
        if self._read_some() or self._at < len(self._have):
            raise self._unsafe("something after the last file")
        if self._unplaced:
            raise HostError(
                f"{len(self._unplaced)} files cannot be put in their place, as {self._unplaced[0]}",
                host=self._host,
                hint=f"move away what lies in their place below {self._request.into}, then retry",
            )
        return TransferResult(self._files, self._bytes, "stream")

    def _receive_file(self, size: int, mtime_ns: int, ctime_ns: int, inode: int) -> Hashed | None:
        """Write one file aside; returns what the host says of it if it did not change meanwhile."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._aside, flags, 0o644)
        try:
            received_sha256 = self._write_bytes(descriptor, size)
            sound, good, after_ns, sha256 = TRAILER.unpack(self._exactly(TRAILER.size))
            if sha256 != received_sha256 or good > size:
                raise self._unsafe("other bytes than it hashed")
            if good < size:
                os.ftruncate(descriptor, good)
            # Not the listed time if it was written since: it is not the listed version.
            set_time(descriptor, after_ns)
        finally:
            os.close(descriptor)
        whole = sound and good == size and after_ns == mtime_ns
        return Hashed(size, mtime_ns, ctime_ns, inode, sha256) if whole else None

    def _write_bytes(self, descriptor: int, size: int) -> bytes:
        """Write the next bytes to the descriptor; returns their sha256."""
        digest, left = hashlib.sha256(), size
        while left:
            data = self._exactly(min(left, _CHUNK))
            digest.update(data)
            left -= len(data)
            self._bytes += len(data)
            if self._bytes - self._looked >= _LOOK_BYTES:
                self._looked = self._bytes
                if room_bytes(self._request.into) < 0:
                    raise no_space(self._request.into)
            while data:
                data = data[os.write(descriptor, data) :]
            if self._bytes - self._reported >= _TELL_BYTES or self._bytes == self._total:
                self._reported = self._bytes
                self._on_progress(TransferProgress(self._what, self._bytes, self._total))
        return digest.digest()

    def _place(self, name: bytes) -> bool:
        """Give the file aside its name; False if something else lies there, which is reported at the end."""
        folder, _, last = name.rpartition(b"/")
        final = self._into + b"/" + name
        try:
            if folder not in self._half:
                self._half[folder] = _half_files(os.path.join(self._into, folder))
            try:
                os.replace(self._aside, final)
            except IsADirectoryError:
                os.rmdir(final)  # only an empty one is replaced, as by rsync
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
            parts, available = [self._have[self._at :]], len(self._have) - self._at
            while available < size:
                data = self._read_some()
                if not data:  # the program ended with 0 before its answer was whole
                    raise self._lost("the stream broke off")
                parts.append(data)
                available += len(data)
            self._have, self._at = b"".join(parts), 0
        self._at += size
        return self._have[self._at - size : self._at]

    def _read_some(self) -> bytes:
        """The next bytes; b"" at the end."""
        try:
            data = self._stream.read(_STALL_S)
        except AnswerTimeout as e:
            raise self._lost(f"nothing arrived for {_STALL_S} s") from e
        self._read += len(data)
        self._pace.report(self._read)
        return data

    def _lost(self, what: str) -> ConnectionLost:
        return ConnectionLost(what, host=self._host, hint="run the command again: whole files are kept")

    def _unsafe(self, what: str) -> UnsafeFile:
        return UnsafeFile(f"{self._host} sent {what}", file=str(self._request.source))
