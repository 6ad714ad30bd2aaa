"""What a plan says of a translation: words that nothing on the other side accounts for (OTTAWA).

Every word is one unit of mass. The words of one side must all move, to words of the other side, each of which
takes one unit, or to a null that takes anything at its price: what goes there is unaccounted for. Targets to
sources finds hallucination, sources to targets omission.

Huang et al. 2024 ("OTTAWA", section 3) give each sentence a mass of 1 and the null a price from the pair
itself. Mass by the word tells a translation that is too short from one that is merely free, and a price that
is the same for all pairs lets scores be compared between them: `benchmarks/README.md` has the figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otkit.alignment.aligner import WINDOW_PAIRS, SentencePair, cut_window
from otkit.alignment.links import MOST_CELLS, by_size
from otkit.alignment.settings import CheckSettings
from otkit.alignment.store import UnitStore, encode_window, tokenise, tokens_at_once
from otkit.data.lines import words_of
from otkit.data.parallel import Pair, read_pairs
from otkit.encoders.encoder import Encoder, resolve_layers
from otkit.encoders.pooling import Encoded
from otkit.encoders.tokens import Sentence
from otkit.resources import sample_data
from otkit.transport.approximate import capped_plan
from otkit.transport.cost import pairwise_cost
from otkit.transport.null import null_cost

__all__ = [
    "CheckSettings",
    "Checked",
    "TranslationChecker",
    "mean_score",
    "read_unaligned",
    "unaligned_minima",
]

FloatArray = NDArray[np.float32]

_ITERATIONS = 100

_UNALIGNED = 16
"""Pairs of each language whose nearest words are measured: some 6,000 words in all, which fixes the 5 % quantile to a
hundredth of the cost."""


@dataclass(frozen=True, eq=False)
class Checked:
    """How much of a translation of N source and M target words nothing accounts for, all in [0, 1].

    source_scores (N,) are shares of each source word that were lost, target_scores (M,) of each target word
    that came from nowhere; `omission` and `hallucination` are their means, 0 for a side without words.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    source_scores: FloatArray
    target_scores: FloatArray

    @property
    def omission(self) -> float:
        """The share of the source that the translation lost."""
        return mean_score(self.source_scores)

    @property
    def hallucination(self) -> float:
        """The share of the translation that came from nowhere."""
        return mean_score(self.target_scores)


def mean_score(scores: FloatArray) -> float:
    """The score of a side from those of its words (N,); 0 where there are none."""
    return float(scores.mean()) if len(scores) else 0.0


