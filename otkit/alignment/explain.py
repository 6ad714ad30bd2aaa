"""Why a word is linked as it is: every figure that the aligner weighed for a cell, from the computation that decided.

For a cell of the plan

    paid     = cost + order_price - neighbours_bonus          what the transport paid for a link
    share    = sqrt(source_share * target_share)              the link strength: of the mass that both gave and took
    strength = share * length_factor * rival_factor           what the strategy compares

under the strategy `threshold`, which links where the strength passes the threshold. Other strategies compare the plan's
masses (or similarities) themselves, whose factors are 1; their strength is the mass, or the probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otkit.alignment.links import decide
from otkit.alignment.plans import temperature
from otkit.alignment.settings import STRATEGIES, AlignmentSettings
from otkit.alignment.store import UnitStore
from otkit.encoders.pooling import Encoded
from otkit.encoders.tokens import Sentence
from otkit.errors import ConfigError, choose
from otkit.transport.problem import widened

__all__ = ["Candidate", "Explanation", "Trace", "links_under", "trace_pair"]

_CANDIDATES = 5
_SIDES = {"source": "a word of the source", "target": "a word of the target"}


@dataclass(frozen=True)
class Candidate:
    """A word of the other side that could be the partner, with what the aligner weighed.

    index, word       counted from 0
    cosine            of the two word vectors, after centring
    cost              what the link costs by meaning alone
    order_price       what it costs more for leading away from where the words around go
    neighbours_bonus  what it costs less because the words around are linked in the same order
    paid              cost + order_price - neighbours_bonus
    mass              that moves between the words, of a plan whose two sides weigh 1 each
    source_share      of all mass of the source word; `target_share` of all mass of the target word
    share             the geometric mean of both
    length_factor     what the length of both words says of a link between them
    rival_factor      what it says that both words have a stronger link
    strength          what the strategy compares
    linked            whether the two are linked
    """

    index: int
    word: str
    cosine: float
    cost: float
    order_price: float
    neighbours_bonus: float
    paid: float
    mass: float
    source_share: float
    target_share: float
    share: float
    length_factor: float
    rival_factor: float
    strength: float
    linked: bool


@dataclass(frozen=True)
class Explanation:
    """The best candidates of a word, the strongest first, and what decides between them.

    no_partner  how probably the word has no partner; None where that is not known
    threshold   what the strategy compares strengths with; None where it compares them with one another
    epsilon     the temperature in units of the cost, and `tau` the price of mass that stays; None where there is none
    read_as     words of the pair that the encoder reads in lower case, and how (`truecase`)
    """

    side: str
    index: int
    word: str
    candidates: tuple[Candidate, ...]
    words: int
    no_partner: float | None
    strategy: str
    threshold: float | None
    epsilon: float | None
    tau: float | None
    read_as: tuple[tuple[str, str], ...] = ()

    @property
    def rule(self) -> str:
        """What decides, in words."""
        if self.strategy == "threshold":
            return f"linked where what is compared is above {self.threshold:g}"
        meaning = STRATEGIES[self.strategy]
        return f"linked by the strategy {self.strategy}: {meaning}" + (
            "" if self.threshold is None else f" (here {self.threshold:g})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return {**asdict(self), "candidates": [asdict(each) for each in self.candidates], "rule": self.rule}


FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trace:
    """What was weighed for every pair of words, as (N,M) arrays named as the fields of `Candidate`; with `subword`
    units, that of the two subwords whose share is largest.

    unit_share, unit_linked  of the units that were aligned, which are the words or their subwords: source_units and
                target_units say which word each is of
    source_vectors (N,D), target_vectors (M,D)  as the cost saw them; those of a word's subwords added up
    source_no_partner (N,), target_no_partner (M,)  how probably each word has none; None where that is not known
    mean_cost   of the mass that moved
    read_as     as in `Explanation`
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    cosine: FloatArray
    cost: FloatArray
    order_price: FloatArray
    neighbours_bonus: FloatArray
    paid: FloatArray
    mass: FloatArray
    source_share: FloatArray
    target_share: FloatArray
    share: FloatArray
    length_factor: FloatArray
    rival_factor: FloatArray
    strength: FloatArray
    linked: NDArray[np.bool_]
    plan: FloatArray
    unit_share: FloatArray
    unit_linked: NDArray[np.bool_]
    source_units: tuple[int, ...]
    target_units: tuple[int, ...]
    source_vectors: FloatArray
    target_vectors: FloatArray
    source_no_partner: FloatArray | None
    target_no_partner: FloatArray | None
    mean_cost: float
    settings: AlignmentSettings
    epsilon: float | None
    tau: float | None
    read_as: tuple[tuple[str, str], ...] = ()

    @cached_property
    def links(self) -> tuple[tuple[int, int, float], ...]:
        """Source word, target word and share of each link, sorted."""
        return tuple((int(i), int(j), float(self.share[i, j])) for i, j in np.argwhere(self.linked))

    def explain(self, index: int, *, side: str = "source", candidates: int = _CANDIDATES) -> Explanation:
        """The best candidates of the word at this place, counted from 0, of the `source` or of the `target`."""
        choose(side, _SIDES, what="side", setting="side")
        words, others = (self.source, self.target) if side == "source" else (self.target, self.source)
        if not 0 <= index < len(words):
            raise ConfigError(
                f"there is no {side} word {index}",
                remedy=f"give a place from 0 to {len(words) - 1}",
                setting="explain",
            )

        def row(values: NDArray[Any]) -> NDArray[Any]:
            return values[index] if side == "source" else values[:, index]

        alone = self.source_no_partner if side == "source" else self.target_no_partner
        order = np.lexsort((-row(self.mass), -row(self.strength), ~row(self.linked)))[:candidates]
        figures = {name: row(getattr(self, name)) for name in _FIGURES}
        return Explanation(
            side=side,
            index=index,
            word=words[index],
            candidates=tuple(
                Candidate(
                    index=int(k),
                    word=others[k],
                    linked=bool(row(self.linked)[k]),
                    **{name: float(values[k]) for name, values in figures.items()},
                )
                for k in order
            ),
            words=len(others),
            no_partner=None if alone is None else float(alone[index]),
            strategy=self.settings.strategy,
            threshold=self.settings.compared_with,
            epsilon=self.epsilon,
            tau=self.tau,
            read_as=self.read_as,
        )

    def places_of(self, word: str) -> list[tuple[str, int]]:
        """Where a word stands, (side, index): by its very form, else whatever its case."""
        sides = (("source", self.source), ("target", self.target))
        for form in (str, str.casefold):
            if found := [
                (side, k) for side, words in sides for k, each in enumerate(words) if form(each) == form(word)
            ]:
                return found
        known = dict.fromkeys((*self.source, *self.target), "")
        choose(word, known, what="word", setting="explain")
        return []


