"""One alignment as a piece of HTML for a notebook: a table that needs no script and nothing from elsewhere."""

from __future__ import annotations

from html import escape

from otkit.reports.grid import NULL_SHOWN_FROM, SHADE_FROM, UNICODE
from otkit.reports.languages import lang
from otkit.reports.view import GridView
from otkit.reports.words import is_rtl, mostly_rtl, visible

__all__ = ["STYLE", "fragment_html"]

# A notebook decides what is dark and what is light, and tells no stylesheet. So text keeps the notebook's own
# colour and cells are tinted, never filled: a tint of at most 0.6 leaves black on white and white on black
# more contrast than 4.5 to 1.
_TINT = 0.6
_SHARE, _NULL = "77,143,214", "178,102,204"

# Notebooks have rules for every table (stripes, sizes, alignment, borders). The class three times over outweighs them.
_OWN = ".otkit-alignment.otkit-alignment.otkit-alignment"
STYLE = (
    "<style>"
    + "".join(
        f"{_OWN}{rule}"
        for rule in (
            "{overflow-x:auto;margin:.5em 0;color:inherit;font-size:inherit}",
            " table{border-collapse:collapse;border:0;table-layout:auto;width:auto;margin:.3em 0;color:inherit;"
            "background:none;font-size:inherit}",
            " thead, X tbody, X tr{background:none;border:0;color:inherit}",
            " td, X th{border:1px solid rgba(128,128,128,.35);font-weight:normal;color:inherit;line-height:1.3;"
            "padding:.1em .3em;text-align:center;vertical-align:middle;min-width:1.5em;max-width:none;"
            "white-space:nowrap}",
            " td{background:none}",
            " thead th{vertical-align:bottom;writing-mode:vertical-rl;text-align:end}",
            " tbody th{text-align:end}",
            " .otkit-controls{display:flex;flex-wrap:wrap;gap:.3em 1em;align-items:center}",
            " .otkit-controls[hidden], X [hidden]{display:none}",
            " select{color:inherit;background:none;border:1px solid rgba(128,128,128,.6);font:inherit}",
            " option{color:#111;background:#fff}",
            ".otkit-other .otkit-alone{visibility:hidden}",
        )
    ).replace("X ", f"{_OWN} ")
    + "</style>"
)


def fragment_html(view: GridView) -> str:
    """The plan as a table: source words down, target words across, from the right where the target is written so.

    Shares below what the terminal shows are left out; a reader who points at a cell is told its share.
    """
    source_no_partner, target_no_partner = view.null_shares()
    beside, below = ((null >= NULL_SHOWN_FROM).any() for null in (source_no_partner, target_no_partner))
    corner = f'<td class="otkit-alone" title="probability of no partner">{UNICODE.null}</td>'
    own = dict(zip(("source", "target"), view.drawn_languages, strict=True))
    heads = [
        _head(_word(word, own["target"]), "col", unlinked=j in view.unlinked_target)
        for j, word in enumerate(view.target)
    ]
    rows = [f"<tr><td></td>{''.join(heads)}{corner if beside else ''}</tr>"]
    for i, word in enumerate(view.source):
        cells = [_cell(view, i, j) for j in range(len(view.target))]
        null = [_tinted(float(source_no_partner[i]), _NULL, "", alone=True)] if beside else []
        head = _head(_word(word, own["source"]), "row", unlinked=i in view.unlinked_source)
        rows.append(f"<tr>{head}{''.join([*cells, *null])}</tr>")
    if below:
        rows.append(
            f"<tr>{corner}{''.join(_tinted(float(share), _NULL, '', alone=True) for share in target_no_partner)}</tr>"
        )
    direction = "rtl" if mostly_rtl(view.target) else "ltr"
    return (
        f'<div class="otkit-alignment"><table dir="{direction}"><thead>{rows[0]}</thead>'
        f"<tbody>{''.join(rows[1:])}</tbody></table>{_notes(view)}</div>"
    )


def _notes(view: GridView) -> str:
    """What the colours do not say: which settings, how dear the pair is, and the words that found no partner."""
    lines = [line for line in (view.caption, view.settings) if line]
    if view.score is not None:
        lines.append(f"transport cost {view.score:.3f} (lower is closer)")
    parts = [escape(visible(" · ".join(lines)))] if lines else []
    own = dict(zip(("source", "target"), view.drawn_languages, strict=True))
    for side, unlinked in view.unlinked_words():
        listed = ", ".join(
            _word(word, own[side]) + ("" if p is None else f" ({p:.0%})") for word, p in unlinked
        )
        parts.append(f'<span class="otkit-alone">no partner in the {side}: {listed}</span>')
    return "".join(f"<div>{part}</div>" for part in parts)


def _word(word: str, language: str | None) -> str:
    """Escaped, harmless, on its own as to direction, and in the fonts of its language."""
    return f'<bdi dir="{"rtl" if is_rtl(word) else "auto"}"{lang(language)}>{escape(visible(word))}</bdi>'


def _head(drawn: str, scope: str, *, unlinked: bool) -> str:
    mark = f'<span class="otkit-null"> {UNICODE.null}</span>' if unlinked else ""
    return f'<th scope="{scope}">{drawn}{mark}</th>'


def _cell(view: GridView, i: int, j: int) -> str:
    kind = view.kinds.get((i, j))
    share = view.link_share((i, j)) if kind and kind != "missed" else float(view.shares[i, j])
    return _tinted(share, _SHARE, UNICODE.kinds[kind] if kind else "")


def _tinted(share: float, colour: str, mark: str, *, alone: bool = False) -> str:
    """A cell of a link strength, or of the probability of no partner."""
    own = ' class="otkit-alone"' if alone else ""
    if share < min(SHADE_FROM[0], NULL_SHOWN_FROM):
        return f"<td{own}>{mark}</td>"
    tint = f"rgba({colour},{_TINT * share:.2f})"
    meaning = "probability of no partner" if alone else "link strength"
    return f'<td{own} title="{meaning} {share:.0%}" style="background:{tint}">{mark}</td>'
