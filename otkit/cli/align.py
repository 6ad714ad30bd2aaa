"""`otkit align`: fine-tune an encoder so that translations get the same cloud of word vectors."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

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
from otkit.errors import choose

if TYPE_CHECKING:
    from otkit.data.views import PairCorpus

__all__ = ["align"]

Config = TypeVar("Config", bound=Any)

Objectives = Annotated[
    list[str] | None,
    typer.Option(
        "--objective",
        metavar="NAME[:WEIGHT]",
        help="A loss to add, repeatable: ot, anchor. Default: ot:1 and anchor:1.",
        show_default=False,
    ),
]


def _option(help_text: str, metavar: str) -> Any:
    return typer.Option(metavar=metavar, help=help_text, show_default=False)


def align(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE]...", help="Parallel text, one file a language pair. Default: the sample data."
        ),
    ] = None,
    source: Annotated[str | None, _option("Source side of two line-aligned files.", "FILE")] = None,
    target: Annotated[str | None, _option("Target side of two line-aligned files.", "FILE")] = None,
    input_format: Format = "auto",
    langs: Langs = None,
    on_error: OnError = "raise",
    model: Model = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where the aligned encoder goes.")
    ] = Path("runs/aligned"),
    preset: Annotated[
        str | None,
        _option("Published settings: paper, paper-default, sample. Options beside it win over it.", "NAME"),
    ] = None,
    objective: Objectives = None,
    cost: Annotated[
        str | None, _option("euclidean, sqeuclidean (half the square) or cosine.", "NAME")
    ] = None,
    epsilon: Annotated[float | None, _option("Entropic temperature, in units of the cost.", "X")] = None,
    epsilon_relative: Annotated[
        float | None, _option("The same in units of each problem's mean cost; replaces --epsilon.", "X")
    ] = None,
    scope: Annotated[
        str | None,
        _option("pair: a transport problem a sentence pair; batch: one cloud a batch.", "pair|batch"),
    ] = None,
    unit: Annotated[str | None, _option("What the points are.", "word|subword")] = None,
    word_vector: Annotated[
        str | None, _option("The subword that stands for a word.", "last|first|mean")
    ] = None,
    layer: Layer = None,
    weights: Annotated[str | None, _option("Marginals.", "uniform|idf|norm")] = None,
    anchor: Annotated[
        float | None, _option("Weight of the squared distance to the frozen start; 0 turns it off.", "LAMBDA")
    ] = None,
    anchor_reduction: Annotated[str | None, _option("Over the English words.", "sum|mean")] = None,
    dropout: Annotated[
        bool | None, typer.Option("--dropout/--no-dropout", help="The encoder's dropout.", show_default=False)
    ] = None,
    pairs_per_language: Annotated[
        int | None, _option("Pairs of every language in an epoch; small ones are repeated.", "N")
    ] = None,
    epochs: Annotated[float | None, _option("Passes over the data.", "N")] = None,
    steps: Annotated[int | None, _option("Optimiser steps, instead of --epochs.", "N")] = None,
    batch_size: Annotated[
        int | None, _option("Sentence pairs of a language pair and micro-step.", "N")
    ] = None,
    grad_accum: Annotated[int | None, _option("Micro-steps in an optimiser step.", "N")] = None,
    lr: Annotated[float | None, _option("Peak learning rate.", "X")] = None,
    warmup: Annotated[float | None, _option("Share of the steps with a rising learning rate.", "X")] = None,
    max_grad_norm: Annotated[
        float | None, _option("Clip gradients at this norm; 0 turns it off.", "X")
    ] = None,
    precision: Annotated[str | None, _option("Autocast of the encoder.", "fp32|bf16|fp16")] = None,
    dev: Annotated[
        list[str] | None, _option("Held-out parallel text. Default: a part of the training files.", "FILE")
    ] = None,
    gold: Annotated[
        list[str] | None,
        _option("Gold word links (TSV) to score before and after, and at evaluations.", "FILE"),
    ] = None,
    eval_every: Annotated[int | None, _option("Evaluate every N steps and keep the best.", "N")] = None,
    save_every: Annotated[int | None, _option("Save a checkpoint every N steps.", "N")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")] = False,
    log_every: Annotated[int | None, _option("Write a history record every N steps.", "N")] = None,
    batch_tokens: BatchTokens = None,
    device: Device = "auto",
    threads: Threads = None,
    seed: Seed = 0,
    json_path: JsonPath = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Fine-tune an encoder with optimal transport, so that a sentence and its translation agree word by word.

    Writes a transformers folder with otkit.json, a model card, history.jsonl and checkpoints, and prints what changed
    on held-out text.

    [bold]Examples[/bold]

    otkit align

    otkit align sample_data/parallel/fr-en.train.tsv --steps 2 --batch-size 4 --preset paper --output runs/few
    """
    set_logging(verbose=verbose)
    set_threads(threads)
    from rich.console import Console

    from otkit.cli.align_report import Figures, change_table
    from otkit.cli.documents import write_document
    from otkit.cli.progress import TrainingProgress, progress_bar
    from otkit.cli.stopping import stop_on_sigterm
    from otkit.data.gold import read_gold
    from otkit.encoders.checkpoint import open_encoder
    from otkit.encoders.encoder import TorchEncoder
    from otkit.errors import ConfigError
    from otkit.training.presets import PRESETS
    from otkit.training.run import AlignSettings, align_encoder, check_output, run_metadata

    sampled = not files and source is None
    chosen = choose(preset or ("sample" if sampled else "paper"), PRESETS, what="preset")
    settings = AlignSettings(
        objective=_given(
            chosen.objective,
            parts=_parts(objective, anchor, chosen.objective.parts),
            cost=cost,
            epsilon=epsilon,
            epsilon_relative=epsilon_relative,
            scope=scope,
            unit=unit,
            word_vector=word_vector,
            layers=parse_layers(layer),
            weights=weights,
            anchor_reduction=anchor_reduction,
            dropout=dropout,
        ),
        batching=_given(
            chosen.batching,
            batch_size=batch_size,
            pairs_per_language=pairs_per_language,
            batch_tokens=batch_tokens,
            on_error=on_error,
            seed=seed,
        ),
        train=_given(
            chosen.train,
            epochs=epochs,
            steps=steps,
            grad_accum=grad_accum,
            lr=lr,
            warmup=warmup,
            max_grad_norm=max_grad_norm,
            precision=precision,
            eval_every=eval_every,
            save_every=save_every,
            log_every=log_every,
            seed=seed,
        ),
    )
    check_output(output, resume=resume)
    corpora, held_out = _corpora(files, source, target, dev, input_format, langs, on_error, seed)
    encoder = open_encoder(model, device=device)
    if not isinstance(encoder, TorchEncoder):
        raise ConfigError(
            "an ONNX encoder cannot be trained",
            where=str(model),
            remedy="name the folder it was exported from",
        )
    gold_files = [Path(name) for name in gold or []] or (_sample_gold() if sampled else [])
    figures = Figures(encoder, held_out, [read_gold(path) for path in gold_files], layers=settings.objective.layers)
    with progress_bar(quiet=quiet) as bar, stop_on_sigterm() as should_stop:
        observer = TrainingProgress(bar, quiet=quiet)
        result = align_encoder(
            encoder,
            corpora,
            held_out,
            settings,
            folder=output,
            observer=observer,
            resume=resume,
            figures=figures,
            should_stop=should_stop,
        )
    if result.interrupted:
        typer.echo(
            f"stopped at step {result.step} of {result.steps}; go on with: {_resume_command()}", err=True
        )
        return
    measured = [record for record in result.history if "divergence" in record]
    Console().print(change_table(measured[0], measured[-1], output=output))
    if json_path is not None:
        write_document(
            json_path,
            {
                **run_metadata(encoder, corpora, settings),
                "before": measured[0],
                "after": measured[-1],
                "seconds": result.seconds,
            },
        )


