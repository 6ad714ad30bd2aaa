"""Spans of source words to spans of target words, by the shares of a transport plan.

A span of source words S and a contiguous span of target words T are judged by the shares w_ij in [0, 1] of the plan's
cells (`otkit.transport.plan.shares`: near to the probability that a link is right), all of them and not only those
past a threshold. The rule `price` takes

    argmax_T  sum_{j in T} ( sum_{i in S} w_ij - price )

which bridges a gap of weak words where both ends are strong. The rule `overlap` takes

    argmax_T  2 w(S, T) / ( w(S, all) + w(all, T) ),   w(A, B) = sum_{i in A, j in B} w_ij ** sharpness

(a Dice coefficient), which counts what T has to do with words outside S; it suits long spans such as links around
half a sentence. Both look at each target word a few times, not at each pair of ends: a text of anyone's may have
thousands of words, and as many spans. The others are the field's, for comparison: see "Devil in the details" (arXiv
2505.10507).

The numbers were chosen on sentences with even numbers (from 0) of the first 400 of Europarl NER en to de, es, it, and
of the Mozilla strings with even numbers for `overlap`; figures in benchmarks/projection.py are of the odd ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from otkit.alignment.shares import Shares
from otkit.errors import choose
from otkit.projection.confidence import confidence_of, signs_of
from otkit.projection.ranges import Ranged
from otkit.projection.settings import SpanSettings
from otkit.projection.words import BRACKETS, after_inflection, is_punctuation, leans, same_mark

__all__ = ["RULES", "Carried", "Span", "carry_spans"]

Mask = NDArray[np.bool_]
Stretch = tuple[int, int]


@dataclass(frozen=True)
class Span:
    """Source words [start, end) with a label."""

    label: str
    start: int
    end: int


@dataclass(frozen=True)
class Carried:
    """Where a span went: target words [start, end) and how sure, or why it has none.

    stretches   one; several under the rule `words`; none where the span is lost
    confidence  how likely it is that people would put it there (`otkit.projection.confidence`)
    """

    span: Span
    stretches: tuple[Stretch, ...] = ()
    confidence: float = 0.0
    lost: str | None = None


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a rule looks at, for the M target words: total shares with the span's words and with all words, which of
    them may be taken, which are linked to the span, and which end a clause that the source span does not end."""

    inside: Shares
    total: Shares
    own: float  # shares of the span's words, with whatever word
    free: Mask
    linked: Mask
    breaks: Mask


Rule = Callable[[Evidence, SpanSettings], list[Stretch]]


def price(seen: Evidence, settings: SpanSettings) -> list[Stretch]:
    """The largest sum of a contiguous stretch (Bentley 1984, Kadane's algorithm)."""
    gains = seen.inside - settings.price - settings.clause_price * seen.breaks
    best = total = 0.0
    start, found = 0, (0, 0)
    for place, gain in enumerate(gains.tolist()):
        if not seen.free[place]:
            start, total = place + 1, 0.0
            continue
        if total <= 0:
            start, total = place, 0.0
        total += gain
        if total > best:
            best, found = total, (start, place + 1)
    return [found] if best > 0 else []


def overlap(seen: Evidence, settings: SpanSettings) -> list[Stretch]:
    """The largest fraction of a contiguous stretch, by the steps of Dinkelbach (1967): under a ratio the stretch with
    the most `2 w(S, T) - ratio (w(S, all) + w(all, T))`, a sum over words, has a larger fraction than the ratio, which
    is the next ratio, or the ratio was the largest. There are about five steps whatever the sentence."""
    at = np.flatnonzero(seen.free)
    costs = seen.total + 2 * settings.clause_price * seen.breaks
    inside, whole = (np.concatenate([[0.0], np.cumsum(values[at])]) for values in (2 * seen.inside, costs))
    run = np.cumsum(np.diff(at, prepend=at[:1]) > 1, dtype=np.int64)
    ratio, found = 0.0, (0, 0)
    for _ in range(_STEPS if len(at) else 0):
        height = inside - ratio * whole
        start, end = _most_gained(height[:-1], height[1:], run)
        shared, spent = inside[end + 1] - inside[start], whole[end + 1] - whole[start]
        score = float(shared / max(seen.own + spent, 1e-12))
        # A step that gains nothing is the last; of stretches with the very same fraction it has the first.
        if score > ratio * (1 - 1e-11):
            found = int(at[start]), int(at[end]) + 1
        if score <= ratio:
            break
        ratio = score
    return [found] if ratio > 0 else []


