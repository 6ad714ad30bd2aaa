"""Metrics against hand-computed cases, scikit-learn, SciPy and slow restatements of their definitions."""

from __future__ import annotations

import random
from collections.abc import Collection

import numpy as np
import pytest
from scipy.stats import skew
from sklearn.metrics import accuracy_score, f1_score

from otkit.data.gold import GoldPair
from otkit.errors import ConfigError, InputError
from otkit.evaluation.metrics import (
    ALIGNMENT_METRICS,
    accuracy,
    accuracy_at,
    alignment_table,
    class_table,
    hubness,
    macro_f1,
    mean_table,
    reciprocal_rank,
)

Link = tuple[int, int]


def gold(rows: int, columns: int, sure: set[Link], possible: Collection[Link] = ()) -> GoldPair:
    words = tuple(f"w{i}" for i in range(rows)), tuple(f"v{j}" for j in range(columns))
    return GoldPair(*words, frozenset(sure), frozenset({*sure, *possible}))


def problems(seed: int, count: int) -> tuple[list[set[Link]], list[GoldPair]]:
    """Predictions of every quality, gold of every kind, empty sets among both."""
    generator = random.Random(seed)
    predicted, golds = [], []
    for _ in range(count):
        rows, columns = generator.randint(1, 9), generator.randint(1, 9)
        cells = [(i, j) for i in range(rows) for j in range(columns)]
        density, wanted = generator.choice([0.0, 0.1, 0.3]), generator.choice([0.0, 0.15, 0.3])
        sure = {cell for cell in cells if generator.random() < wanted}
        possible = {cell for cell in cells if generator.random() < wanted}
        near = {cell for cell in sure | possible if generator.random() < 0.7}
        golds.append(gold(rows, columns, sure, possible))
        predicted.append(near | {cell for cell in cells if generator.random() < density})
    return predicted, golds


def score(name: str, predicted: list[set[Link]], golds: list[GoldPair], *, links: str = "sure") -> float:
    return float(ALIGNMENT_METRICS[name](alignment_table(predicted, golds, links=links).sum(axis=0)))


def test_alignment_by_hand() -> None:
    golds = [gold(3, 3, {(0, 0), (1, 1)}, {(2, 2), (2, 1)}), gold(2, 2, {(0, 1)})]
    predicted = [{(0, 0), (2, 2), (0, 1)}, {(0, 1)}]
    # |A| = 4, |S| = 3, |A and S| = 2, |A and P| = 3
    assert score("precision", predicted, golds) == pytest.approx(3 / 4)
    assert score("recall", predicted, golds) == pytest.approx(2 / 3)
    assert score("f1", predicted, golds) == pytest.approx(2 * (3 / 4) * (2 / 3) / (3 / 4 + 2 / 3))
    assert score("aer", predicted, golds) == pytest.approx(1 - 5 / 7)
    assert score("exact_match", predicted, golds) == 0.5
    # nulls, sure gold: first pair {s2, t2} wanted, {s1} found; second {s1, t0} wanted and found
    assert score("null_precision", predicted, golds) == 0.5
    assert score("null_recall", predicted, golds) == 0.5
    # links and nulls: first 1 of 4 found, 1 of 4 wanted; second all
    assert score("total_precision", predicted, golds) == pytest.approx((1 / 4 + 1) / 2)
    assert score("total_recall", predicted, golds) == pytest.approx((1 / 4 + 1) / 2)
    # with the possible links, no word of the first pair is null
    assert score("null_precision", predicted, golds, links="possible") == 0.5
    assert score("total_precision", predicted, golds, links="possible") == pytest.approx((2 / 4 + 1) / 2)
    assert score("total_recall", predicted, golds, links="possible") == pytest.approx((2 / 4 + 1) / 2)


def test_edges() -> None:
    nothing = [gold(2, 2, set())]
    assert [score(name, [set()], nothing) for name in ("aer", "precision", "recall", "f1")] == [0, 0, 0, 0]
    assert [score(name, [set()], nothing) for name in ("exact_match", "link_f1", "null_f1", "total_f1")] == [
        1
    ] * 4
    perfect = [gold(2, 2, {(0, 0), (1, 1)})]
    assert [score(name, [{(0, 0), (1, 1)}], perfect) for name in ("aer", "f1", "null_f1", "total_f1")] == [
        0,
        1,
        1,
        1,
    ]
    assert score("aer", [set()], perfect) == 1
    assert score("aer", [{(0, 0)}], nothing) == 1
    only_possible = [gold(2, 2, set(), {(0, 0)})]
    assert score("aer", [{(0, 0)}], only_possible) == 0


