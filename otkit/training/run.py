"""A whole alignment run: corpora and an encoder in, a tuned encoder's folder out."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from otkit import __version__
from otkit.alignment.layer_choice import CHOICE, choose_layer
from otkit.data.batching import PairSource, padding_share, pairs_per_epoch
from otkit.data.views import MixedCorpus, PairCorpus, files_of
from otkit.encoders.device import autocast
from otkit.encoders.encoder import SETTINGS_FILE, read_json, resolve_layers
from otkit.encoders.open import open_encoder
from otkit.encoders.pooling import Encoded
from otkit.encoders.tokens import Tokens
from otkit.encoders.torch import TorchEncoder
from otkit.errors import InputError, TrainingError
from otkit.files import MARKER, check_growing, differences, grow_folder, replace_file, to_json, versions
from otkit.recipes import RECIPE_FILE, recipe_text
from otkit.training.card import FIGURES, model_card, portable_name
from otkit.training.frozen import FrozenStart, open_start, passes_saved
from otkit.training.loop import HISTORY_FILE, TrainResult, train
from otkit.training.measures import held_out_divergence, inverse_document_frequency
from otkit.training.objectives import AlignmentModel, encode_units
from otkit.training.processes import number_of_processes
from otkit.training.protocols import Observer
from otkit.training.reading import link_reader
from otkit.training.recipe import Recipe
from otkit.training.records import Record
from otkit.training.schedule import total_steps
from otkit.training.solver import sync_free_objective
from otkit.training.static import StaticVectors, map_words
from otkit.training.supervision import GivenLinks, Teacher
from otkit.training.tuning import (
    as_saved,
    copy_layers_above,
    exchange,
    freeze,
    layers_kept,
    plain_encoder,
    prepare_encoder,
)

__all__ = [
    "align_encoder",
    "build_model",
    "check_output",
    "run_metadata",
]

# Visits of a pair in a run, past which its author may not have meant so many.
_MANY_VISITS = 100

RUN_FILE = "run.json"
"""What a run is: whoever goes on with it must be that one."""


def align_encoder(
    encoder: TorchEncoder,
    corpora: Sequence[PairCorpus],
    dev: Sequence[PairCorpus],
    settings: Recipe,
    *,
    folder: Path,
    observer: Observer,
    resume: bool = False,
    figures: Callable[[], Record] = dict,
    should_stop: Callable[[], bool] = lambda: False,
    links: GivenLinks | None = None,
    teacher: Teacher | None = None,
    static: StaticVectors | None = None,
    log_to: Sequence[str] = (),
    inputs: Iterable[str | Path | None] = (),
    overwrite: bool = False,
    main: bool = True,
) -> TrainResult:
    """Fine-tune `encoder` in place and write it to `folder`, beside its history, settings and checkpoints.

    Every evaluation measures the divergence on `dev` and adds what `figures` returns; the encoder that is
    best by the figure of `select` is kept in `folder/best`. The recipe as it was used, resolved for this encoder, is in
    `recipe.toml` and `otkit.json` of both. `links` and `teacher` are for the objectives that need
    them. Of several processes one writes, the `main` one. `folder` must be new or otkit's; with `overwrite` an
    earlier run in it goes.
    """

    def tokenised(done: int, total: int) -> None:
        observer.progress("tokenising", done, total)

    processes = number_of_processes(encoder.device)
    settings = settings.for_encoder(encoder).for_processes(processes)
    source = PairSource(corpora, encoder, settings.batching, seed=settings.training.seed, progress=tokenised)
    fingerprint = {
        "recipe": settings.tables(),
        "model": encoder.name,
        "weights": encoder.weights_sha256(),
        "data": _hashes(corpora),
        "held-out data": _hashes(dev),
        "links": links.sha256 if links is not None else None,
        "teacher": teacher.encoder.weights_sha256() if teacher is not None else None,
        "static vectors": static.sha256 if static is not None else None,
    }
    steps = total_steps(settings.training, source.micro_steps_per_epoch, processes=processes)
    if resume and (ended := _ended(folder, fingerprint, steps, settings.training.select)) is not None:
        saved = open_encoder(folder, device=str(encoder.device))
        if isinstance(saved, TorchEncoder):  # for whoever gave an open encoder, which a run changes in place
            encoder.model.load_state_dict(saved.model.state_dict(), strict=False)
            encoder.settings = saved.settings
        observer.note(f"{folder}: the run ended at its last step, {steps}; nothing is left to train")
        return replace(ended, main=main)
    _note_visits(source, steps * settings.training.grad_accum * processes, observer)
    untouched = copy_layers_above(encoder, layers_kept(encoder, settings.tuning))
    module = build_model(
        encoder,
        corpora,
        settings,
        observer=observer,
        links=links,
        teacher=teacher,
        static=static,
        processes=processes,
    )
    _note_discarded(encoder, settings, observer)
    reader = link_reader(module, corpora, settings, observer=observer)

    def evaluate() -> Record:
        # In the precision of the run: measured in fp32, a run of minutes would spend a quarter of them on it.
        with as_saved(encoder, untouched), autocast(encoder.device, settings.training.precision):
            by_language = held_out_divergence(module, dev, observer=observer)
            mean = sum(by_language.values()) / len(by_language)
            return {
                "divergence": mean,
                **{f"divergence/{name}": value for name, value in by_language.items()},
                **figures(),
            }

    used = used_settings(settings, module, source, processes=processes)
    remembered = {RECIPE_FILE: recipe_text(used.tables(), source=_origin(settings))}
    metadata = run_metadata(encoder, corpora, used, links=links, teacher=teacher, static=static)
    metadata["processes"] = processes
    if main:
        _begin(folder, fingerprint, resume=resume, overwrite=overwrite, inputs=inputs)

    def save(write: Callable[[TorchEncoder, dict[str, Any]], None]) -> None:
        plain = plain_encoder(encoder, settings.tuning)
        with as_saved(plain, untouched):
            write(plain, _measured_layer(plain, observer) if settings.alignment.layers == "auto" else {})

    def keep_best(found: Record) -> None:
        noted = {**metadata, "best": found}
        save(
            lambda best, chosen: best.save(folder / "best", noted | chosen, texts=remembered, overwrite=True)
        )

    result = train(
        module,
        source,
        settings.training,
        folder=folder,
        fingerprint=fingerprint,
        observer=observer,
        resume=resume,
        evaluate=evaluate if dev else None,
        best_by=settings.training.select,
        better=FIGURES[settings.training.select][1],
        keep_best=keep_best,
        should_stop=should_stop,
        log_to=log_to,
        gathers="sentences" in settings.objective.needs,
        links=reader,
    )
    encoder.eval()
    if result.main and not result.interrupted:
        metadata |= {"steps": result.step, "seconds": result.seconds}

        def keep_last(last: TorchEncoder, chosen: dict[str, Any]) -> None:
            # The card goes with the weights: a run that is killed behind them has nothing left to do.
            card = {"README.md": model_card(encoder, used, metadata, result.history)}
            metadata.update(chosen)
            _save_beside_history(last, folder, metadata, remembered | card)

        save(keep_last)
    exchange(encoder, untouched)
    result = replace(result, metadata=metadata)
    if not result.main:
        return result
    if source.too_long:
        observer.note(
            f"{source.too_long} visits to sentence pairs that are too long for the encoder were skipped"
        )
    if result.best is not None and result.best["step"] == 0 and settings.training.eval_every is not None:
        observer.note(f"by {settings.training.select} the start is the best: there is no folder `best`")
    observer.note(f"padding: {padding_share(source):.1%} of the subwords")
    return result


def _measured_layer(encoder: TorchEncoder, observer: Observer) -> dict[str, Any]:
    """Give the encoder the layer that the recipe's `auto` finds in it now; what otkit.json says of the choice."""
    encoder.eval()
    choice = choose_layer(encoder)
    observer.note(f"words are aligned at hidden state {choice.layer}, {choice.reason}")
    encoder.settings = replace(encoder.settings, alignment_layers=(choice.layer,))
    return {CHOICE: asdict(choice)}


