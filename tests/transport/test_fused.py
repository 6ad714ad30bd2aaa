"""The fused kernel against Newton's method: in Triton's interpreter on any machine, compiled where there is a GPU."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from otkit.transport import solve
from otkit.transport.config import SinkhornConfig
from otkit.transport.cost import pairwise_cost
from otkit.transport.divergence import sinkhorn_divergence
from otkit.transport.fused import solve_fused
from otkit.transport.sinkhorn import sinkhorn
from otkit.transport.solve import fits_fused
from tests.transport.problems import padded_batch, random_problems

pytest.importorskip(
    "triton", reason="Triton comes with CUDA builds of torch, and with the extra 'dev' on Linux"
)

TAUS = (None, 0.3, (None, 0.5), (0.2, None))


@pytest.fixture(params=["interpreter", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """Where the kernel runs: compiled for a GPU, or interpreted."""
    interpreted = request.param == "interpreter"
    if interpreted != (os.environ.get("TRITON_INTERPRET") == "1"):
        pytest.skip("kernels are interpreted where there is no GPU, or where TRITON_INTERPRET is 1")
    return "cpu" if interpreted else "cuda"


def problems(device: str, count: int = 9) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Padded problems with what is not a number at padding, and their temperatures."""
    singles = random_problems(count)
    cost, a, b, epsilon = padded_batch(singles)
    real = (a > 0)[:, :, None] & (b > 0)[:, None, :]
    cost = torch.where(real, cost, torch.nan)
    return tuple(tensor.float().to(device) for tensor in (cost, a, b, epsilon))  # type: ignore[return-value]


@pytest.mark.parametrize("tau", TAUS, ids=str)
def test_plans_are_newtons(device: str, tau: float | tuple[float | None, float | None] | None) -> None:
    cost, a, b, epsilon = problems(device)
    config = SinkhornConfig(tau=tau, tolerance=1e-4, max_iterations=1000)
    plan = solve_fused(cost, a, b, epsilon, config=config, symmetric=False)
    assert plan.converged.all()
    exact = sinkhorn(
        cost.double().cpu(),
        a.double().cpu(),
        b.double().cpu(),
        config=SinkhornConfig(tau=tau),
        epsilon=epsilon.cpu(),
    )
    off = (plan.matrix.cpu() - exact.matrix).abs().sum((1, 2))  # of a mass of 1
    assert off.max() < 2e-3
    torch.testing.assert_close(plan.value.cpu().double(), exact.value, rtol=2e-4, atol=2e-4)
    reached = plan.matrix.sum(1)
    assert torch.equal(reached == 0, b == 0)


