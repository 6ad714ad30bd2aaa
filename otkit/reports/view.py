"""What every picture of an alignment is drawn from: words, shares of mass, links, words without a partner, gold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from otkit.alignment.shares import Shares, shares_of
from otkit.data.links import parse_links
from otkit.errors import ConfigError, InputError
from otkit.reports.languages import drawn_language

if TYPE_CHECKING:
    from otkit.alignment.aligner import Alignment

__all__ = [
    "Cell",
    "GoldLinks",
    "GridView",
    "LinkKind",
    "compare_links",
    "parse_gold",
    "view_of",
]

Cell = tuple[int, int]
LinkKind = Literal["link", "sure", "possible", "missed", "extra"]


@dataclass(frozen=True)
class GoldLinks:
    """Links made by hand; a sure link is a possible one as well."""

    sure: frozenset[Cell]
    possible: frozenset[Cell] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "possible", self.possible | self.sure)


@dataclass(frozen=True, eq=False)
class GridView:
    """One sentence pair as it is shown.

    `shares` (N, M) are in [0, 1]: how much of what two words give and take goes between them.
    `source_no_partner` (N,) and `target_no_partner` (M,) say how probably each word has no partner; None for unknown.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    shares: Shares
    links: tuple[Cell, ...]
    source_no_partner: Shares | None
    target_no_partner: Shares | None
    score: float | None = None
    gold: GoldLinks | None = None
    caption: str = ""
    settings: str = ""
    """What the caption leaves open: temperature, rule for links."""
    scores: dict[Cell, float] = field(default_factory=dict)
    compared: Shares | None = None
    """(N, M) what a threshold is compared with, where that is not the share alone."""
    languages: tuple[str, str] | None = None
    """Of both sides, where they are known: words are drawn in the fonts of their language."""

    def __post_init__(self) -> None:
        expected = (len(self.source), len(self.target))
        nulls = (self.source_no_partner, self.target_no_partner)
        sizes = [
            (count,) if null is None else null.shape for count, null in zip(expected, nulls, strict=True)
        ]
        found = (self.shares.shape, *sizes)
        if found != (expected, expected[:1], expected[1:]):
            raise ConfigError(
                f"a picture of {expected[0]} x {expected[1]} words got arrays of shapes {found}",
                remedy="give one share for each pair of words and one probability for each word",
            )
        for i, j in self.links:
            if not (0 <= i < expected[0] and 0 <= j < expected[1]):
                raise ConfigError(f"link {i}-{j} is outside a pair of {expected[0]} and {expected[1]} words")

    @property
    def drawn_languages(self) -> tuple[str | None, str | None]:
        """What the words of both sides are drawn in, as browsers call it."""
        source, target = self.languages or (None, None)
        return drawn_language(self.source, source), drawn_language(self.target, target)

    def link_share(self, cell: Cell) -> float:
        """The link strength stated for a link: the aligner's own score where it gave one."""
        return self.scores.get(cell, float(self.shares[cell]))

    @cached_property
    def kinds(self) -> dict[Cell, LinkKind]:
        """What each marked cell is: a plain link, or with gold: found sure, found possible, missed, extra."""
        if self.gold is None:
            return dict.fromkeys(sorted(self.links), "link")
        kinds: dict[Cell, LinkKind] = {}
        for cell in sorted(set(self.links) | self.gold.sure):
            if cell not in self.links:
                kinds[cell] = "missed"
            elif cell in self.gold.sure:
                kinds[cell] = "sure"
            else:
                kinds[cell] = "possible" if cell in self.gold.possible else "extra"
        return kinds

    @cached_property
    def counts(self) -> dict[LinkKind, int]:
        """How many cells there are of each kind."""
        counted: dict[LinkKind, int] = {}
        for kind in self.kinds.values():
            counted[kind] = counted.get(kind, 0) + 1
        return counted

    @cached_property
    def unlinked_source(self) -> tuple[int, ...]:
        """Source words that no link touches."""
        return tuple(sorted(set(range(len(self.source))) - {i for i, _ in self.links}))

    @cached_property
    def unlinked_target(self) -> tuple[int, ...]:
        """Target words that no link touches."""
        return tuple(sorted(set(range(len(self.target))) - {j for _, j in self.links}))

    def unlinked_words(self) -> Iterator[tuple[str, list[tuple[str, float | None]]]]:
        """`source`, then `target`, where they have words that no link touches: these, with the probability that they
        have no partner."""
        for side, words, unlinked, null in (
            ("source", self.source, self.unlinked_source, self.source_no_partner),
            ("target", self.target, self.unlinked_target, self.target_no_partner),
        ):
            if unlinked:
                yield side, [(words[k], None if null is None else float(null[k])) for k in unlinked]

    def null_shares(self) -> tuple[Shares, Shares]:
        """How probably the words that no link touches have no partner, 0 elsewhere: what is drawn as `no partner`."""
        source, target = np.zeros(len(self.source)), np.zeros(len(self.target))
        for unlinked, shown, null in (
            (self.unlinked_source, source, self.source_no_partner),
            (self.unlinked_target, target, self.target_no_partner),
        ):
            if null is not None:
                shown[list(unlinked)] = null[list(unlinked)]
        return source, target


def parse_gold(text: str, *, source_words: int, target_words: int) -> GoldLinks:
    """Gold links from a line such as `0-0 1p2`: 0-based, `i-j` sure, `ipj` possible; range checked."""
    sure: set[Cell] = set()
    possible: set[Cell] = set()
    for i, j, is_sure in parse_links(text.replace(",", " "), where="--gold"):
        if i >= source_words or j >= target_words:
            raise InputError(
                f"the gold link {i}-{j} is outside {source_words} source and {target_words} target words",
                where="--gold",
                remedy=f"indices count from 0, so they go up to {source_words - 1}-{target_words - 1}",
            )
        (sure if is_sure else possible).add((i, j))
    return GoldLinks(frozenset(sure), frozenset(possible))


def view_of(
    alignment: Alignment,
    *,
    gold: GoldLinks | None = None,
    caption: str = "",
    settings: str = "",
    languages: tuple[str, str] | None = None,
) -> GridView:
    """The picture of what the aligner found for one pair."""
    source_no_partner, target_no_partner = (
        None if each is None else np.asarray(each, dtype=np.float64)
        for each in (alignment.source_no_partner, alignment.target_no_partner)
    )
    scores = {(link.source, link.target): float(link.score) for link in alignment.links}
    if alignment.plan is None:
        shares = np.zeros((len(alignment.source), len(alignment.target)))
        for cell, score in scores.items():
            shares[cell] = score
    else:
        shares = shares_of(alignment.plan)
    return GridView(
        source=tuple(alignment.source),
        target=tuple(alignment.target),
        shares=shares,
        links=tuple(scores),
        source_no_partner=source_no_partner,
        target_no_partner=target_no_partner,
        score=None if math.isnan(alignment.cost) else float(alignment.cost),
        gold=gold,
        caption=caption,
        settings=settings,
        scores=scores,
        compared=None if alignment.strength is None else np.asarray(alignment.strength, dtype=np.float64),
        languages=languages,
    )


def compare_links(left: Iterable[Cell], right: Iterable[Cell]) -> tuple[list[Cell], list[Cell], list[Cell]]:
    """The links of both, of the left alone and of the right alone, each sorted."""
    a, b = set(left), set(right)
    return sorted(a & b), sorted(a - b), sorted(b - a)
