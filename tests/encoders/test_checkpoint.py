"""Every kind of folder that opens, and every kind of damage that is named."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import gguf
import numpy as np
import pytest
import tokenizers
import torch

from otkit.encoders.gguf import _dequantized, read_gguf
from otkit.encoders.open import open_encoder
from otkit.encoders.torch import TorchEncoder
from otkit.errors import CheckpointError
from otkit.resources import sample_encoder as sample_folder

SAMPLE = sample_folder() / "encoder-q4_0.gguf"


def test_opening_the_sample_encoder_does_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes it quick (`benchmarks/opening.py` has the figures): no call for each of half a million values of the
    vocabulary, no tensor unpacked twice, no vocabulary built twice, no weights drawn at random first."""
    unpacked: list[range] = []
    fields: list[int] = []
    vocabularies: list[str] = []

    def unpack(data: np.ndarray, kind: gguf.GGMLQuantizationType) -> np.ndarray:
        unpacked.append(range(data.ctypes.data, data.ctypes.data + data.nbytes))
        return gguf.quants.dequantize(data, kind)

    def parts(self: object, start: int, kind: int) -> object:
        fields.append(start)
        return field_parts(self, start, kind)

    class Counted:
        """The tokenizer's class, which cannot be patched itself."""

        def __call__(self, model: tokenizers.models.Model) -> tokenizers.Tokenizer:
            return tokenizers.Tokenizer(model)

        def from_file(self, path: str) -> tokenizers.Tokenizer:
            vocabularies.append(path)
            return tokenizers.Tokenizer.from_file(path)

        def from_str(self, text: str) -> tokenizers.Tokenizer:
            vocabularies.append("a copy")
            return tokenizers.Tokenizer.from_str(text)

    field_parts = gguf.GGUFReader._get_field_parts
    monkeypatch.setattr("otkit.encoders.gguf.dequantize", unpack)
    monkeypatch.setattr(gguf.GGUFReader, "_get_field_parts", parts)
    monkeypatch.setattr("transformers.tokenization_utils_tokenizers.TokenizerFast", Counted())
    monkeypatch.setattr("otkit.encoders.tokens.Tokenizer", Counted())
    random = torch.get_rng_state()
    encoder = open_encoder(device="cpu")
    assert torch.equal(torch.get_rng_state(), random)
    unpacked.sort(key=lambda stretch: stretch.start)
    assert all(one.stop <= other.start for one, other in pairwise(unpacked))
    whole = sum(int(tensor.n_bytes) for tensor in gguf.GGUFReader(SAMPLE).tensors)
    assert sum(map(len, unpacked)) == whole
    assert len(fields) < 200
    assert vocabularies == [str(SAMPLE.parent / "tokenizer.json")]
    assert (encoder.dimension, encoder.layers, encoder.max_tokens) == (384, 12, 512)
    assert encoder.settings.alignment_layers == (6, 7)


def test_weights_are_the_blocks_of_the_file(sample_encoder: TorchEncoder) -> None:
    config, state = read_gguf(SAMPLE)
    assert (config.vocab_size, config.layer_norm_eps) == (72000, 1e-12)
    reader = gguf.GGUFReader(SAMPLE)
    raw = next(tensor for tensor in reader.tensors if tensor.name == "blk.3.ffn_down.weight")
    blocks = np.asarray(raw.data).reshape(-1, 18)  # Q4_0: an fp16 scale, then 32 weights in 16 bytes
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    quarters = blocks[:, 2:].astype(np.int32)
    expected = (np.concatenate([quarters & 15, quarters >> 4], axis=1) - 8) * scale
    found = state["encoder.layer.3.output.dense.weight"]
    assert found.shape == (384, 1536)
    np.testing.assert_array_equal(found.numpy(), expected.reshape(384, 1536).astype(np.float32))
    assert torch.equal(sample_encoder.model.encoder.layer[3].output.dense.weight, found)


