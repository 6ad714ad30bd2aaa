"""A page that stands alone: words that light their partners, a threshold, grids, several models and layers.

Everything is inside the one file: style, script and data, drawn by the modules of the live page. A content security
policy forbids it to load or send anything and any script but its own; words reach the document as text only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path

import numpy as np

from otkit.alignment.settings import DEFAULT_THRESHOLDS
from otkit.alignment.shares import Shares
from otkit.data.languages import web_language
from otkit.errors import ConfigError
from otkit.files import write_file
from otkit.reports.languages import drawn_language, lang
from otkit.reports.tables import Table
from otkit.reports.view import GridView, LinkKind
from otkit.reports.words import visible

__all__ = ["Page", "PagePair", "Variant", "page_html", "page_style", "pair_title", "write_page"]

_HINT = "Point at a word, or reach it with Tab and the arrow keys, to light its partners."
_ORDERS = {
    "error": "highest error rate (AER) against gold",
    "mass": "weakest links",
    "file": "as in the file",
    "nulls": "most words without a partner",
    "cost": "highest transport cost",
    "longest": "longest",
    "disagreement": "largest disagreement between the two views",
}
_KEY: tuple[tuple[LinkKind, str], ...] = (
    ("link", "link"),
    ("sure", "link, sure in gold"),
    ("possible", "○ link, possible in gold"),
    ("missed", "× missed, sure in gold"),
    ("extra", "+ link not in gold"),
)


@dataclass(frozen=True)
class Variant:
    """One way of looking at every pair of the page."""

    model: str
    layer: str = ""
    transport: str = ""
    settings: str = ""


@dataclass(frozen=True)
class PagePair:
    """One sentence pair, seen once in each variant of its page; `number` is its line in the corpus."""

    number: int
    views: tuple[GridView, ...]


@dataclass(frozen=True)
class Page:
    """What a page shows: pairs in their variants, and tables of figures above them.

    `threshold` is the link strength that links were cut at, where the slider rests.
    """

    title: str
    variants: tuple[Variant, ...]
    pairs: tuple[PagePair, ...]
    note: str = ""
    tables: tuple[Table, ...] = ()
    threshold: float = DEFAULT_THRESHOLDS["threshold"]

    @property
    def gold(self) -> bool:
        """Whether its pairs have gold links."""
        return any(pair.views[0].gold is not None for pair in self.pairs)

    @property
    def order(self) -> str:
        """What the page opens by, the worst first: the error rate where there is gold, else the mass on links."""
        return "error" if self.gold else "mass"

    def __post_init__(self) -> None:
        if not self.pairs:
            raise ConfigError("a page needs at least one sentence pair")
        if not self.variants or len(set(self.variants)) != len(self.variants):
            raise ConfigError("the variants of a page must be at least one, and distinct")
        for pair in self.pairs:
            if len(pair.views) != len(self.variants):
                raise ConfigError(
                    f"pair {pair.number} has {len(pair.views)} views, the page {len(self.variants)} variants"
                )


def write_page(page: Page, path: Path, *, overwrite: bool = False) -> None:
    """Write the page whole, or leave what was there."""
    write_file(path, page_html(page), overwrite=overwrite)


def page_html(page: Page) -> str:
    """The page as one HTML document."""
    many = len(page.pairs) > 1
    script = _bundled("dom.js", "interlinear.js", "matrix.js", "page.js")
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        f"style-src 'unsafe-inline'; script-src '{_hash(script)}'\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(visible(page.title))}</title>",
        f"<style>{page_style()}</style></head><body>",
        f"<header><h1>{_heading(page)}</h1>",
        f'<p class="note">{escape(visible(page.note))}</p>' if page.note else "",
        "<noscript><p>Scripts are switched off, and this page draws with one.</p></noscript>",
        "</header><main>",
        _tables(page.tables, page.pairs[0].views[0].languages),
        "<h2>Alignments</h2>" if many or page.tables else '<h2 class="hidden">Alignment</h2>',
        _key(gold=page.gold),
        _controls(page, many=many),
        '<div id="pairs"></div><div id="end"></div></main>',
        f'<p id="status" role="status">{escape(_HINT)}</p>',
        f'<script id="data" type="application/json">{_json(_page_data(page))}</script>',
        f'<script type="module">{script}</script>',
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def pair_title(view: GridView) -> str:
    """The beginnings of both sentences."""
    return " – ".join(_beginnings(view))


def _beginnings(view: GridView) -> tuple[str, str]:
    return " ".join(view.source[:12]), " ".join(view.target[:12])


def _heading(page: Page) -> str:
    """The title; where it is two sentences, each in its own language and direction."""
    view = page.pairs[0].views[0]
    if page.title != pair_title(view):
        return escape(visible(page.title))
    sides = zip(_beginnings(view), view.drawn_languages, strict=True)
    return " – ".join(f"<bdi{lang(code)}>{escape(visible(text))}</bdi>" for text, code in sides)


def page_style() -> str:
    """The style of the live page, and what pages that stand alone add to it."""
    return _asset("style.css") + _asset("page.css")


def _asset(name: str) -> str:
    """The text of a file of this page, or of the live page, whose modules both are drawn by."""
    room = "otkit.reports" if name.startswith("page.") else "otkit.inspector"
    return (resources.files(room) / "assets" / name).read_text(encoding="utf-8")


_IMPORTED = re.compile(r'^import \{[^}]*\} from "\./[a-z]+\.js";\n', re.MULTILINE)
_EXPORTED = re.compile(r"^export (?=const|class|function|async)", re.MULTILINE)


def _bundled(*names: str) -> str:
    """Modules as one, each after those that it imports; a name that two of them declared would be an error there."""
    return "".join(_EXPORTED.sub("", _IMPORTED.sub("", _asset(name))) for name in names)


def _hash(script: str) -> str:
    """What a content security policy calls one script by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


