"""What the server answers is what Python computes, and wrong requests are told what is wrong."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

import otkit
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
    assert (
        shown.pop("read_as") == [list(one) for one in expected.pop("read_as")] == [["Yesterday", "yesterday"]]
    )
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


def test_labels_go_where_project_carries_them(running: Running, tmp_path: Path) -> None:
    pairs = [
        ["Angela Merkel besucht heute Paris .", "Today Angela Merkel visits Paris ."],
        ["Das Haus in Berlin ist alt .", "The house in Berlin is old ."],
    ]
    labels = [["B-PER", "I-PER", "O", "O", "B-LOC", "O"], ["O", "O", "O", "B-LOC", "O", "O", "O"]]
    conll = "\n".join(
        "".join(f"{word}\t{label}\n" for word, label in zip(source.split(), own, strict=True))
        for (source, _), own in zip(pairs, labels, strict=True)
    )
    (tmp_path / "de.conll").write_text(conll)
    (tmp_path / "en.txt").write_text("".join(f"{target}\n" for _, target in pairs))
    expected = otkit.project(tmp_path / "de.conll", tmp_path / "en.txt").text
    answer = running.ask("/project", pairs=pairs, labels=labels)["projected"]
    shown = "".join(
        "".join(f"{word}\t{label}\n" for word, label in zip(target.split(), own["labels"], strict=True))
        + "\n"
        for (_, target), own in zip(pairs, answer, strict=True)
    )
    assert shown == expected
    first = answer[0]["spans"][0]
    assert (first["label"], first["start"], first["end"], first["target"]) == ("PER", 0, 2, [[1, 3]])


def test_subwords_are_those_of_the_words(running: Running, sample_encoder: TorchEncoder) -> None:
    found = running.ask("/subwords", **PAIR)
    words = SOURCE.split()
    assert sorted(set(found["source_words"])) == list(range(len(words)))
    for place, word in enumerate(words):
        pieces = [
            p for p, owner in zip(found["source"], found["source_words"], strict=True) if owner == place
        ]
        assert "".join(pieces).replace("##", "").replace("\u2581", "").casefold() == word.casefold()
    trace = WordAligner(sample_encoder, AlignmentSettings(granularity="subword")).trace(
        (tuple(words), tuple(TARGET.split()))
    )
    np.testing.assert_allclose(found["share"], trace.unit_share, atol=1e-4)
    first = running.ask("/subwords", source="Dün Tom kesti .", target="Tom cut it yesterday .")
    assert first["source"][0].replace("\u2581", "") == "dün"
    assert np.shape(first["share"]) == (len(first["source"]), len(first["target"]))
    for i, j in found["word_links"]:  # the strongest pieces of linked words say so
        assert trace.linked[i, j]


def test_pairs_are_judged_filtered_and_saved_as_csv(running: Running) -> None:
    ids = [row["id"] for row in running.ask("/corpus", limit=3)["rows"]]
    running.ask("/corpus/judge", ids=ids[:2], verdict="rejected", by="cy")
    counts = running.ask("/corpus/judge", ids=ids[2:], verdict="accepted", by="cy")
    assert counts["verdicts"] == {"accepted": 1, "rejected": 2, "none": 9}
    assert {row["id"] for row in running.ask("/corpus", verdict="rejected")["rows"]} == set(ids[:2])
    answer = httpx2.post(
        running.url + "corpus/csv", json={"verdict": "rejected", "order": "file"}, timeout=60
    )
    assert answer.headers["content-type"].startswith("text/csv")
    head, *rows = csv.reader(answer.text.splitlines())
    assert [row[head.index("verdict")] for row in rows] == ["rejected"] * 2
    lines = {line.line: line for line in running.session.lines}
    for row in rows:
        assert row[head.index("source")].split() == list(lines[int(row[0])].source)
    running.ask("/annotate/undo", by="cy")
    assert running.ask("/corpus", verdict="accepted")["matching"] == 0
    running.ask("/corpus/judge", ids=ids, verdict="none", by="cy")


def test_the_check_is_joined_in(running: Running) -> None:
    page = running.ask("/corpus", order="check")
    scores = [row["check"] for row in page["rows"]]
    assert page["checked"] == 12
    assert scores == sorted(scores, reverse=True)
    assert all(row["class"] for row in page["rows"])
    flagged = running.ask("/corpus/overview")["classes"]
    for name, count in flagged.items():
        assert running.ask("/corpus", **{"class": name})["matching"] == count


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
        "the target sentence has no words": {"pairs": [["a", {}]]},
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
        "unknown class": {"class": "' OR 1=1 --"},
    },
    "/project": {
        "labels is missing": {"pairs": [["a b", "c"]]},
        "there are 1 labels for 2 words": {"pairs": [["a b", "c"]], "labels": [["O"]]},
        "labels of 2 sentences for 1 pairs": {"pairs": [["a", "c"]], "labels": [["O"], ["O"]]},
        "no lists of text": {"pairs": [["a", "c"]], "labels": [[1]]},
        "received the label": {"pairs": [["a", "c"]], "labels": [["X-"]]},
        "too many at once": {"pairs": [["a", "b"]] * 65, "labels": [["O"]] * 65},
        "unknown setting": {"pairs": [["a", "c"]], "labels": [["O"]], "spans": {"sauce": 1}},
    },
    "/corpus/judge": {
        "there is no such pair": {"ids": [999], "verdict": "accepted", "by": "cy"},
        "ids are no list": {"ids": ["1; DROP"], "verdict": "accepted", "by": "cy"},
        "unknown verdict": {"ids": [0], "verdict": "fine", "by": "cy"},
    },
    "/corpus/layers": {"unknown language": {"language": "../etc"}},
    "/corpus/words": {"unknown kind": {"kind": "x"}},
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