_STEPS = 64
"""More than there can be, but for the last bits of a number."""


def _most_gained(before: Shares, behind: Shares, run: NDArray[np.int64]) -> Stretch:
    """Places (i, j), i <= j within one run, with the largest `behind[j] - before[i]`; of those as large, but for the
    rounding, the first.

    The least of all `before` ahead of a place starts anew with each run. Ranks do that without a loop, and without
    rounding: those of a later run are all lower than those of the run ahead of it.
    """
    order = np.argsort(before, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    drop = run * len(order)
    least = order[np.minimum.accumulate(rank - drop) + drop]
    gains = behind - before[least]
    most = float(gains.max())
    enough = most - 1e-12 * abs(most)
    end = int(np.argmax(gains >= enough))
    first = int(np.searchsorted(run, run[end]))
    # Where two overlap that gain the most, so does what both have: the first end has the first start too.
    return first + int(np.argmax(behind[end] - before[first : end + 1] >= enough)), end


def words(seen: Evidence, settings: SpanSettings) -> list[Stretch]:
    """Each run of linked words."""
    return _runs(seen.linked & seen.free)


def min_max(seen: Evidence, settings: SpanSettings) -> list[Stretch]:
    """From the first to the last, over words that other spans have too."""
    places = np.flatnonzero(seen.linked)
    return [(int(places[0]), int(places[-1]) + 1)] if len(places) else []


def gaps(seen: Evidence, settings: SpanSettings) -> list[Stretch]:
    """Runs, joined over short gaps, and of these the one with the largest total share."""
    joined: list[Stretch] = []
    for start, end in _runs(seen.linked & seen.free):
        if joined and start - joined[-1][1] <= settings.gap and seen.free[joined[-1][1] : start].all():
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return [max(joined, key=lambda one: float(seen.inside[one[0] : one[1]].sum()))] if joined else []


RULES: Mapping[str, Rule] = {
    "price": price,
    "overlap": overlap,
    "words": words,
    "min-max": min_max,
    "gaps": gaps,
}


def _runs(mask: Mask) -> list[Stretch]:
    """The stretches in which the mask is True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def carry_spans(
    shares: Shares,
    source: Sequence[str],
    target: Sequence[str],
    spans: Sequence[Span],
    settings: SpanSettings | None = None,
) -> list[Carried]:
    """Where each span goes, in the order given; shares (N, M) of the words of both sides.

    Spans are placed one after the other, the surest first. Target spans do not overlap where the source spans do not;
    nested ones may be nested. Punctuation and short words that the span has little share in are left out at its edges,
    unless they would leave a bracket open.
    """
    settings = (settings or SpanSettings()).resolved("price")
    rule = choose(settings.rule, RULES, what="rule", setting="rule")
    plain = Ranged(shares)
    sharp = Ranged(shares**settings.sharpness) if settings.rule == "overlap" else plain
    marks = _Marks(target)
    ends = np.array([word in _ENDS for word in target], dtype=bool)
    closing = [0, *accumulate(word in _ENDS for word in source)]
    strongest = [float(plain.tops.over(span.start, span.end).max(initial=0.0)) for span in spans]
    # Of the spans that lie on each target word: where the first of them ends, and the last begins.
    first_end = np.full(len(target), len(source) + 1)
    last_start = np.full(len(target), -1)
    results: dict[int, Carried] = {}
    for index in sorted(range(len(spans)), key=lambda one: -strongest[one]):
        span = spans[index]
        free = (first_end > span.start) & (last_start < span.end)  # of spans that have no word of this one
        inside = plain.sums.over(span.start, span.end)
        sharp_inside = inside if sharp is plain else sharp.sums.over(span.start, span.end)
        closes = closing[span.end] > closing[span.start] if span.end > span.start else False
        seen = Evidence(
            inside=sharp_inside,
            total=sharp.total,
            own=float(sharp_inside.sum()),
            free=free,
            linked=plain.tops.over(span.start, span.end) > settings.linked,
            breaks=ends & (not closes),
        )
        found = rule(seen, settings)
        if not found:
            why = "its words are another span's" if (inside > settings.price).any() else "no word is its own"
            results[index] = Carried(span, lost=why)
            continue
        trimmed: list[Stretch] = []
        for start, end in found:
            # The stretch before may have grown into this one.
            start = max(start, trimmed[-1][1]) if trimmed else start
            edges = (min(start, end), end)
            trimmed.append(_edges(edges, source, marks, span, settings, inside=inside, free=free))
        kept = tuple(one for one in trimmed if one[0] < one[1])
        if not kept:
            results[index] = Carried(span, lost="only punctuation is its own")
            continue
        confidence = confidence_of(signs_of(plain, (span.start, span.end), kept))
        if confidence < settings.floor:
            results[index] = Carried(span, confidence=confidence, lost="its confidence is below the floor")
            continue
        results[index] = Carried(span, kept, confidence)
        for start, end in kept:
            np.minimum(first_end[start:end], span.end, out=first_end[start:end])
            np.maximum(last_start[start:end], span.start, out=last_start[start:end])
    return [results[index] for index in range(len(spans))]


_ENDS = frozenset(".!?;:。．！？；：")


class _Marks:
    """What the words of a sentence are at the edge of a stretch, each looked up at once: a text of nothing but brackets
    has as many edges as words."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words
        self.punctuation = [is_punctuation(word) for word in words]
        self.short = np.array([leans(word) for word in words], dtype=bool)

    @cached_property
    def _closed_at(self) -> list[int]:
        """Of each opening bracket, where the next is that closes its kind; of all else, behind the sentence."""
        found = [len(self.words)] * len(self.words)
        seen: dict[str, int] = {}
        for place in range(len(self.words) - 1, -1, -1):
            word = self.words[place]
            if word in BRACKETS:
                found[place] = seen.get(BRACKETS[word], len(self.words))
            seen[word] = place
        return found

    @cached_property
    def _open(self) -> dict[str, list[int]]:
        """By closing brackets: how many more have opened than closed ahead of each place."""
        present = set(self.words)
        return {
            closing: [0, *accumulate((word == opening) - (word == closing) for word in self.words)]
            for opening, closing in BRACKETS.items()
            if opening != closing and closing in present
        }

    def opens(self, start: int, end: int) -> bool:
        """Whether the first word is a bracket that is closed within."""
        return self._closed_at[start] < end

    def closes(self, start: int, end: int) -> bool:
        """Whether the last word is a bracket that was opened within, and not closed before."""
        counts = self._open.get(self.words[end - 1])
        return counts is not None and counts[end - 1] > counts[start]


def _edges(
    found: Stretch,
    source: Sequence[str],
    marks: _Marks,
    span: Span,
    settings: SpanSettings,
    *,
    inside: Shares,
    free: Mask,
) -> Stretch:
    start, end = found
    target = marks.words
    assert settings.edge is not None  # they are resolved
    weak = marks.short & (inside < settings.edge)
    before = None
    while before != (start, end):
        before = (start, end)
        while start < end and marks.punctuation[start] and not marks.opens(start, end):
            start += 1
        while start < end and marks.punctuation[end - 1] and not marks.closes(start, end):
            end -= 1
        while start < end - 1 and weak[start]:
            start += 1
        while start < end - 1 and weak[end - 1]:
            end -= 1
    if start >= end:
        return start, start
    longer = after_inflection(target, start, end)
    if free[end:longer].all():
        end = longer
    if settings.marks:
        if start > 0 and free[start - 1] and _both(source[span.start], target[start - 1]):
            start -= 1
        if end < len(target) and free[end] and _both(source[span.end - 1], target[end]):
            end += 1
    if end < len(target) and free[end] and marks.closes(start, end + 1):
        end += 1
    return start, end


def _both(one: str, other: str) -> bool:
    return is_punctuation(one) and is_punctuation(other) and same_mark(one, other)
