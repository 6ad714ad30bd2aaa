"""What the sub-commands of `otkit evaluate` share: options, progress, files, tables and gates around a measurement."""

from __future__ import annotations

import copy
import inspect
import math
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otkit.alignment.settings import AlignmentSettings
from otkit.cli.command import with_options
from otkit.cli.given import Given
from otkit.cli.options import (
    Device,
    InputFormat,
    JsonPath,
    Langs,
    Model,
    OnError,
    Overwrite,
    Precision,
    Quiet,
    Seed,
    SourceFile,
    TargetFile,
    Threads,
    Verbose,
    note,
    option,
    set_logging,
    set_threads,
)
from otkit.cli.outputs import claim_files
from otkit.cli.values import Ending, Name, Number, folder
from otkit.data.settings import BatchingSettings
from otkit.errors import ConfigError, GateError, choose
from otkit.settings import Settings
from otkit.training.settings import ObjectiveSettings, TransferSettings

if TYPE_CHECKING:
    from otkit.api.evaluate import Evaluation, ParallelOptions, RunOptions, TransferOptions
    from otkit.cli.progress import Progress
    from otkit.evaluation.protocol import Metric
    from otkit.evaluation.summary import Summary
    from otkit.reports.tables import Table

__all__ = [
    "NO_RUN",
    "NO_UNTRAINED_RUN",
    "PARALLEL",
    "TRANSFER",
    "TRANSFER_TABLES",
    "FineTuning",
    "Languages",
    "Outcome",
    "Parallel",
    "Run",
    "Seeds",
    "Transfer",
    "UntrainedRun",
    "Watch",
    "check_gates",
    "codes",
    "grouped",
    "measured",
    "parse_gates",
    "shows",
]

Command = Callable[..., None]

Languages = Annotated[str | None, option("Only these languages.", "de,fr,...")]
Seeds = Annotated[
    int,
    typer.Option("--seeds", metavar="N", parser=Number(int, least=1), help="Train under this many seeds."),
]
FineTuning = Annotated[
    str,
    typer.Option(
        "--fine-tuning",
        metavar="small|xtreme",
        parser=Name("otkit.evaluation.settings:FINE_TUNINGS", "fine-tuning"),
        help="The settings to start from: small (two cores) or xtreme (as published).",
    ),
]


@dataclass(frozen=True)
class Run:
    """What every sub-command is told beside its task: a field is an option."""

    on_error: OnError = "raise"
    model: Model = None
    baseline: Annotated[
        str | None, option("The encoder to compare with; sample is the sample encoder.", "MODEL")
    ] = None
    seen: Annotated[
        str | None,
        option("Languages of the 'seen' average. Default: those the model was aligned on.", "de,fr,..."),
    ] = None
    fail_under: Annotated[
        list[str] | None,
        option(
            "Exit with 3 where the average is worse, for instance aer=0.1 (of one task: xquad.f1=0.7); repeatable.",
            "METRIC=X",
        ),
    ] = None
    json_path: JsonPath = None
    chart: Annotated[
        Path | None,
        option("Draw the figures by language, with intervals (PNG, SVG).", "PATH", Ending((".png", ".svg"))),
    ] = None
    markdown: Annotated[
        Path | None,
        option("Write the tables as Markdown.", "PATH", Ending((".md", ".markdown", ".txt"))),
    ] = None
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", parser=folder, help="Where finished parts go, for --resume."
        ),
    ] = Path("runs/evaluation")
    resume: Annotated[bool, typer.Option("--resume", help="Use the finished parts in --output.")] = False
    overwrite: Overwrite = False
    device: Device = "auto"
    threads: Threads = None
    quiet: Quiet = False
    verbose: Verbose = False


NO_RUN = Run()


@dataclass(frozen=True)
class UntrainedRun(Run):
    """The same for a task that trains nothing."""

    precision: Precision = "fp32"


