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
from functools import cached_property, partial
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
from otkit.data.languages import languages_of
from otkit.data.lines import words_of
from otkit.data.parallel import Pair, read_pairs
from otkit.encoders.encoder import Encoder, resolve_layers
from otkit.encoders.measured import identity, keep_measured, key_of, read_measured
from otkit.encoders.pooling import Encoded
from otkit.encoders.tokens import Sentence
from otkit.resources import sample_data
from otkit.transport.approximate import capped_plan
from otkit.transport.cost import pairwise_cost
from otkit.transport.null import null_cost

__all__ = [
    "CheckSettings",
    "Checked",
    "Evidence",
    "TranslationChecker",
    "mean_score",
    "read_sample",
    "unaligned_minima",
]

FloatArray = NDArray[np.float32]
Sides = tuple[FloatArray, FloatArray]
"""Figures of the words of the source, and of the target."""

_ITERATIONS = 100

_VERSION = 1
"""Of what is measured on the sample sentences: change it with that."""

_MISSING, _FAR = 0.25, 0.05
"""Shares of unaligned words that find a partner at the price of a missing word, and where a word begins to be far."""
_FAR_WIDTH = 0.09
"""Of that price: how gradual the change is."""

_UNALIGNED = 16
"""Pairs of each language whose nearest words are measured: some 6,000 words in all, which fixes the 5 % quantile to a
hundredth of the cost."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What else is known of the N words of one side, both in [0, 1].

    missing  the share that nothing accounts for where a word weighs the root of its letters, so that a long word does
             not find room in an article
    far      how surely no word of the other side is near, whatever else moves there
    """

    missing: FloatArray
    far: FloatArray


