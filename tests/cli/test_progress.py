"""What is said of work that takes a while: on a terminal, in a log, and at the end of every command."""

from __future__ import annotations

import gzip
import io
import random
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from otkit.alignment.aligner import WordAligner
from otkit.alignment.checking import TranslationChecker
from otkit.cli.app import main
from otkit.cli.evaluate_run import Watch
from otkit.cli.progress import Progress, Step, Total, TrainingProgress, count_lines
from otkit.encoders.torch import TorchEncoder
from tests.cli.conftest import COMMANDS


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_line_says_elapsed_time_rate_and_remaining_time(clock: Clock) -> None:
    step = Step("extract", "pairs", Total(9800), clock=clock)
    assert step.line() == "0/9,800 pairs in 0:00:00"
    clock.now += 10
    step.update(1000)
    assert step.line() == "1,000/9,800 pairs in 0:00:10, 100 pairs/s, 0:01:28 left"
    clock.now += 8  # nothing moves: what is left shrinks, what has passed grows
    assert step.line() == "1,000/9,800 pairs in 0:00:18, 100 pairs/s, 0:01:20 left"
    clock.now += 2
    step.under_way(500)
    assert step.line() == "1,500/9,800 pairs in 0:00:20, 75 pairs/s, 0:01:51 left"
    step.update(1001)
    assert step.done == 1500
    clock.now += 80
    step.update(9800)
    assert step.line() == "9,800/9,800 pairs in 0:01:40, 98 pairs/s"


def test_without_a_total_nothing_is_said_to_be_left(clock: Clock) -> None:
    step = Step("check", "pairs", clock=clock)
    clock.now += 70
    assert step.line() == "0:01:10 so far"
    step.update(35)
    assert step.line() == "35 pairs in 0:01:10, 0.5 pairs/s"
    step.total = Total(100, exact=False)
    assert step.line() == "35/~100 pairs in 0:01:10, 0.5 pairs/s, 0:02:10 left"


def test_what_an_earlier_run_did_does_not_count_for_the_rate(clock: Clock) -> None:
    step = Step("embed", "texts", Total(2000), clock=clock)
    clock.now += 60
    step.start_from(1000)
    clock.now += 10
    step.update(1100)
    assert step.line() == "1,100/2,000 texts in 0:00:10, 10 texts/s, 0:01:30 left"


def test_a_log_gets_a_line_after_two_seconds_and_then_every_ten(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress(quiet=False, clock=clock)
    step = progress.step("extract", unit="lines", total=50)
    said = []
    for second in range(1, 31):
        clock.now += 1
        step.update(second)
        progress.tick()
        if found := capsys.readouterr().err:
            said.append((second, found))
    assert [second for second, _ in said] == [2, 12, 22]
    assert said[1][1] == "extract: 12/50 lines in 0:00:12, 1 lines/s, 0:00:38 left\n"


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_terminal_shows_all_of_it_at_any_width(clock: Clock, width: int) -> None:
    progress = Progress(quiet=False, clock=clock)
    observer = TrainingProgress(progress)
    clock.now += 500  # opening the encoder, and measuring it
    observer.record({"divergence": 0.5}, step=0, steps=10)
    clock.now += 30
    observer.record({"ot": 0.12345, "anchor": 0.5, "pairs_per_second": 81.0}, step=3, steps=10)
    observer.progress("measuring retrieval", 100, 2000)
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=True, color_system=None).print(progress)
    text = file.getvalue()
    assert "align" in text
    assert "3/10 steps in 0:00:30, 0.1 steps/s, 0:01:10 left" in text
    assert "ot 0.1235  anchor 0.5  81 pairs/s" in text
    assert "measuring retrieval" in text
    assert max(map(len, text.splitlines())) <= width
    observer.progress("measuring retrieval", 2000, 2000)
    file = io.StringIO()
    Console(file=file, width=width).print(progress)
    assert "measuring" not in file.getvalue()


def test_work_beside_the_steps_has_a_rate_from_its_second_word_on(clock: Clock) -> None:
    progress = Progress(quiet=False, clock=clock)
    observer = TrainingProgress(progress)
    observer.progress("reading links", 100, 400)
    clock.now += 0.001
    assert progress.steps[-1].line() == "100/400 in 0:00:00"
    clock.now += 9.999
    observer.progress("reading links", 200, 400)
    assert progress.steps[-1].line() == "200/400 in 0:00:10, 10/s, 0:00:20 left"
    observer.progress("reading links", 400, 400)
    assert [step.name for step in progress.steps] == ["align"]


