"""A stand-in for metrical-tracker: obeys its file contract, fits nothing.

    python tracker.py --cfg configs/actors/NAME.yml

Installed into a pod's checkout as `tracker.py`, with `tracker_recipe.py` beside it, because the real one
needs licensed FLAME files and a GPU. Like the tracker it reads defaults from `configs/config.py`, is
strict about its settings, caches (bbox.pt, images, kpt), resumes, writes each `.frame` in place, and
exits with 0 in the same odd cases. The head that it "finds" is in `truth.json` (`write_truth`) beside the
source images, so that its cameras are known beforehand. It imports torch, numpy, yaml and cv2, which a
tracker's environment has.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import json
import os
import sys
from glob import glob
from pathlib import Path
from typing import Any

TRUTH = "truth.json"

if __package__:
    from . import tracker_recipe as recipe
else:
    # In a checkout, where `checkout.install` puts both files.
    import tracker_recipe as recipe  # type: ignore[import-not-found, no-redef]


def write_truth(path: Path, K: Any, R: Any, t: Any, landmarks: Any, dense: Any) -> None:
    """Write the camera of the source images, a pose for each, 68 and 478 points.

    K (3, 3) corner pixels; R (N, 3, 3), t (N, 3) world-to-camera, OpenCV axes, one for each source
    image; landmarks (68, 3), dense (478, 3) metres, world.
    """
    named = {"K": K, "R": R, "t": t, "landmarks": landmarks, "dense": dense}
    path.write_text(json.dumps({name: value.tolist() for name, value in named.items()}))


def read_defaults(path: Path) -> dict[str, Any]:
    """Read the checkout's `cfg.NAME = VALUE` lines (the tracker imports the file, which needs yacs)."""
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
            found[node.targets[0].attr] = ast.literal_eval(node.value)
    return found


def read_settings(path: str, defaults: dict[str, Any]) -> dict[str, Any]:
    """Merge settings as yacs does: no unknown key, no value of another type than the default's.

    Raises:
        KeyError, ValueError: as yacs does.
    """
    import yaml

    with open(path, encoding="utf-8") as f:
        given = yaml.safe_load(f) or {}
    settings = {**defaults, "config_name": Path(path).stem}
    for key, value in given.items():
        if key not in defaults:
            raise KeyError(f"Non-existent config key: {key}")
        if isinstance(value, str):
            with contextlib.suppress(ValueError, SyntaxError):  # no literal: it stays a word
                value = ast.literal_eval(value)
        wanted = type(defaults[key])
        if {type(value), wanted} == {tuple, list}:
            value = wanted(value)
        if type(value) is not wanted and None not in (value, defaults[key]):
            raise ValueError(
                f"Type mismatch ({wanted} vs. {type(value)}) with values ({defaults[key]} vs. {value})"
                f" for config key: {key}"
            )
        settings[key] = value
    settings["config_name"] = Path(path).stem
    return settings


