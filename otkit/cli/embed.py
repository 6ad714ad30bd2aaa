"""`otkit embed`: corpora to vectors with an index, and questions to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otkit.cli.command import given_options
from otkit.cli.options import (
    Address,
    BatchTokens,
    Device,
    Engine,
    JsonPath,
    Langs,
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
    option,
    set_engine,
    set_logging,
    set_threads,
)
from otkit.cli.outputs import claim_files, claim_folder
from otkit.cli.values import Name, Number, folder
from otkit.errors import ConfigError

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from otkit.export.embedder import Embedded
    from otkit.export.embeddings import EmbedConfig, EmbedReport, Progress, TextInput

__all__ = ["embed"]

_SHOWN_BAD = 5
# What a search looks at; all else is about writing vectors.
_OF_SEARCH = {"files", "search", "neighbours", "model", "device", "threads", "json_path", "quiet", "verbose"}


def embed(
    ctx: typer.Context,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Text, parallel or a sentence a line, plain or .gz; - is stdin. With --search: queries.",
            show_default=False,
        ),
    ] = None,
    source: SourceFile = None,
    target: TargetFile = None,
    input_format: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            parser=Name("otkit.data.texts:TEXT_FORMATS", "input format"),
            help="auto, tsv, bars (' ||| '), jsonl, files or text.",
        ),
    ] = "auto",
    langs: Langs = None,
    side: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            parser=Name("otkit.data.texts:SIDES", "side"),
            help="Of parallel text: source, target or both.",
        ),
    ] = "both",
    raw: Raw = False,
    on_error: OnError = "raise",
    output: Annotated[
        Path | None,
        option("The folder to write.", "DIR", folder, "--output", "-o"),
    ] = None,
    unit: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            parser=Name("otkit.export.embeddings:UNITS", "unit"),
            help="A vector for each sentence or word.",
        ),
    ] = "sentence",
    dtype: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            parser=Name("otkit.export.embeddings:DTYPES", "number format"),
            help="float32, float16, or int8 with a factor for each vector.",
        ),
    ] = "float32",
    shards: Annotated[
        str | None,
        name_option(
            "parquet, or npy with a .jsonl beside it. Default: parquet where pyarrow is installed.",
            "otkit.export.embeddings:SHARDS",
            "kind of shard",
        ),
    ] = None,
    shard_rows: Annotated[
        int,
        typer.Option(metavar="N", parser=Number(int, least=1), help="About so many rows a shard."),
    ] = 8192,
    index: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            parser=Name("otkit.export.embeddings:INDEXES", "index"),
            help="FAISS index: flat, hnsw, ivf or none.",
        ),
    ] = "flat",
    resume: ResumeOutput = False,
    overwrite: Overwrite = False,
    engine: Engine = "local",
    address: Address = None,
    search: Annotated[
        Path | None, option("Answer queries from this folder; - reads them from stdin.", "DIR")
    ] = None,
    neighbours: Annotated[
        int, typer.Option("-k", metavar="N", parser=Number(int, least=1), help="Answers to a query.")
    ] = 5,
    model: Model = None,
    batch_tokens: BatchTokens = None,
    device: Device = "auto",
    threads: Threads = None,
    json_path: JsonPath = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write the vectors of a corpus, with the text behind each, and search them across languages.

    The folder holds shards (Parquet, or .npy), a FAISS index and, last of all, manifest.json. A killed run goes
    on with --resume, to the same bytes.

    [bold]Examples[/bold]

    otkit embed sample_data/parallel/de-en.dev.tsv sample_data/parallel/zh-en.dev.tsv --output runs/vectors

    otkit embed --search runs/vectors "Where can I buy bread?" -k 3

    otkit embed sample_data/parallel/fr-en.dev.tsv --side source --dtype int8 --shards npy --index hnsw --output runs/fr
    """
    _check_search(given_options(ctx), searching=search is not None)
    threads = set_engine(engine, address, threads)
    set_logging(verbose=verbose)
    if search is not None:
        from otkit.cli.embed_search import answer

        set_threads(threads)
        claim_files({"json": json_path}, [search, model], overwrite=overwrite)
        answer(
            search,
            files or [],
            k=neighbours,
            model=model,
            device=device,
            json_path=json_path,
            overwrite=overwrite,
        )
        return
    if output is None:
        raise ConfigError(
            "there is no folder to write",
            remedy="give --output DIR, or --search DIR to ask one",
            setting="output",
        )
    inputs = _inputs(files or [], source, target, input_format, langs)
    if resume and any("-" in (one.path, one.target) for one in inputs):
        raise ConfigError("--resume needs files, not standard input", remedy="name the corpus")
    claim_folder(
        output,
        "vectors",
        [model, *(file for one in inputs for file in (one.path, one.target))],
        overwrite=overwrite or resume,
    )
    claim_files({"json": json_path}, [], overwrite=overwrite)

    from otkit.cli.progress import progress_bar
    from otkit.cli.stopping import resumable
    from otkit.cluster import map_windows
    from otkit.export.embedder import OpenEmbedder
    from otkit.export.embeddings import EmbedConfig, embed_corpora
    from otkit.export.vector_writer import has_part

    config = EmbedConfig(unit, raw, side, dtype, shards or _default_shards(), shard_rows, index)
    opener = OpenEmbedder(
        model_place(model),
        device=device,
        threads=_threads(threads, output, resume=resume),
        unit=unit,
        raw=raw,
        batch_tokens=batch_tokens,
    )

    def on_ray(windows: Iterable[tuple[str, ...]]) -> Iterator[Embedded]:
        return map_windows(
            opener, windows, address=address, threads=opener.threads or 1, gpus=int("cuda" in device)
        )

    with progress_bar(quiet=quiet) as bar, resumable(lambda: has_part(output)):
        report = embed_corpora(
            opener(),
            inputs,
            output,
            config=config,
            on_error=on_error,
            resume=resume,
            engine=on_ray if engine == "ray" else None,
            progress=_watch(bar, quiet=quiet),
            note=lambda step: note(step, quiet=quiet),
            overwrite=overwrite,
        )
    if not report.made_before:
        _show(report, config)
    if json_path is not None:
        from otkit.cli.documents import write_document
        from otkit.encoders.settings import read_json

        write_document(json_path, read_json(output / "manifest.json"), overwrite=overwrite)


