"""How long the `small` fine-tunings of XNLI and XQuAD take on this machine: their own steps and scoring, sampled.

    python -m benchmarks.presets [--threads 2] [--steps 16]

A run is some hundred equal steps and some thousand scored texts; timing a few of each on an idle machine tells
how long the whole takes without running it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import data, show
from benchmarks.evaluate import bare_loop, nli_source, qa_source
from otkit.data.tasks import read_nli, read_qa
from otkit.encoders.open import open_encoder
from otkit.encoders.pairs import PairTokenizer
from otkit.encoders.torch import TorchEncoder
from otkit.evaluation.settings import XNLI_FINE_TUNING, XQUAD_FINE_TUNING
from otkit.evaluation.xnli import predict
from otkit.evaluation.xquad import answer

_SCORED = 100
# Task: settings, the making of head and batches, where scored files lie, their reader, and the scoring.
TASKS: dict[str, tuple[Any, Callable[..., Any], str, Callable[[Path], Any], Callable[..., Any]]] = {
    "xnli": (XNLI_FINE_TUNING["small"], nli_source, "dev-*.tsv.gz", read_nli, predict),
    "xquad": (XQUAD_FINE_TUNING["small"], qa_source, "xquad.*.json.gz", read_qa, answer),
}


def seconds(work: Callable[[], object]) -> float:
    """Of one call."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def sampled(encoder: TorchEncoder, task: str, steps: int) -> tuple[int, float, float]:
    """Steps of a run, seconds of one, and seconds of all scoring."""
    config, build, files, read, score = TASKS[task]
    head, source = build(encoder, config)
    batches: Sequence[Any] = [batch for (batch,) in source.micro_steps(0, steps + 1)]
    bare_loop(head, source, list(batches[:1]), config.training)  # allocations
    a_step = seconds(lambda: bare_loop(head, source, list(batches[1:]), config.training)) / steps
    scored = sorted(data(task).glob(files))
    examples = read(scored[0])[:_SCORED]
    tokenizer = PairTokenizer(encoder)
    an_example = seconds(lambda: score(head.eval(), tokenizer, examples, config)) / len(examples)
    count = int(source.micro_steps_per_epoch * config.epochs)
    return count, a_step, an_example * config.test_examples * len(scored)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows: list[tuple[str | int | float, ...]] = []
    for task in TASKS:
        encoder = open_encoder(device="cpu")
        assert isinstance(encoder, TorchEncoder)
        count, a_step, scoring = sampled(encoder, task, options.steps)
        rows.append((task, count, a_step, scoring / 60, (count * a_step + scoring) / 60))
    columns = ("small", "steps", "seconds a step", "minutes of scoring", "minutes in all")
    show(f"{options.threads} threads, fp32", columns, rows, digits=1)


if __name__ == "__main__":
    main()
