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

from otkit.transport.problem import TINY, Problem, Solution, damping, target_marginal

__all__ = ["solve_newton"]

COOLING = 0.7
START = 0.25  # of the largest cost
STAGE_ERROR = 0.3  # a marginal error good enough to lower eps
FIRST_ERROR = 0.6  # and one too bad to accept after lowering it
GAP = 3e-3  # at each new temperature
STALLED = 6  # iterations without progress before a problem is reheated
REHEAT = 20.0
INFINITY = math.inf


@dataclasses.dataclass
class _State:
    """Everything per problem that the loop changes; `index` says which of the batch it is."""

    index: Tensor
    epsilon: Tensor
    g: Tensor
    best_f: Tensor
    best_g: Tensor
    error: Tensor  # marginal error of best_g
    best: Tensor  # the same, or how bad the next point may be; a step that does worse is taken back
    gap: Tensor
    stage_g: Tensor  # where g was at the eps before
    stage_epsilon: Tensor
    cooling: Tensor
    stage_error: Tensor
    refused: Tensor  # steps taken back in a row
    idle: Tensor  # iterations without progress
    done: Tensor

    def select(self, keep: Tensor) -> _State:
        return _State(**{field.name: getattr(self, field.name)[keep] for field in dataclasses.fields(self)})


def _start(problem: Problem, iterations: int) -> _State:
    hot = torch.maximum(problem.largest * START, problem.epsilon) if iterations >= 4 else problem.epsilon
    # With few iterations the path is steeper, so that it always ends at the temperature that was asked for.
    cooling = (problem.epsilon / hot).pow(1.0 / max(0.6 * iterations, 1.0)).clamp(max=COOLING)
    g = torch.zeros_like(problem.b)
    count = torch.zeros_like(hot, dtype=torch.long)
    return _State(
        index=torch.arange(len(hot), device=hot.device),
        epsilon=hot,
        g=g,
        best_f=torch.zeros_like(problem.a),
        best_g=g,
        error=torch.full_like(hot, INFINITY),
        best=torch.full_like(hot, INFINITY),
        gap=torch.full_like(hot, GAP),
        stage_g=g,
        stage_epsilon=torch.full_like(hot, INFINITY),
        cooling=cooling,
        stage_error=torch.full_like(hot, STAGE_ERROR),
        refused=count,
        idle=count,
        done=count > 0,
    )


def solve_newton(problem: Problem, *, iterations: int, tolerance: float | None) -> Solution:
    """The potentials of any problem.

    f meets its marginal exactly, so the error is that of g's side. With a tolerance the problems that have
    reached it leave the batch; without, all iterations run and nothing is read back from the device.
    """
    state = _start(problem, iterations)
    f, g, error = torch.zeros_like(problem.a), torch.zeros_like(problem.b), torch.zeros_like(problem.epsilon)
    goal = tolerance if tolerance is not None else (1e-10 if f.dtype == torch.float64 else 1e-6)
    active, used = problem, 0
    for step in range(iterations):
        used = step + 1
        if step == math.ceil(0.6 * iterations):
            _make_haste(active, state)
        _iterate(active, state, goal=goal, may_read=tolerance is not None, may_heat=step < 0.4 * iterations)
        if tolerance is None:
            continue
        left = int((~state.done).sum())
        if left == 0:
            break
        if left <= 0.85 * len(state.done):
            _keep(state, state.done, f, g, error)
            active, state = active.select(~state.done), state.select(~state.done)
    if len(state.index) == len(error):  # none has left, and they stand in their order: no index is read back
        return Solution(state.best_f, state.best_g, state.error, used)
    _keep(state, torch.ones_like(state.done), f, g, error)
    return Solution(f, g, error, used)


def _keep(state: _State, chosen: Tensor, f: Tensor, g: Tensor, error: Tensor) -> None:
    index = state.index[chosen]
    f[index], g[index], error[index] = state.best_f[chosen], state.best_g[chosen], state.error[chosen]


def _iterate(problem: Problem, state: _State, *, goal: float, may_read: bool, may_heat: bool) -> None:
    """One evaluation of the plan, the verdict on the step that led to it, and the next step.

    Where the device `may_read` its results back, what only a few problems need is skipped when none does.
    """
    epsilon, g = state.epsilon, state.g
    f, shares, columns = _plan(problem, g, epsilon)
    if problem.tau[1] == 0.0:
        error = torch.zeros_like(epsilon)
    else:
        error = (columns - target_marginal(problem.b, g, problem.tau[1])).abs().sum(1) / problem.mass

    accepted = error < state.best  # a NaN is not
    ratio = error / state.best
    progress = accepted & (ratio < 0.7) & (ratio > 0.0)  # 0 where there was nothing to compare with
    final = epsilon <= problem.epsilon
    newer = accepted & ~state.done
    unanimous = may_read and bool(newer.all())
    if unanimous:
        state.best_f, state.best_g, state.best, state.error = f, g, error, error
        state.gap = state.gap * (0.3 * ratio).clamp(0.1, 0.3)
    else:
        state.best_f = torch.where(newer[:, None], f, state.best_f)
        state.best_g = torch.where(newer[:, None], g, state.best_g)
        state.best = torch.where(newer, error, state.best)
        state.error = torch.where(newer, error, state.error)
        state.gap = state.gap * torch.where(accepted, (0.3 * ratio).clamp(0.1, 0.3), 10.0)
    state.gap = state.gap.clamp(1e-9 if g.dtype == torch.float64 else 1e-5, 1.0)
    state.idle = (state.idle + 1).masked_fill(progress, 0)
    state.done = state.done | (newer & final & (error <= goal))

    state.g = g + _newton_step(problem, shares, columns, g, epsilon, state.gap)
    if not unanimous:
        _take_back(state, g, accepted)
    if not (may_read and bool(final.all())):
        _cool(problem, state, accepted & ~final & (error < state.stage_error))
    if may_heat and not (may_read and bool(state.idle.amax() < STALLED)):
        _heat(problem, state)


