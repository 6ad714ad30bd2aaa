"""How long the `small` presets of XNLI and XQuAD take on this machine: their own steps and scoring, sampled.

    python -m benchmarks.presets [--threads 2] [--steps 16]

A preset's run is some hundred equal steps and some thousand scored texts; timing a few of each on an idle machine tells
how long the whole takes without running it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.common import data, show
from otkit.data.tasks import read_nli, read_qa
from otkit.encoders.checkpoint import open_encoder
from otkit.encoders.encoder import TorchEncoder
from otkit.encoders.pairs import PairTokenizer, collate
from otkit.evaluation.finetune import subset
from otkit.evaluation.windows import answer_place, make_windows
from otkit.evaluation.xnli import XNLI_PRESETS, features, predict
from otkit.evaluation.xquad import XQUAD_PRESETS, answer
from otkit.training.heads import ClassBatch, Classifier, ExampleSource, Head, SpanBatch, SpanFinder

_SCORED = 100


def step_seconds(head: Head, source: ExampleSource[Any], steps: int) -> float:
    """Of one optimiser step, the first left out."""
    weights = [weight for weight in head.parameters() if weight.requires_grad]
    adam = torch.optim.AdamW(weights, lr=1e-5, fused=True)
    head.train()
    taken = []
    for (batch,) in source.micro_steps(0, steps + 1):
        begun = time.perf_counter()
        head(batch).parts["loss"].backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        adam.step()
        adam.zero_grad()
        taken.append(time.perf_counter() - begun)
    return float(np.mean(taken[1:]))


def seconds(work: Callable[[], object]) -> float:
    """Of one call."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def xnli(encoder: TorchEncoder, steps: int) -> tuple[int, float, float]:
    """Steps of a run, seconds of one, and seconds of all scoring."""
    config, tokenizer = XNLI_PRESETS["small"], PairTokenizer(encoder)
    everything = read_nli(data("xnli", "train-en.tsv.gz"))
    pairs = [everything[i] for i in subset(len(everything), config.train_examples)]
    rows = features(tokenizer, pairs, config.max_length)

    def batch(members: Any) -> ClassBatch:
        inputs = collate([rows[i] for i in members], padding=tokenizer.padding, typed=tokenizer.typed)
        return ClassBatch(inputs, torch.tensor([i % 3 for i in members]), tuple(members))

    lengths = [len(ids) for ids, _ in rows]
    source = ExampleSource(lengths, batch, batch_size=config.batch_size, window=config.window)
    head = Classifier(encoder, config.head, labels=3)
    a_step = step_seconds(head, source, steps)
    files = sorted(data("xnli").glob("dev-*.tsv.gz"))
    tests = read_nli(files[0])[:_SCORED]
    scoring = seconds(lambda: predict(head.eval(), tokenizer, tests, config)) / _SCORED
    return source.micro_steps_per_epoch, a_step, scoring * (config.test_examples or 0) * len(files)


def xquad(encoder: TorchEncoder, steps: int) -> tuple[int, float, float]:
    """Steps of a run, seconds of one, and seconds of all scoring."""
    config, tokenizer = XQUAD_PRESETS["small"], PairTokenizer(encoder)
    everything = read_qa(data("xquad", "train-en.json.gz"))
    examples = [everything[i] for i in subset(len(everything), config.train_examples)]
    windows, contexts = make_windows(
        tokenizer,
        examples,
        max_length=config.max_length,
        stride=config.stride,
        max_question=config.max_question,
    )
    places = torch.tensor([answer_place(window, examples, contexts) for window in windows])

    def batch(members: Any) -> SpanBatch:
        inputs = collate([windows[i].row for i in members], padding=tokenizer.padding, typed=tokenizer.typed)
        chosen = places[list(members)]
        return SpanBatch(inputs, chosen[:, 0], chosen[:, 1], tuple(members))

    lengths = [len(window.row[0]) for window in windows]
    source = ExampleSource(lengths, batch, batch_size=config.batch_size, window=config.window)
    head = SpanFinder(encoder, config.head)
    a_step = step_seconds(head, source, steps)
    files = sorted(data("xquad").glob("xquad.*.json.gz"))
    tests = read_qa(files[0])[:_SCORED]
    scoring = seconds(lambda: answer(head.eval(), tokenizer, tests, config)) / _SCORED
    count = int(source.micro_steps_per_epoch * config.train.epochs)
    return count, a_step, scoring * (config.test_examples or 0) * len(files)


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
    for name, measure in (("xnli", xnli), ("xquad", xquad)):
        encoder = open_encoder(device="cpu")
        assert isinstance(encoder, TorchEncoder)
        count, a_step, scoring = measure(encoder, options.steps)
        rows.append((name, count, a_step, scoring / 60, (count * a_step + scoring) / 60))
    columns = ("preset small", "steps", "seconds a step", "minutes of scoring", "minutes in all")
    show(f"{options.threads} threads, fp32", columns, rows, digits=1)


if __name__ == "__main__":
    main()
