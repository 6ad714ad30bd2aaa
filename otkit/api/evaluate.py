"""What an encoder can do across languages, as functions: each measures one task and returns its figures.

>>> import otkit
>>> found = otkit.evaluate.word_alignment()  # the sample encoder on the sample data
>>> sorted(found.summary.rows), found.mean("aer") < 0.05
(['de', 'fr', 'zh'], True)

All take keywords of `RunOptions` beside their own, those on parallel files also of `ParallelOptions`.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

from otkit.alignment.layer_choice import layers_of
from otkit.alignment.settings import AlignmentSettings, BeadSettings, CheckSettings
from otkit.api.copies import copies_from_text
from otkit.data.examples import TaskSet
from otkit.data.gold import GoldPair
from otkit.data.halomi import read_halomi
from otkit.data.languages import languages_told, short_code
from otkit.data.parallel import silent
from otkit.data.views import english_last
from otkit.encoders.encoder import Encoder, read_json
from otkit.encoders.open import open_encoder
from otkit.errors import ConfigError, InputError, choose
from otkit.evaluation.documents import DOCUMENT_METRICS, documents_task, read_document
from otkit.evaluation.finetune import Transfer
from otkit.evaluation.inputs import (
    LINKED_PAIRS,
    FilePath,
    ParallelFile,
    Reading,
    gold_sets,
    linked_sets,
    mining_sets,
    parallel_corpora,
    xnli_data,
    xquad_data,
)
from otkit.evaluation.mining import MINING_METRICS, mining_task
from otkit.evaluation.protocol import CellStore, Metric, Progress, Task, run_cells, unwatched
from otkit.evaluation.retrieval import RETRIEVAL_METRICS, retrieval_task
from otkit.evaluation.settings import (
    XNLI_FINE_TUNING,
    XQUAD_FINE_TUNING,
    MiningSettings,
    RetrievalSettings,
    WordRetrievalSettings,
    XnliSettings,
    XquadSettings,
)
from otkit.evaluation.summary import Summary, summarise
from otkit.evaluation.translation_errors import ERROR_METRICS, translation_errors_task
from otkit.evaluation.word_alignment import (
    WORD_ALIGNMENT_METRICS,
    Trial,
    aer_by_layer,
    tune_word_alignment,
    word_alignment_task,
)
from otkit.evaluation.word_retrieval import word_retrieval_task
from otkit.evaluation.xnli import XNLI_METRICS, XnliData, xnli_task
from otkit.evaluation.xquad import XQUAD_METRICS, XquadData, xquad_task
from otkit.exports.cached import encoder_in
from otkit.projection.scores import ProjectionScores, score_files
from otkit.recipes import recipe_text, settings_of
from otkit.reports.charts import Panel
from otkit.reports.evaluation import (
    layer_table,
    score_tables,
    summary_document,
    summary_panels,
    summary_tables,
)
from otkit.reports.tables import Table
from otkit.training.recipe import Recipe
from otkit.training.settings import TransferSettings

__all__ = [
    "METRICS",
    "AlignmentSettings",
    "CheckSettings",
    "Evaluation",
    "LayerFigures",
    "MiningSettings",
    "ParallelOptions",
    "ProjectionFigures",
    "RetrievalSettings",
    "RunOptions",
    "TransferOptions",
    "TransferSettings",
    "TunedAlignment",
    "WordRetrievalSettings",
    "XnliSettings",
    "XquadSettings",
    "all_tasks",
    "documents",
    "mining",
    "projection",
    "retrieval",
    "translation_errors",
    "tune",
    "word_alignment",
    "word_alignment_by_layer",
    "word_retrieval",
    "xnli",
    "xquad",
]

EncoderLike = Encoder | FilePath | None
"""An open encoder; a Hub name, folder or file that `otkit.open_encoder` takes; None is the sample encoder."""

Data = TypeVar("Data", XnliData, XquadData)

METRICS: Mapping[str, tuple[Metric, ...]] = {
    "retrieval": RETRIEVAL_METRICS,
    "word-alignment": WORD_ALIGNMENT_METRICS,
    "word-retrieval": RETRIEVAL_METRICS,
    "mining": MINING_METRICS,
    "xnli": XNLI_METRICS,
    "xquad": XQUAD_METRICS,
    "translation-errors": ERROR_METRICS,
    "documents": DOCUMENT_METRICS,
}
"""The figures of each task."""


class RunOptions(TypedDict, total=False):
    """Keywords of every evaluation.

    baseline     the encoder to compare with; "sample" is the sample encoder. Without it nothing is compared
    languages    only these; by default all that have a file
    seen         languages of the "seen" average; by default those that the encoder's otkit.json names
    on_error     "skip" leaves out, and counts, lines that cannot be used; by default they are errors
    device       of encoders that are opened by name: "auto", "cpu", "cuda", "cuda:N" or "mps"
    precision    of the encoders: "fp32", "bf16", "fp16", or "int8", which makes a graph of each once and keeps it
                 (`otkit cache`); for tasks that train nothing. translation_errors looks at too many layers for int8
    output       a folder that keeps finished parts; with `resume` they are used, with `overwrite` those of an
                 interrupted run are thrown away. Without it nothing is kept
    on_progress  called with what is done, of how much (None: not known), and of what
    on_note      called with what a reader should know of the files, and of parts that were finished before
    """

    baseline: EncoderLike
    languages: Sequence[str] | None
    seen: Sequence[str] | None
    on_error: str
    device: str
    precision: str
    output: FilePath | None
    resume: bool
    overwrite: bool
    on_progress: Progress
    on_note: Callable[[str], None]


class ParallelOptions(RunOptions, total=False):
    """Keywords of evaluations on parallel files beside: `langs` says the two languages of a file whose name does not
    tell them ("de-en"), `format` the form of all: "auto", "tsv", "bars", "jsonl" or "files"."""

    langs: str | None
    format: str


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


@dataclass(frozen=True)
class Evaluation:
    """The figures of one task by language, their averages, and what they rest on.

    summary    rows[language][metric] and averages["seen" | "all"][metric], each with its baseline and interval
    settings   of the task, with the hashes of its data
    encoders   name and settings of "model" and "baseline"
    """

    task: str
    summary: Summary
    settings: Mapping[str, Any]
    encoders: Mapping[str, Mapping[str, Any]]

    def value(self, metric: str, language: str) -> float:
        """The figure of a language; its mean over seeds where there are several."""
        row = choose(language, self.summary.rows, what="language")
        return choose(metric, row, what="metric").mean

    def mean(self, metric: str) -> float:
        """The plain mean over all languages."""
        row = self.summary.averages.get("all") or next(iter(self.summary.rows.values()))
        return choose(metric, row, what="metric").mean

    def tables(self) -> list[Table]:
        """All figures, as `otkit evaluate` prints them."""
        return summary_tables(self.task, self.summary)

    def table(self) -> Table:
        """The first table of `tables`: the main figures."""
        return self.tables()[0]

    def panels(self, *, every: bool = False) -> list[Panel]:
        """The main metric, or every one, for `otkit.reports.charts.dot_chart`."""
        names = {role: str(found["name"]) for role, found in self.encoders.items()}
        return summary_panels(
            self.task,
            self.summary,
            model=names.get("model", "model"),
            baseline=names.get("baseline"),
            every=every,
        )

    def to_dict(self) -> dict[str, Any]:
        """All figures, settings and hashes, for JSON."""
        return {
            "task": self.task,
            "encoders": {role: dict(found) for role, found in self.encoders.items()},
            **summary_document(self.summary),
            "settings": dict(self.settings),
        }


def retrieval(
    encoder: EncoderLike = None,
    files: Sequence[ParallelFile] = (),
    *,
    settings: RetrievalSettings | None = None,
    data: FilePath | None = None,
    pooling: str | None = None,
    prompt: str | None = None,
    **how: Unpack[ParallelOptions],
) -> Evaluation:
    """Sentence retrieval: is the sentence nearest to a sentence its translation? Both directions of each file, as
    accuracy within the first 1, 5 and 10 and as mean reciprocal rank, all in [0, 1] (Artetxe and Schwenk 2019).

    `files` are parallel, one language each beside English; `data` is a folder with such files in `tatoeba/`; without
    either, the sample data. `pooling` and `prompt` (one of the encoder's by its name, or a text) are
    of the sentence vectors, where not the encoder's own.

    InputError: a file, or a line of it, cannot be used, or a language has no file.

    >>> import otkit
    >>> otkit.evaluate.retrieval(languages=["de"]).value("forward @1", "de")
    1.0
    """
    reading = _reading(how)
    corpora = parallel_corpora(files, data, reading)
    task = retrieval_task(corpora, settings or RetrievalSettings(), on_error=reading.on_error)
    layers = None if settings is None or settings.layer is None else (settings.layer,)
    return _measured(task, encoder, how, layers=layers, pooling=pooling, prompt=prompt)


def word_alignment(
    encoder: EncoderLike = None,
    gold: Sequence[FilePath] = (),
    texts: Sequence[ParallelFile] = (),
    *,
    settings: AlignmentSettings | None = None,
    base: int | None = None,
    data: FilePath | None = None,
    **how: Unpack[ParallelOptions],
) -> Evaluation:
    """The aligner's word links against gold links: alignment error rate (Och and Ney 2003), precision, recall, F1,
    exact matches, and F1 of words without a link (Arase et al. 2023), all in [0, 1].

    `gold` are files of gold links, one language each; `texts` has the text of each, in the same order, where the gold
    does not hold it. `base` is what the links count words from, seen from the file where it is None. `data` is a
    folder with gold in `word-alignment/`; without any, the sample data.

    InputError: a file, or a line of it, cannot be used, or a link lies outside its sentence.

    >>> import otkit
    >>> found = otkit.evaluate.word_alignment(languages=["de", "fr"])
    >>> found.value("aer", "de") < 0.05
    True
    """
    if texts and not gold:
        raise ConfigError(
            "the text has no gold links to compare with",
            remedy="name them: `gold='FILE'`, one for each text",
        )
    pairs, notes = _linked(gold, texts, data, _reading(how), base=base)
    task = word_alignment_task(pairs, settings or AlignmentSettings(), notes=notes)
    return _measured(task, encoder, how, layers=None if settings is None else settings.layers)


def word_retrieval(
    encoder: EncoderLike = None,
    gold: Sequence[FilePath] = (),
    texts: Sequence[ParallelFile] = (),
    *,
    settings: WordRetrievalSettings | None = None,
    base: int | None = None,
    data: FilePath | None = None,
    **how: Unpack[ParallelOptions],
) -> Evaluation:
    """Contextual word retrieval: is the word nearest to a word in context its translation? (Cao et al. 2020, section
    5.1.) Figures as in `retrieval`.

    Words and translations come from gold links, as in `word_alignment`; of `texts` alone, the sample encoder links the
    first 1024 pairs.

    InputError: a file cannot be used, or no word has exactly one link.

    >>> import otkit
    >>> otkit.evaluate.word_retrieval(languages=["de"]).value("forward @1", "de") > 0.5
    True
    """
    pairs, notes = _linked(gold, texts, data, _reading(how), base=base, alone=True)
    task = word_retrieval_task(pairs, settings or WordRetrievalSettings(), notes=notes)
    return _measured(task, encoder, how, layers=None if settings is None else settings.layers)


def mining(
    encoder: EncoderLike,
    source: FilePath,
    target: FilePath,
    gold: FilePath,
    *,
    settings: MiningSettings | None = None,
    pooling: str | None = None,
    prompt: str | None = None,
    **how: Unpack[ParallelOptions],
) -> Evaluation:
    """Bitext mining: which sentences of two collections are translations of each other? F1, precision and recall in
    [0, 1], at a threshold chosen on a part of the sources (Artetxe and Schwenk 2019, section 3).

    `source` and `target` have lines `id<TAB>sentence`, `gold` lines `id<TAB>id`, as in BUCC.

    InputError: a file, or a line of it, cannot be used, or the gold has too few pairs to choose a threshold on.

    >>> import otkit, pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> words = "house dog water school music winter bread garden".split()
    >>> for name in ("source", "target"):
    ...     lines = [f"{number}\\tthe {word} is here" for number, word in enumerate(words)]
    ...     _ = (folder / name).write_text("\\n".join(lines))
    >>> _ = (folder / "gold").write_text("\\n".join(f"{number}\\t{number}" for number in range(len(words))))
    >>> settings = otkit.evaluate.MiningSettings(dev_share=0.5)
    >>> files = [folder / name for name in ("source", "target", "gold")]
    >>> otkit.evaluate.mining(None, *files, settings=settings).mean("precision")
    1.0
    """
    task = mining_task(mining_sets(source, target, gold, _reading(how)), settings or MiningSettings())
    return _measured(task, encoder, how, pooling=pooling, prompt=prompt)


def xnli(
    encoder: EncoderLike = None,
    *,
    settings: XnliSettings | None = None,
    **how: Unpack[TransferOptions],
) -> Evaluation:
    """XNLI (Conneau et al. 2018): a classifier fine-tuned on English, scored in every language. Accuracy and macro-F1
    in [0, 1], as mean and deviation over `seeds`.

    An open encoder stays as it is: a copy is trained.

    InputError: a file cannot be used, or has no labels. ConfigError: the encoder cannot be trained.

    >>> import otkit
    >>> settings = otkit.evaluate.XnliSettings(train_examples=32, test_examples=8)
    >>> 0 <= otkit.evaluate.xnli(settings=settings, languages=["de"]).value("accuracy", "de") <= 1
    True
    """
    make = partial(xnli_task, config=settings or XnliSettings())
    return _fine_tuned(encoder, how, read=xnli_data, make=make)


def xquad(
    encoder: EncoderLike = None,
    *,
    settings: XquadSettings | None = None,
    **how: Unpack[TransferOptions],
) -> Evaluation:
    """XQuAD (Artetxe et al. 2020): a span finder fine-tuned on English SQuAD, answering in every language. F1 and exact
    match in [0, 1], as mean and deviation over `seeds`; keywords as in `xnli`.

    InputError: a file cannot be used, or has no answers. ConfigError: the encoder cannot be trained.

    >>> import otkit
    >>> settings = otkit.evaluate.XquadSettings(train_examples=16, test_examples=4, epochs=1)
    >>> 0 <= otkit.evaluate.xquad(settings=settings, languages=["de"]).value("F1", "de") <= 1
    True
    """
    make = partial(xquad_task, config=settings or XquadSettings())
    return _fine_tuned(encoder, how, read=xquad_data, make=make)


def translation_errors(
    encoder: EncoderLike,
    data: FilePath,
    *,
    settings: CheckSettings | None = None,
    pooling: str | None = None,
    prompt: str | None = None,
    **how: Unpack[RunOptions],
) -> Evaluation:
    """Hallucination and omission in machine translation: the area under the ROC curve of `otkit.check` and of plain
    baselines, in [0, 1], a row a direction (Dale et al. 2023).

    `data` is a TSV with the columns of HalOmi.

    InputError: the file, or a line of it, cannot be used.

    >>> import otkit, pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "judged.tsv"
    >>> head = "src_lang tgt_lang src_text mt_text class_hall class_omit".split()
    >>> good = ["deu_Latn", "eng_Latn", "Das Haus ist klein .", "The house is small .", "1_No", "1_No"]
    >>> bad = [*good[:3], "He plays football with my aunt .", "4_Full", "1_No"]
    >>> _ = file.write_text("\\n".join("\\t".join(row) for row in (head, good, bad)))
    >>> otkit.evaluate.translation_errors(None, file).value("hallucination check", "deu-eng")
    1.0
    """
    task = translation_errors_task(
        read_halomi(data, on_error=how.get("on_error", "raise")), settings or CheckSettings()
    )
    if how.get("precision") == "int8":
        encoder = _open_whole(encoder, how)
    return _measured(task, encoder, how, pooling=pooling, prompt=prompt)


def documents(
    encoder: EncoderLike,
    files: Sequence[tuple[FilePath, FilePath, FilePath]],
    *,
    settings: BeadSettings | None = None,
    langs: str = "xx-yy",
    **how: Unpack[RunOptions],
) -> Evaluation:
    """Sentence alignment of documents: strict and lax precision, recall and F1 of beads of sentences against those that
    people drew, in [0, 1], as Vecalign counts them (Thompson and Koehn 2019).

    `files` has for each document its source and its target, a sentence a line, and its gold beads (`[0,1]:[0]`).
    `langs` names the row, and tells a tokenizer that wants to know (NLLB, mBART) the languages.

    InputError: a file, or a line of it, cannot be used.

    >>> import otkit, pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "de").write_text("Das Haus ist klein .\\nIch trinke Tee .\\n")
    >>> _ = (folder / "en").write_text("The house is small .\\nI drink tea .\\n")
    >>> _ = (folder / "gold").write_text("[0]:[0]\\n[1]:[1]\\n")
    >>> found = otkit.evaluate.documents(None, [(folder / "de", folder / "en", folder / "gold")], langs="de-en")
    >>> found.value("strict_f1", "de-en")
    1.0
    """
    told = languages_told(langs)
    read = [
        replace(read_document(*each), languages=told or languages_told(each[0], target=each[1]))
        for each in files
    ]
    if not read:
        raise InputError("there is no document", remedy="give its two sides and its gold beads")
    return _measured(documents_task({langs: read}, settings), encoder, how)


@dataclass(frozen=True)
class ProjectionFigures:
    """How good labels or answers are that were carried over: figures in [0, 1] with their bootstrap intervals."""

    scores: ProjectionScores

    def value(self, metric: str) -> float:
        """A figure: precision, recall and f1 of spans, exact and f1 of answers."""
        figures = self.scores.figures
        return choose(metric, figures, what="figure").value

    def tables(self) -> list[Table]:
        """The figures, and those of each label."""
        return score_tables(self.scores.figures, self.scores.labels, title="projection")

    def table(self) -> Table:
        """The figures."""
        return self.tables()[0]

    def to_dict(self) -> dict[str, Any]:
        """All figures, for JSON."""
        figures = {
            name: {"value": each.value, "low": each.low, "high": each.high}
            for name, each in self.scores.figures.items()
        }
        return {"figures": figures, "labels": self.scores.labels, "count": self.scores.count}


def projection(
    projected: FilePath,
    gold: FilePath,
    *,
    column: int = -1,
    language: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> ProjectionFigures:
    """Labels or answers that were carried to a translation against those of people: precision, recall and F1 of spans
    as seqeval counts them (CoNLL), or exact match and F1 of answers as SQuAD does (both files .json), with 95 %
    bootstrap intervals. With a `language` answers are counted as MLQA does, too.

    InputError: a file cannot be used, or the two do not hold the same sentences.

    >>> import otkit
    >>> from otkit.resources import sample_data
    >>> labels = sample_data() / "labels" / "de.conll"
    >>> otkit.evaluate.projection(labels, labels).value("f1")
    1.0
    """
    return ProjectionFigures(
        score_files(projected, gold, column=column, language=language, resamples=resamples, seed=seed)
    )


def all_tasks(
    encoder: EncoderLike = None,
    files: Sequence[ParallelFile] = (),
    gold: Sequence[FilePath] = (),
    *,
    alignment: AlignmentSettings | None = None,
    fine_tuning: str = "small",
    data: FilePath | None = None,
    seeds: Sequence[int] = (0,),
    **how: Unpack[ParallelOptions],
) -> dict[str, Evaluation]:
    """Retrieval, word alignment, word retrieval, XNLI and XQuAD, by name, each on its part of `data` or on the sample
    data. A task need not have every language.

    `fine_tuning` is "small" (two cores) or "xtreme" (as published). Errors as in the tasks.
    """
    reading = replace(_reading(how), strict=False)
    corpora = parallel_corpora(files, data, reading)
    pairs, notes = _linked(gold, files, data, reading)
    words, said = _linked(gold, files, data, reading, alone=True)
    choose(fine_tuning, XNLI_FINE_TUNING, what="fine-tuning")
    tasks = [
        retrieval_task(corpora, RetrievalSettings(), on_error=reading.on_error),
        word_alignment_task(pairs, alignment or AlignmentSettings(), notes=notes),
        word_retrieval_task(words, WordRetrievalSettings(), notes=said),
        xnli_task(xnli_data(data, None, reading), XNLI_FINE_TUNING[fine_tuning]),
        xquad_task(xquad_data(data, None, reading), XQUAD_FINE_TUNING[fine_tuning]),
    ]
    return {task.name: _measured(task, encoder, how, seeds=seeds) for task in tasks}


@dataclass(frozen=True)
class LayerFigures:
    """The alignment error rate of each hidden state by itself: aer[language][layer]."""

    aer: Mapping[str, Mapping[int, float]]

    def table(self) -> Table:
        """A row a layer."""
        return layer_table(self.aer)

    def to_dict(self) -> dict[str, Any]:
        """All figures, for JSON."""
        return {"aer": {language: dict(found) for language, found in self.aer.items()}}


def word_alignment_by_layer(
    encoder: EncoderLike = None,
    gold: Sequence[FilePath] = (),
    texts: Sequence[ParallelFile] = (),
    *,
    settings: AlignmentSettings | None = None,
    base: int | None = None,
    data: FilePath | None = None,
    **how: Unpack[ParallelOptions],
) -> LayerFigures:
    """The alignment error rate, in [0, 1], with each hidden state alone, 0 being the embeddings, from one pass through
    the encoder; inputs as in `word_alignment`.

    >>> import otkit
    >>> found = otkit.evaluate.word_alignment_by_layer(languages=["de"])
    >>> min(found.aer["de"], key=found.aer["de"].get) > 0
    True
    """
    reading = _reading(how)
    sets = gold_sets(gold, texts, data, reading, base=base)
    total, progress = sum(map(len, sets.values())), how.get("on_progress", unwatched)
    scores = aer_by_layer(
        _open_whole(encoder, how),
        sets,
        config=settings,
        progress=lambda done: progress(done, total, "layers"),
    )
    return LayerFigures(
        {language: {layer: found.value(language) for layer, found in scores.items()} for language in sets}
    )


@dataclass(frozen=True)
class TunedAlignment:
    """The settings of word alignment that were best on gold links, their mean alignment error rate there, and every
    setting that was tried."""

    settings: AlignmentSettings
    aer: float
    trials: tuple[Trial, ...]
    source: str

    def to_toml(self) -> str:
        """A recipe with the table [alignment], for `recipe=` and `--recipe`."""
        return recipe_text({"alignment": self.settings.to_dict()}, source=self.source)

    def to_dict(self) -> dict[str, Any]:
        """Settings, figure and trials, for JSON."""
        trials = [asdict(trial) for trial in self.trials]
        return {"settings": self.settings.to_dict(), "aer": self.aer, "trials": trials}


def tune(
    encoder: EncoderLike,
    gold: Sequence[FilePath],
    texts: Sequence[ParallelFile] = (),
    *,
    settings: AlignmentSettings | None = None,
    base: int | None = None,
    **how: Unpack[ParallelOptions],
) -> TunedAlignment:
    """Choose the settings of word alignment on gold links, one setting at a time, from `settings` on.

    Few gold pairs tune noise: with under a hundred, expect the gain on other text to be smaller. Inputs as in
    `word_alignment`.

    >>> import otkit
    >>> from otkit.resources import sample_data
    >>> tuned = otkit.evaluate.tune(None, [sample_data() / "gold" / "de-en.dev.tsv"])
    >>> print(tuned.to_toml().splitlines()[2])
    [alignment]
    """
    reading = _reading(how)
    sets = gold_sets(gold, texts, None, reading, base=base)
    opened, progress = _open_whole(encoder, how), how.get("on_progress", unwatched)
    found = tune_word_alignment(
        opened,
        sets,
        config=settings,
        progress=lambda done, total: progress(done, total, "tuning"),
    )
    count = sum(map(len, sets.values()))
    source = (
        f"Tuned by otkit.evaluate.tune for {opened.name} on {count} pairs ({', '.join(sets)}):"
        f" AER {found.figure:.4f}."
    )
    return TunedAlignment(found.config, found.figure, found.trials, source)


def _reading(how: ParallelOptions | RunOptions) -> Reading:
    names = {"languages", "langs", "format", "on_error"} & how.keys()
    chosen: dict[str, Any] = {name: value for name, value in how.items() if name in names}
    if chosen.get("languages") is not None:
        chosen["languages"] = tuple(map(short_code, chosen["languages"]))
    return Reading(**chosen, note=how.get("on_note", _nowhere))


def _nowhere(text: str) -> None:
    """Tell nobody."""


def _linked(
    gold: Sequence[FilePath],
    texts: Sequence[ParallelFile],
    data: FilePath | None,
    reading: Reading,
    *,
    base: int | None = None,
    alone: bool = False,
) -> tuple[Mapping[str, tuple[Sequence[GoldPair], str]], list[str]]:
    """Linked pairs by language with the hash of their data, and notes; the sample encoder links texts `alone`."""
    if alone and texts and not gold:
        note = f"words linked by the sample encoder's mutual matches, first {LINKED_PAIRS} pairs of each file"
        sets, notes = linked_sets(texts, reading), [note]
    else:
        sets = gold_sets(gold, texts, data, reading, base=base)
        notes = [f"{language}: {note}" for language, found in sets.items() for note in found.notes]
    return {language: (found, found.sha256) for language, found in sets.items()}, notes


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
    if not files and "copy_share" in changes.get("transfer", {}):
        raise ConfigError(
            "words are replaced through lexicons of parallel text, and there is none",
            remedy="give parallel text",
            setting="copy_share",
        )
    own = {name: changes[name] for name in changes if name != "transfer"}
    found = recipe if isinstance(recipe, Recipe) else Recipe.read(recipe or "paper")
    settings = settings_of(None if isinstance(recipe, Recipe) else recipe, "transfer", TransferSettings)
    # A step has one batch of parallel text, of all languages: one of each would drown the task.
    found = found.changed(**own).changed(batching={"mix_languages": True})
    reading = replace(_reading(how), languages=None)
    return Transfer(
        [english_last(reading.corpus(file)) for file in files],
        found,
        settings.changed(**changes.get("transfer", {})),
    )


def _fine_tuned(
    encoder: EncoderLike, how: TransferOptions, *, read: Callable[..., Data], make: Callable[..., Task]
) -> Evaluation:
    """The figures of a task that is fine-tuned on English."""
    head = how.get("head")
    measured = _under(head, encoder)
    found = read(
        how.get("data"),
        how.get("train"),
        _reading(how),
        trains=head is None,
        copies=how.get("copies", ()),
    )
    with _with_copies(found, how) as (whole, transfer):
        task = make(whole, head=head, keep=how.get("save_heads", False), transfer=transfer)
        return _measured(task, measured, how, seeds=how.get("seeds", (0,)))


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


def _measured(
    task: Task,
    encoder: EncoderLike,
    how: RunOptions,
    *,
    seeds: Sequence[int] = (0,),
    layers: Sequence[int] | str | None = None,
    pooling: str | None = None,
    prompt: str | None = None,
) -> Evaluation:
    if task.trains and how.get("precision", "fp32") != "fp32":
        raise ConfigError(
            f"{task.name} trains the encoder", remedy="set the precision of its settings", setting="precision"
        )
    encoders: dict[str, dict[str, Any]] = {}
    baseline, output = how.get("baseline"), how.get("output")

    def opener(role: str, given: EncoderLike) -> Callable[[], Encoder]:
        def opened() -> Encoder:
            found = _open(given, how, layers=layers, pooling=pooling, prompt=prompt)
            encoders[role] = {"name": found.name, "precision": found.precision, **asdict(found.settings)}
            # Training changes the encoder: one that is the caller's stays as it is.
            return copy.deepcopy(found) if task.trains and found is given else found

        return opened

    openers = {"model": opener("model", encoder)}
    if baseline is not None:
        openers["baseline"] = opener("baseline", None if baseline == "sample" else baseline)
    with tempfile.TemporaryDirectory() as temporary:
        store = CellStore(
            Path(output or temporary),
            resume=how.get("resume", False),
            overwrite=how.get("overwrite", False),
            inputs=[each for each in (encoder, baseline) if output and isinstance(each, FilePath)],
        )
        cells = run_cells(
            task,
            openers,
            seeds=seeds,
            store=store,
            progress=how.get("on_progress", unwatched),
            note=how.get("on_note", _nowhere),
        )
    seen = how.get("seen")
    among = aligned_on(encoder) if seen is None else tuple(map(short_code, seen))
    return Evaluation(task.name, summarise(cells, task.metrics, seen=among), task.fingerprint, encoders)


def _open(
    encoder: EncoderLike,
    how: RunOptions,
    *,
    layers: Sequence[int] | str | None = None,
    pooling: str | None = None,
    prompt: str | None = None,
) -> Encoder:
    found = (
        open_encoder(encoder, device=how.get("device", "auto"))
        if encoder is None or isinstance(encoder, FilePath)
        else encoder
    )
    if pooling is not None or prompt is not None:
        was = found.settings
        found = copy.copy(found)
        found.settings = replace(
            was,
            pooling=was.pooling if pooling is None else pooling,
            prefix=was.prompt(prompt),
        )
    precision = how.get("precision", "fp32")
    named = layers_of(found, layers) if isinstance(layers, str) else layers
    return encoder_in(precision, found, named, progress=how.get("on_note", _nowhere))


def _open_whole(encoder: EncoderLike, how: RunOptions) -> Encoder:
    """An encoder of which every layer is looked at."""
    if how.get("precision") == "int8":
        raise ConfigError(
            "an int8 graph has the layers of one alignment alone, and others are asked for here",
            remedy="use fp32 or a half precision",
            setting="precision",
        )
    return _open(encoder, how)


def aligned_on(encoder: EncoderLike) -> tuple[str, ...]:
    """The languages that a folder's otkit.json says the encoder was aligned on, and English."""
    path = Path(encoder) / "otkit.json" if isinstance(encoder, FilePath) else None
    if path is None or not path.is_file():
        return ()
    found = {
        code
        for corpus in read_json(path).get("data", [])
        if isinstance(corpus, dict)
        for code in corpus.get("languages", [])
    }
    return tuple(sorted(short_code(code) for code in found | {"en"})) if found else ()
