"""What a person reads of how their files were read: words, separators, gold apart from its text, equal sentences,
skipped lines; the same from every command.
"""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otkit.api.align import align_words
from otkit.cli.app import main
from otkit.encoders.torch import TorchEncoder
from tests.conftest import make_tiny_encoder

Run = Callable[..., tuple[int, str, str]]

SPACES = (
    "Bonjour\u202f! Ça va\u202f?\tHello ! How are you ?\n10\u00a0000 Häuser brennen\t10,000 houses burn\n"
)
BOTH = "das\tHaus ||| the house\nein Baum ||| a tree\n"
EQUAL = "".join(
    f"{text}\t{text}\n" for text in ("the cat sat .", "hello there .", "a dog barked .", "hello there .")
)
BAD_GOLD = b"das Haus\tthe house\t0-0 1-1\ngr\xfc\xdfe\thi\t0-0\nja\tyes\nein Baum\ta tree\t0-0 1-1\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    encoder: TorchEncoder = make_tiny_encoder()
    encoder.save(folder)
    return folder


@pytest.fixture
def otkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object, text: bytes | None = None) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["otkit", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text or b"")))
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capfd.readouterr()
        return int(stop.value.code or 0), out, " ".join(err.split())

    return run


# Words


def test_no_break_spaces_have_their_links(otkit: Run) -> None:
    """With the sample encoder: three words a source line, and the right links of the second."""
    Path("fr-en.tsv").write_text(SPACES)
    code, out, err = otkit("extract", "fr-en.tsv")
    assert code == 0, err
    first, second = out.splitlines()
    assert second == "0-0 1-1 2-2"
    assert max(int(link.partition("-")[0]) for link in first.split()) <= 2
    note = "note: fr-en.tsv: 2 lines (the first: line 1) with a no-break space or its like, which is part of a word"
    assert err.count(note) == 1


