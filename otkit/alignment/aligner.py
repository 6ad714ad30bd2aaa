"""Sentence pairs in, alignments out, in order: the stream behind `show-alignment` and `extract`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from otkit.alignment.beads import Beads, align_sentences
from otkit.alignment.documents import DocumentPair, document_links, sentences_of
from otkit.alignment.explain import Trace, links_under, trace_pair
from otkit.alignment.layer_choice import layers_of
from otkit.alignment.layers import read_texts
from otkit.alignment.links import MOST_CELLS, PairLinks, find_all
from otkit.alignment.prior import COUNTED_SHARE, CorpusPrior, KnownWords, LinkCounts
from otkit.alignment.settings import AlignmentSettings
from otkit.alignment.store import TokenisedWindow, UnitStore, encode_window, tokenise, tokens_at_once
from otkit.encoders.encoder import Encoder
from otkit.encoders.space import Space
from otkit.encoders.tokens import Sentence
from otkit.errors import InputError

__all__ = ["Alignment", "AlignmentSettings", "Link", "SentencePair", "WordAligner", "cut_window"]

SentencePair = tuple[Sentence, Sentence]
FloatArray = NDArray[np.float32]


class Link(NamedTuple):
    """Source word i and target word j, and the link's strength in [0, 1]: the shares of mass that go between them."""

    source: int
    target: int
    score: float


@dataclass(frozen=True, eq=False)
class Alignment:
    """The word links of a sentence pair of N and M words.

    links        sorted by source, then target
    plan         (N, M) masses of the transport plan, or similarities where there is no transport; None where
                 it was not asked for
    source_no_partner  (N,) how probably each word has no partner, in [0, 1]; target_no_partner (M,) likewise; None
                 where the transport has no null
    cost         mean cost of the mass that moved, in units of the cost (cosine: 0 the same, 1 unrelated); NaN
                 where a side is empty
    strength     (N, M) what the strategy `threshold` compares: link strengths, weighed by the words' lengths and
                 rivals; None under other strategies, and where no plan was asked for
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    links: tuple[Link, ...]
    plan: FloatArray | None
    source_no_partner: FloatArray | None
    target_no_partner: FloatArray | None
    cost: float
    strength: FloatArray | None = None

    @cached_property
    def pairs(self) -> frozenset[tuple[int, int]]:
        """The links as bare index pairs."""
        return frozenset((link.source, link.target) for link in self.links)

    @property
    def pharaoh(self) -> str:
        """`i-j` counted from 0, sorted."""
        return " ".join([f"{i}-{j}" for i, j, _ in self.links])

    def _alone(self) -> dict[str, FloatArray]:
        both = {"source_no_partner": self.source_no_partner, "target_no_partner": self.target_no_partner}
        return {name: values for name, values in both.items() if values is not None}

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for JSON; without the plan."""
        return {
            "source": list(self.source),
            "target": list(self.target),
            "links": [[i, j, round(score, 4)] for i, j, score in self.links],
            **{name: _rounded(values) for name, values in self._alone().items()},
            "cost": None if np.isnan(self.cost) else round(self.cost, 4),
        }


def _rounded(values: FloatArray) -> list[float]:
    return [round(value, 4) for value in values.tolist()]


# Pairs, and words of one side, that are read ahead, encoded and sorted together: memory for about 100 MB.
WINDOW_PAIRS, WINDOW_WORDS = 1024, 32768

TEXT_SENTENCES = 6
"""Sentences on both sides from which a pair is cut into beads, where no plan of the whole is asked for. Five in the
same order are aligned as well whole, in a quarter of the time."""


@dataclass(frozen=True, eq=False)
class _Window:
    """Lines read together; None stands for a line without a pair. `tokens` are those of `usual` lines; `texts` are
    lines of several sentences, which are aligned sentence by sentence."""

    pairs: Sequence[SentencePair | None]
    tokens: TokenisedWindow
    usual: Sequence[int]
    texts: Sequence[int]


