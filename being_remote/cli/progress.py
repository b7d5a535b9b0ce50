"""Progress bars on stderr. Imported only for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from being_remote.cli.text import printable
from being_remote.session import OnProgress, TransferProgress


class _Amount(ProgressColumn):
    """Shows bytes as sizes and everything else as a count."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes, self._items = DownloadColumn(), MofNCompleteColumn()

    def render(self, task: Task) -> Text:
        return (self._bytes if task.fields["unit"] == "bytes" else self._items).render(task)


@contextmanager
def bars() -> Iterator[tuple[OnProgress, Callable[[str], None]]]:
    """Show one bar for each thing that reports, and remove them at the end.

    Drawing starts with the first report, because bars would hide a question. The second function prints a
    line above them.
    """
    tasks: dict[str, TaskID] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), _Amount(), TimeRemainingColumn())
    shown = Bars(*columns, console=Console(stderr=True), transient=True)

    def on_progress(progress: TransferProgress) -> None:
        if progress.what not in tasks:
            shown.start()
            tasks[progress.what] = shown.add_task(
                escape(printable(progress.what)), total=progress.total, unit=progress.unit
            )
        shown.update(tasks[progress.what], completed=progress.done, total=progress.total)

    try:
        yield on_progress, lambda text: shown.console.print(Text(text), soft_wrap=True)
    finally:
        shown.stop()
