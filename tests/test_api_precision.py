"""`precision`: one keyword for all that encode; int8 is the encoder's graph of the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import otkit
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError
from otkit.exports.cached import cached_graphs, encoder_in

PAIRS = [("das haus ist klein", "the house is small"), ("ein haus .", "a house ."), ("die straße", "street")]


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "c.de-en.tsv"
    path.write_text("".join(f"{source}\t{target}\n" for source, target in PAIRS), encoding="utf-8")
    return path


def test_int8_everywhere_is_one_graph_for_one_set_of_layers(
    tiny_encoder: TorchEncoder, corpus: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    aligner = otkit.Aligner(tiny_encoder, precision="int8", on_note=said.append)
    assert aligner.encoder.precision == "int8"
    assert aligner.encoder.weights_sha256() == tiny_encoder.weights_sha256()
    found = otkit.evaluate.retrieval(tiny_encoder, [corpus], precision="int8", on_note=said.append)
    assert found.encoders["model"]["precision"] == "int8"
    otkit.embed(corpus, encoder=tiny_encoder, output=tmp_path / "v", index="none", precision="int8")
    assert len([text for text in said if "making an int8 graph" in text]) == 1
    assert len(cached_graphs()) == 1
    checked = otkit.check(corpus, tiny_encoder, precision="int8", on_note=said.append)
    assert checked.used["precision"] == "int8"
    assert {graph.layers for graph in cached_graphs()} == {(1,), (1,)} or len(cached_graphs()) == 2


@pytest.mark.slow  # its graph is made in the test above
def test_vectors_of_int8_are_searched_with_the_encoder_itself(
    tiny_encoder: TorchEncoder, corpus: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "tiny"
    tiny_encoder.save(folder)
    made = otkit.embed(corpus, encoder=folder, output=tmp_path / "v", index="none", precision="int8")
    plain = otkit.embed(corpus, encoder=folder, output=tmp_path / "w", index="none")
    ours, theirs = (np.concatenate(list(each.vectors.blocks())) for each in (made, plain))
    cosines = (ours * theirs).sum(1)
    assert cosines.min() > 0.95
    assert not np.array_equal(ours, theirs)
    (answer,) = otkit.search(tmp_path / "v", "das haus ist klein", k=1)
    assert answer.hits[0].score > 0.95


def test_half_precision_is_that_of_the_encoder(tiny_encoder: TorchEncoder, corpus: Path) -> None:
    half = encoder_in("bf16", tiny_encoder)
    assert (half.precision, tiny_encoder.precision) == ("bf16", "fp32")
    tokens = tiny_encoder.tokenize([["das", "haus"]])
    (ours,), (theirs,) = (each.hidden_states(tokens, layers=[1]) for each in (half, tiny_encoder))
    assert ours.dtype == theirs.dtype
    assert 0 < (ours - theirs).abs().max() < 0.1
    assert otkit.check(corpus, tiny_encoder, precision="bf16").used["precision"] == "bf16"


def test_what_no_precision_fits_is_refused(tiny_encoder: TorchEncoder, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose from: fp32, bf16, fp16, int8"):
        otkit.Aligner(tiny_encoder, precision="fp8")
    folder = tmp_path / "graph"
    otkit.export(tiny_encoder, "onnx", output=folder)
    with pytest.raises(ConfigError, match="bf16 is for encoders of torch"):
        otkit.Aligner(folder, precision="bf16")
    with pytest.raises(ConfigError, match="xnli trains the encoder"):
        otkit.evaluate.xnli(tiny_encoder, precision="int8")
    with pytest.raises(ConfigError, match="an int8 graph has the layers of one alignment alone"):
        otkit.evaluate.word_alignment_by_layer(tiny_encoder, precision="int8", languages=["de"])
