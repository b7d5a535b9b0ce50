"""Files in an actor's folders on a host that no kind of `sync` covers: videos, sources, caches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.pod_client.disk_survey import DiskSurvey
from being_remote.safe_to_stop.host_files import HostFile
from being_remote.safe_to_stop.result_names import actor_folders
from being_remote.sync.file_examples import count_noun

_NAMED_FOLDERS = 6


def uncovered_notes(
    inventory: Inventory, host: SshHost | LocalHost, survey: DiskSurvey, compared: Iterable[HostFile]
) -> list[str]:
    """A sentence for each actor with such files; `compared` are those that were looked at one by one."""
    seen: dict[PurePosixPath, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for (folder, _), size in {file.key: file.bytes for file in compared}.items():
        files, total = seen[folder]
        seen[folder] = (files + 1, total + size)
    notes = []
    for actor in inventory.actors.values():
        uncovered: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for base in actor_folders(actor, host):
            for counted in (one for one in survey.counted if one.folder.is_relative_to(base)):
                files, size = seen.get(counted.folder, (0, 0))
                if counted.files > files:
                    part = str(base.joinpath(*counted.folder.relative_to(base).parts[:1]))
                    before = uncovered[part]
                    more_bytes = max(0, counted.bytes - size)
                    uncovered[part] = (before[0] + counted.files - files, before[1] + more_bytes)
        if uncovered:
            notes.append(f"{actor.name}: sync does not cover {_list_folders(uncovered)}")
    return notes


def _list_folders(folders: dict[str, tuple[int, int]]) -> str:
    largest = sorted(folders.items(), key=lambda item: -item[1][1])
    names = [
        f"{count_noun(files, 'file')} in {path!r} ({size / 1e6:.1f} MB)" for path, (files, size) in largest
    ]
    more = f", and {len(names) - _NAMED_FOLDERS} more folders" if len(names) > _NAMED_FOLDERS else ""
    return ", ".join(names[:_NAMED_FOLDERS]) + more
