"""What fine-tuning compares, how long it trains, and which part of the encoder: the tables `objective`, `training` and
`tuning` of a recipe. It imports no torch: `otkit align --help` shows these settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from otkit.alignment.settings import COSTS, GRANULARITIES, MARGINALS, UNITS, WORD_VECTORS
from otkit.errors import ConfigError
from otkit.settings import Settings, setting
from otkit.transport.config import SinkhornConfig

__all__ = [
    "LOSSES",
    "MIXTURES",
    "NEEDS",
    "ObjectiveSettings",
    "TrainingSettings",
    "TransferSettings",
    "TuningSettings",
]

LOSSES: Mapping[str, tuple[str, str]] = {
    "ot": (
        "plan",
        "the debiased Sinkhorn divergence between the words of both sides (Alqahtani et al. 2021)",
    ),
    "ot-value": ("plan", "the transport cost with its entropy, not debiased"),
    "ot-linear": ("plan", "the transport cost alone"),
    "anchor": ("start", "the squared distance of English words to their start"),
    "parameter-anchor": (
        "weights",
        "the squared distance of the weights to their start (Wu and Dredze 2020)",
    ),
    "static-anchor": (
        "static",
        "the angle of words to a linear map of their static vectors (Hämmerl et al. 2022)",
    ),
    "l2": ("links pairing", "the squared distance of linked words (Cao et al. 2020)"),
    "contrastive-weak": (
        "links pairing projection",
        "a linked word against those of the other side (Wu and Dredze 2020)",
    ),
    "contrastive-strong": (
        "links pairing projection",
        "a linked word against all others (Wu and Dredze 2020)",
    ),
    "self-training": ("links", "the softmax probability of links (awesome-align)"),
    "consistency": ("", "both directions of softmax alignment agree (awesome-align)"),
    "link-likelihood": ("links read plan", "the likelihood of links that the word aligner reads"),
    "mlm": ("masked vocabulary", "masked words of each side"),
    "tlm": ("joint vocabulary", "masked words of both sides as one text (XLM)"),
    "denoising-alignment": ("joint pointer pairing", "a pointer to the partner of a masked word (XLM-Align)"),
    "sentence-contrastive": ("sentences", "a sentence vector against those of other translations"),
    "ot-distill": ("teacher plan", "the transport cost to a teacher's English words (OPTICAL)"),
    "word-alignment-supervised": ("gold tanh plan", "the plan against gold links (OTAlign)"),
    "gaussian-w2": ("", "the distance of Gaussians fitted to both clouds of words"),
    "mmd": ("", "the maximum mean discrepancy of both clouds of words"),
    "window-ot": ("links plan", "the divergence between the windows around linked words (UniPSDA)"),
}
"""Every loss with what it needs beside the units' vectors, and what it is."""

NEEDS: Mapping[str, frozenset[str]] = {name: frozenset(needs.split()) for name, (needs, _) in LOSSES.items()}
"""What each loss needs: the encoded batch is prepared from this. One that needs a plan solves transport problems; one
that needs a pairing does so where links are its own."""

SCOPES = {"pair": "a transport problem a sentence pair", "batch": "all words of a micro-step as one cloud"}
REDUCTIONS = {
    "sum": "the sum over all English units of a micro-step, as printed",
    "mean": "the mean over them",
}
LINKS = {
    "own": "the encoder's own: the mutual argmax of the current plan, or what the word aligner reads",
    "given": "gold, or a file",
}
CENTERS = {
    "none": "vectors as they are",
    "sentence": "minus the mean vector of the pair, as the word aligner does by itself",
}
# What these work on is not the vectors of one layer, so layer weights do not reach them.
_LAYERLESS = frozenset({"weights", "masked", "joint", "sentences"})
_RECIPE, _RUN, _OUTPUT = "Recipe", "Run", "Output"


