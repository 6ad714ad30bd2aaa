"""What an option may receive: numbers within bounds, names of a table, files of a kind. A wrong value ends the command
before any work, with exit code 2, the option, what it received and what it expects.
"""

from __future__ import annotations

import importlib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from otkit.errors import ConfigError, choose
from otkit.files import either, own_kind
from otkit.settings import LARGEST

__all__ = [
    "Ending",
    "Name",
    "Number",
    "device_name",
    "folder",
]


@dataclass(frozen=True)
class Number:
    """A finite number, whole where `kind` is int; with `none`, the word too."""

    kind: type[int] | type[float] = float
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    none: bool = False

    def __call__(self, text: Any) -> Any:
        if not isinstance(text, str):  # a default
            return text
        if self.none and text.lower() == "none":
            return None
        try:
            value = self.kind(text)
        except ValueError:
            value = math.nan
        outside = (
            (isinstance(value, float) and not math.isfinite(value))
            or (self.least is not None and value < self.least)
            or (self.above is not None and value <= self.above)
            or (self.most is not None and value > self.most)
            or (self.below is not None and value >= self.below)
        )
        if outside:
            raise typer.BadParameter(f"received {text!r}; expected {self.expected}")
        if self.most is None and self.below is None and abs(value) > LARGEST:
            raise typer.BadParameter(f"received {text!r}; expected a number of at most {LARGEST:g}")
        return value

    @property
    def expected(self) -> str:
        """The bounds in words."""
        bounds = (
            ("of at least", self.least),
            ("above", self.above),
            ("at most", self.most),
            ("below", self.below),
        )
        said = " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)
        noun = "a whole number" if self.kind is int else "a number"
        return f"{noun} {said}".rstrip() + (", or none" if self.none else "")


@dataclass(frozen=True)
class Name:
    """A name of a table, `module:TABLE`, that is imported when the option is used."""

    table: str
    what: str

    def __call__(self, text: Any) -> Any:
        if not isinstance(text, str):
            return text
        module, _, name = self.table.partition(":")
        try:
            choose(text, dict.fromkeys(getattr(importlib.import_module(module), name)), what=self.what)
        except ConfigError as error:
            raise typer.BadParameter(f"{error.what}; {error.remedy}") from None
        return text


def device_name(text: str) -> str:
    """auto, cpu, mps, cuda or cuda:N; whether the machine has it is seen when it is used."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        raise typer.BadParameter(f"received {text!r}; choose from: auto, cpu, cuda, cuda:N, mps")
    return text


@dataclass(frozen=True)
class Ending:
    """A file whose ending, where it has one, must be one of these."""

    known: tuple[str, ...]

    def __call__(self, value: Any) -> Path:
        path = Path(value)
        if path.suffix.lower() not in ("", *self.known):
            raise typer.BadParameter(
                f"received {str(value)!r}; expected a name that ends in {either(self.known)}"
            )
        return path


def folder(value: Any) -> Path:
    """A folder to write, whose name does not promise a file."""
    path = Path(value)
    if own_kind(path) or path.suffix.lower() in (".gz", ".jsonl", ".tsv", ".txt", ".md"):
        raise typer.BadParameter(
            f"received {str(value)!r}; expected the name of a folder, without the ending {path.suffix}"
        )
    return path
