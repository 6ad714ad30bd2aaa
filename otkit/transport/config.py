"""Settings of the entropic solver."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from otkit.errors import ConfigError

__all__ = ["SinkhornConfig"]

Penalty = float | None


@dataclasses.dataclass(frozen=True)
class SinkhornConfig:
    """How transport problems are solved, and how gradients are taken through the solution.

    The defaults solve to a marginal error of 1e-6, because Newton's last step from 1e-3 costs one iteration
    of some fifteen: the plan of a pair is then the same in any batch, and a training step of 24 pairs spends
    a few hundredths of a second on it. Below eps = 1e-4 of the mean cost raise `max_iterations`.
    """

    epsilon: float = 0.05
    """Entropic temperature, in `unit`."""
    tau: float | tuple[float | None, float | None] | None = None
    """KL penalty on the (source, target) marginal, in `unit`: None is a hard marginal, 0 a free one."""
    unit: str = "cost"
    """What epsilon and tau are counted in: the "cost", or each problem's own "mean-cost" over its real units."""
    max_iterations: int = 300
    """The most iterations that a problem may take (ten times as many of the GPU kernel's, which are plain); with
    `tolerance=None` the number that all take (30 do, in `envelope` mode, down to eps = 1e-3 of the mean cost)."""
    tolerance: float | None = 1e-6
    """Stop at this marginal error, each problem by itself; None: a fixed number of iterations, without host
    syncs. On a GPU with Triton, in `envelope` mode, a tolerance of 1e-4 or more needs none either: fp32 problems of at
    most 128 units a side stop by themselves inside one kernel, others take 30 iterations."""
    gradient: Literal["envelope", "unroll"] = "envelope"
    """`envelope` for losses on `value` (the loop runs without autograd), `unroll` for losses on the plan."""

    def __post_init__(self) -> None:
        def finite(name: str, value: float | None, *, least: float, strict: bool) -> None:
            if value is None:
                return
            if not math.isfinite(value) or value < least or (strict and value == least):
                bound = "greater than" if strict else "at least"
                raise ConfigError(f"{name} is {value}", remedy=f"give a finite number {bound} {least:g}")

        if self.unit not in ("cost", "mean-cost"):
            raise ConfigError(f"unknown unit {self.unit!r}", remedy="choose cost or mean-cost")
        finite("epsilon", self.epsilon, least=0.0, strict=True)
        finite("tolerance", self.tolerance, least=0.0, strict=True)
        for tau in self.penalties:
            finite("tau", tau, least=0.0, strict=False)
        if self.penalties == (0.0, 0.0):
            raise ConfigError(
                "tau frees both marginals", remedy="keep at least one side above 0, or None (hard)"
            )
        if self.max_iterations < 1:
            raise ConfigError(f"max_iterations is {self.max_iterations}", remedy="allow at least 1")
        if self.gradient not in ("envelope", "unroll"):
            raise ConfigError(f"unknown gradient {self.gradient!r}", remedy="choose envelope or unroll")

    @property
    def relative(self) -> bool:
        """True where epsilon and tau are in units of each problem's mean cost, False where of the cost."""
        return self.unit == "mean-cost"

    @property
    def penalties(self) -> tuple[Penalty, Penalty]:
        """tau as a (source, target) pair."""
        if isinstance(self.tau, tuple | list):
            if len(self.tau) != 2:
                raise ConfigError(
                    f"tau has {len(self.tau)} entries", remedy="give one number or a (source, target) pair"
                )
            return self.tau[0], self.tau[1]
        return self.tau, self.tau