@dataclass(frozen=True)
class ObjectiveSettings(Settings):
    """What is compared, and how. The default is the paper's: Euclidean cost, hard marginals, an anchor on English."""

    losses: tuple[tuple[str, float], ...] = setting(
        (("ot", 1.0), ("anchor", 1.0)),
        "A loss and its weight; repeatable.",
        choices={name: text for name, (_, text) in LOSSES.items()},
        least=0,
        option="--objective",
        metavar="NAME[:WEIGHT]",
        panel=_RECIPE,
        everyday=True,
    )
    cost: str = setting(
        "euclidean", "The ground cost between two word vectors.", choices=COSTS, panel=_RECIPE
    )
    epsilon: float = setting(
        0.05,
        "The entropic temperature: smaller gives sharper plans.",
        above=0,
        unit="`unit`",
        panel=_RECIPE,
        everyday=True,
    )
    tau: float | None = setting(
        None,
        "The KL penalty on both marginals; none for hard ones.",
        above=0,
        unit="`unit`",
        panel=_RECIPE,
        everyday=True,
    )
    unit: str = setting("cost", "What epsilon and tau are counted in.", choices=UNITS, panel=_RECIPE)
    scope: str = setting("pair", "What one transport problem holds.", choices=SCOPES, panel=_RECIPE)
    granularity: str = setting("word", "What the points are.", choices=GRANULARITIES, panel=_RECIPE)
    word_vector: str = setting(
        "last", "Which subword stands for a word.", choices=WORD_VECTORS, panel=_RECIPE
    )
    layers: tuple[int, ...] | str = setting(
        (-1,),
        "Hidden states to compare, averaged; -1 is the last.",
        choices={"alignment": "those that the encoder's words are best aligned at"},
        option="--layer",
        metavar="N[,N...]",
        panel=_RECIPE,
        everyday=True,
    )
    layer_weights: tuple[float, ...] | None = setting(
        None,
        "Compare each layer by itself, with these weights, and add the losses.",
        least=0,
        panel=_RECIPE,
    )
    language_weights: tuple[tuple[str, float], ...] = setting(
        (),
        "Multiply the losses of a language's pairs; 1 where it is not named.",
        least=0,
        option="--language-weight",
        metavar="XX:X",
        panel=_RECIPE,
    )
    weights: str = setting("uniform", "The marginals.", choices=MARGINALS, panel=_RECIPE)
    position: float = setting(
        0.0,
        "The weight of a word's place as one more coordinate of the transport (ZeroSwot: 10).",
        least=0,
        panel=_RECIPE,
    )
    center: str = setting(
        "none", "The mean vector to subtract before words are compared.", choices=CENTERS, panel=_RECIPE
    )
    anchor_reduction: str = setting(
        "sum", "How the anchor (and l2) adds up its distances.", choices=REDUCTIONS, panel=_RECIPE
    )
    # Off by default: the paper does not say, and the anchor then measures mostly noise. On the sample encoder an
    # untouched word is 2.0 away from itself (squared), a third of its distance to its translation, and the summed
    # anchor's gradient is several hundred times the divergence's.
    dropout: bool = setting(False, "Train with the encoder's dropout.", panel=_RECIPE)
    iterations: int = setting(
        200, "The most Sinkhorn iterations of one problem.", least=1, most=1_000_000, panel=_RECIPE
    )
    tolerance: float | None = setting(
        1e-3,
        "The marginal error at which the solver stops; none: always all iterations.",
        above=0,
        panel=_RECIPE,
    )
    length_power: float = setting(
        0.0,
        "The power of the words' lengths that weighs the links link-likelihood finds; 0 for none.",
        least=0,
        most=100,
        panel=_RECIPE,
    )
    attach_factor: float = setting(
        1.0,
        "The factor, there, for links of a short word that go where the next word goes; 1 for none.",
        least=0,
        most=1e6,
        panel=_RECIPE,
    )
    relink_every: int | None = setting(
        None,
        "Recompute the links of link-likelihood every N steps; by default once, before the first.",
        least=1,
        panel=_RECIPE,
    )
    links: str = setting(
        "own",
        "Which links the losses on linked words take.",
        choices=LINKS,
        option="--use-links",
        panel=_RECIPE,
    )
    temperature: float = setting(
        0.1, "What divides the cosines of the contrastive losses.", above=0, panel=_RECIPE
    )
    projection: int | None = setting(
        None,
        "The width of a head that the contrastive losses are taken behind; none for no head.",
        least=1,
        most=65_536,
        panel=_RECIPE,
    )
    mask_share: float = setting(
        0.15,
        "The share of the words that mlm, tlm and denoising-alignment hide.",
        above=0,
        below=1,
        panel=_RECIPE,
    )

    context_words: int = setting(
        5, "The words of a window that window-ot compares: an odd number.", least=1, most=999, panel=_RECIPE
    )

    def agree(self) -> None:
        if self.context_words % 2 == 0:
            raise ConfigError(
                f"a window of {self.context_words} words has no middle",
                remedy=f"give {self.context_words + 1}",
                setting="context_words",
            )
        object.__setattr__(self, "losses", tuple(each for each in self.losses if each[1] > 0))
        if not self.losses:
            raise ConfigError(
                "no objective is named", remedy="name at least one, such as ot:1", setting="losses"
            )
        if self.layer_weights is not None and (
            isinstance(self.layers, str) or len(self.layer_weights) != len(self.layers)
        ):
            count = "the encoder's" if isinstance(self.layers, str) else str(len(self.layers))
            raise ConfigError(
                f"{len(self.layer_weights)} layer weights for {count} layers",
                remedy="give one a layer",
                setting="layer_weights",
            )
        if "static" in self.needs and (self.granularity == "subword" or self.layer_weights is not None):
            raise ConfigError(
                "static vectors are of words, of one space",
                remedy="use the granularity word, and leave layer_weights out",
                setting="granularity" if self.granularity == "subword" else "layer_weights",
            )
        if self.weighs_lengths and self.granularity == "subword":
            raise ConfigError(
                "subwords are not weighed by their lengths",
                remedy="use the granularity word, or length_power 0 and attach_factor 1",
                setting="granularity",
            )

    @property
    def compared(self) -> tuple[int, ...]:
        """The layers as numbers, which `Recipe.for_encoder` made of a name."""
        if isinstance(self.layers, str):
            raise ConfigError(
                f"the layers are {self.layers!r}, which depends on the encoder",
                remedy="take them from Recipe.for_encoder",
                setting="layers",
            )
        return self.layers

    @property
    def sinkhorn(self) -> SinkhornConfig:
        """The solver's part of these settings."""
        return SinkhornConfig(
            epsilon=self.epsilon,
            unit=self.unit,
            tau=self.tau,
            max_iterations=self.iterations,
            tolerance=self.tolerance,
        )

    @property
    def lengths(self) -> dict[str, float]:
        """How the length of words weighs links, under the names that the aligner's settings have too."""
        return {"length_power": self.length_power, "attach_factor": self.attach_factor}

    @property
    def weighs_lengths(self) -> bool:
        """True where the length of words counts."""
        return self.length_power > 0 or self.attach_factor != 1

    @property
    def needs(self) -> frozenset[str]:
        """What the named losses need beside the units' vectors."""
        return frozenset().union(*(NEEDS[name] for name, _ in self.losses))

    @property
    def transports(self) -> bool:
        """True where a loss solves transport problems."""
        return "plan" in self.needs or (self.links == "own" and "pairing" in self.needs)

    @property
    def reads_links(self) -> bool:
        """True where a loss learns from links that the word aligner reads."""
        return self.links == "own" and "read" in self.needs

    @property
    def learns_links(self) -> bool:
        """True where a loss learns from links, the encoder's own or given ones."""
        return bool(self.needs & {"gold", "links", "pairing"})

    @property
    def needs_given(self) -> bool:
        """True where a loss has nothing to learn without links that are given."""
        return "gold" in self.needs or (self.links == "given" and self.learns_links)

    @property
    def counts_letters(self) -> bool:
        """True where the letters of words count: by the lengths, or since the aligner's links of marks tell nothing."""
        return self.granularity == "word" and (self.weighs_lengths or "read" in self.needs)

    def of_layers(self, name: str) -> bool:
        """True for a loss that compares the vectors of a layer."""
        return not NEEDS[name] & _LAYERLESS


