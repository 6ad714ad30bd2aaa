"""How fast transport is beside GeomLoss and POT, at the same marginal error, in one run.

    python -m benchmarks.transport [--threads 2] [--batch 256] [--rounds 5] [--cpu-time]

Sentences of 8 to 64 words with 384-dimensional vectors whose distances have the mean and the spread of
those between the sample encoder's words (3.7 and 0.57; Euclidean cost, eps 0.05, as in the paper). The
contestants take turns, the best round of each counts, and every ratio is between two rows of the same
table.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import time
from collections.abc import Callable
from functools import partial

import ot as pot
import torch
from geomloss import SamplesLoss
from torch import Tensor

from benchmarks.common import show
from otkit.transport.config import SinkhornConfig
from otkit.transport.cost import pairwise_cost
from otkit.transport.divergence import sinkhorn_divergence
from otkit.transport.sinkhorn import sinkhorn

EPSILON = 0.05
POT_ITERATIONS = (10, 20, 50, 100, 200, 400, 800, 1600)


@dataclasses.dataclass
class Row:
    """One contestant: `run` does the work and returns values or plans, `error` is what it leaves of the
    marginals."""

    group: str
    name: str
    run: Callable[[], Tensor]
    error: float
    against: str | None = None
    seconds: float = float("inf")
    deviation: float | None = None


def sentences(batch: int, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Padded word vectors and uniform weights: targets are noisy, shuffled sources, with some words of
    their own."""
    generator = torch.Generator().manual_seed(seed)
    # A falling spectrum spreads the distances as an encoder's does; white noise in 384 dimensions would not.
    spectrum = torch.arange(1, 385).float().pow(-0.75)
    spectrum *= 3.7 / 2**0.5 / float(spectrum.norm())
    sides: list[list[Tensor]] = [[], []]
    for _ in range(batch):
        n = int(torch.randint(8, 65, (1,), generator=generator))
        m = min(64, max(8, round(n * (0.8 + 0.4 * float(torch.rand(1, generator=generator))))))
        x = torch.randn(n, 384, generator=generator) * spectrum
        fresh = torch.randn(m, 384, generator=generator) * spectrum
        shared = torch.randperm(n, generator=generator)[: int(0.8 * min(n, m))]
        fresh[: len(shared)] = 0.7 * x[shared] + 0.7 * fresh[: len(shared)]
        sides[0].append(x)
        sides[1].append(fresh[torch.randperm(m, generator=generator)])
    vectors = [torch.nn.utils.rnn.pad_sequence(side, batch_first=True) for side in sides]
    weights = [
        torch.nn.utils.rnn.pad_sequence([torch.full((len(v),), 1 / len(v)) for v in side], batch_first=True)
        for side in sides
    ]
    return vectors[0], vectors[1], weights[0], weights[1]


def marginal_error(plan: Tensor, a: Tensor, b: Tensor) -> float:
    """The mean over problems of |P1 - a|_1 + |P^T 1 - b|_1."""
    return float(((plan.sum(2) - a).abs().sum(1) + (plan.sum(1) - b).abs().sum(1)).mean())


def timed(run: Callable[[], Tensor], clock: Callable[[], float]) -> float:
    begin = clock()
    run()
    return clock() - begin


