"""Pictures are the frames they say, at the places the cameras say, each whole, and never of two plans."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from export_cases import cameras_of, part, turn

from being_remote.camera.crop import crop_from_box
from being_remote.errors import InconsistentData, TornFile, UsageError
from being_remote.export import TARGETS, Cameras, Export, RunFiles, prepare, write
from being_remote.export.files import RECORD
from being_remote.export.images import (
    MASK,
    ImagePlan,
    make_images,
    on_canvas,
    plan_images,
    source_words,
    valid_mask,
)
from being_remote.export.target import CanvasChoice
from being_remote.media.decoder import Window
from being_remote.session import TransferProgress

SIZE_WH = (320, 180)
BOX = (90, 250, 41, 179)  # cut by the lower border: 160 x 138, padded by 11 rows above and below
FRAMES = 7


def picture(number: int) -> np.ndarray:
    """Source frame `number`: noise that no two frames share."""
    return np.random.default_rng(number).integers(0, 256, (SIZE_WH[1], SIZE_WH[0], 3), dtype=np.uint8)


def cut(frame: np.ndarray, window: Window) -> np.ndarray:
    """A window of a frame."""
    x_min, x_max, y_min, y_max = window
    return frame[y_min:y_max, x_min:x_max]


class Frames:
    """A source that notes who asks for what, and would notice two threads in it at once."""

    def __init__(self, count: int = FRAMES + 1, *, lossless: bool = False, torn: int = 0) -> None:
        self.size_wh, self.count, self.lossless, self.torn = SIZE_WH, count, lossless, torn
        self.asked: list[int] = []
        self.draw = picture
        self._busy = threading.Lock()

    def frame(self, number: int, window: Window) -> np.ndarray:
        alone = self._busy.acquire(blocking=False)
        assert alone or self.lossless, "two threads in one decoder"
        try:
            assert 1 <= number <= self.count
            if number == self.torn:
                raise TornFile("cannot be decoded", file="video.mp4")
            self.asked.append(number)
            return cut(self.draw(number), window)
        finally:
            if alone:
                self._busy.release()


@pytest.fixture
def cameras() -> Cameras:
    crop = crop_from_box(BOX, SIZE_WH, (64, 64))
    K = np.array([[400.0, 0, 30.3], [0, 400, 20.3], [0, 0, 1]])
    R, t = np.stack([turn(0.05 * i) for i in range(FRAMES)]), np.tile([0.01, -0.02, 1.2], (FRAMES, 1))
    return cameras_of(crop, K, R, t)


def larger(cameras: Cameras) -> Cameras:
    """The same poses in a frame of 1280 x 720, whose square for FlashAvatar is shrunk."""
    crop = crop_from_box((300, 900, 60, 660), (1280, 720), (512, 512))
    return cameras_of(crop, np.array([[1400.0, 0, 245], [0, 1400, 263], [0, 0, 1]]), cameras.R, cameras.t)


def plan_for(
    name: str, cameras: Cameras, canvas: CanvasChoice = None, source: str = "video at 25 fps"
) -> ImagePlan:
    plan = plan_images(TARGETS[name], export_for(name, cameras, canvas), source)
    assert plan is not None
    return plan


def export_for(name: str, cameras: Cameras, canvas: CanvasChoice = None) -> Export:
    here = Path()
    return prepare(TARGETS[name], cameras, RunFiles(here, here, here), canvas=canvas)


def stamps(folder: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in folder.rglob("*.*g") if p.name != MASK}


def test_each_picture_is_its_own_frame_moved_onto_the_canvas_with_black_around(
    cameras: Cameras, tmp_path: Path
) -> None:
    plan = plan_for("gaussian-avatars", cameras)
    canvas = plan.canvas
    assert canvas.y_min < 0 == canvas.x_min and canvas.width > 320  # padded above and on the right
    make_images(plan, Frames(), tmp_path)
    for k in range(FRAMES):
        found = cv2.imread(str(tmp_path / f"images/{k:05d}_00.png"))
        wanted = np.zeros_like(found)
        top, left = -canvas.y_min, -canvas.x_min
        wanted[top : top + 180, left : left + 320] = picture(k + 2)  # frame_id 0 is source/00002.png
        assert np.array_equal(found, wanted)


def test_pictures_of_the_crop_canvas_are_the_trackers_own_bit_for_bit(
    cameras: Cameras, tmp_path: Path
) -> None:
    make_images(plan_for("colmap", cameras, "crop"), Frames(), tmp_path)
    for k in range(FRAMES):
        cut = picture(k + 2)[BOX[2] : BOX[3], BOX[0] : BOX[1]]
        padded = np.pad(cut, ((11, 11), (0, 0), (0, 0)))
        assert padded.shape == (160, 160, 3)
        wanted = cv2.resize(padded, (64, 64), interpolation=cv2.INTER_CUBIC)
        (found,) = tmp_path.rglob(f"{k + 2:05d}.png")
        assert np.array_equal(cv2.imread(str(found)), wanted)


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("gaussiantalker", [f"ori_imgs/{k + 1}.jpg" for k in range(FRAMES)]),
        ("flashavatar", [f"dataset/roman/imgs/{k + 1:05d}.jpg" for k in range(FRAMES)]),
        ("nerfstudio", [f"images/{k + 2:05d}.png" for k in range(FRAMES)]),
        # images/ would be taken for its finished pictures, which have a matte in their alpha.
        ("insta", [f"background/{k:05d}.png" for k in range(FRAMES)]),
    ],
)
def test_pictures_have_the_names_that_the_trainer_looks_for(
    name: str, files: list[str], cameras: Cameras, tmp_path: Path
) -> None:
    make_images(plan_for(name, cameras), Frames(), tmp_path)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.*g") if p.name != MASK) == files


def blob(size_wh: tuple[int, int], x: float, y: float) -> np.ndarray:
    rows, columns = np.mgrid[: size_wh[1], : size_wh[0]] + 0.5
    spot = 230 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2 / 4.0**2)
    return np.repeat(spot.round().astype(np.uint8)[..., None], 3, axis=2)


def centre(found: np.ndarray, near: np.ndarray, reach: int) -> np.ndarray:
    """Of the brightness around `near`, corner pixels; JPEG's faint ringing left out."""
    left, top = (int(v) - reach for v in near)
    part = found[top : top + 2 * reach, left : left + 2 * reach].mean(axis=2)
    part = np.where(part > 8, part, 0)
    rows, columns = np.mgrid[: part.shape[0], : part.shape[1]] + 0.5
    return (
        np.array([(part * columns).sum() + left * part.sum(), (part * rows).sum() + top * part.sum()])
        / part.sum()
    )


