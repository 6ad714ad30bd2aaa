"""Presets: the published numbers, and every one of them trains."""

from __future__ import annotations

from dataclasses import replace

import pytest
from otkit.training.presets import PRESETS

from otkit.encoders.encoder import resolve_layers
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError
from otkit.training.settings import TuningSettings

TEXT = "das haus ist klein .\tthe house is small .\nein haus\ta house\ndas ist ein haus !\tthis is a house\n"


class Silent:
    def record(self, record: object, *, step: int, steps: int) -> None:
        pass

    def note(self, message: str) -> None:
        pass

    def progress(self, what: str, done: int, total: int | None) -> None:
        pass


def test_the_published_numbers() -> None:
    paper, large, cao = PRESETS["paper"], PRESETS["large-paper"], PRESETS["cao-l2"]
    assert (paper.batching.batch_size, paper.train.grad_accum, paper.train.lr) == (24, 2, 5e-5)
    assert (large.batching.batch_size, large.train.grad_accum) == (8, 3)
    assert paper.batching.pairs_per_language == cao.batching.pairs_per_language == 250_000
    assert PRESETS["paper-default"].objective.epsilon == pytest.approx(0.05**2)
    assert (cao.train.betas, cao.train.warmup) == ((0.9, 0.98), 0.1)
    for kind in ("weak", "strong"):
        wu = PRESETS[f"wu-dredze-{kind}"]
        assert (wu.objective.temperature, wu.objective.projection, wu.objective.word_vector) == (
            0.1,
            128,
            "first",
        )
        assert wu.train.warmup * (wu.train.steps or 0) == 4_000
        assert dict(wu.objective.parts) == {f"contrastive-{kind}": 1.0, "parameter-anchor": 1.0}
    assert PRESETS["xlm-align"].batching.batch_size * PRESETS["xlm-align"].train.grad_accum == 2_048
    assert PRESETS["xlm-align"].objective.layers == (10,)
    assert dict(PRESETS["xlm-align"].objective.parts) == {"mlm": 1.0, "tlm": 1.0, "denoising-alignment": 1.0}
    awesome = PRESETS["awesome"]
    assert (awesome.batching.batch_size, awesome.train.grad_accum) == (2, 4)
    assert (awesome.train.lr, awesome.train.steps, awesome.train.warmup) == (2e-5, 20_000, 0.0)
    assert (awesome.objective.layers, awesome.objective.unit) == ((8,), "subword")
    assert dict(awesome.objective.parts) == {"self-training": 1.0, "tlm": 1.0}
    otalign = PRESETS["otalign"]
    assert (otalign.batching.batch_size, otalign.train.epochs, otalign.train.lr) == (64, 200, 1e-4)
    assert (otalign.objective.epsilon, otalign.objective.links) == (0.1, "given")
    optical = PRESETS["optical"]
    assert (optical.batching.batch_size, optical.train.epochs, optical.train.lr) == (32, 4, 1e-5)
    assert (optical.objective.cost, optical.objective.epsilon) == ("cosine", 0.1)


def test_the_recommendation_takes_layers_from_the_encoder(tiny_encoder: TorchEncoder) -> None:
    best = PRESETS["best"]
    own = tiny_encoder.settings.alignment_layers
    top = max(resolve_layers(own, tiny_encoder.layers))
    unsaid = TuningSettings()
    quarter = tiny_encoder.layers // 4
    assert best.fitted(tiny_encoder, unsaid) == (own, TuningSettings(frozen=quarter, discarded_above=top))
    assert best.fitted(tiny_encoder, unsaid, layers=(0, -2)) == (
        (0, -2),
        TuningSettings(frozen=0, discarded_above=1),
    )
    assert PRESETS["paper"].fitted(tiny_encoder, unsaid) == ((-1,), unsaid)


def test_what_is_asked_for_wins_over_the_recommendation(sample_encoder: TorchEncoder) -> None:
    best = PRESETS["best"]

    def fitted(asked: TuningSettings, *layers: int) -> tuple[int | None, int | None]:
        _, tuning = best.fitted(sample_encoder, asked, layers=layers or None)
        assert tuning == replace(asked, frozen=tuning.frozen, discarded_above=tuning.discarded_above)
        return tuning.frozen, tuning.discarded_above

    assert fitted(TuningSettings(lora_rank=2)) == (3, 7)
    assert fitted(TuningSettings(frozen=0)) == (0, 7)
    assert fitted(TuningSettings(discarded_above=12)) == (3, 12)
    # Low layers leave less to freeze.
    assert fitted(TuningSettings(), 3) == (2, 3)
    assert fitted(TuningSettings(discarded_above=1), 3) == (0, 1)
    with pytest.raises(ConfigError, match="up to 7 are frozen and those above 7 discarded"):
        fitted(TuningSettings(frozen=7))
