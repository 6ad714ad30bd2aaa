"""The tasks that are fine-tuned on English, and what takes part beside them: parallel text, copies of the examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from otkit.api.copies import copies_from_text
from otkit.api.measuring import EncoderLike, Evaluation, RunOptions, measure, reading_of
from otkit.data.examples import TaskSet
from otkit.data.parallel import silent
from otkit.data.views import english_last
from otkit.encoders.device import choose_device, slow_precision
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, choose
from otkit.evaluation.finetune import Transfer
from otkit.evaluation.inputs import FilePath, ParallelFile
from otkit.evaluation.protocol import Task, unwatched
from otkit.evaluation.xnli import XnliData
from otkit.evaluation.xquad import XquadData
from otkit.training.processes import check_trained_in
from otkit.training.recipe import Recipe
from otkit.training.settings import ObjectiveSettings, TransferSettings

__all__ = ["TransferOptions", "measure_tuned"]

Data = TypeVar("Data", XnliData, XquadData)


class TransferOptions(RunOptions, total=False):
    """Keywords of tasks that are fine-tuned on English beside.

    data        a folder, as XTREME names its files, or a Hub name; by default the small sample
    train       a file or Hub name of English examples; by default the training file of `data`
    head        score what `save_heads` kept in this folder: nothing is trained, and the encoder is that of the folder
    save_heads  keep fine-tuned encoders and heads in `output`
    seeds       train under each of these
    align       parallel text, a file a language, whose losses are added while the task is fine-tuned, and through whose
                lexicons copies are made where the recipe has a copy_share, as `transfer` does
    copies      the training examples in other languages, in the same order, as `otkit.augment` writes them, or
                translated: each example is also learnt from a copy, drawn from one of these files
    langs       the two languages of such a file, where its name does not say
    recipe      a `Recipe`, the name of one, a TOML file, or a folder that was trained: which losses, and how they take
                part (its tables objective, batching, alignment and transfer); by default `paper`
    changes     keys of those tables to change: `{"transfer": {"align_weight": 0.5}}`
    """

    data: FilePath | None
    train: str | None
    head: FilePath | None
    save_heads: bool
    seeds: Sequence[int]
    align: Sequence[ParallelFile]
    copies: Sequence[FilePath]
    langs: str | None
    recipe: Recipe | FilePath | None
    changes: Mapping[str, Mapping[str, Any]]


def measure_tuned(
    encoder: EncoderLike,
    how: TransferOptions,
    *,
    read: Callable[..., Data],
    make: Callable[..., Task],
    precision: str,
) -> Evaluation:
    """The figures of a task that is fine-tuned on English."""
    head = how.get("head")
    device = encoder.device if isinstance(encoder, TorchEncoder) else choose_device(how.get("device", "auto"))
    if (slow := slow_precision(device, precision)) is not None:  # before hours are spent on it
        how.get("on_note", silent)(slow)
    if head is None:
        check_trained_in(device, precision)
    encoder = _under(head, encoder)
    found = read(
        how.get("data"),
        how.get("train"),
        reading_of(how, TransferOptions),
        trains=head is None,
        copies=how.get("copies", ()),
    )
    with _with_copies(found, how) as (whole, transfer):
        task = make(whole, head=head, keep=how.get("save_heads", False), transfer=transfer)
        return measure(task, encoder, how, seeds=how.get("seeds", (0,)))


def _transfer(how: TransferOptions) -> Transfer | None:
    """What takes part in fine-tuning beside the task, and how; None where nothing does."""
    files, recipe, changes = how.get("align", ()), how.get("recipe"), dict(how.get("changes", {}))
    if not files and not how.get("copies"):
        if recipe is not None or changes:
            raise ConfigError(
                "a recipe says how parallel text and copies take part, and there are none",
                remedy="give parallel text or copies, or leave the recipe out",
                setting="align",
            )
        return None
    if how.get("head") is not None:
        raise ConfigError(
            "a head that is only scored is not trained",
            remedy="leave one of them out",
            setting="align" if files else "copies",
        )
    for name in changes:
        choose(name, dict.fromkeys(("objective", "batching", "alignment", "transfer")), what="table")
    own = {name: changes[name] for name in changes if name != "transfer"}
    found = recipe if isinstance(recipe, Recipe) else Recipe.read(recipe or "paper")
    settings = found.transfer_settings
    reading = replace(reading_of(how, TransferOptions), languages=None)
    # A step has one batch of parallel text, of all languages: one of each would drown the task.
    batching: dict[str, Any] = {"mix_languages": True}
    if "on_error" in how:  # too long a line is found as late as in its step
        batching["on_error"] = reading.on_error
    found = found.changed(batching=batching).changed(**own)
    asked = changes.get("transfer", {})
    settings = settings.changed(**asked)
    if files:
        _check_objective(found.objective)
    if own and files and not (settings.align_weight or settings.text_consistency):
        raise ConfigError(
            f"the table {next(iter(own))!r} is about losses of parallel text, whose weight is 0",
            remedy="give an align_weight above 0, or leave it out",
            setting="align_weight",
        )
    if own and not files:
        raise ConfigError(
            f"the table {next(iter(own))!r} is about parallel text, and there is none",
            remedy="give parallel text",
            setting="align",
        )
    _check_answered(asked, settings, text=bool(files), copies=bool(how.get("copies")))
    return Transfer([english_last(reading.corpus(file, by_word=True)) for file in files], found, settings)


def _check_objective(objective: ObjectiveSettings) -> None:
    """Beside a task there is text alone: no links of it, and no static vectors."""
    for lacks, what in (
        (objective.needs_given, "given links"),
        ("static" in objective.needs, "static vectors"),
    ):
        if lacks:
            raise ConfigError(
                f"a loss learns from {what}, and beside a task there are none",
                remedy="give another objective, or align the encoder first with otkit.train",
                setting="objective",
            )


def _check_answered(
    asked: Mapping[str, Any], settings: TransferSettings, *, text: bool, copies: bool
) -> None:
    """Refuse a setting that was asked for where nothing answers to it."""
    copied = copies or (text and settings.copy_share > 0)
    compared = settings.consistency > 0 or settings.text_consistency > 0
    by_text = text, "there is no parallel text", "give parallel text"
    by_copies = copied, "there are no copies", "give copies, or parallel text and a copy_share"
    reached = {
        "align_weight": by_text,
        "text_consistency": by_text,
        "copy_share": (
            text,
            "there is no parallel text to count lexicons on",
            "give parallel text",
        ),
        "copy_pairs": (
            text and settings.copy_share > 0,
            "no lexicon is counted",
            "give parallel text and a copy_share",
        ),
        "copy_weight": by_copies,
        "consistency": by_copies,
        "consistency_temperature": (compared, "no answers are compared", "give a consistency above 0"),
    }
    for name, value in asked.items():
        answered, why, remedy = reached.get(name, (True, "", ""))
        if not answered and value != 0:  # 0 switches off what a recipe asks for
            raise ConfigError(f"{name} is given, and {why}", remedy=remedy, setting=name)


@contextmanager
def _with_copies(found: Data, how: TransferOptions) -> Iterator[tuple[Data, Transfer | None]]:
    """The data with the copies that the parallel text makes, and what takes part beside the task."""
    transfer = _transfer(how)
    if transfer is None or found.train is None or not (transfer.settings.copy_share and transfer.corpora):
        yield found, transfer
        return
    device, progress = how.get("device", "auto"), how.get("on_progress", unwatched)
    made: list[TaskSet[Any]]
    with copies_from_text(
        found.train,
        transfer.corpora,
        transfer.settings,
        device=device,
        progress=progress,
        note=how.get("on_note", silent),
    ) as made:
        counts = transfer.settings.align_weight or transfer.settings.text_consistency
        yield (
            replace(found, copies=[*found.copies, *made]),
            replace(transfer, made=len(made), corpora=transfer.corpora if counts else ()),
        )


def _under(head: FilePath | None, encoder: EncoderLike) -> EncoderLike:
    """The encoder to measure: that of the head, which brings its own."""
    if head is not None and encoder is not None:
        raise ConfigError(
            f"received {str(head)!r}, which brings its own encoder",
            remedy="leave the encoder out",
            setting="head",
        )
    return encoder if head is None else head
