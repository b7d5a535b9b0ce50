"""The site: its navigation, how its pages open, and the parts that are made from the program."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
import yaml

import being_remote
from being_remote.cli.app import app
from being_remote.cli.command_list import COMMANDS, GROUPS
from being_remote.export import TARGETS, Target
from being_remote.inventory import load_inventory

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("**/*.md"))
SETTINGS: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text())


@pytest.fixture(scope="module")
def site_pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_pages", DOCS / "site_pages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pages_in(navigation: Any) -> Iterator[str]:
    if isinstance(navigation, str):
        yield navigation
    for entry in navigation.values() if isinstance(navigation, dict) else navigation:
        if not isinstance(navigation, str):
            yield from pages_in(entry)


def test_the_navigation_names_every_page_once() -> None:
    named = list(pages_in(SETTINGS["nav"]))
    assert sorted(named) == sorted(str(page.relative_to(DOCS)) for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_opens_with_one_sentence_of_what_its_reader_can_do(page: Path) -> None:
    title, opening = page.read_text().split("\n\n", 2)[:2]
    assert title.startswith("# ") and "\n" not in title
    assert re.fullmatch(r"After this page you (can|know|have) [^.:;]*(bbox\.pt[^.:;]*)?\.", opening), opening


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_links_to_nothing_outside_of_the_site(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    inside = [target for target in targets if not target.startswith("https://")]
    assert all((page.parent / target).resolve().is_relative_to(DOCS) for target in inside)


def test_the_site_loads_nothing_from_elsewhere(site_pages: ModuleType) -> None:
    assert SETTINGS["theme"]["font"] is False
    own = [*SETTINGS["extra_css"], *SETTINGS["extra"]["polyfills"]]
    assert all((DOCS / path).is_file() for path in own)
    # Its name keeps the plugin for reading without a server from loading its own from a CDN.
    assert any("iframe-worker" in path for path in SETTINGS["extra"]["polyfills"])
    page = (
        '<script src="https://a/x.js"></script><link rel=stylesheet href=//b/c.css><a href="https://d/">d</a>'
    )
    assert site_pages.loaded_from_elsewhere(page) == ["https://a/x.js", "//b/c.css"]
    assert site_pages.loaded_from_elsewhere('<script src="assets/x.js"></script>') == []


def test_the_command_reference_has_every_command_with_its_options_and_lines_to_copy(
    site_pages: ModuleType,
) -> None:
    text = site_pages.command_reference()
    always, *parts = re.split(r"^### (.*)$", text, flags=re.MULTILINE)
    commands = dict(zip(parts[::2], parts[1::2], strict=True))
    assert list(commands) == list(COMMANDS)
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["In every command", *GROUPS]
    program: Any = typer.main.get_command(app)
    for name, part in commands.items():
        assert COMMANDS[name].summary in part
        assert all(f"\nbeing-remote {example}\n" in part for example in COMMANDS[name].examples)
        for parameter in program.commands[name].params:
            if parameter.param_type_name == "option" and not getattr(parameter, "hidden", False):
                assert f"| `{parameter.opts[0]}" in part + always, (name, parameter.opts)


def test_the_python_reference_has_every_public_name_and_what_the_functions_return(
    site_pages: ModuleType,
) -> None:
    named = re.findall(r"^::: .*\.(\w+)$", site_pages.python_reference(), re.MULTILINE)
    public = {name for name in being_remote.__all__ if not name.startswith("__")}
    assert {*public, "FindReport", "JobStatus", "RecoverReport"} <= set(named) and len(named) == len(
        set(named)
    )


def test_the_python_reference_has_every_script_of_the_examples(site_pages: ModuleType) -> None:
    text = site_pages.python_reference()
    for path in (ROOT / "examples").glob("*.py"):
        assert f"### {path.name}" in text and path.read_text().splitlines()[-1] in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_an_inventory_of_a_page_can_be_read(page: Path, tmp_path: Path) -> None:
    for text in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        path = tmp_path / "inventory.yaml"
        path.write_text(text)
        assert load_inventory(path).hosts


@pytest.fixture(scope="module")
def own_tests() -> set[str]:
    """The name of every test, and of every file of them."""
    paths = list((ROOT / "tests").rglob("*.py"))
    functions = [re.findall(r"def (test_\w+)", path.read_text()) for path in paths]
    return {name for names in functions for name in names} | {path.name for path in paths}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path, own_tests: set[str]) -> None:
    text = page.read_text()
    assert [
        path for path in re.findall(r"`(tests/[\w/]+(?:\.py|/))`", text) if not (ROOT / path).exists()
    ] == []
    named = re.findall(r"`(?:[\w/]+/)?(test_\w+(?:\.py)?)(\.\.\.)?`", text)
    begins = [name for name, dots in named if dots]  # a long name, cut
    whole = {name for name, dots in named if not dots}
    assert whole <= own_tests
    assert [name for name in begins if not any(own.startswith(name) for own in own_tests)] == []


def picture(target: Target) -> str:
    if target.canvas == "recentred square":
        assert target.size_wh is not None
        return f"recentred square, {target.size_wh[0]}x{target.size_wh[1]}"
    return {"full": "full frame", "recentred": "recentred frame"}[target.canvas]


def test_the_page_of_trainers_says_of_each_export_which_picture_and_principal_point_it_has() -> None:
    rows = re.findall(
        r"^\| `([a-z][\w-]*)` \|[^|]*\| ([^|]*) \| ([^|]*) \|",
        (DOCS / "trainers.md").read_text(),
        re.MULTILINE,
    )
    said = {name: (shown, point == "ignored") for name, shown, point in rows}
    trainers = {name: target for name, target in TARGETS.items() if not target.fixed_canvas}
    assert said == {name: (picture(t), t.ignores_principal_point) for name, t in trainers.items()}
