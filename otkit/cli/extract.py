"""`otkit extract`: the word alignments of a corpus, a line for each line."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otkit.alignment.settings import AlignmentSettings
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
    Precision,
    Quiet,
    Raw,
    ResumeOutput,
    SegmenterName,
    SourceFile,
    TargetFile,
    Threads,
    Verbose,
    name_option,
    note,
    set_engine,
    set_logging,
    set_threads,
)
from otkit.cli.outputs import claim_files, write_document
from otkit.cli.values import Name
from otkit.errors import ConfigError

if TYPE_CHECKING:
    from otkit.api.align import Aligner
    from otkit.data.parallel import BadLine

__all__ = ["extract", "one_input"]

LEVELS = {
    "word": "the links of words, a line for each pair",
    "sentence": "the beads of sentences of two documents, a line for each",
}

_SHOWN_BAD = 5


@takes(alignment=AlignmentSettings)
def extract(
    corpus: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="Parallel text, plain or .gz; - is stdin.")
    ] = None,
    source: SourceFile = None,
    target: TargetFile = None,
    input_format: InputFormat = "auto",
    raw: Raw = False,
    segmenter: SegmenterName = None,
    documents: Annotated[
        bool,
        typer.Option(
            "--documents",
            help="Each line is a pair of documents; in two files blank lines stand between them. Sentences are found.",
            rich_help_panel="Data",
        ),
    ] = False,
    corpus_prior: Annotated[
        bool,
        typer.Option(
            "--corpus-prior",
            help="Read the corpus twice: words that its own links seldom put together are linked less.",
            rich_help_panel="Data",
        ),
    ] = False,
    langs: Langs = None,
    on_error: OnError = "raise",
    given: Given = NOTHING,
    model: Model = None,
    precision: Precision = "fp32",
    batch_tokens: BatchTokens = None,
    device: Device = "auto",
    threads: Threads = None,
    engine: Engine = "local",
    address: Address = None,
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
            "The format: pharaoh (i-j, from 0), jsonl or words. Default: by the ending of --output, else pharaoh.",
            "otkit.alignment.corpus:LINE_FORMATS",
            "format",
            "--format",
            "-f",
            panel="Output",
        ),
    ] = None,
    scores: Annotated[
        bool,
        typer.Option(
            "--scores", help="Write each link's link strength too, in [0, 1].", rich_help_panel="Output"
        ),
    ] = False,
    level: Annotated[
        str,
        typer.Option(
            "--level",
            metavar="word|sentence",
            parser=Name("otkit.cli.extract:LEVELS", "level"),
            help="Link words, or put the sentences of --source and --target (documents) together.",
            rich_help_panel="Output",
        ),
    ] = "word",
    resume: ResumeOutput = False,
    overwrite: Overwrite = False,
    json_path: JsonPath = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write which words of each sentence pair belong together, one line for each line of a corpus.

    [bold]Examples[/bold]

    otkit extract sample_data/parallel/de-en.dev.tsv --output runs/de-en.align

    otkit extract sample_data/parallel/fr-en.dev.tsv --documents | head

    otkit extract sample_data/parallel/zh-en.dev.tsv --output runs/zh.jsonl.gz --format jsonl --scores --resume

    cat corpus.tsv | otkit extract - --quiet | head
    """
    place, second = one_input(corpus, source, target)
    set_logging(verbose=verbose)
    set_threads(set_engine(engine, address, threads))
    if level == "sentence":
        unused = {
            "raw": raw,
            "segmenter": segmenter,
            "documents": documents,
            "corpus_prior": corpus_prior,
            "format": format,
            "scores": scores,
            "resume": resume,
            "json_path": json_path,
            "input_format": input_format != "auto",
            "on_error": on_error != "raise",
            "engine": engine != "local",
            "recipe": given.recipe,
        }
        for name in (*(name for name, value in unused.items() if value), *given.of("alignment")):
            raise ConfigError("beads of sentences have no use for it", remedy="leave it out", setting=name)
        if second is None:
            raise ConfigError(
                "two documents are needed", remedy="give --source and --target", setting="level"
            )
    from otkit.alignment.corpus import check_extraction
    from otkit.alignment.sink import was_begun
    from otkit.api.align import Aligner
    from otkit.cli.progress import count_lines, counted, last_line, progress_bar
    from otkit.cli.stdout import is_terminal
    from otkit.cli.stopping import resumable

    shape = ""
    if level == "word":
        shape = check_extraction(place, output, format=format, resume=resume, overwrite=overwrite)
    outputs = {"output": output, "json": json_path}
    inputs = [place, second, model, given.recipe]
    claim_files(outputs, inputs, overwrite=overwrite or resume, but=["output"])
    aligner = Aligner(
        model,
        recipe=given.recipe,
        batch_tokens=batch_tokens,
        precision=precision,
        device=device,
        langs=langs,
        on_note=lambda text: note(text, quiet=quiet),
        **given.of("alignment"),
    )
    if second is not None and level == "sentence":
        _write_beads(aligner, place, second, output, overwrite=overwrite, quiet=quiet)
        return
    named = 0

    def name_bad(bad: BadLine) -> None:
        nonlocal named
        named += 1
        if named <= _SHOWN_BAD:
            note(f"skipped: {bad.error.where}: {bad.error.what}", quiet=quiet)

    total = None if quiet or documents or place == "-" else count_lines([place])
    unit, record = ("sentences", "document") if documents else ("lines", "line")
    # Lines on a terminal are progress enough, and a bar between them is none.
    with progress_bar(quiet=quiet or (output is None and is_terminal())) as bar:
        # The first pass has the bar to itself, and then the second.
        steps = {"count": bar.step("count", unit="pairs")} if corpus_prior else {}

        def on_progress(done: int, known: int | None) -> None:
            if "extract" not in steps:
                steps["extract"] = bar.step("extract", unit=unit, total=total, alone=True)
            steps["extract"].reached(done, known)

        try:
            with resumable(lambda: output is not None and was_begun(output)):
                done = aligner.extract(
                    place,
                    output=output or _Stdout(),
                    target=second,
                    format=shape,
                    scores=scores,
                    raw=segmenter or raw,
                    documents=documents,
                    corpus_prior=corpus_prior,
                    input_format=input_format,
                    on_error=on_error,
                    resume=resume,
                    overwrite=overwrite,
                    engine=engine,
                    address=address,
                    on_progress=on_progress,
                    on_counted=lambda done, most: steps["count"].reached(done, most),
                    on_note=lambda text: note(text, quiet=quiet),
                    on_bad_line=name_bad,
                )
        except _NobodyReadsError:
            return
    if done.finished_before:
        known = done.links is not None
        said = "finished before: nothing to resume" if known else "complete; what made it is not known here"
        note(f"{output} is {said}", quiet=quiet and known)
        if not known:
            return
    elif done.skipped:
        note(f"{done.skipped} of {done.lines} {record}s were skipped: their lines are empty", quiet=False)
    if json_path is not None:
        figures = {
            "model": aligner.encoder.name,
            "layers": list(aligner.layers),
            "aligner": aligner.used(),
            "units": aligner.settings.units(),
            "input": {
                "name": place,
                "lines": done.lines,
                "skipped": done.skipped,
                "sha256": done.sha256,
            },
            **({} if done.counted is None else {"corpus_prior": {"pairs": done.counted}}),
        }
        write_document(json_path, figures, overwrite=overwrite)
    if done.finished_before:
        return
    last_line(
        f"wrote {output or 'to stdout'}: {counted(done.lines, record)}, {counted(done.links or 0, 'link')}",
        then="" if place == "-" or documents or second is not None else f"otkit report {shlex.quote(place)}",
        quiet=quiet,
    )


