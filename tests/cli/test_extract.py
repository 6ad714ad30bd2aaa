"""`otkit extract` from the command line: a line for each line, whatever the lines are, and however it ends."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from otkit.api.align import Aligner
from otkit.cli.app import main
from otkit.encoders.torch import TorchEncoder
from tests.conftest import make_tiny_encoder, mostly_slow

GOOD = [
    ("das haus ist klein", "the house is small"),
    ("ein haus .", "a house ."),
    ("die straße 12", "street 12"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    encoder: TorchEncoder = make_tiny_encoder()
    encoder.save(folder)
    return folder


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "otkit", "extract", *map(str, words), "--threads", "1"]


@dataclass(frozen=True)
class Ended:
    """A command that has run."""

    stdout: bytes
    stderr: bytes


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run `otkit extract` in this process, and expect an exit code."""

    def call(*words: object, text: bytes | None = None, code: int = 0) -> Ended:
        monkeypatch.setattr(sys, "argv", ["otkit", "extract", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text or b"")))
        with pytest.raises(SystemExit) as stop:
            main()
        ended = Ended(*capsysbinary.readouterr())
        assert int(stop.value.code or 0) == code, ended.stderr.decode()
        return ended

    return call


def corpus(path: Path, pairs: list[tuple[str, str]]) -> Path:
    text = "".join(f"{source}\t{target}\n" for source, target in pairs).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def many(count: int) -> list[tuple[str, str]]:
    rng = random.Random(0)
    words = ["das", "haus", "ist", "klein", "the", "house", "small", "ein", "der", "12", "."]
    return [tuple(" ".join(rng.choices(words, k=rng.randint(1, 9))) for _ in range(2)) for _ in range(count)]  # type: ignore[misc]


def test_one_line_for_each_line_in_every_form(run: Run, model: Path, tmp_path: Path) -> None:
    plain = corpus(tmp_path / "c.de-en.tsv", GOOD)
    packed = corpus(tmp_path / "c.tsv.gz", GOOD)
    expected = run(plain, "--model", model, "--quiet").stdout
    lines = expected.decode().splitlines()
    assert len(lines) == 3
    for line, (source, target) in zip(lines, GOOD, strict=True):
        cells = [tuple(map(int, link.split("-"))) for link in line.split()]
        assert cells == sorted(cells)
        assert all(i < len(source.split()) and j < len(target.split()) for i, j in cells)
    assert run("-", "--model", model, text=plain.read_bytes()).stdout == expected
    run(packed, "--model", model, "-o", tmp_path / "out.gz", "--json", tmp_path / "figures.json")
    assert gzip.decompress((tmp_path / "out.gz").read_bytes()) == expected
    assert json.loads((tmp_path / "figures.json").read_text())["input"]["lines"] == 3
    sides = [tmp_path / name for name in ("c.de", "c.en")]
    for path, side in zip(sides, zip(*GOOD, strict=True), strict=True):
        path.write_text("".join(f"{line}\n" for line in side), encoding="utf-8")
    assert run("--source", sides[0], "--target", sides[1], "--model", model).stdout == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "c.de",
        "c.de-en.tsv",
        "c.en",
        "c.tsv.gz",
        "figures.json",
        "out.gz",
    ]


def test_scores_and_formats(run: Run, model: Path, tmp_path: Path) -> None:
    plain = corpus(tmp_path / "c.tsv", GOOD)
    first = run(plain, "--model", model, "--scores").stdout.decode().splitlines()[0]
    for link in first.split():
        assert 0 <= float(link.split(":")[1]) <= 1
    found = run(plain, "--model", model, "--format", "jsonl", "--scores").stdout.decode().splitlines()
    documents = [json.loads(line) for line in found]
    assert [document["line"] for document in documents] == [1, 2, 3]
    assert documents[0]["source"] == GOOD[0][0].split()
    words = run(plain, "--model", model, "--format", "words", "--strategy", "match").stdout.decode()
    assert len(words.splitlines()[0].split("\t")) == 4


