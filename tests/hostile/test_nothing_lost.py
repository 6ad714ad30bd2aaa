"""Each way in which a run once destroyed an earlier one, or took another's work for its own: refused in one line, with
everything as it was."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import mostly_slow
from tests.hostile.commands import Server, words_of

EXTRACT = "extract de-en.tsv --model tiny --output out.align -q"
EMBED = "embed de-en.tsv --model tiny --output out --shards npy --index none -q"
ALIGN = (
    "align de-en.tsv --model tiny --output out --pairs-per-language 8 --steps 2 --batch-size 2 --threads 1 -q"
)

REFUSED: dict[str, tuple[str, str, str]] = {
    # the run before; the run that is refused; what is said
    "align onto its model": (
        "",
        "align de-en.tsv --model tiny --output tiny --steps 1 -q",
        "input of this run",
    ),
    "align onto its model, meaning it": (
        "",
        "align de-en.tsv --model tiny --output tiny --steps 1 -q --overwrite",
        "input of this run",
    ),
    "align over the current folder": ("", f"{ALIGN} --output .", "current folder"),
    "align over the current folder, meaning it": ("", f"{ALIGN} --output . --overwrite", "current folder"),
    "align over a folder with files": ("", f"{ALIGN} --output pairs", "otkit did not make"),
    "align again": (ALIGN, ALIGN, "earlier run"),
    **{
        f"align resumed with another {what}": (ALIGN, f"{ALIGN} --resume {words}", "started otherwise")
        for what, words in {
            "seed": "--seed 7",
            "rate": "--lr 0.1",
            "held-out text": "--dev fr-en.tsv",
            "model": "--model other",
        }.items()
    },
    "align resumed with other data": (
        ALIGN,
        f"{ALIGN} --resume".replace("de-en.tsv", "two.de-en.tsv"),
        "started otherwise",
    ),
    **{
        f"extract resumed when finished, {what}": (EXTRACT, f"{EXTRACT} --resume {words}", said)
        for what, (words, said) in {
            "another model": ("--model other", "differs"),
            "another setting": ("--set alignment.tau=3", "differs"),
            "another format": ("--scores", "differs"),
        }.items()
    },
    "extract resumed when finished, other text": (
        EXTRACT,
        f"{EXTRACT} --resume".replace("de-en.tsv", "two.de-en.tsv"),
        "another corpus",
    ),
    "extract resumed when finished, a missing file": (
        EXTRACT,
        f"{EXTRACT} --resume".replace("de-en.tsv", "no.de-en.tsv"),
        "no such file",
    ),
    **{
        f"embed resumed when finished, {what}": (EMBED, f"{EMBED} --resume {words}", said)
        for what, (words, said) in {
            "another model": ("--model other", "differs"),
            "another setting": ("--dtype int8", "differs"),
            "another index": ("--index flat", "differs"),
        }.items()
    },
    "embed resumed when finished, other text": (
        EMBED,
        f"{EMBED} --resume".replace("de-en.tsv", "two.de-en.tsv"),
        "differs",
    ),
    "embed resumed when finished, a missing file": (
        EMBED,
        f"{EMBED} --resume".replace("de-en.tsv", "no.de-en.tsv"),
        "no such file",
    ),
    "embed with a file that proves bad": (
        EMBED,
        EMBED.replace("de-en.tsv", "de-en.tsv bad.tsv") + " --langs de-en --input-format tsv",
        "bad.tsv:4",
    ),
    "embed with a file that is missing": (
        EMBED,
        EMBED.replace("de-en.tsv", "de-en.tsv no.tsv"),
        "no such file",
    ),
    "export over a run": (ALIGN, "export out/best --output out --to transformers -q", "training run"),
    "export over its model": ("", "export tiny --output tiny --to transformers -q", "input of this run"),
    "report over a foreign page": ("", "report de-en.tsv --model tiny --output pages -q", "did not make"),
    "embed into a foreign folder of its own names": (
        "",
        EMBED.replace("--output out", "--output output"),
        "did not make",
    ),
    "extract over its corpus": (
        "",
        "extract de-en.tsv --model tiny --output de-en.tsv -q",
        "input of this run",
    ),
    "extract over a foreign file": (
        "",
        "extract de-en.tsv --model tiny --output thesis.tsv -q",
        "did not make it",
    ),
    "extract through a planted link": (
        "",
        "extract de-en.tsv --model tiny --output planted.align -q",
        "did not make it",
    ),
    "embed through a planted link": ("", EMBED.replace("--output out", "--output planted"), "link"),
}


def _files(folder: Path) -> dict[str, bytes]:
    """What lies there; what a run has begun and may go on with is beside it."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not re.search(r"^out\.partial/", name)}


