"""The jobs of this laptop: one SQLite file, written before anything is asked of a host.

Promises: a job's row is written before its first I/O; two terminals at once never make two jobs of one
intent; an ended attempt stays ended whatever a late answer says; a job moves to another host as a
whole, and an answer about an attempt that does not count changes nothing; every change keeps its time
and its evidence. Nothing here contacts a host.
"""

from __future__ import annotations

import contextlib
import dataclasses
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

from being_remote.errors import NotFoundError, TornFile, UsageError
from being_remote.inventory import Inventory
from being_remote.jobs.spec import JobSpec
from being_remote.pod.job_states import JobState
from being_remote.weak_disk import refuses_record_locks

FILE_NAME = "ledger.sqlite"
LAST = "last"
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
_COLUMNS = "job, host, actor, recipe, spec, spec_sha256, length(parcel), attempt, state, at, seen_at"
# In the evidence, where the user asked for a job beside another one of the same intent.
AGAIN = "again"
# Jobs that the same intent does not find again; one that was lost can go on.
_GIVEN_UP = tuple(str(state) for state in JobState if state.ended_badly and state is not JobState.LOST)


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
    host last said so (this laptop's clock, seconds since 1970; None: never). `parcel_bytes` is the size of
    what `Ledger.parcel_of` reads: it may be megabytes, which no look at the job needs."""

    job: str
    host: str
    actor: str | None
    recipe: str
    spec: bytes
    spec_sha256: str
    parcel_bytes: int
    attempt: int
    state: JobState
    since: float
    seen_at: float | None

    @property
    def ended(self) -> bool:
        return self.state.ended


@dataclass(frozen=True)
class StateChange:
    """One step of a job's history."""

    attempt: int
    at: float
    state: JobState
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class IntentResult:
    """What became of an intent: its own new job, or the one that was there."""

    job: LedgerJob
    adopted: bool


def ledger_of(inventory: Inventory) -> Ledger:
    """The ledger of this laptop; nothing is written."""
    return Ledger(inventory.state / FILE_NAME)


class Ledger:
    """The ledger in one file. Opening it does nothing; the file is made by the first intent."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def uuid(self) -> str:
        """This ledger's name, which every spec carries; the file is made if need be."""
        with self._writing() as db:
            return _uuid_of(db)

    def find_uuid(self) -> str | None:
        """This ledger's name; None before the file exists, which is not made."""
        with self._reading() as db:
            return None if db is None else _uuid_of(db)

    def intend(self, intent: Intent, *, again: bool = False) -> IntentResult:
        """Write a job down before anything is done for it; or find the one of the same intent that
        succeeded, was lost or has not ended, on another host by now if it was moved there.

        Args:
            intent: the job, if there will be one.
            again: make another all the same.
        """
        with self._writing() as db:
            if not again:
                found = _find_same_intent(db, intent.key)
                if found is not None:
                    return IntentResult(found, adopted=True)
            insisted = {AGAIN: True} if again else {}
            _insert(db, intent, 1, JobState.CREATED, {"intent": intent.key, **insisted})
            return IntentResult(_find(db, intent.job), adopted=False)

    def take_over(
        self, intent: Intent, *, attempt: int, state: JobState, evidence: Mapping[str, Any]
    ) -> LedgerJob:
        """Write down a job, or an attempt of one, that another ledger made, as found on its host."""
        with self._writing() as db:
            if db.execute("SELECT 1 FROM jobs WHERE job = ?", (intent.job,)).fetchone() is None:
                _insert(db, intent, attempt, state, evidence)
            elif attempt > (job := _find(db, intent.job)).attempt:
                if intent.host != job.host:
                    evidence = {**evidence, **_move(db, job, intent)}
                _set_state(db, intent.job, attempt, state, evidence)
            return _find(db, intent.job)

    def record_volume(self, job: str, attempt: int, volume: str) -> str | None:
        """Write down, before it is sent, to which volume an attempt goes; the first record counts.

        Returns:
            That volume, which another terminal may have recorded; None if the attempt has ended
            meanwhile or does not count any more: then it is not sent.
        """
        with self._writing() as db:
            found = _find(db, job)
            if found.ended or found.attempt != attempt:
                return None
            recorded = _recorded_volume(db, job, attempt)
            if recorded is None:
                _add_step(db, job, attempt, found.state, {"volume": volume, "reason": "about to be sent"})
            return recorded or volume

    def cancel_unsent(self, job: str, attempt: int, evidence: Mapping[str, Any]) -> LedgerJob | None:
        """Make an attempt that was never sent `cancelled`; None if it was, or may have been."""
        with self._writing() as db:
            found = _find(db, job)
            sent = found.state is not JobState.CREATED or _recorded_volume(db, job, attempt) is not None
            if found.attempt != attempt or sent:
                return None
            _set_state(db, job, attempt, JobState.CANCELLED, evidence)
            return _find(db, job)

    def record(self, job: str, attempt: int, state: JobState, evidence: Mapping[str, Any]) -> LedgerJob:
        """Add what was learnt of an attempt; what is older than what is known changes nothing.

        `unknown` joins the history and leaves the last known state as it is.
        """
        state = JobState(state)
        with self._writing() as db:
            found = _find(db, job)
            if attempt != found.attempt:
                return found
            if state is JobState.UNKNOWN:
                if not found.ended and _last_step(db, job) != (str(state), _text(evidence)):
                    _add_step(db, job, attempt, state, evidence)
                return found
            # What was called lost had no exit record; a late one corrects that.
            corrected = found.state is JobState.LOST and state.ended and state is not JobState.LOST
            if corrected or state.comes_after(found.state):
                _set_state(db, job, attempt, state, evidence)
            db.execute("UPDATE jobs SET seen_at = ? WHERE job = ?", (time.time(), job))
            return _find(db, job)

    def note(self, job: str, attempt: int, evidence: Mapping[str, Any]) -> None:
        """Add to the history what changes no state; of an attempt that does not count, nothing."""
        with self._writing() as db:
            found = _find(db, job)
            if found.attempt == attempt:
                _add_step(db, job, attempt, found.state, evidence)

    def next_attempt(
        self, job: str, after: int, evidence: Mapping[str, Any], *, moved: Intent | None = None
    ) -> LedgerJob:
        """Make attempt `after` + 1 the one that counts; once only, whoever asks.

        Args:
            job: its id.
            after: the attempt that counts now.
            evidence: why.
            moved: the job on another host: its host and spec are those of the job from here on. The
                history keeps the host that it left (`hosts_of`), `former_hosts` the spec.

        Raises:
            UsageError: another terminal was faster; or the attempt has succeeded meanwhile.
        """
        with self._writing() as db:
            found = _find(db, job)
            if found.attempt != after:
                raise UsageError(
                    f"another terminal made attempt {found.attempt}",
                    where=job,
                    hint=f"being-remote jobs --why {job}",
                )
            if found.state is JobState.SUCCEEDED:
                raise UsageError(
                    f"attempt {after} has succeeded meanwhile", where=job, hint=f"being-remote pull {job}"
                )
            if moved is not None:
                evidence = {**evidence, **_move(db, found, moved)}
            _set_state(db, job, after + 1, JobState.CREATED, evidence)
            return _find(db, job)

    def find(self, word: str, *, recipes: Sequence[str] = (), actor: str | None = None) -> LedgerJob:
        """The job that `word` names: an id, a unique beginning of one, or `last`.

        Args:
            word: as typed.
            recipes: what the command needs: `last` is the newest job of these, or of all where there is none
                of these.
            actor: whose job `last` is; None: any actor's.

        Raises:
            NotFoundError: there is none.
            UsageError: several begin so.
        """
        if word == LAST:
            found = self._select(
                "WHERE ? IS NULL OR actor = ?"
                f" ORDER BY recipe IN ({_placeholders(recipes)}) DESC, number DESC LIMIT 1",
                (actor, actor, *recipes),
            )
        else:
            found = self._select(
                "WHERE substr(job, 1, ?) = ? ORDER BY job = ? DESC, number DESC", (len(word), word, word)
            )
        if not found or not word:
            whose = f" of actor {actor}" if actor is not None else ""
            raise NotFoundError(
                f"no job{whose} yet" if word == LAST else f"no job {word!r}",
                where=str(self.path),
                hint=f"being-remote {'retrack makes one' if word == LAST else 'jobs --all lists them'}",
            )
        if found[0].job != word and len(found) > 1:
            names = ", ".join(job.job for job in found[:_MAX_NAMED])
            raise UsageError(
                f"{word!r} may mean {len(found)} jobs", where=str(self.path), hint=f"one of: {names}"
            )
        return found[0]

    def jobs(self, *, host: str | None = None, actor: str | None = None) -> tuple[LedgerJob, ...]:
        """All jobs, the newest first."""
        return self._select(
            "WHERE (?1 IS NULL OR host = ?1) AND (?2 IS NULL OR actor = ?2) ORDER BY number DESC",
            (host, actor),
        )

    def find_same_intent(self, key: str) -> LedgerJob | None:
        """The newest job of an intent that is not known to be ended, else the newest that succeeded or
        was lost."""
        with self._reading() as db:
            return None if db is None else _find_same_intent(db, key)

    def history(self, job: str) -> tuple[StateChange, ...]:
        """All that was learnt of a job, the oldest first."""
        rows = self._read_all(
            "SELECT attempt, at, state, evidence FROM transitions WHERE job = ? ORDER BY number", (job,)
        )
        return tuple(StateChange(n, at, JobState(state), json.loads(e)) for n, at, state, e in rows)

    def parcel_of(self, job: str) -> bytes:
        """What else must be known of a job to send it again; see `Intent`."""
        ((parcel,),) = self._read_all("SELECT parcel FROM jobs WHERE job = ?", (job,))
        return bytes(parcel)

    def former_hosts(self, job: str) -> tuple[Intent, ...]:
        """What a job was on the hosts that it left."""
        rows = self._read_all(
            "SELECT job, l.host, actor, recipe, l.spec, l.spec_sha256, l.parcel, l.intent_key"
            " FROM left_hosts l JOIN jobs USING (job) WHERE job = ? ORDER BY l.rowid",
            (job,),
        )
        return tuple(Intent(*row) for row in rows)

    @property
    def repair_mark(self) -> Path:
        """Lies beside a ledger that is being rebuilt."""
        return self.path.with_name(f"{self.path.name}.repair")

    def find_damage(self) -> str | None:
        """What is corrupt in the file; None where it is whole, missing, or cannot be read at all."""
        if self.repair_mark.exists():
            return "an earlier repair was cut short"
        if not self.path.exists() or not self.path.stat().st_size:
            return None
        try:
            with closing(sqlite3.connect(self.path, timeout=_BUSY_S)) as db:
                found = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
        except sqlite3.DatabaseError as e:
            return str(e) if type(e) is sqlite3.DatabaseError else None
        return None if found == "ok" else " ".join(found.split())

    def adopt_rows(self, old: sqlite3.Connection) -> str | None:
        """Copy each row of a corrupt ledger that can be read and makes sense into this one, which is new.

        Returns:
            The corrupt ledger's own name, which this one then has; None where it cannot be read.
        """
        with self._writing() as db:
            names = [value for name, value in _readable_rows(old, "meta") if name == "uuid"]
            db.executemany("UPDATE meta SET value = ? WHERE name = 'uuid'", [(name,) for name in names])
            for row in _readable_rows(old, "jobs"):
                if _is_whole_job(row):
                    db.execute(f"INSERT OR IGNORE INTO jobs VALUES ({_placeholders(row)})", row)
            known = {job for (job,) in db.execute("SELECT job FROM jobs")}
            for table, job_column in (("left_hosts", 0), ("transitions", 1)):
                for row in _readable_rows(old, table):
                    if row[job_column] in known:
                        db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({_placeholders(row)})", row)
        return names[0] if names else None

    def fold_log(self) -> None:
        """Put everything into the one file, so that it can be moved."""
        with self._connection() as db:
            db.execute("PRAGMA journal_mode = DELETE")

    @contextmanager
    def together(self) -> Iterator[Ledger]:
        """One transaction for all that is done through the ledger that this gives: all of it, or nothing."""
        with self._writing() as db:
            yield _LedgerTransaction(self.path, db)

    # -- the file --------------------------------------------------------------------------------

    def _select(self, which: str, values: Sequence[Any]) -> tuple[LedgerJob, ...]:
        return tuple(map(_ledger_job, self._read_all(f"SELECT {_COLUMNS} FROM jobs {which}", values)))

    def _read_all(self, query: str, values: Sequence[Any]) -> list[Any]:
        """All rows of a query; none before the ledger exists."""
        with self._reading() as db:
            return [] if db is None else db.execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no other terminal's can interleave with; on the disk when it is left."""
        with _explained(self.path):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.path.exists():
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600))
        with self._connection() as db:
            _switch_to_wal(db)
            db.execute("PRAGMA synchronous = FULL")
            db.execute("BEGIN IMMEDIATE")
            try:
                if not _has_schema(db):
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
        """A connection for one consistent look; None before the ledger exists; it is not made."""
        if not self.path.exists() or not self.path.stat().st_size:
            yield None
            return
        with self._connection() as db:
            yield db if _has_schema(db) else None

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with (
            _explained(self.path),
            closing(sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)) as db,
        ):
            yield db


