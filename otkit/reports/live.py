"""One alignment in a notebook whose rule for links can be changed: a table, two controls and a little script.

It is a piece of the notebook's own document, in the notebook's colours and width: nothing is installed beside the
notebook, nothing is loaded, and where scripts are switched off the table of the rule that was asked for stays. The
links are not computed in the page: it holds those that the aligner makes under every rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from importlib import resources

import numpy as np

from otkit.alignment.shares import Shares
from otkit.files import script_json
from otkit.reports.fragment import STYLE, fragment_html
from otkit.reports.view import Cell, GridView

__all__ = ["LinkRule", "LiveView", "live_html"]


@dataclass(frozen=True)
class LinkRule:
    """A strategy, what it compares with (None: nothing), and its links; `asked` of the one that was asked for."""

    strategy: str
    threshold: float | None
    links: tuple[Cell, ...]
    asked: bool = False


@dataclass(frozen=True, eq=False)
class LiveView:
    """What a notebook shows as a live view: the pair, its links under each rule, and (N,M) cosines of the words."""

    view: GridView
    rules: tuple[LinkRule, ...]
    cosine: Shares

    def _repr_html_(self) -> str:
        return live_html(self)


def live_html(live: LiveView) -> str:
    """The table with its controls, which stay hidden until the script has taken hold of them."""
    strategies = dict.fromkeys(rule.strategy for rule in live.rules)
    options = "".join(f'<option value="{escape(name)}">{escape(name)}</option>' for name in strategies)
    script = (resources.files("otkit.reports") / "assets" / "live.js").read_text(encoding="utf-8")
    return (
        f'{STYLE}<div class="otkit-alignment otkit-live"><div class="otkit-controls" hidden>'
        f"<label>strategy <select>{options}</select></label> "
        '<label class="otkit-threshold">threshold <input type="range" min="0" step="1"></label> '
        '<output role="status"></output></div>'
        f"{fragment_html(replace(live.view, settings=_without_rule(live.view.settings)))}"
        f'<script type="application/json">{script_json(_data(live))}</script></div><script>{script}</script>'
    )


def _without_rule(settings: str) -> str:
    """Settings without the rule for links, which they end with: the controls say which it is."""
    return settings.rpartition("; ")[0]


def _data(live: LiveView) -> dict[str, object]:
    view = live.view
    width = len(view.target)
    gold = view.gold
    return {
        "s": view.source,
        "t": view.target,
        "share": _percents(view.shares),
        "cosine": _percents(live.cosine),
        "gold": None
        if gold is None
        else {"s": _cells(sorted(gold.sure), width), "p": _cells(sorted(gold.possible), width)},
        "rules": [
            {
                "name": rule.strategy,
                "threshold": rule.threshold,
                "links": _cells(rule.links, width),
                "asked": rule.asked,
            }
            for rule in live.rules
        ],
    }


def _cells(cells: Sequence[Cell], width: int) -> list[int]:
    """Places in reading order."""
    return [i * width + j for i, j in cells]


def _percents(values: Shares) -> list[list[int]]:
    rows: list[list[int]] = np.rint(100 * np.nan_to_num(values)).astype(int).tolist()
    return rows