_FIGURES = (
    "cosine",
    "cost",
    "order_price",
    "neighbours_bonus",
    "paid",
    "mass",
    "source_share",
    "target_share",
    "share",
    "length_factor",
    "rival_factor",
    "strength",
)


def trace_pair(store: UnitStore, config: AlignmentSettings, source: Sentence, target: Sentence) -> Trace:
    """The trace of sentences 0 and 1 of the store."""
    rows = torch.tensor([0], device=store.counts.device)
    sides = store.gather(rows), store.gather(rows + 1)
    lengths = store.gather_lengths(rows), store.gather_lengths(rows + 1)
    found = decide(*sides, config, lengths=lengths)
    cells = _deciding(found.unit_share[0], *sides)
    epsilon, tau = temperature(found.problem, config)

    def of_words(values: Tensor) -> FloatArray:
        picked = values[0].flatten()[cells]
        return np.asarray(picked.cpu().double().numpy())

    def plain(values: Tensor) -> FloatArray:
        return np.asarray(values[0].cpu().double().numpy())

    problem, masses = found.problem, found.masses
    price = torch.zeros_like(problem.cost) if found.paid.order_price is None else found.paid.order_price
    share, weighed, strength = plain(found.share), plain(found.weighed), plain(found.strength)
    compared = config.strategy == "threshold"
    return Trace(
        source=tuple(source),
        target=tuple(target),
        cosine=of_words(_cosine(problem.source, problem.target)),
        cost=of_words(problem.ground_cost),
        order_price=of_words(price),
        neighbours_bonus=of_words(problem.cost + price - found.paid.cost),
        paid=of_words(found.paid.cost),
        mass=of_words(masses),
        source_share=of_words(_part_of(masses, 2)),
        target_share=of_words(_part_of(masses, 1)),
        share=share,
        length_factor=np.divide(weighed, share, out=np.ones_like(share), where=compared & (share > 0)),
        rival_factor=np.divide(strength, weighed, out=np.ones_like(share), where=compared & (weighed > 0)),
        strength=strength,
        linked=np.asarray(found.linked[0].cpu().numpy()),
        plan=plain(found.scores),
        unit_share=plain(found.unit_share),
        unit_linked=np.asarray(found.unit_linked[0].cpu().numpy()),
        source_units=tuple(sides[0].word_ids[0].tolist()),
        target_units=tuple(sides[1].word_ids[0].tolist()),
        source_vectors=_summed(problem.source, sides[0].word_ids),
        target_vectors=_summed(problem.target, sides[1].word_ids),
        source_no_partner=None if found.alone is None else plain(found.alone[0]),
        target_no_partner=None if found.alone is None else plain(found.alone[1]),
        mean_cost=float(found.cost[0]),
        settings=config,
        epsilon=float(epsilon[0]) if config.tempered else None,
        tau=float(tau[0]) if config.transport == "unbalanced" else None,
    )


