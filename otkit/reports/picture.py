"""Heat maps of alignments as PNG or SVG, gold links as boxes, in fonts of this machine that can draw the words."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from otkit.alignment.shares import Shares
from otkit.errors import require_extra
from otkit.reports.figures import FIXED, kind_of, save_figure
from otkit.reports.view import GridView, LinkKind
from otkit.reports.words import cell_width, mostly_rtl, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

__all__ = ["LAST_RESORT", "MOST_PIXELS", "families_for", "picture_figure", "write_picture"]

_CELL, _CAPTION = 0.32, 4.4  # inches: of a cell, and of the widest line below a grid
_DPI = 150
MOST_PIXELS = 4000
"""Of a PNG's longer side: what browsers and slides still show."""
_LEAST_DPI = 60  # below it nobody reads the words
_FULL = 1.4  # a full link would have this much of the colours' range: dark marks stay visible on it
_MARKS: dict[LinkKind, tuple[str, str]] = {  # matplotlib marker, colour
    "link": ("o", "#1b5e20"),
    "sure": ("o", "#1b5e20"),
    "possible": ("o", "#0a5c7a"),
    "missed": ("x", "#b71c1c"),
    "extra": ("P", "#8a5300"),
}

_FIRST = "DejaVu Sans"  # comes with matplotlib
LAST_RESORT = "Last Resort"
"""A font of matplotlib that has a box for every character there is, and draws none."""
_LIKED = (
    "Noto Sans",
    "Noto Naskh",
    "Source Han Sans",
    "WenQuanYi",
    "Droid Sans",
    "FreeSans",
    "Arial Unicode",
)
# Where several fonts have a character, the one whose shape a reader of the language expects: of Noto and Source Han, of
# macOS, of Windows.
_OWN = {
    "ja": ("CJK JP", "Han Sans JP", "Hiragino Sans", "Yu Gothic", "Meiryo", "IPA"),
    "ko": ("CJK KR", "Han Sans K", "Apple SD Gothic", "Malgun", "Nanum"),
    "zh": ("CJK SC", "Han Sans CN", "Han Sans SC", "PingFang SC", "Heiti SC", "YaHei", "WenQuanYi"),
    "zh-Hant": ("CJK TC", "Han Sans TC", "Han Sans TW", "PingFang TC", "Heiti TC", "JhengHei"),
    "yue": ("CJK HK", "CJK TC", "Han Sans HC", "PingFang HK", "PingFang TC"),
}
_OWN |= dict.fromkeys(("zh-TW", "zh-HK"), _OWN["zh-Hant"])
_SUGGESTED = {
    "CJK": "Noto Sans CJK",
    "HIRAGANA": "Noto Sans CJK",
    "KATAKANA": "Noto Sans CJK",
    "HANGUL": "Noto Sans CJK",
    "ARABIC": "Noto Sans Arabic",
    "DEVANAGARI": "Noto Sans Devanagari",
}


def write_picture(
    views: Sequence[GridView], path: Path, *, format: str | None = None, overwrite: bool = False
) -> tuple[str, ...]:
    """Draw one view, or several side by side, into `path`; what a reader should know is returned as notes."""
    require_extra("matplotlib", extra="plots")
    from matplotlib import rc_context

    kind = kind_of(path, format)
    words = {visible(word) for view in views for word in (*view.source, *view.target, view.caption)}
    families, notes = families_for(words)
    settings = {**FIXED, "font.family": families, "text.parse_math": False}
    with rc_context(settings):  # type: ignore[arg-type]  # the stubs want literal keys
        figure = picture_figure(views)
        figure.draw_without_rendering()  # what stands outside the axes is placed now
        box = figure.get_tightbbox().padded(0.1)  # inches
        dpi = min(_DPI, int(MOST_PIXELS / max(box.width, box.height))) if kind == "png" else _DPI
        save_figure(figure, path, kind=kind, overwrite=overwrite, dpi=dpi, box=box)
    if dpi < _LEAST_DPI:
        notes.append(
            "the words are too small to be read; an SVG, a page (html) or the format text has room for them"
        )
    return (*notes, *_shaping_note(words))


def _shaping_note(words: set[str]) -> list[str]:
    from matplotlib import __version__

    joined = any(0x0600 <= ord(letter) < 0x0E00 for word in words for letter in word)
    if joined and tuple(map(int, __version__.split(".")[:2])) < (3, 11):
        return [f"matplotlib {__version__} does not join Arabic or Indic letters; 3.11 and later do"]
    return []


