"""Reports for people: what each command prints on a terminal. Every name goes through `printable`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from being_remote.cli.text import printable, size_text

if TYPE_CHECKING:
    from being_remote.workflows.checkups.checks import HostCheck
    from being_remote.workflows.doctor import DoctorReport
    from being_remote.workflows.find_bbox import FindReport, HostRow
    from being_remote.workflows.homecoming.report import SyncReport
    from being_remote.workflows.hosts import HostsReport
    from being_remote.workflows.recover import RecoverReport
    from being_remote.workflows.trust import TrustReport


def show_find_bbox(console: Console, report: FindReport) -> None:
    """A row for each candidate or failed host, the evidence, then the choice and the next step."""
    table = _table("host", "bbox.pt", "box x, y", "side", "")
    for row in report.results:
        _add_host(table, row)
    console.print(table)
    for row in report.results:
        for bound in row.truncated:
            _line(console, f"{row.host}: the search was cut: {bound}", "yellow")
        for root in row.missing_roots:
            _line(console, f"{row.host}: search root {root} is not there", "yellow")
    kinds = ("frames", "crops", "source images", "landmarks", "meshes", "videos")
    evidence = _table("host", *kinds, numbers=kinds)
    for row in report.results:
        e = row.evidence
        counts = (e.frames, e.crop_images, e.source_images, e.landmarks, e.meshes, e.videos)
        if any(counts):
            evidence.add_row(_text(row.host), *("?" if n is None else str(n) for n in counts))
    console.print()
    if evidence.row_count:
        console.print(evidence)
        console.print()
    if report.best is not None:
        best = report.best
        _line(console, f"best: {best.host}:{best.path}", "bold green")
        _line(console, f"      {best.why}")
    else:
        _line(console, f"no choice: {report.why_no_best}", "bold yellow")
        for way in report.recovery:
            _line(console, f"  open: {way}")
    if report.fetched is not None:
        _line(console, f"fetch: {report.fetched.what} -> {report.fetched.path}")


def show_sync(console: Console, report: SyncReport) -> None:
    """What came home, what was set aside, what is odd."""
    would = "would fetch up to" if report.dry_run else "fetched"
    _line(
        console,
        f"{report.host}: {report.files} files, {size_text(report.bytes)} of {report.actor};"
        f" {would} {report.transferred_files} files, {size_text(report.transferred_bytes)}"
        + (f" by {report.method}" if report.method else "")
        + f" in {report.seconds:.1f} s",
    )
    if report.snapshot is not None and not report.dry_run:
        news = "" if report.transferred_files or report.adopted.count else " (nothing new)"
        _line(console, f"home: {report.folder}, generation {report.snapshot}{news}", "green")
    if report.verified is not None:
        _line(
            console,
            f"verified: {report.verified} of {report.files} files have the hash made on the host",
            "green",
        )
    if report.adopted.count:
        _line(console, f"adopted: {report.adopted.count} files that lay here already, as they are")
    if report.new_run:
        _line(console, f"another run: {report.new_run}", "yellow")
    for warning in report.warnings:
        _line(console, f"note: {warning}", "yellow")
    if report.quarantined:
        table = _table("set aside", "why", "kept as")
        for q in report.quarantined:
            table.add_row(_text(q.path), _text(q.reason), _text(str(q.kept_as or "not fetched")))
        console.print(table)


def show_recover(console: Console, report: RecoverReport) -> None:
    """The camera before and after, the crop between them, and the files."""
    crop = report.crop
    _line(
        console,
        f"{report.run}: {report.frames} frames, crop by {report.bbox or 'none'} (grade: {report.grade})",
    )
    names = ("fx", "fy", "cx", "cy")
    table = _table("px, corner convention", *names, numbers=names)
    rows = [("stored, in the crop", report.K_crop)]
    if report.explain is not None:
        rows.append(("the guide's answer (wrong)", report.explain.guide_K))
    rows.append(("original video", report.K))
    rows.append(("the same for OpenCV", report.K_opencv))
    for name, K in rows:
        style = {"original video": "bold green", "the guide's answer (wrong)": "red"}.get(name, "")
        table.add_row(
            Text(name, style=style), *(f"{v:.4f}" for v in (K[0][0], K[1][1], K[0][2], K[1][2])), style=style
        )
    console.print(table)
    width, height = report.source_size_wh
    _line(
        console,
        f"crop: x {crop.x_min}..{crop.x_max}, y {crop.y_min}..{crop.y_max} of {width}x{height},"
        f" padded by {crop.pad_x}, {crop.pad_y} to {crop.side}, resized to {report.image_size_wh[0]}"
        f" (scale {crop.scale_x:g}, {crop.scale_y:g}; origin {crop.origin[0]}, {crop.origin[1]})",
    )
    _line(console, f"field of view: {report.fov_deg[0]:.2f} x {report.fov_deg[1]:.2f} degrees")
    if report.explain is not None:
        _line(
            console,
            f"why: the crop was resized, so f grows by {report.explain.focal_ratio:.6g};"
            " the guide's camera is off by",
        )
        for e in report.explain.errors:
            _line(
                console,
                f"  {e.degrees:6.2f} degrees at the {e.where}, ({e.source_px[0]:.0f}, {e.source_px[1]:.0f})",
            )
    for warning in report.warnings:
        _line(console, f"warning: {warning}", "yellow")
    for note in report.notes:
        _line(console, f"note: {note}")
    verb = "would write" if report.dry_run else "wrote"
    for path in report.outputs:
        _line(console, f"{verb} {path}", "green")


def show_hosts(console: Console, report: HostsReport) -> None:
    """A row for each host."""
    table = _table("host", "address", "reachable", "trusted", "rsync", "python", "GPUs", "free")
    for row in report.hosts:
        table.add_row(
            _text(row.host),
            _text(row.address),
            _yes_no(row.reachable),
            _yes_no(row.trusted),
            _text(row.rsync or "-"),
            _text(row.python or "-"),
            str(len(row.gpus)) if row.python is not None else "?",
            size_text(row.disk_free_bytes) if row.disk_free_bytes is not None else "?",
        )
    console.print(table)
    for row in report.hosts:
        _show_error(console, row)


def show_doctor(console: Console, report: DoctorReport) -> None:
    """Each host: what it has, then what is missing and what to do."""
    for row in report.hosts:
        _line(console, f"{row.host} ({row.address})", "bold")
        facts = [
            f"{name} {value}"
            for name, value in (("rsync", row.rsync), ("python", row.python), ("numpy", row.numpy))
            if value
        ]
        if row.sftp is not None:
            facts.append("sftp" if row.sftp else "no sftp")
        if row.disk_free_bytes is not None:
            facts.append(f"{size_text(row.disk_free_bytes)} free")
        if facts:
            _line(console, f"  has      {', '.join(facts)}")
        for gpu in row.gpus:
            used = (
                f"{gpu.memory_used_mib} of {gpu.memory_total_mib} MiB used, {gpu.utilization_percent} % busy"
            )
            _line(console, f"  GPU {gpu.index}    {gpu.name}: {used}")
        for note in row.notes:
            _line(console, f"  note     {note}")
        for problem in row.problems:
            _line(console, f"  missing  {problem}", "yellow")
        _show_error(console, row)
        if row.error is None and not row.problems:
            _line(console, "  nothing is missing", "green")


def show_trust(console: Console, report: TrustReport) -> None:
    """Each machine on the way, and what is believed of it now."""
    table = _table("machine", "key", "fingerprint", "")
    for key in report.keys:
        action = (
            f"would be {key.action}" if report.dry_run and key.action != "already trusted" else key.action
        )
        table.add_row(_text(key.address), key.key_type, key.fingerprint, action)
        if key.previous:
            table.add_row("", "", Text(key.previous, style="dim"), "before")
    console.print(table)


def _show_error(console: Console, row: HostCheck) -> None:
    if row.error is not None:
        _line(console, f"  {row.host}: {row.error}", "red")
        if row.next:
            _line(console, f"  next: {row.next}")


def _yes_no(value: bool | None) -> Text:
    if value is None:
        return Text("?", style="yellow")
    return Text("yes", style="green") if value else Text("no", style="red")


def _add_host(table: Table, row: HostRow) -> None:
    if row.error is not None:
        said = Text(printable(row.error), style="red")
        if row.next:
            said.append(f"\nnext: {printable(row.next)}", style="default")
        table.add_row(_text(row.host), said, "", "", Text("not asked", style="red"))
    elif not row.candidates:
        table.add_row(_text(row.host), Text("none", style="dim"), "", "", "")
    for c in row.candidates:
        if c.bbox is None:
            box, side = "", ""
        else:
            box = f"{c.bbox.x_min}..{c.bbox.x_max}, {c.bbox.y_min}..{c.bbox.y_max}"
            side = str(max(c.bbox.x_max - c.bbox.x_min, c.bbox.y_max - c.bbox.y_min))
        said = _text(c.path)
        for problem in c.problems:
            said.append(f"\n{printable(problem)}", style="yellow")
        verdict = (
            Text("usable", style="green") if c.valid and not c.problems else Text("see text", style="yellow")
        )
        if not c.valid:
            verdict = Text("refused", style="red")
        elif c.actor is None:
            verdict = Text("whose?", style="yellow")
        table.add_row(_text(row.host), said, box, side, verdict)


def _table(*columns: str, numbers: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column in numbers else "left")
    return table


def _text(name: str) -> Text:
    return Text(printable(name))


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(printable(text), style=style), soft_wrap=True)
