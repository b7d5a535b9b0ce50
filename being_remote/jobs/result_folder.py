"""The folder of one job's results on this laptop: `<backups>/<actor>/runs/<job>/`, with `pulled.json`.

    <job>/                 one attempt's files, each of them checked
    <job>.attempt-<n>/     an earlier attempt's, kept as they were
    <job>.replaced/        whole frames of it that the host replaced by other whole ones: NAME.HASH
    .<job>.incoming/       what arrives; what is checked there moves into its place
    .<job>.old/            the folder while it is replaced as a whole; goes back after a crash
    .<job>.lock            held by the one process that may change anything here

`pulled.json` names the attempt and each file's size and hash.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from being_remote.backup_paths import FRAME_SUFFIX
from being_remote.durable_files import copy_apart, open_plain, sync_files, sync_folder, write_whole
from being_remote.errors import DataError, UnsafeFile, UsageError
from being_remote.jobs.attempt_files import PULLED
from being_remote.jobs.ledger import LedgerJob
from being_remote.session import PARTIAL_DIR
from being_remote.transfer.file_check import Judge, hash_of


def incoming(folder: Path) -> Path:
    """Where a job's files arrive."""
    return folder.with_name(f".{folder.name}.incoming")


def nothing(folder: Path) -> Path:
    """A folder that never exists: to compare with when all shall be fetched."""
    return folder.with_name(f".{folder.name}.none")


def pulled(folder: Path) -> dict[str, Any] | None:
    """What pulled.json in a job's folder says; None while nothing was brought."""
    try:
        return dict(json.loads((folder / PULLED).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return None


def is_of(document: Mapping[str, Any] | None, note: Mapping[str, Any]) -> bool:
    """Whether a pulled.json is of the attempt that `note` names."""
    return document is not None and all(document.get(key) == value for key, value in note.items())


def note_of(known: LedgerJob) -> dict[str, Any]:
    """What names the attempt that counts, for pulled.json."""
    return {
        "job": known.job,
        "host": known.host,
        "attempt": known.attempt,
        "spec_sha256": known.spec_sha256,
    }


def write_pulled(folder: Path, document: Mapping[str, Any]) -> None:
    """Write pulled.json so that there is the old one or the new one."""
    scratch = folder.with_name(f".{folder.name}.scratch")
    write_whole(folder / PULLED, as_text(document).encode("utf-8"), scratch=scratch)


def as_text(document: Mapping[str, Any]) -> str:
    """A pulled.json."""
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One fetch of a job at a time; a swap that was broken off is undone first.

    Raises:
        UsageError: another one is at work.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder.with_name(f".{folder.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                "another pull of this job is at work", where=str(folder), hint="wait for it"
            ) from None
        old = _old(folder)
        if old.exists():
            if folder.exists():
                shutil.rmtree(old)
            else:
                os.rename(old, folder)
        yield
    finally:
        os.close(lock)


def keep_aside(folder: Path) -> Path | None:
    """Move a folder that holds another attempt beside; None where there is none. Nothing is deleted."""
    if not folder.exists():
        return None
    attempt = (pulled(folder) or {}).get("attempt", "unknown")
    taken = 1
    aside = folder.with_name(f"{folder.name}.attempt-{attempt}")
    while os.path.lexists(aside):
        taken += 1
        aside = folder.with_name(f"{folder.name}.attempt-{attempt}.{taken}")
    os.rename(folder, aside)
    sync_folder(folder.parent)
    return aside


def keep_replaced(folder: Path, entries: Mapping[str, Any], names: Iterable[str]) -> None:
    """Keep the frames that other bytes of the same name are about to replace, each version once.

    Args:
        folder: the job's folder.
        entries: of pulled.json, as they are now.
        names: what takes a place there.
    """
    store = folder.with_name(f"{folder.name}.replaced")
    for name in names:
        sha256 = entries.get(name, {}).get("sha256")
        if not name.endswith(FRAME_SUFFIX) or not has_hash(folder / name, sha256):
            continue
        kept, scratch = store / f"{Path(name).name}.{sha256[:16]}", store / ".scratch"
        if not kept.exists():
            store.mkdir(exist_ok=True)
            # A copy: other programs may write into what lies in the job's folder.
            copy_apart(folder / name, scratch)
            sync_files(store, [scratch])
            os.replace(scratch, kept)
            sync_folder(store)


def swap(stage: Path, folder: Path, document: Mapping[str, Any]) -> None:
    """Let a whole new folder take the old one's place."""
    keep_only(stage, set(document["files"]), half_files=False)
    (stage / PULLED).write_text(as_text(document), encoding="utf-8")
    sync_files(stage, [p for p in stage.rglob("*") if p.is_file()])
    old = _old(folder)
    if folder.exists():
        os.rename(folder, old)
    os.rename(stage, folder)
    sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def keep_only(stage: Path, names: set[str], *, half_files: bool = True) -> None:
    """Keep of an earlier, broken fetch what may still be wanted; the folder is made."""
    if stage.is_symlink():
        stage.unlink()
    stage.mkdir(parents=True, exist_ok=True)
    for path in sorted(stage.rglob("*"), reverse=True):
        at = path.lstat()
        if stat.S_ISDIR(at.st_mode):
            with contextlib.suppress(OSError):  # not empty
                path.rmdir()
            continue
        half = half_files and path.parent.name == PARTIAL_DIR
        name = (path.parent.parent / path.name if half else path).relative_to(stage).as_posix()
        if name not in names or not stat.S_ISREG(at.st_mode):
            path.unlink()


def has_hash(file: Path, sha256: str | None) -> bool:
    """Whether a plain file with these bytes lies there."""
    try:
        return hash_of(file) == sha256
    except (FileNotFoundError, NotADirectoryError, DataError):
        return False


def judge_file(file: Path, judge: Judge) -> None:
    """See that a file is whole and safe, or of no known format; its name alone is in the error.

    Raises:
        DataError: it is not.
    """
    if judge.most_bytes(file.name) is None:
        return
    with open_plain(file) as (descriptor, found):
        most = judge.most_bytes(file.name) or 0
        if found.st_size > most:
            raise UnsafeFile(f"has {found.st_size} bytes; a whole one has at most {most}", file=file.name)
        with open(descriptor, "rb", closefd=False) as f:
            judge.check(file.name, f.read(most + 1))


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")
