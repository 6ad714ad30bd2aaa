"""Word-alignment gold as text, in every format that `read_gold` reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from otkit.data.gold import GoldPair
from otkit.errors import choose
from otkit.files import to_json

__all__ = ["WRITERS", "gold_text", "side_text"]


def gold_text(pairs: Sequence[GoldPair], format: str) -> str:
    """The file of these pairs; `side_text` writes the sentences that some formats leave out."""
    write = choose(format, WRITERS, what="gold format", setting="format")
    return "".join(f"{line}\n" for line in write(pairs))


def side_text(pairs: Sequence[GoldPair], side: str) -> str:
    """The sentences of one side (`source` or `target`), one a line."""
    return "".join(f"{' '.join(getattr(pair, side))}\n" for pair in pairs)


def _marked(pair: GoldPair, base: int) -> str:
    """`i-j` sure, `ipj` possible."""
    return " ".join(
        f"{i + base}{'-' if (i, j) in pair.sure else 'p'}{j + base}" for i, j in sorted(pair.possible)
    )


def _tsv(pairs: Sequence[GoldPair]) -> Iterable[str]:
    return (f"{' '.join(pair.source)}\t{' '.join(pair.target)}\t{_marked(pair, 0)}" for pair in pairs)


def _pharaoh(pairs: Sequence[GoldPair]) -> Iterable[str]:
    return (_marked(pair, 0) for pair in pairs)


def _talp(pairs: Sequence[GoldPair]) -> Iterable[str]:
    return (_marked(pair, 1) for pair in pairs)


def _naacl(pairs: Sequence[GoldPair]) -> Iterable[str]:
    for number, pair in enumerate(pairs, 1):
        for i, j in sorted(pair.possible):
            yield f"{number} {i + 1} {j + 1} {'S' if (i, j) in pair.sure else 'P'}"


def _json(pairs: Sequence[GoldPair]) -> Iterable[str]:
    for pair in pairs:
        links = {"sure": sorted(pair.sure), "possible": sorted(pair.possible - pair.sure)}
        document = {"source": pair.source, "target": pair.target, **links}
        yield to_json(document, indent=None).rstrip("\n")


WRITERS: Mapping[str, Callable[[Sequence[GoldPair]], Iterable[str]]] = {
    "tsv": _tsv,
    "pharaoh": _pharaoh,
    "talp": _talp,
    "naacl": _naacl,
    "json": _json,
}
"""Talp is Pharaoh counted from 1."""
