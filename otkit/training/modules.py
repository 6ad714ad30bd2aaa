"""Small modules that some objectives train beside the encoder; checkpoints keep them, the exported encoder
does not.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from otkit.training.settings import ObjectiveSettings

__all__ = ["LanguageHead", "Pointer", "build_heads"]


class LanguageHead(nn.Module):
    """Hidden states to subwords through the encoder's own table of subword vectors (Press and Wolf 2017).

    BERT's prediction head in shape; it starts as the identity, since no encoder folder brings one.
    """

    def __init__(self, width: int, vocabulary: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        nn.init.eye_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)
        self.norm = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, states: Tensor, embedding: Tensor) -> Tensor:
        """(K,V) scores of (K,D) states against the (V,D) table."""
        refined = self.norm(functional.gelu(self.dense(states)))
        return functional.linear(refined, embedding.to(refined.dtype), self.bias)


class Pointer(nn.Module):
    """Scaled dot products of queries and keys, as one attention head without values (XLM-Align, section
    3.2).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, asking: Tensor, answering: Tensor) -> Tensor:
        """(B,N,M) scores of (B,N,D) against (B,M,D)."""
        query = self.query(asking) / asking.shape[-1] ** 0.5
        return torch.bmm(query, self.key(answering).transpose(1, 2))


def build_heads(
    config: ObjectiveSettings, *, width: int, vocabulary: int, teacher_width: int | None, seed: int
) -> nn.ModuleDict:
    """The heads that the configuration's parts need, the same for the same seed."""
    needs, heads = config.needs, nn.ModuleDict()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if "projection" in needs and config.projection is not None:
            heads["projection"] = nn.Sequential(
                nn.Linear(width, width, bias=False),
                nn.ReLU(),
                nn.Linear(width, config.projection, bias=False),
            )
        if "tanh" in needs:
            heads["tanh"] = nn.Sequential(nn.Linear(width, width), nn.Tanh())
        if "vocabulary" in needs:
            heads["vocabulary"] = LanguageHead(width, vocabulary)
        if "pointer" in needs:
            heads["pointer"] = Pointer(width)
        if "teacher" in needs and teacher_width is not None and teacher_width != width:
            heads["teacher"] = nn.Linear(width, teacher_width, bias=False)
    return heads
