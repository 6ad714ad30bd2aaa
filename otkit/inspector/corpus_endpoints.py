"""The endpoints of a corpus: its pages, its figures, accepting and rejecting, and its layers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from otkit.errors import InputError
from otkit.inspector.corpus import CorpusIndex
from otkit.inspector.layer_table import MEANINGS, verdict
from otkit.inspector.queries import BOUNDS, COLUMNS, FILTERS, KINDS, MOST_ROWS, ORDERS
from otkit.inspector.requests import MODEL, NUMBER, Endpoint, Field
from otkit.inspector.session import Session
from otkit.reports.words import cell_text

__all__ = ["CORPUS_ENDPOINTS"]


def _corpus_of(session: Session) -> CorpusIndex:
    if session.corpus is None:
        raise InputError("there is no corpus", remedy="open the inspector with one")
    return session.corpus


def _corpus(session: Session, request: Mapping[str, Any]) -> Any:
    return _corpus_of(session).page(**request)


def _overview(session: Session, request: Mapping[str, Any]) -> Any:
    corpus = _corpus_of(session)
    return {
        "histograms": corpus.histograms(**request),
        **corpus.counts(),
        "done": corpus.done,
        "checked": corpus.checked,
    }


def _word_pairs(session: Session, request: Mapping[str, Any]) -> Any:
    corpus, kind = _corpus_of(session), request.get("kind", "link")
    return {"word_pairs": corpus.word_pairs(kind, request.get("limit", 50)), "done": corpus.done}


def _csv(session: Session, request: Mapping[str, Any]) -> Iterator[str]:
    pieces = _corpus_of(session).rows(**request)
    names = [name for name in COLUMNS if name != "id"]

    def texts() -> Iterator[str]:
        yield _csv_text([names])
        for rows in pieces:
            yield _csv_text([[_cell(row[name]) for name in names] for row in rows])

    return texts()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return cell_text(value) if isinstance(value, str) else f"{value}"


def _csv_text(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)  # RFC 4180
    return text.getvalue()


def _judge(session: Session, request: Mapping[str, Any]) -> Any:
    ids = request["ids"]
    _corpus_of(session)
    if session.annotations is None:
        raise InputError("there is no folder for verdicts", remedy="open the inspector with an output")
    if not 0 < len(ids) <= MOST_ROWS or not all(type(each) is int for each in ids):
        raise InputError("ids are no list of numbers", remedy=f"send 1 to {MOST_ROWS} of them")
    session.judge(request["by"], ids, request["verdict"])
    return {"judged": len(ids), **_corpus_of(session).counts()}


def _layers(session: Session, request: Mapping[str, Any]) -> Any:
    if "language" not in request:
        return {"languages": list(session.texts), "measures": dict(MEANINGS)}
    name = request.get("model")
    column, known = session.layers(name, request["language"])
    used = session.models.aligner(name, {}).layers
    return {**column.to_dict(), "used": list(used), "verdict": verdict(known, used)}


def _filters() -> dict[str, Field]:
    return {name: Field(NUMBER if name in BOUNDS else (str,), what) for name, what in FILTERS.items()}


_ORDER = {"order": Field((str,), ", ".join(ORDERS))}
CORPUS_ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "/corpus",
        "Pairs of the corpus, the worst first, by filters, in pages.",
        {
            **_ORDER,
            "offset": Field((int,), "rows to pass over"),
            "limit": Field((int,), f"rows to give, at most {MOST_ROWS}"),
            **_filters(),
        },
        _corpus,
    ),
    Endpoint(
        "/corpus/overview",
        "Histograms of the pairs that pass the filters, and how many were judged and flagged.",
        _filters(),
        _overview,
    ),
    Endpoint(
        "/corpus/words",
        "The word pairs that are most often linked, missed, linked against gold, or words without a link.",
        {
            "kind": Field((str,), "; ".join(f"{name}: {meaning}" for name, meaning in KINDS.items())),
            "limit": Field((int,), f"at most {MOST_ROWS}"),
        },
        _word_pairs,
    ),
    Endpoint(
        "/corpus/csv",
        "Every pair that passes the filters, as CSV; no cell begins with what a spreadsheet computes.",
        {**_ORDER, **_filters()},
        _csv,
        media="text/csv",
    ),
    Endpoint(
        "/corpus/judge",
        "Accept or reject pairs; the verdicts are on the disk when the answer comes.",
        {
            "ids": Field((list,), f"ids of pairs, at most {MOST_ROWS}", needed=True),
            "verdict": Field((str,), "accepted, rejected or none", needed=True),
            "by": Field((str,), "who says so", needed=True),
        },
        _judge,
    ),
    Endpoint(
        "/corpus/layers",
        "How well each hidden state brings a language together with its translations, and a verdict in words; "
        "without a language, those that there are.",
        {
            "language": Field(
                (str,), "the corpus under its name, or pairs that come with otkit, such as de-en"
            ),
            "model": MODEL["model"],
        },
        _layers,
    ),
)
