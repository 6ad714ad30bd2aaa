"""What the server answers is what Python computes, and wrong requests are told what is wrong."""

from __future__ import annotations

from typing import Any

import httpx2
import numpy as np
import pytest

from otkit.alignment.aligner import WordAligner
from otkit.alignment.checking import TranslationChecker
from otkit.alignment.settings import AlignmentSettings
from otkit.encoders.torch import TorchEncoder
from otkit.evaluation.metrics import ALIGNMENT_METRICS, alignment_table
from otkit.inspector.endpoints import ENDPOINTS
from tests.inspector.conftest import SOURCE, TARGET, Running

PAIR = {"source": SOURCE, "target": TARGET}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"epsilon": 0.2, "layers": [3]},
        {"transport": "balanced", "strategy": "mutual"},
        {"threshold": 0.8},
    ],
    ids=str,
)
def test_an_alignment_is_pythons(
    running: Running, sample_encoder: TorchEncoder, changes: dict[str, Any]
) -> None:
    settings = AlignmentSettings.from_dict(changes)
    (found,) = WordAligner(sample_encoder, settings).align([(SOURCE.split(), TARGET.split())])
    (shown,) = running.ask("/align", **PAIR, settings=changes)["alignments"]
    assert [tuple(link[:2]) for link in shown["links"]] == [(i, j) for i, j, _ in found.links]
    assert found.plan is not None
    np.testing.assert_allclose(shown["plan"], found.plan, atol=1e-6)
    if found.source_no_partner is None:
        assert shown["source_no_partner"] is None
    else:
        np.testing.assert_allclose(shown["source_no_partner"], found.source_no_partner, atol=1e-4)
    assert shown["settings"] == settings.used()


def test_pairs_in_a_batch_are_those_one_by_one(running: Running) -> None:
    pairs = [[SOURCE, TARGET], ["Das Haus", "the house"]]
    together = running.ask("/align", pairs=pairs)["alignments"]
    alone = [running.ask("/align", source=s, target=t)["alignments"][0] for s, t in pairs]
    assert together == alone


def test_an_explanation_is_pythons(running: Running, sample_encoder: TorchEncoder) -> None:
    trace = WordAligner(sample_encoder).trace((tuple(SOURCE.split()), tuple(TARGET.split())))
    shown = running.ask("/explain", **PAIR, word=5, side="target")
    expected = trace.explain(5, side="target").to_dict()
    for ours, theirs in zip(shown.pop("candidates"), expected.pop("candidates"), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)
    assert shown == pytest.approx(expected, abs=1e-6)


def test_every_layer_is_the_aligners_of_that_layer(running: Running, sample_encoder: TorchEncoder) -> None:
    answer = running.ask("/layers", **PAIR)
    assert [each["layer"] for each in answer["layers"]] == list(range(13))
    assert answer["used"] == [6, 7]
    (found,) = WordAligner(sample_encoder, AlignmentSettings(layers=(4,))).align(
        [(SOURCE.split(), TARGET.split())]
    )
    assert [tuple(cell) for cell in answer["layers"][4]["links"]] == sorted(found.pairs)
    assert "agree best in hidden state" in answer["verdict"]


def test_a_comparison_adds_up(running: Running) -> None:
    answer = running.ask("/compare", **PAIR)
    before, after = ({tuple(link[:2]) for link in each["links"]} for each in answer["alignments"])
    kept, gained, lost = ({tuple(cell) for cell in answer[name]} for name in ("kept", "gained", "lost"))
    assert (kept | lost, kept | gained) == (before, after)
    shares = [np.array(each["share"]) for each in answer["alignments"]]
    np.testing.assert_allclose(answer["difference"], shares[1] - shares[0], atol=2e-4)


def test_words_in_space_keep_what_two_axes_can(running: Running, sample_encoder: TorchEncoder) -> None:
    from sklearn.decomposition import PCA

    trace = WordAligner(sample_encoder).trace((tuple(SOURCE.split()), tuple(TARGET.split())))
    cloud = np.concatenate([trace.source_vectors, trace.target_vectors])
    cloud /= np.linalg.norm(cloud, axis=1, keepdims=True)
    reference = PCA(2).fit(cloud)
    (model,) = running.ask("/space", **PAIR)["models"]
    assert model["variance"] == pytest.approx(reference.explained_variance_ratio_.sum(), abs=1e-3)
    ours, theirs = np.array(model["source"] + model["target"]), reference.transform(cloud)
    np.testing.assert_allclose(abs(ours), abs(theirs), atol=1e-3)


