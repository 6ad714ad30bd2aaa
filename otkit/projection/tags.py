"""Markup to a translation: where each tag goes, so that every tag stands there once and the nesting is sound.

A source text with markup is a `Marked`: the plain text, and nodes over it that form a forest. A pair of tags around
text goes where the span of its text goes (rule `overlap`); what marks a point (a line break, an empty pair, an image, a
placeholder) goes to the gap between target words that best separates what stands before it from what stands behind it.
A tag without evidence goes to the same relative place. Intervals are then made a forest again, so that what is written
from it is well-formed whatever the input was: children lie within their parents, siblings do not overlap.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any, Literal

import numpy as np

from otkit.alignment.shares import Shares
from otkit.projection.places import Place, Text, carry_places
from otkit.projection.settings import SpanSettings
from otkit.projection.words import BREAK, is_punctuation, is_unspaced, same_mark

__all__ = ["TAG_SETTINGS", "Event", "Marked", "Node", "place_tags"]

TAG_SETTINGS = SpanSettings(rule="overlap", marks=True, floor=0.0)

_NEAR = 0.5  # how much less each word counts than the one nearer to a point


@dataclass(frozen=True, eq=False)
class Node:
    """A tag over the characters [start, end) of the plain text; `parent` is the index of the node around it, or -1.

    opening, closing   what its syntax writes, a string or an element; a point has no closing one
    """

    start: int
    end: int
    parent: int
    opening: Any
    closing: Any = None

    @property
    def point(self) -> bool:
        """Whether there is no text within it."""
        return self.start >= self.end


@dataclass(frozen=True)
class Marked:
    """A plain text and the tags on it, parents before their children, siblings in order."""

    text: str
    nodes: tuple[Node, ...]

    def words(self) -> Text:
        """The text with its words, which end where a tag stands."""
        return Text.of(self.text, cuts={place for node in self.nodes for place in (node.start, node.end)})


@dataclass(frozen=True)
class Event:
    """A piece of what is to be written: text, or an end of a node."""

    kind: Literal["text", "open", "close"]
    text: str = ""
    node: int = -1


def place_tags(
    marked: Marked,
    target: Text,
    shares: Shares,
    source: Text | None = None,
    settings: SpanSettings = TAG_SETTINGS,
    *,
    closed: Sequence[tuple[int, int]] = (),
) -> list[Event]:
    """The target text and each tag once, in the order to be written; points have the spaces beside them that they have
    in the source.

    source  the words of `marked.text`, of which shares (N, M) has a row each; closed  stretches of the target that no
    tag may cut, such as placeholders and entities.
    """
    source = source or marked.words()
    wanted = _intervals(marked, source, target, shares, settings)
    apart = _apart(closed)
    for index, (start, end) in enumerate(wanted):
        wanted[index] = _uncut(start, end, apart)
    text, wanted = _spaced(marked, wanted, target.text)
    return list(_events(_forest(marked, wanted, len(text)), marked, text))


def _intervals(
    marked: Marked, source: Text, target: Text, shares: Shares, settings: SpanSettings
) -> list[tuple[int, int]]:
    """Where each node would go by itself."""
    spans = [index for index, node in enumerate(marked.nodes) if not node.point]
    # Tags around the very same text go together.
    places = {(marked.nodes[index].start, marked.nodes[index].end) for index in spans}
    order = sorted(places)
    found = carry_places(shares, source, target, [Place("", *place) for place in order], settings)
    where = {place: each.stretches for place, each in zip(order, found, strict=True)}
    text, other = marked.text, target.text
    begin, end = _trim(text, 0, len(text))
    whole = _trim(other, 0, len(other))
    gaps = _Gaps(source, target, shares)
    results: list[tuple[int, int]] = []
    for node in marked.nodes:
        if node.point:
            results.append((gaps.of(node.start),) * 2)
        elif node.start <= begin and (node.end >= end or begin == end):
            results.append(whole)  # around all of it
        elif stretches := where[node.start, node.end]:
            results.append((stretches[0][0], stretches[-1][1]))
        else:
            results.append(_by_position(node, source, target, text))
    return results


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    inner = text[start:end]
    start += len(inner) - len(inner.lstrip())
    return start, max(start, start + len(inner.strip()))


class _Gaps:
    """Where points of a source text go: its words weigh alike for all points between the same two."""

    def __init__(self, source: Text, target: Text, shares: Shares) -> None:
        self._source, self._target, self._shares = source, target, shares
        self._begin, self._end = _trim(source.text, 0, len(source.text))
        self._ends = [word.end for word in source.words]
        self._linked = bool(shares.any())

    def of(self, point: int) -> int:
        """The place between target words, at the side of a word where the point stands in the source."""
        words, text = self._target.words, self._source.text
        if point <= self._begin or point >= self._end or not words:
            return 0 if point <= self._begin < self._end else len(self._target.text)
        before = bisect_right(self._ends, point)
        if not self._linked:
            places = np.abs(np.arange(len(words) + 1) / len(words) - point / len(text))
            gap = int((-places).argmax())
        else:
            gap = self._between[before]
        last = self._source.words[before - 1].text if before else ""
        if gap < len(words) and is_punctuation(last) and same_mark(last, words[gap].text):
            gap += 1
        if gap == 0:
            return words[0].start
        after_space = text[point - 1].isspace() and not text[point].isspace()
        if gap == len(words):
            return words[-1].end
        return words[gap].start if after_space else words[gap - 1].end

    @cached_property
    def _between(self) -> list[int]:
        """The best gap for each place between source words. The gap g lies before word g: shares of what comes ahead
        are right before it, those of the rest after it."""
        ahead = np.zeros((len(self._ends) + 1, len(self._target.words)))
        for at, shares in enumerate(self._shares):
            ahead[at + 1] = _NEAR * ahead[at] + shares
        found, behind = [], np.zeros(len(self._target.words))
        for at in range(len(self._ends), -1, -1):
            if at < len(self._ends):
                behind = _NEAR * behind + self._shares[at]
            found.append(int(np.concatenate([[0.0], np.cumsum(ahead[at] - behind)]).argmax()))
        return found[::-1]


def _by_position(node: Node, source: Text, target: Text, text: str) -> tuple[int, int]:
    """The words at the same relative place."""
    if not target.words:
        return (len(target.text),) * 2
    first, last = source.covered(node.start, node.end)
    scale = len(target.words) / max(1, len(source.words))
    start = min(len(target.words) - 1, int(first * scale))
    end = min(len(target.words), max(start + 1, round(last * scale)))
    return target.words[start].start, target.words[end - 1].end


def _apart(closed: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The stretches in order, those that overlap as one."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(closed):
        if found and first < found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return found


def _uncut(start: int, end: int, closed: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """An interval whose ends lie in no closed stretch: widened over it, a point moved before it."""
    first, _ = _around(start, closed)
    return (first, first) if start == end else (first, _around(end, closed)[1])


def _around(place: int, closed: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The stretch that the place lies within, or the place itself."""
    at = bisect_left(closed, (place,)) - 1
    return closed[at] if at >= 0 and place < closed[at][1] else (place, place)


