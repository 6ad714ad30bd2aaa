"""Sentence pairs in, alignments out, in order: the stream behind `show-alignment`, `extract` and the scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
import torch
from torch import Tensor

from otkit.encoders.encoder import Encoder, resolve_layers
from otkit.encoders.tokens import Sentence
from otkit.extraction.alignment import Alignment, Link
from otkit.extraction.blocks import MOST_CELLS, align_in_blocks
from otkit.extraction.config import AlignerConfig
from otkit.extraction.links import Found, find_links
from otkit.extraction.store import TokenisedWindow, UnitStore, encode_window, tokenise

__all__ = ["Alignment", "AlignerConfig", "Link", "WordAligner"]

SentencePair = tuple[Sentence, Sentence]

# Pairs, and words of one side, that are read ahead, encoded and sorted together: memory for about 100 MB.
WINDOW_PAIRS, WINDOW_WORDS = 1024, 32768
# Padded cells of the cost matrices that are solved at once.
_BATCH_CELLS, _BATCH_PAIRS = 1 << 17, 256


@dataclass(frozen=True, eq=False)
class _Window:
    """Lines read together; None stands for a line without a pair."""

    pairs: list[tuple[tuple[str, ...], tuple[str, ...]] | None]
    tokens: TokenisedWindow


class WordAligner:
    """An encoder with the settings of a transport problem and a strategy.

    A pair's alignment does not depend on the pairs around it, but for `center="corpus"`, whose mean vectors
    are those of the first window and stay.
    """

    def __init__(
        self,
        encoder: Encoder,
        config: AlignerConfig | None = None,
        *,
        batch_tokens: int | None = None,
        window: int = WINDOW_PAIRS,
    ) -> None:
        self.encoder, self.config, self.window = encoder, config or AlignerConfig(), window
        self.layers = resolve_layers(self.config.layers or encoder.settings.alignment_layers, encoder.layers)
        self.batch_tokens = batch_tokens or (4096 if encoder.device.type == "cpu" else 65536)
        self._means: tuple[Tensor, Tensor] | None = None

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
                with torch.inference_mode():
                    yield self._align_window(window, plans=plans)

    def _read(self, lines: Iterator[SentencePair | None]) -> _Window | None:
        kept: list[tuple[tuple[str, ...], tuple[str, ...]] | None] = []
        words = 0
        for line in islice(lines, self.window):
            pair = None if line is None else (tuple(line[0]), tuple(line[1]))
            kept.append(pair)
            words += max(map(len, pair)) if pair else 0
            if words >= WINDOW_WORDS:
                break
        if not kept:
            return None
        sentences = [*chain.from_iterable(pair for pair in kept if pair is not None)]
        return _Window(kept, tokenise(self.encoder, sentences))

    def _align_window(self, window: _Window, *, plans: bool) -> list[Alignment | None]:
        store = encode_window(
            self.encoder,
            window.tokens,
            layers=self.layers,
            unit=self.config.unit,
            word_vector=self.config.word_vector,
            batch_tokens=self.batch_tokens,
        )
        if self.config.center == "corpus":
            store = self._minus_corpus_means(store)
        present = [index for index, pair in enumerate(window.pairs) if pair is not None]
        found = self._find(store, plans=plans)
        results: list[Alignment | None] = [None] * len(window.pairs)
        for index, links in zip(present, found, strict=True):
            pair = window.pairs[index]
            assert pair is not None
            results[index] = _alignment(*pair, links)
        return results

    def _find(self, store: UnitStore, *, plans: bool) -> list[Found]:
        """What there is between sentences 0 and 1, 2 and 3, ...: in batches of pairs alike in size."""
        sizes = store.counts.view(-1, 2).cpu().numpy()
        results: list[Found | None] = [None] * len(sizes)
        for members in _batches_of_pairs(sizes):
            rows = torch.from_numpy(members).to(store.counts.device)
            if int(sizes[members].prod(1).max()) > MOST_CELLS:
                for member in members.tolist():
                    results[member] = align_in_blocks(store, 2 * member, 2 * member + 1, self.config)
                continue
            batch = find_links(store.gather(2 * rows), store.gather(2 * rows + 1), self.config, plans=plans)
            for member, found in zip(members.tolist(), batch, strict=True):
                results[member] = found
        return [found for found in results if found is not None]

    def _minus_corpus_means(self, store: UnitStore) -> UnitStore:
        if self._means is None:
            self._means = store.means_of_sides()
        return store.minus(self._means)


def _batches_of_pairs(sizes: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs sorted by size, cut where the padded matrices would pass the budget."""
    order = np.lexsort((sizes[:, 1], sizes[:, 0])) if len(sizes) else np.zeros(0, np.int64)
    begin, tall, wide = 0, 1, 1
    for place, index in enumerate(order.tolist()):
        tall, wide = max(tall, int(sizes[index, 0])), max(wide, int(sizes[index, 1]))
        count = place + 1 - begin
        if count > 1 and (count > _BATCH_PAIRS or count * tall * wide > _BATCH_CELLS):
            yield order[begin:place]
            begin, (tall, wide) = place, (max(1, int(sizes[index, 0])), max(1, int(sizes[index, 1])))
    if len(order):
        yield order[begin:]


def _alignment(source: Sequence[str], target: Sequence[str], found: Found) -> Alignment:
    return Alignment(
        source=tuple(source),
        target=tuple(target),
        links=tuple(map(Link._make, zip(*found.links, strict=True))),
        plan=found.plan,
        source_null=found.source_null,
        target_null=found.target_null,
        cost=found.cost,
    )