@pytest.mark.parametrize("shape", [(100_000,), (3, 64), (0, 64), (2, 0)])
def test_a_tensor_is_unpacked_in_few_calls_whatever_its_shape(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    calls: list[int] = []

    def unpack(data: np.ndarray, kind: gguf.GGMLQuantizationType) -> np.ndarray:
        calls.append(data.size)
        return gguf.quants.dequantize(data, kind)

    monkeypatch.setattr("otkit.encoders.gguf.dequantize", unpack)
    data = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    tensor = SimpleNamespace(data=data, tensor_type=gguf.GGMLQuantizationType.F32)
    np.testing.assert_array_equal(_dequantized(tensor), data.ravel())
    assert calls == [data.size]


def write_gguf_file(path: Path, change: Callable[[dict, dict], None] = lambda fields, tensors: None) -> Path:
    """A one-layer BERT of width 8 with random weights, changed before it is written."""
    rng = np.random.default_rng(0)
    shapes = {"token_embd.weight": (9, 8), "position_embd.weight": (16, 8), "token_types.weight": (2, 8)}
    shapes |= {f"token_embd_norm.{kind}": (8,) for kind in ("weight", "bias")}
    for part, rows, columns in (
        ("attn_q", 8, 8),
        ("attn_k", 8, 8),
        ("attn_v", 8, 8),
        ("attn_output", 8, 8),
        ("ffn_up", 12, 8),
        ("ffn_down", 8, 12),
    ):
        shapes |= {f"blk.0.{part}.weight": (rows, columns), f"blk.0.{part}.bias": (rows,)}
    for part in ("attn_output_norm", "layer_output_norm"):
        shapes |= {f"blk.0.{part}.weight": (8,), f"blk.0.{part}.bias": (8,)}
    tensors = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    fields: dict = {
        "architecture": "bert",
        "bert.context_length": 16,
        "bert.embedding_length": 8,
        "bert.block_count": 1,
        "bert.feed_forward_length": 12,
        "bert.attention.head_count": 2,
        "bert.attention.layer_norm_epsilon": 1e-12,
    }
    change(fields, tensors)
    writer = gguf.GGUFWriter(path, fields.pop("architecture"))
    for key, value in fields.items():
        if isinstance(value, list):
            writer.add_array(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        else:
            (writer.add_float32 if isinstance(value, float) else writer.add_uint32)(key, value)
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


WORD_PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁das", "▁haus", "es", "▁.", "▁klein"]


def add_word_pieces(fields: dict, tensors: dict) -> None:
    ids = {"padding": 0, "unknown": 1, "cls": 2, "seperator": 3}
    fields |= {f"tokenizer.ggml.{name}_token_id": number for name, number in ids.items()}
    fields |= {"tokenizer.ggml.model": "bert", "tokenizer.ggml.tokens": WORD_PIECES}


def test_the_tokenizer_inside_a_file_is_used(tmp_path: Path) -> None:
    encoder = open_encoder(write_gguf_file(tmp_path / "small.gguf", add_word_pieces), device="cpu")
    tokens = encoder.tokenize([["Das", "hauses", "klein", "?", "."]])
    assert tokens.ids.tolist() == [[2, 4, 5, 6, 8, 1, 7, 3]]
    assert encoder.name == "small"
    assert encoder.settings.alignment_layers == (1,)


def test_fields_of_the_file_become_the_config(tmp_path: Path) -> None:
    config, state = read_gguf(write_gguf_file(tmp_path / "small.gguf"))
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (8, 1, 2)
    assert (config.intermediate_size, config.max_position_embeddings, config.vocab_size) == (12, 16, 9)
    assert len(state) == 21


def rename(old: str, new: str) -> Callable[[dict, dict], None]:
    return lambda fields, tensors: tensors.update({new: tensors.pop(old)})


DAMAGE: dict[str, tuple[Callable[[dict, dict], None], str]] = {
    "other architecture": (
        lambda f, t: f.update(architecture="llama"),
        "has the architecture 'llama'; only 'bert'",
    ),
    "no layer count": (
        lambda f, t: f.pop("bert.block_count"),
        "the metadata has no number 'bert.block_count'",
    ),
    "text for a number": (lambda f, t: f.update({"bert.block_count": "one"}), "no number 'bert.block_count'"),
    "missing tensor": (lambda f, t: t.pop("blk.0.attn_k.bias"), "the tensor 'blk.0.attn_k.bias' is missing"),
    "missing embedding": (
        lambda f, t: t.pop("token_embd.weight"),
        "the tensor 'token_embd.weight' is missing",
    ),
    "foreign tensor": (
        rename("blk.0.attn_q.weight", "blk.0.attn_qkv.weight"),
        "that a BERT encoder has not: 'blk.0.attn_qkv",
    ),
    "more layers than stated": (
        lambda f, t: t.update({"blk.1.attn_q.bias": np.zeros(8, np.float32)}),
        "has not: 'blk.1.attn_q.bias",
    ),
    "wrong shape": (
        lambda f, t: t.update({"position_embd.weight": np.zeros((15, 8), np.float32)}),
        r"'position_embd.weight' has shape \(15, 8\), its metadata says \(16, 8\)",
    ),
    "not finite": (
        lambda f, t: t["blk.0.ffn_up.bias"].__setitem__(3, np.nan),
        "'blk.0.ffn_up.bias' has values that are not finite",
    ),
    "heads": (
        lambda f, t: f.update({"bert.attention.head_count": 3}),
        "width 8 is not a multiple of its 3 heads",
    ),
    "no tokenizer": (lambda f, t: None, "it has no tokenizer inside, and no tokenizer.json lies beside it"),
    "strange tokenizer": (
        lambda f, t: f.update({"tokenizer.ggml.model": "rwkv", "tokenizer.ggml.tokens": ["a"]}),
        "of the kind 'rwkv'",
    ),
    "special past the end": (
        lambda f, t: (add_word_pieces(f, t), f.update({"tokenizer.ggml.cls_token_id": 99})),
        "past the vocabulary",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_gguf_file_is_named(damage: str, tmp_path: Path) -> None:
    change, message = DAMAGE[damage]
    path = write_gguf_file(tmp_path / "small.gguf", change)
    with pytest.raises(CheckpointError, match=message) as caught:
        open_encoder(path, device="cpu")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("size", [0, 3, 4, 11, 24, 100, 700, 5_000, 10_000_000, -1])
def test_a_truncated_file_is_an_error_not_a_crash(size: int, tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(SAMPLE.read_bytes()[:size])
    with pytest.raises(CheckpointError, match=r"is not a GGUF file|is truncated or damaged|is missing"):
        read_gguf(path)


def test_random_bytes_in_the_header_never_crash(tmp_path: Path) -> None:
    whole = write_gguf_file(tmp_path / "small.gguf", add_word_pieces).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(150):
        data = bytearray(whole)
        for place in rng.integers(4, 2500, size=3):
            data[place] = rng.integers(256)
        path = tmp_path / "noise.gguf"
        path.write_bytes(data)
        with contextlib.suppress(CheckpointError):  # some bytes do no harm, the others are named
            open_encoder(path, device="cpu")


@pytest.fixture
def folder(tiny_encoder: TorchEncoder, tmp_path: Path) -> Path:
    tiny_encoder.save(tmp_path / "model")
    return tmp_path / "model"


def test_a_sentence_transformers_folder_states_pooling_and_prompt(folder: Path) -> None:
    (folder / "otkit.json").unlink()
    (folder / "modules.json").write_text("[]")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        '{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}'
    )
    prompts = {"prompts": {"query": "das "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    settings = open_encoder(folder, device="cpu").settings
    assert (settings.pooling, settings.prefix, settings.alignment_layers) == ("cls", "das ", (1,))
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_sum_tokens": true}')
    with pytest.raises(
        CheckpointError, match=r"its pooling \(pooling_mode_sum_tokens\) is not one of cls, mean, max"
    ):
        open_encoder(folder, device="cpu")


def test_a_folder_with_one_gguf_file_opens(tmp_path: Path) -> None:
    write_gguf_file(tmp_path / "a.gguf", add_word_pieces)
    (tmp_path / "otkit.json").write_text('{"encoder": {"pooling": "cls", "alignment_layers": [0, 1]}}')
    settings = open_encoder(tmp_path, device="cpu").settings
    assert (settings.pooling, settings.alignment_layers) == ("cls", (0, 1))
    shutil.copy(tmp_path / "a.gguf", tmp_path / "b.gguf")
    with pytest.raises(CheckpointError, match=r"expected one \.gguf file, found a\.gguf, b\.gguf"):
        open_encoder(tmp_path, device="cpu")


def spoil_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def lose_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors.pop("encoder.layer.0.attention.self.query.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


FOLDER_DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut weights": (spoil_weights, "its safetensors file is truncated or damaged"),
    "lost weights": (
        lose_weights,
        r"1 weights are missing, the first is 'encoder\.layer\.0\.attention\.self\.query",
    ),
    "pickle": (pickle_only, r"its weights are a pickle \(pytorch_model\.bin\), which can run any code"),
    "no weights": (
        lambda f: (f / "model.safetensors").unlink(),
        r"holds no encoder: looked for config\.json with",
    ),
    "no config": (lambda f: (f / "config.json").unlink(), "holds no encoder"),
    "no tokenizer": (
        lambda f: [(f / n).unlink() for n in ("tokenizer.json", "tokenizer_config.json")],
        "holds no tokenizer: looked for tokenizer",
    ),
    "broken tokenizer": (lambda f: (f / "tokenizer.json").write_text("{"), "its tokenizer cannot be read"),
    "broken config": (lambda f: (f / "config.json").write_text("{"), r"config\.json: is not valid JSON"),
    "unknown architecture": (
        lambda f: (f / "config.json").write_text('{"model_type": "nonesuch"}'),
        "its encoder cannot be read",
    ),
    "broken otkit.json": (lambda f: (f / "otkit.json").write_text("[1"), r"otkit\.json: is not valid JSON"),
    "list in otkit.json": (
        lambda f: (f / "otkit.json").write_text("[1]"),
        r"otkit\.json: is not a JSON object",
    ),
    "bad layers": (
        lambda f: (f / "otkit.json").write_text('{"encoder": {"alignment_layers": [9]}}'),
        r"alignment_layers must be whole numbers from 0 to 2, got \[9\]",
    ),
    "bad prefix": (
        lambda f: (f / "otkit.json").write_text('{"encoder": {"prefix": 3}}'),
        "prefix must be a text, got 3",
    ),
    "bad encoder table": (
        lambda f: (f / "otkit.json").write_text('{"encoder": 3}'),
        "'encoder' is not a table",
    ),
}


@pytest.mark.parametrize("damage", FOLDER_DAMAGE)
def test_a_damaged_folder_is_named(damage: str, folder: Path) -> None:
    change, message = FOLDER_DAMAGE[damage]
    change(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        open_encoder(folder, device="cpu")
    assert str(folder) in str(caught.value)


def test_paths_that_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file or folder"):
        open_encoder(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="no such file or folder"):
        open_encoder("./nothing.gguf")
    with pytest.raises(CheckpointError, match=r"holds no encoder: .*found nothing"):
        open_encoder(tmp_path)
    (tmp_path / "weights.bin").write_bytes(b"\x80\x04")
    with pytest.raises(CheckpointError, match="is not an encoder that can be opened"):
        open_encoder(tmp_path / "weights.bin")


def test_a_hub_name_without_network_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        CheckpointError, match="no file or folder 'no-one/no-encoder', and the Hub gives none"
    ):
        open_encoder("no-one/no-encoder")


@pytest.mark.slow
@pytest.mark.skipif(
    not Path(os.environ.get("OTKIT_BENCHMARK_DATA", "../shared/data")).is_dir(),
    reason="needs the benchmark data",
)
def test_german_tatoeba_is_found(sample_encoder: TorchEncoder) -> None:
    import gzip

    folder = Path(os.environ.get("OTKIT_BENCHMARK_DATA", "../shared/data")) / "tatoeba"
    path = next(path for path in sorted(folder.iterdir()) if path.name.startswith("de"))
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        pairs = [line.rstrip("\n").split("\t") for line, _ in zip(stream, range(200), strict=False)]
    sides = []
    with torch.inference_mode():
        for side in zip(*pairs, strict=True):
            tokens = sample_encoder.tokenize([text.split() for text in side])
            sides.append(sample_encoder.encode_sentences(tokens))
    found = (sides[0] @ sides[1].T).argmax(dim=1)
    assert (found == torch.arange(len(pairs))).float().mean() >= 0.96


def test_no_code_of_a_folder_runs_and_nobody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers asks on standard input whether to run the code of a configuration, and a corpus that comes there
    may say yes."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps({"model_type": "of-its-own", "auto_map": {"AutoConfig": "conf.Conf"}})
    )
    (folder / "conf.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w').close()\n"
        "from transformers import PretrainedConfig\nclass Conf(PretrainedConfig):\n    model_type = 'of-its-own'\n"
    )
    (folder / "model.safetensors").touch()
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(CheckpointError):
        open_encoder(folder, device="cpu")
    assert not (tmp_path / "ran").exists()
