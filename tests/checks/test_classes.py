"""Classes of errors beside the transport: known answers in many scripts."""

from __future__ import annotations

import pytest

from otkit.checks.classes import CLASSES, FINDERS
from otkit.checks.finding import Side
from otkit.checks.language import copied, expected_languages, other_language
from otkit.checks.lexicon import _tables, lexicon_of
from otkit.checks.names import names
from otkit.checks.negation import negation
from otkit.checks.numbers import numbers
from otkit.checks.runs import longest_run
from otkit.checks.scale import SHARES, Scale, scale_of
from otkit.checks.spelling import likeness


def sides(source: str, target: str, languages: str = "de-en", far: float = 1.0) -> tuple[Side, Side]:
    """A pair whose words are all as far from those of the other side."""
    made = []
    for text, language in zip((source, target), languages.split("-"), strict=True):
        words = tuple(text.split())
        made.append(Side(text, language, words, *[(far,) * len(words)] * 3))
    return made[0], made[1]


def test_every_class_has_a_meaning_a_finder_and_a_scale() -> None:
    assert list(CLASSES) == list(FINDERS)
    for name in CLASSES:
        scale = scale_of(name)
        for figures in (scale.clean, scale.unaligned):
            assert len(figures) == len(SHARES)
            assert list(figures) == sorted(figures)


@pytest.mark.parametrize(
    ("source", "target", "languages"),
    [
        ("Es kostet 1.000,50 Euro .", "It costs 1,000.50 euros .", "de-en"),
        ("١٢ كتابا", "12 books", "ar-en"),
        ("२५ लोग", "25 people", "hi-en"),
        ("230万人", "2.3 million people", "zh-en"),
        ("Er hat 3 Hunde .", "He has three dogs .", "de-en"),
        ("в 1990 году", "in the year 1990", "ru-en"),
        ("um 15 Uhr", "at 3 pm", "de-en"),
        ("das XX. Jahrhundert", "the 20th century", "de-en"),
        ("ปี 2556", "in 2013", "th-en"),
        ("am 3.4. 1990", "on 3 April 1990", "de-en"),
        ("om 5.30 uur", "at 5:30", "nl-en"),
    ],
)
def test_the_same_number_written_otherwise_is_no_finding(source: str, target: str, languages: str) -> None:
    assert numbers(*sides(source, target, languages)).figure == 0


def test_a_changed_number_weighs_more_than_one_that_is_missing() -> None:
    changed, missing = numbers(*sides("im Jahr 1990", "in 1993")), numbers(*sides("im Jahr 1990", "long ago"))
    assert (changed.figure, changed.what) == (1.0, "1990 / 1993")
    assert 0 < missing.figure < 1
    assert numbers(*sides("9" * 9000, "8" * 9000)).figure == 1.0


@pytest.mark.parametrize(
    ("one", "other"),
    [("Washington", "واشنطن"), ("Trump", "ट्रम्प"), ("London", "ลอนดอน"), ("Merkel", "Меркель"), ("Chicago", "शिकागो"),
     ("Peter", "피터"), ("Michael", "Михаил"), ("Ukraine", "Украина"), ("Canada", "Kanada")],
)  # fmt: skip
def test_a_name_sounds_like_itself_in_another_script(one: str, other: str) -> None:
    assert likeness(one, other) > 0.3
    assert likeness(one, other) > likeness("Sebastopol", other)
    assert likeness("Mary", other) < 0.3


def test_names_and_what_stays_as_it_is() -> None:
    assert names(*sides("Вчера приехал Иванов .", "Yesterday Ivanov came .", "ru-en")).figure < 0.5
    found = names(*sides("Вчера приехал Иванов .", "Yesterday Smith came .", "ru-en"))
    assert found.figure > 0.9
    assert names(*sides("Вчера приехал Иванов .", "Yesterday Smith came .", "ru-en", far=0.0)).figure == 0
    assert names(*sides("Das alte Haus", "That old house")).figure == 0  # every German noun has a capital
    kept = names(*sides("Hallo {name}, siehe https://a.org/b", "Hello {nome}, see https://a.org/b"))
    assert (kept.figure, kept.what) == (2.0, "{name} / {nome}")


@pytest.mark.parametrize(
    ("source", "target", "languages"),
    [
        ("Er kommt nicht .", "He comes .", "de-en"),
        ("Он не придёт .", "He will come .", "ru-en"),
        ("他没有来。", "He came .", "zh-en"),
        ("वह नहीं आया", "He came", "hi-en"),
        ("Gelmedi .", "He came .", "tr-en"),
        ("Il vient .", "He does n't come .", "fr-en"),
        ("เขามา", "He did not come", "th-en"),
    ],
)
def test_a_negation_of_one_side(source: str, target: str, languages: str) -> None:
    assert negation(*sides(source, target, languages)).figure == 1.0
    assert negation(*sides(source, target, "xx-en")).figure == 0.0


def test_what_looks_like_a_negation_or_stands_for_one() -> None:
    assert negation(*sides("Nicht nur er kam .", "Also he came .")).figure == 0
    assert negation(*sides("Das ist unmöglich .", "That is not possible .")).figure == pytest.approx(0.4)
    near = negation(*sides("Er kommt nicht .", "He comes .", far=0.0))
    assert near.figure == pytest.approx(0.3)


def test_every_language_of_the_lexicon_can_be_read() -> None:
    for language in _tables():
        lexicon = lexicon_of(language)
        assert lexicon is not None
        assert not lexicon.negations.search("")
    assert lexicon_of("deu_Latn") is lexicon_of("deu_Latn")
    assert lexicon_of("deu") is not None
    assert lexicon_of("") is None


def test_copies_and_other_languages() -> None:
    pytest.importorskip("py3langid")
    text = "Der alte Mann sitzt seit heute Morgen vor seinem Haus ."
    assert copied(*sides(text, text)).figure == 1.0
    assert copied(*sides(text, "The old man has been sitting there .")).figure == 0.0
    wrong = other_language(*sides(text, "Le vieil homme est assis devant sa maison depuis ce matin ."))
    assert (wrong.figure, wrong.what) == (1.0, "fr, not en")
    assert (
        other_language(*sides(text, "The old man has been sitting there since this morning .")).figure == 0.0
    )
    pairs = [(text, "The old man has been sitting there since this morning .")]
    assert expected_languages("corpus.tsv", None, pairs) == ("de", "en")
    assert expected_languages("en-de.tsv", None, pairs) == (
        "de",
        "en",
    )  # the name has them the other way round
    assert expected_languages("fr-en.tsv", None, pairs) == ("fr", "en")


def test_the_longest_run_is_that_of_brute_force() -> None:
    scores, weights = [0.9, 0.8, 0.1, 0.9, 0.9, 0.0, 0.0, 1.0], [1.0, 2.0, 1.0, 2.0, 1.0, 1.0, 2.0, 2.0]
    every = [
        (sum((score - 0.5) * w for score, w in zip(scores[a:b], weights[a:b], strict=True)), a, b)
        for a in range(8)
        for b in range(a + 1, 9)
    ]
    assert longest_run(scores, weights) == pytest.approx(max(every))
    assert longest_run([0.1], [1.0]) == (0.0, 0, 0)


def test_the_scale_is_the_share_of_lower_figures() -> None:
    scale = Scale([0.0] * 10 + [k / 10 for k in range(1, 10)], [0.0] * 18 + [1.0])
    assert scale.place(0.0) == 0.0
    assert scale.place(5.0) == pytest.approx(1.0)
    places = [scale.place(k / 20) for k in range(30)]
    assert places == sorted(places)
