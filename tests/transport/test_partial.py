"""Plans that leave mass behind: exact, partial and one-sided ones, against POT and in their limits."""

from __future__ import annotations

import dataclasses

import numpy as np
import ot as pot
import pytest
import torch

from otkit.errors import ConfigError
from otkit.transport.config import SinkhornConfig
from otkit.transport.exact import exact, fused_gromov
from otkit.transport.null import NULL_COSTS, null_cost
from otkit.transport.sinkhorn import sinkhorn
from tests.transport import reference
from tests.transport.partial import capacitated, one_sided, partial
from tests.transport.problems import Single, padded_batch, random_problems

CONFIG = SinkhornConfig(epsilon=0.1, tolerance=1e-9, max_iterations=5_000)


def problems(count: int = 10, *, seed: int) -> list[Single]:
    """Costs in units of their mean, so that CONFIG is a tenth of it."""
    chosen = [p for p in random_problems(count, seed=seed) if min(len(p.a), len(p.b)) > 1]
    return [dataclasses.replace(p, cost=p.cost / p.cost.mean()) for p in chosen]


def cut(matrix: torch.Tensor, i: int, problem: Single) -> np.ndarray:
    return matrix[i, : len(problem.a), : len(problem.b)].numpy()


# Entropic partial plans


@pytest.mark.parametrize("mass", [0.2, 0.7, 0.95])
def test_partial_agrees_with_pot(mass: float) -> None:
    chosen = problems(seed=30)
    cost, a, b, _ = padded_batch(chosen, extra=2)
    plan = partial(cost, a, b, mass=mass, config=CONFIG, reference="counting")
    for i, p in enumerate(chosen):
        expected = pot.partial.entropic_partial_wasserstein(
            p.a.numpy(), p.b.numpy(), p.cost.numpy(), 0.1, m=mass, numItermax=50_000, stopThr=1e-13
        )
        np.testing.assert_allclose(cut(plan.matrix, i, p), expected, atol=1e-6)


def test_partial_with_the_product_reference_is_the_same_problem_with_a_shifted_cost() -> None:
    cost, a, b, _ = padded_batch(problems(seed=31), rubbish=0.0)
    real = (a > 0)[:, :, None] & (b > 0)[:, None, :]
    prior = torch.where(real, (a[:, :, None] * b[:, None, :]).clamp(min=1e-300).log(), 0.0)
    plan = partial(cost, a, b, mass=0.6, config=CONFIG)
    other = partial(cost - 0.1 * prior, a, b, mass=0.6, config=CONFIG, reference="counting")
    torch.testing.assert_close(plan.matrix, other.matrix, atol=1e-7, rtol=0)


def test_partial_keeps_its_constraints_and_tends_to_the_exact_partial_plan() -> None:
    chosen = problems(seed=32)
    cost, a, b, _ = padded_batch(chosen, extra=1)
    config = dataclasses.replace(CONFIG, epsilon=0.01, unit="mean-cost", tolerance=1e-6)
    plan = partial(cost, a, b, mass=0.5, config=config)
    assert float(plan.marginal_error.max()) < 1e-6
    assert bool((plan.matrix.sum(2) <= a + 1e-6).all() & (plan.matrix.sum(1) <= b + 1e-6).all())
    torch.testing.assert_close(
        plan.matrix.sum((1, 2)), torch.full((len(chosen),), 0.5).double(), atol=1e-6, rtol=0
    )
    for i, p in enumerate(chosen):
        # At eps the entropy buys at most about eps log(n m) of cost for the mass that moves.
        least = pot.partial.partial_wasserstein(p.a.numpy(), p.b.numpy(), p.cost.numpy(), m=0.5)
        excess = float(plan.linear_value[i]) - float((least * p.cost.numpy()).sum())
        assert -1e-6 < excess < 0.5 * 0.01 * np.log(len(p.a) * len(p.b))


def test_the_whole_mass_is_the_balanced_plan() -> None:
    cost, a, b, _ = padded_batch(problems(seed=33))
    plan = partial(cost, a, b, mass=1.0, config=CONFIG)
    balanced = sinkhorn(cost, a, b, config=SinkhornConfig(epsilon=0.1))
    torch.testing.assert_close(plan.matrix, balanced.matrix, atol=1e-4, rtol=0)


def test_partial_batch_equals_singles_and_padding_is_zero() -> None:
    chosen = problems(seed=34)
    cost, a, b, _ = padded_batch(chosen, extra=7)
    plan = partial(cost, a, b, mass=0.4, config=CONFIG)
    real = (a > 0)[:, :, None] & (b > 0)[:, None, :]
    assert float(plan.matrix[~real].abs().sum()) == 0.0
    for i, p in enumerate(chosen):
        alone = partial(p.cost[None], p.a[None], p.b[None], mass=0.4, config=CONFIG)
        np.testing.assert_allclose(cut(plan.matrix, i, p), alone.matrix[0].numpy(), atol=1e-7)


# One-sided plans with a null


