"""Encoders that cannot be of use are refused where they are opened; what overflows later, where it is computed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from typer.testing import CliRunner

from otkit.alignment.aligner import WordAligner
from otkit.cli.app import app
from otkit.encoders.device import autocast
from otkit.encoders.onnx import OnnxEncoder
from otkit.encoders.open import open_encoder
from otkit.encoders.sentences import encode_sentences, encode_words
from otkit.encoders.soundness import check_states, check_weights
from otkit.encoders.torch import TorchEncoder
from otkit.errors import CheckpointError, ExportError
from otkit.exports.folders import export_folder
from otkit.exports.onnx import export_onnx
from otkit.files import sha256_of
from tests.conftest import make_tiny_encoder
from tests.exports.conftest import PAIRS

NAN, INFINITY = float("nan"), float("inf")
PAIR = (("das", "haus", "ist", "klein"), ("the", "house", "is", "small"))


def set_value(name: str, value: float) -> Callable[[TorchEncoder], object]:
    def change(encoder: TorchEncoder) -> None:
        encoder.model.get_parameter(name).flatten()[-1] = value

    return change


def scale(factor: float, *names: str) -> Callable[[TorchEncoder], object]:
    def change(encoder: TorchEncoder) -> None:
        for name, weight in encoder.model.named_parameters():
            if not names or name in names:
                weight.mul_(factor)

    return change


WORDS, NORM = "embeddings.word_embeddings.weight", "encoder.layer.1.output.LayerNorm"
DEEP = "encoder.layer.1.output.dense.weight"
BAD: dict[str, tuple[Callable[[TorchEncoder], object], str]] = {
    "NaN in the words": (
        set_value(WORDS, NAN),
        rf"the tensor '{WORDS}' has 1 values that are not finite, the first is nan at \[109, 31\]",
    ),
    "infinity in the last layer": (
        set_value(DEEP, -INFINITY),
        rf"the tensor '{DEEP}' .* is -inf at \[31, 63\]",
    ),
    "NaN in a bias": (set_value(f"{NORM}.bias", NAN), rf"the tensor '{NORM}.bias' .* nan at \[31\]"),
    "all zero": (
        scale(0.0),
        rf"hidden state 0 is the same for all words: \d+ of its \d+ weight tensors are all zero, .* '{WORDS}'",
    ),
    "all denormal": (scale(1e-41), rf"hidden state 0 is the same for all words: .* the first is '{WORDS}'"),
    "words all zero": (scale(0.0, WORDS), rf"hidden state 0 .*: 1 of its \d+ weight tensors .* is '{WORDS}'"),
    "words too small": (
        scale(1e-25, WORDS),
        "hidden state 0 is the same for all words; its weights are lost",
    ),
    "an upper norm all zero": (
        scale(0.0, f"{NORM}.weight"),
        rf"hidden state 2 is the same for all words: 1 of .* '{NORM}.weight'",
    ),
    "too large for fp32": (
        scale(1e38),
        "its hidden state 0 has values that are not finite.*damaged or too large",
    ),
}


def spoilt(folder: Path, change: Callable[[TorchEncoder], object]) -> Path:
    encoder = make_tiny_encoder()
    with torch.no_grad():
        change(encoder)
    encoder.save(folder)
    return folder


@pytest.mark.parametrize("kind", BAD)
def test_a_torch_encoder_without_sound_weights_does_not_open(kind: str, tmp_path: Path) -> None:
    change, message = BAD[kind]
    folder = spoilt(tmp_path / "spoilt", change)
    with pytest.raises(CheckpointError, match=message) as caught:
        open_encoder(folder, device="cpu")
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY])
@pytest.mark.parametrize("place", [0, 500, -1])
def test_one_bad_value_anywhere_is_found(dtype: torch.dtype, value: float, place: int) -> None:
    module = torch.nn.Module()
    module.register_parameter(
        "fine", torch.nn.Parameter(torch.full((3,), torch.finfo(dtype).max, dtype=dtype))
    )
    module.register_buffer("count", torch.arange(3))
    module.register_buffer("nothing", torch.zeros(0, dtype=dtype))
    check_weights(module, "here")  # the largest numbers are finite, though their sum is not
    table = torch.linspace(-1, 1, 1001, dtype=torch.float32).to(dtype)
    table[place] = value
    module.register_buffer("table", table)
    with pytest.raises(
        CheckpointError, match=rf"here: the tensor 'table' has 1 values .* at \[{place % 1001}\]"
    ):
        check_weights(module, "here")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graph") / "onnx"
    encoder = make_tiny_encoder()
    export_onnx(encoder, folder, pairs=PAIRS)
    return folder


def spoil_graph(folder: Path, target: Path, change: Callable[[np.ndarray], object], which: int) -> Path:
    """A copy of an exported folder with one matrix changed, and the manifest made to agree."""
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    file = target / "model.onnx"
    model = onnx.load(str(file))
    matrices = [
        tensor for tensor in model.graph.initializer if len(tensor.dims) == 2 and tensor.data_type == 1
    ]
    values = numpy_helper.to_array(matrices[which]).copy()
    change(values)
    matrices[which].CopyFrom(numpy_helper.from_array(values, matrices[which].name))
    onnx.save(model, str(file))
    manifest = json.loads((target / "manifest.json").read_text())
    manifest["files"]["model.onnx"].update(bytes=file.stat().st_size, sha256=sha256_of(file))
    (target / "manifest.json").write_text(json.dumps(manifest))
    return target


@pytest.mark.parametrize(
    ("which", "change", "message"),
    [
        (0, lambda words: words.fill(NAN), "its token_states has values that are not finite"),
        (-1, lambda last: last.fill(NAN), "its sentence_vector has values that are not finite"),
        (0, lambda words: words.fill(0), "its token_states is the same for all words"),
    ],
)
def test_a_graph_without_sound_weights_does_not_open(
    which: int, change: Callable[[np.ndarray], object], message: str, graph: Path, tmp_path: Path
) -> None:
    folder = spoil_graph(graph, tmp_path / "spoilt", change, which)
    with pytest.raises(CheckpointError, match=message) as caught:
        open_encoder(folder, device="cpu")
    assert str(folder) in str(caught.value)


def test_a_word_of_a_graph_that_is_not_finite_is_refused_when_it_comes(graph: Path, tmp_path: Path) -> None:
    house = make_tiny_encoder().subwords.pieces(["house"])[0][0]
    folder = spoil_graph(graph, tmp_path / "spoilt", lambda words: words[house].fill(INFINITY), 0)
    encoder = open_encoder(folder, device="cpu")  # a trial of a few pieces cannot see every word
    assert isinstance(encoder, OnnxEncoder)
    message = "spoilt: hidden state 1 has values that are not finite"
    with pytest.raises(CheckpointError, match=message):
        list(WordAligner(encoder).align([PAIR]))
    with pytest.raises(CheckpointError, match=message):
        encode_words(encoder, [["the", "house"]], layers=[1])
    with pytest.raises(CheckpointError, match="spoilt: a sentence vector has values that are not finite"):
        encode_sentences(encoder, [["the", "house"]])


def large_activations(encoder: TorchEncoder) -> None:
    """Finite in fp32, and past what fp16 can hold inside the first layer."""
    encoder.model.get_parameter("encoder.layer.0.intermediate.dense.weight").mul_(1e5)


def test_overflow_in_half_precision_names_encoder_layer_and_cure(tmp_path: Path) -> None:
    encoder = open_encoder(spoilt(tmp_path / "large", large_activations), device="cpu")
    assert list(WordAligner(encoder.in_precision("bf16")).align([PAIR]))
    message = r"large: hidden state 1, in fp16, has values that are not finite .* compute in fp32 or bf16"
    with pytest.raises(CheckpointError, match=message):
        list(WordAligner(encoder.in_precision("fp16")).align([PAIR]))
    with autocast(torch.device("cpu"), "fp16"), torch.inference_mode():
        with pytest.raises(CheckpointError, match=message):
            encode_words(encoder, [PAIR[0]], layers=[1])
        with pytest.raises(CheckpointError, match="large: a sentence vector, in fp16, has values"):
            encode_sentences(encoder, [PAIR[0]])


def test_a_gguf_file_that_cannot_hold_the_numbers_is_not_written(tmp_path: Path) -> None:
    encoder = make_tiny_encoder()
    with torch.no_grad():
        encoder.model.get_parameter(DEEP)[3, 3] = 1e8
    for kind in ("f16", "q8_0", "q4_0"):
        with pytest.raises(ExportError, match=rf"the tensor '{DEEP}' has numbers that {kind} cannot hold"):
            export_folder(encoder, tmp_path / "gguf", to="gguf", gguf_type=kind)
    assert not list(tmp_path.iterdir())
    export_folder(encoder, tmp_path / "gguf", to="gguf", gguf_type="f32")
    check_states(open_encoder(tmp_path / "gguf", device="cpu"), "here")


COMMANDS = {
    **{
        f"{command} {transport}": (*words, "--transport", transport, "--model", "MODEL")
        for transport in ("unbalanced", "balanced", "semi", "partial", "exact", "fgw", "none")
        for command, words in (
            ("extract", ("extract", "TEXT", "--output", "OUT/a")),
            ("show-alignment", ("show-alignment", "das haus", "the house")),
        )
    },
    **{
        f"embed {index} {unit}": (
            *("embed", "TEXT", "--model", "MODEL", "--output", "OUT/v"),
            *("--index", index, "--unit", unit),
        )
        for index in ("flat", "hnsw", "ivf", "none")
        for unit in ("sentence", "word")
    },
    "search": ("search", "VECTORS", "das haus", "--model", "MODEL"),
    "check": ("check", "TEXT", "--model", "MODEL"),
    "report": ("report", "TEXT", "--model", "MODEL", "--output", "OUT/r"),
    "word-alignment": ("evaluate", "word-alignment", "--gold", "GOLD", "--model", "MODEL"),
    "retrieval": ("evaluate", "retrieval", "TEXT", "--model", "MODEL"),
    "word-retrieval": ("evaluate", "word-retrieval", "TEXT", "--model", "MODEL"),
    "baseline": ("evaluate", "retrieval", "TEXT", "--model", "SOUND", "--baseline", "MODEL"),
    "compare": ("show-alignment", "das haus", "the house", "--model", "SOUND", "--compare", "MODEL"),
    "align": ("align", "TEXT", "--model", "MODEL", "--output", "OUT/r", "--steps", "1"),
    **{
        f"export {to}": ("export", "MODEL", "--to", to, "--output", "OUT/e")
        for to in ("onnx", "transformers", "sentence-transformers", "gguf")
    },
    "info": ("info", "MODEL"),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, graph: Path) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("commands")
    places = {name: root / name for name in ("OUT", "SOUND", "VECTORS")}
    places |= {"TEXT": root / "de-en.tsv", "GOLD": root / "de-en.gold.tsv"}
    places["TEXT"].write_text("das haus ist klein .\tthe house is small .\nein haus\ta house\n" * 3)
    places["GOLD"].write_text("das haus\tthe house\t1-1 2-2\n")
    make_tiny_encoder().save(places["SOUND"])
    vectors = ("embed", places["TEXT"], "--model", places["SOUND"], "--output", places["VECTORS"], "--quiet")
    assert CliRunner().invoke(app, list(map(str, vectors))).exit_code == 0
    for name in ("NaN in the words", "all zero"):
        places[name] = spoilt(root / name.replace(" ", "-"), BAD[name][0])
    places["NaN in a graph"] = spoil_graph(graph, root / "graph", lambda words: words.fill(NAN), 0)
    return places


@pytest.mark.parametrize(
    "model",
    [
        "NaN in the words",
        pytest.param("all zero", marks=pytest.mark.slow),
        pytest.param("NaN in a graph", marks=pytest.mark.slow),
    ],
)
def test_no_command_uses_it(
    model: str, places: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command ends with the one error, before it writes anything."""
    monkeypatch.chdir(tmp_path)  # where evaluations go by default
    before = {path: path.stat().st_mtime_ns for path in places["VECTORS"].iterdir()}
    for name, words in COMMANDS.items():
        line = []
        for word in words:
            head, _, tail = word.replace("MODEL", model if "MODEL" in word else "MODEL").partition("/")
            line.append(str(places[head] / tail) if head in places else word)
        result = CliRunner().invoke(app, line)
        assert result.exit_code == CheckpointError.exit_code, (name, result.output, result.exception)
        assert result.stderr.splitlines()[-1].startswith(f"error: {places[model]}"), (name, result.stderr)
        assert not result.stdout, name
        left = [path for path in places["OUT"].rglob("*") if path.is_file()] if places["OUT"].exists() else []
        assert not left, name
    assert before == {path: path.stat().st_mtime_ns for path in places["VECTORS"].iterdir()}
