"""Words of raw text, and where they stand."""

from __future__ import annotations

from itertools import pairwise

import pytest

from otkit.data.segmentation import SEGMENTERS, segment, segmenters_of, segments
from otkit.errors import ConfigError

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
    assert segment(text, "icu") == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Made in the U.S. by Mr.Smith, e.g. this.", "Made|in|the|U.S.|by|Mr.Smith|,|e.g.|this|."),
        ("The U.S.", "The|U.S."),
        ("a Ph.D. and 3.5.", "a|Ph.D.|and|3.5|."),
        ("wait... what.", "wait|.|.|.|what|."),
    ],
)
def test_shortened_words_keep_their_full_stop(text: str, words: str) -> None:
    assert segment(text) == words.split("|")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("jieba", "她在2006年买了一辆二手自行车。", "她|在|2006|年|买|了|一辆|二手|自行车|。"),
        ("sudachi", "ファイルを確認しました。", "ファイル|を|確認|し|まし|た|。"),
        ("newmm", "ข้อมูลพื้นฐานของไทย", "ข้อมูล|พื้นฐาน|ของ|ไทย"),
    ],
)
def test_a_language_without_spaces_is_cut_by_a_segmenter_of_its_own(name: str, text: str, words: str) -> None:
    chosen = SEGMENTERS[name]
    assert chosen is not None
    if not chosen.installed:
        pytest.skip(f"{name} is not installed")
    assert segment(text, name) == words.split("|")
    assert segment(text) == words.split("|")
    assert segmenters_of(True)[chosen.language] == name
    assert segmenters_of(name) == {chosen.language: name}
    mixed = f"  a {text} 𝒳 {text}b, U.S. "
    found = segments(mixed, name)
    assert [mixed[start:end] for _, start, end in found] == [word for word, _, _ in found]
    assert "".join(word for word, _, _ in found) == "".join(mixed.split())


def test_other_languages_are_not_touched() -> None:
    text = "我们在庆祝。ทอมซื้อของ"
    assert segment(text, "sudachi") == segment(text, "icu")
    with pytest.raises(ConfigError, match=r"segmenter 'jeiba'.*did you mean 'jieba'"):
        segment(text, "jeiba")


@pytest.mark.parametrize(
    "text",
    [
        "👩‍👩‍👧 hello 🇩🇪 我们",
        "a 𝒳 b",
        "The house — isn't it? — 是 12,000",
        "é e\u0301 ñ",
        "ＡＢＣ３、ｶﾞｷﾞを食べた 🇯🇵 々〆ヶ ーー 葛\U000e0100城",
        "พื้นฐาน ๑๒๓ ฯลฯ กำ ๆ",
        "\u200b x \ud800 y",
    ],
)
def test_places_are_characters_of_the_text(text: str) -> None:
    clean = text.encode("utf-8", "replace").decode()
    found = segments(text)
    assert all(clean[start:end] == word for word, start, end in found)
    assert all(one.end <= other.start for one, other in pairwise(found))
    assert "".join(clean.split()) == "".join(word for word, _, _ in found)
