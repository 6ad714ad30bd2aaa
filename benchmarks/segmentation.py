"""Words of raw Chinese and Japanese: which segmenter's words are aligned best. `python -m benchmarks.segmentation`

Chinese: the sample gold, its sentences without spaces, cut anew; links of words are links of their characters, so
that all segmenters are held against the same gold. Japanese has no gold here: the tags of www-l10n that translators
placed in both languages tell which characters belong together. All rows need sudachipy and fugashi (with unidic-lite).
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from collections.abc import Callable, Sequence

from benchmarks.common import data, numbers, show
from otkit.alignment.aligner import WordAligner
from otkit.data.gold import read_gold
from otkit.data.segmentation import Segment, segments
from otkit.encoders.open import open_encoder
from otkit.resources import sample_data

Cut = Callable[[str], list[Segment]]
Characters = set[tuple[int, int]]
"""Links between a character and a word of the other side."""


def placed(text: str, words: Sequence[str]) -> list[Segment]:
    """Words that follow each other in a text, with their places."""
    found, at = [], 0
    for word in words:
        at = text.index(word, at)
        found.append(Segment(word, at, at + len(word)))
        at += len(word)
    return found


def others() -> dict[str, Cut]:
    """Segmenters that otkit does not take, where they are installed."""
    found: dict[str, Cut] = {}
    if importlib.util.find_spec("fugashi"):
        import fugashi

        tagger = fugashi.Tagger()
        found["fugashi, unidic-lite"] = lambda text: placed(text, [word.surface for word in tagger(text)])
    if importlib.util.find_spec("sudachipy"):
        import sudachipy

        for name in "AB":
            tokenizer = sudachipy.Dictionary().tokenizer(getattr(sudachipy.SplitMode, name))
            found[f"sudachi {name}"] = lambda text, cut=tokenizer.tokenize: placed(  # type: ignore[misc]
                text, [word.surface() for word in cut(text) if word.surface().strip()]
            )
    return found


def error(found: Sequence[Characters], sure: Sequence[Characters], possible: Sequence[Characters]) -> float:
    """The alignment error rate of links of characters."""
    hits = sum(len(a & s) + len(a & p) for a, s, p in zip(found, sure, possible, strict=True))
    return 1 - hits / (sum(map(len, found)) + sum(map(len, sure)))


def chinese(aligner: WordAligner, cut: Cut | None) -> float:
    """The error rate on the sample gold; None takes the words that people made."""
    pairs, words = [], []
    sure: list[Characters] = []
    possible: list[Characters] = []
    for pair in read_gold(sample_data() / "gold" / "zh-en.dev.tsv"):
        text = "".join(pair.source)
        spans = placed(text, pair.source)
        words.append(spans if cut is None else cut(text))
        pairs.append((tuple(word.text for word in words[-1]), pair.target))
        for links, kept in ((pair.sure, sure), (pair.possible, possible)):
            kept.append({(c, j) for i, j in links for c in range(spans[i].start, spans[i].end)})
    found = [
        {(c, j) for i, j in one.pairs for c in range(cut_[i].start, cut_[i].end)}
        for one, cut_ in zip(aligner.align(pairs, plans=False), words, strict=True)
    ]
    return error(found, sure, possible)


def japanese(aligner: WordAligner, cut: Cut) -> float:
    """The error rate of the characters that are linked with a tag's words, against those in the tag."""
    with gzip.open(data("tags", "www-l10n.en-ja.dev.jsonl.gz"), "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    sides = [(segments(row["source"], "icu"), cut(row["target"])) for row in rows]
    pairs = [tuple(tuple(word.text for word in side) for side in both) for both in sides]
    found, gold = [], []
    for row, (source, target), one in zip(
        rows,
        sides,
        aligner.align(pairs, plans=False),  # type: ignore[arg-type]
        strict=True,
    ):
        for (_, start, end), (_, first, last) in zip(row["source_tags"], row["target_tags"], strict=True):
            inside = {i for i, word in enumerate(source) if word.start < end and word.end > start}
            linked = {j for i, j in one.pairs if i in inside}
            found.append({(c, 0) for j in linked for c in range(target[j].start, target[j].end)})
            gold.append({(c, 0) for c in range(first, last) if not row["target"][c].isspace()})
    return error(found, gold, gold)


def main() -> None:
    """Print both tables."""
    aligner = WordAligner(open_encoder(None))
    rows = [(name, chinese(aligner, lambda text, n=name: segments(text, n))) for name in ("icu", "jieba")]  # type: ignore[misc]
    show("Chinese", ("words", "AER"), [*rows, ("by hand", chinese(aligner, None))])
    cuts: dict[str, Cut] = {name: lambda text, n=name: segments(text, n) for name in ("icu", "sudachi")}  # type: ignore[misc]
    show(
        "Japanese",
        ("words", "AER"),
        [(name, japanese(aligner, cut)) for name, cut in (cuts | others()).items()],
    )


if __name__ == "__main__":
    numbers(__doc__)
    main()