def _spaced(
    marked: Marked, wanted: Sequence[tuple[int, int]], text: str
) -> tuple[str, list[tuple[int, int]]]:
    """The target text with the spaces that points have beside them in the source and that its words leave room for;
    and the intervals in it."""
    points: dict[
        int, dict[int, int]
    ] = {}  # by their place in the target and in the source, where they are put
    for node, (place, _) in zip(marked.nodes, wanted, strict=True):
        if node.point:
            points.setdefault(place, {})[node.start] = 0
    parts: list[str] = []
    ends: list[tuple[int, int]] = []  # how much longer the text is from a place on
    written = longer = 0
    for place in sorted(points):
        before = longer
        starts = sorted(points[place])
        if _is_space(_before(marked.text, starts[0])) and _may_follow(_before(text, place)):
            longer += 1
        for start, following in zip(starts, [*starts[1:], None], strict=True):
            points[place][start] = place + longer
            if following is not None:
                longer += any(map(_is_space, marked.text[start:following]))
            elif _is_space(marked.text[start : start + 1]) and _may_precede(text[place : place + 1]):
                longer += 1
        parts += [text[written:place], " " * (longer - before)]
        written = place
        ends.append((place, longer))
    parts.append(text[written:])

    def moved(place: int, *, end: bool = False) -> int:
        at = (
            bisect_left(ends, place, key=itemgetter(0))
            if end
            else bisect_right(ends, place, key=itemgetter(0))
        )
        return place + (ends[at - 1][1] if at else 0)

    intervals = [
        (points[start][node.start],) * 2 if node.point else (moved(start), moved(stop, end=True))
        for node, (start, stop) in zip(marked.nodes, wanted, strict=True)
    ]
    return "".join(parts), intervals