def test_every_reader_counts_the_same_words(otkit: Run, model: Path, tiny_encoder: TorchEncoder) -> None:
    lines = [line.split("\t") for line in SPACES.splitlines()]
    Path("fr-en.tsv").write_text(SPACES)
    Path("fr-en.bars").write_text(SPACES.replace("\t", " ||| "))
    rows = [{"source": source, "target": target} for source, target in lines]
    Path("fr-en.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    Path("fr-en.gold.tsv").write_text("".join(f"{source}\t{target}\t0-0\n" for source, target in lines))
    Path("a.fr").write_text("".join(f"{source}\n" for source, _ in lines))
    Path("a.en").write_text("".join(f"{target}\n" for _, target in lines))
    small = ("--model", model, "--threads", 1)
    expected = [3, 3]
    note = "2 lines (the first: line 1) with a no-break space"
    inputs = (["fr-en.tsv"], ["fr-en.bars"], ["fr-en.jsonl"], ["--source", "a.fr", "--target", "a.en"])
    for words in inputs:
        code, out, err = otkit("extract", *words, "--format", "jsonl", *small)
        assert [len(json.loads(line)["source"]) for line in out.splitlines()] == expected, err
        assert err.count(note) == 1
        code, out, err = otkit("check", *words, "--format", "jsonl", *small)
        checked = sorted((json.loads(line) for line in out.splitlines()), key=lambda one: one["line"])
        assert [len(one["source"]) for one in checked] == expected
        assert err.count(note) == 1
    code, out, err = otkit("extract", "fr-en.tsv", "--quiet", *small)
    assert (code, err) == (0, "")
    for source, target in lines:
        code, out, err = otkit("show-alignment", source, target, "--format", "json", *small)
        assert len(json.loads(out)["source"]) == 3
        (found,) = align_words(source, target, tiny_encoder)
        assert len(found.source) == 3
    for words in (["fr-en.tsv"], ["--gold", "fr-en.gold.tsv"]):
        code, out, err = otkit("report", *words, "--output", "pages", *small)
        assert code == 0, err
        assert err.count(note) == 1
        assert "10\u00a0000" in Path("pages/index.html").read_text().replace("\\u00a0", "\u00a0")
    code, out, err = otkit("evaluate", "word-retrieval", "--gold", "fr-en.gold.tsv", *small)
    assert code == 0, err
    assert err.count(note) == 1
    options = ("--unit", "word", "--shards", "npy", "--index", "none", "--side", "source")
    code, out, err = otkit("embed", "fr-en.tsv", "--output", "vectors", *options, *small)
    assert "vectors: 6 word vectors" in err
    assert err.count(note) == 1
    code, out, err = otkit("align", "fr-en.tsv", "--dry-run", "--steps", 1, *small)
    assert code == 0, err
    assert err.count(note) == 1


def test_raw_text_has_no_words_to_count_otherwise(otkit: Run, model: Path) -> None:
    pytest.importorskip("icu4py")
    Path("fr-en.tsv").write_text(SPACES)
    _, out, err = otkit("extract", "fr-en.tsv", "--raw", "--format", "jsonl", "--model", model)
    assert json.loads(out.splitlines()[0])["source"] == ["Bonjour", "!", "Ça", "va", "?"]
    assert "no-break" not in err


# Separators


COMMANDS = {
    "extract": ("extract",),
    "check": ("check",),
    "embed": ("embed", "--output", "vectors", "--shards", "npy", "--index", "none"),
    "report": ("report", "--output", "pages"),
    "align": ("align", "--dry-run", "--steps", "1"),
    "retrieval": ("evaluate", "retrieval"),
    "word-retrieval": ("evaluate", "word-retrieval"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_two_separators_are_decided_by_the_file_and_said(command: str, otkit: Run, model: Path) -> None:
    Path("de-en.txt.gz").write_bytes(gzip.compress(BOTH.encode()))
    code, _, err = otkit(*COMMANDS[command], "de-en.txt.gz", "--model", model, "--threads", 1)
    assert code == 0, err
    option = "--input-format"
    said = (
        "note: de-en.txt.gz: line 1 has both a tab and |||; the file is read as source ||| target, as line 2 shows "
        f"(else say {option} tsv)"
    )
    assert err.count(said) == 1


def test_a_stream_is_decided_too_or_asked_about(otkit: Run, model: Path) -> None:
    code, out, err = otkit("extract", "-", "--model", model, "--format", "jsonl", text=BOTH.encode())
    assert json.loads(out.splitlines()[0])["source"] == ["das", "Haus"]
    assert "note: <stdin>: line 1 has both" in err
    code, out, err = otkit("extract", "-", "--model", model, text=BOTH.splitlines()[0].encode())
    assert (code, out) == (1, "")
    assert "say which: --input-format tsv or --input-format bars" in err
    words = ("extract", "-", "--model", model, "--format", "jsonl", "--input-format", "tsv")
    code, out, err = otkit(*words, text=BOTH.splitlines()[0].encode())
    assert json.loads(out)["target"] == ["Haus", "|||", "the", "house"]
    assert "both" not in err


# Gold


def test_gold_apart_from_its_text(otkit: Run, model: Path) -> None:
    Path("apart.de-en.txt").write_text("das Haus ||| the house\nein Baum ||| a tree\n")
    Path("apart.gold").write_text("1-1 2-2\n1-1 2p2\n")
    Path("a.de").write_text("das Haus\nein Baum\n")
    Path("a.en").write_text("the house\na tree\n")
    Path("rows").write_text("1 1 1\n1 2 2 S\n2 1 1\n2 2 2 P\n")
    texts = (["apart.de-en.txt"], ["--source", "a.de", "--target", "a.en"])
    for words in texts:
        for gold in ("apart.gold", "rows"):
            for base in ((), ("--base", "1")):
                tasks = ("evaluate", "word-alignment", *words, "--gold", gold, *base, "--model", model)
                code, out, err = otkit(*tasks, "--json", "out.json")
                assert code == 0, err
                assert "2 pairs;" in out
                assert ("read as counting from 1" in out) == (not base)
                assert list(
                    json.loads(Path("out.json").read_text())["tasks"]["word-alignment"]["languages"]
                ) == ["de"]
    code, out, err = otkit("evaluate", "word-retrieval", *texts[0], "--gold", "apart.gold", "--model", model)
    assert "words with exactly one sure link: de 3" in out


REFUSED = {
    "base": (
        ("apart.de-en.txt", "--gold", "inner"),
        "inner: the file does not show whether its indices count from 0 or from 1; state what they count from: "
        "--base 0 or --base 1",
    ),
    "wrong base": (
        ("apart.de-en.txt", "--gold", "apart.gold", "--base", "0"),
        "apart.gold:1: source index 2 of the link 2-2 is outside its sentence of 2 words: expected 0 to 1; the links "
        "are read as counting from 0: correct the file, or say --base 1, which fits better, or drop such links: --on",
    ),
    "no text": (
        ("--gold", "apart.gold", "--langs", "de-en"),
        "apart.gold holds links without their sentences; name the text too: a file of pairs, or both sides (--source F "
        "--target F)",
    ),
    "text twice": (
        ("apart.de-en.txt", "--gold", "de-en.tsv"),
        "de-en.tsv holds its sentences itself; leave the text",
    ),
    "text without gold": (
        ("apart.de-en.txt",),
        "the text has no gold links to compare with; name them: --gold FILE",
    ),
    "one side": (
        ("--source", "apart.de-en.txt", "--gold", "apart.gold"),
        "give the source and the target",
    ),
    "two texts": (
        ("apart.de-en.txt", "other.fr-en.txt", "--gold", "apart.gold"),
        "2 texts were given for 1 files of gold links; give one text for each --gold",
    ),
    "one language twice": (
        ("--gold", "de-en.tsv", "--gold", "en-de.tsv"),
        "two files have gold of the language 'de'; evaluate one by one",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_gold_that_cannot_be_scored_says_what_is_missing(name: str, otkit: Run, model: Path) -> None:
    for text in ("apart.de-en.txt", "other.fr-en.txt"):
        Path(text).write_text("das Haus ||| the house\nein Baum ||| a tree\n")
    Path("apart.gold").write_text("1-1 2-2\n1-1 2p2\n")
    Path("inner").write_text("1-1\n\n")
    for table in ("de-en.tsv", "en-de.tsv"):
        Path(table).write_text("das Haus\tthe house\t0-0 1-1\n")
    words, complaint = REFUSED[name]
    code, out, err = otkit("evaluate", "word-alignment", *words, "--model", model)
    assert (code, out) in ((1, ""), (2, ""))
    assert complaint in err


def test_several_files_of_links_have_a_text_each(otkit: Run, model: Path) -> None:
    Path("de-en.txt").write_text("das Haus ||| the house\n")
    Path("fr-en.txt").write_text("la maison ||| the house\nun arbre ||| a tree\n")
    Path("de").write_text("0-0\n")
    Path("fr").write_text("1-1 2-2\n\n")
    words = ("evaluate", "word-alignment", "de-en.txt", "fr-en.txt", "--gold", "de", "--gold", "fr")
    code, out, err = otkit(*words, "--model", model)
    assert code == 0, err
    assert "de: de: read as counting from 0" in out
    assert "fr: fr: read as counting from 1" in out
    assert "3 pairs;" in out


@pytest.mark.slow
def test_published_gold_apart_from_its_text(otkit: Run, benchmark_data: Path) -> None:
    """Och and Ney's French and WPT's Hindi; links off by one or turned round would have three times the errors."""
    folder = benchmark_data / "word-alignment"
    code, out, err = otkit(
        *("evaluate", "word-alignment", folder / "en-fr.first100.src-tgt.gz"),
        *("--gold", folder / "en-fr.first100.gold.gz", "--json", "fr.json"),
    )
    assert code == 0, err
    assert "read as counting from 1" in " ".join(out.split())
    assert "100 pairs;" in out
    hindi = (
        *("evaluate", "word-alignment", "--gold", folder / "en-hi.align.txt.gz", "--json", "hi.json"),
        *("--source", folder / "en-hi.test.en.gz", "--target", folder / "en-hi.test.hi.gz"),
    )
    code, out, err = otkit(*hindi)
    assert code == 1
    assert (
        "en-hi.align.txt.gz:678: target index 34 of the link 33-34 is outside its sentence of 33 words" in err
    )
    assert err.endswith("drop such links: --on-error skip")
    code, out, err = otkit(*hindi, "--on-error", "skip")
    assert code == 0, err
    assert "1 of 1409 links lie outside their sentence and are dropped" in " ".join(out.split())
    assert "90 pairs;" in out
    for language, bound in (("fr", 0.08), ("hi", 0.4)):
        task = json.loads(Path(f"{language}.json").read_text())["tasks"]["word-alignment"]
        assert task["languages"][language]["aer"]["mean"] < bound


def test_bad_lines_of_gold_are_skipped_named_and_counted(otkit: Run, model: Path) -> None:
    Path("gold.de-en.tsv").write_bytes(BAD_GOLD)
    words = ("evaluate", "word-alignment", "--gold", "gold.de-en.tsv", "--model", model)
    code, out, err = otkit(*words)
    assert (code, out) == (1, "")
    assert "gold.de-en.tsv:2: invalid UTF-8 at byte 2" in err
    assert err.endswith("or skip such lines: --on-error skip")
    code, out, err = otkit(*words, "--on-error", "skip", "--json", "out.json")
    assert code == 0, err
    assert "2 pairs;" in out
    notes = json.loads(Path("out.json").read_text())["tasks"]["word-alignment"]["notes"]
    assert notes[0].startswith("de: gold.de-en.tsv: 2 lines were skipped: line 2 (invalid UTF-8 at byte 2")
    assert "line 3 (2 columns, expected 3 (received 'ja\\tyes'))" in notes[0]
    for command in (("report", "--output", "pages"), ("align", "--dry-run", "--steps", "1", "--links")):
        gold = ("--gold", "gold.de-en.tsv") if command[0] == "report" else ("gold.de-en.tsv",)
        code, _, err = otkit(*command, *gold, "--model", model, "--on-error", "skip")
        assert code == 0, err
        assert err.count("note: gold.de-en.tsv: 2 lines were skipped: line 2") == 1


# Retrieval


def test_equal_sentences_are_counted_beside_the_published_figure(otkit: Run, model: Path) -> None:
    Path("equal.de-en.tsv").write_text(EQUAL)
    code, out, err = otkit("evaluate", "retrieval", "equal.de-en.tsv", "--model", model, "--json", "out.json")
    assert code == 0, err
    task = json.loads(Path("out.json").read_text())["tasks"]["retrieval"]
    figures = {name: figure["mean"] for name, figure in task["languages"]["de"].items()}
    for side in ("forward", "backward"):
        assert figures[f"{side} @1"] == 0.75
        assert figures[f"{side} @1 equal"] == 1.0
        assert figures[f"{side} repeated"] == 2
    lines = [line.split() for line in out.splitlines()]
    heading = next(line for line in lines if line[:1] == ["language"])
    row = next(line for line in lines if line[:1] == ["de"])
    assert heading[-3:] == ["@1", "equal", "repeated"]
    assert (row[1], row[-2], row[-1]) == ("0.750", "1.000", "2")
    assert "repeated: targets that occur twice or more; @1 wants the one of the query's own" in " ".join(
        out.split()
    )
