"""What an inspector works on: models, a corpus that is aligned while one looks, and annotations."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch

from otkit.alignment.aligner import Alignment, WordAligner
from otkit.alignment.checking import Checked, TranslationChecker
from otkit.alignment.layers import Texts, sample_texts
from otkit.checks.reader import PairReader
from otkit.data.gold import GoldPair, read_gold
from otkit.errors import InputError, OtkitError, choose
from otkit.inspector.annotations import Annotations
from otkit.inspector.corpus import CorpusIndex, Judged, Line
from otkit.inspector.layer_table import Column, column_of
from otkit.inspector.models import Models
from otkit.reports.checked import FLAGGED
from otkit.resources import sample_data

__all__ = ["Session"]

# Pairs of the corpus in one turn: a person who waits for a picture waits no longer than these take.
_WINDOW = 8
_FIRST = 60
"""Pairs that tell the languages of a corpus, and that its layers are measured on."""


@dataclass(frozen=True, eq=False)
class Session:
    """Everything that a server answers from. `name` is the corpus's, as a person knows it; `languages` are those of
    its sides, where they are known."""

    models: Models
    name: str = ""
    lines: Sequence[Line] = ()
    corpus: CorpusIndex | None = None
    annotations: Annotations | None = None
    languages: tuple[str, str] | None = None
    _checkers: dict[str, TranslationChecker] = field(default_factory=dict)
    _columns: dict[tuple[str, str], Column] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        models: Models,
        *,
        name: str = "",
        lines: Sequence[Line] = (),
        annotations: Annotations | None = None,
        languages: tuple[str, str] | None = None,
    ) -> Session:
        """A session, with an index where there are lines."""
        corpus = None
        if lines:
            corpus = CorpusIndex(len(lines), gold=lines[0].gold is not None)
        return cls(models, name, lines, corpus, annotations, languages)

    def fill(self, stop: threading.Event) -> None:
        """Align the corpus into the index, then check it, until all is done or a stop is asked for."""
        assert self.corpus is not None
        try:
            self._align(self.corpus, stop)
            self._check(self.corpus, stop)
        except OtkitError as error:  # for the page, which a person looks at
            self.corpus.error = str(error)

    def _windows(self, stop: threading.Event) -> Iterator[list[Line]]:
        lines = iter(self.lines)
        while not stop.is_set() and (window := list(islice(lines, _WINDOW))):
            yield window

    def _align(self, corpus: CorpusIndex, stop: threading.Event) -> None:
        aligners = [self.models.plain_aligner(name) for name in self.models.names]
        for window in self._windows(stop):
            with self.models.turns.turn(background=True):
                found = [_aligned(aligner, window) for aligner in aligners]
            verdicts = None
            if self.annotations is not None:
                verdicts = [self.annotations.verdict(line.source, line.target) for line in window]
            corpus.add(window, zip(*found, strict=True), verdicts)

    def _check(self, corpus: CorpusIndex, stop: threading.Event) -> None:
        checker = TranslationChecker(
            self.models.encoders[self.models.names[0]], languages=self.models.languages
        )
        reader = PairReader(checker)
        first = [(" ".join(line.source), " ".join(line.target)) for line in islice(self.lines, _FIRST)]
        place = self.name if self.languages is None else f"corpus.{'-'.join(self.languages)}.tsv"
        reader.begin(place, None, first, raw=False)
        reader.measure()  # in no turn: it takes seconds, in which nobody need wait
        for window in self._windows(stop):
            with self.models.turns.turn(background=True):
                checked = list(checker.check((line.source, line.target) for line in window))
                judged = [_judged(corpus.checked + k, reader, one) for k, one in enumerate(checked)]
            corpus.check(judged)

    def check(self, name: str | None, pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> list[Checked]:
        """How much of each translation nothing accounts for."""
        encoder = self.models.aligner(name, {}).encoder
        with self.models.turns.turn():
            # It measures its prices once.
            new = TranslationChecker(encoder, languages=self.models.languages)
            checker = self._checkers.setdefault(name or self.models.names[0], new)
            return list(checker.check((tuple(source), tuple(target)) for source, target in pairs))

    def embed(self, name: str | None, sentences: Sequence[Sequence[str]]) -> list[list[float]]:
        """A unit vector for each sentence."""
        encoder = self.models.aligner(name, {}).encoder
        with self.models.turns.turn(), torch.inference_mode():
            vectors: Any = encoder.encode_sentences(encoder.tokenize(sentences).to(encoder.device))
        return [[round(value, 6) for value in row] for row in vectors.float().cpu().tolist()]

    def judge(self, by: str, ids: Sequence[int], verdict: str) -> None:
        """Accept or reject pairs of the corpus; the verdicts are on the disk when this returns."""
        assert self.corpus is not None
        assert self.annotations is not None
        for source, target in self.corpus.texts(ids):
            self.annotations.change(by, source, target, {"verdict": verdict})
            self.corpus.judge(source, target, verdict)

    @property
    def texts(self) -> Texts:
        """What the layers can be measured on: the corpus under its name, and the pairs that come with otkit."""
        own = {} if not self.lines else {self.name: [(line.source, line.target) for line in self._sample()]}
        return {**own, **sample_texts()}

    def _sample(self) -> list[Line]:
        """Pairs of the corpus, as far apart as they can be."""
        step = max(1, len(self.lines) // _FIRST)
        chosen = [self.lines[place] for place in range(0, len(self.lines), step)][:_FIRST]
        return [line for line in chosen if line.source and line.target]

    def layers(self, name: str | None, language: str) -> tuple[Column, list[Column]]:
        """How the hidden states do in a language, measured once; and all that is known of this model."""
        model = name or self.models.names[0]
        settings = self.models.aligner(model, {}).config
        pairs = choose(language, self.texts, what="language", setting="language")
        if not pairs:
            raise InputError("there are no pairs", remedy="choose another language")
        if (model, language) not in self._columns:
            gold = self._gold(language)
            with self.models.turns.turn():
                found = column_of(self.models.encoders[model], language, pairs, settings, gold)
            self._columns[model, language] = found
        known = [column for (other, _), column in self._columns.items() if other == model]
        return self._columns[model, language], known

    def _gold(self, language: str) -> list[GoldPair]:
        if language == self.name:
            return [line.gold for line in self._sample() if line.gold is not None]
        file = sample_data() / "gold" / f"{language}.dev.tsv"
        return list(read_gold(file)[:_FIRST]) if file.is_file() else []


def _aligned(aligner: WordAligner, window: Sequence[Line]) -> list[Alignment]:
    found = aligner.align_window([(line.source, line.target) for line in window])
    return [one for one in found if one is not None]


def _judged(place: int, reader: PairReader, checked: Checked) -> Judged:
    found = reader.read(checked, " ".join(checked.source), " ".join(checked.target))
    worst = max(found, key=lambda name: found[name].score)
    flagged = tuple(name for name, one in found.items() if one.score >= FLAGGED)
    return Judged(place, found[worst].score, worst, found[worst].what, flagged)
