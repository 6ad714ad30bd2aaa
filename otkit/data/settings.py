"""How sentence pairs become batches: the table `batching` of a recipe."""

from __future__ import annotations

from dataclasses import dataclass

from otkit.settings import Settings, setting

__all__ = ["BatchingSettings"]

_SUBWORDS_A_PAIR = 96
ON_ERROR = {"raise": "stop at it", "skip": "leave it out"}


@dataclass(frozen=True)
class BatchingSettings(Settings):
    """How pairs become batches."""

    batch_size: int = setting(
        24,
        "Sentence pairs of each language pair in a batch (of all, if mixed).",
        least=1,
        most=1_000_000,
        panel="Run",
        everyday=True,
    )
    pairs_per_language: int | None = setting(
        None,
        "Pairs of every language in an epoch; small corpora are repeated. Without it, the size of the largest.",
        least=1,
        most=10_000_000,
        panel="Run",
    )
    mix_languages: bool = setting(
        False,
        "A batch holds pairs of all languages, not of each language in turn.",
        panel="Run",
    )
    window: int = setting(
        128,
        "Batches whose pairs are sorted by length together; more save padding, fewer mix better.",
        least=1,
        panel="Run",
    )
    # What attention keeps for the gradient grows with the square of the longest sentence: one of 430 subwords among 24
    # pairs took 10 GB. Batches of usual sentences are never cut by this.
    batch_tokens: int | str | None = setting(
        "auto",
        "The most padded subwords of a side in one forward pass; longer batches are cut. Lower it where memory runs"
        " out; none never cuts.",
        choices={"auto": f"{_SUBWORDS_A_PAIR} for each pair of a batch"},
        least=1,
        metavar="N|auto|none",
        panel="Run",
    )
    on_error: str = setting(
        "raise",
        "What to do with a line that cannot be used, or a sentence that the encoder cannot take.",
        choices=ON_ERROR,
        panel="Data",
    )

    @property
    def budget(self) -> int | None:
        """`batch_tokens` as a number."""
        return self.batch_size * _SUBWORDS_A_PAIR if isinstance(self.batch_tokens, str) else self.batch_tokens