def _given(config: Config, **values: Any) -> Config:
    """The configuration with those values that were given on the command line."""
    return replace(config, **{name: value for name, value in values.items() if value is not None})


def _parts(
    named: list[str] | None, anchor: float | None, default: tuple[tuple[str, float], ...]
) -> tuple[tuple[str, float], ...]:
    """The objective as (name, weight) pairs; --anchor sets the weight of the part of that name."""
    parts = dict(default)
    if named:
        parts = {}
        for text in named:
            name, _, weight = text.partition(":")
            try:
                parts[name] = float(weight or 1)
            except ValueError:
                raise typer.BadParameter(
                    f"{text!r}: the weight after ':' is not a number", param_hint="--objective"
                ) from None
    if anchor is not None:
        parts["anchor"] = anchor
    return tuple((name, weight) for name, weight in parts.items() if weight != 0)


def _corpora(
    files: list[str] | None,
    source: str | None,
    target: str | None,
    dev: list[str] | None,
    input_format: str,
    langs: str | None,
    on_error: str,
    seed: int,
) -> tuple[list[PairCorpus], list[PairCorpus]]:
    """Training and held-out corpora, English last in each."""
    from otkit.data.parallel import open_corpus
    from otkit.data.views import english_last, hold_out
    from otkit.errors import ConfigError
    from otkit.resources import sample_data

    def opened(names: list[str]) -> list[PairCorpus]:
        return [
            english_last(open_corpus(name, format=input_format, langs=langs, on_error=on_error))
            for name in names
        ]

    if (source is None) != (target is None):
        raise ConfigError(
            "--source and --target belong together", remedy="give both files, line by line alike"
        )
    if source is not None and target is not None:
        corpora = [english_last(open_corpus(source, target=target, langs=langs, on_error=on_error))]
        corpora += opened(files or [])
    elif files:
        corpora = opened(files)
    else:
        folder = sample_data() / "parallel"
        corpora = opened([str(path) for path in sorted(folder.glob("*.train.tsv"))])
        return corpora, opened([str(path) for path in sorted(folder.glob("*.dev.tsv"))])
    return (corpora, opened(dev)) if dev else hold_out(corpora, seed=seed)


def _sample_gold() -> list[Path]:
    from otkit.resources import sample_data

    return sorted((sample_data() / "gold").glob("*.dev.tsv"))


def _resume_command() -> str:
    """The command line as it was given, with --resume."""
    words = ["otkit", *sys.argv[1:]]
    return shlex.join(words if "--resume" in words else [*words, "--resume"])