def build_model(
    encoder: TorchEncoder,
    corpora: Sequence[PairCorpus],
    settings: Recipe,
    *,
    observer: Observer | None,
    links: GivenLinks | None = None,
    teacher: Teacher | None = None,
    static: StaticVectors | None = None,
    processes: int = 1,
) -> AlignmentModel:
    """The module that a run trains: the encoder set up for it, its objectives, and what these need."""
    objective = sync_free_objective(settings.objective, encoder, corpora)
    start = None
    # Where no other teacher is named, the frozen start is it.
    if "start" in objective.needs or ("teacher" in objective.needs and teacher is None):
        start = frozen_start(encoder, corpora, replace(settings, objective=objective), processes=processes)
        if observer is not None:
            observer.note(f"frozen start: {start.description}")
    rarity = None
    if objective.weights == "idf":
        rarity = inverse_document_frequency(encoder, corpora, observer=observer).to(encoder.device)
    mapped = None
    if static is not None:
        mapped = map_words(
            static, encoder, files_of(corpora), lambda which, tokens: encode_units(which, tokens, objective)
        )
        if observer is not None:
            observer.note(f"static vectors: {len(static):,} of the text's words have one")
    prepare_encoder(encoder, settings.tuning, seed=settings.training.seed)
    return AlignmentModel(
        encoder,
        objective,
        start=start,
        inverse_document_frequency=rarity,
        links=links,
        teacher=teacher,
        static=mapped,
        alignment=settings.alignment,
        seed=settings.training.seed,
    )


