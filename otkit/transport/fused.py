"""Small problems on a GPU: all iterations in one kernel, and each problem stops by itself.

Newton's method needs few iterations, but each of them is some sixty kernels, and to stop early the host has to wait
for the device. Where an error of a thousandth will do and epsilon is a hundredth of the costs, plain iterations cost a
microsecond each inside a kernel that holds the costs in registers, without a host sync. Far below that temperature
they would be thousands: `converged` says so, and training looks before it relies on them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from subprocess import SubprocessError

import torch
from torch import Tensor

from otkit.transport.config import SinkhornConfig
from otkit.transport.plan import Plan

__all__ = ["has_kernel", "solve_fused"]

# Units a side: a cost matrix of 128 by 128 takes the registers of one multiprocessor.
LARGEST = 128
# Single precision does not promise more (costs of a hundred temperatures are rounded by 1e-5 of a temperature).
FINEST = 1e-4
# Plain iterations for one of `max_iterations`, and the fewest, which reach any temperature.
SWEEPS, FEWEST = 10, 100


@cache
def has_kernel(device: torch.device) -> bool:
    """True where the kernels run: on a CUDA device, with Triton and what it needs."""
    if device.type != "cuda" or find_spec("triton") is None:
        return False
    one = torch.ones(1, 1, 1, device=device)
    try:
        solve_fused(one, one[0], one[0], one[0, 0], config=SinkhornConfig(tolerance=FINEST), symmetric=False)
    except (RuntimeError, OSError, SubprocessError):  # no compiler for its launcher, say
        return False
    return True


def solve_fused(
    cost: Tensor,
    a: Tensor,
    b: Tensor,
    epsilon: Tensor,
    *,
    unit: Tensor | None = None,
    config: SinkhornConfig,
    symmetric: bool,
) -> Plan:
    """The plans of problems that `fits_fused`, with matrix and value: shapes and units as in `sinkhorn`,
    epsilon in units of the cost and tau in `unit`.

    Symmetric problems by averaged updates (Feydy et al. 2019, section 3.1); the others along a path of falling
    temperatures, then over-relaxed. What has not reached the tolerance says so in its error.
    """
    from otkit.transport.kernel import cross_kernel, self_kernel

    assert config.tolerance is not None
    batch, n, m = cost.shape
    problem = (cost, a, b, epsilon)
    if unit is not None:
        problem = (cost / unit[:, None, None], a, b, epsilon / unit)
    inputs = [tensor.detach().float().contiguous() for tensor in problem]
    matrix, f = torch.empty_like(inputs[0]), torch.empty_like(inputs[1])
    g = f if symmetric else torch.empty_like(inputs[2])
    value, error = torch.empty_like(inputs[3]), torch.empty_like(inputs[3])
    found = matrix, value, error
    size = max(32, 1 << (max(n, m) - 1).bit_length())
    limits = max(SWEEPS * config.max_iterations, FEWEST), config.tolerance
    tau = [1.0 if penalty is None else penalty for penalty in config.penalties]
    soft = [penalty is not None for penalty in config.penalties]
    shape = {"SIZE": size, "num_warps": max(1, size * size // 1024)}
    with torch.cuda.device_of(cost):  # type: ignore[no-untyped-call]  # Triton launches on the current device
        if symmetric:
            self_kernel[(batch,)](
                inputs[0], inputs[1], inputs[3], f, *found, n, *limits, tau[0], SOFT=soft[0], **shape
            )
        else:
            cross_kernel[(batch,)](
                *inputs, f, g, *found, n, m, *limits, *tau, SOFT_A=soft[0], SOFT_B=soft[1], **shape
            )
    if unit is not None:
        size_of = unit.detach().float()
        f, g, value = f * size_of[:, None], g * size_of[:, None], value * size_of
    used = replace(config, max_iterations=limits[0])
    known = matrix, value
    return Plan(
        cost, a, b, f, g, epsilon, limits[0], error, used, known=known, unit=unit, goal=config.tolerance
    )
