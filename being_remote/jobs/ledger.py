"""What this laptop knows of its jobs: one SQLite file, written before anything is asked of a host.

Promises: a job's row stands before its first I/O; two terminals at once never make two jobs of one
intent; an ended attempt stays ended whatever a late answer says; a job that moved to another host is
there as a whole, and word of an attempt that does not count changes nothing; every change keeps its
time and its evidence, so that the story of a job can be told. Nothing here contacts a host.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from being_remote.errors import NotFoundError, UsageError
from being_remote.jobs.spec import JobSpec

FILE_NAME = "ledger.sqlite"
LAST = "last"
UNKNOWN = "unknown"
SUCCEEDED = "succeeded"
ENDED = (SUCCEEDED, "failed", "cancelled", "lost", "abandoned")
# A later answer of the host replaces these words, which were said without its end record.
CORRECTABLE = ("lost",)
ORDER = ("created", "submitted", "waiting", "running", "transforming")
_BUSY_S = 30.0
_MAX_NAMED = 8

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL UNIQUE, host TEXT NOT NULL, actor TEXT,
    recipe TEXT NOT NULL, spec BLOB NOT NULL, spec_sha256 TEXT NOT NULL, parcel BLOB NOT NULL,
    intent_key TEXT NOT NULL, attempt INTEGER NOT NULL, state TEXT NOT NULL, at REAL NOT NULL, seen_at REAL
) STRICT;
CREATE INDEX jobs_by_intent ON jobs (intent_key);
CREATE TABLE left_hosts (
    job TEXT NOT NULL REFERENCES jobs (job), host TEXT NOT NULL, spec BLOB NOT NULL,
    spec_sha256 TEXT NOT NULL, parcel BLOB NOT NULL, intent_key TEXT NOT NULL, PRIMARY KEY (job, spec_sha256)
) STRICT;
CREATE TABLE transitions (
    number INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL REFERENCES jobs (job),
    attempt INTEGER NOT NULL, at REAL NOT NULL, state TEXT NOT NULL, evidence TEXT NOT NULL
) STRICT;
CREATE INDEX transitions_by_job ON transitions (job);
"""


@dataclass(frozen=True)
class Intent:
    """A job to be: `spec` is the exact text that will lie on the host; `key` is equal for equal intents.
    `parcel` is what else must be known to send it again and to download its results; opaque here."""

    job: str
    host: str
    actor: str | None
    recipe: str
    spec: bytes
    spec_sha256: str
    parcel: bytes
    key: str

    @classmethod
    def of(cls, spec: JobSpec, parcel: bytes) -> Intent:
        """The intent to run `spec`."""
        return cls(
            job=spec.job,
            host=spec.host,
            actor=spec.actor,
            recipe=spec.recipe,
            spec=spec.as_bytes,
            spec_sha256=spec.sha256,
            parcel=parcel,
            key=spec.intent_key,
        )


@dataclass(frozen=True)
class LedgerJob:
    """A job as the ledger has it. `attempt` is the one that counts, `host` and `spec` are where and as
    what it was sent, `state` is its last known state, `since` when that was learnt and `seen_at` when its
    host last said so (this laptop's clock, seconds since 1970; None: never)."""

    job: str
    host: str
    actor: str | None
    recipe: str
    spec: bytes
    spec_sha256: str
    parcel: bytes
    attempt: int
    state: str
    since: float
    seen_at: float | None

    @property
    def ended(self) -> bool:
        """Whether its end is known."""
        return self.state in ENDED


@dataclass(frozen=True)
class StateChange:
    """One step of a job's story."""

    attempt: int
    at: float
    state: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class FormerHost:
    """What a job was on a host that it left: its spec there, and what belongs to it."""

    host: str
    spec: bytes
    spec_sha256: str
    parcel: bytes
    key: str


@dataclass(frozen=True)
class IntentResult:
    """What became of an intent: its own new job, or the one that was there."""

    job: LedgerJob
    adopted: bool


