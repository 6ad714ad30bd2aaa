"""Training on a GPU: no step waits for the device, and its losses are those of the processor."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch

from otkit.data.batching import PairBatch, PairSource
from otkit.data.parallel import open_corpus
from otkit.data.settings import BatchingSettings
from otkit.data.views import CorpusView, PairCorpus
from otkit.encoders.torch import TorchEncoder
from otkit.resources import sample_data
from otkit.training.objectives import OBJECTIVES, AlignmentModel
from otkit.training.recipe import Recipe
from otkit.training.run import build_model
from otkit.training.settings import ObjectiveSettings, TrainingSettings, TuningSettings
from otkit.training.supervision import GivenLinks
from otkit.transport.divergence import sinkhorn_divergence

pytestmark = pytest.mark.gpu


class Quiet:
    def record(self, record: object, *, step: int, steps: int) -> None: ...

    def note(self, message: str) -> None: ...

    def progress(self, what: str, done: int, total: int | None) -> None: ...


@pytest.fixture
def forbidden_syncs() -> Iterator[None]:
    yield
    torch.cuda.set_sync_debug_mode("default")


def copied(encoder: TorchEncoder, device: str) -> TorchEncoder:
    """The encoder once more, to be trained, on a device."""
    model = copy.deepcopy(encoder.model).to(device)
    return TorchEncoder(model, encoder.tokenizer, name=encoder.name, settings=encoder.settings)


def some_pairs() -> list[PairCorpus]:
    corpus = open_corpus(sample_data() / "parallel" / "de-en.train.tsv")
    return [CorpusView(corpus, torch.arange(12).numpy())]


def module_and_batch(
    encoder: TorchEncoder, config: ObjectiveSettings, *, compiled: bool = False
) -> tuple[AlignmentModel, PairBatch]:
    corpora = some_pairs()
    links = GivenLinks(
        corpora, [{pair.line: [(0, 0), (1, 1)] for pair in map(corpora[0].__getitem__, range(12))}]
    )
    settings = Recipe(
        objective=config,
        batching=BatchingSettings(batch_size=12),
        training=TrainingSettings(),
        tuning=TuningSettings(compile=compiled),
    )
    module = build_model(encoder, corpora, settings, observer=Quiet(), links=links)
    (batch,) = next(PairSource(corpora, encoder, settings.batching).micro_steps(0, 1))
    return module.train(), batch


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.usefixtures("forbidden_syncs")
def test_a_step_does_not_wait_and_its_loss_is_the_processors(name: str, sample_encoder: TorchEncoder) -> None:
    links = "given" if name == "word-alignment-supervised" else "own"
    config = ObjectiveSettings(
        losses=((name, 1.0),), cost="cosine", epsilon=0.1, tau=0.5, links=links, anchor_reduction="mean"
    )
    losses = {}
    for device in ("cpu", "cuda"):
        encoder = copied(sample_encoder, device)
        module, batch = module_and_batch(encoder, config)
        weights = [weight for weight in module.parameters() if weight.requires_grad]
        adam = torch.optim.AdamW(weights, lr=1e-5, fused=True)
        with torch.no_grad():
            # The start has no gradient under the anchors, and on a GPU whatever is set up is set up here.
            for weight in weights[20:24]:
                weight += 0.01
            module(batch)
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("error")
        found = module(batch).parts[name]
        found.backward()
        adam.step()
        torch.cuda.set_sync_debug_mode("default")
        losses[device] = float(found.detach())
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=0.02, abs=2e-5)


def test_fused_layers_give_the_same_loss(sample_encoder: TorchEncoder) -> None:
    config = ObjectiveSettings(anchor_reduction="mean")
    losses = []
    for compiled in (False, True):
        encoder = copied(sample_encoder, "cuda")
        module, batch = module_and_batch(encoder, config, compiled=compiled)
        losses.append(float(sum(module(batch).parts.values())))
        assert all(
            (layer._compiled_call_impl is not None) == compiled for layer in encoder.model.encoder.layer
        )
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_a_cache_serves_subwords(sample_encoder: TorchEncoder) -> None:
    encoder = copied(sample_encoder, "cuda")
    corpora = some_pairs()
    settings = Recipe(
        objective=ObjectiveSettings(granularity="subword", anchor_reduction="mean"),
        batching=BatchingSettings(batch_size=4),
        training=TrainingSettings(epochs=3),
    )
    module = build_model(encoder, corpora, settings, observer=Quiet())
    for (batch,) in PairSource(corpora, encoder, settings.batching).micro_steps(0, 3):
        # Half precision is all that lies between the start and the encoder that has not moved.
        assert float(module(batch).metrics["drift"]) < 1e-4


@pytest.mark.usefixtures("forbidden_syncs")
def test_long_sentences_do_not_wait_either() -> None:
    x, y = (torch.randn(2, n, 8, device="cuda") for n in (150, 130))
    a, b = (torch.full(side.shape[:2], 1 / side.shape[1], device="cuda") for side in (x, y))
    sinkhorn_divergence(x, y, a, b, cost="euclidean", config=ObjectiveSettings().sinkhorn)
    torch.cuda.set_sync_debug_mode("error")
    divergence = sinkhorn_divergence(x, y, a, b, cost="euclidean", config=ObjectiveSettings().sinkhorn)
    torch.cuda.set_sync_debug_mode("default")
    assert divergence.marginal_error.max() < 1e-3
