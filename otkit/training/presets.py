"""Published and recommended settings by name: what `--preset` means."""

from __future__ import annotations

from dataclasses import dataclass, field

from otkit.data.batching import BatchingConfig
from otkit.training.loop import TrainConfig
from otkit.training.objectives import ObjectiveConfig

__all__ = ["PRESETS", "Preset"]


@dataclass(frozen=True)
class Preset:
    """A whole run's settings and where they come from."""

    source: str
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    batching: BatchingConfig = field(default_factory=BatchingConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


_PAPER_BATCHES = BatchingConfig(batch_size=24, pairs_per_language=250_000)
_PAPER_TRAIN = TrainConfig(epochs=1.0, grad_accum=2, lr=5e-5, schedule="constant", max_grad_norm=None)

PRESETS: dict[str, Preset] = {
    "paper": Preset(
        "Alqahtani et al. 2021, as its text says: Euclidean cost, epsilon 0.05 in units of that cost",
        ObjectiveConfig(cost="euclidean", epsilon=0.05),
        _PAPER_BATCHES,
        _PAPER_TRAIN,
    ),
    "paper-default": Preset(
        "Alqahtani et al. 2021, as GeomLoss's defaults compute it: half squared Euclidean cost,"
        " epsilon 0.05 ** 2",
        ObjectiveConfig(cost="sqeuclidean", epsilon=0.0025),
        _PAPER_BATCHES,
        _PAPER_TRAIN,
    ),
    "sample": Preset(
        "the demonstration: the sample encoder on the sample data in two minutes on two cores",
        # A cosine divergence is a tenth of a squared distance between vectors of norm 5, so its weight is larger.
        ObjectiveConfig(
            parts=(("ot", 20.0), ("anchor", 1.0)),
            cost="cosine",
            epsilon_relative=0.1,
            word_vector="mean",
            anchor_reduction="mean",
        ),
        BatchingConfig(batch_size=8),
        TrainConfig(epochs=1.0, lr=1e-4, warmup=0.1),
    ),
}
