"""One HTML page about one recovery: the pictures, the camera before and after, the checks, the numbers.

`Page` holds all that is shown, `html(page)` is the bytes of one file that opens from disk: no network, no
second file, no script but its own. Names out of files are text and stay text.
"""

from __future__ import annotations

from being_remote.report.page.render import html
from being_remote.report.page.values import (
    Cell,
    Column,
    Page,
    PageChart,
    PagePicture,
    SliderFrame,
    Table,
)

__all__ = ["Cell", "Column", "Page", "PageChart", "PagePicture", "SliderFrame", "Table", "html"]
