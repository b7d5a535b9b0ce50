"""A stand-in for metrical-tracker: obeys its file contract, fits nothing.

    python tracker.py --cfg configs/actors/NAME.yml

Installed into a pod's checkout as `tracker.py`, because the real one needs licensed FLAME files and
a GPU. It takes its defaults from `configs/config.py` beside it, is strict about its settings as the
tracker is, caches as it caches (bbox.pt, images,
kpt), resumes as it resumes, writes each `.frame` in place as it does, and exits with 0 in the
same odd cases. The head that it "finds" is written beside the folder of source images as `truth.json`
(`write_truth`), so that its cameras are known beforehand. It imports nothing of ours: torch,
numpy, yaml and cv2 are what a tracker's environment has anyway.

For tests it misbehaves, as the environment says, or `stand_in.json` in the checkout (which wins):
    STAND_IN_FRAME_S      seconds for a frame
    STAND_IN_DIE_AT       frame before which it kills itself with SIGKILL
    STAND_IN_TEAR_AT      frame in the middle of whose file it kills itself
    STAND_IN_EXIT_AT      N:CODE: frame before which it exits with CODE
    STAND_IN_HANG_AT      frame before which it sleeps for ever
    STAND_IN_SECOND_K_AT  frame from which on it stores another focal length
    STAND_IN_IGNORE_TERM  "1": TERM does nothing
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import json
import os
import signal
import sys
import time
from glob import glob
from pathlib import Path
from typing import Any

TRUTH = "truth.json"


def write_truth(path: Path, K: Any, R: Any, t: Any, landmarks: Any, dense: Any) -> None:
    """What is to be found: the camera of the source images, a pose for each, 68 and 478 points.

    K (3, 3) corner pixels; R (N, 3, 3), t (N, 3) world-to-camera, OpenCV axes, one for each source
    image; landmarks (68, 3), dense (478, 3) metres, world.
    """
    named = {"K": K, "R": R, "t": t, "landmarks": landmarks, "dense": dense}
    path.write_text(json.dumps({name: value.tolist() for name, value in named.items()}))


def read_defaults(path: Path) -> dict[str, Any]:
    """The checkout's `cfg.NAME = VALUE` lines (the tracker imports the file, which needs yacs)."""
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
            found[node.targets[0].attr] = ast.literal_eval(node.value)
    return found


