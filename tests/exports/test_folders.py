"""Exports without ONNX: what other libraries read back is the same encoder."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModel, DistilBertConfig, DistilBertModel, XLMRobertaConfig, XLMRobertaModel

from otkit.encoders.encoder import EncoderSettings
from otkit.encoders.open import open_encoder
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, ExportError
from otkit.exports.folders import export_folder
from otkit.exports.gguf import write_gguf
from otkit.resources import sample_data
from otkit.resources import sample_encoder as sample_folder
from otkit.training.card import PLACE
from tests.encoders.families import FAMILIES, write_family

SENTENCES = [["das", "haus", "ist", "klein"], ["Häuser", ",", "x"]]


def vectors(encoder: TorchEncoder) -> torch.Tensor:
    with torch.inference_mode():
        return encoder.encode_sentences(encoder.tokenize(SENTENCES))


def test_transformers_folder(original: TorchEncoder, tmp_path: Path) -> None:
    export_folder(original, tmp_path / "hf", to="transformers", metadata={"note": 1})
    again = open_encoder(tmp_path / "hf", device="cpu")
    assert torch.equal(vectors(again), vectors(original))
    assert again.settings == original.settings
    assert AutoModel.from_pretrained(tmp_path / "hf").config.num_hidden_layers == 2
    assert "transformers" in (tmp_path / "hf" / "README.md").read_text()


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_sentence_transformers_folder_gives_the_same_vectors(
    pooling: str, tiny_encoder: TorchEncoder, tmp_path: Path
) -> None:
    library = pytest.importorskip("sentence_transformers")
    tiny_encoder.settings = EncoderSettings((1,), pooling=pooling, prefix="das ")
    export_folder(tiny_encoder, tmp_path / "st", to="sentence-transformers")
    found = library.SentenceTransformer(str(tmp_path / "st"), device="cpu").encode(
        [" ".join(s) for s in SENTENCES]
    )
    np.testing.assert_allclose(found, vectors(tiny_encoder).numpy(), atol=1e-5)
    (tmp_path / "st" / "otkit.json").unlink()  # its own files say enough
    expected = replace(tiny_encoder.settings, prompts={"query": "das "}, max_seq_length=64)
    assert open_encoder(tmp_path / "st", device="cpu").settings == expected


@pytest.mark.parametrize(("kind", "tolerance"), [("f32", 1e-6), ("f16", 2e-3), ("q8_0", 0.02), ("q4_0", 0.3)])
def test_gguf_file_reads_back(
    kind: str, tolerance: float, tiny_encoder: TorchEncoder, tmp_path: Path
) -> None:
    tiny_encoder.settings = EncoderSettings((1,))
    export_folder(tiny_encoder, tmp_path / "gguf", to="gguf", gguf_type=kind)
    (tmp_path / "gguf" / "tokenizer.json").unlink()  # the one inside the file is used
    again = open_encoder(tmp_path / "gguf", device="cpu")
    assert torch.equal(again.tokenize(SENTENCES).ids, tiny_encoder.tokenize(SENTENCES).ids)
    torch.testing.assert_close(vectors(again), vectors(tiny_encoder), rtol=0, atol=tolerance)
    reader = gguf.GGUFReader(tmp_path / "gguf" / f"encoder-{kind}.gguf")
    assert {t.tensor_type.name for t in reader.tensors} == {"F32", kind.upper()}


@pytest.mark.slow
def test_the_sample_file_is_reproduced_block_by_block(sample_encoder: TorchEncoder, tmp_path: Path) -> None:
    write_gguf(sample_encoder, tmp_path / "again.gguf", kind="q4_0")
    old, new = gguf.GGUFReader(sample_folder() / "encoder-q4_0.gguf"), None
    new = {tensor.name: tensor for tensor in gguf.GGUFReader(tmp_path / "again.gguf").tensors}
    assert len(new) == len(old.tensors)
    for tensor in old.tensors:
        assert np.array_equal(tensor.data, new[tensor.name].data), tensor.name


@pytest.mark.slow
def test_the_unigram_tokenizer_inside_a_file_is_exact(sample_encoder: TorchEncoder, tmp_path: Path) -> None:
    write_gguf(sample_encoder, tmp_path / "again.gguf", kind="q4_0")
    again = open_encoder(tmp_path / "again.gguf", device="cpu")
    for path in sorted((sample_data() / "parallel").glob("*.dev.tsv")):
        sentences = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        ours, theirs = (encoder.tokenize(sentences, prefix="").ids for encoder in (again, sample_encoder))
        assert torch.equal(ours, theirs)


def test_xlm_roberta_becomes_bert(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=len(tiny_encoder.tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=65,
        pad_token_id=0,
        type_vocab_size=1,
    )
    model = XLMRobertaModel(config, add_pooling_layer=False).eval()
    encoder = TorchEncoder(model, tiny_encoder.tokenizer, name="xlm-r", settings=EncoderSettings((1,)))
    assert encoder.max_tokens == 64
    write_gguf(encoder, tmp_path / "x.gguf", kind="f32")
    again = open_encoder(tmp_path / "x.gguf", device="cpu")
    assert again.max_tokens == 64
    torch.testing.assert_close(vectors(again), vectors(encoder), rtol=0, atol=1e-5)


def test_what_gguf_cannot_hold(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    config = DistilBertConfig(
        vocab_size=len(tiny_encoder.tokenizer),
        dim=32,
        n_layers=1,
        n_heads=2,
        hidden_dim=32,
        max_position_embeddings=64,
    )
    other = TorchEncoder(
        DistilBertModel(config), tiny_encoder.tokenizer, name="distil", settings=EncoderSettings((1,))
    )
    with pytest.raises(ExportError, match="the architecture 'distilbert' is not BERT's"):
        export_folder(other, tmp_path / "x", to="gguf")
    with pytest.raises(ConfigError, match="unknown GGUF type 'q5'"):
        export_folder(tiny_encoder, tmp_path / "x", to="gguf", gguf_type="q5")
    with pytest.raises(ConfigError, match="unknown export target 'tensorflow'"):
        export_folder(tiny_encoder, tmp_path / "x", to="tensorflow")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("family", ["bert", "m2m_100", "mt5"])
def test_the_lines_of_the_card_open_the_very_encoder(family: str, tmp_path: Path) -> None:
    """AutoModel would make up the weights of what an encoder with a decoder was saved without."""
    encoder = open_encoder(write_family(FAMILIES[family], tmp_path / "tiny"), device="cpu")
    assert isinstance(encoder, TorchEncoder)
    export_folder(encoder, tmp_path / "out", to="transformers")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(lines.replace(PLACE, str(tmp_path / "out")), names)
    tokens = encoder.tokenize([("das", "haus")])
    with torch.inference_mode():
        found = names["model"].eval()(input_ids=tokens.ids).last_hidden_state
        torch.testing.assert_close(found, encoder.hidden_states(tokens, layers=[-1])[0])
