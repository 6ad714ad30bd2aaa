"""Published and recommended settings by name: what `--preset` means."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from otkit.data.batching import BatchingSettings
from otkit.encoders.encoder import TorchEncoder, resolve_layers
from otkit.training.loop import TrainingSettings
from otkit.training.objectives import ObjectiveSettings
from otkit.training.tuning import TuningSettings

__all__ = ["PRESETS", "Preset"]


@dataclass(frozen=True)
class Preset:
    """A whole run's settings and where they come from.

    alignment_layers  the layers compared are those that the encoder's words are best aligned at
    frozen_quarter    the embeddings and the lowest quarter of the layers stay as they are
    upper_discarded   the layers above those compared learn in the run only (`TuningSettings.discarded_above`)
    mixed             a batch holds pairs of all languages
    """

    source: str
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    batching: BatchingSettings = field(default_factory=BatchingSettings)
    train: TrainingSettings = field(default_factory=TrainingSettings)
    alignment_layers: bool = False
    frozen_quarter: bool = False
    upper_discarded: bool = False
    mixed: bool = False

    def fitted(
        self, encoder: TorchEncoder, asked: TuningSettings, *, layers: tuple[int, ...] | None = None
    ) -> tuple[tuple[int, ...], TuningSettings]:
        """The layers compared and what is trained of this encoder, where `layers` and `asked` do not say so."""
        compared = layers or (
            encoder.settings.alignment_layers if self.alignment_layers else self.objective.layers
        )
        frozen, discarded = asked.frozen, asked.discarded_above
        if discarded is None and self.upper_discarded:
            discarded = max(resolve_layers(compared, encoder.layers))
        if frozen is None and self.frozen_quarter:
            frozen = encoder.layers // 4
            if discarded is not None:  # a layer at least is trained and kept
                frozen = max(min(frozen, discarded - 1), 0)
        return compared, replace(asked, frozen=frozen, discarded_above=discarded)


_PAPER_BATCHES = BatchingSettings(batch_size=24, pairs_per_language=250_000)
_PAPER_TRAIN = TrainingSettings(epochs=1.0, grad_accum=2, lr=5e-5, schedule="constant", max_grad_norm=None)
_WU_DREDZE: dict[str, Any] = {"word_vector": "first", "temperature": 0.1, "projection": 128}
_WU_DREDZE_BATCHES = BatchingSettings(batch_size=16, pairs_per_language=1_000_000)
_WU_DREDZE_TRAIN = TrainingSettings(steps=100_000, lr=1e-4, warmup=0.04)

PRESETS: dict[str, Preset] = {
    "paper": Preset(
        "Alqahtani et al. 2021, as its text says: Euclidean cost, epsilon 0.05 in units of that cost",
        ObjectiveSettings(cost="euclidean", epsilon=0.05),
        _PAPER_BATCHES,
        _PAPER_TRAIN,
    ),
    "paper-default": Preset(
        "Alqahtani et al. 2021, as GeomLoss's defaults compute it: half squared Euclidean cost,"
        " epsilon 0.05 ** 2",
        ObjectiveSettings(cost="sqeuclidean", epsilon=0.0025),
        _PAPER_BATCHES,
        _PAPER_TRAIN,
    ),
    "sample": Preset(
        "the demonstration: the sample encoder on the sample data in two minutes on two cores",
        # A cosine divergence is a tenth of a squared distance between vectors of norm 5, so its weight is
        # larger.
        ObjectiveSettings(
            parts=(("ot", 20.0), ("anchor", 1.0)),
            cost="cosine",
            epsilon_relative=0.1,
            word_vector="mean",
            anchor_reduction="mean",
        ),
        BatchingSettings(batch_size=8),
        TrainingSettings(epochs=1.0, lr=1e-4, warmup=0.1),
    ),
    "best": Preset(
        "the recommendation, from the search in benchmarks/README.md: the lowest AER of the recipes that need no links"
        " and, as far as measured, harm neither retrieval nor XNLI; it learns from its own links, in which short words"
        " go with the next",
        ObjectiveSettings(
            parts=(
                ("contrastive-weak", 1.0),
                ("link-likelihood", 2.0),
                ("sentence-contrastive", 2.0),
                ("anchor", 0.1),
            ),
            cost="cosine",
            # Both in units of each pair's mean cost, in every part: those that the parts' own links are read off
            # (contrastive-weak) and those of the word aligner (link-likelihood).
            epsilon_relative=0.075,
            tau=0.1,
            center="sentence",
            word_vector="mean",
            anchor_reduction="mean",
            dropout=True,
            length_power=0.25,
            attach_factor=4.0,
            relink_every=35,
        ),
        BatchingSettings(batch_size=24, pairs_per_language=500),
        TrainingSettings(epochs=1.0, lr=4e-4, warmup=0.1),
        alignment_layers=True,
        frozen_quarter=True,
        upper_discarded=True,
        mixed=True,
    ),
    "large-paper": Preset(
        "Alqahtani et al. 2021, section 5, LargeWordOT: fifteen languages in smaller batches",
        ObjectiveSettings(cost="euclidean", epsilon=0.05),
        BatchingSettings(batch_size=8, pairs_per_language=250_000),
        replace(_PAPER_TRAIN, grad_accum=3),
    ),
    "cao-l2": Preset(
        "Cao, Kitaev, Klein 2020: squared distance of linked words; give their fast_align links with --links",
        ObjectiveSettings(parts=(("l2", 1.0), ("anchor", 1.0))),
        BatchingSettings(batch_size=8, pairs_per_language=250_000),
        TrainingSettings(lr=5e-5, warmup=0.1, betas=(0.9, 0.98), max_grad_norm=None),
    ),
    "wu-dredze-weak": Preset(
        "Wu and Dredze 2020, weak alignment; 128 pairs a step are 16 of each of their eight language pairs",
        ObjectiveSettings(parts=(("contrastive-weak", 1.0), ("parameter-anchor", 1.0)), **_WU_DREDZE),
        _WU_DREDZE_BATCHES,
        _WU_DREDZE_TRAIN,
    ),
    "wu-dredze-strong": Preset(
        "Wu and Dredze 2020, strong alignment; 128 pairs a step are 16 of each of their eight language pairs",
        ObjectiveSettings(parts=(("contrastive-strong", 1.0), ("parameter-anchor", 1.0)), **_WU_DREDZE),
        _WU_DREDZE_BATCHES,
        _WU_DREDZE_TRAIN,
    ),
    "awesome": Preset(
        "awesome-align (Dou and Neubig 2021), the recipe of 20,000 steps: self-training at layer 8, and TLM",
        ObjectiveSettings(
            parts=(("self-training", 1.0), ("tlm", 1.0)), unit="subword", layers=(8,), dropout=True
        ),
        BatchingSettings(batch_size=2),
        TrainingSettings(steps=20_000, grad_accum=4, lr=2e-5),
    ),
    "xlm-align": Preset(
        "XLM-Align (Chi et al. 2021): MLM, TLM and the pointer at the links of layer 10, 2,048 pairs a step",
        ObjectiveSettings(
            parts=(("mlm", 1.0), ("tlm", 1.0), ("denoising-alignment", 1.0)),
            cost="cosine",
            unit="subword",
            layers=(10,),
            dropout=True,
        ),
        BatchingSettings(batch_size=64),
        TrainingSettings(steps=200_000, grad_accum=32, lr=2e-4, warmup=0.05, betas=(0.9, 0.98), weight_decay=0.01),
    ),
    "otalign": Preset(
        "OTAlign (Arase, Bao, Yokoi 2023), supervised: needs gold links (--links). They tune tau on a"
        " development set, and stop early where 100 iterations stand here",
        ObjectiveSettings(
            parts=(("word-alignment-supervised", 1.0),),
            cost="cosine",
            epsilon=0.1,
            tau=0.5,
            word_vector="mean",
            links="given",
            iterations=100,
        ),
        BatchingSettings(batch_size=64),
        TrainingSettings(epochs=200, lr=1e-4),
    ),
    "optical": Preset(
        "OPTICAL (Huang, Yu, Allan 2023), its settings as a reimplementation has them; name a --teacher",
        ObjectiveSettings(parts=(("ot-distill", 1.0),), cost="cosine", epsilon=0.1),
        BatchingSettings(batch_size=32),
        TrainingSettings(epochs=4, lr=1e-5),
    ),
}
