"""A command of `otkit`: wrong values and missing packages end it before any work, and what the library says is told in
the words of the command line, its settings as the options of the running command."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand

from otkit.cli.extras import check_extras
from otkit.errors import ConfigError, OtkitError

__all__ = ["SETTING", "Command", "in_options", "refuse_given", "spelling", "with_options"]

SETTING = re.compile(r"`([a-z_]+)(?:=([^`]*))?`")
"""A setting in a message: `on_error='skip'`, `resume=True`, or a bare name."""

# What the library calls a setting, where commands have it under another name.
_PARAMETERS = {"format": ("input_format", "format"), "json": ("json_path",), "encoder": ("model",)}

# The contexts of the commands that run, the innermost last: threads that read ahead say notes too.
_running: list[typer.Context] = []


class Command(TyperCommand):
    """Checks the packages that the options need, then runs. An error about a setting begins with its option, and names
    no option that the command does not have or was given already."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            if type(error) is not typer.BadParameter or error.param is None:  # a missing argument, say
                raise
            raise ConfigError(error.message, where=spelling(error.param)) from error

    def invoke(self, ctx: Any) -> Any:
        check_extras(self.name or "", ctx.params)
        _running.append(ctx)
        try:
            return super().invoke(ctx)
        except OtkitError as error:
            said = with_options(error.told(in_options))
            # A parameter has the name of the field that it sets; of several layers, or of the one that a task has.
            field = getattr(error, "setting", None)
            about = [each for each in self.params if each.name and field in (each.name, f"{each.name}s")]
            error.args = (f"{spelling(about[0])}: {said}" if about else said,)
            raise
        finally:
            _running.pop()


def refuse_given(names: Sequence[str], why: str, *, remedy: str = "leave it out") -> None:
    """An error for the first of these parameters that stands on the command line, where it would do nothing."""
    for name in names:
        source = _running[-1].get_parameter_source(name) if _running else None
        if source is not None and source.name == "COMMANDLINE":
            raise ConfigError(why, remedy=remedy, setting=name)


def spelling(parameter: Any) -> str:
    """The long form of an option; an argument as the help has it."""
    options = sorted((name for name in parameter.opts if name.startswith("-")), key=len)
    return str(options[-1] if options else parameter.metavar or parameter.name)


def with_options(text: str) -> str:
    """A note of the library with its settings as options of the running command, where it has them."""
    return SETTING.sub(lambda match: _spelled(match) or match[0], text)


def in_options(remedy: str) -> str | None:
    """A remedy of the library in the same words; None where it advises what the running command cannot be given, or
    nothing but what it was given already.
    """
    advised = [match for match in SETTING.finditer(remedy) if match[2]]
    if not all(map(_spelled, advised)) or (advised and all(map(_given, advised))):
        return None
    return with_options(remedy)


def _option(match: re.Match[str]) -> Any:
    """The option of the running command that sets the setting."""
    options = {
        each.name: each
        for ctx in _running[-1:]
        for each in ctx.command.params
        if each.param_type_name == "option"
    }
    names = _PARAMETERS.get(match[1], (match[1],))
    return next((options[name] for name in names if name in options), None)


def _value(match: re.Match[str]) -> str:
    return (match[2] or "").strip("'")


def _spelled(match: re.Match[str]) -> str | None:
    """`--on-error skip`, or `--resume`."""
    option = _option(match)
    if option is None:
        return None
    word = max(option.opts, key=len)
    return f"{word} {_value(match)}" if _value(match) not in ("", "True") else str(word)


def _given(match: re.Match[str]) -> bool:
    option = _option(match)
    return option is not None and str(_running[-1].params.get(option.name)) == _value(match)
