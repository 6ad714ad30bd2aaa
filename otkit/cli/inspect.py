"""`otkit inspect`: the live page, on this machine alone."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from otkit.alignment.settings import AlignmentSettings
from otkit.cli.given import NOTHING, Given, takes
from otkit.cli.options import (
    Device,
    GoldFile,
    InputFormat,
    Langs,
    OnError,
    Quiet,
    Raw,
    TargetFile,
    Threads,
    Verbose,
    note,
    option,
    set_logging,
    set_threads,
)
from otkit.cli.values import Number

__all__ = ["inspect"]


@takes(alignment=AlignmentSettings)
def inspect(
    corpus: Annotated[
        str | None,
        typer.Argument(
            metavar="[CORPUS]",
            help="Sentence pairs to browse; with --gold the text of links that have none.",
            show_default=False,
        ),
    ] = None,
    target: TargetFile = None,
    gold: GoldFile = None,
    raw: Raw = False,
    input_format: InputFormat = "auto",
    langs: Langs = None,
    on_error: OnError = "raise",
    given: Given = NOTHING,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="An encoder, or two to compare: a Hub name, a folder, a file, or `sample` for the sample encoder.",
            show_default=False,
            rich_help_panel="Data",
        ),
    ] = None,
    host: Annotated[
        str | None,
        option("Let other machines in, by this address of yours and a token.", "HOST", panel="Server"),
    ] = None,
    port: Annotated[
        int,
        typer.Option(
            metavar="N",
            parser=Number(int, least=0, most=65535),
            help="The port; 0 is any that is free.",
            rich_help_panel="Server",
        ),
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page.", rich_help_panel="Server")
    ] = True,
    device: Device = "auto",
    threads: Threads = None,
    output: Annotated[
        Path | None,
        option(
            "The folder for links that you set by hand; one that was begun is gone on with.",
            "FOLDER",
            None,
            "--output",
            "-o",
            panel="Output",
        ),
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Look at word alignments in your browser: why a word goes where it goes, and put it right.

    [bold]Examples[/bold]

    otkit inspect

    otkit inspect de-en.tsv --model sample --model runs/aligned

    otkit inspect --gold sample_data/gold/de-en.dev.tsv --output runs/annotations
    """
    set_logging(verbose=verbose)
    set_threads(threads)
    from otkit.api.inspect import inspect as serve
    from otkit.cli.stdout import write_data

    def ready(url: str) -> None:
        write_data(f"{url}\n")
        if not quiet:
            typer.echo("the inspector runs; Ctrl-C stops it", err=True)
        if browser:
            import webbrowser

            webbrowser.open(url)

    serve(
        corpus,
        target=target,
        gold=gold,
        raw=raw,
        input_format=input_format,
        langs=langs,
        on_error=on_error,
        models=model or (),
        recipe=given.recipe,
        device=device,
        output=output,
        host=host,
        port=port,
        on_ready=ready,
        on_note=partial(note, quiet=quiet),
        **given.of("alignment"),
    )
