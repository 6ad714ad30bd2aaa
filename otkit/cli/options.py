"""Options that several commands share: one spelling, one help text, one meaning."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otkit.cli.messages import with_options
from otkit.errors import ConfigError, choose

if TYPE_CHECKING:
    from otkit.data.gold import GoldSet
    from otkit.data.parallel import ParallelCorpus
    from otkit.training.supervision import GoldCorpus

__all__ = [
    "Address",
    "BatchTokens",
    "Device",
    "Engine",
    "Format",
    "InputFormat",
    "JsonPath",
    "Langs",
    "Layer",
    "Model",
    "OnError",
    "Overwrite",
    "Quiet",
    "Raw",
    "ResumeOutput",
    "Seed",
    "SourceFile",
    "TargetFile",
    "Threads",
    "Verbose",
    "model_place",
    "note",
    "note_corpus",
    "option",
    "parse_layers",
    "parse_numbers",
    "set_engine",
    "set_logging",
    "set_threads",
]

_ENGINES = {"local": "this process", "ray": "the workers of a Ray cluster"}

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="A Hub name, a folder (transformers, sentence-transformers, exported ONNX or GGUF) or a .gguf file. "
        "Default: the sample encoder.",
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option("--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps.")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", metavar="N", min=1, help="CPU threads. Default: all allowed cores.", show_default=False
    ),
]
BatchTokens = Annotated[
    int | None,
    typer.Option(
        "--batch-tokens",
        metavar="N",
        min=1,
        help="Most padded subwords in one forward pass.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of every random choice.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the logs of the libraries underneath.")]
JsonPath = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="PATH",
        help="Write the figures with config, versions and hashes.",
        show_default=False,
    ),
]
Format = Annotated[
    str,
    typer.Option("--format", metavar="NAME", help="Input format: auto, tsv, bars (' ||| '), jsonl or files."),
]
Langs = Annotated[
    str | None,
    typer.Option(
        metavar="XX-YY", help="Languages of the input, where its name does not say.", show_default=False
    ),
]
SourceFile = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Source side of two line-aligned files.", show_default=False),
]
TargetFile = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Target side of two line-aligned files.", show_default=False),
]
InputFormat = Annotated[
    str, typer.Option("--input-format", metavar="NAME", help="auto, tsv, bars (' ||| '), jsonl or files.")
]
Raw = Annotated[bool, typer.Option("--raw", help="Raw text: find its words first, in any script.")]
ResumeOutput = Annotated[
    bool, typer.Option("--resume", help="Go on with the interrupted run that began --output.")
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace what stands at the output, even if otkit did not make it."),
]
OnError = Annotated[
    str, typer.Option("--on-error", metavar="raise|skip", help="What to do with a line that cannot be used.")
]
Engine = Annotated[
    str, typer.Option(metavar="local|ray", help="This process, or the workers of a Ray cluster (same bytes).")
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Of the Ray cluster; auto finds it. Default: one of this machine alone.",
        show_default=False,
    ),
]
Layer = Annotated[
    str | None,
    typer.Option(
        metavar="N[,N...]",
        help="Hidden states to use, averaged; negative counts from the end.",
        show_default=False,
    ),
]


def option(help_text: str, metavar: str) -> Any:
    """An option that has no default to show."""
    return typer.Option(metavar=metavar, help=help_text, show_default=False)


def model_place(model: str | None) -> str | None:
    """A folder's full path, so that it is found from anywhere; a Hub name stays."""
    return str(Path(model).expanduser().resolve()) if model and Path(model).expanduser().exists() else model


def note(text: str | None, *, quiet: bool) -> None:
    """Say something beside the result, on stderr."""
    if text and not quiet:
        typer.echo(f"note: {with_options(text)}", err=True)


def note_corpus(corpus: ParallelCorpus | GoldSet | GoldCorpus, *, quiet: bool, raw: bool = False) -> None:
    """Say how a corpus was read: its format, what was skipped, and words that other programs count otherwise, which
    raw text has none of."""
    for text in corpus.notes:
        note(text, quiet=quiet)
    note(None if raw else corpus.spaces.note(corpus.name), quiet=quiet)


def parse_layers(text: str | None) -> tuple[int, ...] | None:
    """Layer numbers such as `7`, `6,7` or `-1`."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a list of whole numbers", param_hint="--layer") from None


def parse_numbers(text: str | None, *, option: str) -> tuple[float, ...] | None:
    """Numbers such as `0.5` or `0.1,0.9`."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a list of numbers", param_hint=option) from None


def set_threads(threads: int | None) -> None:
    """Bind torch to this many CPU threads."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def set_engine(name: str, address: str | None, threads: int | None) -> int | None:
    """Check --engine and --address, and give the threads to use: a worker of Ray has one core by default."""
    import os

    choose(name, _ENGINES, what="engine")
    if name == "local":
        if address is not None:
            raise ConfigError("--address is that of a Ray cluster", remedy="add --engine ray")
        return threads
    # Ray would report its use over the network.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    return threads or 1


def set_logging(*, verbose: bool) -> None:
    """Silence the libraries underneath, or let them speak on stderr."""
    import logging
    import warnings

    import transformers

    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if verbose:
        logging.basicConfig(level=logging.INFO)
        transformers.utils.logging.set_verbosity_info()  # type: ignore[no-untyped-call]
    else:
        warnings.simplefilter("ignore")
        transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
