"""Layers by languages: how well each hidden state brings translated words together, and what that says in words.

For each hidden state, in [0, 1] but hubness:

    mutual    share of the words of a pair that are each other's nearest: the measure that `auto` chooses by
    rank      share of sentences whose translation is the nearest of the batch, both ways (MEXA)
    isotropy  1 - mean cosine of two words of one language: 1 where they point everywhere alike
    hubness   skewness of how often a target word is among the 10 nearest of a source word: 0 is even
    aer       alignment error rate of the aligner at this state alone, where there is gold
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from otkit.alignment.aligner import WordAligner
from otkit.alignment.layers import CHOOSES, layer_curves
from otkit.alignment.settings import AlignmentSettings
from otkit.alignment.store import encode_layers, tokenise, tokens_at_once
from otkit.data.gold import GoldPair
from otkit.encoders.encoder import Encoder
from otkit.encoders.remembered import Remembering
from otkit.evaluation.metrics import ALIGNMENT_METRICS, alignment_table, hubness

__all__ = ["MEANINGS", "Column", "column_of", "verdict"]

MEANINGS: Mapping[str, str] = {
    "mutual": "words of a pair that are each other's nearest (higher is better)",
    "rank": "sentences whose translation is the nearest, both ways (higher is better)",
    "isotropy": "1 - mean cosine of two words of one language (higher is more even)",
    "hubness": "skewness of how often a word is among the nearest (0 is even, lower is better)",
    "aer": "error rate of the links of this state alone, against gold (lower is better)",
}
_NEIGHBOURS = 10
Vectors = NDArray[np.float64]
Pairs = Sequence[tuple[Sequence[str], Sequence[str]]]


@dataclass(frozen=True)
class Column:
    """The figures of one language, one a hidden state; `aer` where there is gold."""

    language: str
    pairs: int
    mutual: list[float]
    rank: list[float]
    isotropy: list[float]
    hubness: list[float]
    aer: list[float] | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def column_of(
    encoder: Encoder,
    language: str,
    pairs: Pairs,
    settings: AlignmentSettings,
    gold: Sequence[GoldPair] = (),
) -> Column:
    """All figures of a language's pairs, and of its gold."""
    once = Remembering(encoder)
    curves = layer_curves(once, {language: pairs}, (CHOOSES, "sentences"))
    clouds = _clouds(encoder, pairs)
    aer = None
    if gold:
        layers = range(encoder.layers + 1)
        aer = [_aer(once, settings.changed(layers=(layer,)), gold) for layer in layers]
    return Column(
        language,
        len(pairs),
        [round(value, 4) for value in curves[CHOOSES]],
        [round(value, 4) for value in curves["sentences"]],
        [round(1 - (_mean_cosine(source) + _mean_cosine(target)) / 2, 4) for source, target in clouds],
        [round(_hubness(source, target), 3) for source, target in clouds],
        aer,
    )


def _clouds(encoder: Encoder, pairs: Pairs) -> list[tuple[Vectors, Vectors]]:
    """The unit vectors of all source words and of all target words, at each hidden state."""
    with torch.inference_mode():
        stores = encode_layers(
            encoder,
            tokenise(encoder, [side for pair in pairs for side in pair]),
            layers=range(encoder.layers + 1),
            unit="word",
            word_vector="mean",
            batch_tokens=tokens_at_once(encoder),
        )
        rows = 2 * torch.arange(len(pairs), device=encoder.device)
        found = []
        for store in stores:
            sides = [store.gather(rows + side) for side in (0, 1)]
            source, target = (_unit(side.vectors[side.mask].cpu().double().numpy()) for side in sides)
            found.append((source, target))
    return found


def _unit(vectors: Vectors) -> Vectors:
    unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit


def _mean_cosine(unit: Vectors) -> float:
    """Over all pairs of different rows: |sum|^2 holds them and the ones."""
    total, count = unit.sum(0), len(unit)
    return float(total @ total - count) / max(count * (count - 1), 1)


def _hubness(source: Vectors, target: Vectors) -> float:
    nearest = min(_NEIGHBOURS, len(target))
    ids = np.argpartition(-(source @ target.T), nearest - 1, axis=1)[:, :nearest]
    return hubness(ids.ravel(), len(target))


def _aer(encoder: Encoder, settings: AlignmentSettings, gold: Sequence[GoldPair]) -> float:
    found = WordAligner(encoder, settings).align([(pair.source, pair.target) for pair in gold])
    sums = alignment_table([each.pairs for each in found], gold).sum(0)
    return round(float(ALIGNMENT_METRICS["aer"](sums)), 4)


def verdict(columns: Sequence[Column], used: Sequence[int]) -> list[str]:
    """What the columns say, in sentences."""
    mean = {
        name: np.mean([getattr(column, name) for column in columns], 0)
        for name in ("mutual", "rank", "isotropy", "hubness")
    }
    best = int(mean["mutual"].argmax())
    several = f", on average over {len(columns)} languages" if columns[1:] else ""
    own = float(mean["mutual"][list(used)].mean())
    said = [
        f"Hidden state {best} brings words together best{several}: {mean['mutual'][best]:.0%} of them are each "
        f"other's nearest; the aligner reads {_named(used)} ({own:.0%}).",
        f"Sentences find their translation best at {int(mean['rank'].argmax())} ({mean['rank'].max():.0%}).",
    ]
    if columns[1:]:
        worst = min(columns, key=lambda column: column.mutual[best])
        first = max(columns, key=lambda column: column.mutual[best])
        said.append(
            f"There {first.language} is nearest to its translations ({first.mutual[best]:.0%}), {worst.language} "
            f"farthest ({worst.mutual[best]:.0%})."
        )
    scored = [column for column in columns if column.aer is not None]
    for column in scored:
        assert column.aer is not None
        low = int(np.argmin(column.aer))
        said.append(f"Against gold, {column.language} has its lowest AER at {low} ({column.aer[low]:.3f}).")
    hub, even = int(mean["hubness"].argmax()), int(mean["isotropy"].argmin())
    said.append(
        f"Hubs are strongest at {hub} (skewness {mean['hubness'][hub]:.1f}); words point most alike at {even} "
        f"(isotropy {mean['isotropy'][even]:.2f})."
    )
    return said


def _named(used: Sequence[int]) -> str:
    return f"{'states' if used[1:] else 'state'} {'+'.join(map(str, used))}"