@pytest.mark.parametrize(
    ("name", "centred", "limit_px"),
    [
        ("nerfstudio", False, 0.05),
        ("gaussiantalker", False, 0.05),
        ("gaussiantalker", True, 0.25 + 0.05),
        ("flashavatar", False, 0.05),
        ("flashavatar", True, 0.25 + 0.05),
    ],
)
def test_a_marker_on_the_frame_is_in_the_picture_where_the_canvas_camera_projects_it(
    name: str, centred: bool, limit_px: float, cameras: Cameras, tmp_path: Path
) -> None:
    cameras = larger(cameras)
    at = np.array([471.3, 296.8])
    source = Frames()
    source.size_wh = cameras.size_wh
    source.draw = lambda number: blob(cameras.size_wh, *at)
    export = export_for(name, cameras)
    plan = plan_for(name, cameras)
    make_images(plan, source, tmp_path)
    K = export.K.copy()
    if centred:  # as its trainer has it
        K[:2, 2] = np.array(export.size_wh) / 2
    for i in (0, FRAMES - 1):
        # The world point that this pixel of the frame shows, 1.1 m away.
        ray = np.linalg.inv(cameras.K_source) @ [*at, 1]
        X = cameras.R[i].T @ (1.1 * ray - cameras.t[i])
        p = K @ (cameras.R[i] @ X + cameras.t[i])
        found = cv2.imread(str(tmp_path / plan.names[i]))
        reach = round(18 * export.canvas.scale_x)
        assert np.abs(p[:2] / p[2] - centre(found, p[:2] / p[2], reach)).max() <= limit_px


def test_a_large_square_is_averaged_and_a_small_one_resized_as_the_tracker_does(cameras: Cameras) -> None:
    K = cameras.K_source.copy()
    assert plan_for("gaussiantalker", cameras).interpolation == "none"
    assert plan_for("flashavatar", larger(cameras)).interpolation == "cubic"
    crop = crop_from_box((0, 1200, 100, 1300), (1920, 1400), (512, 512))
    K[:2, 2] = 600, 700
    large = plan_for("flashavatar", replace(cameras, crop=crop, K_source=K))
    assert large.canvas.width > 1024 and large.interpolation == "area"
    flat = np.indices((1400, 1920)).sum(axis=0) % 2 * 255
    chequer = np.repeat(flat[..., None], 3, axis=2).astype(np.uint8)
    shown = on_canvas(large.canvas, large.interpolation, cut(chequer, large.canvas.copied))
    # A fine chequer becomes an even grey; without averaging it would beat.
    assert np.ptp(shown[:, 40:-40].astype(int)) < 60
    big = crop_from_box((0, 1200, 100, 1300), (1920, 1400), (512, 512))
    assert plan_for("colmap", replace(cameras, crop=big, K_source=K), "crop").interpolation == "cubic"