NO_UNTRAINED_RUN = UntrainedRun()


@dataclass(frozen=True)
class Parallel:
    """How parallel files are read."""

    source: SourceFile = None
    target: TargetFile = None
    input_format: InputFormat = "auto"
    langs: Langs = None
    languages: Languages = None

    def files(self, names: Sequence[str] | None) -> list[str | Path | tuple[str | Path, str | Path]]:
        """The parallel inputs: files of pairs, and the two files of --source and --target."""
        if (self.source is None) != (self.target is None):
            raise ConfigError("two line-aligned files go together", remedy="give the source and the target")
        both = [] if self.source is None or self.target is None else [(self.source, self.target)]
        return [*(names or []), *both]

    def inputs(self, *names: Sequence[str] | None) -> list[str | None]:
        """All files that are read."""
        return [*(name for each in names for name in each or ()), self.source, self.target]

    def added(self, how: RunOptions) -> ParallelOptions:
        """The keywords of a library call."""
        return {
            **how,
            "languages": codes(self.languages),
            "langs": self.langs,
            "format": self.input_format,
        }


PARALLEL = Parallel()


@dataclass(frozen=True)
class Transfer:
    """How a task that is fine-tuned on English is run."""

    data: Annotated[
        str | None, option("Folder or Hub name of the benchmark. Default: the sample data.", "DIR|HUB")
    ] = None
    train: Annotated[str | None, option("English examples to fine-tune on.", "FILE|HUB")] = None
    languages: Languages = None
    fine_tuning: FineTuning = "small"
    head: Annotated[
        Path | None,
        option("Score the fine-tuned encoder and head of this folder; nothing is trained.", "DIR"),
    ] = None
    save_heads: Annotated[
        bool, typer.Option("--save-heads", help="Keep fine-tuned encoders and heads in --output.")
    ] = False
    align: Annotated[
        list[str] | None,
        option("Parallel text to align the encoder on while it is fine-tuned; repeatable.", "FILE"),
    ] = None
    copies: Annotated[
        list[str] | None,
        option(
            "The training examples in other languages, as `otkit project --augment` writes them; repeatable.",
            "FILE",
        ),
    ] = None
    langs: Langs = None
    seeds: Seeds = 1
    seed: Seed = 0

    @property
    def inputs(self) -> list[str | Path | None]:
        """All files and folders that are read."""
        return [self.data, self.train, self.head, *(self.align or []), *(self.copies or [])]

    def added(self, how: RunOptions, given: Given) -> TransferOptions:
        """The keywords of a library call."""
        return {
            **how,
            "align": self.align or (),
            "copies": self.copies or (),
            "langs": self.langs,
            "recipe": given.recipe,
            "changes": {table: given.of(table) for table in TRANSFER_TABLES if given.of(table)},
            "data": self.data,
            "train": self.train,
            "head": self.head,
            "save_heads": self.save_heads,
            "languages": codes(self.languages),
            "seeds": range(self.seed, self.seed + self.seeds),
        }


TRANSFER = Transfer()
TRANSFER_TABLES: Mapping[str, type[Settings]] = {
    "transfer": TransferSettings,
    "objective": ObjectiveSettings,
    "batching": BatchingSettings,
    "alignment": AlignmentSettings,
}
"""What a recipe says of aligning while a task is fine-tuned."""


@dataclass(frozen=True)
class Outcome:
    """What a sub-command measured: evaluations by task, and tables and entries of the JSON file beside them."""

    found: Mapping[str, Evaluation]
    tables: Sequence[Table] = ()
    document: Mapping[str, Any] = field(default_factory=dict)


