"""`otkit align`: fine-tune an encoder so that translations get the same cloud of word vectors."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from otkit.cli.align_inputs import (
    given,
    is_main_process,
    local_device,
    mixed,
    named_weights,
    number_of_processes,
    objective_parts,
    open_corpora,
    open_links,
    sample_gold,
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
    SourceFile,
    TargetFile,
    Threads,
    Verbose,
    note,
    note_corpus,
    option,
    parse_layers,
    parse_numbers,
    set_logging,
    set_threads,
)
from otkit.cli.outputs import claim_files, enter
from otkit.errors import choose
from otkit.files import hold

__all__ = ["align"]

Objectives = Annotated[
    list[str] | None,
    typer.Option(
        "--objective",
        metavar="NAME[:WEIGHT]",
        help="A loss to add, repeatable: ot, anchor, l2, contrastive-weak, contrastive-strong, self-training, "
        "consistency, link-likelihood, mlm, tlm, sentence-contrastive, ot-distill, word-alignment-supervised, "
        "gaussian-w2, mmd, denoising-alignment, parameter-anchor, ot-value, ot-linear. Default: ot:1 and anchor:1.",
        show_default=False,
    ),
]


def align(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE]...", help="Parallel text, one file a language pair. Default: the sample data."
        ),
    ] = None,
    source: SourceFile = None,
    target: TargetFile = None,
    input_format: Format = "auto",
    langs: Langs = None,
    on_error: OnError = "raise",
    model: Model = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where the aligned encoder goes.")
    ] = Path("runs/aligned"),
    preset: Annotated[
        str | None,
        option(
            "Settings by name: best, or published ones: paper, cao-l2, awesome ... Options beside it win.",
            "NAME",
        ),
    ] = None,
    objective: Objectives = None,
    cost: Annotated[str | None, option("euclidean, sqeuclidean (half the square) or cosine.", "NAME")] = None,
    epsilon: Annotated[float | None, option("Entropic temperature, in units of the cost.", "X")] = None,
    epsilon_relative: Annotated[
        float | None, option("The same in units of each problem's mean cost, in place of --epsilon.", "X")
    ] = None,
    scope: Annotated[
        str | None,
        option("pair: a transport problem a sentence pair; batch: one cloud a batch.", "pair|batch"),
    ] = None,
    unit: Annotated[str | None, option("What the points are.", "word|subword")] = None,
    word_vector: Annotated[
        str | None, option("The subword that stands for a word.", "last|first|mean")
    ] = None,
    layer: Layer = None,
    weights: Annotated[str | None, option("Marginals.", "uniform|idf|norm")] = None,
    anchor: Annotated[
        float | None, option("Weight of the squared distance to the frozen start; 0 turns it off.", "LAMBDA")
    ] = None,
    anchor_reduction: Annotated[str | None, option("Over the English words.", "sum|mean")] = None,
    tau: Annotated[
        float | None,
        option(
            "KL penalty that lets words lose mass, in the unit of the temperature (the cost beside --epsilon, the mean "
            "cost beside --epsilon-relative).",
            "X",
        ),
    ] = None,
    layer_weights: Annotated[
        str | None, option("Compare each of --layer by itself, with these weights.", "X[,X...]")
    ] = None,
    language_weight: Annotated[
        list[str] | None, option("Multiply a language's losses, such as de:0.5; repeatable.", "XX:X")
    ] = None,
    position: Annotated[
        float | None, option("Weight of a word's place as one more coordinate of the transport.", "X")
    ] = None,
    center: Annotated[
        str | None, option("Compare words minus the mean of their sentence pair.", "none|sentence")
    ] = None,
    letters: Annotated[
        float | None,
        option("Power of the words' lengths that weigh the links link-likelihood finds; 0 for none.", "X"),
    ] = None,
    leaning: Annotated[
        float | None,
        option("Factor, there, for links of short words that go where the next word goes; 1 for none.", "X"),
    ] = None,
    read_every: Annotated[
        int | None,
        option("Let link-likelihood read its links anew after so many steps; unless said, once.", "STEPS"),
    ] = None,
    temperature: Annotated[float | None, option("Of the contrastive losses.", "X")] = None,
    projection: Annotated[int | None, option("Width of a head under the contrastive losses.", "N")] = None,
    links: Annotated[
        list[str] | None,
        option(
            "Word links of each training file, instead of the encoder's own: Pharaoh, or gold TSV, which "
            "without a training file is the text too.",
            "FILE",
        ),
    ] = None,
    teacher: Annotated[
        str | None, option("Encoder for ot-distill to learn from. Default: the start.", "MODEL")
    ] = None,
    freeze: Annotated[
        int | None, option("Keep the embeddings (0), or also the first N layers, as they are.", "N")
    ] = None,
    freeze_above: Annotated[int | None, option("Keep the layers above the first N as they are.", "N")] = None,
    discard_above: Annotated[
        int | None,
        option(
            "Train the layers above the first N as a head only: they are saved as they were. The number of all layers "
            "discards none.",
            "N",
        ),
    ] = None,
    lora: Annotated[int | None, option("Train adapters of this rank instead of the weights.", "RANK")] = None,
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Less memory for a third more work.")
    ] = False,
    compile_layers: Annotated[
        bool, typer.Option("--compile", help="Let torch.compile fuse each layer.")
    ] = False,
    dropout: Annotated[
        bool | None, typer.Option("--dropout/--no-dropout", help="The encoder's dropout.", show_default=False)
    ] = None,
    pairs_per_language: Annotated[
        int | None, option("Pairs of every language in an epoch; small ones are repeated.", "N")
    ] = None,
    epochs: Annotated[float | None, option("Passes over the data.", "N")] = None,
    steps: Annotated[int | None, option("Optimiser steps, instead of --epochs.", "N")] = None,
    batch_size: Annotated[
        int | None, option("Sentence pairs of a language pair and micro-step.", "N")
    ] = None,
    mix: Annotated[
        bool | None,
        typer.Option("--mix/--no-mix", help="Batches of all languages: --batch-size pairs of them together."),
    ] = None,
    grad_accum: Annotated[int | None, option("Micro-steps in an optimiser step.", "N")] = None,
    lr: Annotated[float | None, option("Peak learning rate.", "X")] = None,
    warmup: Annotated[float | None, option("Share of the steps with a rising learning rate.", "X")] = None,
    schedule: Annotated[str | None, option("What follows the warm-up.", "linear|constant")] = None,
    max_grad_norm: Annotated[
        float | None, option("Clip gradients at this norm; 0 turns it off.", "X")
    ] = None,
    precision: Annotated[str | None, option("Autocast of the encoder.", "fp32|bf16|fp16")] = None,
    dev: Annotated[
        list[str] | None, option("Held-out parallel text. Default: a part of the training files.", "FILE")
    ] = None,
    gold: Annotated[
        list[str] | None,
        option("Gold word links (TSV) to score before and after, and at evaluations.", "FILE"),
    ] = None,
    eval_every: Annotated[int | None, option("Evaluate every N steps and keep the best.", "N")] = None,
    save_every: Annotated[int | None, option("Save a checkpoint every N steps.", "N")] = None,
    save_minutes: Annotated[
        float,
        option("Save a checkpoint every M minutes, where --save-every is not given; 0 turns it off.", "M"),
    ] = 15,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")] = False,
    overwrite: Overwrite = False,
    log_to: Annotated[
        list[str] | None, option("Also log to tensorboard, wandb, mlflow ...; repeatable.", "NAME")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print pairs, steps, time and memory of the run, and stop.")
    ] = False,
    log_every: Annotated[
        int | None, option("Write a history record every N steps. Default: 1, and 10 on a GPU.", "N")
    ] = None,
    batch_tokens: BatchTokens = None,
    device: Device = "auto",
    threads: Threads = None,
    seed: Seed = 0,
    json_path: JsonPath = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Fine-tune an encoder with optimal transport, so that a sentence and its translation agree word by word.

    Writes a transformers folder with otkit.json, a model card, history.jsonl and checkpoints, and prints what
    changed on held-out text.

    [bold]Examples[/bold]

    otkit align

    otkit align sample_data/parallel/fr-en.train.tsv --steps 2 --batch-size 4 --preset paper --output runs/few
    """
    set_logging(verbose=verbose)
    set_threads(threads)
    from otkit.cli.align_report import Figures, change_table, draw_curve, forecast_table
    from otkit.cli.documents import write_document
    from otkit.cli.progress import TrainingProgress, counted, last_line, progress_bar
    from otkit.cli.stdout import show
    from otkit.cli.stopping import resume_command, stop_on_sigterm
    from otkit.data.gold import read_gold
    from otkit.encoders.checkpoint import open_encoder
    from otkit.encoders.encoder import TorchEncoder
    from otkit.errors import ConfigError
    from otkit.training.forecast import forecast
    from otkit.training.presets import PRESETS
    from otkit.training.run import AlignSettings, align_encoder, check_output
    from otkit.training.supervision import Teacher
    from otkit.training.tuning import TuningConfig
    from otkit.transport.config import one_temperature

    inputs = [*(files or []), *(dev or []), *(gold or []), *(links or []), source, target, model, teacher]
    asked = parse_layers(layer)
    quiet = quiet or not is_main_process()
    sampled = not (files or source or links)
    chosen = choose(preset or ("sample" if sampled else "paper"), PRESETS, what="preset")
    warmth = one_temperature(epsilon, epsilon_relative)
    settings = AlignSettings(
        objective=given(
            replace(chosen.objective, **warmth),
            parts=objective_parts(objective, anchor, chosen.objective.parts),
            cost=cost,
            scope=scope,
            unit=unit,
            word_vector=word_vector,
            layers=asked,
            weights=weights,
            anchor_reduction=anchor_reduction,
            dropout=dropout,
            tau=tau,
            layer_weights=parse_numbers(layer_weights, option="--layer-weights"),
            language_weights=named_weights(language_weight, option="--language-weight")
            if language_weight
            else None,
            position=position,
            center=center,
            letters=letters,
            leaning=leaning,
            read_every=read_every,
            temperature=temperature,
            projection=projection,
            links="given" if links else None,
        ),
        batching=given(
            chosen.batching,
            batch_size=batch_size,
            pairs_per_language=pairs_per_language,
            batch_tokens=batch_tokens,
            on_error=on_error,
            seed=seed,
        ),
        train=given(
            chosen.train,
            epochs=epochs,
            steps=steps,
            grad_accum=grad_accum,
            lr=lr,
            warmup=warmup,
            schedule=schedule,
            max_grad_norm=max_grad_norm,
            precision=precision,
            eval_every=eval_every,
            save_every=save_every,
            save_minutes=save_minutes or None,
            log_every=log_every,
            seed=seed,
        ),
        tuning=TuningConfig(
            frozen=freeze,
            frozen_above=freeze_above,
            discarded_above=discard_above,
            lora_rank=lora,
            gradient_checkpointing=gradient_checkpointing,
            compile=compile_layers,
        ),
    )
    if max_grad_norm == 0:
        settings = replace(settings, train=replace(settings.train, max_grad_norm=None))
    if not dry_run:
        check_output(output, inputs=inputs, resume=resume, overwrite=overwrite)
        if is_main_process():
            claim_files({"json": json_path}, inputs, overwrite=overwrite)
            enter(hold(output))
    corpora, held_out = open_corpora(
        files, source, target, dev, input_format, langs, on_error, seed, links=links, quiet=quiet
    )
    device = local_device(device)
    encoder = open_encoder(model, device=device)
    if not isinstance(encoder, TorchEncoder):
        raise ConfigError(
            "an ONNX encoder cannot be trained",
            where=str(model),
            remedy="name the folder it was exported from",
        )
    layers, tuning = chosen.fitted(encoder, settings.tuning, layers=asked)
    settings = replace(settings, objective=replace(settings.objective, layers=layers), tuning=tuning)
    if mix or (mix is None and chosen.mixed and not (links or language_weight)):
        corpora, settings = mixed(corpora, settings, links=links)
    given_links = open_links(links, corpora, on_error=on_error)
    tutor = None
    if teacher is not None:
        found = open_encoder(teacher, device=device)
        if not isinstance(found, TorchEncoder):
            raise ConfigError("an ONNX encoder cannot teach", where=teacher, remedy="name its torch folder")
        tutor = Teacher(found, corpora)
    if dry_run:
        if is_main_process():
            with progress_bar(quiet=quiet) as bar:
                plan = forecast(
                    encoder,
                    corpora,
                    settings,
                    links=given_links,
                    teacher=tutor,
                    processes=number_of_processes(),
                    observer=TrainingProgress(bar),
                )
            show(forecast_table(plan))
            last_line("nothing was trained or written: a dry run", then="leave --dry-run out", quiet=quiet)
        return
    gold_files = [Path(name) for name in gold or []] or (sample_gold() if sampled else [])
    gold_sets = [read_gold(path, format="tsv", on_error=on_error) for path in gold_files]
    for found_gold in gold_sets if gold else []:
        note_corpus(found_gold, quiet=quiet)
    with progress_bar(quiet=quiet) as bar, stop_on_sigterm() as asked_to_stop:
        observer = TrainingProgress(bar)
        figures = Figures(
            encoder,
            held_out,
            gold_sets,
            layers=settings.objective.layers,
            progress=observer.progress,
        )
        result = align_encoder(
            encoder,
            corpora,
            held_out,
            settings,
            folder=output,
            observer=observer,
            resume=resume,
            figures=figures,
            should_stop=lambda: asked_to_stop() > 0,
            links=given_links,
            teacher=tutor,
            log_to=log_to or [],
            inputs=inputs,
            overwrite=overwrite,
            main=is_main_process(),
        )
    if not result.main:
        return
    if result.interrupted:
        typer.echo(
            f"stopped at step {result.step} of {result.steps}; go on with: {resume_command()}", err=True
        )
        # Not 0: what follows in a script (`align && export`) has no encoder yet.
        raise typer.Exit(128 + asked_to_stop())
    measured = [record for record in result.history if "divergence" in record]
    missing = draw_curve(
        result.history, output / "curve.png", names=[name for name, _ in settings.objective.parts]
    )
    if missing is not None:
        note(missing, quiet=quiet)
    if json_path is not None:
        write_document(
            json_path,
            {
                **result.metadata,
                "before": measured[0],
                "after": measured[-1],
                "seconds": result.seconds,
            },
            overwrite=overwrite,
        )
    show(change_table(measured[0], measured[-1], output=output))
    last_line(
        f"wrote {output}: the encoder after {counted(result.step, 'step')} in {result.seconds / 60:.1f} minutes, "
        f"its card, history.jsonl{'' if missing else ', curve.png'}",
        then=f"otkit show-alignment SOURCE TARGET --model {shlex.quote(str(output))} --compare {model or 'sample'}",
        quiet=quiet,
    )