def frozen_start(
    encoder: TorchEncoder, corpora: Sequence[PairCorpus], settings: Recipe, *, processes: int
) -> FrozenStart:
    """The start that the run's parts hold on to, before anything of the encoder is changed."""
    objective, tuning = settings.objective, settings.tuning

    def encode(which: TorchEncoder, tokens: Tokens) -> Encoded:
        return encode_units(which, tokens, objective)

    quota = pairs_per_epoch(corpora, settings.batching)
    per_epoch = math.ceil(quota / settings.batching.batch_size)
    # Each process caches what it visits itself: a part of every epoch.
    steps = total_steps(settings.training, per_epoch, processes=processes)
    epochs = steps * settings.training.grad_accum * processes / per_epoch
    freeze(encoder, tuning.frozen, above=tuning.freeze_above)
    return open_start(
        encoder,
        encode,
        corpora,
        saved=passes_saved(corpora, epochs=epochs, quota=math.ceil(quota / processes)),
        layers=objective.compared,
        changing=lambda weight: weight.requires_grad and tuning.lora_rank is None,
        compiled=tuning.compile,
    )


def used_settings(settings: Recipe, module: AlignmentModel, source: PairSource, *, processes: int) -> Recipe:
    """The settings with what follows from the encoder, the text and the device filled in: what is recorded."""
    mixed = next((corpus for corpus in source.corpora if isinstance(corpus, MixedCorpus)), None)
    return replace(
        settings,
        objective=replace(
            module.config, layers=resolve_layers(module.config.compared, module.encoder.layers)
        ),
        batching=replace(
            settings.batching,
            pairs_per_language=source.quota if mixed is None else mixed.quota,
            mix_languages=mixed is not None,
            batch_tokens=settings.batching.budget,
        ),
        training=replace(
            settings.training,
            steps=total_steps(settings.training, source.micro_steps_per_epoch, processes=processes),
        ),
    )


def _origin(recipe: Recipe) -> str:
    """The first comment of the recipe that a run writes."""
    come = f", from the recipe {recipe.name}: {recipe.source}" if recipe.name else ""
    return f"The settings of a run of otkit {__version__}, as they were used{come}"


def _note_visits(source: PairSource, micro_steps: int, observer: Observer) -> None:
    """Say where a run goes through a small file so often that it was hardly meant: epochs count a quota of pairs."""
    files = files_of(source.corpora)
    drawn = micro_steps * source.config.batch_size * len(source.corpora) / len(files)
    for corpus in files:
        if drawn > _MANY_VISITS * len(corpus):
            observer.note(
                f"{corpus.name}: each of its {len(corpus):,} pairs comes about {drawn / len(corpus):,.0f} times;"
                " `steps` or `pairs_per_language` makes the run shorter"
            )


def _note_discarded(encoder: TorchEncoder, settings: Recipe, observer: Observer) -> None:
    """Say where the layers compared learn in the run and are not saved as they learnt."""
    above, objective = layers_kept(encoder, settings.tuning), settings.objective
    top = max(resolve_layers(objective.compared, encoder.layers))
    if above is not None and above < top and any(objective.of_layers(name) for name, _ in objective.losses):
        observer.note(
            f"words are compared at layer {top}, but what is learnt above layer {above} is discarded: divergence and"
            f" links there are those of other layers; layer {above} or {encoder.layers - top} head layers would agree"
        )


