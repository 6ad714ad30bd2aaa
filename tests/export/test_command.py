"""`otkit export` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from otkit.cli.export import export
from otkit.encoders.checkpoint import open_encoder
from otkit.encoders.encoder import TorchEncoder
from otkit.errors import CheckpointError, ConfigError, InputError
from otkit.export.onnx import ExportReport

app = typer.Typer()
app.command()(export)


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def saved(tiny_encoder: TorchEncoder, tmp_path: Path) -> Path:
    tiny_encoder.save(tmp_path / "model")
    return tmp_path / "model"


def test_trimmed_gguf_with_another_layer(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text("das haus\tthe house\n", encoding="utf-8")
    out = run(
        saved, "-o", tmp_path / "out", "--to", "gguf", "--gguf-type", "f16", "--layer", "-1", "--quiet",
        "--trim-vocab", tmp_path / "corpus.txt", "--json", tmp_path / "figures.json",
    )  # fmt: skip
    assert "pieces" in out
    encoder = open_encoder(tmp_path / "out", device="cpu")
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert encoder.settings.alignment_layers == (2,)
    assert figures["bytes"] == sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    assert figures["trim"]["pieces_after"] == encoder.subwords.backend.get_vocab_size()
    assert figures["trim"]["pieces_after"] < figures["trim"]["pieces_before"]


def test_wrong_calls_are_named(saved: Path, exported: ExportReport, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="unknown export target 'gguff'; did you mean 'gguf'"):
        run(saved, "-o", out, "--to", "gguff")
    with pytest.raises(ConfigError, match="--quantize is for ONNX"):
        run(saved, "-o", out, "--to", "gguf", "--quantize", "int8")
    with pytest.raises(ConfigError, match="unknown quantisation 'int9'"):
        run(saved, "-o", out, "--quantize", "int9")
    with pytest.raises(ConfigError, match="an ONNX folder is already exported"):
        run(exported.folder, "-o", out)
    with pytest.raises(CheckpointError, match="no such file or folder"):
        run("./nothing/here", "-o", out)
    (tmp_path / "bad.txt").write_bytes(b"das\xff\n")
    with pytest.raises(InputError, match=r"bad\.txt:1"):
        run(saved, "-o", out, "--to", "gguf", "--trim-vocab", tmp_path / "bad.txt")
    assert not out.exists()
