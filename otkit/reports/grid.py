"""The transport plan as a grid in the terminal.

Column heads form a staircase and row labels stand to the right of the cells:

    ┌ This
    │ ┌ is
    │ │ ┌ small
    █●· ·  Das
    · █●·  ist
    · · █● klein

so each line holds one word and the word ends it. Whatever width or direction a terminal gives to Arabic,
Devanagari or CJK text, the cells before it stay where they are; no word is turned on its side, and thirty
columns of two cells leave twenty of eighty to the words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import ceil

from rich.text import Text

from otkit.reports.view import GridView, LinkKind
from otkit.reports.words import anchor_line, cell_width, clip, isolate, visible

__all__ = [
    "ASCII",
    "KIND_STYLES",
    "NULL_SHOWN_FROM",
    "NULL_STYLE",
    "SHADE_FROM",
    "SHARE_STYLE",
    "UNICODE",
    "Glyphs",
    "assemble",
    "glyphs_for",
    "grid_lines",
    "is_whole",
    "spell",
]

SHADE_FROM = (0.05, 0.25, 0.5, 0.75)
KIND_STYLES: dict[LinkKind, str] = {
    "link": "bold green",
    "sure": "bold green",
    "possible": "bold cyan",
    "missed": "bold red",
    "extra": "bold yellow",
}
SHARE_STYLE, NULL_STYLE = "blue", "magenta"
NULL_SHOWN_FROM = 0.05


@dataclass(frozen=True)
class Glyphs:
    """One character for each shade (from none to full) and each kind of link; words keep to `encoding`."""

    shades: str
    kinds: dict[LinkKind, str]
    guide: str
    corner: str
    arrow: str
    null: str
    encoding: str = "utf-8"

    @property
    def plain(self) -> bool:
        """True where no sign is wider or more joined than a letter of Europe."""
        return self.encoding != "utf-8"


UNICODE = Glyphs(
    shades="·░▒▓█",
    kinds={"link": "●", "sure": "●", "possible": "○", "missed": "×", "extra": "+"},
    guide="│",
    corner="┌",
    arrow="→",
    null="∅",
)
ASCII = Glyphs(
    shades=".:-=#",
    kinds={"link": "*", "sure": "*", "possible": "o", "missed": "x", "extra": "+"},
    guide="|",
    corner=",",
    arrow="->",
    null="0",
    encoding="ascii",
)


def glyphs_for(encoding: str) -> Glyphs:
    """What a terminal of this encoding can show."""
    return UNICODE if encoding.lower().startswith("utf") else replace(ASCII, encoding=encoding)


def grid_lines(view: GridView, *, width: int, glyphs: Glyphs = UNICODE) -> list[Text]:
    """The grid, folded into blocks of columns where the target is too long for `width` cells."""
    source_no_partner, target_no_partner = view.null_shares()
    null_column = bool((source_no_partner >= NULL_SHOWN_FROM).any())
    columns = [*range(len(view.target)), *([-1] if null_column else [])]
    lines: list[Text] = []
    for block in _blocks(columns, width=width, labels=_label_cells(view)):
        if lines:
            lines.append(Text(""))
        lines += _heads(view, block, width=width, glyphs=glyphs)
        lines += [_row(view, i, block, width=width, glyphs=glyphs) for i in range(len(view.source))]
        if (target_no_partner >= NULL_SHOWN_FROM).any():
            lines.append(_row(view, -1, block, width=width, glyphs=glyphs))
    return lines


def is_whole(view: GridView, *, width: int) -> bool:
    """Whether the grid stands in one block of columns."""
    columns = [*range(len(view.target)), -1]
    return len(_blocks(columns, width=width, labels=_label_cells(view))) == 1


def _label_cells(view: GridView) -> int:
    return max((cell_width(visible(word)) for word in (*view.source, *view.target)), default=1) + 1


def _blocks(columns: Sequence[int], *, width: int, labels: int) -> list[Sequence[int]]:
    """Equal runs of columns: one if words keep twelve cells, else as many as leave them a quarter."""
    tightest = min(labels, 12)
    if 2 * len(columns) + tightest <= width:
        return [columns]
    room = max(1, (width - min(labels, max(tightest, width // 4))) // 2)
    size = ceil(len(columns) / ceil(len(columns) / room))
    return [columns[start : start + size] for start in range(0, len(columns), size)]


def _heads(view: GridView, block: Sequence[int], *, width: int, glyphs: Glyphs) -> list[Text]:
    lines = []
    for depth, column in enumerate(block):
        stair = f"{glyphs.guide} " * depth + f"{glyphs.corner} "
        word = view.target[column] if column >= 0 else f"{glyphs.null} no partner"
        style = "bold" if column >= 0 else "italic"
        lines.append(_line([(stair, "bright_black")], word, style, width=width, glyphs=glyphs))
    return lines


def _row(view: GridView, row: int, block: Sequence[int], *, width: int, glyphs: Glyphs) -> Text:
    cells: list[tuple[str, str]] = []
    source_no_partner, target_no_partner = view.null_shares()
    for column in block:
        if row >= 0 and column >= 0:
            cells += _cell(float(view.shares[row, column]), view.kinds.get((row, column)), glyphs)
        else:
            null = source_no_partner[row] if row >= 0 else target_no_partner[column] if column >= 0 else 0.0
            cells += _cell(float(null), None, glyphs, style=NULL_STYLE)
    word = view.source[row] if row >= 0 else f"{glyphs.null} no partner"
    return _line(cells, word, "bold" if row >= 0 else "italic", width=width, glyphs=glyphs)


def _cell(
    share: float, kind: LinkKind | None, glyphs: Glyphs, *, style: str = SHARE_STYLE
) -> list[tuple[str, str]]:
    level = sum(share >= bound for bound in SHADE_FROM)
    shade = glyphs.shades[level]
    if kind is not None:
        return [(shade, KIND_STYLES[kind]), (glyphs.kinds[kind], KIND_STYLES[kind])]
    return [(shade * 2, style) if level else (f"{shade} ", "bright_black")]


def _line(cells: list[tuple[str, str]], word: str, style: str, *, width: int, glyphs: Glyphs) -> Text:
    used = sum(len(text) for text, _ in cells)
    gap = "" if cells[-1][0].endswith(f"{glyphs.corner} ") else " "
    return assemble([*cells, (gap, ""), (spell(word, width - used - len(gap), glyphs), style)])


def spell(word: str, cells: int, glyphs: Glyphs) -> str:
    """The word in at most `cells` cells; what the encoding lacks is escaped, what is right-to-left isolated."""
    if glyphs.plain:
        escaped = visible(word).encode(glyphs.encoding, "backslashreplace").decode(glyphs.encoding)
        return clip(escaped, cells, ellipsis="~")
    return isolate(clip(word, cells))


def assemble(parts: Sequence[tuple[str, str]]) -> Text:
    """One line of styled parts that is neither wrapped nor turned round."""
    plain = "".join(text for text, _ in parts)
    text = Text(anchor_line(plain)[: -len(plain) or None] if plain else "", no_wrap=True, overflow="ignore")
    for style, run in groupby(parts, key=lambda part: part[1]):  # thousands of cells, few changes of style
        text.append("".join(part for part, _ in run), style=style or None)
    text.rstrip()
    return text