def test_one_sided_agrees_with_the_partial_problem_that_ottawa_solves() -> None:
    chosen = problems(seed=35)
    cost, a, b, _ = padded_batch(chosen, extra=2)
    nothing = torch.tensor([float(p.cost.median()) for p in chosen], dtype=torch.float64)
    plan = one_sided(cost, a, b, null_cost=nothing, config=CONFIG)
    for i, p in enumerate(chosen):
        wider = np.concatenate([p.cost.numpy(), np.full((len(p.a), 1), float(nothing[i]))], axis=1)
        capacities = np.concatenate([p.b.numpy(), [1.0]])
        expected = pot.partial.entropic_partial_wasserstein(
            p.a.numpy(), capacities, wider, 0.1, m=1 - 1e-12, numItermax=50_000, stopThr=1e-13
        )
        np.testing.assert_allclose(cut(plan.matrix, i, p), expected[:, :-1], atol=1e-5)
        np.testing.assert_allclose(plan.null[i, : len(p.a)].numpy(), expected[:, -1], atol=1e-5)


def test_a_cheap_null_takes_everything_and_a_dear_one_nothing() -> None:
    cost, a, b, _ = padded_batch(problems(seed=36), rubbish=0.0)
    cheap = one_sided(cost, a, b, null_cost=-100.0, config=CONFIG)
    torch.testing.assert_close(cheap.null, a, atol=1e-6, rtol=0)
    dear = one_sided(cost, a, b, null_cost=1e3, config=CONFIG, reference="product")
    assert float(dear.null.sum()) < 1e-6
    balanced = sinkhorn(cost, a, b, config=SinkhornConfig(epsilon=0.1))
    torch.testing.assert_close(dear.matrix, balanced.matrix, atol=1e-5, rtol=0)
    torch.testing.assert_close(dear.matrix.sum(1), b, atol=1e-5, rtol=0)


def test_capacities_are_kept_and_sources_emptied() -> None:
    cost, a, b, _ = padded_batch(problems(seed=37), extra=1)
    plan = capacitated(cost, a, 1.5 * b, config=CONFIG)
    torch.testing.assert_close(plan.matrix.sum(2), a, atol=1e-8, rtol=0)
    assert bool((plan.matrix.sum(1) <= 1.5 * b + 1e-8).all())


def test_null_costs_by_hand() -> None:
    cost = torch.tensor([[[0.1, 0.2, 9.0], [0.4, 0.9, 9.0], [9.0, 9.0, 9.0]]], dtype=torch.float64)
    a, b = torch.tensor([[0.5, 0.5, 0.0]]), torch.tensor([[0.5, 0.5, 0.0]])
    expected = {"mean": 0.4, "median": 0.3, "middle": 0.5}
    for name, value in expected.items():
        assert float(null_cost(cost, a, b, name=name)) == pytest.approx(value)
    # Two orthogonal vectors: the equidistant one is the diagonal, cosine 1/sqrt(2) with both.
    vectors = torch.tensor([[[2.0, 0.0], [0.0, 3.0], [5.0, 5.0]]])
    diagonal = (1 - 2**-0.5) / 2
    assert float(null_cost(cost, a, b, name="equidistant", vectors=vectors)) == pytest.approx(diagonal)
    assert float(null_cost(cost, a, b, name="larger", vectors=vectors)) == pytest.approx(0.3)
    assert set(NULL_COSTS) == {"mean", "median", "middle", "equidistant", "larger"}


# POT behind the same face


def test_exact_is_a_vertex_of_least_cost() -> None:
    chosen = problems(seed=38)
    cost, a, b, _ = padded_batch(chosen, extra=3)
    plan = exact(cost, a, b)
    torch.testing.assert_close(plan.matrix.sum(2), a, atol=1e-12, rtol=0)
    torch.testing.assert_close(plan.matrix.sum(1), b, atol=1e-12, rtol=0)
    for i, p in enumerate(chosen):
        value = reference.scipy_linear_programme(p.cost.numpy(), p.a.numpy(), p.b.numpy())
        assert float(plan.linear_value[i]) == pytest.approx(value, abs=1e-9)
        assert int((plan.matrix[i] > 0).sum()) <= len(p.a) + len(p.b) - 1


def test_fused_gromov_finds_an_isometry() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 9, 3, generator=generator, dtype=torch.float64)
    order = torch.randperm(9, generator=generator)
    distances = torch.cdist(x, x)
    weights = torch.full((1, 9), 1 / 9, dtype=torch.float64)
    hint = torch.cdist(x, x[:, order]) + 0.3 * torch.rand(1, 9, 9, generator=generator, dtype=torch.float64)
    plan = fused_gromov(
        hint, weights, weights, source=distances, target=distances[:, order][:, :, order], alpha=0.7
    )
    assert torch.equal(plan.matrix[0].argmax(0), order)
    # alpha 0 is the exact plan; padding is zero.
    cost, a, b, _ = padded_batch(problems(seed=39)[:3], extra=2, rubbish=0.0)
    n, m = cost.shape[1:]
    zeros = {"source": torch.zeros(3, n, n), "target": torch.zeros(3, m, m)}
    plain = fused_gromov(cost, a, b, alpha=0.0, **zeros)
    torch.testing.assert_close(plain.linear_value, exact(cost, a, b).linear_value, atol=1e-9, rtol=0)
    assert float(plain.matrix[a == 0].abs().sum()) == 0.0


def test_settings_that_mean_nothing_are_refused() -> None:
    cost, a, b, _ = padded_batch(problems(seed=40)[:2], rubbish=0.0)
    with pytest.raises(ConfigError, match="did you mean 'median'"):
        null_cost(cost, a, b, name="medain")
    with pytest.raises(ConfigError, match="give vectors of shape"):
        null_cost(cost, a, b, name="larger")
    with pytest.raises(ConfigError, match="alpha is 2"):
        fused_gromov(cost, a, b, source=cost, target=cost, alpha=2.0)
