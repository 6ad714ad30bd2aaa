"""A pair as classes of errors see it, and what each finds."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NOTHING", "Finding", "Side"]


@dataclass(frozen=True)
class Finding:
    """How sure an error of a class is, from 0 for none, in the class's own unit; and what a reader is told of it."""

    figure: float = 0.0
    what: str = ""


NOTHING = Finding()


@dataclass(frozen=True)
class Side:
    """One side of a pair: its text, its language, "" for unknown, and its words with three figures of each in [0, 1].

    scores   the share that nothing on the other side accounts for
    missing  the same where a long word finds no room in a short one
    far      how surely no word of the other side is near
    """

    text: str
    language: str = ""
    words: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    missing: tuple[float, ...] = ()
    far: tuple[float, ...] = ()
