"""Why a word is linked: the figures are those of the aligner's own plan, and they add up to what decides."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest

import otkit
from otkit.alignment.aligner import WordAligner
from otkit.alignment.settings import DEFAULT_THRESHOLDS, STRATEGIES, TRANSPORTS, AlignmentSettings
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, InputError

GERMAN = "Gestern hat die Regierung ein neues Gesetz zum Schutz der Wälder beschlossen ."
ENGLISH = "Yesterday the government passed a new law to protect the forests ."
SOURCE, TARGET = tuple(GERMAN.split()), tuple(ENGLISH.split())


@pytest.mark.parametrize("changes", [
    *({"transport": name} for name in TRANSPORTS),
    *({"strategy": name} for name in STRATEGIES),
    {"granularity": "subword"},
    {"granularity": "subword", "strategy": "mutual"},
    {"cost": "dot", "transport": "none", "strategy": "softmax"},
    {"cost": "euclidean"},
    {"null": "median", "center": "none"},
    {"encoding": "joint", "distortion": 0.0, "agreement": 0.0},
], ids=str)  # fmt: skip
def test_the_figures_are_the_plans_and_add_up_to_the_decision(
    sample_encoder: TorchEncoder, changes: dict[str, str]
) -> None:
    aligner = WordAligner(sample_encoder, AlignmentSettings(**changes))  # type: ignore[arg-type]
    (found,) = aligner.align([(SOURCE, TARGET)])
    trace = aligner.trace((SOURCE, TARGET))
    assert found.plan is not None
    np.testing.assert_allclose(trace.plan, found.plan, atol=1e-6)
    assert (trace.source_no_partner is None) == (found.source_no_partner is None)
    if trace.source_no_partner is not None and found.source_no_partner is not None:
        np.testing.assert_allclose(trace.source_no_partner, found.source_no_partner, atol=1e-6)
    assert math.isclose(trace.mean_cost, found.cost, abs_tol=1e-6)
    assert [(i, j) for i, j, _ in trace.links] == [(i, j) for i, j, _ in found.links]
    assert [share for *_, share in trace.links] == pytest.approx(
        [link.score for link in found.links], abs=1e-6
    )
    paid = trace.cost + trace.order_price - trace.neighbours_bonus
    np.testing.assert_allclose(trace.paid, paid, atol=1e-5)
    np.testing.assert_allclose(trace.share, np.sqrt(trace.source_share * trace.target_share), atol=1e-5)
    if aligner.config.cost == "cosine":
        np.testing.assert_allclose(trace.cost, 1 - trace.cosine, atol=1e-5)
    for side, words in (("source", SOURCE), ("target", TARGET)):
        for index in range(len(words)):
            why = trace.explain(index, side=side)
            assert why.word == words[index]
            linked = {
                j if side == "source" else i
                for i, j in found.pairs
                if index == (i if side == "source" else j)
            }
            assert linked >= {one.index for one in why.candidates if one.linked}
            assert {one.index for one in why.candidates} >= linked or len(linked) > 5
            json.dumps(why.to_dict())


def test_under_the_threshold_the_strength_decides_alone(sample_encoder: TorchEncoder) -> None:
    trace = WordAligner(sample_encoder).trace((SOURCE, TARGET))
    np.testing.assert_allclose(
        trace.strength, trace.share * trace.length_factor * trace.rival_factor, atol=1e-12
    )
    np.testing.assert_array_equal(trace.linked, trace.strength > DEFAULT_THRESHOLDS["threshold"])
    why = trace.explain(SOURCE.index("Gesetz"))
    assert [one.strength for one in why.candidates] == sorted(
        (one.strength for one in why.candidates), reverse=True
    )
    assert (why.candidates[0].word, why.threshold) == ("law", DEFAULT_THRESHOLDS["threshold"])
    assert why.rule == "linked where what is compared is above 0.45"


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0])
def test_rivals_are_stronger_links_of_both_words(sample_encoder: TorchEncoder, factor: float) -> None:
    trace = WordAligner(sample_encoder, AlignmentSettings(rival_factor=factor)).trace((SOURCE, TARGET))
    weighed = trace.share * trace.length_factor
    best = (weighed == weighed.max(1, keepdims=True)) | (weighed == weighed.max(0, keepdims=True))
    assert 0 < best.sum() < best.size
    np.testing.assert_allclose(trace.rival_factor[weighed > 0], np.where(best, 1.0, factor)[weighed > 0])


def test_probabilities_are_what_softmax_compares(sample_encoder: TorchEncoder) -> None:
    settings = AlignmentSettings(
        cost="dot", transport="none", strategy="softmax", center="none", threshold=0.01
    )
    trace = WordAligner(sample_encoder, settings).trace((SOURCE, TARGET))
    smaller = np.minimum(trace.source_share, trace.target_share)  # without transport shares are the softmaxes
    np.testing.assert_allclose(trace.strength, smaller, atol=1e-5)
    np.testing.assert_array_equal(trace.linked, trace.strength > 0.01)


def test_a_word_is_found_by_its_form_then_by_its_letters(sample_encoder: TorchEncoder) -> None:
    (pair,) = otkit.align_words("Die Katze sieht die Maus", "the cat sees the mouse", sample_encoder)
    assert pair.trace.places_of("die") == [("source", 3)]
    assert pair.trace.places_of("KATZE") == [("source", 1)]
    assert pair.trace.places_of("the") == [("target", 0), ("target", 3)]
    assert asdict(pair.explain("mouse")) == asdict(pair.explain(4, side="target"))
    with pytest.raises(ConfigError, match="did you mean 'Katze'"):
        pair.explain("Katzen")
    with pytest.raises(ConfigError, match="there is no source word 9; give a place from 0 to 4"):
        pair.explain(9)
    with pytest.raises(ConfigError, match="unknown side"):
        pair.explain(0, side="left")


def test_what_cannot_be_explained_is_said(tiny_encoder: TorchEncoder) -> None:
    with pytest.raises(InputError, match="no words"):
        WordAligner(tiny_encoder).trace(((), ("the",)))
    with pytest.raises(InputError, match="too many to explain"):
        WordAligner(tiny_encoder).trace((("das",) * 1001, ("the",) * 1000))
