"""`otkit project`: labels carried to a translation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otkit.alignment.settings import AlignmentSettings
from otkit.cli.command import refuse_given
from otkit.cli.given import NOTHING, Given, takes
from otkit.cli.options import (
    BatchTokens,
    Device,
    JsonPath,
    Langs,
    Model,
    OnError,
    Overwrite,
    Quiet,
    ResumeOutput,
    Seed,
    Threads,
    Verbose,
    name_option,
    note,
    set_logging,
    set_threads,
)
from otkit.cli.outputs import claim_files, write_document
from otkit.cli.values import Ending, Number
from otkit.errors import ConfigError
from otkit.projection.settings import SHARE, SpanSettings

if TYPE_CHECKING:
    from otkit.alignment.aligner import WordAligner

__all__ = ["Links", "project"]

Links = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Word links to use (i-j from 0, a line for each pair) instead of otkit's own.",
        show_default=False,
    ),
]


def note_unused(links: Path | None, model: str | None, *, quiet: bool) -> None:
    """Say that the model is not opened where links are given."""
    if links is not None and model is not None:
        note("the links are given, so no encoder is opened: --model does nothing here", quiet=quiet)


@takes(alignment=AlignmentSettings, projection=SpanSettings)
def project(
    labels: Annotated[
        str, typer.Argument(metavar="FILE", help="Labelled text: CoNLL, JSONL with spans, or SQuAD JSON.")
    ],
    target: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Its translation: in the same form, or one sentence (SQuAD: one context) a line. JSONL may hold it"
            ' itself, under "target".',
            show_default=False,
        ),
    ] = None,
    input_format: Annotated[
        str,
        name_option(
            "auto, conll, jsonl or squad; nli with --augment.", "otkit.projection.forms:FORM_NAMES", "form"
        ),
    ] = "auto",
    column: Annotated[
        int,
        typer.Option(
            metavar="N", parser=Number(int), help="CoNLL: the column of the labels, from 1; -1 is the last."
        ),
    ] = -1,
    token_column: Annotated[
        int,
        typer.Option(metavar="N", parser=Number(int), help="CoNLL: the column of the tokens, of both files."),
    ] = 1,
    scheme: Annotated[
        str,
        name_option(
            "CoNLL: the labels to write, iob1, iob2, bioes, bilou or auto (as the source has them).",
            "otkit.projection.labels:SCHEMES",
            "scheme",
        ),
    ] = "auto",
    augment: Annotated[
        bool,
        typer.Option(
            "--augment",
            help="Write the labelled text itself, SQuAD or XNLI, with a share of its words in the other language.",
        ),
    ] = False,
    lexicons: Annotated[
        list[str] | None,
        typer.Option(
            "--lexicon",
            metavar="FILE",
            help="With --augment: take words from this lexicon (.sqlite) instead of --target; may be given again.",
            show_default=False,
        ),
    ] = None,
    share: Annotated[
        float,
        typer.Option(
            metavar="X",
            parser=Number(float, least=0, most=1),
            help="With --augment: the probability of a word to be replaced.",
        ),
    ] = SHARE,
    seed: Seed = 0,
    links: Links = None,
    langs: Langs = None,
    keep: Annotated[
        str,
        name_option(
            "all sentences, or the complete ones: every span found, surely and in a plausible order.",
            "otkit.projection.corpus:KEEP",
            "sentences to keep",
        ),
    ] = "all",
    on_error: OnError = "raise",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            parser=Ending((".conll", ".iob", ".bio", ".bioes", ".tsv", ".txt", ".jsonl", ".json", ".gz")),
            help="Default: stdout. Packed if it ends in .gz.",
            show_default=False,
        ),
    ] = None,
    scores: Annotated[
        bool,
        typer.Option(
            "--scores",
            help="CoNLL: the confidence of each span in a last column, and a comment for each that is lost.",
        ),
    ] = False,
    resume: ResumeOutput = False,
    overwrite: Overwrite = False,
    model: Model = None,
    given: Given = NOTHING,
    batch_tokens: BatchTokens = None,
    device: Device = "auto",
    threads: Threads = None,
    json_path: JsonPath = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Carry the labels of a text to its translation: entities, answers, rationales.

    Each span of source words becomes the contiguous span of target words that has most to do with it.

    [bold]Examples[/bold]

    otkit project sample_data/labels/en.conll --target sample_data/labels/de.txt --output runs/de.conll

    otkit project sample_data/qa/en.json --target sample_data/qa/de.json --keep complete --output runs/de.json

    otkit project sample_data/nli/en.tsv --augment --target sample_data/nli/de.tsv --share 0.5 --output runs/mixed.tsv
    """
    if resume and (output is None or labels == "-"):
        raise ConfigError("--resume needs files on both ends", remedy="give --output FILE")
    if resume and overwrite:
        raise ConfigError("--resume and --overwrite were given", remedy="give one of them")
    set_logging(verbose=verbose)
    set_threads(threads)
    alignment = given.settings("alignment", AlignmentSettings)
    spans = given.settings("projection", SpanSettings)
    claim_files(
        {"output": output, "json": json_path},
        [labels, target, links, model, given.recipe, *(lexicons or [])],
        overwrite=overwrite or resume,
    )
    from otkit.api.project import open_aligner, open_projection, write_projection

    if augment:
        why = "examples that are augmented keep their labels"
        refuse_given(("column", "token_column", "scheme", "rule", "surety", "links", "scores"), why)
        if keep != "all":
            raise ConfigError(why, remedy="leave it out", setting="keep")
        _augment(
            labels,
            target,
            output,
            lexicons or [],
            langs=langs,
            share=share,
            seed=seed,
            form=input_format,
            on_error=on_error,
            resume=resume,
            overwrite=overwrite,
            aligner=lambda: open_aligner(model, alignment, device=device, batch_tokens=batch_tokens),
            json_path=json_path,
            quiet=quiet,
        )
        return
    refuse_given(("share", "seed"), "it is about --augment")
    if lexicons:
        raise ConfigError(
            "a lexicon has words, and labels go by links", remedy="add --augment", setting="lexicons"
        )
    from otkit.alignment.sink import was_begun
    from otkit.cli.progress import counted, last_line, progress_bar
    from otkit.cli.stdout import is_terminal, write_data
    from otkit.cli.stopping import resumable
    from otkit.projection.forms import check_ending, form_of

    form = form_of(labels) if input_format == "auto" else input_format
    if target is None and form != "jsonl":
        raise ConfigError("there is no translation", remedy="give its file", setting="target")
    check_ending(output, form)
    if form != "conll":
        refuse_given(
            ("column", "token_column", "scheme", "scores"), f"it is about CoNLL, and {labels} is {form}"
        )
    if keep != "complete":
        refuse_given(("surety",), "it says which sentences are complete", remedy="add --keep complete")
    note_unused(links, model, quiet=quiet)
    aligner = None
    if links is None:
        aligner = open_aligner(model, alignment, device=device, batch_tokens=batch_tokens)
    stream = open_projection(
        labels,
        target,
        aligner=aligner,
        links=links,
        langs=langs,
        form=form,
        spans=spans,
        keep=keep,
        on_error=on_error,
        options={"column": column, "token_column": token_column, "scheme": scheme, "scores": scores},
        note=lambda text: note(text, quiet=quiet),
    )
    with progress_bar(quiet=quiet or (output is None and is_terminal())) as bar:
        step, wrote = bar.step("project", unit="sentences"), True
        if aligner is not None:
            aligner.on_encoded = step.under_way
        if output is None:
            for piece in stream.pieces():
                step.update(stream.tally.sentences)
                if not write_data(piece.text):
                    return
        else:
            with resumable(lambda: was_begun(output)):
                wrote = write_projection(
                    stream,
                    output,
                    resume=resume,
                    overwrite=overwrite,
                    on_progress=lambda tally: step.update(tally.sentences),
                )
    tally = stream.tally
    for error in stream.bad[:5]:
        note(f"skipped: {error.where}: {error.what}", quiet=quiet)
    if tally.skipped:
        note(f"{tally.skipped} of {counted(tally.sentences, 'sentence')} skipped: no labels", quiet=False)
    if json_path is not None:
        figures = {
            "model": None if aligner is None else aligner.encoder.name,
            "aligner": None if aligner is None else aligner.used(),
            "links": links,
            "spans": spans.to_dict(),
            "counts": vars(tally),
        }
        write_document(json_path, figures, overwrite=overwrite)
    if not wrote:
        note(f"{output} is finished: nothing to resume", quiet=quiet)
        return
    found = tally.spans - tally.lost
    last_line(
        f"wrote {output or 'to stdout'}: {counted(tally.written, 'sentence')}, "
        f"{found} of {counted(tally.spans, 'span')} found",
        then="",
        quiet=quiet,
    )


