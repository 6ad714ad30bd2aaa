"""Exports of a tiny encoder, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from otkit.data.parallel import Pair
from otkit.encoders.encoder import EncoderSettings
from otkit.encoders.torch import TorchEncoder
from otkit.exports.onnx import ExportReport, export_onnx
from tests.conftest import make_tiny_encoder

TEXTS = [
    ("das haus ist klein .", "the house is small ."),
    ("ein haus !", "a house !"),
    ("die katze schläft , und der hund bellt", "the cat sleeps , and the dog barks"),
    ("x", "y"),
]
PAIRS = {"de": [Pair(source, target, line) for line, (source, target) in enumerate(TEXTS, 1)]}


@pytest.fixture(scope="session")
def original() -> TorchEncoder:
    """The tiny encoder that the exports were made from, with two alignment layers and a prefix."""
    encoder = make_tiny_encoder()
    encoder.settings = EncoderSettings((1, 2), prefix="q : ")
    return encoder


@pytest.fixture(scope="session")
def exported(original: TorchEncoder, tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    folder = tmp_path_factory.mktemp("export") / "onnx"
    return export_onnx(original, folder, pairs=PAIRS, metadata={"note": "kept"})


@pytest.fixture
def folder(exported: ExportReport, tmp_path: Path) -> Path:
    """A copy of the exported folder, to be spoilt."""
    import shutil

    return Path(shutil.copytree(exported.folder, tmp_path / "onnx"))
