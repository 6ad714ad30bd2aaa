"""A task and parallel text in one run: what the task undoes of the alignment, the alignment does again.

Fine-tuning on English alone moves the languages apart, whatever was aligned before; so the losses of parallel text are
added at steps of the task (Lample and Conneau 2019 mix their losses so; Mid-Align, arXiv 2502.14830, alternates).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from otkit.data.batching import PairBatch, PairSource
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
    """Which steps of a run are the task's, and which parallel text's."""

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
    """Micro-steps of a task and of parallel text; `size` of them make a step, in all processes together."""

    def __init__(self, task: MicroSteps, pairs: PairSource, steps: JointSteps, *, size: int) -> None:
        self._task, self._pairs, self._steps, self._size = task, pairs, steps, size
        self.micro_steps_per_epoch = task.micro_steps_per_epoch
        self.splits = task.splits or pairs.splits

    def micro_steps(
        self, start: int = 0, stop: int | None = None, stride: int = 1
    ) -> Iterator[Sequence[Any]]:
        """Every `stride`-th micro-step from `start` on; `stride` divides `size`."""
        first, within = divmod(start, self._size)
        done = self._steps.before(first)
        streams = [
            source.micro_steps(count * self._size + within, None, stride)
            for source, count in zip((self._task, self._pairs), done, strict=True)
        ]
        number = start
        while stop is None or number < stop:
            wanted = self._steps.at(number // self._size)
            yield tuple(
                batch
                for stream, asked in zip(streams, wanted, strict=True)
                if asked
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
    """A head and the objectives of parallel text on one encoder: a batch of either in, its losses out."""

    def __init__(self, head: Head, alignment: AlignmentModel, *, weight: float) -> None:
        super().__init__()
        self.head, self.alignment, self._weight = head, alignment, weight

    def forward(self, batch: Any) -> Losses:
        """The losses of the task as they are, those of parallel text times the weight."""
        if not isinstance(batch, PairBatch):
            self.head.train(self.training)
            losses: Losses = self.head(batch)
            return losses
        self.alignment.train(self.training)  # drops out only where the objective says so
        found: Losses = self.alignment(batch)
        return Losses(
            {f"align/{name}": self._weight * value for name, value in found.parts.items()},
            {f"align/{name}": value for name, value in found.metrics.items()},
        )
