"""Every JSON that otkit writes is valid JSON: no NaN, no infinity, nothing that is not UTF-8."""

from __future__ import annotations

import ast
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from otkit.cli.app import app
from otkit.files import to_json
from otkit.training.settings import TrainingSettings
from tests.conftest import make_tiny_encoder
from tests.training.test_loop import run as run_regression

PACKAGE = Path(__file__).parents[1] / "otkit"
DIGESTS = {"data/hub.py"}  # rows of a data set as the input of a hash, written nowhere


def test_no_writer_can_write_what_is_not_json() -> None:
    """`to_json` makes null of what is not a number; whoever writes JSON without it forbids such values."""
    loose = []
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr in ("dump", "dumps") and ast.unparse(node.func.value) == "json":
                keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
                if keywords.get("allow_nan") != "False" and place not in DIGESTS:
                    loose.append(f"{place}:{node.lineno}")
    assert not loose


def strict(text: str) -> Any:
    """What any JSON parser makes of a text."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in {text[:300]}"))


# Words that are hard on JSON, a side without words, and a lone surrogate, which JSON can spell and UTF-8 cannot.
TEXT = [
    {"source": 'das "haus" \\ ist', "target": "the house\u2028is </script>"},
    {"source": "", "target": "the house"},
    {"source": "ein \ud800 haus", "target": "a house"},
    {"source": "das haus ist klein", "target": "the house is small"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every command has run that writes JSON."""
    root = tmp_path_factory.mktemp("json")
    for name in ("tiny", "other"):
        make_tiny_encoder().save(root / name)
    lines = [json.dumps(line) for line in TEXT]
    (root / "de-en.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    good = [f"{line['source']}\t{line['target']}\n" for line in (TEXT[0], TEXT[3])]
    (root / "de-en.tsv").write_text("".join(good), encoding="utf-8")
    (root / "de-en.gold.tsv").write_text("das haus\tthe house\t1-1\nein haus\ta house\t\n", encoding="utf-8")
    for number, words in enumerate(commands(root)):
        if words[0] not in ("align", "report", "show-alignment"):
            words = [*words, "--json", str(root / f"figures-{number}.json")]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, (words, result.output, result.exception)
        if "--format" in words and "json" in words:
            (root / f"stdout-{number}.json").write_text(result.stdout, encoding="utf-8")
    return root


def commands(root: Path) -> list[list[str]]:
    tiny = ["--model", str(root / "tiny")]
    skip = ["--on-error", "skip"]
    corpus, good, gold = (str(root / name) for name in ("de-en.jsonl", "de-en.tsv", "de-en.gold.tsv"))
    training = ["--steps", "2", "--save-every", "1"]
    jsonl = ["--format", "jsonl", "--scores", "--quiet"]
    return [
        ["extract", corpus, *tiny, *skip, *jsonl, "--output", str(root / "links.jsonl")],
        ["check", corpus, *tiny, *skip, "--output", str(root / "worst.jsonl"), "--quiet"],
        ["embed", corpus, *tiny, *skip, "--shards", "npy", "--output", str(root / "vectors"), "--quiet"],
        ["report", corpus, *tiny, *skip, "--output", str(root / "pages"), "--quiet"],
        ["show-alignment", "das \ud800 haus", "the house", *tiny, "--format", "json"],
        ["show-alignment", "haus", "house", *tiny, "--compare", str(root / "other"), "--format", "json"],
        ["evaluate", "retrieval", good, *tiny, "--output", str(root / "cells"), "--quiet"],
        ["evaluate", "word-alignment", "--gold", gold, *tiny, "--output", str(root / "cells"), "--quiet"],
        ["align", good, *tiny, *training, "--dev", good, "--output", str(root / "run"), "--quiet"],
        ["export", str(root / "tiny"), "--to", "sentence-transformers", "--output", str(root / "st")],
        ["export", str(root / "tiny"), "--to", "onnx", "--output", str(root / "onnx")],
        ["info", str(root / "tiny")],
    ]


def test_everything_that_the_commands_write_is_json(folder: Path) -> None:
    read = set()
    for path in sorted(folder.rglob("*.json*")):
        text = path.read_text(encoding="utf-8")
        # A line that was skipped is empty, so that line numbers agree.
        found = (
            [strict(line) for line in text.splitlines() if line]
            if path.suffix == ".jsonl"
            else [strict(text)]
        )
        assert found, path
        read.add(path.relative_to(folder).as_posix())
    for path in folder.rglob("*.html"):
        embedded = re.findall(r'<script id="data"[^>]*>(.*?)</script>', path.read_text(encoding="utf-8"))
        assert all(strict(text) for text in embedded)
        read |= {"page"} if embedded else set()
    expected = {
        *("links.jsonl", "worst.jsonl", "vectors/manifest.json", "vectors/part-00000.jsonl", "page"),
        *("run/otkit.json", "run/history.jsonl", "run/checkpoints/step-00000002/manifest.json"),
        *("st/modules.json", "st/1_Pooling/config.json", "onnx/manifest.json", "onnx/otkit.json"),
        *("cells/retrieval/model/seed-0/cell.json", "cells/word-alignment/model/seed-0/cell.json"),
        *(f"figures-{number}.json" for number in (0, 1, 2, 6, 7, 9, 10, 11)),
        *("stdout-4.json", "stdout-5.json"),
    }
    assert expected <= read, expected - read
    links = (folder / "links.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(links) == len(TEXT)
    assert strict(links[0])["target"][-1] == "</script>"
    assert links[1:3] == ["", ""], "bad lines"
    shown = strict((folder / "stdout-4.json").read_text(encoding="utf-8"))
    assert shown["source"] == ["das", "\ud800", "haus"]


def test_characters_that_are_not_text_are_escaped_and_come_back() -> None:
    hard = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0xDFFF, 0xD800])) + "é 字 😀"
    text = to_json({hard: [hard]}, indent=None)
    assert text.encode("utf-8")
    assert len(text.splitlines()) == 1
    assert all(character.isprintable() for character in text[:-1])
    assert "é 字 😀" in text
    assert json.loads(text) == {hard: [hard]}


def test_a_run_whose_held_out_figure_is_not_a_number_has_a_valid_history_and_goes_on(tmp_path: Path) -> None:
    """JSON has null for it, and it is never the best."""
    figures = iter([math.nan, 0.5, math.inf, 0.7, math.nan])
    config = TrainingSettings(steps=3, save_every=1, eval_every=1)

    def evaluate() -> dict[str, float]:
        return {"divergence": next(figures)}

    _, _, result = run_regression(tmp_path, config, evaluate=evaluate)
    assert result.best is not None
    assert result.best["divergence"] == 0.5
    history = [strict(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [line["divergence"] for line in history if "divergence" in line] == [None, 0.5, None, 0.7]
    strict((tmp_path / "checkpoints" / "step-00000003" / "manifest.json").read_text())
    _, _, again = run_regression(tmp_path, config, evaluate=evaluate, resume=True)
    assert again.best == result.best
