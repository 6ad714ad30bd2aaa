"""The agreement of hidden states without gold: known answers, and a curve that finds the middle of the stack."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from otkit.alignment.layers import mutual_share_by_layer
from otkit.cli.app import app
from otkit.encoders.sentences import encode_words
from otkit.encoders.torch import TorchEncoder
from otkit.resources import sample_data

PAIRS = [
    ("das haus ist klein .", "the house is small ."),
    ("ein haus", "a house"),
    ("x", "is the house small ?"),
    ("der hund schläft heute", "the dog sleeps"),
    ("die katze", "the cat"),
]


def test_shares_are_those_counted_one_by_one(
    tiny_encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otkit.alignment.layers._BATCH", 2)
    source, target = ([text.split() for text in side] for side in zip(*PAIRS, strict=True))
    for layer, found in enumerate(mutual_share_by_layer(tiny_encoder, source, target)):
        shares = []
        for pair in zip(source, target, strict=True):
            with torch.inference_mode():
                x, y = (
                    encode_words(tiny_encoder, [words], layers=[layer], prefix="")[0].vectors[0]
                    for words in pair
                )
            cosine = torch.nn.functional.cosine_similarity(x[:, None], y[None], dim=-1).numpy()
            links = [
                (n, m)
                for n, m in np.ndindex(*cosine.shape)
                if cosine[n].argmax() == m and cosine[:, m].argmax() == n
            ]
            shares.append(2 * len(links) / sum(cosine.shape))
        assert np.mean(shares) == pytest.approx(found, abs=1e-9)


def test_info_shows_where_the_sample_encoder_agrees_best(tmp_path: Path) -> None:
    file, out = sample_data() / "parallel" / "de-en.dev.tsv", tmp_path / "info.json"
    result = CliRunner().invoke(app, ["info", "--layers", str(file), "--json", str(out), "--quiet"])
    assert result.exit_code == 0, result.output
    rows = json.loads(out.read_text())["layers"]
    assert [row["layer"] for row in rows] == list(range(13))
    best = max(rows, key=lambda row: row["mutual_share"])
    assert 5 <= best["layer"] <= 9, "not the spelling, and not the task of training"
    assert "highest" in result.output
