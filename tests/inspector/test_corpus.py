"""The index of a corpus: known answers of its filters, its figures against gold, and what its CSV may hold."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import pytest

from otkit.alignment.aligner import Alignment, Link
from otkit.data.gold import GoldPair
from otkit.errors import ConfigError
from otkit.inspector.corpus import CorpusIndex, Judged, Line
from otkit.inspector.corpus_endpoints import CORPUS_ENDPOINTS
from otkit.inspector.models import Models
from otkit.inspector.session import Session

HOUSE = ("das", "haus", "!"), ("the", "house", "!")
DOG = ("der", "hund"), ("the", "=dog")


def line(number: int, pair: tuple[tuple[str, ...], tuple[str, ...]], gold: set[tuple[int, int]]) -> Line:
    return Line(number, *pair, GoldPair(*pair, frozenset(gold), frozenset(gold)))


def found(pair: tuple[tuple[str, ...], tuple[str, ...]], *links: tuple[int, int, float]) -> list[Alignment]:
    return [Alignment(*pair, tuple(Link(*link) for link in links), None, None, None, 0.5)]


@pytest.fixture
def index() -> Iterator[CorpusIndex]:
    index = CorpusIndex(3, gold=True)
    index.add(
        [line(1, HOUSE, {(0, 0), (1, 1), (2, 2)}), line(2, DOG, {(0, 0), (1, 1)})],
        [found(HOUSE, (0, 0, 1.0), (1, 1, 1.0), (2, 2, 1.0)), found(DOG, (0, 1, 0.6))],
    )
    index.add([line(7, DOG, {(0, 0)})], [found(DOG, (0, 0, 0.9))], ["accepted"])
    index.check(
        [Judged(0, 0.2, "names", "", ()), Judged(1, 0.99, "dropped", "2 words", ("dropped", "omission"))]
    )
    yield index
    index.close()


def lines(index: CorpusIndex, **asked: object) -> list[int]:
    return [row["line"] for row in index.page(**asked)["rows"]]  # type: ignore[arg-type]


def test_figures_of_a_pair_are_those_of_its_links(index: CorpusIndex) -> None:
    rows = {row["line"]: row for row in index.page()["rows"]}
    assert (rows[1]["strength"], rows[1]["unlinked"], rows[1]["aer"], rows[1]["f1"]) == (1, 0, 0, 1)
    assert (rows[2]["strength"], rows[2]["unlinked"]) == pytest.approx((0.3, 0.5))
    assert (rows[2]["precision"], rows[2]["recall"], rows[2]["f1"], rows[2]["aer"]) == (0, 0, 0, 1)
    assert (rows[7]["precision"], rows[7]["recall"], rows[7]["aer"]) == (1, 1, 0)


def test_the_worst_comes_first(index: CorpusIndex) -> None:
    assert lines(index) == [2, 7, 1]
    assert lines(index, order="errors")[0] == 2
    assert lines(index, order="f1")[0] == 2
    assert lines(index, order="check")[0] == 2
    assert lines(index, order="long")[0] == 1


def test_words_are_found_by_what_became_of_them(index: CorpusIndex) -> None:
    assert lines(index, source="DER", target="the") == [7]
    assert lines(index, source="der", kind="missed", order="file") == [2]
    assert lines(index, source="der", target="=dog", kind="extra") == [2]
    assert lines(index, source="hund", kind="alone", order="file") == [2, 7]
    assert lines(index, target="the", kind="alone") == [2]
    assert lines(index, kind="extra") == [2]
    assert lines(index, text="haus") == [1]
    assert index.word_pairs() == [
        ("das", "the", 1),
        ("der", "=dog", 1),
        ("der", "the", 1),
        ("haus", "house", 1),
    ]
    assert index.word_pairs("alone")[0] == ("hund", "", 2)
    assert index.word_pairs("missed") == [("der", "the", 1), ("hund", "=dog", 1)]
    with pytest.raises(ConfigError, match="unknown kind of words"):
        index.page(kind="x")


def test_bars_count_what_their_filter_finds(index: CorpusIndex) -> None:
    for name, bins in index.histograms().items():
        for place, count in enumerate(bins["counts"]):
            bounds = {f"least_{name}": bins["edges"][place]}
            if place + 1 < len(bins["edges"]):
                bounds[f"below_{name}"] = bins["edges"][place + 1]
            assert index.page(**bounds)["matching"] == count, (name, place)
    assert sum(index.histograms(source="der")["strength"]["counts"]) == 2
    assert "changed" not in index.histograms()


def test_classes_and_verdicts(index: CorpusIndex) -> None:
    assert lines(index, **{"class": "omission"}) == [2]
    assert index.counts() == {
        "verdicts": {"accepted": 1, "none": 2},
        "classes": {"dropped": 1, "omission": 1},
    }
    index.judge(*DOG, "rejected")
    assert lines(index, verdict="rejected", order="file") == [2, 7]


def test_no_cell_of_the_csv_is_computed(index: CorpusIndex) -> None:
    evil = ("=cmd|'/C calc'!A0", "-1"), ("@SUM(1)", '"quoted",')
    index.add([line(8, evil, set())], [found(evil)])
    (endpoint,) = (each for each in CORPUS_ENDPOINTS if each.path == "/corpus/csv")
    session = Session(Models({}, {}, None, None), corpus=index)  # type: ignore[arg-type]
    head, *rows = csv.reader("".join(endpoint.function(session, {"order": "file"})).splitlines())
    row = dict(zip(head, rows[-1], strict=True))
    assert (row["source"], row["target"]) == ("'=cmd|'/C calc'!A0 -1", '\'@SUM(1) "quoted",')
    assert [each[0] for each in rows] == ["1", "2", "7", "8"]
    assert not any(cell.startswith(("=", "+", "-", "@")) for each in rows for cell in each)
