"""How sentence pairs become batches: the table `batching` of a recipe."""

from __future__ import annotations

from dataclasses import dataclass

from otkit.settings import Settings, setting

__all__ = ["BatchingSettings"]

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
    batch_tokens: int | None = setting(
        None,
        "The most padded subwords in one forward pass; longer batches are cut. Lower it where memory runs out.",
        least=1,
        panel="Run",
    )
    on_error: str = setting(
        "raise",
        "What to do with a line that cannot be used, or a sentence that the encoder cannot take.",
        choices=ON_ERROR,
        panel="Data",
    )
