"""Invoke tasks made from the Typer app, so that `invoke X` is `being-remote X`.

A task turns what Invoke parsed back into a command line and runs the one app with it. Facts of
Invoke 2.2 that this leans on, each with a test: `auto_shortflags` off, or `-h` would become
`--host`; repeated options need `iterable`, and a valueless one is accepted by default;
the core's `--dry`/`-R` arrives in `run.dry`; Invoke's own parse errors exit 1; a bare `-f` is
Invoke's `--config`.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

import typer
from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task

from being_remote.cli import main
from being_remote.cli.app import app


def collection() -> Collection:
    """Every command of the app as a task of the same name."""
    tasks = Collection()
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        tasks.add_task(_task(name, command), name=name)
    return tasks


class _InvokeTask(Task):  # type: ignore[type-arg]  # the body's type says nothing here
    all_flag: str | None = None  # a flag that may stand in place of the positional arguments

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Any]:
        arguments = super().get_arguments(ignore_unknown_help)
        places = [i for i, argument in enumerate(arguments) if argument.positional]
        for i in reversed(places):
            after = tuple(arguments[later] for later in places if later > i)
            arguments[i] = _Positional(arguments[i], after)
        for i, argument in enumerate(arguments):
            if self.all_flag is not None and self.all_flag in (argument.name, argument.attr_name):
                arguments[i] = _AllFlag(argument, tuple(arguments[place] for place in places))
            if argument.kind is list:
                # Invoke starts a list at [] and would take a valueless `--host` for an empty list, which
                # means every host. None makes its parser ask for the value.
                argument.raw_value = None
        return arguments


class _Positional(Argument):
    """An argument that also takes the `--help` that Invoke mistakes for its value.

    It then fills in the arguments after it: Invoke would miss them before it shows the help.
    """

    def __init__(self, of: Any, after: tuple[Any, ...]) -> None:
        super().__init__(
            names=of.names,
            kind=of.kind,
            default=of.default,
            help=of.help,
            positional=True,
            attr_name=of.attr_name,
        )
        self._after = after

    def set_value(self, value: Any, cast: bool = True) -> None:
        super().set_value(value, cast)
        if str(value).startswith("-"):
            for argument in self._after:
                argument.set_value("")


class _AllFlag(Argument):
    """A flag in place of the positional arguments, which Invoke would miss."""

    def __init__(self, of: Any, positional: tuple[Any, ...]) -> None:
        super().__init__(
            names=of.names, kind=of.kind, default=of.default, help=of.help, attr_name=of.attr_name
        )
        self._positional = positional

    def set_value(self, value: Any, cast: bool = True) -> None:
        super().set_value(value, cast)
        for argument in self._positional:
            if argument.value is None:
                argument.set_value("")


def _task(name: str, command: Any) -> Any:
    options = {_word(p): p for p in command.params if p.param_type_name == "option"}
    arguments = {p.name: p for p in command.params if p.param_type_name == "argument" and p.nargs != -1}
    takes_words = any(p.nargs == -1 for p in command.params)

    def body(context: Context, **given: Any) -> None:
        argv = [name]
        if context.config.run.dry and "dry_run" in options:
            given["dry_run"] = True
        for word, option in options.items():
            argv += _as_words(option, given.get(word))
        words = [str(given[word]) for word in arguments if given.get(word)]
        # Where Invoke lacks an argument, it takes an unknown option for it.
        swallowed = ["--help" if word == "-h" else word for word in words if word.startswith("-")]
        argv += swallowed or ["--", *words]
        if takes_words and "--" in sys.argv:
            argv += sys.argv[sys.argv.index("--") + 1 :]  # Invoke leaves them alone
        try:
            main(argv)
        except SystemExit as e:
            if e.code:
                raise Exit(code=int(e.code)) from e

    parameters = [inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    for word, parameter in {**arguments, **options}.items():
        default: Any = False if getattr(parameter, "is_flag", False) else None
        if word in arguments and parameter.required:
            default = inspect.Parameter.empty  # Invoke then insists on it
        parameters.append(inspect.Parameter(word, inspect.Parameter.KEYWORD_ONLY, default=default))
    body.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by Invoke
    body.__doc__ = command.help
    made = _InvokeTask(
        body,
        name=name,
        positional=list(arguments),
        # All of them, or Invoke would keep the last of several values; the app refuses what it takes once.
        iterable=[word for word, option in options.items() if not option.is_flag],
        auto_shortflags=False,
        help={word: p.help for word, p in {**arguments, **options}.items() if getattr(p, "help", None)},
    )
    if any(not argument.required for argument in arguments.values()):
        made.all_flag = next((word for word in ("all_jobs", "all") if word in options), None)
    return made


def _word(option: Any) -> str:
    """`--dry-run` as Invoke wants it: a Python name that it turns back into the same flag."""
    return str(option.opts[0]).removeprefix("--").replace("-", "_")


def _as_words(option: Any, value: Any) -> list[str]:
    flag = option.opts[0]
    if option.is_flag:
        return [flag] if value else []
    # Joined by "=", so that a value with a leading dash stays a value.
    return [f"{flag}={one}" for one in value or []]
