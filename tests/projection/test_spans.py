"""Where spans go: the rules against brute force and by hand, and what no rule may break."""

from __future__ import annotations

import gzip
import itertools
import os
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from otkit.alignment.shares import Shares, shares_of, shares_of_links
from otkit.errors import ConfigError
from otkit.projection.confidence import WEIGHTS, Signs, confidence_of, signs_of
from otkit.projection.corpus import Projected, complete
from otkit.projection.labelled import Labelled
from otkit.projection.places import Place, Placed, Text, carry_places
from otkit.projection.ranges import RowRanges
from otkit.projection.settings import RULE_NAMES, SpanSettings
from otkit.projection.spans import RULES, Evidence, Span, carry_spans, overlap
from otkit.projection.tags import Marked, Node, place_tags
from otkit.projection.words import is_punctuation, leans, same_mark, text_words

FREE = SpanSettings(floor=0.0, edge=0.0, clause_price=0.0)


def words(count: int) -> list[str]:
    return [f"Wort{index}" for index in range(count)]


def test_the_rules_of_the_settings_are_those_of_the_table() -> None:
    assert set(RULE_NAMES) == {"auto", *RULES}


@pytest.mark.parametrize("seed", range(30))
def test_price_and_overlap_find_the_best_stretch_of_all(seed: int) -> None:
    generator = np.random.default_rng(seed)
    shares = generator.random((4, 7)) ** 3
    span = Span("X", 1, 3)
    inside, total = shares[1:3].sum(0), shares.sum(0)
    stretches = [(a, b) for a in range(7) for b in range(a + 1, 8)]
    by_price = max(stretches, key=lambda one: (inside[slice(*one)] - 0.3).sum())
    [found] = carry_spans(shares, words(4), words(7), [span], FREE.changed(rule="price"))
    if (inside[slice(*by_price)] - 0.3).sum() > 0:
        assert found.stretches == (by_price,)
    else:
        assert found.lost
    sharp, all_sharp = (shares**2)[1:3].sum(0), (shares**2).sum(0)
    by_overlap = max(
        stretches, key=lambda one: 2 * sharp[slice(*one)].sum() / (sharp.sum() + all_sharp[slice(*one)].sum())
    )
    [found] = carry_spans(shares, words(4), words(7), [span], FREE.changed(rule="overlap"))
    assert found.stretches == (by_overlap,)
    assert total.shape == (7,)


def test_the_other_rules_by_hand() -> None:
    shares = shares_of_links([(0, 0, 1.0), (0, 1, 1.0), (0, 3, 1.0), (0, 6, 1.0)], 1, 7)
    settings = FREE.changed(linked=0.4)
    expected = {
        "words": ((0, 2), (3, 4), (6, 7)),
        "min-max": ((0, 7),),
        "gaps": ((0, 4),),
    }
    for rule, stretches in expected.items():
        [found] = carry_spans(shares, words(1), words(7), [Span("X", 0, 1)], settings.changed(rule=rule))
        assert found.stretches == stretches, rule


def test_shares_of_a_plan_are_shares_and_a_word_linked_twice_shares_itself_out() -> None:
    plan = np.array([[0.2, 0.2, 0.0], [0.0, 0.0, 0.4]])
    shares = shares_of(plan)
    assert shares.max() <= 1
    assert shares[1, 2] == pytest.approx(1.0)
    assert shares[0, 0] == pytest.approx(np.sqrt(0.5))
    assert shares_of_links([(0, 0, 1.0), (0, 1, 1.0)], 2, 2)[0].tolist() == pytest.approx([0.5**0.5] * 2)
    with pytest.raises(ConfigError, match="a link 0-5, and the sentences have 2 and 2 words"):
        shares_of_links([(0, 5, 1.0)], 2, 2)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_spans_stay_apart_and_within_the_sentence_whatever_the_shares(rule: str) -> None:
    generator = np.random.default_rng(1)
    for _ in range(60):
        rows, columns = generator.integers(1, 9, 2)
        cuts = sorted(set(generator.integers(0, rows + 1, 4).tolist()))
        spans = [Span(str(at), a, b) for at, (a, b) in enumerate(itertools.pairwise(cuts))]
        target = generator.choice(["(", "der", "Haus", ".", "して", ")"], columns).tolist()
        found = carry_spans(
            generator.random((rows, columns)), words(rows), target, spans, SpanSettings(rule=rule)
        )
        assert [each.span for each in found] == spans
        taken: set[int] = set()
        for each in found:
            assert bool(each.stretches) != bool(each.lost)
            assert 0 <= each.confidence <= 1
            for start, end in each.stretches:
                assert 0 <= start < end <= columns
                assert rule == "min-max" or not taken & set(range(start, end))
                taken |= set(range(start, end))


