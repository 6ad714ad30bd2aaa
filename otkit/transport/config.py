"""Settings of the entropic solver."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

from otkit.errors import ConfigError

__all__ = ["EPSILON", "SinkhornConfig", "one_temperature"]

Penalty = float | None

EPSILON = 0.05
"""The temperature where none is given, in units of the cost."""


def one_temperature(epsilon: float | None, epsilon_relative: float | None) -> dict[str, Any]:
    """Both fields of a temperature for `dataclasses.replace`, so that what is given wins over what a configuration
    has in the other unit; nothing where nothing is given."""
    if epsilon is None and epsilon_relative is None:
        return {}
    check_temperature(epsilon, epsilon_relative)
    return {"epsilon": epsilon, "epsilon_relative": epsilon_relative}


def check_temperature(epsilon: float | None, epsilon_relative: float | None) -> None:
    """Refuse a temperature in two units at once."""
    if epsilon is not None and epsilon_relative is not None:
        raise ConfigError(
            f"epsilon {epsilon} and epsilon_relative {epsilon_relative} are one temperature in two units",
            remedy="give one of them",
            setting="epsilon",
        )


@dataclasses.dataclass(frozen=True)
class SinkhornConfig:
    """How transport problems are solved, and how gradients are taken through the solution.

    The defaults solve to a marginal error of 1e-6, because Newton's last step from 1e-3 costs one iteration
    of some fifteen: the plan of a pair is then the same in any batch, and a training step of 24 pairs spends
    a few hundredths of a second on it. Below eps = 1e-4 of the mean cost raise `max_iterations`.
    """

    epsilon: float | None = None
    """Entropic temperature, in units of the cost; `EPSILON` where neither it nor the next is given."""
    epsilon_relative: float | None = None
    """The same in units of each problem's own mean cost over its real units; both is an error."""
    tau: float | tuple[float | None, float | None] | None = None
    """KL penalty on the (source, target) marginal, in the unit of the temperature: None is a hard marginal, 0 a
    free one."""
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

        check_temperature(self.epsilon, self.epsilon_relative)
        if self.epsilon is None and self.epsilon_relative is None:
            object.__setattr__(self, "epsilon", EPSILON)
        finite("epsilon", self.epsilon, least=0.0, strict=True)
        finite("epsilon_relative", self.epsilon_relative, least=0.0, strict=True)
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
    def temperature(self) -> float:
        """epsilon as a number, in the unit that `relative` tells."""
        found = self.epsilon if self.epsilon_relative is None else self.epsilon_relative
        assert found is not None  # filled in where neither was given
        return found

    @property
    def relative(self) -> bool:
        """True where epsilon and tau are in units of each problem's mean cost, False where of the cost."""
        return self.epsilon_relative is not None

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