PRECISIONS = {"fp32": "no autocast", "bf16": "autocast to bfloat16", "fp16": "autocast to float16"}
SELECTIONS = {
    "divergence": "the lowest divergence of held-out pairs",
    "retrieval": "the highest accuracy at finding a held-out sentence's translation",
    "score": "the most held-out words that are each other's nearest, at the layers that words are aligned with",
}
SCHEDULES = {"linear": "a linear fall to 0", "constant": "the peak until the end"}


@dataclass(frozen=True)
class TrainingSettings(Settings):
    """How long and how fast a run trains."""

    epochs: float = setting(1.0, "Passes over the data.", above=0, most=1e6, panel=_RUN, everyday=True)
    steps: int | None = setting(
        None,
        "Optimiser steps, in place of the epochs.",
        least=1,
        most=10**9,
        panel=_RUN,
        everyday=True,
    )
    grad_accum: int = setting(
        1, "Micro-steps whose gradients make one optimiser step.", least=1, most=1_000_000, panel=_RUN
    )
    lr: float = setting(5e-5, "The peak learning rate of Adam.", above=0, most=1e3, panel=_RUN, everyday=True)
    warmup: float = setting(
        0.0, "The share of the steps over which the learning rate rises.", least=0, below=1, panel=_RUN
    )
    schedule: str = setting("linear", "What follows the warm-up.", choices=SCHEDULES, panel=_RUN)
    weight_decay: float = setting(
        0.0, "The decoupled weight decay of matrices (AdamW).", least=0, most=1e3, panel=_RUN
    )
    betas: tuple[float, ...] = setting((0.9, 0.999), "Adam's two betas.", least=0, below=1, panel=_RUN)
    max_grad_norm: float | None = setting(
        1.0, "Scale gradients down to this norm; none for no clipping.", above=0, panel=_RUN
    )
    precision: str = setting(
        "fp32", "The autocast of training, and of measuring.", choices=PRECISIONS, panel=_RUN, everyday=True
    )
    eval_every: int | None = setting(
        None,
        "Evaluate every N steps, and keep the best encoder.",
        least=1,
        panel=_RUN,
        everyday=True,
    )
    select: str = setting(
        "divergence",
        "What chooses the best encoder among the evaluations; none of it needs links.",
        choices=SELECTIONS,
        panel=_RUN,
    )
    save_every: int | None = setting(None, "Save a checkpoint every N steps.", least=1, panel=_OUTPUT)
    save_minutes: float | None = setting(
        15.0,
        "Save a checkpoint every M minutes, where save_every is not given; none for none.",
        above=0,
        panel=_OUTPUT,
    )
    log_every: int | None = setting(
        None, "Log every N steps; by default every step, on a GPU every tenth.", least=1, panel=_OUTPUT
    )
    keep: int = setting(2, "How many checkpoints to keep.", least=1, most=1_000_000, panel=_OUTPUT)
    seed: int = setting(
        0,
        "The seed of every random choice.",
        least=0,
        most=2**32 - 1,
        panel=_RUN,
        everyday=True,
    )

    def agree(self) -> None:
        if len(self.betas) != 2:
            raise ConfigError(
                f"betas is {','.join(map(str, self.betas))}", remedy="give two", setting="betas"
            )


