"""The options of `otkit evaluate` that decide what is measured, gathered once and read by every task."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otkit.cli.aligning import OPTIONS, AlignerOptions
from otkit.errors import ConfigError, InputError

__all__ = ["CENTERINGS", "Request", "check_languages", "check_used", "files_of"]

CENTERINGS = {
    "none": "vectors as they are",
    "sentence": "the word aligner's: minus the mean vector of both sentences",
    "corpus": "the word aligner's: minus the mean vector of each side over the first lines",
    "language": "in retrieval: minus each language's mean vector",
}

# Which tasks look at which options; those that are not named here are looked at by all.
_READ_BY: Mapping[str, str] = {
    "retrieval word-alignment word-retrieval": "files input_format",
    "retrieval word-alignment word-retrieval mining": "source target langs center",
    "word-alignment word-retrieval mining": "gold",
    "retrieval word-retrieval mining": "score index neighbourhood",
    "retrieval word-alignment word-retrieval xnli xquad": "languages",
    "retrieval word-alignment word-retrieval xnli xquad translation-errors": "data",
    "retrieval word-alignment word-retrieval translation-errors": "layers",
    "retrieval word-retrieval mining xnli xquad": "batch_tokens",
    "word-alignment word-retrieval": "word_vector base",
    "word-retrieval": "pool",
    "word-alignment": " ".join(name for name in OPTIONS if name not in ("layers", "word_vector", "center")),
    "xnli xquad": "train preset epochs lr batch_size grad_accum max_length train_examples test_examples frozen "
    "precision head save_heads seeds",
    "xnli": "head_pooling eval_every",
    "xquad": "stride",
}


def check_used(given: Mapping[str, str], tasks: Collection[str]) -> None:
    """Refuse an option (its name and spelling) that none of the tasks would look at."""
    readers = {name: tasks_of.split() for tasks_of, names in _READ_BY.items() for name in names.split()}
    for name, spelt in given.items():
        if name in readers and not set(readers[name]) & set(tasks):
            raise ConfigError(
                f"{spelt} is not for {' and '.join(tasks)}",
                remedy=f"leave it out; it is for {', '.join(readers[name])}",
            )


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
    aligner: AlignerOptions = field(default_factory=dict)
    center: str | None = None
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

    @property
    def language_centred(self) -> bool:
        """Whether each language's mean vector is subtracted."""
        if self.strict and self.center in ("sentence", "corpus"):
            raise ConfigError(
                f"received {self.center!r}, which is the word aligner's",
                remedy="choose from: none, language",
                setting="center",
            )
        return self.center == "language"

    @property
    def aligner_settings(self) -> dict[str, Any]:
        """What was given of the word aligner's settings, the ones that other tasks share among them."""
        center = None if self.center == "language" and not self.strict else self.center
        return {**self.aligner, "layers": self.layers, "word_vector": self.word_vector, "center": center}

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
