"""Backups: a live tree, and the history that it is made from.

Knows of hosts and bytes. The caller says whether a file is whole, and whether two files are of one run.
"""

from __future__ import annotations

from being_remote.backup.put_file import put_file

__all__ = ["put_file"]
