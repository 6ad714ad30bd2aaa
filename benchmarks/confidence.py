"""How often a span of a given confidence is right, and the weights of `otkit.projection.confidence`.

    python -m benchmarks.confidence

Spans of people on both sides of real translations: Europarl NER, answers of XQuAD, tags of Mozilla's strings. The table
is of weights that were fitted without the language that they are asked for; each language of each task counts the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
from scipy.optimize import minimize

from benchmarks.common import numbers, show
from benchmarks.projection import GOLD_SPANS, GoldSpans
from otkit.alignment.settings import AlignmentSettings
from otkit.evaluation.metrics import FloatArray
from otkit.projection.confidence import WEIGHTS, Signs, signs_of
from otkit.projection.settings import SpanSettings
from otkit.projection.spans import Carried, Span, carry_spans

__all__ = ["collected", "fitted", "main"]


@dataclass(frozen=True)
class Seen:
    """A span that was carried over: of which task and language, its signs, and whether it is right."""

    task: str
    language: str
    signs: Signs
    right: bool


def collected(sets: Iterator[GoldSpans]) -> Iterator[Seen]:
    """All spans of the sets that found a place, without a floor."""
    for found in sets:
        settings = SpanSettings(rule=found.rule, floor=0.0, marks=found.task == "tags")
        spans = [Span(str(number), *place) for number, place in enumerate(found.places)]
        for each in carry_spans(found.shares, found.source, found.target, spans, settings):
            if each.stretches:
                yield _seen(found, each)


def _seen(found: GoldSpans, each: Carried) -> Seen:
    signs = signs_of(found.shares, (each.span.start, each.span.end), each.stretches)
    return Seen(found.task, found.language, signs, each.stretches[0] in found.gold[int(each.span.label)])


def fitted(seen: Sequence[Seen]) -> FloatArray:
    """Weights and bias of a logistic regression, with a little ridge (1e-3)."""
    cells = [(one.task, one.language) for one in seen]
    weights = np.array([1 / cells.count(cell) for cell in cells])
    weights /= weights.sum()
    rows, right = _matrix(seen), np.array([one.right for one in seen], dtype=float)

    def loss(b: FloatArray) -> tuple[float, FloatArray]:
        odds = rows @ b
        slope = rows.T @ (weights * (1 / (1 + np.exp(-odds)) - right))
        ridge = np.append(b[:-1], 0.0)
        return (
            float((weights * (np.logaddexp(0, odds) - right * odds)).sum() + 1e-3 * (ridge**2).sum()),
            slope + 2e-3 * ridge,
        )

    return np.asarray(minimize(loss, np.zeros(len(WEIGHTS) + 1), jac=True, method="L-BFGS-B").x)


def _matrix(seen: Sequence[Seen]) -> FloatArray:
    return np.array([[*astuple(one.signs), 1.0] for one in seen])


def reliability(seen: Sequence[Seen]) -> None:
    """The table, and the weights of all languages."""
    guesses = np.zeros(len(seen))
    languages = np.array([one.language for one in seen])
    for language in sorted(set(languages)):
        rest = [one for one in seen if one.language != language]
        asked = np.flatnonzero(languages == language).tolist()
        guesses[asked] = 1 / (1 + np.exp(-_matrix([seen[at] for at in asked]) @ fitted(rest)))
    right = np.array([one.right for one in seen], dtype=float)
    tasks = np.array([one.task for one in seen])
    rows = []
    for low in np.arange(0, 1, 0.1):
        inside = (guesses >= low) & (guesses < low + 0.1)
        if inside.any():
            above = guesses >= low
            rows.append(
                [
                    f"{low:.1f}-{low + 0.1:.1f}",
                    int(inside.sum()),
                    100 * guesses[inside].mean(),
                    100 * right[inside].mean(),
                    100 * right[above].mean(),
                    100 * above.mean(),
                ]
            )
    show(
        "Confidence, without the language in the fit",
        ["confidence", "spans", "mean", "right", "right, from here on", "kept, from here on"],
        rows,
        digits=1,
    )
    for name in ("all", *sorted(set(tasks))):
        of = tasks == name if name != "all" else np.full(len(seen), True)
        print(f"expected calibration error, {name}: {_error(guesses[of], right[of]):.3f}")
    names = [each.name for each in fields(Signs)]
    print(dict(zip([*names, "bias"], fitted(seen).round(2).tolist(), strict=True)))


def _error(guesses: FloatArray, right: FloatArray) -> float:
    tenths = np.minimum((10 * guesses).astype(int), 9)
    gaps = [abs(guesses[tenths == tenth].sum() - right[tenths == tenth].sum()) for tenth in range(10)]
    return float(sum(gaps) / len(guesses))


def main() -> None:
    """Carry all spans and print."""
    sets = (found for gold in GOLD_SPANS for found in gold(AlignmentSettings()))
    reliability(list(collected(sets)))


if __name__ == "__main__":
    numbers(__doc__)
    main()