def test_bad_lines_stop_with_their_place_or_stay_empty(run: Run, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.tsv"
    path.write_bytes(b"das haus\tthe house\n\xff\xfe\tx\nno tab\n\t\nein haus\ta house\nnul\0\tx\n")
    stopped = run(path, "--model", model, code=1)
    assert f"{path}:2".encode() in stopped.stderr
    found = run(path, "--model", model, "--on-error", "skip", "--quiet")
    lines = found.stdout.decode().split("\n")
    assert [bool(line) for line in lines] == [True, False, False, False, True, False, False]
    assert b"4 of 6 lines were skipped" in found.stderr


def test_random_bytes_lose_no_line(run: Run, model: Path, tmp_path: Path) -> None:
    rng = random.Random(1)
    lines = [rng.randbytes(rng.randint(0, 60)).replace(b"\n", b"") for _ in range(10_000)]
    (tmp_path / "noise.tsv").write_bytes(b"\n".join([b"ein haus\ta house", *lines]) + b"\n")
    run(tmp_path / "noise.tsv", "--model", model, "--on-error", "skip", "-o", tmp_path / "out", "--quiet")
    assert (tmp_path / "out").read_bytes().count(b"\n") == 10_001


@pytest.mark.parametrize("longest", mostly_slow([3_000, 10_000, 100_000], 3_000))
def test_long_lines_are_aligned(run: Run, model: Path, tmp_path: Path, longest: int) -> None:
    words = ["das", "haus", "ist", "klein", "ein", "der"]
    pairs = [
        ("das", "the"),
        (" ".join(words[i % 6] for i in range(5000)), " ".join(words[i % 6] for i in range(300))),
        (" ".join(words[i % 6] for i in range(longest)), "das haus"),
        ("klein", "small"),
    ]
    found = run(corpus(tmp_path / "long.tsv", pairs), "--model", model, "--quiet").stdout.decode()
    lines = found.splitlines()
    assert len(lines) == 4
    assert lines[0] == lines[3] == "0-0"


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_killed_run_goes_on_to_the_same_bytes(run: Run, model: Path, tmp_path: Path, ending: str) -> None:
    path = corpus(tmp_path / "c.tsv", many(4500))
    options = (path, "--model", model, "--scores", "--quiet", "--on-error", "skip", "--space", "zscore")
    run(*options, "-o", tmp_path / f"whole{ending}", "--threads", 1)
    output = tmp_path / f"cut{ending}"
    state = output.with_name(output.name + ".state")
    kills = 0
    for _ in range(2):
        process = subprocess.Popen([*command(*options, "-o", output, "--resume")], stderr=subprocess.DEVNULL)
        before = state.read_bytes() if state.exists() else b""
        while process.poll() is None and (not state.exists() or state.read_bytes() == before):
            time.sleep(0.01)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
        if output.exists():
            break
    assert kills
    if not output.exists():
        partial = output.with_name(output.name + ".partial")
        with partial.open("ab") as file:
            file.write(b"half a line")
        run(*options, "-o", output, "--resume")
    assert output.read_bytes() == (tmp_path / f"whole{ending}").read_bytes()
    assert not list(tmp_path.glob("*.partial")) + list(tmp_path.glob("*.state"))
    said = run(*(word for word in options if word != "--quiet"), "-o", output, "--resume").stderr
    assert b"finished before: nothing to resume" in said


class Enough(Exception):  # noqa: N818
    """The run is to end here."""


def begin(corpus: Path, output: Path, model: Path, **settings: object) -> None:
    """A run from Python that ends after its first window."""

    def stop(done: int, total: int | None) -> None:
        if output.with_name(f"{output.name}.state").exists():
            raise Enough

    with pytest.raises(Enough):
        Aligner(model, device="cpu").extract(corpus, output=output, on_progress=stop, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "settings"), [((), {}), (("--corpus-prior",), {"corpus_prior": True})], ids=["plain", "prior"]
)
def test_a_run_that_python_began_goes_on_in_a_shell(
    run: Run, model: Path, tmp_path: Path, words: tuple[str, ...], settings: dict[str, bool]
) -> None:
    path, options = corpus(tmp_path / "c.tsv", many(1500)), ("--model", model, "--quiet", *words)
    run(path, *options, "-o", tmp_path / "whole")
    begin(path, tmp_path / "out", model, **settings)
    left = run(path, *options, "-o", tmp_path / "out", code=1).stderr.decode()
    assert "an interrupted run left a part of this output" in left
    assert "go on with --resume, or start over with --overwrite" in left
    run(path, *options, "-o", tmp_path / "out", "--resume")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_run_goes_on_only_with_the_prior_it_began_with(run: Run, model: Path, tmp_path: Path) -> None:
    """Lines that came since are aligned like the others, but for what they say of the first."""
    path, output = corpus(tmp_path / "c.tsv", many(1500)), tmp_path / "out"
    begin(path, output, model, corpus_prior=True)
    corpus(path, many(1500) + [("ein haus", "a house")] * 50)
    said = run(path, "--model", model, "-o", output, "--resume", "--corpus-prior", code=1).stderr.decode()
    assert "what the corpus says of its words is not what it said" in said
    assert "start over with --overwrite" in said
    assert output.with_name("out.partial").exists()


