"""Every table that a command prints, at 60, 80 and 200 columns and into a pipe: no figure and no head is cut.

A maker of tables that is not in TABLES fails the first test.
"""

from __future__ import annotations

import ast
import io
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

import otkit
from otkit.alignment.layers import MEASURES
from otkit.cli.align import forecast_table
from otkit.cli.cache import graphs_table, measured_table
from otkit.cli.export import onnx_table, trim_table
from otkit.cli.info import curve_table, facts_table
from otkit.cli.search import answer_table
from otkit.cli.stdout import guarded, show
from otkit.encoders.measured import Measured
from otkit.evaluation.protocol import Metric
from otkit.evaluation.retrieval import RETRIEVAL_METRICS
from otkit.evaluation.significance import Interval
from otkit.evaluation.summary import Figure, Summary
from otkit.evaluation.translation_errors import ERROR_METRICS
from otkit.evaluation.word_alignment import WORD_ALIGNMENT_METRICS
from otkit.evaluation.xnli import XNLI_METRICS
from otkit.evaluation.xquad import XQUAD_METRICS
from otkit.exports.cached import CachedGraph
from otkit.exports.gate import Parity
from otkit.exports.onnx import Attempt, ExportReport
from otkit.exports.trim import TrimReport
from otkit.reports.corpus import figures_table, frequent_pairs, unlinked_words
from otkit.reports.evaluation import layer_table, overview, score_tables, summary_tables
from otkit.reports.tables import Table, before_after, by_language
from otkit.training.forecast import CorpusForecast, Forecast
from otkit.vectors.search import Answer, Hit
from otkit.vectors.shards import Row
from tests.conftest import make_tiny_encoder
from tests.reports.views import random_view

WIDTHS = (60, 80, 200, None)
LANGUAGES = ("ar", "bg", "de", "el", "es", "fr", "hi", "ru", "tr", "zh")


def rows_of(metrics: tuple[Metric, ...], *, compared: bool, seeds: int) -> dict[str, dict[str, Figure]]:
    rng = random.Random(len(metrics))

    def figure(metric: Metric) -> Figure:
        value, other = rng.random(), rng.random()
        found = Figure(value, rng.random() / 10 if seeds > 1 else None)
        if not compared:
            return found
        spread = rng.random() / 10 if seeds > 1 else None
        low = (value - other - 0.01, value - other + 0.01) if metric.headline else (None, None)
        return Figure(value, found.std, other, spread, value - other, *low)

    return {language: {metric.name: figure(metric) for metric in metrics} for language in LANGUAGES}


def summary(metrics: tuple[Metric, ...], *, compared: bool = False, seeds: int = 1) -> Summary:
    rows = rows_of(metrics, compared=compared, seeds=seeds)
    averages = {"seen": rows["de"], "all": rows["fr"]}
    return Summary(
        metrics, rows, averages, tuple(range(seeds)), ("a note that is as long as notes are, " * 4,)
    )


SUMMARIES = {
    "retrieval": summary(RETRIEVAL_METRICS, compared=True),
    "word-alignment": summary(WORD_ALIGNMENT_METRICS, compared=True),
    "xnli": summary(XNLI_METRICS, compared=True, seeds=3),
    "xquad": summary(XQUAD_METRICS, seeds=3),
    "translation-errors": summary(tuple(ERROR_METRICS)),
}


def parity(difference: float) -> Parity:
    return Parity(234, difference, 0.9314, 0.981, 0.9911, 0.8067, 4.03, 3.05)


def exported() -> ExportReport:
    missed = ("lowest cosine 0.9314 (limit 0.99)", "word-link agreement 0.8067 (limit 0.9)")
    attempts = (
        Attempt("int8, dynamic; layers with outliers in blocks", 54_300_000, parity(0.911879), missed),
        Attempt("int8, 7-bit weights, dynamic; noisy layers in blocks", 60_100_000, parity(0.102329), ()),
    )
    return ExportReport(Path("encoder-onnx"), "int8", 18, 196_000_000, attempts, 12.0)


def planned() -> Forecast:
    corpora = [
        CorpusForecast(
            f"../shared/data/parallel/{language}-en.train.tsv.gz", (language, "en"), 9_800 + k, 0.5 + k
        )
        for k, language in enumerate(LANGUAGES)
    ]
    return Forecast(tuple(corpora), 62_500, 3, 49_139_712, 49_139_712, 12.0, 2.1, (24, 430, 186), 1.9, None)


def answered(word: int | None = None) -> Answer:
    texts = ("I cannot find my keys ; have you seen them anywhere ?", "我找不到钥匙了；你在哪里见过吗？" * 3)
    files = ("sample_data/parallel/de-en.dev.tsv", "sample_data/parallel/zh-en.dev.tsv.gz")
    hits = [
        Hit(0.9287 - k / 10, Row(file, 4 + 1000 * k, "source", "", text, word))
        for k, (file, text) in enumerate(zip(files, texts, strict=True))
    ]
    return Answer("Où sont mes clés ?", tuple(hits))


VIEWS = [random_view("de", "ar", (9, 11), seed, gold=True) for seed in range(6)]

