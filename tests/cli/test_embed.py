"""`otkit embed` and `otkit search` from the command line: vectors, answers, killed runs, flat memory, wrong words."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from otkit.cli.app import main
from tests.conftest import make_tiny_encoder

Run = Callable[..., str]

WORDS = ["das", "haus", "ist", "klein", "the", "house", "small", "ein", "der", "12", "."]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    make_tiny_encoder().save(folder)
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `otkit embed`, or `search`, in this process and expect an exit code: what it printed, or its last error."""

    def call(*words: object, text: str = "", code: int = 0) -> str:
        command = () if words[:1] == ("search",) else ("embed",)
        monkeypatch.setattr(sys, "argv", ["otkit", *command, *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        with pytest.raises(SystemExit) as stop:
            main()
        found = capsys.readouterr()
        assert int(stop.value.code or 0) == code, found.err
        return found.err if code else found.out

    return call


def corpus(path: Path, count: int) -> Path:
    rng = random.Random(0)
    sides = (" ".join(rng.choices(WORDS, k=rng.randint(1, 9))) for _ in range(2 * count))
    path.write_text("".join(f"{source}\t{target}\n" for source, target in zip(sides, sides, strict=True)))
    return path


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "otkit", "embed", *map(str, words), "--threads", "1", "--quiet"]


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_embed_then_ask(run: Run, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "v"
    text = "das haus ist klein .\tthe house is small .\nein hund\ta dog\n"
    assert not run(
        "-", "--langs", "de-en", "--model", model, "--output", folder, "--shards", "npy", text=text
    )
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["rows"], manifest["model"]["dimension"]) == (4, 32)
    said = run("search", folder, "a dog", "-k", 2)
    assert said.index("a dog") < said.index("<stdin>:2")
    assert "1.000" in said
    run("search", folder, "-", "--json", tmp_path / "a.json", text="ein hund\n\nthe house is small .\n")
    answers = json.loads((tmp_path / "a.json").read_text())["answers"]
    assert [answer["query"] for answer in answers] == ["ein hund", "the house is small ."]
    best = answers[0]["hits"][0]
    assert (best["text"], best["file"], best["line"], best["side"], best["language"]) == (
        "ein hund",
        "<stdin>",
        2,
        "source",
        "de",
    )


def test_every_way_to_give_text_gives_the_same_rows(run: Run, model: Path, tmp_path: Path) -> None:
    path = corpus(tmp_path / "c.de-en.tsv", 20)
    pairs = [line.split("\t") for line in path.read_text().splitlines()]
    sides = [tmp_path / "c.de", tmp_path / "c.en"]
    for file, texts in zip(sides, zip(*pairs, strict=True), strict=True):
        file.write_text("".join(f"{text}\n" for text in texts))
    options = ("--model", model, "--shards", "npy", "--index", "none")
    run(path, *options, "--output", tmp_path / "v1")
    run("--source", sides[0], "--target", sides[1], *options, "--output", tmp_path / "v2")
    run(sides[0], *options, "--output", tmp_path / "v3")
    shards = [(tmp_path / name / "part-00000.npy").read_bytes() for name in ("v1", "v2")]
    assert shards[0] == shards[1]
    rows = [json.loads(line) for line in (tmp_path / "v3" / "part-00000.jsonl").read_text().splitlines()]
    assert [(row["text"], row["line"], row["language"]) for row in rows] == [
        (source, line, "de") for line, (source, _) in enumerate(pairs, 1)
    ]


@pytest.mark.slow  # extract's is the one that runs always
def test_a_killed_run_goes_on_to_the_same_bytes(run: Run, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = corpus(tmp_path / "c.tsv", 4000)
    options = (path, "--model", model, "--shard-rows", 1000, "--index", "hnsw")
    run(*options, "--threads", 1, "--quiet", "--output", tmp_path / "whole")
    folder, kills = tmp_path / "cut", 0
    for wanted in (2, 5):
        process = subprocess.Popen(
            command(*options, "--output", folder, "--resume"), stderr=subprocess.DEVNULL
        )
        while (
            process.poll() is None and len(list((tmp_path / "cut.partial").glob("part-*.parquet"))) < wanted
        ):
            time.sleep(0.002)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills
    run(*options, "--output", folder, "--resume")
    assert everything(folder) == everything(tmp_path / "whole")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["rows"] == 8000 == sum(shard["rows"] for shard in manifest["shards"])
    assert run(*options, "--output", folder, "--resume") == ""


def peak_memory(*words: object) -> int:
    """The largest resident size, in MB, of a process that embeds."""
    code = (
        "import resource, sys; from otkit.cli.app import main\n"
        "try: main()\n"
        "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    line = [sys.executable, "-c", code, *command(*words)[3:]]
    return int(subprocess.run(line, capture_output=True, text=True, check=True).stdout.split()[-1])


@pytest.mark.slow
def test_memory_does_not_grow_with_the_corpus(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    sizes = [
        peak_memory(
            *(corpus(tmp_path / f"{count}.tsv", count), "--model", model, "--output", tmp_path / f"v{count}"),
            *("--shard-rows", 1000, "--index", "none"),
        )
        for count in (1000, 10_000)
    ]
    # Eighteen thousand more rows: 2.3 MB of vectors, 10 MB and more of Python text if anybody kept them.
    assert sizes[1] - sizes[0] < 10, sizes


@pytest.mark.slow
def test_an_exported_encoder_embeds(run: Run, tmp_path: Path) -> None:
    """An ONNX folder as --model, and the search that opens it again by itself."""
    pytest.importorskip("onnxscript")
    from otkit.data.parallel import Pair
    from otkit.exports.onnx import export_onnx

    pairs = {
        "de": [Pair("das haus ist klein .", "the house is small .", 1), Pair("ein haus !", "a house !", 2)]
    }
    export_onnx(make_tiny_encoder(), tmp_path / "onnx", pairs=pairs)
    path = corpus(tmp_path / "c.tsv", 10)
    run(path, "--model", tmp_path / "onnx", "--output", tmp_path / "v", "--shards", "npy")
    asked = path.read_text().splitlines()[6].split("\t")[1]
    run("search", tmp_path / "v", asked, "--json", tmp_path / "a.json")
    hit = json.loads((tmp_path / "a.json").read_text())["answers"][0]["hits"][0]
    assert hit["text"] == asked
    assert hit["score"] == pytest.approx(1, abs=1e-4)
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"something else")
    assert "model.onnx is not the file that was exported" in run("search", tmp_path / "v", "x", code=1)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("x.tsv",), 2, "there is no folder to write; give --output DIR"),
        (("--output", "v"), 2, "there is no text to embed"),
        (("missing.tsv", "--output", "v"), 1, "missing.tsv: there is no such file"),
        (("-", "--output", "v", "--resume"), 2, "--resume needs files"),
        (("-", "-", "--output", "v"), 2, "standard input was given twice"),
        (("-", "--output", "v", "--index", "hsnw"), 2, "did you mean 'hnsw'"),
        (("-", "--output", "v", "--dtype", "int4"), 2, "unknown dtype 'int4'"),
        (("-", "--output", "v", "--engine", "rya"), 2, "did you mean 'ray'"),
        (("-", "--output", "v", "--address", "auto"), 2, "add --engine ray"),
        (("--source", "a", "--output", "v"), 2, "give both of --source and --target"),
        (("search", "nowhere", "x"), 1, "holds no manifest.json; name a folder that otkit embed wrote"),
        (("search", "nowhere"), 2, "there is no question"),
        (("search", "nowhere", "x", "-k", "0"), 2, "-k: received '0'; expected a whole number of at least 1"),
    ],
)
def test_wrong_words_say_so(
    run: Run, words: tuple[str, ...], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in run(*words, text="a\tb\n", code=code)
    assert not list(tmp_path.glob("v/part*"))


def test_bad_lines_stop_or_are_counted(run: Run, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.tsv"
    path.write_bytes(b"das haus\tthe house\n\xff\xfe\tx\nno tab\nein haus\ta house\n")
    options = (path, "--model", model, "--shards", "npy", "--index", "none", "--output", tmp_path / "v")
    assert f"{path}:2" in run(*options, code=1)
    run(*options, "--on-error", "skip")
    rows = [json.loads(line) for line in (tmp_path / "v" / "part-00000.jsonl").read_text().splitlines()]
    assert [row["line"] for row in rows] == [1, 1, 4, 4]
    assert json.loads((tmp_path / "v" / "manifest.json").read_text())["skipped"] == 2


def test_a_question_is_read_as_the_texts_were(run: Run, model: Path, tmp_path: Path) -> None:
    """A prompt has no place before words; a long question is cut where long texts were."""
    text = corpus(tmp_path / "c.tsv", 4)
    run(text, "--model", model, "--output", tmp_path / "words", "--unit", "word")
    said = run("search", tmp_path / "words", "haus", "--prompt", "query: ", code=2)
    assert "--prompt: received 'query: ', and the vectors are those of words, which have none" in said
    long = " ".join(["haus"] * 200)
    run(text, "--model", model, "--output", tmp_path / "whole")
    assert "question 1 has 202 tokens, more than the encoder takes" in run(
        "search", tmp_path / "whole", long, code=1
    )
    run(text, "--model", model, "--output", tmp_path / "cut", "--long", "cut")
    run("search", tmp_path / "cut", long, " ".join(["haus"] * 62), "--json", tmp_path / "cut.json")
    first, second = json.loads((tmp_path / "cut.json").read_text())["answers"]
    assert first["hits"] == second["hits"], "of 64 tokens two are special"


def test_vectors_of_an_encoder_that_moved_say_what_is_needed(run: Run, tmp_path: Path) -> None:
    make_tiny_encoder().save(tmp_path / "tiny")
    run(corpus(tmp_path / "c.tsv", 4), "--model", tmp_path / "tiny", "--output", tmp_path / "v")
    (tmp_path / "tiny").rename(tmp_path / "moved")
    said = run("search", tmp_path / "v", "haus", code=1)
    assert "the encoder that made the vectors cannot be opened: no such file or folder" in said
    assert "--model" in said
    assert f"{tmp_path / 'v'}:" in said
    assert run("search", tmp_path / "v", "haus", "--model", tmp_path / "moved")


def test_what_is_read_is_not_written_over(run: Run, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "corpus.json"
    path.write_text('{"source": "das haus", "target": "the house"}\n', encoding="utf-8")
    before = path.read_bytes()
    words = (
        path,
        "--langs",
        "de-en",
        "--model",
        model,
        "--output",
        tmp_path / "v",
        "--overwrite",
        "--json",
        path,
    )
    assert "input of this run" in run(*words, code=1)
    assert path.read_bytes() == before
