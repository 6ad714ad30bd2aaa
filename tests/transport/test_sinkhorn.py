"""The entropic solver against known answers, POT, SciPy, a naive loop, and its own invariants."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from otkit.errors import ConfigError
from otkit.transport import solve as solvers
from otkit.transport.config import SinkhornConfig
from otkit.transport.plan import Plan
from otkit.transport.sinkhorn import sinkhorn
from otkit.transport.solve import SYNC_FREE_ITERATIONS
from tests.transport import reference
from tests.transport.problems import (
    Single,
    dirac_problem,
    gaussian_1d,
    padded_batch,
    permutation_problem,
    random_problems,
)

EXACT = SinkhornConfig(epsilon=0.05, tolerance=1e-10, max_iterations=500)
UNROLLED = dataclasses.replace(EXACT, gradient="unroll", max_iterations=2000)
Penalties = tuple[float | None, float | None]
TAUS: list[Penalties] = [
    (None, None),
    (0.5, 0.5),
    (3.0, 0.1),
    (None, 0.4),
    (0.4, None),
    (None, 0.0),
    (0.0, None),
]


def solve(
    problems: list[Single], config: SinkhornConfig = EXACT, *, extra: int = 0, rubbish: float = float("nan")
) -> Plan:
    cost, a, b, epsilon = padded_batch(problems, extra=extra, rubbish=rubbish)
    return sinkhorn(cost, a, b, config=config, epsilon=epsilon)


def single(plan: Plan, i: int, problem: Single) -> np.ndarray:
    return plan.matrix[i, : len(problem.a), : len(problem.b)].numpy()


# Known answers


def test_permutation_in_closed_form() -> None:
    cost, weights, order = permutation_problem(7)
    for epsilon in (0.5, 0.05, 1e-4):
        plan = sinkhorn(cost, weights, weights, config=dataclasses.replace(EXACT, epsilon=epsilon))
        k = np.exp(-1 / epsilon)
        expected = torch.full((7, 7), k, dtype=torch.float64)
        expected[torch.arange(7), order] = 1.0
        expected /= 7 * (1 + 6 * k)
        torch.testing.assert_close(plan.matrix[0], expected, atol=1e-12, rtol=0)


def test_dirac_is_the_product_at_every_epsilon() -> None:
    cost, a, b = dirac_problem(9)
    for epsilon in (1.0, 0.01, 1e-4):
        plan = sinkhorn(cost, a, b, config=dataclasses.replace(EXACT, epsilon=epsilon))
        torch.testing.assert_close(plan.matrix[0, 0], b[0], atol=1e-11, rtol=0)
        torch.testing.assert_close(plan.value, (cost[:, 0] * b).sum(1), atol=1e-12, rtol=0)


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 2.0])
def test_gaussians_in_closed_form(epsilon: float) -> None:
    problem = gaussian_1d(epsilon)
    cost = 0.5 * torch.cdist(problem.x, problem.y).square()
    plan = sinkhorn(cost, problem.a, problem.b, config=dataclasses.replace(EXACT, epsilon=epsilon))
    assert float(plan.value) == pytest.approx(problem.value, abs=1e-6)


# References


@pytest.mark.parametrize("count", [70, pytest.param(210, marks=pytest.mark.slow)])
def test_agrees_with_pot_on_random_problems(count: int) -> None:
    problems = random_problems(count)
    plan = solve(problems)
    assert bool(plan.converged.all())
    worst_plan = worst_value = 0.0
    for i, problem in enumerate(problems):
        expected = reference.pot_sinkhorn(problem)
        worst_plan = max(worst_plan, float(np.abs(single(plan, i, problem) - expected).max()))
        value = reference.primal_value(expected, problem)
        worst_value = max(worst_value, abs(float(plan.value[i]) - value))
    assert worst_plan < 1e-5
    assert worst_value < 1e-5


@pytest.mark.parametrize("tau", TAUS[1:5])
def test_agrees_with_pot_unbalanced(tau: Penalties) -> None:
    problems = [p for p in random_problems(36, seed=3) if p.epsilon > 0.03]
    plan = solve(problems, dataclasses.replace(EXACT, tau=tau))
    for i, problem in enumerate(problems):
        expected = reference.pot_unbalanced(problem, tau)
        np.testing.assert_allclose(single(plan, i, problem), expected, atol=1e-5)
        assert float(plan.value[i]) == pytest.approx(reference.primal_value(expected, problem, tau), abs=1e-5)


def test_a_free_side_is_a_softmax_row_by_row() -> None:
    problems = random_problems(12, seed=4)
    plan = solve(problems, dataclasses.replace(EXACT, tau=(None, 0.0)))
    for i, problem in enumerate(problems):
        rows = torch.softmax(problem.b.log() - problem.cost / problem.epsilon, dim=1) * problem.a[:, None]
        np.testing.assert_allclose(single(plan, i, problem), rows.numpy(), atol=1e-12)


def test_tends_to_the_exact_cost_as_epsilon_goes_to_zero() -> None:
    problems = [
        dataclasses.replace(p, epsilon=2e-6 * float(p.cost.mean())) for p in random_problems(24, seed=5)
    ]
    plan = solve(problems)
    for i, problem in enumerate(problems):
        arrays = problem.cost.numpy(), problem.a.numpy(), problem.b.numpy()
        expected = reference.pot_emd_value(*arrays)
        assert expected == pytest.approx(reference.scipy_linear_programme(*arrays), abs=1e-7)
        assert float(plan.linear_value[i]) == pytest.approx(expected, abs=1e-5 * float(problem.cost.mean()))


@pytest.mark.parametrize("tau", TAUS[:5])
@pytest.mark.parametrize("gradient", ["envelope", "unroll"])
def test_agrees_with_the_naive_loop(tau: Penalties, gradient: str) -> None:
    problems = [p for p in random_problems(8, seed=6) if p.epsilon > 0.03 and len(p.a) > 1 and len(p.b) > 1]
    base = UNROLLED if gradient == "unroll" else EXACT
    plan = solve(problems, dataclasses.replace(base, tau=tau))
    for i, problem in enumerate(problems):
        expected = reference.naive_log_domain(problem, 1500, tau)
        np.testing.assert_allclose(single(plan, i, problem), expected.numpy(), atol=1e-7)


# Invariants


@pytest.mark.parametrize("tau", TAUS)
def test_batch_equals_singles(tau: Penalties) -> None:
    problems = random_problems(18, seed=7)
    config = SinkhornConfig(tau=tau)  # the default tolerance, not a tight one
    plan = solve(problems, config)
    for i, problem in enumerate(problems):
        alone = solve([problem], config)
        np.testing.assert_allclose(single(plan, i, problem), alone.matrix[0].numpy(), atol=1e-6)
        torch.testing.assert_close(plan.value[i], alone.value[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("extra", [1, 13, 100])
@pytest.mark.parametrize("rubbish", [0.0, 1e4, float("nan"), float("inf")])
def test_padding_changes_nothing(extra: int, rubbish: float) -> None:
    problems = random_problems(20, seed=8)
    plan, padded = solve(problems), solve(problems, extra=extra, rubbish=rubbish)
    n, m = plan.cost.shape[1:]
    torch.testing.assert_close(padded.matrix[:, :n, :m], plan.matrix, atol=1e-6, rtol=0)
    torch.testing.assert_close(padded.value, plan.value, atol=1e-6, rtol=0)
    torch.testing.assert_close(padded.linear_value, plan.linear_value, atol=1e-6, rtol=0)
    assert float(padded.matrix[:, n:].abs().sum() + padded.matrix[:, :, m:].abs().sum()) == 0.0
    assert bool(torch.isfinite(padded.source_potential).all() & torch.isfinite(padded.target_potential).all())


@pytest.mark.parametrize("tau", TAUS)
def test_transposing_transposes(tau: Penalties) -> None:
    cost, a, b, epsilon = padded_batch(random_problems(30, seed=9), rubbish=0.0)
    plan = sinkhorn(cost, a, b, config=SinkhornConfig(tau=tau), epsilon=epsilon)
    other = sinkhorn(cost.transpose(1, 2), b, a, config=SinkhornConfig(tau=(tau[1], tau[0])), epsilon=epsilon)
    torch.testing.assert_close(other.matrix.transpose(1, 2), plan.matrix, atol=1e-6, rtol=0)
    torch.testing.assert_close(other.value, plan.value, atol=1e-6, rtol=0)


def test_hard_marginals_are_met_and_the_error_says_so() -> None:
    plan = solve(random_problems(40, seed=10), SinkhornConfig())
    missed = (plan.matrix.sum(2) - plan.a).abs().sum(1) + (plan.matrix.sum(1) - plan.b).abs().sum(1)
    assert float(missed.max()) < 2e-6
    torch.testing.assert_close(missed, plan.marginal_error, atol=1e-9, rtol=0)
    short = solve(random_problems(40, seed=10), SinkhornConfig(max_iterations=2))
    missed = (short.matrix.sum(2) - short.a).abs().sum(1) + (short.matrix.sum(1) - short.b).abs().sum(1)
    torch.testing.assert_close(missed, short.marginal_error, atol=1e-9, rtol=0)
    assert not bool(short.converged.all())


@pytest.mark.parametrize("gradient", ["envelope", "unroll"])
def test_a_fixed_number_of_iterations_reaches_the_same_plan(gradient: str) -> None:
    problems = [p for p in random_problems(24, seed=11) if p.epsilon > 0.05 * float(p.cost.mean())]
    fixed = SinkhornConfig(
        tolerance=None, max_iterations=40 if gradient == "envelope" else 1000, gradient=gradient
    )
    plan = solve(problems, fixed)
    assert plan.iterations == fixed.max_iterations
    torch.testing.assert_close(plan.matrix, solve(problems).matrix, atol=1e-7, rtol=0)


@pytest.mark.parametrize("iterations", [1, 2, 3, 5, 8, 13])
def test_any_number_of_iterations_ends_at_the_temperature_asked_for(iterations: int) -> None:
    plan = solve(random_problems(30, seed=12), SinkhornConfig(tolerance=None, max_iterations=iterations))
    assert bool(torch.isfinite(plan.matrix).all() & torch.isfinite(plan.value).all())
    # One side is exact at any iteration, so the mass is right.
    torch.testing.assert_close(
        plan.matrix.sum((1, 2)), torch.ones(30, dtype=torch.float64), atol=1e-9, rtol=0
    )


def test_the_mean_cost_follows_each_problem_over_its_real_units() -> None:
    problems = [
        dataclasses.replace(p, epsilon=0.3 * float(p.cost.mean())) for p in random_problems(12, seed=13)
    ]
    cost, a, b, epsilon = padded_batch(problems, extra=5, rubbish=1e6)
    relative = dataclasses.replace(EXACT, epsilon=0.3, unit="mean-cost")
    plan = sinkhorn(cost, a, b, config=relative)
    torch.testing.assert_close(plan.epsilon, epsilon)
    scaled = sinkhorn(100 * cost, a, b, config=relative)
    torch.testing.assert_close(scaled.matrix, plan.matrix, atol=1e-8, rtol=0)


@pytest.mark.parametrize("tau", [0.4, (None, 0.4), (0.2, None), (0.3, 0.6)])
@pytest.mark.parametrize("gradient", ["envelope", "unroll"])
def test_tau_is_in_the_unit_of_the_temperature(tau: Penalties, gradient: str) -> None:
    base = UNROLLED if gradient == "unroll" else EXACT
    relative = dataclasses.replace(base, epsilon=0.3, unit="mean-cost", tau=tau)
    singles = [p for p in random_problems(12, seed=13) if len(p.a) > 1 and len(p.b) > 1]
    cost, a, b, _ = padded_batch(singles, extra=5, rubbish=1e6)
    plan = sinkhorn(cost, a, b, config=relative)
    for i, problem in enumerate(singles):
        mean = float(problem.cost.mean())
        penalties = tuple(None if t is None else t * mean for t in relative.penalties)
        fixed = dataclasses.replace(base, epsilon=0.3 * mean, tau=penalties)
        alone = sinkhorn(problem.cost[None], problem.a[None], problem.b[None], config=fixed)
        np.testing.assert_allclose(single(plan, i, problem), alone.matrix[0].numpy(), atol=1e-9)
        torch.testing.assert_close(plan.value[i], alone.value[0], atol=1e-8, rtol=1e-8)
        potential = plan.source_potential[i, : len(problem.a)]
        torch.testing.assert_close(potential, alone.source_potential[0], atol=1e-6, rtol=1e-6)
    scaled = sinkhorn(100 * cost, a, b, config=relative)
    torch.testing.assert_close(scaled.matrix, plan.matrix, atol=1e-9, rtol=0)
    torch.testing.assert_close(scaled.value, 100 * plan.value, atol=1e-8, rtol=1e-8)


def test_a_unit_from_outside_replaces_the_mean_cost() -> None:
    cost, a, b, _ = padded_batch(random_problems(6, seed=16), rubbish=0.0)
    config = dataclasses.replace(EXACT, epsilon=0.2, unit="mean-cost", tau=0.5)
    unit = torch.linspace(0.5, 2.0, len(cost), dtype=cost.dtype)
    plan = sinkhorn(cost, a, b, config=config, unit=unit)
    torch.testing.assert_close(plan.epsilon, 0.2 * unit)
    for i in range(len(cost)):
        fixed = dataclasses.replace(EXACT, epsilon=0.2 * float(unit[i]), tau=0.5 * float(unit[i]))
        alone = sinkhorn(cost[i : i + 1], a[i : i + 1], b[i : i + 1], config=fixed)
        torch.testing.assert_close(plan.matrix[i], alone.matrix[0], atol=1e-9, rtol=0)


def test_both_units_are_one_temperature() -> None:
    relative = SinkhornConfig(epsilon=0.1, unit="mean-cost")
    assert (relative.relative, SinkhornConfig().relative) == (True, False)
    cost = torch.full((1, 3, 4), 2.0, dtype=torch.float64)
    cost[0, 0, 0] = 1.0
    weights = torch.full((1, 3), 1 / 3, dtype=torch.float64), torch.full((1, 4), 0.25, dtype=torch.float64)
    absolute = SinkhornConfig(epsilon=0.1 * float(cost.mean()))
    plans = [sinkhorn(cost, *weights, config=config) for config in (relative, absolute)]
    torch.testing.assert_close(plans[0].matrix, plans[1].matrix)
    with pytest.raises(ConfigError, match="unknown unit 'mean'; choose cost or mean-cost"):
        SinkhornConfig(unit="mean")


def test_a_plan_carries_what_it_was_solved_with(monkeypatch: pytest.MonkeyPatch) -> None:
    cost, a, b, _ = padded_batch(random_problems(6, seed=17), rubbish=0.0)
    config = SinkhornConfig(epsilon=0.3, tolerance=1e-3, max_iterations=77)
    assert sinkhorn(cost, a, b, config=config).config == config
    # As on a GPU that has the kernel: what is too large (or in float64) takes Newton steps that nobody counts.
    monkeypatch.setattr(solvers, "has_kernel", lambda device: True)
    plan = sinkhorn(cost, a, b, config=config)
    assert (plan.iterations, plan.config.max_iterations, plan.config.tolerance) == (
        SYNC_FREE_ITERATIONS,
        SYNC_FREE_ITERATIONS,
        None,
    )
    assert plan.goal == 1e-3
    again = sinkhorn(cost, a, b, config=plan.config)
    assert torch.equal(again.matrix, plan.matrix)
    # It has converged where it is as good as was asked for.
    judged = dataclasses.replace(plan, marginal_error=torch.linspace(0, 2e-3, len(cost), dtype=cost.dtype))
    assert judged.converged.tolist() == [True, True, True, False, False, False]


# Precision


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_epsilon_of_a_ten_thousandth_stays_finite_and_right(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    cost = (torch.rand(8, 20, 25, generator=generator) * 10).to(dtype)
    a, b = torch.full((8, 20), 1 / 20, dtype=dtype), torch.full((8, 25), 1 / 25, dtype=dtype)
    plan = sinkhorn(cost, a, b, config=SinkhornConfig(epsilon=1e-4))
    for tensor in (plan.matrix, plan.value, plan.linear_value, plan.marginal_error):
        assert bool(torch.isfinite(tensor).all())
    for i in range(8):
        arrays = (t.double().numpy() for t in (cost[i], a[i], b[i]))
        assert float(plan.linear_value[i]) == pytest.approx(reference.pot_emd_value(*arrays), abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_solved_in_fp32(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    cost = torch.rand(3, 8, 9, generator=generator).to(dtype)
    a, b = torch.full((3, 8), 1 / 8), torch.full((3, 9), 1 / 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plan = sinkhorn(cost, a.to(dtype), b, config=SinkhornConfig())
    assert plan.matrix.dtype == plan.value.dtype == torch.float32
    expected = sinkhorn(cost.float(), a.to(dtype).float(), b, config=SinkhornConfig())
    torch.testing.assert_close(plan.matrix, expected.matrix, atol=0, rtol=0)


def test_fp32_loses_nothing_at_small_epsilon_and_large_costs() -> None:
    generator = torch.Generator().manual_seed(2)
    cost = 100 + 20 * torch.rand(4, 15, 18, generator=generator)
    a, b = torch.full((4, 15), 1 / 15), torch.full((4, 18), 1 / 18)
    config = SinkhornConfig(epsilon=0.0025, max_iterations=1000)
    plan = sinkhorn(cost, a, b, config=config)
    wide = sinkhorn(cost.double(), a.double(), b.double(), config=config)
    torch.testing.assert_close(plan.matrix.double(), wide.matrix, atol=3e-6, rtol=0)


# The edges


def test_empty_problems_and_empty_sides_are_zero() -> None:
    cost, a, b, _ = padded_batch(random_problems(4, seed=14), rubbish=0.0)
    a[1], b[1], b[2] = 0.0, 0.0, 0.0
    cost.requires_grad_(True)
    plan = sinkhorn(cost, a, b, config=EXACT)
    plan.value.sum().backward()
    assert float(plan.matrix[1].sum() + plan.matrix[2].sum()) == 0.0
    assert float(plan.value[1].detach()) == 0.0 == float(plan.marginal_error[1])
    assert cost.grad is not None
    assert bool(torch.isfinite(cost.grad).all())
    assert float(cost.grad[1].abs().sum()) == 0.0


def test_zero_weights_inside_a_problem_are_padding_too() -> None:
    problem = random_problems(8, seed=15)[5]
    cost, a, b = problem.cost[None], problem.a[None].clone(), problem.b[None]
    a[0, 0] = 0.0
    a /= a.sum()
    plan = sinkhorn(cost, a, b, config=EXACT)
    without = sinkhorn(cost[:, 1:], a[:, 1:], b, config=EXACT)
    assert float(plan.matrix[0, 0].sum()) == 0.0
    torch.testing.assert_close(plan.matrix[:, 1:], without.matrix, atol=1e-9, rtol=0)


def test_one_problem_of_700_by_700() -> None:
    generator = torch.Generator().manual_seed(3)
    x, y = (torch.randn(1, 700, 32, generator=generator) for _ in range(2))
    cost = torch.cdist(x, y)
    weights = torch.full((1, 700), 1 / 700)
    plan = sinkhorn(cost, weights, weights, config=SinkhornConfig(epsilon=0.05, tolerance=1e-3))
    assert bool(plan.converged.all())
    assert float((plan.matrix.sum(1) - weights).abs().sum()) < 2e-3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epsilon": 0.0}, "epsilon is 0.0"),
        ({"epsilon": float("nan")}, "epsilon is nan"),
        ({"epsilon": -1.0, "unit": "mean-cost"}, "epsilon is -1.0"),
        ({"tau": -0.5}, "tau is -0.5"),
        ({"tau": (0.0, 0.0)}, "frees both marginals"),
        ({"tau": (1.0,)}, "tau has 1 entries"),
        ({"tolerance": 0.0}, "tolerance is 0.0"),
        ({"max_iterations": 0}, "max_iterations is 0"),
        ({"gradient": "envelop"}, "choose envelope or unroll"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SinkhornConfig(**settings)  # type: ignore[arg-type]


def test_shapes_that_do_not_fit_are_refused() -> None:
    cost = torch.zeros(2, 3, 4)
    good: tuple[Tensor, Tensor] = (torch.ones(2, 3) / 3, torch.ones(2, 4) / 4)
    for bad in ((cost[0], *good), (cost, good[1], good[0]), (cost, good[0][:1], good[1])):
        with pytest.raises(ConfigError, match=r"give cost \(B,N,M\), a \(B,N\) and b \(B,M\)"):
            sinkhorn(*bad, config=SinkhornConfig())
