"""The comparison of word aligners runs, from its gold to its tables, and its texts of several pairs are those pairs."""

from __future__ import annotations

import pytest

from benchmarks import word_alignment
from otkit.data.gold import GoldPair, read_gold
from otkit.encoders.torch import TorchEncoder
from otkit.resources import sample_data

GOLD = list(read_gold(sample_data() / "gold" / "de-en.dev.tsv"))[:10]


def test_every_row_is_made(
    tiny_encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(word_alignment, "gold_sets", lambda: dict.fromkeys(("bg", "sl", "hu"), GOLD))
    monkeypatch.setattr(word_alignment, "LAYERS", (1, 2))
    word_alignment.quality(tiny_encoder, tiny_encoder, eflomal=False)
    said = capsys.readouterr().out
    for name in (*word_alignment.OURS, *word_alignment.PEERS, "otkit, int8 ONNX"):
        assert f"| {name}" in said
    assert "bg, tens, halves exchanged" in said


@pytest.mark.parametrize("exchanged", [False, True])
def test_joined_pairs_keep_their_links(exchanged: bool) -> None:
    (text, other) = word_alignment.joined(GOLD, 5, exchanged=exchanged)
    for one, pairs in ((text, GOLD[:5]), (other, GOLD[5:])):
        linked = sorted((one.source[i], one.target[j]) for i, j in one.possible)
        assert linked == sorted((pair.source[i], pair.target[j]) for pair in pairs for i, j in pair.possible)
        assert len(one.sure) == sum(len(pair.sure) for pair in pairs)
        first = pairs[2] if exchanged else pairs[0]
        assert one.target[: len(first.target)] == first.target
        assert isinstance(one, GoldPair)