def test_edges_lose_punctuation_and_short_words_and_keep_brackets() -> None:
    source = ["European", "Committee", "(", "CEN", ")", "met"]
    target = ["das", "Europäische", "Komitee", "(", "CEN", ")", ",", "tagte"]
    shares = np.zeros((6, 8))
    for i, j in ((0, 1), (1, 2), (2, 3), (3, 4), (5, 7)):
        shares[i, j] = 0.9
    shares[0, 0], shares[4, 6], shares[4, 5] = 0.4, 0.5, 0.2
    [found] = carry_spans(shares, source, target, [Span("ORG", 0, 5)])
    assert found.stretches == ((1, 6),)


def test_nested_spans_may_be_nested_and_a_span_without_shares_is_lost_with_a_reason() -> None:
    shares = np.eye(4)
    outer, inner, none = Span("A", 0, 3), Span("B", 1, 2), Span("C", 3, 4)
    shares[3] = 0
    found = carry_spans(shares, words(4), words(4), [outer, inner, none])
    assert [each.stretches for each in found] == [((0, 3),), ((1, 2),), ()]
    assert found[2].lost == "no word is its own"


def test_places_of_characters_and_copies_of_parts_of_words() -> None:
    source, target = Text.of("The Mozilla foundation."), Text.of("Die Mozilla-Stiftung.", parts=True)
    shares = np.zeros((len(source.words), len(target.words)))
    assert target.bare == ("Die", "Mozilla", "-", "Stiftung", ".")
    shares[0, 0] = shares[1, 1] = shares[2, 3] = shares[3, 4] = 0.9
    for copies in (True, False):
        places = [Place("part", 4, 11)]
        [part] = carry_places(shares, source, target, places, copies=copies)
        assert target.text[slice(*part.stretches[0])] == "Mozilla"
    [whole] = carry_places(shares, source, target, [Place("whole", 4, 22)])
    assert target.text[slice(*whole.stretches[0])] == "Mozilla-Stiftung"
    source, target = Text.of("The fund of Mozilla"), Text.of("Der Mozillafonds")
    [copy] = carry_places(np.full((4, 2), 0.4), source, target, [Place("copy", 12, 19)])
    assert target.text[slice(*copy.stretches[0])] == "Mozilla"


def test_confidence_is_surer_where_there_is_more_to_see() -> None:
    """Of a span on the diagonal: full shares, weak ones, ones that other words have too, and a border that leaks."""
    shares = np.eye(6) * 0.95

    def sure(shares: Shares, span: tuple[int, int] = (1, 3), stretch: tuple[int, int] = (1, 3)) -> float:
        return confidence_of(signs_of(shares, span, [stretch]))

    full = sure(shares)
    assert 0.9 < full < 1
    assert sure(shares * 0.5) < full
    assert sure(shares, stretch=(1, 2)) < full
    assert sure(shares, stretch=(1, 6)) < sure(shares, stretch=(1, 4)) < full
    leaking = shares.copy()
    leaking[1, 0] = 0.9
    assert sure(leaking) < full
    assert sure(np.zeros((6, 6))) < 0.2
    assert len(WEIGHTS) == len(fields(Signs))
    [found] = carry_spans(shares, words(6), words(6), [Span("A", 1, 3)])
    assert found.confidence == full


