"""Transport problems: random ones of mixed sizes with zero mass among them, and ones with known answers."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

__all__ = [
    "Gaussian1d",
    "Single",
    "dirac_problem",
    "gaussian_1d",
    "padded_batch",
    "permutation_problem",
    "random_clouds",
    "random_problems",
]


@dataclasses.dataclass(frozen=True)
class Single:
    """One unpadded problem in float64."""

    cost: Tensor
    a: Tensor
    b: Tensor
    epsilon: float


def random_weights(size: int, generator: torch.Generator, *, skew: float) -> Tensor:
    weights = torch.rand(size, generator=generator, dtype=torch.float64).pow(skew) + 1e-3
    return weights / weights.sum()


def random_problems(count: int, *, seed: int = 0) -> list[Single]:
    """Sizes 1 to 24, uniform to strongly skewed weights, three kinds of costs, eps from 0.02 to 1 of the
    mean cost."""
    generator = torch.Generator().manual_seed(seed)
    problems = []
    for number in range(count):
        n, m = (int(v) for v in torch.randint(1, 25, (2,), generator=generator))
        kind = number % 3
        if kind == 0:
            cost = torch.rand(n, m, generator=generator, dtype=torch.float64)
        else:
            width = 2 if kind == 1 else 16
            x = torch.randn(n, width, generator=generator, dtype=torch.float64)
            y = torch.randn(m, width, generator=generator, dtype=torch.float64) + 0.5
            cost = torch.cdist(x, y) if kind == 1 else 0.5 * torch.cdist(x, y).square()
        skew = (0.0, 1.0, 4.0)[number // 3 % 3]
        relative = (0.02, 0.05, 0.2, 1.0)[number % 4]
        problems.append(
            Single(
                cost,
                random_weights(n, generator, skew=skew),
                random_weights(m, generator, skew=skew),
                relative * float(cost.mean()),
            )
        )
    return problems


def padded_batch(
    problems: list[Single], *, extra: int = 0, rubbish: float = float("nan")
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Cost (B,N,M), weights and temperatures (B,) of many problems; the cost at padding is `rubbish`."""
    rows = max(len(p.a) for p in problems) + extra
    columns = max(len(p.b) for p in problems) + extra
    cost = torch.full((len(problems), rows, columns), rubbish, dtype=torch.float64)
    a = torch.zeros(len(problems), rows, dtype=torch.float64)
    b = torch.zeros(len(problems), columns, dtype=torch.float64)
    for i, p in enumerate(problems):
        cost[i, : len(p.a), : len(p.b)] = p.cost
        a[i, : len(p.a)], b[i, : len(p.b)] = p.a, p.b
    return cost, a, b, torch.tensor([p.epsilon for p in problems], dtype=torch.float64)


def random_clouds(
    sizes: list[tuple[int, int]], *, width: int = 5, seed: int = 0, scale: float = 1.0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Padded clouds (B,N,D), (B,M,D) in float64 with random weights; the vectors at padding are not zero."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = max(n for n, _ in sizes), max(m for _, m in sizes)
    x = scale * torch.randn(len(sizes), rows, width, generator=generator, dtype=torch.float64)
    y = scale * torch.randn(len(sizes), columns, width, generator=generator, dtype=torch.float64) + 0.3
    a, b = torch.zeros(x.shape[:2], dtype=torch.float64), torch.zeros(y.shape[:2], dtype=torch.float64)
    for i, (n, m) in enumerate(sizes):
        a[i, :n], b[i, :m] = random_weights(n, generator, skew=1.0), random_weights(m, generator, skew=1.0)
    return x, y, a, b


def permutation_problem(size: int, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Cost (1,N,N) 0 on a permutation and 1 elsewhere, and the permutation: as eps goes to 0 the plan is
    it, over N.

    At any eps the plan has two values: with k = exp(-1/eps), mass 1/N / (1 + (N-1) k) on the permutation.
    """
    order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
    cost = torch.ones(1, size, size, dtype=torch.float64)
    cost[0, torch.arange(size), order] = 0.0
    return cost, torch.full((1, size), 1.0 / size, dtype=torch.float64), order


def dirac_problem(size: int, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """One point of mass 1 against many: the product is the only plan, so OT_eps = <b, C> at every eps."""
    generator = torch.Generator().manual_seed(seed)
    cost = torch.rand(1, 1, size, generator=generator, dtype=torch.float64) * 3
    return cost, torch.ones(1, 1, dtype=torch.float64), random_weights(size, generator, skew=1.0)[None]


@dataclasses.dataclass(frozen=True)
class Gaussian1d:
    """Two normal laws on a grid with half squared costs, and their OT_eps in closed form."""

    x: Tensor
    y: Tensor
    a: Tensor
    b: Tensor
    value: float


def gaussian_1d(
    epsilon: float, *, deviations: tuple[float, float] = (1.0, 0.6), shift: float = 0.7
) -> Gaussian1d:
    """min over couplings of E|X-Y|^2/2 + eps KL(pi | a x b), for N(0, s^2) and N(shift, t^2).

    Couplings are normal with covariance c: the value is (s^2 + t^2 + shift^2)/2 - c - (eps/2) log(1 -
    c^2/(st)^2), and its derivative vanishes at c = (sqrt(eps^2 + 4 (st)^2) - eps) / 2 (Janati et al. 2020,
    section 2, in one dimension).
    """
    s, t = deviations
    product = s * t
    c = ((epsilon**2 + 4 * product**2) ** 0.5 - epsilon) / 2
    value = (s**2 + t**2 + shift**2) / 2 - c
    value -= 0.5 * epsilon * float(torch.log(torch.tensor(1 - (c / product) ** 2, dtype=torch.float64)))
    grids, weights = [], []
    for mean, deviation in ((0.0, s), (shift, t)):
        grid = torch.linspace(-6, 6, 161, dtype=torch.float64) * deviation + mean
        weight = torch.exp(-0.5 * ((grid - mean) / deviation) ** 2)
        grids.append(grid[None, :, None])
        weights.append((weight / weight.sum())[None])
    return Gaussian1d(grids[0], grids[1], weights[0], weights[1], value)