def test_a_run_goes_on_only_as_it_began(run: Run, model: Path, tmp_path: Path) -> None:
    path = corpus(tmp_path / "c.tsv", many(3000))
    output = tmp_path / "out"
    begin(path, output, model)
    other = run(path, "--model", model, "-o", output, "--resume", "--tau", "0.3", code=1)
    assert b"differs: settings: tau was 0.1, is 0.3" in other.stderr
    other = run(path, "--model", model, "-o", output, "--resume", "--scores", code=1)
    assert b"differs: asked: scores was false, is true" in other.stderr
    corpus(path, [("ein", "a"), *many(3000)])
    changed = run(path, "--model", model, "-o", output, "--resume", code=1)
    assert b"not those of the interrupted run" in changed.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "there is no corpus"),
        (
            ("--source", "a", "--target", "b", "--level", "sentence", "--tau", "1"),
            2,
            "--tau: beads of sentences",
        ),
        (
            ("--source", "a", "--target", "b", "--level", "sentence", "--no-truecase"),
            2,
            "no use for it; leave",
        ),
        (
            ("--source", "a", "--target", "b", "--level", "sentence", "--on-error", "skip"),
            2,
            "--on-error: beads",
        ),
        (("--source", "a", "--target", "b", "--level", "sentence", "--recipe", "best"), 2, "--recipe: beads"),
        (("missing.tsv",), 1, "missing.tsv"),
        (("-", "--resume"), 2, "--resume needs files"),
        (("-", "--format", "pharao"), 2, "did you mean 'pharaoh'"),
        (("-", "--strategy", "mutal"), 2, "did you mean 'mutual'"),
        (("a", "--source", "b"), 2, "give one file"),
        (("-", "--threshold", "x"), 2, "--threshold"),
    ],
)
def test_wrong_options_say_so(run: Run, words: tuple[str, ...], code: int, message: str) -> None:
    assert message in run(*words, text=b"", code=code).stderr.decode()


