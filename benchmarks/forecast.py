"""How long the paper's comparison takes on this machine, and what it costs, before it begins: its own commands, cut.

A command is run once to have everything at hand, then twice, the second time with more of one thing; the difference is
the price of that thing, without what loading a model and compiling costs. Nothing is guessed from another machine's
figures.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Part", "Timed", "forecast", "per_thing", "shown"]

Call = Callable[[Sequence[str]], None]


@dataclass(frozen=True)
class Timed:
    """A command that does `count` things of one kind: examples trained on, steps, texts scored."""

    name: str
    things: int
    """How many the whole comparison does."""
    command: Callable[[int, Path], Sequence[str]]
    """The command that does so many, into a scratch folder."""
    few: int
    more: int


@dataclass(frozen=True)
class Part:
    """Seconds of one kind of work."""

    name: str
    things: int
    seconds: float


def per_thing(timed: Timed, call: Call, clock: Callable[[], float] = time.monotonic) -> float:
    """Seconds of one more thing; where the second run was no slower, a bound: all of it, shared among its things.

    A first run is not timed: it may fetch a model and data, which the others find.
    """
    spent = []
    for count in (timed.few, timed.few, timed.more):
        with tempfile.TemporaryDirectory() as scratch:
            begun = clock()
            call(timed.command(count, Path(scratch)))
            spent.append(clock() - begun)
    _, few, more = spent
    difference = (more - few) / (timed.more - timed.few)
    return difference if difference > 0 else more / timed.more


def forecast(parts: Sequence[Timed], call: Call) -> list[Part]:
    """Each kind of work with its seconds."""
    return [Part(timed.name, timed.things, timed.things * per_thing(timed, call)) for timed in parts]


def shown(parts: Sequence[Part], price: float | None) -> str:
    """For a person: hours by kind and in all, and what they cost at a price of an hour."""
    lines = [
        f"{part.name}: {part.things} x {part.seconds / max(part.things, 1):.3g} s = {part.seconds / 3600:.1f} h"
        for part in parts
    ]
    hours = sum(part.seconds for part in parts) / 3600
    cost = "" if price is None else f", {hours * price:.0f} at {price:g} an hour"
    return "\n".join(
        [*lines, f"in all about {hours:.1f} hours{cost} (loading, downloads and scoring come on top)"]
    )
