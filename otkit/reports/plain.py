"""Alignments as lines and as JSON, for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from otkit.reports.view import GridView

__all__ = ["alignment_document", "pair_lines", "pharaoh_line"]


def pharaoh_line(view: GridView) -> str:
    """`i-j` counted from 0, sorted."""
    return " ".join(f"{i}-{j}" for i, j in sorted(view.links))


def pair_lines(view: GridView) -> list[str]:
    """`i-j`, both words and the share of mass, between tabs; with gold, what kind of link it is."""
    lines = []
    for i, j in sorted(view.links):
        fields = [f"{i}-{j}", view.source[i], view.target[j], f"{view.link_share((i, j)):.3f}"]
        lines.append("\t".join([*fields, *([view.kinds[i, j]] if view.gold is not None else [])]))
    return lines


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
        "source_null": [round(float(share), 4) for share in view.source_null],
        "target_null": [round(float(share), 4) for share in view.target_null],
        "transport_cost": None if view.score is None else round(view.score, 4),
        "shares": [[round(float(share), 4) for share in row] for row in view.shares],
    }