@pytest.mark.parametrize("tau", [0.3, (0.2, None)], ids=str)
def test_tau_in_another_unit_is_newtons(
    device: str, tau: float | tuple[float | None, float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    cost, a, b, _ = problems(device, 6)
    cost = torch.where((a > 0)[:, :, None] & (b > 0)[:, None, :], cost, 0.0)
    config = SinkhornConfig(epsilon=0.2, unit="mean-cost", tau=tau, tolerance=1e-4, max_iterations=1000)
    monkeypatch.setattr(solve, "has_kernel", lambda device: True)
    gradients, values, matrices = [], [], []
    for leaf in (cost.clone().requires_grad_(), cost.cpu().double().requires_grad_()):
        kernel = leaf.dtype == torch.float32
        settings = config if kernel else replace(config, tolerance=1e-8)
        plan = sinkhorn(leaf, a.to(leaf), b.to(leaf), config=settings)
        assert (plan.known is not None) == kernel
        assert plan.config.max_iterations == plan.iterations if kernel else plan.config == settings
        gradients.append(torch.autograd.grad(plan.value.sum(), leaf)[0].cpu().double())
        values.append(plan.value.detach().cpu().double())
        matrices.append(plan.matrix.cpu().double())
    assert (matrices[0] - matrices[1]).abs().sum((1, 2)).max() < 2e-3
    torch.testing.assert_close(values[0], values[1], rtol=2e-4, atol=2e-4)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=5e-3, atol=5e-4)


@pytest.mark.parametrize("tau", [None, 0.3])
def test_symmetric_problems_have_one_potential(device: str, tau: float | None) -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(4, 11, 8, generator=generator).to(device)
    a = torch.rand(4, 11, generator=generator).to(device)
    a[1, 6:] = 0.0
    a = a / a.sum(1, keepdim=True)
    cost, epsilon = pairwise_cost(x, x, cost="euclidean"), torch.full((4,), 0.05, device=device)
    config = SinkhornConfig(tau=tau, tolerance=1e-4)
    plan = solve_fused(cost, a, a, epsilon, config=config, symmetric=True)
    assert plan.converged.all()
    exact = sinkhorn(cost.cpu(), a.cpu(), a.cpu(), config=SinkhornConfig(tau=tau), symmetric=True)
    torch.testing.assert_close(plan.matrix.cpu(), exact.matrix, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(plan.value.cpu(), exact.value, rtol=1e-4, atol=1e-5)


def test_a_very_soft_marginal_earns_what_a_hard_one_does(device: str) -> None:
    cost, a, b, epsilon = problems(device, 3)
    values = [
        solve_fused(
            *(cost, a, b, epsilon),
            config=SinkhornConfig(tau=tau, tolerance=1e-4, max_iterations=1000),
            symmetric=False,
        ).value
        for tau in (None, 1e6)
    ]
    torch.testing.assert_close(values[1], values[0], rtol=1e-3, atol=1e-3)


def test_problems_without_a_side_are_solved_by_nothing(device: str) -> None:
    cost, a, b, epsilon = problems(device, 4)
    a[1], b[2], a[3], b[3] = 0.0, 0.0, 0.0, 0.0
    plan = solve_fused(cost, a, b, epsilon, config=SinkhornConfig(tolerance=1e-3), symmetric=False)
    assert plan.converged.all()
    for nothing in (plan.marginal_error, plan.matrix, plan.source_potential, plan.value):
        assert not nothing[1:].any()


def test_gradients_by_everything_are_newtons(device: str) -> None:
    cost, a, b, epsilon = problems(device, 3)
    cost = torch.where((a > 0)[:, :, None] & (b > 0)[:, None, :], cost, 0.0)
    gradients = []
    for kernel in (True, False):
        leaves = [tensor.detach().clone().requires_grad_() for tensor in (cost, a, b, epsilon)]
        if kernel:
            config = SinkhornConfig(tau=0.5, tolerance=1e-4, max_iterations=1000)
            plan = solve_fused(*leaves, config=config, symmetric=False)
        else:
            leaves = [leaf.detach().double().cpu().requires_grad_() for leaf in leaves]
            plan = sinkhorn(*leaves[:3], config=SinkhornConfig(tau=0.5), epsilon=leaves[3])
        gradients.append(torch.autograd.grad(plan.value.sum(), leaves))
    for found, exact in zip(*gradients, strict=True):
        torch.testing.assert_close(found.cpu().double(), exact, rtol=5e-3, atol=5e-4)


def test_a_problem_that_runs_out_of_sweeps_says_so(device: str) -> None:
    cost, a, b, epsilon = problems(device, 3)
    plan = solve_fused(
        *(cost, a, b, epsilon * 0.01),
        config=SinkhornConfig(tolerance=1e-4, max_iterations=1),
        symmetric=False,
    )
    assert not plan.converged.all()
    wrong = (plan.matrix.sum(1) - b).abs().sum(1) + (plan.matrix.sum(2) - a).abs().sum(1)
    torch.testing.assert_close(plan.marginal_error, wrong.to(plan.marginal_error), rtol=0.05, atol=2e-3)


def test_a_problem_does_not_depend_on_its_neighbours(device: str) -> None:
    cost, a, b, epsilon = problems(device, 6)
    config = SinkhornConfig(tolerance=1e-3)
    together = solve_fused(cost, a, b, epsilon, config=config, symmetric=False)
    alone = solve_fused(cost[4:5], a[4:5], b[4:5], epsilon[4:5], config=config, symmetric=False)
    assert torch.equal(together.source_potential[4:5], alone.source_potential)


@pytest.mark.gpu
def test_the_divergence_on_a_gpu_is_the_one_on_the_processor() -> None:
    generator = torch.Generator().manual_seed(5)
    x, y = (torch.randn(6, n, 24, generator=generator) for n in (30, 40))
    a, b = (torch.full((6, n), 1 / n) for n in (30, 40))
    config = SinkhornConfig(epsilon=0.05, tolerance=1e-4, max_iterations=1000)
    found = []
    for device in ("cpu", "cuda"):
        clouds = [tensor.to(device).detach().requires_grad_() for tensor in (x, y)]
        cost = pairwise_cost(clouds[0], clouds[1], cost="euclidean")
        assert fits_fused(cost, config) == (device == "cuda")
        sharp = config if device == "cuda" else replace(config, tolerance=1e-8)
        value = sinkhorn_divergence(*clouds, a.to(device), b.to(device), cost="euclidean", config=sharp).value
        value.sum().backward()  # type: ignore[no-untyped-call]
        found.append([value.detach().cpu(), *(cloud.grad.cpu() for cloud in clouds)])
    for on_cpu, on_gpu in zip(*found, strict=True):
        torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-3, atol=1e-4)
