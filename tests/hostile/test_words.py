"""Words of anyone's: no terminal obeys them, no spreadsheet computes them, no line breaks; and commands leave nothing
outside their outputs and otkit's own cache."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from otkit.checks.reader import Found
from otkit.cli import stdout
from otkit.cli.stdout import printable, write_data
from otkit.data.gold import read_gold
from otkit.data.parallel import Pair, read_pairs
from otkit.data.tasks import read_nli, read_qa
from otkit.errors import OtkitError
from otkit.reports.checked import CHECK_FORMATS, CheckedLine
from tests.conftest import make_tiny_encoder

NASTY = {
    "colour": "\x1b[31mred",
    "link": "\x1b]8;;http://x\x07click\x1b]8;;\x07",
    "title": "\x1b]0;owned\x07",
    "C1": "\x9b31m",
    "bell": "a\x07b",
    "return": "good\rbad",
    "backspace": "a\b\b\bb",
    "override": "abc\u202edef",
    "isolate": "a\u2067b",
    "line separator": "a\u2028b",
    "paragraph separator": "a\u2029b",
    "next line": "a\x85b",
    "form feed": "a\x0cb",
    "half a pair": "a\ud800b",
    "NUL": "a\x00b",
}
ORDERS = set("\x1b\x07\x9b\r\b\u202e\u2067\u2028\u2029\x85\x0c\ud800\x00")


@pytest.mark.parametrize("kind", NASTY)
def test_a_terminal_obeys_no_word(kind: str, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> None:
    shown = printable(NASTY[kind])
    assert not ORDERS & set(shown)
    assert "\\u" in shown
    monkeypatch.setattr(stdout, "is_terminal", lambda: True)
    write_data(NASTY[kind] + "\t.\n")
    assert not ORDERS & set(capfdbinary.readouterr().out.decode())


def _line(source: str) -> CheckedLine:
    figures: Any = SimpleNamespace(hallucination=0.5, omission=0.5, source=(source,), target=("=1+1",))
    return CheckedLine("@file", 1, figures, {"number": Found(0.5, f"+{source}")})


@pytest.mark.parametrize("word", [*NASTY.values(), "=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(A1)"])
def test_a_table_of_checked_lines_has_no_orders_and_no_formulas(word: str) -> None:
    _, row = CHECK_FORMATS["tsv"]([_line(word)], True, "")
    cells = row.split("\t")
    assert cells[3] == "number"
    assert not ORDERS & set(row)
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_mutated_lines_keep_their_count_and_order(count: int, tmp_path: Path) -> None:
    """Lines with a few bytes changed: each gives its pair or its error, in its place, through every reader."""
    luck = random.Random(0)
    signs = (0, 9, 0x1B, 0x7C, 0x80, 0xC3, 0xFF, 0x85, 0xE2, 0x20, 0x22, 0x5C)
    shapes = {
        "tsv": "{0} das haus ist klein\t{0} the house is small\t0-0 1-1 2-2",
        "bars": "{0} das haus ist ||| {0} the house is",
        "jsonl": '{{"source": "{0} das haus", "target": "{0} the house", "premise": "a", "hypothesis": "b",'
        ' "label": "neutral"}}',
    }
    for format, shape in shapes.items():
        path = tmp_path / f"{format}.de-en.{format}"
        with path.open("wb") as file:
            for number in range(count // len(shapes)):
                line = bytearray(shape.format(number).encode())
                for _ in range(luck.randint(0, 4)):
                    line[luck.randrange(len(line))] = luck.choice(signs)
                file.write(line + b"\n")
        wanted = count // len(shapes)
        seen = 0
        for seen, item in enumerate(read_pairs(path, format=format, on_error="skip"), 1):
            assert item.line == seen
            if isinstance(item, Pair):
                assert "\n" not in item.source + item.target
        assert seen == wanted
        for read in {"tsv": (read_gold, read_nli), "jsonl": (read_nli,)}.get(format, ()):
            found: Any = read(path, on_error="skip")
            assert len(found) + found.skipped == wanted
        with pytest.raises(OtkitError):
            read_qa(path)


_WATCHED = """
import sys
sys.addaudithook(lambda event, args: event == "socket.connect" and sys.exit(f"connected to {args[1]}"))
sys.argv = ["otkit", *sys.argv[1:]]
from otkit.cli.app import main
main()
"""


@pytest.mark.slow
def test_commands_write_nothing_but_their_outputs_and_the_cache(tmp_path: Path) -> None:
    """A real start; of the others see `test_quiet`."""
    home, out, bench = (tmp_path / name for name in ("home", "out", "bench"))
    home.mkdir()
    out.mkdir()
    make_tiny_encoder().save(bench / "tiny")
    (bench / "de-en.tsv").write_text("das haus\tthe house\n", encoding="utf-8")
    known = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "ORT_"))}
    before = set(bench.rglob("*"))
    subprocess.run(
        [
            sys.executable,
            "-c",
            _WATCHED,
            "extract",
            "de-en.tsv",
            "--model",
            "tiny",
            "--output",
            str(out / "x.align"),
        ],
        cwd=bench,
        env={**known, "HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])},
        check=True,
        capture_output=True,
    )
    assert [path.name for path in out.iterdir()] == ["x.align"]
    assert set(bench.rglob("*")) == before
    written = [path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()]
    assert all(path.startswith(".cache/otkit/") for path in written), written