def test_complete_sentences_are_sure_ones() -> None:
    item = Labelled(Text.of("a b"), Text.of("c d"), (), 1)

    def projected(*confidences: float) -> Projected:
        placed = (
            Placed(Place("A", n, n + 1), ((n, n + 1),), sure, None) for n, sure in enumerate(confidences)
        )
        return Projected(item, tuple(placed))

    assert complete(projected(0.9, 0.8), 0.7)
    assert not complete(projected(0.9, 0.6), 0.7)
    assert complete(projected(), 0.7)
    assert not complete(Projected(item, (Placed(Place("A", 0, 1), (), 0.9, "no word is its own"),)), 0.7)


def test_words_of_raw_text() -> None:
    pytest.importorskip("icu4py")
    for text in (
        "(see “Firefox-Beta”, 3.5!)",
        "Chromebook で Firefox デスクトップコンピューターを使う。",
        " \u00a0 ",
        "",
    ):
        found = text_words(text)
        assert all(text[word.start : word.end] == word.text for word in found)
        assert "".join(word.text for word in found) == "".join(text.split())
    assert "デスクトップコンピューター" in [
        word.text for word in text_words("デスクトップコンピューターを使う")
    ]
    assert [word.text for word in text_words("(see “Beta-1”)")] == ["(", "see", "“", "Beta-1", "”", ")"]
    assert [word.text for word in text_words("(see “Beta-1”)", parts=True)] == [
        "(", "see", "“", "Beta", "-", "1", "”", ")",
    ]  # fmt: skip
    assert leans("der")
    assert not leans("EU")
    assert not leans("Haus")
    assert leans("の")
    assert is_punctuation("«")
    assert not is_punctuation("3")
    assert same_mark("。", ".")
    assert not same_mark(".", ",")


@pytest.mark.slow  # 60 pairs through the sample encoder; the sample's labels are carried in tests/cli/test_project.py
def test_europarl_with_the_links_of_the_sample_encoder() -> None:
    """The span F1 of the first 60 sentences in German; the figures of all are in benchmarks/projection.py."""
    data = os.environ.get("OTKIT_BENCHMARK_DATA", Path(__file__).parents[3] / "shared" / "data")
    folder = Path(data) / "projection"
    if not folder.is_dir():
        pytest.skip("the benchmark data is not here")
    from otkit.api.project import open_aligner
    from otkit.projection.labels import decode
    from otkit.projection.scores import span_scores

    def sentences(language: str) -> list[tuple[list[str], list[tuple[str, int, int]]]]:
        text = gzip.decompress((folder / f"europarl-ner.{language}.dev.conll.gz").read_bytes()).decode()
        rows = [[line.split("\t") for line in block.split("\n")] for block in text.strip().split("\n\n")[:60]]
        return [([word for word, _ in block], decode([label for _, label in block])) for block in rows]

    english, german = sentences("en"), sentences("de")
    pairs = [(a, b) for (a, _), (b, _) in zip(english, german, strict=True)]
    projected = []
    for (source, spans), alignment in zip(
        english, open_aligner(None, device="cpu").align(pairs), strict=True
    ):
        assert alignment.plan is not None
        found = carry_spans(
            shares_of(alignment.plan), source, alignment.target, [Span(*one) for one in spans]
        )
        projected.append([(each.span.label, *place) for each in found for place in each.stretches])
    assert span_scores(projected, [spans for _, spans in german]).figures["f1"].value > 0.88


@pytest.mark.parametrize("seed", range(8))
def test_overlap_has_the_best_of_all_stretches_and_of_equal_ones_the_first(seed: int) -> None:
    """Against every pair of ends; links of 0 and 1 give many equal ones, words that are taken cut them."""
    generator = np.random.default_rng(seed)
    for _ in range(60):
        rows, columns = generator.integers(1, 12, 2)
        shares = generator.random((rows, columns)) ** 3
        if seed % 2:
            shares = (shares > 0.3).astype(float)
        start, end = sorted(generator.integers(0, rows + 1, 2).tolist())
        breaks = generator.random(columns) < 0.2
        free = generator.random(columns) < 0.8
        inside, total = shares[start:end].sum(0), shares.sum(0)
        seen = Evidence(inside, total, float(inside.sum()), free, free, breaks)
        scores = {
            (a, b): 2 * inside[a:b].sum() / (inside.sum() + total[a:b].sum() + breaks[a:b].sum())
            for a, b in itertools.combinations(range(columns + 1), 2)
            if free[a:b].all() and inside[a:b].any()
        }
        best = max(scores.values(), default=0.0)
        first = min((one for one, score in scores.items() if score >= best * (1 - 1e-12)), default=None)
        assert overlap(seen, SpanSettings(clause_price=0.5)) == ([] if first is None else [first])


