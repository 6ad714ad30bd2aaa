"""The one training loop: any module that maps a batch to named losses, trained, watched, saved and resumed.

accelerate lives here and in `processes`, which sets it up. The loop knows nothing of transport or of tasks:
alignment, the classification head and the span head all come as a module and a sequence of micro-steps.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from accelerate.utils import set_seed  # type: ignore[import-untyped]
from torch import Tensor, nn

from otkit.encoders.device import slow_precision
from otkit.errors import TrainingError
from otkit.files import differences, replace_file, to_json
from otkit.training.checkpoints import (
    append_text,
    latest_checkpoint,
    partial_folder,
    write_checkpoint,
)
from otkit.training.processes import (
    TRACKERS,
    flat_settings,
    gather_weights,
    open_accelerator,
    prepare,
    synchronised,
    whole_weights,
)
from otkit.training.protocols import Memory, MicroSteps, Observer
from otkit.training.records import Record, Tally
from otkit.training.schedule import decayed_groups, learning_rate, total_steps
from otkit.training.settings import TrainingSettings

__all__ = [
    "TRACKERS",
    "Record",
    "TrainResult",
    "TrainingSettings",
    "train",
]

_ASK_EVERY = 10


@dataclass(frozen=True)
class TrainResult:
    """How a run ended: steps done, whether it was told to stop early, and the best evaluation where there was
    one. `main` is True in one process of several, the one that writes.
    """

    step: int
    steps: int
    interrupted: bool
    seconds: float
    history: tuple[Record, ...]
    best: Record | None = None
    main: bool = True
    metadata: dict[str, Any] = field(default_factory=dict)
    """What the caller records of the run beside it."""


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
    config: TrainingSettings,
    *,
    folder: Path,
    fingerprint: dict[str, Any],
    observer: Observer,
    resume: bool = False,
    evaluate: Callable[[], Record] | None = None,
    best_by: str = "divergence",
    keep_best: Callable[[Record], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    log_to: Sequence[str] = (),
    gathers: bool = False,
    memory: Memory | None = None,
) -> TrainResult:
    """Train `module` (batch -> object with `.parts` and `.gauges`) and return how it went.

    `fingerprint` says what must not change between a run and its resumption (settings, data hashes);
    `evaluate` returns figures of which `best_by` is minimised, and `keep_best` is called when it improves.
    `log_to` names trackers of accelerate, which write under `folder`/logs.

    R processes (`accelerate launch`) share the micro-steps out: process r takes every R-th from the r-th on,
    gradients are averaged, and so R processes compute what one does with R times the accumulation. Every
    process evaluates, since an evaluation may need all of them; one writes. With `gathers` the processes also
    meet within every batch, so all of them must have equally many. `memory` is renewed before the first step and
    then as often as it asks, by each process for its own micro-steps, with whole weights.
    """
    accelerator = open_accelerator(config, folder, log_to, cpu=next(module.parameters()).device.type == "cpu")
    world, rank, main = accelerator.num_processes, accelerator.process_index, accelerator.is_main_process
    log_every = config.log_every or (1 if accelerator.device.type == "cpu" else _ASK_EVERY)
    if gathers and world > 1 and source.splits:
        raise TrainingError(
            f"a token budget cuts the batches of {world} processes into different numbers of pieces, and an"
            " objective that gathers sentences from all of them would wait forever",
            remedy="leave --batch-tokens out and give a smaller --batch-size",
        )
    slow = slow_precision(accelerator.device, config.precision)
    if main and slow is not None:
        observer.note(slow)
    set_seed(config.seed + rank)
    steps = total_steps(config, source.micro_steps_per_epoch, processes=world)
    fingerprint = {**fingerprint, "processes": world}
    trained = [weight for weight in module.parameters() if weight.requires_grad]
    groups = decayed_groups(trained, config.weight_decay)
    adam = torch.optim.AdamW(groups, lr=config.lr, betas=(config.betas[0], config.betas[1]), fused=True)
    rate = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: learning_rate(step, steps, config))
    model, trained, (optimiser, scheduler) = prepare(accelerator, module, adam, rate)
    checkpoints, history_file = folder / "checkpoints", folder / "history.jsonl"
    progress = _Progress()
    if resume:
        progress = _resume(accelerator, checkpoints, fingerprint, observer, memory)
    if main:
        replace_file(history_file, "".join(to_json(record, indent=None) for record in progress.history))
    if log_to:
        accelerator.init_trackers("otkit", config=flat_settings(fingerprint))

    def fill(partial: Path) -> None:
        # Each process has a part of the state (its random numbers): the main one makes the folder and seals
        # it.
        accelerator.wait_for_everyone()
        accelerator.save_state(str(partial), safe_serialization=True)
        if memory is not None:
            memory.save(partial, rank)
        accelerator.wait_for_everyone()

    def save() -> None:
        if main:
            observer.progress("writing a checkpoint", 0, 1)
            noted = {**asdict(progress), "fingerprint": fingerprint}
            write_checkpoint(checkpoints, progress.step, noted, fill, keep=config.keep)
            observer.progress("writing a checkpoint", 1, 1)
        else:
            fill(partial_folder(checkpoints, progress.step))
        accelerator.wait_for_everyone()

    def log(record: Record) -> None:
        progress.history.append(record)
        if main:
            append_text(history_file, to_json(record, indent=None))
            observer.record(record, step=progress.step, steps=steps)
        if log_to:
            numbers = {name: value for name, value in record.items() if isinstance(value, float)}
            accelerator.log(numbers, step=progress.step)

    def mean(values: Tensor) -> Tensor:
        reduced: Tensor = accelerator.reduce(values, reduction="mean")
        return reduced

    def asked() -> tuple[bool, bool]:
        """Whether to stop, and whether a checkpoint is due by the clock."""
        late = config.save_minutes is not None and time.monotonic() - saved > 60 * config.save_minutes
        here = should_stop(), late and config.save_every is None
        if world == 1:
            return here
        # All processes must do so at the same step; they ask one another where they meet for a record anyway.
        if progress.step % min(log_every, _ASK_EVERY) != 0:
            return False, False
        there = accelerator.reduce(
            torch.tensor(here, device=accelerator.device, dtype=torch.float32), reduction="sum"
        )
        stop, late = (there > 0).tolist()
        return stop, late

    def assess() -> None:
        if evaluate is None:
            return
        module.eval()
        with whole_weights(model):
            figures: Record = {"step": progress.step, **evaluate()}
        log(figures)
        found = float(figures[best_by])
        if math.isfinite(found) and (progress.best is None or found < float(progress.best[best_by])):
            progress.best = figures
            # Without evaluations on the way the best is the last, which the caller saves anyway, as it has the start.
            if keep_best is not None and config.eval_every is not None and progress.step > 0:
                with whole_weights(model):  # sharded again by the layers that the evaluation called
                    if main:
                        keep_best(figures)
        module.train()

    if progress.step == 0:
        assess()
    module.train()
    micro_steps = source.micro_steps(progress.step * config.grad_accum * world + rank, stride=world)
    interrupted, saved = False, time.monotonic()
    tally = Tally(progress.step)
    while progress.step < steps:
        begun = time.perf_counter()
        if memory is not None and progress.step % (memory.every or steps) == 0:
            until, size = min(progress.step + (memory.every or steps), steps), config.grad_accum * world
            with whole_weights(model) as sharded:
                # Processes that share their weights out meet in every layer, so they make the same.
                first, stride = (0, 1) if sharded else (rank, world)
                memory.renew(progress.step * size + first, until * size, stride)
        for turn in range(config.grad_accum):
            parts = next(micro_steps)
            for position, batch in enumerate(parts):
                last = turn == config.grad_accum - 1 and position == len(parts) - 1
                with synchronised(accelerator, model, last):
                    losses = model(batch)
                    loss = torch.stack(list(losses.parts.values())).sum() / config.grad_accum
                    if not loss.requires_grad:
                        raise TrainingError(
                            "no trained weight reaches the loss",
                            remedy="freeze fewer layers, compare a higher one, or leave the adapters out",
                        )
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
        interrupted, late = asked()
        due = late or (config.save_every is not None and (done or progress.step % config.save_every == 0))
        if interrupted or done or due or progress.step % log_every == 0:
            log(
                tally.record(
                    progress.step,
                    scheduler.get_last_lr()[0],
                    weights=trained,
                    device=accelerator.device,
                    mean=mean,
                    processes=world,
                )
            )
        if done or (config.eval_every is not None and progress.step % config.eval_every == 0):
            assess()
        if due or interrupted:
            save()
            saved = time.monotonic()
        if interrupted:
            break
    if log_to:
        accelerator.end_training()
    gather_weights(model)  # for the caller, who saves them
    return TrainResult(
        progress.step,
        steps,
        interrupted and progress.step < steps,
        progress.seconds,
        tuple(progress.history),
        progress.best,
        main,
    )


def _resume(
    accelerator: Accelerator,
    checkpoints: Path,
    fingerprint: dict[str, Any],
    observer: Observer,
    memory: Memory | None,
) -> _Progress:
    """Load the newest whole checkpoint, refusing one made under other settings or data."""
    # The main process clears half-written folders away before the others look.
    observer.progress("reading the checkpoint", 0, 1)
    with accelerator.main_process_first():
        found = latest_checkpoint(checkpoints, note=observer.note)
    if found is None:
        observer.progress("reading the checkpoint", 1, 1)
        observer.note(f"{checkpoints}: no checkpoint yet, starting from the beginning")
        return _Progress()
    was = found.progress.pop("fingerprint")
    now = json.loads(to_json(fingerprint))
    if changed := differences(was, now):
        raise TrainingError(
            f"the run was started otherwise: {changed}",
            where=str(found.folder),
            remedy="resume with the settings and data of the start, or choose a new --output",
        )
    accelerator.load_state(str(found.folder))
    if memory is not None:
        memory.load(found.folder, accelerator.process_index)
    observer.progress("reading the checkpoint", 1, 1)
    observer.note(f"resumed at step {found.step} from {found.folder}")
    return _Progress(**found.progress)