def _hashes(corpora: Sequence[PairCorpus]) -> dict[str, tuple[str, int]]:
    """What must not change of the text between a run and its resumption."""
    return {corpus.name: (corpus.sha256, len(corpus)) for corpus in corpora}


def _save_beside_history(
    encoder: TorchEncoder, folder: Path, metadata: dict[str, Any], texts: Mapping[str, str]
) -> None:
    """Save the encoder into a folder that holds other files of the run, which must stay.

    config.json moves last: without it nothing takes the folder for an encoder.
    """
    whole = folder / ".encoder"
    encoder.save(whole, metadata, texts=texts, overwrite=True)
    (whole / MARKER).unlink()  # the run's own stays
    for path in sorted(whole.iterdir(), key=lambda path: path.name == "config.json"):
        if path.is_dir():  # that of an earlier try stands in the way
            shutil.rmtree(folder / path.name, ignore_errors=True)
        path.replace(folder / path.name)
    whole.rmdir()


def run_metadata(
    encoder: TorchEncoder,
    corpora: Sequence[PairCorpus],
    settings: Recipe,
    *,
    links: GivenLinks | None = None,
    teacher: Teacher | None = None,
    static: StaticVectors | None = None,
) -> dict[str, Any]:
    """What otkit.json remembers of a run: settings as they were used, versions, data hashes, seeds."""
    return {
        "start": encoder.name,
        "hub_name": encoder.hub_name,
        "recipe": json.loads(to_json(settings.tables())),
        "versions": versions(),
        "data": [
            {
                "name": portable_name(corpus.name),
                "languages": list(corpus.languages),
                "pairs": len(corpus),
                "skipped": corpus.skipped,
                "sha256": corpus.sha256,
            }
            for corpus in files_of(corpora)
        ],
        "links": None if links is None else links.sha256,
        "teacher": None if teacher is None else teacher.encoder.name,
        "static_vectors": None if static is None else {"files": list(static.names), "sha256": static.sha256},
        "seed": settings.training.seed,
    }


def check_output(
    folder: Path, *, inputs: Iterable[str | Path | None] = (), resume: bool = False, overwrite: bool = False
) -> None:
    """Refuse, before anything is computed, a folder with an earlier run or with files that otkit did not make."""
    if not (resume or overwrite) and (folder / HISTORY_FILE).exists():
        raise InputError(
            "the folder holds an earlier run",
            where=str(folder),
            remedy="choose a new output, go on with `resume=True`, or start over with `overwrite=True`",
        )
    check_growing(folder, "run", inputs=inputs, overwrite=overwrite)


def _ended(folder: Path, fingerprint: Mapping[str, Any], steps: int, select: str) -> TrainResult | None:
    """How a run of this fingerprint ended in the folder; None where it did not, or another one did.

    A short run leaves no checkpoint at its end, only its encoder: without this it would be trained once more.
    """
    names = (RUN_FILE, HISTORY_FILE, SETTINGS_FILE, "config.json")
    if not all((folder / name).is_file() for name in names) or not any(folder.glob("*.safetensors")):
        return None
    stated = read_json(folder / SETTINGS_FILE)
    if read_json(folder / RUN_FILE) != json.loads(to_json(fingerprint)) or stated.get("steps") != steps:
        return None
    history = tuple(json.loads(line) for line in (folder / HISTORY_FILE).read_text("utf-8").splitlines())
    measured = [record for record in history if record.get(select) is not None]
    first = {"lower": min, "higher": max}[FIGURES[select][1]]
    best = first(measured, key=lambda record: float(record[select])) if measured else None
    # As the run gave it back: what `settings_document` adds is of the encoder.
    metadata = {name: value for name, value in stated.items() if name not in ("name", "encoder")}
    return TrainResult(
        steps, steps, False, float(stated["seconds"]), history, best, trained=False, metadata=metadata
    )


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
    noted = place / RUN_FILE
    if resume and noted.is_file():
        changed = differences(read_json(noted), json.loads(to_json(fingerprint)))
        if changed:
            raise TrainingError(
                f"the run was started otherwise: {changed}",
                where=str(folder),
                remedy="resume with the settings and data of the start, or choose a new output",
            )
    replace_file(noted, to_json(fingerprint))