def picture_figure(views: Sequence[GridView]) -> Figure:
    """The views side by side as a picture of matplotlib's, with a bar of the colours and a key of the marks."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    handles = _handles(views)
    beside = sum(_longest(view.source) + len(view.target) * _CELL for view in views)
    width = max(_CAPTION * len(views), beside + 0.4)
    columns = max(1, int(width / 2.6))
    below_grid = 1.4 + 0.2 * -(-len(handles) // columns)  # caption, bar and key
    rows = max(len(view.source) for view in views)
    height = max(_longest(view.target) for view in views) + rows * _CELL + below_grid
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    # Grids above, and below them a strip for the bar, which is as long as a hand is wide.
    strip = 0.12
    layout = figure.add_gridspec(
        2,
        len(views),
        width_ratios=[max(1, len(view.target)) for view in views],
        height_ratios=[height - 1.0, strip],
    )
    for place, view in enumerate(views):
        _draw(view, figure.add_subplot(layout[0, place]))
    below = figure.add_subplot(layout[1, :])
    below.axis("off")
    _bar(below.inset_axes((0.0, 0.0, min(1.0, 2.6 / width), 1.0)))
    if handles:
        figure.legend(
            handles=handles, loc="outside lower left", ncols=columns, frameon=False, fontsize="small"
        )
    return figure


def _longest(words: Sequence[str]) -> float:
    """About how many inches the longest word takes, with what may stand behind it."""
    return 0.3 + 0.1 * max(cell_width(visible(word)) + 5 for word in words)


def _shades() -> Colormap:
    """From no strength to full; a full link is dark, and dark marks stay visible on it."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps["Blues"](np.linspace(0.0, 1 / _FULL, 256)))


def _bar(axes: Axes) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    # In 40 steps: more would be an image in an SVG.
    scale = ScalarMappable(Normalize(0.0, 1.0), _shades().resampled(40))
    figure = axes.get_figure(root=True)
    assert figure is not None
    bar = figure.colorbar(scale, cax=axes, orientation="horizontal")
    bar.set_ticks([0.0, 0.25, 0.5, 0.75, 1.0], labels=["0", "25 %", "50 %", "75 %", "100 %"])
    bar.ax.tick_params(labelsize="small", length=2)
    bar.ax.set_title("link strength", loc="left", fontsize="small")


def _draw(view: GridView, axes: Axes) -> None:
    rows, columns = view.shares.shape
    edges = [k - 0.5 for k in range(columns + 1)], [k - 0.5 for k in range(rows + 1)]
    axes.pcolormesh(
        *edges, view.shares, cmap=_shades(), vmin=0.0, vmax=1.0, edgecolors="#d0d0d0", linewidth=0.5
    )
    axes.set_aspect("equal", anchor="NW")
    axes.invert_yaxis()
    columns_named = _labels(view.target, view.unlinked_target, view.target_no_partner)
    axes.set_xticks(range(len(view.target)), columns_named, rotation=90)
    axes.set_yticks(
        range(len(view.source)), _labels(view.source, view.unlinked_source, view.source_no_partner)
    )
    axes.xaxis.tick_top()
    if mostly_rtl(view.target):  # read from the right, as in the pages
        axes.invert_xaxis()
        axes.yaxis.tick_right()
    axes.tick_params(length=0)
    for axis, words, language in zip(
        (axes.yaxis, axes.xaxis), (view.source, view.target), view.drawn_languages, strict=True
    ):
        for label in axis.get_ticklabels():
            label.set_fontfamily(families_for(map(visible, words), language)[0])
    for (i, j), kind in view.kinds.items():
        marker, colour = _MARKS[kind]
        axes.plot(
            [j], [i], marker, color=colour, markersize=5, fillstyle="none" if kind == "possible" else "full"
        )
    if view.gold is not None:
        for cell in sorted(view.gold.possible):
            _box(axes, cell, sure=cell in view.gold.sure)
    title = [visible(line) for line in (view.caption, *view.settings.split("; ")) if line]
    title += [f"transport cost {view.score:.3f} (lower is closer)"] if view.score is not None else []
    axes.set_xlabel("\n".join(title), loc="left", fontsize="small")


