"""XQuAD: a span head fine-tuned on English SQuAD, answering in every language without examples of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from otkit.data.examples import QaExample, TaskSet
from otkit.encoders.encoder import Encoder
from otkit.encoders.pairs import PairTokenizer, Pieces, collate
from otkit.encoders.torch import TorchEncoder
from otkit.errors import CheckpointError, InputError
from otkit.evaluation.answers import (
    Window,
    answer_place,
    best_span,
    make_windows,
    mlqa_score,
    owners,
    squad_score,
)
from otkit.evaluation.carried import Carrying, counterparts
from otkit.evaluation.finetune import (
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
from otkit.evaluation.metrics import FloatArray, column_mean
from otkit.evaluation.protocol import KEPT, Findings, Metric, Progress, Task
from otkit.evaluation.settings import XquadSettings
from otkit.training.agreement import CopyBatch
from otkit.training.example_source import ExampleSource
from otkit.training.heads import HeadConfig, SpanBatch, SpanFinder, load_head, save_head
from otkit.training.protocols import MicroSteps

__all__ = [
    "XQUAD_METRICS",
    "XquadData",
    "answer",
    "score_answers",
    "xquad_head",
    "xquad_task",
]


_RULES = "F1 and EM by SQuAD v1.1's rules in every language; MLQA: its language-aware normalisation"

XQUAD_METRICS = (
    Metric("F1", column_mean(0), table="squad"),
    Metric("EM", column_mean(1), table="squad"),
    Metric("MLQA F1", column_mean(0), table="mlqa", headline=False),
    Metric("MLQA EM", column_mean(1), table="mlqa", headline=False),
)


@dataclass(frozen=True)
class XquadData:
    """English training questions, and the questions to answer in each language. `copies` are the training questions
    in other languages, in the same order."""

    train: TaskSet[QaExample] | None
    tests: Mapping[str, TaskSet[QaExample]]
    copies: Sequence[TaskSet[QaExample]] = ()

    @property
    def digests(self) -> dict[str, str]:
        """The content of every file."""
        sets = [*self.tests.values(), *((self.train,) if self.train is not None else ()), *self.copies]
        return {one.name: one.sha256 for one in sets}


def xquad_task(
    data: XquadData,
    config: XquadSettings,
    *,
    head: str | Path | None = None,
    keep: bool = False,
    transfer: Transfer | None = None,
) -> Task:
    """XQuAD as a task. With `head`, the head saved in that folder is scored and nothing is trained; with
    `transfer`, parallel text or copies of the examples take part in fine-tuning."""
    config = as_trained(config, head)
    if head is None and (data.train is None or not data.train.labelled):
        raise InputError(
            "there are no English questions to train on", remedy="give `train='FILE'`, or `head='DIR'`"
        )
    if transfer is not None and data.train is not None:
        transfer.check(copies=len(data.copies), neighbours=False)
    scored = {language: one for language, one in data.tests.items() if one.labelled}
    if not scored:
        raise InputError(
            "no language has answers, so nothing can be scored", remedy="give files with answers"
        )

    def run(encoder: Encoder, seed: int, folder: Path, progress: Progress) -> Findings:
        tuned = trainable(encoder)
        tokenizers = pair_tokenizers(tuned, scored)
        torch.manual_seed(seed)
        said: tuple[str, ...] = ()
        if head is not None:
            found = load_head(tuned, Path(head))
            if not isinstance(found, SpanFinder):
                raise CheckpointError(
                    "holds a head for another task", where=str(head), remedy="give an XQuAD head"
                )
            model = found.eval()
        else:
            model = xquad_head(tuned, config)
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
                save_head(model, folder / KEPT, {"task": "xquad", "config": config.to_dict(), "seed": seed})
        tables = {}
        for place, (language, items) in enumerate(scored.items()):
            progress(place, len(scored), "xquad: answering")
            chosen = [items[number] for number in subset(len(items), config.test_examples)]
            tables[language] = score_answers(
                answer(model, tokenizers[language], chosen, config), chosen, language
            )
        progress(len(scored), len(scored), "xquad: answering")
        return Findings(
            tables,
            notes=(
                _RULES,
                *transfer_notes(
                    data.train,
                    data.tests,
                    config,
                    what="questions",
                    length=f"windows of {config.max_length} every {config.stride}",
                    head=head,
                    transfer=transfer,
                    copies=len(data.copies),
                ),
                *said,
            ),
        )

    return Task(
        name="xquad",
        metrics=XQUAD_METRICS,
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


def score_answers(
    answers: Sequence[str], examples: Sequence[QaExample], language: str
) -> dict[str, FloatArray]:
    """Tables of F1, EM and one: by SQuAD's rules in every language, as XQuAD is scored, and by MLQA's."""
    rows: dict[str, list[tuple[float, float, float]]] = {"squad": [], "mlqa": []}
    for text, example in zip(answers, examples, strict=True):
        gold = [one.text for one in example.answers]
        for name, score in (
            ("squad", squad_score(text, gold)),
            ("mlqa", mlqa_score(text, gold, language=language)),
        ):
            rows[name].append((score.f1, score.exact, 1.0))
    return {name: np.array(values) for name, values in rows.items()}


def xquad_head(encoder: TorchEncoder, config: XquadSettings) -> SpanFinder:
    """A new span finder on an encoder."""
    return SpanFinder(encoder, HeadConfig(dropout=config.dropout, frozen=config.freeze))


def _train(
    model: SpanFinder,
    tokenizer: PairTokenizer,
    data: XquadData,
    config: XquadSettings,
    *,
    seed: int,
    folder: Path,
    progress: Progress,
    transfer: Transfer | None,
) -> tuple[str, ...]:
    assert data.train is not None
    numbers = subset(len(data.train), config.train_examples)
    examples = [data.train[number] for number in numbers]
    windows, places = _placed(tokenizer, examples, config)

    def batch(members: Sequence[int], which: Sequence[Window], where: NDArray[np.int64]) -> SpanBatch:
        inputs = collate(
            [which[member].row for member in members], padding=tokenizer.padding, typed=tokenizer.typed
        )
        starts, ends = (torch.from_numpy(where[list(members), side]) for side in (0, 1))
        return SpanBatch(inputs, starts, ends, tuple(members))

    def source(make: Callable[[Sequence[int]], Any], some: Sequence[Window] = windows) -> ExampleSource[Any]:
        return ExampleSource(
            [len(window.row[0]) for window in some],
            make,
            batch_size=config.batch_size,
            window=config.window,
            seed=seed,
        )

    def english(members: Sequence[int]) -> SpanBatch:
        return batch(members, windows, places)

    beside: list[MicroSteps] = []
    if data.copies and transfer is not None:
        copied = drawn_copies(data.copies, numbers, seed=seed)
        found, where = _placed(tokenizer, copied, config)
        chosen = counterparts(windows, found)
        others, goals = [found[number] for number in chosen], where[chosen]
        carry = None
        if transfer.settings.consistency:
            carry = Carrying(tokenizer, model.encoder, examples, copied, progress=progress)

        def both(members: Sequence[int]) -> CopyBatch:
            left, right = english(members), batch(members, others, goals)
            spread = None
            if carry is not None:
                rows = [(windows[member], others[member]) for member in members]
                spread = carry.spread(rows, left.inputs.ids.shape[1], right.inputs.ids.shape[1])
            return CopyBatch(left.inputs, right, spread=spread)

        beside.append(source(both, windows if transfer.settings.copies_follow else others))
    return fine_tune(
        model,
        source(english),
        config,
        seed=seed,
        name="xquad",
        folder=folder,
        progress=progress,
        transfer=transfer,
        beside=beside,
    )


def _placed(
    tokenizer: PairTokenizer, examples: Sequence[QaExample], config: XquadSettings
) -> tuple[list[Window], NDArray[np.int64]]:
    """The windows of questions, and where the answer stands in each, (windows, 2)."""
    windows, contexts = _windows(tokenizer, examples, config)
    return windows, np.array([answer_place(window, examples, contexts) for window in windows], dtype=np.int64)


def _windows(
    tokenizer: PairTokenizer, examples: Sequence[QaExample], config: XquadSettings
) -> tuple[list[Window], dict[str, Pieces]]:
    return make_windows(
        tokenizer,
        examples,
        max_length=config.max_length,
        stride=config.stride,
        max_question=config.max_question,
    )


def answer(
    model: SpanFinder, tokenizer: PairTokenizer, examples: Sequence[QaExample], config: XquadSettings
) -> list[str]:
    """The best answer to each question over all its windows."""
    windows, contexts = _windows(tokenizer, examples, config)
    allowed = owners(windows, len(examples))
    best: list[tuple[float, int, int]] = [(-np.inf, 0, 0)] * len(examples)
    with scoring(model, config.precision):
        for members, inputs in batches_by_length(
            [window.row for window in windows],
            padding=tokenizer.padding,
            typed=tokenizer.typed,
            batch_tokens=config.batch_tokens,
        ):
            logits = model.logits(inputs).cpu().numpy()
            for place, member in enumerate(members.tolist()):
                window = windows[member]
                part = logits[place, window.offset : window.offset + window.last - window.first]
                score, start, end = best_span(
                    part[:, 0],
                    part[:, 1],
                    allowed=allowed[member],
                    n_best=config.n_best,
                    max_answer=config.max_answer,
                )
                if score > best[window.example][0]:
                    best[window.example] = (score, start + window.first, end + window.first)
    return [
        _text(example.context, contexts[example.context], found)
        for example, found in zip(examples, best, strict=True)
    ]


def _text(context: str, pieces: Pieces, found: tuple[float, int, int]) -> str:
    score, start, end = found
    if not np.isfinite(score):
        return ""
    return context[int(pieces.spans[start, 0]) : int(pieces.spans[end, 1])].strip()
