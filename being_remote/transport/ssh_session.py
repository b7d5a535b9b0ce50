"""A host over SSH: bounded requests through Fabric, if it gets in; streams, and else all, through OpenSSH.

Promises: every wait has an end; an answer is whole, with the command's own exit code, or it is an
error that says what is unknown; only a repeatable command is retried; host keys are checked on every hop.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Sequence

import tenacity

from being_remote.errors import (
    AnswerTimeout,
    ConnectionLost,
    HostError,
    HostKeyChanged,
    HostKeyUnknown,
    LoginRefused,
    ToolMissing,
    Unreachable,
)
from being_remote.inventory import Inventory, SshHost
from being_remote.session import (
    OnHashed,
    OnProgress,
    Pull,
    Push,
    Result,
    TransferProgress,
    TransferResult,
    no_progress,
    not_noted,
)
from being_remote.transport import rsync, ssh_errors, stream_download
from being_remote.transport.connection import Connection, retrying
from being_remote.transport.host_keys import HostKey, KnownHosts, trusted_keys
from being_remote.transport.host_session import HostSession
from being_remote.transport.openssh import OpenSsh
from being_remote.transport.output_framing import (
    CommandAnswer,
    CommandInput,
    EndlessGreeting,
    TooMuchOutput,
    exchange,
    frame_command,
    quote_words,
)
from being_remote.transport.process_stream import ProcessStream
from being_remote.transport.refused_logins import refused_login
from being_remote.transport.requests import (
    FabricRequests,
    NotSent,
    OpenSshRequests,
    RequestWay,
    StartedCommand,
)
from being_remote.transport.rsync_process import Garbled
from being_remote.transport.ssh_config import Hop, resolve

_CHANNELS = 8  # sshd's MaxSessions is 10 by default; two are left to the user
_STREAM_RETRIES_S = 3600.0  # a transfer that broke after hours is left to the user


class SshSession(HostSession):
    """A `Session` over SSH, made by `SshSession.open`.

    One connection, which is made again if it broke between two requests; at most eight commands on it
    at a time, further ones wait.
    """

    def __init__(self, host: SshHost, hops: Sequence[Hop], keys: Sequence[tuple[HostKey, ...]]) -> None:
        super().__init__(host)
        self._host, self._hops = host, hops
        self._ssh = OpenSsh(hops, keys, connect_timeout_s=host.connect_timeout_s)
        self._connection = Connection(host, hops, keys, self._ssh)
        self._channels = threading.BoundedSemaphore(_CHANNELS)
        self._requests: RequestWay = FabricRequests(
            self._connection, host.name, host.connect_timeout_s, self._count
        )
        self._way_note, self._greeting_bytes = "", 0

    @classmethod
    def open(cls, host: SshHost, inventory: Inventory, *, remember: bool = True) -> SshSession:
        """Resolve, check keys, connect and log in; see `transport.open_session`."""
        hops = resolve(host, inventory)
        known = KnownHosts(inventory.state)
        session = cls(host, hops, trusted_keys(hops, host, inventory.path, known, remember=remember))
        try:
            session._choose_way()
        except BaseException:
            session.close()
            raise
        return session

    def stream(self, argv: Sequence[str], *, stdin: bytes = b"") -> ProcessStream:
        """See `Session.stream`. All streams of a session travel over one shared connection."""
        self._share()
        return self._start_stream(argv, stdin=stdin)

    def pull(
        self, request: Pull, on_progress: OnProgress = no_progress, on_hashed: OnHashed = not_noted
    ) -> TransferResult:
        """See `Session.pull`. Fetching twice does no harm, so a lost link is retried."""
        rsync.require_rsync()
        stream_download.sweep(request.into)
        small, large = stream_download.split_by_size(request)
        if not small.names:
            return self._retrying()(self._pull_large, large, on_progress, on_hashed)
        progress, refused = _progress_after(on_progress, 0, request.total_bytes), None
        moved = TransferResult(0, 0, "stream")
        try:
            moved = self._retrying()(self._pull_small, small, progress, on_hashed)
        except (ConnectionLost, Unreachable, AnswerTimeout):
            raise
        except HostError as e:  # a file could not be read there, or placed here; the others arrived
            refused = e
        if large.names:
            progress = _progress_after(on_progress, small.total_bytes, request.total_bytes)
            moved = moved.plus(self._retrying()(self._pull_large, large, progress, on_hashed))
        if refused is not None:
            raise refused
        return moved

    def push(self, request: Push, on_progress: OnProgress = no_progress) -> TransferResult:
        """See `Session.push`. Sending twice does no harm, so a lost link is retried."""
        return self._retrying()(self._push, request, on_progress)

    @property
    def greeting_bytes(self) -> int:
        return self._greeting_bytes

    @property
    def notes(self) -> tuple[str, ...]:
        size = self._greeting_bytes
        greets = (
            f"the login prints {size} bytes before each command: skipped here, but other tools may fail on it"
        )
        return tuple(filter(None, (self._way_note, greets if size else "")))

    def has_sftp(self) -> bool:
        """See `Session.has_sftp`."""
        return self._requests.has_sftp()

    def close(self) -> None:
        self._connection.close()
        self._ssh.close()

    def _run(
        self, argv: tuple[str, ...], given: CommandInput, timeout_s: float, limit: int, *, repeatable: bool
    ) -> Result:
        attempt = retrying(
            self.host,
            again=lambda e: isinstance(e, ConnectionLost) and (repeatable or isinstance(e, NotSent)),
            total_s=timeout_s,
        )
        return attempt(self._run_once, argv, given, timeout_s, limit)

    def _run_once(self, argv: tuple[str, ...], given: CommandInput, timeout_s: float, limit: int) -> Result:
        started = time.monotonic()
        command = frame_command(argv, has_input=not given.is_empty)
        if not self._channels.acquire(timeout=timeout_s):
            raise AnswerTimeout(
                f"{argv[0]!r} found all {_CHANNELS} channels busy for {timeout_s:g} s", host=self.host
            )
        try:
            started_command = self._requests.start(command, argv[0])
            try:
                left_s = max(0.0, started + timeout_s - time.monotonic())
                answer = exchange(started_command.streams, given, command.mark, limit=limit, timeout_s=left_s)
                self._greeting_bytes = answer.greeting_bytes
                if answer.exit_code is None:
                    raise self._unfinished(answer, argv[0], given, started_command)
            except TimeoutError as e:
                raise AnswerTimeout(
                    f"no answer to {argv[0]!r} within {timeout_s:g} s; whether it was carried out is unknown",
                    host=self.host,
                    hint="check the host; answer_timeout_s in the inventory sets how long to wait",
                ) from e
            except EndlessGreeting as e:
                raise HostError("its login shell prints without end", host=self.host) from e
            except TooMuchOutput as e:
                raise HostError(
                    f"{argv[0]!r} answered more than {limit} bytes; the rest was not read", host=self.host
                ) from e
            finally:
                started_command.stop()
        finally:
            self._channels.release()
        seconds = time.monotonic() - started
        return Result(self.host, argv, answer.exit_code, bytes(answer.out), bytes(answer.err), seconds)

    def _unfinished(
        self, answer: CommandAnswer, name: str, given: CommandInput, command: StartedCommand
    ) -> HostError:
        """The error of a command without its closing mark."""
        if (answer.given_up_s is not None or not answer.listens) and command.has_ended():
            user, has_input = self._hops[-1].user, not given.is_empty
            return refused_login(answer, host=self.host, user=user, has_input=has_input)
        return ConnectionLost(
            f"the link broke while {name!r} ran; whether it was carried out is unknown",
            host=self.host,
            hint="check the host, or run it again if that does no harm",
        )

    def _pull_small(self, request: Pull, on_progress: OnProgress, on_hashed: OnHashed) -> TransferResult:
        return stream_download.pull(request, self, self._host.python, on_progress, on_hashed)

    def _pull_large(self, request: Pull, on_progress: OnProgress, on_hashed: OnHashed) -> TransferResult:
        self._share()
        remote = rsync.Remote(self._ssh.rsync_shell, self._ssh.target)
        fetch = functools.partial(rsync.pull, request, host=self.host, remote=remote, on_progress=on_progress)
        try:
            return stream_download.pull_with_rest(request, fetch, self, self._host.python, on_hashed)
        except (ToolMissing, Garbled) as e:
            if e.host != self.host:
                raise
        return self._pull_small(request, on_progress, on_hashed)

    def _push(self, request: Push, on_progress: OnProgress) -> TransferResult:
        rsync.require_rsync()
        self._make_folder(request.into)
        self._share()
        remote = rsync.Remote(self._ssh.rsync_shell, self._ssh.target)
        try:
            return rsync.push(request, host=self.host, remote=remote, on_progress=on_progress)
        except (ToolMissing, Garbled) as e:
            if e.host != self.host:
                raise
        from being_remote.transport import stream_upload

        return stream_upload.push(request, self, self._host.python, self._start_stream, on_progress)

    def _start_stream(self, argv: Sequence[str], *, stdin: bytes | None = None) -> ProcessStream:
        """Start a command over the shared connection; without `stdin` the caller feeds it."""
        command = frame_command(argv, has_input=stdin != b"")
        words = [*self._ssh.shell, "-T", "--", self._ssh.target, quote_words(command.argv)]
        return ProcessStream(words, command, stdin=stdin, host=self.host, name=argv[0])

    def _retrying(self) -> tenacity.Retrying:
        return retrying(
            self.host,
            again=lambda e: isinstance(e, (ConnectionLost, Unreachable)),
            total_s=_STREAM_RETRIES_S,
            first_wait_s=0.5,
        )

    def _choose_way(self) -> None:
        """Connect, by Fabric if it can what this login needs, else by OpenSSH.

        Both check the same host keys, and an ssh that gets in no better leaves Fabric's reasons.
        """
        target = self._hops[-1]
        if target.needs_openssh:
            self._take_openssh(target.needs_openssh)
            return
        try:
            self._connection.transport()
        except (LoginRefused, ssh_errors.NothingInCommon) as e:
            try:
                self._take_openssh(f"Fabric's way: {e.what}")
            except (HostKeyUnknown, HostKeyChanged):
                raise
            except HostError:
                raise e from None

    def _take_openssh(self, why: str) -> None:
        self._open_shared()
        self._requests = OpenSshRequests(self._ssh, self.host, self._host.connect_timeout_s, self._share)
        self._way_note = f"requests go through the system's ssh, not through Fabric: {why}"

    def _share(self) -> None:
        """Open the connection that streams share, and count the stream that will use it."""
        self._open_shared()
        self._count()

    def _open_shared(self) -> None:
        """Open that connection; as with Fabric's, a host that cannot be reached is tried again."""
        attempt = retrying(
            self.host, again=lambda e: type(e) is Unreachable, total_s=self._host.connect_timeout_s / 2
        )
        attempt(self._open_shared_once)

    def _open_shared_once(self) -> None:
        message = self._ssh.share()
        if message:
            if ssh_errors.is_about_host_keys(message):
                self._connection.require_trusted_hops(len(self._hops))
            raise ssh_errors.from_stderr(message, host=self.host, address=self._hops[-1].address)


def _progress_after(on_progress: OnProgress, before: int, total: int) -> OnProgress:
    """Progress of a part, after so many bytes of other parts, as progress of the whole."""
    if on_progress is no_progress:
        return no_progress
    return lambda p: on_progress(TransferProgress(p.what, before + p.done, total, p.unit))
