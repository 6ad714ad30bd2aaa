"""Options that several commands share: one spelling, one help text, one meaning."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otkit.cli.command import with_options
from otkit.cli.stdout import printable
from otkit.cli.values import Ending, Name, Number, device_name
from otkit.errors import ConfigError

if TYPE_CHECKING:
    from otkit.data.gold import GoldSet
    from otkit.data.parallel import ParallelCorpus
    from otkit.data.segmentation import RawText
    from otkit.training.supervision import GoldCorpus

__all__ = [
    "Address",
    "BatchTokens",
    "Compare",
    "Device",
    "Engine",
    "GoldFile",
    "InputFormat",
    "JsonPath",
    "Langs",
    "Model",
    "OnError",
    "Overwrite",
    "Precision",
    "Public",
    "Quiet",
    "Raw",
    "ResumeOutput",
    "Seed",
    "SourceFile",
    "TargetFile",
    "Threads",
    "Verbose",
    "model_place",
    "name_option",
    "note",
    "note_corpus",
    "option",
    "set_engine",
    "set_logging",
    "set_threads",
]

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="A Hub name, a folder (transformers, sentence-transformers, exported ONNX or GGUF) or a .gguf file. "
        "Default: the sample encoder.",
        show_default=False,
        rich_help_panel="Data",
    ),
]
Compare = Annotated[
    str | None,
    typer.Option(
        "--compare",
        metavar="MODEL",
        help="A second encoder to show beside the first; `sample` is the sample encoder.",
        show_default=False,
        rich_help_panel="Data",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="DEVICE",
        parser=device_name,
        help="auto, cpu, cuda, cuda:N or mps.",
        rich_help_panel="Run",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        parser=Number(int, least=1, most=1024),
        help="CPU threads. Default: all allowed cores.",
        show_default=False,
        rich_help_panel="Run",
        hidden=True,
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        metavar="fp32|bf16|fp16|int8",
        parser=Name("otkit.encoders.device:PRECISIONS", "precision"),
        help="The precision of the encoder: bf16 is faster where the hardware has it, int8 on most CPUs (otkit cache).",
        rich_help_panel="Run",
        hidden=True,
    ),
]
BatchTokens = Annotated[
    int | None,
    typer.Option(
        "--batch-tokens",
        metavar="N",
        parser=Number(int, least=1, none=True),
        help="Most padded subwords in one forward pass.",
        show_default=False,
        rich_help_panel="Run",
        hidden=True,
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="N",
        parser=Number(int, least=0, most=2**32 - 1),
        help="Seed of every random choice.",
        rich_help_panel="Run",
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Show no progress on stderr.", rich_help_panel="Run")
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Show the logs of the libraries underneath.",
        rich_help_panel="Run",
        hidden=True,
    ),
]
JsonPath = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="PATH",
        parser=Ending((".json",)),
        help="Write the figures with settings, versions and hashes.",
        show_default=False,
        rich_help_panel="Output",
    ),
]
Langs = Annotated[
    str | None,
    typer.Option(
        metavar="XX-YY",
        help="Languages of the input, where its name does not say.",
        show_default=False,
        rich_help_panel="Data",
    ),
]
SourceFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Source side of two line-aligned files.",
        show_default=False,
        rich_help_panel="Data",
    ),
]
TargetFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Target side of two line-aligned files.",
        show_default=False,
        rich_help_panel="Data",
    ),
]
InputFormat = Annotated[
    str,
    typer.Option(
        "--input-format",
        metavar="NAME",
        parser=Name("otkit.data.parallel:FORMATS", "input format"),
        help="auto, tsv, bars (' ||| '), jsonl or files.",
        rich_help_panel="Data",
        hidden=True,
    ),
]
GoldFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Pairs with links made by hand: source<TAB>target<TAB>links.",
        show_default=False,
        rich_help_panel="Data",
    ),
]
Raw = Annotated[
    bool,
    typer.Option("--raw", help="Find the words of raw text, in any script.", rich_help_panel="Data"),
]
SegmenterName = Annotated[
    str | None,
    typer.Option(
        "--segmenter",
        metavar="NAME",
        parser=Name("otkit.data.segmentation:SEGMENTERS", "segmenter"),
        help="What finds the words of raw text: icu, jieba (Chinese), sudachi (Japanese), newmm (Thai). "
        "Default: for each language the one that is installed, else icu.",
        show_default=False,
        rich_help_panel="Data",
        hidden=True,
    ),
]
ResumeOutput = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with the interrupted run that began --output.",
        rich_help_panel="Output",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace what stands at the output, even if otkit did not make it.",
        rich_help_panel="Output",
    ),
]
Public = Annotated[
    bool,
    typer.Option("--public", help="Let everybody see what is pushed.", rich_help_panel="Output", hidden=True),
]
OnError = Annotated[
    str,
    typer.Option(
        "--on-error",
        metavar="raise|skip",
        parser=Name("otkit.data.lines:ON_ERROR", "way to treat bad lines"),
        help="What to do with a line that cannot be used.",
        rich_help_panel="Data",
        hidden=True,
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        metavar="local|ray",
        parser=Name("otkit.cluster:ENGINES", "engine"),
        help="This process, or the workers of a Ray cluster (same bytes).",
        rich_help_panel="Run",
        hidden=True,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Of the Ray cluster; auto finds it. Default: one of this machine alone.",
        show_default=False,
        rich_help_panel="Run",
        hidden=True,
    ),
]


def option(
    help_text: str,
    metavar: str,
    parser: Callable[[Any], Any] | None = None,
    *names: str,
    panel: str | None = None,
) -> Any:
    """An option that has no default to show; `names` where it is not spelt as its parameter."""
    return typer.Option(
        *names,
        metavar=metavar,
        help=help_text,
        parser=parser,
        show_default=False,
        rich_help_panel=panel,
    )


def name_option(
    help_text: str, table: str, what: str, *names: str, metavar: str = "NAME", panel: str | None = None
) -> Any:
    """An option that takes a name of a table."""
    return option(help_text, metavar, Name(table, what), *names, panel=panel)


def model_place(model: str | None) -> str | None:
    """A folder's full path, so that it is found from anywhere; a Hub name stays."""
    return str(Path(model).expanduser().resolve()) if model and Path(model).expanduser().exists() else model


