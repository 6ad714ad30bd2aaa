"""A lexicon in the forms that programs and people read: a literal dict of writers, streamed from its SQLite file."""

from __future__ import annotations

import html
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from xml.sax.saxutils import escape, quoteattr

from otkit.files import to_json
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
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Lexicon</title><style>
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#222;background:#fff}
input{font:inherit;padding:.4rem;width:100%%;box-sizing:border-box}table{border-collapse:collapse;width:100%%}
td,th{text-align:left;padding:.2rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}small{color:#555}
@media (prefers-color-scheme:dark){body{background:#111;color:#eee}small{color:#aaa}td,th{border-color:#333}}
</style></head><body><h1>Lexicon %(langs)s</h1>
<label>Find <input id="find" type="search" autofocus></label><p id="said" role="status">%(said)s</p>
<table><thead><tr><th>source</th><th>target</th><th>count</th><th>p(t|s)</th><th>p(s|t)</th><th>example</th></tr>
</thead>
<tbody id="rows"></tbody></table><script>
const entries = [
"""
_PAGE_END = """];
const rows = document.getElementById("rows"), find = document.getElementById("find");
function cell(row, text, kind) {
  const made = row.insertCell(); made.textContent = text; if (kind) made.className = kind; return made;
}
function show() {
  const wanted = find.value.trim().toLowerCase(); rows.replaceChildren(); let shown = 0;
  for (const e of entries) {
    if (wanted && !e[0].toLowerCase().startsWith(wanted) && !e[1].toLowerCase().startsWith(wanted)) continue;
    if (++shown > 200) break;
    const row = rows.insertRow();
    cell(row, e[0]); cell(row, e[1]); cell(row, e[2], "n"); cell(row, e[3].toFixed(3), "n");
    cell(row, e[4].toFixed(3), "n");
    const small = document.createElement("small"); small.textContent = e[5]; cell(row, "").append(small);
  }
}
find.addEventListener("input", show); show();
</script></body></html>
"""


def _html(base: sqlite3.Connection, langs: tuple[str, str]) -> Iterator[str]:
    """The most frequent entries; the page needs no network."""
    total = base.execute("SELECT COUNT(*) FROM entries").fetchone()[0]
    said = f"{total} entries" + (
        f", of which the {_PAGE_ENTRIES} most frequent are here" if total > _PAGE_ENTRIES else ""
    )
    yield _PAGE % {"langs": html.escape("-".join(langs)), "said": said}
    least = 0
    if total > _PAGE_ENTRIES:
        least = base.execute(
            "SELECT count FROM entries ORDER BY count DESC LIMIT 1 OFFSET ?", (_PAGE_ENTRIES,)
        ).fetchone()[0]
    for entry in read_entries(base, "WHERE e.count > ?", (least,)):
        yield _row(entry)
    yield _PAGE_END


def _row(entry: Entry) -> str:
    example = f"{entry.examples[0].source} | {entry.examples[0].target}" if entry.examples else ""
    figures = [round(entry.target_given_source, 4), round(entry.source_given_target, 4)]
    row = to_json([entry.source, entry.target, entry.count, *figures, example], indent=None)
    return row.rstrip("\n").replace("<", "\\u003c").replace("&", "\\u0026") + ",\n"


Writer = Callable[[sqlite3.Connection, tuple[str, str]], Iterator[str]]
LEXICON_FORMS: Mapping[str, Writer] = {"tsv": _tsv, "jsonl": _jsonl, "tbx": _tbx, "html": _html}
"""What is written as one text; `shortlist` is two, and `sqlite` is the file itself."""
