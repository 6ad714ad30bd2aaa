"""`otkit embed --search`: questions to a folder of vectors, answered in a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from otkit.errors import ConfigError

if TYPE_CHECKING:
    from otkit.export.vector_search import Answer, Hit
    from otkit.report.tables import Table

__all__ = ["answer"]


def answer(
    folder: Path,
    given: list[str],
    *,
    k: int,
    model: str | None,
    device: str,
    json_path: Path | None,
    overwrite: bool = False,
) -> None:
    """Print what is nearest to each query; the query `-` stands for the lines of stdin."""
    from rich.console import Console

    from otkit.export.vector_search import open_search

    if not given:
        raise ConfigError("there is no query", remedy="write one in quotes, or - to read them from stdin")
    search = open_search(folder, model=model, device=device)
    answers = search(_queries(given), k=k)
    console = Console(highlight=False)
    for found in answers:
        console.print(_table(found))
    if json_path is not None:
        from otkit.cli.documents import write_document

        answered = [_plain(found) for found in answers]
        write_document(json_path, {"folder": str(folder), "answers": answered}, overwrite=overwrite)


def _queries(given: list[str]) -> list[str]:
    from otkit.data.lines import LineSource

    queries: list[str] = []
    for query in given:
        if query != "-":
            queries.append(query)
            continue
        for line in LineSource("-"):
            if not isinstance(line, str):
                raise line
            if line.strip():
                queries.append(line)
    return queries


def _where(hit: Hit) -> str:
    place = f"{hit.row.file}:{hit.row.line}"
    return place if hit.row.word is None else f"{place} word {hit.row.word}"


def _table(found: Answer) -> Table:
    from otkit.report.tables import Column, Table
    from otkit.report.words import visible

    return Table(
        title=visible(found.query),
        columns=(Column("where"), Column("score"), Column("language"), Column("text")),
        rows=tuple(
            (_where(hit), hit.score, hit.row.language or hit.row.side, hit.row.text) for hit in found.hits
        ),
    )


def _plain(found: Answer) -> dict[str, Any]:
    hits = [{"score": hit.score, **hit.row._asdict()} for hit in found.hits]
    return {"query": found.query, "hits": hits}
