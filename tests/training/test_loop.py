"""The loop: steps as computed by hand, and runs that continue to the same bits whatever stopped them."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from otkit.encoders.device import slow_precision
from otkit.errors import ConfigError, TrainingError
from otkit.training.checkpoints import latest_checkpoint, write_checkpoint
from otkit.training.loop import train
from otkit.training.records import Record
from otkit.training.settings import TrainingSettings

SETTINGS = {"data": "abc", "lr": 0.1}


@dataclass(frozen=True)
class Batch:
    inputs: Tensor
    targets: Tensor
    indices: tuple[int, ...] = (7, 8, 9)
    language: str = "de"


@dataclass(frozen=True)
class Losses:
    parts: dict[str, Tensor]
    metrics: dict[str, Tensor] = field(default_factory=dict)


class Regression(nn.Module):
    """A linear map with dropout, so that random states matter."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.map = nn.Linear(4, 2)
        self.drop = nn.Dropout(0.3)

    def forward(self, batch: Batch) -> Losses:
        error = (self.map(self.drop(batch.inputs)) - batch.targets).square().mean()
        return Losses({"square": error, "half": 0.5 * error}, {"size": self.map.weight.detach().norm()})


class Source:
    micro_steps_per_epoch = 8
    splits = False

    def __init__(self, *, bad: int | None = None) -> None:
        self.bad = bad

    def micro_steps(
        self, start: int = 0, stop: int | None = None, stride: int = 1
    ) -> Iterator[Sequence[Batch]]:
        step = start
        while stop is None or step < stop:
            generator = torch.Generator().manual_seed(step)
            inputs = torch.randn(3, 4, generator=generator)
            yield [
                Batch(
                    inputs * (math.nan if step == self.bad else 1.0), torch.randn(3, 2, generator=generator)
                )
            ] * 2
            step += stride


class Notes:
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.records: list[Record] = []
        self.work: list[tuple[str, int, int | None]] = []

    def record(self, record: Record, *, step: int, steps: int) -> None:
        self.records.append(record)

    def note(self, message: str) -> None:
        self.notes.append(message)

    def progress(self, what: str, done: int, total: int | None) -> None:
        self.work.append((what, done, total))


def run(
    folder: Path, config: TrainingSettings, *, source: Source | None = None, **options: Any
) -> tuple[Regression, Notes, Any]:
    module, notes = Regression(), Notes()
    folder.mkdir(exist_ok=True)
    options = {"fingerprint": SETTINGS, **options}
    result = train(module, source or Source(), config, folder=folder, observer=notes, **options)
    return module, notes, result


def bits(module: nn.Module) -> list[bytes]:
    return [weight.detach().numpy().tobytes() for weight in module.parameters()]


def test_steps_are_those_of_plain_torch(tmp_path: Path) -> None:
    config = TrainingSettings(steps=4, grad_accum=2, lr=0.1, warmup=0.5, max_grad_norm=0.3, seed=3)
    found, notes, _ = run(tmp_path, config)

    module = Regression().train()
    torch.manual_seed(3)
    adam = torch.optim.Adam(module.parameters(), lr=0.1)
    source = Source().micro_steps()
    for rate in (1 / 3, 2 / 3, 1.0, 0.5):
        for group in adam.param_groups:
            group["lr"] = 0.1 * rate
        for _ in range(2):
            for batch in next(source):
                (sum(module(batch).parts.values()) / 2).backward()
        nn.utils.clip_grad_norm_(module.parameters(), 0.3)
        adam.step()
        adam.zero_grad()
    for ours, theirs in zip(found.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert [record["step"] for record in notes.records] == [1, 2, 3, 4]


def test_decay_spares_biases(tmp_path: Path) -> None:
    """Adam's step is at most the learning rate, so what shrinks by more than that decays."""
    module = Regression()
    start = {name: weight.detach().clone() for name, weight in module.named_parameters()}
    plain, _, _ = run(tmp_path / "plain", TrainingSettings(steps=1, lr=0.01, schedule="constant"))
    decayed, _, _ = run(
        tmp_path / "decayed", TrainingSettings(steps=1, lr=0.01, schedule="constant", weight_decay=20.0)
    )
    assert {weight.ndim for weight in start.values()} == {1, 2}
    for (name, one), other in zip(decayed.named_parameters(), plain.parameters(), strict=True):
        expected = other - 0.2 * start[name] if start[name].ndim == 2 else other
        torch.testing.assert_close(one, expected, rtol=1e-4, atol=1e-6)


def test_history_has_every_loss_and_gauge(tmp_path: Path) -> None:
    _, notes, result = run(tmp_path, TrainingSettings(steps=3))
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert lines == notes.records == list(result.history)
    for line in lines:
        assert {"step", "square", "half", "size", "lr", "pairs_per_second", "memory_gb"} == set(line)
        # Losses of the batches of a step are added: both batches of this source are the same.
        assert line["half"] == pytest.approx(line["square"] / 2)


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    config = TrainingSettings(steps=9, grad_accum=2, lr=0.05, save_every=4)
    whole, _, result = run(tmp_path / "whole", config)
    stops = iter([False] * 4 + [True])
    _, _, first = run(tmp_path / "parts", config, should_stop=lambda: next(stops))
    assert first.interrupted
    assert first.step == 5
    rest, notes, second = run(tmp_path / "parts", config, resume=True)
    assert "resumed at step 5" in notes.notes[0]
    assert bits(rest) == bits(whole)
    timed = ("pairs_per_second", "memory_gb")
    histories = [
        [{k: v for k, v in r.items() if k not in timed} for r in h.history] for h in (result, second)
    ]
    assert histories[0] == histories[1]


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    config = TrainingSettings(steps=9, save_every=3, lr=0.05)
    whole, _, _ = run(tmp_path, config)
    weights = tmp_path / "checkpoints" / "step-00000009" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8] + b"\0" * 8)
    rest, notes, _ = run(tmp_path, config, resume=True)
    assert "step-00000009: damaged checkpoint passed over" in notes.notes[0]
    assert "model.safetensors" in notes.notes[0]
    assert "resumed at step 6" in notes.notes[1]
    assert bits(rest) == bits(whole)


