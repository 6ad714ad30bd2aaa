"""`otkit export` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from otkit.cli.app import app
from otkit.encoders.open import open_encoder
from otkit.encoders.torch import TorchEncoder
from otkit.exports.onnx import ExportReport
from otkit.files import MARKER


def run(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["export", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stderr if code else result.stdout


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
    assert figures["bytes"] == sum(
        path.stat().st_size for path in (tmp_path / "out").iterdir() if path.name != MARKER
    )
    assert figures["trim"]["pieces_after"] == encoder.subwords.backend.get_vocab_size()
    assert figures["trim"]["pieces_after"] < figures["trim"]["pieces_before"]


def test_wrong_calls_are_named(saved: Path, exported: ExportReport, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "--to: unknown to 'gguff'; did you mean 'gguf'" in run(saved, "-o", out, "--to", "gguff", code=2)
    wrong = run(saved, "-o", out, "--to", "gguf", "--quantize", "int8", code=2)
    assert "--quantize: received 'int8', which is about onnx and web alone" in wrong
    assert "--quantize: unknown quantize 'int9'" in run(saved, "-o", out, "--quantize", "int9", code=2)
    assert "an ONNX folder is already exported" in run(exported.folder, "-o", out, code=2)
    assert "no such file or folder" in run("./nothing/here", "-o", out, code=1)
    (tmp_path / "bad.txt").write_bytes(b"das\xff\n")
    assert "bad.txt:1" in run(saved, "-o", out, "--to", "gguf", "--trim-vocab", tmp_path / "bad.txt", code=1)
    assert not out.exists()