class StandIn:
    """One run; its methods are the tracker's stages."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.image_size_wh = tuple(settings["image_size"][::-1])
        self.actor: str = settings["actor"]
        self.output = settings["save_folder"] + settings["config_name"]
        self.checkpoint = os.path.join(self.output, "checkpoint")
        for name in ("checkpoint", "mesh", "depth", "input", "logs", "video"):
            os.makedirs(os.path.join(self.output, name), exist_ok=True)
        self.log = open(os.path.join(self.output, "train.log"), "a", encoding="utf-8")  # noqa: SIM115 - for life
        self.truth: dict[str, Any] = {}
        self.images: list[str] = []
        self.mapped: tuple[Any, Any] | None = None
        self.focal = 0.0
        self.step = 0

    def say(self, text: str) -> None:
        """Write to the log and to stderr, as loguru does."""
        self.log.write(text + "\n")
        self.log.flush()
        sys.stderr.write(text + "\n")

    def prepare_data(self) -> None:
        """Box, crops and landmarks of every source image that has no cached landmarks yet."""
        import cv2
        import numpy as np
        import torch

        path = Path(self.actor, "source")
        if not path.exists() or not os.listdir(path):
            video = Path(self.actor, "video.mp4")
            if not video.exists():
                self.say(f"Neither images nor a video was provided! Execution has stopped! {self.actor}")
                sys.exit(1)
            path.mkdir(parents=True, exist_ok=True)
            self.cut(video, path)
        sources = sorted(glob(f"{self.actor}/source/*.jpg") + glob(f"{self.actor}/source/*.png"))
        self.truth = json.loads(_beside(self.actor).read_text())
        box_path = self.actor + "/bbox.pt"
        # As plain as the tracker's own: newer torch refuses it unless the environment says otherwise.
        box = torch.load(box_path) if os.path.exists(box_path) else None
        for i, image_path in enumerate(sources):
            kpt = image_path.replace("source", "kpt").replace("png", "npy").replace("jpg", "npy")
            dense = image_path.replace("source", "kpt_dense").replace("png", "npy").replace("jpg", "npy")
            if os.path.exists(kpt) and os.path.exists(dense):
                continue
            picture: Any = cv2.imread(image_path)
            height, width = picture.shape[:2]
            if box is None and self.settings["crop_image"]:
                box = self.box(i, (width, height))
                torch.save(np.array(box), box_path)
            small = recipe.crop_image(
                picture, box if self.settings["crop_image"] else None, self.image_size_wh
            )
            crops = image_path.replace("source", "images")
            for made in (kpt, dense, crops):
                Path(made).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(crops, small)
            np.save(dense, self.in_crop(self.seen(i, "dense"), box, (width, height)))
            np.save(kpt, self.in_crop(self.seen(i, "landmarks"), box, (width, height)))
            if i % 4 == 0:
                # A progress bar, which rewrites its line.
                sys.stderr.write(f"\r{i * 100 // len(sources):3d}%| {i}/{len(sources)}")
        sys.stderr.write("\n")
        self.images = sorted(glob(f"{self.actor}/images/*.jpg") + glob(f"{self.actor}/images/*.png"))
        end = len(self.images) - self.settings["end_frames"]
        self.images = self.images[self.settings["begin_frames"] : end]
        self.say(f"Initialized with {len(self.images)} frames...")

    def run(self) -> None:
        """The tracker's order: data, then resume or key frames, then every frame."""
        self.prepare_data()
        start = self.resume()
        if start is None:
            keyframes = self.settings["keyframes"]
            if not keyframes:
                self.say("[ERROR] Keyframes are empty!")
                sys.exit(0)
            start = 0
            # Its early poses have the first names until tracking overwrites them.
            self.fit(wrong_by=1.0 + 0.01)
            for n, _ in enumerate(keyframes):
                self.save(n, n)
            self.fit()
        for frame in range(start, len(self.images)):
            self.step += 200
            self.save(frame, frame)
            self.say(f"Color loss for level 2 [frame {frame:04d}] = loss/pho=0.0{frame % 10}1")
        self.say("Finished")

    def resume(self) -> int | None:
        """The frame to resume with, None to start from the beginning; exits when all frames exist."""
        import torch

        snaps = sorted(glob(self.checkpoint + "/*.frame"))
        if not snaps:
            self.say("Training from beginning...")
            return None
        if len(snaps) == len(self.images):
            self.say("Training has finished...")
            sys.exit(0)
        # A torn file ends it here, every time.
        payload = torch.load(snaps[-1])
        self.step = payload["global_step"]
        self.fit()
        self.focal = float(payload["opencv"]["K"][0, 0, 0])
        self.say(f"Snapshot loaded for frame {payload['frame_id']}")
        return int(payload["frame_id"])

    def fit(self, wrong_by: float = 1.0) -> None:
        """Find the focal length, which is what all frames share."""
        scale, _ = self.map()
        self.focal = self.truth["K"][0][0] / scale[0] * wrong_by

    def save(self, frame: int, index: int) -> None:
        """Write one `.frame`, one mesh and one input image."""
        import cv2
        import numpy as np
        import torch

        number = self.settings["begin_frames"] + index
        scale, origin = self.map()
        cx, cy = (np.array(self.truth["K"])[:2, 2] - origin) / scale
        content = recipe.frame_dict(
            frame,
            np.array([[self.focal, 0, cx], [0, self.focal, cy], [0, 0, 1]]),
            np.array(self.truth["R"][number]),
            np.array(self.truth["t"][number]),
            self.image_size_wh,
            self.shape(),
            np.random.default_rng(frame),
            jaw_moves=self.settings["optimize_jaw"],
        )
        content["global_step"] = self.step
        picture: Any = cv2.imread(self.images[index])
        cv2.imwrite(os.path.join(self.output, "input", f"{frame:05d}.png"), picture)
        Path(self.output, "mesh", f"{frame:05d}.ply").write_text(
            "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
            "end_header\n0 0 0\n"
        )
        held = io.BytesIO()
        torch.save(content, held)
        self.write(frame, Path(self.checkpoint, f"{frame:05d}.frame"), held.getvalue())

    def write(self, frame: int, path: Path, data: bytes) -> None:
        """Write a `.frame` in place: a kill in the middle leaves half a file."""
        path.write_bytes(data)

    def shape(self) -> Any:
        """MICA's identity (1, 300); without it the tracker ends."""
        import numpy as np

        path = Path(self.actor, "identity.npy")
        if not path.exists():
            self.say("Shape (identity.npy) not found!")
            sys.exit(-1)
        return np.load(path).astype(np.float32).reshape(1, -1)

    def box(self, i: int, size_wh: tuple[int, int]) -> tuple[int, int, int, int]:
        """The box by the landmarks of one source image: x_min, x_max, y_min, y_max."""
        landmarks = self.seen(i, "landmarks")
        return recipe.face_box(landmarks, size_wh, self.settings["bbox_scale"])

    def crop_map(self, box: Any, size_wh: tuple[int, int]) -> tuple[Any, Any]:
        """Scale and origin of source = scale * crop + origin."""
        return recipe.crop_map(box if self.settings["crop_image"] else None, size_wh, self.image_size_wh)

    def map(self) -> tuple[Any, Any]:
        """The same for this run, found once."""
        import cv2
        import torch

        if self.mapped is None:
            first = sorted(glob(f"{self.actor}/source/*.jpg") + glob(f"{self.actor}/source/*.png"))[0]
            picture: Any = cv2.imread(first)
            rows, columns = picture.shape[:2]
            path = self.actor + "/bbox.pt"
            # With all landmarks cached the tracker does not need a lost bbox.pt, and writes none. It loads
            # its own files without restrictions, and so does the stand-in.
            exists = os.path.exists(path)
            box = torch.load(path, weights_only=False) if exists else self.box(0, (columns, rows))
            self.mapped = self.crop_map(box, (columns, rows))
        return self.mapped

    def seen(self, i: int, what: str) -> Any:
        """The points of one source image, source pixels."""
        truth = self.truth
        return recipe.project(truth["K"], truth["R"][i], truth["t"][i], truth[what])

    def in_crop(self, points: Any, box: Any, size_wh: tuple[int, int]) -> Any:
        """Source pixels -> pixels of the network image."""
        scale, origin = self.crop_map(box, size_wh)
        return (points - origin) / scale

    def cut(self, video: Path, folder: Path) -> None:
        """Cut the video into source images (the tracker runs ffmpeg)."""
        import cv2

        reader = cv2.VideoCapture(str(video))
        number = 0
        while True:
            more, picture = reader.read()
            if not more:
                break
            number += 1
            cv2.imwrite(str(folder / f"{number:05d}.png"), picture)
        reader.release()


def _beside(actor: str) -> Path:
    """The truth is beside the real source images; the input folder may hold only links to them."""
    for name in ("source", "video.mp4", "identity.npy"):
        found = Path(os.path.realpath(os.path.join(actor, name))).parent / TRUTH
        if found.exists():
            return found
    raise FileNotFoundError(f"{TRUTH} is not beside the source images of {actor}")


def main(argv: list[str] | None = None, kind: type[StandIn] = StandIn) -> None:
    """The tracker's command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg", required=True)
    arguments = parser.parse_args(argv)
    print(arguments, end="\n\n", flush=True)
    defaults = read_defaults(Path(__file__).parent / "configs" / "config.py")
    kind(read_settings(arguments.cfg, defaults)).run()


if __name__ == "__main__":
    main()
