"""`otkit.export`, `otkit.embed`, `otkit.search`: the examples of their docstrings, and what Python users rely on."""

from __future__ import annotations

import dataclasses
import doctest
import inspect
from pathlib import Path

import numpy as np
import pytest

import otkit
from otkit.encoders.encoder import EncoderSettings
from otkit.encoders.open import open_encoder
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, OtkitError, OutputError
from otkit.exports import folders, gguf, quantize
from otkit.exports import settings as export_settings
from otkit.exports.settings import ExportSettings
from otkit.resources import sample_data
from otkit.settings import declared
from otkit.vectors import embedder, index, shards
from otkit.vectors import settings as vector_settings
from otkit.vectors.settings import EmbeddingSettings


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with the sample data in it."""
    (tmp_path / "sample_data").symlink_to(sample_data())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_examples_of_the_docstrings_run(workplace: Path) -> None:
    """In one folder, the search after the embedding that it asks."""
    runner = doctest.DocTestRunner()
    for function in (otkit.open_encoder, otkit.export, otkit.embed, otkit.search):
        found = doctest.DocTestFinder(recurse=False).find(function, function.__name__, globs={})
        assert found[0].examples
        runner.run(found[0])
    assert runner.summarize().failed == 0


def test_an_open_encoder_is_left_as_it_is(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    tiny_encoder.settings = EncoderSettings((1,))
    said: list[str] = []
    made = otkit.export(
        tiny_encoder, "gguf", output=tmp_path / "out", layers=[-1], gguf_type="f16", on_progress=said.append
    )
    assert tiny_encoder.settings.alignment_layers == (1,)
    assert (made.encoder.alignment_layers, made.settings.gguf_type) == ((2,), "f16")
    assert otkit.open_encoder(made.folder, device="cpu").settings == made.encoder
    assert said == ["writing for gguf"]
    assert made.to_dict()["export_settings"]["layers"] == [-1]
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.bytes = 0  # type: ignore[misc]


def test_wrong_keywords_name_the_nearest(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for call, message in (
        (lambda: otkit.export(tiny_encoder, "onnx", output=out, quantise="int8"), "did you mean 'quantize'"),
        (lambda: otkit.export(tiny_encoder, "gguff", output=out), "did you mean 'gguf'"),
        (lambda: otkit.export(tiny_encoder, "gguf", output=out, quantize="int8"), "about onnx and web alone"),
        (lambda: otkit.embed([], encoder=tiny_encoder, output=out), "there is no text to embed"),
        (lambda: otkit.embed("x.tsv", encoder=tiny_encoder, output=out, indx="flat"), "did you mean 'index'"),
        (lambda: otkit.embed("-", encoder=tiny_encoder, output=out, resume=True), "cannot be read again"),
        (lambda: otkit.embed("x", encoder=tiny_encoder, output=out, engine="ray"), "give its folder"),
    ):
        with pytest.raises(ConfigError, match=message):
            call()
    assert not out.exists()


def test_every_form_of_files_gives_the_same_vectors(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    sides = [tmp_path / "c.de", tmp_path / "c.en"]
    for side, text in zip(sides, ("das haus\nein haus\n", "the house\na house\n"), strict=True):
        side.write_text(text, encoding="utf-8")
    both = tmp_path / "c.de-en.tsv"
    both.write_text("das haus\tthe house\nein haus\ta house\n", encoding="utf-8")
    made = [
        otkit.embed(files, encoder=tiny_encoder, output=tmp_path / name, index="none", shards="npy")
        for name, files in (("one", both), ("list", [str(both)]), ("pair", [tuple(sides)]))
    ]
    first, *rest = (np.concatenate(list(each.vectors.blocks())) for each in made)
    assert all(np.array_equal(first, other) for other in rest)
    assert [row.language for row in made[2].vectors.rows(range(4))] == ["de", "en"] * 2
    answers = otkit.search(tmp_path / "one", ["the house", "ein haus"], k=1, encoder=tiny_encoder)
    assert [answer.hits[0].row.text for answer in answers] == ["the house", "ein haus"]
    again = otkit.embed(
        both, encoder=tiny_encoder, output=tmp_path / "one", index="none", shards="npy", resume=True
    )
    assert again.made_before


def test_vectors_remember_where_their_encoder_lies(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    tiny_encoder.save(tmp_path / "model")
    (tmp_path / "text.de").write_text("das haus\nein haus\n", encoding="utf-8")
    encoder = otkit.open_encoder(tmp_path / "model", device="cpu")
    assert otkit.open_encoder(encoder) is encoder
    otkit.embed(tmp_path / "text.de", encoder=encoder, output=tmp_path / "v", index="none", shards="npy")
    (answer,) = otkit.search(tmp_path / "v", "ein haus", device="cpu")
    assert len(answer.hits) == 2
    assert answer.hits[0].row.text == "ein haus"
    with pytest.raises(OtkitError, match="there is no question"):
        otkit.search(tmp_path / "v", [], device="cpu")
    with pytest.raises(ConfigError, match="received 0; give a whole number of at least 1"):
        otkit.search(tmp_path / "v", "x", k=0, device="cpu")


def test_the_names_of_settings_are_those_of_what_acts_on_them() -> None:
    assert {*folders.FOLDERS, "onnx", "web"} == set(export_settings.TARGETS)
    assert set(quantize.RECIPES) == set(export_settings.QUANTISATIONS)
    assert set(gguf.GGUF_TYPES) == set(export_settings.GGUF_TYPES)
    assert {*shards.SHARDS, "auto"} == set(vector_settings.SHARDS)
    assert set(shards.DTYPES) == set(vector_settings.DTYPES)
    assert {*index._BUILDERS, "none"} == set(vector_settings.INDEXES)
    assert embedder.UNITS is vector_settings.UNITS


@pytest.mark.parametrize(
    ("function", "settings"), [(otkit.export, ExportSettings), (otkit.embed, EmbeddingSettings)]
)
def test_a_docstring_names_every_setting(function: object, settings: type) -> None:
    text = inspect.getdoc(function) or ""
    assert all(name in text for name in declared(settings))


def test_an_open_encoder_is_not_exported_over_itself(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    tiny_encoder.save(tmp_path / "own")
    before = (tmp_path / "own" / "model.safetensors").read_bytes()
    opened = open_encoder(tmp_path / "own", device="cpu")
    with pytest.raises(OutputError, match="input of this run"):
        otkit.export(opened, "gguf", output=tmp_path / "own")
    assert (tmp_path / "own" / "model.safetensors").read_bytes() == before
