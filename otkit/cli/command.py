"""A command of `otkit`: wrong values and missing packages end it before any work, and errors name their options."""

from __future__ import annotations

from typing import Any

import typer

from otkit.cli import messages
from otkit.cli.extras import check_extras
from otkit.errors import ConfigError

__all__ = ["Command", "given_options"]


class Command(messages.Command):
    """Checks the packages that the options need, then runs; an error about a setting begins with its option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            if type(error) is not typer.BadParameter or error.param is None:  # a missing argument, say
                raise
            raise ConfigError(error.message, where=spelling(error.param)) from error

    def invoke(self, ctx: Any) -> Any:
        check_extras(self.name or "", ctx.params)
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            # A parameter has the name of the field that it sets.
            for each in self.params:
                if each.name == error.setting:
                    error.args = (f"{spelling(each)}: {error}",)
            raise


def spelling(parameter: Any) -> str:
    """The long form of an option; an argument as the help has it."""
    options = sorted((name for name in parameter.opts if name.startswith("-")), key=len)
    return str(options[-1] if options else parameter.metavar or parameter.name)


def given_options(ctx: typer.Context) -> dict[str, str]:
    """The parameters that stand on the command line, by name, with their spelling."""
    return {
        each.name: spelling(each)
        for each in ctx.command.params
        if each.name and getattr(ctx.get_parameter_source(each.name), "name", "") == "COMMANDLINE"
    }
