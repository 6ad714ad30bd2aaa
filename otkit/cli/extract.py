"""`otkit extract`: the word alignments of a corpus, a line for each line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otkit.cli.aligning import (
    Center,
    Distortion,
    Epsilon,
    EpsilonRelative,
    Null,
    Strategy,
    Tau,
    Threshold,
    Transport,
    Weights,
    WordVector,
)
from otkit.cli.options import (
    BatchTokens,
    Device,
    JsonPath,
    Layer,
    Model,
    OnError,
    Quiet,
    Threads,
    Verbose,
    parse_layers,
    set_logging,
    set_threads,
)
from otkit.errors import ConfigError, choose

if TYPE_CHECKING:
    from rich.progress import Progress

    from otkit.extraction.aligner import WordAligner
    from otkit.extraction.config import AlignerConfig
    from otkit.extraction.corpus import CorpusStream, Piece

__all__ = ["extract"]

FORMATS = ("pharaoh", "jsonl", "words")
_SHOWN_BAD = 5


def _option(help_text: str, metavar: str) -> Any:
    return typer.Option(metavar=metavar, help=help_text, show_default=False)


def extract(
    corpus: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="Parallel text, plain or .gz; - is stdin.")
    ] = None,
    source: Annotated[str | None, _option("Source side of two line-aligned files.", "FILE")] = None,
    target: Annotated[str | None, _option("Target side of two line-aligned files.", "FILE")] = None,
    input_format: Annotated[
        str, typer.Option("--input-format", metavar="NAME", help="auto, tsv, bars (' ||| '), jsonl or files.")
    ] = "auto",
    raw: Annotated[
        bool, typer.Option("--raw", help="Raw text: find its words first, in any script.")
    ] = False,
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
        str, typer.Option("--format", "-f", metavar="NAME", help="pharaoh (i-j, from 0), jsonl or words.")
    ] = "pharaoh",
    scores: Annotated[bool, typer.Option("--scores", help="Each link's share of mass, in [0, 1].")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the interrupted run that began --output.")
    ] = False,
    model: Model = None,
    config: Annotated[Path | None, _option("Aligner settings that tuning wrote.", "FILE")] = None,
    transport: Transport = None,
    epsilon: Epsilon = None,
    epsilon_relative: EpsilonRelative = None,
    tau: Tau = None,
    null: Null = None,
    strategy: Strategy = None,
    threshold: Threshold = None,
    layer: Layer = None,
    word_vector: WordVector = None,
    weights: Weights = None,
    center: Center = None,
    distortion: Distortion = None,
    precision: Annotated[
        str,
        typer.Option(
            metavar="fp32|bf16|fp16", help="Of the encoder; bf16 is faster where the hardware has it."
        ),
    ] = "fp32",
    batch_tokens: BatchTokens = None,
    device: Device = "auto",
    threads: Threads = None,
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
    choose(format, dict.fromkeys(FORMATS), what="format")
    place, second = _input(corpus, source, target)
    if resume and (output is None or place == "-"):
        raise ConfigError(
            "--resume needs files on both ends", remedy="name the corpus and give --output FILE"
        )
    set_logging(verbose=verbose)
    set_threads(threads)
    given = {
        "transport": transport,
        "epsilon": epsilon,
        "epsilon_relative": epsilon_relative,
        "tau": tau,
        "null": null,
        "strategy": strategy,
        "threshold": threshold,
        "word_vector": word_vector,
        "weights": weights,
        "center": center,
        "distortion": distortion,
    }
    settings = _settings(config, {**given, "layers": parse_layers(layer)})
    if resume and output is not None and output.exists() and not _unfinished(output):
        _note(f"{output} is finished: nothing to resume (delete it to start again)", quiet=quiet)
        return

    from otkit.cli.progress import progress_bar
    from otkit.data.parallel import read_pairs
    from otkit.encoders.checkpoint import open_encoder
    from otkit.extraction.aligner import WordAligner
    from otkit.extraction.corpus import CorpusStream
    from otkit.extraction.lines import LINE_FORMATS
    from otkit.extraction.sink import Sink

    records = read_pairs(place, target=second, format=input_format, on_error=on_error)
    aligner = WordAligner(
        open_encoder(model, device=device), settings, batch_tokens=batch_tokens, precision=precision
    )
    stream = CorpusStream(aligner, LINE_FORMATS[format], scores=scores, raw=raw)
    total = None if quiet or place == "-" else _count_lines(Path(place))
    with progress_bar(quiet=quiet) as bar:
        show = _watch(bar, stream, total, quiet=quiet)
        if output is None:
            for piece in stream.pieces(records, {}):
                show(piece)
                if not _to_stdout(piece.text):
                    return
        else:
            fingerprint = _fingerprint(aligner, place, second, (format, scores, raw, input_format, on_error))
            with Sink(output, fingerprint=fingerprint, resume=resume) as sink:
                set_threads(sink.known.get("threads"))
                for piece in stream.pieces(records, sink.known):
                    sink.write(piece.text, piece.known)
                    show(piece)
                sink.finish()
    if stream.skipped:
        _note(f"{stream.skipped} of {stream.lines} lines were skipped: their lines are empty", quiet=False)
    if json_path is not None:
        _write_json(json_path, aligner, stream, place)


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


def _settings(path: Path | None, given: dict[str, Any]) -> AlignerConfig:
    """The settings of --config, or the defaults, with those of the command line on top."""
    from dataclasses import replace

    from otkit.evaluation.tuning import read_aligner_config
    from otkit.extraction.config import AlignerConfig

    base = AlignerConfig() if path is None else read_aligner_config(path)
    return replace(base, **{name: value for name, value in given.items() if value is not None})


def _unfinished(output: Path) -> bool:
    return output.with_name(output.name + ".state").exists()


def _fingerprint(
    aligner: WordAligner, place: str, second: str | None, rest: tuple[object, ...]
) -> dict[str, Any]:
    """What must be the same for a run to go on."""
    from otkit import __version__
    from otkit.evaluation.protocol import encoder_fingerprint

    return {
        "version": __version__,
        "encoder": encoder_fingerprint(aligner.encoder),
        "settings": aligner.config.to_dict(),
        "layers": list(aligner.layers),
        "batch-tokens": aligner.batch_tokens,
        "precision": str(aligner.precision),
        "window": aligner.window,
        "input": [place, second],
        "format": list(rest),
    }


def _watch(bar: Progress, stream: CorpusStream, total: int | None, *, quiet: bool) -> Callable[[Piece], None]:
    """Moves the bar with its rate, and names the first bad lines."""
    import time

    task = bar.add_task("extract", total=total, text="")
    begun, first, named = time.perf_counter(), 0, 0

    def show(piece: Piece) -> None:
        nonlocal first, named
        if stream.lines == piece.lines or first == 0:
            first = stream.lines - piece.lines  # lines of an earlier run do not count for the rate
        rate = (stream.lines - first) / (time.perf_counter() - begun)
        bar.update(task, completed=stream.lines, text=f"{rate:.0f} pairs/s")
        for bad in piece.bad[: max(0, _SHOWN_BAD - named)]:
            _note(f"skipped: {bad.error.where}: {bad.error.what}", quiet=quiet)
        named += len(piece.bad)

    return show


def _count_lines(path: Path) -> int | None:
    """Lines of a plain file, for the remaining time; None for a packed one."""
    try:
        with path.open("rb") as file:
            if file.read(2) == b"\x1f\x8b":
                return None
            file.seek(0)
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) or None
    except OSError:
        return None


def _to_stdout(text: str) -> bool:
    """Whether the reader of the pipe still listens."""
    try:
        sys.stdout.buffer.write(text.encode("utf-8", "surrogatepass"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # The interpreter flushes stdout at exit and would complain: give it somewhere to write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def _write_json(path: Path, aligner: WordAligner, stream: CorpusStream, place: str) -> None:
    import json

    from otkit.cli.evaluate_support import write_output
    from otkit.provenance import versions

    document = {
        "command": "extract",
        "versions": versions(),
        "model": aligner.encoder.name,
        "layers": list(aligner.layers),
        "aligner": aligner.config.to_dict(),
        "input": {"name": place, "lines": stream.lines, "skipped": stream.skipped, "sha256": stream.sha256},
    }
    write_output(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def _note(text: str, *, quiet: bool) -> None:
    if not quiet:
        typer.echo(f"note: {text}", err=True)