def test_alignment_errors() -> None:
    pair = gold(2, 3, {(0, 0)})
    with pytest.raises(
        InputError, match="1 predicted alignments for 2 gold sentence pairs; the two must belong together"
    ):
        alignment_table([set()], [pair, pair])
    for link in ((2, 0), (0, 3), (-1, 0)):
        name = f"{link[0]}-{link[1]}"
        with pytest.raises(
            InputError, match=f"the link {name} predicted for pair 2 is outside its 2 x 3 words; .* from 0"
        ):
            alignment_table([set(), {link}], [pair, pair])
    with pytest.raises(ConfigError, match="unknown kind of gold links 'shure'; did you mean 'sure'"):
        alignment_table([set()], [pair], links="shure")


def awesome_style(predicted: list[set[Link]], golds: list[GoldPair]) -> tuple[float, float, float, float]:
    """Four running totals over lines; every sure link is a possible link too; 1-based strings in between."""
    proposed = wanted = hits_sure = hits_possible = 0.0
    for found, pair in zip(predicted, golds, strict=True):
        sure = {f"{i + 1}-{j + 1}" for i, j in pair.sure}
        possible = {f"{i + 1}-{j + 1}" for i, j in pair.possible}
        links = [f"{i + 1}-{j + 1}" for i, j in sorted(found)]
        proposed += len(links)
        wanted += len(sure)
        for link in links:
            hits_sure += link in sure
            hits_possible += link in possible
    precision, recall = hits_possible / proposed, hits_sure / wanted
    f1 = 2 * precision * recall / (precision + recall)
    return precision, recall, f1, 1 - (hits_possible + hits_sure) / (proposed + wanted)


def simalign_style(predicted: list[set[Link]], golds: list[GoldPair]) -> tuple[float, float, float, float]:
    """Marks on three grids of 0 and 1 for each sentence, summed at the end; keyed by an id."""
    grids: dict[int, list[np.ndarray]] = {}  # type: ignore[type-arg]
    for ident, pair in enumerate(golds):
        grids[ident] = [np.zeros((len(pair.source), len(pair.target))) for _ in range(3)]
        for grid, links in zip(grids[ident], (predicted[ident], pair.sure, pair.possible), strict=True):
            for i, j in links:
                grid[i, j] = 1
    found = sum(grid[0].sum() for grid in grids.values())
    sure = sum(grid[1].sum() for grid in grids.values())
    possible_hits = sum((grid[0] * np.maximum(grid[1], grid[2])).sum() for grid in grids.values())
    sure_hits = sum((grid[0] * grid[1]).sum() for grid in grids.values())
    precision, recall = possible_hits / found, sure_hits / sure
    return (
        precision,
        recall,
        2 / (1 / precision + 1 / recall),
        1 - (sure_hits + possible_hits) / (found + sure),
    )


@pytest.mark.parametrize("seed", range(40))
def test_aer_equals_the_scorers_of_the_field(seed: int) -> None:
    predicted, golds = problems(seed, 60)
    ours = [score(name, predicted, golds) for name in ("precision", "recall", "f1", "aer")]
    assert ours == pytest.approx(awesome_style(predicted, golds), abs=1e-9)
    assert ours == pytest.approx(simalign_style(predicted, golds), abs=1e-9)


def null_aware(predicted: list[set[Link]], golds: list[GoldPair], links: str) -> dict[str, float]:
    """Links, nulls and both, sentence by sentence, with plain loops."""
    sums = {name: [0.0, 0.0] for name in ("link", "null", "total")}
    for found, pair in zip(predicted, golds, strict=True):
        wanted = pair.sure if links == "sure" else pair.possible
        items: dict[str, tuple[list[str], list[str]]] = {"link": ([], []), "null": ([], [])}
        for place, alignment in enumerate((found, wanted)):
            items["link"][place].extend(f"{i}:{j}" for i, j in alignment)
            for i in range(len(pair.source)):
                if not any((i, j) in alignment for j in range(len(pair.target))):
                    items["null"][place].append(f"source {i}")
            for j in range(len(pair.target)):
                if not any((i, j) in alignment for i in range(len(pair.source))):
                    items["null"][place].append(f"target {j}")
        items["total"] = (items["link"][0] + items["null"][0], items["link"][1] + items["null"][1])
        for name, (ours, theirs) in items.items():
            both = sum(item in theirs for item in ours)
            sums[name][0] += both / len(ours) if ours else float(not theirs)
            sums[name][1] += both / len(theirs) if theirs else float(not ours)
    scores = {}
    for name, (precision, recall) in sums.items():
        p, r = precision / len(golds), recall / len(golds)
        scores |= {f"{name}_precision": p, f"{name}_recall": r, f"{name}_f1": 2 * p * r / (p + r)}
    return scores


