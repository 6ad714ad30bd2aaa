"""The int8 graph that is made once: kept under what it depends on, made anew where it is damaged, listed, cleared."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from otkit.encoders.onnx import MODEL_FILE, OnnxEncoder
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError
from otkit.exports.cached import cached_graphs, clear_cache, fastest_precision, int8_encoder
from otkit.files import cache_folder


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_made_once_opened_again_made_anew_where_damaged_and_cleared(tiny_encoder: TorchEncoder) -> None:
    said: list[str] = []
    first = int8_encoder(tiny_encoder, progress=said.append)
    assert isinstance(first, OnnxEncoder)
    made = [text for text in said if "once" in text]
    assert made == [f"making an int8 graph of tiny, once; it is kept in {cache_folder('graphs')}"]
    assert any("trying: int8" in text for text in said)
    said.clear()
    second = int8_encoder(tiny_encoder, progress=said.append)
    assert (second.path, [text for text in said if "int8 graph" in text]) == (first.path, [])
    tokens = tiny_encoder.tokenize([["das", "haus"], ["the", "house", "is", "small"]])
    (ours,), (theirs,) = (each.hidden_states(tokens, layers=[1]) for each in (second, tiny_encoder))
    cosines = torch.nn.functional.cosine_similarity(ours, theirs.detach(), dim=2)[tokens.attention]
    assert cosines.min() > 0.95
    path = second.path
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    (damaged,) = cached_graphs()
    assert damaged.encoder == "damaged"
    assert int8_encoder(tiny_encoder).path.read_bytes() == whole
    (graph,) = cached_graphs()
    assert (graph.encoder, graph.folder) == ("tiny", path.parent)
    assert graph.bytes > (graph.folder / MODEL_FILE).stat().st_size
    beside = cache_folder("graphs") / "mine"
    beside.mkdir()
    assert clear_cache() == graph.bytes
    assert (cached_graphs(), beside.is_dir(), graph.folder.exists()) == ([], True, False)
    with pytest.raises(ConfigError, match="int8 is for encoders of torch on the CPU"):
        int8_encoder(second)
    assert fastest_precision().startswith("this processor multiplies")


@pytest.mark.slow  # three graphs
def test_other_layers_and_other_weights_are_other_graphs(tiny_encoder: TorchEncoder) -> None:
    first = int8_encoder(tiny_encoder)
    assert first.settings.alignment_layers == (1,)
    other = int8_encoder(tiny_encoder, [-1, 0])
    assert other.settings.alignment_layers == (2, 0)
    assert tiny_encoder.settings.alignment_layers == (1,)
    with torch.no_grad():
        next(tiny_encoder.model.parameters()).mul_(1.01)
    third = int8_encoder(tiny_encoder)
    assert len({first.path, other.path, third.path}) == 3
    assert sorted(graph.layers for graph in cached_graphs()) == [(1,), (1,), (2, 0)]