class TranslationChecker:
    """An encoder with the settings of a check; a pair's scores do not depend on the pairs around it."""

    def __init__(
        self,
        encoder: Encoder,
        config: CheckSettings | None = None,
        *,
        batch_tokens: int | None = None,
        window: int = WINDOW_PAIRS,
    ) -> None:
        self.encoder, self.config, self.window = encoder, config or CheckSettings(), window
        self.layers = resolve_layers(self.config.layers, encoder.layers)
        self.batch_tokens = batch_tokens or tokens_at_once(encoder)
        self._measured: list[FloatArray] = []  # one array, once somebody has asked
        self.on_encoded: Callable[[int], None] = lambda pairs: None
        """Told, within a window, how many of its pairs are through the encoder: nearly all of the work."""

    def used(self) -> dict[str, Any]:
        """The settings as they were used, for a record: no default is left open, and figures have their unit."""
        nulls = {"hallucination": self.config.hallucination_null, "omission": self.config.omission_null}
        prices = {
            name: float(np.quantile(self._measured[0], null))
            for name, null in nulls.items()
            if self._measured and not isinstance(null, str)
        }
        units = {"epsilon": "price of the null", "null_prices": "cost"}
        units |= {
            f"{name}_null": "share of unaligned words that find a partner at this price"
            for name, null in nulls.items()
            if not isinstance(null, str)
        }
        used = {**self.config.to_dict(), "layers": list(self.layers), "null_prices": prices}
        return {"config": used, "units": units}

    def share_prices(self, other: TranslationChecker) -> None:
        """Take the prices of a checker of the same encoder and layers, which measures them if it has to."""
        self._measured = other._measured

    def check(self, pairs: Iterable[SentencePair]) -> Iterator[Checked]:
        """The scores of each pair, in order; pairs are read, encoded and solved a window at a time."""
        lines = iter(pairs)
        while window := [pair for pair in cut_window(lines, self.window) if pair is not None]:
            sentences = [sentence for pair in window for sentence in pair]
            # Not around the yield: the mode would leak to whoever consumes the stream.
            with torch.inference_mode():
                store = self.encode(sentences, progress=lambda texts: self.on_encoded(texts // 2))
                found = self.check_store(store)
            for (source, target), (lost, made_up) in zip(window, found, strict=True):
                yield Checked(tuple(source), tuple(target), lost, made_up)

    def encode(
        self, sentences: Sequence[Sentence], *, progress: Callable[[int], None] = lambda done: None
    ) -> UnitStore:
        """The word vectors of source and target sentences in turn."""
        return encode_window(
            self.encoder,
            tokenise(self.encoder, sentences),
            layers=self.layers,
            unit="word",
            word_vector=self.config.word_vector,
            batch_tokens=self.batch_tokens,
            progress=progress,
        )

    def check_store(self, store: UnitStore) -> list[tuple[FloatArray, FloatArray]]:
        """(source, target) word scores of sentences 0 and 1, 2 and 3, ... of a store of these layers."""
        sizes = store.counts.view(-1, 2).cpu().numpy()
        results: dict[int, tuple[FloatArray, FloatArray]] = {}
        for members in by_size(sizes):
            rows = torch.from_numpy(members).to(store.counts.device)
            source, target = store.gather(2 * rows), store.gather(2 * rows + 1)
            if int(sizes[members].prod(1).max()) > MOST_CELLS:  # by_size leaves such a pair alone
                scores = self._in_blocks(source, target)
            else:
                scores = self._both(source, target)
            for place, member in enumerate(members.tolist()):
                lost, made_up = (scores[side][place, : sizes[member, side]].cpu().numpy() for side in (0, 1))
                results[member] = lost, made_up
        return [results[member] for member in range(len(sizes))]

    def _both(self, source: Encoded, target: Encoded) -> tuple[Tensor, Tensor]:
        """Scores (B, N) and (B, M)."""
        cost = pairwise_cost(source.vectors, target.vectors, cost="cosine")
        lost = self._unaccounted(cost, source, target, self.config.omission_null)
        back = cost.transpose(1, 2)
        return lost, self._unaccounted(back, target, source, self.config.hallucination_null)

    def _unaccounted(self, cost: Tensor, moving: Encoded, takers: Encoded, null: float | str) -> Tensor:
        """(B, N) the share of each moving word that goes to the null, for a cost (B, N, M)."""
        mask = moving.mask
        if 0 in cost.shape:  # a side without words accounts for nothing
            return mask.float()
        a, b = mask.float(), takers.mask.float()
        if self.config.mass == "sentence":
            a, b = (side / side.sum(1, keepdim=True).clamp(min=1) for side in (a, b))
        price = self._price(null, cost, a, b, moving.vectors)
        plan = capped_plan(
            torch.cat([cost, price[:, None, None].expand(-1, cost.shape[1], 1)], dim=2),
            a,
            torch.cat([b, a.sum(1, keepdim=True).clamp(min=1e-6)], dim=1),  # room for everything
            epsilon=self.config.epsilon * price.clamp(min=1e-6),
            hard_source=True,
            iterations=_ITERATIONS,
        )
        return torch.where(mask, plan[:, :, -1] / a.clamp(min=1e-12), 0.0).clamp(0.0, 1.0)

    def _price(self, null: float | str, cost: Tensor, a: Tensor, b: Tensor, vectors: Tensor) -> Tensor:
        """(B,) what the null costs."""
        if isinstance(null, str):
            # The rules are made for (1 - cos)/2, ours is 1 - cos.
            unit = torch.nn.functional.normalize(vectors, dim=-1)
            return 2 * null_cost(cost / 2, a, b, name=null, vectors=unit)
        if not self._measured:
            self._measured.append(unaligned_minima(self))
        return cost.new_full((len(cost),), float(np.quantile(self._measured[0], null)))

    def _in_blocks(self, source: Encoded, target: Encoded) -> tuple[Tensor, Tensor]:
        """One pair whose cost matrix would not fit, along its diagonal: each part of a side moves to the parts
        of the other that lie beside it and next to it."""
        n, m = source.mask.shape[1], target.mask.shape[1]
        blocks = max(1, math.ceil(3 * math.sqrt(n * m / MOST_CELLS)))
        parts: tuple[list[Tensor], list[Tensor]] = ([], [])
        for k in range(blocks):
            for side, (moving, takers) in enumerate(((source, target), (target, source))):
                own = _part(moving, k, k + 1, blocks)
                near = _part(takers, max(k - 1, 0), min(k + 2, blocks), blocks)
                null = self.config.hallucination_null if side else self.config.omission_null
                cost = pairwise_cost(own.vectors, near.vectors, cost="cosine")
                parts[side].append(self._unaccounted(cost, own, near, null))
        return torch.cat(parts[0], dim=1), torch.cat(parts[1], dim=1)


def _part(side: Encoded, first: int, last: int, blocks: int) -> Encoded:
    size = side.mask.shape[1]
    cut = slice(round(first * size / blocks), round(last * size / blocks))
    return Encoded(side.vectors[:, cut], side.mask[:, cut], side.word_ids[:, cut])


def read_unaligned() -> list[tuple[str, ...]]:
    """Sentences of the sample data in turn: a source, and the translation of the line after it (of the first, for the
    last).
    """
    sentences: list[tuple[str, ...]] = []
    for path in sorted((sample_data() / "parallel").glob("??-??.dev.tsv")):
        pairs = [pair for pair in islice(read_pairs(path), _UNALIGNED) if isinstance(pair, Pair)]
        for pair, other in zip(pairs, [*pairs[1:], *pairs[:1]], strict=True):
            sentences += [words_of(pair.source), words_of(other.target)]
    return sentences


def unaligned_minima(checker: TranslationChecker) -> FloatArray:
    """Of each word of the unaligned pairs, both sides, the cost of its nearest word on the other side.

    How near a word comes to the nearest word of a sentence it has nothing to do with depends on the encoder and the
    layer, and on little else: so it is measured once an encoder, on ten languages with English, and scores of
    different files mean the same.
    """
    store = checker.encode(read_unaligned())
    every = torch.arange(0, len(store.counts), 2, device=store.counts.device)
    source, target = store.gather(every), store.gather(every + 1)
    cost = pairwise_cost(source.vectors, target.vectors, cost="cosine")
    cost = cost.masked_fill(~(source.mask[:, :, None] & target.mask[:, None, :]), torch.inf)
    minima: FloatArray = torch.cat([cost.amin(2)[source.mask], cost.amin(1)[target.mask]]).cpu().numpy()
    return minima