class Ledger:
    """The ledger in one file. Opening it does nothing; the file is made by the first intent."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def uuid(self) -> str:
        """This ledger's name, which every spec carries; the file is made if need be."""
        with self._writing() as db:
            return str(db.execute("SELECT value FROM meta WHERE name = 'uuid'").fetchone()[0])

    def intend(self, intent: Intent, *, again: bool = False) -> IntentResult:
        """Write a job down before anything is done for it; or find the one that is at it already,
        on another host by now if it was moved there.

        Args:
            intent: the job, if there will be one.
            again: make another even while one of the same intent is not known to be ended.
        """
        with self._writing() as db:
            if not again:
                found = _of_intent(db, intent.key)
                if found is not None:
                    return IntentResult(found, adopted=True)
            self._insert(db, intent, attempt=1, state="created", evidence={"intent": intent.key})
            return IntentResult(_known(_row(db, intent.job)), adopted=False)

    def take_over(
        self, intent: Intent, *, attempt: int, state: str, evidence: Mapping[str, Any]
    ) -> LedgerJob:
        """Write down a job, or an attempt of one, that another ledger made, as found on its host."""
        with self._writing() as db:
            if db.execute("SELECT 1 FROM jobs WHERE job = ?", (intent.job,)).fetchone() is None:
                self._insert(db, intent, attempt=attempt, state=state, evidence=evidence)
            elif attempt > (known := _known(_row(db, intent.job))).attempt:
                if intent.host != known.host:
                    evidence = {**evidence, **_move(db, known, intent)}
                _step(db, intent.job, attempt, state, evidence)
                db.execute(
                    "UPDATE jobs SET attempt = ?, state = ?, at = ? WHERE job = ?",
                    (attempt, state, time.time(), intent.job),
                )
            return _known(_row(db, intent.job))

    def aim(self, job: str, attempt: int, volume: str) -> str | None:
        """Write down, before it is sent, to which volume an attempt goes; the first word counts.

        Returns:
            That volume, which may be another terminal's word; None if the attempt has ended meanwhile
            or does not count any more: then it is not sent.
        """
        with self._writing() as db:
            known = _known(_row(db, job))
            if known.ended or known.attempt != attempt:
                return None
            aimed = _aimed(db, job, attempt)
            if aimed is None:
                _step(db, job, attempt, known.state, {"volume": volume, "reason": "about to be sent"})
            return aimed or volume

    def cancel_unsent(self, job: str, attempt: int, evidence: Mapping[str, Any]) -> LedgerJob | None:
        """Make an attempt that was never sent `cancelled`; None if it was, or may have been."""
        with self._writing() as db:
            known = _known(_row(db, job))
            if known.attempt != attempt or known.state != "created" or _aimed(db, job, attempt) is not None:
                return None
            _step(db, job, attempt, "cancelled", evidence)
            db.execute("UPDATE jobs SET state = 'cancelled', at = ? WHERE job = ?", (time.time(), job))
            return _known(_row(db, job))

    def record(self, job: str, attempt: int, state: str, evidence: Mapping[str, Any]) -> LedgerJob:
        """Add what was learnt of an attempt; what is older than what is known changes nothing.

        `unknown` joins the story and leaves the last known state as it is.
        """
        with self._writing() as db:
            known = _known(_row(db, job))
            if attempt == known.attempt and _is_news(db, known, state, evidence):
                _step(db, job, attempt, state, evidence)
                if state != UNKNOWN:
                    db.execute("UPDATE jobs SET state = ?, at = ? WHERE job = ?", (state, time.time(), job))
            if attempt == known.attempt and state != UNKNOWN:
                db.execute("UPDATE jobs SET seen_at = ? WHERE job = ?", (time.time(), job))
            return _known(_row(db, job))

    def next_attempt(
        self, job: str, after: int, evidence: Mapping[str, Any], *, moved: Intent | None = None
    ) -> LedgerJob:
        """Make attempt `after` + 1 the one that counts; once only, whoever asks.

        Args:
            job: its id.
            after: the attempt that counts now.
            evidence: why.
            moved: the job on another host: its host and spec are those of the job from here on. The
                story keeps the host that it left (`hosts_of`), `left` the spec.

        Raises:
            UsageError: another terminal was faster; or the attempt has succeeded meanwhile.
        """
        with self._writing() as db:
            known = _known(_row(db, job))
            if known.attempt != after:
                raise UsageError(
                    f"attempt {known.attempt} was made meanwhile",
                    where=job,
                    hint=f"being-remote jobs --why {job}",
                )
            if known.state == SUCCEEDED:
                raise UsageError(
                    f"attempt {after} has succeeded meanwhile", where=job, hint=f"being-remote pull {job}"
                )
            if moved is not None:
                evidence = {**evidence, **_move(db, known, moved)}
            _step(db, job, after + 1, "created", evidence)
            db.execute(
                "UPDATE jobs SET attempt = ?, state = 'created', at = ? WHERE job = ?",
                (after + 1, time.time(), job),
            )
            return _known(_row(db, job))

    def find(self, word: str, *, recipes: Sequence[str] = (), actor: str | None = None) -> LedgerJob:
        """The job that `word` means: an id, a unique beginning of one, or `last`.

        Args:
            word: as typed.
            recipes: what the command needs: `last` is the newest job of these, or of all where there is none
                of these.
            actor: whose job `last` is; None: anybody's.

        Raises:
            NotFoundError: there is none.
            UsageError: several begin so.
        """
        with self._reading() as db:
            if db is None:
                rows: list[Any] = []
            elif word == LAST:
                rows = db.execute(
                    f"SELECT {_COLUMNS} FROM jobs WHERE ? IS NULL OR actor = ?"
                    f" ORDER BY recipe IN ({_marks(tuple(recipes))}) DESC, number DESC LIMIT 1",
                    (actor, actor, *recipes),
                ).fetchall()
            else:
                rows = db.execute(
                    f"SELECT {_COLUMNS} FROM jobs WHERE substr(job, 1, ?) = ?"
                    " ORDER BY job = ? DESC, number DESC",
                    (len(word), word, word),
                ).fetchall()
        found = [_known(row) for row in rows]
        if not found or not word:
            whose = f" of actor {actor}" if actor is not None else ""
            raise NotFoundError(
                f"no job{whose} yet" if word == LAST else f"no job {word!r}",
                where=str(self.path),
                hint=f"being-remote {'retrack makes one' if word == LAST else 'jobs --all lists them'}",
            )
        if found[0].job != word and len(found) > 1:
            names = ", ".join(k.job for k in found[:_MAX_NAMED])
            raise UsageError(
                f"{word!r} may mean {len(found)} jobs", where=str(self.path), hint=f"one of: {names}"
            )
        return found[0]

    def jobs(self, *, host: str | None = None, actor: str | None = None) -> tuple[LedgerJob, ...]:
        """All jobs, the newest first."""
        with self._reading() as db:
            if db is None:
                return ()
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM jobs WHERE (?1 IS NULL OR host = ?1) AND (?2 IS NULL OR actor = ?2)"
                " ORDER BY number DESC",
                (host, actor),
            ).fetchall()
            return tuple(_known(row) for row in rows)

    def like(self, key: str) -> LedgerJob | None:
        """The job of the same intent that is not known to be ended, looked for only."""
        with self._reading() as db:
            if db is None:
                return None
            return _of_intent(db, key)

    def story(self, job: str) -> tuple[StateChange, ...]:
        """All that was learnt of a job, the oldest first."""
        with self._reading() as db:
            if db is None:
                return ()
            rows = db.execute(
                "SELECT attempt, at, state, evidence FROM transitions WHERE job = ? ORDER BY number", (job,)
            ).fetchall()
            return tuple(StateChange(n, at, state, json.loads(evidence)) for n, at, state, evidence in rows)

    def left(self, job: str) -> tuple[FormerHost, ...]:
        """What a job was on the hosts that it left."""
        with self._reading() as db:
            if db is None:
                return ()
            rows = db.execute(
                "SELECT host, spec, spec_sha256, parcel, intent_key FROM left_hosts WHERE job = ?"
                " ORDER BY rowid",
                (job,),
            )
            return tuple(FormerHost(*row) for row in rows)

    # -- the file --------------------------------------------------------------------------------

    def _insert(
        self, db: sqlite3.Connection, intent: Intent, *, attempt: int, state: str, evidence: Mapping[str, Any]
    ) -> None:
        db.execute(
            "INSERT INTO jobs"
            " (job, host, actor, recipe, spec, spec_sha256, parcel, intent_key, attempt, state, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                intent.job,
                intent.host,
                intent.actor,
                intent.recipe,
                intent.spec,
                intent.spec_sha256,
                intent.parcel,
                intent.key,
                attempt,
                state,
                time.time(),
            ),
        )
        _step(db, intent.job, attempt, state, evidence)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no other terminal's can come between; on the disk when it is left."""
        with _in_words(self.path):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.path.exists():
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600))
        with (
            _in_words(self.path),
            closing(sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)) as db,
        ):
            _as_wal(db)
            db.execute("PRAGMA synchronous = FULL")
            db.execute("BEGIN IMMEDIATE")
            try:
                if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is None:
                    for statement in _SCHEMA.split(";\n"):
                        db.execute(statement)
                    values = (("schema", "2"), ("uuid", str(uuid.uuid4())))
                    db.executemany("INSERT INTO meta VALUES (?, ?)", values)
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """One consistent look; None while there is no ledger, and none is made."""
        if not self.path.exists() or not self.path.stat().st_size:
            yield None
            return
        with (
            _in_words(self.path),
            closing(sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)) as db,
        ):
            yield db if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() else None


