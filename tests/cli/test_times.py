"""Times are typed one way in every command: 90s, 20m, 8h."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from being_remote.cli import main
from being_remote.cli.app import app

# Every option that takes a time, with what else its command then needs.
TIMES = {
    ("find-bbox", "--search-time"): (),
    ("sync", "--every"): ("--watch",),
    ("sync", "--wait"): (),
    ("retrack", "--wall"): (),
    ("retrack", "--wait-at-most"): (),
    ("retrack", "--after"): ("--failover", "pod"),
    ("run", "--wall"): ("true",),
    ("run", "--wait-at-most"): ("true",),
    ("logs", "--since"): ("last",),
}


def exit_of(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0)


def test_no_option_takes_its_time_in_another_form() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # it is a group
    shown = [(name, p) for name, c in commands.items() for p in c.params if not getattr(p, "hidden", False)]
    assert {(name, p.opts[0]) for name, p in shown if p.metavar == "TIME"} == set(TIMES)
    assert not [p.opts for _, p in shown if p.metavar == "SECONDS"]


@pytest.mark.parametrize(("command", "option"), TIMES)
def test_what_is_no_time_is_2_and_the_form_is_shown(
    command: str,
    option: str,
    inventory: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(inventory.parent)
    monkeypatch.setenv("BEING_REMOTE_INVENTORY", str(inventory))
    assert exit_of(command, f"{option}=soon", *TIMES[command, option]) == 2
    said = capsys.readouterr().err
    assert f"{option}: 'soon' is not a duration" in said and "next: 90s, 20m or 8h" in said


def test_a_number_without_its_unit_is_answered_with_the_unit(
    inventory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BEING_REMOTE_INVENTORY", str(inventory))
    assert exit_of("find-bbox", "--search-time", "30") == 2
    assert "30s is 30 seconds" in capsys.readouterr().err


def test_a_limit_in_seconds_as_earlier_versions_took_it_still_works(
    inventory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BEING_REMOTE_INVENTORY", str(inventory))
    assert exit_of("retrack", "--wall-s", "3600", "--wall", "1h") == 2
    assert "say the same" in capsys.readouterr().err
    assert exit_of("retrack", "--wall-s", "0.5") == 2
    assert "is too short" in capsys.readouterr().err


@pytest.mark.parametrize("command", [("retrack",), ("run", "true")])
@pytest.mark.parametrize("limit", ["", "3600", "0.5s"])
def test_a_limit_that_is_empty_short_or_without_its_unit_is_refused_in_every_command(
    inventory: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], limit: str
) -> None:
    monkeypatch.setenv("BEING_REMOTE_INVENTORY", str(inventory))
    assert exit_of(command[0], f"--wall={limit}", *command[1:]) == 2


def test_an_inventory_of_an_unknown_user_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_of("hosts", "--inventory", "~nosuch/x") == 2
    assert "write the whole path" in capsys.readouterr().err
