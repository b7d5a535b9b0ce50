"""What `hosts`, `doctor` and `trust` print on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from being_remote.cli.printing import cell, line, new_table, prose
from being_remote.host_checks.host_report import HostReport
from being_remote.wording import size_words
from being_remote.workflows.hosts import HostsReport
from being_remote.workflows.trust import TrustReport


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
            _gpu_count(row),
            size_words(row.disk_free_bytes) if row.disk_free_bytes is not None else "?",
        )
    console.print(table)
    for row in report.hosts:
        _show_error(console, row)
        for problem in row.problems:  # why a field is empty
            prose(console, f"  {row.host}: {problem}", "yellow")


def show_doctor(console: Console, report: HostsReport) -> None:
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
            facts.append(f"{size_words(row.disk_free_bytes)} free")
        if facts:
            line(console, f"  has      {', '.join(facts)}")
        for limit in _limits(row):
            line(console, f"  limit    {limit}")
        for text, style in _gpu_lines(row):
            line(console, text, style)
        for note in row.notes:
            prose(console, f"  note     {note}")
        for problem in row.problems:
            prose(console, f"  problem  {problem}", "yellow")
        _show_error(console, row)
        if row.error is None and not row.problems:
            line(console, "  nothing is missing", "green")


def show_trust(console: Console, report: TrustReport) -> None:
    """The key of each machine on the way to the host."""
    for key in report.keys:
        done = key.action == "already trusted"
        action = f"would be {key.action}" if report.dry_run and not done else key.action
        line(console, f"{key.address}: {action}", "green")
        line(console, f"  {key.key_type} {key.fingerprint}")
        if key.previous:
            line(console, f"  before: {key.previous}", "dim")


def _show_error(console: Console, row: HostReport) -> None:
    if row.error is not None:
        line(console, f"  {row.host}: {row.error}", "red")
        if row.next:
            line(console, f"  next: {row.next}")


def _gpu_count(row: HostReport) -> Text:
    if row.python is None:
        return Text("?")
    broken = sum(1 for gpu in row.gpus if gpu.broken)
    return Text(
        f"{len(row.gpus)}, {broken} broken" if broken else str(len(row.gpus)), "red" if broken else ""
    )


def _limits(row: HostReport) -> list[str]:
    """What the container may use, where that is less than the machine has."""
    limits = row.limits
    found = []
    if limits is not None and limits.memory_bytes is not None:
        found.append(f"{size_words(limits.memory_bytes)} of memory, by its cgroup")
    if limits is not None and limits.cpus is not None:
        found.append(f"{limits.cpus:g} CPUs, by its cgroup")
    return found


def _gpu_lines(row: HostReport) -> list[tuple[str, str]]:
    """Each GPU as a line, and its style."""
    found = []
    for gpu in row.gpus:
        figures = (gpu.memory_used_mib, gpu.memory_total_mib, gpu.utilization_percent)
        used, total, percent = ("?" if figure is None else str(figure) for figure in figures)
        text = f"broken: {gpu.broken}" if gpu.broken else f"{used} of {total} MiB used, {percent} % busy"
        found.append((f"  GPU {gpu.index}    {gpu.name}: {text}", "red" if gpu.broken else ""))
    return found


def _yes_no(value: bool | None) -> Text:
    if value is None:
        return Text("?", style="yellow")
    return Text("yes", style="green") if value else Text("no", style="red")