@pytest.mark.parametrize("links", ["sure", "possible"])
@pytest.mark.parametrize("seed", range(10))
def test_null_aware_scores_equal_a_slow_restatement(seed: int, links: str) -> None:
    predicted, golds = problems(seed, 40)
    expected = null_aware(predicted, golds, links)
    table = alignment_table(predicted, golds, links=links).sum(axis=0)
    for name in (
        "link_f1",
        "null_precision",
        "null_recall",
        "null_f1",
        "total_precision",
        "total_recall",
        "total_f1",
    ):
        assert float(ALIGNMENT_METRICS[name](table)) == pytest.approx(expected[name], abs=1e-12)


def test_every_alignment_metric_takes_resamples_in_leading_axes() -> None:
    predicted, golds = problems(3, 30)
    table = alignment_table(predicted, golds)
    halves = np.stack([table[:15].sum(axis=0), table[15:].sum(axis=0)])
    for name, metric in ALIGNMENT_METRICS.items():
        each = [score(name, predicted[:15], golds[:15]), score(name, predicted[15:], golds[15:])]
        assert metric(halves) == pytest.approx(each, abs=1e-12)
        assert metric(halves[None]).shape == (1, 2)


@pytest.mark.parametrize("seed", range(20))
def test_classification_equals_scikit_learn(seed: int) -> None:
    generator = random.Random(seed)
    labels = ["entailment", "neutral", "contradiction"]
    wanted = generator.choices(labels[: generator.randint(2, 3)], k=50)
    found = [label if generator.random() < 0.6 else generator.choice(labels) for label in wanted]
    rate = accuracy(mean_table([a == b for a, b in zip(wanted, found, strict=True)]).sum(axis=0))
    assert float(rate) == pytest.approx(accuracy_score(wanted, found), abs=1e-12)
    seen = sorted({*wanted, *found})
    ours = float(macro_f1(class_table(wanted, found, labels=seen).sum(axis=0)))
    assert ours == pytest.approx(f1_score(wanted, found, average="macro", zero_division=0), abs=1e-12)
    three = float(macro_f1(class_table(wanted, found, labels=labels).sum(axis=0)))
    assert three == pytest.approx(
        f1_score(wanted, found, labels=labels, average="macro", zero_division=0), abs=1e-12
    )


def test_classification_errors() -> None:
    with pytest.raises(InputError, match="1 predictions for 2 labels; give one for each"):
        class_table(["a", "b"], ["a"], labels=["a", "b"])


def test_ranks_by_hand() -> None:
    ranks = [1, 3, 0, 2, 11]
    assert accuracy_at(ranks, 1).tolist() == [1, 0, 0, 0, 0]
    assert accuracy_at(ranks, 2).tolist() == [1, 0, 0, 1, 0]
    assert accuracy_at(ranks, 10).mean() == pytest.approx(3 / 5)
    assert reciprocal_rank(ranks).mean() == pytest.approx((1 + 1 / 3 + 0 + 1 / 2 + 1 / 11) / 5)


def test_hubness_equals_the_skewness_of_counts() -> None:
    generator = np.random.default_rng(1)
    neighbours = np.minimum(generator.geometric(0.05, size=(300, 10)), 199)
    counts = [int((neighbours == item).sum()) for item in range(200)]
    assert hubness(neighbours, 200) == pytest.approx(skew(counts), abs=1e-12)
    assert hubness(np.arange(12).reshape(4, 3), 12) == 0
    missing = np.concatenate([neighbours, np.full((300, 2), -1)], axis=1)
    assert hubness(missing, 200) == pytest.approx(skew(counts), abs=1e-12)
