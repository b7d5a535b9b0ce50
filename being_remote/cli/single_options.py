"""An option with one value that is given twice is an error; Click lets the last one win without a word."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from being_remote.cli.usage import CLICK_USAGE_ERROR


class SingleOptionsCommand(TyperCommand):
    """A command that takes each of its options once, but those that collect several values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:  # a shell completes a line that is not whole yet
            return super().parse_args(ctx, args)
        given = self.make_parser(ctx).parse_args(args=list(args))[2]
        for parameter in self.params:
            single = parameter.param_type_name == "option" and not getattr(parameter, "is_flag", False)
            if single and not getattr(parameter, "multiple", False) and given.count(parameter) > 1:
                name = parameter.opts[0]
                raise CLICK_USAGE_ERROR(
                    f"{name} is given {given.count(parameter)} times; it takes one value", ctx
                )
        return super().parse_args(ctx, args)
