"""XNLI and XQuAD for `otkit evaluate`: folders, files or Hub names in, a task of the protocol out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otkit.cli.evaluate_request import Request, check_languages
from otkit.cli.values import changed
from otkit.errors import ConfigError

if TYPE_CHECKING:
    from otkit.data.examples import TaskSet
    from otkit.evaluation.protocol import Task
    from otkit.training.heads import HeadConfig
    from otkit.training.settings import TrainingSettings

__all__ = ["xnli", "xquad"]

Reader = Callable[..., Any]


def xnli(request: Request) -> Task:
    """XNLI: `--data` holds dev-xx or test-xx and train-en, as XTREME names them."""
    from otkit.data.hub import read_nli_hub
    from otkit.data.tasks import read_nli
    from otkit.evaluation.xnli import XNLI_PRESETS, XnliData, xnli_task

    preset = request.preset or "small"
    config = XNLI_PRESETS[preset]
    config = changed(
        config,
        train=_loop(config.train, request),
        head=_head(config.head, request),
        batch_size=request.batch_size,
        max_length=request.max_length,
        train_examples=request.train_examples,
        test_examples=request.test_examples,
        batch_tokens=request.batch_tokens,
    )
    place = _place(request, "xnli", "nli")
    train = dev = None
    tests: dict[str, TaskSet[Any]]
    if place.is_dir():
        split, tests = _folder(place, "nli", read_nli, request)
        dev = _english(place, "nli", "dev", read_nli, request) if split == "test" else None
        if request.head is None:
            train = _training(request, place, "nli", read_nli, read_nli_hub, "en")
    else:
        names = {language: language for language in request.languages or ()}
        tests = _hub(str(place), names, read_nli_hub, request)
        dev = read_nli_hub(str(place), config="en", split="validation", on_error=request.on_error)
        if request.head is None:
            train = _training(request, place, "nli", read_nli, read_nli_hub, "en")
    data = XnliData(train, tests, dev)
    return xnli_task(data, config, preset=preset, head=request.head, keep=request.save_heads)


def xquad(request: Request) -> Task:
    """XQuAD: `--data` holds xquad.xx.json and train-en.json."""
    from otkit.data.hub import read_qa_hub
    from otkit.data.tasks import read_qa
    from otkit.evaluation.xquad import XQUAD_PRESETS, XquadData, xquad_task

    preset = request.preset or "small"
    config = XQUAD_PRESETS[preset]
    config = changed(
        config,
        train=_loop(config.train, request),
        head=_head(config.head, request),
        batch_size=request.batch_size,
        max_length=request.max_length,
        stride=request.stride,
        train_examples=request.train_examples,
        test_examples=request.test_examples,
        batch_tokens=request.batch_tokens,
    )
    place = _place(request, "xquad", "qa")
    train = None
    if place.is_dir():
        _, tests = _folder(place, "qa", read_qa, request)
    else:
        names = {language: f"xquad.{language}" for language in request.languages or ()}
        tests = _hub(str(place), names, read_qa_hub, request)
    if request.head is None:
        train = _training(request, place, "qa", read_qa, read_qa_hub, None)
    return xquad_task(
        XquadData(train, tests), config, preset=preset, head=request.head, keep=request.save_heads
    )


def _loop(config: TrainingSettings, request: Request) -> TrainingSettings:
    return changed(
        config,
        epochs=request.epochs,
        lr=request.lr,
        grad_accum=request.grad_accum,
        eval_every=request.eval_every,
        precision=request.precision,
    )


def _head(config: HeadConfig, request: Request) -> HeadConfig:
    return changed(config, frozen=request.frozen, pooling=request.head_pooling)


def _place(request: Request, name: str, sample: str) -> Path:
    """The folder (or Hub name) of a task: `--data`, its part of that name, or the sample data."""
    from otkit.resources import sample_data

    if request.data is None:
        return sample_data() / sample
    place = Path(request.data)
    return place / name if (place / name).is_dir() else place


def _folder(place: Path, task: str, read: Reader, request: Request) -> tuple[str, dict[str, TaskSet[Any]]]:
    """(split, the sets by language): the test files where the folder has some, else its dev files."""
    from otkit.data.folders import language_file, languages_in

    tested = languages_in(place, task=task, split="test")
    dev = languages_in(place, task=task, split="dev")
    split = "test" if tested and not dev else "dev"
    if tested and dev:
        # A bare name (de.tsv) serves as any split; only a name that says "test" makes one.
        both = [language for language in tested if language in dev]
        same = all(
            language_file(place, language, task=task, split="test")
            == language_file(place, language, task=task, split="dev")
            for language in both
        )
        split = "dev" if both and same else "test"
    there = languages_in(place, task=task, split=split)
    chosen = request.languages or there
    if not request.strict:
        chosen = tuple(language for language in chosen if language in there)
    sets = {
        language: read(language_file(place, language, task=task, split=split), on_error=request.on_error)
        for language in chosen
    }
    check_languages(sets, request)
    return split, sets


def _english(place: Path, task: str, split: str, read: Reader, request: Request) -> TaskSet[Any] | None:
    from otkit.data.folders import language_file, languages_in

    if "en" not in languages_in(place, task=task, split=split):
        return None
    found: TaskSet[Any] = read(language_file(place, "en", task=task, split=split), on_error=request.on_error)
    return found if found.labelled else None


def _hub(name: str, configs: dict[str, str], read: Reader, request: Request) -> dict[str, TaskSet[Any]]:
    if not configs:
        raise ConfigError(
            f"{name!r} is no folder, and for a Hub name the languages are needed",
            remedy="give an existing folder, or --languages en,de,...",
            setting="data",
        )
    split = "test" if "xnli" in name else "validation"
    return {
        language: read(name, config=config, split=split, on_error=request.on_error)
        for language, config in configs.items()
    }


def _training_file(place: Path, task: str) -> Path:
    """`train-en`, `train-v1.1` or `multinli.train.en`; else whatever English file the folder has."""
    from otkit.data.folders import language_file

    for pattern in ("train-en.*", "train*.json*", "*.train.en.tsv*"):
        found = sorted(place.glob(pattern))
        if found:
            return found[0]
    return language_file(place, "en", task=task, split="train")


def _training(
    request: Request, place: Path, task: str, read: Reader, read_hub: Reader, config: str | None
) -> TaskSet[Any]:
    """English training examples: `--train` as a file or a Hub name, else the training file of the folder."""
    found: TaskSet[Any]
    if request.train is None and place.is_dir():
        found = read(_training_file(place, task), on_error=request.on_error)
    elif request.train is None:
        found = read_hub(str(place), config=config, split="train", on_error=request.on_error)
    elif Path(request.train).is_file():
        found = read(request.train, on_error=request.on_error)
    else:
        found = read_hub(request.train, split="train", on_error=request.on_error)
    return found
