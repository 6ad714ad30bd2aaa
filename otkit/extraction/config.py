"""How sentence pairs are aligned: one small frozen dataclass, saved with the result."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from otkit.encoders.pooling import POOLINGS
from otkit.encoders.words import UNITS
from otkit.errors import ConfigError, choose
from otkit.extraction.strategies import DEFAULT_THRESHOLDS, STRATEGIES, THRESHOLD_UNITS
from otkit.transport.config import check_temperature
from otkit.transport.cost import COSTS
from otkit.transport.marginals import MARGINALS
from otkit.transport.order import AGREEMENT, DISTORTION, ROUNDS

__all__ = ["CENTERS", "COST_NAMES", "DISTANCES", "ENCODINGS", "NULLS", "TRANSPORTS", "AlignerConfig"]

CENTERS = {
    "none": "vectors as they are",
    "sentence": "minus the mean vector of both sentences",
    "corpus": "minus the mean vector of each side over the first lines of the corpus",
}
COST_NAMES = {**dict.fromkeys(COSTS, "see transport.cost"), "dot": "minus the dot product, without transport"}
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
EPSILON = 0.075  # of each pair's mean cost
ENCODINGS = {
    "separate": "each sentence by itself",
    "joint": "both sentences as one text, so that a word's vector knows of the other side (XLM-Align, OTAlign)",
}
NULLS = {
    "none": "no null word",
    "mean": "at the mean cost",
    "median": "at the median cost",
    "middle": "half-way between the smallest and the largest cost",
    "equidistant": "at the cost of a vector at one cosine from all words of the sentence that moves",
    "larger": "the larger of equidistant and median: OTTAWA's",
}

_COUNTING = ("itermax", "top-k")  # their threshold is a number of rounds, and of ranks
# Settings that only one transport looks at.
_OF_TRANSPORT = {"tau": "unbalanced", "mass": "partial", "structure": "fgw", "distances": "fgw"}


@dataclasses.dataclass(frozen=True)
class AlignerConfig:
    """Settings of the word aligner. The defaults were chosen on gold links of 12 language pairs."""

    transport: str = "unbalanced"
    cost: str = "cosine"
    epsilon: float | None = None
    """Entropic temperature in units of the cost."""
    epsilon_relative: float | None = None
    """The same in units of each pair's mean cost; `EPSILON` where neither is given, and both is an error:
    `one_temperature` is how a configuration changes from one to the other."""
    tau: float = 0.1
    """Price of a unit of mass left where it is (KL), in the unit of the temperature."""
    mass: float = 0.8
    """Share of the mass that partial transport moves."""
    null: str = "none"
    """Cost of a null word on either side: a name of `NULLS`, or a number in units of the cost."""
    weights: str = "uniform"
    unit: str = "word"
    word_vector: str = "mean"
    layers: tuple[int, ...] | None = None
    """Hidden states whose costs are averaged; None takes the encoder's own choice."""
    encoding: str = "separate"
    center: str = "sentence"
    distortion: float = DISTORTION
    """Price of a link off the diagonal, in units of the mean cost: see `transport.order`."""
    agreement: float = AGREEMENT
    """Taken from the cost, in units of its mean, for each neighbouring link that keeps the word order."""
    rounds: int = ROUNDS
    """Times that the neighbours are asked again."""
    structure: float = 0.5
    """Weight of the distances within the sentences in fused Gromov-Wasserstein transport."""
    distances: str = "embedding"
    """Which distances those are: a name of `DISTANCES`."""
    letters: float = 0.0
    """Power of the words' lengths that shares are weighed by, where the strategy is threshold; 0 for none: see
    `transport.phrases`."""
    leaning: float = 1.0
    """Factor, there too, for links of a short word whose next word has the same partner; 1 for none."""
    strategy: str = "threshold"
    threshold: float | None = None
    """What the strategy compares with: a share of mass in [0, 1], for itermax and top-k a whole number; None takes its
    default."""

    def __post_init__(self) -> None:
        check_temperature(self.epsilon, self.epsilon_relative)
        if self.epsilon is None and self.epsilon_relative is None:
            object.__setattr__(self, "epsilon_relative", EPSILON)
        for name, table, what in (
            ("transport", TRANSPORTS, "transport"),
            ("cost", COST_NAMES, "cost"),
            ("weights", MARGINALS, "weights"),
            ("unit", UNITS, "unit"),
            ("word_vector", POOLINGS, "word vector"),
            ("encoding", ENCODINGS, "encoding"),
            ("center", CENTERS, "centring"),
            ("distances", DISTANCES, "distance within a sentence"),
            ("strategy", STRATEGIES, "strategy"),
        ):
            choose(getattr(self, name), table, what=what, setting=name)
        for name, least, strict, most in (
            ("epsilon", 0.0, True, math.inf),
            ("epsilon_relative", 0.0, True, math.inf),
            ("tau", 0.0, True, math.inf),
            ("mass", 0.0, True, 1.0),
            ("distortion", 0.0, False, math.inf),
            ("agreement", 0.0, False, math.inf),
            ("structure", 0.0, False, 1.0),
            ("letters", 0.0, False, math.inf),
            ("leaning", 0.0, False, math.inf),
        ):
            _check_number(name, getattr(self, name), least=least, strict=strict, most=most)
        self._check_threshold()
        if not isinstance(self.rounds, int) or self.rounds < 0:
            raise ConfigError(
                f"rounds is {self.rounds}", remedy="give a whole number of at least 0", setting="rounds"
            )
        if self.layers is not None:
            object.__setattr__(self, "layers", tuple(self.layers))
            if not self.layers:
                raise ConfigError(
                    "layers is empty",
                    remedy="name at least one hidden state, or leave it out",
                    setting="layers",
                )
        if self.cost == "dot" and self.transport != "none":
            raise ConfigError(
                "the dot product is no transport cost", remedy="use it with transport none", setting="cost"
            )
        if self.weights == "idf":
            raise ConfigError(
                "weights are 'idf', and a stream of pairs has no document frequencies",
                remedy="use uniform or norm",
                setting="weights",
            )
        self.null_cost  # noqa: B018  # says at once what is wrong with it

    def _check_threshold(self) -> None:
        """Shares end at 1, rounds and ranks are whole, and where nothing is compared nothing can be set."""
        if self.threshold is None:
            return
        if self.strategy not in DEFAULT_THRESHOLDS:
            raise ConfigError(
                f"threshold is {self.threshold}, and the strategy {self.strategy!r} compares with none",
                remedy=f"leave it out, or use one of: {', '.join(DEFAULT_THRESHOLDS)}",
                setting="threshold",
            )
        counts = self.strategy in _COUNTING
        _check_number("threshold", self.threshold, least=0.0, strict=False, most=math.inf if counts else 1.0)
        if counts and (self.threshold < 1 or not float(self.threshold).is_integer()):
            raise ConfigError(
                f"threshold is {self.threshold}, and for {self.strategy} it counts",
                remedy="give a whole number of at least 1",
                setting="threshold",
            )

    @property
    def temperature(self) -> float:
        """epsilon as a number: in units of the cost, or of its mean where `epsilon` is None."""
        found = self.epsilon_relative if self.epsilon is None else self.epsilon
        assert found is not None  # filled in where neither was given
        return found

    @property
    def weighs_letters(self) -> bool:
        """True where the length of words counts."""
        return self.strategy == "threshold" and (self.letters > 0 or self.leaning != 1)

    @property
    def null_cost(self) -> float | str | None:
        """The cost of a null word: a number, a rule, or None for no null word."""
        if self.null == "none":
            return None
        try:
            value = float(self.null)
        except ValueError:
            choose(self.null, {**NULLS, "a number": ""}, what="null cost", setting="null")
            if self.null in ("equidistant", "larger") and self.cost != "cosine":
                raise ConfigError(
                    f"the null cost {self.null!r} is made for cosines",
                    remedy="use median, or the cosine cost",
                    setting="null",
                ) from None
            return self.null
        _check_number("null", value, least=0.0, strict=False, most=math.inf)
        return value

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

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` reads it back."""
        return dataclasses.asdict(self)

    def used(self) -> dict[str, Any]:
        """What was used, without open defaults and without settings of other transports; `from_dict` reads it back.

        `units` says what the numbers are counted in.
        """
        values = {**self.to_dict(), "threshold": self.compared_with}
        unused = {"epsilon" if self.epsilon is None else "epsilon_relative"}
        unused |= set() if self.tempered else {"epsilon", "epsilon_relative"}
        unused |= {name for name, transport in _OF_TRANSPORT.items() if transport != self.transport}
        return {name: value for name, value in values.items() if value is not None and name not in unused}

    def units(self) -> dict[str, str]:
        """The unit of each number of `used` that has one."""
        ground = "mean cost of the pair" if self.epsilon is None else "cost"
        units = {"epsilon": ground, "epsilon_relative": ground, "tau": ground}
        units |= {"distortion": "mean cost of the pair", "agreement": "mean cost of the pair"}
        units |= {"mass": "share of the mass", "threshold": THRESHOLD_UNITS.get(self.strategy, "")}
        return {name: unit for name, unit in units.items() if name in self.used()}

    def described(self) -> str:
        """The temperature and the rule for links, as a caption says them."""
        used, parts = self.used(), []
        ground = "the mean cost" if self.epsilon is None else "the cost"
        warmth = [("epsilon", used.get("epsilon", used.get("epsilon_relative"))), ("tau", used.get("tau"))]
        figures = [f"{name} {value:g}" for name, value in warmth if value is not None]
        if figures:
            parts.append(f"{' and '.join(figures)} in units of {ground}")
        if self.strategy == "threshold":
            parts.append(f"links from a share of mass of {self.compared_with:g}")
        elif self.compared_with is not None:
            parts.append(f"{self.strategy} links ({self.compared_with:g} {THRESHOLD_UNITS[self.strategy]})")
        else:
            parts.append(f"{self.strategy} links")
        return "; ".join(parts)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> AlignerConfig:
        """The settings of a saved dict; a name that does not exist is an error."""
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for name in values:
            choose(name, fields, what="aligner setting")
        return cls(**values)


def _check_number(name: str, value: object, *, least: float, strict: bool, most: float) -> None:
    if value is None:
        return
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value < least or value > most or (strict and value == least):  # type: ignore[operator]
        bound = f"greater than {least:g}" if strict else f"at least {least:g}"
        bound += f" and at most {most:g}" if most < math.inf else ""
        raise ConfigError(f"{name} is {value}", remedy=f"give a number {bound}", setting=name)