OFTEN = (
    *("another rate", "held-out text", "another setting", "another format", "another index", "meaning it"),
    *("other text", "through a planted", "another seed", "other data"),
)
"""Of kinds that stand beside others of their kind: the slow suite has them."""


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.slow) if any(one in kind for one in OFTEN) else kind
        for kind in REFUSED
    ],
)
def test_what_would_lose_something_is_refused(kind: str, server: Server, here: Path) -> None:
    (here / "pages").mkdir()
    (here / "pages" / "index.html").write_text("my page")
    (here / "output").mkdir()
    for name in ("part-00000.npy", "part-00001.tsv", "state.json"):
        (here / "output" / name).write_text("{}")
    (here / "thesis.tsv").write_text("five years")
    (here / "victim").mkdir()
    (here / "victim" / "kept").write_text("kept")
    (here / "planted.align.partial").symlink_to("victim/kept")
    (here / "planted.partial").symlink_to("victim")
    before, refused, said = REFUSED[kind]
    if before:
        first = server.start(before.split(), here)
        assert first.code == 0, first.stderr
    kept = _files(here)
    ended = server.start(refused.split(), here)
    assert ended.code == 1, (ended.code, ended.stderr)
    assert said in " ".join(ended.stderr.split()), ended.stderr
    assert "Traceback" not in ended.stderr
    assert _files(here) == kept


@pytest.mark.parametrize("more", ["", "--resume", "--overwrite"])
@pytest.mark.parametrize(
    "name", mostly_slow(["extract", "project", "tags", "lexicon", "project --augment"], "extract", "lexicon")
)
def test_a_file_that_stands_where_unfinished_work_is_kept_stays(
    name: str, more: str, server: Server, here: Path
) -> None:
    words = words_of(name, *more.split())
    partial = here / f"{words[words.index('--output') + 1]}.partial"
    partial.write_text("my own notes\n")
    ended = server.start(words, here)
    assert ended.code == 1, ended.stderr
    assert "otkit did not make it" in " ".join(ended.stderr.split())
    assert partial.read_text() == "my own notes\n"
    assert not partial.with_suffix("").exists()


def test_an_older_output_is_not_taken_for_that_of_a_killed_run(server: Server, here: Path) -> None:
    """Killed before its first window: what --resume finds finished is another run's."""
    import signal

    assert server.start(EXTRACT.split(), here).code == 0
    other = EXTRACT.replace("de-en.tsv", "fr-en.tsv").split()
    assert server.start(other, here, change=3, signal=signal.SIGKILL).code == -signal.SIGKILL
    ended = server.start([*other, "--resume"], here)
    assert ended.code == 1 or (here / "out.align").read_bytes() == _fresh(server, here, other)


def _fresh(server: Server, here: Path, words: list[str]) -> bytes:
    place = here / "fresh"
    place.mkdir()
    for name in ("tiny", "fr-en.tsv"):
        (shutil.copytree if (here / name).is_dir() else shutil.copy)(here / name, place / name)
    assert server.start(words, place).code == 0
    return (place / "out.align").read_bytes()


def test_overlapping_runs_do_not_mix(server: Server, here: Path) -> None:
    from otkit.files import hold

    for words, output in ((EXTRACT, "out.align"), (EMBED, "out"), (ALIGN, "out")):
        with hold(here / output):
            ended = server.start(words.split(), here)
        assert ended.code == 1
        assert "another run writes it" in " ".join(ended.stderr.split())
        assert not (here / output).exists()


@pytest.mark.parametrize(
    "words", ["embed empty.tsv --langs de-en", "embed blank.tsv --langs de-en --on-error skip"]
)
def test_what_gives_nothing_leaves_nothing(words: str, server: Server, here: Path) -> None:
    (here / "empty.tsv").touch()
    (here / "blank.tsv").write_text("\n\n")
    before = _files(here)
    ended = server.start([*words.split(), "--model", "tiny", "--output", "out", "-q"], here)
    assert ended.code == 1, ended.stderr
    assert _files(here) == before
    assert not list(here.glob("out*"))


def test_a_training_run_that_is_asked_to_stop_is_no_success(server: Server, here: Path) -> None:
    import signal

    words = words_of("align")
    ended = server.start(words, here, change=10, signal=signal.SIGTERM)
    assert ended.code == 143, ended.stderr
    assert not (here / "out" / "config.json").exists()
    assert "go on with: otkit align" in ended.stderr
