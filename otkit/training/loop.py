"""The one training loop: any module that maps a batch to named losses, trained, watched, saved and resumed.

accelerate lives here and nowhere else. The loop knows nothing of transport or of tasks: alignment, the
classification head and the span head all come as a module and a sequence of micro-steps.
"""

from __future__ import annotations

import contextlib
import json
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn

from otkit.errors import ConfigError, TrainingError, choose
from otkit.training.checkpoints import latest_checkpoint, write_checkpoint, write_text

__all__ = ["MicroSteps", "Observer", "Record", "TrainConfig", "TrainResult", "train"]

Record = dict[str, float | int | str]
PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}
SCHEDULES: dict[str, Callable[[float], float]] = {
    "linear": lambda done: 1.0 - done,
    "constant": lambda done: 1.0,
}


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast to train.

    epochs, steps   length in epochs, or in optimiser steps (which wins where both are given)
    grad_accum      micro-steps whose gradients are averaged into one optimiser step
    lr              peak learning rate of Adam
    warmup          share of all steps over which the learning rate rises from 0, in [0, 1)
    schedule        what follows the warm-up: "linear" decay to 0, or "constant"
    weight_decay    decoupled weight decay (AdamW); 0 is Adam
    max_grad_norm   gradients are scaled down to this norm (None: not clipped)
    precision       "fp32", or autocast to "bf16" or "fp16"
    eval_every, save_every, log_every   in optimiser steps (None: only at the end, never, every step)
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
    log_every: int = 1
    keep: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        choose(self.precision, PRECISIONS, what="precision")
        choose(self.schedule, SCHEDULES, what="schedule")
        for name in ("steps", "grad_accum", "eval_every", "save_every", "log_every", "keep"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}", remedy="give a number of at least 1")
        if not (self.epochs > 0 and self.lr > 0 and 0 <= self.warmup < 1):
            raise ConfigError(
                f"epochs {self.epochs}, lr {self.lr}, warm-up {self.warmup} do not fit",
                remedy="epochs and lr above 0, warm-up a share of the steps in [0, 1)",
            )


class MicroSteps(Protocol):
    """Where batches come from: the same ones for the same numbers, from any start."""

    micro_steps_per_epoch: int

    def micro_steps(self, start: int = 0, stop: int | None = None) -> Iterator[Sequence[Any]]:
        """Micro-steps, each a sequence of batches whose losses are added."""
        ...


class Observer(Protocol):
    """Whoever watches: progress goes out through here, never through print."""

    def record(self, record: Record, *, step: int, steps: int) -> None:
        """A history record was written."""
        ...

    def note(self, message: str) -> None:
        """Something a person should know."""
        ...


@dataclass(frozen=True)
class TrainResult:
    """How a run ended: steps done, whether it was told to stop early, and the best evaluation where there was
    one.
    """

    step: int
    steps: int
    interrupted: bool
    seconds: float
    history: tuple[Record, ...]
    best: Record | None = None


@dataclass
class _Progress:
    """What a checkpoint must remember beside weights, optimiser, schedule and random states."""

    step: int = 0
    seconds: float = 0.0
    best: Record | None = None
    history: list[Record] = field(default_factory=list)


