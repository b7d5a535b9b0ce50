"""Reports for people: what each command prints on a terminal. Every name goes through `printable`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from being_remote.cli.printing import cell, line, new_table, prose
from being_remote.cli.text import files_text, first_line, printable, size_text

if TYPE_CHECKING:
    from being_remote.find_bbox.box_candidates import Candidate
    from being_remote.host_checks.checks import HostCheck
    from being_remote.sync.sync_report import SyncReport
    from being_remote.workflows.doctor import DoctorReport
    from being_remote.workflows.find_bbox import FindReport, HostRow
    from being_remote.workflows.hosts import HostsReport
    from being_remote.workflows.trust import TrustReport

EXAMPLES = 5


def show_find_bbox(console: Console, report: FindReport) -> None:
    """Each host's candidates or why it has none, the evidence, then the choice and the next step."""
    width = max((len(printable(row.host)) for row in report.results), default=0)
    for row in report.results:
        _show_candidates(console, row, width)
    for row in report.results:
        _show_jobs_boxes(console, row)
    for row in report.results:
        for bound in row.truncated:
            line(console, f"{row.host}: the search was cut: {bound}", "yellow")
        for root in row.unfinished:
            line(console, f"{row.host}: not searched to the end: {root}", "yellow")
        if row.unfinished:
            line(console, "  next: find-bbox --search-time 10m, or narrower search_roots in the inventory")
        if row.unreadable:
            line(console, f"{row.host}: {row.unreadable} folders may not be read", "yellow")
        for root in row.missing_roots:
            line(console, f"{row.host}: search root {root} is not there", "yellow")
    kinds = ("frames", "crops", "source images", "landmarks", "meshes", "videos")
    evidence = new_table("host", *kinds, numbers=kinds)
    for row in report.results:
        e = row.evidence
        counts = (e.frames, e.crop_images, e.source_images, e.landmarks, e.meshes, e.videos)
        if any(counts):
            evidence.add_row(cell(row.host), *("?" if n is None else str(n) for n in counts))
    console.print()
    if evidence.row_count:
        console.print(evidence)
        console.print()
    if report.best is not None:
        best = report.best
        line(console, f"best: {best.host}:{best.path}", "bold green")
        line(console, f"      {best.why}")
    else:
        line(console, f"no choice: {report.why_no_best}", "bold yellow")
        if report.recovery:
            line(console, "manual alternatives:")
        for way in report.recovery:
            prose(console, f"  {way}")
    if report.fetched is not None and report.best is not None:
        line(console, f"fetch: {report.fetched.what} -> {report.fetched.path}")


def show_sync(console: Console, report: SyncReport) -> None:
    """What came home, what was set aside, what is odd."""
    there = f"{report.host}: {files_text(report.files)}, {size_text(report.bytes)} of {report.actor}"
    came = f"{files_text(report.transferred_files)}, {size_text(report.transferred_bytes)}"
    if report.dry_run:
        line(console, f"{there}; would fetch {f'up to {came}' if report.transferred_files else 'nothing'}")
    else:
        by = f" by {report.method}" if report.method else ""
        fetched = f"fetched {came}{by}" if report.transferred_files else "nothing to fetch,"
        line(console, f"{there}; {fetched} in {report.seconds:.1f} s")
    if report.snapshot is not None and not report.dry_run:
        news = "" if report.transferred_files or report.adopted.count else " (nothing new)"
        line(console, f"home: {report.folder}, snapshot {report.snapshot}{news}", "green")
    if report.verified is not None:
        line(
            console,
            f"verified: {report.verified} of {files_text(report.files)} have the hash made on the host",
            "green",
        )
    if report.host_error is not None:
        prose(console, f"not compared: {first_line(report.host_error)}", "red")
    if report.mismatched.count:
        names = ", ".join(report.mismatched.examples)
        line(console, f"differ from the host, fetched twice: {report.mismatched.count}: {names}", "red")
    for path in report.damaged:
        prose(console, f"damaged, so that its snapshot cannot be read: {path}; move it away", "red")
    if report.adopted.count:
        line(console, f"adopted: {files_text(report.adopted.count)} that lay here already, unchanged")
    if report.new_run:
        prose(console, f"another run: {report.new_run}", "yellow")
    for warning in report.warnings:
        prose(console, f"note: {warning}", "yellow")
    for q in report.quarantined:
        prose(console, f"set aside: {q.path} {q.reason}", "yellow")
        line(console, f"  kept as {q.kept_as}" if q.kept_as else "  not fetched")
    if report.quarantined:
        prose(
            console, f"  next: once it is whole again on {report.host}, sync again; an older copy here stays"
        )


