"""Answer scores against the official rules, restated independently, and by hand."""

from __future__ import annotations

import itertools
import random
import re
import string
import sys
import unicodedata

import pytest

from otkit.errors import InputError
from otkit.evaluation.answers import mlqa_score, normalise_mlqa, normalise_squad, squad_score


def squad_rules(text: str) -> list[str]:
    """Lower the case, drop ASCII punctuation, drop a, an, the as words, split at white space."""
    kept = [letter for letter in text.lower() if letter not in string.punctuation]
    words, word = [], ""
    for letter in [*kept, " "]:
        if re.match(r"\w", letter):
            word += letter
            continue
        words.append("" if word in ("a", "an", "the") else word)
        words.append(" " if word in ("a", "an", "the") else "")
        words.append(letter)
        word = ""
    return "".join(words).split()


def restated(prediction: str, answers: list[str]) -> tuple[float, float]:
    """(F1, EM), each the best over answers."""
    best_f1 = best_exact = 0.0
    found = squad_rules(prediction)
    for answer in answers:
        gold = squad_rules(answer)
        pool, same = list(gold), 0
        for token in found:
            if token in pool:
                pool.remove(token)
                same += 1
        precision, recall = (same / len(found), same / len(gold)) if same else (0.0, 0.0)
        best_f1 = max(best_f1, 2 * precision * recall / (precision + recall) if same else 0.0)
        best_exact = max(best_exact, float(" ".join(found) == " ".join(gold)))
    return best_f1, best_exact


PIECES = [
    "the", "The", "a", "an", "A.", "theatre", "an-a", "U.S.", "us", "Denver", "Broncos",
    "24", "10", "–", "—", "'s", "the,", ",", "Super", "Bowl", "50", "«", "»", "“the”",
    "naïve", "Ünlü", "ß", "İ", "Σ", "σς", "中国", "的", "中国的", "หนึ่ง", "दो", "\u00a0",
    "\u2009", "a\u0301", "of", "o'clock", "A\u00a0B", "x_the", "the_x", "$3.5", "10%", "¿",
    "?", "-", "...", "the the", "\t",
]  # fmt: skip


def cases() -> list[tuple[str, list[str]]]:
    """The pieces alone and in pairs that share a part, and random answers with up to three gold answers."""
    generator = random.Random(11)
    made = [(piece, [f"{piece} {other}"]) for piece, other in itertools.pairwise(PIECES)]
    made += [(piece, [piece.upper(), "the " + piece]) for piece in PIECES]
    made += [("", [""]), ("", ["a"]), ("the", ["a"]), ("the", ["Denver"]), ("?", ["!"]), ("a b", ["b a"])]
    for _ in range(400):
        gold = [
            " ".join(generator.choices(PIECES, k=generator.randint(1, 6)))
            for _ in range(generator.randint(1, 3))
        ]
        words = generator.choice(gold).split(" ")
        generator.shuffle(words)
        kept = words[: generator.randint(0, len(words))] + generator.choices(
            PIECES, k=generator.randint(0, 2)
        )
        made.append((generator.choice([" ", "  ", "-"]).join(kept), gold))
    return made


def test_squad_scores_equal_the_official_rules() -> None:
    made = cases()
    assert len(made) >= 200
    outcomes = []
    for prediction, answers in made:
        score = squad_score(prediction, answers)
        assert (score.f1, score.exact) == pytest.approx(restated(prediction, answers), abs=1e-12), (
            prediction,
            answers,
        )
        outcomes.append((score.f1, score.exact))
    # full, partial and no overlap occur often, and an exact match with F1 0 too
    assert sum(f1 == 0 for f1, _ in outcomes) > 30
    assert sum(0 < f1 < 1 for f1, _ in outcomes) > 150
    assert sum(exact == 1 for _, exact in outcomes) > 50
    assert (0.0, 1.0) in outcomes


