"""The fast solver: Newton's method on Sinkhorn's fixed point, followed along a path of falling temperatures.

Problem. Given potentials g of the targets, one softmin gives the f that meets the source marginal exactly,
and another says where g should be: T(g) = d_b (g + eps log(b / c)), where c are the column sums of the plan
and d the damping of a soft marginal (1 if hard). Sinkhorn's iteration is g <- T(g); near the solution it
contracts like the second eigenvalue of T', which at the paper's eps (1% of the mean cost and less) means
thousands of iterations. With P the plan, r its row sums,

    T' = d_a d_b diag(1/c) P^T diag(1/r) P

is a damped stochastic matrix, so (I - (1 - gap) T')^-1 (T(g) - g) is what about 1/gap linearised iterations
would add: gap = 1 is Sinkhorn, gap -> 0 is Newton (Brauer et al. 2017, "A Sinkhorn-Newton method for
entropic optimal transport"). Scaled by diag(c)^(1/2) on both sides the system is symmetric, positive
definite for any gap > 0, with a unit diagonal: one batched Cholesky of the smaller side. As in
Levenberg-Marquardt the gap of each problem falls while its marginal error falls, and rises when a step had
to be taken back.

Path. eps falls by 0.7 from a quarter of the problem's own largest cost (never the batch's), a step or two
at each, and the potentials are carried over by a secant, since for small eps they are affine in eps. About
13 iterations solve eps = 0.05 on an encoder's last layer, and 25 solve eps = 0.0025 on half squared
distances, to 1e-6.

Every iteration forms its kernel from the current potentials, maxima subtracted, in double precision:
nothing is accumulated in scalings that could overflow, and the result is as exact as the log domain's.

Fails where eps is below about 1e-5 of the costs and the solution hangs on links of negligible mass: a
stalled problem is reheated and cooled more slowly, and what is left is reported in the marginal error.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from otkit.transport.problem import Problem, damping, safe_log, wanted

__all__ = ["solve_newton"]

COOLING = 0.7
START = 0.25  # of the largest cost
STAGE_ERROR = 0.3  # a marginal error good enough to lower eps
FIRST_ERROR = 0.6  # and one too bad to accept after lowering it
GAP_FIRST = 3e-3
GAP_STAGE = 1e-3
STALLED = 8  # iterations without progress before a problem is reheated
REHEAT = 8.0
INFINITY = math.inf


@dataclasses.dataclass
class _State:
    """Everything per problem that the loop changes; `index` says which of the batch it is."""

    index: Tensor
    g: Tensor
    best_f: Tensor
    best_g: Tensor
    stage_g: Tensor  # g when eps was last lowered
    best: Tensor  # marginal error of best_g at the current eps
    limit: Tensor  # errors from here on are taken back
    gap: Tensor
    epsilon: Tensor
    stage_epsilon: Tensor
    cooling: Tensor
    stage_error: Tensor
    refused: Tensor  # steps taken back in a row
    idle: Tensor  # iterations without progress
    done: Tensor

    def select(self, keep: Tensor) -> _State:
        return _State(**{field.name: getattr(self, field.name)[keep] for field in dataclasses.fields(self)})


def _start(problem: Problem, iterations: int) -> _State:
    largest = problem.cost.flatten(1).amax(1)
    hot = torch.maximum(largest * START, problem.epsilon)
    # With few iterations the path is steeper, so that it always ends at the temperature that was asked for.
    cooling = (problem.epsilon / hot).pow(1.0 / max(0.6 * iterations, 1.0)).clamp(max=COOLING)
    if iterations < 4:
        hot = problem.epsilon
    g = torch.zeros_like(problem.b)

    def full(value: float) -> Tensor:
        return torch.full_like(hot, value)

    count = torch.zeros_like(hot, dtype=torch.long)
    return _State(
        index=torch.arange(len(hot), device=hot.device),
        g=g,
        best_f=torch.zeros_like(problem.a),
        best_g=g,
        stage_g=g,
        best=full(INFINITY),
        limit=full(INFINITY),
        gap=full(GAP_FIRST),
        epsilon=hot,
        stage_epsilon=full(INFINITY),
        cooling=cooling,
        stage_error=full(STAGE_ERROR),
        refused=count,
        idle=count,
        done=count > 0,
    )


def solve_newton(
    problem: Problem, *, iterations: int, tolerance: float | None
) -> tuple[Tensor, Tensor, Tensor, int]:
    """Potentials f (B,N) and g (B,M), the marginal error (B,), and the iterations taken.

    f meets its marginal exactly, so the error is that of g's side. With a tolerance the problems that have
    reached it leave the batch; without, all iterations run and nothing is read back from the device.
    """
    state = _start(problem, iterations)
    f, g, error = torch.zeros_like(problem.a), torch.zeros_like(problem.b), torch.zeros_like(problem.epsilon)
    goal = tolerance if tolerance is not None else (1e-10 if f.dtype == torch.float64 else 1e-6)
    active = problem
    used = 0
    for step in range(iterations):
        used = step + 1
        _iterate(active, state, goal=goal, warm=step < 0.4 * iterations, last=step >= 0.6 * iterations)
        if tolerance is None:
            continue
        left = int((~state.done).sum())
        if left == 0:
            break
        if left <= 0.85 * len(state.done):
            _keep(state, state.done, f, g, error)
            active, state = active.select(~state.done), state.select(~state.done)
    _keep(state, torch.ones_like(state.done), f, g, error)
    return f, g, error, used


def _keep(state: _State, chosen: Tensor, f: Tensor, g: Tensor, error: Tensor) -> None:
    index = state.index[chosen]
    f[index], g[index], error[index] = state.best_f[chosen], state.best_g[chosen], state.best[chosen]


def _iterate(problem: Problem, state: _State, *, goal: float, warm: bool, last: bool) -> None:
    """One evaluation of the plan, the verdict on the step that led to it, and the next step.

    `warm`: there is time left to reheat a stalled problem; `last`: no more time to follow the path.
    """
    target = problem.epsilon
    if last:
        early = state.epsilon > target
        state.epsilon = target
        state.best = torch.where(early, INFINITY, state.best)
        state.limit = torch.where(early, INFINITY, state.limit)
    epsilon, g = state.epsilon, state.g
    f, shares, columns = _plan(problem, g, epsilon)
    if problem.tau[1] == 0.0:
        error = torch.zeros_like(epsilon)
    else:
        error = (columns - wanted(problem.b, g, problem.tau[1])).abs().sum(1) / problem.mass

    accepted = error < state.limit  # a NaN is not
    ratio = torch.where(torch.isfinite(state.best), error / state.best, 1.0)
    eased = state.gap * (0.3 * ratio).clamp(0.1, 0.3)
    state.gap = torch.where(accepted, eased, 10.0 * state.gap).clamp(_least_gap(g), 1.0)
    improved = (accepted & ~state.done)[:, None]
    state.best_f = torch.where(improved, f, state.best_f)
    state.best_g = torch.where(improved, g, state.best_g)
    state.best = torch.where(improved[:, 0], error, state.best)
    state.limit = torch.where(accepted, error, state.limit)
    state.idle = torch.where(accepted & (ratio < 0.7), 0, state.idle + 1)
    final = epsilon <= target
    state.done = state.done | (accepted & final & (error <= goal))

    # A step that was refused is tried again at a quarter of its length, then taken anew from the best point.
    state.refused = torch.where(accepted, 0, state.refused + 1)
    anew = state.refused >= 2
    state.refused = torch.where(anew, 0, state.refused)
    state.limit = torch.where(anew, INFINITY, state.limit)
    shorter = state.best_g + torch.where(anew, 0.0, 0.25)[:, None] * (g - state.best_g)
    step = _newton_step(problem, shares, columns, g, epsilon, state.gap)
    g = torch.where(accepted[:, None], g + step, shorter)

    cooler = torch.maximum(epsilon * state.cooling, target)
    ahead = accepted & ~final & (error < state.stage_error)
    known = (ahead & torch.isfinite(state.stage_epsilon))[:, None]
    slope = (g - state.stage_g) / torch.where(known, (epsilon - state.stage_epsilon)[:, None], 1.0)
    predicted = torch.where(known, g + slope * (cooler - epsilon)[:, None], g)
    state.stage_g = torch.where(ahead[:, None], g, state.stage_g)
    state.stage_epsilon = torch.where(ahead, epsilon, state.stage_epsilon)
    state.g, state.epsilon = predicted, torch.where(ahead, cooler, epsilon)
    state.best = torch.where(ahead, INFINITY, state.best)
    state.limit = torch.where(ahead, FIRST_ERROR, state.limit)
    state.gap = torch.where(ahead, state.gap.clamp(GAP_STAGE, GAP_FIRST), state.gap)
    state.idle = torch.where(ahead, 0, state.idle)
    if warm:
        _reheat(problem, state)


def _reheat(problem: Problem, state: _State) -> None:
    """Send stalled problems back to a higher temperature, to be cooled more slowly and followed more
    closely."""
    stalled = (state.idle >= STALLED) & ~state.done
    hottest = torch.maximum(problem.cost.flatten(1).amax(1) * START, problem.epsilon)
    state.epsilon = torch.where(stalled, torch.minimum(state.epsilon * REHEAT, hottest), state.epsilon)
    state.cooling = torch.where(stalled, state.cooling.sqrt(), state.cooling)
    state.stage_error = torch.where(stalled, 0.1 * state.stage_error, state.stage_error)
    state.stage_epsilon = torch.where(stalled, INFINITY, state.stage_epsilon)
    state.g = torch.where(stalled[:, None], state.best_g, state.g)
    state.best = torch.where(stalled, INFINITY, state.best)
    state.limit = torch.where(stalled, INFINITY, state.limit)
    state.gap = torch.where(stalled, GAP_FIRST, state.gap)
    state.idle = torch.where(stalled, 0, state.idle)


def _plan(problem: Problem, g: Tensor, epsilon: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """f (B,N) that meets the source marginal for g, Q = diag(r)^(-1/2) P (B,N,M), and the column sums
    (B,M)."""
    tau = problem.tau[0]
    log_b = safe_log(problem.b)[:, None, :]
    exponent = (g[:, None, :] - problem.cost).div_(epsilon[:, None, None]).add_(log_b)
    peak = exponent.amax(2)
    kernel = exponent.sub_(peak[:, :, None]).exp_()
    sums = kernel.sum(2)
    f = -damping(tau, epsilon)[:, None] * epsilon[:, None] * (peak + sums.log())
    roots = wanted(problem.a, f, tau).sqrt()
    shares = kernel.mul_((roots / sums)[:, :, None])
    columns = torch.where(problem.b > 0, torch.bmm(roots[:, None, :], shares)[:, 0], 0.0)
    return f, shares, columns


def _newton_step(
    problem: Problem, shares: Tensor, columns: Tensor, g: Tensor, epsilon: Tensor, gap: Tensor
) -> Tensor:
    """(B,M) what to add to g: the solution of (I - (1 - gap) T') s = T(g) - g."""
    tau_a, tau_b = problem.tau
    damped = damping(tau_b, epsilon)
    safe = columns.clamp(min=1e-30)
    shift = damped[:, None] * (g + epsilon[:, None] * (safe_log(problem.b) - safe.log())) - g
    shift = torch.where(problem.b > 0, shift, 0.0)
    scale = safe.sqrt()
    scaled = shares.mul_((1.0 / scale)[:, None, :])
    system = torch.bmm(scaled.transpose(1, 2), scaled)
    system.mul_(-((1.0 - gap) * damped * damping(tau_a, epsilon))[:, None, None])
    system.diagonal(dim1=1, dim2=2).add_(1.0)
    factor, failed = torch.linalg.cholesky_ex(system)
    step = torch.cholesky_solve((shift * scale)[:, :, None], factor)[:, :, 0] / scale
    sound = (failed == 0)[:, None] & torch.isfinite(step).all(1, keepdim=True)
    return torch.where(sound, step, shift)  # else Sinkhorn's own step


def _least_gap(values: Tensor) -> float:
    return 1e-9 if values.dtype == torch.float64 else 1e-5
