"""The report page of `recover`: its report as the words, tables, pictures and charts of the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from being_remote.crop_search.finding import FrameEvidence
from being_remote.export import Cameras
from being_remote.recovery.drawings import Overlay
from being_remote.recovery.recovery_report import RecoverReport
from being_remote.recovery.stored_crops import spread
from being_remote.report.curves import camera_path
from being_remote.report.page import Column, Page, PageChart, PagePicture, SliderFrame, Table, html
from being_remote.report.plots import plot_intrinsics, plot_panels

GRADES = {
    "bbox": "The crop is this run's own bbox.pt; it was not compared with pixels.",
    "whole frame": "The run cropped nothing: its camera is only scaled.",
    "unverified": "It is unknown whether this crop is that of all frames of this run.",
    "exact": "The pixels show the crop: made again, it equals the stored pictures.",
    "verified": "The pixels show the crop: made again, it is like the stored pictures, not equal.",
    "estimated": "The crop was estimated by registering pictures; its errors are below.",
    "landmark": "The crop was estimated from landmarks; its errors are below.",
}
PLOTS = ("intrinsics.png", "camera_path.png")
SHOWN = {True: 8, False: 2}  # overlays on the page, with a video and without


def shown_places(cameras: Cameras, *, with_video: bool) -> list[int]:
    """Which cameras are drawn: the first always."""
    return spread(range(len(cameras.frame_ids)), SHOWN[with_video])


def page_bytes(
    report: RecoverReport, cameras: Cameras, overlays: Sequence[Overlay], evidence: bytes | None
) -> bytes:
    """The page as one self-contained file; `evidence`: its picture, JPEG or PNG."""
    picture, chart = None, "how far and how turned the head is"
    if evidence is not None:
        caption = "stored crop, the crop made again, their difference, and the score around the optimum"
        picture = PagePicture("The evidence for the crop", caption, evidence)
    path = camera_path(cameras.frame_ids, cameras.R, cameras.t)
    return html(
        Page(
            title=report.run,
            about=tuple(_about(report)),
            grade=report.grade,
            grade_text=_grade_text(report),
            warnings=report.warnings,
            notes=(*(report.what_if.lines if report.what_if else ()), *report.notes),
            crop=cameras.crop,
            K_crop=cameras.K_crop,
            K_source=cameras.K_source,
            frames=tuple(_frames(cameras, overlays)),
            evidence=picture,
            checks=tuple(_tables(report)),
            charts=(PageChart("The head before the camera", chart, path),),
            outputs=report.outputs,
        )
    )


def plot_files(cameras: Cameras) -> dict[str, bytes]:
    """The camera and its path as PNG files, by name."""
    name, path = cameras.name, camera_path(cameras.frame_ids, cameras.R, cameras.t)
    title = f"{name}: the camera before and after"
    camera = plot_intrinsics(title, cameras.crop, cameras.K_crop, cameras.K_source)
    return {PLOTS[0]: camera, PLOTS[1]: plot_panels(f"{name}: camera path", path)}


def _about(report: RecoverReport) -> Iterator[str]:
    yield f"{report.frames} frames" + (f", {len(report.missing_ids)} missing" if report.missing_ids else "")
    if report.actor not in (None, report.run):
        yield f"actor {report.actor}"
    if report.bbox is not None:
        yield f"box: {report.bbox}"
    n = report.numbering
    by = {"settings": "the run's settings", "assumption": "an assumption", "pixels": "the pixels"}
    if n.first is None:
        yield "which source frames the poses are of is unknown"
    else:
        yield f"poses are of source frames {n.first} to {n.last} at {n.fps:g} fps, by {by[n.by]}"


def _grade_text(report: RecoverReport) -> str:
    sentences = [GRADES[report.grade]]
    if report.evidence is not None and report.evidence.reason:
        sentences.append(f"Not better because {report.evidence.reason}.")
    if report.evidence is not None:
        sentences += [f"{note[0].upper()}{note[1:]}." for note in report.evidence.notes]
    if report.evidence is not None and report.evidence.focal_std_percent:
        x, y = report.evidence.principal_std_px
        sentences.append(
            f"Standard errors: focal length {report.evidence.focal_std_percent:.3f} %,"
            f" principal point {x:.2f} and {y:.2f} px."
            if x is not None and y is not None
            else f"Standard error of the focal length: {report.evidence.focal_std_percent:.3f} %."
        )
    if report.check is not None and report.check.agrees:
        sentences.append("Stored crops were compared with the original frames, and agree.")
        sentences += [f"{note[0].upper()}{note[1:]}." for note in report.check.notes]
    elif report.check is not None:
        sentences.append(f"It was {report.check.reason}.")
    return " ".join(sentences)


def _frames(cameras: Cameras, overlays: Iterable[Overlay]) -> Iterator[SliderFrame]:
    for one in overlays:
        frame_id, number = int(cameras.frame_ids[one.place]), int(cameras.source_numbers[one.place])
        facts: list[tuple[str, str | float]] = [("source frame", f"{number:05d}" if number else "unknown")]
        if cameras.times_s is not None and cameras.times_s[one.place] >= 0:
            facts.append(("time, s", float(cameras.times_s[one.place])))
        what = "; ".join(one.lacking)
        caption = f"Frame {frame_id:05d} through the recovered camera{f'; {what}' if what else ''}."
        yield SliderFrame(f"{frame_id:05d}", caption, one.jpeg, tuple(facts))


def _tables(report: RecoverReport) -> Iterator[Table]:
    if report.check is not None and report.check.frames:
        yield _compared("Stored crops against the box", report.check.frames)
    if report.evidence is not None and report.evidence.frames:
        yield _compared("Stored crops against the crop found", report.evidence.frames)
    if report.exports:
        yield Table(
            "The trainers' cameras",
            tuple(map(Column, ("for", "picture", "fx", "fy", "cx", "cy", "off centre"))),
            tuple(
                (
                    e.name,
                    "x".join(map(str, e.canvas.out_size_wh)),
                    e.K[0][0],
                    e.K[1][1],
                    e.K[0][2],
                    e.K[1][2],
                    e.off_centre or "no",
                )
                for e in report.exports
            ),
            "K of each trainer's own picture, corner convention.",
            frozenset(i for i, e in enumerate(report.exports) if e.off_centre),
        )


def _compared(title: str, frames: Sequence[FrameEvidence]) -> Table:
    return Table(
        title,
        (
            Column("frame"),
            Column("source frame"),
            Column("equal pixels"),
            Column("residual, levels", 2),
            Column("score", 5),
            Column("ahead by", 5),
        ),
        tuple(
            (f"{f.frame_id:05d}", f.source_number + f.frame_offset, f.equal, f.residual, f.score, f.margin)
            for f in frames
        ),
        "Each stored crop is compared with the crop made again from the original frame.",
        frozenset(i for i, f in enumerate(frames) if not f.agrees),
    )
