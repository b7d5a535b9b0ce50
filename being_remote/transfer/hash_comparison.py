"""Compare what arrived with what the host has: hashes made there beside hashes made here.

Files that the host hashed as it sent them are as they were sent if nothing there has changed since it
was listed, which one question tells of all of them. The others are hashed there while they are read here.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

from being_remote.errors import HostError
from being_remote.pod_client.listing import ListedFile, hash_files
from being_remote.session import OnProgress, Session, TransferProgress
from being_remote.transfer.arrival_folder import ArrivalFolder, build_on, host_time, is_listed
from being_remote.transfer.checked_files import CheckedFile, Judge, StoredFile, check_files, stored_file
from being_remote.transfer.download_plan import RemoteFile
from being_remote.transfer.known_hashes import outlasts_writes, version_digest

_T = TypeVar("_T")

# A torn file that was written so shortly before the host was asked is still being written.
SETTLE_NS = 2_000_000_000
# So many files are compared at a time, and so many times the host is asked in advance: it hashes the
# next ones while these are read here.
BATCH = 2_500
AHEAD = 2


@dataclass(frozen=True)
class HostFiles:
    """What the host has now: files by path, `sha256` being that of as many bytes as were asked for."""

    clock_ns: int
    files: Mapping[str, RemoteFile]


# Files, and of how many bytes each is to be hashed on the host.
AskHost = Callable[[Sequence[tuple[RemoteFile, int]]], HostFiles]


def ask_hashes(
    session: Session, python: str, files: Sequence[tuple[RemoteFile, int]], *, whole: bool = False
) -> HostFiles:
    """Ask the host for hashes of so many first bytes of files, or of all their bytes (`whole`).

    Missing files are left out; a file that the host cannot read comes without a hash.

    Raises:
        HostError: no answer, or an invalid one.
    """
    offers = {(offer.origin.source, offer.name): offer for offer, _ in files}
    sizes = {(offer.origin.source, offer.name): size for offer, size in files}
    clock_ns, hashed = hash_files(session, python, sizes, whole=whole)
    return HostFiles(
        clock_ns, {offers[key].path: _as_hashed(offers[key], file) for key, file in hashed.items()}
    )


def _as_hashed(offer: RemoteFile, file: ListedFile) -> RemoteFile:
    if offer.figures == file[1:5]:
        return replace(offer, sha256=file.sha256)  # of so many files no figure twice in memory
    return RemoteFile(offer.path, offer.origin, *file[1:], offer.spelt)


@dataclass(frozen=True)
class HashQueries:
    """How the host is asked.

    Attributes:
        is_as_listed: asks whether all its files are as it listed them.
        clock_ns: its own clock when it listed its files.
        settle_ns: a torn file that was written so shortly before is still being written.
    """

    hashes: AskHost
    is_as_listed: Callable[[], bool]
    clock_ns: int
    settle_ns: int = SETTLE_NS


@dataclass
class Arrivals:
    """What is found out while files arrive.

    Attributes:
        sent: hashes (raw) that the host made as it sent a file, which was then as it had been listed.
        good: whole files with the host's bytes, by path; `good_offers` are the same, in the same order.
        torn: files with the host's bytes that the judge refused.
        differing: files with other bytes than the host has now, and whether it has stopped writing them.
        being_written: paths of files that the host is writing.
        missing: paths of files that the host has no more.
        facts: what was learned about the host's bytes, joined; see `known_hashes`.
        certain: how many files are as listed, and have a hash that tells them from any later version.
        compared: how many good files have the hash that the host made.
        failure: why the link failed; what arrived before is compared as far as that goes.
    """

    sent: dict[str, bytes] = field(default_factory=dict)
    good: dict[str, StoredFile] = field(default_factory=dict)
    good_offers: list[RemoteFile] = field(default_factory=list)
    torn: list[tuple[CheckedFile, RemoteFile]] = field(default_factory=list)
    differing: list[tuple[RemoteFile, bool]] = field(default_factory=list)
    being_written: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    facts: bytearray = field(default_factory=bytearray)
    certain: int = 0
    compared: int = 0
    transferred_files: int = 0
    transferred_bytes: int = 0
    methods: set[str] = field(default_factory=set)
    transfer_s: float = 0.0
    check_s: float = 0.0
    failure: HostError | None = None

    @property
    def method(self) -> str | None:
        """How files came: "rsync", "stream" or both; None: nothing was fetched."""
        return ", ".join(sorted(self.methods)) or None

    @property
    def mismatched(self) -> tuple[str, ...]:
        """Files that are not what the host has, although it has stopped writing them."""
        return tuple(offer.path for offer, rests in self.differing if rests)

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Files that the host is writing just now."""
        return (*self.being_written, *(offer.path for offer, rests in self.differing if not rests))

    def followed_by(self, later: Arrivals) -> Arrivals:
        """What was found out in this part of a download and a later one, without their good files."""
        return Arrivals(
            torn=[*self.torn, *later.torn],
            differing=[*self.differing, *later.differing],
            being_written=[*self.being_written, *later.being_written],
            missing=[*self.missing, *later.missing],
            facts=self.facts + later.facts,
            certain=self.certain + later.certain,
            compared=self.compared + later.compared,
            transferred_files=self.transferred_files + later.transferred_files,
            transferred_bytes=self.transferred_bytes + later.transferred_bytes,
            methods=self.methods | later.methods,
            transfer_s=self.transfer_s + later.transfer_s,
            check_s=self.check_s + later.check_s,
        )

    def forget_good(self) -> None:
        """Free the memory of the good files, once they are in their place."""
        self.sent, self.good, self.good_offers = {}, {}, []

    def drop_good(self, paths: Sequence[str]) -> None:
        """These are not good after all."""
        dropped = set(paths)
        for path in dropped:
            del self.good[path]
        if dropped:
            self.good_offers = [offer for offer in self.good_offers if offer.path not in dropped]


