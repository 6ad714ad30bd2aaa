"""Oracles: POT, SciPy, GeomLoss, and a naive log-domain loop in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import ot as pot
import torch
from geomloss import SamplesLoss
from numpy.typing import NDArray
from scipy.optimize import linprog
from torch import Tensor

from tests.transport.problems import Single

FloatArray = NDArray[np.float64]
Penalties = tuple[float | None, float | None]


def pot_sinkhorn(problem: Single) -> FloatArray:
    """The balanced plan, converged far below what tests compare."""
    plan: FloatArray = pot.sinkhorn(
        problem.a.numpy(),
        problem.b.numpy(),
        problem.cost.numpy(),
        problem.epsilon,
        method="sinkhorn_log",
        numItermax=20_000,
        stopThr=1e-11,
    )
    return plan


def pot_unbalanced(problem: Single, tau: Penalties) -> FloatArray:
    """The plan with KL penalties, infinite where hard."""
    plan: FloatArray = pot.unbalanced.sinkhorn_unbalanced(
        problem.a.numpy(),
        problem.b.numpy(),
        problem.cost.numpy(),
        problem.epsilon,
        tuple(np.inf if t is None else t for t in tau),
        reg_type="kl",
        numItermax=50_000,
        stopThr=1e-14,
    )
    return plan


def pot_emd_value(cost: FloatArray, a: FloatArray, b: FloatArray) -> float:
    return float(pot.emd2(a, b, cost))


def scipy_linear_programme(cost: FloatArray, a: FloatArray, b: FloatArray) -> float:
    """The cost of an exact plan, as a linear programme."""
    n, m = cost.shape
    rows = np.kron(np.eye(n), np.ones(m))
    columns = np.kron(np.ones(n), np.eye(m))
    answer = linprog(cost.ravel(), A_eq=np.vstack([rows, columns[:-1]]), b_eq=np.concatenate([a, b[:-1]]))
    return float(answer.fun)


def kl(p: FloatArray, q: FloatArray) -> float:
    """KL corrected for mass."""
    ratio = np.where(p > 0, p / np.where(q > 0, q, 1.0), 1.0)
    return float((p * np.log(ratio) - p + q).sum())


def primal_value(plan: FloatArray, problem: Single, tau: Penalties = (None, None)) -> float:
    """<P,C> + eps KL(P | a x b) + the penalties."""
    a, b = problem.a.numpy(), problem.b.numpy()
    value = float((plan * problem.cost.numpy()).sum()) + problem.epsilon * kl(plan, np.outer(a, b))
    for marginal, weights, penalty in ((plan.sum(1), a, tau[0]), (plan.sum(0), b, tau[1])):
        if penalty is not None:
            value += penalty * kl(marginal, weights)
    return value


def naive_log_domain(problem: Single, iterations: int, tau: Penalties = (None, None)) -> Tensor:
    """Sinkhorn as one would write it on a blackboard: no padding, no batch, no annealing, no cleverness."""
    cost, a, b, epsilon = problem.cost, problem.a, problem.b, problem.epsilon
    f, g = torch.zeros_like(a), torch.zeros_like(b)
    rates = [1.0 if t is None else t / (t + epsilon) for t in tau]
    for _ in range(iterations):
        f = -rates[0] * epsilon * torch.logsumexp((g[None, :] - cost) / epsilon + b.log()[None, :], dim=1)
        g = -rates[1] * epsilon * torch.logsumexp((f[:, None] - cost) / epsilon + a.log()[:, None], dim=0)
    return torch.exp((f[:, None] + g[None, :] - cost) / epsilon) * a[:, None] * b[None, :]


def geomloss_divergence(
    x: Tensor, y: Tensor, a: Tensor, b: Tensor, *, p: int, blur: float, **options: Any
) -> Tensor:
    """(B,) GeomLoss's debiased divergence with eps = blur^p, annealed slowly from a fixed diameter."""
    settings = {"scaling": 0.99, "diameter": 20.0, "backend": "tensorized", **options}
    value: Tensor = SamplesLoss("sinkhorn", p=p, blur=blur, **settings)(a, x, b, y)
    return value
