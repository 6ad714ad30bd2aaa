"""What evaluation costs beside its model, and whether Tatoeba's figures come out.

    python -m benchmarks.evaluate [--languages swh,cmn|all] [--pairs N] [--steps 12] [--threads 2]

Retrieval is held against the bare encoding of the same sentences, fine-tuning against a bare loop of the same model
on the same batches. Both are timed in turns in one run, in process time, which a neighbour's load does not enter.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import Silent, data, show
from otkit.data.lines import words_of
from otkit.data.parallel import open_corpus
from otkit.data.tasks import read_nli, read_qa
from otkit.data.views import CorpusView
from otkit.encoders.open import open_encoder
from otkit.encoders.pairs import PairTokenizer, collate
from otkit.encoders.sentences import encode_sentences
from otkit.encoders.torch import TorchEncoder
from otkit.evaluation.answers import answer_place, make_windows
from otkit.evaluation.finetune import subset
from otkit.evaluation.retrieval import evaluate_retrieval
from otkit.evaluation.settings import XnliSettings, XquadSettings
from otkit.evaluation.xnli import features, xnli_head
from otkit.evaluation.xquad import xquad_head
from otkit.training.example_source import ExampleSource
from otkit.training.heads import (
    ClassBatch,
    Head,
    SpanBatch,
)
from otkit.training.loop import train
from otkit.training.settings import TrainingSettings

# ../shared/models/sample-encoder/README.md, measured with another program: xx -> en, accuracy@1.
PUBLISHED = {"deu": 0.966, "bul": 0.850, "ell": 0.872, "ara": 0.744, "swh": 0.718, "cmn": 0.784}


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Process seconds of a call, and its result."""
    begun = time.process_time()
    result = work()
    return time.process_time() - begun, result


def retrieval(encoder: TorchEncoder, languages: list[str], most: int) -> None:
    """Accuracy beside the published figure; time beside that of encoding alone."""
    rows: list[tuple[Any, ...]] = []
    sums = [0.0, 0.0]
    for language in languages:
        whole = open_corpus(data("tatoeba", f"{language}-eng.tsv.gz"))
        corpus = CorpusView(whole, np.arange(min(most, len(whole))))
        pairs = whole[:most]

        def bare(pairs: Any = pairs) -> None:
            for texts in ([pair.source for pair in pairs], [pair.target for pair in pairs]):
                encode_sentences(encoder, [words_of(text) for text in texts])

        bare_seconds, _ = timed(bare)
        seconds, scores = timed(lambda corpus=corpus: evaluate_retrieval(encoder, [corpus]))  # type: ignore[misc]
        sums[0] += bare_seconds
        sums[1] += seconds
        found = scores[language].forward.accuracy(1)
        published = PUBLISHED.get(language) if most >= len(whole) else None
        rows.append((language, found, published, bare_seconds, seconds, seconds / bare_seconds))
    rows.append(("all", None, None, *sums, sums[1] / sums[0]))
    columns = ("language", "accuracy@1", "published", "encoding s", "retrieval s", "ratio")
    show("Tatoeba, xx to English", columns, rows)


def package_loop(
    head: Head, source: ExampleSource[Any], batches: list[Any], config: TrainingSettings
) -> None:
    """The package's own; it makes its batches itself."""
    with tempfile.TemporaryDirectory() as folder:
        train(head, source, config, folder=Path(folder), fingerprint={}, observer=Silent())


def bare_loop(head: Head, source: ExampleSource[Any], batches: list[Any], config: TrainingSettings) -> None:
    """The shortest training loop that does the same arithmetic."""
    weights = [weight for weight in head.parameters() if weight.requires_grad]
    adam = torch.optim.AdamW(weights, lr=config.lr, weight_decay=config.weight_decay, fused=True)
    head.train()
    for batch in batches:
        head(batch).parts["loss"].backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        adam.step()
        adam.zero_grad()


def fine_tuning(steps: int) -> None:
    """Examples a second of the package's loop and of a bare one, in turns on the same batches."""
    rows = []
    # The defaults in batches of half their size, of as many examples as the steps need.
    nli = XnliSettings(train_examples=1024, batch_size=16, window=8)
    qa = XquadSettings(train_examples=256, batch_size=8, window=8)
    for name, build in (("XNLI", partial(nli_source, config=nli)), ("XQuAD", partial(qa_source, config=qa))):
        encoder = open_encoder(device="cpu")
        assert isinstance(encoder, TorchEncoder)
        head, source = build(encoder)
        start = copy.deepcopy(head.state_dict())
        config = TrainingSettings(steps=steps, lr=5e-5, save_minutes=None)
        batches = [batch for (batch,) in source.micro_steps(0, steps)]
        seconds = [0.0, 0.0]
        for place, work in (
            (0, bare_loop),
            (1, package_loop),
        ) * 2:  # in turns, so that both see the same weather
            head.load_state_dict(start)
            seconds[place] += timed(partial(work, head, source, batches, config))[0]
        examples = 2 * sum(len(batch.indices) for batch in batches)
        rows.append((name, examples / seconds[0], examples / seconds[1], seconds[0] / seconds[1]))
    show("Fine-tuning, examples a second", ("task", "bare loop", "otkit", "ratio"), rows, digits=2)


def nli_source(encoder: TorchEncoder, config: XnliSettings) -> tuple[Head, ExampleSource[Any]]:
    """The classifier and batches of real XNLI training pairs."""
    tokenizer = PairTokenizer(encoder)
    everything = read_nli(data("xnli", "train-en.tsv.gz"))
    pairs = [everything[i] for i in subset(len(everything), config.train_examples)]
    rows = features(tokenizer, pairs, config.max_length)

    def batch(members: Any) -> ClassBatch:
        inputs = collate([rows[i] for i in members], padding=tokenizer.padding, typed=tokenizer.typed)
        return ClassBatch(inputs, torch.tensor([i % 3 for i in members]), tuple(members))

    lengths = [len(ids) for ids, _ in rows]
    source = ExampleSource(lengths, batch, batch_size=config.batch_size, window=config.window)
    return xnli_head(encoder, config), source


def qa_source(encoder: TorchEncoder, config: XquadSettings) -> tuple[Head, ExampleSource[Any]]:
    """The span finder and windows of real SQuAD questions."""
    tokenizer = PairTokenizer(encoder)
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
    return xquad_head(encoder, config), source


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--languages", default=",".join(PUBLISHED))
    parser.add_argument("--pairs", type=int, default=1000, help="of each language")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    encoder = open_encoder(device="cpu")
    assert isinstance(encoder, TorchEncoder)
    languages = options.languages.split(",")
    if languages == ["all"]:
        languages = [path.name[:3] for path in sorted(data("tatoeba").glob("*-eng.tsv.gz"))]
    retrieval(encoder, languages, options.pairs)
    if options.steps:
        fine_tuning(options.steps)


if __name__ == "__main__":
    main()
