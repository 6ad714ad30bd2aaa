"""What a run writes down about itself: losses and metrics between two records, speed, memory."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from otkit.errors import TrainingError

__all__ = ["Record", "Tally", "peak_memory", "present_memory"]

Record = dict[str, float | int | str]


class Tally:
    """Losses and metrics since the last record, kept on the device until then so that steps need no host
    sync.
    """

    def __init__(self, step: int) -> None:
        self._reset(step)

    def _reset(self, step: int) -> None:
        self.sums: dict[str, Tensor] = {}
        self.since, self.pairs = step, 0
        self.begun = time.perf_counter()
        self.batches: list[str] = []

    def add(self, batch: Any, losses: Any, grad_accum: int) -> None:
        """Count one batch's losses towards the next record."""
        for name, value in {**losses.parts, **losses.metrics}.items():
            value = value.detach().float() / grad_accum
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.pairs += len(batch.indices)
        self.batches.append(f"{getattr(batch, 'language', '')}:{','.join(map(str, batch.indices[:8]))}")

    def record(
        self,
        step: int,
        lr: float,
        *,
        weights: Sequence[Tensor],
        device: torch.device,
        mean: Callable[[Tensor], Tensor],
        processes: int,
    ) -> Record:
        """The record of the steps since the last one; `mean` averages a vector over all processes.

        A loss that is not finite, or a weight that a gradient made so, ends the run here, before any save, and in all
        processes at once.
        """
        count = max(step - self.since, 1)
        # One transfer for all names, in an order that is the same everywhere.
        names = sorted(self.sums)
        pairs = torch.tensor(float(self.pairs), device=self.sums[names[0]].device)
        norm = get_total_norm([_own_part(weight) for weight in weights]).to(pairs)
        *found, size, shared = mean(torch.stack([*(self.sums[name] for name in names), norm, pairs])).tolist()
        by_name = {name: value / count for name, value in zip(names, found, strict=True)}
        values = {name: by_name[name] for name in self.sums}
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if not bad and not math.isfinite(size):
            bad = ["the weights"]
        if bad:
            raise TrainingError(
                f"{' and '.join(bad)} not finite in steps {self.since + 1} to {step}"
                f" (batches {' '.join(self.batches)[:500]})",
                remedy="lower lr or use precision fp32; continue from the checkpoint before with `resume=True`",
            )
        record: Record = {
            "step": step,
            **values,
            "lr": lr,
            "pairs_per_second": shared * processes / max(time.perf_counter() - self.begun, 1e-9),
            "memory_gb": peak_memory(device),
        }
        self._reset(step)
        return record


def _own_part(weight: Tensor) -> Tensor:
    """What this process holds of a weight, all of it unless weights are sharded."""
    from torch.distributed.tensor import DTensor  # half a second at the start of commands that do not train

    return (weight.to_local() if isinstance(weight, DTensor) else weight).detach()


def peak_memory(device: torch.device) -> float:
    """Peak memory so far in GB: the accelerator's where there is one, else the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e9 if sys.platform == "darwin" else peak / 1e6


def present_memory(device: torch.device) -> float:
    """Memory now in GB: the accelerator's where there is one, else the process's; its peak where the system does not
    tell."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device) / 1e9
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return peak_memory(device)
    return pages * resource.getpagesize() / 1e9
