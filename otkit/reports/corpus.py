"""What the alignments of a corpus sample say together: figures, frequent word pairs, words left alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from otkit.errors import ConfigError
from otkit.reports.tables import Column, Table, Value
from otkit.reports.view import GridView

__all__ = ["agreement", "corpus_figures", "figures_table", "frequent_pairs", "unlinked_words"]

Figures = dict[str, float | None]


def corpus_figures(views: Sequence[GridView]) -> Figures:
    """Counts and means over the pairs; a mean over nothing is None. Shares are in [0, 1]."""
    source_words = sum(len(view.source) for view in views)
    target_words = sum(len(view.target) for view in views)
    shares = [view.link_share(cell) for view in views for cell in view.links]
    costs = [view.score for view in views if view.score is not None]
    figures: Figures = {
        "pairs": len(views),
        "source words": source_words,
        "target words": target_words,
        "links": len(shares),
        "links a source word": _ratio(len(shares), source_words),
        "mean link strength": _ratio(sum(shares), len(shares)),
        "source words without a partner": _ratio(
            sum(len(view.unlinked_source) for view in views), source_words
        ),
        "target words without a partner": _ratio(
            sum(len(view.unlinked_target) for view in views), target_words
        ),
        "mean transport cost": _ratio(sum(costs), len(costs)),
    }
    gold = [view for view in views if view.gold is not None]
    if gold:
        figures["AER"] = _alignment_error_rate(gold)
    return figures


def _alignment_error_rate(views: Sequence[GridView]) -> float | None:
    """1 - (|A & S| + |A & P|) / (|A| + |S|) over the whole sample (Och and Ney 2000)."""
    hits = links = sure = 0
    for view in views:
        assert view.gold is not None
        found = set(view.links)
        hits += len(found & view.gold.sure) + len(found & view.gold.possible)
        links, sure = links + len(found), sure + len(view.gold.sure)
    return None if links + sure == 0 else 1 - hits / (links + sure)


def _ratio(total: float, count: int) -> float | None:
    return total / count if count else None


def agreement(left: Sequence[GridView], right: Sequence[GridView]) -> float | None:
    """F1 between the links of two models over the sample: 1 where both draw the same."""
    both = sum(len(set(a.links) & set(b.links)) for a, b in zip(left, right, strict=True))
    return _ratio(2 * both, sum(len(view.links) for view in (*left, *right)))


def figures_table(models: Mapping[str, Sequence[GridView]]) -> Table:
    """One row a figure, one column a model; with two models, how far their links agree."""
    figures = [corpus_figures(views) for views in models.values()]
    if not figures:
        raise ConfigError("figures need the alignments of at least one model")
    rows: list[tuple[Value, ...]] = [(name, *(each[name] for each in figures)) for name in figures[0]]
    notes: tuple[str, ...] = ()
    if len(figures) == 2:
        shared = agreement(*models.values())
        notes = () if shared is None else (f"the links of both models agree by F1 {shared:.3f}",)
    columns = (Column("figure"), *(Column(name) for name in models))
    return Table("Figures of the sample", columns, tuple(rows), notes=notes)


def frequent_pairs(views: Sequence[GridView], *, most: int = 20) -> Table:
    """Linked words that hold a letter or a digit, the most frequent first, with their mean link strength."""
    shares: dict[tuple[str, str], list[float]] = defaultdict(list)
    for view in views:
        for i, j in view.links:
            if _is_word(view.source[i]) and _is_word(view.target[j]):
                shares[view.source[i], view.target[j]].append(view.link_share((i, j)))
    ranked = sorted(shares.items(), key=lambda item: (-len(item[1]), item[0]))[:most]
    columns = (Column("source"), Column("target"), Column("times"), Column("link strength", 2))
    rows = tuple((*words, len(found), float(np.mean(found))) for words, found in ranked)
    return Table("Most frequent word pairs", columns, rows)


def unlinked_words(views: Sequence[GridView], *, side: str, most: int = 20) -> Table:
    """Words that most often have no partner, with how often they occur at all."""
    alone: dict[str, int] = defaultdict(int)
    seen: dict[str, int] = defaultdict(int)
    for view in views:
        words, unlinked = (
            (view.source, view.unlinked_source) if side == "source" else (view.target, view.unlinked_target)
        )
        _count(seen, words)
        _count(alone, (words[k] for k in unlinked))
    ranked = sorted(alone.items(), key=lambda item: (-item[1], item[0]))[:most]
    columns = (Column(side), Column("alone"), Column("in all"))
    return Table(
        f"{side.capitalize()} words most often without a partner",
        columns,
        tuple((word, count, seen[word]) for word, count in ranked),
    )


def _count(counts: dict[str, int], words: Iterable[str]) -> None:
    for word in words:
        counts[word] += 1


def _is_word(text: str) -> bool:
    return any(character.isalnum() for character in text)
