"""Copies of examples with words of another language in them, each written when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, overload

from otkit.data.examples import Answer, NliExample, QaExample
from otkit.projection.places import Place, Text
from otkit.projection.switching import LexiconWords, drawing, switched

__all__ = ["SwitchedCopies"]


class SwitchedCopies(Sequence[Any]):
    """The copies of examples of one kind, labels and answers exact: what `otkit.augment` writes of the same examples
    and lexicon under the same seed."""

    def __init__(
        self, examples: Sequence[Any], lexicon: LexiconWords, share: float, *, seed: int = 0
    ) -> None:
        self._examples, self._lexicon, self._share, self._seed = examples, lexicon, share, seed
        self._paragraphs: list[tuple[int, range]] = []
        """Of each question the number of its context, and the questions about it: their answers move together."""
        if examples and isinstance(examples[0], QaExample):
            start = 0
            for number, (_, same) in enumerate(groupby(examples, key=lambda example: example.context)):
                members = range(start, start + sum(1 for _ in same))
                self._paragraphs += [(number, members)] * len(members)
                start = members.stop

    def __len__(self) -> int:
        return len(self._examples)

    @overload
    def __getitem__(self, index: int) -> NliExample | QaExample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[NliExample | QaExample]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        example = self._examples[number]
        if isinstance(example, NliExample):
            premise, hypothesis = (
                self._switched(getattr(example, side), f"{number} {side}")[0]
                for side in ("premise", "hypothesis")
            )
            return NliExample(premise, hypothesis, example.label)
        return self._question(number, example)

    def _question(self, number: int, example: QaExample) -> QaExample:
        paragraph, members = self._paragraphs[number]
        places = [
            Place(str(member), answer.start, answer.start + len(answer.text))
            for member in members
            for answer in self._examples[member].answers
        ]
        context, moved = self._switched(example.context, f"{paragraph} context", places)
        answers = (
            Answer(context[place.start : place.end], place.start)
            for place in moved
            if place.label == str(number)
        )
        question, _ = self._switched(example.question, f"question {example.id}")
        return QaExample(example.id, question, context, tuple(answers))

    def _switched(self, text: str, key: str, places: Sequence[Place] = ()) -> tuple[str, Sequence[Place]]:
        made = switched(Text.of(text), places, self._lexicon, self._share, drawing(key, seed=self._seed))
        return made.text, made.places
