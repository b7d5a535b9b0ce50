"""Where everything of one actor lies below `<backups>/<actor>` on this laptop. The only place that spells it.

checkpoint/*.frame   bbox.pt   actor/   run/     the live tree: the newest good state
runs/<job>/                                      results of our own jobs
.history/                                        what the live tree is made from
    lock                   held by the one process that may change anything in the backup
    incoming/              where files arrive from a host; what is whole there is not fetched again
    fetching               what each file in incoming/ is, while a sync runs or after it was killed
    objects/<sha256>       contents, each once; never linked with anything outside
    manifests/N.json       snapshot N; the newest one is the truth
    live                   the snapshot that the live tree shows; behind the newest after a crash
    quarantine/            refused files, each with a note
    known/                 hashes that hosts made of their own files
    nothing                never exists: what to compare with when everything must be fetched
    adopting/ next/ previous/ scratch probe         leftovers of a crash, removed when next needed
"""

from __future__ import annotations

from pathlib import Path

# The parts of the live tree; whatever else lies in the backup folder is not ours.
CHECKPOINT, BBOX = "checkpoint", "bbox.pt"
LIVE_FOLDERS, LIVE_FILES = frozenset({"actor", CHECKPOINT, "run"}), frozenset({BBOX})
LIVE_PARTS = tuple(sorted(LIVE_FOLDERS | LIVE_FILES))
FRAME_SUFFIX = ".frame"

HISTORY = ".history"
RUNS = "runs"


class BackupPaths:
    """The paths of one actor's backup; `root` is `<backups>/<actor>`. Touches no disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.checkpoint = root / CHECKPOINT
        self.bbox = root / BBOX
        self.identity = root / "actor/identity.npy"
        self.config = root / "actor/config.yml"  # the settings that the tracker was given
        self.defaults = root / "actor/config.py.txt"  # the checkout's configs/config.py
        self.kpt = root / "actor/kpt"  # 68-point landmarks, crop pixels
        self.kpt_dense = root / "actor/kpt_dense"  # 478-point landmarks, crop pixels
        self.crops = root / "run/input"  # what the tracker fitted to
        self.meshes = root / "run/mesh"
        self.logs = root / "run/logs"
        self.runs = root / RUNS

        self.history_folder = folder = root / HISTORY
        self.lock_file = folder / "lock"
        self.incoming = folder / "incoming"
        self.fetching = folder / "fetching"
        self.objects = folder / "objects"
        self.manifests = folder / "manifests"
        self.shown_file = folder / "live"
        self.quarantine = folder / "quarantine"
        self.known_hashes = folder / "known"
        self.nothing = folder / "nothing"
        self.adopting = folder / "adopting"
        self.next = folder / "next"
        self.previous = folder / "previous"
        self.scratch = folder / "scratch"
        self.probe = folder / "probe"

    def object(self, sha256: str) -> Path:
        """Where these contents lie, or would."""
        # Not objects / sha256: pathlib would intern that very text, and a hundred thousand stay so.
        return Path(f"{self.objects}/{sha256}")
