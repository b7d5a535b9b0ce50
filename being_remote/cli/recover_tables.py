"""What a person sees of `recover`: first how sure it is, then the camera and the files."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from being_remote.cli.printing import line, new_table, path_line, prose
from being_remote.recovery.recovery_report import RecoverReport
from being_remote.recovery.report_figures import EvidenceFigures

_WAYS = {
    "bbox": "crop by bbox.pt",
    "images": "crop by comparing stored crops with the original frames",
    "landmarks": "crop by comparing landmarks",
    "whole frame": "nothing was cropped",
}
_GOOD = ("bbox", "whole frame", "exact", "verified")
LOOKED_AT = ("report.html", "overlay.png", "evidence.png", "bbox.pt")
MAX_STRETCHES = 6  # of a run with K per frame; the files hold all
MAX_NOTED = 3  # trainers whose notes are printed


def show_recover(console: Console, report: RecoverReport) -> None:
    """How sure it is, the camera and where its files are; then by what; last, what to be careful of."""
    if report.K is not None and report.what_if is not None and not report.outputs:
        return _show_forecast(console, report)
    _show_grade(console, report)
    if report.K is not None:
        _show_camera(console, report)
        _show_files(console, report)
        _show_crop(console, report)
        _show_numbers(console, report)
    if report.bbox is not None:
        line(console, f"box: {report.bbox}")
    if report.evidence is not None:
        _show_evidence(console, report.evidence, report.grade)
    _show_check(console, report)
    if report.what_if is not None:
        _show_what_if(console, report.what_if.lines)
    if report.K is not None:
        _show_notes(console, report)
    for warning in report.warnings:
        prose(console, f"warning: {warning}", "yellow")
    if report.K is None:
        _show_no_camera(console, report)
    elif report.grade == "unverified":
        prose(console, "  next: give --video FILE and check in overlay.png that crop and mesh match the head")


def _show_grade(console: Console, report: RecoverReport) -> None:
    """The grade in words, and of what."""
    from being_remote.recovery.report_page import GRADES

    style = "bold green" if report.grade in _GOOD and report.K is not None else "bold yellow"
    words = GRADES.get(report.grade, "No crop agrees with the pictures.")
    prose(console, f"{report.grade}: {words[0].lower()}{words[1:].rstrip('.')}", style)
    of_job = f", job {report.job}" if report.job and report.job != report.run else ""
    line(console, f"{report.run}{of_job}: {report.frames} frames; {_WAYS[report.crop_by]}")


def _show_forecast(console: Console, report: RecoverReport) -> None:
    """What other settings would do, and nothing else."""
    assert report.what_if is not None
    _show_what_if(console, report.what_if.lines)
    for warning in report.warnings:
        prose(console, f"warning: {warning}", "yellow")
    prose(console, "nothing was written; --export NAME or --out DIR writes the cameras of the run as it is")


def _show_what_if(console: Console, lines: Sequence[str]) -> None:
    for text in lines or ("the crop stays the same",):
        prose(console, f"what if: {text}", "cyan")


def _show_evidence(console: Console, found: EvidenceFigures, grade: str) -> None:
    line(console, f"evidence: {found.evidence}")
    line(console, f"          against {found.source}")
    figures = []
    if found.frames:
        equal = sum(f.equal for f in found.frames)
        figures.append(f"{len(found.frames)} compared, {equal} with equal pixels")
    if found.residual is not None:
        figures.append(f"residual {found.residual:.2f} of 255")
    if found.margin is not None:
        figures.append(f"better than the next crop by {found.margin:.5f}")
    if found.phantoms:
        figures.append(f"{found.phantoms} left out, match no frame")
    if figures:
        prose(console, f"          {'; '.join(figures)}")
    if grade not in _GOOD and found.focal_std_percent is not None:
        x, y = found.principal_std_px
        centre = f", principal point +-{x:.2f}, {y:.2f} px" if x is not None and y is not None else ""
        side = f"side +-{found.side_std_px:.2f} px, " if found.side_std_px is not None else ""
        prose(console, f"          error bars: {side}focal length +-{found.focal_std_percent:.3f} %{centre}")
    if found.reason and grade in _GOOD:
        prose(console, f"          {found.reason}")
    for note in found.notes:
        prose(console, f"          {note}")


def _show_check(console: Console, report: RecoverReport) -> None:
    seen = report.check
    if seen is None:
        return
    if seen.agrees is None:
        prose(console, f"pixels: {seen.reason}", "dim")
        return
    frames = f"{len(seen.frames)} stored crops against {seen.source}"
    if seen.agrees:
        how = "equal pixels" if seen.exact else "they agree"
        prose(console, f"pixels: {frames}: {how}", "green")
    elif seen.frames:
        prose(console, f"pixels: {frames}: they disagree", "bold red")
    else:
        prose(console, f"pixels: no stored crop matches {seen.source}: they disagree", "bold red")


def _show_no_camera(console: Console, report: RecoverReport) -> None:
    """Why nothing was written, and what to do."""
    line(console, "no camera: nothing was written", "bold red")
    if report.check is not None and report.check.agrees is False:
        prose(
            console,
            f"  next: if {report.check.source} was tracked, `--from-images {report.check.source}` finds the"
            " crop by its pictures; if another video was, name it: --video FILE. --no-check uses the box"
            " without the check",
        )
    else:
        prose(
            console,
            "  next: make sure that this video was tracked; if so: being-remote find-bbox, or --bbox FILE",
        )


def _show_camera(console: Console, report: RecoverReport) -> None:
    assert report.K is not None and report.K_opencv is not None
    names = ("fx", "fy", "cx", "cy")
    table = new_table("px, corner convention", *names, numbers=names)
    rows = [("stored, in the crop", report.K_crop, "")]
    if report.explain is not None:
        rows.append(("the guide's answer (wrong)", report.explain.guide_K, "red"))
    for stretch in report.K_per_frame[:MAX_STRETCHES]:
        rows.append((f"original, frames {stretch.first_id}..{stretch.last_id}", stretch.K, "bold green"))
    if not report.K_per_frame:
        rows.append(("original video", report.K, "bold green"))
    rows.append(("the same for OpenCV", report.K_opencv, ""))
    for out in report.exports:
        if out.K != report.K:
            w, h = out.canvas.out_size_wh
            rows.append((f"{out.name}, on {w}x{h}", out.K, ""))
    for name, K, style in rows:
        values = (f"{v:.4f}" for v in (K[0][0], K[1][1], K[0][2], K[1][2]))
        table.add_row(Text(name, style=style), *values, style=style)
    console.print(table)
    if report.explain is not None:
        prose(
            console,
            f"why: the crop was resized, so f grows {report.explain.focal_ratio:.6g} times;"
            " the guide's camera (offset added, f kept) is off by",
        )
        for e in report.explain.errors:
            line(
                console,
                f"  {e.degrees:6.2f} degrees at the {e.where}, ({e.source_px[0]:.0f}, {e.source_px[1]:.0f})",
            )


def _show_crop(console: Console, report: RecoverReport) -> None:
    crop = report.crop
    assert crop is not None  # there is a camera
    width, height = report.source_size_wh
    line(
        console,
        f"crop: x {crop.x_min}..{crop.x_max}, y {crop.y_min}..{crop.y_max} of {width}x{height},"
        f" padded by {crop.pad_x}, {crop.pad_y} to {crop.side:g}",
    )
    small_width, small_height = report.image_size_wh
    line(
        console,
        f"      resized to {small_width}x{small_height}: scale {crop.scale_x:g}, {crop.scale_y:g};"
        f" origin {crop.origin[0]:g}, {crop.origin[1]:g}",
    )
    assert report.fov_deg is not None
    line(console, f"field of view: {report.fov_deg[0]:.2f} x {report.fov_deg[1]:.2f} degrees")


def _show_numbers(console: Console, report: RecoverReport) -> None:
    """Which original frames the poses are of."""
    numbers = report.numbering
    if numbers.first is None:
        prose(console, "frames: the source frames of the poses are unknown", "yellow")
        return
    count = f" of {numbers.frames_at_hand}" if numbers.frames_at_hand is not None else ""
    by = {"settings": "by its settings", "assumption": "assumed", "pixels": "by the pixels"}[numbers.by]
    if numbers.by == "pixels" and numbers.crops_found:
        by += f" of {numbers.crops_found} stored crops"
    rate = f" at {numbers.fps:g} fps" if numbers.at_fps else ""
    prose(console, f"frames: poses are of source frames {numbers.first}..{numbers.last}{count}{rate}, {by}")


def _show_notes(console: Console, report: RecoverReport) -> None:
    """What the trainers need; of many trainers only where to read it."""
    if len(report.exports) > MAX_NOTED:
        prose(
            console,
            f"{len(report.notes)} notes on what the trainers need: in report.html, or with --export NAME",
        )
        return
    for note in report.notes:
        prose(console, f"note: {note}")


def _show_files(console: Console, report: RecoverReport) -> None:
    """The files to look at with their whole path; the rest by folder."""
    verb = "would write" if report.dry_run else "wrote"
    if report.moved_aside is not None:
        moved = "would be moved" if report.dry_run else "was moved"
        prose(console, f"the older output folder {moved} to {report.moved_aside}", "yellow")
    by_folder: dict[str, list[str]] = {}
    for path in report.outputs:
        folder, name = os.path.split(path.rstrip("/"))
        if name in LOOKED_AT:
            path_line(console, f"{verb} ", path, "green")
        else:
            by_folder.setdefault(folder, []).append(name + "/" * path.endswith("/"))
    for folder, names in by_folder.items():
        path_line(console, f"{verb} ", f"{folder}/", "green")
        prose(console, f"  {'  '.join(names)}", "green")
    for out in report.exports:
        if out.images is not None:
            made, kept = out.images - (out.images_kept or 0), out.images_kept
            older = f"; {kept} were made before" if kept else ""
            line(console, f"{verb} {made} pictures for {out.name}{older}", "green")
    if report.wrote_bbox is not None:
        path_line(console, f"{verb} ", report.wrote_bbox, "green")