class Counted(np.ndarray):
    """An array that counts the numbers that are computed with it and with what comes of it."""

    seen = 0

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **named: Any) -> Any:
        Counted.seen += max(np.size(one) for one in inputs)
        plain = [one.view(np.ndarray) if isinstance(one, Counted) else one for one in inputs]
        found = getattr(ufunc, method)(*plain, **named)
        return found.view(Counted) if isinstance(found, np.ndarray) else found

    def __array_function__(self, function: Any, types: Any, given: Any, named: Any) -> Any:
        found = super().__array_function__(function, types, given, named)
        Counted.seen += np.size(found)
        return found


def counted(call: Callable[[], object]) -> int:
    """How many numbers are computed with, and lines of Python run."""
    Counted.seen = lines = 0

    def trace(frame: Any, event: str, given: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return lines + Counted.seen


def shares_with_noise(words: int) -> Shares:
    return np.eye(words) * 0.8 + np.random.default_rng(0).random((words, words)) / words


def test_twice_the_words_are_twice_the_work_of_a_span() -> None:
    def work(size: int) -> int:
        shares = shares_with_noise(size)
        inside, total = shares[: size // 2].sum(0).view(Counted), shares.sum(0).view(Counted)
        for free in (np.ones(size, bool), np.arange(size) % 3 > 0):
            seen = Evidence(inside, total, float(inside.sum()), free, free, np.zeros(size, bool))
            assert overlap(seen, SpanSettings())
        return Counted.seen

    few, many = counted(lambda: work(1000)), counted(lambda: work(2000))
    assert few < many < 2.3 * few


def test_twice_the_spans_of_twice_the_words_are_four_times_the_sums() -> None:
    """As many as the matrix has cells, though each span holds the one before."""

    def work(size: int) -> None:
        ranges = RowRanges(shares_with_noise(size).view(Counted), np.add)
        for end in range(size + 1):
            ranges.over(size - end, end) if end > size - end else ranges.over(0, end)

    few, many = counted(lambda: work(600)), counted(lambda: work(1200))
    assert few < many < 4.6 * few


@pytest.mark.parametrize("kind", ["beside", "nested", "one word", "brackets"])
def test_twice_the_tags_are_twice_the_steps(kind: str) -> None:
    def work(size: int) -> int:
        text = " ".join(["aa"] * size if kind == "one word" else map(str, range(100, 100 + size)))
        source = Text.of(text)
        target = Text.of("( " * size if kind == "brackets" else text)
        last = len(text) if kind == "nested" else 0
        nodes = [
            Node(word.start, last or word.end, place - 1 if last else -1, "<b>", "</b>")
            for place, word in enumerate(source.words)
        ]
        marked = Marked(text, tuple(nodes))
        return counted(lambda: place_tags(marked, target, shares_with_noise(size), marked.words()))

    few, many = work(150), work(300)
    assert few < many < 2.3 * few


def test_ranges_of_rows_are_the_sums_and_maxima_of_the_rows() -> None:
    generator = np.random.default_rng(0)
    for rows in (0, 1, 15, 31, 32, 33, 600):
        values = generator.random((rows, 3))
        for ufunc in (np.add, np.maximum):
            ranges = RowRanges(values, ufunc)
            for _ in range(60):
                start, end = sorted(generator.integers(0, rows + 1, 2).tolist())
                wanted = ufunc.reduce(values[start:end], axis=0, initial=0.0)
                assert np.allclose(ranges.over(start, end), wanted, atol=1e-12, rtol=1e-12)
                assert end - start > 15 or (ranges.over(start, end) == wanted).all()
