"""What came home, and never gets lost again: a live tree, and the history behind it.

Knows of hosts and bytes. Whether a file is whole, and whether two files are of one run, it is told.
"""

from __future__ import annotations

from being_remote.backup.put_file import put_file

__all__ = ["put_file"]
