"""A task in one run with parallel text, and with copies of its examples in other languages.

Fine-tuning on English alone moves the languages apart, whatever was aligned before; so the losses of parallel text are
added at steps of the task (Lample and Conneau 2019 mix their losses so; Mid-Align, arXiv 2502.14830, alternates).
Copies of the examples (Qin et al. 2020, CoSDA-ML) teach the task itself in other languages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from otkit.data.batching import PairBatch
from otkit.training.agreement import CopyBatch
from otkit.training.encoded import Losses
from otkit.training.heads import Head
from otkit.training.objectives import AlignmentModel
from otkit.training.protocols import Links, MicroSteps
from otkit.training.settings import TransferSettings

__all__ = ["JointModel", "JointSource", "JointSteps", "NumberedLinks"]

Counts = Callable[[int, int, int], tuple[int, int]]


def _sum(step: int, every: int, first: int) -> tuple[int, int]:
    return step, -(-step // every)


def _alternate(step: int, every: int, first: int) -> tuple[int, int]:
    aligned = step // (every + 1)
    return step - aligned, aligned


def _first(step: int, every: int, first: int) -> tuple[int, int]:
    return max(step - first, 0), min(step, first)


_COUNTS: dict[str, Counts] = {"sum": _sum, "alternate": _alternate, "first": _first}


class JointSteps:
    """Which steps of a run are the task's, and which parallel text's (or those of copies)."""

    def __init__(self, settings: TransferSettings, task_steps: int) -> None:
        self._counts, self._every = _COUNTS[settings.schedule], settings.align_every
        self._first = -(-task_steps // settings.align_every)
        self.steps = task_steps
        while self.before(self.steps)[0] < task_steps:
            self.steps += task_steps - self.before(self.steps)[0]

    def before(self, step: int) -> tuple[int, int]:
        """How many of the first `step` steps have a batch of the task, and of parallel text."""
        return self._counts(step, self._every, self._first)

    def at(self, step: int) -> tuple[bool, bool]:
        """Whether this step has a batch of the task, and of parallel text."""
        (task, pairs), (task_after, pairs_after) = self.before(step), self.before(step + 1)
        return task_after > task, pairs_after > pairs


class JointSource:
    """Micro-steps of a task and of what stands beside it: parallel text, copies. `size` of them make a step, in all
    processes together."""

    def __init__(
        self, task: MicroSteps, beside: Sequence[MicroSteps], steps: JointSteps, *, size: int
    ) -> None:
        self._sources = (task, *beside)
        self._steps, self._size = steps, size
        self.micro_steps_per_epoch = task.micro_steps_per_epoch
        self.splits = any(source.splits for source in self._sources)

    def micro_steps(
        self, start: int = 0, stop: int | None = None, stride: int = 1
    ) -> Iterator[Sequence[Any]]:
        """Every `stride`-th micro-step from `start` on; `stride` divides `size`."""
        first, within = divmod(start, self._size)
        task, others = self._steps.before(first)
        done = [task, *[others] * (len(self._sources) - 1)]
        streams = [
            source.micro_steps(count * self._size + within, None, stride)
            for source, count in zip(self._sources, done, strict=True)
        ]
        number = start
        while stop is None or number < stop:
            turn, others_turn = self._steps.at(number // self._size)
            yield tuple(
                batch
                for place, stream in enumerate(streams)
                if (others_turn if place else turn)
                for batch in next(stream)
            )
            number += stride


class NumberedLinks:
    """Links that an aligner reads for the pairs to come, under the numbers of the joint run."""

    def __init__(self, links: Links, steps: JointSteps, *, size: int) -> None:
        self._links, self._steps, self._size = links, steps, size
        self.every = links.every

    def renew(self, start: int, stop: int, stride: int) -> None:
        """Read the pairs of every `stride`-th micro-step from `start` to `stop`."""
        first, within = divmod(start, self._size)
        begin, end = (self._steps.before(step)[1] * self._size for step in (first, -(-stop // self._size)))
        if end > begin:
            self._links.renew(begin + within, end, stride)

    def save(self, folder: Path, process: int) -> None:
        """Write what this process read into a checkpoint."""
        self._links.save(folder, process)

    def load(self, folder: Path, process: int) -> None:
        """Take up what a checkpoint holds."""
        self._links.load(folder, process)


class JointModel(nn.Module):
    """A head and the objectives of parallel text on one encoder: a batch of either, or of copies, in; losses out."""

    def __init__(self, head: Head, alignment: AlignmentModel | None, settings: TransferSettings) -> None:
        super().__init__()
        self.head, self.alignment, self._settings = head, alignment, settings
        self._answered: tuple[tuple[int, ...], Tensor] | None = None

    def forward(self, batch: Any) -> Losses:
        """The losses of the task as they are, the others times their weights."""
        if isinstance(batch, PairBatch):
            return self._aligned(batch)
        self.head.train(self.training)
        if isinstance(batch, CopyBatch):
            return self._copied(batch)
        logits = self.head.logits(batch.inputs)
        if self._settings.consistency:
            self._answered = batch.indices, logits.detach()
        return self.head.losses(logits, batch)

    def _aligned(self, batch: PairBatch) -> Losses:
        assert self.alignment is not None
        self.alignment.train(self.training)  # drops out only where the objective says so
        found: Losses = self.alignment(batch)
        return Losses(
            {f"align/{name}": self._settings.align_weight * value for name, value in found.parts.items()},
            {f"align/{name}": value for name, value in found.metrics.items()},
        )

    def _copied(self, batch: CopyBatch) -> Losses:
        settings, logits = self._settings, self.head.logits(batch.copy.inputs)
        parts: dict[str, Tensor] = {}
        metrics: dict[str, Tensor] = {}
        kind = "copy" if batch.labelled else "text"
        if batch.labelled:
            found = self.head.losses(logits, batch.copy)
            parts = {f"copy/{name}": settings.copy_weight * value for name, value in found.parts.items()}
            metrics = {f"copy/{name}": value for name, value in found.metrics.items()}
        weight = settings.consistency if batch.labelled else settings.text_consistency
        if weight:
            value = batch.consistency(self._english(batch), logits, settings.consistency_temperature)
            parts[f"{kind}/prediction-consistency"] = weight * value
        return Losses(parts, metrics)

    def _english(self, batch: CopyBatch) -> Tensor:
        """The answers in English: those that the task's last batch got where it was this one, which saves a pass."""
        if batch.labelled and self._answered is not None and self._answered[0] == batch.indices:
            return self._answered[1]
        with torch.no_grad():
            return self.head.logits(batch.english)
