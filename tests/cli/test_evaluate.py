"""`otkit evaluate` as a person runs it: tables, JSON, pictures, gates, resumption, and what it refuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import typer
from tokenizers import processors
from typer.testing import CliRunner

from otkit.cli.app import main
from otkit.cli.evaluate import app as evaluate
from otkit.encoders.torch import TorchEncoder
from otkit.evaluation.metrics import accuracy, mean_table
from otkit.evaluation.protocol import Cell, Findings, Metric
from otkit.evaluation.summary import Summary, summarise
from otkit.recipes import read_recipe
from otkit.reports.evaluation import overview, summary_tables
from otkit.reports.tables import to_records
from otkit.resources import sample_encoder

Run = Callable[..., tuple[int, str, str]]

LABELS = {"entailment": "house", "neutral": "small", "contradiction": "klein"}
NLI = "".join(f"das haus\tist {word}\t{label}\n" for label, word in LABELS.items())
GOLD = "das haus\tthe house\t0-0 1-1\nein haus\ta house\t0-0 1-1\n"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folder(tmp_path: Path, tiny_encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny_encoder.tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tiny_encoder.save(tmp_path / "tiny")
    next(iter(tiny_encoder.model.encoder.layer.parameters())).data.mul_(3)
    tiny_encoder.save(tmp_path / "other")
    lines = [
        f"{word} haus {number}\t{word} haus {number}\n" for number, word in enumerate(["das", "ein"] * 6)
    ]
    for language in ("de", "fra"):
        (tmp_path / f"{language}-en.tsv").write_text("".join(lines), encoding="utf-8")
    (tmp_path / "nli").mkdir()
    for name in ("train-en", "dev-en", "dev-de"):
        (tmp_path / "nli" / f"{name}.tsv").write_text(NLI, encoding="utf-8")
    (tmp_path / "de-en.gold.tsv").write_text(GOLD, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def otkit(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> tuple[int, str, str]:
        common = ("--device", "cpu", "--threads", "1", "--quiet")
        model = () if "--head" in words or "--model" in words else ("--model", "tiny")
        words = (*words, *common, *model)
        monkeypatch.setattr(sys, "argv", ["otkit", "evaluate", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capfd.readouterr()
        code = stop.value.code
        return code if isinstance(code, int) else 0, out, err

    return run


def test_retrieval_prints_a_row_a_language_and_keeps_what_it_computed(otkit: Run, folder: Path) -> None:
    code, out, err = otkit("retrieval", "de-en.tsv", "fra-en.tsv", "--json", "out.json", "--prompt", "das ")
    assert code == 0, err
    assert "mean of all" in out
    document = json.loads((folder / "out.json").read_text())
    task = document["tasks"]["retrieval"]
    assert list(task["languages"]) == ["de", "fr"]
    figures = [task["languages"]["de"]["forward @1"], task["averages"]["all"]["forward @1"]]
    assert [(each["mean"], each["interval"]) for each in figures] == [(1.0, [1.0, 1.0])] * 2
    assert set(task["settings"]["data"]) == {"de-en.tsv", "fra-en.tsv"}
    assert document["versions"]["otkit"]


def test_a_baseline_adds_the_change_its_interval_markdown_and_a_picture(otkit: Run, folder: Path) -> None:
    words = ("--baseline", "other", "--markdown", "out.md", "--chart", "out.png", "--json", "out.json")
    code, out, err = otkit("retrieval", "de-en.tsv", *words)
    assert code == 0, err
    assert "change" in out
    figure = json.loads((folder / "out.json").read_text())["tasks"]["retrieval"]["languages"]["de"]
    assert {"baseline", "difference", "low", "high", "p_value"} <= set(figure["forward @1"])
    assert "| language |" in (folder / "out.md").read_text()
    assert (folder / "out.png").read_bytes().startswith(b"\x89PNG")


def test_gates_exit_with_three_and_wrong_names_with_two(otkit: Run) -> None:
    assert otkit("retrieval", "de-en.tsv", "--fail-under", "forward@1=1.0")[0] == 0
    code, out, err = otkit("retrieval", "de-en.tsv", "--fail-under", "forward@1=1.01")
    assert code == 3
    assert "mean of" in out or "de" in out
    assert "forward @1 is 1.0000, the gate is 1.01" in err
    code, out, err = otkit(
        "retrieval", "de-en.tsv", "--fail-under", "forward@1=2", "--fail-under", "Forward @1=0"
    )
    assert (code, out) == (2, ""), "the second took the place of the first"
    assert "--fail-under: received two gates of Forward @1" in err
    code, out, err = otkit("retrieval", "de-en.tsv", "--fail-under", "forwards@1=1")
    assert (code, out) == (2, "")
    assert "did you mean 'forward@1'?" in err


@pytest.mark.parametrize(
    ("words", "expected", "complaint"),
    [
        (("retreival", "de-en.tsv"), 2, "No such command 'retreival'. Did you mean 'retrieval'"),
        (("retrieval", "none-en.tsv"), 1, "none-en.tsv"),
        (("retrieval", "de-en.tsv", "--languages", "de,sw"), 1, "there is no file for sw"),
        (
            ("retrieval", "--data", "nli"),
            1,
            "nli/tatoeba: there is no *.tsv*; name the folder that holds tatoeba/",
        ),
        (("word-alignment", "--data", "nli"), 1, "nli/word-alignment: there is no xlwa-*.dev.tsv*"),
        (("retrieval", "de-en.tsv", "--score", "cos"), 2, "unknown score 'cos'"),
        (("mining", "--source", "de-en.tsv"), 2, "mining needs two collections"),
        (("translation-errors",), 2, "give --data FILE, a TSV with the columns of HalOmi"),
        (("translation-errors", "--data", "de-en.tsv"), 1, "the header lacks src_lang"),
        (("xnli", "--data", "nli", "--languages", "en,sw"), 1, "no dev file for the language 'sw'"),
        (
            ("xnli", "--data", "nli", "--fine-tuning", "large"),
            2,
            "--fine-tuning: unknown fine-tuning 'large'",
        ),
        (("retrieval", "de-en.tsv", "--baseline", "nowhere/x.gguf"), 1, "no such file or folder"),
        (
            ("retrieval", "de-en.tsv", "--neighbours", "0"),
            2,
            "--neighbours: received '0'; expected a whole number of",
        ),
        (("retrieval", "--source", "a"), 2, "give the source and the target"),
        (("retrieval", "de-en.tsv", "--languages", " , "), 2, "write for instance de,fr"),
        (
            ("word-alignment", "de-en.tsv"),
            2,
            "the text has no gold links to compare with; name them: --gold FILE",
        ),
        (("word-alignment", "--write-recipe", "x.toml"), 2, "--write-recipe: there is nothing to write"),
        (("word-alignment", "--recipe", "bset"), 2, "there is no recipe 'bset'; did you mean 'best'?"),
        (
            ("xnli", "--head", "tuned", "--model", "tiny"),
            2,
            "--head: received 'tuned', which brings its own encoder",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line_and_an_exit_code(
    words: tuple[str, ...], expected: int, complaint: str, otkit: Run
) -> None:
    code, out, err = otkit(*words)
    assert (code, out) == (expected, "")
    assert complaint in err
    assert "Traceback" not in err


def test_languages_are_chosen_by_short_names(otkit: Run) -> None:
    _, out, _ = otkit("retrieval", "de-en.tsv", "fra-en.tsv", "--languages", "fr,en")
    assert "fr" in out
    assert "mean of" not in out


def test_xnli_trains_compares_resumes_and_its_head_can_be_used_again(otkit: Run, folder: Path) -> None:
    words = ("xnli", "--data", "nli", "--epochs", "2", "--seeds", "2", "--save-heads", "--json", "x.json")
    code, out, err = otkit(*words, "--baseline", "other")
    assert code == 0, err
    assert "±" in out
    assert "3 English pairs, 2 epochs" in out
    first = json.loads((folder / "x.json").read_text())["tasks"]["xnli"]
    assert first["seeds"] == [0, 1]
    code, out, err = otkit(*words, "--baseline", "other", "--resume")
    assert json.loads((folder / "x.json").read_text())["tasks"]["xnli"] == first
    tuned = folder / "runs" / "evaluation" / "xnli" / "model" / "seed-1" / "tuned"
    code, out, err = otkit("xnli", "--data", "nli", "--head", str(tuned), "--output", "again")
    assert code == 0, err
    assert "was scored as it is" in out


def test_test_files_are_scored_where_there_are_some_and_dev_chooses(otkit: Run, folder: Path) -> None:
    (folder / "nli" / "test-de.tsv").write_text(NLI * 2, encoding="utf-8")
    words = ("xnli", "--data", "nli", "--epochs", "1", "--eval-every", "1", "--json", "x.json")
    code, _, err = otkit(*words)
    assert code == 0, err
    task = json.loads((folder / "x.json").read_text())["tasks"]["xnli"]
    assert list(task["languages"]) == ["de"]
    assert {Path(name).name for name in task["settings"]["data"]} == {
        "test-de.tsv",
        "train-en.tsv",
        "dev-en.tsv",
    }


def test_questions_are_trained_on_the_training_file_and_not_on_the_test(otkit: Run, folder: Path) -> None:
    def squad(count: int) -> str:
        questions = [
            {"id": f"q{i}", "question": "das", "answers": [{"text": "haus", "answer_start": 4}]}
            for i in range(count)
        ]
        return json.dumps({"data": [{"paragraphs": [{"context": "das haus ist klein", "qas": questions}]}]})

    (folder / "qa").mkdir()
    for name, count in (("xquad.de.json", 2), ("xquad.en.json", 2), ("train-en.json", 5)):
        (folder / "qa" / name).write_text(squad(count), encoding="utf-8")
    code, out, err = otkit("xquad", "--data", "qa", "--epochs", "1", "--freeze", "0", "--max-length", "40")
    assert code == 0, err
    assert "5 English questions, 1 epochs" in out
    assert "is no test" not in out


def test_word_tasks_read_gold_or_link_by_themselves(otkit: Run) -> None:
    code, out, err = otkit("word-alignment", "--gold", "de-en.gold.tsv", "--layer", "1")
    assert code == 0, err
    assert "aer" in out
    code, out, err = otkit("word-retrieval", "--gold", "de-en.gold.tsv", "--pool", "all")
    assert code == 0, err
    assert "words with exactly one sure link: de 4" in out


def test_tuning_writes_a_recipe_that_extract_reads(otkit: Run, folder: Path) -> None:
    words = ("word-alignment", "--gold", "de-en.gold.tsv", "--tune", "de-en.gold.tsv", "--json", "x.json")
    code, _, err = otkit(*words, "--write-recipe", "tuned.toml")
    assert code == 0, err
    document = json.loads((folder / "x.json").read_text())
    figure = document["tasks"]["word-alignment"]["languages"]["de"]["aer"]["mean"]
    assert figure == pytest.approx(document["tuning"]["aer"])
    recipe = read_recipe("tuned.toml")
    assert recipe.table("alignment")["layers"] == document["tuning"]["settings"]["layers"]
    assert "Tuned by otkit.evaluate.tune for tiny on 2 pairs (de)" in recipe.source
    code, _, err = otkit(
        "word-alignment", "--gold", "de-en.gold.tsv", "--recipe", "tuned.toml", "--json", "y.json"
    )
    assert code == 0, err
    again = json.loads((folder / "y.json").read_text())["tasks"]["word-alignment"]
    assert again["languages"]["de"]["aer"]["mean"] == figure
    code, _, err = otkit(*words)
    assert code == 0, err
    assert (folder / "runs" / "evaluation" / "tuned.toml").is_file()


def test_layers_are_shown_each_by_itself(otkit: Run, folder: Path) -> None:
    code, out, err = otkit("word-alignment", "--gold", "de-en.gold.tsv", "--by-layer", "--json", "x.json")
    assert code == 0, err
    assert "AER by layer" in out
    document = json.loads((folder / "x.json").read_text())
    layers = document["layers"]["aer"]["de"]
    assert list(layers) == ["0", "1", "2"]
    assert layers["1"] == document["tasks"]["word-alignment"]["languages"]["de"]["aer"]["mean"]


def test_gold_apart_from_its_text(otkit: Run, folder: Path) -> None:
    (folder / "links.de-en").write_text("1-1 2-2\n1-1 2-2\n")
    (folder / "text.de").write_text("das haus\nein haus\n")
    (folder / "text.en").write_text("the house\na house\n")
    both = ("--source", "text.de", "--target", "text.en", "--gold", "links.de-en")
    code, out, err = otkit("word-alignment", *both, "--json", "x.json")
    assert code == 0, err
    assert "read as counting from 1" in " ".join(out.split())
    code, out, err = otkit("word-alignment", *both, "--base", "0")
    assert code == 1
    assert "links.de-en:1: " in err


def test_mining_finds_what_was_hidden(otkit: Run, folder: Path) -> None:
    words = "abcdefghijkl"
    for name in ("source", "target"):
        (folder / name).write_text("".join(f"{n}\tdas haus {word}\n" for n, word in enumerate(words)))
    (folder / "de-en.pairs").write_text("".join(f"{n}\t{n}\n" for n in range(len(words))))
    files = ("--source", "source", "--target", "target", "--gold", "de-en.pairs")
    code, _, err = otkit("mining", *files, "--dev-share", "0.5", "--space", "center", "--json", "x.json")
    assert code == 0, err
    task = json.loads((folder / "x.json").read_text())["tasks"]["mining"]
    assert task["languages"]["de"]["recall"]["mean"] == 1.0
    assert (task["settings"]["config"]["dev_share"], task["settings"]["config"]["space"]) == (
        0.5,
        "center",
    )


def test_all_tasks_end_in_one_table(otkit: Run, folder: Path) -> None:
    for name, text in (
        ("tatoeba/de-en.tsv", "das\tdas\nhaus\thaus\n"),
        ("word-alignment/xlwa-de-en.dev.tsv", GOLD),
    ):
        (folder / "data" / name).parent.mkdir(parents=True)
        (folder / "data" / name).write_text(text)
    (folder / "nli").rename(folder / "data" / "xnli")
    (folder / "data" / "xquad").mkdir()
    answer = {"id": "q", "question": "das", "answers": [{"text": "haus", "answer_start": 4}]}
    squad = json.dumps({"data": [{"paragraphs": [{"context": "das haus ist klein", "qas": [answer]}]}]})
    for name in ("xquad.de", "train-en"):
        (folder / "data" / "xquad" / f"{name}.json").write_text(squad)
    words = (
        "all",
        "--data",
        "data",
        "--languages",
        "de",
        "--json",
        "x.json",
        "--model",
        str(sample_encoder()),
    )
    code, out, err = otkit(*words, "--fail-under", "f1=0.9")
    assert code == 0, err
    table = out[out.index("all tasks") :]
    assert all(name in " ".join(table.split()) for name in ("retrieval", "links", "words", "xnli", "xquad"))
    tasks = json.loads((folder / "x.json").read_text())["tasks"]
    assert list(tasks) == ["retrieval", "word-alignment", "word-retrieval", "xnli", "xquad"]


# All but projection, which opens no encoder.
@pytest.mark.parametrize(
    "task", [command.name for command in evaluate.registered_commands if command.name != "projection"]
)
def test_the_help_of_a_task_is_short_and_its_whole_help_is_whole(task: str) -> None:
    command = typer.main.get_command(evaluate).commands[task]  # type: ignore[attr-defined]
    options = [
        each for each in command.params if each.param_type_name == "option" and "help" not in each.name
    ]
    shown = [each for each in options if not each.hidden]
    assert 8 <= len(shown) <= 15
    help_all = CliRunner().invoke(evaluate, [task, "--help-all"], env={"COLUMNS": "200"}).stdout
    assert all(max(each.opts, key=len) in help_all for each in options)


# What is drawn


def summary(*, baseline: bool, languages: tuple[str, ...] = ("de", "fr")) -> Summary:
    metric = Metric("accuracy", accuracy, table="right")
    found = [
        Findings({name: {"right": mean_table([1.0, 0.0, value])} for name in languages})
        for value in (1.0, 0.0)
    ]
    cells = [Cell("toy", "model", "m", 0, 1.0, found[0])]
    if baseline:
        cells.append(Cell("toy", "baseline", "b", 0, 1.0, found[1]))
    return summarise(cells, [metric])


def test_the_overview_has_every_language_of_every_task() -> None:
    table = overview(
        {"xnli": summary(baseline=True), "other": summary(baseline=False, languages=("fr", "sw"))}
    )
    records = {str(record["language"]): record for record in to_records(table)}
    assert list(records) == ["de", "fr", "sw", "mean of all"]
    assert records["de"]["xnli accuracy"] == pytest.approx(2 / 3)
    assert records["de"]["xnli change"] == pytest.approx(1 / 3)
    assert records["de"]["other accuracy"] is None
    assert records["sw"]["xnli accuracy"] is None
    assert table.footers == 1


def test_tables_stay_within_eighty_columns() -> None:
    from rich.console import Console

    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for table in summary_tables("toy", summary(baseline=True)):
        console.print(table)
    assert "…" not in console.export_text()
