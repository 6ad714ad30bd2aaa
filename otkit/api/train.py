"""Fine-tune an encoder: files in, the folder of an aligned encoder out, and what changed on held-out text.

`otkit align` does this on the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otkit.api.figures import Figures, draw_curve
from otkit.data.batching import mix_languages
from otkit.data.gold import GoldSet, read_gold
from otkit.data.parallel import open_corpus
from otkit.data.views import CorpusView, PairCorpus, english_last, hold_out
from otkit.encoders.open import open_encoder
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, OtkitError
from otkit.files import hold
from otkit.resources import sample_data
from otkit.training.card import FIGURES
from otkit.training.forecast import Forecast, forecast
from otkit.training.processes import check_trained_in, is_main_process, launched_processes, local_device
from otkit.training.protocols import Observer
from otkit.training.recipe import Recipe
from otkit.training.records import Record
from otkit.training.run import align_encoder, check_output
from otkit.training.static import StaticVectors
from otkit.training.supervision import GivenLinks, Teacher, gold_corpus, read_links

if TYPE_CHECKING:
    from otkit.reports.tables import Table

__all__ = ["File", "Progress", "TrainingRun", "forecast_training", "train"]

File = str | Path | tuple[str | Path, str | Path]
"""Parallel text: a file of any form, or two that are aligned line by line."""


@dataclass(frozen=True)
class Progress:
    """What a run does at the moment; as a text it is one line.

    what    "align", the run's own steps; work beside them, such as "reading links"; or "note"
    done    of `total` (None: unknown), in steps of the run or parts of the work
    record  the record of the history that was written, with losses or figures
    note    what a person should know
    """

    what: str
    done: int = 0
    total: int | None = None
    record: Record | None = None
    note: str = ""

    def __str__(self) -> str:
        if self.what == "note":
            return self.note
        figures = {
            name: value
            for name, value in (self.record or {}).items()
            if isinstance(value, float) and "/" not in name  # a language's own
        }
        shown = "".join(f"  {name} {value:.4g}" for name, value in figures.items())
        return f"{self.what} {self.done}{'' if self.total is None else f'/{self.total}'}{shown}"

    def tell(self, observer: Observer) -> None:
        """Pass it on to the method of an observer that it belongs to."""
        if self.what == "note":
            observer.note(self.note)
        elif self.record is not None:
            observer.record(self.record, step=self.done, steps=self.total or 0)
        else:
            observer.progress(self.what, self.done, self.total)


@dataclass(frozen=True)
class TrainingRun:
    """How a run went.

    folder       where the aligned encoder is, with its card, `recipe.toml`, `otkit.json` and history
    recipe       the settings as they were asked for, resolved for the encoder
    step, steps  done, and asked for; `interrupted` where it was stopped between them, to be resumed
    seconds      of training, without evaluations
    history      one record a step (or so) and one an evaluation, as in history.jsonl
    best         the evaluation with the best figure of `select`
    metadata     what otkit.json records
    main         True in the one process of several that writes
    trained      False where the run had ended before, so that `resume` had nothing left to do
    no_curve     why no curve was drawn, where none was
    """

    folder: Path
    recipe: Recipe
    step: int
    steps: int
    interrupted: bool
    seconds: float
    history: tuple[Record, ...]
    best: Record | None
    metadata: Mapping[str, Any] = field(repr=False)
    main: bool = True
    trained: bool = True
    no_curve: str | None = None

    @property
    def before(self) -> Record:
        """The figures on held-out text and gold links before the first step."""
        return next(record for record in self.history if "divergence" in record)

    @property
    def after(self) -> Record:
        """The same at the end."""
        return next(record for record in reversed(self.history) if "divergence" in record)

    def table(self) -> Table:
        """The figures before and after."""
        from otkit.reports.tables import before_after

        rows: list[Any] = [
            (title, self.before[name], self.after[name], better)
            for name, (title, better) in FIGURES.items()
            if name in self.before and name in self.after
        ]
        return before_after(f"before and after: {self.folder}", rows)


def train(
    encoder: str | Path | TorchEncoder | None = None,
    files: Sequence[File] = (),
    *,
    output: str | Path,
    recipe: Recipe | str | Path | None = None,
    dev: Sequence[str | Path] = (),
    links: Sequence[str | Path] = (),
    gold: Sequence[str | Path] = (),
    teacher: str | Path | TorchEncoder | None = None,
    static_vectors: Sequence[str | Path] = (),
    langs: str | None = None,
    input_format: str = "auto",
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    log_to: Sequence[str] = (),
    on_progress: Callable[[Progress], object] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    **changes: Mapping[str, Any],
) -> TrainingRun:
    """Fine-tune an encoder on parallel text so that translated sentences agree word by word.

    >>> import otkit
    >>> run = otkit.train(
    ...     "sample", ["sample_data/parallel/de-en.train.tsv"], recipe="sample",
    ...     training={"steps": 2}, batching={"batch_size": 4}, output="runs/two-steps",
    ... )
    >>> run.step, run.recipe.training.lr
    (2, 0.0001)
    >>> otkit.Recipe.read("runs/two-steps").training.steps
    2

    encoder       a Hub name, a folder, a .gguf file, or an open encoder, which is changed in place; None or "sample"
                  is the sample encoder
    files         parallel text, one entry a language pair; without any the sample data, or the text of gold `links`
    output        the folder to write: new, empty, or (with `resume` or `overwrite`) that of an earlier run
    recipe        a `Recipe`, the name of one, a TOML file, or a folder that was trained; by default `paper`, for the
                  sample data `sample`. `changes` are tables with keys of it: `objective={"tau": None}`
    dev           held-out parallel text; by default 5 percent of each file, at most 200 pairs, and 1,000 of all
    links         word links of each file, in order: Pharaoh, or gold TSV
    gold          gold word links (TSV) whose AER is measured before, after and at evaluations
    teacher       the encoder that `ot-distill` learns from; by default the start
    static_vectors  files of word vectors (fastText's `.vec`, `cc.de.300.vec.gz`) that `static-anchor` holds on to
    langs         languages such as "de-en", where a file's name does not say
    log_to        trackers: tensorboard, wandb, mlflow ...
    on_progress   is called with a `Progress` now and then
    should_stop   is asked after every step; True saves a checkpoint and ends the run, which `resume` goes on with

    ConfigError: a setting is impossible, or two do not go together. InputError: a line cannot be used (unless
    `batching={"on_error": "skip"}`). TrainingError: a loss is not finite, or a resumed run is another one.
    OutputError: the folder holds what otkit did not make.
    """
    watch = _Told(on_progress)
    folder, main = Path(output), is_main_process()
    asked = _recipe(recipe, bool(files or links), links=links, changes=changes)
    _check_teacher(teacher, asked)
    _check_static(static_vectors, asked)
    _check_links(links, bool(files), asked)
    inputs = [*_paths(files), *dev, *links, *gold, *static_vectors, _path(encoder), _path(teacher)]
    check_output(folder, inputs=inputs, resume=resume, overwrite=overwrite)
    with hold(folder) if main else nullcontext():
        task = _open(
            encoder, files, asked, dev, links, teacher, static_vectors, langs, input_format, device, watch
        )
        figures = Figures(
            task.encoder, task.dev, _gold(gold, files, links, task.recipe, watch), task.recipe, watch.progress
        )
        result = align_encoder(
            task.encoder,
            task.corpora,
            task.dev,
            task.recipe,
            folder=folder,
            observer=watch,
            resume=resume,
            figures=figures,
            should_stop=should_stop,
            links=task.links,
            teacher=task.teacher,
            static=task.static,
            log_to=log_to,
            inputs=inputs,
            overwrite=overwrite,
            main=main,
        )
        run = TrainingRun(
            folder,
            task.recipe,
            result.step,
            result.steps,
            result.interrupted,
            result.seconds,
            result.history,
            result.best,
            result.metadata,
            result.main,
            result.trained,
        )
        if not result.trained and gold and "aer" not in run.after:
            watch.note(
                "the run ended without gold links, and so these are not measured: see evaluate word-alignment"
            )
        # A run that was killed behind its last step has an encoder, and no curve yet.
        drawn = not result.trained and (folder / "curve.png").is_file()
        if result.interrupted or not result.main or drawn:
            return run
        return replace(run, no_curve=draw_curve(run.history, run.folder, run.recipe.objective.losses))


def forecast_training(
    encoder: str | Path | TorchEncoder | None = None,
    files: Sequence[File] = (),
    *,
    recipe: Recipe | str | Path | None = None,
    dev: Sequence[str | Path] = (),
    links: Sequence[str | Path] = (),
    gold: Sequence[str | Path] = (),
    teacher: str | Path | TorchEncoder | None = None,
    static_vectors: Sequence[str | Path] = (),
    langs: str | None = None,
    input_format: str = "auto",
    device: str = "auto",
    output: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    on_progress: Callable[[Progress], object] = lambda progress: None,
    **changes: Mapping[str, Any],
) -> tuple[Forecast, Recipe]:
    """What the same call of `train` would do: its steps, time and memory, from a few that are tried; nothing is
    written. The recipe is resolved for the encoder.

    Gold that cannot be read is refused as there; an `output` that the run would not touch is told of (None: no output
    is meant)."""
    watch = _Told(on_progress)
    asked = _recipe(recipe, bool(files or links), links=links, changes=changes)
    _check_teacher(teacher, asked)
    _check_static(static_vectors, asked)
    _check_links(links, bool(files), asked)
    if output is not None:
        inputs = [*_paths(files), *dev, *links, *gold, *static_vectors, _path(encoder), _path(teacher)]
        try:
            check_output(Path(output), inputs=inputs, resume=resume, overwrite=overwrite)
        except OtkitError as error:  # no reason to keep the figures back
            watch.note(f"the run would not begin: {error}")
    _gold(gold, files, links, asked, watch)
    task = _open(
        encoder, files, asked, dev, links, teacher, static_vectors, langs, input_format, device, watch
    )
    plan = forecast(
        task.encoder,
        task.corpora,
        task.recipe,
        links=task.links,
        teacher=task.teacher,
        static=task.static,
        processes=launched_processes(),
        observer=watch,
    )
    return plan, task.recipe


@dataclass(frozen=True)
class _Told:
    """The observer that whoever called hears of."""

    hear: Callable[[Progress], object]

    def record(self, record: Record, *, step: int, steps: int) -> None:
        self.hear(Progress("align", step, steps, record))

    def note(self, message: str) -> None:
        self.hear(Progress("note", note=message))

    def progress(self, what: str, done: int, total: int | None) -> None:
        self.hear(Progress(what, done, total))


@dataclass(frozen=True)
class _Task:
    """What a run works on, opened."""

    encoder: TorchEncoder
    corpora: list[PairCorpus]
    dev: list[PairCorpus]
    recipe: Recipe
    links: GivenLinks | None
    teacher: Teacher | None
    static: StaticVectors | None


def _recipe(
    recipe: Recipe | str | Path | None,
    named: bool,
    *,
    links: Sequence[str | Path],
    changes: Mapping[str, Mapping[str, Any]],
) -> Recipe:
    """The recipe that was asked for: links that are given are used, and what they rule out is not left in it."""
    if recipe is None:
        recipe = "paper" if named else "sample"
    length = changes.get("training", {})
    if length.get("epochs") is not None and length.get("steps") is not None:
        raise ConfigError(
            f"epochs {length['epochs']:g} and steps {length['steps']} are one length in two units",
            remedy="give one of them",
            setting="steps",
        )
    asked = (recipe if isinstance(recipe, Recipe) else Recipe.read(recipe)).changed(**changes)
    if links:
        if changes.get("objective", {}).get("links") == "own":
            raise ConfigError(
                "links are given, and the objective is to use the encoder's own",
                remedy="leave one of them out",
                setting="links",
            )
        asked = asked.changed(objective={"links": "given"})
    if asked.batching.mix_languages and (links or asked.objective.language_weights):
        if changes.get("batching", {}).get("mix_languages"):
            raise ConfigError(
                "a batch of all languages has no links and no weights of one",
                remedy="leave mix_languages out, or links and language weights",
                setting="mix_languages",
            )
        asked = asked.changed(batching={"mix_languages": False})
    return asked


def _check_teacher(teacher: str | Path | TorchEncoder | None, recipe: Recipe) -> None:
    if teacher is not None and "teacher" not in recipe.objective.needs:
        raise ConfigError(
            f"received {str(teacher)!r}, and no loss learns from a teacher",
            remedy="leave it out, or add the loss ot-distill",
            setting="teacher",
        )


def _check_static(files: Sequence[str | Path], recipe: Recipe) -> None:
    wanted = "static" in recipe.objective.needs
    if wanted and not files:
        raise ConfigError(
            "the loss static-anchor needs vectors of words",
            remedy="give files such as cc.de.300.vec.gz",
            setting="static_vectors",
        )
    if files and not wanted:
        raise ConfigError(
            f"received {str(files[0])!r}, and no loss holds on to static vectors",
            remedy="leave it out, or add the loss static-anchor",
            setting="static_vectors",
        )


def _check_links(links: Sequence[str | Path], text_given: bool, recipe: Recipe) -> None:
    """Links beside their text must teach something; gold links alone are read for their text as well."""
    if not links and recipe.objective.needs_given:
        raise ConfigError(
            "a loss learns from links that are given, and there are none",
            remedy="give one file of links for each of text, or another objective",
            setting="link_files",
        )
    if links and text_given and not recipe.objective.learns_links:
        raise ConfigError(
            f"received {str(links[0])!r}, and no loss learns from links",
            remedy="leave it out, or add a loss that does, such as word-alignment-supervised",
            setting="link_files",
        )


def _open(
    encoder: str | Path | TorchEncoder | None,
    files: Sequence[File],
    recipe: Recipe,
    dev: Sequence[str | Path],
    links: Sequence[str | Path],
    teacher: str | Path | TorchEncoder | None,
    static_vectors: Sequence[str | Path],
    langs: str | None,
    input_format: str,
    device: str,
    watch: Observer,
) -> _Task:
    read = partial(_read, format=input_format, langs=langs, on_error=recipe.batching.on_error, watch=watch)
    if files or not links:
        sampled = sample_data() / "parallel"
        corpora = [read(file) for file in files or sorted(sampled.glob("*.train.tsv"))]
        dev = dev or ([] if files else sorted(sampled.glob("*.dev.tsv")))
    else:
        corpora = [_gold_text(path, langs, recipe.batching.on_error, watch) for path in links]
    held_out: list[PairCorpus]
    if dev:
        held_out = [read(file) for file in dev]
    else:
        corpora, held_out = hold_out(corpora, seed=recipe.training.seed)
    device = local_device(device)
    opened = _torch(encoder, device, "be trained", "the folder it was exported from")
    check_trained_in(opened.device, recipe.training.precision)
    recipe = recipe.for_encoder(opened)
    given = _links(links, corpora, on_error=recipe.batching.on_error)
    corpora = mix_languages(corpora, recipe.batching, seed=recipe.training.seed)
    tutor = None
    if teacher is not None:
        tutor = Teacher(_torch(teacher, device, "teach", "its torch folder"), corpora)
    static = StaticVectors(static_vectors, corpora) if static_vectors else None
    return _Task(opened, corpora, held_out, recipe, given, tutor, static)


def _torch(model: str | Path | TorchEncoder | None, device: str, what: str, instead: str) -> TorchEncoder:
    encoder = (
        model
        if isinstance(model, TorchEncoder)
        else open_encoder(None if model == "sample" else model, device=device)
    )
    if not isinstance(encoder, TorchEncoder):
        raise ConfigError(f"an ONNX encoder cannot {what}", where=str(model), remedy=f"name {instead}")
    return encoder


def _read(file: File, *, format: str, langs: str | None, on_error: str, watch: Observer) -> PairCorpus:
    """Parallel text with English as its target."""
    path, target = file if isinstance(file, tuple) else (file, None)
    corpus = open_corpus(
        str(path),
        target=None if target is None else str(target),
        format=format,
        langs=langs,
        on_error=on_error,
    )
    _tell(corpus, watch)
    return english_last(corpus)


def _gold_text(path: str | Path, langs: str | None, on_error: str, watch: Observer) -> PairCorpus:
    corpus = gold_corpus(Path(path), langs=langs, on_error=on_error)
    _tell(corpus, watch)
    return english_last(corpus)


def _tell(corpus: Any, watch: Observer) -> None:
    """Say how a corpus was read: its format, what was skipped, and words that other programs count otherwise."""
    for text in (*corpus.notes, *corpus.spaces.notes(corpus.name, cut=False)):
        watch.note(text)


def _links(files: Sequence[str | Path], corpora: Sequence[PairCorpus], *, on_error: str) -> GivenLinks | None:
    """Links of each corpus, their sides exchanged where the corpus's are."""
    if not files:
        return None
    if len(files) != len(corpora):
        raise ConfigError(
            f"{len(files)} files of links for {len(corpora)} of text",
            remedy="give one a file of text, in order",
        )
    return GivenLinks(
        corpora,
        [
            read_links(Path(file), swap=isinstance(corpus, CorpusView) and corpus.swapped, on_error=on_error)
            for file, corpus in zip(files, corpora, strict=True)
        ],
    )


def _gold(
    gold: Sequence[str | Path],
    files: Sequence[File],
    links: Sequence[str | Path],
    recipe: Recipe,
    watch: Observer,
) -> list[GoldSet]:
    """Gold links to measure on: those of the package beside the sample data."""
    paths = list(map(Path, gold))
    if not (gold or files or links):
        paths = sorted((sample_data() / "gold").glob("*.dev.tsv"))
    sets = [read_gold(path, format="tsv", on_error=recipe.batching.on_error) for path in paths]
    for each in sets if gold else ():
        _tell(each, watch)
    return sets


def _paths(files: Sequence[File]) -> list[str | Path]:
    return [part for file in files for part in (file if isinstance(file, tuple) else (file,))]


def _path(model: str | Path | TorchEncoder | None) -> str | Path | None:
    return None if isinstance(model, TorchEncoder) else model
