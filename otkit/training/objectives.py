"""What an aligned encoder minimises: named losses on batches of sentence pairs, added with weights.

An objective part is a plain function from the encoded pairs of a batch to one number; `OBJECTIVES` names them all, and
`AlignmentModel` adds those that a configuration asks for. Values are already divided by the size of the whole
micro-step, so that a micro-step split into pieces has the same gradient as one that is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from otkit.data.batching import PairBatch
from otkit.encoders.encoder import POOLINGS, Encoded, Tokens, TorchEncoder, pool_words, subword_units
from otkit.errors import ConfigError, choose
from otkit.training.frozen import FrozenStart
from otkit.transport.cost import COSTS
from otkit.transport.divergence import sinkhorn_divergence
from otkit.transport.marginals import MARGINALS
from otkit.transport.sinkhorn import SinkhornConfig

__all__ = ["OBJECTIVES", "AlignmentModel", "EncodedPairs", "Losses", "ObjectiveConfig", "encode_units"]

SCOPES = ("pair", "batch")
UNITS = ("word", "subword")
REDUCTIONS = ("sum", "mean")


@dataclass(frozen=True)
class ObjectiveConfig:
    """What is compared, and how.

    parts             (name, weight) of each loss, names from OBJECTIVES
    cost              ground cost between vectors, from transport.cost.COSTS
    epsilon           entropic temperature, in units of the cost
    epsilon_relative  the same in units of each problem's mean cost; set, it replaces `epsilon`
    scope             "pair": one transport problem a sentence pair; "batch": all words of a micro-step as one cloud
    unit              "word" or "subword" are the points; special tokens never are
    word_vector       which subword stands for a word: "last", "first", or their "mean"
    layers            hidden states to compare, averaged; negative ones count from the end
    weights           marginals: "uniform", "idf" or "norm"
    anchor_reduction  "sum" of the squared distances over all English units of a micro-step (as printed), or "mean"
    dropout           train with the encoder's dropout; off by default, since the paper does not say and the anchor
                      then measures mostly noise: on the sample encoder an untouched word is 2.0 away from itself
                      (squared), a third of its distance to its translation, and the summed anchor's gradient is
                      several hundred times the divergence's
    iterations        most Sinkhorn iterations of one problem
    tolerance         marginal error at which the solver stops (None: always all iterations, and no host sync)
    """

    parts: tuple[tuple[str, float], ...] = (("ot", 1.0), ("anchor", 1.0))
    cost: str = "euclidean"
    epsilon: float = 0.05
    epsilon_relative: float | None = None
    scope: str = "pair"
    unit: str = "word"
    word_vector: str = "last"
    layers: tuple[int, ...] = (-1,)
    weights: str = "uniform"
    anchor_reduction: str = "sum"
    dropout: bool = False
    iterations: int = 200
    tolerance: float | None = 1e-2

    def __post_init__(self) -> None:
        choose(self.cost, COSTS, what="cost")
        choose(self.weights, MARGINALS, what="weights")
        choose(self.word_vector, {name: name for name in POOLINGS}, what="word vector")
        for value, names, what in (
            (self.scope, SCOPES, "scope"),
            (self.unit, UNITS, "unit"),
            (self.anchor_reduction, REDUCTIONS, "anchor reduction"),
        ):
            choose(value, {name: name for name in names}, what=what)
        if not self.parts:
            raise ConfigError("no objective is named", remedy="name at least one, such as ot:1")
        for name, weight in self.parts:
            choose(name, OBJECTIVES, what="objective")
            if not weight >= 0:
                raise ConfigError(f"objective {name!r} has weight {weight}", remedy="give a weight of at least 0")
        if not self.layers:
            raise ConfigError("no layer is named", remedy="name at least one layer, such as -1 for the last")

    @property
    def sinkhorn(self) -> SinkhornConfig:
        """The solver's part of these settings."""
        return SinkhornConfig(
            epsilon=self.epsilon,
            epsilon_relative=self.epsilon_relative,
            max_iterations=self.iterations,
            tolerance=self.tolerance,
        )


@dataclass(frozen=True)
class EncodedPairs:
    """The units of a batch of pairs as vectors, ready for any objective.

    source, target                  Encoded (B,N,D) and (B,M,D), in fp32
    source_weights, target_weights  (B,N) and (B,M), each row a distribution, exactly 0 at padding
    start                           (B,M,D) target vectors of the frozen start, or None where no part needs them
    share                           B over the pairs of the whole micro-step
    targets                         target units of the whole micro-step
    """

    source: Encoded
    target: Encoded
    source_weights: Tensor
    target_weights: Tensor
    start: Tensor | None
    share: float
    targets: int


@dataclass(frozen=True)
class Losses:
    """Weighted losses by name (scalars, with gradient) and gauges by name (scalars, without)."""

    parts: dict[str, Tensor]
    gauges: dict[str, Tensor]


@dataclass(frozen=True)
class Part:
    """One unweighted objective value and what it can tell on the side."""

    value: Tensor
    gauges: dict[str, Tensor]


