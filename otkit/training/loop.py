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
from pickle import PickleError
from typing import Any

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from accelerate.utils import set_seed  # type: ignore[import-untyped]
from torch import Tensor, nn

from otkit.encoders.device import slow_precision
from otkit.errors import TrainingError, reason_of
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
from otkit.training.protocols import Links, MicroSteps, Observer
from otkit.training.records import Record, Tally
from otkit.training.schedule import decayed_groups, learning_rate, total_steps
from otkit.training.settings import TrainingSettings

__all__ = [
    "TRACKERS",
    "Record",
    "TrainResult",
    "TrainingSettings",
    "check_reached",
    "train",
]

HISTORY_FILE = "history.jsonl"
"""The records of a run, one a line."""

_ASK_EVERY = 10


def check_reached(loss: Tensor) -> None:
    """Refuse a loss that no trained weight has a part in."""
    if not loss.requires_grad:
        raise TrainingError(
            "no trained weight reaches the loss",
            remedy="freeze fewer layers, compare a higher one, or leave the adapters out",
        )


@dataclass(frozen=True)
class TrainResult:
    """How a run ended: steps done, whether it was told to stop early, and the best evaluation where there was
    one. `main` is True in one process of several, the one that writes; `trained` is False where the run had ended
    before.
    """

    step: int
    steps: int
    interrupted: bool
    seconds: float
    history: tuple[Record, ...]
    best: Record | None = None
    main: bool = True
    trained: bool = True
    metadata: dict[str, Any] = field(default_factory=dict)
    """What the caller records of the run beside it."""


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
    better: str = "lower",
    keep_best: Callable[[Record], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    log_to: Sequence[str] = (),
    gathers: bool = False,
    links: Links | None = None,
) -> TrainResult:
    """Train `module` (batch -> object with `.parts` and `.metrics`) and return how it went.

    `fingerprint` says what must not change between a run and its resumption (settings, data hashes);
    `evaluate` returns figures of which the one called `best_by` is `better` when it is "lower" or "higher", and
    `keep_best` is called when it improves.
    `log_to` names trackers of accelerate, which write under `folder`/logs.

    R processes (`accelerate launch`) share the micro-steps out: process r takes every R-th from the r-th on,
    gradients are averaged, and so R processes compute what one does with R times the accumulation. Every
    process evaluates, since an evaluation may need all of them; one writes. With `gathers` the processes also
    meet within every batch, so all of them must have equally many. `links` are read before the first step and
    then as often as they ask, by each process for its own micro-steps, with whole weights.
    """
    accelerator = open_accelerator(config, folder, log_to, device=next(module.parameters()).device)
    world, rank = accelerator.num_processes, accelerator.process_index
    if gathers and world > 1 and source.splits:
        raise TrainingError(
            f"a token budget cuts the batches of {world} processes into different numbers of pieces, and an"
            " objective that gathers sentences from all of them would wait forever",
            remedy="leave batch_tokens out and give a smaller batch_size",
        )
    slow = slow_precision(accelerator.device, config.precision)
    if accelerator.is_main_process and slow is not None:
        observer.note(slow)
    set_seed(config.seed + rank)
    steps = total_steps(config, source.micro_steps_per_epoch, processes=world)
    fingerprint = {**fingerprint, "processes": world}
    groups = decayed_groups(
        [weight for weight in module.parameters() if weight.requires_grad], config.weight_decay
    )
    adam = torch.optim.AdamW(groups, lr=config.lr, betas=(config.betas[0], config.betas[1]), fused=True)
    rate = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: learning_rate(step, steps, config))
    model, trained, (optimiser, scheduler) = prepare(accelerator, module, adam, rate)
    progress = _resumed(accelerator, folder, fingerprint, observer, links) if resume else _Progress()
    run = _Run(
        accelerator, model, config, folder, fingerprint, observer, steps, progress, links, bool(log_to)
    )
    if run.main:
        replace_file(run.history_file, "".join(to_json(record, indent=None) for record in progress.history))
    if log_to:
        accelerator.init_trackers("otkit", config=flat_settings(fingerprint))

    def assess() -> None:
        if evaluate is None:
            return
        module.eval()
        run.assess(evaluate, best_by, better, keep_best)
        module.train()

    if progress.step == 0:
        assess()
    module.train()
    micro_steps = source.micro_steps(progress.step * config.grad_accum * world + rank, stride=world)
    interrupted, tally = False, Tally(progress.step)
    while progress.step < steps and not interrupted:
        begun = time.perf_counter()
        run.read_links()
        for turn in range(config.grad_accum):
            run.descend(next(micro_steps), tally, last=turn == config.grad_accum - 1)
        if config.max_grad_norm is not None:
            accelerator.clip_grad_norm_(trained, config.max_grad_norm)
        optimiser.step()
        scheduler.step()
        optimiser.zero_grad()
        progress.step += 1
        progress.seconds += time.perf_counter() - begun

        done = progress.step == steps
        interrupted, late = run.asked(should_stop)
        due = late or (config.save_every is not None and (done or progress.step % config.save_every == 0))
        if interrupted or done or due or progress.step % run.log_every == 0:
            rate_now = scheduler.get_last_lr()[0]
            run.log(
                tally.record(
                    progress.step,
                    rate_now,
                    weights=trained,
                    device=accelerator.device,
                    mean=run.mean,
                    processes=world,
                )
            )
        if done or (config.eval_every is not None and progress.step % config.eval_every == 0):
            assess()
        if due or interrupted:
            run.save()
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
        run.main,
    )


@dataclass
class _Progress:
    """What a checkpoint must remember beside weights, optimiser, schedule and random states."""

    step: int = 0
    seconds: float = 0.0
    best: Record | None = None
    history: list[Record] = field(default_factory=list)


