"""Where metrical-tracker keeps its files on a host, and where they lie in a backup.

On a host a place is a folder below the actor's input, the actor's output or the checkout itself; in a
backup it is a folder below `<backups>/<actor>`. Nothing here touches a disk.
"""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

Base = Literal["input", "output", "root"]

# The most precious first.
KINDS = ("checkpoints", "bbox", "identity", "configs", "kpt", "meshes", "crops", "logs", "sources")
# Large, and mostly made from a video that lies elsewhere: only on request.
ON_REQUEST = ("sources",)

# What a job needs of its host, as recipes and host checks name it: the checkout with its environment, ffmpeg.
TRACKER_TOOL, FFMPEG_TOOL = "tracker", "ffmpeg"

# In the actor's input folder.
BBOX = "bbox.pt"
IDENTITY = "identity.npy"
VIDEO = "video.mp4"
SOURCE = "source"
IMAGES = "images"
KPT = "kpt"
KPT_DENSE = "kpt_dense"

# In the output folder, which the tracker names after the config file's stem.
CHECKPOINT = "checkpoint"
FRAME_SUFFIX = ".frame"
CROPS = "input"
MESH = "mesh"
LOGS = "logs"
TRAIN_LOG = "train.log"
STRIPS = "video"

# In the checkout.
INPUT = "input"
OUTPUT = "output"
CONFIGS = "configs"
ACTOR_CONFIGS = "configs/actors"
DEFAULTS = "config.py"  # in `configs/`: every key of the tracker with its default

# What a checkout of the tracker needs to run, below its root, and where it is to be had.
CHECKOUT_FILES = {
    "tracker.py": "clone https://github.com/Zielon/metrical-tracker there",
    "data/FLAME2020/generic_model.pkl": "FLAME 2020 from https://flame.is.tue.mpg.de (licence; install.sh)",
    "data/FLAME2020/FLAME_texture.npz": "its TextureSpace from https://flame.is.tue.mpg.de (install.sh)",
    "data/landmark_embedding.npy": "the mesh archive that install.sh downloads",
    "data/uv_template.obj": "the mesh archive that install.sh downloads",
    "flame/mediapipe/mediapipe_landmark_embedding.npz": "part of the tracker's repository: check the clone",
}
CHECKOUT_MODULES = ("torch", "pytorch3d", "mediapipe", "face_alignment")

# What the tracker writes beside `source/` by replacing text in the path of each image.
_DERIVED = (IMAGES, KPT, KPT_DENSE)


def frame_name(frame_id: int) -> str:
    """The file of a tracked frame.

    Example:
        >>> frame_name(0), frame_name(123456)
        ('00000.frame', '123456.frame')
    """
    return f"{frame_id:05d}{FRAME_SUFFIX}"


@dataclass(frozen=True)
class Place:
    """One folder of one kind of file."""

    kind: str  # one of `KINDS`; what `sync --only` takes
    base: Base  # which folder on the host `folder` is relative to
    folder: str  # below the base; "" is the base itself
    pattern: str  # glob over the paths below `folder`; `{run}` stands for the output folder's name
    home: str  # folder below `<backups>/<actor>`; "" is its top
    recursive: bool = False  # files in subfolders belong too; they keep their subfolders in the backup
    home_name: str = ""  # the file's name in the backup where it differs from the host's

    def folder_on(
        self, root: PurePosixPath, actor_input: PurePosixPath, actor_output: PurePosixPath
    ) -> PurePosixPath:
        """The absolute folder on a host; both of the actor's are relative to the checkout, `root`.

        Example:
            >>> root, given, made = map(PurePosixPath, ("/w/mt", "input/roman", "output/roman"))
            >>> [str(p.folder_on(root, given, made)) for p in PLACES[:2]]
            ['/w/mt/output/roman/checkpoint', '/w/mt/input/roman']
        """
        if self.base == "input" and self.folder in _DERIVED:
            return root / derived_folder(actor_input, self.folder)
        base = {"input": root / actor_input, "output": root / actor_output, "root": root}[self.base]
        return base / self.folder

    def takes(self, name: str, actor_output: PurePosixPath) -> bool:
        """Whether a file belongs here; `name` is its path below the folder, `/` between parts.

        Example:
            >>> [p.kind for p in PLACES if p.takes("roman.yml", PurePosixPath("output/roman"))]
            ['configs', 'logs']
        """
        if "/" in name and not self.recursive:
            return False
        # Not str.format: a run may be called "{run}", and its brackets are no pattern.
        pattern = self.pattern.replace("{run}", glob.escape(actor_output.name))
        return fnmatch.fnmatchcase(name, pattern)

    def home_path(self, name: str) -> str:
        """The file's path in the backup, relative to `<backups>/<actor>`."""
        name = self.home_name or name
        return f"{self.home}/{name}" if self.home else name


PLACES: tuple[Place, ...] = (
    Place("checkpoints", "output", CHECKPOINT, f"*{FRAME_SUFFIX}", "checkpoint"),
    Place("bbox", "input", "", BBOX, ""),
    Place("identity", "input", "", IDENTITY, "actor"),
    Place("configs", "root", ACTOR_CONFIGS, "{run}.yml", "actor", home_name="config.yml"),
    # What those settings leave out. Renamed, because a file from a host must not look like a program here.
    Place("configs", "root", CONFIGS, DEFAULTS, "actor", home_name="config.py.txt"),
    # Some forks save the merged settings beside the results; they may differ from the file above.
    Place("configs", "output", "", "config.yml", "run"),
    Place("kpt", "input", KPT, "*.npy", "actor/kpt"),
    Place("kpt", "input", KPT_DENSE, "*.npy", "actor/kpt_dense"),
    Place("meshes", "output", MESH, "*.ply", "run/mesh"),
    Place("meshes", "output", "", "canonical.obj", "run"),
    Place("crops", "output", CROPS, "*.png", "run/input"),
    Place("crops", "output", CROPS, "*.jpg", "run/input"),
    Place("logs", "output", "", TRAIN_LOG, "run/logs"),
    Place("logs", "output", LOGS, "*", "run/logs", recursive=True),
    Place("sources", "input", "", VIDEO, "actor"),
    Place("sources", "input", SOURCE, "*.png", "actor/source"),
    Place("sources", "input", SOURCE, "*.jpg", "actor/source"),
)


def places_of(kinds: Collection[str] = ()) -> tuple[Place, ...]:
    """The places of these kinds; without any, all but those `ON_REQUEST`."""
    return tuple(p for p in PLACES if (p.kind in kinds if kinds else p.kind not in ON_REQUEST))


def derived_folder(actor_input: PurePosixPath, name: str) -> PurePosixPath:
    """Where the tracker writes `images`, `kpt` or `kpt_dense` of an input folder.

    It replaces text in the path of each source image: every "source", not only the last, and for
    landmarks every "png" and "jpg" as well. An input called `source_a` so has its images elsewhere.

    Example:
        >>> str(derived_folder(PurePosixPath("input/roman"), "images"))
        'input/roman/images'
        >>> str(derived_folder(PurePosixPath("input/source_a"), "kpt"))
        'input/kpt_a/kpt'
    """
    path = str(actor_input / SOURCE).replace(SOURCE, name)
    if name != IMAGES:
        path = path.replace("png", "npy").replace("jpg", "npy")
    return PurePosixPath(path)
