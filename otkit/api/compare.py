"""Two alignments of the same pairs: what was gained and lost from the first to the second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from otkit.api.align import DrawnAlignment
from otkit.errors import InputError
from otkit.reports.fragment import STYLE, fragment_html
from otkit.reports.view import Cell, compare_links

__all__ = ["Comparison", "Comparisons", "compare"]


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """One pair before and after; the links, sorted, that both have, that were gained, and that were lost."""

    before: DrawnAlignment
    after: DrawnAlignment
    kept: tuple[Cell, ...]
    gained: tuple[Cell, ...]
    lost: tuple[Cell, ...]

    @property
    def changed(self) -> float:
        """The share of all links of either that only one has, in [0, 1]."""
        differ = len(self.gained) + len(self.lost)
        return differ / max(differ + len(self.kept), 1)

    def __repr__(self) -> str:
        return f"<gained: {self._words(self.gained)} | lost: {self._words(self.lost)}>"

    def _words(self, cells: Sequence[Cell]) -> str:
        return ", ".join(f"{self.before.source[i]} → {self.before.target[j]}" for i, j in cells) or "none"

    def _repr_html_(self) -> str:
        from html import escape

        said = f"<p>gained: {escape(self._words(self.gained))}<br>lost: {escape(self._words(self.lost))}</p>"
        return STYLE + fragment_html(self.before.view) + fragment_html(self.after.view) + said


class Comparisons(list[Comparison]):
    """Comparisons in the order of their pairs."""

    def changed_most(self) -> Comparisons:
        """The same, the pairs that changed most first."""
        return Comparisons(sorted(self, key=lambda pair: -pair.changed))


def compare(before: Sequence[DrawnAlignment], after: Sequence[DrawnAlignment]) -> Comparisons:
    """What was gained and lost from the alignments of one encoder, or of some settings, to those of another.

    >>> import otkit
    >>> pair = "das Haus", "the house"
    >>> otkit.compare(otkit.align_words(*pair), otkit.align_words(*pair, strategy="forward", layers=0))
    [<gained: none | lost: none>]
    """
    pairs = [[(one.source, one.target) for one in side] for side in (before, after)]
    if pairs[0] != pairs[1]:
        raise InputError(
            "the alignments are not of the same pairs of sentences", remedy="align the same words twice"
        )
    return Comparisons(map(_compared, before, after))


def _compared(before: DrawnAlignment, after: DrawnAlignment) -> Comparison:
    kept, lost, gained = map(tuple, compare_links(before.pairs, after.pairs))
    return Comparison(before, after, kept, gained, lost)
