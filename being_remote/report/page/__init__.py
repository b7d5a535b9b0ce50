"""One HTML page about one recovery: the pictures, the camera before and after, the checks, the numbers.

`Page` is all that it may know, `html(page)` the bytes of one file that opens from disk: no network, no
second file, nothing of it runs but its own script. Names out of files are text and stay text. It
reads and writes no files, and finds nothing out: whoever makes the `Page` has judged already.
"""

from __future__ import annotations

from being_remote.report.page.render import html
from being_remote.report.page.values import Cell, Column, Copyable, Page, Plot, SliderFrame, Table

__all__ = ["Cell", "Column", "Copyable", "Page", "Plot", "SliderFrame", "Table", "html"]