def _labels(words: Sequence[str], unlinked: Sequence[int], alone: Shares | None) -> list[str]:
    """The words, and behind those without a link how probably they have no partner."""
    figures = ["" if alone is None else f" {alone[k]:.0%}" for k in range(len(words))]
    return [
        f"{visible(word)} ∅{figures[k]}" if k in unlinked else visible(word) for k, word in enumerate(words)
    ]


def _box(axes: Axes, cell: tuple[int, int], *, sure: bool) -> None:
    from matplotlib.patches import Rectangle

    corner = (cell[1] - 0.43, cell[0] - 0.43)
    axes.add_patch(
        Rectangle(corner, 0.86, 0.86, fill=False, linewidth=1.4, linestyle="solid" if sure else (0, (2, 1.5)))
    )


def _handles(views: Sequence[GridView]) -> list[Line2D | Patch]:
    """What the marks stand for, of those that are drawn."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    gold = any(view.gold is not None for view in views)
    handles: list[Line2D | Patch] = []
    if gold:
        handles += [
            Patch(fill=False, linewidth=1.4, label="sure in gold"),
            Patch(fill=False, linewidth=1.4, linestyle=(0, (2, 1.5)), label="possible in gold"),
        ]
    named = {
        "link": "link",
        "sure": "link, sure in gold",
        "possible": "link, possible in gold",
        "extra": "link not in gold",
        "missed": "missed, sure in gold",
    }
    drawn = {kind for view in views for kind in view.kinds.values()}
    for kind, label in named.items():
        if kind in drawn:
            marker, colour = _MARKS[kind]
            fill: Literal["none", "full"] = "none" if kind == "possible" else "full"
            handles.append(
                Line2D([], [], linestyle="none", marker=marker, color=colour, fillstyle=fill, label=label)
            )
    alone = any(view.unlinked_source or view.unlinked_target for view in views)
    if alone:
        handles.append(Line2D([], [], linestyle="none", label="∅ no link, and the probability of no partner"))
    return handles


def families_for(words: Iterable[str], language: str | None = None) -> tuple[list[str], list[str]]:
    """(font families in order of trial, notes on scripts that no installed font can draw); those made for the
    `language`, as `drawn_language` calls it, come first."""
    wanted = {ord(character) for word in words for character in word if character.isprintable()}
    families = [_FIRST]
    missing = wanted - _characters_of(_FIRST)
    for family in _candidates(language):
        if not missing:
            break
        if found := missing & _characters_of(family):
            families.append(family)
            missing -= found
    if missing:
        from matplotlib.font_manager import fontManager

        families += sorted({font.name for font in fontManager.ttflist if font.name.startswith(LAST_RESORT)})
    scripts = sorted({unicodedata.name(chr(code), "?").split()[0] for code in missing})
    return families, [_note(script) for script in scripts]


def _note(script: str) -> str:
    font = _SUGGESTED.get(script, f"Noto Sans {script.capitalize()}")
    name = script if script == "CJK" else script.capitalize()
    return f"no installed font draws {name} characters, boxes stand for them; install {font}"


def _candidates(language: str | None) -> Sequence[str]:
    """Every family once, those made for the language and then those for many scripts first; sans before serif."""
    from matplotlib.font_manager import fontManager

    names = {font.name for font in fontManager.ttflist if not font.name.startswith(LAST_RESORT)}
    return _ranked(frozenset(names), language)


@lru_cache(maxsize=16)
def _ranked(names: frozenset[str], language: str | None) -> Sequence[str]:
    own = _OWN.get(language or "", _OWN.get((language or "").split("-")[0], ()))

    def rank(name: str) -> tuple[bool, int, bool, str]:
        liked = [place for place, prefix in enumerate(_LIKED) if name.startswith(prefix)]
        made = any(part in name for part in own)
        return not made, liked[0] if liked else len(_LIKED), "Serif" in name, name

    return sorted(names, key=rank)


@lru_cache(maxsize=512)
def _characters_of(family: str) -> frozenset[int]:
    from matplotlib.font_manager import fontManager, get_font

    for font in fontManager.ttflist:
        if font.name == family and font.style == "normal":
            try:
                return frozenset(get_font(font.fname).get_charmap())
            except (OSError, RuntimeError):  # a broken font file is no font
                continue
    return frozenset()
