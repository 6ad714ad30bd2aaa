"""How the evaluations run: which files they read, how encoders are opened, where finished parts are kept, and the
figures that come out."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

from otkit.alignment.layer_choice import layers_of
from otkit.data.languages import short_code
from otkit.data.parallel import silent
from otkit.encoders.encoder import Encoder, read_json
from otkit.encoders.open import open_encoder
from otkit.errors import ConfigError, choose
from otkit.evaluation.inputs import FilePath, Reading
from otkit.evaluation.protocol import CellStore, Progress, Task, run_cells, unwatched
from otkit.evaluation.summary import Summary, summarise
from otkit.exports.cached import encoder_in
from otkit.reports.charts import Panel
from otkit.reports.evaluation import summary_document, summary_panels, summary_tables
from otkit.reports.tables import Table
from otkit.settings import declared
from otkit.training.settings import ObjectiveSettings, TransferSettings

__all__ = [
    "EncoderLike",
    "Evaluation",
    "ParallelOptions",
    "RunOptions",
    "check_keywords",
    "measure",
    "open_whole",
    "reading_of",
]

EncoderLike = Encoder | FilePath | None
"""An open encoder; a Hub name, folder or file that `otkit.open_encoder` takes; None is the sample encoder."""


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


def check_keywords(how: Mapping[str, Any], options: Any) -> None:
    """Refuse keywords that a function does not have: a run that looks away from one gives the figures of another."""
    known = options.__annotations__
    for name in how:
        if name in known:
            continue
        for table, settings in (("transfer", TransferSettings), ("objective", ObjectiveSettings)):
            if "changes" in known and name in declared(settings):
                raise ConfigError(
                    f"unknown keyword {name!r}",
                    remedy=f"give it in the table {table!r} of `changes`",
                )
        choose(name, known, what="keyword")


def reading_of(how: ParallelOptions | RunOptions, options: Any = ParallelOptions) -> Reading:
    """How files are read, from the keywords that an evaluation has."""
    check_keywords(how, options)
    names = {"languages", "langs", "format", "on_error"} & how.keys()
    chosen: dict[str, Any] = {name: value for name, value in how.items() if name in names}
    if chosen.get("languages") is not None:
        chosen["languages"] = tuple(map(short_code, chosen["languages"]))
    return Reading(**chosen, note=how.get("on_note", silent))


def measure(
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
            note=how.get("on_note", silent),
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
    return encoder_in(precision, found, named, progress=how.get("on_note", silent))


def open_whole(encoder: EncoderLike, how: RunOptions) -> Encoder:
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
