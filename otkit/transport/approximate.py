"""Many small, warm transport problems, quickly: a fixed number of scaling steps in single precision.

Aligning a corpus solves millions of problems of 20 x 25 words at temperatures near a tenth of the mean cost,
where a handful of matrix products per problem is all that is needed. Cold problems (and gradients, values,
tolerances) belong to `sinkhorn`, with which these plans are proved to agree.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from otkit.transport.cost import at_least_fp32

__all__ = ["capped_plan", "soft_plan"]

# Mass that stands for none: keeps a quotient finite where a unit is padding.
_TINY = 1e-30
# Largest exponent of a scaling factor: its square still fits single precision.
_LARGE = 40.0

_Step = Callable[[Tensor], Tensor]


def soft_plan(
    cost: Tensor,
    a: Tensor,
    b: Tensor,
    *,
    epsilon: Tensor,
    tau: tuple[Tensor | None, Tensor | None],
    iterations: int,
) -> Tensor:
    """(B,N,M) minimiser of <P,C> + eps KL(P | a x b) + tau_a KL(P1 | a) + tau_b KL(P^T 1 | b).

    cost (B,N,M), a (B,N), b (B,M), exactly 0 at padding; epsilon (B,) and each tau (B,) in units of the cost,
    tau None for a hard marginal and 0 for a free one. Scaling with the closed forms of Chizat et al. 2018
    ("Scaling algorithms for unbalanced optimal transport problems", table 1). The error shrinks by
    tau_a tau_b / ((tau_a + eps)(tau_b + eps)) per iteration (the Birkhoff rate where both are hard).

    Fails where eps is far below the differences between costs: single precision then holds no plan.
    """
    cost, a, b = at_least_fp32(cost), a.float(), b.float()
    kernel, low_f, low_g = _reduced_kernel(cost, a, b, epsilon)

    def step(low: Tensor, penalty: Tensor | None) -> _Step:
        if penalty is None:
            return lambda received: -received.clamp(min=_TINY).log()
        rate = (penalty / (penalty + epsilon))[:, None]
        shift = low / (penalty + epsilon)[:, None]
        return lambda received: -rate * received.clamp(min=_TINY).log() - shift

    return _scale(kernel, a, b, (step(low_f, tau[0]), step(low_g, tau[1])), iterations)


def capped_plan(
    cost: Tensor,
    a: Tensor,
    b: Tensor,
    *,
    epsilon: Tensor,
    hard_source: bool,
    mass: Tensor | None = None,
    iterations: int,
) -> Tensor:
    """(B,N,M) minimiser of <P,C> + eps KL(P | 1) with P^T 1 <= b, and P1 = a (`hard_source`) or P1 <= a.

    With `mass` (B,) the total is given too: entropic partial transport (Benamou et al. 2015, "Iterative Bregman
    projections", section 5). A hard source with one column more is one with a null (OTTAWA). Shapes, units and
    failure as in `soft_plan`; hundreds of iterations where eps is a hundredth of the costs.
    """
    cost, a, b = at_least_fp32(cost), a.float(), b.float()
    kernel, low_f, low_g = _reduced_kernel(cost, a, b, epsilon)
    # A scaling of 1, where a capacity does not bind, in terms of the reduced kernel.
    rows, columns = (
        torch.where(weights > 0, (-low / epsilon[:, None]).clamp(-_LARGE, _LARGE).exp(), 0.0)
        for weights, low in ((a, low_f), (b, low_g))
    )
    total, transposed = torch.ones_like(epsilon)[:, None], kernel.transpose(1, 2)
    u = v = rows
    with torch.autocast(device_type=cost.device.type, enabled=False):
        for _ in range(iterations):
            received = total * torch.bmm(transposed, u[:, :, None])[:, :, 0]
            v = torch.minimum(b / received.clamp(min=_TINY), columns)
            received = total * torch.bmm(kernel, v[:, :, None])[:, :, 0]
            u = a / received.clamp(min=_TINY)
            if not hard_source:
                u = torch.minimum(u, rows)
            if mass is not None:
                moved = (u * torch.bmm(kernel, v[:, :, None])[:, :, 0]).sum(1)
                total = (mass / moved.clamp(min=_TINY))[:, None]
    return (total * u)[:, :, None] * kernel * v[:, None, :]


def _reduced_kernel(cost: Tensor, a: Tensor, b: Tensor, epsilon: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """exp(-(C - f0 - g0)/eps) with f0, g0 such that every row and every column has a 1, and none underflows
    whole; 0 at padding."""
    real = (a > 0)[:, :, None] & (b > 0)[:, None, :]
    cost = cost.masked_fill(~real, torch.inf)
    low_f = cost.amin(2).nan_to_num(posinf=0.0)  # (B,N)
    cost = cost - low_f[:, :, None]
    low_g = cost.amin(1).nan_to_num(posinf=0.0)  # (B,M)
    kernel = torch.exp((low_g[:, None, :] - cost) / epsilon[:, None, None])
    return kernel, low_f, low_g


def _scale(kernel: Tensor, a: Tensor, b: Tensor, steps: tuple[_Step, _Step], iterations: int) -> Tensor:
    """The plan a u K b v after alternating both steps; a step takes what is received and gives a log
    scaling."""
    transposed = kernel.transpose(1, 2)
    u, v = a, b
    with torch.autocast(device_type=kernel.device.type, enabled=False):
        for _ in range(iterations):
            v = b * steps[1](torch.bmm(transposed, u[:, :, None])[:, :, 0]).clamp(-_LARGE, _LARGE).exp()
            u = a * steps[0](torch.bmm(kernel, v[:, :, None])[:, :, 0]).clamp(-_LARGE, _LARGE).exp()
    return u[:, :, None] * kernel * v[:, None, :]
