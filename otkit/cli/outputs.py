"""What a command does with its outputs: before any work it checks them all and keeps other runs away from them; JSON
files say beside the figures what they rest on."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from otkit.files import check_file, check_folder, check_outputs, hold, is_stream, versions, write_json

__all__ = ["claim_files", "claim_folder", "during_command", "enter", "write_document"]

P = ParamSpec("P")
T = TypeVar("T")
_stack: ContextVar[ExitStack] = ContextVar("otkit_command")


def during_command(command: Callable[P, T]) -> Callable[P, T]:
    """The command with a stack of its own, on which `enter` puts what is to be left when the command ends."""

    @functools.wraps(command)
    def run(*args: P.args, **options: P.kwargs) -> T:
        with ExitStack() as stack:
            token = _stack.set(stack)
            try:
                return command(*args, **options)
            finally:
                _stack.reset(token)

    return run


def enter(context: AbstractContextManager[T]) -> T:
    """Enter a context until the running command ends."""
    return _stack.get().enter_context(context)


def claim_files(
    outputs: Mapping[str, Path | None],
    inputs: Iterable[str | Path | None],
    *,
    overwrite: bool,
    but: Collection[str] = (),
) -> None:
    """Files that the command will write, by the names of their settings; those in `but` the library keeps to itself
    when it begins.
    """
    check_outputs(outputs, inputs)
    for name, path in outputs.items():
        if path is not None and not is_stream(path):
            check_file(path, overwrite=overwrite)
            if name not in but:
                enter(hold(path))


def claim_folder(folder: Path, kind: str, inputs: Iterable[str | Path | None], *, overwrite: bool) -> None:
    """A folder that the command will replace as a whole."""
    check_folder(folder, kind, inputs=inputs, overwrite=overwrite)
    enter(hold(folder))


def write_document(path: Path, figures: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Write figures with the command line and the versions of what computed them."""
    write_json(path, {"command": sys.argv[1:], "versions": versions(), **figures}, overwrite=overwrite)
