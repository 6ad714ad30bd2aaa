"""`otkit evaluate`: what an encoder can do across languages, a sub-command for each task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otkit.alignment.settings import AlignmentSettings, BeadSettings, CheckSettings
from otkit.cli.command import Command
from otkit.cli.evaluate_run import (
    NO_RUN,
    NO_UNTRAINED_RUN,
    PARALLEL,
    TRANSFER,
    TRANSFER_TABLES,
    FineTuning,
    Outcome,
    Parallel,
    Run,
    Seeds,
    Transfer,
    UntrainedRun,
    grouped,
    measured,
    shows,
)
from otkit.cli.given import NOTHING, Given, takes
from otkit.cli.options import (
    JsonPath,
    Langs,
    Overwrite,
    Quiet,
    Seed,
    name_option,
    option,
)
from otkit.cli.outputs import claim_files, during_command, write_document
from otkit.cli.values import Ending, Number
from otkit.errors import ConfigError
from otkit.evaluation.settings import (
    XNLI_FINE_TUNING,
    XQUAD_FINE_TUNING,
    MiningSettings,
    RetrievalSettings,
    WordRetrievalSettings,
    XnliSettings,
    XquadSettings,
)
from otkit.training.settings import TransferSettings

if TYPE_CHECKING:
    from otkit.api.evaluate import Evaluation, RunOptions
    from otkit.reports.tables import Table

__all__ = ["app"]

app = typer.Typer(
    name="evaluate",
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Measure an encoder across languages: a row a language, the averages, and the change from a baseline.",
)

_COMMON = ("languages", "model", "baseline", "fail_under", "json_path", "output", "resume", "device")

Files = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FILE]...", help="Parallel text, one language each. Default: the sample data."),
]
Texts = Annotated[
    list[str] | None,
    typer.Argument(metavar="[TEXT]...", help="The text of each --gold, where gold holds links alone."),
]
Gold = Annotated[
    list[str] | None,
    option("Gold word links, one language each; repeatable. Default: the sample data.", "FILE"),
]
Base = Annotated[
    int | None,
    option(
        "What gold links count words from. Default: seen from the file.", "0|1", Number(int, least=0, most=1)
    ),
]
Data = Annotated[str | None, option("A folder of benchmarks, one part a task.", "DIR")]
Pooling = Annotated[
    str | None,
    name_option(
        "The sentence vector. Default: the model's.", "otkit.encoders.pooling:SENTENCE_POOLINGS", "pooling"
    ),
]
Prompt = Annotated[
    str | None,
    option(
        "A prompt of the model by its name, or text before every sentence. Default: the model's.", "NAME|TEXT"
    ),
]


def _task(name: str, *shown: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a sub-command, with the options of `Run`, of which the help shows those of `shown`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        app.command(name, cls=Command)(during_command(shows(*shown)(grouped(command))))
        return command

    return decorate


@_task("word-alignment", "gold", "by_layer", "tune", "recipe", "layers", "strategy", *_COMMON)
@takes(alignment=AlignmentSettings)
def word_alignment(
    texts: Texts = None,
    read: Parallel = PARALLEL,
    gold: Gold = None,
    base: Base = None,
    data: Data = None,
    by_layer: Annotated[
        bool, typer.Option("--by-layer", help="Show the error rate of each hidden state by itself, too.")
    ] = False,
    tune: Annotated[
        list[str] | None,
        option(
            "Choose the settings on these gold links first, and write them as a recipe; repeatable.", "FILE"
        ),
    ] = None,
    write_recipe: Annotated[
        Path | None,
        option(
            "Where --tune writes its recipe. Default: tuned.toml in --output.", "FILE", Ending((".toml",))
        ),
    ] = None,
    given: Given = NOTHING,
    run: UntrainedRun = NO_UNTRAINED_RUN,
) -> None:
    """Compare the aligner's word links with links that people made: error rate, precision, recall, F1.

    [bold]Examples[/bold]

    otkit evaluate word-alignment --gold sample_data/gold/de-en.dev.tsv --fail-under aer=0.1

    otkit evaluate word-alignment --tune sample_data/gold/de-en.dev.tsv --write-recipe runs/tuned.toml

    otkit evaluate word-alignment --by-layer --recipe runs/tuned.toml
    """
    if write_recipe is not None and not tune:
        raise ConfigError(
            "there is nothing to write", remedy="name gold links with --tune", setting="write_recipe"
        )
    pairs = read.files(texts)
    alignment = given.settings("alignment", AlignmentSettings)

    def work(how: RunOptions) -> Outcome:
        from otkit.api.evaluate import tune as choose_settings
        from otkit.api.evaluate import word_alignment as measure
        from otkit.api.evaluate import word_alignment_by_layer
        from otkit.files import write_file

        settings, links, whole = alignment, gold or [], read.added(how)
        tables: list[Table] = []
        document: dict[str, Any] = {}
        if tune:
            tuned = choose_settings(run.model, tune, settings=alignment, base=base, **whole)
            settings, document["tuning"] = tuned.settings, tuned.to_dict()
        if by_layer:
            layers = word_alignment_by_layer(
                run.model, links, pairs, settings=settings, base=base, data=data, **whole
            )
            tables, document["layers"] = [layers.table()], layers.to_dict()
        found = measure(run.model, links, pairs, settings=settings, base=base, data=data, **whole)
        if tune:
            write_file(write_recipe or run.output / "tuned.toml", tuned.to_toml(), overwrite=run.overwrite)
        return Outcome({found.task: found}, tables, document)

    measured(
        run,
        ["word-alignment"],
        work,
        inputs=[*read.inputs(texts, gold, tune), data, given.recipe],
        outputs={"write_recipe": write_recipe},
    )


@_task("retrieval", "langs", "data", "score", "layer", *_COMMON)
@takes(recipe=False, retrieval=RetrievalSettings)
def retrieval(
    files: Files = None,
    read: Parallel = PARALLEL,
    data: Data = None,
    given: Given = NOTHING,
    pooling: Pooling = None,
    prompt: Prompt = None,
    run: UntrainedRun = NO_UNTRAINED_RUN,
) -> None:
    """Look for the translation of each sentence among all sentences of the other language.

    [bold]Examples[/bold]

    otkit evaluate retrieval

    otkit evaluate retrieval sample_data/parallel/de-en.dev.tsv --model runs/aligned --baseline sample --score csls
    """
    pairs = read.files(files)

    def work(how: RunOptions) -> Evaluation:
        from otkit.api.evaluate import retrieval as measure

        return measure(
            run.model,
            pairs,
            settings=given.settings("retrieval", RetrievalSettings),
            data=data,
            pooling=pooling,
            prompt=prompt,
            **read.added(how),
        )

    measured(run, ["retrieval"], work, inputs=[*read.inputs(files), data])


@_task("word-retrieval", "gold", "data", "score", "pool", "layers", *_COMMON)
@takes(recipe=False, words=WordRetrievalSettings)
def word_retrieval(
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TEXT]...",
            help="The text of each --gold that holds links alone; without gold, text whose words are linked first.",
        ),
    ] = None,
    read: Parallel = PARALLEL,
    gold: Gold = None,
    base: Base = None,
    data: Data = None,
    given: Given = NOTHING,
    run: UntrainedRun = NO_UNTRAINED_RUN,
) -> None:
    """Look for the translation of each word in its sentence among the words of the other language.

    [bold]Examples[/bold]

    otkit evaluate word-retrieval

    otkit evaluate word-retrieval --gold sample_data/gold/de-en.dev.tsv --pool all
    """
    pairs = read.files(texts)

    def work(how: RunOptions) -> Evaluation:
        from otkit.api.evaluate import word_retrieval as measure

        return measure(
            run.model,
            gold or [],
            pairs,
            settings=given.settings("words", WordRetrievalSettings),
            base=base,
            data=data,
            **read.added(how),
        )

    measured(run, ["word-retrieval"], work, inputs=[*read.inputs(texts, gold), data])


@_task("mining", "source", "target", "gold", "langs", "score", "dev_share", *_COMMON)
@takes(recipe=False, mining=MiningSettings)
def mining(
    source: Annotated[str | None, option("The first collection: id<TAB>sentence a line.", "FILE")] = None,
    target: Annotated[str | None, option("The second collection.", "FILE")] = None,
    gold: Annotated[str | None, option("The pairs hidden in them: id<TAB>id a line.", "FILE")] = None,
    langs: Langs = None,
    given: Given = NOTHING,
    pooling: Pooling = None,
    prompt: Prompt = None,
    run: UntrainedRun = NO_UNTRAINED_RUN,
) -> None:
    """Find the translations that are hidden in two collections of sentences, as in BUCC.

    [bold]Example[/bold]

    otkit evaluate mining --source news.de --target news.en --gold de-en.pairs
    """
    if source is None or target is None or gold is None:
        raise ConfigError(
            "mining needs two collections and the pairs hidden in them",
            remedy="give --source F --target F (id<TAB>sentence) and --gold F (id<TAB>id)",
        )

    def work(how: RunOptions) -> Evaluation:
        from otkit.api.evaluate import mining as measure

        return measure(
            run.model,
            source,
            target,
            gold,
            settings=given.settings("mining", MiningSettings),
            langs=langs,
            pooling=pooling,
            prompt=prompt,
            **how,
        )

    measured(run, ["mining"], work, inputs=[source, target, gold])


@_task("xnli", "data", "train", "fine_tuning", "epochs", "seeds", "align", "recipe", *_COMMON)
@takes(beside=TRANSFER_TABLES, xnli=XnliSettings, transfer=TransferSettings)
def xnli(transfer: Transfer = TRANSFER, given: Given = NOTHING, run: Run = NO_RUN) -> None:
    """Fine-tune a classifier on English inference pairs and score it in every language (XNLI).

    [bold]Examples[/bold]

    otkit evaluate xnli --train-examples 200 --test-examples 40

    otkit evaluate xnli --data xtreme/xnli --fine-tuning xtreme --model runs/aligned --baseline sample --seeds 3

    otkit evaluate xnli --align de-en.tsv --align fr-en.tsv --align-weight 0.5 --schedule alternate

    otkit evaluate xnli --train train.tsv --align de-en.tsv --align fr-en.tsv --recipe transfer --epochs 2

    otkit evaluate xnli --train train.tsv --copies switched.tsv --consistency 1
    """

    def work(how: RunOptions) -> Evaluation:
        from otkit.api.evaluate import xnli as measure

        settings = given.settings("xnli", XnliSettings, XNLI_FINE_TUNING[transfer.fine_tuning])
        return measure(run.model, settings=settings, **transfer.added(how, given))

    measured(run, ["xnli"], work, inputs=transfer.inputs)


@_task("xquad", "data", "train", "fine_tuning", "epochs", "seeds", "align", "recipe", *_COMMON)
@takes(beside=TRANSFER_TABLES, xquad=XquadSettings, transfer=TransferSettings)
def xquad(transfer: Transfer = TRANSFER, given: Given = NOTHING, run: Run = NO_RUN) -> None:
    """Fine-tune a reader on English questions and let it answer in every language (XQuAD).

    [bold]Examples[/bold]

    otkit evaluate xquad --train-examples 100 --test-examples 20

    otkit evaluate xquad --data xtreme/xquad --fine-tuning xtreme --model runs/aligned --baseline sample --seeds 3

    otkit evaluate xquad --train train.json --align de-en.tsv --align es-en.tsv --recipe transfer --epochs 2
    """

    def work(how: RunOptions) -> Evaluation:
        from otkit.api.evaluate import xquad as measure

        settings = given.settings("xquad", XquadSettings, XQUAD_FINE_TUNING[transfer.fine_tuning])
        return measure(run.model, settings=settings, **transfer.added(how, given))

    measured(run, ["xquad"], work, inputs=transfer.inputs)


@_task("translation-errors", "data", "layers", "recipe", "prompt", *_COMMON)
@takes(check=CheckSettings)
def translation_errors(
    data: Annotated[
        str | None, option("Translations that people judged: a TSV with HalOmi's columns.", "FILE")
    ] = None,
    given: Given = NOTHING,
    pooling: Pooling = None,
    prompt: Prompt = None,
    run: UntrainedRun = NO_UNTRAINED_RUN,
) -> None:
    """Measure how well `otkit check` finds hallucinations and omissions that people marked, beside plain baselines.

    [bold]Example[/bold]

    otkit evaluate translation-errors --data halomi.tsv
    """
    if data is None:
        raise ConfigError(
            "translation-errors needs translations that people have judged",
            remedy="give --data FILE, a TSV with the columns of HalOmi",
        )

    def work(how: RunOptions) -> Evaluation:
        from otkit.api.evaluate import translation_errors as measure

        return measure(
            run.model,
            data,
            settings=given.settings("check", CheckSettings),
            pooling=pooling,
            prompt=prompt,
            **how,
        )

    measured(run, ["translation-errors"], work, inputs=[data, given.recipe])


@_task("documents", "source", "target", "gold", "langs", "most", "skip", "jump", *_COMMON)
@takes(recipe=False, beads=BeadSettings)
def documents(
    source: Annotated[list[str] | None, option("A document, a sentence a line; repeatable.", "FILE")] = None,
    target: Annotated[list[str] | None, option("Its translation; once for each --source.", "FILE")] = None,
    gold: Annotated[
        list[str] | None, option("Its beads of sentences, such as [0,1]:[0]; once for each --source.", "FILE")
    ] = None,
    langs: Langs = None,
    given: Given = NOTHING,
    run: UntrainedRun = NO_UNTRAINED_RUN,
) -> None:
    """Measure how well sentences of documents are aligned: strict and lax F1 of beads against those of people.

    [bold]Example[/bold]

    otkit evaluate documents --source book.de --target book.fr --gold book.beads --langs de-fr
    """
    sides = [source or [], target or [], gold or []]
    if not sides[0] or len({len(side) for side in sides}) > 1:
        raise ConfigError(
            f"received {', '.join(str(len(side)) for side in sides)} sources, targets and gold files",
            remedy="give each as often as the others, at least once",
        )
    files = list(zip(*sides, strict=True))

    def work(how: RunOptions) -> Evaluation:
        from otkit.api.evaluate import documents as measure

        return measure(
            run.model, files, settings=given.settings("beads", BeadSettings), langs=langs or "xx-yy", **how
        )

    measured(run, ["documents"], work, inputs=[name for side in sides for name in side])


def projection(
    projected: Annotated[
        str, typer.Argument(metavar="FILE", help="Labels or answers that were carried to a translation.")
    ],
    gold: Annotated[
        str, typer.Option(metavar="FILE", help="The same sentences or questions with those of people.")
    ],
    column: Annotated[
        int,
        typer.Option(
            metavar="N", parser=Number(int), help="CoNLL: the column of the labels; -1 is the last."
        ),
    ] = -1,
    language: Annotated[
        str | None, option("Count answers as MLQA does for this language, too.", "XX")
    ] = None,
    seed: Seed = 0,
    json_path: JsonPath = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Score labels or answers that were carried over: span precision, recall and F1 as seqeval counts them, or
    exact match and F1 of answers as SQuAD does, with 95 % bootstrap intervals.

    [bold]Example[/bold]

    otkit evaluate projection sample_data/labels/de.conll --gold sample_data/labels/de.conll
    """
    claim_files({"json": json_path}, [projected, gold], overwrite=overwrite)
    from otkit.api.evaluate import projection as measure
    from otkit.cli.progress import counted, last_line
    from otkit.cli.stdout import show

    found = measure(projected, gold, column=column, language=language, seed=seed)
    show(*found.tables())
    if json_path is not None:
        document = {**found.to_dict(), "column": column, "language": language, "seed": seed}
        write_document(json_path, document, overwrite=overwrite)
    last_line(f"projection: {counted(found.scores.count, 'item')} of {projected}", quiet=quiet)