def test_other_data_or_settings_are_refused_on_resume(tmp_path: Path) -> None:
    config = TrainingSettings(steps=2, save_every=1)
    run(tmp_path, config)
    with pytest.raises(TrainingError, match=r'otherwise: data was "abc", is "xyz"; resume with the settings'):
        run(tmp_path, config, resume=True, fingerprint={**SETTINGS, "data": "xyz"})
    with pytest.raises(
        TrainingError, match=r'otherwise: data was "abc", is "xyz"; lr was 0.1, is 0.2; resume'
    ):
        run(tmp_path, config, resume=True, fingerprint={"data": "xyz", "lr": 0.2})
    with pytest.raises(TrainingError, match=r'otherwise: data was "abc", is \{"of": 1\}; lr was'):
        run(tmp_path, config, resume=True, fingerprint={"data": {"of": 1}, "lr": 0.2})


def test_a_loss_that_is_not_finite_stops_with_step_and_batches_and_keeps_the_checkpoint(
    tmp_path: Path,
) -> None:
    config = TrainingSettings(steps=9, save_every=2, log_every=3)
    with pytest.raises(
        TrainingError, match=r"square and half not finite in steps 4 to 5 \(batches .*de:7,8,9"
    ):
        run(tmp_path, replace(config, save_every=5), source=Source(bad=4))
    with pytest.raises(TrainingError, match=r"not finite"):
        run(tmp_path, config, source=Source(bad=4))
    found = latest_checkpoint(tmp_path / "checkpoints", note=lambda message: None)
    assert found is not None
    assert found.step == 4


