"""Every figure that the documentation claims is a cell of a result, and every table is as the results have it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import otkit
from benchmarks import record as recorded
from benchmarks.common import show
from benchmarks.data import read_table
from benchmarks.record import RESULTS, ROOT, Measured, Result, claims, pages, results, with_tables
from benchmarks.run import changes, compared, is_done, main, read_suite, report
from otkit.errors import InputError

PARTNERS: dict[str, dict[str, list[float]]] = json.loads(
    (Path(otkit.__file__).parent / "alignment" / "partners.json").read_text(encoding="utf-8")
)

# What is written in figures and was not measured: settings, versions, sizes of files, constants of the program. Each
# stands on its page as it stands here.
NO_MEASUREMENT = {
    "docs/gallery.md": ("the 95 % bootstrap interval",),
    "README.md": ("(31 MB, 4-bit)", "Python 3.11"),
    "docs/index.md": ("(31 MB)",),
    "docs/inspect.md": ("may have 25 MB",),
    "docs/reading.md": ("threshold 0.45", "A link strength of 0.8", "0.93 is above 98", "Above 0.8 is usual"),
    "docs/quickstart.md": ("Python 3.11",),
    "docs/troubleshooting.md": ("matplotlib 3.11",),
    "docs/method.md": (
        "between 0.02 and 0.98",
        "at least 0.02",
        # The rules as the aligner has them: a fit that is not told here is found.
        *(
            f"| {' | '.join(f'{number:.3f}' for number in rule)} |"
            for rules in PARTNERS.values()
            for rule in rules.values()
        ),
        "share is above 0.45",
        "The defaults, 0.25 and 2.5,",
        "threshold of 0.45",
        "anchor:0.1 --center sentence --tau 0.1 --cost cosine --epsilon 0.075",
    ),
    "docs/recipes/checking.md": ("0.95 times the share", "From 0.93 on"),
    "docs/recipes/mbert.md": ("every 15 minutes",),
    "docs/recipes/tags.md": ("XLIFF (1.2 and 2)",),
}
# Code, formulas, links and comments claim nothing; tables between marks are made of results.
_HIDDEN = re.compile(
    r"<!-- table: .*?<!-- end -->|```.*?```|\$\$.*?\$\$|\$[^$]+\$|`[^`]*`|\]\([^)]*\)|https?://\S+|<!--.*?-->",
    re.DOTALL,
)
_UNIT = (
    r"(?:%|points?\b|times\b|MB\b|GB\b|ms\b|s\b|seconds?\b|minutes?\b|hours?\b|(?:pairs|sentences)(?: a |/)s)"
)
_FIGURE = re.compile(rf"(?<![\w.-])[-+]?\d[\d,]*(?:\.\d+(?![\w.])|(?=(?:<!--[^>]*-->)?\s?{_UNIT}))")
_MARK = re.compile(r"[*]*<!--= ")


def written_pages() -> list[Path]:
    """README.md and the pages of docs/ that somebody wrote; benchmarks/README.md comments on its generated tables."""
    return [path for path in pages() if path.relative_to(ROOT).as_posix() != "benchmarks/README.md"]


def unmarked(text: str, exempt: tuple[str, ...]) -> list[str]:
    """Figures of a page that name no cell, with what stands around them."""
    for snippet in exempt:
        text = text.replace(snippet, " " * len(snippet))
    marks = {found.start() for found in _MARK.finditer(text)}
    shown = _HIDDEN.sub(lambda hidden: " " * len(hidden[0]), text)
    return [
        " ".join(text[max(0, found.start() - 40) : found.end() + 40].split())
        for found in _FIGURE.finditer(shown)
        if found.end() not in marks
    ]


@pytest.mark.parametrize("path", written_pages(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_measured_figure_names_its_cell(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    exempt = NO_MEASUREMENT.get(path.relative_to(ROOT).as_posix(), ())
    assert [snippet for snippet in exempt if snippet not in text] == []
    assert unmarked(text, exempt) == []


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_claim_is_its_cell_rounded_and_every_table_is_current(path: Path) -> None:
    text, known = path.read_text(encoding="utf-8"), results()
    for figure, name, column, row in claims(text):
        assert known[name].says(column, row, figure), f"{figure}: {name}: {column} @ {row}"
    assert with_tables(text, known) == text, "python -m benchmarks.record"


def test_a_figure_without_a_mark_or_with_another_value_is_noticed() -> None:
    result = Result(
        "r", "c", {}, (Measured("", ("", "mean", "all"), (("`a`", "**14.62**", 0.5), ("b", 3, None))),)
    )
    page = "It is 14.6<!--= r: mean @ a --> and 15.1 points, 3 % and 5 times; 7 words of `9.9`."
    found = unmarked(page, ())
    assert len(found) == 3
    assert all(
        figure in place for figure, place in zip(("15.1 points", "3 %", "5 times"), found, strict=True)
    )
    assert result.says("mean", "a", "14.6")
    assert not result.says("mean", "a", "14.7")
    assert result.says("mean", "b", "3")
    with pytest.raises(InputError, match="0 cells"):
        result.cell("mean", "c")
    assert list(claims("x **14.6**<!--= r: mean @\n a --> y")) == [("14.6", "r", "mean", "a")]


def test_every_result_says_what_it_rests_on() -> None:
    for result in results().values():
        assert result.command
        assert result.tables
        run = result.run
        assert "source" in run or {"on", "machine"} <= set(run)
        if not run.get("older") and "source" not in run:
            assert {"commit", "versions", "seeds", "seconds", "processor seconds"} <= set(run)
        for table in result.tables:
            assert all(len(row) == len(table.columns) for row in table.rows)


def test_the_suite_names_scripts_and_sets_that_exist() -> None:
    suite = read_suite()
    assert sum(entry.minutes for entry in suite.values() if entry.quick) <= 60
    for entry in suite.values():
        assert (ROOT / "benchmarks" / f"{entry.words.split()[0]}.py").exists()
        assert set(entry.sets) <= set(read_table())


SCRIPT = """
from sys import argv