def train(
    module: nn.Module,
    source: MicroSteps,
    config: TrainConfig,
    *,
    folder: Path,
    fingerprint: dict[str, Any],
    observer: Observer,
    resume: bool = False,
    evaluate: Callable[[], Record] | None = None,
    best_by: str = "divergence",
    keep_best: Callable[[Record], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainResult:
    """Train `module` (batch -> object with `.parts` and `.gauges`) and return how it went.

    `fingerprint` says what must not change between a run and its resumption (settings, data hashes);
    `evaluate` returns figures of which `best_by` is minimised, and `keep_best` is called when it improves.
    """
    set_seed(config.seed)
    cpu = next(module.parameters()).device.type == "cpu"
    accelerator = Accelerator(mixed_precision=PRECISIONS[config.precision], cpu=cpu)
    steps = config.steps or max(
        1, math.ceil(source.micro_steps_per_epoch * config.epochs / config.grad_accum)
    )
    trained = [weight for weight in module.parameters() if weight.requires_grad]
    adam = torch.optim.AdamW(
        trained, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay, fused=True
    )
    rate = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: _rate(step, steps, config))
    model, optimiser, scheduler = accelerator.prepare(module, adam, rate)
    checkpoints, history_file = folder / "checkpoints", folder / "history.jsonl"
    progress = _Progress()
    if resume:
        progress = _resume(accelerator, checkpoints, fingerprint, observer)
    write_text(history_file, "".join(json.dumps(record) + "\n" for record in progress.history))

    def save() -> None:
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            noted = {**asdict(progress), "fingerprint": fingerprint}
            write_checkpoint(
                checkpoints,
                progress.step,
                noted,
                lambda partial: accelerator.save_state(str(partial), safe_serialization=True),
                keep=config.keep,
            )

    def log(record: Record) -> None:
        progress.history.append(record)
        with history_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        observer.record(record, step=progress.step, steps=steps)

    def assess() -> None:
        if evaluate is None:
            return
        module.eval()
        figures: Record = {"step": progress.step, **evaluate()}
        module.train()
        log(figures)
        better = progress.best is None or float(figures[best_by]) < float(progress.best[best_by])
        if better:
            progress.best = figures
            # Without evaluations on the way the best is the last, which the caller saves anyway, as it has
            # the start.
            if keep_best is not None and config.eval_every is not None and progress.step > 0:
                keep_best(figures)

    if progress.step == 0:
        assess()
    module.train()
    micro_steps = source.micro_steps(progress.step * config.grad_accum)
    interrupted = False
    tally = _Tally(progress.step)
    while progress.step < steps:
        begun = time.perf_counter()
        for turn in range(config.grad_accum):
            parts = next(micro_steps)
            for position, batch in enumerate(parts):
                last = turn == config.grad_accum - 1 and position == len(parts) - 1
                with _synchronised(accelerator, model, last):
                    losses = model(batch)
                    loss = torch.stack(list(losses.parts.values())).sum() / config.grad_accum
                    accelerator.backward(loss)
                tally.add(batch, losses, config.grad_accum)
        if config.max_grad_norm is not None:
            accelerator.clip_grad_norm_(trained, config.max_grad_norm)
        optimiser.step()
        scheduler.step()
        optimiser.zero_grad()
        progress.step += 1
        progress.seconds += time.perf_counter() - begun

        done = progress.step == steps
        interrupted = should_stop()
        saving = (
            interrupted or done or (config.save_every is not None and progress.step % config.save_every == 0)
        )
        if saving or progress.step % config.log_every == 0:
            log(tally.record(progress, scheduler.get_last_lr()[0], accelerator))
        if done or (config.eval_every is not None and progress.step % config.eval_every == 0):
            assess()
        if saving and (config.save_every is not None or interrupted):
            save()
        if interrupted:
            break
    return TrainResult(
        progress.step,
        steps,
        interrupted and progress.step < steps,
        progress.seconds,
        tuple(progress.history),
        progress.best,
    )


class _Tally:
    """Losses and gauges since the last record, kept on the device until then so that steps need no host
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
        for name, value in {**losses.parts, **losses.gauges}.items():
            value = value.detach() / grad_accum
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.pairs += len(batch.indices)
        self.batches.append(f"{getattr(batch, 'language', '')}:{','.join(map(str, batch.indices[:8]))}")

    def record(self, progress: _Progress, lr: float, accelerator: Accelerator) -> Record:
        """The record of the steps since the last one; a non-finite loss ends the run here, before any
        save.
        """
        count = max(progress.step - self.since, 1)
        values = {name: float(value) / count for name, value in self.sums.items()}
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise TrainingError(
                f"{' and '.join(bad)} not finite in steps {self.since + 1} to {progress.step}"
                f" (batches {' '.join(self.batches)[:500]})",
                remedy="the last checkpoint is kept: lower --lr or use --precision fp32, then --resume",
            )
        record: Record = {
            "step": progress.step,
            **values,
            "lr": lr,
            "pairs_per_second": self.pairs / max(time.perf_counter() - self.begun, 1e-9),
            "memory_gb": _peak_memory(accelerator.device),
        }
        self._reset(progress.step)
        return record


def _rate(step: int, steps: int, config: TrainConfig) -> float:
    """The learning rate at a step as a share of its peak."""
    warm = config.warmup * steps
    if step < warm:
        return (step + 1) / (warm + 1)
    return SCHEDULES[config.schedule]((step - warm) / max(steps - warm, 1))


def _synchronised(
    accelerator: Accelerator, model: nn.Module, last: bool
) -> contextlib.AbstractContextManager[None]:
    """Gradients travel between processes once a step, with its last batch."""
    return contextlib.nullcontext() if last else accelerator.no_sync(model)


def _resume(
    accelerator: Accelerator, checkpoints: Path, fingerprint: dict[str, Any], observer: Observer
) -> _Progress:
    """Load the newest whole checkpoint, refusing one made under other settings or data."""
    found = latest_checkpoint(checkpoints, note=observer.note)
    if found is None:
        observer.note(f"{checkpoints}: no checkpoint yet, starting from the beginning")
        return _Progress()
    was = found.progress.pop("fingerprint")
    now = json.loads(json.dumps(fingerprint))
    changed = sorted(name for name in {*was, *now} if was.get(name) != now.get(name))
    if changed:
        name = changed[0]
        raise TrainingError(
            f"the run was started with another {name}: {was.get(name)!r}, now {now.get(name)!r}",
            where=str(found.folder),
            remedy="resume with the settings and data of the start, or choose a new --output",
        )
    accelerator.load_state(str(found.folder))
    observer.note(f"resumed at step {found.step} from {found.folder}")
    return _Progress(**found.progress)


def _peak_memory(device: torch.device) -> float:
    """Peak memory so far in GB: the accelerator's where there is one, else the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e9 if sys.platform == "darwin" else peak / 1e6