def _augment(
    source: str,
    target: str | None,
    output: Path | None,
    lexicons: list[str],
    *,
    langs: str | None,
    share: float,
    seed: int,
    form: str,
    on_error: str,
    resume: bool,
    overwrite: bool,
    aligner: Callable[[], WordAligner],
    json_path: Path | None,
    quiet: bool,
) -> None:
    """Examples with words of another language."""
    from otkit.alignment.sink import was_begun
    from otkit.api.augment import augment, augment_form
    from otkit.cli.progress import counted, last_line, progress_bar
    from otkit.cli.stdout import write_data
    from otkit.cli.stopping import resumable

    augment_form(source, form, output)
    with progress_bar(quiet=quiet) as bar, resumable(lambda: output is not None and was_begun(output)):
        step = bar.step("augment", unit="texts")
        opened = None if lexicons or target is None else aligner()
        if opened is not None:
            opened.on_encoded = step.under_way
        result = augment(
            source,
            output,
            target=target,
            lexicons=lexicons,
            langs=langs,
            share=share,
            seed=seed,
            form=form,
            on_error=on_error,
            resume=resume,
            overwrite=overwrite,
            aligner=opened,
            on_progress=lambda done, total: step.update(done, total=total),
            note=lambda text: note(text, quiet=quiet),
        )
    if result.text is not None:
        write_data(result.text)
    for error in result.bad[:5]:
        note(f"skipped: {error.where}: {error.what}", quiet=quiet)
    if result.skipped:
        note(f"{counted(result.skipped, 'example')} skipped", quiet=False)
    if json_path is not None:
        figures = {
            "model": None if opened is None else opened.encoder.name,
            "lexicons": lexicons,
            "share": share,
            "seed": seed,
            "counts": {
                "examples": result.examples,
                "words": result.words,
                "replaced": result.replaced,
                "skipped": result.skipped,
            },
        }
        write_document(json_path, figures, overwrite=overwrite)
    if result.finished_before:
        note(f"{output} is finished: nothing to resume", quiet=quiet)
        return
    last_line(
        f"wrote {output or 'to stdout'}: {counted(result.examples, 'example')}, "
        f"{result.replaced} of {counted(result.words, 'word')} replaced",
        then="",
        quiet=quiet,
    )