def read_settings(path: str, defaults: dict[str, Any]) -> dict[str, Any]:
    """Settings as yacs merges them: no unknown key, no value of another type than the default's.

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
        """To the log and to stderr, as loguru does."""
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
            small = self.crop(picture, box)
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
            # Its early poses stand under the first names until tracking overwrites them.
            self.fit(wrong_by=1.0 + 0.01)
            for n, _ in enumerate(keyframes):
                self.save(n, n)
            self.fit()
        for frame in range(start, len(self.images)):
            self.misbehave(frame)
            self.step += 200
            self.save(frame, frame)
            self.say(f"Color loss for level 2 [frame {frame:04d}] = loss/pho=0.0{frame % 10}1")
        self.say("Finished")

    def resume(self) -> int | None:
        """The frame to go on with (again), None to start anew; ends at once when all are there."""
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
        """One `.frame`, one mesh and one input image, in place: a kill in the middle leaves half a file."""
        import cv2
        import numpy as np
        import torch

        number = self.settings["begin_frames"] + index
        height, width = self.settings["image_size"]
        scale, origin = self.map()
        K = np.array(self.truth["K"])
        focal = self.focal * (1.001 if frame >= _at("STAND_IN_SECOND_K_AT") else 1.0)
        content = _frame(
            frame,
            focal,
            (K[:2, 2] - origin) / scale,
            np.array(self.truth["R"][number]),
            np.array(self.truth["t"][number]),
            (width, height),
            self.shape(),
            np.radians(4 + 4 * np.sin(0.9 * frame)) if self.settings["optimize_jaw"] else 0.0,
            self.step,
        )
        picture: Any = cv2.imread(self.images[index])
        cv2.imwrite(os.path.join(self.output, "input", f"{frame:05d}.png"), picture)
        Path(self.output, "mesh", f"{frame:05d}.ply").write_text(
            "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
            "end_header\n0 0 0\n"
        )
        held = io.BytesIO()
        torch.save(content, held)
        data = held.getvalue()
        with open(os.path.join(self.checkpoint, f"{frame:05d}.frame"), "wb") as f:
            f.write(data[: len(data) // 2])
            f.flush()
            if frame == _at("STAND_IN_TEAR_AT"):
                os.kill(os.getpid(), signal.SIGKILL)
            f.write(data[len(data) // 2 :])

    def shape(self) -> Any:
        """MICA's identity (1, 300); without it the tracker ends."""
        import numpy as np

        path = Path(self.actor, "identity.npy")
        if not path.exists():
            self.say("Shape (identity.npy) not found!")
            sys.exit(-1)
        return np.load(path).astype(np.float32).reshape(1, -1)

    def misbehave(self, frame: int) -> None:
        """What the environment asks for, before a frame."""
        time.sleep(float(os.environ.get("STAND_IN_FRAME_S", "0")))
        if frame == _at("STAND_IN_DIE_AT"):
            os.kill(os.getpid(), signal.SIGKILL)
        exit_at, _, code = os.environ.get("STAND_IN_EXIT_AT", "").partition(":")
        if exit_at and frame == int(exit_at):
            sys.exit(int(code))
        if frame == _at("STAND_IN_HANG_AT"):
            self.say("hanging")
            while True:
                time.sleep(60)

    def box(self, i: int, size_wh: tuple[int, int]) -> tuple[int, int, int, int]:
        """The tracker's rule on the landmarks of one image: x_min, x_max, y_min, y_max."""
        import numpy as np

        whole = self.seen(i, "landmarks").astype(int)
        low, high = whole.min(0), whole.max(0)
        centre = ((low + high) / 2).astype(int)
        size = int(2 * self.settings["bbox_scale"] * (centre - low).max())
        first = np.maximum(centre - size // 2, 0)
        last = np.minimum(centre + size // 2, np.array(size_wh) - 1)
        first = first + (last - first) % 2
        return int(first[0]), int(last[0]), int(first[1]), int(last[1])

    def crop(self, picture: Any, box: Any) -> Any:
        """Cut, pad with zeros, resize; or only resize."""
        import cv2
        import numpy as np

        height, width = self.settings["image_size"]
        if self.settings["crop_image"]:
            rows, columns = picture.shape[:2]
            picture = picture[
                max(box[2], 0) : min(box[3], rows - 1), max(box[0], 0) : min(box[1], columns - 1)
            ]
            side = max(picture.shape[:2])
            v, u = int((side - picture.shape[0]) / 2), int((side - picture.shape[1]) / 2)
            picture = np.pad(picture, ((v, v), (u, u), (0, 0)))
        return cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)

    def map(self) -> tuple[Any, Any]:
        """Scale and origin of source = scale * crop + origin for this run."""
        import cv2
        import torch

        if self.mapped is None:
            first = sorted(glob(f"{self.actor}/source/*.jpg") + glob(f"{self.actor}/source/*.png"))[0]
            picture: Any = cv2.imread(first)
            rows, columns = picture.shape[:2]
            path = self.actor + "/bbox.pt"
            # With all landmarks cached the tracker does not miss a lost bbox.pt, and writes none.
            there = os.path.exists(path)
            # It plays the tracker, which loads its own files so.
            box = torch.load(path, weights_only=False) if there else self.box(0, (columns, rows))
            self.mapped = self.crop_map(box, (columns, rows))
        return self.mapped

    def crop_map(self, box: Any, size_wh: tuple[int, int]) -> tuple[Any, Any]:
        """The same for a given box and size."""
        import numpy as np

        height, width = self.settings["image_size"]
        if not self.settings["crop_image"]:
            return np.array(size_wh) / (width, height), np.zeros(2)
        low = np.maximum([box[0], box[2]], 0)
        extent = np.minimum([box[1], box[3]], np.array(size_wh) - 1) - low
        pad = (extent.max() - extent) // 2
        return (extent + 2 * pad) / (width, height), low - pad

    def seen(self, i: int, what: str) -> Any:
        """The points of one source image, source pixels."""
        import numpy as np

        points = np.array(self.truth[what]) @ np.array(self.truth["R"][i]).T + self.truth["t"][i]
        projected = points @ np.array(self.truth["K"]).T
        return projected[:, :2] / projected[:, 2:]

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


def _frame(
    frame: int,
    focal_px: float,
    centre_px: Any,
    R: Any,
    t: Any,
    size_wh: tuple[int, int],
    shape: Any,
    jaw_opens: float,
    step: int,
) -> dict[str, Any]:
    """What the tracker saves. NDC values are float32 first, as it fits them."""
    import numpy as np

    flip = np.array([-1.0, -1.0, 1.0])  # OpenCV camera axes <-> PyTorch3D's
    half = np.float32(min(size_wh) / 2)
    focal = np.float32(focal_px / half)
    principal = ((np.array(size_wh) / 2 - centre_px) / half).astype(np.float32)
    K = np.eye(3, dtype=np.float32)
    K[0, 0] = K[1, 1] = focal * half
    K[:2, 2] = np.array(size_wh, np.float32) / np.float32(2) - principal * half
    identity = np.array([[1, 0, 0, 0, 1, 0]], np.float32)
    rng = np.random.default_rng(frame)

    def random(*size: int) -> Any:
        return rng.normal(0, 0.3, size).astype(np.float32)

    return {
        "flame": {
            "exp": random(1, 100),
            "shape": shape,
            "tex": random(1, 140),
            "sh": random(1, 9, 3),
            "eyes": np.hstack([identity, identity]),
            "eyelids": np.abs(random(1, 2)),
            "jaw": np.array([[1, 0, 0, 0, np.cos(jaw_opens), -np.sin(jaw_opens)]], np.float32),
        },
        "camera": {
            "R": (R.T * flip)[:2].reshape(1, 6).astype(np.float32),
            "t": (t * flip)[None].astype(np.float32),
            "fl": np.array([[focal]], np.float32),
            "pp": principal[None],
        },
        "opencv": {"R": R[None].astype(np.float32), "t": t[None].astype(np.float32), "K": K[None]},
        "img_size": np.array([size_wh[1], size_wh[0]]),
        "frame_id": f"{frame:05d}",
        "global_step": step,
    }


def _beside(actor: str) -> Path:
    """The truth lies where the source images really are: the input folder may hold only links to them."""
    for name in ("source", "video.mp4", "identity.npy"):
        found = Path(os.path.realpath(os.path.join(actor, name))).parent / TRUTH
        if found.exists():
            return found
    raise FileNotFoundError(f"{TRUTH} is not beside the source images of {actor}")


def _at(name: str) -> float:
    """A frame number from the environment; never, where it is not set."""
    value = os.environ.get(name)
    return float(value) if value else float("inf")


def main(argv: list[str] | None = None) -> None:
    """The tracker's command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg", required=True)
    arguments = parser.parse_args(argv)
    asked = Path("stand_in.json")
    if asked.exists():
        os.environ.update(json.loads(asked.read_text()))
    if os.environ.get("STAND_IN_IGNORE_TERM") == "1":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(arguments, end="\n\n", flush=True)
    defaults = read_defaults(Path(__file__).parent / "configs" / "config.py")
    StandIn(read_settings(arguments.cfg, defaults)).run()


if __name__ == "__main__":
    main()
