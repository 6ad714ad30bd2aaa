"""Labelled examples of the transfer tasks, and the set of them that one file or Hub split gave."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

from otkit.data.lines import ON_ERROR, located, unskipped
from otkit.errors import InputError, choose

__all__ = ["NLI_LABELS", "Answer", "Example", "NliExample", "QaExample", "TaskSet", "gather"]

NLI_LABELS = ("entailment", "neutral", "contradiction")

Example = TypeVar("Example", bound="NliExample | QaExample")


@dataclass(frozen=True, slots=True)
class NliExample:
    """A premise and a hypothesis; `label` is one of NLI_LABELS, or None where the file does not tell."""

    premise: str
    hypothesis: str
    label: str | None

    @property
    def labelled(self) -> bool:
        return self.label is not None


@dataclass(frozen=True, slots=True)
class Answer:
    """A stretch of the context: `context[start : start + len(text)] == text`."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class QaExample:
    """A question about a context; `answers` is empty where the file does not tell."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...]

    @property
    def labelled(self) -> bool:
        return bool(self.answers)


@dataclass(frozen=True)
class TaskSet(Sequence[Example], Generic[Example]):
    """Examples in the order of their file; all are labelled or none is (such a file cannot be scored).

    skipped   items that were left out; `bad` holds the errors of the first ten
    sha256    of the content
    """

    name: str
    examples: Sequence[Example]
    labelled: bool
    skipped: int
    bad: tuple[InputError, ...]
    sha256: str

    def __len__(self) -> int:
        return len(self.examples)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        return self.examples[index]


def gather(
    items: Iterable[tuple[str, Example | InputError]], *, name: str, on_error: str, digest: Callable[[], str]
) -> TaskSet[Example]:
    """Examples and errors, each with its place, as a set: raise at an error, or count it and leave it out.

    Either every example has its label or none has: the first one decides. `digest` is asked at the end.
    """
    choose(on_error, ON_ERROR, what="way to treat bad items")
    examples: list[Example] = []
    bad: list[InputError] = []
    for where, item in items:
        if isinstance(item, InputError):
            problem = item
        elif examples and item.labelled != examples[0].labelled:
            what = (
                "the item lacks its label"
                if examples[0].labelled
                else "the item has a label, others have none"
            )
            problem = InputError(what, remedy="label all items of a file, or none")
        else:
            examples.append(item)
            continue
        if on_error == "raise":
            raise unskipped(problem, where)
        bad.append(located(problem, where))
    if not examples:
        first = f"; the first: {bad[0]}" if bad else ""
        raise InputError(f"no usable item, {len(bad)} bad ones{first}", where=name, remedy="check the file")
    return TaskSet(name, tuple(examples), examples[0].labelled, len(bad), tuple(bad[:10]), digest())
