"""The options of `otkit evaluate` that decide what is measured, gathered once and read by every task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from otkit.errors import ConfigError, InputError

__all__ = ["Request", "check_languages", "files_of"]


@dataclass(frozen=True)
class Request:
    """Options as given; None where the task's own default holds.

    `strict` makes it an error that a task has no file of one of the languages; several tasks need not have the same.
    """

    files: tuple[str, ...] = ()
    gold: tuple[str, ...] = ()
    base: int | None = None
    source: str | None = None
    target: str | None = None
    data: str | None = None
    train: str | None = None
    format: str = "auto"
    langs: str | None = None
    on_error: str = "raise"
    languages: tuple[str, ...] | None = None
    score: str | None = None
    index: str | None = None
    neighbourhood: int | None = None
    layers: tuple[int, ...] | None = None
    word_vector: str | None = None
    pool: str | None = None
    transport: str | None = None
    strategy: str | None = None
    threshold: float | None = None
    epsilon_relative: float | None = None
    tau: float | None = None
    center: bool = False
    batch_tokens: int | None = None
    preset: str | None = None
    epochs: float | None = None
    lr: float | None = None
    batch_size: int | None = None
    grad_accum: int | None = None
    max_length: int | None = None
    stride: int | None = None
    train_examples: int | None = None
    test_examples: int | None = None
    frozen: int | None = None
    head_pooling: str | None = None
    eval_every: int | None = None
    precision: str | None = None
    head: Path | None = None
    save_heads: bool = False
    strict: bool = True
    quiet: bool = False

    @property
    def texts(self) -> list[tuple[str, str | None]]:
        """The parallel inputs: files of pairs, and the two files of --source and --target."""
        if (self.source is None) != (self.target is None):
            raise ConfigError(
                "two line-aligned files go together", remedy="give both of --source and --target"
            )
        both = [] if self.source is None else [(self.source, self.target)]
        return [*((name, None) for name in self.files), *both]

    def wants(self, language: str) -> bool:
        """Whether a language is to be evaluated."""
        return self.languages is None or language in self.languages


def files_of(request: Request, folder: str, pattern: str) -> list[str]:
    """The files of a task in its part of the folder of `--data`; none where no folder was named, and where one of
    several tasks has no part there.
    """
    if request.data is None:
        return []
    place = Path(request.data) / folder
    found = sorted(map(str, place.glob(pattern)))
    if not found and request.strict:
        raise InputError(
            f"there is no {pattern}",
            where=str(place),
            remedy=f"name the folder that holds {folder}/, or the files themselves",
        )
    return found


def check_languages(found: Mapping[str, object], request: Request) -> None:
    """Every language that was asked for must be there, English aside where it is the other side."""
    missing = [language for language in request.languages or () if language not in found]
    if missing and request.strict and missing != ["en"]:
        raise InputError(
            f"there is no file for {' and '.join(missing)}",
            remedy="give a file of each of --languages, or leave the language out",
        )
    if not found and request.strict:
        raise InputError("there is nothing to evaluate", remedy="give a file or --data DIR")