def hosts_of(known: LedgerJob, story: Sequence[StateChange]) -> dict[int, str]:
    """The host of each attempt that the story knows.

    Example:
        >>> known = LedgerJob("j", "b", None, "r", b"", "", b"", 3, "running", 0.0, None)
        >>> moved = StateChange(2, 0.0, "created", {"from_host": "a", "host": "b"})
        >>> hosts_of(known, [StateChange(1, 0.0, "running", {}), moved, StateChange(3, 0.0, "created", {})])
        {1: 'a', 2: 'b', 3: 'b'}
    """
    left = {t.attempt: str(t.evidence["from_host"]) for t in story if "from_host" in t.evidence}
    host, found = known.host, {}
    for attempt in sorted({t.attempt for t in story} | {known.attempt}, reverse=True):
        found[attempt] = host
        host = left.get(attempt, host)
    return dict(sorted(found.items()))


_COLUMNS = "job, host, actor, recipe, spec, spec_sha256, parcel, attempt, state, at, seen_at"


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """Say what keeps the ledger from being used: no rights, a full disk, another program's lock."""
    try:
        yield
    except (sqlite3.Error, PermissionError) as e:
        raise UsageError(
            f"the ledger cannot be used: {e}",
            where=str(path),
            hint="see that you may write there and that the disk has room; no job was touched",
        ) from e