from benchmarks.common import show
from benchmarks.record import took_before

if "fail" in argv:
    raise SystemExit("no")
print(argv[1:])
if "before" in argv:
    took_before(900.0, 800.0, "old1")
    took_before(90.0, 80.0, "old1")
show("words", ("", "AER"), [("a", 12.34), ("new", 1.0)], digits=1)
"""


def test_a_run_is_kept_compared_and_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script of its own, through the real command: tables, facts, differences, and what failed."""
    package = tmp_path / "benchmarks"
    package.mkdir()
    for name in ("__init__", "common", "record"):
        (package / f"{name}.py").write_text((ROOT / "benchmarks" / f"{name}.py").read_text())
    (package / "probe.py").write_text(SCRIPT)
    old = {
        "command": "x",
        "run": {},
        "tables": [{"title": "", "columns": ["", "AER"], "rows": [["**a**", "12.0"]]}],
    }
    (package / "results").mkdir()
    (package / "results" / "probe.json").write_text(json.dumps(old))
    monkeypatch.setattr("benchmarks.run.ROOT", tmp_path)
    monkeypatch.setattr("benchmarks.run.RESULTS", package / "results")
    monkeypatch.setattr("benchmarks.run.results", lambda: recorded.results(package / "results"))
    facts = {**recorded.facts_of_this_run(), "commit": "abc123"}
    monkeypatch.setattr("benchmarks.run.facts_of_this_run", lambda: facts)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    suite = tmp_path / "suite.toml"
    entry = 'minutes = 1\nquick = true\nseeds = "0"\nsets = []\n'
    entries = {"probe": "probe", "broken": "probe fail", "earlier": "probe before"}
    text = "".join(f'[{name}]\nwords = "{words}"\n{entry}' for name, words in entries.items())
    kept = entry.replace("quick = true", "quick = false\nin_folder = true")
    suite.write_text(f'{text}[parts]\nwords = "probe"\n{kept}')
    words = ["--suite", str(suite), "--output", str(tmp_path / "out"), "--quick"]
    assert main(words) == 1
    shown = capsys.readouterr()
    assert "broken failed" in shown.err
    assert re.search(r"\| a +\| AER +\| 12.0 +\| +12.34 +\| +0.340 \|", shown.out), shown.out
    found = recorded.read(tmp_path / "out" / "probe.json")
    assert found.tables == (Measured("words", ("", "AER"), (("a", 12.34), ("new", 1.0)), 1),)
    assert {"commit", "on", "machine", "versions", "seeds", "seconds"} <= set(found.run)
    assert found.command == "python -m benchmarks.probe"
    # Parts that an earlier run finished count with the time that they took then.
    earlier = recorded.read(tmp_path / "out" / "earlier.json").run
    assert earlier["seconds"] > 990
    assert earlier["processor seconds"] > 880
    assert "before" not in earlier
    assert earlier["commit"] == "old1"
    # What failed costs no comparison of before, and says why.
    assert "broken failed: no (" in shown.err
    changed = (tmp_path / "out" / "changes.md").read_text()
    assert main(["broken", *words[:4]]) == 1
    assert (tmp_path / "out" / "changes.md").read_text() == changed
    capsys.readouterr()
    # What keeps its parts is told to go on with them, or to begin anew, in a folder of its own.
    for more, word in ((), "--overwrite"), (("--resume",), "--resume"):
        (tmp_path / "out" / "parts.json").unlink(missing_ok=True)
        assert main(["parts", *words[:4], *more]) == 0
        own = str(tmp_path / "out" / "parts-parts")
        assert f"['--output', '{own}', '{word}']" in (tmp_path / "out" / "parts.log").read_text()
    assert recorded.read(tmp_path / "out" / "parts.json").command == "python -m benchmarks.probe"
    capsys.readouterr()
    with pytest.raises(InputError, match="is no suite"):
        main(["x", "--suite", str(tmp_path / "nowhere.toml")])
    # Nothing is run twice for one commit; kept results take the place of the old.
    assert main(["probe", *words[:4], "--resume", "--keep"]) == 0
    assert "$ python" not in capsys.readouterr().err
    assert (package / "results" / "probe.json").read_bytes() == (tmp_path / "out" / "probe.json").read_bytes()
    assert [difference for *_, difference in changes(found, found)] == [0.0, 0.0]
    assert compared(found, found) == "2 figures compared, 0 of them changed; 0 cells are new, 0 are gone."
    assert compared(recorded.read(RESULTS / "align.json"), found).startswith("0 figures compared")
    assert "Beware: command was" in compared(recorded.read(RESULTS / "align.json"), found)
    facts = {"commit": "abc123 with changes"}  # two such states need not be the same
    unsure = replace(found, run={**found.run, **facts})
    (tmp_path / "unsure.json").write_text(json.dumps(asdict(unsure)))
    assert not is_done(tmp_path / "unsure.json", read_suite(suite)["probe"], facts)
    assert "| new" in report([(None, found)])


def test_a_table_is_kept_only_where_a_run_asks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(recorded.VARIABLE, raising=False)
    show("t", ("a",), [("b",)])
    assert "**t**" in capsys.readouterr().out
