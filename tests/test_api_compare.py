"""Alignments side by side from Python, as tables, in slices, and with gold."""

from __future__ import annotations

import pytest

import otkit
from otkit.api.align import Alignments
from otkit.encoders.torch import TorchEncoder
from otkit.errors import InputError

SOURCES = ["Das ist ein kleines Haus .", "die Katze schläft"]
TARGETS = ["This is a small house .", "the cat sleeps"]


def test_what_changed_is_gained_and_lost(sample_encoder: TorchEncoder) -> None:
    before = otkit.align_words(SOURCES, TARGETS, sample_encoder, layers=0, distortion=0.0)
    after = otkit.align_words(SOURCES, TARGETS, sample_encoder)
    found = otkit.compare(before, after)
    for pair, one, other in zip(found, before, after, strict=True):
        assert set(pair.kept) | set(pair.lost) == one.pairs
        assert set(pair.kept) | set(pair.gained) == other.pairs
        assert pair.changed == len(one.pairs ^ other.pairs) / max(len(one.pairs | other.pairs), 1)
    changed = [pair.changed for pair in found.changed_most()]
    assert changed == sorted(changed, reverse=True)
    assert all(pair.changed == 0 for pair in otkit.compare(after, after))
    assert "gained: none<br>lost: none" in otkit.compare(after, after)[0]._repr_html_()
    with pytest.raises(InputError, match="not of the same pairs"):
        otkit.compare(before, after[:1])


def test_alignments_are_tables_and_slices_that_draw(sample_encoder: TorchEncoder) -> None:
    found = otkit.align_words(SOURCES, TARGETS, sample_encoder)
    frame = found.to_frame()
    assert len(frame) == sum(len(each.links) for each in found)
    assert frame.loc[frame.pair == 1, "target_word"].tolist() == ["the", "cat", "sleeps"]
    assert isinstance(found[1:], Alignments)
    assert found[-1].source == ("die", "Katze", "schläft")
    assert found[1:]._repr_html_().count("<table") == found._repr_html_().count("<table") / 2


def test_gold_is_drawn_beside(sample_encoder: TorchEncoder) -> None:
    found = otkit.align_words(SOURCES, TARGETS, sample_encoder, gold=["0-0 1-1 5p4", ""])
    assert found[0].view.kinds[0, 0] == "sure"
    assert found[0].view.kinds[2, 2] == "extra"
    assert found[1].gold is None
    with pytest.raises(InputError, match="outside"):
        otkit.align_words("a b", "c", sample_encoder, gold="0-1")
    with pytest.raises(InputError, match="1 lines of gold for 2 pairs"):
        otkit.align_words(SOURCES, TARGETS, sample_encoder, gold="0-0")
