"""What the library says, in the words of the command line: its settings as the options of the running command."""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.core import TyperCommand

from otkit.errors import OtkitError

__all__ = ["SETTING", "Command", "in_options", "with_options"]

SETTING = re.compile(r"`([a-z_]+)(?:=([^`]*))?`")
"""A setting in a message: `on_error='skip'`, `resume=True`, or a bare name."""

# What the library calls a setting, where commands have it under another name.
_PARAMETERS = {"format": ("input_format", "format"), "json": ("json_path",), "encoder": ("model",)}

# The contexts of the commands that run, the innermost last: threads that read ahead say notes too.
_running: list[typer.Context] = []


class Command(TyperCommand):
    """A command whose errors name its own options, and none that it does not have or was given already."""

    def invoke(self, ctx: Any) -> Any:
        _running.append(ctx)
        try:
            return super().invoke(ctx)
        except OtkitError as error:
            error.args = (with_options(error.told(in_options)),)
            raise
        finally:
            _running.pop()


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
