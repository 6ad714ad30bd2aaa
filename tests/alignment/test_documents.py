"""Word alignment of texts of several sentences."""

from __future__ import annotations

import numpy as np
import pytest

from otkit.alignment import aligner as module
from otkit.alignment.aligner import WordAligner
from otkit.alignment.documents import sentence_spans
from otkit.encoders.torch import TorchEncoder

PAIRS = [
    ("Das Haus steht am See .", "The house stands by the lake ."),
    ("Mein Bruder spielt am Abend Klavier .", "My brother plays the piano in the evening ."),
    ("Wir kaufen Brot und Käse .", "We buy bread and cheese ."),
    ("Der Zug nach Berlin hatte gestern Verspätung .", "The train to Berlin was late yesterday ."),
    ("Die Regierung hat im Mai neue Gesetze vorgelegt .", "The government presented new laws in May ."),
    ("Auf dem Berg lag noch viel Schnee .", "There was still much snow on the mountain ."),
]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("a b . c d", ["a b .", "c d"]),
        ("A b . C d .", ["A b .", "C d ."]),
        ('Er sagte : " Komm ! " Dann ging er .', ['Er sagte : " Komm ! "', "Dann ging er ."]),
        ("Mr. Smith of the U.S. team . He left .", ["Mr. Smith of the U.S. team .", "He left ."]),
        ("We went there. It rained.", ["We went there.", "It rained."]),
        ("wait ... what", ["wait ... what"]),
        ("今天 下雨 。 我 在 家 。", ["今天 下雨 。", "我 在 家 。"]),
        ("", []),
        (".", ["."]),
    ],
)
def test_sentences_of_a_text(text: str, sentences: list[str]) -> None:
    words = text.split()
    if text.startswith("a b ."):  # goes on in small letters
        sentences = [text]
    assert [" ".join(words[i:j]) for i, j in sentence_spans(words)] == sentences


def test_spans_are_the_text_and_never_too_long() -> None:
    words = ["x"] * 1050 + ["."] * 3
    spans = sentence_spans(words)
    assert [place for span in spans for place in range(*span)] == list(range(len(words)))
    assert max(j - i for i, j in spans) <= 103


@pytest.mark.parametrize(
    "order", [(0, 1, 2, 3, 4, 5), (3, 4, 5, 0, 1, 2), (0, 1, 3, 4, 5)], ids=["plain", "exchanged", "dropped"]
)
def test_the_links_are_those_of_the_sentences(sample_encoder: TorchEncoder, order: tuple[int, ...]) -> None:
    aligner = WordAligner(sample_encoder)
    pairs = [(source.split(), target.split()) for source, target in PAIRS]
    begins = np.cumsum([0] + [len(source) for source, _ in pairs])
    expected, length = set(), 0
    for place in order:
        (alone,) = aligner.align([pairs[place]])
        expected |= {(i + begins[place], j + length) for i, j in alone.pairs}
        length += len(pairs[place][1])
    source = [word for each, _ in pairs for word in each]
    target = [word for place in order for word in pairs[place][1]]
    (found,) = aligner.align_documents([(source, target)])
    assert found.pairs == expected
    assert list(found.links) == sorted(found.links)
    assert found.source == tuple(source)
    assert found.target_no_partner.shape == (len(target),)
    if 2 not in order:
        assert (found.source_no_partner[begins[2] : begins[3]] == 1).all()
    assert 0 < found.cost < 1


def test_one_sentence_and_nothing_are_aligned_as_they_stand(sample_encoder: TorchEncoder) -> None:
    aligner = WordAligner(sample_encoder)
    pairs = [(PAIRS[0][0].split(), PAIRS[0][1].split()), (["a"], []), ([], ["A", ".", "B", "."])]
    ours, theirs = list(aligner.align_documents(pairs)), list(aligner.align(pairs))
    assert [each.to_dict() for each in ours] == [each.to_dict() for each in theirs]


def test_a_stream_aligns_pairs_that_are_too_large_sentence_by_sentence(
    sample_encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = ([word for each in PAIRS for word in each[side].split()] for side in (0, 1))
    half = sum(len(each[1].split()) for each in PAIRS[:3])
    lines = [(["das"], ["the"]), None, (first, second[half:] + second[:half]), ([], []), (["ein"], ["a"])]
    aligner = WordAligner(sample_encoder)
    (expected,) = aligner.align_documents([lines[2]])
    monkeypatch.setattr(module, "MOST_CELLS", 1000)
    (window,) = aligner.align_windows(lines)
    assert [None if each is None else each.pharaoh for each in window] == [
        "0-0",
        None,
        expected.pharaoh,
        "",
        "0-0",
    ]