def optimal_transport(pairs: EncodedPairs, config: ObjectiveConfig) -> Part:
    """The debiased Sinkhorn divergence between both sides' clouds, averaged over sentence pairs (or one a batch).

    S(a,b) = OT(a,b) - OT(a,a)/2 - OT(b,b)/2, equation 1 of Alqahtani et al. 2021. Their loss prints a minus before S;
    minimised, that would push languages apart, so the sign here is plus.
    """
    points: Sequence[Tensor] = (pairs.source.vectors, pairs.target.vectors)
    weights: Sequence[Tensor] = (pairs.source_weights, pairs.target_weights)
    if config.scope == "batch":
        # Padding stays in the cloud with weight 0: dropping it would need a host sync for the count.
        points = [side.flatten(0, 1)[None] for side in points]  # (1, B*N, D)
        weights = [side.flatten()[None] / side.sum() for side in weights]  # (1, B*N)
    divergence = sinkhorn_divergence(
        points[0], points[1], weights[0], weights[1], cost=config.cost, config=config.sinkhorn
    )
    return Part(
        divergence.value.mean() * pairs.share,
        {"marginal_error": divergence.marginal_error.detach().mean() * pairs.share},
    )


def stay_close(pairs: EncodedPairs, config: ObjectiveConfig) -> Part:
    """The squared distance of the English vectors to those of the frozen start, summed (or averaged) over units.

    The regulariser of Cao et al. 2020 and Alqahtani et al. 2021, whose printed form is the sum.
    """
    if pairs.start is None:
        raise ConfigError("the anchor needs the frozen start's vectors", remedy="pass a FrozenStart")
    moved = (pairs.target.vectors - pairs.start).square().sum(-1).masked_fill(~pairs.target.mask, 0.0)
    total = moved.sum()
    mean = total / max(pairs.targets, 1)
    return Part(total if config.anchor_reduction == "sum" else mean, {"drift": mean.detach()})


Objective = Callable[[EncodedPairs, ObjectiveConfig], Part]

OBJECTIVES: dict[str, Objective] = {
    "ot": optimal_transport,
    "anchor": stay_close,
}


def encode_units(encoder: TorchEncoder, tokens: Tokens, config: ObjectiveConfig) -> Encoded:
    """The chosen layers' mean as words or subwords (B,N,D), in fp32 whatever autocast does."""
    states = encoder.hidden_states(tokens, layers=config.layers)
    hidden = torch.stack([state.float() for state in states]).mean(0)  # (B,T,D)
    if config.unit == "subword":
        return subword_units(hidden, tokens)
    return pool_words(hidden, tokens, word_vector=config.word_vector)


class AlignmentModel(nn.Module):
    """An encoder with its objectives: a batch of pairs in, named losses out. This is what the loop trains."""

    def __init__(
        self,
        encoder: TorchEncoder,
        config: ObjectiveConfig,
        *,
        start: FrozenStart | None = None,
        inverse_document_frequency: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.model = encoder.model
        self.config = config
        # Plain attributes inside a tuple: the frozen start must not count as part of the trained module.
        self._beside = (encoder, start)
        self.idf: Tensor | None
        self.register_buffer("idf", inverse_document_frequency, persistent=False)
        if config.weights == "idf" and inverse_document_frequency is None:
            raise ConfigError("idf weights need document frequencies", remedy="pass inverse_document_frequency")

    @property
    def encoder(self) -> TorchEncoder:
        """The encoder that is being tuned."""
        return self._beside[0]

    def train(self, mode: bool = True) -> AlignmentModel:
        """Training mode, in which the encoder drops out only where the configuration says so."""
        super().train(mode)
        self.model.train(mode and self.config.dropout)
        return self

    def forward(self, batch: PairBatch) -> Losses:
        """The weighted losses of one batch."""
        pairs = self.encode(batch)
        parts, gauges = {}, {}
        for name, weight in self.config.parts:
            part = OBJECTIVES[name](pairs, self.config)
            parts[name] = weight * part.value
            gauges.update(part.gauges)
        return Losses(parts, gauges)

    def encode(self, batch: PairBatch, *, anchored: bool = True) -> EncodedPairs:
        """Both sides through the encoder, with their marginals, and the frozen start's targets where they are needed."""
        encoder, start = self._beside
        source_tokens, target_tokens = batch.source.to(encoder.device), batch.target.to(encoder.device)
        source, source_weights = self._side(source_tokens)
        target, target_weights = self._side(target_tokens)
        anchored = anchored and any(name == "anchor" for name, _ in self.config.parts)
        return EncodedPairs(
            source=source,
            target=target,
            source_weights=source_weights,
            target_weights=target_weights,
            start=start.vectors(batch, target_tokens) if anchored and start is not None else None,
            share=batch.share,
            targets=batch.target_units[self.config.unit == "subword"],
        )

    def _side(self, tokens: Tokens) -> tuple[Encoded, Tensor]:
        encoded = encode_units(self.encoder, tokens, self.config)
        values: Tensor | None = None
        if self.config.weights == "norm":
            values = encoded.vectors
        elif self.idf is not None:
            rarity = self.idf[tokens.ids][..., None]  # (B,T,1)
            units = (
                subword_units(rarity, tokens)
                if self.config.unit == "subword"
                else pool_words(rarity, tokens, word_vector="mean")
            )
            values = units.vectors[..., 0]  # (B,N)
        return encoded, MARGINALS[self.config.weights](encoded.mask, values)
