"""How long and how fast a run trains."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from otkit.training.settings import TrainingSettings

__all__ = ["PRECISIONS", "SCHEDULES", "decayed_groups", "learning_rate", "total_steps"]

PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}
SCHEDULES: dict[str, Callable[[float], float]] = {
    "linear": lambda done: 1.0 - done,
    "constant": lambda done: 1.0,
}


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