def _before(text: str, place: int) -> str:
    return text[max(0, place - 1) : place]


def _is_space(sign: str) -> bool:
    return sign.isspace() and sign != BREAK


def _may_follow(sign: str) -> bool:
    """Whether a space may be put behind a sign of the target."""
    return bool(sign) and not (
        sign.isspace() or is_unspaced(sign) or unicodedata.category(sign) in ("Ps", "Pi")
    )


def _may_precede(sign: str) -> bool:
    """Whether a space may be put before a sign of the target: not before a full stop."""
    return (
        bool(sign)
        and not is_unspaced(sign)
        and (sign.isalnum() or unicodedata.category(sign) in ("Ps", "Pi"))
    )


def _forest(marked: Marked, wanted: Sequence[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    """The intervals with children within their parents, and siblings that do not overlap.

    A parent grows to hold its children where that costs no neighbour; then each is cut to what its parent and the
    siblings before it leave.
    """
    nodes, intervals = marked.nodes, list(wanted)
    children: dict[int, list[int]] = {}
    for index, node in enumerate(nodes):
        children.setdefault(node.parent, []).append(index)
    # Of the children of each, where they begin and end; the place of each among them.
    beside = {parent: np.array([intervals[one] for one in inside]) for parent, inside in children.items()}
    among = {one: place for inside in children.values() for place, one in enumerate(inside)}
    for index in reversed(range(len(nodes))):
        inner = [intervals[child] for child in children.get(index, ())]
        if nodes[index].point:
            continue
        hull = (
            min([intervals[index][0], *(start for start, _ in inner)]),
            max([intervals[index][1], *(end for _, end in inner)]),
        )
        starts, ends = beside[nodes[index].parent].T
        met = (starts < hull[1]) & (ends > hull[0]) & (starts < ends)
        met[among[index]] = False
        if not met.any():
            intervals[index] = hull
            beside[nodes[index].parent][among[index]] = hull
    for parent in (-1, *range(len(nodes))):
        low, high = (0, length) if parent < 0 else intervals[parent]
        # Longer ones first where two begin together, points where they stand.
        inside = sorted(children.get(parent, ()), key=lambda one: (intervals[one][0], one))
        for index in inside:
            start, end = (min(max(place, low), high) for place in intervals[index])
            intervals[index] = (start, max(start, end))
            low = intervals[index][1]
    return intervals


def _events(intervals: Sequence[tuple[int, int]], marked: Marked, text: str) -> Iterator[Event]:
    """What is written, from left to right, without recursion: markup may be nested as deep as it likes."""
    children: dict[int, list[int]] = {}
    for index, node in enumerate(marked.nodes):
        children.setdefault(node.parent, []).append(index)
    for inside in children.values():
        inside.sort(key=lambda one: (intervals[one], one), reverse=True)
    written = 0
    stack = [-1]
    while stack:
        top = stack[-1]
        inside = children.get(top, [])
        if inside:
            index = inside.pop()
            start, _ = intervals[index]
            if start > written:
                yield Event("text", text[written:start])
                written = start
            yield Event("open", node=index)
            stack.append(index)
            continue
        end = len(text) if top < 0 else intervals[top][1]
        if end > written:
            yield Event("text", text[written:end])
            written = end
        if top >= 0:
            yield Event("close", node=top)
        stack.pop()
