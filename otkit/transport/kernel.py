"""Sinkhorn's iterations as Triton kernels: one program a problem, its cost matrix held in registers.

Potentials in units of the cost, single precision, exponentials base 2 with the maxima subtracted. This module is
imported where Triton is; `fused` decides when.
"""

from __future__ import annotations

import triton
import triton.language as tl

from otkit.transport import newton, problem

__all__ = ["cross_kernel", "self_kernel"]

LOG2_E = tl.constexpr(1.4426950408889634)
NOTHING = tl.constexpr(problem.NOTHING)
TINY = tl.constexpr(problem.TINY)
START = tl.constexpr(newton.START)  # of the largest cost, where the path of falling temperatures begins
COOLING = tl.constexpr(newton.COOLING)
# Over-relaxation: beyond the answer by a half. Near the solution any factor below 2 converges (Thibault et al. 2017,
# "Overrelaxed Sinkhorn-Knopp algorithm"); on sentences this takes a third of the sweeps away.
BEYOND = tl.constexpr(1.5)
NEAR = tl.constexpr(0.3)  # the marginal error below which it is tried


@triton.jit
def _log_weights(weights):
    return tl.where(weights > 0, tl.log2(tl.where(weights > 0, weights, 1.0)), NOTHING)


@triton.jit
def _log_sum(exponent, axis: tl.constexpr):
    """log2 sum_k 2^x over an axis."""
    peak = tl.max(exponent, axis)
    return peak + tl.log2(tl.sum(tl.exp2(exponent - tl.expand_dims(peak, axis)), axis))


@triton.jit
def _read(cost_at, a_at, b_at, n, m, SIZE: tl.constexpr):
    """A problem of n by m as (SIZE,SIZE) costs, 0 at padding, and (SIZE,) weights."""
    row = tl.program_id(0).to(tl.int64)
    i, j = tl.arange(0, SIZE), tl.arange(0, SIZE)
    a = tl.load(a_at + row * n + i, mask=i < n, other=0.0)
    b = tl.load(b_at + row * m + j, mask=j < m, other=0.0)
    inside = (i[:, None] < n) & (j[None, :] < m)
    cost = tl.load(cost_at + row * n * m + i[:, None] * m + j[None, :], mask=inside, other=0.0)
    real = (a[:, None] > 0) & (b[None, :] > 0)
    return tl.where(real, cost, 0.0), a, b


@triton.jit
def _settled(potential, own, other):
    """0 at padding, and where the other side is empty."""
    return tl.where(own * tl.sum(other, 0) > 0, potential, 0.0)


@triton.jit
def _write_plan(plan_at, cost, f, g, a, b, epsilon, n, m, SIZE: tl.constexpr):
    """a_i b_j exp((f_i + g_j - C_ij) / eps), 0 at padding, and its mass."""
    row = tl.program_id(0).to(tl.int64)
    i, j = tl.arange(0, SIZE), tl.arange(0, SIZE)
    real = (a[:, None] > 0) & (b[None, :] > 0)
    exponent = tl.where(real, (f[:, None] + g[None, :] - cost) * (LOG2_E / epsilon), 0.0)
    plan = a[:, None] * b[None, :] * tl.exp2(exponent)
    inside = (i[:, None] < n) & (j[None, :] < m)
    tl.store(plan_at + row * n * m + i[:, None] * m + j[None, :], plan, mask=inside)
    return tl.sum(tl.sum(plan, 1), 0)


@triton.jit
def _utility(potential, tau, SOFT: tl.constexpr):
    """What a unit of weight earns in the dual: f where the marginal is hard, tau (1 - exp(-f/tau)) where it is soft."""
    earned = potential
    if SOFT:
        # Where f is a thousandth of tau the difference from 1 is mostly rounding, and two terms of the series do.
        share = potential / tau
        earned = tl.where(
            tl.abs(share) < 1e-3, potential * (1.0 - 0.5 * share), tau * (1.0 - tl.exp2(-share * LOG2_E))
        )
    return earned


