"""POT's solvers behind the face of ours: exact plans and fused Gromov-Wasserstein.

Each takes padded batches (zero weights are padding), solves one problem at a time in float64, and returns a
`FixedPlan`. POT is imported when a function is called.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from otkit.errors import ConfigError
from otkit.transport.cost import at_least_fp32
from otkit.transport.plan import FixedPlan
from otkit.transport.problem import check_shapes

__all__ = ["exact", "fused_gromov"]

OneProblem = Callable[[int, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def exact(cost: Tensor, a: Tensor, b: Tensor) -> FixedPlan:
    """The plan of least cost: min <P, C> with P1 = a, P^T 1 = b (network simplex, O(n^3 log n)).

    cost (B,N,M), a (B,N), b (B,M). A vertex of the polytope: at most N + M - 1 links a problem.
    """
    import ot as pot

    def solve(_: int, cost: Tensor, a: Tensor, b: Tensor, *places: Tensor) -> Tensor:
        return torch.from_numpy(pot.emd(a.numpy(), (b * (a.sum() / b.sum())).numpy(), cost.numpy()))

    return _one_by_one(cost, a, b, solve)


def fused_gromov(
    cost: Tensor, a: Tensor, b: Tensor, *, source: Tensor, target: Tensor, alpha: float = 0.5
) -> FixedPlan:
    """Plans that also keep distances within each side: fused Gromov-Wasserstein with the square loss,

        min (1 - alpha) <P, C> + alpha sum_ijkl (S_ik - T_jl)^2 P_ij P_kl,  P1 = a, P^T 1 = b

    for distances S `source` (B,N,N) and T `target` (B,M,M) (Vayer et al. 2019, section 2). Not convex: a
    local optimum, found by conditional gradients from the product of the weights.
    """
    import ot as pot

    if not 0.0 <= alpha <= 1.0:
        raise ConfigError(
            f"alpha is {alpha}", remedy="give a share between 0 (cost only) and 1 (distances only)"
        )
    sizes = (cost.shape[0], cost.shape[1], cost.shape[1]), (cost.shape[0], cost.shape[2], cost.shape[2])
    if (tuple(source.shape), tuple(target.shape)) != sizes:
        raise ConfigError(
            f"distances of shapes {tuple(source.shape)} and {tuple(target.shape)}",
            remedy=f"give source {sizes[0]} and target {sizes[1]}",
        )
    within = source.detach().cpu().double(), target.detach().cpu().double()

    def solve(number: int, cost: Tensor, a: Tensor, b: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        s, t = within[0][number][rows][:, rows], within[1][number][columns][:, columns]
        weights = (a / a.sum()).numpy(), (b / b.sum()).numpy()
        plan = pot.gromov.fused_gromov_wasserstein(
            cost.numpy(), s.numpy(), t.numpy(), *weights, loss_fun="square_loss", alpha=alpha, symmetric=True
        )
        return torch.from_numpy(plan) * a.sum()

    return _one_by_one(cost, a, b, solve)


def _one_by_one(cost: Tensor, a: Tensor, b: Tensor, solve: OneProblem) -> FixedPlan:
    check_shapes(cost, a, b)
    cost = at_least_fp32(cost)
    a, b = a.to(cost.dtype), b.to(cost.dtype)
    wide = [tensor.detach().cpu().double() for tensor in (cost, a, b)]
    matrix = torch.zeros_like(wide[0])
    for number in range(len(cost)):
        rows, columns = (weights[number].nonzero()[:, 0] for weights in wide[1:])
        if len(rows) and len(columns):
            inner = wide[0][number][rows][:, columns]
            plan = solve(number, inner, wide[1][number][rows], wide[2][number][columns], rows, columns)
            matrix[number, rows[:, None], columns[None, :]] = plan
    matrix = matrix.to(device=cost.device, dtype=cost.dtype)
    return FixedPlan(cost, a, b, matrix, torch.zeros_like(cost[:, 0, 0]), iterations=0)
