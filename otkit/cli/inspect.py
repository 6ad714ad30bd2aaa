"""`otkit inspect`: the live page, on this machine alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otkit.alignment.settings import AlignmentSettings
from otkit.cli.given import NOTHING, Given, takes
from otkit.cli.options import (
    Device,
    InputFormat,
    Langs,
    OnError,
    Quiet,
    Raw,
    TargetFile,
    Threads,
    Verbose,
    note_corpus,
    option,
    set_logging,
    set_threads,
)
from otkit.cli.outputs import enter
from otkit.cli.values import Number
from otkit.errors import ConfigError
from otkit.files import check_growing, hold

if TYPE_CHECKING:
    from otkit.encoders.encoder import Encoder
    from otkit.inspector.corpus import Line

__all__ = ["inspect"]


@takes(alignment=AlignmentSettings)
def inspect(
    corpus: Annotated[
        str | None,
        typer.Argument(
            metavar="[CORPUS]", help="Sentence pairs to browse. Not with --gold.", show_default=False
        ),
    ] = None,
    target: TargetFile = None,
    gold: Annotated[
        str | None,
        option("Pairs with links made by hand: source<TAB>target<TAB>links.", "FILE", panel="Data"),
    ] = None,
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
    if corpus is not None and gold is not None:
        raise ConfigError("a corpus and --gold are given", remedy="leave one of them out")
    if gold is not None and (raw or target is not None):
        raise ConfigError(
            "--gold holds both sentences and their words", remedy="leave --raw and --target out"
        )
    if output is not None:
        check_growing(output, "annotations", inputs=[corpus, target, gold, *(model or ())])
        enter(hold(output))
    set_logging(verbose=verbose)
    set_threads(threads)
    config = given.settings("alignment", AlignmentSettings)
    lines = _lines(corpus or gold, target, gold=gold is not None, raw=raw, input_format=input_format, langs=langs,
                   on_error=on_error, quiet=quiet)  # fmt: skip
    from otkit.cli.stdout import write_data
    from otkit.inspector.annotations import Annotations
    from otkit.inspector.models import Models
    from otkit.inspector.server import listen, serve
    from otkit.inspector.session import Session

    address, opened = listen(host, port)
    models = Models.of(_encoders(model or [], device=device), config)
    for name in models.names:
        models.aligner(name, {})  # a layer that it does not have is said now
    annotations = None if output is None else Annotations(output)
    session = Session.of(models, name=Path(corpus or gold or "").name, lines=lines, annotations=annotations)

    def ready(url: str) -> None:
        write_data(f"{url}\n")
        if not quiet:
            typer.echo("the inspector runs; Ctrl-C stops it", err=True)
        if browser:
            import webbrowser

            webbrowser.open(url)

    serve(session, address, opened, on_ready=ready)


def _encoders(names: list[str], *, device: str) -> dict[str, Encoder]:
    """Encoders under the names that the page gives them."""
    from otkit.encoders.open import open_encoder

    if len(names) > 2:
        raise ConfigError(f"received {len(names)} models", remedy="give one or two", setting="model")
    opened = [(name, open_encoder(None if name == "sample" else name, device=device)) for name in names]
    opened = opened or [("", open_encoder(None, device=device))]
    own = [encoder.name for _, encoder in opened]
    found = {(encoder.name if own.count(encoder.name) == 1 else given): encoder for given, encoder in opened}
    if len(found) < len(opened):
        raise ConfigError("both models are the same", remedy="name another", setting="model")
    return found


def _lines(
    file: str | None,
    target: str | None,
    *,
    gold: bool,
    raw: bool,
    input_format: str,
    langs: str | None,
    on_error: str,
    quiet: bool,
) -> Sequence[Line]:
    """The pairs to browse; none where no corpus is given."""
    from otkit.data.gold import read_gold
    from otkit.data.parallel import open_corpus
    from otkit.inspector.corpus import Line, TextLines

    if file is None:
        return []
    if gold:
        pairs = read_gold(file, format="tsv", on_error=on_error)
        note_corpus(pairs, quiet=quiet)
        return [Line(pair.line, pair.source, pair.target, pair) for pair in pairs]
    texts = open_corpus(file, target=target, format=input_format, langs=langs, on_error=on_error)
    note_corpus(texts, quiet=quiet, raw=raw)
    return TextLines(texts, raw=raw)
