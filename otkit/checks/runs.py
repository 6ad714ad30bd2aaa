"""What a translation leaves out and puts in, as far as the plan knows: all in all, and in one run of words."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from otkit.checks.finding import Finding, Side
from otkit.encoders.tokens import letters_of

__all__ = ["added", "dropped", "hallucination", "longest_run", "omission", "weight_of"]

_MARKED = 0.5
_SHOWN = 6


def hallucination(source: Side, target: Side) -> Finding:
    """The mean share of the translation's words that came from nowhere."""
    return Finding(fmean(target.scores) if target.scores else 0.0)


def omission(source: Side, target: Side) -> Finding:
    """The mean share of the source's words that were lost."""
    return Finding(fmean(source.scores) if source.scores else 0.0)


def added(source: Side, target: Side) -> Finding:
    """The weight of the longest run of the translation that nothing accounts for."""
    weights = [_weight(word) for word in target.words]
    weight, first, last = longest_run(target.missing, weights)
    return Finding(weight, _quoted(target.words[first:last]))


def dropped(source: Side, target: Side) -> Finding:
    """The longest run of the source that nothing accounts for, as a share of the source."""
    weights = [_weight(word) for word in source.words]
    weight, first, last = longest_run(source.missing, weights)
    return Finding(weight / max(sum(weights), 1.0), _quoted(source.words[first:last]))


def longest_run(scores: Sequence[float], weights: Sequence[float]) -> tuple[float, int, int]:
    """The run [first, last) whose words are the most above one half, times their weights, and by how much.

    A word that is accounted for ends no run by itself: it takes from it.
    """
    best, total, first = (0.0, 0, 0), 0.0, 0
    for place, (score, weight) in enumerate(zip(scores, weights, strict=True)):
        if total <= 0:
            total, first = 0.0, place
        total += (score - _MARKED) * weight
        if total > best[0]:
            best = (total, first, place + 1)
    return best


def _weight(word: str) -> float:
    return float(max(1, letters_of(word)) ** 0.5)


def weight_of(words: Sequence[str]) -> float:
    """The weight of a text: of each word the root of its letters, at least one."""
    return sum(map(_weight, words))


def _quoted(words: Sequence[str]) -> str:
    if len(words) <= _SHOWN:
        return " ".join(words)
    half = _SHOWN // 2
    return " ".join([*words[:half], "…", *words[-half:]])
