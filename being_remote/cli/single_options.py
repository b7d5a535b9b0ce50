"""An option with one value that is given twice is an error; Click lets the last one win without a word."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

# Typer's releases bring Click with them or import it: its UsageError is reached the same in both.
_UsageError: Any = typer.BadParameter.__base__


class SingleOptionsCommand(TyperCommand):
    """A command that takes each of its options once, but those that collect several values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = self.make_parser(ctx).parse_args(args=list(args))[2]
        for parameter in self.params:
            single = parameter.param_type_name == "option" and not getattr(parameter, "is_flag", False)
            if single and not getattr(parameter, "multiple", False) and given.count(parameter) > 1:
                name = parameter.opts[0]
                raise _UsageError(f"{name} is given {given.count(parameter)} times; it takes one value", ctx)
        return super().parse_args(ctx, args)