class HashComparison:
    """Decides about each file that arrived in `folder`, and notes it in `got`."""

    def __init__(
        self,
        folder: ArrivalFolder,
        got: Arrivals,
        judge: Judge,
        asking: HashQueries,
        on_progress: OnProgress,
    ) -> None:
        self._folder, self._got, self._judge, self._asking = folder, got, judge, asking
        self._on_progress, self._total, self._done = on_progress, 0, 0
        self._pool = ThreadPoolExecutor(AHEAD + 1)

    def compare(self, wanted: Sequence[RemoteFile]) -> None:
        """Compare these files; to be called once."""
        started, got = time.monotonic(), self._got
        self._total = len(wanted)
        try:
            unmoved = None
            if got.sent and got.failure is None:
                unmoved = self._pool.submit(self._asking.is_as_listed)
            self._ask_about([o for o in wanted if o.path not in got.sent])
            left = [o for o in wanted if o.path in got.sent]
            if unmoved is not None and got.failure is None and self._answer(unmoved):
                listed = [o for o in left if is_listed(self._folder.find_arrived(o), o.bytes, o.mtime_ns)]
                self._compare_sent(listed)
                done = {o.path for o in listed}
                left = [o for o in left if o.path not in done]
            self._ask_about(left)
        finally:
            # Not waited for: Ctrl-C would else last as long as a silent host; the session's end ends them.
            self._pool.shutdown(wait=False, cancel_futures=True)
        got.check_s += time.monotonic() - started

    def _compare_sent(self, offers: Sequence[RemoteFile]) -> None:
        """Read files whose hashes the host sent along.

        What was hashed while it came may have been written since: another fetch goes to the same folder.
        """
        sent, clock_ns = self._got.sent, self._asking.clock_ns
        for start in range(0, len(offers), BATCH):
            batch = offers[start : start + BATCH]
            hashed = {o.path: replace(o, sha256=sent[o.path].hex()) for o in batch}
            for checked, offer in zip(self._check(batch), batch, strict=True):
                self._decide(checked, offer, HostFiles(clock_ns, hashed))

    def _ask_about(self, offers: Sequence[RemoteFile]) -> None:
        """Read what arrived, while the host hashes the same files."""
        got = self._got
        batches = self._arrived(offers)
        asked: deque[tuple[list[tuple[RemoteFile, int]], Future[HostFiles] | None]] = deque()
        while True:
            for batch in itertools.islice(batches, AHEAD - len(asked)):
                query = self._pool.submit(self._asking.hashes, batch) if got.failure is None else None
                asked.append((batch, query))
            if not asked:
                break
            batch, query = asked.popleft()
            checked_files = self._check([offer for offer, _ in batch])
            answer = self._answer(query) if query is not None else None
            for checked, (offer, _) in zip(checked_files, batch, strict=True):
                self._decide(checked, offer, answer)

    def _arrived(self, wanted: Sequence[RemoteFile]) -> Iterator[list[tuple[RemoteFile, int]]]:
        """What arrived, and how large it is; after a failure only what is the version that was listed."""
        batch: list[tuple[RemoteFile, int]] = []
        for offer in wanted:
            found = self._folder.find_arrived(offer)
            if found is None:
                self._got.missing.append(offer.path)
            elif self._got.failure is None or is_listed(found, offer.bytes, offer.mtime_ns):
                batch.append((offer, found.st_size))
                if len(batch) == BATCH:
                    yield batch
                    batch = []
        if batch:
            yield batch

    def _check(self, offers: Sequence[RemoteFile]) -> list[CheckedFile]:
        """Hash and judge these files, with progress as part of the whole."""
        before, self._done = self._done, self._done + len(offers)

        def on_part(p: TransferProgress) -> None:
            self._on_progress(TransferProgress(p.what, before + p.done, self._total, p.unit))

        return check_files({o.path: self._folder.file(o) for o in offers}, self._judge, on_part)

    def _answer(self, asked: Future[_T]) -> _T | None:
        """What the host says; None when the link fails: then the files are kept as after a failed fetch."""
        try:
            return asked.result()
        except HostError as e:
            self._got.failure = e
            return None

    def _decide(self, checked: CheckedFile, offer: RemoteFile, answer: HostFiles | None) -> None:
        """Good, to be fetched again, still being written, or torn."""
        got, asking = self._got, self._asking
        now = answer.files.get(offer.path) if answer is not None else None
        if answer is not None and now is None:
            got.missing.append(offer.path)  # what arrived is the last of it that there is
        mtime_ns = host_time(offer.mtime_ns, checked.mtime_ns)
        differs = now is not None and now.sha256 is not None and now.sha256 != checked.sha256
        changed = now is not None and (now.bytes, now.mtime_ns) != (checked.bytes, mtime_ns)
        if now is not None and now.sha256 == checked.sha256 and now.bytes == checked.bytes:
            mtime_ns = now.mtime_ns  # this disk may refuse to keep it
            changed = changed and checked.torn
        if differs and answer is not None and now is not None:
            young = abs(answer.clock_ns - now.mtime_ns) < asking.settle_ns
            got.differing.append((replace(now, sha256=None), not checked.torn and not young))
            if checked.judged and checked.error is None:
                # The host may never have a whole one again.
                self._folder.quarantine.keep_rewritten(checked, mtime_ns)
            build_on(checked.file)
        elif checked.error is None:
            as_listed = checked.bytes == offer.bytes
            size = offer.bytes if as_listed else checked.bytes  # the offer's own number needs no memory
            entry = stored_file(replace(checked, bytes=size), mtime_ns, host=self._folder.host)
            got.good[offer.path] = entry
            got.good_offers.append(offer)
            got.compared += now is not None and now.sha256 is not None
        elif checked.torn and (changed or abs(asking.clock_ns - offer.mtime_ns) < asking.settle_ns):
            got.being_written.append(offer.path)
            checked.file.unlink()
            return
        else:
            got.torn.append((checked, offer))
        certain = answer is not None and now is not None and not differs and not changed
        if certain and answer is not None and now is not None and outlasts_writes(now, answer.clock_ns):
            got.facts += version_digest(now, checked.sha256)
            got.certain += now.looks_like(offer)