@triton.jit(do_not_specialize=["n", "m", "sweeps"])
def cross_kernel(
    cost_at,
    a_at,
    b_at,
    epsilon_at,
    f_at,
    g_at,
    plan_at,
    value_at,
    error_at,
    n,
    m,
    sweeps,
    tolerance,
    tau_a,
    tau_b,
    SOFT_A: tl.constexpr,
    SOFT_B: tl.constexpr,
    SIZE: tl.constexpr,
):
    """Potentials f and g of each problem, its plan, its value and its marginal error; f meets its marginal exactly."""
    row = tl.program_id(0).to(tl.int64)
    i = tl.arange(0, SIZE)
    cost, a, b = _read(cost_at, a_at, b_at, n, m, SIZE)
    log_a, log_b = _log_weights(a), _log_weights(b)
    lesser = tl.minimum(tl.sum(a, 0), tl.sum(b, 0))
    mass = tl.maximum(lesser, TINY)
    goal = tl.load(epsilon_at + row)
    epsilon = tl.maximum(tl.max(tl.max(cost, 1), 0) * START, goal)
    f, g = a * 0.0, b * 0.0
    error = float("inf")
    step = 0
    while (step < sweeps) & (error > tolerance):
        scale = LOG2_E / epsilon
        f = -_log_sum((g[None, :] - cost) * scale + log_b[None, :], 1) / scale
        if SOFT_A:
            f = f * (tau_a / (tau_a + epsilon))
        received = _log_sum((f[:, None] - cost) * scale + log_a[:, None], 0)
        target = b
        answer = -received / scale
        if SOFT_B:
            target = b * tl.exp2(-g * (LOG2_E / tau_b))
            answer = answer * (tau_b / (tau_b + epsilon))
        # At padding a power may be infinite, and 0 times that is not a number.
        missed = tl.where(b > 0, tl.abs(b * tl.exp2(g * scale + received) - target), 0.0)
        miss = tl.where(lesser > 0, tl.sum(missed, 0) / mass, 0.0)
        error = tl.where(epsilon <= goal, miss, float("inf"))
        step += 1
        # The error is that of the g before, which is therefore kept at the end.
        ends = (error <= tolerance) | (step >= sweeps)
        far = tl.where(error < NEAR, BEYOND, 1.0)
        if SOFT_B:
            far = 1.0
        g = tl.where(ends, g, g + far * (answer - g))
        epsilon = tl.maximum(epsilon * COOLING, goal)
    f, g = _settled(f, a, b), _settled(g, b, a)
    tl.store(f_at + row * n + i, f, mask=i < n)
    tl.store(g_at + row * m + i, g, mask=i < m)
    tl.store(error_at + row, error)
    moved = _write_plan(plan_at, cost, f, g, a, b, goal, n, m, SIZE)
    earned = tl.sum(a * _utility(f, tau_a, SOFT_A), 0) + tl.sum(b * _utility(g, tau_b, SOFT_B), 0)
    tl.store(value_at + row, earned - goal * (moved - tl.sum(a, 0) * tl.sum(b, 0)))


@triton.jit(do_not_specialize=["n", "sweeps"])
def self_kernel(
    cost_at,
    a_at,
    epsilon_at,
    f_at,
    plan_at,
    value_at,
    error_at,
    n,
    sweeps,
    tolerance,
    tau,
    SOFT: tl.constexpr,
    SIZE: tl.constexpr,
):
    """The one potential of each symmetric problem by averaged updates, its plan, its value and its marginal error."""
    row = tl.program_id(0).to(tl.int64)
    i = tl.arange(0, SIZE)
    cost, a, _ = _read(cost_at, a_at, a_at, n, n, SIZE)
    log_a = _log_weights(a)
    mass = tl.maximum(tl.sum(a, 0), TINY)
    epsilon = tl.load(epsilon_at + row)
    scale = LOG2_E / epsilon
    f = a * 0.0
    error = float("inf")
    step = 0
    while (step < sweeps) & (error > tolerance):
        received = _log_sum((f[None, :] - cost) * scale + log_a[None, :], 1)
        answer = -received / scale
        target = a
        if SOFT:
            answer = answer * (tau / (tau + epsilon))
            target = a * tl.exp2(-f * (LOG2_E / tau))
        missed = tl.where(a > 0, tl.abs(a * tl.exp2(f * scale + received) - target), 0.0)
        error = 2.0 * tl.sum(missed, 0) / mass
        step += 1
        ends = (error <= tolerance) | (step >= sweeps)
        f = tl.where(ends, f, 0.5 * (f + answer))
    f = _settled(f, a, a)
    tl.store(f_at + row * n + i, f, mask=i < n)
    tl.store(error_at + row, error)
    moved = _write_plan(plan_at, cost, f, f, a, a, epsilon, n, n, SIZE)
    weight = tl.sum(a, 0)
    earned = 2.0 * tl.sum(a * _utility(f, tau, SOFT), 0)
    tl.store(value_at + row, earned - epsilon * (moved - weight * weight))
