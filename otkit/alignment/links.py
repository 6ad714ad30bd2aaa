"""From the units of sentence pairs to links between their words: in batches of pairs alike in size, and in blocks where
a pair is too large to be solved whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otkit.alignment.partners import no_partner, rules_of
from otkit.alignment.plans import Problem, ordered, problem_of, similarity, solver_of, temperature
from otkit.alignment.prior import KnownWords
from otkit.alignment.settings import AlignmentSettings
from otkit.alignment.store import UnitStore
from otkit.alignment.strategies import extract_links, strengths
from otkit.encoders.pooling import Encoded
from otkit.errors import ConfigError
from otkit.transport.phrases import weighted_shares
from otkit.transport.plan import shares

__all__ = [
    "MOST_CELLS",
    "Decision",
    "PairLinks",
    "by_size",
    "decide",
    "find_all",
    "find_links",
    "fold",
    "linked_shares",
]

Lengths = tuple[Tensor, Tensor]
"""(B,N) and (B,M) letters of the units' words, 0 for punctuation and padding."""

# Padded cells of the cost matrices that are solved at once.
_BATCH_CELLS, _BATCH_PAIRS = 1 << 17, 256

MOST_CELLS = 1_000_000
"""Cells of one cost matrix that are solved whole: some ten such matrices live at once."""


@dataclass(frozen=True, eq=False)
class PairLinks:
    """One pair's links as parallel lists (source, target, score), and what else its Alignment holds."""

    links: tuple[list[int], list[int], list[float]]
    plan: NDArray[np.float32] | None
    source_no_partner: NDArray[np.float32] | None
    target_no_partner: NDArray[np.float32] | None
    cost: float
    strength: NDArray[np.float32] | None = None


def find_all(
    store: UnitStore, config: AlignmentSettings, *, plans: bool, known: KnownWords | None = None
) -> list[PairLinks]:
    """What there is between sentences 0 and 1, 2 and 3, ... of the store; a pair past `MOST_CELLS` in blocks,
    and without its plan. `known` is what a corpus taught of the words of these pairs."""
    sizes = store.counts.view(-1, 2).cpu().numpy()
    results: dict[int, PairLinks] = {}
    for members in by_size(sizes):
        rows = torch.from_numpy(members).to(store.counts.device)
        source, target = store.gather(2 * rows), store.gather(2 * rows + 1)
        lengths = store.gather_lengths(2 * rows), store.gather_lengths(2 * rows + 1)
        if int(sizes[members].prod(1).max()) > MOST_CELLS:  # by_size leaves such a pair alone
            (member,) = members.tolist()
            results[member] = _find_in_blocks(source, target, config, lengths, known, member)
        else:
            factors = None
            if known is not None:
                factors = known.batch(members.tolist(), *sizes[members].max(0).tolist())
            batch = find_links(source, target, config, lengths=lengths, plans=plans, factors=factors)
            results.update(zip(members.tolist(), batch, strict=True))
    return [results[member] for member in range(len(sizes))]


