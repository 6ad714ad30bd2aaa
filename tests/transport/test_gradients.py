"""Gradients against central finite differences in float64, for both gradient modes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from otkit.transport.config import SinkhornConfig
from otkit.transport.divergence import sinkhorn_divergence
from otkit.transport.sinkhorn import sinkhorn
from tests.transport.problems import padded_batch, random_clouds, random_problems

Penalties = tuple[float | None, float | None] | None
ENVELOPE = SinkhornConfig(epsilon=0.3, tolerance=1e-12, max_iterations=300)
UNROLL = dataclasses.replace(ENVELOPE, gradient="unroll", max_iterations=400)
MODES = {"envelope": ENVELOPE, "unroll": UNROLL}


def assert_gradient(
    function: Callable[[Tensor], Tensor], at: Tensor, *, directions: int = 4, step: float = 1e-5
) -> None:
    """The gradient of a sum against central differences along random directions."""
    point = at.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(function(point).sum(), point)
    assert bool(torch.isfinite(gradient).all())
    generator = torch.Generator().manual_seed(0)
    for _ in range(directions):
        direction = torch.randn(at.shape, generator=generator, dtype=at.dtype)
        with torch.no_grad():
            rise = function(at + step * direction).sum() - function(at - step * direction).sum()
        expected = float(rise) / (2 * step)
        assert float((gradient * direction).sum()) == pytest.approx(expected, rel=1e-5, abs=1e-7)


def small_batch() -> tuple[Tensor, Tensor, Tensor]:
    problems = [p for p in random_problems(30, seed=20) if 2 <= len(p.a) <= 8 and 2 <= len(p.b) <= 8]
    cost, a, b, _ = padded_batch(problems[:4], extra=1, rubbish=0.0)
    return cost, a, b


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tau", [None, 0.7, (None, 0.5), (2.0, None), (None, 0.0)])
def test_value_by_cost(mode: str, tau: Penalties) -> None:
    cost, a, b = small_batch()
    config = dataclasses.replace(MODES[mode], tau=tau)
    assert_gradient(lambda c: sinkhorn(c, a, b, config=config).value, cost)


@pytest.mark.parametrize("mode", MODES)
def test_value_by_cost_through_a_relative_epsilon(mode: str) -> None:
    cost, a, b = small_batch()
    config = dataclasses.replace(MODES[mode], epsilon=0.4, unit="mean-cost")
    assert_gradient(lambda c: sinkhorn(c, a, b, config=config).value, cost)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tau", [0.7, (None, 0.5), (2.0, None), (None, 0.0)])
def test_value_by_cost_through_a_relative_tau(mode: str, tau: Penalties) -> None:
    cost, a, b = small_batch()
    config = dataclasses.replace(MODES[mode], epsilon=0.4, unit="mean-cost", tau=tau)
    assert_gradient(lambda c: sinkhorn(c, a, b, config=config).value, cost)
    assert_gradient(lambda w: sinkhorn(cost, a, b * (1 + w[:, None]), config=config).value, cost[:, 0, 0] * 0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tau", [None, 0.7, (None, 0.5)])
def test_value_by_weights(mode: str, tau: Penalties) -> None:
    cost, a, b = small_batch()
    config = dataclasses.replace(MODES[mode], tau=tau)

    def by_source(logits: Tensor) -> Tensor:
        # On the simplex: balanced OT is not defined where the masses differ.
        weights = torch.where(a > 0, logits, -torch.inf).softmax(1)
        return sinkhorn(cost, weights, b, config=config).value

    def by_target(logits: Tensor) -> Tensor:
        weights = torch.where(b > 0, logits, -torch.inf).softmax(1)
        return sinkhorn(cost, a, weights, config=config).value

    generator = torch.Generator().manual_seed(1)
    for function, weights in ((by_source, a), (by_target, b)):
        assert_gradient(function, torch.randn(weights.shape, generator=generator, dtype=torch.float64))


@pytest.mark.parametrize("tau", [0.7, (None, 0.5)])
def test_value_by_the_mass_of_a_soft_side(tau: Penalties) -> None:
    cost, a, b = small_batch()
    config = dataclasses.replace(ENVELOPE, tau=tau)

    def by_mass(scale: Tensor) -> Tensor:
        return sinkhorn(cost, a, b * (1 + scale[:, None]), config=config).value

    assert_gradient(by_mass, torch.full((len(a),), 0.2, dtype=torch.float64))


@pytest.mark.parametrize("tau", [None, 0.7, (None, 0.5)])
def test_unrolled_plans_have_the_gradient_of_the_plan(tau: Penalties) -> None:
    cost, a, b = small_batch()
    config = dataclasses.replace(UNROLL, tau=tau)
    generator = torch.Generator().manual_seed(2)
    loss = torch.randn(cost.shape, generator=generator, dtype=torch.float64)
    assert_gradient(lambda c: (sinkhorn(c, a, b, config=config).matrix * loss).sum((1, 2)), cost)
    assert_gradient(lambda c: sinkhorn(c, a, b, config=config).linear_value, cost)


def test_few_unrolled_iterations_have_the_gradient_of_what_they_compute() -> None:
    cost, a, b = small_batch()
    config = dataclasses.replace(UNROLL, tolerance=None, max_iterations=7)
    assert_gradient(lambda c: sinkhorn(c, a, b, config=config).matrix.square().sum((1, 2)), cost)


def test_in_envelope_mode_the_plan_is_a_constant_and_the_linear_value_has_it_as_gradient() -> None:
    cost, a, b = small_batch()
    cost.requires_grad_(True)
    plan = sinkhorn(cost, a, b, config=ENVELOPE)
    assert not plan.matrix.requires_grad
    (gradient,) = torch.autograd.grad(plan.linear_value.sum(), cost)
    torch.testing.assert_close(gradient, plan.matrix, atol=0, rtol=0)
    (gradient,) = torch.autograd.grad(plan.value.sum(), cost)
    torch.testing.assert_close(gradient, plan.matrix, atol=1e-12, rtol=0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cost", ["euclidean", "sqeuclidean", "cosine"])
def test_divergence_by_vectors(mode: str, cost: str) -> None:
    x, y, a, b = random_clouds([(5, 4), (3, 6), (1, 2)], width=3)
    assert_gradient(lambda z: sinkhorn_divergence(z, y, a, b, cost=cost, config=MODES[mode]).value, x)
    assert_gradient(lambda z: sinkhorn_divergence(x, z, a, b, cost=cost, config=MODES[mode]).value, y)


@pytest.mark.parametrize(
    "settings",
    [
        {"epsilon": 0.2, "unit": "mean-cost"},
        {"tau": 1.0},
        {"epsilon": 0.2, "unit": "mean-cost", "tau": 1.0},
        {"epsilon": 0.2, "unit": "mean-cost", "tau": 0.3, "gradient": "unroll"},
    ],
)
def test_divergence_by_vectors_under_other_settings(settings: dict[str, object]) -> None:
    x, y, a, b = random_clouds([(5, 4), (3, 6), (1, 2)], width=3)
    config = dataclasses.replace(ENVELOPE, **settings)  # type: ignore[arg-type]
    assert_gradient(lambda z: sinkhorn_divergence(z, y, a, b, cost="euclidean", config=config).value, x)


def test_padding_has_no_gradient() -> None:
    x, y, a, b = random_clouds([(5, 4), (3, 6)], width=3)
    x.requires_grad_(True)
    divergence = sinkhorn_divergence(x, y, a, b, cost="euclidean", config=ENVELOPE)
    (gradient,) = torch.autograd.grad(divergence.value.sum(), x)
    assert float(gradient[1, 3:].abs().sum()) == 0.0
    assert float(gradient[1, :3].abs().min()) > 0.0


def test_coincident_points_and_identical_clouds_have_finite_gradients() -> None:
    x, _, a, _ = random_clouds([(5, 5)], width=3)
    x[0, 1] = x[0, 0]
    for dtype in (torch.float64, torch.float32):
        points = x.to(dtype).clone().requires_grad_(True)
        divergence = sinkhorn_divergence(
            points, x.to(dtype), a.to(dtype), a.to(dtype), cost="euclidean", config=SinkhornConfig()
        )
        (gradient,) = torch.autograd.grad(divergence.value.sum(), points)
        assert bool(torch.isfinite(gradient).all())
        # Identical clouds are a minimum of S, so the gradient vanishes.
        assert float(gradient.abs().max()) < 1e-3
