"""`otkit evaluate`: what an encoder can do across languages, with baseline, seeds and intervals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otkit.cli.options import (
    BatchTokens,
    Device,
    Format,
    JsonPath,
    Langs,
    Layer,
    Model,
    OnError,
    Quiet,
    Seed,
    Threads,
    Verbose,
    parse_layers,
    set_logging,
    set_threads,
)
from otkit.errors import ConfigError, choose

if TYPE_CHECKING:
    from rich.progress import Progress

    from otkit.encoders.encoder import Encoder

__all__ = ["evaluate"]


def _option(help_text: str, metavar: str) -> Any:
    return typer.Option(metavar=metavar, help=help_text, show_default=False)


def evaluate(
    task: Annotated[
        str,
        typer.Argument(metavar="TASK", help="retrieval, word-retrieval, mining; all for every one of them."),
    ],
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="Parallel text to score. Default: the sample data."),
    ] = None,
    source: Annotated[str | None, _option("Source side of two files.", "FILE")] = None,
    target: Annotated[str | None, _option("Target side of two files.", "FILE")] = None,
    gold: Annotated[list[str] | None, _option("Gold word links, or gold pairs for mining.", "FILE")] = None,
    input_format: Format = "auto",
    langs: Langs = None,
    on_error: OnError = "raise",
    languages: Annotated[str | None, _option("Only these languages.", "de,fr,...")] = None,
    seen: Annotated[
        str | None,
        _option("Languages of the 'seen' average. Default: those the model was aligned on.", "de,fr,..."),
    ] = None,
    model: Model = None,
    baseline: Annotated[
        str | None, _option("The encoder to compare with; `sample` is the sample encoder.", "MODEL")
    ] = None,
    seeds: Annotated[
        int, typer.Option(metavar="N", min=1, help="Runs of tasks that have random choices.")
    ] = 1,
    seed: Seed = 0,
    score: Annotated[str | None, _option("What orders candidates: cosine, csls or margin.", "NAME")] = None,
    index: Annotated[str | None, _option("FAISS index: flat (exact), hnsw or ivf.", "NAME")] = None,
    neighbours: Annotated[int | None, _option("Neighbourhood of csls and margin.", "K")] = None,
    pooling: Annotated[
        str | None, _option("Sentence vector: mean or cls. Default: the model's.", "NAME")
    ] = None,
    prefix: Annotated[
        str | None, _option("Text before every sentence. Default: the model's.", "TEXT")
    ] = None,
    layer: Layer = None,
    word_vector: Annotated[
        str | None, _option("The subword that stands for a word: last, first or mean.", "NAME")
    ] = None,
    pool: Annotated[
        str | None, _option("Where words are sought: aligned words, or all words.", "aligned|all")
    ] = None,
    center: Annotated[bool, typer.Option("--center", help="Subtract each language's mean vector.")] = False,
    fail_under: Annotated[
        list[str] | None, _option("Exit 3 where the average is worse, e.g. forward@1=0.8.", "METRIC=X")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where finished parts go, for --resume.")
    ] = Path("runs/evaluation"),
    resume: Annotated[bool, typer.Option("--resume", help="Use the finished parts in --output.")] = False,
    batch_tokens: BatchTokens = None,
    device: Device = "auto",
    threads: Threads = None,
    json_path: JsonPath = None,
    markdown: Annotated[Path | None, _option("Write the tables as Markdown.", "PATH")] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Measure an encoder across languages: one row a language, the averages, and the change from a baseline.

    [bold]Examples[/bold]

    otkit evaluate retrieval

    otkit evaluate retrieval deu-eng.tsv.gz fra-eng.tsv.gz --model runs/aligned --baseline sample --score csls

    otkit evaluate word-retrieval --gold xlwa-en-bg.dev.tsv.gz --json words.json --fail-under forward@1=0.4
    """
    from otkit.cli.evaluate_tasks import TASKS, Request

    names = list(TASKS) if task == "all" else [task]
    builders = {name: choose(name, {**TASKS, "all": TASKS["retrieval"]}, what="task") for name in names}
    set_logging(verbose=verbose)
    set_threads(threads)
    from otkit.cli.evaluate_report import check_gates, parse_gates, summary_document, summary_tables
    from otkit.cli.progress import progress_bar
    from otkit.evaluation.protocol import CellStore, run_cells
    from otkit.evaluation.summary import summarise

    request = Request(
        files=tuple(files or ()),
        gold=tuple(gold or ()),
        source=source,
        target=target,
        format=input_format,
        langs=langs,
        on_error=on_error,
        languages=_codes(languages),
        score=score,
        index=index,
        neighbourhood=neighbours,
        layers=parse_layers(layer),
        word_vector=word_vector,
        pool=pool,
        center=center,
        batch_tokens=batch_tokens,
    )
    tasks = {name: builder(request) for name, builder in builders.items()}
    gates = parse_gates(fail_under or [], [metric for one in tasks.values() for metric in one.metrics])

    def opener(name: str | None) -> Any:
        return lambda: _open(name, device=device, pooling=pooling, prefix=prefix)

    openers = {"model": opener(model)}
    if baseline is not None:
        openers["baseline"] = opener(None if baseline == "sample" else baseline)
    store = CellStore(output, resume=resume)
    seen_codes = _codes(seen) or _aligned_on(model)
    summaries = {}
    with progress_bar(quiet=quiet) as bar:
        watch = _Watch(bar, quiet=quiet)
        for name, one in tasks.items():
            cells = run_cells(one, openers, seeds=range(seed, seed + seeds), store=store, observer=watch)
            summaries[name] = summarise(cells, one.metrics, seen=seen_codes)
    tables = [table for name, summary in summaries.items() for table in summary_tables(name, summary)]
    _print_tables(tables)
    if markdown is not None:
        from otkit.report.tables import to_markdown

        _write(markdown, "\n\n".join(map(to_markdown, tables)) + "\n")
    if json_path is not None:
        import json

        document = {
            "command": "evaluate",
            "model": model or "sample encoder",
            "baseline": baseline,
            "versions": _versions(),
            "tasks": {
                name: {**summary_document(summary), "settings": tasks[name].fingerprint}
                for name, summary in summaries.items()
            },
        }
        _write(json_path, json.dumps(document, indent=1, ensure_ascii=False, default=str) + "\n")
    check_gates(gates, summaries)


