"""The history of a backup: its lock, objects and manifests.

A snapshot exists from the moment that its manifest is renamed into place. This module neither touches the
live tree nor judges files.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from being_remote.backup import manifest
from being_remote.backup.manifest import Manifest, Why
from being_remote.backup_paths import BackupPaths
from being_remote.disk import FULL
from being_remote.durable_files import open_plain, sync_folder, write_whole
from being_remote.errors import InconsistentData, InventoryError
from being_remote.local_lock import AT_ONCE, LockRequest, held_lock
from being_remote.local_path import LIVE
from being_remote.transfer.checked_files import StoredFile

_NUMBER = re.compile("0|[1-9][0-9]{0,8}")


class History(BackupPaths):
    """The history of one actor's backup; `root` is `<backups>/<actor>`. Making the object touches no disk."""

    @contextmanager
    def lock(self, asked: LockRequest = AT_ONCE) -> Iterator[None]:
        """Be the only process that changes this backup; makes its folders.

        Raises:
            Busy: another process holds it; nothing was changed.
            InventoryError: no folder can be made there.
        """
        stack = ExitStack()
        try:
            missing = [f for f in (self.objects, self.manifests, self.incoming) if not f.is_dir()]
            for folder in missing:
                folder.mkdir(parents=True, exist_ok=True)
            if missing:
                sync_folder(self.history_folder)
                sync_folder(self.root)
            lock = held_lock(
                self.lock_file,
                "another command holds this backup",
                where=str(self.root),
                asked=asked,
                options=True,
            )
            stack.enter_context(lock)
        except OSError as e:
            if e.errno in FULL:
                raise  # `room_on_disk` reports it
            raise InventoryError(
                f"the backup cannot be used: {e.strerror}",
                where=str(self.root),
                hint="correct `backups` in the inventory, or who may write there",
            ) from e
        with stack:
            yield

    def snapshot_numbers(self) -> list[int]:
        """Every snapshot's number, oldest first."""
        if not self.manifests.is_dir():
            return []
        # Only names that we give: neither 007.json nor ٣.json is a snapshot.
        return sorted(int(p.stem) for p in self.manifests.glob("*.json") if _NUMBER.fullmatch(p.stem))

    def read(self, number: int) -> Manifest:
        """One snapshot.

        Raises:
            InconsistentData: the manifest is corrupt, or another snapshot's.
            FileNotFoundError: it is missing; a prune or a watch may just have removed it.
        """
        path = self.manifests / f"{number}.json"
        try:
            with open_plain(path) as (descriptor, _), open(descriptor, "rb", closefd=False) as f:
                found = manifest.load(f, str(path))
        except FileNotFoundError:
            raise
        except OSError as e:
            why = f"cannot be read: {e.strerror}"
            raise InconsistentData(why, file=str(path), hint="move it away") from e
        if found.number != number:
            raise InconsistentData(
                f"says that it is snapshot {found.number}", file=str(path), hint="move it away"
            )
        return found

    def readable(
        self, damaged: list[Path] | None = None, *, oldest_first: bool = False
    ) -> Iterator[Manifest]:
        """Every snapshot that can be read, the newest first and one at a time.

        A corrupt one is skipped, and its file is added to `damaged`.
        """
        for number in sorted(self.snapshot_numbers(), reverse=not oldest_first):
            try:
                yield self.read(number)
            except FileNotFoundError:
                continue  # just removed by a process that holds the lock
            except InconsistentData as e:
                if damaged is not None:
                    damaged.append(Path(e.file))

    def newest(self, damaged: list[Path] | None = None) -> Manifest | None:
        """The newest snapshot that can be read; `damaged` as for `readable`."""
        return next(self.readable(damaged), None)

    def shown(self) -> int | None:
        """The snapshot that the live tree showed when a refresh last ended; None where that is unknown."""
        if not self.shown_file.is_file():
            return None
        text = self.shown_file.read_text(encoding="ascii", errors="replace").strip()
        return int(text) if _NUMBER.fullmatch(text) else None

    def show(self, number: int) -> None:
        """Note that the live tree now shows this snapshot."""
        write_whole(self.shown_file, f"{number}\n".encode(), scratch=self.scratch)

    def keep(self, files: Iterable[tuple[Path, str]]) -> None:
        """Move durable files, each with its sha256, to the objects.

        One that is there already is replaced: the new one was hashed just now, the old one long ago.
        """
        for path, sha256 in files:
            os.replace(path, self.object(sha256))
        sync_folder(self.objects)

    def commit(
        self,
        files: Mapping[str, StoredFile],
        *,
        why: Why,
        host: str | None = None,
        incarnation: Mapping[str, str | int | None] | None = None,
        new_tree: bool = False,
        of: int | None = None,
    ) -> Manifest:
        """Write the next snapshot; its objects must be durable.

        Raises:
            ValueError: a file has no place in the live tree.
        """
        if outside := next((path for path in files if not LIVE.holds(path)), None):
            raise ValueError(f"not a path of the live tree: {outside!r}")
        number = self._next_number()
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        made = Manifest(number, created, why, files, host, incarnation, new_tree, of)
        write_whole(self.manifests / f"{number}.json", manifest.dump(made), scratch=self.scratch)
        return made

    def _next_number(self) -> int:
        numbers = self.snapshot_numbers()
        number = numbers[-1] + 1 if numbers else 0
        if not _NUMBER.fullmatch(str(number)):  # a manifest was put there by hand, with a huge number
            newest = self.newest()
            number = newest.number + 1 if newest is not None else 0
            while number in numbers:
                number += 1
        return number

    def remove(self, number: int) -> None:
        """Remove a snapshot, durably; its contents stay. The newest one must never be removed."""
        (self.manifests / f"{number}.json").unlink()
        sync_folder(self.manifests)

    def drop(self, contents: Collection[str]) -> None:
        """Remove those of these contents, by sha256, that no snapshot names."""
        unnamed = set(contents)
        for number in self.snapshot_numbers():
            # A search in the text is a hundred times as fast as reading the manifests.
            text = (self.manifests / f"{number}.json").read_bytes()
            unnamed = {sha256 for sha256 in unnamed if sha256.encode() not in text}
        for sha256 in unnamed:
            self.object(sha256).unlink(missing_ok=True)

    def contents(self) -> Iterator[tuple[str, int]]:
        """The sha256 and the bytes of every content, named by a snapshot or not."""
        with os.scandir(self.objects) as found:
            for entry in found:
                with suppress(FileNotFoundError):  # read without the lock, while a watch drops some
                    yield entry.name, entry.stat(follow_symlinks=False).st_size

    def clear(self, *folders: Path) -> None:
        """Remove folders and files of ours whose contents are safe elsewhere."""
        for folder in folders:
            if folder.is_dir() and not folder.is_symlink():
                shutil.rmtree(folder)
            else:
                folder.unlink(missing_ok=True)
