"""Which actor or job a folder on one host belongs to, by where it lies."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from being_remote.backup_paths import RUNS
from being_remote.inventory import Actor
from being_remote.pod_client.job_folders import find_job
from being_remote.tracker import layout


@dataclass(frozen=True)
class HostPlaces:
    """One actor's folders on one host, absolute; this laptop has only backups.

    `jobs` is where the host keeps the jobs of all actors.
    """

    input: str | None
    output: str | None
    backups: tuple[str, ...]
    jobs: str | None

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(p for p in (self.input, self.output, *self.backups) if p is not None)

    @property
    def of_jobs(self) -> tuple[str, ...]:
        """The folders that hold nothing but what our own jobs made."""
        results = tuple(f"{backup}/{RUNS}" for backup in self.backups)
        return results if self.jobs is None else (self.jobs, *results)

    def kind(self, folder: str) -> str:
        """`place` of a candidate in this folder: input, output, backup or elsewhere."""
        if folder == self.input:
            return "input"
        if folder == self.output:
            return "output"
        return "backup" if folder in self.backups else "elsewhere"


class Owners:
    """Who owns what on one host.

    Args:
        actors: every actor of the inventory with its places; the one searched for comes first and wins.
        roots: the search roots. Names above them are ignored: a home folder may be called like an actor.
        known_jobs: the ids of all jobs in the ledger.
    """

    def __init__(
        self,
        actors: Mapping[str, tuple[Actor, HostPlaces]],
        roots: Iterable[str],
        known_jobs: Collection[str],
    ) -> None:
        self._actors, self._known_jobs = actors, known_jobs
        self._job_folders = {folder for _, places in actors.values() for folder in places.of_jobs}
        first_last = list(actors.items())[::-1]
        self._places = {path: name for name, (_, places) in first_last for path in places.all}
        self._names = {
            alias: name
            for name, (actor, _) in first_last
            for alias in (actor.output.name, actor.input.name, name)
        }
        self._roots = sorted((posixpath.normpath(r) for r in roots), key=len, reverse=True)

    def source_size(self, actor: str) -> tuple[int, int] | None:
        """Width and height of an actor's video, where the inventory knows them."""
        return self._actors[actor][0].source_size if actor in self._actors else None

    def find_actor(self, folder: str) -> str | None:
        """The actor whose folder this is, or lies in; None: unknown."""
        above, name = posixpath.split(folder)
        if folder in self._places:
            return self._places[folder]
        if posixpath.basename(above) in (layout.INPUT, layout.OUTPUT):
            return self._names.get(name, name)
        if above in self._places:
            return self._places[above]
        return next((self._names[n] for n in reversed(self._below_root(folder)) if n in self._names), None)

    def find_run_actor(self, folder: str, tracked_from: str | None) -> str | None:
        """The actor of a run; its settings say more than its name."""
        if folder in self._places or tracked_from is None:
            return self.find_actor(folder)
        return self.find_actor(tracked_from) or self.find_actor(folder)

    def find_job(self, folder: str) -> str | None:
        """See `job_folders.find_job`."""
        return find_job(folder, self._job_folders, self._known_jobs)

    def _below_root(self, folder: str) -> list[str]:
        for root in self._roots:
            if folder == root or folder.startswith(root.rstrip("/") + "/"):
                return folder[len(root) :].strip("/").split("/")
        return []
