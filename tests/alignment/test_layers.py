"""The agreement of hidden states without gold: known answers, a curve that finds the middle of the stack, and a choice
that is made once."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import otkit.alignment.layer_choice as layer_choice
import otkit.alignment.layers as layers
from otkit.alignment.aligner import WordAligner
from otkit.alignment.layer_choice import (
    CHOICE,
    LayerChoice,
    choose_layer,
    kept_choice,
    layers_of,
    stated_choice,
)
from otkit.alignment.layers import CHOOSES, MEASURES, Texts, layer_curves, read_texts, sample_texts
from otkit.alignment.settings import AlignmentSettings
from otkit.api.align import Aligner
from otkit.cli.app import app
from otkit.encoders.encoder import SETTINGS_FILE, EncoderSettings
from otkit.encoders.measured import clear_measured, every_measured, keep_measured, measured_file
from otkit.encoders.open import open_encoder
from otkit.encoders.pooling import Encoded
from otkit.encoders.sentences import encode_words
from otkit.encoders.torch import TorchEncoder
from otkit.errors import InputError
from otkit.resources import sample_data

PAIRS = [
    ("das haus ist klein .", "the house is small ."),
    ("ein haus", "a house"),
    ("x", "is the house small ?"),
    ("der hund schläft heute", "the dog sleeps"),
    ("die katze", "the cat"),
]
TEXTS: Texts = {"de-en": [(source.split(), target.split()) for source, target in PAIRS]}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *a, **k: str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_shares_are_those_counted_one_by_one(
    tiny_encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "_BATCH", 2)
    done: list[int] = []
    curve = layer_curves(tiny_encoder, TEXTS, ("mutual",), progress=done.append)["mutual"]
    assert done == [2, 4, 5]
    for layer, found in enumerate(curve):
        shares = []
        for pair in TEXTS["de-en"]:
            with torch.inference_mode():
                x, y = (
                    encode_words(tiny_encoder, [words], layers=[layer], prefix="")[0].vectors[0]
                    for words in pair
                )
            cosine = torch.nn.functional.cosine_similarity(x[:, None], y[None], dim=-1).numpy()
            links = [
                (n, m)
                for n, m in np.ndindex(*cosine.shape)
                if cosine[n].argmax() == m and cosine[:, m].argmax() == n
            ]
            shares.append(2 * len(links) / sum(cosine.shape))
        assert np.mean(shares) == pytest.approx(found, abs=1e-9)


def clouds(words: int, width: int = 16) -> tuple[Encoded, Encoded, Encoded]:
    """Four sentences of words that are all unlike, their translations, which are the same, and others."""
    draw = torch.Generator().manual_seed(0)
    vectors = torch.randn(4, words, width, generator=draw)
    mask = torch.ones(4, words, dtype=torch.bool)
    return Encoded(vectors, mask), Encoded(vectors.clone(), mask), Encoded(vectors.roll(-1, 0), mask)


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_is_highest_where_translations_are_the_same(name: str) -> None:
    measure = MEASURES[name]
    source, same, other = clouds(6)
    noise = torch.randn(same.vectors.shape, generator=torch.Generator().manual_seed(1))
    steps = [
        measure(source, same.with_vectors(same.vectors + far * noise), other).mean() for far in (0, 1, 30)
    ]
    assert steps[0] > steps[2]
    assert steps[0] >= steps[1] >= steps[2] - 0.05
    one = {"nearest": 1.0, "mutual": 1.0, "centred": 1.0, "sentences": 1.0}
    if name in one:
        assert steps[0].item() == one[name]
    # What stands at padding does not count.
    wide = [torch.nn.functional.pad(side.vectors, (0, 0, 0, 3), value=7.0) for side in (source, same, other)]
    mask = torch.nn.functional.pad(source.mask, (0, 3))
    padded = [Encoded(vectors * mask[..., None], mask) for vectors in wide]
    torch.testing.assert_close(
        measure(*padded).double(), measure(source, same, other).double(), rtol=1e-3, atol=1e-3
    )


def test_the_other_measures_have_their_known_answers() -> None:
    source, same, other = clouds(5)
    found = MEASURES["cost"](source, other, other)
    assert found.tolist() == pytest.approx([0.0] * 4, abs=1e-6), "a translation as dear as any other sentence"
    assert bool((MEASURES["cost"](source, same, other) > 0.5).all())
    crossed = MEASURES["sentences"](source, other, other)
    assert crossed.tolist() == [0.0] * 4, "another sentence is nearer than the translation"
    for name in ("share", "certainty"):
        assert bool((MEASURES[name](source, same, other) <= 1 + 1e-6).all())


def test_layers_in_groups_are_averaged_and_languages_weigh_alike(tiny_encoder: TorchEncoder) -> None:
    two: Texts = {"a-en": TEXTS["de-en"][:1], "b-en": TEXTS["de-en"][1:]}
    curve = layer_curves(tiny_encoder, two, ("mutual", "share"), layers=[[0], [1, 2], [-1]])
    assert {name: len(values) for name, values in curve.items()} == {"mutual": 3, "share": 3}
    alone = [
        layer_curves(tiny_encoder, {name: pairs}, ("mutual",))["mutual"][0] for name, pairs in two.items()
    ]
    assert curve["mutual"][0] == pytest.approx(sum(alone) / 2)
    assert curve["mutual"][2] == layer_curves(tiny_encoder, two, ("mutual",))["mutual"][2]


def test_a_choice_is_made_once_and_kept(
    tiny_encoder: TorchEncoder, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    measured: Callable[..., dict[str, list[float]]] = layer_curves

    def counted(*given: object, **more: object) -> dict[str, list[float]]:
        calls.append(1)
        return measured(*given, **more)

    monkeypatch.setattr(layer_choice, "layer_curves", counted)
    assert kept_choice(tiny_encoder) is None
    first = choose_layer(tiny_encoder)
    assert first.layer in (1, 2), "embeddings know no context"
    assert first.shares[first.layer] == max(first.shares[1:])
    assert (first.pairs, first.languages) == (sum(map(len, sample_texts().values())), 10)
    assert choose_layer(tiny_encoder) == first == kept_choice(tiny_encoder)
    assert len(calls) == 1
    assert choose_layer(tiny_encoder, TEXTS) != first, "of another text"
    assert len(calls) == 2
    kept = measured_file(first.key)
    kept.write_text('{"layer": 99', encoding="utf-8")
    assert {(each.encoder, each.what == "") for each in every_measured()} == {
        ("tiny", False),
        ("damaged", True),
    }
    assert choose_layer(tiny_encoder) == first, "a damaged file is made anew"
    assert len(calls) == 3
    assert {each.file: each.what for each in every_measured()}[kept] == f"layer {first.layer}, chosen"
    size = sum(file.stat().st_size for file in (cache / "measured").iterdir())
    assert (clear_measured(), every_measured()) == (size, [])
    next(iter(tiny_encoder.model.parameters())).data.mul_(1.5)
    assert choose_layer(tiny_encoder).key != first.key, "other weights"
    assert len(calls) == 4


def test_without_a_cache_folder_it_is_measured_each_time(
    tiny_encoder: TorchEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *a, **k: str(tmp_path / "file" / "cache"))
    assert choose_layer(tiny_encoder, TEXTS) == choose_layer(tiny_encoder, TEXTS)


def test_auto_is_the_layer_that_was_chosen(tiny_encoder: TorchEncoder) -> None:
    notes: list[str] = []
    first = Aligner(tiny_encoder, layers="auto", on_note=notes.append)
    Aligner(tiny_encoder, layers="auto", on_note=notes.append)
    assert notes == ["measuring which hidden state of tiny aligns best, once"]
    choice = choose_layer(tiny_encoder)
    assert first.layers == layers_of(tiny_encoder, "auto") == (choice.layer,)
    assert layers_of(tiny_encoder, None) == tiny_encoder.settings.alignment_layers
    assert layers_of(tiny_encoder, (-1, 0)) == (2, 0)
    aligner = WordAligner(tiny_encoder, AlignmentSettings(layers="auto"))
    assert aligner.layers == aligner.config.layers == (choice.layer,)
    found = list(aligner.align(TEXTS["de-en"]))
    named = list(WordAligner(tiny_encoder, AlignmentSettings(layers=(choice.layer,))).align(TEXTS["de-en"]))
    assert [each.pharaoh for each in found] == [each.pharaoh for each in named]


def test_the_folder_of_an_encoder_may_hold_its_choice(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    choice = choose_layer(tiny_encoder, TEXTS)
    tiny_encoder.settings = EncoderSettings((choice.layer,))
    tiny_encoder.save(tmp_path / "model", {CHOICE: asdict(choice)})
    again = open_encoder(tmp_path / "model", device="cpu")
    assert stated_choice(again) == choice
    assert again.settings.alignment_layers == (choice.layer,)
    result = CliRunner().invoke(app, ["info", str(tmp_path / "model"), "--json", str(tmp_path / "info.json")])
    assert result.exit_code == 0, result.output
    facts = json.loads((tmp_path / "info.json").read_text())["model"]
    assert facts["alignment layers"] == f"{choice.layer} ({choice.reason})"
    assert facts["layer auto"] == "not measured yet"
    document = json.loads((tmp_path / "model" / SETTINGS_FILE).read_text(encoding="utf-8"))
    for damaged in ({**document, CHOICE: None}, {**document, CHOICE: {"layer": "x"}}, {}):
        (tmp_path / "model" / SETTINGS_FILE).write_text(json.dumps(damaged), encoding="utf-8")
        assert stated_choice(open_encoder(tmp_path / "model", device="cpu")) is None


def test_a_file_without_pairs_is_named(tmp_path: Path) -> None:
    (tmp_path / "no.tsv").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"no\.tsv"):
        read_texts(tmp_path / "no.tsv")


def test_info_shows_where_the_sample_encoder_agrees_best(tmp_path: Path) -> None:
    text = (sample_data() / "parallel" / "de-en.dev.tsv").read_text(encoding="utf-8").splitlines()[:8]
    file, out = tmp_path / "de-en.tsv", tmp_path / "info.json"
    file.write_text("\n".join(text), encoding="utf-8")
    result = CliRunner().invoke(app, ["info", "--layers", str(file), "--json", str(out), "--quiet"])
    assert result.exit_code == 0, result.output
    rows = json.loads(out.read_text())["layers"]
    assert [row["layer"] for row in rows] == list(range(13))
    assert all(set(MEASURES) < set(row) and not any(map(math.isnan, row.values())) for row in rows)
    best = max(rows, key=lambda row: row[CHOOSES])
    assert 5 <= best["layer"] <= 9, "not the spelling, and not the task of training"
    assert "auto" in result.output


def test_a_choice_of_another_stack_is_not_taken(tiny_encoder: TorchEncoder) -> None:
    choice = choose_layer(tiny_encoder)
    wrong: LayerChoice = replace(choice, layer=7)
    keep_measured(choice.key, tiny_encoder, "layer 7", asdict(wrong))
    assert choose_layer(tiny_encoder) == choice
