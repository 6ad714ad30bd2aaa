"""The forecast of a run: the batch that takes the most memory, what it takes, and what the process then took."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from otkit.data.batching import PairBatch, PairSource
from otkit.data.parallel import ParallelCorpus, open_corpus
from otkit.data.settings import BatchingSettings
from otkit.encoders.torch import TorchEncoder
from otkit.training.forecast import _by_pairs, _counted, _first, _look_at, forecast
from otkit.training.objectives import AlignmentModel
from otkit.training.recipe import Recipe
from otkit.training.run import build_model
from otkit.training.settings import ObjectiveSettings, TrainingSettings, TuningSettings
from tests.training.support import Silent

COUNT = 48


@pytest.fixture
def corpus(tmp_path: Path) -> ParallelCorpus:
    lines = [f"das haus {'ist klein ' * (n % 7)}\tthe house {'is small ' * (n % 5)}" for n in range(COUNT)]
    lines[31] = "das haus " + "ist " * 30 + "\tthe house is small"
    (tmp_path / "de-en.tsv").write_text("\n".join(lines), encoding="utf-8")
    return open_corpus(tmp_path / "de-en.tsv")


def sizes(batch: PairBatch) -> tuple[int, int, int]:
    return len(batch.indices), batch.source.ids.shape[1], batch.target.ids.shape[1]


def all_batches(source: PairSource, stop: int) -> list[PairBatch]:
    return [batch for parts in source.micro_steps(0, stop) for batch in parts]


@pytest.mark.parametrize(
    "config", [{}, {"window": 2}, {"batch_tokens": 60}, {"pairs_per_language": 120, "window": 3}]
)
def test_the_longest_batch_is_found(
    tiny_encoder: TorchEncoder, corpus: ParallelCorpus, config: dict[str, int]
) -> None:
    source = PairSource([corpus, corpus], tiny_encoder, BatchingSettings(batch_size=8, **config))
    for stop in (2, source.micro_steps_per_epoch):
        found = _look_at(source, stop, observer=None).longest
        batches = all_batches(source, stop)
        for power, batch in zip((1, 2), found, strict=True):

            def size(each: PairBatch, power: int = power) -> int:
                rows, n, m = sizes(each)
                return rows * (n**power + m**power)

            assert size(batch) == max(map(size, batches))


def test_what_stands_tokenised_is_counted(tiny_encoder: TorchEncoder, corpus: ParallelCorpus) -> None:
    source = PairSource([corpus, corpus], tiny_encoder, BatchingSettings(batch_size=8, window=6))
    whole = [tiny_encoder.tokenize([pair.source.split() for pair in corpus], prefix="")]
    whole += [tiny_encoder.tokenize([pair.target.split() for pair in corpus], prefix="")]
    size = sum(
        tensor.numel() * tensor.element_size()
        for tokens in whole
        for tensor in (tokens.ids, tokens.attention, tokens.word_ids)
    )
    assert _look_at(source, 6, observer=None).tokenised == 2 * size


def test_of_much_text_the_windows_with_the_longest_sentences_are_looked_at(
    tiny_encoder: TorchEncoder, corpus: ParallelCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otkit.training.forecast._LOOKED_AT", 16)
    source = PairSource([corpus], tiny_encoder, BatchingSettings(batch_size=8, window=2))
    asked: list[tuple[int, int]] = []

    class Watching(Silent):
        def progress(self, what: str, done: int, total: int | None) -> None:
            asked.append((done, total or 0))

    found = _look_at(source, 10**6, observer=Watching()).longest
    assert asked[-1] == (16, 16)
    assert len(asked) < 3  # of the three windows
    assert any(31 in batch.indices for batch in found)


PARTS = ("ot", "contrastive-weak", "link-likelihood", "sentence-contrastive", "anchor", "mlm")


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("part", PARTS)
def test_what_a_batch_keeps_follows_from_what_its_first_pairs_keep(
    tiny_encoder: TorchEncoder, corpus: ParallelCorpus, part: str, dropout: bool
) -> None:
    objective = ObjectiveSettings(
        losses=((part, 1.0),), cost="cosine", epsilon=0.1, layers=(1,), dropout=dropout, word_vector="mean"
    )
    settings = Recipe(
        objective=objective, batching=BatchingSettings(batch_size=24), training=TrainingSettings(steps=1)
    )
    module = build_model(tiny_encoder, [corpus], settings, observer=Silent()).train()
    batch = max(all_batches(PairSource([corpus], tiny_encoder, settings.batching), 2), key=sizes)
    assert len(batch.indices) == 24
    whole = _counted(module, batch, "fp32")
    # Which words mlm hides is drawn for each batch, and so is how many.
    assert _by_pairs(module, batch, "fp32") == pytest.approx(whole, rel=0.1 if part == "mlm" else 0.02)
    few = _first(batch, 4)
    assert _by_pairs(module, few, "fp32") == _counted(module, few, "fp32") < whole / 3


def test_activations_are_counted_and_weights_are_not(
    tiny_encoder: TorchEncoder, corpus: ParallelCorpus
) -> None:
    """Against sums by hand: one linear layer keeps its input, and dropout its mask."""

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.dropout = torch.nn.Linear(7, 5), torch.nn.Dropout(0.5)
            self.encoder = tiny_encoder

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return self.dropout(self.linear(batch) ** 2).sum()

    x = torch.randn(11, 7)
    # The input, what is squared (twice the same storage), and the mask with its scale.
    kept = _counted(Module(), x, "fp32")  # type: ignore[arg-type]
    assert 4 * 11 * 7 + 4 * 11 * 5 + 11 * 5 <= kept <= 4 * 11 * 7 + 4 * 11 * 5 + 4 * 11 * 5 + 64


def test_recomputed_layers_take_less_and_more_than_nothing(
    tiny_encoder: TorchEncoder, corpus: ParallelCorpus
) -> None:
    settings = Recipe(
        objective=replace(Recipe.read("paper").objective, layers=(2,)),
        batching=BatchingSettings(batch_size=24),
        training=TrainingSettings(steps=1),
    )
    plain = forecast(tiny_encoder, [corpus], settings)
    again = forecast(
        tiny_encoder, [corpus], replace(settings, tuning=TuningSettings(gradient_checkpointing=True))
    )
    assert plain.longest == again.longest
    assert 0.3 * plain.batch_gb < again.batch_gb < 0.95 * plain.batch_gb
    layers = tiny_encoder.model.encoder.layer
    assert all(layer.gradient_checkpointing for layer in layers)  # as the run has them


def test_the_peak_is_made_of_its_parts(tiny_encoder: TorchEncoder, corpus: ParallelCorpus) -> None:
    settings = Recipe(
        objective=replace(Recipe.read("paper").objective, layers=(2,)),
        batching=BatchingSettings(batch_size=8),
        training=TrainingSettings(epochs=3),
        tuning=TuningSettings(freeze=1),
    )
    plan = forecast(tiny_encoder, [corpus], settings)
    module = AlignmentModel(tiny_encoder, replace(settings.objective, losses=(("ot", 1.0),)))
    trained = sum(w.numel() for w in module.parameters() if w.requires_grad)
    assert plan.trained == trained
    assert plan.longest[0] == 8
    assert 32 < plan.longest[1] <= 34
    assert plan.memory_gb > plan.batch_gb + 12 * trained / 1e9


SOURCE = "Das alte Haus am Fluss wurde von den Kindern im Sommer verkauft und wieder gekauft"
TARGET = "In the autumn the committee of the old town decided to build a bridge over the river"
RUN = """
import json, resource, sys
from dataclasses import replace
from pathlib import Path
import torch
torch.set_num_threads(1)
from otkit.data.parallel import open_corpus
from otkit.encoders.open import open_encoder
from otkit.training.forecast import forecast
from otkit.training.recipe import Recipe
from otkit.training.run import align_encoder
from tests.training.support import Silent

