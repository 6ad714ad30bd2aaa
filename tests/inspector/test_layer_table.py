"""Layers by languages: figures are the library's, and the verdict says what they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import skew

from otkit.alignment.aligner import WordAligner
from otkit.alignment.layers import CHOOSES, layer_curves, sample_texts
from otkit.alignment.settings import AlignmentSettings
from otkit.data.gold import read_gold
from otkit.evaluation.metrics import ALIGNMENT_METRICS, alignment_table
from otkit.inspector.layer_table import Column, column_of, verdict
from tests.conftest import make_tiny_encoder


def test_a_column_is_what_the_library_measures() -> None:
    encoder = make_tiny_encoder()  # which takes 64 letters
    short = [pair for pair in sample_texts()["de-en"] if max(len(" ".join(side)) for side in pair) < 58]
    pairs = [pair for pair in short if len(pair[0]) + len(pair[1]) > 12][:6]
    gold = read_gold("sample_data/gold/de-en.dev.tsv")[:3]
    column = column_of(encoder, "de-en", pairs, AlignmentSettings(), gold)
    curves = layer_curves(encoder, {"x": pairs}, (CHOOSES, "sentences"))
    assert column.mutual == pytest.approx(curves[CHOOSES], abs=1e-4)
    assert column.rank == pytest.approx(curves["sentences"], abs=1e-4)
    assert column.aer is not None
    for layer in (0, encoder.layers):
        aligner = WordAligner(encoder, AlignmentSettings(layers=(layer,)))
        found = aligner.align([(pair.source, pair.target) for pair in gold])
        aer = ALIGNMENT_METRICS["aer"](alignment_table([each.pairs for each in found], gold).sum(0))
        assert column.aer[layer] == pytest.approx(float(aer), abs=1e-4)
    words = []
    for side in (0, 1):
        tokens = encoder.tokenize([pair[side] for pair in pairs])
        (states,) = encoder.hidden_states(tokens, layers=[1])
        vectors = [
            states[row][tokens.word_ids[row] == word].mean(0).detach().numpy()
            for row, pair in enumerate(pairs)
            for word in range(len(pair[side]))
        ]
        words.append(np.array(vectors, dtype=np.float64))
    unit = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in words]
    cosines = [(each @ each.T)[~np.eye(len(each), dtype=bool)].mean() for each in unit]
    assert column.isotropy[1] == pytest.approx(1 - np.mean(cosines), abs=1e-3)
    nearest = np.argsort(-(unit[0] @ unit[1].T), axis=1)[:, :10]
    assert column.hubness[1] == pytest.approx(
        skew(np.bincount(nearest.ravel(), minlength=len(unit[1]))), abs=0.05
    )


def test_the_verdict_names_the_best_state_and_the_farthest_language() -> None:
    flat = [0.5, 0.5, 0.5]
    near = Column("de-en", 9, [0.2, 0.9, 0.4], [0.1, 0.2, 0.8], flat, [1.0, 2.0, 5.0], [0.6, 0.3, 0.4])
    far = Column("sw-en", 9, [0.1, 0.5, 0.2], [0.1, 0.2, 0.6], flat, [1.0, 2.0, 5.0], None)
    said = " ".join(verdict([near, far], (1, 2)))
    assert "Hidden state 1 brings words together best, on average over 2 languages: 70% of them" in said
    assert "reads states 1+2 (50%)" in said
    assert "de-en is nearest to its translations (90%), sw-en farthest (50%)" in said
    assert "de-en has its lowest AER at 1 (0.300)" in said
    assert "Hubs are strongest at 2 (skewness 5.0)" in said
