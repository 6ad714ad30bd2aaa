"""Evaluating from Python: the examples of the docstrings, and what is promised beside them."""

from __future__ import annotations

import doctest
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from otkit.api import evaluate
from otkit.api.augment import augment
from otkit.api.fine_tuned import _transfer
from otkit.api.lexicon import lexicon
from otkit.data.parallel import open_corpus
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, InputError, OutputError
from otkit.evaluation.inputs import Reading
from otkit.recipes import read_recipe
from otkit.resources import sample_data
from otkit.training.recipe import Recipe
from tests.conftest import give_pair_form

SAMPLE = Path(str(sample_data()))
PUBLIC = {name for name in evaluate.__all__ if callable(getattr(evaluate, name)) and name.islower()} - {
    "projection"
}
EXAMPLES = [test for test in doctest.DocTestFinder().find(evaluate) if test.examples]
PAIRS = "".join(f"{word} haus {n}\t{word} haus {n}\n" for n, word in enumerate(["das", "ein"] * 6))
GOLD = "das haus\tthe house\t0-0 1-1\nein haus\ta house\t0-0 1-1\n"


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(
            each,
            marks=pytest.mark.slow if each.name.endswith(".xquad") else (),  # it trains, as that of xnli does
            id=str(each.name).rpartition(".")[2],
        )
        for each in EXAMPLES
    ],
)
def test_the_example_of_a_docstring(example: doctest.DocTest) -> None:
    said: list[str] = []
    failed, _ = doctest.DocTestRunner().run(example, out=said.append)
    assert not failed, "".join(said)


