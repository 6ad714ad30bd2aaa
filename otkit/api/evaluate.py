"""What an encoder can do across languages, as functions: each measures one task and returns its figures.

>>> import otkit
>>> found = otkit.evaluate.word_alignment()  # the sample encoder on the sample data
>>> sorted(found.summary.rows), found.mean("aer") < 0.05
(['de', 'fr', 'zh'], True)

All take keywords of `RunOptions` beside their own, those on parallel files also of `ParallelOptions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Unpack

from otkit.alignment.settings import AlignmentSettings, BeadSettings, CheckSettings
from otkit.api.fine_tuned import TransferOptions, measure_tuned
from otkit.api.measuring import (
    EncoderLike,
    Evaluation,
    ParallelOptions,
    RunOptions,
    check_keywords,
    measure,
    open_whole,
    reading_of,
)
from otkit.data.gold import GoldPair
from otkit.data.halomi import read_halomi
from otkit.data.languages import languages_told
from otkit.errors import ConfigError, InputError, choose
from otkit.evaluation.documents import DOCUMENT_METRICS, documents_task, read_document
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
from otkit.evaluation.protocol import Metric, unwatched
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
from otkit.evaluation.translation_errors import ERROR_METRICS, translation_errors_task
from otkit.evaluation.word_alignment import (
    WORD_ALIGNMENT_METRICS,
    Trial,
    aer_by_layer,
    tune_word_alignment,
    word_alignment_task,
)
from otkit.evaluation.word_retrieval import word_retrieval_task
from otkit.evaluation.xnli import XNLI_METRICS, xnli_task
from otkit.evaluation.xquad import XQUAD_METRICS, xquad_task
from otkit.projection.scores import ProjectionScores, score_files
from otkit.recipes import recipe_text
from otkit.reports.evaluation import layer_table, score_tables
from otkit.reports.tables import Table
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
    reading = reading_of(how)
    corpora = parallel_corpora(files, data, reading)
    task = retrieval_task(corpora, settings or RetrievalSettings(), on_error=reading.on_error)
    layers = None if settings is None or settings.layer is None else (settings.layer,)
    return measure(task, encoder, how, layers=layers, pooling=pooling, prompt=prompt)


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
    pairs, notes = _linked(gold, texts, data, reading_of(how), base=base)
    task = word_alignment_task(pairs, settings or AlignmentSettings(), notes=notes)
    return measure(task, encoder, how, layers=None if settings is None else settings.layers)


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
    pairs, notes = _linked(gold, texts, data, reading_of(how), base=base, alone=True)
    task = word_retrieval_task(pairs, settings or WordRetrievalSettings(), notes=notes)
    return measure(task, encoder, how, layers=None if settings is None else settings.layers)


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
    task = mining_task(mining_sets(source, target, gold, reading_of(how)), settings or MiningSettings())
    return measure(task, encoder, how, pooling=pooling, prompt=prompt)


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
    chosen = settings or XnliSettings()
    make = partial(xnli_task, config=chosen)
    return measure_tuned(encoder, how, read=xnli_data, make=make, precision=chosen.precision)


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
    chosen = settings or XquadSettings()
    make = partial(xquad_task, config=chosen)
    return measure_tuned(encoder, how, read=xquad_data, make=make, precision=chosen.precision)


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
    check_keywords(how, RunOptions)
    task = translation_errors_task(
        read_halomi(data, on_error=how.get("on_error", "raise")), settings or CheckSettings()
    )
    if how.get("precision") == "int8":
        encoder = open_whole(encoder, how)
    return measure(task, encoder, how, pooling=pooling, prompt=prompt)


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
    check_keywords(how, RunOptions)
    told = languages_told(langs)
    read = [
        replace(read_document(*each), languages=told or languages_told(each[0], target=each[1]))
        for each in files
    ]
    if not read:
        raise InputError("there is no document", remedy="give its two sides and its gold beads")
    return measure(documents_task({langs: read}, settings), encoder, how)


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
    reading = replace(reading_of(how), strict=False)
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
    return {task.name: measure(task, encoder, how, seeds=seeds) for task in tasks}


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
    reading = reading_of(how)
    sets = gold_sets(gold, texts, data, reading, base=base)
    total, progress = sum(map(len, sets.values())), how.get("on_progress", unwatched)
    scores = aer_by_layer(
        open_whole(encoder, how),
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
    reading = reading_of(how)
    sets = gold_sets(gold, texts, None, reading, base=base)
    opened, progress = open_whole(encoder, how), how.get("on_progress", unwatched)
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
