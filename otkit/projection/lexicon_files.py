"""A lexicon in the forms that programs and people read: a literal dict of writers, streamed from its SQLite file."""

from __future__ import annotations

import html
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from xml.sax.saxutils import escape, quoteattr

from otkit.files import script_json, to_json
from otkit.projection.lexicon import Entry, read_entries

__all__ = ["LEXICON_FORMS", "shortlist"]

LEXICON_FORM_NAMES = {
    "tsv": "a line an entry",
    "jsonl": "an object a line, with examples",
    "tbx": "TBX-Basic (ISO 30042:2019), for terminology tools",
    "shortlist": "lex.s2t and lex.t2s, as Marian and Bergamot read them",
    "sqlite": "a database to look words up in",
    "html": "a page to browse",
}
TSV_COLUMNS = ("source", "target", "count", "p(t|s)", "p(s|t)", "log-likelihood", "pmi", "lines")


def _tsv(base: sqlite3.Connection, langs: tuple[str, str]) -> Iterator[str]:
    yield "\t".join(TSV_COLUMNS) + "\n"
    for entry in read_entries(base):
        figures = (entry.target_given_source, entry.source_given_target, entry.log_likelihood, entry.pmi)
        lines = ",".join(str(example.line) for example in entry.examples)
        yield (
            "\t".join(
                [
                    entry.source,
                    entry.target,
                    str(entry.count),
                    *(f"{figure:.6g}" for figure in figures),
                    lines,
                ]
            )
            + "\n"
        )


def _jsonl(base: sqlite3.Connection, langs: tuple[str, str]) -> Iterator[str]:
    for entry in read_entries(base):
        yield to_json(entry.to_dict(), indent=None)


def _tbx(base: sqlite3.Connection, langs: tuple[str, str]) -> Iterator[str]:
    source, target = (quoteattr(lang) for lang in langs)
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<tbx type="TBX-Basic" style="dca" xml:lang={source} xmlns="urn:iso:std:iso:30042:ed-2">\n'
        "<tbxHeader><fileDesc><sourceDesc><p>Word links found by otkit.</p></sourceDesc></fileDesc></tbxHeader>\n"
        "<text><body>\n"
    )
    for number, entry in enumerate(read_entries(base), 1):
        note = f"seen {entry.count} times; p(t|s) {entry.target_given_source:.4f}"
        yield (
            f'<conceptEntry id="c{number}">'
            f"<langSec xml:lang={source}><termSec><term>{_xml(entry.source)}</term></termSec></langSec>"
            f"<langSec xml:lang={target}><termSec><term>{_xml(entry.target)}</term>"
            f"<note>{note}</note></termSec></langSec></conceptEntry>\n"
        )
    yield "</body></text>\n</tbx>\n"


def _xml(text: str) -> str:
    """Text for XML 1.0, which has no control characters."""
    return escape("".join(sign if sign >= " " or sign in "\t\n\r" else "\ufffd" for sign in text))


def shortlist(base: sqlite3.Connection, *, reverse: bool) -> Iterator[str]:
    """`target source p(t|s)` as in lex.s2t, or `source target p(s|t)` as in lex.t2s: what is given stands second."""
    order = "target, source_given_target DESC, source" if reverse else "id"
    columns = "source, target, source_given_target" if reverse else "target, source, target_given_source"
    for first, second, probability in base.execute(f"SELECT {columns} FROM entries ORDER BY {order}"):
        yield f"{first} {second} {probability:.7f}\n"


_PAGE_ENTRIES = 50_000


def _html(base: sqlite3.Connection, langs: tuple[str, str]) -> Iterator[str]:
    """The most frequent entries; the page needs no network."""
    total = base.execute("SELECT COUNT(*) FROM entries").fetchone()[0]
    note = (
        f"; of {total}, the {_PAGE_ENTRIES} most frequent are on this page" if total > _PAGE_ENTRIES else ""
    )
    known = [lang for lang in langs if lang != "und"]
    title = html.escape(" ".join(["Lexicon", "-".join(known)]).strip())
    spoken = [lang if lang in known else "" for lang in langs]
    page = (resources.files("otkit.projection") / "lexicon.html").read_text(encoding="utf-8")
    head, end = page.split("{{entries}}")
    for place, text in (("title", title), ("note", note), ("langs", script_json(spoken))):
        head = head.replace("{{" + place + "}}", text)
    yield head
    frequent = "WHERE e.id IN (SELECT id FROM entries ORDER BY count DESC, id LIMIT ?)"
    for entry in read_entries(base, frequent, (_PAGE_ENTRIES,)):
        yield _row(entry)
    yield end


def _row(entry: Entry) -> str:
    example = [entry.examples[0].source, entry.examples[0].target] if entry.examples else []
    figures = [round(entry.target_given_source, 4), round(entry.source_given_target, 4)]
    return script_json([entry.source, entry.target, entry.count, *figures, *example]) + ",\n"


Writer = Callable[[sqlite3.Connection, tuple[str, str]], Iterator[str]]
LEXICON_FORMS: Mapping[str, Writer] = {"tsv": _tsv, "jsonl": _jsonl, "tbx": _tbx, "html": _html}
"""What is written as one text; `shortlist` is two, and `sqlite` is the file itself."""
