"""What `push` prints: what went where, what was there already, and the next step."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from console_text import console_text

from being_remote.cli.push import show_push
from being_remote.workflows.push import PushedFolder, PushReport


def part(**more: Any) -> PushedFolder:
    values = {"what": "actor", "source": "roman", "into": PurePosixPath("/w/mt/input/roman"), "files": 2}
    figures = {"bytes": 6_600_000, "already": 0, "transferred_files": 2, "transferred_bytes": 6_600_000}
    return PushedFolder(**{**values, **figures, "verified": 2, "method": "rsync", "notes": (), **more})


def printed(*parts: PushedFolder, dry_run: bool = False) -> str:
    report = PushReport("a100", "roman", None, parts, 2, 1, 2, 1, 2, 0.1, 3, dry_run)
    return console_text(show_push, report, width=120)


def test_an_upload_is_printed_with_its_verification_and_the_next_step() -> None:
    assert printed(part()) == (
        "actor roman -> a100:/w/mt/input/roman\n"
        "  2 files, 6.6 MB; uploaded 2 files, 6.6 MB by rsync\n"
        "  verified: 2 files have the local hash\n"
        "  next: retrack --host a100 --actor roman\n"
    )


def test_files_already_on_the_host_are_counted_apart_from_uploaded_ones() -> None:
    some = part(already=1, transferred_files=1, transferred_bytes=1000)
    assert "1 on the host already, uploaded 1 file, 1.0 kB by rsync" in printed(some)
    assert "all are on the host already" in printed(part(already=2, transferred_files=0))
    assert "1 on the host already, would upload 1 file, 1.0 kB\n" in printed(some, dry_run=True)


def test_a_dry_run_claims_no_proof_and_names_no_next_step() -> None:
    said = printed(part(verified=0, method=None), dry_run=True)
    assert "would upload 2 files, 6.6 MB" in said
    assert "verified" not in said and "next" not in said


def test_names_that_a_terminal_would_obey_are_spelt_out() -> None:
    tracker = part(what="tracker", source=str(Path("/home/\x1b[31mred")), notes=("a\x1b]0;title\x07",))
    said = printed(tracker)
    assert "\x1b" not in said and "/home/\\x1b[31mred -> a100:" in said
    assert "next: doctor --host a100" in said
