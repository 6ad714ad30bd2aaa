"""How long and how fast a run trains."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from otkit.errors import ConfigError, choose

__all__ = ["PRECISIONS", "SCHEDULES", "TrainingSettings", "decayed_groups", "learning_rate", "total_steps"]

PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}
SCHEDULES: dict[str, Callable[[float], float]] = {
    "linear": lambda done: 1.0 - done,
    "constant": lambda done: 1.0,
}


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast to train.

    epochs, steps   length in epochs, or in optimiser steps (which wins where both are given)
    grad_accum      micro-steps of a process whose gradients are averaged into one optimiser step
    lr              peak learning rate of Adam
    warmup          share of all steps over which the learning rate rises from 0, in [0, 1)
    schedule        what follows the warm-up: "linear" decay to 0, or "constant"
    weight_decay    decoupled weight decay (AdamW) of matrices; biases and norms have none; 0 is Adam
    max_grad_norm   gradients are scaled down to this norm (None: not clipped)
    precision       "fp32", or autocast to "bf16" or "fp16"
    eval_every, save_every, log_every   in optimiser steps (None: only at the end; see `save_minutes`; every step, and
                    on a GPU, which would wait for the host each time, every tenth)
    save_minutes    without `save_every`: minutes from one checkpoint to the next (None: none)
    keep            checkpoints to keep
    """

    epochs: float = 1.0
    steps: int | None = None
    grad_accum: int = 1
    lr: float = 5e-5
    warmup: float = 0.0
    schedule: str = "linear"
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    max_grad_norm: float | None = 1.0
    precision: str = "fp32"
    eval_every: int | None = None
    save_every: int | None = None
    save_minutes: float | None = None
    log_every: int | None = None
    keep: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        choose(self.precision, PRECISIONS, what="precision")
        choose(self.schedule, SCHEDULES, what="schedule")
        for name in ("steps", "grad_accum", "eval_every", "save_every", "log_every", "keep"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}", remedy="give a number of at least 1")
        if self.save_minutes is not None and not self.save_minutes > 0:
            raise ConfigError(f"save_minutes is {self.save_minutes}", remedy="give minutes above 0")
        if not (self.epochs > 0 and self.lr > 0 and 0 <= self.warmup < 1):
            raise ConfigError(
                f"epochs {self.epochs}, lr {self.lr}, warm-up {self.warmup} do not fit",
                remedy="epochs and lr above 0, warm-up a share of the steps in [0, 1)",
            )


def total_steps(config: TrainingSettings, micro_steps_per_epoch: int, *, processes: int = 1) -> int:
    """Optimiser steps of a whole run."""
    a_step = config.grad_accum * processes
    return config.steps or max(1, math.ceil(micro_steps_per_epoch * config.epochs / a_step))


def learning_rate(step: int, steps: int, config: TrainingSettings) -> float:
    """The learning rate at a step as a share of its peak."""
    warm = config.warmup * steps
    if step < warm:
        return (step + 1) / (warm + 1)
    return SCHEDULES[config.schedule]((step - warm) / max(steps - warm, 1))


def decayed_groups(weights: Sequence[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups of AdamW: matrices decay; biases and the scales of norms, which are vectors, do not, as
    the fine-tuning scripts of BERT and XTREME have it."""
    matrices = [weight for weight in weights if weight.ndim > 1]
    vectors = [weight for weight in weights if weight.ndim <= 1]
    groups = ((matrices, weight_decay), (vectors, 0.0))
    return [{"params": part, "weight_decay": decay} for part, decay in groups if part]
