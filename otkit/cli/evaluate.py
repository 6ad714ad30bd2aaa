"""`otkit evaluate`: what an encoder can do across languages, with baseline, seeds and intervals."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otkit.cli.aligning import NOTHING_GIVEN, AlignerOptions, aligner_options
from otkit.cli.command import given_options
from otkit.cli.evaluate_support import (
    Watch,
    aligned_on,
    language_codes,
    open_with,
)
from otkit.cli.options import (
    BatchTokens,
    Device,
    Format,
    JsonPath,
    Langs,
    Layer,
    Model,
    OnError,
    Overwrite,
    Quiet,
    Seed,
    Threads,
    Verbose,
    count_option,
    name_option,
    number_option,
    option,
    set_logging,
    set_threads,
)
from otkit.cli.outputs import claim_files
from otkit.cli.values import Ending, Name, Number, folder
from otkit.errors import ConfigError
from otkit.files import write_file, write_json

if TYPE_CHECKING:
    from otkit.encoders.encoder import Encoder

__all__ = ["evaluate"]


@aligner_options
def evaluate(
    ctx: typer.Context,
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK",
            parser=Name("otkit.cli.evaluate_tasks:NAMES", "task"),
            help="retrieval, word-alignment, word-retrieval, mining, xnli, xquad, translation-errors, or all.",
        ),
    ],
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="Parallel text to score. Default: the sample data."),
    ] = None,
    source: Annotated[str | None, option("Source side of two files.", "FILE")] = None,
    target: Annotated[str | None, option("Target side of two files.", "FILE")] = None,
    gold: Annotated[
        list[str] | None,
        option("Gold word links (of FILE, where it holds no text itself), or gold pairs for mining.", "FILE"),
    ] = None,
    base: Annotated[
        int | None,
        option(
            "What gold links count words from. Default: seen from the file.",
            "0|1",
            Number(int, least=0, most=1),
        ),
    ] = None,
    input_format: Format = "auto",
    langs: Langs = None,
    on_error: OnError = "raise",
    languages: Annotated[str | None, option("Only these languages.", "de,fr,...")] = None,
    seen: Annotated[
        str | None,
        option("Languages of the 'seen' average. Default: those the model was aligned on.", "de,fr,..."),
    ] = None,
    model: Model = None,
    baseline: Annotated[
        str | None, option("The encoder to compare with; `sample` is the sample encoder.", "MODEL")
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            metavar="N", parser=Number(int, least=1), help="Runs of tasks that have random choices."
        ),
    ] = 1,
    seed: Seed = 0,
    score: Annotated[
        str | None,
        name_option(
            "What orders candidates: cosine, csls or margin.", "otkit.evaluation.search:SCORES", "score"
        ),
    ] = None,
    index: Annotated[
        str | None,
        name_option("FAISS index: flat (exact), hnsw or ivf.", "otkit.evaluation.search:INDEXES", "index"),
    ] = None,
    neighbourhood: Annotated[
        int | None, count_option("Neighbourhood of csls and margin.", "--neighbours", metavar="K")
    ] = None,
    pooling: Annotated[
        str | None,
        name_option(
            "Sentence vector: mean or cls. Default: the model's.",
            "otkit.encoders.pooling:SENTENCE_POOLINGS",
            "pooling",
        ),
    ] = None,
    prefix: Annotated[str | None, option("Text before every sentence. Default: the model's.", "TEXT")] = None,
    layers: Layer = None,
    word_vector: Annotated[
        str | None,
        name_option(
            "The subword that stands for a word: last, first or mean.",
            "otkit.encoders.pooling:POOLINGS",
            "word vector",
        ),
    ] = None,
    pool: Annotated[
        str | None,
        name_option(
            "Where words are sought: aligned words, or all words.",
            "otkit.evaluation.word_retrieval:POOLS",
            "pool",
            metavar="aligned|all",
        ),
    ] = None,
    settings: AlignerOptions = NOTHING_GIVEN,
    data: Annotated[
        str | None,
        option("Folder, file or Hub name of a benchmark. Default: the sample data.", "DIR"),
    ] = None,
    train: Annotated[str | None, option("English examples to fine-tune on.", "FILE|HUB")] = None,
    preset: Annotated[
        str | None,
        name_option(
            "Fine-tuning as published (xtreme) or on two cores (small, the default).",
            "otkit.evaluation.xnli:XNLI_PRESETS",
            "preset",
        ),
    ] = None,
    epochs: Annotated[
        float | None, number_option("Passes over the training examples.", metavar="N", above=0)
    ] = None,
    lr: Annotated[float | None, number_option("Peak learning rate of fine-tuning.", above=0)] = None,
    batch_size: Annotated[int | None, count_option("Examples of a micro-step.")] = None,
    grad_accum: Annotated[int | None, count_option("Micro-steps of an optimiser step.")] = None,
    max_length: Annotated[int | None, count_option("Subwords of an input.")] = None,
    stride: Annotated[int | None, count_option("How far apart the windows of a context begin.")] = None,
    train_examples: Annotated[
        int | None, count_option("Train on this many examples; none for all.", none=True)
    ] = None,
    test_examples: Annotated[
        int | None, count_option("Score this many in each language; none for all.", none=True)
    ] = None,
    frozen: Annotated[
        int | None,
        count_option(
            "Keep the embeddings and the first N layers as they are; none trains all.", least=0, none=True
        ),
    ] = None,
    head_pooling: Annotated[
        str | None,
        name_option(
            "What a classifier sees: cls or mean.", "otkit.encoders.pooling:SENTENCE_POOLINGS", "pooling"
        ),
    ] = None,
    eval_every: Annotated[
        int | None, count_option("Score English dev pairs every N steps, keep the best.", none=True)
    ] = None,
    precision: Annotated[
        str | None,
        name_option(
            "Autocast of fine-tuning, and of scoring what was tuned.",
            "otkit.encoders.device:PRECISIONS",
            "precision",
            metavar="fp32|bf16|fp16",
        ),
    ] = None,
    head: Annotated[
        Path | None, option("Score the fine-tuned encoder and head of this folder.", "DIR")
    ] = None,
    save_heads: Annotated[
        bool, typer.Option("--save-heads", help="Keep fine-tuned encoders and heads in --output.")
    ] = False,
    center: Annotated[
        str | None,
        name_option(
            "Mean vector to subtract. Retrieval: none or language. The word aligner: none, sentence or corpus.",
            "otkit.cli.evaluate_request:CENTERINGS",
            "centring",
        ),
    ] = None,
    fail_under: Annotated[
        list[str] | None, option("Exit 3 where the average is worse, e.g. forward@1=0.8.", "METRIC=X")
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            parser=folder,
            help="Where finished parts go, for --resume.",
        ),
    ] = Path("runs/evaluation"),
    resume: Annotated[bool, typer.Option("--resume", help="Use the finished parts in --output.")] = False,
    overwrite: Overwrite = False,
    batch_tokens: BatchTokens = None,
    device: Device = "auto",
    threads: Threads = None,
    json_path: JsonPath = None,
    chart: Annotated[
        Path | None, option("Draw a bar chart by language (PNG).", "PATH", Ending((".png",)))
    ] = None,
    markdown: Annotated[
        Path | None,
        option("Write the tables as Markdown.", "PATH", Ending((".md", ".markdown", ".txt"))),
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Measure an encoder across languages: one row a language, the averages, and the change from a baseline.

    [bold]Examples[/bold]

    otkit evaluate retrieval

    otkit evaluate retrieval sample_data/parallel/de-en.dev.tsv --model runs/aligned --baseline sample --score csls

    otkit evaluate word-alignment --gold sample_data/gold/de-en.dev.tsv --json words.json --fail-under aer=0.1
    """
    from otkit.cli.evaluate_request import Request, check_used
    from otkit.cli.evaluate_tasks import TASKS

    unasked = {"translation-errors", *(() if source else ("mining",))}
    names = [name for name in TASKS if name not in unasked] if task == "all" else [task]
    check_used(given_options(ctx), [task] if task != "all" else names)
    builders = {name: TASKS[name] for name in names}
    inputs = [*(files or []), *(gold or []), source, target, data, train, model, baseline, head]
    claim_files({"json": json_path, "chart": chart, "markdown": markdown}, inputs, overwrite=overwrite)
    set_logging(verbose=verbose)
    set_threads(threads)
    from otkit.cli.evaluate_report import (
        check_gates,
        overview,
        parse_gates,
        summary_bars,
        summary_document,
        summary_tables,
    )
    from otkit.cli.progress import counted, last_line, progress_bar
    from otkit.cli.stdout import show
    from otkit.cli.stopping import resumable
    from otkit.evaluation.protocol import CellStore, run_cells
    from otkit.evaluation.summary import summarise

    request = Request(
        files=tuple(files or ()),
        gold=tuple(gold or ()),
        base=base,
        source=source,
        target=target,
        format=input_format,
        langs=langs,
        on_error=on_error,
        languages=language_codes(languages),
        score=score,
        index=index,
        neighbourhood=neighbourhood,
        layers=layers,
        word_vector=word_vector,
        pool=pool,
        aligner=settings,
        center=center,
        batch_tokens=batch_tokens,
        data=data,
        train=train,
        preset=preset,
        epochs=epochs,
        lr=lr,
        batch_size=batch_size,
        grad_accum=grad_accum,
        max_length=max_length,
        stride=stride,
        train_examples=train_examples,
        test_examples=test_examples,
        frozen=frozen,
        head_pooling=head_pooling,
        eval_every=eval_every,
        precision=precision,
        head=head,
        save_heads=save_heads,
        strict=task != "all",
        quiet=quiet,
    )
    tasks = {name: builder(request) for name, builder in builders.items()}
    gates = parse_gates(fail_under or [], [metric for one in tasks.values() for metric in one.metrics])

    encoders: dict[str, dict[str, Any]] = {}

    def opener(role: str, name: str | None) -> Any:
        def opened() -> Encoder:
            encoder = open_with(name, device=device, pooling=pooling, prefix=prefix)
            encoders[role] = {"name": encoder.name, **asdict(encoder.settings)}
            return encoder

        return opened

    if head is not None and (model is not None or task not in ("xnli", "xquad")):
        raise ConfigError(
            f"received {str(head)!r}, which brings its own encoder",
            remedy="use it with xnli or xquad, without --model",
            setting="head",
        )
    openers = {"model": opener("model", model if head is None else str(head))}
    if baseline is not None:
        openers["baseline"] = opener("baseline", None if baseline == "sample" else baseline)
    store = CellStore(output, resume=resume, overwrite=overwrite, inputs=inputs)
    seen_codes = language_codes(seen) or aligned_on(model)
    summaries = {}
    with progress_bar(quiet=quiet) as bar, resumable(store.begun):
        watch = Watch(bar)
        for name, one in tasks.items():
            cells = run_cells(one, openers, seeds=range(seed, seed + seeds), store=store, observer=watch)
            summaries[name] = summarise(cells, one.metrics, seen=seen_codes)
    tables = [table for name, summary in summaries.items() for table in summary_tables(name, summary)]
    if task == "all":
        tables.append(overview(summaries))
    if chart is not None:
        from otkit.reports.charts import bar_chart

        bar_chart(
            [panel for name, summary in summaries.items() for panel in summary_bars(name, summary)],
            chart,
            overwrite=overwrite,
        )
    if markdown is not None:
        from otkit.reports.tables import to_markdown

        write_file(markdown, "\n\n".join(map(to_markdown, tables)) + "\n", overwrite=overwrite)
    if json_path is not None:
        from otkit.files import versions

        document = {
            "command": "evaluate",
            "model": model or "sample encoder",
            "baseline": baseline,
            "encoders": encoders,
            "versions": versions(),
            "tasks": {
                name: {**summary_document(summary), "settings": tasks[name].fingerprint}
                for name, summary in summaries.items()
            },
        }
        write_json(json_path, document, overwrite=overwrite)
    show(*tables)
    written = ", ".join(str(path) for path in (json_path, chart, markdown) if path is not None)
    scored = len({language for summary in summaries.values() for language in summary.rows})
    last_line(
        f"{', '.join(summaries)}: {counted(scored, 'language')}{written and f'; wrote {written}'}; finished parts "
        f"are in {output}",
        then="" if baseline is not None else "--baseline sample compares with the sample encoder",
        quiet=quiet,
    )
    check_gates(gates, summaries)
