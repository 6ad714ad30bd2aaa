"""`otkit extract`: the word alignments of a corpus, a line for each line."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from otkit.alignment.settings import AlignmentSettings
from otkit.cli.extract_support import fingerprint_of, was_finished, watch, write_json
from otkit.cli.given import NOTHING, Given, takes
from otkit.cli.options import (
    Address,
    BatchTokens,
    Device,
    Engine,
    InputFormat,
    JsonPath,
    Model,
    OnError,
    Overwrite,
    Quiet,
    Raw,
    ResumeOutput,
    SourceFile,
    TargetFile,
    Threads,
    Verbose,
    model_place,
    name_option,
    note,
    set_engine,
    set_logging,
    set_threads,
)
from otkit.cli.outputs import claim_files
from otkit.cli.values import PACKED, Name, format_of
from otkit.errors import ConfigError

__all__ = ["extract"]

_ENDINGS = {
    ".align": "pharaoh",
    ".pharaoh": "pharaoh",
    ".txt": "pharaoh",
    ".words": "words",
    ".jsonl": "jsonl",
}


@takes(alignment=AlignmentSettings)
def extract(
    corpus: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="Parallel text, plain or .gz; - is stdin.")
    ] = None,
    source: SourceFile = None,
    target: TargetFile = None,
    input_format: InputFormat = "auto",
    raw: Raw = False,
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
            "pharaoh (i-j, from 0), jsonl or words. Default: by the ending of --output, else pharaoh.",
            "otkit.alignment.lines:LINE_FORMATS",
            "format",
            "--format",
            "-f",
        ),
    ] = None,
    scores: Annotated[bool, typer.Option("--scores", help="Each link's share of mass, in [0, 1].")] = False,
    resume: ResumeOutput = False,
    overwrite: Overwrite = False,
    model: Model = None,
    given: Given = NOTHING,
    precision: Annotated[
        str,
        typer.Option(
            metavar="fp32|bf16|fp16",
            parser=Name("otkit.encoders.device:PRECISIONS", "precision"),
            help="Of the encoder; bf16 is faster where the hardware has it.",
        ),
    ] = "fp32",
    batch_tokens: BatchTokens = None,
    device: Device = "auto",
    threads: Threads = None,
    engine: Engine = "local",
    address: Address = None,
    json_path: JsonPath = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write which words of each sentence pair belong together, one line for each line of a corpus.

    [bold]Examples[/bold]

    otkit extract sample_data/parallel/de-en.dev.tsv --output runs/de-en.align

    otkit extract sample_data/parallel/zh-en.dev.tsv --output runs/zh.jsonl.gz --format jsonl --scores --resume

    cat corpus.tsv | otkit extract - --quiet | head
    """
    shape = _format(format, output)
    place, second = _input(corpus, source, target)
    if resume and (output is None or place == "-"):
        raise ConfigError(
            "--resume needs files on both ends", remedy="name the corpus and give --output FILE"
        )
    set_logging(verbose=verbose)
    set_threads(set_engine(engine, address, threads))
    alignment = given.settings("alignment", AlignmentSettings)
    if resume and overwrite:
        raise ConfigError("--resume and --overwrite were given", remedy="give one of them")
    claim_files(
        {"output": output, "json": json_path}, [place, second, model, given.recipe], overwrite=overwrite or resume
    )
    from otkit.alignment.aligner import WordAligner
    from otkit.alignment.corpus import CorpusStream
    from otkit.alignment.lines import LINE_FORMATS
    from otkit.alignment.sink import Sink
    from otkit.cli.progress import count_lines, counted, last_line, progress_bar
    from otkit.cli.stdout import is_terminal, write_data
    from otkit.cli.stopping import resumable
    from otkit.data.parallel import read_pairs
    from otkit.encoders.device import slow_precision
    from otkit.encoders.open import open_encoder

    records = read_pairs(
        place,
        target=second,
        format=input_format,
        on_error=on_error,
        note=lambda text: note(text, quiet=quiet),
    )
    aligner = WordAligner(
        open_encoder(model, device=device), alignment, batch_tokens=batch_tokens, precision=precision
    )
    if slow := slow_precision(aligner.encoder.device, precision):
        note(slow, quiet=quiet)
    workers = None
    if engine == "ray":
        from otkit.alignment.cluster import align_on_cluster

        workers = align_on_cluster(
            aligner, model=model_place(model), device=device, precision=precision, address=address
        )
    stream = CorpusStream(aligner, LINE_FORMATS[shape], scores=scores, raw=raw, engine=workers)
    fingerprint = fingerprint_of(aligner, (shape, scores, raw, input_format, on_error))
    if resume and output is not None and was_finished(output, fingerprint, records, stream, quiet=quiet):
        return
    total = None if quiet or place == "-" else count_lines([place])
    # Lines on a terminal are progress enough, and a bar between them is none.
    with progress_bar(quiet=quiet or (output is None and is_terminal())) as bar:
        show = watch(bar, aligner, stream, total, quiet=quiet)
        if output is None:
            for piece in stream.pieces(records, {}):
                show(piece)
                if not write_data(piece.text):
                    return
        else:
            with (
                Sink(output, fingerprint=fingerprint, resume=resume, overwrite=overwrite) as sink,
                resumable(sink.begun),
            ):
                set_threads(sink.known.get("threads"))
                for piece in stream.pieces(records, sink.known):
                    sink.write(piece.text, piece.known)
                    show(piece)
                sink.finish({"lines": stream.lines, "sha256": stream.sha256})
    note(stream.spaces.note(place), quiet=quiet)
    if stream.skipped:
        note(f"{stream.skipped} of {stream.lines} lines were skipped: their lines are empty", quiet=False)
    if json_path is not None:
        write_json(json_path, aligner, stream, place, overwrite=overwrite)
    last_line(
        f"wrote {output or 'to stdout'}: {counted(stream.lines, 'line')}, {counted(stream.links, 'link')}",
        then="" if place == "-" or second is not None else f"otkit report {shlex.quote(place)}",
        quiet=quiet,
    )


def _input(corpus: str | None, source: str | None, target: str | None) -> tuple[str, str | None]:
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
            "there is no corpus to align", remedy="name a file, - for stdin, or both of --source and --target"
        )
    return source, target


def _format(format: str | None, output: Path | None) -> str:
    if output is not None and output.suffix.lower() in PACKED:
        raise ConfigError(
            f"received {str(output)!r}, which is not how this command packs",
            remedy="end it in .gz, or leave the ending out",
            setting="output",
        )
    if format is not None:
        return format
    plain = output.with_suffix("") if output is not None and output.suffix.lower() == ".gz" else output
    return format_of(plain, _ENDINGS, default="pharaoh", others=True)