def divergence_rows(x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> list[Row]:
    """Divergences with their gradients: GeomLoss at two settings, otkit at its default and at their
    errors."""
    x, cost = x.clone().requires_grad_(True), pairwise_cost(x, y, cost="euclidean")
    real = (a > 0)[:, :, None] & (b > 0)[:, None, :]

    def with_gradient(value: Tensor) -> Tensor:
        x.grad = None
        torch.autograd.backward(value.sum())
        return value.detach()

    def geomloss(scaling: float) -> tuple[Callable[[], Tensor], float]:
        options = {"p": 1, "blur": EPSILON, "scaling": scaling, "backend": "tensorized"}
        loss = SamplesLoss("sinkhorn", **options)
        with torch.no_grad():
            f, g = SamplesLoss("sinkhorn", debias=False, potentials=True, **options)(a, x, b, y)
            exponent = torch.where(real, (f[:, :, None] + g[:, None, :] - cost) / EPSILON, -torch.inf)
            plan = exponent.exp() * a[:, :, None] * b[:, None, :]
        return lambda: with_gradient(loss(a, x, b, y)), marginal_error(plan, a, b)

    def otkit(tolerance: float) -> tuple[Callable[[], Tensor], float]:
        config = SinkhornConfig(epsilon=EPSILON, tolerance=tolerance)

        def run() -> Tensor:
            return with_gradient(sinkhorn_divergence(x, y, a, b, cost="euclidean", config=config).value)

        with torch.no_grad():
            plan = sinkhorn(cost, a, b, config=config).matrix
        return run, marginal_error(plan, a, b)

    rows = []
    for scaling in (0.5, 0.9):
        name = f"GeomLoss SamplesLoss, scaling {scaling}"
        run, error = geomloss(scaling)
        rows.append(Row("divergence, forward and backward", name, run, error))
        rows.append(Row(rows[-1].group, f"otkit, tolerance {error:.2g}", *otkit(error), against=name))
    default = SinkhornConfig().tolerance or 1e-6
    for scaling in (0.5, 0.9):
        name = f"GeomLoss SamplesLoss, scaling {scaling}"
        rows.append(Row(rows[0].group, f"otkit, tolerance {default:.2g}", *otkit(default), against=name))
    best = rows[-1].run()
    for row in rows:
        row.deviation = float(((row.run() - best) / best).abs().max())
    return rows


def plan_rows(cost: Tensor, a: Tensor, b: Tensor) -> list[Row]:
    """Plans: POT with the fewest iterations that reach an error, and otkit with that error as its
    tolerance."""

    def with_pot(iterations: int) -> Tensor:
        solved = pot.batch.solve_batch(cost, reg=EPSILON, a=a, b=b, max_iter=iterations, tol=0.0)
        plan: Tensor = solved.plan
        return plan

    def with_otkit(tolerance: float) -> Tensor:
        return sinkhorn(cost, a, b, config=SinkhornConfig(epsilon=EPSILON, tolerance=tolerance)).matrix

    rows = []
    errors: dict[int, float] = {}
    for level in (1e-1, 1e-2, 1e-3):
        for iterations in POT_ITERATIONS:
            if min(errors.values(), default=torch.inf) > level:
                errors.setdefault(iterations, marginal_error(with_pot(iterations), a, b))
        enough = [iterations for iterations, error in errors.items() if error <= level]
        if not enough:
            continue
        name = f"POT solve_batch, {enough[0]} iterations"
        group, error = f"plan, mean marginal error at most {level:g}", errors[enough[0]]
        rows.append(Row(group, name, partial(with_pot, enough[0]), error))
        mine = marginal_error(with_otkit(error), a, b)
        rows.append(
            Row(group, f"otkit, tolerance {error:.2g}", partial(with_otkit, error), mine, against=name)
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--cpu-time", action="store_true", help="processor seconds, for a machine that others use too"
    )
    options = parser.parse_args()
    clock = time.process_time if options.cpu_time else time.perf_counter
    torch.set_num_threads(options.threads)
    x, y, a, b = sentences(options.batch)
    cost = pairwise_cost(x, y, cost="euclidean")
    real = cost[(a > 0)[:, :, None] & (b > 0)[:, None, :]]
    rows = divergence_rows(x, y, a, b) + plan_rows(cost, a, b)
    for _ in range(options.rounds):
        for row in rows:
            row.seconds = min(row.seconds, timed(row.run, clock))
    print(
        f"B={options.batch} sentences of 8 to 64 words, {options.threads} threads, Euclidean cost "
        f"(mean {float(real.mean()):.2f}, deviation {float(real.std()):.2f}), eps {EPSILON}, best of {options.rounds}, "
        f"{'processor' if options.cpu_time else 'wall'} time\n"
    )
    for group, members in itertools.groupby(rows, key=lambda row: row.group):
        table = []
        for row in members:
            deviation = None if row.deviation is None else f"{row.deviation:.1e}"
            rival = next((r for r in rows if r.group == group and r.name == row.against), None)
            ratio = f"{rival.seconds / row.seconds:.2f}" if rival else None
            table.append((row.name, round(options.batch / row.seconds), f"{row.error:.1e}", deviation, ratio))
        show(group, ("", "problems/s", "marginal error", "value off by", "times faster"), table)
    print(
        "\nEqual error: the tolerance, which each of otkit's problems must meet, is the rival's mean over\n"
        "the problems of |P1 - a|_1 + |P^T 1 - b|_1, so that otkit's mean is at most the rival's.\n"
        "'value off by' is the largest relative difference to the converged divergence."
    )


if __name__ == "__main__":
    main()