def test_squad_by_hand() -> None:
    assert normalise_squad("  The U.S.-led\u00a0coalition, an army! ") == "usled coalition army"
    score = squad_score("the Denver Broncos team", ["Denver Broncos", "Carolina Panthers"])
    assert (score.f1, score.exact) == (pytest.approx(2 * (2 / 3) * 1 / (2 / 3 + 1)), 0)
    assert squad_score("DENVER broncos!", ["Denver Broncos"]).exact == 1
    # Unicode quotes are no ASCII punctuation, German articles are no English ones
    assert squad_score("„Haus“", ["Haus"]).f1 == 0
    assert squad_score("das Haus", ["Haus"]).f1 == pytest.approx(2 / 3)
    # the best F1 and the best match may come from two answers
    assert squad_score("a b c", ["b c d", "B C."]).exact == 1
    with pytest.raises(InputError, match="a question without a gold answer cannot be scored"):
        squad_score("x", [])


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "The “U.S.” – an Army", "us army"),
        ("es", "¿La casa de los Ríos?", "casa de ríos"),
        ("es", "las lasañas y unas", "lasañas y"),
        ("de", "„Das Haus“ der Dame, dessen Eine", "haus dame dessen"),
        ("vi", "Những con mèo của tôi là", "con mèo tôi"),
        ("hi", "एक घर। (दो)", "एक घर दो"),
        ("ar", "البيت الكبير، في السوق", "بيت كبير في سوق"),
        ("zh", "《红楼梦》，the 1号 book", "红 楼 梦 the 1 号 book"),
        ("zh", "2016年2月7日", "2016 年 2 月 7 日"),
        ("el", "το «σπίτι»", "το σπίτι"),
        ("th", "หนึ่ง สอง", "หนึ่ง สอง"),
    ],
)
def test_mlqa_normalisation(language: str, text: str, expected: str) -> None:
    assert normalise_mlqa(text, language) == expected


def mlqa_tokens(text: str, language: str) -> list[str]:
    """The published rules letter by letter: punctuation by a table of all code points, Han by code range."""
    articles = {
        "en": "a an the",
        "es": "un una unos unas el la los las",
        "de": "ein eine einen einem eines einer der die das den dem des",
        "vi": "của là cái chiếc những",
    }
    text = "".join(letter for letter in text.lower() if letter not in PUNCTUATION)
    if language in articles:
        pieces = re.split(r"(\w+)", text)
        text = "".join(" " if piece in articles[language].split() else piece for piece in pieces)
    if language == "ar":
        text = text.replace("ال", " ")
    if language != "zh":
        return text.split()
    tokens, run = [], ""
    for letter in text:
        if 0x4E00 <= ord(letter) <= 0x9FA5:
            tokens += [*run.split(), letter]
            run = ""
        else:
            run += letter
    return tokens + run.split()


PUNCTUATION = {
    chr(code) for code in range(sys.maxunicode) if unicodedata.category(chr(code))[0] == "P"
} | set(string.punctuation)  # fmt: skip

MIXED = [
    "Das", "der", "dem", "Haus", "los", "Las", "una", "casa", "của", "Là", "mèo", "البيت",
    "ال", "في", "中国", "第3号", "的", "「东京」", "the", "a", "book,", "(x)", "…", "¡", "–", "एक",
    "।", "50", "\u3000", "、", "㐀", "ab中cd",
]  # fmt: skip


@pytest.mark.parametrize("language", ["en", "es", "de", "vi", "ar", "hi", "zh"])
def test_mlqa_scores_equal_the_published_rules(language: str) -> None:
    generator = random.Random(12)
    for _ in range(150):
        gold = generator.choices(MIXED, k=generator.randint(1, 6))
        found = [word for word in gold if generator.random() < 0.7] + generator.choices(
            MIXED, k=generator.randint(0, 2)
        )
        answer, prediction = " ".join(gold), generator.choice([" ", ""]).join(found)
        score = mlqa_score(prediction, [answer], language=language)
        ours, theirs = mlqa_tokens(prediction, language), mlqa_tokens(answer, language)
        same = sum(min(ours.count(token), theirs.count(token)) for token in set(ours))
        assert score.exact == (ours == theirs), (prediction, answer)
        expected = 2 * same / (len(ours) + len(theirs)) if same else 0
        assert score.f1 == pytest.approx(expected, abs=1e-12), (prediction, answer)
