"""Checked translations on their way out: order, memory, formats, and text that looks like markup."""

from __future__ import annotations

import json
import random
from html.parser import HTMLParser

import numpy as np
import pytest

from otkit.alignment.checking import Checked
from otkit.errors import ConfigError
from otkit.reports.checked import CHECK_FORMATS, CheckedLine, WorstLines


def entry(line: int, hallucination: float, omission: float, word: str = "wort") -> CheckedLine:
    scores = (np.array([value], dtype=np.float32) for value in (omission, hallucination))
    return CheckedLine("a.tsv", line, Checked((word,), (word,), *scores))


@pytest.mark.parametrize(
    ("order", "lines"), [("max", [3, 1]), ("hallucination", [1, 2]), ("omission", [3, 2])]
)
def test_the_worst_come_first(order: str, lines: list[int]) -> None:
    worst = WorstLines(order, 2)
    for one in (entry(1, 0.75, 0.0), entry(2, 0.5, 0.5), entry(3, 0.25, 1.0), entry(4, 0.0, 0.0)):
        worst.add(one)
    assert [one.line for one in worst.lines()] == lines
    assert worst.pairs == 4
    assert worst.mean("hallucination") == pytest.approx(0.375)


def test_only_the_worst_are_kept_and_equal_ones_stay_in_order() -> None:
    rng = random.Random(0)
    entries = [entry(line, rng.randrange(5) / 4, 0.0) for line in range(1, 301)]
    worst = WorstLines("max", 40)
    for one in entries:
        worst.add(one)
        assert len(worst._heap) <= 40
    expected = sorted(entries, key=lambda one: (-one.checked.hallucination, one.line))[:40]
    assert [one.line for one in worst.lines()] == [one.line for one in expected]
    with pytest.raises(ConfigError, match="choose from: max, hallucination, omission"):
        WorstLines("both", 1)


def test_lines_for_programs() -> None:
    (line,) = CHECK_FORMATS["jsonl"]([entry(7, 0.5, 0.25)], False, "")
    assert json.loads(line) == {
        "line": 7,
        "hallucination": 0.5,
        "omission": 0.25,
        "source": ["wort"],
        "target": ["wort"],
        "source_scores": [0.25],
        "target_scores": [0.5],
    }
    header, row = CHECK_FORMATS["tsv"]([entry(7, 0.5, 0.25)], True, "")
    assert header.split("\t") == ["file", "line", "hallucination", "omission", "source", "target"]
    assert row.split("\t") == ["a.tsv", "7", "0.5000", "0.2500", "wort", "wort"]


class Seen(HTMLParser):
    """Tags and attributes that a browser would see, and the words in list items."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self._inside = tag == "li"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.words.append(data)
            self._inside = False


def test_words_that_look_like_markup_are_text() -> None:
    words = ["<script>alert(1)</script>", '"onload="x', "'</style>", "&lt;", "</li><img/src=x/onerror=y>"]
    scores = np.linspace(0, 1, len(words), dtype=np.float32)
    odd = CheckedLine("<b>.tsv", 1, Checked(tuple(words), tuple(words), scores, scores))
    page = "\n".join(CHECK_FORMATS["html"]([odd], True, "<i>title"))
    seen = Seen()
    seen.feed(page)
    assert seen.words == words * 2
    assert not seen.tags & {"script", "img", "b", "i", "link"}
    assert not any(name.startswith("on") for name in seen.attributes)
    assert "http" not in page.replace("http-equiv", "")
    assert "--share:1.00" in page