@dataclass(frozen=True, eq=False)
class Checked:
    """How much of a translation of N source and M target words nothing accounts for, all in [0, 1].

    source_scores (N,) are shares of each source word that were lost, target_scores (M,) of each target word
    that came from nowhere; `omission` and `hallucination` are their means, 0 for a side without words.
    The evidence of both sides is for classes of errors that look at single words.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    source_scores: FloatArray
    target_scores: FloatArray
    source_evidence: Evidence | None = None
    target_evidence: Evidence | None = None

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
        languages: tuple[str, str] | None = None,
    ) -> None:
        self.encoder, self.config, self.window = encoder, config or CheckSettings(), window
        self.languages = languages
        """Of the sources and the targets, for an encoder whose tokenizer wants to know."""
        self.layers = resolve_layers(self.config.layers, encoder.layers)
        self.batch_tokens = batch_tokens or tokens_at_once(encoder)
        self._measured: list[FloatArray] = []  # one array, once somebody has asked
        self.weight_ratio = 1.0
        """The usual weight of a source's words over that of its translation's: see `Evidence.missing`."""
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
                store = self.encode(
                    sentences,
                    languages=None if self.languages is None else self.languages * len(window),
                    progress=lambda texts: self.on_encoded(texts // 2),
                )
                two_by_two = torch.arange(len(store.counts)).view(-1, 2)
                found = self._read_store(store, two_by_two, weight_ratio=self.weight_ratio)
            for (source, target), (scores, missing, far) in zip(window, found, strict=True):
                yield _checked(source, target, scores, missing, far)

    def encode(
        self,
        sentences: Sequence[Sentence],
        *,
        languages: Sequence[str | None] | None = None,
        progress: Callable[[int], None] = lambda done: None,
    ) -> UnitStore:
        """The word vectors of source and target sentences in turn; languages: of each."""
        return encode_window(
            self.encoder,
            tokenise(self.encoder, sentences, languages=languages),
            layers=self.layers,
            unit="word",
            word_vector=self.config.word_vector,
            batch_tokens=self.batch_tokens,
            progress=progress,
        )

    def check_store(self, store: UnitStore) -> list[Sides]:
        """(source, target) word scores of sentences 0 and 1, 2 and 3, ... of a store of these layers."""
        pairs = torch.arange(len(store.counts)).view(-1, 2)
        return [scores for (scores,) in self._solve(store, pairs, (self._both,))]

    def check_sample(self) -> tuple[list[Checked], list[Checked]]:
        """The sample sentences with their translations, and with those of the line after. What a file's words weigh
        does not count here: the sample has its own languages, and scales are the same whatever is checked first."""
        sample = read_sample()
        sentences = sample.sentences
        with torch.inference_mode():
            store = self.encode(sentences, languages=self.encoder.subwords.known(sample.languages))
            aligned = torch.arange(len(sentences)).view(-1, 2)
            others = torch.tensor(sample.others)
            unaligned = torch.stack([aligned[:, 0], others[::2]], 1)
            results = []
            for pairs in (aligned, unaligned):
                words = [(sentences[i], sentences[j]) for i, j in pairs.tolist()]
                found = self._read_store(store, pairs, weight_ratio=1.0)
                results.append([_checked(*pair, *each) for pair, each in zip(words, found, strict=True)])
        return results[0], results[1]

    def key_of_sample(self, *facts: Any) -> str:
        """What is measured on the sample sentences depends on the encoder, on its subwords of them, and on more
        facts."""
        return key_of(self._sample_facts, *facts)

    @cached_property
    def _sample_facts(self) -> list[Any]:
        sample = read_sample()
        languages = self.encoder.subwords.known(sample.languages)
        tokens = tokenise(self.encoder, sample.sentences, languages=languages).tokens
        ids = None if tokens is None else tokens.ids.tolist()
        vectors = [self.encoder.precision, self.layers, self.config.word_vector]
        return [identity(self.encoder), _VERSION, vectors, sample.others, ids]

    def _read_store(self, store: UnitStore, pairs: Tensor, *, weight_ratio: float) -> list[tuple[Sides, ...]]:
        """Scores, missing shares and how far the nearest words are, of pairs (B, 2) of sentences of a store."""
        missing = partial(self._missing, weight_ratio=weight_ratio)
        return self._solve(store, pairs, (self._both, missing, self._far))

    def _solve(
        self,
        store: UnitStore,
        pairs: Tensor,
        rules: Sequence[Callable[[_Words, _Words], tuple[Tensor, Tensor]]],
    ) -> list[tuple[Sides, ...]]:
        """What each rule says of each pair."""
        pairs = pairs.to(store.counts.device)
        sizes = store.counts[pairs].cpu().numpy()
        results: dict[int, tuple[Sides, ...]] = {}
        for members in by_size(sizes):
            rows = pairs[torch.from_numpy(members).to(pairs.device)]
            source, target = (_words(store, rows[:, side]) for side in (0, 1))
            if int(sizes[members].prod(1).max()) > MOST_CELLS:  # by_size leaves such a pair alone
                found = [_in_blocks(rule, source, target) for rule in rules]
            else:
                found = [rule(source, target) for rule in rules]
            for place, member in enumerate(members.tolist()):
                n, m = sizes[member].tolist()
                results[member] = tuple(
                    (left[place, :n].cpu().numpy(), right[place, :m].cpu().numpy()) for left, right in found
                )
        return [results[member] for member in range(len(sizes))]

    def _both(self, source: _Words, target: _Words) -> tuple[Tensor, Tensor]:
        """Scores (B, N) and (B, M)."""
        cost = _cost(source, target)
        lost = self._unaccounted(cost, source, target, self.config.omission_null)
        return lost, self._unaccounted(cost.mT, target, source, self.config.hallucination_null)

    def _missing(self, source: _Words, target: _Words, *, weight_ratio: float) -> tuple[Tensor, Tensor]:
        """The same where a word weighs the root of its letters, at one price."""
        cost = _cost(source, target)
        a, b = (side.letters.clamp(min=1).sqrt() * side.units.mask for side in (source, target))
        b = weight_ratio * b
        price = cost.new_full((len(cost),), self._quantile(_MISSING))
        return self._to_null(cost, a, b, price), self._to_null(cost.mT, b, a, price)

    def _far(self, source: _Words, target: _Words) -> tuple[Tensor, Tensor]:
        """How surely the nearest word of the other side is none at all."""
        cost = _cost(source, target)
        n, m = (side.units.mask for side in (source, target))
        cost = cost.masked_fill(~(n[:, :, None] & m[:, None, :]), 2.0)  # the largest cost there is
        if 0 in cost.shape:
            return n.float(), m.float()
        price = self._quantile(_FAR)
        nearest = cost.amin(2), cost.amin(1)
        left, right = (torch.sigmoid((each - price) / (_FAR_WIDTH * price)) for each in nearest)
        return left * n, right * m

    def _unaccounted(self, cost: Tensor, moving: _Words, takers: _Words, null: float | str) -> Tensor:
        """(B, N) the share of each moving word that goes to the null, for a cost (B, N, M)."""
        a, b = (side.units.mask.float() for side in (moving, takers))
        if 0 in cost.shape:  # a side without words accounts for nothing
            return a
        if self.config.mass == "sentence":
            a, b = (side / side.sum(1, keepdim=True).clamp(min=1) for side in (a, b))
        return self._to_null(cost, a, b, self._price(null, cost, a, b, moving.units.vectors))

    def _to_null(self, cost: Tensor, a: Tensor, b: Tensor, price: Tensor) -> Tensor:
        """(B, N) the share of each weight a (B, N) that does not move to weights b (B, M), at a price (B,) of the
        null."""
        if 0 in cost.shape:
            return (a > 0).float()
        plan = capped_plan(
            torch.cat([cost, price[:, None, None].expand(-1, cost.shape[1], 1)], dim=2),
            a,
            torch.cat([b, a.sum(1, keepdim=True).clamp(min=1e-6)], dim=1),  # room for everything
            epsilon=self.config.epsilon * price.clamp(min=1e-6),
            hard_source=True,
            iterations=_ITERATIONS,
        )
        return torch.where(a > 0, plan[:, :, -1] / a.clamp(min=1e-12), 0.0).clamp(0.0, 1.0)

    def _price(self, null: float | str, cost: Tensor, a: Tensor, b: Tensor, vectors: Tensor) -> Tensor:
        """(B,) what the null costs."""
        if isinstance(null, str):
            # The rules are made for (1 - cos)/2, ours is 1 - cos.
            unit = torch.nn.functional.normalize(vectors, dim=-1)
            return 2 * null_cost(cost / 2, a, b, name=null, vectors=unit)
        return cost.new_full((len(cost),), self._quantile(null))

    def _quantile(self, share: float) -> float:
        """The price at which this share of the words of unaligned sentences finds a partner."""
        if not self._measured:
            self._measured.append(kept_minima(self))
        return float(np.quantile(self._measured[0], share))


@dataclass(frozen=True, eq=False)
class _Words:
    """One side of a batch: its words, and how many letters (B, N) each has, 0 for punctuation and padding."""

    units: Encoded
    letters: Tensor


def _words(store: UnitStore, sentences: Tensor) -> _Words:
    return _Words(store.gather(sentences), store.gather_lengths(sentences))


def _cost(source: _Words, target: _Words) -> Tensor:
    return pairwise_cost(source.units.vectors, target.units.vectors, cost="cosine")


def _checked(
    source: Sequence[str], target: Sequence[str], scores: Sides, missing: Sides, far: Sides
) -> Checked:
    evidence = (Evidence(*each) for each in zip(missing, far, strict=True))
    return Checked(tuple(source), tuple(target), *scores, *evidence)


def _in_blocks(
    rule: Callable[[_Words, _Words], tuple[Tensor, Tensor]], source: _Words, target: _Words
) -> tuple[Tensor, Tensor]:
    """A rule on one pair whose cost matrix would not fit, along its diagonal: each part of a side is held against the
    parts of the other that lie beside it and next to it."""
    n, m = source.units.mask.shape[1], target.units.mask.shape[1]
    blocks = max(1, math.ceil(3 * math.sqrt(n * m / MOST_CELLS)))
    parts: tuple[list[Tensor], list[Tensor]] = ([], [])
    for k in range(blocks):
        near = max(k - 1, 0), min(k + 2, blocks)
        parts[0].append(rule(_part(source, k, k + 1, blocks), _part(target, *near, blocks))[0])
        parts[1].append(rule(_part(source, *near, blocks), _part(target, k, k + 1, blocks))[1])
    return torch.cat(parts[0], dim=1), torch.cat(parts[1], dim=1)


def _part(side: _Words, first: int, last: int, blocks: int) -> _Words:
    size = side.units.mask.shape[1]
    cut = slice(round(first * size / blocks), round(last * size / blocks))
    units = side.units
    return _Words(
        Encoded(units.vectors[:, cut], units.mask[:, cut], units.word_ids[:, cut]), side.letters[:, cut]
    )


@dataclass(frozen=True)
class Sample:
    """Sentences of the sample data and their translations in turn; of each, the place of the translation of the line
    after it (of the first, for the last), and its language."""

    sentences: list[tuple[str, ...]]
    others: list[int]
    languages: list[str]


def read_sample() -> Sample:
    """The first lines of each language."""
    sample = Sample([], [], [])
    for path in sorted((sample_data() / "parallel").glob("??-??.dev.tsv")):
        pairs = [pair for pair in islice(read_pairs(path), _UNALIGNED) if isinstance(pair, Pair)]
        start = len(sample.sentences)
        for place, pair in enumerate(pairs):
            sample.sentences.extend([words_of(pair.source), words_of(pair.target)])
            sample.others.extend([start + 2 * ((place + 1) % len(pairs)) + 1] * 2)
            sample.languages.extend(languages_of(path))
    return sample


def unaligned_minima(checker: TranslationChecker) -> FloatArray:
    """Of each word of the unaligned pairs, both sides, the cost of its nearest word on the other side.

    How near a word comes to the nearest word of a sentence it has nothing to do with depends on the encoder and the
    layer, and on little else: so it is measured once an encoder, on ten languages with English, and scores of
    different files mean the same.
    """
    sample = read_sample()
    store = checker.encode(sample.sentences, languages=checker.encoder.subwords.known(sample.languages))
    device = store.counts.device
    every = torch.arange(0, len(sample.sentences), 2, device=device)
    others = torch.tensor(sample.others[::2], device=device)
    source, target = store.gather(every), store.gather(others)
    cost = pairwise_cost(source.vectors, target.vectors, cost="cosine")
    cost = cost.masked_fill(~(source.mask[:, :, None] & target.mask[:, None, :]), torch.inf)
    minima: FloatArray = torch.cat([cost.amin(2)[source.mask], cost.amin(1)[target.mask]]).cpu().numpy()
    return minima


def kept_minima(checker: TranslationChecker) -> FloatArray:
    """The same, measured once for an encoder and kept."""
    key = checker.key_of_sample("nearest words")
    try:
        kept = np.array(read_measured(key)["costs"], dtype=np.float32)
        if kept.ndim == 1 and kept.size and np.isfinite(kept).all():
            return kept
    except (KeyError, TypeError, ValueError, OverflowError):
        pass  # nothing is kept, or it is damaged
    minima = unaligned_minima(checker)
    keep_measured(key, checker.encoder, "prices of otkit check", {"costs": minima.tolist()})
    return minima
