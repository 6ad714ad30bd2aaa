"""Checked translations on their way out: order, memory, formats, and text that looks like markup."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from otkit.alignment.checking import Checked
from otkit.checks.classes import CLASSES
from otkit.checks.reader import Found
from otkit.errors import ConfigError
from otkit.reports.checked import CHECK_FORMATS, CheckedLine, WorstLines


def entry(line: int, hallucination: float, omission: float, word: str = "wort") -> CheckedLine:
    scores = (np.array([value], dtype=np.float32) for value in (omission, hallucination))
    found = {"hallucination": Found(hallucination, ""), "omission": Found(omission, "")}
    return CheckedLine("a.tsv", line, Checked((word,), (word,), *scores), found)


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
    assert worst.flagged["hallucination"] == sum(one.checked.hallucination == 1.0 for one in entries)
    with pytest.raises(ConfigError, match="choose from: max, hallucination, omission, added"):
        WorstLines("both", 1)


def test_a_class_that_is_off_comes_last_in_its_order() -> None:
    off, on = entry(1, 0.5, 0.5), entry(2, 0.0, 0.0)
    on = replace(on, found={**on.found, "numbers": Found(0.0, "")})
    worst = WorstLines("numbers", 2)
    worst.add(off)
    worst.add(on)
    assert [one.line for one in worst.lines()] == [2, 1]


def test_the_worst_class_is_said_with_what_it_found() -> None:
    one = entry(7, 0.5, 0.25)
    one = replace(one, found={**one.found, "numbers": Found(0.98, "12 / 21"), "names": Found(0.95, "=Tom")})
    assert (one.worst, one.score) == ("numbers", 0.98)
    title, _, head, source, target = CHECK_FORMATS["text"]([one], False, "The worst")
    assert (title, head) == ("The worst", "line 7  numbers 0.98 (12 / 21); names 0.95 (=Tom)")
    assert (source, target) == ("  wort", "  wort")
    document = json.loads(next(iter(CHECK_FORMATS["jsonl"]([one], False, ""))))
    assert document["class"] == "numbers"
    assert document["what"] == {"numbers": "12 / 21", "names": "=Tom"}
    assert list(CHECK_FORMATS["tsv"]([one], False, ""))[1].split("\t")[2] == "numbers"
    assert "numbers 0.98 (12 / 21); names 0.95 (=Tom)" in "".join(CHECK_FORMATS["html"]([one], False, ""))


def test_lines_for_programs() -> None:
    (line,) = CHECK_FORMATS["jsonl"]([entry(7, 0.5, 0.25)], False, "")
    assert json.loads(line) == {
        "line": 7,
        "score": 0.5,
        "class": "hallucination",
        "classes": {"hallucination": 0.5, "omission": 0.25},
        "what": {},
        "hallucination": 0.5,
        "omission": 0.25,
        "source": ["wort"],
        "target": ["wort"],
        "source_scores": [0.25],
        "target_scores": [0.5],
    }
    header, row = CHECK_FORMATS["tsv"]([entry(7, 0.5, 0.25)], True, "")
    cells = dict(zip(header.split("\t"), row.split("\t"), strict=True))
    assert list(cells) == ["file", "line", "score", "class", *CLASSES, "what", "source", "target"]
    assert (cells["file"], cells["line"], cells["score"], cells["class"]) == (
        "a.tsv",
        "7",
        "0.5000",
        "hallucination",
    )
    assert (cells["omission"], cells["numbers"], cells["source"]) == ("0.2500", "", "wort")


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
    found = {"names": Found(1.0, "<b>'\"&</script>")}
    odd = CheckedLine("<b>.tsv", 1, Checked(tuple(words), tuple(words), scores, scores), found)
    page = "\n".join(CHECK_FORMATS["html"]([odd], True, "<i>title"))
    seen = Seen()
    seen.feed(page)
    assert seen.words == words * 2
    assert not seen.tags & {"script", "img", "b", "i", "link"}
    assert not any(name.startswith("on") for name in seen.attributes)
    assert "http" not in page.replace("http-equiv", "")
    assert "--share:1.00" in page
