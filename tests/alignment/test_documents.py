"""Word alignment of texts of several sentences."""

from __future__ import annotations

import numpy as np
import pytest

from otkit.alignment import aligner as module
from otkit.alignment.aligner import WordAligner
from otkit.alignment.documents import cut_document, sentence_spans, sentences_of
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
    "order", [(0, 1, 2, 3, 4, 5), (3, 4, 5, 0, 1, 2), (0, 1, 2, 3, 5)], ids=["plain", "exchanged", "dropped"]
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
    (found,) = aligner.align_documents([(sentences_of(source), sentences_of(target))])
    assert found.pairs == expected
    assert list(found.links) == sorted(found.links)
    assert found.source == tuple(source)
    assert found.target_no_partner.shape == (len(target),)
    if 4 not in order:
        assert (found.source_no_partner[begins[4] : begins[5]] == 1).all()
    assert 0 < found.cost < 1


@pytest.mark.parametrize("raw", [False, True])
def test_a_document_is_cut_at_lines_and_marks(raw: bool) -> None:
    text = "Das Haus ist klein. Ich trinke Wasser.\nzwei Katzen\n\nschlafen  hier"
    sentences, places = cut_document(text, raw=raw)
    words = [word for sentence in sentences for word in sentence]
    assert [len(sentence) for sentence in sentences] == ([5, 4, 2, 2] if raw else [4, 3, 2, 2])
    assert [text[start:end] for _, start, end in places] == (words if raw else [])


def test_beads_are_aligned_as_they_stand(sample_encoder: TorchEncoder) -> None:
    """A document of which all is one bead is not cut again and again."""
    aligner = WordAligner(sample_encoder)
    lines = ["Der Hund ,", "der bellt ,", "ist alt ."], ["The old dog", "that barks", "is ours ."]
    source, target = ([line.split() for line in side] for side in lines)
    (found,) = aligner.align_documents([(source, target)])
    assert (found.source, found.target) == (
        tuple(" ".join(lines[0]).split()),
        tuple(" ".join(lines[1]).split()),
    )


def test_one_sentence_and_nothing_are_aligned_as_they_stand(sample_encoder: TorchEncoder) -> None:
    aligner = WordAligner(sample_encoder)
    pairs = [(PAIRS[0][0].split(), PAIRS[0][1].split()), (["a"], []), ([], ["A", ".", "B", "."])]
    documents = [(sentences_of(source), sentences_of(target)) for source, target in pairs]
    ours, theirs = list(aligner.align_documents(documents)), list(aligner.align(pairs))
    assert [each.to_dict() for each in ours] == [each.to_dict() for each in theirs]


@pytest.mark.parametrize("most", [1000, 1_000_000], ids=["too large", "of six sentences"])
def test_a_stream_aligns_texts_sentence_by_sentence(
    sample_encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    first, second = ([word for each in PAIRS for word in each[side].split()] for side in (0, 1))
    half = sum(len(each[1].split()) for each in PAIRS[:3])
    lines = [(["das"], ["the"]), None, (first, second[half:] + second[:half]), ([], []), (["ein"], ["a"])]
    aligner = WordAligner(sample_encoder)
    assert lines[2] is not None
    (expected,) = aligner.align_documents([(sentences_of(lines[2][0]), sentences_of(lines[2][1]))])
    monkeypatch.setattr(module, "MOST_CELLS", most)
    (window,) = aligner.align_windows(lines)
    assert [None if each is None else each.pharaoh for each in window] == [
        "0-0",
        None,
        expected.pharaoh,
        "",
        "0-0",
    ]
    (whole,) = aligner.align([lines[2]])  # with the plan, where one matrix is not too large
    assert (whole.plan is None) == (most == 1000)
