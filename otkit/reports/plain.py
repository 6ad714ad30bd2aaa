"""Alignments as lines and as JSON for programs, and as words over words for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from otkit.reports.view import Cell, GridView
from otkit.reports.words import anchor_line, cell_width, clip, isolate

__all__ = ["alignment_document", "interlinear_lines", "pair_lines", "pharaoh_line"]


def pharaoh_line(view: GridView) -> str:
    """`i-j` counted from 0, sorted."""
    return " ".join(f"{i}-{j}" for i, j in sorted(view.links))


def pair_lines(view: GridView) -> list[str]:
    """`i-j`, both words and the link strength, between tabs; with gold, what kind of link it is."""
    lines = []
    for i, j in sorted(view.links):
        fields = [f"{i}-{j}", view.source[i], view.target[j], f"{view.link_share((i, j)):.3f}"]
        lines.append("\t".join([*fields, *([view.kinds[i, j]] if view.gold is not None else [])]))
    return lines


def interlinear_lines(view: GridView, *, width: int) -> list[str]:
    """Each source word over the target words that it is linked with, wrapped at `width` cells; ∅ stands for none, and
    … for words between them that are not linked with it.

    Then the target words without a partner, and with gold what was missed and what is not in it.
    """
    partners: dict[int, list[int]] = {}
    for i, j in sorted(view.links):
        partners.setdefault(i, []).append(j)
    lines = [line for text in (view.caption, view.settings) for line in textwrap.wrap(text, width)]
    above = below = ""
    for i, word in enumerate(view.source):
        over, under = clip(word, width), clip(_joined(view.target, partners.get(i, [])), width)
        room = max(cell_width(over), cell_width(under))
        if above and cell_width(above) + room > width:
            lines += [anchor_line(above.rstrip()), anchor_line(below.rstrip()), ""]
            above = below = ""
        above += isolate(over) + " " * (room - cell_width(over) + 2)
        below += isolate(under) + " " * (room - cell_width(under) + 2)
    lines += [anchor_line(above.rstrip()), anchor_line(below.rstrip())]
    listed = {"no partner in the target": [view.target[j] for j in view.unlinked_target]}
    if view.gold is not None:
        listed |= {
            name: [f"{view.source[i]} → {view.target[j]}" for i, j in _of_kind(view, kind)]
            for name, kind in (("missed", "missed"), ("not in gold", "extra"))
        }
    rest = [line for name, words in listed.items() if words for line in _listed(name, words, width)]
    return [*lines, *([""] if rest else []), *rest]


def _joined(words: Sequence[str], places: Sequence[int]) -> str:
    if not places:
        return "∅"
    text = words[places[0]]
    for before, place in pairwise(places):
        text += f" {words[place]}" if place == before + 1 else f" … {words[place]}"
    return text


def _of_kind(view: GridView, kind: str) -> Iterator[Cell]:
    return (cell for cell, found in view.kinds.items() if found == kind)


def _listed(name: str, words: Sequence[str], width: int) -> Iterator[str]:
    """`name: word, word`, folded between words."""
    line = f"{name}:"
    for place, word in enumerate(words):
        part = isolate(clip(word, width - 4)) + ("," if place + 1 < len(words) else "")
        if line.strip() and cell_width(line) + 1 + cell_width(part) > width:
            yield anchor_line(line)
            line = " "
        line += f" {part}"
    yield anchor_line(line)


def alignment_document(
    views: Sequence[GridView], models: Sequence[str], configs: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """One pair as each model sees it, with all that the pictures show."""
    first = views[0]
    gold = None
    if first.gold is not None:
        gold = {"sure": sorted(first.gold.sure), "possible": sorted(first.gold.possible)}
    return {
        "source": list(first.source),
        "target": list(first.target),
        "gold": gold,
        "alignments": [
            {"model": model, "config": dict(config), **_described(view)}
            for view, model, config in zip(views, models, configs, strict=True)
        ],
    }


def _described(view: GridView) -> dict[str, Any]:
    links = []
    for i, j in sorted(view.links):
        link = {"source": i, "target": j, "share": round(view.link_share((i, j)), 4)}
        links.append(link | ({"gold": view.kinds[i, j]} if view.gold is not None else {}))
    return {
        "links": links,
        "missed": [list(cell) for cell, kind in view.kinds.items() if kind == "missed"],
        **{
            name: [round(float(one), 4) for one in each]
            for name, each in (
                ("source_no_partner", view.source_no_partner),
                ("target_no_partner", view.target_no_partner),
            )
            if each is not None
        },
        "transport_cost": None if view.score is None else round(view.score, 4),
        "shares": [[round(float(share), 4) for share in row] for row in view.shares],
    }
