"""Recipes: each is what was published, reads back as it was written, and a wrong one is answered with a remedy."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from otkit.data.settings import BatchingSettings
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError
from otkit.recipes import TABLES, recipe_names, settings_of
from otkit.training.recipe import Recipe
from otkit.training.settings import ObjectiveSettings, TrainingSettings, TransferSettings, TuningSettings

PAPER_BATCHES = BatchingSettings(batch_size=24, pairs_per_language=250_000)
PAPER_TRAINING = TrainingSettings(epochs=1.0, grad_accum=2, lr=5e-5, schedule="constant", max_grad_norm=None)
WU_DREDZE = {"word_vector": "first", "temperature": 0.1, "projection": 128}
WU_DREDZE_BATCHES = BatchingSettings(batch_size=16, pairs_per_language=1_000_000)
WU_DREDZE_TRAINING = TrainingSettings(steps=100_000, lr=1e-4, warmup=0.04)

PUBLISHED = {
    "paper": (
        "Alqahtani et al. 2021",
        Recipe(
            objective=ObjectiveSettings(cost="euclidean", epsilon=0.05),
            batching=PAPER_BATCHES,
            training=PAPER_TRAINING,
        ),
    ),
    "paper-default": (
        "GeomLoss's defaults",
        Recipe(
            objective=ObjectiveSettings(cost="sqeuclidean", epsilon=0.0025),
            batching=PAPER_BATCHES,
            training=PAPER_TRAINING,
        ),
    ),
    "large-paper": (
        "section 5, LargeWordOT",
        Recipe(
            objective=ObjectiveSettings(cost="euclidean", epsilon=0.05),
            batching=replace(PAPER_BATCHES, batch_size=8),
            training=replace(PAPER_TRAINING, grad_accum=3),
        ),
    ),
    "sample": (
        "two minutes on two cores",
        Recipe(
            objective=ObjectiveSettings(
                losses=(("ot", 20.0), ("anchor", 1.0)),
                cost="cosine",
                epsilon=0.1,
                unit="mean-cost",
                word_vector="mean",
                anchor_reduction="mean",
            ),
            batching=BatchingSettings(batch_size=8),
            training=TrainingSettings(epochs=1.0, lr=1e-4, warmup=0.1),
        ),
    ),
    "best": (
        "The recommendation of otkit",
        Recipe(
            objective=ObjectiveSettings(
                losses=(
                    ("contrastive-weak", 1.0),
                    ("link-likelihood", 2.0),
                    ("sentence-contrastive", 2.0),
                    ("anchor", 0.1),
                ),
                cost="cosine",
                epsilon=0.075,
                tau=0.1,
                unit="mean-cost",
                center="sentence",
                word_vector="mean",
                layers="alignment",
                anchor_reduction="mean",
                dropout=True,
                length_power=0.25,
                attach_factor=4.0,
                relink_every=35,
            ),
            batching=BatchingSettings(batch_size=24, pairs_per_language=500, mix_languages=True),
            training=TrainingSettings(epochs=1.0, lr=4e-4, warmup=0.1),
            tuning=TuningSettings(freeze="quarter", head_layers="above-compared"),
        ),
    ),
    "cao-l2": (
        "Cao, Kitaev, Klein 2020",
        Recipe(
            objective=ObjectiveSettings(losses=(("l2", 1.0), ("anchor", 1.0))),
            batching=BatchingSettings(batch_size=8, pairs_per_language=250_000),
            training=TrainingSettings(lr=5e-5, warmup=0.1, betas=(0.9, 0.98), max_grad_norm=None),
        ),
    ),
    **{
        f"wu-dredze-{kind}": (
            f"Wu and Dredze 2020 (EMNLP), {kind} alignment",
            Recipe(
                objective=ObjectiveSettings(
                    losses=((f"contrastive-{kind}", 1.0), ("parameter-anchor", 1.0)),
                    **WU_DREDZE,  # type: ignore[arg-type]
                ),
                batching=WU_DREDZE_BATCHES,
                training=WU_DREDZE_TRAINING,
            ),
        )
        for kind in ("weak", "strong")
    },
    "awesome": (
        "Dou and Neubig",
        Recipe(
            objective=ObjectiveSettings(
                losses=(("self-training", 1.0), ("tlm", 1.0)),
                granularity="subword",
                layers=(8,),
                dropout=True,
            ),
            batching=BatchingSettings(batch_size=2),
            training=TrainingSettings(steps=20_000, grad_accum=4, lr=2e-5),
        ),
    ),
    "xlm-align": (
        "Chi et al.",
        Recipe(
            objective=ObjectiveSettings(
                losses=(("mlm", 1.0), ("tlm", 1.0), ("denoising-alignment", 1.0)),
                cost="cosine",
                granularity="subword",
                layers=(10,),
                dropout=True,
            ),
            batching=BatchingSettings(batch_size=64),
            training=TrainingSettings(
                steps=200_000, grad_accum=32, lr=2e-4, warmup=0.05, betas=(0.9, 0.98), weight_decay=0.01
            ),
        ),
    ),
    "otalign": (
        "Arase, Bao, Yokoi",
        Recipe(
            objective=ObjectiveSettings(
                losses=(("word-alignment-supervised", 1.0),),
                cost="cosine",
                epsilon=0.1,
                tau=0.5,
                word_vector="mean",
                links="given",
                iterations=100,
            ),
            batching=BatchingSettings(batch_size=64),
            training=TrainingSettings(epochs=200, lr=1e-4),
        ),
    ),
    "optical": (
        "Huang, Yu, Allan",
        Recipe(
            objective=ObjectiveSettings(losses=(("ot-distill", 1.0),), cost="cosine", epsilon=0.1),
            batching=BatchingSettings(batch_size=32),
            training=TrainingSettings(epochs=4, lr=1e-5),
        ),
    ),
    # Its table is read by the tasks that are fine-tuned: below.
    "transfer": ("Qin et al. 2020", Recipe()),
}


def test_the_recipe_of_transfer_makes_copies_in_steps_of_their_own() -> None:
    found = settings_of("transfer", "transfer", TransferSettings)
    assert found == TransferSettings(schedule="alternate", copy_share=0.75, align_weight=0.0)


def test_all_recipes_are_compared() -> None:
    assert sorted(PUBLISHED) == recipe_names()


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_recipe_is_what_was_published_and_cites_it(name: str) -> None:
    source, published = PUBLISHED[name]
    recipe = Recipe.read(name)
    assert source in recipe.source
    assert recipe.name == name
    assert recipe.tables() == published.tables()
    assert replace(recipe, name="", source="") == published


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_recipe_is_read_as_it_was_written(tmp_path: Path, name: str) -> None:
    recipe = Recipe.read(name)
    (tmp_path / "mine.toml").write_text(recipe.to_toml(), encoding="utf-8")
    again = Recipe.read(tmp_path / "mine.toml")
    assert again.name == "mine"
    assert replace(again, name=name) == recipe
    # A folder that was trained is a recipe too.
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.toml").write_text(recipe.to_toml(), encoding="utf-8")
    assert replace(Recipe.read(tmp_path / "run"), name=name) == recipe


def test_tables_are_the_fields_of_a_recipe() -> None:
    own = [each.name for each in fields(Recipe) if each.name in TABLES]
    assert own == [name for name in TABLES if name not in ("lexicon", "projection", "transfer")]
    assert list(Recipe().tables()) == own


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[objective\n", "is not valid TOML"),
        ("objective = 3\n", "objective is no table; write its settings below [objective]"),
        ("[objectives]\n", "unknown table 'objectives'; did you mean 'objective'?"),
        ("[objective]\ntua = 1\n", "unknown setting 'tua'; did you mean 'tau'?"),
        ('[objective]\nepsilon = "much"\n', "epsilon is much; give a number above 0"),
        ("[objective]\nlosses = { ott = 1 }\n", "unknown objective 'ott'; did you mean 'ot'?"),
        ("[objective]\nlosses = {}\n", "no objective is named"),
        ("[batching]\nbatch_size = 0\n", "batch_size is 0; give a whole number of at least 1"),
        ("[tuning]\nfreeze = 2\nfreeze_above = 1\n", "none is left; freeze fewer"),
        ("[training]\nbetas = [0.9]\n", "betas is 0.9; give two"),
    ],
)
def test_a_wrong_file_is_answered_with_its_name_and_a_remedy(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        Recipe.read(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert said in str(refused.value)


def test_what_is_no_recipe_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"there is no recipe 'papre'; did you mean 'paper'\? choose from: awesome"
    ):
        Recipe.read("papre")
    with pytest.raises(ConfigError, match=re.escape(f"the folder {tmp_path} has no recipe.toml")):
        Recipe.read(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        Recipe.read(tmp_path / "bytes.toml")


def test_epochs_and_steps_are_one_length() -> None:
    recipe = Recipe.read("awesome")
    assert recipe.changed(training={"epochs": 2}).training.steps is None
    assert recipe.changed(training={"steps": 5}).training.steps == 5
    assert recipe.changed(objective={"tau": "none"}).objective.tau is None
    with pytest.raises(ConfigError, match="unknown table 'objectives'"):
        recipe.changed(objectives={"tau": 1})


def test_batches_are_not_cut_where_processes_gather_sentences() -> None:
    best = Recipe.read("best")
    assert best.for_processes(1) == best
    assert best.for_processes(2).batching.budget is None
    assert best.changed(batching={"batch_tokens": 500}).for_processes(2).batching.budget == 500
    assert Recipe.read("paper").for_processes(2) == Recipe.read("paper")


def test_what_depends_on_the_encoder_becomes_numbers(
    tiny_encoder: TorchEncoder, sample_encoder: TorchEncoder
) -> None:
    best = Recipe.read("best")

    def fitted(encoder: TorchEncoder = sample_encoder, **tuning: object) -> tuple[object, ...]:
        layers = tuning.pop("layers", None)
        changed = best.changed(tuning=tuning, objective={} if layers is None else {"layers": layers})
        found = changed.for_encoder(encoder)
        assert found.for_encoder(encoder) == found
        assert found.tuning == replace(
            changed.tuning, freeze=found.tuning.freeze, head_layers=found.tuning.head_layers
        )
        return found.objective.compared, found.tuning.frozen, found.tuning.head

    assert fitted() == ((6, 7), 3, 5)
    assert fitted(tiny_encoder) == ((1,), 0, 1)
    assert fitted(tiny_encoder, layers=(0, -2)) == ((0, -2), 0, 1)
    assert Recipe.read("paper").for_encoder(tiny_encoder) == Recipe.read("paper")
    # What is asked for wins over the recommendation.
    assert fitted(lora_rank=2) == ((6, 7), 3, 5)
    assert fitted(freeze=0) == ((6, 7), 0, 5)
    assert fitted(head_layers=None) == ((6, 7), 3, 0)
    assert fitted(freeze=None) == ((6, 7), None, 5)
    # Low layers leave less to freeze.
    assert fitted(layers=3) == ((3,), 2, 9)
    assert fitted(layers=3, head_layers=11) == ((3,), 0, 11)
    with pytest.raises(ConfigError, match="a head and the first 7 are frozen: none is left; freeze fewer"):
        fitted(freeze=7)
    with pytest.raises(ConfigError, match="the layers are 'alignment', which depends on the encoder"):
        _ = best.objective.compared
    with pytest.raises(ConfigError, match="freeze is 'quarter', which depends on the encoder"):
        _ = best.tuning.frozen