def links_under(store: UnitStore, rules: Sequence[AlignmentSettings]) -> list[tuple[tuple[int, int], ...]]:
    """The links between sentences 0 and 1 of the store under each of the settings, which differ in what they make of a
    plan."""
    rows = torch.tensor([0], device=store.counts.device)
    sides = store.gather(rows), store.gather(rows + 1)
    lengths = store.gather_lengths(rows), store.gather_lengths(rows + 1)
    found = [decide(*sides, rule, lengths=lengths).linked[0] for rule in rules]
    return [tuple((i, j) for i, j in linked.nonzero().tolist()) for linked in found]


def _deciding(share: Tensor, source: Encoded, target: Encoded) -> Tensor:
    """(W,V) for each pair of words the cell (flat) of the units with the largest share; of units that are words, their
    own cell."""
    words = source.word_ids[0], target.word_ids[0]
    height, width = (int(each.max()) + 1 for each in words)
    owner = (words[0][:, None] * width + words[1][None, :]).flatten()
    order = share.flatten().argsort(stable=True)
    cells = torch.zeros(height * width, dtype=torch.int64, device=share.device)
    rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=share.device))
    best = cells.scatter_reduce(0, owner, rank, "amax", include_self=False)
    return order[best].view(height, width)


def _summed(vectors: Tensor, words: Tensor) -> FloatArray:
    total = vectors.new_zeros(int(words.max()) + 1, vectors.shape[-1]).index_add(0, words[0], vectors[0])
    return np.asarray(total.cpu().double().numpy())


def _part_of(masses: Tensor, dim: int) -> Tensor:
    total = masses.sum(dim, keepdim=True)
    return masses / torch.where(total > 0, total, 1.0)


def _cosine(x: Tensor, y: Tensor) -> Tensor:
    x, y = (torch.nn.functional.normalize(widened(side), dim=-1) for side in (x, y))
    return x @ y.mT