def test_a_video_is_read_once_in_its_order_and_png_files_by_every_thread(
    cameras: Cameras, tmp_path: Path
) -> None:
    video, files = Frames(), Frames(lossless=True)
    make_images(plan_for("nerfstudio", cameras), video, tmp_path / "a")
    assert video.asked == list(range(2, FRAMES + 2))
    together = threading.Barrier(2)

    def draw_two_at_once(number: int) -> np.ndarray:
        if number in (2, 3):
            together.wait(30)
        return picture(number)

    files.draw = draw_two_at_once
    make_images(plan_for("nerfstudio", cameras), files, tmp_path / "b")
    assert sorted(files.asked) == list(range(2, FRAMES + 2))
    for k in range(FRAMES):
        name = f"images/{k + 2:05d}.png"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_finished_pictures_are_not_made_again_and_spoilt_ones_are(cameras: Cameras, tmp_path: Path) -> None:
    plan = plan_for("nerfstudio", cameras)
    make_images(plan, Frames(), tmp_path)
    first = stamps(tmp_path)
    gone, cut, empty = (tmp_path / f"images/0000{n}.png" for n in (3, 5, 6))
    whole = cut.read_bytes()
    gone.unlink()
    cut.write_bytes(whole[:-9])
    empty.write_bytes(b"")
    source = Frames()
    make_images(plan, source, tmp_path)
    assert source.asked == [3, 5, 6]
    assert cut.read_bytes() == whole
    again = stamps(tmp_path)
    assert {p for p in again if again[p] != first[p]} == set(map(str, (gone, cut, empty)))
    nobody = Frames()
    make_images(plan, nobody, tmp_path)
    assert nobody.asked == []


