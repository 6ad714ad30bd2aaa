"""`otkit search`: questions to a folder of vectors, answered in a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otkit.cli.given import HelpAll
from otkit.cli.options import (
    Device,
    JsonPath,
    OnError,
    Overwrite,
    Quiet,
    Threads,
    Verbose,
    note,
    set_logging,
    set_threads,
)
from otkit.cli.outputs import claim_files, write_document
from otkit.cli.values import Number
from otkit.errors import ConfigError, InputError
from otkit.vectors.settings import NEIGHBOURS

if TYPE_CHECKING:
    from otkit.reports.tables import Table
    from otkit.vectors.search import Answer, Hit

__all__ = ["answer_table", "search"]


def search(
    vectors: Annotated[
        Path, typer.Argument(metavar="VECTORS", help="A folder that `otkit embed` wrote.", show_default=False)
    ],
    questions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[QUESTION]...",
            help="A sentence in any language; - reads one from each line of stdin.",
            show_default=False,
        ),
    ] = None,
    langs: Annotated[
        str | None,
        typer.Option(
            metavar="XX",
            help="The language of the questions, for a tokenizer that names it (NLLB, mBART).",
            show_default=False,
            rich_help_panel="Data",
        ),
    ] = None,
    on_error: OnError = "raise",
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="The encoder that made the vectors, where it has moved. Default: the place that the folder names.",
            show_default=False,
            rich_help_panel="Data",
        ),
    ] = None,
    k: Annotated[
        int,
        typer.Option(
            "-k",
            metavar="N",
            parser=Number(int, least=1),
            help="How many answers to give to a question.",
            rich_help_panel="Run",
        ),
    ] = NEIGHBOURS,
    prompt: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|TEXT",
            help="A prompt of the model by its name (query), or text before each question. Default: that of the texts.",
            rich_help_panel="Run",
        ),
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
    json_path: JsonPath = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    help_all: HelpAll = False,
) -> None:
    """Answer questions from a folder of vectors, across languages.

    Where the vectors are those of words, each word of a question is answered by itself.

    [bold]Examples[/bold]

    otkit embed sample_data/parallel/de-en.dev.tsv --output runs/vectors

    otkit search runs/vectors "Où sont mes clés ?" -k 3

    cat questions.txt | otkit search runs/vectors - --json answers.json
    """
    set_logging(verbose=verbose)
    set_threads(threads)
    claim_files({"json": json_path}, [vectors, model], overwrite=overwrite)
    asked = _read(questions or [], on_error=on_error, quiet=quiet)
    from otkit.api.embed import search as run
    from otkit.cli.progress import counted, last_line
    from otkit.cli.stdout import show

    answers = run(
        vectors,
        asked,
        k=k,
        prompt=prompt,
        langs=langs,
        encoder=model,
        device=device,
        note=lambda text: note(text, quiet=quiet),
    )
    if json_path is not None:
        answered = [_plain(found) for found in answers]
        write_document(json_path, {"folder": str(vectors), "answers": answered}, overwrite=overwrite)
    show(*map(answer_table, answers))
    hits = sum(len(found.hits) for found in answers)
    last_line(
        f"{counted(hits, 'answer')} to {counted(len(answers), 'question')} from {vectors}"
        f"{'' if json_path is None else f'; wrote {json_path}'}",
        then="-k N for more of them",
        quiet=quiet,
    )


def _read(given: list[str], *, on_error: str, quiet: bool) -> list[str]:
    """The questions of the command line; `-` stands for the lines of stdin."""
    from otkit.data.lines import LineSource, skipped_note, unskipped

    if not given:
        raise ConfigError("there is no question", remedy="write one in quotes, or - to read them from stdin")
    questions: list[str] = []
    bad: list[InputError] = []
    for question in given:
        if question != "-":
            questions.append(question)
            continue
        for line in LineSource("-"):
            if isinstance(line, str):
                questions += [line] if line.strip() else []
            elif on_error == "raise":
                raise unskipped(line, "<stdin>")
            else:
                bad.append(line)
    if bad:
        note(skipped_note(bad, len(bad)), quiet=quiet)
    if not questions:
        raise InputError("there is no usable question", where="<stdin>", remedy="write one a line")
    return questions


def _where(hit: Hit) -> str:
    place = f"{hit.row.file}:{hit.row.line}"
    return place if hit.row.word is None else f"{place} word {hit.row.word}"


def answer_table(found: Answer) -> Table:
    """What was found for one question, the nearest first."""
    from otkit.reports.tables import Column, Table
    from otkit.reports.words import visible

    return Table(
        title=visible(found.query),
        columns=(Column("where", kind="path"), Column("score"), Column("language", drop=1), Column("text")),
        rows=tuple(
            (_where(hit), hit.score, hit.row.language or hit.row.side, hit.row.text) for hit in found.hits
        ),
    )


def _plain(found: Answer) -> dict[str, Any]:
    hits = [{"score": hit.score, **hit.row._asdict()} for hit in found.hits]
    return {"query": found.query, "hits": hits}