def test_a_resumed_run_reckons_by_its_own_steps(clock: Clock) -> None:
    progress = Progress(quiet=False, clock=clock)
    observer = TrainingProgress(progress)
    clock.now += 60
    observer.record({"ot": 0.2, "lr": 1e-4}, step=501, steps=1000)
    clock.now += 10
    observer.record({"ot": 0.2, "lr": 1e-4}, step=511, steps=1000)
    assert progress.steps[0].line() == "511/1,000 steps in 0:00:10, 1 steps/s, 0:08:09 left"


def test_measuring_takes_none_of_the_steps_time(clock: Clock) -> None:
    progress = Progress(quiet=False, clock=clock)
    observer = TrainingProgress(progress)
    observer.record({"divergence": 0.5}, step=0, steps=20)
    clock.now += 10
    observer.record({"ot": 0.2, "lr": 1e-4}, step=10, steps=20)
    said = progress.steps[0].line()
    assert said == "10/20 steps in 0:00:10, 1 steps/s, 0:00:10 left"
    observer.progress("measuring retrieval", 0, 100)
    clock.now += 300
    assert progress.steps[0].line() == said
    observer.progress("measuring retrieval", 100, 100)
    clock.now += 1
    observer.record({"ot": 0.2, "lr": 1e-4}, step=11, steps=20)
    assert progress.steps[0].line() == "11/20 steps in 0:00:11, 1 steps/s, 0:00:09 left"


