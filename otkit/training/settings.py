"""Settings of an alignment run, and above all of its objective: which losses are added, on which vectors, under which
transport."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from otkit.data.batching import BatchingConfig
from otkit.encoders.encoder import POOLINGS
from otkit.errors import ConfigError, choose
from otkit.training.schedule import TrainConfig
from otkit.training.tuning import TuningConfig
from otkit.transport.cost import COSTS
from otkit.transport.marginals import MARGINALS
from otkit.transport.sinkhorn import SinkhornConfig

__all__ = ["NEEDS", "AlignSettings", "ObjectiveConfig"]

SCOPES = ("pair", "batch")
UNITS = ("word", "subword")
REDUCTIONS = ("sum", "mean")
LINKS = ("own", "given")
CENTERS = ("none", "sentence")

NEEDS: Mapping[str, frozenset[str]] = {
    name: frozenset(needs.split())
    for name, needs in {
        "ot": "plan",
        "ot-value": "plan",
        "ot-linear": "plan",
        "anchor": "start",
        "parameter-anchor": "weights",
        "l2": "links pairing",
        "contrastive-weak": "links pairing projection",
        "contrastive-strong": "links pairing projection",
        "self-training": "links",
        "consistency": "",
        "link-likelihood": "links read plan",
        "mlm": "masked vocabulary",
        "tlm": "joint vocabulary",
        "denoising-alignment": "joint pointer pairing",
        "sentence-contrastive": "sentences",
        "ot-distill": "teacher plan",
        "word-alignment-supervised": "gold tanh plan",
        "gaussian-w2": "",
        "mmd": "",
    }.items()
}
"""Every objective with what it needs beside the units' vectors: the encoded batch is prepared from this. One that needs
a plan solves transport problems; one that needs a pairing does so where links are its own."""

# What these work on is not the vectors of one layer, so layer weights do not reach them.
_LAYERLESS = frozenset({"weights", "masked", "joint", "sentences"})


@dataclass(frozen=True)
class ObjectiveConfig:
    """What is compared, and how.

    parts             (name, weight) of each loss, names from OBJECTIVES
    cost              ground cost between vectors, from transport.cost.COSTS
    epsilon           entropic temperature, in units of the cost; 0.05 where neither it nor the next is given
    epsilon_relative  the same in units of each problem's mean cost; both is an error, and `one_temperature` is how a
                      configuration changes from one to the other
    tau               KL penalty on both marginals, in the unit of the temperature (None: hard marginals)
    scope             "pair": one transport problem a sentence pair; "batch": all words of a micro-step as one
                      cloud
    unit              "word" or "subword" are the points; special tokens never are
    word_vector       which subword stands for a word: "last", "first", or their "mean"
    layers            hidden states to compare, averaged; negative ones count from the end
    layer_weights     one weight a layer: each layer is then compared by itself and the losses are added
    language_weights  (language, weight) that the losses of its pairs are multiplied by; 1 where not named
    weights           marginals: "uniform", "idf" or "norm"
    position          transport alone sees one more coordinate, this times the unit's place in [0, 1]
                      (ZeroSwot: 10, against crossing links)
    center            "sentence" takes the mean of a pair's words away before they are compared, as the word
                      aligner does by itself; the anchor and the plan-free distances see whole vectors
    anchor_reduction  "sum" of the squared distances over all English units of a micro-step (as printed), or
                      "mean"; l2 is reduced alike, over its links
    dropout           train with the encoder's dropout; off by default, since the paper does not say and the
                      anchor then measures mostly noise: on the sample encoder an untouched word is 2.0 away
                      from itself (squared), a third of its distance to its translation, and the summed
                      anchor's gradient is several hundred times the divergence's
    iterations        most Sinkhorn iterations of one problem
    tolerance         marginal error at which the solver stops (None: always all iterations, and no host sync)
    letters, leaning  how far the length of words counts in the links that link-likelihood finds by itself:
                      transport.phrases; 0 and 1 leave it out
    read_every        steps after which link-likelihood reads its own links anew (None: once, before the first)
    links             word links for l2, the contrastive losses and self-training: "own" (mutual argmax of the
                      current transport plan, made anew at each step; for link-likelihood what the word aligner
                      reads with the encoder as it is at every `read_every`-th step) or "given" (gold, or a file)
    temperature       divides the cosines of the contrastive losses
    projection        width of the two-layer head that the contrastive losses are taken behind (None: no head)
    mask_share        share of the words that mlm, tlm and denoising-alignment hide
    """

    parts: tuple[tuple[str, float], ...] = (("ot", 1.0), ("anchor", 1.0))
    cost: str = "euclidean"
    epsilon: float | None = None
    epsilon_relative: float | None = None
    tau: float | None = None
    scope: str = "pair"
    unit: str = "word"
    word_vector: str = "last"
    layers: tuple[int, ...] = (-1,)
    layer_weights: tuple[float, ...] | None = None
    language_weights: tuple[tuple[str, float], ...] = ()
    weights: str = "uniform"
    position: float = 0.0
    center: str = "none"
    anchor_reduction: str = "sum"
    dropout: bool = False
    iterations: int = 200
    tolerance: float | None = 1e-3
    letters: float = 0.0
    leaning: float = 1.0
    read_every: int | None = None
    links: str = "own"
    temperature: float = 0.1
    projection: int | None = None
    mask_share: float = 0.15

    def __post_init__(self) -> None:
        choose(self.cost, COSTS, what="cost")
        choose(self.weights, MARGINALS, what="weights")
        choose(self.word_vector, {name: name for name in POOLINGS}, what="word vector")
        for value, names, what in (
            (self.scope, SCOPES, "scope"),
            (self.unit, UNITS, "unit"),
            (self.anchor_reduction, REDUCTIONS, "anchor reduction"),
            (self.links, LINKS, "links"),
            (self.center, CENTERS, "centring"),
        ):
            choose(value, {name: name for name in names}, what=what)
        if not self.parts:
            raise ConfigError("no objective is named", remedy="name at least one, such as ot:1")
        for name, weight in self.parts:
            choose(name, NEEDS, what="objective")
            if not weight >= 0:
                raise ConfigError(
                    f"objective {name!r} has weight {weight}", remedy="give a weight of at least 0"
                )
        if not self.layers:
            raise ConfigError("no layer is named", remedy="name at least one layer, such as -1 for the last")
        if self.layer_weights is not None and len(self.layer_weights) != len(self.layers):
            raise ConfigError(
                f"{len(self.layer_weights)} layer weights for {len(self.layers)} layers",
                remedy="give one a layer",
                setting="layer_weights",
            )
        if not (self.temperature > 0 and 0 < self.mask_share < 1 and self.position >= 0):
            raise ConfigError(
                f"temperature {self.temperature}, mask share {self.mask_share}, position {self.position} do not"
                " fit",
                remedy="a temperature above 0, a share between 0 and 1, a position weight of at least 0",
            )
        if not (self.letters >= 0 and self.leaning >= 0):
            raise ConfigError(
                f"letters {self.letters}, leaning {self.leaning} do not fit",
                remedy="give numbers of at least 0",
            )
        if self.read_every is not None and self.read_every < 1:
            raise ConfigError(f"read_every is {self.read_every}", remedy="give a number of steps, at least 1")
        if self.weighs_letters and self.unit == "subword":
            raise ConfigError(
                "subwords are not weighed by their letters",
                remedy="use the unit word, or letters 0 and leaning 1",
                setting="unit",
            )
        if self.projection is not None and self.projection < 1:
            raise ConfigError(f"projection is {self.projection}", remedy="give a width of at least 1")
        # The solver has its own say on its settings, before any data is read.
        object.__setattr__(self, "epsilon", self.sinkhorn.epsilon)

    @property
    def sinkhorn(self) -> SinkhornConfig:
        """The solver's part of these settings."""
        return SinkhornConfig(
            epsilon=self.epsilon,
            epsilon_relative=self.epsilon_relative,
            tau=self.tau,
            max_iterations=self.iterations,
            tolerance=self.tolerance,
        )

    @property
    def temperature_unit(self) -> str:
        """What epsilon and tau are in units of, in words."""
        return "the mean cost" if self.sinkhorn.relative else "the cost"

    @property
    def weighs_letters(self) -> bool:
        """True where the length of words counts."""
        return self.letters > 0 or self.leaning != 1

    @property
    def needs(self) -> frozenset[str]:
        """What the named parts need beside the units' vectors."""
        return frozenset().union(*(NEEDS[name] for name, weight in self.parts if weight > 0))

    @property
    def transports(self) -> bool:
        """True where a part solves transport problems."""
        return "plan" in self.needs or (self.links == "own" and "pairing" in self.needs)

    @property
    def reads_links(self) -> bool:
        """True where a part learns from links that the word aligner reads."""
        return self.links == "own" and "read" in self.needs

    def of_layers(self, name: str) -> bool:
        """True for a part that compares the vectors of a layer."""
        return not NEEDS[name] & _LAYERLESS


@dataclass(frozen=True)
class AlignSettings:
    """Everything that decides what a run computes."""

    objective: ObjectiveConfig
    batching: BatchingConfig
    train: TrainConfig
    tuning: TuningConfig = field(default_factory=TuningConfig)
