"""What the fine-tuned tasks share: the training loop on a head, the best weights kept, batches by length."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from otkit.data.batching import PairSource, mix_languages
from otkit.data.examples import TaskSet
from otkit.data.lines import skipped_note
from otkit.data.views import PairCorpus
from otkit.encoders.device import autocast
from otkit.encoders.encoder import Encoder
from otkit.encoders.pairs import JointInputs, PairTokenizer, collate
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, InputError
from otkit.evaluation.protocol import Progress
from otkit.evaluation.settings import FineTuningSettings
from otkit.files import json_in, replace_file
from otkit.training.example_source import ExampleSource
from otkit.training.heads import Head
from otkit.training.joint import JointModel, JointSource, JointSteps, NumberedLinks
from otkit.training.loop import train
from otkit.training.processes import number_of_processes
from otkit.training.protocols import Links, MicroSteps
from otkit.training.reading import link_reader
from otkit.training.recipe import Recipe
from otkit.training.records import Record
from otkit.training.run import build_model
from otkit.training.schedule import total_steps
from otkit.training.settings import TrainingSettings, TransferSettings, TuningSettings

__all__ = [
    "Row",
    "Transfer",
    "as_trained",
    "batches_by_length",
    "check_copies",
    "drawn_copies",
    "fine_tune",
    "pair_tokenizers",
    "scoring",
    "subset",
    "trainable",
    "transfer_notes",
]

Some = TypeVar("Some", bound=FineTuningSettings)

Row = tuple[NDArray[np.int32], NDArray[np.int32]]


@dataclass(frozen=True)
class Transfer:
    """What stands beside a task while it is fine-tuned, and how: parallel text with English as its target, whose losses
    are added. Copies of the examples are with the data of the task; `made` of them through lexicons of the text."""

    corpora: Sequence[PairCorpus]
    recipe: Recipe
    settings: TransferSettings
    made: int = 0

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What the figures depend on: the settings and the text."""
        if not self.corpora:
            return {"transfer": self.settings.to_dict()}
        tables = self.recipe.tables()
        return {
            "transfer": self.settings.to_dict(),
            **{name: tables[name] for name in ("alignment", "objective", "batching")},
            "text": {corpus.name: corpus.sha256 for corpus in self.corpora},
        }

    def notes(self, copies: int) -> list[str]:
        """What a reader must know of it, with the number of files of copies."""
        settings = self.settings
        turn = f"schedule {settings.schedule}, a step for {settings.align_every} of the task"
        notes = []
        if self.corpora:
            losses = " + ".join(f"{weight:g} {name}" for name, weight in self.recipe.objective.losses)
            languages = ", ".join(corpus.languages[0] for corpus in self.corpora)
            notes.append(
                f"aligned while fine-tuning on {sum(map(len, self.corpora))} pairs of {languages}: {losses}, times"
                f" {settings.align_weight:g}, {turn}"
                + (
                    f"; prediction-consistency of neighbours, times {settings.text_consistency:g}"
                    if settings.text_consistency
                    else ""
                )
            )
        if copies:
            agrees = f" and prediction-consistency {settings.consistency:g}" if settings.consistency else ""
            made = f", {self.made} of them parallel text whose lexicon replaces words" if self.made else ""
            notes.append(
                f"copies of the examples from {copies} file{'s' * (copies > 1)}{made}: the task's loss times"
                f" {settings.copy_weight:g}{agrees}, {turn}"
            )
        return notes

    def check(self, *, copies: int, neighbours: bool) -> None:
        """Refuse settings that nothing here answers to."""
        settings = self.settings
        if settings.consistency and not copies:
            raise ConfigError(
                "prediction-consistency compares the answers to an example and to a copy, and there are no copies",
                remedy="give copies of the training examples in other languages",
                setting="consistency",
            )
        if settings.text_consistency and not (neighbours and self.corpora):
            raise ConfigError(
                "prediction-consistency of neighbouring sentences is for XNLI with parallel text",
                remedy="give parallel text"
                if neighbours
                else "leave it out, or give copies and `consistency`",
                setting="text_consistency",
            )


def check_copies(
    train: TaskSet[Any] | None, copies: Sequence[TaskSet[Any]], *, same: Callable[[Any], object]
) -> None:
    """Refuse copies that are not those of the training examples, in their order: `same` is what a copy keeps."""
    if train is None:
        return
    for one in copies:
        if not one.labelled:
            raise InputError(
                "has no labels or answers, which copies have as their examples do",
                where=one.name,
                remedy="write them with `otkit augment`, or give the translated training examples",
            )
        if train.skipped or one.skipped:
            raise InputError(
                f"{train.skipped} training examples and {one.skipped} copies cannot be used, so that it is not known"
                " which stand beside which",
                where=one.name,
                remedy="mend the lines, or leave the examples out of both files",
            )
        if len(one) != len(train):
            raise InputError(
                f"has {len(one)} examples, and the training file has {len(train)}",
                where=one.name,
                remedy="give a copy of every training example, in the same order",
            )
        for number, (example, copy) in enumerate(zip(train, one, strict=True), 1):
            if same(example) != same(copy):
                raise InputError(
                    f"example {number} is {same(copy)!r}, that of the training file {same(example)!r}",
                    where=one.name,
                    remedy="give copies of the training examples, in the same order",
                )


