"""`otkit tags`: markup carried to a translation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from otkit.alignment.settings import AlignmentSettings
from otkit.cli.given import NOTHING, Given, takes
from otkit.cli.options import (
    BatchTokens,
    Device,
    Langs,
    Model,
    OnError,
    Overwrite,
    Quiet,
    ResumeOutput,
    Threads,
    Verbose,
    name_option,
    note,
    set_logging,
    set_threads,
)
from otkit.cli.outputs import claim_files
from otkit.cli.project import Links, note_unused
from otkit.cli.values import Ending
from otkit.errors import ConfigError

__all__ = ["tags"]

TAGGED = (".html", ".htm", ".xhtml", ".xml", ".xlf", ".xliff", ".tmx", ".po", ".jsonl", ".txt", ".tsv", ".md")


@takes(alignment=AlignmentSettings)
def tags(
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="HTML, XLIFF, TMX, PO, JSONL, or a string a line.")
    ],
    translation: Annotated[
        str | None,
        typer.Argument(
            metavar="[TRANSLATION]",
            help="Its plain translation, a line for each text. Default: the translations within FILE.",
        ),
    ] = None,
    input_format: Annotated[
        str,
        name_option(
            "auto, lines, jsonl, html, xliff, tmx or po.", "otkit.projection.tagfiles:TAG_FORM_NAMES", "form"
        ),
    ] = "auto",
    syntax: Annotated[
        str,
        name_option(
            "Of strings in lines, JSONL and PO: auto, html, xml, markdown or placeholders.",
            "otkit.projection.markup:SYNTAX_NAMES",
            "syntax",
        ),
    ] = "auto",
    texts: Annotated[
        bool, typer.Option("--texts", help="Write the plain texts of FILE, a line each, to be translated.")
    ] = False,
    links: Links = None,
    langs: Langs = None,
    on_error: OnError = "raise",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            parser=Ending((*TAGGED, ".gz")),
            help="Default: stdout. Packed if it ends in .gz.",
            show_default=False,
        ),
    ] = None,
    resume: ResumeOutput = False,
    overwrite: Overwrite = False,
    model: Model = None,
    given: Given = NOTHING,
    batch_tokens: BatchTokens = None,
    device: Device = "auto",
    threads: Threads = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Put the markup of a text into its plain translation: every tag once, and well-formed.

    [bold]Examples[/bold]

    otkit tags sample_data/markup/page.en.html --texts --output runs/page.en.txt

    otkit tags sample_data/markup/page.en.html sample_data/markup/page.de.txt --output runs/page.de.html
    """
    if texts and (translation is not None or links is not None):
        raise ConfigError("the plain texts need no translation", remedy="leave TRANSLATION and --links out")
    if resume and overwrite:
        raise ConfigError("--resume and --overwrite were given", remedy="give one of them")
    if resume and (output is None or texts or "-" in (source, translation)):
        raise ConfigError("--resume needs files on both ends", remedy="give --output FILE")
    set_logging(verbose=verbose)
    set_threads(threads)
    alignment = given.settings("alignment", AlignmentSettings)
    claim_files(
        {"output": output},
        [source, translation, links, model, given.recipe],
        overwrite=overwrite or resume,
    )
    from otkit.alignment.sink import was_begun
    from otkit.api.project import open_aligner
    from otkit.api.tags import tag_texts
    from otkit.api.tags import tags as carry
    from otkit.cli.progress import counted, last_line, progress_bar
    from otkit.cli.stdout import write_data
    from otkit.cli.stopping import resumable
    from otkit.files import write_file

    if texts:
        plain = tag_texts(source, form=input_format, syntax=syntax, on_error=on_error)
        text = "".join(f"{line}\n" for line in plain)
        if output is None:
            write_data(text)
        else:
            write_file(output, text, overwrite=overwrite)
        last_line(f"wrote {output or 'to stdout'}: {counted(len(plain), 'text')}", quiet=quiet)
        return
    note_unused(links, model, quiet=quiet)
    aligner = (
        None
        if links is not None
        else open_aligner(model, alignment, device=device, batch_tokens=batch_tokens)
    )
    with (
        progress_bar(quiet=quiet) as bar,
        resumable(lambda: output is not None and was_begun(output)),
    ):
        step = bar.step("tags", unit="texts")
        if aligner is not None:
            aligner.on_encoded = step.under_way
        result = carry(
            source,
            translation,
            output,
            links=links,
            langs=langs,
            form=input_format,
            syntax=syntax,
            on_error=on_error,
            resume=resume,
            overwrite=overwrite,
            aligner=aligner,
            on_progress=lambda done, total: step.update(done, total=total),
            note=lambda text: note(text, quiet=quiet),
        )
    if result.finished_before:
        note(f"{output} is finished: nothing to resume", quiet=quiet)
        return
    for error in result.bad[:5]:
        note(f"skipped: {error.where}: {error.what}", quiet=quiet)
    if result.bad:
        note(f"{counted(len(result.bad), 'line')} skipped: their texts have no tags", quiet=False)
    if result.text is not None:
        write_data(result.text)
    last_line(
        f"wrote {output or 'to stdout'}: {result.filled} of {counted(result.units, 'text')} with a translation",
        quiet=quiet,
    )
