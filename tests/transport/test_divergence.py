"""The debiased divergence: closed forms, GeomLoss, and what makes it a divergence."""

from __future__ import annotations

import dataclasses
import weakref

import pytest
import torch

from otkit.errors import ConfigError
from otkit.transport.batching import lengths, size_groups
from otkit.transport.config import SinkhornConfig
from otkit.transport.divergence import sinkhorn_divergence
from tests.transport import reference
from tests.transport.problems import gaussian_1d, random_clouds

CONFIG = SinkhornConfig(epsilon=0.05)
COSTS = ["euclidean", "sqeuclidean", "cosine"]
SIZES = [(9, 7), (3, 12), (1, 1), (20, 20), (2, 30), (8, 8)]


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("epsilon", [0.5, 0.05, 0.0025])
def test_zero_on_the_diagonal_and_never_negative(cost: str, epsilon: float) -> None:
    x, y, a, b = random_clouds(SIZES, seed=1)
    config = dataclasses.replace(CONFIG, epsilon=epsilon)
    own = sinkhorn_divergence(x, x, a, a, cost=cost, config=config)
    torch.testing.assert_close(own.value, torch.zeros(6, dtype=torch.float64), atol=1e-7, rtol=0)
    value = sinkhorn_divergence(x, y, a, b, cost=cost, config=config).value
    assert float(value.min()) > 1e-4
    near = sinkhorn_divergence(x, x + 1e-3, a, a, cost=cost, config=config)
    assert float(near.value.min()) > -1e-7


def test_dirac_masses_are_at_their_distance() -> None:
    x, y, a, b = random_clouds([(1, 1), (1, 1)], width=4)
    value = sinkhorn_divergence(x, y, a, b, cost="euclidean", config=CONFIG).value
    torch.testing.assert_close(value, (x - y).norm(dim=2)[:, 0], atol=1e-12, rtol=0)


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 2.0])
def test_gaussians_in_closed_form(epsilon: float) -> None:
    cross = gaussian_1d(epsilon)
    halves = [
        0.5 * gaussian_1d(epsilon, deviations=(deviation, deviation), shift=0.0).value
        for deviation in (1.0, 0.6)
    ]
    config = dataclasses.replace(CONFIG, epsilon=epsilon)
    answer = sinkhorn_divergence(cross.x, cross.y, cross.a, cross.b, cost="sqeuclidean", config=config)
    assert float(answer.value) == pytest.approx(cross.value - sum(halves), abs=1e-6)


@pytest.mark.parametrize(
    ("p", "cost", "blur"), [(1, "euclidean", 0.05), (2, "sqeuclidean", 0.05), (1, "euclidean", 0.5)]
)
def test_within_one_percent_of_geomloss(p: int, cost: str, blur: float) -> None:
    x, y, a, b = random_clouds([(12, 9), (7, 15), (20, 20)], seed=2)
    expected = reference.geomloss_divergence(x, y, a, b, p=p, blur=blur)
    config = dataclasses.replace(CONFIG, epsilon=blur**p)
    value = sinkhorn_divergence(x, y, a, b, cost=cost, config=config).value
    torch.testing.assert_close(value, expected, rtol=0.01, atol=0)


@pytest.mark.parametrize("cost", COSTS)
def test_batch_equals_singles_and_padding_and_exchange_change_nothing(cost: str) -> None:
    # 36 problems, so that several groups of like size are made of them
    x, y, a, b = random_clouds(SIZES * 6, seed=3, width=40)
    together = sinkhorn_divergence(x, y, a, b, cost=cost, config=CONFIG)
    exchanged = sinkhorn_divergence(y, x, b, a, cost=cost, config=CONFIG)
    torch.testing.assert_close(exchanged.value, together.value, atol=1e-6, rtol=0)
    torch.testing.assert_close(exchanged.plan.matrix.transpose(1, 2), together.plan.matrix, atol=1e-6, rtol=0)
    for i, (n, m) in enumerate(SIZES * 2):
        part = [t[i : i + 1, :size] for t, size in ((x, n), (y, m), (a, n), (b, m))]
        alone = sinkhorn_divergence(*part, cost=cost, config=CONFIG)
        torch.testing.assert_close(alone.value[0], together.value[i], atol=1e-6, rtol=0)
        torch.testing.assert_close(alone.plan.matrix[0], together.plan.matrix[i, :n, :m], atol=1e-6, rtol=0)


def test_groups_are_put_together_in_order() -> None:
    x, y, a, b = random_clouds([(60, 50)] * 30 + [(4, 5)] * 30 + [(60, 50)] * 10, seed=4)
    answer = sinkhorn_divergence(x, y, a, b, cost="euclidean", config=CONFIG)
    assert len(size_groups(lengths(a), lengths(b))) > 1
    plan = answer.plan
    torch.testing.assert_close(plan.a, a)
    torch.testing.assert_close(plan.matrix.sum(2), a, atol=1e-5, rtol=0)
    torch.testing.assert_close(plan.matrix.sum(1), b, atol=1e-5, rtol=0)
    assert bool((answer.marginal_error <= 1e-6).all())


