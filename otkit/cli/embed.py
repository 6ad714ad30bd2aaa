"""`otkit embed`: corpora to vectors with an index."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otkit.cli.given import NOTHING, Given, takes
from otkit.cli.options import (
    Address,
    Device,
    Engine,
    JsonPath,
    Langs,
    Model,
    OnError,
    Overwrite,
    Precision,
    Quiet,
    ResumeOutput,
    SourceFile,
    TargetFile,
    Threads,
    Verbose,
    note,
    set_engine,
    set_logging,
)
from otkit.cli.outputs import claim_files, claim_folder, write_document
from otkit.cli.values import Name, folder
from otkit.data.lines import read_once
from otkit.errors import ConfigError
from otkit.vectors.settings import EmbeddingSettings

if TYPE_CHECKING:
    from otkit.cli.progress import Step, Total
    from otkit.vectors.embeddings import Embedding, Progress, TextInput

__all__ = ["embed"]

_SHOWN_BAD = 5


@takes(recipe=False, embedding=EmbeddingSettings)
def embed(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Text, parallel or a sentence a line, plain or .gz; - is stdin.",
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
            rich_help_panel="Data",
            hidden=True,
        ),
    ] = "auto",
    langs: Langs = None,
    on_error: OnError = "raise",
    model: Model = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    threads: Threads = None,
    engine: Engine = "local",
    address: Address = None,
    given: Given = NOTHING,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="The folder to write.",
            parser=folder,
            show_default=False,
            rich_help_panel="Output",
        ),
    ] = None,
    resume: ResumeOutput = False,
    overwrite: Overwrite = False,
    json_path: JsonPath = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write the vectors of a corpus, with the text behind each, for `otkit search`.

    The folder holds shards (Parquet, or .npy), a FAISS index and, written last, manifest.json. A killed
    run goes on with --resume, to the same bytes.

    [bold]Examples[/bold]

    otkit embed sample_data/parallel/de-en.dev.tsv sample_data/parallel/zh-en.dev.tsv --output runs/vectors

    otkit embed sample_data/parallel/fr-en.dev.tsv --side source --dtype int8 --shards npy --index hnsw --output runs/fr
    """
    settings = given.settings("embedding", EmbeddingSettings)
    threads = set_engine(engine, address, threads)
    set_logging(verbose=verbose)
    if output is None:
        raise ConfigError("there is no folder to write", remedy="give --output DIR", setting="output")
    pairs: list[str | tuple[str, str]] = [*(files or [])]
    if source is not None and target is not None:
        pairs.append((source, target))
    elif source is not None or target is not None:
        raise ConfigError("two line-aligned files go together", remedy="give both of --source and --target")
    every = [file for pair in pairs for file in ((pair,) if isinstance(pair, str) else pair)]
    if resume and any(map(read_once, every)):
        raise ConfigError("--resume needs files, not standard input or a pipe", remedy="name the corpus")
    read = [model, *every, settings.space_text, given.recipe]
    claim_folder(output, "vectors", read, overwrite=overwrite or resume)
    claim_files({"json": json_path}, read, overwrite=overwrite)

    from otkit.api.embed import embed as run
    from otkit.api.embed import text_inputs
    from otkit.cli.progress import last_line, progress_bar
    from otkit.cli.stopping import resumable
    from otkit.vectors.writer import has_part

    inputs = text_inputs(pairs, format=input_format, langs=langs)
    total = None if quiet else _texts(inputs, settings.side)
    with progress_bar(quiet=quiet) as bar, resumable(lambda: has_part(output)):
        step = bar.step("embed", unit="texts", total=total)
        made = run(
            inputs,
            encoder=model,
            output=output,
            on_error=on_error,
            resume=resume,
            overwrite=overwrite,
            device=device,
            precision=precision,
            threads=threads,
            engine=engine,
            address=address,
            on_progress=_watch(step, resume=resume, quiet=quiet),
            on_encoded=step.under_way,
            note=lambda text: note(text, quiet=quiet),
            **settings.to_dict(),
        )
    if json_path is not None:
        from otkit.encoders.encoder import read_json

        write_document(json_path, read_json(output / "manifest.json"), overwrite=overwrite)
    if made.made_before:
        return
    if made.skipped:
        note(f"{made.skipped} of {made.texts + made.skipped} lines were skipped", quiet=False)
    last_line(_summary(made), then=f'otkit search {shlex.quote(str(output))} "a question"', quiet=quiet)


def _summary(made: Embedding) -> str:
    vectors, found, settings = made.vectors, made.recall, made.settings
    size = sum(path.stat().st_size for path in vectors.folder.iterdir()) / 1e6
    recall = (
        ""
        if found is None
        else (
            f"; recall against flat search, {found.queries} queries: {found.at_1:.3f} at 1, {found.at_5:.3f} at 5"
        )
    )
    return (
        f"wrote {vectors.folder}: {len(vectors):,} {settings.unit} vectors of width {vectors.dimension} "
        f"({settings.dtype}, {settings.shards}, index {settings.index}), {size:.1f} MB{recall}"
    )


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


def _watch(step: Step, *, resume: bool, quiet: bool) -> Callable[[Progress], None]:
    named, begun = 0, not resume

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