def test_every_function_has_an_example() -> None:
    functions = {"all_tasks"} | {example.name.rpartition(".")[2] for example in EXAMPLES}
    public = {name for name in evaluate.__all__ if callable(getattr(evaluate, name)) and name.islower()}
    assert public <= functions


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "de-en.tsv").write_text(PAIRS)
    (tmp_path / "de-en.gold.tsv").write_text(GOLD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_result_is_figures_tables_and_json(files: Path, tiny_encoder: TorchEncoder) -> None:
    told: list[tuple[int, int | None, str]] = []
    found = evaluate.retrieval(
        tiny_encoder, ["de-en.tsv"], on_progress=lambda *how_far: told.append(how_far), prompt="das "
    )
    assert found.value("forward @1", "de") == found.mean("forward @1") == 1.0
    assert told[-1] == (24, 24, "retrieval")
    assert found.table().title == "retrieval: forward"
    assert [table.title for table in found.tables()][-1] == "retrieval: space"
    document = json.loads(json.dumps(found.to_dict()))
    assert document["languages"]["de"]["forward @1"] == {
        "mean": 1.0,
        "interval": [1.0, 1.0],
        "chance": 1 / 12,
    }
    assert document["encoders"]["model"]["prefix"] == "das "
    assert tiny_encoder.settings.prefix == ""
    assert set(document["settings"]["data"]) == {"de-en.tsv"}
    with pytest.raises(ConfigError, match="did you mean 'forward @1"):
        found.value("forward@1", "de")


def test_two_files_and_a_baseline(files: Path, tiny_encoder: TorchEncoder) -> None:
    (files / "a.de").write_text("das haus\nklein\n")
    (files / "a.en").write_text("das haus\nklein\n")
    found = evaluate.retrieval(tiny_encoder, [("a.de", "a.en")], baseline=tiny_encoder)
    figure = found.summary.rows["de"]["forward @1"]
    assert (figure.mean, figure.baseline, figure.difference) == (1.0, 1.0, 0.0)
    assert found.table().columns[1].name == "baseline"


def test_parts_are_kept_and_used_again(files: Path, tiny_encoder: TorchEncoder) -> None:
    first = evaluate.word_alignment(tiny_encoder, ["de-en.gold.tsv"], output="kept")
    notes: list[str] = []
    again = evaluate.word_alignment(
        tiny_encoder, ["de-en.gold.tsv"], output="kept", resume=True, on_note=notes.append
    )
    assert again.to_dict() == first.to_dict()
    assert any("finished before" in note for note in notes)
    (files / "mine").mkdir()
    (files / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(OutputError):
        evaluate.word_alignment(tiny_encoder, ["de-en.gold.tsv"], output="mine")


def test_training_leaves_the_callers_encoder_as_it_is(files: Path) -> None:
    import otkit

    encoder = otkit.open_encoder(device="cpu")
    assert isinstance(encoder, TorchEncoder)
    before = {name: value.clone() for name, value in encoder.model.state_dict().items()}
    trained = {name: value.requires_grad for name, value in encoder.model.named_parameters()}
    settings = evaluate.XnliSettings(train_examples=8, test_examples=4, freeze=None)
    evaluate.xnli(encoder, settings=settings, languages=["de"])
    assert all(torch.equal(value, before[name]) for name, value in encoder.model.state_dict().items())
    assert {name: value.requires_grad for name, value in encoder.model.named_parameters()} == trained


def test_a_tuned_recipe_gives_the_figure_it_promises(files: Path, tiny_encoder: TorchEncoder) -> None:
    tuned = evaluate.tune(tiny_encoder, ["de-en.gold.tsv"])
    (files / "tuned.toml").write_text(tuned.to_toml())
    settings = evaluate.AlignmentSettings.from_dict(read_recipe("tuned.toml").table("alignment"))
    assert settings == tuned.settings
    found = evaluate.word_alignment(tiny_encoder, ["de-en.gold.tsv"], settings=settings)
    assert found.mean("aer") == pytest.approx(tuned.aer)


def test_what_is_missing_is_said(files: Path, tiny_encoder: TorchEncoder) -> None:
    with pytest.raises(InputError, match="there is no file for sw"):
        evaluate.retrieval(tiny_encoder, ["de-en.tsv"], languages=["de", "sw"])
    with pytest.raises(ConfigError, match="no gold links to compare with"):
        evaluate.word_alignment(tiny_encoder, texts=["de-en.tsv"])
    with pytest.raises(ConfigError, match="brings its own encoder"):
        evaluate.xnli(tiny_encoder, head="tuned", data="nowhere")


def test_a_folder_beside_files_is_not_passed_over(files: Path) -> None:
    said = "only one of them is read; name the files, or the folder"
    with pytest.raises(ConfigError, match=said):
        evaluate.retrieval(None, ["de-en.tsv"], data=files)
    with pytest.raises(ConfigError, match=said):
        evaluate.word_alignment(None, ["de-en.gold.tsv"], data=files)


@pytest.mark.parametrize("task", ["xnli", pytest.param("xquad", marks=pytest.mark.slow)])
def test_the_recipe_of_transfer_is_lexicon_augment_and_copies_in_one(
    tmp_path: Path, tiny_encoder: TorchEncoder, task: str
) -> None:
    give_pair_form(tiny_encoder)
    settings: Any = {
        "xnli": evaluate.XnliSettings(train_examples=None, test_examples=8, batch_size=4, epochs=1),
        "xquad": evaluate.XquadSettings(
            train_examples=None, test_examples=8, batch_size=4, epochs=1, max_question=10, stride=8
        ),
    }[task].changed(freeze=None, max_length=48)
    text = open_corpus(SAMPLE / "parallel" / "de-en.dev.tsv")
    short = [f"{pair.source}\t{pair.target}\n" for pair in text if 3 <= len(pair.target.split()) < 15][:20]
    (tmp_path / "short.de-en.tsv").write_text("".join(short), encoding="utf-8")
    lexicon(tmp_path / "short.de-en.tsv", tmp_path / "de.sqlite", form="sqlite", raw=True, device="cpu")
    source = SAMPLE / {"xnli": "nli/en.tsv", "xquad": "qa/en.json"}[task]
    made = tmp_path / f"copies{source.suffix}"
    assert augment(source, made, lexicons=[tmp_path / "de.sqlite"], share=0.75).replaced > 20
    ways: list[dict[str, Any]] = [
        {"copies": [made], "changes": {"transfer": {"schedule": "alternate"}}},
        {
            "align": [SAMPLE / "parallel" / "de-en.dev.tsv"],
            "recipe": "transfer",
            "changes": {"transfer": {"copy_pairs": 20}},
        },
    ]
    said: list[str] = []
    found = []
    for number, how in enumerate(ways):
        output = tmp_path / str(number)
        run: Any = getattr(evaluate, task)
        run(
            tiny_encoder,
            settings=settings,
            languages=["de"],
            train=str(source),
            output=output,
            on_note=said.append,
            **how,
        )
        [history] = output.glob(f"{task}/model/seed-0/**/history.jsonl")
        steps = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]
        found.append([{name: step[name] for name in step if "loss" in name} for step in steps])
    assert {name for step in found[0] for name in step} >= {"loss", "copy/loss"}
    assert found[0] == found[1]
    [told] = [text for text in said if "its lexicon replaces" in text]
    assert 5 < int(told.rpartition("replaces ")[2].partition("%")[0]) < 75


def test_copies_need_text_to_count_words_in(files: Path, tiny_encoder: TorchEncoder) -> None:
    shutil.copy(SAMPLE / "nli" / "en.tsv", "copies.tsv")
    with pytest.raises(ConfigError, match="there is no parallel text to count lexicons on"):
        evaluate.xnli(
            tiny_encoder,
            train=str(SAMPLE / "nli" / "en.tsv"),
            copies=["copies.tsv"],
            changes={"transfer": {"copy_share": 0.5}},
        )
    (files / "de-en.tsv").write_text("das haus\tthe house\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"de-en\.tsv: no pair has 3 to 14 English words"):
        evaluate.xnli(tiny_encoder, align=["de-en.tsv"], recipe="transfer")


@pytest.mark.parametrize("name", [name for name in evaluate.__all__ if name in PUBLIC])
def test_a_keyword_that_a_function_does_not_have_is_an_error(name: str) -> None:
    """It was swallowed, and the figures were those of a run without it."""
    function = getattr(evaluate, name)
    needed = {"mining": (None, "a", "b", "c"), "translation_errors": (None, "a"), "documents": (None, [])}
    with pytest.raises(ConfigError, match=r"keyword 'langauges'.*languages"):
        function(*needed.get(name, (None, [])[: 1 if name in ("xnli", "xquad") else 2]), langauges=["de"])


def test_keywords_of_the_command_line_are_sent_to_their_place() -> None:
    with pytest.raises(ConfigError, match="'align_weight'; give it in the table 'transfer' of `changes`"):
        evaluate.xnli(align_weight=0.5)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="keyword 'allign'; did you mean 'align'"):
        evaluate.xquad(allign=["de-en.tsv"])  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="table 'training'"):
        _transfer({"copies": ["de.tsv"], "changes": {"training": {"lr": 9.0}}})