@dataclass(frozen=True)
class TuningSettings(Settings):
    """Which part of the encoder is trained, and at what price."""

    freeze: int | str | None = setting(
        None,
        "Keep the embeddings (0), or also the first N layers, as they are; none trains all.",
        choices={"quarter": "the embeddings and the lowest quarter of the layers"},
        least=0,
        metavar="N|quarter",
        panel=_RUN,
    )
    freeze_above: int | None = setting(
        None, "Keep the layers above the first N as they are.", least=0, panel=_RUN
    )
    # A head of a contrastive loss serves that loss, and is thrown away (Chen et al. 2020, section 4.2).
    head_layers: int | str | None = setting(
        None,
        "The top N layers learn as a head of the losses only: they are saved as they were before.",
        choices={"above-compared": "the layers above those that are compared"},
        least=0,
        metavar="N|above-compared",
        panel=_RUN,
    )
    lora_rank: int | None = setting(
        None,
        "Train adapters of this rank instead (Hu et al. 2022).",
        least=1,
        most=4096,
        option="--lora",
        metavar="RANK",
        panel=_RECIPE,
        everyday=True,
    )
    lora_alpha: int = setting(
        16, "The adapters' product is multiplied by this over the rank.", least=1, most=1_000_000, panel=_RUN
    )
    gradient_checkpointing: bool = setting(
        False,
        "Compute activations again in the backward pass: less memory for a third more work.",
        panel=_RUN,
    )
    compile: bool = setting(False, "Let torch.compile fuse each layer.", panel=_RUN)

    @property
    def frozen(self) -> int | None:
        """`freeze` as a number, which `Recipe.for_encoder` made of a name."""
        return _resolved("freeze", self.freeze)

    @property
    def head(self) -> int:
        """`head_layers` as a number, likewise; 0 for none."""
        return _resolved("head_layers", self.head_layers) or 0

    def agree(self) -> None:
        if (
            isinstance(self.freeze, int)
            and self.freeze_above is not None
            and self.freeze_above <= self.freeze
        ):
            raise ConfigError(
                f"layers up to {self.freeze} are frozen and those above {self.freeze_above} too: none is left",
                remedy="freeze fewer",
                setting="freeze",
            )