def _check_search(given: dict[str, str], *, searching: bool) -> None:
    """Refuse what a search, or the writing of vectors, would not look at."""
    stray = [
        spelt
        for name, spelt in given.items()
        if (searching and name not in _OF_SEARCH) or (name == "neighbours" and not searching)
    ]
    if stray:
        what = "about writing vectors, and --search writes none" if searching else "about --search"
        raise ConfigError(
            f"{' and '.join(stray)} {'is' if len(stray) == 1 else 'are'} {what}", remedy="leave it out"
        )


def _inputs(
    files: list[str], source: str | None, target: str | None, input_format: str, langs: str | None
) -> list[TextInput]:
    from otkit.data.texts import languages_of_texts
    from otkit.export.embeddings import TextInput

    pairs: list[tuple[str, str | None]] = [(file, None) for file in files]
    if (source is None) != (target is None):
        raise ConfigError("two line-aligned files go together", remedy="give both of --source and --target")
    if source is not None:
        pairs.append((source, target))
    if not pairs:
        raise ConfigError("there is no text to embed", remedy="name a file, or - for stdin")
    if sum(pair.count("-") for pair in pairs) > 1:
        raise ConfigError("standard input was given twice", remedy="name it once")
    return [
        TextInput(path, other, input_format, languages_of_texts(path, langs, target=other))
        for path, other in pairs
    ]


def _threads(threads: int | None, output: Path, *, resume: bool) -> int | None:
    """Those of the interrupted run where nothing else is asked for: other threads end in other digits."""
    from otkit.export.vector_writer import read_state, working_folder

    state = read_state(working_folder(output)) if resume and threads is None else None
    return threads if state is None else int(state["of"]["threads"])


def _default_shards() -> str:
    from importlib.util import find_spec

    return "parquet" if find_spec("pyarrow") else "npy"


def _watch(bar: Bar, *, quiet: bool) -> Callable[[Progress], None]:
    import time

    task = bar.add_task("embed", total=None, text="")
    begun, first, named = time.perf_counter(), -1, 0

    def show(state: Progress) -> None:
        nonlocal first, named
        done = state.texts + state.skipped
        first = done if first < 0 else first  # what an earlier run did does not count for the rate
        rate = (done - first) / (time.perf_counter() - begun)
        bar.update(task, completed=done, text=f"{rate:.0f} texts/s")
        for bad in state.bad[: max(0, _SHOWN_BAD - named)]:
            note(f"skipped: {bad.where}: {bad.what}", quiet=quiet)
        named += len(state.bad)

    return show


def _show(report: EmbedReport, config: EmbedConfig) -> None:
    vectors = report.vectors
    size = sum(path.stat().st_size for path in vectors.folder.iterdir()) / 1e6
    typer.echo(
        f"{vectors.folder}: {len(vectors)} {config.unit} vectors of width {vectors.dimension} "
        f"({config.dtype}, {config.shards}, index {config.index}), {size:.1f} MB"
    )
    if report.recall is not None:
        found = report.recall
        typer.echo(
            f"recall against flat search, {found.queries} queries: "
            f"{found.at_1:.3f} at 1, {found.at_5:.3f} at 5"
        )
    if report.skipped:
        note(f"{report.skipped} of {report.texts + report.skipped} lines were skipped", quiet=False)
