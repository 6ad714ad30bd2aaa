"""Same input, same answer: threads, subwords in a batch, the order of files and of lines, precision; and a long run
holds no more than a short one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from otkit.alignment.aligner import WordAligner
from tests.conftest import make_tiny_encoder, mostly_slow
from tests.hostile.commands import Server

WORDS = ["das", "haus", "ist", "klein", "ein", "die", "katze", "schläft", "hund", "bellt", "alt", "neu"]


def _corpus(path: Path, count: int, seed: int = 0, longest: int = 14) -> list[str]:
    luck = random.Random(seed)
    lines = [
        "\t".join(" ".join(luck.choices(WORDS, k=luck.randint(1, longest))) for _ in range(2))
        for _ in range(count)
    ]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return lines


def _links(server: Server, here: Path, *words: str, file: str = "long.de-en.tsv") -> list[str]:
    ended = server.start(
        ["extract", file, "--model", "tiny", "--output", "out.align", "--overwrite", "-q", *words], here
    )
    assert ended.code == 0, ended.stderr
    return (here / "out.align").read_text().splitlines()


def _other(first: list[str], second: list[str]) -> float:
    """The share of links that only one of two has."""
    assert len(first) == len(second)
    both = [(set(a.split()), set(b.split())) for a, b in zip(first, second, strict=True)]
    return sum(len(a ^ b) for a, b in both) / max(1, sum(len(a) + len(b) for a, b in both))


def test_threads_give_the_same_bytes(server: Server, here: Path) -> None:
    _corpus(here / "long.de-en.tsv", 300)
    one, two = (_links(server, here, "--threads", threads) for threads in "12")
    assert one == two


@pytest.mark.parametrize("tokens", mostly_slow(["64", "1000"], "64"))
def test_batches_of_other_sizes_give_the_same_links(tokens: str, server: Server, here: Path) -> None:
    """But for ties that the last bit of a float32 decides: none were seen, a link in a thousand is the bound."""
    _corpus(here / "long.de-en.tsv", 300)
    assert _other(_links(server, here), _links(server, here, "--batch-tokens", tokens)) <= 0.001


@pytest.mark.parametrize("window", mostly_slow([1, 7, 100], 7))
def test_windows_of_other_sizes_give_the_same_links(window: int, tmp_path: Path) -> None:
    """A window is what is encoded and solved together; the same bound."""
    pairs = [
        tuple(side.split() for side in line.split("\t")) for line in _corpus(tmp_path / "de-en.tsv", 150)
    ]
    found = [
        [" ".join(f"{i}-{j}" for i, j, _ in each.links) for each in aligner.align(pairs)]
        for aligner in (
            WordAligner(make_tiny_encoder()),
            WordAligner(make_tiny_encoder(), window=window),
        )
    ]
    assert _other(*found) <= 0.001


def test_lines_in_another_order_have_the_same_links(server: Server, here: Path) -> None:
    lines = _corpus(here / "long.de-en.tsv", 300)
    order = random.Random(1).sample(range(300), 300)
    (here / "mixed.de-en.tsv").write_text("".join(f"{lines[n]}\n" for n in order), encoding="utf-8")
    straight = _links(server, here)
    mixed = dict(zip(order, _links(server, here, file="mixed.de-en.tsv"), strict=True))
    assert _other(straight, [mixed[n] for n in range(300)]) <= 0.001


@pytest.mark.slow
def test_less_precision_moves_few_links(server: Server, here: Path) -> None:
    """Of an encoder whose weights are random, whose vectors lie close together."""
    _corpus(here / "long.de-en.tsv", 300)
    assert _other(_links(server, here), _links(server, here, "--precision", "bf16")) <= 0.05


def test_files_in_another_order_have_the_same_vectors(server: Server, here: Path) -> None:
    from otkit.vectors.folder import open_vectors

    found = []
    _corpus(here / "a.de-en.tsv", 60, seed=1)
    _corpus(here / "b.de-en.tsv", 60, seed=2)
    for n, files in enumerate((["a", "b"], ["b", "a"])):
        words = ["embed", *(f"{name}.de-en.tsv" for name in files), "--model", "tiny", "--output", f"out{n}"]
        ended = server.start([*words, "--index", "none", "--dtype", "float32", "-q"], here)
        assert ended.code == 0, ended.stderr
        vectors = open_vectors(here / f"out{n}")
        rows = vectors.rows(range(len(vectors)))
        flat = [vector for block in vectors.blocks() for vector in block]
        found.append({(row.file, row.line, row.side): vector for row, vector in zip(rows, flat, strict=True)})
    assert found[0].keys() == found[1].keys()
    assert max(abs(found[0][key] - found[1][key]).max() for key in found[0]) < 1e-5


_COUNTED = """
import atexit, os, threading
def held():
    threads = len(os.listdir("/proc/self/task"))
    files = len(os.listdir("/proc/self/fd"))
    os.write(2, f"HELD {files} {threads}\\n".encode())
atexit.register(held)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        "extract FILE --model tiny --output out.align -q",
        "embed FILE --model tiny --output out --index none -q",
        "evaluate retrieval FILE --model tiny --output out --json o.json -q",
    ],
    ids=lambda words: words.split(" FILE")[0],
)
def test_a_long_run_holds_no_more_than_a_short_one(words: str, here: Path, tmp_path: Path) -> None:
    """A hundred thousand lines beside ten thousand: memory, open files, threads and temporary files."""
    held = []
    (tmp_path / "tmp").mkdir()
    # Retrieval compares each with each.
    short, long = (5_000, 20_000) if "retrieval" in words else (10_000, 100_000)
    env = {"TMPDIR": str(tmp_path / "tmp"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with Server(tmp_path, env, first=_COUNTED) as server:
        for count in (short, long):
            _corpus(here / f"{count}.de-en.tsv", count, longest=10)  # at most 64 pieces
            ended = server.start([*words.replace("FILE", f"{count}.de-en.tsv").split(), "--overwrite"], here)
            assert ended.code == 0, ended.stderr
            (line,) = [line for line in ended.stderr.splitlines() if line.startswith("HELD")]
            held.append((line, ended.peak))
            assert not list((tmp_path / "tmp").iterdir())
            assert not [path for path in here.iterdir() if path.name.startswith(".")]
    assert held[0][0] == held[1][0], held
    assert held[1][1] - held[0][1] < 100_000, held
