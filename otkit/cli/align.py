"""`otkit align`: fine-tune an encoder so that translations get the same cloud of word vectors."""

from __future__ import annotations

import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from otkit.cli.align_inputs import (
    is_main_process,
    local_device,
    mixed,
    number_of_processes,
    objective_parts,
    open_corpora,
    open_links,
    run_length,
    sample_gold,
)
from otkit.cli.aligning import temperature as warmth
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
    count_option,
    name_option,
    note,
    note_corpus,
    number_option,
    option,
    set_logging,
    set_threads,
)
from otkit.cli.outputs import claim_files, enter
from otkit.cli.values import NONE, Name, Number, Numbers, Weighted, changed, folder
from otkit.files import hold

__all__ = ["align"]

Parts = Annotated[
    list[Any] | None,
    option(
        "A loss to add, repeatable: ot, anchor, l2, contrastive-weak, contrastive-strong, self-training, "
        "consistency, link-likelihood, mlm, tlm, sentence-contrastive, ot-distill, word-alignment-supervised, "
        "gaussian-w2, mmd, denoising-alignment, parameter-anchor, ot-value, ot-linear. Default: ot:1 and anchor:1.",
        "NAME[:WEIGHT]",
        Weighted(Name("otkit.training.settings:NEEDS", "objective")),
        "--objective",
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
        Path,
        typer.Option("--output", "-o", metavar="DIR", parser=folder, help="Where the aligned encoder goes."),
    ] = Path("runs/aligned"),
    preset: Annotated[
        str | None,
        name_option(
            "Settings by name: best, or published ones: paper, cao-l2, awesome ... Options beside it win; "
            "the word none stands for no value.",
            "otkit.training.presets:PRESETS",
            "preset",
        ),
    ] = None,
    parts: Parts = None,
    cost: Annotated[
        str | None,
        name_option(
            "euclidean, sqeuclidean (half the square) or cosine.", "otkit.transport.cost:COSTS", "cost"
        ),
    ] = None,
    epsilon: Annotated[
        float | None, number_option("Entropic temperature, in units of the cost.", above=0, none=True)
    ] = None,
    epsilon_relative: Annotated[
        float | None,
        number_option(
            "The same in units of each problem's mean cost, in place of --epsilon.", above=0, none=True
        ),
    ] = None,
    scope: Annotated[
        str | None,
        name_option(
            "pair: a transport problem a sentence pair; batch: one cloud a batch.",
            "otkit.training.settings:SCOPES",
            "scope",
            metavar="pair|batch",
        ),
    ] = None,
    unit: Annotated[
        str | None,
        name_option("What the points are.", "otkit.training.settings:UNITS", "unit", metavar="word|subword"),
    ] = None,
    word_vector: Annotated[
        str | None,
        name_option(
            "The subword that stands for a word.",
            "otkit.encoders.pooling:POOLINGS",
            "word vector",
            metavar="last|first|mean",
        ),
    ] = None,
    layers: Layer = None,
    weights: Annotated[
        str | None,
        name_option(
            "Marginals.", "otkit.transport.marginals:MARGINALS", "weights", metavar="uniform|idf|norm"
        ),
    ] = None,
    anchor: Annotated[
        float | None,
        number_option(
            "Weight of the squared distance to the frozen start; 0 turns it off.", metavar="LAMBDA", least=0
        ),
    ] = None,
    anchor_reduction: Annotated[
        str | None,
        name_option(
            "Over the English words.",
            "otkit.training.settings:REDUCTIONS",
            "anchor reduction",
            metavar="sum|mean",
        ),
    ] = None,
    tau: Annotated[
        float | None,
        number_option(
            "KL penalty that lets words lose mass, in the unit of the temperature (the cost beside --epsilon, the mean "
            "cost beside --epsilon-relative).",
            above=0,
            none=True,
        ),
    ] = None,
    layer_weights: Annotated[
        Any,
        option(
            "Compare each of --layer by itself, with these weights.",
            "X[,X...]",
            Numbers(Number(least=0), none=True),
        ),
    ] = None,
    language_weights: Annotated[
        list[Any] | None,
        option(
            "Multiply a language's losses, such as de:0.5; repeatable.",
            "XX:X",
            Weighted(),
            "--language-weight",
        ),
    ] = None,
    position: Annotated[
        float | None,
        number_option("Weight of a word's place as one more coordinate of the transport.", least=0),
    ] = None,
    center: Annotated[
        str | None,
        name_option(
            "Compare words minus the mean of their sentence pair.",
            "otkit.training.settings:CENTERS",
            "centring",
            metavar="none|sentence",
        ),
    ] = None,
    letters: Annotated[
        float | None,
        number_option(
            "Power of the words' lengths that weigh the links link-likelihood finds; 0 for none.", least=0
        ),
    ] = None,
    attach_factor: Annotated[
        float | None,
        number_option(
            "Factor, there, for links of short words that go where the next word goes; 1 for none.", least=0
        ),
    ] = None,
    relink_every: Annotated[
        int | None,
        count_option(
            "Let link-likelihood read its links anew after so many steps; unless said, once.",
            metavar="STEPS",
            none=True,
        ),
    ] = None,
    temperature: Annotated[float | None, number_option("Of the contrastive losses.", above=0)] = None,
    projection: Annotated[
        int | None, count_option("Width of a head under the contrastive losses.", none=True)
    ] = None,
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
    frozen: Annotated[
        int | None,
        count_option(
            "Keep the embeddings (0), or also the first N layers, as they are.",
            "--freeze",
            least=0,
            none=True,
        ),
    ] = None,
    frozen_above: Annotated[
        int | None,
        count_option("Keep the layers above the first N as they are.", "--freeze-above", least=0, none=True),
    ] = None,
    discarded_above: Annotated[
        int | None,
        count_option(
            "Train the layers above the first N as a head only: they are saved as they were. The number of all layers "
            "discards none.",
            "--discard-above",
            least=0,
            none=True,
        ),
    ] = None,
    lora_rank: Annotated[
        int | None,
        count_option(
            "Train adapters of this rank instead of the weights.", "--lora", metavar="RANK", none=True
        ),
    ] = None,
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
        int | None,
        count_option("Pairs of every language in an epoch; small ones are repeated.", none=True),
    ] = None,
    epochs: Annotated[float | None, number_option("Passes over the data.", metavar="N", above=0)] = None,
    steps: Annotated[int | None, count_option("Optimiser steps, in place of --epochs.", none=True)] = None,
    batch_size: Annotated[
        int | None, count_option("Sentence pairs of a language pair and micro-step.")
    ] = None,
    mix: Annotated[
        bool | None,
        typer.Option("--mix/--no-mix", help="Batches of all languages: --batch-size pairs of them together."),
    ] = None,
    grad_accum: Annotated[int | None, count_option("Micro-steps in an optimiser step.")] = None,
    lr: Annotated[float | None, number_option("Peak learning rate.", above=0)] = None,
    warmup: Annotated[
        float | None, number_option("Share of the steps with a rising learning rate.", least=0, below=1)
    ] = None,
    schedule: Annotated[
        str | None,
        name_option(
            "What follows the warm-up.",
            "otkit.training.schedule:SCHEDULES",
            "schedule",
            metavar="linear|constant",
        ),
    ] = None,
    max_grad_norm: Annotated[
        float | None,
        number_option("Clip gradients at this norm; 0 or none turns it off.", least=0, none=True),
    ] = None,
    precision: Annotated[
        str | None,
        name_option(
            "Autocast of the encoder.",
            "otkit.training.schedule:PRECISIONS",
            "precision",
            metavar="fp32|bf16|fp16",
        ),
    ] = None,
    dev: Annotated[
        list[str] | None, option("Held-out parallel text. Default: a part of the training files.", "FILE")
    ] = None,
    gold: Annotated[
        list[str] | None,
        option("Gold word links (TSV) to score before and after, and at evaluations.", "FILE"),
    ] = None,
    eval_every: Annotated[
        int | None, count_option("Evaluate every N steps and keep the best.", none=True)
    ] = None,
    save_every: Annotated[int | None, count_option("Save a checkpoint every N steps.", none=True)] = None,
    save_minutes: Annotated[
        float,
        number_option(
            "Save a checkpoint every M minutes, where --save-every is not given; 0 or none turns it off.",
            metavar="M",
            least=0,
            none=True,
        ),
    ] = 15,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")] = False,
    overwrite: Overwrite = False,
    log_to: Annotated[
        list[str] | None,
        name_option(
            "Also log to tensorboard, wandb, mlflow ...; repeatable.",
            "otkit.training.processes:TRACKERS",
            "tracker",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print pairs, steps, time and memory of the run, and stop.")
    ] = False,
    log_every: Annotated[
        int | None,
        count_option("Write a history record every N steps. Default: 1, and 10 on a GPU.", none=True),
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
    from otkit.cli.outputs import write_document
    from otkit.cli.progress import TrainingProgress, counted, last_line, progress_bar
    from otkit.cli.stdout import show
    from otkit.cli.stopping import resume_command, stop_on_sigterm
    from otkit.data.gold import read_gold
    from otkit.encoders.open import open_encoder
    from otkit.encoders.torch import TorchEncoder
    from otkit.errors import ConfigError
    from otkit.training.forecast import forecast
    from otkit.training.presets import PRESETS
    from otkit.training.run import AlignSettings, align_encoder, check_output
    from otkit.training.settings import TuningSettings
    from otkit.training.supervision import Teacher

    inputs = [*(files or []), *(dev or []), *(gold or []), *(links or []), source, target, model, teacher]
    quiet = quiet or not is_main_process()
    sampled = not (files or source or links)
    chosen = PRESETS[preset or ("sample" if sampled else "paper")]
    objective = changed(
        replace(chosen.objective, **warmth(epsilon, epsilon_relative)),
        parts=objective_parts(parts, anchor, chosen.objective.parts),
        cost=cost,
        scope=scope,
        unit=unit,
        word_vector=word_vector,
        layers=layers,
        weights=weights,
        anchor_reduction=anchor_reduction,
        dropout=dropout,
        tau=tau,
        layer_weights=layer_weights,
        language_weights=tuple(dict(language_weights).items()) if language_weights else None,
        position=position,
        center=center,
        letters=letters,
        attach_factor=attach_factor,
        relink_every=relink_every,
        temperature=temperature,
        projection=projection,
        links="given" if links else None,
    )
    if teacher is not None and "teacher" not in objective.needs:
        raise ConfigError(
            f"received {teacher!r}, and no loss learns from a teacher",
            remedy="leave it out, or add --objective ot-distill",
            setting="teacher",
        )
    if (
        tau is None
        and objective.tau is not None
        and objective.temperature_unit != chosen.objective.temperature_unit
    ):
        note(
            f"tau {objective.tau:g} is now in units of {objective.temperature_unit}, as epsilon is",
            quiet=quiet,
        )
    settings = AlignSettings(
        objective=objective,
        batching=changed(
            chosen.batching,
            batch_size=batch_size,
            pairs_per_language=pairs_per_language,
            batch_tokens=batch_tokens,
            on_error=on_error,
            seed=seed,
        ),
        train=changed(
            replace(chosen.train, **run_length(epochs, steps)),
            grad_accum=grad_accum,
            lr=lr,
            warmup=warmup,
            schedule=schedule,
            max_grad_norm=NONE if max_grad_norm == 0 else max_grad_norm,
            precision=precision,
            eval_every=eval_every,
            save_every=save_every,
            save_minutes=save_minutes or NONE,
            log_every=log_every,
            seed=seed,
        ),
        tuning=changed(
            TuningSettings(gradient_checkpointing=gradient_checkpointing, compile=compile_layers),
            frozen=frozen,
            frozen_above=frozen_above,
            discarded_above=discarded_above,
            lora_rank=lora_rank,
        ),
    )
    # What is asked for wins over what the preset reads off the encoder, no value included.
    chosen = replace(
        chosen,
        frozen_quarter=chosen.frozen_quarter and frozen is not NONE,
        upper_discarded=chosen.upper_discarded and discarded_above is not NONE,
    )
    if is_main_process():
        claim_files({"json": json_path}, inputs, overwrite=overwrite)
    if not dry_run:
        check_output(output, inputs=inputs, resume=resume, overwrite=overwrite)
        if is_main_process():
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
    compared, tuning = chosen.fitted(encoder, settings.tuning, layers=layers)
    settings = replace(settings, objective=replace(settings.objective, layers=compared), tuning=tuning)
    if mix or (mix is None and chosen.mixed and not (links or language_weights)):
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
            if json_path is not None:
                write_document(
                    json_path, {"forecast": asdict(plan), "settings": asdict(settings)}, overwrite=overwrite
                )
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
