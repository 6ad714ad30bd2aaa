"""Heat maps of alignments as PNG or SVG, gold links as boxes, in fonts of this machine that can draw the words."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from otkit.alignment.shares import Shares
from otkit.errors import ConfigError, require_extra
from otkit.files import write_file
from otkit.reports.view import GridView, LinkKind
from otkit.reports.words import mostly_rtl, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "families_for", "write_picture"]

FORMATS = ("png", "svg")
_CELL = 0.32  # inches
_MARKS: dict[LinkKind, tuple[str, str]] = {  # matplotlib marker, colour
    "link": ("o", "#1b5e20"),
    "sure": ("o", "#1b5e20"),
    "possible": ("o", "#0a5c7a"),
    "missed": ("x", "#b71c1c"),
    "extra": ("P", "#8a5300"),
}

_FIRST = "DejaVu Sans"  # comes with matplotlib
_LIKED = (
    "Noto Sans",
    "Noto Naskh",
    "Source Han Sans",
    "WenQuanYi",
    "Droid Sans",
    "FreeSans",
    "Arial Unicode",
)
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

    kind = format or path.suffix.lstrip(".").lower()
    if kind not in FORMATS:
        raise ConfigError(
            f"a picture cannot be written as {kind!r}", remedy=f"choose from: {', '.join(FORMATS)}"
        )
    words = {visible(word) for view in views for word in (*view.source, *view.target, view.caption)}
    families, notes = families_for(words)
    # Letters as paths: the SVG looks the same where fonts are missing. A fixed salt: same input, same bytes.
    settings = {
        "font.family": families,
        "svg.fonttype": "path",
        "svg.hashsalt": "otkit",
        "text.parse_math": False,
    }
    with rc_context(settings):  # type: ignore[arg-type]  # the stubs want literal keys
        figure = _figure(views)
        metadata = {"Date": None, "Creator": None} if kind == "svg" else None
        write_file(
            path,
            lambda temporary: figure.savefig(
                temporary, format=kind, dpi=150, bbox_inches="tight", metadata=metadata
            ),
            overwrite=overwrite,
        )
    return (*notes, *_shaping_note(words))


def _shaping_note(words: set[str]) -> list[str]:
    from matplotlib import __version__

    joined = any(0x0600 <= ord(letter) < 0x0E00 for word in words for letter in word)
    if joined and tuple(map(int, __version__.split(".")[:2])) < (3, 11):
        return [f"matplotlib {__version__} does not join Arabic or Indic letters; 3.11 and later do"]
    return []


def _figure(views: Sequence[GridView]) -> Figure:
    from matplotlib.figure import Figure

    width = sum(len(view.target) for view in views) * _CELL + 1.8 * len(views)
    height = max(len(view.source) for view in views) * _CELL + 1.6
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(
        1, len(views), squeeze=False, width_ratios=[max(1, len(view.target)) for view in views]
    )
    for view, each in zip(views, axes[0], strict=True):
        _draw(view, each)
    if any(view.gold is not None for view in views):
        _gold_key(figure)
    return figure


def _draw(view: GridView, axes: Axes) -> None:
    rows, columns = view.shares.shape
    edges = [k - 0.5 for k in range(columns + 1)], [k - 0.5 for k in range(rows + 1)]
    # Up to 1.4, so that dark marks stay visible on a full share.
    axes.pcolormesh(
        *edges, view.shares, cmap="Blues", vmin=0.0, vmax=1.4, edgecolors="#d0d0d0", linewidth=0.5
    )
    axes.set_aspect("equal")
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
    for (i, j), kind in view.kinds.items():
        marker, colour = _MARKS[kind]
        axes.plot(
            [j], [i], marker, color=colour, markersize=5, fillstyle="none" if kind == "possible" else "full"
        )
    if view.gold is not None:
        for cell in sorted(view.gold.possible):
            _box(axes, cell, sure=cell in view.gold.sure)
    title = [visible(line) for line in (view.caption, *view.settings.split("; ")) if line]
    title += [f"transport cost {view.score:.3f}"] if view.score is not None else []
    axes.set_xlabel("\n".join(title))


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


def _gold_key(figure: Figure) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Line2D | Patch] = [
        Patch(fill=False, linewidth=1.4, label="sure in gold"),
        Patch(fill=False, linewidth=1.4, linestyle=(0, (2, 1.5)), label="possible in gold"),
    ]
    for kind, label in (("sure", "link"), ("extra", "link not in gold"), ("missed", "missed")):
        marker, colour = _MARKS[kind]  # type: ignore[index]
        handles.append(Line2D([], [], linestyle="none", marker=marker, color=colour, label=label))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize="small")


def families_for(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """(font families in order of trial, notes on scripts that no installed font can draw)."""
    wanted = {ord(character) for word in words for character in word if character.isprintable()}
    families = [_FIRST]
    missing = wanted - _characters_of(_FIRST)
    for family in _candidates():
        if not missing:
            break
        if found := missing & _characters_of(family):
            families.append(family)
            missing -= found
    scripts = sorted({unicodedata.name(chr(code), "?").split()[0] for code in missing})
    return families, [_note(script) for script in scripts]


def _note(script: str) -> str:
    font = _SUGGESTED.get(script, f"Noto Sans {script.capitalize()}")
    name = script if script == "CJK" else script.capitalize()
    return f"no installed font draws {name} characters, boxes stand for them; install {font}"


@lru_cache(maxsize=1)
def _candidates() -> Sequence[str]:
    """Every family once, those made for many scripts first; sans before serif."""

    from matplotlib.font_manager import fontManager

    def rank(name: str) -> tuple[int, bool, str]:
        liked = [place for place, prefix in enumerate(_LIKED) if name.startswith(prefix)]
        return (liked[0] if liked else len(_LIKED), "Serif" in name, name)

    return sorted({font.name for font in fontManager.ttflist}, key=rank)


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