class _NobodyReadsError(Exception):
    """Whoever read stdout has gone (`| head`)."""


class _Stdout:
    """stdout, for lines as they come."""

    def write(self, text: str) -> None:
        from otkit.cli.stdout import write_data

        if not write_data(text):
            raise _NobodyReadsError


def _write_beads(
    aligner: Aligner, source: str, target: str, output: Path | None, *, overwrite: bool, quiet: bool
) -> None:
    """Which sentences of two documents are translations: a bead a line, in Vecalign's form."""
    from otkit.cli.progress import counted, last_line, progress_bar
    from otkit.cli.stdout import write_data

    with progress_bar(quiet=quiet) as bar:
        told = bar.step("extract", unit="sentences").reached
        found = aligner.extract_beads(
            source,
            target,
            output=output,
            overwrite=overwrite,
            on_progress=told,
            on_note=lambda text: note(text, quiet=quiet),
        )
    if output is None:
        write_data(found.text)
    last_line(f"wrote {output or 'to stdout'}: {counted(len(found.beads), 'bead')}", quiet=quiet)


def one_input(corpus: str | None, source: str | None, target: str | None) -> tuple[str, str | None]:
    """The first file, and the second of two line-aligned ones."""
    if corpus is not None and (source is not None or target is not None):
        raise ConfigError(
            "a corpus and --source or --target were given",
            remedy="give one file, or both of --source and --target",
        )
    if corpus is not None:
        return corpus, None
    if source is None or target is None:
        raise ConfigError(
            "there is no corpus", remedy="name a file, - for stdin, or both of --source and --target"
        )
    return source, target
