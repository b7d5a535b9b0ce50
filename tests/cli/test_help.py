"""The pages of `--help`, as a person sees them at 80 columns."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from programs import Program, run_in

from being_remote.cli import main
from being_remote.cli.app import app
from being_remote.cli.command_list import COMMANDS, GROUPS


def command(name: str) -> Any:
    return typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]  # it is a group


def help_page(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert not ended.value.code
    return capsys.readouterr().out


def section(page: str, title: str) -> list[str]:
    body = page.split(f"\n{title}:\n", 1)[1].split("\n\n", 1)[0]
    return [line for line in body.splitlines() if line]


def test_the_help_lists_every_command_in_its_group_with_its_whole_summary(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = help_page(capsys)
    for title, entries in GROUPS.items():
        listed = dict(re.split(r" {2,}", line.strip(), maxsplit=1) for line in section(page, title))
        assert listed == {name: entry.summary for name, entry in entries.items()}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_listed_summary_is_the_first_line_of_the_commands_own_help(name: str) -> None:
    assert (command(name).help or "").partition("\n")[0] == COMMANDS[name].summary
    assert COMMANDS[name].summary.endswith(".") and len(COMMANDS[name].summary) <= 45


@pytest.mark.parametrize("name", ["", *sorted(COMMANDS)])
def test_no_page_of_help_is_wider_than_80_columns_or_names_a_type(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    page = help_page(capsys, *name.split())
    assert max(map(len, page.splitlines())) <= 80
    assert not re.search(r"<(str|int|float|path)>|\[x[<>]|\[default|None|\[required\]", page)
    assert "--help, -h" in page


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_with_a_value_names_that_value_for_people(name: str) -> None:
    for option in command(name).params:
        if option.param_type_name == "argument" or not option.is_flag:
            assert option.metavar and option.help, option.name


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_example_of_the_help_is_understood(capsys: pytest.CaptureFixture[str], name: str) -> None:
    shown = [line.strip() for line in section(help_page(capsys, name), "Examples")]
    assert len(shown) >= 2
    for line in shown:
        program, word, *words = shlex.split(line, comments=True)
        assert (program, word) == ("being-remote", name)
        command(name).make_context(name, words)  # raises where Click refuses it


def test_h_is_help_before_and_after_a_command(being_remote: Program) -> None:
    assert being_remote("-h").stdout == being_remote("--help").stdout
    assert being_remote("sync", "-h").stdout == being_remote("sync", "--help").stdout != ""


def test_the_help_imports_no_command_and_no_workflow(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom being_remote.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    loaded = run_in(tmp_path, sys.executable, "-c", code).stderr.split()
    assert "being_remote.cli.help_pages" in loaded
    assert not [name for name in loaded if "workflows" in name or name == "being_remote.cli.sync"]
