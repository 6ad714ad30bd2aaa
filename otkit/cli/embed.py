"""`otkit embed`: corpora to vectors with an index, and questions to them."""

from __future__ import annotations

import shlex
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
    from otkit.cli.progress import Progress as Bar
    from otkit.cli.progress import Total
    from otkit.vectors.embedder import Embedded, Embedder
    from otkit.vectors.embeddings import EmbedConfig, EmbedReport, Progress, TextInput

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
            parser=Name("otkit.vectors.embeddings:UNITS", "unit"),
            help="A vector for each sentence or word.",
        ),
    ] = "sentence",
    dtype: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            parser=Name("otkit.vectors.embeddings:DTYPES", "number format"),
            help="float32, float16, or int8 with a factor for each vector.",
        ),
    ] = "float32",
    shards: Annotated[
        str | None,
        name_option(
            "parquet, or npy with a .jsonl beside it. Default: parquet where pyarrow is installed.",
            "otkit.vectors.embeddings:SHARDS",
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
            parser=Name("otkit.vectors.embeddings:INDEXES", "index"),
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

    otkit embed --search runs/vectors "Où sont mes clés ?" -k 3

    otkit embed sample_data/parallel/fr-en.dev.tsv --side source --dtype int8 --shards npy --index hnsw --output runs/fr
    """
    _check_search(given_options(ctx), searching=search is not None)
    threads = set_engine(engine, address, threads)
    set_logging(verbose=verbose)
    if search is not None:
        from otkit.cli.search import answer, read_queries

        set_threads(threads)
        claim_files({"json": json_path}, [search, model], overwrite=overwrite)
        answer(
            search,
            read_queries(files or [], on_error=on_error, quiet=quiet),
            k=neighbours,
            model=model,
            device=device,
            json_path=json_path,
            overwrite=overwrite,
            quiet=quiet,
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

    from otkit.cli.progress import last_line, progress_bar
    from otkit.cli.stopping import resumable
    from otkit.cluster import map_windows
    from otkit.vectors.embedder import OpenEmbedder
    from otkit.vectors.embeddings import EmbedConfig, embed_corpora
    from otkit.vectors.writer import has_part

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

    embedder = opener()
    total = None if quiet else _texts(inputs, side)
    with progress_bar(quiet=quiet) as bar, resumable(lambda: has_part(output)):
        report = embed_corpora(
            embedder,
            inputs,
            output,
            config=config,
            on_error=on_error,
            resume=resume,
            engine=on_ray if engine == "ray" else None,
            progress=_watch(bar, embedder, total, resume=resume, quiet=quiet),
            note=lambda step: note(step, quiet=quiet),
            overwrite=overwrite,
        )
    if json_path is not None:
        from otkit.cli.outputs import write_document
        from otkit.encoders.encoder import read_json

        write_document(json_path, read_json(output / "manifest.json"), overwrite=overwrite)
    if report.made_before:
        return
    if report.skipped:
        note(f"{report.skipped} of {report.texts + report.skipped} lines were skipped", quiet=False)
    last_line(
        _summary(report, config),
        then=f'otkit embed --search {shlex.quote(str(output))} "a question"',
        quiet=quiet,
    )


def _summary(report: EmbedReport, config: EmbedConfig) -> str:
    vectors, found = report.vectors, report.recall
    size = sum(path.stat().st_size for path in vectors.folder.iterdir()) / 1e6
    recall = (
        ""
        if found is None
        else (
            f"; recall against flat search, {found.queries} queries: {found.at_1:.3f} at 1, {found.at_5:.3f} at 5"
        )
    )
    return (
        f"wrote {vectors.folder}: {len(vectors):,} {config.unit} vectors of width {vectors.dimension} "
        f"({config.dtype}, {config.shards}, index {config.index}), {size:.1f} MB{recall}"
    )


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
    from otkit.vectors.embeddings import TextInput

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
    from otkit.vectors.writer import read_state, working_folder

    state = read_state(working_folder(output)) if resume and threads is None else None
    return threads if state is None else int(state["of"]["threads"])


def _default_shards() -> str:
    from importlib.util import find_spec

    return "parquet" if find_spec("pyarrow") else "npy"


def _texts(inputs: list[TextInput], side: str) -> Total | None:
    """How many texts there are to embed, for the remaining time."""
    from otkit.cli.progress import Total, count_lines
    from otkit.data.lines import LineSource
    from otkit.data.parallel import see_format

    found, exact = 0, True
    for one in inputs:
        lines = None if "-" in (one.path, one.target) else count_lines([one.path])
        if lines is None:
            return None
        parallel = one.format not in ("auto", "text") or one.target is not None
        if one.format == "auto" and not parallel:
            parallel = see_format(one.path, LineSource(one.path).blocks()).format is not None
        found += lines.count * (2 if parallel and side == "both" else 1)
        exact = exact and lines.exact
    return Total(found, exact)


def _watch(
    bar: Bar, embedder: Embedder, total: Total | None, *, resume: bool, quiet: bool
) -> Callable[[Progress], None]:
    step, named, begun = bar.step("embed", unit="texts", total=total), 0, not resume
    embedder.on_encoded = step.under_way

    def show(state: Progress) -> None:
        nonlocal named, begun
        done = state.texts + state.skipped
        if not begun:
            step.start_from(done)  # what an earlier run did does not count for the rate
            begun = True
        step.update(done)
        for bad in state.bad[: max(0, _SHOWN_BAD - named)]:
            note(f"skipped: {bad.where}: {bad.what}", quiet=quiet)
        named += len(state.bad)

    return show