@pytest.mark.parametrize(
    ("beside", "transfer", "said"),
    [
        ("copies", {"align_weight": 0.5}, "align_weight is given, and there is no parallel text"),
        ("copies", {"text_consistency": 1.0}, "text_consistency is given, and there is no parallel text"),
        ("copies", {"copy_pairs": 5}, "copy_pairs is given, and no lexicon is counted"),
        ("copies", {"consistency_temperature": 2.0}, "no answers are compared; give a consistency above 0"),
        ("align", {"copy_weight": 0.5}, "copy_weight is given, and there are no copies"),
        ("align", {"consistency": 0.5}, "consistency is given, and there are no copies"),
        ("align", {"copy_pairs": 5}, "copy_pairs is given, and no lexicon is counted"),
    ],
)
def test_a_setting_that_nothing_answers_to_is_refused(
    files: Path, beside: str, transfer: dict[str, float], said: str
) -> None:
    given: Any = {beside: ["de-en.tsv"]}
    with pytest.raises(ConfigError, match=said):
        _transfer({**given, "changes": {"transfer": transfer}})
    assert _transfer(
        {"align": ["de-en.tsv"], "changes": {"transfer": {**transfer, "copy_share": 0.5, "consistency": 1.0}}}
    )


def test_a_recipe_s_weight_can_be_switched_off_where_nothing_answers_to_it(
    files: Path, tmp_path: Path
) -> None:
    """It was refused, and so was what the refusal advised."""
    (tmp_path / "agree.toml").write_text("[transfer]\nconsistency = 1.0\ntext_consistency = 1.0\n")
    for given in ({"align": ["de-en.tsv"]}, {"copies": ["de-en.tsv"]}):
        found = _transfer(
            {
                **given,  # type: ignore[typeddict-item]
                "recipe": tmp_path / "agree.toml",
                "changes": {"transfer": {"consistency": 0, "text_consistency": 0}},
            }
        )
        assert found is not None
        assert found.settings.consistency == found.settings.text_consistency == 0


