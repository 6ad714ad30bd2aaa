"""`otkit check`: errors of many classes in translations, the worst first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otkit.alignment.settings import CheckSettings
from otkit.cli.given import NOTHING, Given, takes
from otkit.cli.options import (
    BatchTokens,
    Device,
    InputFormat,
    JsonPath,
    Langs,
    Model,
    OnError,
    Overwrite,
    Precision,
    Quiet,
    Raw,
    SegmenterName,
    SourceFile,
    TargetFile,
    Threads,
    Verbose,
    name_option,
    note,
    set_logging,
    set_threads,
)
from otkit.cli.outputs import claim_files
from otkit.cli.values import Name, Number
from otkit.errors import ConfigError

if TYPE_CHECKING:
    from otkit.api.check import CheckResult
    from otkit.data.parallel import BadLine

__all__ = ["check"]

_SHOWN_BAD = 5


@takes(check=CheckSettings)
def check(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="Translations, plain or .gz; - is stdin.")
    ] = None,
    source: SourceFile = None,
    target: TargetFile = None,
    input_format: InputFormat = "auto",
    raw: Raw = False,
    segmenter: SegmenterName = None,
    langs: Langs = None,
    on_error: OnError = "raise",
    given: Given = NOTHING,
    model: Model = None,
    precision: Precision = "fp32",
    batch_tokens: BatchTokens = None,
    device: Device = "auto",
    threads: Threads = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file to write, packed if it ends in .gz. Default: stdout.",
            show_default=False,
            rich_help_panel="Output",
        ),
    ] = None,
    format: Annotated[
        str | None,
        name_option(
            "The format: jsonl, tsv, text or html. Default: by the ending of --output, else jsonl.",
            "otkit.reports.checked:CHECK_FORMATS",
            "format",
            "--format",
            "-f",
            panel="Output",
        ),
    ] = None,
    sort: Annotated[
        str,
        typer.Option(
            "--sort",
            metavar="NAME",
            parser=Name("otkit.reports.checked:ORDERS", "order"),
            help="What makes a translation the worst: max (the highest score of all classes), or a class.",
            rich_help_panel="Output",
        ),
    ] = "max",
    top: Annotated[
        int,
        typer.Option(
            "--top",
            metavar="N",
            parser=Number(int, least=1),
            help="How many of the worst to write; these are what memory holds.",
            rich_help_panel="Output",
        ),
    ] = 1000,
    json_path: JsonPath = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Look for errors in translations, class by class, and write the worst first.

    Classes: hallucination and omission, by sentence and by word; runs of words that were added or dropped; copies and
    other languages; numbers, names and negations of one side alone. The score of a class is how rare its figure is:
    0.93 is above 98 of 100 clean pairs.

    [bold]Examples[/bold]

    otkit check sample_data/parallel/de-en.dev.tsv --output runs/worst.jsonl

    otkit check sample_data/parallel/de-en.dev.tsv --sort omission --top 20 --output runs/worst.html

    otkit check sample_data/parallel/zh-en.dev.raw.tsv --raw --top 3 --format text --quiet
    """
    inputs, second = _inputs(files or [], source, target)
    from otkit.api.check import check as check_files
    from otkit.api.check import check_format
    from otkit.cli.progress import count_lines, counted, last_line, progress_bar
    from otkit.cli.stdout import write_data

    shape = check_format(format, output)
    claim_files(
        {"output": output, "json": json_path},
        [model, given.recipe, *inputs, second],
        overwrite=overwrite,
        but=["output"],
    )
    set_logging(verbose=verbose)
    set_threads(threads)
    skipped: list[BadLine] = []
    with progress_bar(quiet=quiet) as bar:
        total = None if quiet or "-" in (*inputs, second) else count_lines(inputs)
        found = check_files(
            inputs,
            model,
            target=second,
            output=output,
            format=shape,
            sort=sort,
            top=top,
            raw=segmenter or raw,
            langs=langs,
            input_format=input_format,
            on_error=on_error,
            recipe=given.recipe,
            batch_tokens=batch_tokens,
            device=device,
            precision=precision,
            overwrite=overwrite,
            on_progress=bar.step("check", unit="pairs", total=total).reached,
            on_note=lambda text: note(text, quiet=quiet),
            on_bad_line=lambda bad: skipped.append(bad) if len(skipped) < _SHOWN_BAD else None,
            **given.of("check"),
        )
    if json_path is not None:
        _write_json(json_path, found, second, overwrite=overwrite)
    if output is None:
        write_data(found.text())
    for bad in skipped:
        note(f"skipped: {bad.error.where}: {bad.error.what}", quiet=quiet)
    if found.skipped:
        note(f"{counted(found.skipped, 'line')} skipped", quiet=False)
    flagged = [f"{count:,} {name}" for name, count in found.flagged.items() if count]
    note(f"to look at, by class (0.93 and above): {', '.join(flagged) or 'none'}", quiet=quiet)
    last_line(
        f"wrote {output or 'to stdout'}: the {len(found.worst):,} worst of {found.pairs:,} translations by {sort}; "
        f"means over all: hallucination {found.hallucination:.3f}, omission {found.omission:.3f}",
        then="" if shape == "html" else "the same with --output worst.html marks the words on a page",
        quiet=quiet,
    )


def _inputs(files: list[str], source: str | None, target: str | None) -> tuple[list[str], str | None]:
    """The files, or the first and the second of two line-aligned ones."""
    if files and (source is not None or target is not None):
        raise ConfigError(
            "files and --source or --target were given", remedy="give files, or both of --source and --target"
        )
    if files:
        return files, None
    if source is None or target is None:
        raise ConfigError(
            "there is no translation to check",
            remedy="name a file, - for stdin, or both --source and --target",
        )
    return [source], target


def _write_json(path: Path, found: CheckResult, second: str | None, *, overwrite: bool) -> None:
    from otkit.cli.outputs import write_document
    from otkit.data.parallel import is_passing
    from otkit.files import sha256_of

    inputs = [[name] for name in found.files] if second is None else [[*found.files, second]]
    write_document(
        path,
        {
            "model": found.model,
            **found.used,
            "inputs": inputs,
            "sha256": [
                [None if is_passing(name) else sha256_of(Path(name)) for name in names] for names in inputs
            ],
            "pairs": found.pairs,
            "skipped": found.skipped,
            "means": {"hallucination": found.hallucination, "omission": found.omission},
            "flagged": dict(found.flagged),
            "off": dict(found.off),
        },
        overwrite=overwrite,
    )