app.command("projection", cls=Command)(during_command(projection))


@_task("all", "data", "fine_tuning", "seeds", "recipe", "chart", *_COMMON)
@takes(alignment=AlignmentSettings)
def all_tasks(
    files: Files = None,
    read: Parallel = PARALLEL,
    gold: Gold = None,
    data: Data = None,
    fine_tuning: FineTuning = "small",
    given: Given = NOTHING,
    seeds: Seeds = 1,
    seed: Seed = 0,
    run: Run = NO_RUN,
) -> None:
    """Run retrieval, word-alignment, word-retrieval, xnli and xquad, and show one table over all of them.

    [bold]Examples[/bold]

    otkit evaluate all

    otkit evaluate all --data benchmarks --model runs/aligned --baseline sample --seeds 3
    """
    pairs = read.files(files)
    alignment = given.settings("alignment", AlignmentSettings)

    def work(how: RunOptions) -> Outcome:
        from otkit.api.evaluate import all_tasks as measure

        return Outcome(
            measure(
                run.model,
                pairs,
                gold or [],
                alignment=alignment,
                fine_tuning=fine_tuning,
                data=data,
                seeds=range(seed, seed + seeds),
                **read.added(how),
            )
        )

    inputs = [*read.inputs(files, gold), data, given.recipe]
    measured(run, ["retrieval", "word-alignment", "word-retrieval", "xnli", "xquad"], work, inputs=inputs)