def test_what_comes_after_the_last_step_is_announced(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress(quiet=False, clock=clock)
    observer = TrainingProgress(progress)
    observer.record({"divergence": 0.5}, step=0, steps=2)
    observer.progress("measuring retrieval", 0, 100)
    assert capsys.readouterr().err == ""
    observer.progress("measuring retrieval", 100, 100)
    clock.now += 4
    observer.record({"ot": 0.25, "lr": 0.0}, step=2, steps=2)
    observer.progress("measuring held-out text", 0, 100)
    observer.progress("measuring held-out text", 50, 100)
    said = capsys.readouterr().err.splitlines()
    assert said == ["align: 2/2 steps in 0:00:04, 0.5 steps/s; ot 0.25", "measuring held-out text ..."]
    assert [step.name for step in progress.steps] == ["measuring held-out text"]
    for _ in range(2):  # a measurement in parts tells its end more than once
        observer.progress("measuring held-out text", 100, 100)
    assert (capsys.readouterr().err, progress.steps) == ("", [])


def test_an_evaluation_reckons_each_thing_by_itself(clock: Clock) -> None:
    progress = Progress(quiet=False, clock=clock)
    watch = Watch(progress)
    clock.now += 4
    watch(20, 40, "word alignment")
    (step,) = progress.steps
    assert step.line() == "20/40 in 0:00:04, 5/s, 0:00:04 left"
    clock.now += 4
    watch(40, 40, "word alignment")
    clock.now += 2
    watch(20, 40, "word alignment")  # the baseline
    assert step.line() == "20/40 in 0:00:02, 10/s, 0:00:02 left"
    watch(3, None, "mining")  # nobody knows how much there is
    assert "/40" not in step.line()
    assert "left" not in step.line()


def test_lines_are_counted_in_plain_and_packed_files_and_estimated_in_large_ones(tmp_path: Path) -> None:
    rng = random.Random(0)
    lines = ["".join(rng.choices("abcdefgh \t", k=60)) for _ in range(5000)]
    text = "".join(f"{line}\n" for line in lines).encode()
    plain, packed, members, cut, odd = (tmp_path / name for name in ("p", "z.gz", "m.gz", "c.gz", "o"))
    plain.write_bytes(text)
    packed.write_bytes(gzip.compress(text))
    members.write_bytes(gzip.compress(text[:1000]) + gzip.compress(text[1000:]))
    cut.write_bytes(gzip.compress(text)[:-9])
    odd.write_bytes(text + b"no line end")
    for path in (plain, packed, members):
        assert count_lines([path]) == Total(5000)
    assert count_lines([odd]) == Total(5001)
    assert count_lines([plain, packed]) == Total(10000)
    found = count_lines([cut])
    assert found is not None
    assert found.count == pytest.approx(5000, abs=1)
    for path in (plain, packed):
        estimate = count_lines([path], most=path.stat().st_size // 3, chunk=4096)
        assert estimate is not None
        assert not estimate.exact
        assert estimate.count == pytest.approx(5000, rel=0.05)
    assert count_lines([tmp_path / "none"]) is None
    assert count_lines(["/dev/null"]) is None


def test_a_window_tells_how_far_it_is(tiny_encoder: TorchEncoder) -> None:
    """A bar that moves with whole windows of a thousand pairs stands still for a minute."""
    pairs = [(["das", "haus"] * (1 + k % 9), ["the", "house"]) for k in range(300)]
    aligner = WordAligner(tiny_encoder, batch_tokens=256)
    told: list[int] = []
    aligner.on_encoded = told.append
    assert len(list(aligner.align(pairs, plans=False))) == 300
    assert told == sorted(told)
    assert told[-1] == 300
    assert len(told) > 10
    checker = TranslationChecker(tiny_encoder, batch_tokens=256)
    told.clear()
    checker.on_encoded = told.append
    assert len(list(checker.check(pairs))) == 300
    assert (told[-1], told == sorted(told)) == (300, True)
    assert len(told) > 10


# What each command says last, beside those that write to stdout alone.
ENDINGS: dict[str, tuple[tuple[str, ...], str]] = {
    **{name: (words, "") for name, words in COMMANDS.items()},
    "show-alignment": (
        COMMANDS["show-alignment"],
        r"\d links between 3 and 3 words; next: .*--output page\.html",
    ),
    "show-alignment html": (
        (*COMMANDS["show-alignment"], "-o", "{out}/p.html"),
        r"wrote {out}/p\.html: one pair in",
    ),
    "show-alignment png": (
        (*COMMANDS["show-alignment"], "-o", "{out}/p.png"),
        r"wrote {out}/p\.png: \d links",
    ),
    "extract": (COMMANDS["extract"], r"wrote to stdout: 4 lines, \d+ links; next: otkit report de-en\.tsv"),
    "extract file": (
        (*COMMANDS["extract"], "-o", "{out}/a.gz"),
        r"wrote {out}/a\.gz: 4 lines, \d+ links; next:",
    ),
    "check": (COMMANDS["check"], r"wrote to stdout: the 4 worst of 4 translations by max; means over all:"),
    "check file": ((*COMMANDS["check"], "-o", "{out}/w.tsv"), r"wrote {out}/w\.tsv: the 4 worst of 4"),
    "report": (
        (*COMMANDS["report"], "--output", "{out}/pages"),
        r"wrote {out}/pages/index\.html: 4 pairs, the worst first, and figures\.json; next: open {out}",
    ),
    "embed": (
        (
            "embed",
            "de-en.tsv",
            "--model",
            "tiny",
            "--shards",
            "npy",
            "--index",
            "none",
            "--output",
            "{out}/v",
        ),
        r"wrote {out}/v: 8 sentence vectors of width 32 .*; next: otkit search {out}/v",
    ),
    "search": (COMMANDS["search"], r"2 answers to 1 question from vectors"),
    "evaluate": (
        (*COMMANDS["evaluate"], "-o", "{out}/cells", "--json", "{out}/e.json"),
        r"word-alignment: 1 language; wrote {out}/e\.json; finished parts are in {out}/cells; next: --baseline",
    ),
    "info": (
        COMMANDS["info"],
        r"tiny, as otkit will use it; next: otkit evaluate word-alignment --model tiny",
    ),
    "align --dry-run": (
        COMMANDS["align --dry-run"],
        r"nothing was trained or written: a dry run; next: leave",
    ),
    "align": (
        (*COMMANDS["align --dry-run"][:-1], "--output", "{out}/run", "--objective", "ot"),
        r"wrote {out}/run: the encoder after 1 step in .*; next: otkit show-alignment .* --model {out}/run",
    ),
    "export": (
        ("export", "tiny", "--to", "transformers", "--output", "{out}/tr"),
        r"wrote {out}/tr: 0\.\d MB for transformers; next: otkit show-alignment .* --model {out}/tr",
    ),
}

Run = Callable[..., tuple[str, str]]


@pytest.fixture
def run(bench: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command to its end: (stdout, stderr)."""
    monkeypatch.chdir(bench)

    def call(*words: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["otkit", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        assert not stop.value.code, captured.err
        return captured.out, captured.err

    return call


@pytest.mark.parametrize("name", ENDINGS)
def test_every_command_ends_with_one_line_and_is_silent_when_quiet(
    run: Run, tmp_path: Path, name: str
) -> None:
    words, ending = ENDINGS[name]
    out = tmp_path / "out"
    filled = [word.replace("{out}", str(out)) for word in words]
    printed, err = run(*filled)
    last = err.splitlines()[-1]
    assert re.match(ending.replace("{out}", re.escape(str(out))) or r"\w.*: |\d", last), last
    if out.exists():
        shutil.rmtree(out)
    quietly, err = run(*filled, "--quiet")
    assert (quietly, err) == (printed, "")
