"""Words of raw text, and where they stand."""

from __future__ import annotations

from itertools import pairwise

import pytest

from otkit.data.segmentation import segment, segments

pytest.importorskip("icu4py")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Das kostet 3.5 km!", ["Das", "kostet", "3.5", "km", "!"]),
        ("我们在庆祝。", ["我们", "在", "庆祝", "。"]),
        ("私は自転車を買いました。", ["私", "は", "自転車", "を", "買い", "ま", "した", "。"]),
        ("ทอมซื้อของ", ["ทอม", "ซื้อ", "ของ"]),
        ("  a\u00a0b\u3000c \t", ["a", "b", "c"]),
        ("10\u202f000 Euro\u202f!", ["10\u202f000", "Euro", "!"]),
        ("", []),
        (" \n", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert segment(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "👩‍👩‍👧 hello 🇩🇪 我们",
        "a 𝒳 b",
        "The house — isn't it? — 是 12,000",
        "é e\u0301 ñ",
        "\u200b x \ud800 y",
    ],
)
def test_places_are_characters_of_the_text(text: str) -> None:
    clean = text.encode("utf-8", "replace").decode()
    found = segments(text)
    assert all(clean[start:end] == word for word, start, end in found)
    assert all(one.end <= other.start for one, other in pairwise(found))
    assert "".join(clean.split()) == "".join(word for word, _, _ in found)