def grouped(command: Command) -> Command:
    """Put the options of a group in the place of each parameter whose default is a group of options."""
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        if not isinstance(parameter.default, Run | Parallel | Transfer):
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        groups[name] = kind = type(parameter.default)
        hints = typing.get_type_hints(kind, include_extras=True)
        parameters += [
            inspect.Parameter(
                each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=hints[each.name]
            )
            for each in fields(kind)
        ]

    @wraps(command)
    def with_groups(**received: Any) -> None:
        made = {
            name: kind(**{each.name: received.pop(each.name) for each in fields(kind)})
            for name, kind in groups.items()
        }
        command(**received, **made)

    return _signed(with_groups, signature.replace(parameters=parameters))


def shows(*names: str) -> Callable[[Command], Command]:
    """Show only these options in the help; --help-all shows all."""

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        shown = {*names, "help_all"}
        return _signed(
            command,
            signature.replace(
                parameters=[
                    each.replace(annotation=_hidden(each.annotation, hidden=each.name not in shown))
                    for each in signature.parameters.values()
                ]
            ),
        )

    return decorate


def _hidden(annotation: Any, *, hidden: bool) -> Any:
    """The annotation with an option of its own, since shared ones are those of other commands too."""
    kind, info = typing.get_args(annotation)
    if not isinstance(info, typer.models.OptionInfo):
        return annotation
    info = copy.copy(info)
    info.hidden = hidden
    return Annotated[kind, info]


def _signed(command: Command, signature: inspect.Signature) -> Command:
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in signature.parameters.values()}
    return command


def codes(text: str | None) -> tuple[str, ...] | None:
    """The languages of a list with commas."""
    if text is None:
        return None
    found = tuple(code.strip() for code in text.split(",") if code.strip())
    if not found:
        raise ConfigError("an empty list of languages", remedy="write for instance de,fr")
    return found


def measured(
    run: Run,
    tasks: Collection[str],
    work: Callable[[RunOptions], Evaluation | Outcome],
    *,
    inputs: Iterable[str | Path | None] = (),
    outputs: Mapping[str, Path | None] | None = None,
) -> None:
    """Check all outputs, let `work` call the library, and show and write what it found."""
    files = {"json": run.json_path, "chart": run.chart, "markdown": run.markdown}
    claim_files({**files, **(outputs or {})}, [*inputs, run.model, run.baseline], overwrite=run.overwrite)
    set_logging(verbose=run.verbose)
    set_threads(run.threads)
    from otkit.api.evaluate import METRICS
    from otkit.cli.progress import counted, last_line, progress_bar
    from otkit.cli.stdout import show
    from otkit.cli.stopping import resumable
    from otkit.evaluation.protocol import unfinished
    from otkit.reports.evaluation import overview

    gates = parse_gates(run.fail_under or [], {task: METRICS[task] for task in tasks})
    how: RunOptions = {
        "baseline": run.baseline,
        "seen": codes(run.seen),
        "on_error": run.on_error,
        "device": run.device,
        "output": run.output,
        "resume": run.resume,
        "overwrite": run.overwrite,
        "on_note": partial(note, quiet=run.quiet),
    }
    if isinstance(run, UntrainedRun):
        how["precision"] = run.precision
    with progress_bar(quiet=run.quiet) as bar, resumable(partial(unfinished, run.output)):
        outcome = work({**how, "on_progress": Watch(bar)})
    if not isinstance(outcome, Outcome):
        outcome = Outcome({outcome.task: outcome})
    found, summaries = outcome.found, {task: each.summary for task, each in outcome.found.items()}
    tables = [*outcome.tables, *(table for each in found.values() for table in each.tables())]
    if len(found) > 1:
        tables.append(overview(summaries))
    tables = [replace(table, notes=tuple(map(with_options, table.notes))) for table in tables]
    _write(run, outcome, tables)
    show(*tables)
    written = ", ".join(str(path) for path in files.values() if path is not None)
    scored = len({language for summary in summaries.values() for language in summary.rows})
    last_line(
        f"{', '.join(found)}: {counted(scored, 'language')}{written and f'; wrote {written}'}; finished parts "
        f"are in {run.output}",
        then=""
        if run.baseline is not None or run.model in (None, "sample")
        else "--baseline sample compares with the sample encoder",
        quiet=run.quiet,
    )
    check_gates(gates, summaries)


