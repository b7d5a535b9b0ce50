"""Progress bars on stderr. Imported only when somebody looks."""

from __future__ import annotations

from collections.abc import Iterator
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
    """Bytes where bytes are counted, a plain count elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes, self._items = DownloadColumn(), MofNCompleteColumn()

    def render(self, task: Task) -> Text:
        return (self._bytes if task.fields["unit"] == "bytes" else self._items).render(task)


@contextmanager
def bars() -> Iterator[OnProgress]:
    """One bar for each thing that reports, gone when all is done.

    Drawing begins with the first report: while it goes on, a question could not be seen.
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
        yield on_progress
    finally:
        shown.stop()