def test_one_temperature_for_all_three_terms() -> None:
    x, y, a, b = random_clouds(SIZES, seed=5)
    relative = SinkhornConfig(epsilon=0.1, unit="mean-cost")
    value = sinkhorn_divergence(x, y, a, b, cost="euclidean", config=relative)
    for i in range(len(SIZES)):
        fixed = dataclasses.replace(CONFIG, epsilon=float(value.plan.epsilon[i]))
        part = [t[i : i + 1] for t in (x, y, a, b)]
        alone = sinkhorn_divergence(*part, cost="euclidean", config=fixed).value
        torch.testing.assert_close(alone[0], value.value[i], atol=1e-6, rtol=0)
    assert float(sinkhorn_divergence(x, x, a, a, cost="euclidean", config=relative).value.abs().max()) < 1e-6


def test_one_cloud_under_two_weightings_is_two_measures() -> None:
    x, _, a, _ = random_clouds([(9, 7), (5, 5)], seed=9)
    other = a.flip(1).masked_fill(a == 0, 0.0)
    other = other / other.sum(1, keepdim=True)
    same = sinkhorn_divergence(x, x, a, other, cost="euclidean", config=CONFIG).value
    copied = sinkhorn_divergence(x, x.clone(), a, other, cost="euclidean", config=CONFIG).value
    torch.testing.assert_close(same, copied, atol=1e-7, rtol=0)
    assert float(same[0]) > 1e-3


def test_unbalanced_divergence_is_one_too() -> None:
    x, y, a, b = random_clouds(SIZES, seed=6)
    config = dataclasses.replace(CONFIG, tau=0.5)
    own = sinkhorn_divergence(x, x, a, a, cost="sqeuclidean", config=config).value
    assert float(own.abs().max()) < 1e-6
    assert float(sinkhorn_divergence(x, y, a, 2 * b, cost="sqeuclidean", config=config).value.min()) > 0
    with pytest.raises(ConfigError, match="the same tau on both sides"):
        sinkhorn_divergence(x, y, a, b, cost="cosine", config=dataclasses.replace(CONFIG, tau=(None, 1.0)))


@pytest.mark.parametrize("tolerance", [0.2, 0.05, 1e-3])
def test_rough_tolerances_are_met(tolerance: float) -> None:
    x, y, a, b = random_clouds([(30, 25)] * 8 + [(12, 20)] * 8, seed=7)
    config = dataclasses.replace(CONFIG, tolerance=tolerance)
    answer = sinkhorn_divergence(x.float(), y.float(), a.float(), b.float(), cost="euclidean", config=config)
    plan = answer.plan.matrix
    missed = (plan.sum(2) - a).abs().sum(1) + (plan.sum(1) - b).abs().sum(1)
    assert float(missed.max()) <= tolerance + 1e-5
    torch.testing.assert_close(missed.float(), answer.plan.marginal_error, atol=2e-5, rtol=0)
    exact = sinkhorn_divergence(x, y, a, b, cost="euclidean", config=CONFIG)
    torch.testing.assert_close(answer.value.double(), exact.value, atol=tolerance, rtol=tolerance)


def test_shapes_that_do_not_fit_are_refused() -> None:
    x, y, a, b = random_clouds([(3, 4)])
    with pytest.raises(ConfigError, match="give one weight per vector"):
        sinkhorn_divergence(x, y, b, a, cost="euclidean", config=CONFIG)
    with pytest.raises(ConfigError, match="did you mean 'euclidean'"):
        sinkhorn_divergence(x, y, a, b, cost="euclidian", config=CONFIG)


def test_no_matrix_is_kept_for_the_backward_pass() -> None:
    class Kept:
        def __init__(self, tensor: torch.Tensor) -> None:
            self.tensor = tensor

    for config in (CONFIG, SinkhornConfig(epsilon=0.1, unit="mean-cost")):
        x, y, a, b = (t.float() for t in random_clouds([(40, 50)], seed=8, width=3))
        x.requires_grad_()
        kept: weakref.WeakSet[Kept] = weakref.WeakSet()

        def keep(tensor: torch.Tensor, kept: weakref.WeakSet[Kept] = kept) -> Kept:
            one = Kept(tensor)
            kept.add(one)
            return one

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda one: one.tensor):
            value = sinkhorn_divergence(x, y, a, b, cost="euclidean", config=config).value
        shapes = {tuple(one.tensor.shape) for one in kept}
        assert (1, 40, 3) in shapes
        assert not shapes & {(1, 40, 50), (1, 40, 40), (1, 50, 50)}
        value.sum().backward()
        assert x.grad is not None
