"""Files in the actors' folders on a host that no kind of `sync` covers: videos, sources, caches. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from being_remote.inventory import Actor, Inventory, LocalHost, SshHost
from being_remote.pod_client.disk_survey import DiskSurvey
from being_remote.safe_to_stop.reasons import counted
from being_remote.safe_to_stop.remote_contents import HostFile

_NAMED = 6


def folders_of_actors(inventory: Inventory, host: SshHost | LocalHost) -> list[PurePosixPath]:
    """Every folder that the inventory gives its actors on the host."""
    return [folder for actor in inventory.actors.values() for folder in _folders(actor, host)]


def uncovered(
    inventory: Inventory, host: SshHost | LocalHost, shown: DiskSurvey, covered: Iterable[HostFile]
) -> list[str]:
    """What is in these folders besides, a sentence for each actor.

    Args:
        inventory: who is who.
        host: where it is.
        shown: its count of all files there.
        covered: the files that were looked at one by one.
    """
    counts: dict[PurePosixPath, tuple[int, int]] = {}
    for folder, size in {file.key: file.bytes for file in covered}.items():
        files, total = counts.get(folder[0], (0, 0))
        counts[folder[0]] = (files + 1, total + size)
    said = []
    for actor in inventory.actors.values():
        besides: dict[str, tuple[int, int]] = {}
        for base in _folders(actor, host):
            for held in (h for h in shown.counted if h.folder.is_relative_to(base)):
                files, size = counts.get(held.folder, (0, 0))
                if held.files > files:
                    part = str(base.joinpath(*held.folder.relative_to(base).parts[:1]))
                    before = besides.get(part, (0, 0))
                    besides[part] = (before[0] + held.files - files, before[1] + max(0, held.bytes - size))
        if besides:
            said.append(f"{actor.name}: sync does not bring {_listed(besides)}")
    return said


def _folders(actor: Actor, host: SshHost | LocalHost) -> list[PurePosixPath]:
    tracked = [host.tracker.root / actor.input, host.tracker.root / actor.output] if host.tracker else []
    return [*tracked, *(host.workdir / backup for backup in actor.host_backups)]


def _listed(besides: dict[str, tuple[int, int]]) -> str:
    largest = sorted(besides.items(), key=lambda item: -item[1][1])
    parts = [f"{counted(files, 'file')} in {path!r} ({size / 1e6:.1f} MB)" for path, (files, size) in largest]
    more = f", and {len(parts) - _NAMED} more folders" if len(parts) > _NAMED else ""
    return ", ".join(parts[:_NAMED]) + more