# What begins tags and comments, and what a terminal or the order of a line obeys.
_OBEYED = re.compile("[<>&\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def _json(value: object) -> str:
    """JSON that no HTML parser can end early, and no terminal obeys."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text = _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate is no UTF-8


def _page_data(page: Page) -> dict[str, object]:
    first = page.variants[0].model
    others = [place for place, variant in enumerate(page.variants) if variant.model != first]
    spoken = page.pairs[0].views[0].languages
    return {
        "hint": _HINT,
        "variants": [vars(variant) for variant in page.variants],
        "second": (others or [len(page.variants) - 1])[0],
        "order": page.order,
        "languages": None if spoken is None else [*map(web_language, spoken)],
        "pairs": [_pair_data(pair) for pair in page.pairs],
    }


def _pair_data(pair: PagePair) -> dict[str, object]:
    view = pair.views[0]
    gold = view.gold
    return {
        "n": pair.number,
        "s": view.source,
        "t": view.target,
        "g": None if gold is None else {"s": sorted(gold.sure), "p": sorted(gold.possible)},
        "v": [_view_data(view) for view in pair.views],
    }


def _view_data(view: GridView) -> dict[str, object]:
    return {
        "p": _percents(view.shares),
        "q": None if view.compared is None else _percents_below(view.compared),
        "a": None if view.source_no_partner is None else _percents(view.source_no_partner),
        "b": None if view.target_no_partner is None else _percents(view.target_no_partner),
        "l": [[i, j, round(100 * view.link_share((i, j)))] for i, j in sorted(view.links)],
        "c": None if view.score is None else round(view.score, 4),
    }


def _percents(shares: Shares) -> str:
    """Whole percents, one byte each: what the page can show, at a tenth of the size of numbers as text."""
    whole = np.rint(100 * np.nan_to_num(shares).clip(0.0, 1.0)).astype(np.uint8)
    return base64.b64encode(whole.tobytes()).decode("ascii")


def _percents_below(strength: Shares) -> str:
    """The largest whole percent that each is above, so that the slider links just what is above it."""
    whole = (np.ceil(100 * np.nan_to_num(strength)) - 1).clip(0, 255).astype(np.uint8)
    return base64.b64encode(whole.tobytes()).decode("ascii")


def _key(*, gold: bool) -> str:
    items = "".join(
        f'<li><svg aria-hidden="true" viewBox="0 0 36 12"><path class="kind-{kind}" d="M0 6H36"/></svg> {name}</li>'
        for kind, name in _KEY
        if (kind != "link") == gold
    )
    frames = "<li>solid frame: sure by hand</li><li>dashed frame: possible by hand</li>" if gold else ""
    return (
        f'<ul class="key" aria-label="key">{items}{frames}<li>∅ word without a partner</li>'
        "<li>words of one group share a number and a colour</li>"
        '<li>link strength: 0% <span class="scale"></span> 100%</li></ul>'
    )


def _controls(page: Page, *, many: bool) -> str:
    listing = ""
    if many:
        there = {"error": page.gold, "disagreement": len(page.variants) > 1}
        orders = [
            f'<option value="{name}">{"worst first: " if name == page.order else ""}{text}</option>'
            for name, text in sorted(_ORDERS.items(), key=lambda order: order[0] != page.order)
            if there.get(name, True)
        ]
        listing = (
            f'<label>order <select id="order">{"".join(orders)}</select></label>'
            '<label>holding <input id="search" type="search" size="14"></label><output id="count"></output>'
        )
    return (
        '<div class="controls" role="group" aria-label="controls">'
        '<label>link from <input id="threshold" type="range" min="1" max="100" '
        f'value="{_percent(page.threshold)}"></label>'
        '<output id="threshold-value" for="threshold">as extracted</output>'
        '<button id="extracted" class="plain" type="button">reset</button>'
        f'<span id="choices"></span>{listing}</div>'
    )


def _lang_of(cell: str, column: str, spoken: Mapping[str, str | None]) -> str:
    return lang(drawn_language([cell], spoken[column])) if column in spoken else ""


def _percent(share: float) -> int:
    """A share on the slider."""
    return min(100, max(1, round(100 * share)))


def _tables(tables: Sequence[Table], languages: tuple[str, str] | None) -> str:
    """`languages` are of the columns that hold words of a side."""
    spoken = dict(zip(("source", "target"), languages or (None, None), strict=True))
    drawn = []
    for table in tables:
        classes = [
            ' class="number"' if table.kind(place) == "figure" else "" for place in range(len(table.columns))
        ]
        head = "".join(
            f'<th scope="col"{name}>{escape(visible(column.name))}</th>'
            for name, column in zip(classes, table.columns, strict=True)
        )
        body = []
        for number, row in enumerate(table.rows):
            cells = "".join(
                f"<td{name}><bdi{_lang_of(cell, column.name, spoken)}>{escape(visible(cell))}</bdi></td>"
                for cell, name, column in zip(table.cells(row), classes, table.columns, strict=True)
            )
            footer = ' class="footer"' if number == len(table.rows) - table.footers else ""
            body.append(f"<tr{footer}>{cells}</tr>")
        drawn.append(
            f'<table class="figures"><caption>{escape(visible(table.title))}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
        )
    return f'<div class="tables">{"".join(drawn)}</div>' if drawn else ""
