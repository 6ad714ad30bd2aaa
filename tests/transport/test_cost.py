"""Costs and marginals: values by hand and by reference, and the places where naive formulas give NaN."""

from __future__ import annotations

import pytest
import torch

from otkit.errors import ConfigError
from otkit.transport.cost import COSTS, pairwise_cost
from otkit.transport.marginals import MARGINALS


def clouds(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 6, 8, generator=generator, dtype=torch.float64)
    y = torch.randn(3, 5, 8, generator=generator, dtype=torch.float64)
    y[0, 0], y[1, 2] = x[0, 1], 0.0
    x[2, 3] = 0.0
    return x.to(dtype), y.to(dtype)


def test_values() -> None:
    x, y = clouds()
    distance = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(pairwise_cost(x, y, cost="euclidean"), distance, atol=1e-7, rtol=0)
    torch.testing.assert_close(
        pairwise_cost(x, y, cost="sqeuclidean"), 0.5 * distance.square(), atol=1e-12, rtol=0
    )
    similarity = torch.nn.functional.cosine_similarity(x[:, :, None], y[:, None], dim=3)
    torch.testing.assert_close(pairwise_cost(x, y, cost="cosine"), 1 - similarity, atol=1e-12, rtol=0)


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_coincident_and_zero_vectors(cost: str, dtype: torch.dtype) -> None:
    x, y = clouds(dtype)
    x.requires_grad_(True)
    values = pairwise_cost(x, y, cost=cost)
    assert float(values.detach()[0, 1, 0]) == pytest.approx(0.0, abs=1e-6)
    assert bool((values >= -1e-6).all())
    (gradient,) = torch.autograd.grad(values.sum(), x)
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_euclidean_gradient_is_zero_where_points_coincide(dtype: torch.dtype) -> None:
    x, y = clouds(dtype)
    x.requires_grad_(True)
    (gradient,) = torch.autograd.grad(pairwise_cost(x, y, cost="euclidean")[0, 1, 0], x)
    assert float(gradient.abs().sum()) == 0.0
    own = pairwise_cost(x, x, cost="euclidean").detach()
    assert float(own.diagonal(dim1=1, dim2=2).abs().sum()) == 0.0


@pytest.mark.parametrize("cost", COSTS)
def test_gradients_by_finite_differences(cost: str) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    y = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p, q: pairwise_cost(p, q, cost=cost), (x, y), atol=1e-7)


@pytest.mark.parametrize("cost", COSTS)
def test_half_precision_under_autocast_is_computed_in_fp32(cost: str) -> None:
    x, y = clouds(torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = pairwise_cost(x, y, cost=cost)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, pairwise_cost(x.float(), y.float(), cost=cost), atol=0, rtol=0)


def test_clouds_that_do_not_fit_are_refused() -> None:
    x, y = clouds()
    with pytest.raises(ConfigError, match="do not form a batch of problems"):
        pairwise_cost(x, y[:, :, :-1], cost="cosine")
    with pytest.raises(ConfigError, match="choose from: euclidean, sqeuclidean, cosine"):
        pairwise_cost(x, y, cost="manhattan")


MASK = torch.tensor([[True, True, True, False], [False, True, False, False], [False] * 4])


def test_uniform_weights() -> None:
    expected = torch.tensor([[1 / 3, 1 / 3, 1 / 3, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    torch.testing.assert_close(MARGINALS["uniform"](MASK, None), expected)


def test_idf_weights() -> None:
    values = torch.tensor([[1.0, 3.0, 0.0, 7.0], [2.0, -1.0, 2.0, 2.0], [1.0] * 4])
    expected = torch.tensor([[0.25, 0.75, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    torch.testing.assert_close(MARGINALS["idf"](MASK, values), expected)


def test_norm_weights() -> None:
    vectors = torch.zeros(3, 4, 2)
    vectors[0, 0, 0], vectors[0, 1, 1], vectors[0, 3, 0] = 3.0, -5.0, 9.0
    expected = torch.tensor([[0.375, 0.625, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    torch.testing.assert_close(MARGINALS["norm"](MASK, vectors), expected)


@pytest.mark.parametrize("weights", MARGINALS)
def test_weights_sum_to_one_and_padding_has_neither_weight_nor_gradient(weights: str) -> None:
    generator = torch.Generator().manual_seed(2)
    shape = (3, 4, 2) if weights == "norm" else (3, 4)
    values = torch.rand(shape, generator=generator, dtype=torch.float64)
    values[~MASK] = torch.nan
    values.requires_grad_(True)
    result = MARGINALS[weights](MASK, values)
    assert float(result.detach()[~MASK].abs().sum()) == 0.0
    torch.testing.assert_close(result.sum(1), torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))
    if weights != "uniform":
        (gradient,) = torch.autograd.grad(result.square().sum(), values)
        assert float(gradient[~MASK].nan_to_num(1.0).abs().sum()) == 0.0
        assert bool(torch.isfinite(gradient).all())
        assert float(gradient[0, :3].abs().sum()) > 0.0


def test_weights_without_their_values_are_refused() -> None:
    for weights, message in (("idf", "one value per unit"), ("norm", "one vector per unit")):
        with pytest.raises(ConfigError, match=message):
            MARGINALS[weights](MASK, None)
