"""Which solver runs when, and why: the one place where it is decided.

    solver     runs where                                                 because
    unroll     gradients go through the iterations                        it is the one that autograd can follow
    fused      one GPU kernel can hold a problem (`fits_fused`)           it never makes the host wait
    symmetric  a measure is transported to itself                         one potential and half the work; what is not
                                                                          solved then goes to the rows below
    scaling    both marginals are hard and the tolerance is rough         plain iterations get there first; what is not
                                                                          solved then goes to newton
    newton     everything else                                            a dozen iterations reach any tolerance

The fused kernel gets whole batches; for the others a processor solves problems of like size together. The word
aligner's many soft problems at high temperatures are solved by `approximate`, without gradients, errors or values;
those without entropy by POT (`exact`).

On a GPU a solver that looks whether it has converged makes the host wait for the device. So under a rough tolerance
what is too large for the kernel takes a fixed number of Newton steps (`sync_free`), as does a training run on whose
text the kernel would not converge (`sync_free_training`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from otkit.transport.batching import lengths, size_groups
from otkit.transport.config import SinkhornConfig
from otkit.transport.fused import FINEST, LARGEST, has_kernel
from otkit.transport.newton import solve_newton
from otkit.transport.problem import Problem, Solution
from otkit.transport.scaling import solve_scaling
from otkit.transport.symmetric import solve_symmetric
from otkit.transport.unroll import solve_unroll

__all__ = ["fits_fused", "solve", "sync_free", "sync_free_training"]

# Newton's iterations where nothing is read back: enough for 1e-6 at the paper's epsilons on an encoder's last layer,
# which takes 13 to 25.
SYNC_FREE_ITERATIONS = 30
# From this tolerance on plain iterations get there sooner than Newton's, if they may take this many.
ROUGH, MANY = 0.02, 100


def fits_fused(cost: Tensor, config: SinkhornConfig) -> bool:
    """True for problems (B,N,M) that the GPU kernel takes, on their device and at this tolerance."""
    return (
        _kernel_meets(config, cost.device)
        and cost.dtype == torch.float32
        and len(cost) > 0
        and min(cost.shape[1:]) > 0
        and max(cost.shape[1:]) <= LARGEST
        and 0.0 not in config.penalties
    )


def _kernel_meets(config: SinkhornConfig, device: torch.device) -> bool:
    """True where there is a kernel whose single precision meets the tolerance."""
    rough = config.tolerance is not None and config.tolerance >= FINEST
    return rough and config.gradient == "envelope" and has_kernel(device)


def sync_free(config: SinkhornConfig, device: torch.device) -> SinkhornConfig:
    """The settings for problems that do not fit the kernel of their device: those that would, were they smaller, take a
    fixed number of steps."""
    if _kernel_meets(config, device):
        return dataclasses.replace(config, tolerance=None, max_iterations=SYNC_FREE_ITERATIONS)
    return config


def sync_free_training(
    config: SinkhornConfig, device: torch.device, *, kernel_converges: Callable[[], bool]
) -> SinkhornConfig:
    """The settings for a training run on a device: the kernel, where there is one that converges, else a fixed number
    of steps. A processor may look."""
    if device.type == "cpu" or config.tolerance is None:
        return config
    if _kernel_meets(config, device) and kernel_converges():
        return config
    return dataclasses.replace(config, tolerance=None, max_iterations=SYNC_FREE_ITERATIONS)


def solve(problem: Problem, *, config: SinkhornConfig, symmetric: bool, regroup: bool) -> Solution:
    """The potentials of problems that do not fit the kernel, in the order of the table."""
    if config.gradient == "unroll":
        return solve_unroll(problem, iterations=config.max_iterations, tolerance=config.tolerance)
    if not regroup or problem.cost.device.type != "cpu" or len(problem.cost) == 1:
        return _solve_group(problem, config=config, symmetric=symmetric)
    f, g = torch.zeros_like(problem.a), torch.zeros_like(problem.b)
    error, iterations = torch.zeros_like(problem.epsilon), 0
    for index, n, m in size_groups(lengths(problem.a), lengths(problem.b)):
        found = _solve_group(problem.select(index).trimmed(n, m), config=config, symmetric=symmetric)
        f[index, :n], g[index, :m], error[index] = found.f, found.g, found.error
        iterations = max(iterations, found.iterations)
    return Solution(f, g, error, iterations)


def _solve_group(problem: Problem, *, config: SinkhornConfig, symmetric: bool) -> Solution:
    if symmetric:
        found = solve_symmetric(problem, iterations=config.max_iterations, tolerance=config.tolerance)
        return _finished(
            problem, found, config, lambda rest: _averaged(_solve_group(rest, config=config, symmetric=False))
        )
    # The first side's marginal is met exactly and the second is solved for by a factorisation: a free side goes second,
    # a soft one too if the other is hard, else the shorter.
    tau_a, tau_b = problem.tau
    if 0.0 in problem.tau:
        swap = tau_a == 0.0
    elif (tau_a is None) != (tau_b is None):
        swap = tau_b is None
    else:
        swap = problem.cost.shape[1] < problem.cost.shape[2]
    if swap:
        return _solve_oriented(problem.transposed(), config=config).transposed()
    return _solve_oriented(problem, config=config)


def _solve_oriented(problem: Problem, *, config: SinkhornConfig) -> Solution:
    iterations, tolerance = config.max_iterations, config.tolerance
    hard = problem.tau == (None, None)
    if tolerance is not None and tolerance >= ROUGH and hard and iterations >= MANY:
        found = solve_scaling(problem, tolerance=tolerance)
        return _finished(
            problem,
            found,
            config,
            lambda rest: solve_newton(rest, iterations=iterations, tolerance=tolerance),
        )
    return solve_newton(problem, iterations=iterations, tolerance=tolerance)


def _finished(
    problem: Problem, found: Solution, config: SinkhornConfig, finish: Callable[[Problem], Solution]
) -> Solution:
    """The solution with what has not reached the tolerance solved by another solver."""
    if config.tolerance is None:
        return found
    left = ~(found.error <= config.tolerance)  # a NaN has not
    if not bool(left.any()):
        return found
    rest = finish(problem.select(left))
    found.f[left], found.g[left], found.error[left] = rest.f, rest.g, rest.error
    return dataclasses.replace(found, iterations=max(found.iterations, rest.iterations))


def _averaged(found: Solution) -> Solution:
    """One potential for both sides of symmetric problems."""
    mean = 0.5 * (found.f + found.g)
    return dataclasses.replace(found, f=mean, g=mean)
