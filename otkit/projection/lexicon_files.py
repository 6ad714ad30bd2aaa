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
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>%(title)s</title><style>
:root{color-scheme:light dark;--text:#222;--quiet:#555;--line:#ddd;--paper:#fff}
@media (prefers-color-scheme:dark){:root{--text:#eee;--quiet:#aaa;--line:#333;--paper:#111}}
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:var(--text)}
html{background:var(--paper)}input{font:inherit;padding:.4rem;width:100%%;box-sizing:border-box}
table{border-collapse:collapse;width:100%%}td{overflow-wrap:anywhere}
td,th{text-align:start;padding:.3rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
.n{text-align:end;font-variant-numeric:tabular-nums;white-space:nowrap}
small,#said{color:var(--quiet)}small{display:block}
@media (max-width:45rem){
thead{position:absolute;clip-path:inset(50%%);width:1px;height:1px;overflow:hidden}
tr{display:grid;grid-template-columns:repeat(6,1fr);padding:.5rem 0;border-bottom:1px solid var(--line)}
td{grid-column:span 3;border:0;padding:.1rem .3rem}td.n{grid-column:span 2;text-align:start}
td.n::before{content:attr(data-name) " ";color:var(--quiet)}td:last-child{grid-column:1/-1}}
</style></head><body><h1>%(title)s</h1>
<label for="find">Find a word of either side</label><input id="find" type="search" autocomplete="off" autofocus>
<p id="said" role="status"></p>
<table><thead><tr><th scope="col">source</th><th scope="col">target</th><th scope="col" class="n">count</th>
<th scope="col" class="n" title="How much of the source's links go to the target">p(t|s)</th>
<th scope="col" class="n" title="How much of the target's links go to the source">p(s|t)</th>
<th scope="col">example</th></tr></thead><tbody id="rows"></tbody></table><script>
const langs = %(langs)s, note = "%(note)s", most = 200;
const entries = [
"""
_PAGE_END = """];
const rows = document.getElementById("rows"), find = document.getElementById("find");
const said = document.getElementById("said");
entries.sort((one, other) => other[2] - one[2]);
const words = entries.map(e => [e[0].toLowerCase(), e[1].toLowerCase()]);
function speak(element, text, side) {
  element.textContent = text; element.dir = "auto"; if (langs[side]) element.lang = langs[side]; return element;
}
function figure(row, name, text) {
  const made = row.insertCell(); made.textContent = text; made.className = "n"; made.dataset.name = name;
}
function rank(pair, wanted) {
  if (!wanted || pair.includes(wanted)) return 0;
  if (pair.some(word => word.startsWith(wanted))) return 1;
  return pair.some(word => word.includes(" " + wanted)) ? 2 : 3;
}
function show() {
  const wanted = find.value.trim().toLowerCase(), found = [[], [], []];
  entries.forEach((e, at) => found[rank(words[at], wanted)]?.push(e));
  const all = found.flat();
  rows.replaceChildren();
  for (const e of all.slice(0, most)) {
    const row = rows.insertRow();
    speak(row.insertCell(), e[0], 0); speak(row.insertCell(), e[1], 1);
    figure(row, "count", e[2]); figure(row, "p(t|s)", e[3].toFixed(3)); figure(row, "p(s|t)", e[4].toFixed(3));
    const example = row.insertCell();
    for (const side of [0, 1])
      if (e[5 + side]) example.append(speak(document.createElement("small"), e[5 + side], side));
  }
  const count = all.length + (all.length === 1 ? " entry" : " entries");
  said.textContent = (all.length > most ? count + ", the first " + most + " are shown" : count) + note;
}
find.addEventListener("input", show); show();
document.documentElement.dataset.ready = 1;
</script></body></html>
"""


def _html(base: sqlite3.Connection, langs: tuple[str, str]) -> Iterator[str]:
    """The most frequent entries; the page needs no network."""
    total = base.execute("SELECT COUNT(*) FROM entries").fetchone()[0]
    note = (
        f"; of {total}, the {_PAGE_ENTRIES} most frequent are on this page" if total > _PAGE_ENTRIES else ""
    )
    known = [lang for lang in langs if lang != "und"]
    title = html.escape(" ".join(["Lexicon", "-".join(known)]).strip())
    spoken = [lang if lang in known else "" for lang in langs]
    yield _PAGE % {"title": title, "note": note, "langs": _script(to_json(spoken, indent=None))}
    frequent = "WHERE e.id IN (SELECT id FROM entries ORDER BY count DESC, id LIMIT ?)"
    for entry in read_entries(base, frequent, (_PAGE_ENTRIES,)):
        yield _row(entry)
    yield _PAGE_END


def _row(entry: Entry) -> str:
    example = [entry.examples[0].source, entry.examples[0].target] if entry.examples else []
    figures = [round(entry.target_given_source, 4), round(entry.source_given_target, 4)]
    return (
        _script(to_json([entry.source, entry.target, entry.count, *figures, *example], indent=None)) + ",\n"
    )


def _script(text: str) -> str:
    """JSON of one line that may stand within a script."""
    return text.rstrip("\n").replace("<", "\\u003c").replace("&", "\\u0026")


Writer = Callable[[sqlite3.Connection, tuple[str, str]], Iterator[str]]
LEXICON_FORMS: Mapping[str, Writer] = {"tsv": _tsv, "jsonl": _jsonl, "tbx": _tbx, "html": _html}
"""What is written as one text; `shortlist` is two, and `sqlite` is the file itself."""
