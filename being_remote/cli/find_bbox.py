"""The command `find-bbox`, and what it prints on a terminal."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

from being_remote.cli.command import command
from being_remote.cli.options import ActorOpt, DryRunOpt, HostsOpt, flag, option, parse_duration
from being_remote.cli.output import Out
from being_remote.cli.printing import cell, line, new_table, prose
from being_remote.cli.text import files_text, printable

if TYPE_CHECKING:
    from rich.console import Console

    from being_remote.bbox_search.box_candidates import Candidate
    from being_remote.bbox_search.host_search import HostRow
    from being_remote.workflows.find_bbox import FindReport

EXAMPLES = 5


@command
def find_bbox(
    out: Out,
    actor: ActorOpt = None,
    host: HostsOpt = None,
    fetch: Annotated[
        bool, flag("--fetch", "download the best one to the backup, never over a different one")
    ] = False,
    search_time: Annotated[str | None, option("TIME", "time limit per host, e.g. 10m; default: 30s")] = None,
    dry_run: DryRunOpt = False,
) -> None:
    """Search hosts and this laptop for bbox.pt."""
    from being_remote.workflows import find_bbox as workflow

    search_time_s = None if search_time is None else parse_duration(search_time, "--search-time")
    inventory = out.inventory()
    with out.progress() as on_progress:
        report = workflow.find_bbox(
            inventory,
            actor=actor,
            hosts=host or (),
            fetch=fetch,
            search_time_s=search_time_s,
            dry_run=dry_run,
            on_progress=on_progress,
        )
    out.finish(report, show_find_bbox)


def show_find_bbox(console: Console, report: FindReport) -> None:
    """Each host's candidates or why it has none, the other evidence, then the choice and the next step."""
    width = max((len(printable(row.host)) for row in report.results), default=0)
    for row in report.results:
        _show_candidates(console, row, width)
    for row in report.results:
        _show_jobs_boxes(console, row)
    for row in report.results:
        for bound in row.truncated:
            line(console, f"{row.host}: the search reached a limit: {bound}", "yellow")
        for root in row.unfinished:
            line(console, f"{row.host}: not searched completely: {root}", "yellow")
        if row.unfinished:
            line(console, "  next: find-bbox --search-time 10m, or narrower search_roots in the inventory")
        if row.unreadable:
            line(console, f"{row.host}: no permission to read {row.unreadable} folders", "yellow")
        for root in row.missing_roots:
            line(console, f"{row.host}: search root {root} does not exist", "yellow")
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
        prose(console, f"      {best.why}")
    else:
        prose(console, f"no choice: {report.why_no_best}", "bold yellow")
        if report.recovery:
            line(console, "manual alternatives:")
        for way in report.recovery:
            prose(console, f"  {way}")
        if report.recovery and report.recovery[0].startswith("from_images:"):
            line(console, f"next: {_recover_command(report)}")
    if report.fetched is not None and report.best is not None:
        line(console, f"fetch: {report.fetched.what} -> {report.fetched.path}")


def _recover_command(report: FindReport) -> str:
    """How the box is found from the stored crops, which are local or on a host."""
    from being_remote.inventory import LOCAL

    actor = f"--actor {shlex.quote(report.actor)}"
    recover = f"being-remote recover {actor} --from-images VIDEO"
    hosts = [row.host for row in report.results if row.evidence.crop_images]
    if LOCAL in hosts:
        return recover
    return f"being-remote sync {actor} --host {shlex.quote(hosts[0])} --only crops, then {recover}"


def _show_candidates(console: Console, row: HostRow, width: int) -> None:
    """A line and a path for each candidate; the path has its own line, so that it can be copied."""
    from rich.text import Text

    host = f"{printable(row.host):<{width}}"
    if row.error is not None:
        line(console, f"{host}  no answer: {row.error}", "red")
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
    """The candidates that no job made, equal copies grouped."""
    groups: dict[object, list[Candidate]] = {}
    for c in row.candidates:
        if c.job is None:
            alike = (c.sha256, c.valid, c.actor, c.problems) if c.sha256 is not None else c.path
            groups.setdefault(alike, []).append(c)
    return list(groups.values())


def _show_jobs_boxes(console: Console, row: HostRow) -> None:
    """The boxes of our own jobs: each is only for its job."""
    made = [c for c in row.candidates if c.job is not None]
    if made:
        line(console, f"{row.host}: {files_text(len(made))} of our own jobs, each only for its job:", "dim")
    for c in made[:EXAMPLES]:
        line(console, f"  {c.path}", "dim")
    if len(made) > EXAMPLES:
        line(console, f"  and {len(made) - EXAMPLES} more: --json has all", "dim")


def _verdict(candidate: Candidate) -> tuple[str, str]:
    if not candidate.valid:
        return "refused", "red"
    if candidate.actor is None:
        return "owner unknown", "yellow"
    return ("see below", "yellow") if candidate.problems else ("usable", "green")
