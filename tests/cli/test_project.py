"""`otkit project`, `tags` and `lexicon` from the command line: on the sample data, interrupted, and given nonsense."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otkit.cli.app import main
from otkit.projection.scores import score_files
from otkit.resources import sample_data
from tests.conftest import make_tiny_encoder

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `otkit ...` in this process, in a folder of its own; the stdout, or for an exit code above 0 the stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object, code: int = 0, errors: bool = False) -> str:
        monkeypatch.setattr(sys, "argv", ["otkit", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        shown = capsys.readouterr()
        assert (stop.value.code or 0) == code, shown.err
        return shown.err if code or errors else shown.out

    return call


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    make_tiny_encoder().save(folder)
    return folder


def test_labels_of_the_sample_are_carried_whole(run: Run, tmp_path: Path) -> None:
    labels = Path(str(sample_data())) / "labels"
    run(
        "project",
        labels / "en.conll",
        "--target",
        labels / "de.txt",
        "--output",
        "de.conll",
        "--json",
        "run.json",
    )
    assert score_files(tmp_path / "de.conll", labels / "de.conll", resamples=10).figures["f1"].value == 1
    document = json.loads((tmp_path / "run.json").read_text())
    assert document["counts"] == {
        "sentences": 8, "written": 8, "skipped": 0, "spans": 15, "lost": 0, "reasons": {},
    }  # fmt: skip
    assert document["spans"]["rule"] == "auto"
    surest = run(
        "project", labels / "en.conll", "--target", labels / "de.txt", "--floor", "0.9", "--scores", "-q"
    )
    confidences = [
        float(line.split("\t")[2]) for line in surest.splitlines() if "\t" in line and line[-1] != "_"
    ]
    assert 0 < len(confidences) < 24
    assert min(confidences) >= 0.9
    assert "# lost: " in surest
    assert ": its confidence is below the floor" in surest


def test_an_interrupted_run_goes_on_to_the_same_bytes(
    run: Run, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from otkit.alignment.sink import Sink

    (tmp_path / "a.conll").write_text("".join(f"das\tO\nhaus{n}\tB-X\n\n" for n in range(1100)))
    (tmp_path / "b.txt").write_text("the house\n" * 1100)
    line = ("project", "a.conll", "--target", "b.txt", "--model", tiny, "--threads", "1", "-q", "--output")
    run(*line, "whole.conll")
    written = Sink.write
    pieces: list[str] = []

    def breaks(self: Sink, text: str, known: dict[str, object]) -> None:
        if pieces:
            raise KeyboardInterrupt
        pieces.append(text)
        written(self, text, known)

    monkeypatch.setattr(Sink, "write", breaks)
    monkeypatch.setattr(sys, "argv", ["otkit", *map(str, line), "out.conll"])
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        main()
    assert not (tmp_path / "out.conll").exists()
    monkeypatch.setattr(Sink, "write", written)
    assert "an interrupted run left a part" in run(*line, "out.conll", code=1)
    run(*line, "out.conll", "--resume")
    assert (tmp_path / "out.conll").read_bytes() == (tmp_path / "whole.conll").read_bytes()
    run(*line, "out.conll", "--resume")


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_answers_go_on_wherever_they_were_interrupted(
    pieces: int, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from otkit.alignment.sink import Sink
    from otkit.projection import corpus

    def paragraph(n: int) -> dict[str, object]:
        answer = {"text": "haus", "answer_start": 4}
        return {"context": f"das haus {n}", "qas": [{"id": str(n), "question": "?", "answers": [answer]}]}

    articles = [{"title": f"T{n}", "paragraphs": [paragraph(2 * n), paragraph(2 * n + 1)]} for n in range(3)]
    (tmp_path / "a.json").write_text(json.dumps({"version": "1.1", "data": articles}))
    (tmp_path / "b.txt").write_text("the house\n" * 6)
    (tmp_path / "links").write_text("0-0 1-1\n" * 6)
    monkeypatch.setattr(corpus, "_WINDOW", 3)
    line = ("project", "a.json", "--target", "b.txt", "--links", "links", "-q", "--output")
    run(*line, "whole.json")
    read = json.loads((tmp_path / "whole.json").read_text())
    assert [(each["title"], len(each["paragraphs"])) for each in read["data"]] == [
        ("T0", 2), ("T1", 2), ("T2", 2),
    ]  # fmt: skip
    written, done = Sink.write, 0

    def breaks(self: Sink, text: str, known: dict[str, object]) -> None:
        nonlocal done
        written(self, text, known)
        done += 1
        if done == pieces:
            raise KeyboardInterrupt

    monkeypatch.setattr(Sink, "write", breaks)
    monkeypatch.setattr(sys, "argv", ["otkit", *map(str, line), "out.json"])
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        main()
    monkeypatch.setattr(Sink, "write", written)
    run(*line, "out.json", "--resume")
    assert (tmp_path / "out.json").read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_markup_of_the_sample(run: Run, tmp_path: Path) -> None:
    markup = Path(str(sample_data())) / "markup"
    texts = run("tags", markup / "page.en.html", "--texts", "-q").splitlines()
    assert texts[1] == "The lighthouse of Brenholm"
    assert len(texts) == len((markup / "page.de.txt").read_text(encoding="utf-8").splitlines())
    page = run("tags", markup / "page.en.html", markup / "page.de.txt", "-q")
    assert "<h1>Der <em>Leuchtturm</em> von Brenholm</h1>" in page
    assert '<a href="kitchen.html">ehemaligen Küche</a>' in page
    assert "<strong>Mai</strong> bis <strong>September</strong>" in page


def test_a_lexicon_is_made_and_looked_up(run: Run, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "de-en.tsv").write_text("das haus\tthe house\nein haus\ta house\n")
    (tmp_path / "links").write_text("0-0 1-1\n0-0 1-1\n")
    run("lexicon", "de-en.tsv", "--links", "links", "--output", "lex.sqlite", "-q")
    shown = run("lexicon", "--look-up", "Haus", "lex.sqlite")
    assert shown.splitlines()[0] == "haus\thouse\t2\t1.000\t1.000"
    assert "    1: das haus | the house" in shown
    run("lexicon", "de-en.tsv", "--links", "links", "--output", "lex.s2t", "-q")
    assert (tmp_path / "lex.s2t").read_text() == "the das 1.0000000\na ein 1.0000000\nhouse haus 1.0000000\n"
    assert (tmp_path / "lex.t2s").exists()
    said = run(
        "lexicon", "de-en.tsv", "--links", "links", "--model", "nowhere", "--output", "l.tsv", errors=True
    )
    assert "note: the links are given, so no encoder is opened: --model does nothing here" in said
    found = run("lexicon", "de-en.tsv", "--model", tiny, "--phrases", "2", "-q")
    assert found.startswith("source\ttarget\tcount")


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("project none.conll --target none.txt --links none", 1, "none.conll: there is no such file"),
        ("project a.conll", 2, "--target: there is no translation"),
        ("project a.conll --target b --scheme iob9", 2, "--scheme"),
        ("project a.conll --target b --rule prize", 2, "did you mean 'price'"),
        ("project a.conll --target b --column 0 --links b", 2, "columns are counted from 1"),
        ("project a.conll --target b.txt --output a.conll", 1, "is an input of this run"),
        ("tags none.html --texts", 1, "none.html: there is no such file"),
        ("tags a.conll b.txt --texts", 2, "need no translation"),
        ("tags a.conll --syntax htlm", 2, "did you mean 'html'"),
        ("lexicon", 2, "there is no corpus to count"),
        ("lexicon a.tsv --output a.pdf", 2, "tells no format"),
        ("lexicon a.tsv --output a.sqlite.gz --links b", 2, "--output: received 'a.sqlite.gz'"),
        (
            "lexicon a.tsv --output a.s2t --links b --phrases 2",
            2,
            "--phrases: received 2, and a shortlist has words",
        ),
        ("lexicon a.tsv --most 3", 2, "--most: it is about --look-up; leave it out"),
        (
            "lexicon --look-up x a.tsv --output b.tsv",
            2,
            "--output: words are looked up in a lexicon that is there",
        ),
        ("lexicon --look-up x a.tsv --json b.json", 2, "--json: nothing is counted or written; leave it out"),
        (
            "project a.conll --target b.txt --links b --share 0.3",
            2,
            "--share: it is about --augment; leave it out",
        ),
        ("project a.conll --target b.txt --links b --surety 0.9", 2, "add --keep complete"),
        ("project a.jsonl --links b --scheme bilou", 2, "--scheme: it is about CoNLL, and a.jsonl is jsonl"),
        (
            "project a.jsonl --links b --output c.conll",
            2,
            "received 'c.conll', and jsonl is written; end it in .jsonl",
        ),
        ("project a.tsv --augment --target a.tsv --rule gaps", 2, "--rule: examples that are augmented keep"),
        (
            "project a.tsv --augment --target a.tsv --output c.jsonl",
            2,
            "and nli is written; end it in .tsv or .txt",
        ),
        ("lexicon --look-up x", 2, "there is no lexicon to look in"),
        ("lexicon --look-up x b.txt", 1, "is no lexicon of otkit"),
        ("lexicon a.tsv --set lexicon.phrases=99", 2, "phrases"),
    ],
)
def test_nonsense_is_told_in_one_line(line: str, code: int, said: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("a\tO\n")
    (tmp_path / "b.txt").write_text("a\n")
    (tmp_path / "b").write_text("a\n")
    (tmp_path / "a.jsonl").write_text('{"text": "a", "spans": [], "target": "a"}\n')
    (tmp_path / "a.tsv").write_text("a\tb\n")
    shown = run(*line.split(), code=code)
    assert said in shown
    assert len(shown.strip().splitlines()) == 1