def _open(name: str | None, *, device: str, pooling: str | None, prefix: str | None) -> Encoder:
    from dataclasses import replace

    from otkit.encoders.checkpoint import open_encoder

    encoder = open_encoder(name, device=device)
    was = encoder.settings
    encoder.settings = replace(
        was,
        pooling=was.pooling if pooling is None else pooling,
        prefix=was.prefix if prefix is None else prefix,
    )
    return encoder


def _codes(text: str | None) -> tuple[str, ...] | None:
    from otkit.evaluation.codes import short_code

    if text is None:
        return None
    codes = tuple(short_code(code.strip()) for code in text.split(",") if code.strip())
    if not codes:
        raise ConfigError("an empty list of languages", remedy="write for instance de,fr")
    return codes


def _aligned_on(model: str | None) -> tuple[str, ...]:
    """The languages that otkit.json says the model was aligned on, and English."""
    import json

    from otkit.evaluation.codes import short_code

    path = Path(model) / "otkit.json" if model is not None else None
    if path is None or not path.is_file():
        return ()
    data = json.loads(path.read_text(encoding="utf-8")).get("data", [])
    found = {code for corpus in data if isinstance(corpus, dict) for code in corpus.get("languages", [])}
    return tuple(sorted(short_code(code) for code in found | {"en"})) if found else ()


class _Watch:
    """The protocol's observer on a terminal: one bar for the running task."""

    def __init__(self, bar: Progress, *, quiet: bool) -> None:
        self._bar, self._quiet = bar, quiet
        self._task = bar.add_task("evaluate", total=None, text="")

    def note(self, message: str) -> None:
        if not self._quiet:
            self._bar.console.print(message, markup=False)

    def progress(self, what: str, done: int, total: int | None) -> None:
        self._bar.update(self._task, description=what, completed=done, total=total)


def _print_tables(tables: Any) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for table in tables:
        console.print(table)


def _write(path: Path, text: str) -> None:
    from otkit.training.checkpoints import write_text

    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def _versions() -> dict[str, str]:
    import platform
    from importlib.metadata import version

    from otkit import __version__

    packages = ("torch", "transformers", "faiss-cpu", "numpy")
    return {
        "otkit": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }
