"""Which hidden states agree across languages, told without gold links: how many words of a pair are each other's
nearest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from otkit.encoders.encoder import Encoder
from otkit.encoders.pooling import Encoded
from otkit.encoders.sentences import encode_words

__all__ = ["mutual_share_by_layer"]

_BATCH = 16


def mutual_share_by_layer(
    encoder: Encoder,
    source: Sequence[Sequence[str]],
    target: Sequence[Sequence[str]],
    *,
    progress: Callable[[int], None] = lambda done: None,
) -> list[float]:
    """For each hidden state, 0 (embeddings) to the last, the mean share of a pair's words that are each other's
    nearest by cosine, in [0, 1]; source[i] and target[i] are translations.

    In the sample encoder it is highest where its alignments are best. Less what sentences that are no translations
    share, it is not: its last states keep other sentences apart, and the words of one sentence together.
    """
    layers = range(encoder.layers + 1)
    sums = torch.zeros(len(layers), dtype=torch.float64)
    for start in range(0, len(source), _BATCH):
        rows = slice(start, start + _BATCH)
        with torch.inference_mode():
            sides = [
                encode_words(encoder, side[rows], layers=layers, long="window", prefix="")
                for side in (source, target)
            ]
        sums += torch.stack([_share(x, y).sum() for x, y in zip(*sides, strict=True)]).cpu()
        progress(min(rows.stop, len(source)))
    return [float(total) / len(source) for total in sums]


def _share(x: Encoded, y: Encoded) -> Tensor:
    """(B,) twice the mutual nearest words of each pair, over the words of both sides."""
    unit = [torch.nn.functional.normalize(side.vectors.double(), dim=-1) for side in (x, y)]
    cosine = unit[0] @ unit[1].mT
    cosine = cosine.masked_fill(~(x.mask[:, :, None] & y.mask[:, None, :]), -torch.inf)
    ahead, back = cosine.argmax(2), cosine.argmax(1)
    mutual = (back.gather(1, ahead) == torch.arange(x.mask.shape[1], device=ahead.device)) & x.mask
    return 2 * mutual.sum(1).double() / (x.mask.sum(1) + y.mask.sum(1)).clamp(min=1)