# What makes them, by module and function.
TABLES: dict[str, Callable[[], list[Table]]] = {
    "cli/align.py forecast_table": lambda: [forecast_table(planned())],
    "cli/search.py answer_table": lambda: [answer_table(answered()), answer_table(answered(7))],
    "reports/evaluation.py _table": lambda: [
        table for name, found in SUMMARIES.items() for table in summary_tables(name, found)
    ],
    "reports/evaluation.py _with_notes": lambda: summary_tables("xnli", SUMMARIES["xnli"]),
    "reports/evaluation.py layer_table": lambda: [
        layer_table({language: {layer: 0.1 + layer / 100 for layer in range(13)} for language in LANGUAGES})
    ],
    "reports/evaluation.py overview": lambda: [overview(SUMMARIES)],
    "cli/export.py onnx_table": lambda: [onnx_table(exported())],
    "cli/export.py trim_table": lambda: [
        trim_table(TrimReport(119_547, 31_024, 183_600_000, 47_600_000, 0.02, 0.31, parity(0.1)))
    ],
    "cli/cache.py graphs_table": lambda: [
        graphs_table(
            [CachedGraph(Path("graphs/0123456789abcdef"), "a/model-of-a-long-name", (6, 7), 53_000_000)]
        )
    ],
    "cli/cache.py measured_table": lambda: [
        measured_table(
            [
                Measured(
                    Path(f"{'0123456789abcdef' * 2}.json"),
                    "a/model-of-a-long-name",
                    "the scale of check",
                    512,
                )
            ]
        )
    ],
    "reports/evaluation.py score_tables": lambda: score_tables(
        {name: Interval(0.912, 0.903, 0.921, 0.95) for name in ("precision", "recall", "f1")},
        {"PER": {"precision": 0.912, "recall": 0.934, "f1": 0.923, "gold": 41.0}},
    ),
    "cli/info.py curve_table": lambda: [curve_table({name: [-0.001, 0.456, 0.789] for name in MEASURES})],
    "cli/info.py facts_table": lambda: [facts_table(make_tiny_encoder())],
    "reports/corpus.py figures_table": lambda: [
        figures_table({"the sample encoder": VIEWS, "a model of a long name": VIEWS[::-1]})
    ],
    "reports/corpus.py frequent_pairs": lambda: [frequent_pairs(VIEWS)],
    "reports/corpus.py unlinked_words": lambda: [
        unlinked_words(VIEWS, side="source"),
        unlinked_words(VIEWS, side="target"),
    ],
    "reports/tables.py before_after": lambda: [
        before_after(
            "before and after: runs/a-name-as-long-as-people-give-their-runs/aligned",
            [("held-out Sinkhorn divergence", 0.4321, 0.1234, "lower"), ("AER", 0.0409, 0.0404, "lower")],
        )
    ],
    "reports/tables.py by_language": lambda: [
        by_language(
            "Word alignment",
            {language: {"AER": 0.1, "precision": 0.2, "recall": 0.3} for language in LANGUAGES},
            baseline={language: {"AER": 0.15, "precision": 0.25, "recall": 0.35} for language in LANGUAGES},
        )
    ],
}


def makers() -> Iterator[str]:
    """Functions of the package that make a table."""
    root = Path(otkit.__file__).parent
    for path in sorted(root.rglob("*.py")):
        for function in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(function, ast.FunctionDef):
                continue
            called = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
            names = {name.id for name in called if isinstance(name, ast.Name)}
            if names & {"Table", "before_after", "by_language"}:
                yield f"{path.relative_to(root)} {function.name}"


def test_every_maker_of_tables_is_here() -> None:
    assert sorted(makers()) == sorted(TABLES)


def test_nothing_else_writes_to_stdout() -> None:
    """Tables are drawn by `report.tables`, and all of stdout goes through `cli.stdout`."""
    root = Path(otkit.__file__).parent
    roads = []
    for path in sorted(root.rglob("*.py")):
        place = str(path.relative_to(root))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "rich.table":
                roads.append((place, "rich.table"))
            if not isinstance(node, ast.Call):
                continue
            name, given = ast.unparse(node.func), {keyword.arg for keyword in node.keywords}
            silent = {"typer.echo": "err", "typer.secho": "err", "Console": "file", "print": "file"}.get(name)
            if name.startswith("sys.stdout.") or (silent is not None and silent not in given):
                roads.append((place, name))
    assert {place for place, _ in roads if place != "cli/stdout.py"} == {
        "reports/tables.py",
        "cli/progress.py",
    }
    assert {name for place, name in roads if place != "cli/stdout.py"} == {"rich.table"}


def printed(table: Table, width: int | None, monkeypatch: pytest.MonkeyPatch) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        patch.delenv("FORCE_COLOR", raising=False)
        if width is None:
            patch.delenv("COLUMNS", raising=False)
        else:
            patch.setenv("COLUMNS", str(width))
        with guarded():
            show(table)
    stream.seek(0)
    return stream.read()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("maker", TABLES)
def test_no_figure_and_no_head_is_cut(maker: str, width: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for table in TABLES[maker]():
        text = printed(table, width, monkeypatch)
        lines = text.splitlines()
        assert width is None or max(map(cell_len, lines)) <= width
        tokens = Counter(text.translate({0x2067: " ", 0x2069: " "}).split())
        left_out = [line for line in lines if line.startswith("left out at this width: ")]
        gone = left_out[0].partition(": ")[2].split(", ") if left_out else []
        figures: Counter[str] = Counter()
        for place, column in enumerate(table.columns):
            cells = [table.cells(row)[place] for row in table.rows]
            if column.name in gone:
                assert column.drop
                continue
            assert column.name in text or set(re.split(r"(?<=_)|\s", column.name)) <= set(tokens)
            if table.kind(place) == "figure":
                figures.update(token for cell in cells for token in cell.split())
            elif table.kind(place) == "path":
                ends = [cell.rpartition("/")[2] for cell in cells]
                assert all(end in text for end in ends)
            else:
                words = [word for cell in cells for word in cell.split() if cell_len(word) <= 12]
                assert set(words) <= set(tokens), set(words) - set(tokens)
        assert not figures - tokens
        if all(table.kind(place) != "path" for place in range(len(table.columns))):
            assert "…" not in text
        if width is None:
            assert not gone
            assert "…" not in text
            assert len(lines) <= len(table.rows) + table.footers + len(table.notes) + 6