def drawn_copies(copies: Sequence[TaskSet[Any]], numbers: Sequence[int], *, seed: int) -> list[Any]:
    """A copy of each of these examples, from any of the files; others are not asked for, since one may be made then."""
    generator = np.random.default_rng([seed, len(copies)])
    chosen = generator.integers(len(copies), size=len(copies[0]))
    return [copies[chosen[number]][number] for number in numbers]


def trainable(encoder: Encoder) -> TorchEncoder:
    """The encoder, where it can be fine-tuned."""
    if not isinstance(encoder, TorchEncoder):
        raise ConfigError(
            "an ONNX encoder cannot be fine-tuned",
            where=encoder.name,
            remedy="name the folder it was exported from",
        )
    return encoder


def pair_tokenizers(encoder: TorchEncoder, languages: Iterable[str]) -> dict[str, PairTokenizer]:
    """The tokenizer of each language that is scored, and of English, which is trained on."""
    asked = list(dict.fromkeys(("en", *languages)))
    known = encoder.subwords.known(asked)
    unknown = [code for code, found in zip(asked, known, strict=True) if found is None]
    if encoder.subwords.usual is not None and unknown:
        rest = ",".join(code for code in languages if code not in unknown)
        raise ConfigError(
            f"the tokenizer has no token for {', '.join(unknown)}",
            remedy=f"score the others: `languages='{rest}'`",
            setting="languages",
        )
    return {code: PairTokenizer(encoder, told) for code, told in zip(asked, known, strict=True)}


def subset(count: int, most: int | None, *, seed: int = 0) -> list[int]:
    """At most `most` of `count` examples in their order: the same ones for every run and every model."""
    if most is None or most >= count:
        return list(range(count))
    chosen = np.random.default_rng(seed).permutation(count)[:most]
    return [int(place) for place in np.sort(chosen)]


def as_trained(settings: Some, head: str | Path | None) -> Some:
    """The settings with the lengths that a saved head was trained with, where they were not asked to be others."""
    if head is None:
        return settings
    usual = type(settings)()
    try:
        stored = type(settings).read(json_in(Path(head) / "otkit.json").get("config", {}))
    except (OSError, ValueError, AttributeError, ConfigError):
        return settings  # what is wrong with the head is said when it is opened
    lengths = {
        name: stored[name]
        for name in ("max_length", "stride", "max_question")
        if name in stored and getattr(settings, name) == getattr(usual, name)
    }
    return settings.changed(**lengths)


def fine_tune(
    head: Head,
    source: ExampleSource[Any],
    settings: FineTuningSettings,
    *,
    seed: int,
    name: str,
    folder: Path,
    progress: Progress,
    select: Callable[[], float] | None = None,
    transfer: Transfer | None = None,
    beside: Sequence[MicroSteps] = (),
) -> tuple[str, ...]:
    """Train a head and its encoder in place, and return what the training had to say.

    With `select` (a score, more is better) and `eval_every` the best weights are kept, else the last. With `transfer`
    the losses of its parallel text, and of the batches of `beside`, are added on the way.
    """
    watch = _Training(name, progress)
    config = replace(settings.training, seed=seed)
    module: nn.Module = head
    steps: MicroSteps = source
    links: Links | None = None
    if transfer is not None:
        module, steps, links, config = _joined(head, source, config, transfer, beside, settings.freeze, watch)
    if settings.warmup_steps:
        count = config.steps or max(1, int(source.micro_steps_per_epoch * config.epochs / config.grad_accum))
        config = replace(config, warmup=min(settings.warmup_steps / count, 0.5))
    best = folder / "best.safetensors"
    best.unlink(missing_ok=True)
    progress(0, config.steps, f"{name}: fine-tuning")  # the first step may take long

    def keep(record: Record) -> None:
        weights = {key: value.detach().cpu().contiguous() for key, value in _unshared(head).items()}
        replace_file(best, lambda temporary: save_file(weights, temporary))

    def evaluate() -> Record:
        assert select is not None
        return {"error": 1 - select()}

    train(
        module,
        steps,
        config,
        folder=folder,
        fingerprint={},
        observer=watch,
        evaluate=evaluate if select is not None and config.eval_every is not None else None,
        best_by="error",
        keep_best=keep,
        gathers=transfer is not None
        and bool(transfer.corpora)
        and "sentences" in transfer.recipe.objective.needs,
        links=links,
    )
    if best.exists():
        head.load_state_dict(load_file(best), strict=False)
        best.unlink()
    head.eval()
    return tuple(watch.notes)


