"""How translations are checked: one small frozen dataclass, saved with the result."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from otkit.encoders.pooling import POOLINGS
from otkit.errors import ConfigError, choose
from otkit.transport.null import NULL_COSTS

__all__ = ["MASSES", "OTHER_DESIGNS", "CheckConfig", "Null", "parse_null"]

Null = float | str
"""The null's price. A number in (0, 1): the price at which this share of the words of sentences that do not
belong together would find a partner (`null_price`). A name: a rule of `transport.null`, from the pair."""

MASSES = {"word": "one unit a word on both sides", "sentence": "1 for each side, shared by its words"}


@dataclasses.dataclass(frozen=True)
class CheckConfig:
    """Settings of a translation check. The defaults were chosen on half of HalOmi's rows.

    The two prices differ because the two errors do: made-up words still resemble something (a cheap null finds
    them), lost words stand beside a whole sentence that others need too (a dear null leaves what is surplus).
    """

    hallucination_null: Null = 0.05
    omission_null: Null = 0.75
    mass: str = "word"
    epsilon: float = 0.05
    """Entropic temperature, in units of the null's price."""
    layers: tuple[int, ...] = (-2,)
    """Hidden states whose costs are averaged. The last but one: errors of meaning show late in the stack, and
    the last state has begun to look like the sentence's vector."""
    word_vector: str = "mean"

    def __post_init__(self) -> None:
        choose(self.mass, MASSES, what="mass")
        choose(self.word_vector, POOLINGS, what="word vector")
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise ConfigError("layers is empty", remedy="name at least one hidden state")
        if not (math.isfinite(self.epsilon) and self.epsilon > 0):
            raise ConfigError(f"epsilon is {self.epsilon}", remedy="give a finite number greater than 0")
        for null in (self.hallucination_null, self.omission_null):
            if isinstance(null, str):
                choose(null, NULL_COSTS, what="null price")
            elif not 0 < null < 1:
                raise ConfigError(
                    f"the null price is {null}",
                    remedy=f"give a share between 0 and 1, or a rule: {', '.join(NULL_COSTS)}",
                )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


def parse_null(text: str) -> Null:
    """A null price as the command line writes it."""
    try:
        return float(text)
    except ValueError:
        return choose(text, {name: name for name in NULL_COSTS}, what="null price")


def _rule(name: str, mass: str) -> CheckConfig:
    return CheckConfig(hallucination_null=name, omission_null=name, mass=mass)


OTHER_DESIGNS: Mapping[str, CheckConfig] = {
    "one price": CheckConfig(hallucination_null=0.25, omission_null=0.25),
    "sentence mass": CheckConfig(mass="sentence"),
    "ottawa": _rule("larger", "sentence"),
    "median": _rule("median", "word"),
}
"""Designs that an evaluation puts beside the default."""