def note(text: str | None, *, quiet: bool) -> None:
    """Say something beside the result, on stderr."""
    if text and not quiet:
        typer.echo(f"note: {printable(with_options(text))}", err=True)


def note_corpus(corpus: ParallelCorpus | GoldSet | GoldCorpus, *, quiet: bool, raw: RawText = False) -> None:
    """Say how a corpus was read: its format, what was skipped, and words that other programs count otherwise, which
    raw text has none of."""
    for text in corpus.notes:
        note(text, quiet=quiet)
    if not raw:
        for text in corpus.spaces.notes(corpus.name):
            note(text, quiet=quiet)


def set_threads(threads: int | None) -> None:
    """Bind torch to this many CPU threads."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def set_engine(name: str, address: str | None, threads: int | None) -> int | None:
    """Check that --address has a cluster, and give the threads to use: a worker of Ray has one core by default."""
    import os

    if name == "local":
        if address is not None:
            raise ConfigError(
                f"received {address!r}, the address of a Ray cluster",
                remedy="add --engine ray",
                setting="address",
            )
        return threads
    # Ray would report its use over the network.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    return threads or 1


def set_logging(*, verbose: bool) -> None:
    """Silence the libraries underneath, or let them speak on stderr; none is imported for it."""
    import logging
    import os
    import warnings

    if verbose:
        logging.basicConfig(level=logging.INFO)
    else:
        warnings.simplefilter("ignore")
    # Read by the libraries when they are first imported.
    os.environ["TRANSFORMERS_VERBOSITY"] = "info" if verbose else "error"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    if "transformers" in sys.modules:
        from transformers.utils import logging as of_transformers

        of_transformers.disable_progress_bar()  # type: ignore[no-untyped-call]
        of_transformers.set_verbosity(logging.INFO if verbose else logging.ERROR)
