"""What an ONNX export costs and brings: speed, size, closeness, retrieval and AER beside torch, in one run.

    python -m benchmarks.export [THREADS] [ROUNDS]

Speed: a batch of 32 sentences of 32 tokens, every encoder in turn, ROUNDS times, the fastest counts; CPU time beside
it, which a neighbour's load does not enter. Retrieval: the 14 Tatoeba languages, up to 1,000 pairs each, both ways.
AER: 40 pairs of each of four XL-WA dev sets, otkit's default aligner.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import data, numbers, show
from otkit.data.gold import GoldPair, read_gold
from otkit.data.lines import LineSource
from otkit.encoders.encoder import Encoder
from otkit.encoders.open import open_encoder
from otkit.encoders.sentences import encode_sentences
from otkit.encoders.tokens import Tokens
from otkit.encoders.torch import TorchEncoder
from otkit.evaluation.word_alignment import evaluate_word_alignment
from otkit.exports.onnx import ExportReport, export_onnx
from otkit.exports.settings import ExportSettings

TATOEBA = ("ara", "bul", "cmn", "deu", "ell", "fra", "hin", "rus", "spa", "swh", "tha", "tur", "urd", "vie")
XLWA = ("bg", "et", "it", "ru")
PAIRS, GOLD_PAIRS = 1000, 40


def tatoeba(language: str, count: int = PAIRS) -> tuple[list[list[str]], list[list[str]]]:
    """Both sides of the first pairs, as words."""
    sides: tuple[list[list[str]], list[list[str]]] = ([], [])
    for line in list(LineSource(data("tatoeba", f"{language}-eng.tsv.gz")))[:count]:
        assert isinstance(line, str)
        for side, text in zip(sides, line.split("\t"), strict=True):
            side.append(text.split())
    return sides


def retrieval(encoder: Encoder, corpora: list[tuple[list[list[str]], list[list[str]]]]) -> float:
    """Accuracy in percent, averaged over both directions and the languages."""
    accuracies = []
    for foreign, english in corpora:
        similarity = encode_sentences(encoder, foreign) @ encode_sentences(encoder, english).T
        right = np.arange(len(similarity))
        accuracies += [
            (similarity.argmax(axis=1) == right).mean(),
            (similarity.argmax(axis=0) == right).mean(),
        ]
    return 100 * float(np.mean(accuracies))


def aer(encoder: Encoder, gold: dict[str, list[GoldPair]]) -> float:
    """Mean AER in percent."""
    return 100 * evaluate_word_alignment(encoder, gold).mean()


def random_batch(encoder: Encoder, rows: int = 32, columns: int = 32) -> Tokens:
    """Full rows of ordinary pieces."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(10, 70_000, (rows, columns), generator=generator)
    return Tokens(ids, torch.ones_like(ids, dtype=torch.bool), torch.full_like(ids, -1), (0,) * rows)


def race(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """The least wall and CPU seconds of each, all taking turns."""
    best = dict.fromkeys(runs, (np.inf, np.inf))
    for number in range(rounds + 1):
        for name, run in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            found = time.perf_counter() - wall, time.process_time() - cpu
            if number:  # the first round warms up
                best[name] = (min(best[name][0], found[0]), min(best[name][1], found[1]))
    return best


def main(threads: int, rounds: int) -> None:
    """Print the table."""
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    original = open_encoder(device="cpu")
    assert isinstance(original, TorchEncoder)
    batch, reports = random_batch(original), dict[str, ExportReport]()
    everything: dict[str, Encoder] = {"torch": original}
    with (
        tempfile.TemporaryDirectory() as folder
    ):  # the encoders read their graphs from it as long as they run
        for name in ("fp32", "int8", "int4"):
            place = Path(folder) / name
            reports[name] = export_onnx(
                original, place, ExportSettings(quantize=None if name == "fp32" else name)
            )
            everything[f"ONNX {name}"] = open_encoder(place, device="cpu")
        measure(everything, reports, batch, rounds)
    for name, report in reports.items():
        for attempt in report.attempts:
            print(f"{name}: {attempt.recipe}: {'; '.join(attempt.missed) or 'passed'}")


def measure(
    everything: dict[str, Encoder], reports: dict[str, ExportReport], batch: Tokens, rounds: int
) -> None:
    """Race, score and print all encoders; `torch` is what the others are compared with."""
    corpora = [tatoeba(language) for language in TATOEBA]
    gold = {
        lang: list(read_gold(data("word-alignment", f"xlwa-en-{lang}.dev.tsv.gz")))[:GOLD_PAIRS]
        for lang in XLWA
    }
    layers = everything["torch"].settings.alignment_layers
    whole = race({n: partial(e.encode_sentences, batch) for n, e in everything.items()}, rounds)
    lower = race({n: partial(e.hidden_states, batch, layers=layers) for n, e in everything.items()}, rounds)
    rows = []
    for name, encoder in everything.items():
        report = reports.get(name.removeprefix("ONNX "))
        parity = report.chosen.parity if report else None
        rows.append(
            (
                name,
                len(batch) / whole[name][0],
                whole["torch"][0] / whole[name][0],
                whole["torch"][1] / whole[name][1],
                lower["torch"][0] / lower[name][0],
                report.share * 100 if report else None,
                f"{parity.largest_difference:.1e}" if parity else None,
                f"{parity.lowest_cosine:.4f}" if parity else None,
                retrieval(encoder, corpora),
                aer(encoder, gold),
                report.seconds if report else None,
            )
        )
        print(*rows[-1], file=sys.stderr)
    columns = (
        "encoder",
        "sentences/s",
        "x torch",
        "x torch, CPU time",
        "x torch, alignment layers",
        "size, % of fp32",
    )
    figures = ("largest difference", "lowest cosine", "Tatoeba, %", "XL-WA AER, %", "export, s")
    show(
        f"sample encoder, {torch.get_num_threads()} threads, batch 32 x 32",
        (*columns, *figures),
        rows,
        digits=2,
    )


if __name__ == "__main__":
    main(*numbers(__doc__, threads=2, rounds=8))
