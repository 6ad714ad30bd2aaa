"""`otkit align`: fine-tune an encoder so that translations get the same cloud of word vectors."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otkit.alignment.settings import AlignmentSettings, CheckSettings
from otkit.cli.command import with_options
from otkit.cli.given import NOTHING, Given, takes
from otkit.cli.hub import check_hub, push_written
from otkit.cli.options import Public, note, set_logging, set_threads
from otkit.cli.outputs import claim_files
from otkit.cli.values import Ending, Name, Number, device_name, folder
from otkit.data.hub import SCHEME
from otkit.data.settings import BatchingSettings
from otkit.errors import ConfigError
from otkit.training.settings import ObjectiveSettings, TrainingSettings, TuningSettings

if TYPE_CHECKING:
    from otkit.reports.tables import Table
    from otkit.training.forecast import Forecast

__all__ = ["align", "forecast_table"]


def _option(panel: str, help_text: str, *names: str, hidden: bool = False, **known: Any) -> Any:
    return typer.Option(
        *names, help=help_text, rich_help_panel=panel, hidden=hidden, show_default=False, **known
    )


@takes(
    usual="paper, without FILE sample",
    beside={"alignment": AlignmentSettings, "check": CheckSettings},
    objective=ObjectiveSettings,
    batching=BatchingSettings,
    training=TrainingSettings,
    tuning=TuningSettings,
)
def align(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Parallel text, one file a language pair.",
            show_default=False,
            hidden=True,
        ),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        _option("Data", "Parallel text of the Hugging Face Hub.", metavar="NAME[:CONFIG]", hidden=True),
    ] = None,
    dev: Annotated[
        list[str] | None, _option("Data", "Held-out text. Default: a part of FILE.", metavar="FILE")
    ] = None,
    langs: Annotated[
        str | None, _option("Data", "Languages, if the name does not say.", metavar="XX-YY")
    ] = None,
    link_files: Annotated[
        list[str] | None, _option("Data", "Word links (Pharaoh, gold) of a FILE.", "--links", metavar="FILE")
    ] = None,
    model: Annotated[
        str | None,
        _option("Data", "The encoder. Default: the sample encoder.", "--model", "-m", metavar="MODEL"),
    ] = None,
    source: Annotated[
        str | None, _option("Data", "Source side of two line-aligned files.", metavar="FILE", hidden=True)
    ] = None,
    target: Annotated[
        str | None, _option("Data", "Target side of two line-aligned files.", metavar="FILE", hidden=True)
    ] = None,
    input_format: Annotated[
        str,
        _option(
            "Data",
            "auto, tsv, bars (' ||| '), jsonl or files.",
            metavar="NAME",
            parser=Name("otkit.data.parallel:FORMATS", "input format"),
            hidden=True,
        ),
    ] = "auto",
    gold: Annotated[
        list[str] | None,
        _option("Data", "Gold word links (TSV) to measure AER on.", metavar="FILE", hidden=True),
    ] = None,
    teacher: Annotated[
        str | None,
        _option(
            "Data",
            "The encoder that ot-distill learns from. Default: the start.",
            metavar="MODEL",
            hidden=True,
        ),
    ] = None,
    static_vectors: Annotated[
        list[str] | None,
        _option(
            "Data",
            "Word vectors (fastText's .vec, a language each) for static-anchor.",
            metavar="FILE",
            hidden=True,
        ),
    ] = None,
    given: Given = NOTHING,
    device: Annotated[
        str,
        _option("Run", "auto, cpu, cuda, cuda:N or mps.", metavar="DEVICE", parser=device_name),
    ] = "auto",
    resume: Annotated[bool, _option("Run", "Go on from the newest checkpoint.", "--resume")] = False,
    dry_run: Annotated[bool, _option("Run", "Show steps, time and memory, and stop.", "--dry-run")] = False,
    threads: Annotated[
        int | None,
        _option(
            "Run",
            "CPU threads. Default: all allowed cores.",
            metavar="N",
            parser=Number(int, least=1),
            hidden=True,
        ),
    ] = None,
    output: Annotated[
        Path, _option("Output", "The aligned encoder.", "--output", "-o", metavar="DIR", parser=folder)
    ] = Path("runs/aligned"),
    push_to_hub: Annotated[
        str | None,
        _option(
            "Output",
            "Put it on the Hugging Face Hub too, private.",
            "--push-to-hub",
            metavar="NAME",
            hidden=True,
        ),
    ] = None,
    public: Public = False,
    log_to: Annotated[
        list[str] | None,
        _option(
            "Output",
            "Also log to tensorboard, wandb, ...",
            metavar="NAME",
            parser=Name("otkit.training.processes:TRACKERS", "tracker"),
        ),
    ] = None,
    quiet: Annotated[bool, _option("Output", "No progress on stderr.", "--quiet", "-q")] = False,
    json_path: Annotated[
        Path | None,
        _option(
            "Output",
            "Write the figures with settings, versions and hashes.",
            "--json",
            metavar="PATH",
            parser=Ending((".json",)),
            hidden=True,
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        _option(
            "Output",
            "Replace what stands at the output, even if otkit did not make it.",
            "--overwrite",
            hidden=True,
        ),
    ] = False,
    verbose: Annotated[
        bool,
        _option("Output", "Show the logs of the libraries underneath.", "--verbose", "-v", hidden=True),
    ] = False,
) -> None:
    """Fine-tune an encoder on parallel text so that translations agree.

    Each FILE is a language pair; without one, the sample data are used.

    otkit align de-en.tsv fr-en.tsv --recipe best --set objective.tau=0.2
    """
    set_logging(verbose=verbose)
    set_threads(threads)
    from otkit.api.train import Progress, forecast_training, train
    from otkit.cli.outputs import write_document
    from otkit.cli.progress import TrainingProgress, counted, last_line, progress_bar
    from otkit.cli.stdout import show
    from otkit.cli.stopping import resume_command, stop_on_sigterm
    from otkit.training.processes import is_main_process

    text = _text(files, source, target, dataset)
    main = is_main_process()
    quiet = quiet or not main
    if main:
        inputs = [
            *(files or []),
            *(dev or []),
            *(gold or []),
            *(link_files or []),
            *(static_vectors or []),
            source,
            target,
            model,
            teacher,
        ]
        claim_files({"json": json_path}, inputs, overwrite=overwrite)
        check_hub(push_to_hub, public=public)
    task: dict[str, Any] = {
        "recipe": given.recipe,
        "dev": dev or [],
        "links": link_files or [],
        "teacher": teacher,
        "static_vectors": static_vectors or [],
        "gold": gold or [],
        "langs": langs,
        "input_format": input_format,
        "device": device,
        "output": output,
        "resume": resume,
        "overwrite": overwrite,
        **given.changes,
    }
    with progress_bar(quiet=quiet) as bar, stop_on_sigterm() as asked_to_stop:
        watch = TrainingProgress(bar)

        def hear(progress: Progress) -> None:
            if progress.what == "note":
                bar.note(f"note: {with_options(progress.note)}")
            else:
                progress.tell(watch)

        if dry_run:
            plan, recipe = forecast_training(model, text, **task, on_progress=hear)
        else:
            run = train(
                model,
                text,
                **task,
                log_to=log_to or [],
                on_progress=hear,
                should_stop=lambda: asked_to_stop() > 0,
            )
    if dry_run:
        if main:
            show(forecast_table(plan))
            if json_path is not None:
                document = {"forecast": asdict(plan), "recipe": recipe.tables()}
                write_document(json_path, document, overwrite=overwrite)
            last_line("nothing was trained or written: a dry run", then="leave --dry-run out", quiet=quiet)
        return
    if not run.main:
        return
    if run.interrupted:
        typer.echo(f"stopped at step {run.step} of {run.steps}; go on with: {resume_command()}", err=True)
        # Not 0: what follows in a script (`align && export`) has no encoder yet.
        raise typer.Exit(128 + asked_to_stop())
    note(run.no_curve, quiet=quiet)
    if json_path is not None:
        figures = {**run.metadata, "before": run.before, "after": run.after, "seconds": run.seconds}
        write_document(json_path, figures, overwrite=overwrite)
    show(run.table())
    wrote = "wrote " if run.trained else ""
    last_line(
        f"{wrote}{output}: the encoder after {counted(run.step, 'step')} in {run.seconds / 60:.1f} minutes, "
        f"its card, history.jsonl{'' if run.no_curve else ', curve.png'}",
        then=f"otkit show-alignment SOURCE TARGET --model {shlex.quote(str(output))} --compare {model or 'sample'}",
        quiet=quiet,
    )
    push_written(output, push_to_hub, public=public, quiet=quiet)


def _text(
    files: Sequence[str] | None, source: str | None, target: str | None, sets: Sequence[str] | None
) -> list[Any]:
    """The files, two line-aligned ones as one entry, and the addresses of sets on the Hub."""
    if (source is None) != (target is None):
        raise ConfigError(
            "--source and --target belong together", remedy="give both files, line by line alike"
        )
    addresses = [f"{SCHEME}{name}" for name in sets or []]
    return [*([] if source is None else [(source, target)]), *(files or []), *addresses]


def forecast_table(plan: Forecast) -> Table:
    """The plan of a run that was not run."""
    from otkit.reports.tables import Column, Table

    return Table(
        title="the run as it would be",
        columns=(
            Column("file", kind="path"),
            Column("languages", drop=1),
            Column("pairs", kind="figure"),
            Column("visits of each in an epoch", digits=2),
        ),
        rows=tuple(
            (corpus.name, "-".join(corpus.languages), f"{corpus.pairs:,}", corpus.visits)
            for corpus in plan.corpora
        ),
        notes=(
            f"{plan.micro_steps_per_epoch:,} micro-steps an epoch, {plan.steps:,} optimiser steps",
            f"{plan.trained:,} of {plan.weights:,} weights trained (heads included)",
            f"about {plan.seconds / 60:,.1f} minutes without evaluations, {plan.memory_gb:.1f} GB of memory",
            f"{plan.batch_gb:.1f} GB of it for the longest batch: {plan.longest[0]} pairs of up to {plan.longest[1]} "
            f"and {plan.longest[2]} subwords",
        ),
    )
