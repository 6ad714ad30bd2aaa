"""Word order: against plain loops, and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from otkit.transport.order import distortion_cost, neighbour_support


def naive_support(share: Tensor) -> Tensor:
    found = torch.zeros_like(share)
    for i in range(share.shape[0]):
        for j in range(share.shape[1]):
            for s in range(-3, 4):
                for t in range(-3, 4):
                    x, y = i + s, j + t
                    if (s or t) and 0 <= x < share.shape[0] and 0 <= y < share.shape[1]:
                        weight = torch.exp(torch.tensor(-((s - t) ** 2) / 2 - (s + t) ** 2 / 8 + 0.5))
                        found[i, j] += weight * share[x, y]
    return found


def test_neighbours_support_by_their_distance_along_the_diagonal() -> None:
    share = torch.rand(1, 6, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(neighbour_support(share)[0], naive_support(share[0]))
    one = torch.zeros(1, 5, 5)
    one[0, 2, 2] = 1.0
    found = neighbour_support(one)[0]
    assert found[3, 3] == pytest.approx(1.0)
    assert found[2, 2] == 0.0
    assert found[3, 1] < found[2, 3] < found[3, 3]


def naive_distortion(share: Tensor) -> Tensor:
    """One pair without padding."""
    found = torch.zeros_like(share)
    for side, there in ((share, found), (share.T, found.T)):
        n, m = side.shape
        weight = [[float(side[i, j]) ** 4 for j in range(m)] for i in range(n)]
        offset = [
            sum(weight[k][j] * (j * n / m - k) for j in range(m)) / max(sum(weight[k]), 1e-6)
            for k in range(n)
        ]
        for i in range(n):
            near = {k: sum(weight[k]) * math.exp(-((i - k) ** 2) / (2 * 4.0**2)) for k in range(n) if k != i}
            total = sum(near.values()) + 0.02
            mean = sum(value * offset[k] for k, value in near.items()) / total
            variance = sum(value * offset[k] ** 2 for k, value in near.items()) / total - mean**2
            for j in range(m):
                there[i, j] += (j * n / m - i - mean) ** 2 / (200 + variance) / 2
    return found.clamp(max=16)


def test_links_are_dear_where_the_words_around_go_elsewhere() -> None:
    share = torch.rand(2, 6, 9, generator=torch.Generator().manual_seed(1))
    rows, columns = torch.ones(2, 6, dtype=torch.bool), torch.ones(2, 9, dtype=torch.bool)
    rows[1, 4:], columns[1, 5:] = False, False
    share = share * rows[:, :, None] * columns[:, None, :]
    found = distortion_cost(share, rows, columns)
    torch.testing.assert_close(found[0], naive_distortion(share[0]))
    torch.testing.assert_close(found[1, :4, :5], naive_distortion(share[1, :4, :5]))


def test_the_order_of_a_text_is_that_of_its_parts() -> None:
    """Halves that are exchanged cost nothing; within a sentence little costs much; a page's other end is far."""
    place = torch.arange(200)
    share = torch.zeros(1, 200, 200)
    share[0, place, (place + 100) % 200] = 1.0
    all_words = torch.ones(1, 200, dtype=torch.bool)
    cost = distortion_cost(share, all_words, all_words)[0]
    assert cost[50, 150] == pytest.approx(0.0, abs=1e-3)
    assert cost[50, 155] < 0.15
    assert cost[50, 50] == 16.0
    scattered = torch.zeros(1, 200, 200)
    scattered[0, place, torch.randperm(200, generator=torch.Generator().manual_seed(1))] = 1.0
    assert distortion_cost(scattered, all_words, all_words)[0, 50].max() < 16.0


def test_half_precision_around_it_changes_nothing() -> None:
    share = torch.rand(2, 6, 8, generator=torch.Generator().manual_seed(1))
    rows, columns = torch.ones(2, 6, dtype=torch.bool), torch.ones(2, 8, dtype=torch.bool)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = neighbour_support(share), distortion_cost(share, rows, columns)
    assert torch.equal(inside[0], neighbour_support(share))
    assert torch.equal(inside[1], distortion_cost(share, rows, columns))
