"""Parts of the site that are made from the program itself, a hook of mkdocs: no such text can go stale.

`commands.md` gets every command of the Typer app, `python.md` every public name of `being_remote`.
"""

from __future__ import annotations

import ast
import inspect
import re
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import being_remote
from being_remote.cli.app import app
from being_remote.cli.command_list import GROUPS, CommandEntry
from being_remote.cli.help_pages import CommandWithExamples

PROGRAM = "being-remote"
EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = ("backup_to_camera.py", "pod_to_camera.py", "retrack.py", "any_command.py")
_ALWAYS = "In every command"
_LOADED = re.compile(
    r"""<(?:script|img|iframe|source)[^>]*\ssrc=["']?((?:https?:)?//[^"'\s>]+)|"""
    r"""<link[^>]*\shref=["']?((?:https?:)?//[^"'\s>]+)"""
)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Append what is made to the two pages that have such parts."""
    made = {"commands.md": command_reference, "python.md": python_reference}.get(page.file.src_uri)
    return markdown if made is None else f"{markdown}\n\n{made()}"


def on_post_build(config: Any, **_: Any) -> None:
    """Fail where a page loads anything from elsewhere: the site works without a network."""
    from mkdocs.exceptions import BuildError

    for page in Path(config.site_dir).rglob("*.html"):
        if found := loaded_from_elsewhere(page.read_text(encoding="utf-8")):
            raise BuildError(f"{page} loads {', '.join(found)}")


def loaded_from_elsewhere(html: str) -> list[str]:
    """The addresses that a page fetches from other hosts as soon as it is opened."""
    return [script or link for script, link in _LOADED.findall(html)]


def command_reference() -> str:
    """Every command in the groups of `--help`: its options, their defaults, and lines to copy."""
    import typer

    program: Any = typer.main.get_command(app)
    commands: dict[str, CommandWithExamples] = {name: program.commands[name] for name in program.commands}
    parts = [_options_of_every_command(commands)]
    for group, entries in GROUPS.items():
        parts.append(f"## {group}")
        parts += [_command(commands[name], name, entry) for name, entry in entries.items()]
    return "\n\n".join(parts)


def _command(command: CommandWithExamples, name: str, entry: CommandEntry) -> str:
    context = _context(command, name)
    summary, _, more = (command.help or "").partition("\n\n")
    lines = "\n".join(f"{PROGRAM} {example}" for example in entry.examples)
    usage = " ".join([PROGRAM, name, *command.collect_usage_pieces(context)])
    sections = command.parameter_sections(context)
    tables = [_table(title, rows) for title, rows in sections.items() if rows and title != _ALWAYS]
    parts = [f"### {name}", summary, _plain(more), f"```sh\n{lines}\n```", f"Usage: `{usage}`", *tables]
    return "\n\n".join(part for part in parts if part)


def _options_of_every_command(commands: dict[str, CommandWithExamples]) -> str:
    rows: dict[str, str] = {}
    having: dict[str, set[str]] = {}
    for name, command in commands.items():
        for option, text in command.parameter_sections(_context(command, name))[_ALWAYS]:
            rows[option] = text
            having.setdefault(option, set()).add(name)
    for option, names in having.items():
        without = [f"`{name}`" for name in commands if name not in names]
        rows[option] += f"; not in {', '.join(without)}" if without else ""
    return f"## {_ALWAYS}\n\n{_table('Options', rows.items())}"


def _context(command: CommandWithExamples, name: str) -> Any:
    return command.make_context(name, [], resilient_parsing=True)


def _table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    body = "\n".join(f"| `{name}` | {_plain(text)} |" for name, text in rows)
    return f"| {title} | |\n| --- | --- |\n{body}"


def _plain(text: str) -> str:
    """Help text as Markdown that shows the same characters."""
    text = re.sub(r"\s+", " ", text.strip())
    # What stands between backticks is shown as it is.
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(piece if piece[:1] == "`" else re.sub(r"([*_<|\[\]])", r"\\\1", piece) for piece in pieces)


def python_reference() -> str:
    """The scripts of `examples/`; then a directive of mkdocstrings for each public name and each result."""
    found = {name: getattr(being_remote, name) for name in being_remote.__all__}
    functions = [value for value in found.values() if inspect.isroutine(value)]
    classes = [value for value in found.values() if inspect.isclass(value)]
    errors = [value for value in classes if issubclass(value, BaseException)]
    titles = {
        "Functions": functions,
        "Classes": [value for value in classes if value not in errors],
        "Results": [value for value in _returned([*functions, *_methods(classes)]) if value not in classes],
        "Errors": errors,
    }
    parts = ["## Scripts to begin with", *(_script(EXAMPLES / name) for name in SCRIPTS)]
    for title, values in titles.items():
        parts += [f"## {title}", *(f"::: {value.__module__}.{value.__qualname__}" for value in values)]
    return "\n\n".join(parts)


def _script(path: Path) -> str:
    """A script of `examples/`: what it does, by its docstring, and its code."""
    text = path.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text)) or ""
    code = text.split('"""', 2)[2].strip().replace("# %% ", "# ")
    return f"### {path.name}\n\n{docstring}\n\n```python\n{code}\n```"


def _methods(classes: Iterable[type]) -> list[Any]:
    """Their public methods, and the functions behind their public properties."""
    found = [value for one in classes for name, value in vars(one).items() if not name.startswith("_")]
    return [value.fget if isinstance(value, property) else value for value in found]


def _returned(functions: Iterable[Any]) -> list[type]:
    """Our classes that the functions return, each once."""
    found: dict[type, None] = {}
    for function in functions:
        if not inspect.isfunction(function):
            continue
        try:
            returned: Any = typing.get_type_hints(function).get("return")
        except NameError:  # a name of numpy's that only type checkers import
            continue
        for value in typing.get_args(returned) or (returned,):
            if inspect.isclass(value) and value.__module__.startswith("being_remote."):
                found[value] = None
    return list(found)
