"""The model card says what was done: as it is recorded, and as it was computed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from torch import Tensor

from otkit import __version__
from otkit.data.parallel import open_corpus
from otkit.data.settings import BatchingSettings
from otkit.data.views import MixedCorpus
from otkit.encoders.torch import TorchEncoder
from otkit.recipes import recipe_names
from otkit.training import link_losses, transport_losses
from otkit.training.card import described, model_card, portable_name
from otkit.training.recipe import Recipe
from otkit.training.run import align_encoder
from otkit.training.settings import ObjectiveSettings, TrainingSettings, TuningSettings
from otkit.training.supervision import GivenLinks
from otkit.transport import divergence
from otkit.transport.plan import Plan
from tests.training.support import TEXT, Silent


def rows_of(card: str) -> dict[str, str]:
    """The table of settings."""
    table = card.partition("| setting | value |")[2].partition("Trained on")[0]
    return dict(re.findall(r"^\| (.+?) \| (.+?) \|$", table, flags=re.MULTILINE))


def front_of(card: str) -> dict[str, Any]:
    """The front matter as the Hub reads it."""
    return ModelCard(card, ignore_metadata_errors=False).data.to_dict()


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_trains_and_its_card_is_what_was_recorded_and_done(
    tmp_path: Path, tiny_encoder: TorchEncoder, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    solved: list[Plan] = []

    def noted(*arguments: Tensor, **settings: Any) -> Plan:
        solved.append(plain(*arguments, **settings))
        return solved[-1]

    plain = transport_losses.sinkhorn
    for module in (transport_losses, link_losses, divergence):
        monkeypatch.setattr(module, "sinkhorn", noted)
    recipe = Recipe.read(name)
    (tmp_path / "de-en.tsv").write_text(TEXT, encoding="utf-8")
    corpora = [open_corpus(tmp_path / "de-en.tsv")]
    settings = replace(
        recipe,
        objective=replace(recipe.objective, layers=(-1,)),
        batching=replace(recipe.batching, batch_size=3, pairs_per_language=3),
        training=replace(recipe.training, steps=2, grad_accum=1, warmup=0.0, lr=1e-2),
        tuning=TuningSettings(),
    )
    links = GivenLinks(corpora, [{line: [(0, 0), (1, 1)] for line in (1, 2, 3)}])
    before = tiny_encoder.model.get_input_embeddings().get_parameter("weight").detach().clone()
    folder = tmp_path / "out"
    folder.mkdir()
    result = align_encoder(tiny_encoder, corpora, [], settings, folder=folder, observer=Silent(), links=links)
    assert result.step == 2
    assert not before.equal(tiny_encoder.model.get_input_embeddings().get_parameter("weight"))

    document = json.loads((folder / "otkit.json").read_text(encoding="utf-8"))
    card = (folder / "README.md").read_text(encoding="utf-8")
    used, rows = Recipe().changed(**document["recipe"]), rows_of(card)
    # The folder is a recipe, the same one.
    again = Recipe.read(folder)
    assert again.tables() == used.tables() == document["recipe"]
    assert again.source.startswith(f"The settings of a run of otkit {__version__}, as they were used")
    assert f"from the recipe {name}: {recipe.source}" in again.source
    assert result.metadata == {
        key: value for key, value in document.items() if key not in ("name", "encoder")
    }
    assert rows == {**dict(described(used, tiny_encoder.layers)), "optimiser steps": "2", "processes": "1"}
    assert used.objective.layers == (tiny_encoder.layers,)
    assert (used.batching.pairs_per_language, used.training.steps) == (3, 2)
    # What was computed: every problem was solved at the temperature and tau that are written down.
    objective = recipe.objective
    assert bool(solved) == objective.transports == ("epsilon" in rows)
    assert ("epsilon (of the held-out divergence)" in rows) == (not objective.transports)
    unit = "the mean cost" if objective.unit == "mean-cost" else "the cost"
    for plan in solved:
        config = plan.config
        assert f"{config.epsilon:g}, in units of {unit}" == rows["epsilon"]
        hard = "none, both marginals are hard"
        tau = hard if config.tau is None else f"{config.tau:g}, in units of {unit}"
        assert tau == rows["tau"]
        assert (config.epsilon, config.tau) == (used.objective.epsilon, used.objective.tau)
        assert config.relative == (unit == "the mean cost")
    assert rows["learning rate"].startswith("0.01 at its peak")
    losses = [record for record in result.history if "lr" in record]
    for part, _ in objective.losses:
        shown = re.search(rf"^\| loss {re.escape(part)} .* \| (\S+) \| (\S+) \|$", card, flags=re.MULTILINE)
        assert shown is not None
        assert [float(shown[1]), float(shown[2])] == pytest.approx([each[part] for each in losses], rel=1e-3)
    assert not re.search(r"\d\.\d{8}", card)
    # Other machines have no such folders, and no such model is on the Hub.
    assert str(tmp_path) not in card + json.dumps(document)
    assert front_of(card) == {
        "library_name": "transformers",
        "tags": ["word-alignment", "cross-lingual", "optimal-transport", "otkit"],
        "language": ["de", "en"],
    }


def test_figures_stand_before_and_after(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    (tmp_path / "de-en.tsv").write_text(TEXT, encoding="utf-8")
    corpora = [open_corpus(tmp_path / "de-en.tsv")]
    (tmp_path / "out").mkdir()
    settings = Recipe(
        objective=ObjectiveSettings(layers=(1,)),
        batching=BatchingSettings(batch_size=3),
        training=TrainingSettings(steps=2),
    )
    figures = iter(({"retrieval": 0.25, "aer": 0.123456789}, {"retrieval": 0.5, "aer": 0.1}))
    result = align_encoder(
        tiny_encoder,
        corpora,
        corpora,
        settings,
        folder=tmp_path / "out",
        observer=Silent(),
        figures=lambda: dict(next(figures)),
    )
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    first, last = (record["divergence"] for record in result.history if "divergence" in record)
    assert "| figure | before | after |" in card
    assert f"| held-out Sinkhorn divergence (lower is better) | {first:.4g} | {last:.4g} |" in card
    assert f"| held-out Sinkhorn divergence, de | {first:.4g} | {last:.4g} |" in card
    assert "| word-alignment AER (lower is better) | 0.1235 | 0.1 |" in card
    assert "| sentence retrieval, accuracy@1 (higher is better) | 0.25 | 0.5 |" in card


@pytest.mark.parametrize(
    "name", ["a: b", "no", 'say "it"', "two\nlines\n---\nmore", "#1", "it's", "`x|y`", "é\u2028"]
)
def test_the_front_matter_is_valid_whatever_a_folder_or_a_language_is_called(
    tiny_encoder: TorchEncoder, name: str
) -> None:
    settings = Recipe(
        objective=ObjectiveSettings(layers=(2,)), batching=BatchingSettings(), training=TrainingSettings()
    )
    metadata = {
        "data": [{"name": name, "languages": [name, "no"], "pairs": 1234}],
        "steps": 5,
        "processes": 1,
    }
    encoder = TorchEncoder(
        tiny_encoder.model, tiny_encoder.tokenizer, name=name, settings=tiny_encoder.settings
    )
    card = model_card(encoder, settings, metadata, [])
    front = front_of(card)
    assert front["language"] == sorted({name, "no"})
    assert "base_model" not in front
    encoder.hub_name = name
    assert front_of(model_card(encoder, settings, metadata, []))["base_model"] == name
    # The text below holds together too: one title, one line for the file, a table of two columns.
    (title,) = re.findall(r"^# .*$", card, flags=re.MULTILINE)
    assert title.endswith("`, aligned with optimal transport")
    assert len(re.findall(r"^- `.*` \(.*, 1,234 pairs\)$", card, flags=re.MULTILINE)) == 1


def test_a_corpus_is_called_as_any_machine_may_call_it() -> None:
    for name, known in {
        "/home/me/text/de-en.tsv.gz": "de-en.tsv.gz",
        "../text/de-en.tsv": "de-en.tsv",
        "~/de-en.tsv": "de-en.tsv",
        "C:\\Users\\me\\de-en.tsv": "de-en.tsv",
        "text/de-en.tsv": "text/de-en.tsv",
        "Helsinki-NLP/opus-100:de-en": "Helsinki-NLP/opus-100:de-en",
        "<stdin>": "<stdin>",
    }.items():
        assert portable_name(name) == known


def test_what_was_trained_and_mixed_is_said(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    for code in ("de", "fr"):
        (tmp_path / f"{code}-en.tsv").write_text(TEXT, encoding="utf-8")
    mixed = MixedCorpus([open_corpus(tmp_path / f"{code}-en.tsv") for code in ("de", "fr")], quota=3, seed=0)
    (tmp_path / "out").mkdir()
    settings = Recipe(
        objective=replace(Recipe.read("best").objective, layers=(1,), relink_every=35),
        batching=BatchingSettings(batch_size=3, pairs_per_language=len(mixed)),
        training=TrainingSettings(steps=2),
        tuning=TuningSettings(freeze=0, head_layers=1),
    )
    align_encoder(tiny_encoder, [mixed], [], settings, folder=tmp_path / "out", observer=Silent())
    document = json.loads((tmp_path / "out" / "otkit.json").read_text(encoding="utf-8"))
    assert document["recipe"]["batching"]["mix_languages"] is True
    assert document["recipe"]["batching"]["pairs_per_language"] == 3
    rows = rows_of((tmp_path / "out" / "README.md").read_text(encoding="utf-8"))
    assert rows["layers compared"] == "hidden state 1 of 2"
    assert rows["epsilon"] == "0.075, in units of the mean cost"
    assert rows["tau"] == "0.1, in units of the mean cost"
    assert rows["links"] == "its own; for link-likelihood those of the word aligner, read every 35 steps"
    assert rows["trained"] == "the layers 1 to 2 of 2; those above 1 are saved as they were before the run"
    assert (
        rows["batches"]
        == "3 pairs of all languages together, 1 to an optimiser step, at most 288 subwords a pass"
    )
