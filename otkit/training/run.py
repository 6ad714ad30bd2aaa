"""A whole alignment run: corpora and an encoder in, a tuned encoder's folder out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from otkit import __version__
from otkit.data.batching import BatchingConfig, PairSource, padding_share
from otkit.data.views import PairCorpus, files_of
from otkit.encoders.encoder import Encoded, Tokens, TorchEncoder, resolve_layers
from otkit.encoders.identity import weights_sha256
from otkit.encoders.settings import read_json
from otkit.errors import InputError, TrainingError
from otkit.files import MARKER, check_growing, differences, grow_folder, replace_file, to_json
from otkit.provenance import versions
from otkit.training.frozen import open_start
from otkit.training.layers import as_saved, copy_layers_above, exchange
from otkit.training.loop import Record, TrainConfig, TrainResult, train
from otkit.training.measures import held_out_divergence, inverse_document_frequency
from otkit.training.objectives import (
    AlignmentModel,
    ObjectiveConfig,
    encode_units,
)
from otkit.training.protocols import Observer
from otkit.training.reading import LinkReader
from otkit.training.solver import without_waiting
from otkit.training.supervision import GivenLinks, Teacher
from otkit.training.tuning import TuningConfig, plain_encoder, prepare_encoder

__all__ = [
    "AlignSettings",
    "align_encoder",
    "build_model",
    "check_output",
    "run_metadata",
]


@dataclass(frozen=True)
class AlignSettings:
    """Everything that decides what a run computes."""

    objective: ObjectiveConfig
    batching: BatchingConfig
    train: TrainConfig
    tuning: TuningConfig = field(default_factory=TuningConfig)


def align_encoder(
    encoder: TorchEncoder,
    corpora: Sequence[PairCorpus],
    dev: Sequence[PairCorpus],
    settings: AlignSettings,
    *,
    folder: Path,
    observer: Observer,
    resume: bool = False,
    figures: Callable[[], Record] = dict,
    should_stop: Callable[[], bool] = lambda: False,
    links: GivenLinks | None = None,
    teacher: Teacher | None = None,
    log_to: Sequence[str] = (),
    inputs: Iterable[str | Path | None] = (),
    overwrite: bool = False,
    main: bool = True,
) -> TrainResult:
    """Fine-tune `encoder` in place and write it to `folder`, beside its history, settings and checkpoints.

    Every evaluation measures the divergence on `dev` and adds what `figures` returns; the encoder that is
    best by the divergence is kept in `folder/best`. `links` and `teacher` are for the objectives that need
    them. Of several processes one writes, the `main` one. `folder` must be new or otkit's; with `overwrite` an
    earlier run in it goes.
    """
    source = PairSource(corpora, encoder, settings.batching)
    weights = weights_sha256(encoder)
    untouched = copy_layers_above(encoder, settings.tuning.discarded_above)
    module = build_model(encoder, corpora, settings, observer=observer, links=links, teacher=teacher)
    _note_discarded(encoder, settings, observer)
    reader = None
    if settings.objective.reads_links:
        reader = LinkReader(module, PairSource(corpora, encoder, settings.batching), settings.train.precision)

    def evaluate() -> Record:
        with as_saved(encoder, untouched):
            by_language = held_out_divergence(module, dev)
            mean = sum(by_language.values()) / len(by_language)
            return {
                "divergence": mean,
                **{f"divergence/{name}": value for name, value in by_language.items()},
                **figures(),
            }

    fingerprint = {
        "settings": asdict(settings),
        "model": encoder.name,
        "weights": weights,
        "data": _hashes(corpora),
        "held-out data": _hashes(dev),
        "links": links.sha256 if links is not None else None,
        "teacher": weights_sha256(teacher.encoder) if teacher is not None else None,
    }
    metadata = run_metadata(encoder, corpora, settings)
    if main:
        _begin(folder, fingerprint, resume=resume, overwrite=overwrite, inputs=inputs)

    def save(write: Callable[[TorchEncoder], None]) -> None:
        plain = plain_encoder(encoder, settings.tuning)
        with as_saved(plain, untouched):
            write(plain)

    def keep_best(found: Record) -> None:
        save(lambda best: best.save(folder / "best", {**metadata, "best": found}, overwrite=True))

    result = train(
        module,
        source,
        settings.train,
        folder=folder,
        fingerprint=fingerprint,
        observer=observer,
        resume=resume,
        evaluate=evaluate if dev else None,
        keep_best=lambda found: save(
            lambda best: best.save(folder / "best", {**metadata, "best": found}, overwrite=True)
        ),
        should_stop=should_stop,
        log_to=log_to,
        gathers="sentences" in settings.objective.needs,
        memory=reader,
    )
    encoder.eval()
    if result.main and not result.interrupted:
        ending = {**metadata, "steps": result.step, "seconds": result.seconds}
        save(lambda last: _save_beside_history(last, folder, ending))
        replace_file(folder / "README.md", _model_card(encoder, corpora, settings, result))
    exchange(encoder, untouched)
    if not result.main:
        return result
    if source.too_long:
        observer.note(
            f"{source.too_long} visits to sentence pairs that are too long for the encoder were skipped"
        )
    observer.note(f"padding: {padding_share(source):.1%} of the subwords")
    return result


def build_model(
    encoder: TorchEncoder,
    corpora: Sequence[PairCorpus],
    settings: AlignSettings,
    *,
    observer: Observer,
    links: GivenLinks | None = None,
    teacher: Teacher | None = None,
) -> AlignmentModel:
    """The module that a run trains: the encoder set up for it, its objectives, and what these need."""
    objective = without_waiting(settings.objective, encoder, corpora)

    def encode(which: TorchEncoder, tokens: Tokens) -> Encoded:
        return encode_units(which, tokens, objective)

    start = None
    # Where no other teacher is named, the frozen start is it.
    if "start" in objective.needs or ("teacher" in objective.needs and teacher is None):
        quota = settings.batching.pairs_per_language or max(len(corpus) for corpus in corpora)
        visits = quota * settings.train.epochs / min(len(corpus) for corpus in corpora)
        start = open_start(encoder, encode, corpora, passes=visits, compiled=settings.tuning.compile)
        observer.note(f"frozen start: a {start.kind} of {start.bytes / 2**20:.0f} MiB")
    rarity = (
        inverse_document_frequency(encoder, corpora).to(encoder.device)
        if objective.weights == "idf"
        else None
    )
    prepare_encoder(encoder, settings.tuning, seed=settings.train.seed)
    return AlignmentModel(
        encoder,
        objective,
        start=start,
        inverse_document_frequency=rarity,
        links=links,
        teacher=teacher,
        seed=settings.train.seed,
    )


def _note_discarded(encoder: TorchEncoder, settings: AlignSettings, observer: Observer) -> None:
    """Say where the layers compared learn in the run and are not saved as they learnt."""
    above, objective = settings.tuning.discarded_above, settings.objective
    top = max(resolve_layers(objective.layers, encoder.layers))
    if above is not None and above < top and any(objective.of_layers(name) for name, _ in objective.parts):
        observer.note(
            f"words are compared at layer {top}, but what is learnt above layer {above} is discarded: divergence and"
            f" links there are those of other layers; --layer {above} or --discard-above {top} would agree"
        )


def _hashes(corpora: Sequence[PairCorpus]) -> dict[str, tuple[str, int]]:
    """What must not change of the text between a run and its resumption."""
    return {corpus.name: (corpus.sha256, len(corpus)) for corpus in corpora}


def _save_beside_history(encoder: TorchEncoder, folder: Path, metadata: dict[str, Any]) -> None:
    """Save the encoder into a folder that holds other files of the run, which must stay.

    config.json moves last: without it nothing takes the folder for an encoder.
    """
    whole = folder / ".encoder"
    encoder.save(whole, metadata, overwrite=True)
    (whole / MARKER).unlink()  # the run's own stays
    for path in sorted(whole.iterdir(), key=lambda path: path.name == "config.json"):
        path.replace(folder / path.name)
    whole.rmdir()


def run_metadata(
    encoder: TorchEncoder, corpora: Sequence[PairCorpus], settings: AlignSettings
) -> dict[str, Any]:
    """What otkit.json remembers of a run: settings, versions, data hashes, seeds."""
    return {
        "start": encoder.name,
        "settings": json.loads(to_json(asdict(settings))),
        "versions": versions(),
        "data": [
            {
                "name": corpus.name,
                "languages": list(corpus.languages),
                "pairs": len(corpus),
                "skipped": corpus.skipped,
                "sha256": corpus.sha256,
            }
            for corpus in files_of(corpora)
        ],
        "seed": settings.train.seed,
    }


def _model_card(
    encoder: TorchEncoder, corpora: Sequence[PairCorpus], settings: AlignSettings, result: TrainResult
) -> str:
    files = files_of(corpora)
    languages = sorted({language for corpus in files for language in corpus.languages})
    last = result.history[-1] if result.history else {}
    figures = "\n".join(f"| {name} | {value} |" for name, value in last.items())
    objective = ", ".join(f"{name} x {weight:g}" for name, weight in settings.objective.parts)
    epsilon = (
        f"{settings.objective.sinkhorn.temperature:g} (in units of {settings.objective.temperature_unit})"
    )
    return f"""---
