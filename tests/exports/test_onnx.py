"""The ONNX graph is the torch encoder; a folder that is not what was exported does not open."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from transformers import AutoConfig, AutoTokenizer, GPT2Config, GPT2Model

from otkit.encoders import onnx as onnx_encoder
from otkit.encoders.encoder import EncoderSettings
from otkit.encoders.onnx import OnnxEncoder
from otkit.encoders.open import open_encoder
from otkit.encoders.sentences import encode_words
from otkit.encoders.tokens import TooLongError
from otkit.encoders.torch import TorchEncoder
from otkit.errors import CheckpointError, ConfigError, GateError, OutputError
from otkit.exports.gate import Limits
from otkit.exports.graph import write_graph
from otkit.exports.onnx import ExportReport, export_onnx
from otkit.exports.quantize import RECIPES, _int8
from otkit.exports.settings import ExportSettings
from otkit.files import MARKER, sha256_of
from tests.conftest import make_tiny_encoder
from tests.exports.conftest import PAIRS

SENTENCES = [["das", "haus", "ist", "klein"], ["a"], ["unbekannt", "."] * 5, []]


def test_hidden_states_and_vectors_are_those_of_torch(original: TorchEncoder, exported: ExportReport) -> None:
    encoder = open_encoder(exported.folder, device="cpu")
    assert isinstance(encoder, OnnxEncoder)
    assert (encoder.dimension, encoder.layers, encoder.max_tokens) == (32, 2, 64)
    assert encoder.settings == original.settings
    tokens = encoder.tokenize(SENTENCES)
    assert torch.equal(tokens.ids, original.tokenize(SENTENCES).ids)
    with torch.inference_mode():
        for layers in ([1, 2], [2], [-1, 1]):
            ours, theirs = (e.hidden_states(tokens, layers=layers) for e in (encoder, original))
            for x, y in zip(ours, theirs, strict=True):
                torch.testing.assert_close(x[tokens.attention], y[tokens.attention], rtol=0, atol=1e-5)
        torch.testing.assert_close(
            encoder.encode_sentences(tokens), original.encode_sentences(tokens), rtol=0, atol=1e-5
        )
        mean = torch.stack(original.hidden_states(tokens, layers=[1, 2])).mean(0)
    (states,) = encoder.run(tokens, ["token_states"])
    torch.testing.assert_close(states[tokens.attention], mean[tokens.attention], rtol=0, atol=1e-5)


def test_shorter_vectors_are_the_same_by_either_way(exported: ExportReport) -> None:
    graph = open_encoder(exported.folder, device="cpu")
    graph.settings = replace(graph.settings, truncate_dim=10)
    tokens = graph.tokenize([["das", "haus"], ["a"]], prefix="")
    (last,) = graph.hidden_states(tokens, layers=[-1])
    assert graph.pool(last, tokens).shape == (2, 10)
    torch.testing.assert_close(graph.pool(last, tokens), graph.encode_sentences(tokens), rtol=0, atol=1e-5)


@pytest.mark.parametrize("sentences", [[["a"]], [["das"]] * 17, [["a"] * 60], [["a"] * 60, ["b"]]])
def test_any_batch_and_length(
    sentences: list[list[str]], original: TorchEncoder, exported: ExportReport
) -> None:
    encoder = open_encoder(exported.folder, device="cpu")
    tokens = encoder.tokenize(sentences, prefix="")
    with torch.inference_mode():
        expected = original.encode_sentences(tokens)
    torch.testing.assert_close(encoder.encode_sentences(tokens), expected, rtol=0, atol=1e-5)


def test_long_sentences_go_in_windows(original: TorchEncoder, exported: ExportReport) -> None:
    encoder, text = open_encoder(exported.folder, device="cpu"), [["das", "haus", "klein"] * 50]
    with torch.inference_mode():
        ours, theirs = (encode_words(e, text, layers=[1], long="window")[0] for e in (encoder, original))
    torch.testing.assert_close(ours.vectors, theirs.vectors, rtol=0, atol=1e-5)
    with pytest.raises(TooLongError, match=r"sentence 0 has 15\d subword tokens and the encoder takes 64"):
        encoder.hidden_states(encoder.subwords.encode(text), layers=[1])


def test_it_opens_without_transformers_and_the_training_parts_of_torch(exported: ExportReport) -> None:
    code = (
        "import sys, otkit; encoder = otkit.open_encoder(sys.argv[1]);"
        "encoder.encode_sentences(encoder.tokenize([['das', 'haus']]));"
        "heavy = ('transformers', 'accelerate', 'torch._dynamo', 'torch._inductor', 'torch.distributed.fsdp', 'sympy');"
        "print([name for name in heavy if name in sys.modules])"
    )
    line = [sys.executable, "-c", code, str(exported.folder)]
    assert subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_upper_layers_are_cut_off_for_alignment(sample_encoder: TorchEncoder, exported: ExportReport) -> None:
    encoder = open_encoder(exported.folder, device="cpu")
    assert isinstance(encoder, OnnxEncoder)
    encoder.hidden_states(encoder.tokenize(SENTENCES), layers=[1])
    assert encoder._layers_only is not encoder._session
    assert encoder._layers_only is not None
    assert {output.name for output in encoder._layers_only.get_outputs()} == {
        "token_states",
        "layer_1",
        "layer_2",
    }


def test_a_layer_outside_the_graph_is_named(exported: ExportReport) -> None:
    encoder = open_encoder(exported.folder, device="cpu")
    with pytest.raises(
        ConfigError, match=r"the exported graph has no layer 0; use `layers='1,2'`, or export again"
    ):
        encoder.hidden_states(encoder.tokenize(SENTENCES), layers=[0])
    with pytest.raises(ConfigError, match=r"cannot run on 'mps'"):
        open_encoder(exported.folder, device="mps")


def test_the_folder_is_complete(exported: ExportReport) -> None:
    manifest = json.loads((exported.folder / "manifest.json").read_text())
    files = {path.name for path in exported.folder.iterdir()}
    companions = {"otkit.json", "README.md", "config.json", "tokenizer.json", "tokenizer_config.json"}
    assert files == {"model.onnx", "manifest.json", MARKER} | companions
    assert set(manifest["files"]) == files - {"manifest.json", MARKER}
    assert manifest["files"]["model.onnx"]["sha256"] == sha256_of(exported.folder / "model.onnx")
    assert manifest["graph"]["outputs"] == ["token_states", "sentence_vector", "layer_1", "layer_2"]
    assert manifest["attempts"][-1]["parity"]["link_agreement"] == 1.0
    assert {"torch", "onnx", "onnxruntime", "transformers"} <= set(manifest["versions"])
    assert json.loads((exported.folder / "otkit.json").read_text())["note"] == "kept"
    assert AutoConfig.from_pretrained(exported.folder).hidden_size == 32
    assert AutoTokenizer.from_pretrained(exported.folder)(["das"], is_split_into_words=True)["input_ids"][
        1:-1
    ]
    model = onnx.load(str(exported.folder / "model.onnx"))
    assert [(entry.domain, entry.version) for entry in model.opset_import if not entry.domain] == [("", 18)]
    assert [node.name for node in model.graph.input] == ["input_ids", "attention_mask"]
    assert exported.chosen.parity.largest_difference < 1e-4


@pytest.mark.parametrize("quantize", ["int8", "int4"])
def test_quantised_weights_stay_near(
    quantize: str, original: TorchEncoder, exported: ExportReport, tmp_path: Path
) -> None:
    whole, tokens = exported.folder / "model.onnx", original.tokenize(SENTENCES)
    feed = {"input_ids": tokens.ids.numpy(), "attention_mask": tokens.attention.long().numpy()}
    with torch.inference_mode():
        expected = original.encode_sentences(tokens)
    for number, recipe in enumerate(RECIPES[quantize]):
        path = tmp_path / f"{number}.onnx"
        recipe.write(whole, path, feed)
        assert path.stat().st_size < whole.stat().st_size
        small = OnnxEncoder(
            path, original.subwords, name=recipe.name, settings=original.settings, dimension=32, layers=2
        )
        cosine = (small.encode_sentences(tokens) * expected).sum(-1)
        assert 0.95 <= float(cosine.min()) < 0.999999


def test_a_graph_without_linear_layers_is_made_smaller_by_its_table(tmp_path: Path) -> None:
    """GPT-2 multiplies in nodes that no recipe rounds."""
    torch.manual_seed(1)
    tokenizer = make_tiny_encoder().tokenizer
    tokenizer.model_max_length = 64
    config = GPT2Config(vocab_size=4000, n_embd=32, n_layer=2, n_head=4, n_positions=64)
    gpt2 = TorchEncoder(
        GPT2Model(config).eval(), tokenizer, name="gpt2", settings=EncoderSettings((1,), pooling="lasttoken")
    )
    made = export_onnx(gpt2, tmp_path / "gpt2", ExportSettings(quantize="int8"), pairs=PAIRS)
    assert made.share < 0.8


def test_recipes_are_tried_in_order_and_a_missed_gate_writes_nothing(
    original: TorchEncoder, tmp_path: Path
) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "precious").write_text("old")
    limits = Limits(difference=1e-9, cosine=1.1, agreement=0.0, retrieval_loss=100)
    with pytest.raises(
        GateError, match=r"lowest cosine .* \(limit 1\.1\).*int8 in blocks of 128: largest difference"
    ):
        export_onnx(
            original,
            tmp_path / "small",
            ExportSettings(quantize="int8"),
            pairs=PAIRS,
            limits=limits,
            overwrite=True,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["small"]
    assert (tmp_path / "small" / "precious").read_text() == "old"


def test_wrong_settings(original: TorchEncoder, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown quantize 'int5'; did you mean 'int"):
        ExportSettings(quantize="int5")
    with pytest.raises(ConfigError, match="opset is 12; give a whole number of at least 18 and at most 24"):
        ExportSettings(opset=12)
    with pytest.raises(
        ConfigError, match=r"received 'int8', which is about onnx and web alone; leave it out"
    ):
        ExportSettings(to="gguf", quantize="int8")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        original.save(tmp_path / "file")


@pytest.mark.slow
def test_native_attention_from_opset_23(original: TorchEncoder, tmp_path: Path) -> None:
    write_graph(original, tmp_path / "native.onnx", opset=23)
    nodes = [node.op_type for node in onnx.load(str(tmp_path / "native.onnx")).graph.node]
    assert nodes.count("Attention") == 2


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def edit(path: Path, change: Callable[[dict], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "flipped bit": (
        lambda f: flip(f / "model.onnx"),
        r"model\.onnx is not the file that was exported \(its SHA-256",
    ),
    "cut graph": (
        lambda f: (f / "model.onnx").write_bytes(b""),
        r"model\.onnx is not the file that was exported",
    ),
    "edited tokenizer": (lambda f: flip(f / "tokenizer.json"), r"tokenizer\.json is not the file"),
    "missing tokenizer": (lambda f: (f / "tokenizer.json").unlink(), r"tokenizer\.json is missing"),
    "missing settings": (
        lambda f: (f / "otkit.json").unlink(),
        r"otkit\.json is missing; copy the whole folder",
    ),
    "missing manifest": (lambda f: (f / "manifest.json").unlink(), r"an ONNX file but no manifest\.json"),
    "broken manifest": (
        lambda f: (f / "manifest.json").write_text("{"),
        r"manifest\.json: is not valid JSON",
    ),
    "other format": (
        lambda f: edit(f / "manifest.json", lambda d: d.update(format="x")),
        "is not a manifest of",
    ),
    "path out of the folder": (
        lambda f: edit(f / "manifest.json", lambda d: d["files"].update({"../secret": {}})),
        "the entry '../secret' cannot be used",
    ),
    "no numbers": (
        lambda f: edit(f / "manifest.json", lambda d: d["encoder"].pop("max_tokens")),
        "'encoder' does not state 'max_tokens'",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_tampered_folder_does_not_open(damage: str, folder: Path) -> None:
    change, message = DAMAGE[damage]
    change(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        open_encoder(folder, device="cpu")
    assert str(folder) in str(caught.value)


def test_a_graph_that_is_no_graph_is_named(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"\x80\x04pickle")

    def agree(document: dict) -> None:
        entry = document["files"]["model.onnx"]
        entry.update(bytes=(folder / "model.onnx").stat().st_size, sha256=sha256_of(folder / "model.onnx"))

    edit(folder / "manifest.json", agree)
    with pytest.raises(CheckpointError, match="ONNX Runtime cannot open the graph"):
        open_encoder(folder, device="cpu")


def test_the_example_runs_with_three_packages_only(exported: ExportReport, original: TorchEncoder) -> None:
    script = Path(__file__).parents[2] / "examples" / "use_onnx.py"
    forbid = (
        "import sys, runpy\n"
        "class Deny:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {'torch', 'transformers', 'otkit', 'onnx', 'safetensors', 'gguf'}:\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Deny())\n"
        f"sys.argv = ['use_onnx.py', {str(exported.folder)!r}, 'das haus ist klein', 'the house is small']\n"
        f"runpy.run_path({str(script)!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", forbid], capture_output=True, text=True, check=True)
    first, *links = done.stdout.splitlines()
    with torch.inference_mode():
        vectors = original.encode_sentences(
            original.tokenize([["das", "haus", "ist", "klein"], ["the", "house", "is", "small"]])
        )
    assert float(first.split()[1]) == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-3)
    assert links
    assert all(len(link.split("\t")) == 3 for link in links)
    assert len(script.read_text().splitlines()) < 60
    assert np.isfinite([float(link.split("\t")[2]) for link in links]).all()
    words = [sys.executable, str(script), str(exported.folder), "haus " * 200, "house"]
    refused = subprocess.run(words, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert f"204 subwords, and the encoder takes {original.max_tokens}" in refused.stderr


def test_noisy_layers_are_kept_apart(original: TorchEncoder, exported: ExportReport, tmp_path: Path) -> None:
    tokens = original.tokenize(SENTENCES)
    feed = {"input_ids": tokens.ids.numpy(), "attention_mask": tokens.attention.long().numpy()}
    noise: list[float] = []

    def rounding(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        (values,) = inputs
        step = (values.max() - values.min()) / 255
        noise.append(float(step.square() / 12 / values.square().mean()))

    hooks = [
        m.register_forward_pre_hook(rounding)
        for m in original.model.modules()
        if isinstance(m, torch.nn.Linear)
    ]
    with torch.inference_mode():
        original.hidden_states(tokens, layers=[-1])
    for hook in hooks:
        hook.remove()
    assert len(noise) == 12
    levels = sorted(set(noise))  # query, key and value read the same input
    limit = (levels[-3] + levels[-2]) / 2
    apart = sum(value > limit for value in noise)
    _int8(noise=limit)(exported.folder / "model.onnx", tmp_path / "small.onnx", feed)
    nodes = [node.op_type for node in onnx.load(str(tmp_path / "small.onnx")).graph.node]
    assert 2 <= apart < 12
    assert nodes.count("MatMulNBits") == apart
    assert nodes.count("MatMulInteger") == 12 - apart


def test_onnx_runtime_fuses_what_costs_time(exported: ExportReport, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(
        str(exported.folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    kinds = [node.op_type for node in onnx.load(str(tmp_path / "optimised.onnx")).graph.node]
    gelus = kinds.count("Gelu") + kinds.count("BiasGelu")
    assert gelus == 2, "one for each layer"
    assert "Erf" not in kinds
    assert "IsNaN" not in kinds


def test_the_graph_runs_on_the_gpu_that_was_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a machine that this one is not: what ONNX Runtime is asked for, not what it does."""
    there = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
    for device, number in (("auto", 0), ("cuda", 0), ("cuda:1", 1)):
        assert onnx_encoder._providers(device)[0] == ("CUDAExecutionProvider", {"device_id": number})
    assert onnx_encoder._providers("cpu") == ["CPUExecutionProvider"]
    with pytest.raises(ConfigError, match="unknown device 'cuda:x'"):
        onnx_encoder._providers("cuda:x")