folder, name, what = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
encoder = open_encoder(device="cpu")
settings = Recipe.read(name).changed(
    batching={"batch_size": 8, "pairs_per_language": 8},
    training={"steps": 1, "grad_accum": 1, "warmup": 0.0},
)
corpora = [open_corpus(folder / "de-en.tsv")]
if what == "forecast":
    plan = forecast(encoder, corpora, settings)
    print(json.dumps([plan.memory_gb, plan.batch_gb]))
else:
    (folder / name).mkdir()
    align_encoder(encoder, corpora, [], settings, folder=folder / name, observer=Silent())
    print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6))
"""


@pytest.mark.slow  # four interpreters that import torch, and two steps on long sentences
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
@pytest.mark.parametrize("name", ["paper", "best"])
def test_the_forecast_is_what_the_process_then_takes(tmp_path: Path, name: str) -> None:
    lines = [" ".join([SOURCE] * n) + "\t" + " ".join([TARGET] * n) for n in (8, 9) * 4]
    (tmp_path / "de-en.tsv").write_text("\n".join(lines), encoding="utf-8")

    def told(what: str) -> str:
        command = [sys.executable, "-c", RUN, str(tmp_path), name, what]
        run = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)  # type: ignore[no-any-return]

    said, batch = told("forecast")
    taken = told("run")
    assert batch > 0.5  # the batch is most of it, not the interpreter
    assert said == pytest.approx(taken, rel=0.25)
