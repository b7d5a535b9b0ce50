"""What is printed cannot command a terminal, and JSON is plain."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from being_remote.cli.json_values import to_json
from being_remote.cli.text import printable
from being_remote.wording import size_words


def test_no_control_character_of_a_pods_name_reaches_the_terminal() -> None:
    hostile = "a\x1b]0;title\x07\x9b2J\r\n\u202egnp.\u200b" + os.fsdecode(b"\xff\xfe")
    shown = printable(hostile)
    assert shown.isprintable()
    assert shown.startswith("a\\x1b]0;title\\x07\\x9b2J\\r\\n\\u202egnp.") and shown.endswith("\\xff\\xfe")


def test_our_own_newlines_are_kept_on_request() -> None:
    assert printable("a\nb\tc", keep="\n") == "a\nb\\tc"


def test_sizes_are_decimal() -> None:
    assert [size_words(n) for n in (0, 999, 1000, 7_900_000, 2_000_000_000)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "7.9 MB",
        "2.0 GB",
    ]


@dataclass(frozen=True)
class _Inner:
    path: str
    path_b64: str | None = None


@dataclass(frozen=True)
class _Outer:
    files: tuple[_Inner, ...]
    K: object
    where: PurePosixPath
    home: Path


def test_a_report_becomes_plain_json_and_path_b64_only_where_it_is_needed() -> None:
    report = _Outer((_Inner("a"), _Inner("\udcff", "/w==")), np.eye(2), PurePosixPath("/w"), Path("h"))
    assert to_json(report) == {
        "files": [{"path": "a"}, {"path": "\udcff", "path_b64": "/w=="}],
        "K": [[1.0, 0.0], [0.0, 1.0]],
        "where": "/w",
        "home": "h",
    }
