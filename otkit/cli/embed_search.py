"""`otkit embed --search`: questions to a folder of vectors, answered in a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from otkit.cli.options import note
from otkit.errors import ConfigError, InputError, choose

if TYPE_CHECKING:
    from otkit.reports.tables import Table
    from otkit.vectors.search import Answer, Hit

__all__ = ["answer", "answer_table", "read_queries"]


def answer(
    folder: Path,
    queries: list[str],
    *,
    k: int,
    model: str | None,
    device: str,
    json_path: Path | None,
    overwrite: bool = False,
    quiet: bool = False,
) -> None:
    """Print what is nearest to each query."""
    from otkit.cli.progress import counted, last_line
    from otkit.cli.stdout import show
    from otkit.vectors.search import open_search

    search = open_search(folder, model=model, device=device)
    answers = search(queries, k=k)
    if json_path is not None:
        from otkit.cli.outputs import write_document

        answered = [_plain(found) for found in answers]
        write_document(json_path, {"folder": str(folder), "answers": answered}, overwrite=overwrite)
    show(*map(answer_table, answers))
    hits = sum(len(found.hits) for found in answers)
    last_line(
        f"{counted(hits, 'answer')} to {counted(len(answers), 'query', 'queries')} from {folder}"
        f"{'' if json_path is None else f'; wrote {json_path}'}",
        then="-k N for more of them",
        quiet=quiet,
    )


def read_queries(given: list[str], *, on_error: str, quiet: bool) -> list[str]:
    """The queries of the command line; `-` stands for the lines of stdin."""
    from otkit.data.lines import ON_ERROR, LineSource, skipped_note, unskipped

    choose(on_error, ON_ERROR, what="way to treat bad lines")
    if not given:
        raise ConfigError("there is no query", remedy="write one in quotes, or - to read them from stdin")
    queries: list[str] = []
    bad: list[InputError] = []
    for query in given:
        if query != "-":
            queries.append(query)
            continue
        for line in LineSource("-"):
            if isinstance(line, str):
                queries += [line] if line.strip() else []
            elif on_error == "raise":
                raise unskipped(line, "<stdin>")
            else:
                bad.append(line)
    if bad:
        note(skipped_note(bad, len(bad)), quiet=quiet)
    if not queries:
        raise InputError("there is no usable query", where="<stdin>", remedy="write one a line")
    return queries


def _where(hit: Hit) -> str:
    place = f"{hit.row.file}:{hit.row.line}"
    return place if hit.row.word is None else f"{place} word {hit.row.word}"


def answer_table(found: Answer) -> Table:
    """What was found for one query, the nearest first."""
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
