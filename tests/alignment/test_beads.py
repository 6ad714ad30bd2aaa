"""Beads of sentences: every kind of bead, any order, long documents, and documents of nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from otkit.alignment import beads as module
from otkit.alignment.beads import Bead, Side, align_sentences, find_beads
from otkit.alignment.chains import Anchor, anchors_of, chains_of, lanes_of
from otkit.alignment.settings import BeadSettings
from otkit.encoders.torch import TorchEncoder

WIDTH = 64
_RANDOM = np.random.default_rng(0)
_COMMON = 2 * _RANDOM.normal(size=WIDTH)


def _side(sentences: Sequence[np.ndarray]) -> Side:
    """A document whose words are these vectors, beside what all words share."""
    counts = np.array([len(words) for words in sentences], dtype=np.int64)
    every = np.concatenate([*sentences, np.zeros((0, WIDTH))]) + _COMMON
    sums = np.zeros((len(sentences), WIDTH), dtype=np.float32)
    sentence = np.repeat(np.arange(len(sentences)), counts)
    np.add.at(sums, sentence, every.astype(np.float32))
    return Side(
        sentences=module._unit(sums),
        words=module._centred(every.astype(np.float16)),
        sentence=sentence,
        letters=np.ones(len(every), dtype=bool),
        counts=counts,
        characters=5 * counts,
        ends=np.full(len(sentences), ord(".")),
    )


def _documents(beads: Sequence[Bead], seed: int = 0) -> tuple[Side, Side]:
    """Two documents of which these are the beads: the words of a bead are the same on both sides, but for noise."""
    random = np.random.default_rng(seed)
    source: dict[int, np.ndarray] = {}
    target: dict[int, np.ndarray] = {}
    for bead in beads:
        words = random.normal(size=(12 * max(len(bead.source), len(bead.target)), WIDTH))
        for places, found in zip(bead, (source, target), strict=True):
            noisy = words + 0.3 * random.normal(size=words.shape)
            found.update(zip(places, np.array_split(noisy, max(len(places), 1)), strict=False))
    return tuple(_side([side[place] for place in sorted(side)]) for side in (source, target))  # type: ignore[return-value]


def _chain(kinds: Sequence[tuple[int, int]]) -> list[Bead]:
    beads, row, column = [], 0, 0
    for a, b in kinds:
        beads.append(Bead(tuple(range(row, row + a)), tuple(range(column, column + b))))
        row, column = row + a, column + b
    return beads


KINDS = [(1, 1)] * 4 + [
    (1, 2),
    (1, 1),
    (2, 1),
    (1, 0),
    (1, 1),
    (1, 1),
    (0, 1),
    (0, 1),
    (3, 1),
    (1, 1),
    (2, 2),
    (1, 1),
]


def test_every_kind_of_bead_is_found() -> None:
    beads = _chain(KINDS)
    found = find_beads(*_documents(beads))
    # Two sentences that say the same as two others may be cut where both are.
    assert set(beads) - set(found.beads) <= {bead for bead in beads if min(map(len, bead)) == 2}
    assert found.scores[0] > 0.8
    assert [score for bead, score in zip(found.beads, found.scores, strict=True) if () in bead] == [0.0] * 3
    assert found.text.splitlines()[4] == "[4]:[4, 5]"
    assert "[8]:[]" in found.text.splitlines()


def test_a_text_whose_halves_are_exchanged_is_found_again() -> None:
    beads = [Bead((row,), ((row + 10) % 20,)) for row in range(20)]
    assert list(find_beads(*_documents(beads)).beads) == beads


def test_a_dear_jump_keeps_the_order() -> None:
    beads = [Bead((row,), ((row + 10) % 20,)) for row in range(20)]
    found = find_beads(*_documents(beads), BeadSettings(jump=100.0)).beads
    placed = [bead for bead in found if bead.source and bead.target]
    assert placed == sorted(placed, key=lambda bead: bead.target)


def test_every_sentence_stands_in_one_bead() -> None:
    random = np.random.default_rng(3)
    sides = [
        _side([random.normal(size=(int(random.integers(0, 9)), WIDTH)) for _ in range(n)]) for n in (17, 23)
    ]
    found = find_beads(*sides).beads
    for side, count in ((0, 17), (1, 23)):
        assert sorted(place for bead in found for place in bead[side]) == list(range(count))
    assert all(bead.source or bead.target for bead in found)


def test_lanes_find_what_the_whole_matrix_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [KINDS[k % len(KINDS)] for k in range(400)]
    documents = _documents(_chain(kinds))
    whole = find_beads(*documents)
    monkeypatch.setattr(module, "_WHOLE", 0)
    assert find_beads(*documents).beads == whole.beads


def test_lanes_of_a_long_document_whose_parts_are_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WHOLE", 0)
    beads = [Bead((row,), ((row + 120) % 300,)) for row in range(300)]
    assert list(find_beads(*_documents(beads)).beads) == beads


def test_a_side_may_be_empty() -> None:
    three, none = _side([np.ones((2, WIDTH))] * 3), _side([])
    assert find_beads(three, none).beads == tuple(Bead((place,), ()) for place in range(3))
    assert find_beads(none, three).beads == tuple(Bead((), (place,)) for place in range(3))
    assert find_beads(none, none).text == ""
    assert find_beads(three, _side([np.zeros((0, WIDTH))])).beads  # a sentence without a word


def test_sentences_through_the_encoder(sample_encoder: TorchEncoder) -> None:
    source = [
        "Das Haus steht am See .",
        "Mein Bruder spielt am Abend Klavier .",
        "Der Zug nach Berlin hatte gestern eine Stunde Verspätung , und die Reisenden froren .",
        "Wir kaufen Brot und Käse .",
    ]
    target = [
        "The house stands by the lake .",
        "My brother plays the piano in the evening .",
        "The train to Berlin was an hour late yesterday .",
        "The travellers were cold .",
        "We buy bread and cheese .",
    ]
    done: list[int] = []
    found = align_sentences(
        sample_encoder, [s.split() for s in source], [s.split() for s in target], progress=done.append
    )
    assert found.beads == (Bead((0,), (0,)), Bead((1,), (1,)), Bead((2,), (2, 3)), Bead((3,), (4,)))
    assert done == sorted(done)
    assert done[-1] == 9


def test_anchors_are_each_others_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    x, y = (module._unit(random.normal(size=(n, 8)).astype(np.float32)) for n in (50, 40))
    similar = x @ y.T
    expected = {
        (i, j)
        for i, j in np.ndindex(similar.shape)
        if similar[i, j] == similar[i].max() == similar[:, j].max() and similar[i, j] >= 0.5
    }
    monkeypatch.setattr("otkit.alignment.chains._ROWS", 7)
    assert {(i, j) for i, j, _ in anchors_of(x, y, least=0.5)} == expected


def test_chains_leave_stray_anchors_out_and_break_where_the_order_does() -> None:
    first, second = ([Anchor(k, (k + 50) % 100, 0.8) for k in part] for part in (range(50), range(50, 100)))
    strays = [Anchor(20, 7, 0.5), Anchor(70, 90, 0.5)]
    anchors = sorted([each for each in first + second if each.source not in (20, 70)] + strays)
    chains = chains_of(anchors, jump=3.0)
    assert [len(chain) for chain in chains] == [49, 49]
    assert not set(strays) & set(chains[0] + chains[1])
    assert chains_of([], jump=3.0) == []


def test_lanes_hold_their_anchors_and_reach_the_corners() -> None:
    anchors = [[Anchor(k, k, 1.0) for k in (10, 11, 300)], [Anchor(k, k - 250, 1.0) for k in (320, 390)]]
    lanes = lanes_of((400, 420), anchors)
    for lane, chain in zip(lanes, anchors, strict=True):
        for source, target, _ in chain:
            for row, column in ((source, target), (source + 1, target + 1)):
                low, high = lane.columns(row)
                assert low <= column < high
    assert lanes[0].columns(0)[0] == 0
    (whole,) = lanes_of((400, 420), [])
    assert whole.columns(0)[0] == 0
    assert whole.columns(400)[1] == 421