def test_raw_text_with_places(run: Run, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("icu4py")
    path = corpus(tmp_path / "raw.tsv", [("我们有一个房子。", "We have a house.")])
    found = run(path, "--model", model, "--raw", "--format", "jsonl").stdout.decode()
    document = json.loads(found)
    assert document["target"] == ["We", "have", "a", "house", "."]
    assert [("We have a house."[a:b]) for a, b in document["target_places"]] == document["target"]
    assert "".join(document["source"]) == "我们有一个房子。"


@pytest.mark.slow  # a real process; tests/cli/test_stdout.py closes every command's
def test_a_closed_pipe_is_no_error(model: Path, tmp_path: Path) -> None:
    path = corpus(tmp_path / "c.tsv", many(5000))
    line = f"{' '.join(command(path, '--model', model, '--quiet'))} | head -1; exit ${{PIPESTATUS[0]}}"
    found = subprocess.run(["bash", "-c", line], capture_output=True, timeout=300, check=False)
    assert found.returncode == 0
    assert b"Traceback" not in found.stderr


def test_settings_come_from_a_recipe(run: Run, model: Path, tmp_path: Path) -> None:
    path = corpus(tmp_path / "c.tsv", GOOD)
    recipe = tmp_path / "tuned.toml"
    recipe.write_text('# from here\n[alignment]\nstrategy = "match"\nlayers = [2]\n')
    direct = run(path, "--model", model, "--strategy", "match", "--layer", "2").stdout
    assert run(path, "--model", model, "--recipe", recipe).stdout == direct
    other = run(path, "--model", model, "--strategy", "backward", "--layer", "2").stdout
    assert other != direct
    assert run(path, "--model", model, "--recipe", recipe, "--set", "strategy=backward").stdout == other


DOCUMENTS = {
    "de": "Das Haus steht am See. Mein Bruder spielt Klavier.\nWir kaufen Brot.\n\n"
    "Der Zug ist alt.\nIch trinke Tee.\n",
    "en": "We buy bread.\nThe house stands by the lake.\nMy brother plays the piano.\n\n\n"
    "I drink tea. The train is old.\n",
}


@pytest.fixture
def books(tmp_path: Path) -> list[object]:
    for name, text in DOCUMENTS.items():
        (tmp_path / f"book.{name}").write_text(text, encoding="utf-8")
    return ["--source", tmp_path / "book.de", "--target", tmp_path / "book.en", "--documents", "--quiet"]


def test_documents_are_aligned_in_any_order_of_their_sentences(run: Run, books: list[object]) -> None:
    first, second = run(*books).stdout.decode().splitlines()
    # das - The, Haus - house, steht - stands; Wir - We, Brot - bread; Zug - train, trinke - drink
    assert {"0-3", "1-4", "2-5", "9-0", "11-2"} <= set(first.split())
    assert {"1-4", "5-1"} <= set(second.split())


def test_documents_in_every_form_and_from_one_file(run: Run, books: list[object], tmp_path: Path) -> None:
    rows = [json.loads(line) for line in run(*books, "--format", "jsonl", "--raw").stdout.splitlines()]
    assert [row["line"] for row in rows] == [1, 2]
    for row, number in zip(rows, (0, 1), strict=True):
        for side, name in (("source", "de"), ("target", "en")):
            text = DOCUMENTS[name].strip().replace("\n\n\n", "\n\n").split("\n\n")[number]
            assert [text[start:end] for start, end in row[f"{side}_places"]] == row[side]
    one = tmp_path / "book.tsv"
    texts = [[part.split("\n") for part in re.split("\n\n+", text.strip())] for text in DOCUMENTS.values()]
    lines = [f"{' '.join(source)}\t{' '.join(target)}\n" for source, target in zip(*texts, strict=True)]
    one.write_text("".join(lines), encoding="utf-8")
    assert run(one, "--documents", "--quiet").stdout == run(*books).stdout


def test_a_document_that_cannot_be_used_has_an_empty_line(
    run: Run, books: list[object], tmp_path: Path
) -> None:
    whole = run(*books).stdout.decode().splitlines()
    path = tmp_path / "book.de"
    path.write_bytes(path.read_bytes().replace(b"Wir", b"\xff"))
    assert b"book.de:2" in run(*books, code=1).stderr
    ended = run(*books[:-1], "--on-error", "skip")
    assert ended.stdout.decode().splitlines() == ["", whole[1]]
    assert b"1 of 2 documents were skipped" in ended.stderr


@pytest.mark.slow
def test_documents_go_on(run: Run, model: Path, tmp_path: Path) -> None:
    """After the first window of documents, to the same bytes."""
    text = "ein haus .\n\n" * 1030
    for side in ("x", "y"):
        (tmp_path / side).write_text(text, encoding="utf-8")
    begin(tmp_path / "x", tmp_path / "out", model, target=tmp_path / "y", documents=True)
    files = (
        "--source",
        tmp_path / "x",
        "--target",
        tmp_path / "y",
        "--documents",
        "--model",
        model,
        "--quiet",
    )
    run(*files, "-o", tmp_path / "whole")
    assert b"format" in run(*files[:4], *files[5:], "-o", tmp_path / "out", "--resume", code=1).stderr
    run(*files, "-o", tmp_path / "out", "--resume")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()
    assert len((tmp_path / "out").read_bytes().splitlines()) == 1030