library_name: transformers
tags: [word-alignment, cross-lingual, optimal-transport, otkit]
language: [{", ".join(languages)}]
base_model: {encoder.name}
---

# {encoder.name}, aligned with optimal transport

Fine-tuned by otkit {__version__} so that translated sentences have the same cloud of word vectors
(the method of [Alqahtani et al. 2021](https://arxiv.org/abs/2110.02887)).

- objective: {objective}; cost {settings.objective.cost}, epsilon {epsilon}
- data: {"; ".join(f"{corpus.name} ({len(corpus)} pairs)" for corpus in files)}
- optimiser steps: {result.step}; learning rate {settings.train.lr:g}; seed {settings.train.seed}

Everything needed to repeat the run is in `otkit.json`; every step is in `history.jsonl`.

| last record | value |
|---|---|
{figures}

```python
from transformers import AutoModel, AutoTokenizer

model = AutoModel.from_pretrained("path/to/this/folder")
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
```
"""


def check_output(
    folder: Path, *, inputs: Iterable[str | Path | None] = (), resume: bool = False, overwrite: bool = False
) -> None:
    """Refuse, before anything is computed, a folder with an earlier run or with files that otkit did not make."""
    if not (resume or overwrite) and (folder / "history.jsonl").exists():
        raise InputError(
            "the folder holds an earlier run",
            where=str(folder),
            remedy="choose a new output, go on with `resume=True`, or start over with `overwrite=True`",
        )
    check_growing(folder, "run", inputs=inputs, overwrite=overwrite)


def _begin(
    folder: Path,
    fingerprint: Mapping[str, Any],
    *,
    resume: bool,
    overwrite: bool,
    inputs: Iterable[str | Path | None],
) -> None:
    """Make the folder of a run, and note what the run is; a run that is gone on with must be that one."""
    place = grow_folder(folder, "run", inputs=inputs, overwrite=overwrite and not resume)
    noted = place / "run.json"
    if resume and noted.is_file():
        changed = differences(read_json(noted), json.loads(to_json(fingerprint)))
        if changed:
            raise TrainingError(
                f"the run was started otherwise: {changed}",
                where=str(folder),
                remedy="resume with the settings and data of the start, or choose a new output",
            )
    replace_file(noted, to_json(fingerprint))