def _take_back(state: _State, g: Tensor, accepted: Tensor) -> None:
    """Where the step to g was refused, try a quarter of it, then one anew from the best point with a larger
    gap."""
    refused = (state.refused + 1).masked_fill(accepted, 0)
    anew = refused >= 2
    state.refused = refused.masked_fill(anew, 0)
    state.best = state.best.masked_fill(anew & ~state.done, INFINITY)
    state.gap = torch.where(anew, 10.0 * state.gap, state.gap).clamp(max=1.0)
    back = torch.where(anew[:, None], state.best_g, torch.lerp(state.best_g, g, 0.25))
    state.g = torch.where(accepted[:, None], state.g, back)


def _cool(problem: Problem, state: _State, ahead: Tensor) -> None:
    """Lower eps where the plan is good enough, carrying the potentials over by a secant."""
    epsilon, g = state.epsilon, state.g
    cooler = torch.where(ahead, torch.maximum(epsilon * state.cooling, problem.epsilon), epsilon)
    # Before there is a second point the run is infinite and the slope 0; where eps stays, the rise is 0.
    slope = (g - state.stage_g) / (epsilon - state.stage_epsilon)[:, None]
    state.g = torch.where(ahead[:, None], g + slope * (cooler - epsilon)[:, None], g)
    state.stage_g = torch.where(ahead[:, None], g, state.stage_g)
    state.stage_epsilon = torch.where(ahead, epsilon, state.stage_epsilon)
    state.epsilon = cooler
    state.best = state.best.masked_fill(ahead, FIRST_ERROR)
    state.gap = state.gap.masked_fill(ahead, GAP)
    state.idle = state.idle.masked_fill(ahead, 0)


def _heat(problem: Problem, state: _State) -> None:
    """Send stalled problems back to a higher temperature, to be cooled more slowly and followed more
    closely."""
    stalled = (state.idle >= STALLED) & ~state.done
    hottest = torch.maximum(problem.largest * START, problem.epsilon)
    state.epsilon = torch.where(stalled, torch.minimum(state.epsilon * REHEAT, hottest), state.epsilon)
    state.cooling = torch.where(stalled, state.cooling.sqrt(), state.cooling)
    state.stage_error = torch.where(stalled, 0.1 * state.stage_error, state.stage_error)
    state.gap = state.gap.masked_fill(stalled, GAP)
    _restart(state, stalled)


def _make_haste(problem: Problem, state: _State) -> None:
    """No iterations are left to follow the path: what is not at its end goes there at once."""
    early = state.epsilon > problem.epsilon
    state.epsilon = problem.epsilon
    state.error = state.error.masked_fill(early, INFINITY)
    _restart(state, early)


def _restart(state: _State, chosen: Tensor) -> None:
    state.g = torch.where(chosen[:, None], state.best_g, state.g)
    state.best = state.best.masked_fill(chosen, INFINITY)
    state.stage_epsilon = state.stage_epsilon.masked_fill(chosen, INFINITY)
    state.idle = state.idle.masked_fill(chosen, 0)


def _plan(problem: Problem, g: Tensor, epsilon: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """f (B,N) that meets the source marginal for g, Q = diag(r)^(-1/2) P (B,N,M), and the column sums
    (B,M)."""
    tau = problem.tau[0]
    exponent = (g[:, None, :] - problem.cost).div_(epsilon[:, None, None]).add_(problem.log_b[:, None, :])
    peak = exponent.amax(2, keepdim=True)
    kernel = exponent.sub_(peak).exp_()
    sums = kernel.sum(2)
    f = (peak[:, :, 0] + sums.log()) * -epsilon[:, None] * damping(tau, epsilon)
    roots = target_marginal(problem.a, f, tau).sqrt()
    shares = kernel.mul_((roots / sums)[:, :, None])
    return f, shares, torch.bmm(roots[:, None, :], shares)[:, 0]


def _newton_step(
    problem: Problem, shares: Tensor, columns: Tensor, g: Tensor, epsilon: Tensor, gap: Tensor
) -> Tensor:
    """(B,M) what to add to g: the solution of (I - (1 - gap) T') s = T(g) - g.

    A factorisation that fails gives nonsense, which the next evaluation refuses.
    """
    tau_a, tau_b = problem.tau
    columns = columns.clamp(min=TINY)
    # At padding both weights are TINY, and the shift is 0.
    shift = (problem.b.clamp(min=TINY) / columns).log_() * epsilon[:, None]
    if tau_b is not None:
        shift = damping(tau_b, epsilon) * (g + shift) - g
    roots = columns.sqrt()
    scaled = shares.div_(roots[:, None, :])
    system = torch.bmm(scaled.transpose(1, 2), scaled)
    system.mul_(((gap - 1.0)[:, None] * damping(tau_b, epsilon) * damping(tau_a, epsilon))[:, :, None])
    system.diagonal(dim1=1, dim2=2).add_(1.0)
    factor, _ = torch.linalg.cholesky_ex(system)
    return torch.cholesky_solve((shift * roots)[:, :, None], factor)[:, :, 0] / roots
