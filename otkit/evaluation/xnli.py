"""XNLI: a classifier fine-tuned on English, scored in every language without having seen any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from otkit.data.examples import NLI_LABELS, NliExample, TaskSet
from otkit.encoders.encoder import Encoder
from otkit.encoders.pairs import JointInputs, PairTokenizer, collate, shorten_pair
from otkit.encoders.torch import TorchEncoder
from otkit.errors import CheckpointError, ConfigError, InputError
from otkit.evaluation.finetune import (
    Row,
    Transfer,
    as_trained,
    batches_by_length,
    drawn_copies,
    fine_tune,
    pair_tokenizers,
    scoring,
    subset,
    trainable,
    transfer_notes,
)
from otkit.evaluation.metrics import accuracy, class_table, macro_f1, mean_table
from otkit.evaluation.protocol import KEPT, Findings, Metric, Progress, Task
from otkit.evaluation.settings import XnliSettings
from otkit.training.agreement import CopyBatch
from otkit.training.example_source import ExampleSource
from otkit.training.heads import ClassBatch, Classifier, HeadConfig, load_head, save_head
from otkit.training.protocols import MicroSteps

__all__ = ["XNLI_METRICS", "XnliData", "features", "predict", "xnli_head", "xnli_task"]

_HELD_OUT = 1000


XNLI_METRICS = (
    Metric("accuracy", accuracy, table="right", chance=1 / 3),
    Metric("macro-F1", macro_f1, table="classes", headline=False),
)


@dataclass(frozen=True)
class XnliData:
    """English training pairs, English dev pairs to choose by, and the pairs to score in each language.

    Without dev pairs of their own, up to 1,000 training pairs are held out to choose by. `copies` are the training
    pairs in other languages, in the same order.
    """

    train: TaskSet[NliExample] | None
    tests: Mapping[str, TaskSet[NliExample]]
    dev: TaskSet[NliExample] | None = None
    copies: Sequence[TaskSet[NliExample]] = ()

    @property
    def digests(self) -> dict[str, str]:
        """The content of every file."""
        own = (part for part in (self.train, self.dev) if part is not None)
        return {one.name: one.sha256 for one in (*self.tests.values(), *own, *self.copies)}


def xnli_task(
    data: XnliData,
    config: XnliSettings,
    *,
    head: str | Path | None = None,
    keep: bool = False,
    transfer: Transfer | None = None,
) -> Task:
    """XNLI as a task. With `head`, the head saved in that folder is scored and nothing is trained; with
    `transfer`, parallel text or copies of the examples take part in fine-tuning."""
    config = as_trained(config, head)
    if head is None and (data.train is None or not data.train.labelled):
        raise InputError(
            "there are no labelled English pairs to train on", remedy="give `train='FILE'`, or `head='DIR'`"
        )
    if transfer is not None and data.train is not None:
        transfer.check(copies=len(data.copies), neighbours=True)
    scored = {language: one for language, one in data.tests.items() if one.labelled}
    if not scored:
        raise InputError(
            "no language has labelled pairs, so nothing can be scored", remedy="give labelled files"
        )

    def run(encoder: Encoder, seed: int, folder: Path, progress: Progress) -> Findings:
        tuned = trainable(encoder)
        tokenizers = pair_tokenizers(tuned, scored)
        torch.manual_seed(seed)
        said: tuple[str, ...] = ()
        if head is not None:
            found = load_head(tuned, Path(head))
            if not isinstance(found, Classifier):
                raise CheckpointError(
                    "holds a head for another task", where=str(head), remedy="give an XNLI head"
                )
            model = found.eval()
        else:
            model = xnli_head(tuned, config)
            said = _train(
                model,
                tokenizers["en"],
                data,
                config,
                seed=seed,
                folder=folder,
                progress=progress,
                transfer=transfer,
            )
            if keep:
                save_head(model, folder / KEPT, {"task": "xnli", "config": config.to_dict(), "seed": seed})
        tables = {}
        for place, (language, items) in enumerate(scored.items()):
            progress(place, len(scored), "xnli: scoring")
            chosen = [items[number] for number in subset(len(items), config.test_examples)]
            gold = [example.label for example in chosen]
            guessed = [NLI_LABELS[label] for label in predict(model, tokenizers[language], chosen, config)]
            right = [a == b for a, b in zip(gold, guessed, strict=True)]
            tables[language] = {
                "right": mean_table(right),
                "classes": class_table(gold, guessed, labels=NLI_LABELS),
            }
        progress(len(scored), len(scored), "xnli: scoring")
        return Findings(
            tables,
            notes=(
                *transfer_notes(
                    data.train,
                    data.tests,
                    config,
                    what="pairs",
                    length=f"length {config.max_length}",
                    head=head,
                    transfer=transfer,
                    copies=len(data.copies),
                ),
                *said,
            ),
        )

    return Task(
        name="xnli",
        metrics=XNLI_METRICS,
        run=run,
        fingerprint={
            "config": config.to_dict(),
            "data": data.digests,
            "head": str(head) if head else None,
            "align": None if transfer is None else transfer.fingerprint,
        },
        seeded=head is None,
        trains=True,
        keeps=keep and head is None,
    )


def xnli_head(encoder: TorchEncoder, config: XnliSettings) -> Classifier:
    """A new classifier on an encoder."""
    shape = HeadConfig(config.head_pooling, config.dropout, config.freeze)
    return Classifier(encoder, shape, labels=len(NLI_LABELS))


def _train(
    model: Classifier,
    tokenizer: PairTokenizer,
    data: XnliData,
    config: XnliSettings,
    *,
    seed: int,
    folder: Path,
    progress: Progress,
    transfer: Transfer | None,
) -> tuple[str, ...]:
    assert data.train is not None
    numbers = subset(len(data.train), config.train_examples)
    dev: Sequence[NliExample] = data.dev or ()
    if config.eval_every is not None and not dev:
        held = set(subset(len(numbers), min(_HELD_OUT, len(numbers) // 20), seed=1))
        dev = [data.train[number] for place, number in enumerate(numbers) if place in held]
        numbers = [number for place, number in enumerate(numbers) if place not in held]
    pairs = [data.train[number] for number in numbers]
    rows = features(tokenizer, pairs, config.max_length)
    labels = np.array([NLI_LABELS.index(pair.label or "") for pair in pairs], dtype=np.int64)

    def collated(some: Sequence[Row], members: Sequence[int]) -> JointInputs:
        return collate([some[member] for member in members], padding=tokenizer.padding, typed=tokenizer.typed)

    def batch(members: Sequence[int], some: Sequence[Row] = rows) -> ClassBatch:
        return ClassBatch(collated(some, members), torch.from_numpy(labels[list(members)]), tuple(members))

    def examples(make: Callable[[Sequence[int]], Any], some: Sequence[Row] = rows) -> ExampleSource[Any]:
        lengths = [len(ids) for ids, _ in some]
        return ExampleSource(lengths, make, batch_size=config.batch_size, window=config.window, seed=seed)

    beside: list[MicroSteps] = []
    if data.copies and transfer is not None:
        other = features(tokenizer, drawn_copies(data.copies, numbers, seed=seed), config.max_length)
        beside.append(
            examples(
                lambda members: CopyBatch(collated(rows, members), batch(members, other)),
                rows if transfer.settings.copies_follow else other,
            )
        )
    if transfer is not None and transfer.settings.text_consistency:
        beside.append(_neighbours(tokenizer, transfer, config, seed=seed))

    def select() -> float:
        right = [
            guess == NLI_LABELS.index(pair.label or "")
            for guess, pair in zip(predict(model, tokenizer, dev, config), dev, strict=True)
        ]
        return float(np.mean(right))

    return fine_tune(
        model,
        examples(batch),
        config,
        seed=seed,
        name="xnli",
        folder=folder,
        progress=progress,
        select=select if dev else None,
        transfer=transfer,
        beside=beside,
    )


def _neighbours(
    tokenizer: PairTokenizer, transfer: Transfer, config: XnliSettings, *, seed: int
) -> ExampleSource[CopyBatch]:
    """Two sentences of parallel text that follow each other, as premise and hypothesis, beside their translations:
    what the head makes of them is to be the same."""
    corpora = transfer.corpora
    places = [(corpus, line) for corpus in corpora for line in range(len(corpus) - 1)]
    if not places:
        raise InputError("no file has two sentences that follow each other", remedy="give longer text")

    def batch(members: Sequence[int]) -> CopyBatch:
        found = [
            [corpus[line + next] for next in (0, 1)] for corpus, line in map(places.__getitem__, members)
        ]
        sides = []
        for name in ("target", "source"):
            texts = [NliExample(getattr(one, name), getattr(two, name), None) for one, two in found]
            rows = features(tokenizer, texts, config.max_length)
            sides.append(collate(rows, padding=tokenizer.padding, typed=tokenizer.typed))
        nothing = torch.zeros(len(members), dtype=torch.int64)
        return CopyBatch(sides[0], ClassBatch(sides[1], nothing, tuple(members)), labelled=False)

    return ExampleSource([1] * len(places), batch, batch_size=config.batch_size, seed=seed)


def features(tokenizer: PairTokenizer, pairs: Sequence[NliExample], max_length: int) -> list[Row]:
    """(ids, types) of each pair, within `max_length` and the encoder's own limit."""
    room = min(max_length, tokenizer.limit) - tokenizer.added
    if room < 2:
        raise ConfigError(f"a length of {max_length} has no room for two texts", remedy="raise `max_length`")
    pieces = tokenizer.pieces(text for pair in pairs for text in (pair.premise, pair.hypothesis))
    return [
        tokenizer.join(*shorten_pair(pieces[pair.premise].ids, pieces[pair.hypothesis].ids, room))
        for pair in pairs
    ]


def predict(
    model: Classifier, tokenizer: PairTokenizer, pairs: Sequence[NliExample], config: XnliSettings
) -> NDArray[np.int64]:
    """(pairs,) the most likely label's number of each."""
    rows = features(tokenizer, pairs, config.max_length)
    found = np.zeros(len(rows), dtype=np.int64)
    with scoring(model, config.precision):
        for members, inputs in batches_by_length(
            rows, padding=tokenizer.padding, typed=tokenizer.typed, batch_tokens=config.batch_tokens
        ):
            found[members] = model.logits(inputs).argmax(-1).cpu().numpy()
    return found