def cut_window(lines: Iterator[SentencePair | None], most: int) -> list[SentencePair | None]:
    """The next lines that are aligned together; none at the end."""
    kept: list[SentencePair | None] = []
    words = 0
    for line in islice(lines, most):
        pair = None if line is None else (tuple(line[0]), tuple(line[1]))
        kept.append(pair)
        words += max(map(len, pair)) if pair else 0
        if words >= WINDOW_WORDS:
            break
    return kept


class WordAligner:
    """An encoder with the settings of a transport problem and a strategy.

    A pair's alignment does not depend on the pairs around it, but for a `space`, which is measured on the
    first window, or on `space_text`, and stays, and for the rounding of an encoder in a half precision.
    """

    def __init__(
        self,
        encoder: Encoder,
        config: AlignmentSettings | None = None,
        *,
        batch_tokens: int | None = None,
        window: int = WINDOW_PAIRS,
        languages: tuple[str, str] | None = None,
    ) -> None:
        self.encoder, self.config, self.window = encoder, config or AlignmentSettings(), window
        self.languages = languages
        """Of the sources and the targets, for an encoder whose tokenizer wants to know."""
        self.layers = layers_of(encoder, self.config.layers)
        if isinstance(self.config.layers, str):  # who opens the encoder elsewhere need not choose again
            self.config = self.config.changed(layers=self.layers)
        self.batch_tokens = batch_tokens or tokens_at_once(encoder)
        self.spaces: tuple[Space, Space] | None = None
        """What the vectors of each side share, once it is known."""
        self.prior: CorpusPrior | None = None
        """What a corpus taught, once it was counted."""
        self.on_encoded: Callable[[int], None] = lambda pairs: None
        """Told, within a window, how many of its pairs are through the encoder: nearly all of the work."""

    def used(self) -> dict[str, Any]:
        """The settings as they were used, for a record: no default is left open, and figures have their unit."""
        spoken = self.languages if self.encoder.subwords.usual is not None else None
        told = {} if spoken is None else {"languages": list(spoken)}
        return {**self.config.used(), "layers": list(self.layers), **told}

    def count(
        self, pairs: Sequence[SentencePair], *, progress: Callable[[int], None] = lambda done: None
    ) -> CorpusPrior:
        """What the links of these pairs, as they come (rivals count less), hold against links between their words;
        `progress` is told how many pairs are done."""
        weak = self.config.changed(threshold=COUNTED_SHARE)
        first = WordAligner(
            self.encoder, weak, batch_tokens=self.batch_tokens, window=self.window, languages=self.languages
        )
        counts, done = LinkCounts(), 0
        progress(done)
        first.on_encoded = lambda more: progress(done + more)
        for window in first.align_windows(pairs):
            for found in window:
                if found is not None:
                    counts.add(found.source, found.target, found.links)
            done += len(window)
            progress(done)
        return counts.prior()

    def align(self, pairs: Iterable[SentencePair], *, plans: bool = True) -> Iterator[Alignment]:
        """One alignment for each pair, in order; with `plans` the plan too, a matrix a pair."""
        for window in self.align_windows(pairs, plans=plans):
            yield from (alignment for alignment in window if alignment is not None)

    def align_windows(
        self, pairs: Iterable[SentencePair | None], *, plans: bool = False
    ) -> Iterator[list[Alignment | None]]:
        """The same in whole windows, None for None: a stream that begins anew at the start of a window goes
        on with the very same batches. The next window is read and tokenised while this one is encoded."""
        lines = iter(pairs)
        with ThreadPoolExecutor(max_workers=1) as reader:
            coming = reader.submit(self._read, lines, plans)
            while (window := coming.result()) is not None:
                coming = reader.submit(self._read, lines, plans)
                # Not around the yield: the mode would leak to whoever consumes the stream.
                with torch.inference_mode():
                    found = self._align_window(window, plans=plans)
                yield found

    def align_window(self, pairs: Sequence[SentencePair | None]) -> list[Alignment | None]:
        """The pairs of one window, which `cut_window` cut."""
        with torch.inference_mode():
            return self._align_window(
                self._tokenised(pairs, texts=_texts_in(pairs, plans=False)), plans=False
            )

    def _read(self, lines: Iterator[SentencePair | None], plans: bool) -> _Window | None:
        kept = cut_window(lines, self.window)
        return self._tokenised(kept, texts=_texts_in(kept, plans=plans)) if kept else None

    def align_documents(self, documents: Iterable[DocumentPair]) -> Iterator[Alignment]:
        """One alignment for each pair of texts, in order: sentence by sentence wherever both have several, and so in
        any order of the sentences. Places are counted through the whole text."""
        for window in self.align_document_windows(documents):
            yield from (alignment for alignment in window if alignment is not None)

    def align_document_windows(
        self, documents: Iterable[DocumentPair | None]
    ) -> Iterator[list[Alignment | None]]:
        """The same as lists that end where a run may be gone on with: after each document of some length."""
        window: list[Alignment | None] = []
        told = words = 0
        for document in documents:
            if document is None:
                window.append(None)
                continue
            pair = _joined(document[0]), _joined(document[1])
            window.append(_alignment(*pair, self._document(document, progress=self._on_after(told))))
            told += sum(map(len, document))
            words += max(map(len, pair))
            self.on_encoded(told)
            if words >= WINDOW_WORDS or len(window) >= self.window:
                yield window
                window, told, words = [], 0, 0
        if window:
            yield window

    def _on_after(self, before: int) -> Callable[[int], None]:
        return lambda done: self.on_encoded(before + done)

    def _document(
        self, document: DocumentPair, *, progress: Callable[[int], None] = lambda done: None
    ) -> PairLinks:
        if min(map(len, document)) <= 1:
            (alone,) = self._links_of([(_joined(document[0]), _joined(document[1]))])
            return alone
        return document_links(document, self.beads(document, progress=progress), self._links_of)

    def beads(self, document: DocumentPair, *, progress: Callable[[int], None] = lambda done: None) -> Beads:
        """The beads of the sentences of two texts; `progress` gets the sentences encoded."""
        return align_sentences(
            self.encoder,
            *document,
            languages=self.languages,
            batch_tokens=self.batch_tokens,
            progress=progress,
        )

    def _links_of(self, pairs: Sequence[SentencePair]) -> Iterator[PairLinks]:
        """What there is between the pairs, each aligned as it stands, window by window."""
        lines: Iterator[SentencePair] = iter(pairs)
        while kept := cut_window(lines, self.window):
            with torch.inference_mode():
                found = self._window_links(self._tokenised(kept))
            yield from found.values()

    def _tokenised(self, kept: Sequence[SentencePair | None], *, texts: Sequence[int] = ()) -> _Window:
        usual = [index for index, pair in enumerate(kept) if pair is not None and index not in texts]
        sentences = [*chain.from_iterable(kept[index] or () for index in usual)]
        return _Window(kept, self._pieces(sentences), usual, texts)

    def _pieces(self, sentences: Sequence[Sentence]) -> TokenisedWindow:
        """Of sources and targets in turn."""
        return tokenise(
            self.encoder,
            sentences,
            joint=self.config.encoding == "joint",
            truecase=self.config.truecase,
            languages=None if self.languages is None else self.languages * (len(sentences) // 2),
        )

    def _align_window(self, window: _Window, *, plans: bool) -> list[Alignment | None]:
        found = self._window_links(
            window,
            plans=plans,
            progress=lambda texts: self.on_encoded(texts if window.tokens.joint else texts // 2),
        )
        return [
            None if pair is None else _alignment(*pair, found[index])
            for index, pair in enumerate(window.pairs)
        ]

    def trace(self, pair: SentencePair) -> Trace:
        """How the links of one pair come about: every figure of every cell, from the very computation that gives its
        links. Both sides have words, and one cost matrix holds them."""
        source, target = tuple(pair[0]), tuple(pair[1])
        with torch.inference_mode():
            found = trace_pair(self._store_of_one(source, target), self.config, source, target)
        if not self.config.truecase:
            return found
        read = chain.from_iterable(self.encoder.subwords.truecase([source, target]))
        both = zip((*source, *target), read, strict=True)
        return replace(found, read_as=tuple((word, as_read) for word, as_read in both if word != as_read))

    def links_under(
        self, pair: SentencePair, rules: Sequence[AlignmentSettings]
    ) -> list[tuple[tuple[int, int], ...]]:
        """The links of one pair under each of the settings, which differ in the strategy and its threshold alone."""
        with torch.inference_mode():
            return links_under(self._store_of_one(tuple(pair[0]), tuple(pair[1])), rules)

    def _store_of_one(self, source: Sentence, target: Sentence) -> UnitStore:
        """The units of one pair that has words on both sides, and not too many for one matrix."""
        if not source or not target:
            raise InputError("a side has no words, so there is no link to explain", remedy="give words")
        if len(source) * len(target) > MOST_CELLS:
            raise InputError(
                f"{len(source)} times {len(target)} words are too many to explain at once",
                remedy="give the sentence that the word is in, and its translation",
            )
        return self._store(self._tokenised([(source, target)], texts=()).tokens)

    def _window_links(
        self, window: _Window, *, plans: bool = False, progress: Callable[[int], None] = lambda texts: None
    ) -> dict[int, PairLinks]:
        """What there is between the pairs of a window, by their places, in order."""
        store = self._store(window.tokens, progress)
        known = None
        if self.prior is not None:
            known = KnownWords(self.prior, [window.pairs[index] or ((), ()) for index in window.usual])
        links = find_all(store, self.config, plans=plans, known=known)
        found = dict(zip(window.usual, links, strict=True))
        for index in window.texts:
            pair = window.pairs[index]
            assert pair is not None
            found[index] = self._document((sentences_of(pair[0]), sentences_of(pair[1])))
        return dict(sorted(found.items()))

    def _store(
        self, tokens: TokenisedWindow, progress: Callable[[int], None] = lambda texts: None
    ) -> UnitStore:
        """The word vectors of a window, less what the settings take off the space of each side."""
        store = self._encode(tokens, progress)
        if self.config.space == "none" or not len(store.vectors):  # a window of nothing but texts has none
            return store
        self.measure()
        if self.spaces is None:
            self.spaces = store.spaces(self.config.space)
        return store.without(self.spaces)

    def measure(self) -> None:
        """Measure the space on `space_text` now, where there is one, and not at the first window: what serves wants to
        know that it can before it says that it is ready."""
        if self.config.space_text is None or self.spaces is not None:
            return
        pairs = read_texts(self.config.space_text, most=WINDOW_PAIRS)
        sentences = [side for pair in pairs for side in pair]
        with torch.inference_mode():
            self.spaces = self._encode(self._pieces(sentences)).spaces(self.config.space)

    def _encode(
        self, tokens: TokenisedWindow, progress: Callable[[int], None] = lambda texts: None
    ) -> UnitStore:
        return encode_window(
            self.encoder,
            tokens,
            layers=self.layers,
            unit=self.config.granularity,
            word_vector=self.config.word_vector,
            batch_tokens=self.batch_tokens,
            progress=progress,
        )


def _texts_in(pairs: Sequence[SentencePair | None], *, plans: bool) -> list[int]:
    """The places of pairs that are aligned sentence by sentence."""
    return [index for index, pair in enumerate(pairs) if pair is not None and _is_text(pair, plans=plans)]


def _is_text(pair: SentencePair, *, plans: bool) -> bool:
    """Whether a pair is one of texts, with sentences to cut them at: too large for one cost matrix, or of several
    sentences on both sides, unless the plan of the whole is wanted."""
    source, target = pair
    if len(source) * len(target) > MOST_CELLS:
        return min(len(sentences_of(side)) for side in pair) > 1
    if plans or min(map(len, pair)) < 2 * TEXT_SENTENCES:
        return False
    return min(len(sentences_of(side)) for side in pair) >= TEXT_SENTENCES


def _joined(document: Sequence[Sentence]) -> Sentence:
    """All words of a text."""
    return tuple(chain.from_iterable(document))


def _alignment(source: Sequence[str], target: Sequence[str], found: PairLinks) -> Alignment:
    return Alignment(
        source=tuple(source),
        target=tuple(target),
        links=tuple(map(Link._make, zip(*found.links, strict=True))),
        plan=found.plan,
        source_no_partner=found.source_no_partner,
        target_no_partner=found.target_no_partner,
        cost=found.cost,
        strength=found.strength,
    )