def _joined(
    head: Head,
    task: ExampleSource[Any],
    config: TrainingSettings,
    transfer: Transfer,
    beside: Sequence[MicroSteps],
    freeze: int | None,
    watch: _Training,
) -> tuple[nn.Module, MicroSteps, Links | None, TrainingSettings]:
    """What the loop trains where something stands beside the task: the head and the objectives on one encoder."""
    encoder = head.encoder
    processes = number_of_processes(encoder.device)
    counted = JointSteps(
        transfer.settings, total_steps(config, task.micro_steps_per_epoch, processes=processes)
    )
    if counted.before(counted.steps)[1] == 0:
        raise ConfigError(
            f"the task has {counted.before(counted.steps)[0]} steps, which leave none for what stands beside it",
            remedy=("lower `align_every`", "train for more epochs", "use `schedule='sum'`"),
            setting="align_every",
        )
    size = config.grad_accum * processes
    model, links, sources = None, None, [*beside]
    if transfer.corpora:
        # The task says which weights move, and in which precision; its steps are the run's length.
        recipe = (
            replace(
                transfer.recipe,
                training=replace(config, steps=max(1, counted.before(counted.steps)[1])),
                tuning=TuningSettings(freeze=freeze),
            )
            .for_encoder(encoder)
            .for_processes(processes)
        )
        corpora = mix_languages(transfer.corpora, recipe.batching, seed=config.seed)
        model = build_model(encoder, corpora, recipe, observer=watch, processes=processes)
        sources.append(PairSource(corpora, encoder, recipe.batching, seed=config.seed))
        reader = link_reader(model, corpora, recipe, observer=watch)
        links = None if reader is None else NumberedLinks(reader, counted, size=size)
    return (
        JointModel(head, model, transfer.settings).train(),
        JointSource(task, sources, counted, size=size),
        links,
        replace(config, steps=counted.steps),
    )


def transfer_notes(
    trained_on: TaskSet[Any] | None,
    tests: Mapping[str, TaskSet[Any]],
    settings: FineTuningSettings,
    *,
    what: str,
    length: str,
    head: str | Path | None,
    transfer: Transfer | None,
    copies: int,
) -> tuple[str, ...]:
    """What a reader must know of the figures: how the head was trained, and what was not scored."""
    notes = []
    if head is not None:
        notes.append(f"the head of {head} was scored as it is; {length}")
    elif trained_on is not None:
        part = "the whole encoder" if settings.freeze is None else "all but the embeddings"
        part += f" and the first {settings.freeze} layers" if settings.freeze else ""
        notes.append(
            f"{len(subset(len(trained_on), settings.train_examples))} English {what}, {settings.epochs:g} epochs, "
            f"lr {settings.lr:g}, batch {settings.batch_size * settings.grad_accum}, {length}; {part} trained"
        )
        if transfer is not None:
            notes += transfer.notes(copies)
        if any(one.sha256 == trained_on.sha256 for one in tests.values()):
            notes.append("a scored file is the training file: its figure is no test")
    if settings.test_examples is not None:
        notes.append(f"at most {settings.test_examples} {what} scored in each language, the same in all")
    unlabelled = [language for language, one in tests.items() if not one.labelled]
    if unlabelled:
        notes.append(f"unlabelled and so not scored: {', '.join(unlabelled)}")
    read = [*tests.values(), *([trained_on] if trained_on else [])]
    if skipped := sum(one.skipped for one in read):
        notes.append(skipped_note((bad for one in read for bad in one.bad), skipped, what="item"))
    return tuple(notes)


def _unshared(head: Head) -> dict[str, torch.Tensor]:
    """Weights that training moves; safetensors takes no two names for one tensor."""
    return {name: value for name, value in head.named_parameters() if value.requires_grad}


class _Training:
    """The training loop's observer: progress is told onwards, notes are kept."""

    def __init__(self, name: str, progress: Progress) -> None:
        self._name, self._progress = name, progress
        self.notes: list[str] = []

    def record(self, record: Record, *, step: int, steps: int) -> None:
        self._progress(step, steps, f"{self._name}: fine-tuning")

    def note(self, message: str) -> None:
        self.notes.append(message)

    def progress(self, what: str, done: int, total: int | None) -> None:
        self._progress(done, total, f"{self._name}: {what}")


@contextlib.contextmanager
def scoring(head: Head, precision: str) -> Iterator[None]:
    """The head in evaluation mode, without gradients, multiplying in what it was trained in."""
    was_training = head.training
    head.eval()
    try:
        with torch.inference_mode(), autocast(head.encoder.device, precision):
            yield
    finally:
        head.train(was_training)


def batches_by_length(
    rows: Sequence[Row], *, padding: int, typed: bool, batch_tokens: int
) -> Iterator[tuple[NDArray[np.int64], JointInputs]]:
    """Row numbers and their padded batch, longest rows first, at most `batch_tokens` padded subwords each."""
    lengths = np.array([len(ids) for ids, _ in rows])
    order = np.argsort(-lengths, kind="stable")
    first = 0
    while first < len(order):
        size = max(1, batch_tokens // int(lengths[order[first]]))
        members = order[first : first + size]
        yield members, collate([rows[member] for member in members], padding=padding, typed=typed)
        first += size