def _resolved(name: str, value: int | str | None) -> int | None:
    if isinstance(value, str):
        raise ConfigError(
            f"{name} is {value!r}, which depends on the encoder",
            remedy="take it from Recipe.for_encoder",
            setting=name,
        )
    return value


MIXTURES = {
    "sum": "both losses in one step",
    "alternate": "a step of parallel text, or of copies, after each step of the task",
    "first": "all steps of parallel text and copies, then those of the task",
}


@dataclass(frozen=True)
class TransferSettings(Settings):
    """How parallel text, and copies of the examples in other languages, take part while a task is fine-tuned."""

    align_weight: float = setting(
        1.0,
        "Multiply the losses of parallel text by this beside the task's.",
        least=0,
        panel=_RECIPE,
        everyday=True,
    )
    schedule: str = setting(
        "sum",
        "When parallel text, and copies, take their turn.",
        choices=MIXTURES,
        panel=_RECIPE,
        everyday=True,
    )
    align_every: int = setting(
        1,
        "One step of parallel text, and of copies, for N steps of the task.",
        least=1,
        most=1_000_000,
        panel=_RECIPE,
    )
    copy_weight: float = setting(
        1.0, "Multiply the task's loss on copies of its examples by this.", least=0, panel=_RECIPE
    )
    copy_share: float = setting(
        0.0,
        "For copies through lexicons of the parallel text (CoSDA): how probably a word is replaced, if it is in there.",
        least=0,
        most=1,
        panel=_RECIPE,
    )
    copy_pairs: int = setting(
        1200,
        "Count that lexicon on this many short pairs of the file.",
        least=1,
        most=1_000_000,
        panel=_RECIPE,
    )
    consistency: float = setting(
        0.0,
        "The weight of prediction-consistency: the head answers to a copy as to the English example (xTune).",
        least=0,
        panel=_RECIPE,
    )
    text_consistency: float = setting(
        0.0,
        "The same on two neighbouring sentences of the parallel text and their translations, for XNLI.",
        least=0,
        panel=_RECIPE,
    )
    consistency_temperature: float = setting(
        1.0, "What divides the answers that are to agree: above 1 they are softer.", above=0, panel=_RECIPE
    )

    @property
    def copies_follow(self) -> bool:
        """Whether copies come in the batches of their examples, whose answers they are compared with.

        Else they are batched by their own lengths: in the order of the English ones, a fifth of a batch is padding
        (4,000 pairs of MultiNLI: 246,000 padded subwords for 197,000, and 207,000 by their own lengths).
        """
        return self.consistency > 0