def test_the_corpus_is_filtered_and_ordered(running: Running) -> None:
    page = running.ask("/corpus")
    assert (page["done"], page["total"], page["matching"], page["error"]) == (12, 12, 12, None)
    strengths = [row["strength"] for row in page["rows"]]
    assert strengths == sorted(strengths)
    worst = running.ask("/corpus", order="errors", limit=3)["rows"]
    lines = {line.line: line for line in running.session.lines}
    for row in worst:
        gold = lines[row["line"]].gold
        assert gold is not None
        links = {tuple(map(int, link.split("-"))) for link in row["links"].split()}
        aer = float(ALIGNMENT_METRICS["aer"](alignment_table([links], [gold]).sum(0)))  # type: ignore[list-item]
        assert row["aer"] == pytest.approx(aer)
    linked = running.ask("/corpus", source="DER", target="the")
    for row in linked["rows"]:
        source, target = row["source"].split(), row["target"].split()
        cells = [tuple(map(int, link.split("-"))) for link in row["links"].split()]
        assert any((source[i].lower(), target[j].lower()) == ("der", "the") for i, j in cells)
    short = running.ask("/corpus", most_words=20, least_strength=0.5)["rows"]
    assert all(row["words"] <= 20 and row["strength"] >= 0.5 for row in short)
    assert running.ask("/corpus", order="file", offset=10)["rows"][0]["id"] == 10
    overview = running.ask("/corpus/overview")
    assert sum(overview["histograms"]["strength"]["counts"]) == 12
    pairs = running.ask("/corpus/words")["word_pairs"]
    assert pairs[0][2] >= pairs[-1][2]


def test_a_check_is_the_checkers(running: Running, sample_encoder: TorchEncoder) -> None:
    pairs = [["Das Haus ist klein .", "The house is small and very old ."], [SOURCE, TARGET]]
    answer = running.ask("/check", pairs=pairs)["checked"]
    checker = TranslationChecker(sample_encoder)
    for shown, (source, target) in zip(answer, pairs, strict=True):
        (found,) = checker.check([(tuple(source.split()), tuple(target.split()))])
        assert shown["hallucination"] == pytest.approx(found.hallucination, abs=1e-4)
        np.testing.assert_allclose(shown["target_scores"], found.target_scores, atol=1e-4)


def test_vectors_are_the_encoders(running: Running, sample_encoder: TorchEncoder) -> None:
    (vector,) = running.ask("/embed", sentences=["Das Haus"])["vectors"]
    expected = sample_encoder.encode_sentences(sample_encoder.tokenize([("Das", "Haus")]))[0]
    np.testing.assert_allclose(vector, expected.detach().numpy(), atol=1e-5)


WRONG = {
    "/align": {
        "there is no pair": {},
        "the source sentence has no words": {"source": " ", "target": "the"},
        "unknown field 'sauce'; did you mean 'source'": {"sauce": "x"},
        "source is 5; give string or array": {"source": 5, "target": "x"},
        "unknown model 'other'": {**PAIR, "model": "other"},
        "epsilon is -1": {**PAIR, "settings": {"epsilon": -1}},
        "unknown setting": {**PAIR, "settings": {"temperature": 1}},
        "there is no layer 99": {**PAIR, "settings": {"layers": [99]}},
        "pairs are no pairs": {"pairs": ["a"]},
        "too many at once": {"pairs": [["a", "b"]] * 65},
        "are more than 160000 pairs of words": {"source": "a " * 1000, "target": "b " * 200},
    },
    "/explain": {
        "word is missing": PAIR,
        "there is no source word 99": {**PAIR, "word": 99},
        "word is True": {**PAIR, "word": True},
    },
    "/corpus": {
        "unknown order": {"order": "id; DROP TABLE pairs"},
        "rows 0 and 9999 more": {"limit": 9999},
        "unknown field": {"1=1 OR id": 1},
    },
    "/embed": {"there are 0 sentences": {"sentences": []}},
    "/agreement": {"unknown annotator": {"first": "nobody", "second": "no one"}},
}


@pytest.mark.parametrize("path", WRONG)
def test_wrong_requests_are_told(running: Running, path: str) -> None:
    for said, request in WRONG[path].items():
        answer = httpx2.post(running.url.rstrip("/") + path, json=request, timeout=60)
        assert answer.status_code == 400, (request, answer.text)
        assert said in answer.json()["error"]


def test_the_endpoints_are_documented(running: Running) -> None:
    document = httpx2.get(running.url + "openapi.json").json()
    assert set(document["paths"]) == {endpoint.path for endpoint in ENDPOINTS}
    page = httpx2.get(running.url + "docs").text
    assert all(endpoint.path in page for endpoint in ENDPOINTS)
    assert "<script" not in page