@dataclass
class _Run:
    """What the parts of a step share."""

    accelerator: Accelerator
    model: nn.Module
    config: TrainingSettings
    folder: Path
    fingerprint: dict[str, Any]
    observer: Observer
    steps: int
    progress: _Progress
    links: Links | None
    tracked: bool
    saved: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.world, self.main = self.accelerator.num_processes, self.accelerator.is_main_process
        self.history_file, self.checkpoints = self.folder / HISTORY_FILE, self.folder / "checkpoints"
        self.log_every = self.config.log_every or (1 if self.accelerator.device.type == "cpu" else _ASK_EVERY)

    def read_links(self) -> None:
        """Read the links of the micro-steps up to the next reading, where one is due."""
        links, step, steps = self.links, self.progress.step, self.steps
        if links is None or step % (links.every or steps) != 0:
            return
        until, size = min(step + (links.every or steps), steps), self.config.grad_accum * self.world
        with whole_weights(self.model) as sharded:
            # Processes that share their weights out meet in every layer, so they read the same.
            first, stride = (0, 1) if sharded else (self.accelerator.process_index, self.world)
            links.renew(step * size + first, until * size, stride)

    def descend(self, parts: Sequence[Any], tally: Tally, *, last: bool) -> None:
        """Add the gradients of one micro-step; processes exchange them with the last batch of a step."""
        for position, batch in enumerate(parts):
            with synchronised(self.accelerator, self.model, last and position == len(parts) - 1):
                losses = self.model(batch)
                loss = torch.stack(list(losses.parts.values())).sum() / self.config.grad_accum
                check_reached(loss)
                self.accelerator.backward(loss)
            tally.add(batch, losses, self.config.grad_accum)

    def asked(self, should_stop: Callable[[], bool]) -> tuple[bool, bool]:
        """Whether to stop, and whether a checkpoint is due by the clock."""
        minutes = self.config.save_minutes
        late = minutes is not None and time.monotonic() - self.saved > 60 * minutes
        here = should_stop(), late and self.config.save_every is None
        if self.world == 1:
            return here
        # All processes must do so at the same step; they ask one another where they meet for a record anyway.
        if self.progress.step % min(self.log_every, _ASK_EVERY) != 0:
            return False, False
        there = self.accelerator.reduce(
            torch.tensor(here, device=self.accelerator.device, dtype=torch.float32), reduction="sum"
        )
        stop, late = (there > 0).tolist()
        return stop, late

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes."""
        reduced: Tensor = self.accelerator.reduce(values, reduction="mean")
        return reduced

    def log(self, record: Record) -> None:
        """Write a record to the history, the trackers and whoever watches."""
        self.progress.history.append(record)
        if self.main:
            append_text(self.history_file, to_json(record, indent=None))
            self.observer.record(record, step=self.progress.step, steps=self.steps)
        if self.tracked:
            numbers = {name: value for name, value in record.items() if isinstance(value, float)}
            self.accelerator.log(numbers, step=self.progress.step)

    def assess(
        self,
        evaluate: Callable[[], Record],
        best_by: str,
        better: str,
        keep_best: Callable[[Record], None] | None,
    ) -> None:
        """Evaluate, and keep the encoder where it is the best so far."""
        progress = self.progress
        with whole_weights(self.model):
            figures: Record = {"step": progress.step, **evaluate()}
        self.log(figures)
        sign = 1 if better == "lower" else -1
        found = sign * float(figures[best_by])
        if not math.isfinite(found) or (
            progress.best is not None and found >= sign * float(progress.best[best_by])
        ):
            return
        progress.best = figures
        # Without evaluations on the way the best is the last, which the caller saves anyway, as it has the start.
        if keep_best is not None and self.config.eval_every is not None and progress.step > 0:
            with whole_weights(self.model):  # sharded again by the layers that the evaluation called
                if self.main:
                    keep_best(figures)

    def save(self) -> None:
        """Write a checkpoint; the main process makes its folder and seals it."""
        if self.main:
            self.observer.progress("writing a checkpoint", 0, 1)
            noted = {**asdict(self.progress), "fingerprint": self.fingerprint}
            write_checkpoint(self.checkpoints, self.progress.step, noted, self._fill, keep=self.config.keep)
            self.observer.progress("writing a checkpoint", 1, 1)
        else:
            self._fill(partial_folder(self.checkpoints, self.progress.step))
        self.accelerator.wait_for_everyone()
        self.saved = time.monotonic()

    def _fill(self, partial: Path) -> None:
        # Each process has a part of the state (its random numbers).
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(partial), safe_serialization=True)
        if self.links is not None:
            self.links.save(partial, self.accelerator.process_index)
        self.accelerator.wait_for_everyone()


def _resumed(
    accelerator: Accelerator,
    folder: Path,
    fingerprint: dict[str, Any],
    observer: Observer,
    links: Links | None,
) -> _Progress:
    """Load the newest whole checkpoint, refusing one made under other settings or data."""
    # The main process clears half-written folders away before the others look.
    observer.progress("reading the checkpoint", 0, 1)
    checkpoints = folder / "checkpoints"
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
            remedy="resume with the settings and data of the start, or choose a new output",
        )
    try:
        accelerator.load_state(str(found.folder))
    except (PickleError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, OSError) as error:
        raise TrainingError(  # its hashes are right: whoever changed it wrote these too
            f"the checkpoint cannot be read ({reason_of(error)[:200]})",
            where=str(found.folder),
            remedy="remove it, and go on from the one before with `resume=True`",
        ) from error
    if links is not None:
        links.load(found.folder, accelerator.process_index)
    observer.progress("reading the checkpoint", 1, 1)
    observer.note(f"resumed at step {found.step} from {found.folder}")
    return _Progress(**found.progress)
