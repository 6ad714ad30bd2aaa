"""An alignment as a terminal shows it: the grid, its key, the links, words with no partner; and that picture as SVG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from otkit.reports.grid import (
    KIND_STYLES,
    NULL_SHOWN_FROM,
    NULL_STYLE,
    SHADE_FROM,
    SHARE_STYLE,
    UNICODE,
    Glyphs,
    assemble,
    glyphs_for,
    grid_lines,
    spell,
)
from otkit.reports.view import Cell, GridView, LinkKind, compare_links
from otkit.reports.words import cell_width, is_rtl, is_steady

__all__ = ["AlignmentPicture", "ComparisonPicture", "difference_lines", "summary_lines", "terminal_svg"]

_CLOSER = "(lower is closer)"
_KIND_NAMES: dict[LinkKind, str] = {
    "link": "link",
    "sure": "link, sure in gold",
    "possible": "link, possible in gold",
    "missed": "missed, sure in gold",
    "extra": "link not in gold",
}


@dataclass(frozen=True)
class AlignmentPicture:
    """One pair for a rich console: caption, grid, key and lists, as wide as the console."""

    view: GridView

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        glyphs = glyphs_for(options.encoding)
        if self.view.caption:
            yield Text(self.view.caption, style="italic")
        if self.view.settings:
            yield Text(self.view.settings)
        yield from grid_lines(self.view, width=options.max_width, glyphs=glyphs)
        yield Text("")
        yield from summary_lines(self.view, width=options.max_width, glyphs=glyphs)


@dataclass(frozen=True)
class ComparisonPicture:
    """One pair seen by two models: side by side where both fit, else stacked, then what differs."""

    left: GridView
    right: GridView

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        glyphs = glyphs_for(options.encoding)
        width = options.max_width
        yield from _beside(self.left, self.right, width=width, glyphs=glyphs)
        yield from map(Text, dict.fromkeys(filter(None, (self.left.settings, self.right.settings))))
        yield Text("")
        yield from _key_lines(self.left, width=width, glyphs=glyphs)
        yield from difference_lines(self.left, self.right, width=width, glyphs=glyphs)
        views = [(f"{_model(view, width, glyphs)}: ", view) for view in (self.left, self.right)]
        for name, view in views:
            yield from _null_lines(view, width=width, glyphs=glyphs, name=name)
            yield from _gold_lines(view, width=width, name=name)
        costs = [f"{name[:-2]} {view.score:.3f}" for name, view in views if view.score is not None]
        if costs:
            yield from _flow(["transport cost:", *costs, _CLOSER], width=width)


def difference_lines(view: GridView, other: GridView, *, width: int, glyphs: Glyphs = UNICODE) -> list[Text]:
    """Two lines: the links that the first has and the other model lacks, and those that it lacks."""
    both, gained, lost = compare_links(view.links, other.links)
    name = _model(other, width, glyphs)
    lines: list[Text] = []
    for what, cells in ((f"gained over {name}", gained), (f"lost, of {len(both) + len(lost)}", lost)):
        words = [
            f"{spell(view.source[i], 20, glyphs)} {glyphs.arrow} {spell(view.target[j], 20, glyphs)}"
            for i, j in cells
        ]
        listed = [f"{word}," for word in words[:-1]] + words[-1:]
        lines += _flow([f"{what} ({len(cells)}):", *(listed or ["none"])], width=width)
    return lines


def _model(view: GridView, width: int, glyphs: Glyphs) -> str:
    """Whose view it is; layers and transport stand above its grid."""
    return spell(view.caption.partition(",")[0], width // 2, glyphs)


def _beside(left: GridView, right: GridView, *, width: int, glyphs: Glyphs) -> list[Text]:
    half = (width - 3) // 2
    needed = 2 * (len(left.target) + 1) + 10
    plain = not any(is_rtl(word) or not is_steady(word) for word in (*left.source, *left.target))
    if not (plain and needed <= half):
        above, below = (_captioned(view, width=width, glyphs=glyphs) for view in (left, right))
        return [*above, Text(""), *below]
    columns = [_captioned(view, width=half, glyphs=glyphs) for view in (left, right)]
    joined = []
    for row in range(max(map(len, columns))):
        first, second = (column[row] if row < len(column) else Text("") for column in columns)
        line = Text("", no_wrap=True, overflow="ignore").append_text(first)
        if second.plain:
            line.append(" " * (half + 3 - cell_width(first.plain))).append_text(second)
        joined.append(line)
    return joined


def _captioned(view: GridView, *, width: int, glyphs: Glyphs) -> list[Text]:
    caption = assemble([(spell(view.caption, width, glyphs), "italic")])
    return [caption, *grid_lines(view, width=width, glyphs=glyphs)]


def summary_lines(view: GridView, *, width: int, glyphs: Glyphs = UNICODE) -> list[Text]:
    """The key, the links with their link strength, the words with no partner, the sentence score."""
    lines = [*_key_lines(view, width=width, glyphs=glyphs), Text(""), *_link_lines(view, width, glyphs)]
    if not view.links:
        lines.append(Text("no links"))
    return [
        *lines,
        Text(""),
        *_null_lines(view, width=width, glyphs=glyphs),
        *_gold_lines(view, width=width),
        *([] if view.score is None else _flow([f"transport cost {view.score:.3f}", _CLOSER], width=width)),
    ]


def _key_lines(view: GridView, *, width: int, glyphs: Glyphs) -> list[Text]:
    shown = {"link"} if view.gold is None else set(KIND_STYLES) - {"link"}
    shades = [
        [(shade * 2, SHARE_STYLE), (f" {bound:.0%}+", "")]
        for shade, bound in zip(glyphs.shades[1:], SHADE_FROM, strict=True)
    ]
    kinds = [
        [(glyphs.kinds[kind], KIND_STYLES[kind]), (f" {name}", "")]
        for kind, name in _KIND_NAMES.items()
        if kind in shown
    ]
    alone = []
    if any((null >= NULL_SHOWN_FROM).any() for null in view.null_shares()):
        alone = [[(glyphs.shades[-1] * 2, NULL_STYLE), (" probability of no partner", "")]]
    return _flow(["link strength:", *shades, *kinds, *alone], width=width)


def _null_lines(view: GridView, *, width: int, glyphs: Glyphs, name: str = "") -> list[Text]:
    lines: list[Text] = []
    for side, unlinked in view.unlinked_words():
        items = [spell(word, 24, glyphs) + ("" if p is None else f" ({p:.0%})") for word, p in unlinked]
        lines += _flow([f"{name}no partner in the {side}:", *items], width=width)
    return lines


def _gold_lines(view: GridView, *, width: int, name: str = "") -> list[Text]:
    if view.gold is None:
        return []
    counted = ", ".join(
        f"{view.counts.get(kind, 0)} {kind}" for kind in ("sure", "possible", "missed", "extra")
    )
    return _flow([f"{name}against gold:", counted], width=width)


def _link_lines(view: GridView, width: int, glyphs: Glyphs) -> list[Text]:
    marked = [cell for cell, kind in view.kinds.items() if kind != "missed"]
    entries = [_link_entry(view, cell, width, glyphs) for cell in marked]
    widest = max((sum(cell_width(text) for text, _ in entry) for entry in entries), default=0) + 3
    steady = all(is_steady(word) for word in (*view.source, *view.target))
    per_line = max(1, (width + 3) // widest) if steady or glyphs.plain else 1
    height = ceil(len(entries) / per_line)
    lines = []
    for row in range(height):  # read downwards, like a dictionary
        parts: list[tuple[str, str]] = []
        for entry in entries[row::height]:
            parts += entry
            parts.append((" " * (widest - sum(cell_width(text) for text, _ in entry)), ""))
        lines.append(assemble(parts))
    return lines


def _link_entry(view: GridView, cell: Cell, width: int, glyphs: Glyphs) -> list[tuple[str, str]]:
    kind = view.kinds[cell]
    half = (width - 10 - len(glyphs.arrow)) // 2
    source, target = spell(view.source[cell[0]], half, glyphs), spell(view.target[cell[1]], half, glyphs)
    return [
        (f"{glyphs.kinds[kind]} ", KIND_STYLES[kind]),
        (f"{view.link_share(cell):4.0%} ", ""),
        (f"{source} {glyphs.arrow} {target}", ""),
    ]


def _flow(items: Sequence[str | Sequence[tuple[str, str]]], *, width: int) -> list[Text]:
    """Items, plain or in styled parts, one after another, folded between items; continued lines are indented."""
    lines: list[list[tuple[str, str]]] = [[]]
    used = 0
    for item in items:
        parts = [(item, "")] if isinstance(item, str) else list(item)
        size = sum(cell_width(text) for text, _ in parts)
        gap = 2 if lines[-1] else 0
        if used and used + gap + size > width:
            lines.append([])
            used, gap = 0, 2
        lines[-1] += [(" " * gap, ""), *parts]
        used += gap + size
    return [assemble(line) for line in lines]


# rich fills in what is between braces; the fonts are the reader's own, so that nothing is loaded from elsewhere.
_SVG = """\
<svg class="otkit-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px/{line_height}px ui-monospace, Menlo, Consolas, monospace; }}
.{unique_id}-title {{ font: bold 18px system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def terminal_svg(picture: RenderableType, *, width: int, title: str) -> str:
    """The picture as rich exports it."""
    console = Console(
        file=io.StringIO(),
        record=True,
        width=width,
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
    )
    console.print(picture)
    return console.export_svg(title=title, code_format=_SVG)