def test_one_that_is_stopped_leaves_only_whole_pictures_and_resumes(
    cameras: Cameras, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("being_remote.export.images.MAX_WORKERS", 2)
    plan = plan_for("gaussiantalker", cameras)

    def stop_at_three(progress: TransferProgress) -> None:
        if progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_images(plan, Frames(), tmp_path, on_progress=stop_at_three)
    before = stamps(tmp_path)
    assert 3 <= len(before) < FRAMES
    assert all(cv2.imread(p) is not None for p in before)
    assert not list(tmp_path.rglob(".*"))
    rest = Frames()
    make_images(plan, rest, tmp_path)
    assert len(rest.asked) == FRAMES - len(before)
    assert {p: s for p, s in stamps(tmp_path).items() if p in before} == before


def test_a_frame_that_cannot_be_decoded_is_named_and_what_is_finished_stays(
    cameras: Cameras, tmp_path: Path
) -> None:
    with pytest.raises(TornFile, match="cannot be decoded"):
        make_images(plan_for("nerfstudio", cameras), Frames(torn=6), tmp_path)
    assert {p.name for p in (tmp_path / "images").iterdir()} >= {f"0000{n}.png" for n in (2, 3, 4)}
    assert not (tmp_path / "images/00006.png").exists()


def test_pictures_of_another_plan_are_refused_and_left_as_they_are(cameras: Cameras, tmp_path: Path) -> None:
    make_images(plan_for("nerfstudio", cameras), Frames(), tmp_path)
    before = stamps(tmp_path)
    later = replace(cameras, source_numbers=cameras.source_numbers + 1)
    for plan, changed in (
        (plan_for("nerfstudio", cameras, (200, 100)), "canvas"),
        (plan_for("nerfstudio", cameras, source="another video"), "source"),
        (plan_for("nerfstudio", later), "numbering_sha256"),
    ):
        with pytest.raises(UsageError, match=f"another plan: .*{changed}(.|\n)*--out DIR"):
            make_images(plan, Frames(), tmp_path)
    (tmp_path / RECORD).write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        make_images(plan_for("nerfstudio", cameras), Frames(), tmp_path)
    (tmp_path / RECORD).unlink()
    with pytest.raises(UsageError, match=r"pictures already \(images/00002.png\)"):
        make_images(plan_for("nerfstudio", cameras), Frames(), tmp_path)
    assert stamps(tmp_path) == before


def test_pictures_of_other_frames_of_the_video_under_the_same_numbers_are_refused(
    cameras: Cameras, tmp_path: Path
) -> None:
    told = replace(cameras, numbers_by="pixels", video_frames=np.arange(FRAMES) + 1)
    make_images(plan_for("nerfstudio", part(told, slice(0, 5))), Frames(), tmp_path)
    rest = Frames()
    make_images(plan_for("nerfstudio", told), rest, tmp_path)
    assert rest.asked == [7, 8]
    for other in (replace(told, video_frames=np.arange(FRAMES)), replace(told, numbers_by="settings")):
        with pytest.raises(UsageError, match="pictures of another plan"):
            make_images(plan_for("nerfstudio", other), Frames(), tmp_path)


@pytest.mark.parametrize("by", ["pixels", "unknown"])
def test_no_picture_is_made_of_a_pose_whose_frame_is_not_known(
    cameras: Cameras, tmp_path: Path, by: str
) -> None:
    frames = np.where(np.arange(FRAMES) == 3, -1, np.arange(FRAMES) + 1)
    told = replace(cameras, numbers_by=by, video_frames=frames)
    with pytest.raises(InconsistentData, match="1 of 7 pictures cannot be made: their frames") as caught:
        make_images(plan_for("insta", told), Frames(), tmp_path)
    assert caught.value.exit_code == 6 and "--no-check" in caught.value.hint
    numbers = np.where(frames < 0, 0, cameras.source_numbers)
    with pytest.raises(InconsistentData, match="1 of 7 pictures cannot be made: their frames"):
        make_images(plan_for("insta", replace(cameras, source_numbers=numbers)), Frames(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_pictures_of_a_run_that_has_grown_at_its_end_are_added_to_and_of_no_other(
    cameras: Cameras, tmp_path: Path
) -> None:
    make_images(plan_for("gaussian-avatars", part(cameras, slice(0, 4))), Frames(), tmp_path)
    before = stamps(tmp_path)
    # Numbered anew: the same names, other frames.
    with pytest.raises(UsageError, match="another plan: numbering_sha256 changed"):
        make_images(plan_for("gaussian-avatars", part(cameras, slice(1, FRAMES))), Frames(), tmp_path)
    stranger = tmp_path / "images/00005_00.png"
    stranger.write_bytes((tmp_path / "images/00001_00.png").read_bytes())
    with pytest.raises(UsageError, match=r"pictures already \(images/00005_00.png\)"):
        make_images(plan_for("gaussian-avatars", cameras), Frames(), tmp_path)
    stranger.unlink()
    source = Frames()
    make_images(plan_for("gaussian-avatars", cameras), source, tmp_path)
    assert source.asked == [6, 7, 8]
    assert {p: s for p, s in stamps(tmp_path).items() if p in before} == before
    assert json.loads((tmp_path / RECORD).read_text())["pictures"] == FRAMES
    with pytest.raises(UsageError, match="another plan"):  # what was the whole run is now a part
        make_images(plan_for("gaussian-avatars", part(cameras, slice(0, 4))), Frames(), tmp_path)


def test_a_video_is_read_in_its_own_order_where_the_runs_is_another(cameras: Cameras, tmp_path: Path) -> None:
    mixed = replace(cameras, source_numbers=np.array([2, 3, 8, 4, 5, 6, 7]))
    video = Frames()
    make_images(plan_for("gaussian-avatars", mixed), video, tmp_path)
    assert video.asked == [2, 3, 4, 5, 6, 7, 8]
    canvas = plan_for("gaussian-avatars", mixed).canvas
    third = cv2.imread(str(tmp_path / "images/00002_00.png"))
    assert np.array_equal(third[-canvas.y_min :][:180, :320], picture(8))


def test_cameras_of_other_frames_are_not_written_over_those_that_the_pictures_were_made_for(
    cameras: Cameras, tmp_path: Path
) -> None:
    target, first = TARGETS["nerfstudio"], part(cameras, slice(0, 5))
    write(target, export_for("nerfstudio", first), tmp_path)
    make_images(plan_for("nerfstudio", first), Frames(), tmp_path / "nerfstudio")
    document = tmp_path / "nerfstudio/transforms.json"
    before = document.read_bytes()
    for other in (part(cameras, slice(1, 6)), part(cameras, slice(0, 4))):
        with pytest.raises(UsageError, match="pictures of other frames than the"):
            write(target, export_for("nerfstudio", other), tmp_path)
    assert document.read_bytes() == before
    write(target, export_for("nerfstudio", first), tmp_path)
    write(target, export_for("nerfstudio", cameras), tmp_path)  # a run that has grown keeps its numbers
    assert document.read_bytes() != before
    for said in ("[]", '{"pictures": "5"}', "[" * 100_000, "{"):
        (tmp_path / "nerfstudio" / RECORD).write_text(said)
        with pytest.raises(UsageError, match=r"pictures of other frames|cannot be read"):
            write(target, export_for("nerfstudio", first), tmp_path)


def test_frames_that_the_source_lacks_are_refused_before_a_picture_is_made(
    cameras: Cameras, tmp_path: Path
) -> None:
    with pytest.raises(
        InconsistentData, match=r"2 of 7 pictures (.|\n)* source frames 7 to 8, and there are 6"
    ):
        make_images(plan_for("nerfstudio", cameras), Frames(count=6), tmp_path)
    other = Frames()
    other.size_wh = (180, 320)
    with pytest.raises(InconsistentData, match="frames are 180x320, the cameras are for 320x180"):
        make_images(plan_for("nerfstudio", cameras), other, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_canvas_that_shows_nothing_of_the_frame_is_refused(cameras: Cameras) -> None:
    K = cameras.K_source.copy()
    K[0, 2] = -500
    with pytest.raises(UsageError, match="shows nothing"):
        plan_for("nerfstudio", replace(cameras, K_source=K), (100, 100))


def test_the_mask_is_what_the_tracker_saw_and_nothing_of_the_padding(
    cameras: Cameras, tmp_path: Path
) -> None:
    plan = plan_for("gaussiantalker", cameras)
    make_images(plan, Frames(), tmp_path)
    mask = cv2.imread(str(tmp_path / MASK), cv2.IMREAD_UNCHANGED)
    assert mask.shape == plan.canvas.out_size_wh[::-1] and set(np.unique(mask)) == {0, 255}
    rows, columns = np.nonzero(mask)
    x, y = plan.canvas.x_min, plan.canvas.y_min
    assert (columns.min() + x, columns.max() + 1 + x, rows.min() + y, rows.max() + 1 + y) == BOX


def test_a_resized_mask_holds_exactly_the_pixels_that_show_nothing_but_what_was_seen(
    cameras: Cameras,
) -> None:
    plan = plan_for("flashavatar", larger(cameras))
    x_min, x_max, y_min, y_max = (int(v) for v in plan.seen)
    white = np.zeros((720, 1280, 3), np.uint8)
    white[y_min:y_max, x_min:x_max] = 255
    shares = on_canvas(plan.canvas, "area", cut(white, plan.canvas.copied))[..., 0]
    mask = valid_mask(plan.canvas, plan.seen)
    assert plan.canvas.width > 512 and ((shares > 0) & (shares < 255)).sum() > 500  # edges between pixels
    assert np.array_equal(mask == 255, shares == 255)


def test_progress_counts_all_pictures_with_those_made_before(cameras: Cameras, tmp_path: Path) -> None:
    plan = plan_for("nerfstudio", cameras)
    make_images(plan, Frames(), tmp_path)
    (tmp_path / "images/00004.png").unlink()
    (tmp_path / "images/00005.png").unlink()
    told: list[TransferProgress] = []
    make_images(plan, Frames(), tmp_path, on_progress=told.append)
    assert [(p.done, p.total, p.unit) for p in told] == [(6, 7, "pictures"), (7, 7, "pictures")]


def test_the_words_for_a_source_change_when_it_does(tmp_path: Path) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(b"one")
    said = source_words(video, 25)
    assert said == source_words(video, 25) and "video.mp4 at 25 fps" in said
    assert said != source_words(video, 30)
    video.write_bytes(b"another")
    assert said != source_words(video, 25)
    folder = source_words(tmp_path, 25)
    (tmp_path / "00001.png").write_bytes(b"")
    assert folder != source_words(tmp_path, 25)


def test_the_record_says_in_plain_json_what_the_pictures_are_of(cameras: Cameras, tmp_path: Path) -> None:
    make_images(plan_for("gaussiantalker", cameras), Frames(), tmp_path)
    record = json.loads((tmp_path / RECORD).read_text())
    assert record["source"] == "video at 25 fps" and record["pictures"] == FRAMES
    assert record["encoding"] == "JPEG, quality 95" and record["canvas"]["source_size_wh"] == [320, 180]