class _LedgerTransaction(Ledger):
    """The ledger inside one transaction."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        super().__init__(path)
        self._db = db

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        yield self._db

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        yield self._db


def hosts_of(job: LedgerJob, history: Sequence[StateChange]) -> dict[int, str]:
    """The host of each attempt in the history.

    Example:
        >>> job = LedgerJob("j", "b", None, "r", b"", "", 0, 3, JobState.RUNNING, 0.0, None)
        >>> moved = StateChange(2, 0.0, JobState.CREATED, {"from_host": "a", "host": "b"})
        >>> first, third = (StateChange(n, 0.0, JobState.CREATED, {}) for n in (1, 3))
        >>> hosts_of(job, [first, moved, third])
        {1: 'a', 2: 'b', 3: 'b'}
    """
    left = {
        change.attempt: str(change.evidence["from_host"])
        for change in history
        if "from_host" in change.evidence
    }
    host, found = job.host, {}
    for attempt in sorted({change.attempt for change in history} | {job.attempt}, reverse=True):
        found[attempt] = host
        host = left.get(attempt, host)
    return dict(sorted(found.items()))


def volume_of(history: Sequence[StateChange], attempt: int) -> str | None:
    """The volume that an attempt was sent to, or was about to be; None if it never was."""
    return next((v for c in history if c.attempt == attempt and (v := c.evidence.get("volume"))), None)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say what keeps the ledger from being used: no rights, a full disk, another program's lock."""
    try:
        yield
    except (sqlite3.Error, PermissionError) as e:
        if type(e) is sqlite3.DatabaseError:  # of its subclasses none says that the file is corrupt
            raise TornFile(
                f"the ledger is corrupt: {e}",
                file=str(path),
                hint="being-remote jobs keeps it under another name and rebuilds it from the hosts",
            ) from e
        hint = "check that you may write there and that the disk has room; no job was touched"
        if refuses_record_locks(path.parent):
            hint = (
                "its disk offers no locks: set `state` in the inventory to a folder on a disk of this machine"
            )
        raise UsageError(f"the ledger cannot be used: {e}", where=str(path), hint=hint) from e


