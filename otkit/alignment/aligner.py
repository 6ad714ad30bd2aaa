"""Sentence pairs in, alignments out, in order: the stream behind `show-alignment` and `extract`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otkit.alignment.documents import document_links, sentence_spans
from otkit.alignment.links import MOST_CELLS, PairLinks, find_all
from otkit.alignment.settings import AlignmentSettings
from otkit.alignment.store import TokenisedWindow, UnitStore, encode_window, tokenise, tokens_at_once
from otkit.encoders.device import PRECISIONS, autocast
from otkit.encoders.encoder import Encoder, resolve_layers
from otkit.encoders.tokens import Sentence
from otkit.errors import choose

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
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    links: tuple[Link, ...]
    plan: FloatArray | None
    source_no_partner: FloatArray | None
    target_no_partner: FloatArray | None
    cost: float

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

    A pair's alignment does not depend on the pairs around it, but for `center="corpus"`, whose mean vectors
    are those of the first window and stay, and for the rounding of a half `precision`.
    """

    def __init__(
        self,
        encoder: Encoder,
        config: AlignmentSettings | None = None,
        *,
        batch_tokens: int | None = None,
        window: int = WINDOW_PAIRS,
        precision: str = "fp32",
    ) -> None:
        self.encoder, self.config, self.window = encoder, config or AlignmentSettings(), window
        self.layers = resolve_layers(self.config.layers or encoder.settings.alignment_layers, encoder.layers)
        choose(precision, PRECISIONS, what="precision")
        self.precision = precision
        self.batch_tokens = batch_tokens or tokens_at_once(encoder)
        self.means: tuple[Tensor, Tensor] | None = None
        """(K, D) mean vectors of both sides, once `center="corpus"` has seen its first window."""
        self.on_encoded: Callable[[int], None] = lambda pairs: None
        """Told, within a window, how many of its pairs are through the encoder: nearly all of the work."""

    def used(self) -> dict[str, Any]:
        """The settings as they were used, for a record: no default is left open, and figures have their unit."""
        return {**self.config.used(), "layers": list(self.layers)}

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
            coming = reader.submit(self._read, lines)
            while (window := coming.result()) is not None:
                coming = reader.submit(self._read, lines)
                # Not around the yield: the mode would leak to whoever consumes the stream.
                with torch.inference_mode():
                    found = self._align_window(window, plans=plans)
                yield found

    def align_window(self, pairs: Sequence[SentencePair | None]) -> list[Alignment | None]:
        """The pairs of one window, which `cut_window` cut."""
        with torch.inference_mode():
            return self._align_window(self._tokenised(pairs), plans=False)

    def _read(self, lines: Iterator[SentencePair | None]) -> _Window | None:
        kept = cut_window(lines, self.window)
        return self._tokenised(kept) if kept else None

    def align_documents(self, pairs: Iterable[SentencePair]) -> Iterator[Alignment]:
        """One alignment for each pair of texts, in order: sentence by sentence wherever they have several, and so
        in any order of the sentences. Texts whose cost matrix would not fit are always aligned so."""
        for source, target in pairs:
            pair = (tuple(source), tuple(target))
            if min(len(sentence_spans(side)) for side in pair) > 1:
                yield _alignment(*pair, self._document(pair))
            else:
                yield from self.align([pair], plans=False)

    def _document(self, pair: SentencePair) -> PairLinks:
        return document_links(self.encoder, *pair, self._links_of, batch_tokens=self.batch_tokens)

    def _links_of(self, pairs: list[SentencePair]) -> Iterator[PairLinks]:
        """What there is between the pairs, window by window."""
        lines: Iterator[SentencePair] = iter(pairs)
        while kept := cut_window(lines, self.window):
            with torch.inference_mode():
                yield from self._window_links(self._tokenised(kept)).values()

    def _tokenised(self, kept: Sequence[SentencePair | None]) -> _Window:
        texts = [index for index, pair in enumerate(kept) if pair is not None and _is_text(pair)]
        usual = [index for index, pair in enumerate(kept) if pair is not None and index not in texts]
        sentences = [*chain.from_iterable(kept[index] or () for index in usual)]
        tokens = tokenise(self.encoder, sentences, joint=self.config.encoding == "joint")
        return _Window(kept, tokens, usual, texts)

    def _align_window(self, window: _Window, *, plans: bool) -> list[Alignment | None]:
        found = self._window_links(window, plans=plans)
        return [
            None if pair is None else _alignment(*pair, found[index])
            for index, pair in enumerate(window.pairs)
        ]

    def _window_links(self, window: _Window, *, plans: bool = False) -> dict[int, PairLinks]:
        """What there is between the pairs of a window, by their places, in order."""
        with autocast(self.encoder.device, self.precision):
            store = encode_window(
                self.encoder,
                window.tokens,
                layers=self.layers,
                unit=self.config.granularity,
                word_vector=self.config.word_vector,
                batch_tokens=self.batch_tokens,
                progress=lambda texts: self.on_encoded(texts if window.tokens.joint else texts // 2),
            )
        if self.config.center == "corpus":
            store = self._minus_corpus_means(store)
        found = dict(zip(window.usual, find_all(store, self.config, plans=plans), strict=True))
        for index in window.texts:
            pair = window.pairs[index]
            assert pair is not None
            found[index] = self._document(pair)
        return dict(sorted(found.items()))

    def _minus_corpus_means(self, store: UnitStore) -> UnitStore:
        if self.means is None:
            self.means = store.means_of_sides()
        return store.minus(self.means)


def _is_text(pair: SentencePair) -> bool:
    """Whether a pair is too large for one cost matrix, and has sentences to cut it at."""
    source, target = pair
    return len(source) * len(target) > MOST_CELLS and min(len(sentence_spans(side)) for side in pair) > 1


def _alignment(source: Sequence[str], target: Sequence[str], found: PairLinks) -> Alignment:
    return Alignment(
        source=tuple(source),
        target=tuple(target),
        links=tuple(map(Link._make, zip(*found.links, strict=True))),
        plan=found.plan,
        source_no_partner=found.source_no_partner,
        target_no_partner=found.target_no_partner,
        cost=found.cost,
    )