class Cliff(torch.autograd.Function):
    """The identity, with a gradient that is not finite."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * math.nan


def test_a_gradient_that_is_not_finite_spoils_no_checkpoint(tmp_path: Path) -> None:
    class Falling(Source):
        def micro_steps(
            self, start: int = 0, stop: int | None = None, stride: int = 1
        ) -> Iterator[Sequence[Batch]]:
            for step, batches in enumerate(super().micro_steps(start, stop, stride), start):
                yield [replace(batch, language="fr" if step == 4 else "de") for batch in batches]

    class Fragile(Regression):
        def forward(self, batch: Batch) -> Losses:
            losses = super().forward(batch)
            return (
                replace(losses, parts={n: Cliff.apply(v) for n, v in losses.parts.items()})
                if (batch.language == "fr")
                else losses
            )

    for every, said in ((1, "the weights not finite in steps 5 to 5"), (2, ".* not finite in steps 5 to 6")):
        folder = tmp_path / str(every)
        folder.mkdir()
        with pytest.raises(TrainingError, match=rf"{said} \(batches .*fr:7,8,9"):
            train(
                Fragile(),
                Falling(),
                TrainingSettings(steps=9, save_every=every, log_every=every, max_grad_norm=None),
                folder=folder,
                fingerprint=SETTINGS,
                observer=Notes(),
            )
        found = latest_checkpoint(folder / "checkpoints", note=lambda message: None)
        assert found is not None
        assert found.step == 4


def test_checkpoints_by_the_clock_are_where_a_killed_run_goes_on(tmp_path: Path) -> None:
    settings = TrainingSettings(steps=6, save_minutes=1e-9, lr=0.05)
    whole, _, _ = run(tmp_path / "whole", settings)
    names = sorted(path.name for path in (tmp_path / "whole" / "checkpoints").iterdir())
    assert names == ["step-00000005", "step-00000006"]
    shutil.rmtree(tmp_path / "whole" / "checkpoints" / names[1])
    rest, notes, _ = run(tmp_path / "whole", settings, resume=True)
    assert "resumed at step 5" in notes.notes[0]
    assert bits(rest) == bits(whole)
    run(tmp_path / "none", replace(settings, save_minutes=60.0))
    assert not (tmp_path / "none" / "checkpoints").exists()
    # Steps, where they are given, win.
    run(tmp_path / "steps", replace(settings, save_every=4))
    names = sorted(path.name for path in (tmp_path / "steps" / "checkpoints").iterdir())
    assert names == ["step-00000004", "step-00000006"]
    with pytest.raises(ConfigError, match="save_minutes is 0"):
        TrainingSettings(save_minutes=0)


def test_the_best_evaluation_is_kept(tmp_path: Path) -> None:
    figures = iter([4.0, 3.0, 1.0, 2.0])  # the first is the untouched start's
    kept: list[Record] = []
    _, _, result = run(
        tmp_path,
        TrainingSettings(steps=6, eval_every=2),
        evaluate=lambda: {"divergence": next(figures)},
        keep_best=kept.append,
    )
    assert [record["step"] for record in kept] == [2, 4]
    assert result.history[0] == {"step": 0, "divergence": 4.0}
    assert result.best == {"step": 4, "divergence": 1.0}


def test_of_what_is_better_higher_the_highest_is_kept(tmp_path: Path) -> None:
    figures = iter([0.4, 0.3, float("nan"), 0.6])
    kept: list[Record] = []
    _, _, result = run(
        tmp_path,
        TrainingSettings(steps=6, eval_every=2),
        evaluate=lambda: {"divergence": 1.0, "retrieval": next(figures)},
        best_by="retrieval",
        better="higher",
        keep_best=kept.append,
    )
    assert [record["step"] for record in kept] == [6]
    assert result.best == {"step": 6, "divergence": 1.0, "retrieval": 0.6}


def test_old_checkpoints_make_room(tmp_path: Path) -> None:
    run(tmp_path, TrainingSettings(steps=8, save_every=2, keep=2))
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "step-00000006",
        "step-00000008",
    ]


def test_a_failed_save_leaves_the_checkpoints_before_it(tmp_path: Path) -> None:
    def full(folder: Path) -> None:
        (folder / "weights").write_bytes(b"x" * 100)
        raise OSError(28, "No space left on device")

    def good(folder: Path) -> None:
        (folder / "weights").write_bytes(b"x")

    write_checkpoint(tmp_path, 1, {}, good, keep=2)
    with pytest.raises(
        TrainingError, match=r"step 2 could not be written \(No space left on device\); make room"
    ):
        write_checkpoint(tmp_path, 2, {}, full, keep=2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


KILLED = """
import sys
from pathlib import Path
from tests.training.test_loop import run, bits
from otkit.training.settings import TrainingSettings
folder = Path(sys.argv[1])
module, _, _ = run(folder, TrainingSettings(steps=120, save_every=2, lr=0.05, keep=2), resume=True)
(folder / "weights").write_bytes(b"".join(bits(module)))
"""


@pytest.mark.slow  # five runs; tests/hostile kills one of every command
def test_kill_minus_nine_at_any_moment_changes_nothing(tmp_path: Path) -> None:
    """A run that saves at every second step is killed four times, mostly inside a save, and resumed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    folder, kills = tmp_path / "killed", 0
    for _ in range(40):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], env=environment)
        if kills < 4:
            # Wait for this run to make progress of its own, then for a save to be under way.
            seen = set(folder.glob("checkpoints/step-*"))
            while process.poll() is None:
                partial = list(folder.glob("checkpoints/.partial-*"))
                if partial and set(folder.glob("checkpoints/step-*")) - seen:
                    break
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
                continue
        assert process.wait() == 0
        break
    assert kills == 4
    whole, _, _ = run(tmp_path / "whole", TrainingSettings(steps=120, save_every=2, lr=0.05, keep=2))
    assert (folder / "weights").read_bytes() == b"".join(bits(whole))


def test_runs_of_one_process_have_their_own_precision_and_say_where_it_is_slow(tmp_path: Path) -> None:
    slow = slow_precision(torch.device("cpu"), "bf16")
    weights = []
    for number, precision in enumerate(("fp32", "bf16", "fp32")):
        module, watched, _ = run(tmp_path / str(number), TrainingSettings(steps=3, precision=precision))
        weights.append(bits(module))
        assert watched.notes == ([slow] if slow and precision == "bf16" else [])
    assert weights[0] == weights[2] != weights[1]


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="grad_accum is 0"):
        TrainingSettings(grad_accum=0)
    with pytest.raises(ConfigError, match=r"warmup is 1\.5; give a number of at least 0 and below 1"):
        TrainingSettings(warmup=1.5)
    with pytest.raises(
        ConfigError,
        match=r"unknown precision 'fp8'; did you mean 'fp32'\? choose from: fp32, bf16, fp16|unknown precision 'fp8'",
    ):
        TrainingSettings(precision="fp8")
