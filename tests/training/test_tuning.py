"""What is trained: adapters that can be added in, frozen layers, and recomputation that changes nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from otkit.data.parallel import open_corpus
from otkit.data.settings import BatchingSettings
from otkit.data.views import MixedCorpus
from otkit.encoders.device import slow_precision
from otkit.encoders.open import open_encoder
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, MissingExtraError, TrainingError
from otkit.training.forecast import forecast
from otkit.training.loop import TrainResult
from otkit.training.objectives import AlignmentModel
from otkit.training.recipe import Recipe
from otkit.training.run import align_encoder
from otkit.training.settings import ObjectiveSettings, TrainingSettings, TuningSettings
from otkit.training.tuning import as_saved, copy_layers_above, prepare_encoder
from tests.encoders.test_encoder import FAMILIES, of_family
from tests.training.support import Silent
from tests.training.test_every_objective import TEXT, prepared

SETTINGS = Recipe(
    objective=ObjectiveSettings(
        losses=(("ot", 1.0),), cost="cosine", epsilon=0.1, tolerance=1e-6, iterations=500
    ),
    batching=BatchingSettings(batch_size=3),
    training=TrainingSettings(steps=3, lr=1e-2, save_every=1),
)


def run(folder: Path, encoder: TorchEncoder, settings: Recipe, **options: object) -> TrainResult:
    folder.mkdir(exist_ok=True)
    (folder / "de-en.tsv").write_text(TEXT, encoding="utf-8")
    corpora = [open_corpus(folder / "de-en.tsv")]
    out = folder / "out"
    out.mkdir(exist_ok=True)
    options = {"observer": Silent(), **options}
    return align_encoder(encoder, corpora, corpora, settings, folder=out, **options)  # type: ignore[arg-type]


def gradients(module: AlignmentModel, batch: object) -> dict[str, Tensor]:
    module.train()
    torch.stack(list(module(batch).parts.values())).sum().backward()
    return {name: w.grad.clone() for name, w in module.named_parameters() if w.grad is not None}


def test_adapters_alone_are_trained_and_the_saved_encoder_has_them_in_its_weights(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    pytest.importorskip("peft")
    names = set(tiny_encoder.model.state_dict())
    before = {name: value.clone() for name, value in tiny_encoder.model.state_dict().items()}
    settings = replace(SETTINGS, tuning=TuningSettings(lora_rank=2))
    result = run(tmp_path, tiny_encoder, settings)
    after = tiny_encoder.model.state_dict()
    base = {name.replace(".base_layer", ""): value for name, value in after.items() if ".lora_" not in name}
    assert set(base) == names
    assert all(torch.equal(before[name], base[name]) for name in names)
    assert float(result.history[-1]["divergence"]) < float(result.history[0]["divergence"])
    saved = open_encoder(tmp_path / "out", device="cpu")
    assert isinstance(saved, TorchEncoder)
    assert set(saved.model.state_dict()) == names
    tokens = saved.tokenize([["das", "haus", "ist", "klein"]])
    with torch.no_grad():
        (ours,) = saved.hidden_states(tokens, layers=[-1])
        (theirs,) = tiny_encoder.hidden_states(tokens, layers=[-1])
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_frozen_parts_stay_as_they_are(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    before = {name: value.clone() for name, value in tiny_encoder.model.state_dict().items()}
    run(tmp_path, tiny_encoder, replace(SETTINGS, tuning=TuningSettings(freeze=1)))
    moved = {n for n, value in tiny_encoder.model.state_dict().items() if not torch.equal(value, before[n])}
    assert moved
    assert all(name.startswith("encoder.layer.1.") for name in moved)
    with pytest.raises(ConfigError, match="the encoder has no layer 9"):
        prepare_encoder(tiny_encoder, TuningSettings(freeze=9), seed=0)


def test_a_loss_that_no_trained_weight_reaches_is_said(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    """Embeddings that are frozen, compared at the layer that they are."""
    settings = replace(SETTINGS, objective=replace(SETTINGS.objective, layers=(0,)))
    with pytest.raises(TrainingError, match="no trained weight reaches the loss; freeze fewer layers"):
        run(tmp_path, tiny_encoder, replace(settings, tuning=TuningSettings(freeze=0)))


def test_layers_above_stay_as_they_are_and_pass_gradients_down(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    before = weights(tiny_encoder)
    objective = replace(SETTINGS.objective, losses=(("sentence-contrastive", 1.0),))
    run(
        tmp_path,
        tiny_encoder,
        replace(SETTINGS, objective=objective, tuning=TuningSettings(freeze=0, freeze_above=1)),
    )
    assert moved(before, weights(tiny_encoder)) == {"0."}
    with pytest.raises(ConfigError, match="the encoder has no layer 9"):
        prepare_encoder(tiny_encoder, TuningSettings(freeze_above=9), seed=0)
    with pytest.raises(ConfigError, match="none is left; freeze fewer"):
        TuningSettings(freeze=1, freeze_above=1)


def weights(encoder: object) -> dict[str, Tensor]:
    assert isinstance(encoder, TorchEncoder)
    return {name: value.clone() for name, value in encoder.model.state_dict().items()}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    assert set(before) == set(after)
    return {
        name.rpartition(".layer.")[2][:2] for name in before if not torch.equal(before[name], after[name])
    }


SENTENCES = replace(
    SETTINGS,
    objective=replace(SETTINGS.objective, losses=(("ot", 1.0), ("sentence-contrastive", 1.0)), layers=(1,)),
    training=replace(SETTINGS.training, eval_every=1),
)
HEAD = replace(SENTENCES, tuning=TuningSettings(freeze=0, head_layers=1))


def test_discarded_layers_learn_with_the_others_and_are_saved_as_they_were(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    from safetensors.torch import load_file

    tiny_encoder.save(tmp_path / "tiny")
    whole, headed = (open_encoder(tmp_path / "tiny", device="cpu") for _ in range(2))
    assert isinstance(whole, TorchEncoder)
    assert isinstance(headed, TorchEncoder)
    start, seen = weights(tiny_encoder), []
    plain = run(tmp_path / "whole", whole, replace(SENTENCES, tuning=TuningSettings(freeze=0)))
    result = run(
        tmp_path / "headed", headed, HEAD, figures=lambda: (seen.append(weights(headed)), {"f": 0.0})[1]
    )
    # The same run, but for what is left at the end, and on the way, of the layer above.
    keys = ("ot", "sentence-contrastive", "gradient_norm", "divergence")
    for ours, theirs in zip(result.history, plain.history, strict=True):
        assert [ours.get(key) for key in keys] == [theirs.get(key) for key in keys]
    assert moved(start, weights(whole)) == {"0.", "1."}
    assert moved(start, weights(headed)) == {"0."}
    assert moved(weights(whole), weights(headed)) == {"1."}
    out = tmp_path / "headed" / "out"
    assert not moved(weights(headed), weights(open_encoder(out, device="cpu")))
    assert moved(start, weights(open_encoder(out / "best", device="cpu"))) <= {"0."}
    assert len(seen) == 4  # the start and every step
    assert not moved(start, seen[0])
    assert [moved(start, each) for each in seen[1:]] == [{"0."}] * 3
    # A checkpoint has the layer as it is in training, and a resumed run ends as the uninterrupted one.
    state = load_file(out / "checkpoints" / "step-00000003" / "model.safetensors")
    upper = next(name for name in state if name.endswith("layer.1.output.dense.weight"))
    assert torch.equal(state[upper], whole.model.state_dict()[upper.removeprefix("model.")])
    shutil.rmtree(out / "checkpoints" / "step-00000003")
    again = open_encoder(tmp_path / "tiny", device="cpu")
    assert isinstance(again, TorchEncoder)
    run(tmp_path / "headed", again, HEAD, resume=True)
    assert not moved(weights(headed), weights(again))


def test_adapters_of_discarded_layers_are_discarded(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    pytest.importorskip("peft")
    start = weights(tiny_encoder)
    run(tmp_path, tiny_encoder, replace(HEAD, tuning=TuningSettings(lora_rank=2, head_layers=1)))
    assert moved(start, weights(open_encoder(tmp_path / "out", device="cpu"))) == {"0."}


def test_what_can_be_discarded(tiny_encoder: TorchEncoder) -> None:
    assert copy_layers_above(tiny_encoder, None) == copy_layers_above(tiny_encoder, 2) == {}
    with pytest.raises(ConfigError, match="the encoder has no layer 3; count from 0"):
        copy_layers_above(tiny_encoder, 3)
    for tuning, said in (
        (TuningSettings(freeze=1, head_layers=1), "the first 1 are frozen: none is left; freeze fewer"),
        (TuningSettings(head_layers=3), "the top 3 of the encoder's 2 layers are a head"),
    ):
        with pytest.raises(ConfigError, match=said):
            Recipe(tuning=tuning).for_encoder(tiny_encoder)
    trained = weights(tiny_encoder)
    copied = copy_layers_above(tiny_encoder, 0)
    assert all(config is tiny_encoder.model.config for config in configs(copied.values()))
    torch.nn.init.zeros_(copied["encoder.layer.1"].get_parameter("output.dense.weight"))
    with pytest.raises(RuntimeError, match="on the way"), as_saved(tiny_encoder, copied):  # noqa: PT012
        assert moved(trained, weights(tiny_encoder)) == {"1."}
        raise RuntimeError("on the way")
    assert not moved(trained, weights(tiny_encoder))


def configs(modules: Iterable[torch.nn.Module]) -> list[object]:
    found = [part.config for module in modules for part in module.modules() if hasattr(part, "config")]
    assert found
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_s_layers_and_last_norm_are_put_back(
    tmp_path: Path, tiny_encoder: TorchEncoder, family: str
) -> None:
    encoder = of_family(family, tiny_encoder)
    start = weights(encoder)
    tuning = TuningSettings(head_layers=encoder.layers - 1, gradient_checkpointing=True)
    run(tmp_path, encoder, replace(SENTENCES, tuning=tuning))
    still = {name for name, value in weights(encoder).items() if torch.equal(value, start[name])}
    upper = {name for name in start if ".1." in name or ".2." in name or name.startswith("final_norm")}
    assert any(name.startswith("final_norm") for name in upper) == (family == "modernbert")
    assert {name for name in still if not name.startswith(("embeddings.", "pooler."))} == upper


def test_layers_of_an_unknown_kind_are_refused(tiny_encoder: TorchEncoder) -> None:
    from transformers import AlbertConfig, AlbertModel, XLMConfig, XLMModel

    size = len(tiny_encoder.tokenizer)
    shared = AlbertModel(
        AlbertConfig(vocab_size=size, hidden_size=32, num_attention_heads=2, embedding_size=8)
    )
    parts = XLMModel(
        XLMConfig(vocab_size=size, emb_dim=32, n_layers=2, n_heads=2, max_position_embeddings=64)
    )
    for model in (shared, parts):
        encoder = TorchEncoder(model, tiny_encoder.tokenizer, name="odd", settings=tiny_encoder.settings)
        with pytest.raises(ConfigError, match="not known; train it whole: freeze and discard none"):
            copy_layers_above(encoder, 1)


def test_words_that_are_compared_where_nothing_stays_are_noted(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    heard: list[str] = []

    class Listening(Silent):
        def note(self, message: str) -> None:
            heard.append(message)

    run(tmp_path, tiny_encoder, HEAD, observer=Listening())
    assert not any("discarded" in message for message in heard)
    at_the_top = replace(HEAD, objective=replace(HEAD.objective, layers=(-1,)))
    run(tmp_path / "top", tiny_encoder, at_the_top, observer=Listening())
    assert any("compared at layer 2, but what is learnt above layer 1 is discarded" in each for each in heard)


def test_recomputed_activations_give_the_same_gradient_between_layers_too(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    settings = {"layers": (1, 2), "layer_weights": (1.0, 0.5)}
    module, batch = prepared(tmp_path, tiny_encoder, "ot", **settings)
    plain = gradients(module, batch)
    module.zero_grad()
    prepare_encoder(tiny_encoder, TuningSettings(gradient_checkpointing=True), seed=0)
    layer = tiny_encoder.model.encoder.layer[0]
    calls = []
    layer.attention.register_forward_hook(lambda *_: calls.append(1))
    again = gradients(module, batch)
    assert len(calls) == 4  # both sides, forward and once more backward
    assert not any(drop.training for drop in layer.modules() if isinstance(drop, torch.nn.Dropout))
    assert set(plain) == set(again)
    for name, gradient in plain.items():
        torch.testing.assert_close(again[name], gradient, rtol=1e-4, atol=1e-6)


def test_an_adapter_needs_its_package(tiny_encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"'peft' is needed here.*pip install 'otkit\[lora\]'"):
        prepare_encoder(tiny_encoder, TuningSettings(lora_rank=2), seed=0)


def test_losses_reach_the_tracker(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    result = run(tmp_path, tiny_encoder, SETTINGS, log_to=["tensorboard"])
    (events,) = (tmp_path / "out" / "logs" / "otkit").glob("events*")
    read = accumulator.EventAccumulator(str(events))
    read.Reload()
    written = [record["ot"] for record in result.history if "ot" in record]
    assert [event.value for event in read.Scalars("ot")] == pytest.approx(written, rel=1e-5)
    with pytest.raises(ConfigError, match="unknown tracker 'tensorbord'; did you mean 'tensorboard'"):
        run(tmp_path / "again", tiny_encoder, SETTINGS, log_to=["tensorbord"])


def test_the_forecast_counts_what_the_run_then_does(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    (tmp_path / "de-en.tsv").write_text(TEXT, encoding="utf-8")
    corpora = [open_corpus(tmp_path / "de-en.tsv")]
    settings = Recipe(
        objective=SETTINGS.objective,
        batching=BatchingSettings(batch_size=2, pairs_per_language=12),
        training=TrainingSettings(epochs=2, grad_accum=2),
        tuning=TuningSettings(freeze=1),
    )
    before = {name: value.clone() for name, value in tiny_encoder.model.state_dict().items()}
    plan = forecast(tiny_encoder, corpora, settings)
    assert (plan.micro_steps_per_epoch, plan.steps) == (6, 6)
    assert plan.corpora[0].visits == 4.0
    assert plan.trained == sum(w.numel() for w in tiny_encoder.model.encoder.layer[1].parameters())
    assert plan.weights == sum(w.numel() for w in tiny_encoder.model.parameters())
    assert plan.seconds > 0
    assert all(torch.equal(value, before[name]) for name, value in tiny_encoder.model.state_dict().items())
    assert plan.slow is None
    halved = replace(settings, training=replace(settings.training, precision="bf16"))
    assert forecast(tiny_encoder, corpora, halved).slow == slow_precision(torch.device("cpu"), "bf16")
    assert forecast(tiny_encoder, corpora, settings, processes=2).steps == 3
    # Weights, gradients and moments at least, in GB.
    assert plan.memory_gb > (4 * plan.weights + 12 * plan.trained) / 1e9


def test_the_forecast_of_mixed_text_names_its_files(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    lines = TEXT.splitlines(keepends=True)
    (tmp_path / "de-en.tsv").write_text(TEXT, encoding="utf-8")
    (tmp_path / "fr-en.tsv").write_text("".join(lines[:2]), encoding="utf-8")
    parts = [open_corpus(tmp_path / f"{code}-en.tsv") for code in ("de", "fr")]
    mixed = MixedCorpus(parts, quota=6, seed=0)
    settings = replace(SETTINGS, batching=BatchingSettings(batch_size=4, pairs_per_language=len(mixed)))
    plan = forecast(tiny_encoder, [mixed], settings)
    assert [(each.languages, each.pairs, each.visits) for each in plan.corpora] == [
        (("de", "en"), len(lines), 6 / len(lines)),
        (("fr", "en"), 2, 3.0),
    ]
    assert plan.micro_steps_per_epoch == 3


def test_a_checkpoint_holds_the_heads(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    from safetensors.torch import load_file

    objective = replace(SETTINGS.objective, losses=(("contrastive-weak", 1.0),), projection=5)
    run(tmp_path, tiny_encoder, replace(SETTINGS, objective=objective))
    state = load_file(tmp_path / "out" / "checkpoints" / "step-00000003" / "model.safetensors")
    assert {name for name in state if name.startswith("heads.")} == {
        "heads.projection.0.weight",
        "heads.projection.2.weight",
    }
    assert not any("heads" in name for name in load_file(tmp_path / "out" / "model.safetensors"))
    assert json.loads((tmp_path / "out" / "otkit.json").read_text())["recipe"]["objective"]["projection"] == 5
