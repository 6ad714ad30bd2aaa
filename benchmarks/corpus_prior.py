"""What `otkit extract --corpus-prior` buys: AER with and without what a corpus says of its words.

    python -m benchmarks.corpus_prior [--languages bg,da,...]

Gold: the ten development sets of XL-WA. The corpus that is counted: their text and the 1,000 sentences of silver text
of each language, whose links are not read; then, for the languages that `parallel/` has, 10,000 pairs of that beside
them. The numbers of the prior were chosen on bg, da, es, et and hu; the other five show what it is worth elsewhere.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from benchmarks.common import data, show, xlwa
from benchmarks.word_alignment import MOST_TEXTS, aer, texts_of
from otkit.alignment.aligner import SentencePair, WordAligner
from otkit.data.gold import GoldPair
from otkit.data.segmentation import segments
from otkit.encoders.open import open_encoder
from otkit.evaluation.metrics import alignment_table

CHOSEN_ON = ("bg", "da", "es", "et", "hu")
_SILVER = 1_000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--languages", help="some of the ten, instead of all")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sets = xlwa()
    if arguments.languages:
        sets = {language: sets[language] for language in arguments.languages.split(",")}
    encoder = open_encoder(device="cpu")
    names = ("as it comes", f"{_SILVER:,} sentences counted", f"and {MOST_TEXTS:,} pairs of other text")
    rows: dict[str, dict[str, float]] = {name: {} for name in names}
    for language, pairs in sets.items():
        aligner = WordAligner(encoder)
        text = [(pair.source, pair.target) for pair in pairs]
        rows[names[0]][language] = scored(aligner, pairs)
        corpus = [*text, *silver(language)]
        aligner.prior = aligner.count(corpus)
        rows[names[1]][language] = scored(aligner, pairs)
        if more := parallel(language):
            aligner.prior = aligner.count([*corpus, *more])
            rows[names[2]][language] = scored(aligner, pairs)
    chosen = [language for language in sets if language in CHOSEN_ON]
    others = [language for language in sets if language not in CHOSEN_ON]
    table = [
        [
            name,
            *(_mean(row, group) for group in (list(sets), chosen, others)),
            *(row.get(each) for each in sets),
        ]
        for name, row in rows.items()
    ]
    show("AER, %", ["corpus", "mean", "chosen on", "others", *sets], table, digits=2)


def _mean(row: dict[str, float], languages: list[str]) -> float | None:
    """Of all of them, where all are there."""
    values = [row[language] for language in languages if language in row]
    return float(np.mean(values)) if values and len(values) == len(languages) else None


def scored(aligner: WordAligner, pairs: list[GoldPair]) -> float:
    found = aligner.align([(pair.source, pair.target) for pair in pairs], plans=False)
    return aer(alignment_table([alignment.pairs for alignment in found], pairs))


def silver(language: str) -> list[SentencePair]:
    """English first, as in the gold."""
    pairs = texts_of(data("word-alignment") / f"xlwa-en-{language}.train.tsv.gz")[:_SILVER]
    return [(tuple(one.split(" ")), tuple(other.split(" "))) for one, other in pairs]


def parallel(language: str) -> list[SentencePair]:
    """Raw text, English second; none where there is no such file."""
    pairs = texts_of(data() / "parallel" / f"{language}-en.tsv.gz")
    return [(_words(english), _words(other)) for other, english in pairs]


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.text for part in segments(text, "icu"))


if __name__ == "__main__":
    main()
