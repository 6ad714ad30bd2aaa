"""`otkit lexicon`: which words of a corpus belong together, and looking one up."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otkit.alignment.settings import AlignmentSettings
from otkit.cli.command import refuse_given
from otkit.cli.given import NOTHING, Given, takes
from otkit.cli.options import (
    Address,
    BatchTokens,
    Device,
    Engine,
    InputFormat,
    JsonPath,
    Langs,
    Model,
    OnError,
    Overwrite,
    Quiet,
    Raw,
    ResumeOutput,
    SegmenterName,
    SourceFile,
    TargetFile,
    Threads,
    Verbose,
    model_place,
    name_option,
    note,
    option,
    set_engine,
    set_logging,
    set_threads,
)
from otkit.cli.outputs import claim_files, write_document
from otkit.cli.project import Links, note_unused
from otkit.cli.values import Number
from otkit.errors import ConfigError, InputError
from otkit.files import format_of
from otkit.projection.settings import LEXICON_ENDINGS, LexiconSettings

if TYPE_CHECKING:
    from otkit.data.parallel import BadLine

__all__ = ["lexicon"]

_SHOWN_BAD = 5


@takes(alignment=AlignmentSettings, lexicon=LexiconSettings)
def lexicon(
    corpus: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]",
            help="Parallel text, plain or .gz; - is stdin. With --look-up: a lexicon, .sqlite.",
        ),
    ] = None,
    look_up: Annotated[
        str | None,
        typer.Option(metavar="WORD", help="Show the entries of a word or phrase.", show_default=False),
    ] = None,
    most: Annotated[
        Any,
        option("With --look-up: the most entries to show.", "N", Number(int, least=1), "--most", "-k"),
    ] = 20,
    source: SourceFile = None,
    target: TargetFile = None,
    input_format: InputFormat = "auto",
    langs: Langs = None,
    raw: Raw = False,
    segmenter: SegmenterName = None,
    links: Links = None,
    on_error: OnError = "raise",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Default: stdout. Packed if it ends in .gz.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        str | None,
        name_option(
            "tsv, jsonl, tbx, shortlist (lex.s2t and lex.t2s), sqlite or html. Default: by the ending of --output,"
            " else tsv.",
            "otkit.projection.lexicon_files:LEXICON_FORM_NAMES",
            "format",
            "--format",
            "-f",
        ),
    ] = None,
    resume: ResumeOutput = False,
    overwrite: Overwrite = False,
    model: Model = None,
    given: Given = NOTHING,
    batch_tokens: BatchTokens = None,
    device: Device = "auto",
    threads: Threads = None,
    engine: Engine = "local",
    address: Address = None,
    json_path: JsonPath = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Count which words of a corpus belong together: a bilingual lexicon with probabilities and examples.

    [bold]Examples[/bold]

    otkit lexicon sample_data/parallel/de-en.dev.tsv --output runs/lexicon.sqlite

    otkit lexicon sample_data/parallel/de-en.dev.tsv --phrases 3 --min-count 2 --output runs/phrases.tsv
    """
    if look_up is not None:
        refuse_given(
            ("source", "target", "input_format", "raw", "segmenter", "links", "langs", "on_error", "output"),
            "words are looked up in a lexicon that is there, and shown",
        )
        refuse_given(("format", "json_path", "resume", "overwrite", "model"), "nothing is counted or written")
        _show(look_up, corpus, most)
        return
    refuse_given(("most",), "it is about --look-up")
    if resume and overwrite:
        raise ConfigError("--resume and --overwrite were given", remedy="give one of them")
    if resume and (output is None or corpus == "-"):
        raise ConfigError("--resume needs files on both ends", remedy="give --output FILE")
    place = corpus or source
    if (
        place is None
        or (corpus is not None and source is not None)
        or (source is not None and target is None)
    ):
        raise ConfigError(
            "there is no corpus to count", remedy="name a file, - for stdin, or both of --source and --target"
        )
    shape = format or format_of(output, LEXICON_ENDINGS, default="tsv")
    set_logging(verbose=verbose)
    set_threads(set_engine(engine, address, threads))
    alignment = given.settings("alignment", AlignmentSettings)
    settings = given.settings("lexicon", LexiconSettings)
    from otkit.api.lexicon import lexicon as count
    from otkit.api.lexicon import lexicon_begun, shortlist_files, with_weak_links
    from otkit.api.project import open_aligner
    from otkit.cli.progress import count_lines, counted, last_line, progress_bar
    from otkit.cli.stdout import write_data
    from otkit.cli.stopping import resumable

    outputs: dict[str, Path | None] = {"output": output, "json": json_path}
    if shape == "shortlist" and output is not None:
        outputs["output"], outputs["reverse"] = shortlist_files(output)
    claim_files(outputs, [place, target, links, model, given.recipe], overwrite=overwrite or resume)
    note_unused(links, model, quiet=quiet)
    aligner = workers = None
    if links is None:
        alignment = with_weak_links(alignment, settings)
        aligner = open_aligner(model, alignment, device=device, batch_tokens=batch_tokens)
        if engine == "ray":
            from otkit.alignment.cluster import align_on_cluster

            workers = align_on_cluster(aligner, model=model_place(model), device=device, address=address)
    bad: list[BadLine] = []
    with progress_bar(quiet=quiet) as bar, resumable(lambda: lexicon_begun(output, shape)):
        step = bar.step(
            "lexicon", unit="lines", total=None if quiet or place == "-" else count_lines([place])
        )
        if aligner is not None:
            aligner.on_encoded = step.under_way
        result = count(
            place,
            output,
            target=target,
            links=links,
            form=shape,
            input_format=input_format,
            raw=segmenter or raw,
            langs=langs,
            on_error=on_error,
            resume=resume,
            overwrite=overwrite,
            settings=settings,
            aligner=aligner,
            engine=workers,
            note=lambda text: note(text, quiet=quiet),
            on_bad_line=bad.append,
            on_progress=step.update,
        )
    for each in bad[:_SHOWN_BAD]:
        note(f"skipped: {each.error.where}: {each.error.what}", quiet=quiet)
    if result.text is not None:
        write_data(result.text)
    if result.skipped:
        note(f"{counted(result.skipped, 'line')} skipped", quiet=False)
    if json_path is not None:
        figures = {
            "model": None if aligner is None else aligner.encoder.name,
            "aligner": None if aligner is None else aligner.used(),
            "lexicon": settings.to_dict(),
            "counts": {"pairs": result.pairs, "skipped": result.skipped, "entries": result.entries},
        }
        write_document(json_path, figures, overwrite=overwrite)
    if result.finished_before:
        note(f"{output} is finished: nothing to resume", quiet=quiet)
        return
    last_line(
        f"wrote {output or 'to stdout'}: {result.entries} entries of {counted(result.pairs, 'sentence pair')}",
        then=f"otkit lexicon --look-up WORD {shlex.quote(str(output))}" if shape == "sqlite" else "",
        quiet=quiet,
    )


def _show(word: str, place: str | None, most: int) -> None:
    from otkit.cli.stdout import write_data
    from otkit.projection.lexicon import look_up

    if place is None:
        raise ConfigError("there is no lexicon to look in", remedy="name its .sqlite file")
    entries = look_up(Path(place), word, most=most)
    if not entries:
        raise InputError(f"has no entry for {word!r}", where=place, remedy="try another form of the word")
    for entry in entries:
        write_data(
            f"{entry.source}\t{entry.target}\t{entry.count}\t{entry.target_given_source:.3f}"
            f"\t{entry.source_given_target:.3f}\n"
        )
        for example in entry.examples:
            write_data(f"    {example.line}: {example.source} | {example.target}\n")