def show_hosts(console: Console, report: HostsReport) -> None:
    """A row for each host."""
    table = new_table("host", "address", "reachable", "trusted", "rsync", "python", "GPUs", "free")
    for row in report.hosts:
        table.add_row(
            cell(row.host),
            cell(row.address),
            _yes_no(row.reachable),
            _yes_no(row.trusted),
            cell(row.rsync or "-"),
            cell(row.python or "-"),
            str(len(row.gpus)) if row.python is not None else "?",
            size_text(row.disk_free_bytes) if row.disk_free_bytes is not None else "?",
        )
    console.print(table)
    for row in report.hosts:
        _show_error(console, row)


def show_doctor(console: Console, report: DoctorReport) -> None:
    """Each host: what it has, then what is missing and what to do."""
    for row in report.hosts:
        line(console, f"{row.host} ({row.address})", "bold")
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
            line(console, f"  has      {', '.join(facts)}")
        for gpu in row.gpus:
            used = (
                f"{gpu.memory_used_mib} of {gpu.memory_total_mib} MiB used, {gpu.utilization_percent} % busy"
            )
            line(console, f"  GPU {gpu.index}    {gpu.name}: {used}")
        for note in row.notes:
            prose(console, f"  note     {note}")
        for problem in row.problems:
            prose(console, f"  problem  {problem}", "yellow")
        _show_error(console, row)
        if row.error is None and not row.problems:
            line(console, "  nothing is missing", "green")


def show_trust(console: Console, report: TrustReport) -> None:
    """Each machine on the way, and what is believed of it now."""
    for key in report.keys:
        done = key.action == "already trusted"
        action = f"would be {key.action}" if report.dry_run and not done else key.action
        line(console, f"{key.address}: {action}", "green")
        line(console, f"  {key.key_type} {key.fingerprint}")
        if key.previous:
            line(console, f"  before: {key.previous}", "dim")


def _show_error(console: Console, row: HostCheck) -> None:
    if row.error is not None:
        line(console, f"  {row.host}: {row.error}", "red")
        if row.next:
            line(console, f"  next: {row.next}")


def _yes_no(value: bool | None) -> Text:
    if value is None:
        return Text("?", style="yellow")
    return Text("yes", style="green") if value else Text("no", style="red")


def _show_candidates(console: Console, row: HostRow, width: int) -> None:
    """A line and a path for each. The path has its own line, so that it can be copied whole."""
    host = f"{printable(row.host):<{width}}"
    if row.error is not None:
        line(console, f"{host}  not asked: {row.error}", "red")
        if row.next:
            line(console, f"  next: {row.next}")
    elif not any(c.job is None for c in row.candidates):
        line(console, f"{host}  {'no bbox.pt found so far' if row.unseen else 'no bbox.pt'}")
    for copies in _copies(row):
        c = copies[0]
        verdict, style = _verdict(c)
        said = Text(f"{host}  ").append(verdict, style=style)
        if c.bbox is not None:
            b = c.bbox
            side = max(b.x_max - b.x_min, b.y_max - b.y_min)
            said.append(f"  x {b.x_min}..{b.x_max}, y {b.y_min}..{b.y_max}, side {side}")
        console.print(said, soft_wrap=True)
        for copy in copies:
            line(console, f"{'':{width}}  {copy.path}")
        for problem in c.problems:
            prose(console, f"{'':{width}}  {problem}", "yellow")


def _copies(row: HostRow) -> list[list[Candidate]]:
    """The candidates that no job made; copies with nothing to tell them apart are one."""
    groups: dict[object, list[Candidate]] = {}
    for c in row.candidates:
        if c.job is None:
            alike = (c.sha256, c.valid, c.actor, c.problems) if c.sha256 is not None else c.path
            groups.setdefault(alike, []).append(c)
    return list(groups.values())


def _show_jobs_boxes(console: Console, row: HostRow) -> None:
    """The boxes of our own jobs: each is of its job alone."""
    made = [c for c in row.candidates if c.job is not None]
    if made:
        line(
            console, f"{row.host}: {files_text(len(made))} of our own jobs, each for its own tracking:", "dim"
        )
    for c in made[:EXAMPLES]:
        line(console, f"  {c.path}", "dim")
    if len(made) > EXAMPLES:
        line(console, f"  and {len(made) - EXAMPLES} more: --json has all", "dim")


def _verdict(candidate: Candidate) -> tuple[str, str]:
    """A word for a candidate, and its colour."""
    if not candidate.valid:
        return "refused", "red"
    if candidate.actor is None:
        return "owner unknown", "yellow"
    return ("see below", "yellow") if candidate.problems else ("usable", "green")
