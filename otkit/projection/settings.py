"""How spans are carried to a translation and lexicons counted: the tables `projection` and `lexicon` of a recipe.

It imports no NumPy: commands show these settings in their help.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from otkit.settings import Settings, setting

__all__ = ["LEXICON_ENDINGS", "RULE_NAMES", "SHARE", "LexiconSettings", "SpanSettings"]

_PANEL = "Projection"
SHARE = 0.3
"""The probability of a word to be replaced in code-switched examples."""
RULE_NAMES = {
    "auto": "price for labels of words, overlap for answers and tags",
    "price": "the contiguous span of the largest total share less a price a word",
    "overlap": "the contiguous span whose shares are most nearly those of the source span alone",
    "words": "every linked word by itself, neighbours joined; a span may be split",
    "min-max": "from the first to the last linked word",
    "gaps": "linked words with gaps of at most `gap` words filled; of several runs the strongest",
}

LEXICON_ENDINGS: Mapping[str, str] = {
    ".tsv": "tsv",
    ".txt": "tsv",
    ".jsonl": "jsonl",
    ".tbx": "tbx",
    ".s2t": "shortlist",
    ".t2s": "shortlist",
    ".sqlite": "sqlite",
    ".db": "sqlite",
    ".html": "html",
}
"""The form of a file, by the ending of its name."""

WEIGHTS = {
    "links": "each link counts one",
    "shares": "each link counts its share, in [0, 1]",
}


@dataclass(frozen=True)
class SpanSettings(Settings):
    """How a span finds its words on the other side."""

    rule: str = setting(
        "auto", "How target words are chosen.", choices=RULE_NAMES, panel=_PANEL, everyday=True
    )
    price: float = setting(
        0.3, "What a target word costs, under the rule price.", least=0, unit="share", panel=_PANEL
    )
    sharpness: float = setting(
        2.0, "The power of the shares, under the rule overlap.", above=0, most=10, panel=_PANEL
    )
    clause_price: float = setting(
        0.5,
        "What a mark that ends a sentence costs within a span whose source has none, under price and overlap.",
        least=0,
        unit="share",
        panel=_PANEL,
    )
    linked: float = setting(
        0.45,
        "The share from which two words are linked, under words, min-max and gaps.",
        least=0,
        most=1,
        panel=_PANEL,
    )
    gap: int = setting(
        1, "The longest gap that is filled, under gaps, in words.", least=0, most=1000, panel=_PANEL
    )
    edge: float | None = setting(
        None,
        "The share from which a short word at the edge of a span belongs to it. Without it, 0.7, and 0.5 for answers.",
        least=0,
        most=10,
        panel=_PANEL,
    )
    floor: float = setting(
        0.2,
        "The confidence below which a span is lost: how likely it is that people would put it there.",
        least=0,
        most=1,
        panel=_PANEL,
        everyday=True,
    )
    surety: float = setting(
        0.7, "The least confidence of every span of a complete sentence.", least=0, most=1, panel=_PANEL
    )
    marks: bool = setting(
        False, "Keep punctuation at the edges of a span where its source has it too.", panel=_PANEL
    )

    def resolved(self, rule: str) -> SpanSettings:
        """With this rule in the place of auto, and the edge that goes with it."""
        answers = self.rule == "auto" and rule == "overlap"
        edge = (0.5 if answers else 0.7) if self.edge is None else self.edge
        return self.changed(rule=rule if self.rule == "auto" else self.rule, edge=edge)


@dataclass(frozen=True)
class LexiconSettings(Settings):
    """What a lexicon counts, and which entries it keeps."""

    phrases: int = setting(
        1, "The longest entry, in words of each side.", least=1, most=20, panel="Lexicon", everyday=True
    )
    weigh: str = setting(
        "links",
        "What a pair counts where it is linked. With shares weak links count too, unless `alignment.threshold` is set.",
        choices=WEIGHTS,
        panel="Lexicon",
    )
    min_count: int = setting(1, "How often an entry must be seen.", least=1, panel="Lexicon", everyday=True)
    min_probability: float = setting(
        0.0,
        "The least of both probabilities of an entry, of the target given the source and the reverse.",
        least=0,
        most=1,
        panel="Lexicon",
        everyday=True,
    )
    min_score: float = setting(
        0.0, "The share of a link below which it is not counted.", least=0, most=1, panel="Lexicon"
    )
    examples: int = setting(
        2, "How many sentences to keep for each entry.", least=0, most=1000, panel="Lexicon"
    )
    lower: bool = setting(False, "Count words without regard to capitals.", panel="Lexicon")
