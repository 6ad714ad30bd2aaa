"""`otkit export`: an encoder as ONNX, quantised or not, or as a folder for another library."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otkit.cli.given import NOTHING, Given, takes
from otkit.cli.hub import check_hub, push_written
from otkit.cli.options import (
    JsonPath,
    Overwrite,
    Public,
    Quiet,
    Threads,
    Verbose,
    set_logging,
    set_threads,
)
from otkit.cli.outputs import claim_files, claim_folder, write_document
from otkit.cli.values import folder
from otkit.errors import ConfigError
from otkit.exports.settings import OUTPUT, ExportSettings

if TYPE_CHECKING:
    from otkit.exports.onnx import ExportReport
    from otkit.exports.trim import TrimReport
    from otkit.reports.tables import Table

__all__ = ["export", "onnx_table", "trim_table"]


@takes(recipe=False, export=ExportSettings)
def export(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A Hub name, a folder or a .gguf file. Default: the sample encoder.",
            show_default=False,
        ),
    ] = None,
    given: Given = NOTHING,
    trim_vocab: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Keep only the subwords that this text needs, or those of a tokenizer.json; repeatable, .gz too.",
            show_default=False,
            rich_help_panel="Export",
        ),
    ] = None,
    threads: Threads = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            parser=folder,
            help="The folder to write.",
            rich_help_panel="Output",
        ),
    ] = Path(OUTPUT),
    overwrite: Overwrite = False,
    push_to_hub: Annotated[
        str | None,
        typer.Option(
            "--push-to-hub",
            metavar="NAME",
            help="Put it on the Hugging Face Hub too, private.",
            show_default=False,
            rich_help_panel="Output",
        ),
    ] = None,
    public: Public = False,
    json_path: JsonPath = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write an encoder for other programs, and prove that it is still the same encoder.

    An ONNX export is compared with the original on real sentences; past a limit nothing is written and the exit
    code is 3. With --quantize, recipes are tried from the smallest on and the first within the limits is taken.

    [bold]Examples[/bold]

    otkit export runs/aligned --output encoder-onnx --quantize int8

    otkit export --to sentence-transformers --output encoder-st

    otkit export --to web --trim-vocab sample_data/parallel/de-en.train.tsv --output page

    otkit export --to gguf --gguf-type q4_0 --trim-vocab sample_data/parallel/de-en.train.tsv --output encoder-small
    """
    settings = given.settings("export", ExportSettings)
    files = trim_vocab or []
    claim_folder(output, "encoder", [model, *files], overwrite=overwrite)
    claim_files({"json": json_path}, [model, *files], overwrite=overwrite)
    set_logging(verbose=verbose)
    set_threads(threads)
    if push_to_hub is not None and settings.to == "web":
        raise ConfigError(
            f"received {push_to_hub!r}, and a page is no encoder",
            remedy=("leave it out: any host of files shows the page", "choose `to='onnx'`"),
            setting="push_to_hub",
        )
    check_hub(push_to_hub, public=public)
    from otkit.api.export import export as run
    from otkit.cli.progress import last_line, progress_bar
    from otkit.cli.stdout import show

    with progress_bar(quiet=quiet) as bar:

        def progress(step: str) -> None:
            bar.note(f"{step} ...")
            bar.step(step, alone=True)

        made = run(
            model,
            output=output,
            trim_vocab=files,
            overwrite=overwrite,
            on_progress=progress,
            **settings.to_dict(),
        )
    if json_path is not None:
        write_document(json_path, made.to_dict(), overwrite=overwrite)
    if made.trim is not None:
        show(trim_table(made.trim))
    if made.onnx is not None:
        show(onnx_table(made.onnx))
    kind = (
        f"for {settings.to}"
        if made.onnx is None
        else f"ONNX, {made.bytes / made.onnx.fp32_bytes:.0%} of fp32"
    )
    then = f"otkit show-alignment SOURCE TARGET --model {shlex.quote(str(output))}"
    if settings.to == "web":
        then = (
            f"any host of files shows the page, such as python -m http.server in {shlex.quote(str(output))}"
        )
    last_line(
        f"wrote {output}: {made.bytes / 1e6:.1f} MB {kind}",
        then=then,
        quiet=quiet,
    )
    push_written(output, push_to_hub, public=public, quiet=quiet)


def onnx_table(report: ExportReport) -> Table:
    """The recipes that were tried, the one that was taken last."""
    from otkit.reports.tables import Column, Table

    rows = tuple(
        (
            attempt.recipe,
            attempt.bytes / 1e6,
            attempt.parity.largest_difference,
            attempt.parity.lowest_cosine,
            attempt.parity.mean_token_cosine,
            attempt.parity.link_agreement,
            attempt.parity.retrieval_after - attempt.parity.retrieval_before,
            "; ".join(attempt.missed) or "passed",
        )
        for attempt in report.attempts
    )
    return Table(
        title=f"against torch, on {report.chosen.parity.sentences} real sentences",
        columns=(
            Column("recipe"),
            Column("MB", digits=1),
            Column("largest difference", digits=6),
            Column("lowest cosine", digits=4),
            Column("token cosine", digits=4),
            Column("same links"),
            Column("retrieval", digits=1, change=True),
            Column("gate"),
        ),
        rows=rows,
    )


def trim_table(report: TrimReport) -> Table:
    """What a smaller vocabulary saves and costs."""
    from otkit.reports.tables import Column, Table

    rows = (
        ("pieces", report.pieces_before, report.pieces_after),
        ("word table, MB in fp32", report.bytes_before / 1e6, report.bytes_after / 1e6),
        ("unknown tokens, %", report.unknown_before, report.unknown_after),
        ("retrieval, %", report.parity.retrieval_before, report.parity.retrieval_after),
    )
    return Table(
        title=f"vocabulary, on {report.parity.sentences} real sentences",
        columns=(Column("figure"), Column("before", digits=2), Column("after", digits=2)),
        rows=rows,
    )