def _switch_to_wal(db: sqlite3.Connection) -> None:
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


def _has_schema(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is not None


def _uuid_of(db: sqlite3.Connection) -> str:
    return str(db.execute("SELECT value FROM meta WHERE name = 'uuid'").fetchone()[0])


def _insert(
    db: sqlite3.Connection, intent: Intent, attempt: int, state: JobState, evidence: Mapping[str, Any]
) -> None:
    db.execute(
        "INSERT INTO jobs"
        " (job, host, actor, recipe, spec, spec_sha256, parcel, intent_key, attempt, state, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*dataclasses.astuple(intent), attempt, str(state), time.time()),
    )
    _add_step(db, intent.job, attempt, state, evidence)


def _set_state(
    db: sqlite3.Connection, job: str, attempt: int, state: JobState, evidence: Mapping[str, Any]
) -> None:
    """Make this attempt the one that counts, in this state, and add that to the history."""
    _add_step(db, job, attempt, state, evidence)
    db.execute(
        "UPDATE jobs SET attempt = ?, state = ?, at = ? WHERE job = ?",
        (attempt, str(state), time.time(), job),
    )


def _add_step(
    db: sqlite3.Connection, job: str, attempt: int, state: JobState, evidence: Mapping[str, Any]
) -> None:
    db.execute(
        "INSERT INTO transitions (job, attempt, at, state, evidence) VALUES (?, ?, ?, ?, ?)",
        (job, attempt, time.time(), str(state), _text(evidence)),
    )


def _last_step(db: sqlite3.Connection, job: str) -> Any:
    return db.execute(
        "SELECT state, evidence FROM transitions WHERE job = ? ORDER BY number DESC LIMIT 1", (job,)
    ).fetchone()


def _find_same_intent(db: sqlite3.Connection, key: str) -> LedgerJob | None:
    """The newest job of an intent, as it is or as it was before it was moved: one that is not known to be
    ended, else one that succeeded or was lost."""
    found = db.execute(
        f"SELECT {_COLUMNS} FROM jobs WHERE state NOT IN ({_placeholders(_GIVEN_UP)}) AND (intent_key = ?"
        " OR job IN (SELECT job FROM left_hosts WHERE intent_key = ?))"
        " ORDER BY state IN (?, ?), number DESC LIMIT 1",
        (*_GIVEN_UP, key, key, str(JobState.SUCCEEDED), str(JobState.LOST)),
    ).fetchone()
    return None if found is None else _ledger_job(found)


def _move(db: sqlite3.Connection, job: LedgerJob, to: Intent) -> dict[str, Any]:
    """Give a job another host and the spec that it has there; returns what the history keeps of it."""
    db.execute(
        "INSERT OR IGNORE INTO left_hosts (job, host, spec, spec_sha256, parcel, intent_key)"
        " SELECT job, host, spec, spec_sha256, parcel, intent_key FROM jobs WHERE job = ?",
        (job.job,),
    )
    db.execute(
        "UPDATE jobs SET host = ?, spec = ?, spec_sha256 = ?, parcel = ?, intent_key = ? WHERE job = ?",
        (to.host, to.spec, to.spec_sha256, to.parcel, to.key, job.job),
    )
    return {"host": to.host, "from_host": job.host, "from_spec_sha256": job.spec_sha256}


def _recorded_volume(db: sqlite3.Connection, job: str, attempt: int) -> str | None:
    rows = db.execute(
        "SELECT evidence FROM transitions WHERE job = ? AND attempt = ? ORDER BY number", (job, attempt)
    )
    return next((v for (text,) in rows if (v := json.loads(text).get("volume"))), None)


def _text(evidence: Mapping[str, Any]) -> str:
    return json.dumps(dict(evidence), sort_keys=True)


def _find(db: sqlite3.Connection, job: str) -> LedgerJob:
    row = db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE job = ?", (job,)).fetchone()
    if row is None:
        raise NotFoundError(f"no job {job!r} in the ledger", hint="being-remote jobs --all lists them")
    return _ledger_job(row)


def _readable_rows(db: sqlite3.Connection, table: str) -> list[Any]:
    """The rows before and behind what is corrupt in a table, in their order."""
    found: dict[int, Any] = {}
    for order in ("ASC", "DESC"):
        with contextlib.suppress(sqlite3.DatabaseError):
            for number, *row in db.execute(f"SELECT rowid, * FROM {table} ORDER BY rowid {order}"):
                if number in found:
                    break
                found[number] = row
    return [found[number] for number in sorted(found)]


def _is_whole_job(row: Sequence[Any]) -> bool:
    """Whether a row of a corrupt file is a job that was written as a whole."""
    try:
        spec = JobSpec.from_bytes(row[5])
        json.loads(row[7])
        return (spec.job, spec.sha256, str(JobState(row[10]))) == (row[1], row[6], row[10])
    except (ValueError, TypeError):
        return False


def _ledger_job(row: Any) -> LedgerJob:
    job = LedgerJob(*row)
    return dataclasses.replace(job, state=JobState(job.state))


def _placeholders(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