def by_size(sizes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Pairs sorted by size, cut where the padded matrices would pass the budget."""
    order = np.lexsort((sizes[:, 1], sizes[:, 0]))
    begin, tall, wide = 0, 1, 1
    for place, index in enumerate(order.tolist()):
        height, width = max(1, int(sizes[index, 0])), max(1, int(sizes[index, 1]))
        tall, wide = max(tall, height), max(wide, width)
        count = place + 1 - begin
        if count > 1 and (count > _BATCH_PAIRS or count * tall * wide > _BATCH_CELLS):
            yield order[begin:place]
            begin, tall, wide = place, height, width
    if len(order):
        yield order[begin:]


def find_links(
    source: Encoded,
    target: Encoded,
    config: AlignmentSettings,
    *,
    lengths: Lengths | None = None,
    plans: bool,
    factors: Tensor | None = None,
) -> list[PairLinks]:
    """What the settings find for each of B pairs; `factors` (B,W,V) are those of the link strengths of their words."""
    if 0 in (source.mask.shape[1], target.mask.shape[1]):  # every pair has an empty side
        return [
            _nothing(rows, columns, config, plans=plans)
            for rows, columns in zip(*map(_word_counts, (source, target)), strict=True)
        ]
    found = decide(source, target, config, lengths=lengths, factors=factors)
    sizes = [_word_counts(side) for side in (source, target)]
    scores = found.scores if plans else None
    strength = found.strength if plans and config.strategy == "threshold" else None
    return list(_split(found.linked, found.share, scores, strength, found.alone, found.cost, sizes))


@dataclass(frozen=True, eq=False)
class Decision:
    """How the links of B pairs came about.

    problem    between their units; `paid` is the same with the cost that was paid in the end
    masses     (B,N,M) that moved between the units; unit_share (B,N,M) their shares of row and column, and unit_linked
               (B,N,M) what the strategy links of them, whatever the words' lengths
    scores     (B,W,V) between words: plan masses, or similarities where there is no transport
    share      (B,W,V) of the words' mass;  weighed  (B,W,V) the same times what the words' lengths say
    strength   (B,W,V) what the strategy compares;  linked  (B,W,V) bool
    alone      (B,W) and (B,V) how probably each word has no partner; None where that is not known
    cost       (B,) mean cost of the mass that moved
    """

    problem: Problem
    paid: Problem
    masses: Tensor
    unit_share: Tensor
    unit_linked: Tensor
    scores: Tensor
    share: Tensor
    weighed: Tensor
    strength: Tensor
    linked: Tensor
    alone: tuple[Tensor, Tensor] | None
    cost: Tensor


def decide(
    source: Encoded,
    target: Encoded,
    config: AlignmentSettings,
    *,
    lengths: Lengths | None = None,
    factors: Tensor | None = None,
) -> Decision:
    """The plan, and what the strategy makes of it, for B pairs of which each side has a unit; under the strategy
    threshold the link strengths between their words are multiplied by `factors` (B,W,V)."""
    problem = paid = problem_of(source, target, config, letters=lengths)
    mask = problem.mask
    nulls: tuple[Tensor, Tensor] | None
    if config.transport == "none":
        masses = _soft(problem, config)
        # Similarities differ by too little for shares of them to mean anything: shares are those of softmaxes.
        share = shares(masses, mask)
        scores, weights = similarity(problem, config), share
        nulls = None  # there is no mass
    else:
        solver = solver_of(config)
        paid = ordered(problem, config, solver)
        scores = masses = weights = solver(paid)
        share = shares(scores, mask)
        nulls = _left(masses.sum(2), problem.a), _left(masses.sum(1), problem.b)
        mask = mask & (scores > 0)  # no mass, no link, whatever the strategy
    cost = (weights * problem.ground_cost).sum((1, 2)) / weights.sum((1, 2))
    linked, unit_share, weighed, strength = None, share, share, share
    if config.strategy != "threshold":
        linked = extract_links(scores, mask, strategy=config.strategy, threshold=config.threshold)
        weighed = strength = strengths(scores, mask, strategy=config.strategy)
    unit_linked = mask & (share > _threshold(config)) if linked is None else linked
    if config.granularity == "subword":
        words = source.word_ids, target.word_ids
        linked = None if linked is None else fold(linked.float(), *words, reduce="amax") > 0
        share, weighed = (fold(each, *words, reduce="amax") for each in (share, strength))
        strength = weighed
        # Masses add up, similarities do not.
        scores = fold(scores, *words, reduce="amax" if config.transport == "none" else "sum")
        nulls = nulls and (_mean_of_words(nulls[0], words[0]), _mean_of_words(nulls[1], words[1]))
        lengths = lengths and (_of_words(lengths[0], words[0]), _of_words(lengths[1], words[1]))
    if linked is None:
        weighed, strength = _weighed(share, config, lengths)
        if factors is not None:
            strength = strength * factors[:, : strength.shape[1], : strength.shape[2]].to(strength)
        linked = strength > _threshold(config)
    alone = nulls and _no_partner(share, nulls, linked, lengths, config)
    return Decision(
        problem, paid, masses, unit_share, unit_linked, scores, share, weighed, strength, linked, alone, cost
    )


def _no_partner(
    share: Tensor,
    nulls: tuple[Tensor, Tensor],
    linked: Tensor,
    lengths: Lengths | None,
    config: AlignmentSettings,
) -> tuple[Tensor, Tensor] | None:
    """(B,N) and (B,M) how probably each word has no partner; None where that is not known."""
    rules = rules_of(config)
    if rules is None:
        return None
    letters = lengths or (torch.ones_like(nulls[0]), torch.ones_like(nulls[1]))
    source, target = (
        no_partner(share.amax(across), null, linked.any(across), each, rules)
        for across, null, each in zip((2, 1), nulls, letters, strict=True)
    )
    return source, target


def linked_shares(share: Tensor, config: AlignmentSettings, lengths: Lengths | None = None) -> Tensor:
    """(B,N,M) bool: what the strategy `threshold` links, for shares (B,N,M) of a plan between words."""
    return link_strengths(share, config, lengths) > _threshold(config)


def _threshold(config: AlignmentSettings) -> float:
    threshold = config.compared_with
    assert threshold is not None  # of the strategy, which is threshold
    return threshold


def link_strengths(share: Tensor, config: AlignmentSettings, lengths: Lengths | None = None) -> Tensor:
    """(B,N,M) what the strategy `threshold` compares: the shares of a plan between words, weighed by the words'
    `lengths` and less where both words have a stronger link, where the settings say so."""
    return _weighed(share, config, lengths)[1]


def rival_factors(strength: Tensor, factor: float) -> Tensor:
    """(B,N,M): `factor` for cells that are the largest neither of their row nor of their column, 1 for all others.

    A word may have several partners, and each of them may be shared: "Haustür" is "front" and "door". Where both words
    have a better partner, the link between them is what the temperature smears over a block.
    """
    largest = (strength == strength.amax(2, keepdim=True)) | (strength == strength.amax(1, keepdim=True))
    return torch.where(largest, 1.0, factor).to(strength)


def _weighed(share: Tensor, config: AlignmentSettings, lengths: Lengths | None) -> tuple[Tensor, Tensor]:
    """The shares, weighed by the words' lengths where the settings say so; and the same with rivals."""
    if config.weighs_lengths:
        if lengths is None:
            raise ConfigError(
                "the lengths of the words are not known",
                remedy="leave length_power at 0 and attach_factor at 1",
            )
        share = weighted_shares(
            share,
            *lengths,
            power=config.length_power,
            attach_factor=config.attach_factor,
            threshold=_threshold(config),
        )
    return share, share * rival_factors(share, config.rival_factor)


def _soft(problem: Problem, config: AlignmentSettings) -> Tensor:
    """Positive scores whose row and column shares are softmaxes of the cost at the temperature (of the bare
    product for dot)."""
    epsilon = torch.ones_like(problem.unit) if config.cost == "dot" else temperature(problem, config)[0]
    lowest = torch.where(problem.mask, problem.cost, torch.inf).amin((1, 2), keepdim=True)
    return torch.exp(-(problem.cost - lowest.nan_to_num(posinf=0.0)) / epsilon[:, None, None])


def _left(moved: Tensor, weight: Tensor) -> Tensor:
    """Share of each weight that did not move, 0 at padding."""
    return torch.where(weight > 0, 1 - moved / torch.where(weight > 0, weight, 1.0), 0.0).clamp(0.0, 1.0)


def fold(values: Tensor, rows: Tensor, columns: Tensor, *, reduce: str) -> Tensor:
    """Cells of units (B,N,M) to cells of words by `sum` or `amax`, for the words rows (B,N) and columns
    (B,M) of the units, -1 at padding."""
    width = int(columns.amax()) + 1 if columns.numel() else 0
    height = int(rows.amax()) + 1 if rows.numel() else 0
    slots = torch.where(columns < 0, width, columns)[:, None, :].expand(values.shape)
    start = values.new_zeros(*values.shape[:2], width + 1)
    values = start.scatter_reduce(2, slots, values, reduce)[:, :, :width]
    slots = torch.where(rows < 0, height, rows)[:, :, None].expand(values.shape)
    start = values.new_zeros(values.shape[0], height + 1, width)
    return start.scatter_reduce(1, slots, values, reduce)[:, :height]


def _of_words(values: Tensor, words: Tensor, reduce: str = "amax") -> Tensor:
    """(B,W) figures of the words, from those of their units (B,N)."""
    return fold(values[:, :, None].float(), words, torch.zeros_like(words[:, :1]), reduce=reduce)[:, :, 0]


def _mean_of_words(values: Tensor, words: Tensor) -> Tensor:
    total, units = _of_words(values, words, "sum"), _of_words(words >= 0, words, "sum")
    return total / units.clamp(min=1)


def _split(
    linked: Tensor,
    share: Tensor,
    scores: Tensor | None,
    strength: Tensor | None,
    alone: tuple[Tensor, Tensor] | None,
    cost: Tensor,
    sizes: list[list[int]],
) -> Iterator[PairLinks]:
    """The batch pair by pair, on the CPU: one transfer for each kind of figure."""
    places = linked.nonzero()  # sorted by pair, source, target
    values = share[linked].clamp(0.0, 1.0).cpu().tolist()
    pair, i, j = (column.tolist() for column in places.cpu().unbind(1))
    edges = np.searchsorted(np.asarray(pair), np.arange(linked.shape[0] + 1)).tolist()
    plans, compared = (None if each is None else each.float().cpu().numpy() for each in (scores, strength))
    left, right = (None, None) if alone is None else (each.float().cpu().numpy() for each in alone)
    costs = cost.cpu().tolist()
    for b, (height, width) in enumerate(zip(*sizes, strict=True)):
        part = slice(edges[b], edges[b + 1])
        yield PairLinks(
            links=(i[part], j[part], values[part]),
            plan=None if plans is None else plans[b, :height, :width].copy(),
            source_no_partner=_alone(left, b, height, other=width),
            target_no_partner=_alone(right, b, width, other=height),
            cost=costs[b] if height and width else float("nan"),
            strength=None if compared is None else compared[b, :height, :width].copy(),
        )


def _alone(
    probabilities: NDArray[np.float32] | None, pair: int, count: int, *, other: int
) -> NDArray[np.float32] | None:
    """Those of a pair's words; beside a side without words none has a partner."""
    if probabilities is None:
        return None
    return probabilities[pair, :count].copy() if other else np.ones(count, dtype=np.float32)


def _word_counts(side: Encoded) -> list[int]:
    """Words of each sentence."""
    counts = side.word_ids.amax(1) + 1 if side.mask.shape[1] else side.mask.sum(1)
    return [int(count) for count in counts.tolist()]


def _nothing(rows: int, columns: int, config: AlignmentSettings, *, plans: bool) -> PairLinks:
    """What there is between two sentences of which one has no words."""
    known = rules_of(config) is not None
    left, right = (np.ones(count, dtype=np.float32) if known else None for count in (rows, columns))
    plan = np.zeros((rows, columns), dtype=np.float32) if plans else None
    return PairLinks(([], [], []), plan, left, right, float("nan"))


def _find_in_blocks(
    source: Encoded,
    target: Encoded,
    config: AlignmentSettings,
    lengths: Lengths | None,
    taught: KnownWords | None,
    pair: int,
) -> PairLinks:
    """The links of one pair whose cost matrix would not fit, cut along the diagonal into blocks that overlap; no plan.

    Without paragraphs to go by, word i of N is looked for around word i M / N: a block on each side (a few hundred
    words) is as far as it may stray. Each source unit is decided in the block that owns it.
    """
    sides = source, target
    n, m = (int(side.mask.sum()) for side in sides)
    # Three blocks of both sides, the owned one and a neighbour each way, are the cells of one problem.
    blocks = max(1, math.ceil(3 * math.sqrt(n * m / MOST_CELLS)))
    edges = [(round(k * n / blocks), round(k * m / blocks)) for k in range(blocks + 1)]
    words = [side.word_ids[0].cpu() for side in sides]
    links: dict[tuple[int, int], float] = {}
    known = rules_of(config) is not None
    nulls = [np.ones(count, dtype=np.float32) for count in (int(each.max()) + 1 for each in words)]
    costs, weights = [], []
    for k in range(blocks):
        low, high = edges[max(k - 1, 0)], edges[min(k + 2, blocks)]
        if low[0] == high[0] or low[1] == high[1]:
            continue
        parts = [_part(side, low[s], high[s]) for s, side in enumerate(sides)]
        counted = lengths and (lengths[0][:, low[0] : high[0]], lengths[1][:, low[1] : high[1]])
        factors = None
        if taught is not None:
            spans = [slice(int(each[low[s]]), int(each[high[s] - 1]) + 1) for s, each in enumerate(words)]
            factors = taught.part(pair, spans[0], spans[1])
        (found,) = find_links(parts[0], parts[1], config, lengths=counted, plans=False, factors=factors)
        firsts = [int(each[low[s]]) for s, each in enumerate(words)]
        owned = [(int(each[edges[k][s]]) if edges[k][s] < len(each) else 0) for s, each in enumerate(words)]
        ends = [
            int(each[edges[k + 1][s]]) if edges[k + 1][s] < len(each) else len(nulls[s])
            for s, each in enumerate(words)
        ]
        for i, j, score in zip(*found.links, strict=True):
            if owned[0] <= i + firsts[0] < ends[0]:
                links[i + firsts[0], j + firsts[1]] = score
        for s, null in enumerate((found.source_no_partner, found.target_no_partner)):
            if null is None:
                continue
            nulls[s][owned[s] : ends[s]] = null[owned[s] - firsts[s] : ends[s] - firsts[s]]
        costs.append(found.cost)
        weights.append(high[0] - low[0])
    ordered = sorted(links)
    return PairLinks(
        links=([i for i, _ in ordered], [j for _, j in ordered], [links[cell] for cell in ordered]),
        plan=None,
        source_no_partner=nulls[0] if known else None,
        target_no_partner=nulls[1] if known else None,
        cost=float(np.average(costs, weights=weights)) if costs else float("nan"),
    )


def _part(side: Encoded, low: int, high: int) -> Encoded:
    """Some units of one sentence, their words counted from the first of them."""
    words = side.word_ids[:, low:high]
    return Encoded(side.vectors[:, low:high], side.mask[:, low:high], words - words[:, :1])