class Watch:
    """Progress on a terminal: a bar for each thing that a task is busy with."""

    def __init__(self, bar: Progress) -> None:
        self._step = bar.step("evaluate")

    def __call__(self, done: int, total: int | None, what: str) -> None:
        if what != self._step.name or done < self._step.done:  # the next task, language or encoder
            self._step.turn_to(what)
        self._step.update(done, total=total)


def _write(run: Run, outcome: Outcome, tables: Sequence[Table]) -> None:
    """The files that were asked for."""
    found = outcome.found
    if run.chart is not None:
        from otkit.reports.charts import dot_chart

        panels = [panel for each in found.values() for panel in each.panels(every=len(found) == 1)]
        dot_chart(panels, run.chart, overwrite=run.overwrite)
    if run.markdown is not None:
        from otkit.files import write_file
        from otkit.reports.tables import to_markdown

        write_file(run.markdown, "\n\n".join(map(to_markdown, tables)) + "\n", overwrite=run.overwrite)
    if run.json_path is not None:
        from otkit.files import versions, write_json

        documents = {task: each.to_dict() for task, each in found.items()}
        encoders = [document.pop("encoders") for document in documents.values()]
        document = {
            "command": "evaluate",
            "model": run.model or "sample encoder",
            "baseline": run.baseline,
            "encoders": encoders[0] if encoders else {},
            "versions": versions(),
            "tasks": documents,
            **outcome.document,
        }
        write_json(run.json_path, document, overwrite=run.overwrite)


def parse_gates(texts: Sequence[str], metrics: Mapping[str, Sequence[Metric]]) -> dict[str, float]:
    """`METRIC=X` options as numbers, by metric or by task and metric; spaces, hyphens and capitals do not matter.
    `metrics` are those of each task."""
    every = [(task, metric.name) for task, found in metrics.items() for metric in found]
    known = {_plain(name): "" for _, name in every} | {_plain(f"{task}.{name}"): "" for task, name in every}
    gates = {}
    for text in texts:
        name, _, value = text.partition("=")
        choose(_plain(name), known, what="metric of --fail-under", setting="fail_under")
        try:
            bound = float(value)
        except ValueError:
            bound = math.nan
        if not math.isfinite(bound):
            raise ConfigError(
                f"received {text!r}",
                remedy="write METRIC=X, for instance forward@1=0.8",
                setting="fail_under",
            )
        if _plain(name) in gates:
            raise ConfigError(f"received two gates of {name}", remedy="give one", setting="fail_under")
        gates[_plain(name)] = bound
    return gates


def check_gates(gates: Mapping[str, float], summaries: Mapping[str, Summary]) -> None:
    """Raise where a metric's average over all languages (or its only language) is worse than its gate: in every task
    that has it, or in the one that is named before it (`retrieval.forward@1`)."""
    reached: dict[str, list[tuple[str, float, Metric]]] = {}
    for task, summary in summaries.items():
        row = summary.averages.get("all") or next(iter(summary.rows.values()))
        for metric in summary.metrics:
            if metric.name in row:
                for name in (_plain(metric.name), _plain(f"{task}.{metric.name}")):
                    reached.setdefault(name, []).append((task, row[metric.name].mean, metric))
    missed = []
    for name, bound in gates.items():
        for task, value, metric in choose(name, reached, what="metric of --fail-under"):
            # What is not a number is not on the right side of any.
            if not (value <= bound if metric.better == "lower" else value >= bound):
                of = f"{task}: " if len(summaries) > 1 else ""
                missed.append(f"{of}{metric.name} is {value:.4f}, the gate is {bound:g}")
    if missed:
        raise GateError("; ".join(missed))


def _plain(name: str) -> str:
    return name.replace(" ", "").replace("-", "").lower()
