"""How sentence pairs are aligned, and how translations are checked: the tables `alignment` and `check` of a recipe.

It imports no torch: commands show these settings in their help. The names that a setting takes stand here with their
meaning; the functions that they stand for are in the tables of the modules that act on them, and a test compares the
two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from otkit.errors import ConfigError
from otkit.settings import Settings, declared, setting

__all__ = [
    "DEFAULT_THRESHOLDS",
    "OTHER_DESIGNS",
    "SPACES",
    "TRANSPORTS",
    "UNITS",
    "AlignmentSettings",
    "BeadSettings",
    "CheckSettings",
    "check_space",
    "space_setting",
    "space_text_setting",
]

UNITS = {
    "mean-cost": "in units of each pair's mean cost",
    "cost": "in units of the cost",
}
CENTERS = {
    "none": "vectors as they are",
    "sentence": "minus the mean vector of both sentences",
}
SPACES = {
    "none": "vectors as they are",
    "center": "minus the mean vector of their language",
    "zscore": "the same, over the standard deviation of each number (Zhao et al. 2021)",
}
COSTS = {
    "cosine": "1 minus the cosine",
    "euclidean": "the distance",
    "sqeuclidean": "half the squared distance",
}
TRANSPORTS = {
    "unbalanced": "words may give and take less than their weight, at a price of tau",
    "balanced": "all mass of both sides moves",
    "semi": "all mass of one side moves, to the other or to a null word; both directions together",
    "partial": "a share of the mass moves",
    "exact": "all mass moves, without entropy",
    "fgw": "fused Gromov-Wasserstein: the distances within each sentence count too",
    "none": "similarity alone",
}
DISTANCES = {
    "embedding": "the ground cost between the words of a sentence",
    "position": "how far apart two words stand, a whole sentence being the mean cost",
}
ENCODINGS = {
    "separate": "each sentence by itself",
    "joint": "both sentences as one text, so that a word's vector knows of the other side (XLM-Align, OTAlign)",
}
NULLS = {
    "mean": "at the mean cost",
    "median": "at the median cost",
    "middle": "half-way between the smallest and the largest cost",
    "equidistant": "at the cost of a vector at one cosine from all words of the sentence that moves",
    "larger": "the larger of equidistant and median: OTTAWA's",
}
MARGINALS = {
    "uniform": "the same weight for every word",
    "idf": "rare words weigh more",
    "norm": "words with long vectors weigh more",
}
GRANULARITIES = {
    "word": "one point a word",
    "subword": "one point a subword; words are linked if a subword is",
}
WORD_VECTORS = {"mean": "the mean of its subwords", "first": "its first subword", "last": "its last subword"}
STRATEGIES = {
    "threshold": "links whose share of row and column mass passes the threshold",
    "mutual": "cells that are the largest of their row and of their column",
    "forward": "the largest of each row",
    "backward": "the largest of each column",
    "union": "forward and backward links together",
    "grow-diag-final-and": "from mutual links, grown by neighbours (Koehn et al. 2003)",
    "itermax": "mutual links, in rounds (Jalili Sabet et al. 2020)",
    "match": "the matching of largest weight",
    "softmax": "both softmaxes above the threshold (awesome-align)",
    "entmax": "both entmax-1.5 above the threshold",
    "top-k": "among the k largest of both the row and the column",
}
DEFAULT_THRESHOLDS: Mapping[str, float] = {
    "threshold": 0.45,
    "softmax": 0.001,
    "entmax": 0.0,
    "itermax": 2,
    "top-k": 2,
}
"""The published settings; a strategy without an entry has nothing to set."""

THRESHOLD_UNITS: Mapping[str, str] = {
    "threshold": "link strength",
    "softmax": "probability",
    "entmax": "probability",
    "itermax": "rounds",
    "top-k": "links of a word",
}
_COUNTING = ("itermax", "top-k")
# Settings that only one transport looks at.
_OF_TRANSPORT = {"tau": "unbalanced", "mass": "partial", "structure": "fgw", "distances": "fgw"}
_MEAN_COST = "mean cost of the pair"
_PANEL = "Word alignment"


def space_setting(panel: str) -> Any:
    """The setting `space`, which those that compare vectors of languages share."""
    return setting(
        "none", "What the vectors of each language share and is taken off them.", choices=SPACES, panel=panel
    )


def check_space(space: str, text: str | None) -> None:
    """Text that nothing is measured on is a slip."""
    if text is not None and space == "none":
        raise ConfigError(
            f"received {text!r}, and space is none", remedy="set space too", setting="space_text"
        )


def space_text_setting(panel: str) -> Any:
    """The setting `space_text`, of those that read text as a stream."""
    return setting(
        None,
        "A file of text in these languages that space is measured on. Without it, the first texts of the corpus.",
        metavar="FILE",
        panel=panel,
    )


@dataclass(frozen=True)
class AlignmentSettings(Settings):
    """How words are aligned. The defaults were chosen on gold links of 12 language pairs."""

    transport: str = setting(
        "unbalanced",
        "The transport problem between the words of a pair.",
        choices=TRANSPORTS,
        panel=_PANEL,
        everyday=True,
    )
    cost: str = setting(
        "cosine",
        "The ground cost between two word vectors; dot is no cost, and goes with transport none.",
        choices={**COSTS, "dot": "minus the dot product"},
        panel=_PANEL,
    )
    epsilon: float = setting(
        0.075,
        "The entropic temperature: smaller values give sharper plans.",
        above=0,
        unit="`unit`",
        panel=_PANEL,
        everyday=True,
    )
    tau: float = setting(
        0.1,
        "The price of mass that stays where it is (KL): larger values move more words.",
        above=0,
        unit="`unit`",
        panel=_PANEL,
        everyday=True,
    )
    unit: str = setting("mean-cost", "What epsilon and tau are counted in.", choices=UNITS, panel=_PANEL)
    mass: float = setting(
        0.8, "The share of the mass that partial transport moves.", above=0, most=1, panel=_PANEL
    )
    null: float | str | None = setting(
        None,
        "The cost of a null word, which takes words that have no partner: a rule, or a number in units of the cost.",
        choices=NULLS,
        least=0,
        panel=_PANEL,
    )
    weights: str = setting(
        "uniform",
        "The weights of the words.",
        choices={name: text for name, text in MARGINALS.items() if name != "idf"},
        panel=_PANEL,
    )
    granularity: str = setting("word", "What is aligned.", choices=GRANULARITIES, panel=_PANEL)
    word_vector: str = setting("mean", "Which subword stands for a word.", choices=WORD_VECTORS, panel=_PANEL)
    truecase: bool = setting(
        True,
        "Read the first word of a sentence in lower case where the encoder's vocabulary has it in fewer pieces so.",
        panel=_PANEL,
    )
    layers: tuple[int, ...] | str | None = setting(
        None,
        "The hidden states to use, averaged; negative numbers count from the end. Without it, those of the encoder.",
        choices={
            "auto": "the one where most words of translated sentences are each other's nearest, measured once"
        },
        option="--layer",
        metavar="N[,N...]|auto",
        panel=_PANEL,
        everyday=True,
    )
    encoding: str = setting(
        "separate", "How the sentences go through the encoder.", choices=ENCODINGS, panel=_PANEL
    )
    center: str = setting(
        "sentence", "The mean vector to subtract from the word vectors.", choices=CENTERS, panel=_PANEL
    )
    space: str = space_setting(_PANEL)
    space_text: str | None = space_text_setting(_PANEL)
    distortion: float = setting(
        0.2,
        "The price of a link that leads away from where the words around it go; 0 for none.",
        least=0,
        most=1e3,
        unit=_MEAN_COST,
        panel=_PANEL,
    )
    agreement: float = setting(
        0.1,
        "The discount for a link whose neighbours keep the word order; 0 for none.",
        least=0,
        most=1e3,
        unit=_MEAN_COST,
        panel=_PANEL,
    )
    rounds: int = setting(2, "How often the links around are asked again.", least=0, most=100, panel=_PANEL)
    structure: float = setting(
        0.5, "The weight of the distances within the sentences in fgw.", least=0, most=1, panel=_PANEL
    )
    distances: str = setting(
        "embedding", "What fgw compares within the sentences.", choices=DISTANCES, panel=_PANEL
    )
    length_power: float = setting(
        0.25,
        "The power of the words' lengths that shares are weighed by, under the strategy threshold; 0 for none.",
        least=0,
        most=100,
        panel=_PANEL,
    )
    attach_factor: float = setting(
        2.5,
        "The factor, there too, for links of a short word that go where the next word goes; 1 for none.",
        least=0,
        most=1e6,
        panel=_PANEL,
    )
    rival_factor: float = setting(
        0.5,
        "The factor, there too, for links of two words that both have a stronger one; 1 for none.",
        least=0,
        most=1,
        panel=_PANEL,
    )
    strategy: str = setting(
        "threshold",
        "How links are read off the plan.",
        choices=STRATEGIES,
        panel=_PANEL,
        everyday=True,
    )
    threshold: float | None = setting(
        None,
        "What the strategy compares with: a share in [0, 1]; for itermax the rounds, for top-k the k. Without it, the"
        " strategy's own.",
        least=0,
        most=1e6,
        panel=_PANEL,
        everyday=True,
    )

    def agree(self) -> None:
        self._check_threshold()
        check_space(self.space, self.space_text)
        if self.cost == "dot" and self.transport != "none":
            raise ConfigError(
                "the dot product is no transport cost", remedy="use it with transport none", setting="cost"
            )
        if self.null in ("equidistant", "larger") and self.cost != "cosine":
            raise ConfigError(
                f"the null cost {self.null!r} is made for cosines",
                remedy="use median, or the cosine cost",
                setting="null",
            )

    def _check_threshold(self) -> None:
        """Shares end at 1, rounds and ranks are whole, and where nothing is compared nothing can be set."""
        if self.threshold is None:
            return
        if self.strategy not in DEFAULT_THRESHOLDS:
            raise ConfigError(
                f"threshold is {self.threshold:g}, and the strategy {self.strategy!r} compares with none",
                remedy=f"leave it out, or use one of: {', '.join(DEFAULT_THRESHOLDS)}",
                setting="threshold",
            )
        counts = self.strategy in _COUNTING
        if counts and (self.threshold < 1 or not float(self.threshold).is_integer()):
            raise ConfigError(
                f"threshold is {self.threshold:g}, and for {self.strategy} it counts",
                remedy="give a whole number of at least 1",
                setting="threshold",
            )
        if not counts and self.threshold > 1:
            raise ConfigError(
                f"threshold is {self.threshold:g}, and for {self.strategy} it is a share",
                remedy="give a number of at least 0 and at most 1",
                setting="threshold",
            )

    @property
    def weighs_lengths(self) -> bool:
        """True where the length of words counts."""
        return self.strategy == "threshold" and (self.length_power > 0 or self.attach_factor != 1)

    @property
    def tempered(self) -> bool:
        """True where there is a temperature."""
        return self.transport not in ("exact", "fgw") and self.cost != "dot"

    @property
    def compared_with(self) -> float | None:
        """What the strategy compares with, its default where nothing is given; None where there is no such thing."""
        if self.strategy not in DEFAULT_THRESHOLDS:
            return None
        return DEFAULT_THRESHOLDS[self.strategy] if self.threshold is None else self.threshold

    def used(self) -> dict[str, Any]:
        """What was used, without open defaults and without settings of other transports; `from_dict` reads it back.

        `units` says what the numbers are counted in.
        """
        values = {**self.to_dict(), "threshold": self.compared_with}
        unused = set() if self.tempered else {"epsilon", "unit"}
        unused |= {name for name, transport in _OF_TRANSPORT.items() if transport != self.transport}
        return {name: value for name, value in values.items() if value is not None and name not in unused}

    def units(self) -> dict[str, str]:
        """The unit of each number of `used` that has one."""
        used = self.used()
        stated = {name: each.unit for name, each in declared(type(self)).items() if each.unit}
        ground = _MEAN_COST if self.unit == "mean-cost" else "cost"
        units = {name: ground if unit == "`unit`" else unit for name, unit in stated.items()}
        units |= {"mass": "share of the mass", "threshold": THRESHOLD_UNITS.get(self.strategy, "")}
        return {name: unit for name, unit in units.items() if name in used}

    def described(self) -> str:
        """The temperature and the rule for links, as a caption says them."""
        used, parts = self.used(), []
        ground = "the mean cost" if self.unit == "mean-cost" else "the cost"
        figures = [f"{name} {used[name]:g}" for name in ("epsilon", "tau") if name in used]
        if figures:
            parts.append(f"{' and '.join(figures)} in units of {ground}")
        if self.strategy == "threshold":
            reasons = ["length"] * self.weighs_lengths + ["rivals"] * (self.rival_factor != 1)
            weighed = f", weighed by {' and '.join(reasons)}" if reasons else ""
            parts.append(f"links from a link strength of {self.compared_with:g}{weighed}")
        elif self.compared_with is not None:
            parts.append(f"{self.strategy} links ({self.compared_with:g} {THRESHOLD_UNITS[self.strategy]})")
        else:
            parts.append(f"{self.strategy} links")
        return "; ".join(parts)


MASSES = {"word": "one unit a word on both sides", "sentence": "1 for each side, shared by its words"}
_NULL = "a share of unrelated words in (0, 1), or a rule"


@dataclass(frozen=True)
class CheckSettings(Settings):
    """How a translation is checked. The defaults were chosen on half of HalOmi's rows.

    The two prices differ because the two errors do: made-up words still resemble something (a cheap null finds
    them), lost words stand beside a whole sentence that others need too (a dear null leaves what is surplus). A price
    that is a number is the one at which this share of the words of sentences that do not belong together would find a
    partner.
    """

    hallucination_null: float | str = setting(
        0.05,
        f"The null's price for words that came from nowhere: {_NULL}.",
        choices=NULLS,
        above=0,
        below=1,
        panel="Check",
    )
    omission_null: float | str = setting(
        0.75,
        f"The null's price for words that were lost: {_NULL}.",
        choices=NULLS,
        above=0,
        below=1,
        panel="Check",
    )
    mass: str = setting("word", "What a word weighs.", choices=MASSES, panel="Check")
    epsilon: float = setting(0.05, "The entropic temperature.", above=0, unit="null's price", panel="Check")
    layers: tuple[int, ...] = setting(
        (
            -2,
        ),  # errors of meaning show late in the stack; the last state has begun to look like the sentence's vector
        "The hidden states to use, averaged; negative numbers count from the end.",
        option="--layer",
        metavar="N[,N...]",
        panel="Check",
        everyday=True,
    )
    word_vector: str = setting(
        "mean", "Which subword stands for a word.", choices=WORD_VECTORS, panel="Check"
    )


OTHER_DESIGNS: Mapping[str, CheckSettings] = {
    "one price": CheckSettings(hallucination_null=0.25, omission_null=0.25),
    "sentence mass": CheckSettings(mass="sentence"),
    "ottawa": CheckSettings(hallucination_null="larger", omission_null="larger", mass="sentence"),
    "median": CheckSettings(hallucination_null="median", omission_null="median"),
}
"""Designs that an evaluation puts beside the default."""


@dataclass(frozen=True)
class BeadSettings(Settings):
    """How the sentences of two documents are put together. The defaults were chosen on four German and French texts."""

    most: int = setting(
        5,
        "The most sentences of one side in a bead; the other side then has one.",
        least=1,
        most=20,
        panel="Beads",
    )
    skip: float = setting(
        0.25,
        "The price of a sentence without a partner: larger values put more sentences together.",
        least=0,
        panel="Beads",
    )
    jump: float = setting(
        1.0, "The price of a break in the order: larger values keep the order.", least=0, panel="Beads"
    )