def _as_wal(db: sqlite3.Connection) -> None:
    """Switch to the write-ahead log, once for the file's life; SQLite does not wait for others here."""
    deadline = time.monotonic() + _BUSY_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _is_news(db: sqlite3.Connection, known: LedgerJob, state: str, evidence: Mapping[str, Any]) -> bool:
    if state == UNKNOWN:
        last = db.execute(
            "SELECT state, evidence FROM transitions WHERE job = ? ORDER BY number DESC LIMIT 1", (known.job,)
        ).fetchone()
        return not known.ended and last != (UNKNOWN, _text(evidence))
    if known.ended:
        return known.state in CORRECTABLE and state in ENDED and state not in CORRECTABLE
    return state in ENDED or ORDER.index(state) > ORDER.index(known.state)


def _step(db: sqlite3.Connection, job: str, attempt: int, state: str, evidence: Mapping[str, Any]) -> None:
    db.execute(
        "INSERT INTO transitions (job, attempt, at, state, evidence) VALUES (?, ?, ?, ?, ?)",
        (job, attempt, time.time(), state, _text(evidence)),
    )


def _of_intent(db: sqlite3.Connection, key: str) -> LedgerJob | None:
    """The newest job of an intent, as it is or as it was before it was moved, not known to be ended."""
    found = db.execute(
        f"SELECT {_COLUMNS} FROM jobs WHERE state NOT IN ({_marks(ENDED)}) AND (intent_key = ?"
        " OR job IN (SELECT job FROM left_hosts WHERE intent_key = ?)) ORDER BY number DESC LIMIT 1",
        (*ENDED, key, key),
    ).fetchone()
    return None if found is None else _known(found)


def _move(db: sqlite3.Connection, known: LedgerJob, to: Intent) -> dict[str, Any]:
    """Give a job another host and the spec that it has there; what the story is to keep of it."""
    db.execute(
        "INSERT OR IGNORE INTO left_hosts (job, host, spec, spec_sha256, parcel, intent_key)"
        " SELECT job, host, spec, spec_sha256, parcel, intent_key FROM jobs WHERE job = ?",
        (known.job,),
    )
    db.execute(
        "UPDATE jobs SET host = ?, spec = ?, spec_sha256 = ?, parcel = ?, intent_key = ? WHERE job = ?",
        (to.host, to.spec, to.spec_sha256, to.parcel, to.key, known.job),
    )
    return {"host": to.host, "from_host": known.host, "from_spec_sha256": known.spec_sha256}


def _aimed(db: sqlite3.Connection, job: str, attempt: int) -> str | None:
    """The volume that an attempt was sent to, or was about to be."""
    rows = db.execute(
        "SELECT evidence FROM transitions WHERE job = ? AND attempt = ? ORDER BY number", (job, attempt)
    )
    return next((v for (text,) in rows if (v := json.loads(text).get("volume"))), None)


def _text(evidence: Mapping[str, Any]) -> str:
    return json.dumps(dict(evidence), sort_keys=True)


def _row(db: sqlite3.Connection, job: str) -> Any:
    row = db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE job = ?", (job,)).fetchone()
    if row is None:
        raise NotFoundError(f"no job {job!r} in the ledger", hint="being-remote jobs --all lists them")
    return row


def _known(row: Any) -> LedgerJob:
    return LedgerJob(*row)


def _marks(values: tuple[str, ...]) -> str:
    return ", ".join("?" * len(values))