def test_text_without_words_is_told_of_where_words_are_measured(
    files: Path, tiny_encoder: TorchEncoder
) -> None:
    raw = "我们有一个很大的房子，房子在河边。"
    (files / "zh-en.gold.tsv").write_text(f"{raw}\tthe house\t0-0\n" * 20, encoding="utf-8")
    (files / "zh-en.tsv").write_text(f"{raw}\tthe house\n" * 20, encoding="utf-8")
    for measured, told in ((evaluate.word_alignment, 1), (evaluate.retrieval, 0)):
        said: list[str] = []
        measured(tiny_encoder, ["zh-en.gold.tsv" if told else "zh-en.tsv"], on_note=said.append)
        assert len([one for one in said if "script without spaces" in one]) == told


def test_a_part_that_a_folder_does_not_have_is_said(files: Path) -> None:
    said: list[str] = []
    reading = Reading(strict=False, note=said.append)
    found = reading.files(files, "tatoeba", "*.tsv*", sample="parallel")
    assert found == reading.files(None, "tatoeba", "*.tsv*", sample="parallel")
    assert said == [f"{files}: there is no tatoeba/ with *.tsv*, so that part of the sample data is measured"]


def test_what_is_asked_of_batches_beside_a_task_wins(files: Path) -> None:
    asked = {"batching": {"mix_languages": False, "on_error": "skip"}}
    found = _transfer({"align": ["de-en.tsv"], "on_error": "raise", "changes": asked})
    assert found is not None
    assert (found.recipe.batching.mix_languages, found.recipe.batching.on_error) == (False, "skip")
    with pytest.raises(
        ConfigError, match="the table 'batching' is about losses of parallel text, whose weight is 0"
    ):
        _transfer({"align": ["de-en.tsv"], "recipe": "transfer", "changes": asked})


def test_what_is_said_of_parallel_text_needs_some_and_no_more_than_text(files: Path) -> None:
    with pytest.raises(ConfigError, match="the table 'objective' is about parallel text, and there is none"):
        _transfer({"copies": ["de-en.tsv"], "changes": {"objective": {"tau": 1.0}}})
    for losses, lacking in (
        ("word-alignment-supervised", "given links"),
        ("static-anchor", "static vectors"),
    ):
        with pytest.raises(
            ConfigError, match=f"a loss learns from {lacking}, and beside a task there are none"
        ):
            _transfer({"align": ["de-en.tsv"], "changes": {"objective": {"losses": {losses: 1.0}}}})


def test_a_slow_precision_is_told_of_before_anything_is_opened(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otkit.encoders.device.multiplies_in", lambda device, dtype: dtype == torch.float32)
    said: list[str] = []
    with pytest.raises(InputError):
        evaluate.xnli(
            train="missing.tsv", settings=evaluate.XnliSettings(precision="bf16"), on_note=said.append
        )
    assert said == ["this processor has no instructions for bf16: fp32 will be many times faster"]


def test_a_recipe_means_the_same_by_name_and_as_an_object(files: Path) -> None:
    for recipe in ("transfer", Recipe.read("transfer")):
        found = _transfer({"align": ["de-en.tsv"], "recipe": recipe, "on_error": "skip"})
        assert found is not None
        assert found.settings.copy_share == 0.75
        assert found.settings.schedule == "alternate"
        assert found.recipe.batching.on_error == "skip"
