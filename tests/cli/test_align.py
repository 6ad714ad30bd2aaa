"""`otkit align` as a person runs it: on files, on stdin, stopped, resumed, and given nonsense."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from otkit.cli.app import main
from otkit.encoders.open import open_encoder
from otkit.encoders.torch import TorchEncoder

LINES = "".join(
    f"das haus ist {'klein ' * (n % 4)}{n} .\tthe house is {'small ' * (n % 4)}{n} .\n" for n in range(1, 61)
)
QUICK = ("--steps", "4", "--batch-size", "4", "--device", "cpu", "--threads", "1", "--lr", "1e-3")


@pytest.fixture
def folder(tmp_path: Path, tiny_encoder: TorchEncoder) -> Path:
    tiny_encoder.save(tmp_path / "tiny")
    (tmp_path / "de-en.tsv").write_text(LINES, encoding="utf-8")
    return tmp_path


def started(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "otkit", "align", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


Run = Callable[..., "Ended"]


class Ended(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def otkit(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """`otkit align` in this process, in the folder of the inputs."""

    def run(*words: str, stdin: str = "", **environment: str) -> Ended:
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            patch.setattr(sys, "argv", ["otkit", "align", *words])
            for name, value in environment.items():
                patch.setenv(name, value)
            try:
                main()
                code = 0
            except SystemExit as stop:
                code = int(stop.code or 0)
        return Ended(code, *capsys.readouterr())

    threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(threads)


def test_a_run_leaves_an_encoder_that_transformers_and_otkit_open(folder: Path) -> None:
    run = started(folder, "de-en.tsv", "--model", "tiny", "--output", "out", "--json", "figures.json", *QUICK)
    assert run.returncode == 0, run.stderr
    assert "divergence" in run.stdout
    assert "retrieval" in run.stdout
    out = folder / "out"
    model = AutoModel.from_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert tokenizer("das haus")["input_ids"]
    encoder = open_encoder(out, device="cpu")
    assert isinstance(encoder, TorchEncoder)
    for ours, theirs in zip(encoder.model.parameters(), model.parameters(), strict=False):
        assert torch.equal(ours, theirs)
    start = open_encoder(folder / "tiny", device="cpu")
    assert isinstance(start, TorchEncoder)
    assert not torch.equal(
        start.model.embeddings.word_embeddings.weight, model.embeddings.word_embeddings.weight
    )

    about = json.loads((out / "otkit.json").read_text(encoding="utf-8"))
    assert about["start"] == "tiny"
    assert about["recipe"]["objective"]["cost"] == "euclidean"
    assert about["data"][0]["pairs"] == 57  # three of sixty held out
    assert len(about["data"][0]["sha256"]) == 64
    assert {"torch", "transformers", "otkit"} <= set(about["versions"])
    assert "Alqahtani" in (out / "README.md").read_text(encoding="utf-8")
    records = [json.loads(line) for line in (out / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [record for record in records if "ot" in record]
    assert [record["step"] for record in steps] == [1, 2, 3, 4]
    assert {"ot", "anchor", "drift", "marginal_error", "pairs_per_second", "memory_gb", "lr"} <= set(steps[0])
    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    assert figures["after"]["divergence"] < figures["before"]["divergence"]


@pytest.mark.parametrize("form", ["bars.gz", "jsonl", "files", "stdin"])
def test_every_form_of_input_trains(folder: Path, otkit: Run, form: str) -> None:
    pairs = [line.split("\t") for line in LINES.splitlines()]
    words: tuple[str, ...] = ("de-en.txt",)
    stdin = ""
    if form == "bars.gz":
        text = "".join(f"{source} ||| {target}\n" for source, target in pairs)
        (folder / "de-en.txt").write_bytes(gzip.compress(text.encode()))
    elif form == "jsonl":
        lines = (json.dumps({"source": source, "target": target}) for source, target in pairs)
        (folder / "de-en.txt").write_text("\n".join(lines), encoding="utf-8")
    elif form == "files":
        for number, name in enumerate(("x.de", "x.en")):
            (folder / name).write_text("\n".join(pair[number] for pair in pairs), encoding="utf-8")
        words = ("--source", "x.de", "--target", "x.en")
    else:
        words, stdin = ("-", "--langs", "de-en"), LINES
    run = otkit(*words, "--model", "tiny", "--output", "out", *QUICK, "--steps", "1", stdin=stdin)
    assert run.returncode == 0, run.stderr
    assert json.loads((folder / "out" / "otkit.json").read_text(encoding="utf-8"))["data"][0]["pairs"] == 57


@pytest.mark.slow
def test_sigterm_saves_and_the_printed_command_resumes_to_the_same_bits(folder: Path, otkit: Run) -> None:
    settings = ("de-en.tsv", "--model", "tiny", *QUICK, "--steps", "60", "--save-every", "50")
    process = subprocess.Popen(
        [sys.executable, "-m", "otkit", "align", *settings, "--output", "stopped"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    history = folder / "stopped" / "history.jsonl"
    while process.poll() is None and not (
        history.exists() and history.read_text(encoding="utf-8").count("\n") >= 3
    ):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == 143
    assert "go on with: otkit align de-en.tsv" in errors
    assert "--resume" in errors
    assert not (folder / "stopped" / "model.safetensors").exists()
    refused = otkit(*settings, "--output", "stopped")
    assert refused.returncode == 1
    assert "holds an earlier run; choose a new output, go on with --resume" in refused.stderr
    resumed = otkit(*settings, "--output", "stopped", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert otkit(*settings, "--output", "whole").returncode == 0
    weights = [(folder / name / "model.safetensors").read_bytes() for name in ("stopped", "whole")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("missing.tsv",), 1, "missing.tsv"),
        (("de-en.tsv", "--objective", "otto"), 2, "--objective: unknown objective 'otto'"),
        (("de-en.tsv", "--objective", "ot:heavy"), 2, "--objective: received 'ot:heavy'"),
        (
            ("de-en.tsv", "--cost", "manhattan"),
            2,
            "--cost: received 'manhattan'; expected one of cosine, euclidean",
        ),
        (("de-en.tsv", "--recipe", "papers"), 2, "there is no recipe 'papers'; did you mean 'paper'?"),
        (("de-en.tsv", "--set", "objective.tua=1"), 2, "did you mean 'tau'?"),
        (("de-en.tsv", "--set", "rival_factor=1"), 2, "did you mean 'alignment.rival_factor'?"),
        (("de-en.tsv", "--objective", "foo:1"), 2, "the names are ot, ot-value, ot-linear, anchor"),
        (
            ("one.tsv", "--langs", "de-en"),
            1,
            "one usable sentence pair, and one is held out to measure on; give",
        ),
        (
            ("de-en.tsv", "--set", "objective.tau"),
            2,
            "--set: 'objective.tau': no value is given; write KEY=VALUE",
        ),
        (("de-en.tsv", "--tau", "1", "--set", "objective.tau=2"), 2, "objective.tau is given twice"),
        (("de-en.tsv", "--steps", "1", "--epochs", "1"), 2, "--steps"),
        (("de-en.tsv", "--layer", "99"), 2, "--layer: there is no layer 99"),
        (
            ("de-en.tsv", "--layer", "first"),
            2,
            "--layer: received 'first'; expected alignment, or a whole number",
        ),
        (("de-en.tsv", "--model", "nowhere/at/all"), 1, "nowhere/at/all"),
        (
            ("de-en.tsv", "--output", "de-en.tsv"),
            2,
            "--output: received 'de-en.tsv'; expected the name of a folder",
        ),
        (("de-en.tsv", "--source", "de-en.tsv"), 2, "--source and --target belong together"),
        (("de-en.tsv", "--device", "abacus"), 2, "--device: received 'abacus'"),
        (("de-en.tsv", "--batch-size", "0"), 2, "--batch-size: received '0'"),
        (("de-en.tsv", "--lr", "-1"), 2, "--lr: received '-1'; expected a number above 0"),
        (("de-en.tsv", "--epsilon", "0"), 2, "--epsilon: received '0'"),
        (("bad.tsv",), 1, "bad.tsv:2"),
    ],
)
def test_nonsense_is_answered_in_one_line(
    folder: Path,
    words: tuple[str, ...],
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "bad.tsv").write_text("das\tthe\nno tab here\n", encoding="utf-8")
    (folder / "one.tsv").write_text("das\tthe\n", encoding="utf-8")
    model = () if "--model" in words else ("--model", "tiny")
    output = () if "--output" in words else ("--output", "out")
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["otkit", "align", *words, *model, *output, "--langs", "de-en"])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert ended.value.code == code
    assert message in " ".join(printed.err.replace("│", " ").split())
    assert printed.out == ""
