"""Word order: against plain loops, and by hand."""

from __future__ import annotations

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


def test_distortion_is_relative_in_sentences_and_absolute_in_pages() -> None:
    rows, columns = torch.ones(1, 5, dtype=torch.bool), torch.ones(1, 9, dtype=torch.bool)
    found = distortion_cost(rows, columns)[0]
    assert found[0, 8] == pytest.approx(1.0)
    assert found[2, 4] == pytest.approx(0.0)
    assert found[1, 8] == pytest.approx((0.25 - 1.0) ** 2)
    page = torch.ones(1, 1001, dtype=torch.bool)
    far = distortion_cost(page, page)[0]
    assert far[0, 20] == pytest.approx((20 / 1000 * 1001 / 20) ** 2)
    assert far[0, 1000] == 16.0


def test_half_precision_around_it_changes_nothing() -> None:
    share = torch.rand(2, 6, 8, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = neighbour_support(share)
    assert torch.equal(inside, neighbour_support(share))
