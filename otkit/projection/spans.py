"""Spans of source words to spans of target words, by the shares of a transport plan.

A span of source words S and a contiguous span of target words T are judged by the shares w_ij in [0, 1] of the plan's
cells (`otkit.transport.plan.shares`: near to the probability that a link is right), all of them and not only those
past a threshold. The rule `price` takes

    argmax_T  sum_{j in T} ( sum_{i in S} w_ij - price )

which bridges a gap of weak words where both ends are strong. The rule `overlap` takes

    argmax_T  2 w(S, T) / ( w(S, all) + w(all, T) ),   w(A, B) = sum_{i in A, j in B} w_ij ** sharpness

(a Dice coefficient), which counts what T has to do with words outside S; it suits long spans such as links around
half a sentence. The others are the field's, for comparison: see "Devil in the details" (arXiv 2505.10507).

The numbers were chosen on sentences with even numbers (from 0) of the first 400 of Europarl NER en to de, es, it, and
of the Mozilla strings with even numbers for `overlap`; figures in benchmarks/projection.py are of the odd ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from otkit.alignment.shares import Shares
from otkit.errors import choose
from otkit.projection.confidence import confidence_of, signs_of
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
    """The best of all stretches, M (M + 1) / 2 of them at most; one run of free words at a time."""
    best, found = 0.0, (0, 0)
    for first, last in _runs(seen.free):
        inside, total, breaks = (
            np.concatenate([[0.0], np.cumsum(values[first:last])])
            for values in (seen.inside, seen.total, settings.clause_price * seen.breaks)
        )
        shared = inside[None, 1:] - inside[:-1, None]
        whole = seen.own + (total[None, 1:] - total[:-1, None]) + 2 * (breaks[None, 1:] - breaks[:-1, None])
        scores = np.triu(2 * shared / np.maximum(whole, 1e-12))
        start, end = np.unravel_index(int(scores.argmax()), scores.shape)
        if scores[start, end] > best:
            best, found = float(scores[start, end]), (first + int(start), first + int(end) + 1)
    return [found] if best > 0 else []


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
    sharp = shares**settings.sharpness if settings.rule == "overlap" else shares
    short = np.array([leans(word) for word in target], dtype=bool)
    ends = np.array([word in _ENDS for word in target], dtype=bool)
    total = sharp.sum(0)
    strongest = [
        float(shares[span.start : span.end].max(initial=0.0)) if span.end > span.start else 0.0
        for span in spans
    ]
    results: dict[int, Carried] = {}
    for index in sorted(range(len(spans)), key=lambda one: -strongest[one]):
        span = spans[index]
        taken = np.zeros(len(target), dtype=bool)
        for other in results.values():
            if other.span.end <= span.start or other.span.start >= span.end:
                for start, end in other.stretches:
                    taken[start:end] = True
        part = shares[span.start : span.end]
        inside = part.sum(0)
        closes = any(word in _ENDS for word in source[span.start : span.end])
        seen = Evidence(
            inside=sharp[span.start : span.end].sum(0),
            total=total,
            own=float(sharp[span.start : span.end].sum()),
            free=~taken,
            linked=np.asarray((part > settings.linked).any(0)),
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
            trimmed.append(
                _edges(edges, source, target, span, settings, inside=inside, short=short, free=~taken)
            )
        kept = tuple(one for one in trimmed if one[0] < one[1])
        if not kept:
            results[index] = Carried(span, lost="only punctuation is its own")
            continue
        confidence = confidence_of(signs_of(shares, (span.start, span.end), kept))
        if confidence < settings.floor:
            results[index] = Carried(span, confidence=confidence, lost="its confidence is below the floor")
        else:
            results[index] = Carried(span, kept, confidence)
    return [results[index] for index in range(len(spans))]


_ENDS = frozenset(".!?;:。．！？；：")


def _edges(
    found: Stretch,
    source: Sequence[str],
    target: Sequence[str],
    span: Span,
    settings: SpanSettings,
    *,
    inside: Shares,
    short: Mask,
    free: Mask,
) -> Stretch:
    start, end = found
    assert settings.edge is not None  # they are resolved
    weak = short & (inside < settings.edge)
    before = None
    while before != (start, end):
        before = (start, end)
        while start < end and is_punctuation(target[start]) and not _opens(target, start, end):
            start += 1
        while start < end and is_punctuation(target[end - 1]) and not _closes(target, start, end):
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
    if end < len(target) and free[end] and _closes(target, start, end + 1):
        end += 1
    return start, end


def _both(one: str, other: str) -> bool:
    return is_punctuation(one) and is_punctuation(other) and same_mark(one, other)


def _opens(target: Sequence[str], start: int, end: int) -> bool:
    """Whether the first word is a bracket that is closed within."""
    closing = BRACKETS.get(target[start])
    return closing is not None and closing in target[start + 1 : end]


def _closes(target: Sequence[str], start: int, end: int) -> bool:
    """Whether the last word is a bracket that was opened within, and not closed before."""
    last = target[end - 1]
    for opening, closing in BRACKETS.items():
        if closing == last and opening != closing:
            inner = target[start : end - 1]
            if list(inner).count(opening) > list(inner).count(closing):
                return True
    return False
