"""Units of a batch of pairs to links between their words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otkit.alignment.plans import Problem, similarity, solve, temperature
from otkit.alignment.settings import AlignmentSettings
from otkit.alignment.strategies import extract_links
from otkit.encoders.pooling import centred
from otkit.errors import ConfigError
from otkit.transport.cost import mean_cost, pairwise_cost
from otkit.transport.marginals import MARGINALS
from otkit.transport.order import distortion_cost
from otkit.transport.phrases import weighted_shares
from otkit.transport.plan import shares

__all__ = ["Found", "Side", "find_links", "fold", "problem_of"]

Side = tuple[Tensor, Tensor, Tensor]
"""Vectors (B, N, D), mask (B, N) and the word (B, N) of each unit, as `UnitStore.gather` gives them."""


@dataclass(frozen=True, eq=False)
class Found:
    """One pair's links as parallel lists (source, target, score), and what else its Alignment holds."""

    links: tuple[list[int], list[int], list[float]]
    plan: NDArray[np.float32] | None
    source_null: NDArray[np.float32]
    target_null: NDArray[np.float32]
    cost: float


def find_links(
    source: Side,
    target: Side,
    config: AlignmentSettings,
    *,
    letters: Sequence[Tensor] | None = None,
    plans: bool,
) -> list[Found]:
    """What the settings find for each of B pairs; `letters` (B,N) and (B,M) of the units' words."""
    problem, meaning = problem_of(source, target, config)
    mask = problem.mask
    if config.transport == "none":
        soft = _soft(problem, config)
        # Similarities differ by too little for shares of them to mean anything: shares are those of softmaxes.
        scores = soft if config.strategy == "threshold" else similarity(problem, config)
        share = shares(soft, mask)
        moved = share
        nulls = 1 - share.amax(2), 1 - share.amax(1)
    else:
        scores = moved = solve(problem, config)
        share = shares(scores, mask)
        nulls = _left(moved.sum(2), problem.a), _left(moved.sum(1), problem.b)
        mask = mask & (scores > 0)  # no mass, no link, whatever the strategy
    linked = extract_links(scores, mask, strategy=config.strategy, threshold=config.threshold)
    mean = (moved * meaning).sum((1, 2)) / moved.sum((1, 2))
    if config.granularity == "subword":
        linked, share, scores, nulls = _to_words(linked, share, scores, nulls, source[2], target[2], config)
    if config.weighs_lengths:
        threshold = config.compared_with
        assert threshold is not None  # of the strategy, which is threshold
        if letters is None:
            raise ConfigError(
                "nobody counted the letters", remedy="leave letters at 0 and attach_factor at 1"
            )
        rows, columns = (
            _lengths(x, side[2], config) for x, side in zip(letters, (source, target), strict=True)
        )
        linked = threshold < weighted_shares(
            share,
            rows,
            columns,
            power=config.length_power,
            attach_factor=config.attach_factor,
            threshold=threshold,
        )
    sizes = [(side[2].amax(1) + 1).tolist() for side in (source, target)]
    return list(_split(linked, share, scores if plans else None, nulls, mean, sizes))


def problem_of(source: Side, target: Side, config: AlignmentSettings) -> tuple[Problem, Tensor]:
    """The transport problems of B pairs, and the (B,N,M) cost by meaning alone, 0 at padding."""
    (x, rows, _), (y, columns, _) = source, target
    if config.center == "sentence":
        x, y = centred(x, y, rows, columns)
    mask = rows[:, :, None] & columns[:, None, :]
    cost = torch.where(mask, _ground_cost(x, y, cost=config.cost), 0.0)
    unit = mean_cost(cost, mask) if config.cost != "dot" else torch.ones_like(cost[:, 0, 0])
    problem = Problem(cost, _weights(x, rows, config), _weights(y, columns, config), unit, x, y)
    if config.distortion and config.transport != "none":
        extra = config.distortion * unit[:, None, None]
        problem = problem.with_cost(cost + extra * distortion_cost(rows, columns))
    return problem, cost


def _ground_cost(x: Tensor, y: Tensor, *, cost: str) -> Tensor:
    """(B,N,M) the named cost between x (B,N,D) and y (B,M,D); minus the dot product is one of transport none alone."""
    if cost == "dot":
        return -torch.bmm(x.float(), y.float().transpose(1, 2))
    return pairwise_cost(x, y, cost=cost)


def _weights(x: Tensor, mask: Tensor, config: AlignmentSettings) -> Tensor:
    return MARGINALS[config.weights](mask, x if config.weights == "norm" else None)


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


def _lengths(letters: Tensor, words: Tensor, config: AlignmentSettings) -> Tensor:
    """(B,W) letters of the words, from those of their units (B,N)."""
    if config.granularity == "word":
        return letters
    one = torch.zeros_like(words[:, :1])
    return fold(letters[:, :, None].float(), words, one, reduce="amax")[:, :, 0]


def _to_words(
    linked: Tensor,
    share: Tensor,
    scores: Tensor,
    nulls: tuple[Tensor, Tensor],
    rows: Tensor,
    columns: Tensor,
    config: AlignmentSettings,
) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Words are linked if any of their subwords are; masses add up, similarities do not."""
    linked = fold(linked.float(), rows, columns, reduce="amax") > 0
    share = fold(share, rows, columns, reduce="amax")
    scores = fold(scores, rows, columns, reduce="amax" if config.transport == "none" else "sum")
    means = []
    for null, words in zip(nulls, (rows, columns), strict=True):
        one = torch.zeros_like(words[:, :1])
        total = fold(null[:, :, None], words, one, reduce="sum")
        units = fold((words >= 0).to(null.dtype)[:, :, None], words, one, reduce="sum")
        means.append((total / units.clamp(min=1))[:, :, 0])
    return linked, share, scores, (means[0], means[1])


def _split(
    linked: Tensor,
    share: Tensor,
    scores: Tensor | None,
    nulls: tuple[Tensor, Tensor],
    mean: Tensor,
    sizes: list[list[int]],
) -> Iterator[Found]:
    """The batch pair by pair, on the CPU: one transfer for each kind of figure."""
    places = linked.nonzero()  # sorted by pair, source, target
    values = share[linked].clamp(0.0, 1.0).cpu().tolist()
    pair, i, j = (column.tolist() for column in places.cpu().unbind(1))
    edges = np.searchsorted(np.asarray(pair), np.arange(linked.shape[0] + 1)).tolist()
    plans = None if scores is None else scores.float().cpu().numpy()
    left, right = (null.float().cpu().numpy() for null in nulls)
    costs = mean.cpu().tolist()
    for b, (height, width) in enumerate(zip(*sizes, strict=True)):
        part = slice(edges[b], edges[b + 1])
        yield Found(
            links=(i[part], j[part], values[part]),
            plan=None if plans is None else plans[b, :height, :width].copy(),
            source_null=left[b, :height].copy(),
            target_null=right[b, :width].copy(),
            cost=costs[b] if height and width else float("nan"),
        )
