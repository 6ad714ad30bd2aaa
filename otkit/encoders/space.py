"""The space of a language: what all its vectors share, taken off, so that languages lie on one another.

Libovicky et al. (2020) take off the mean vector of each language; Zhao et al. (2021), "Inducing Language-Agnostic
Multilingual Representations", divide by the standard deviation of each number too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otkit.errors import ConfigError
from otkit.transport.problem import widened

__all__ = ["Moments", "Space", "normalised_rows"]

_LEAST = 2  # vectors, for a deviation to mean anything


@dataclass(frozen=True, eq=False)
class Space:
    """(D,) what is taken off a language's vectors, and (D,) what they are divided by then; float64."""

    mean: Tensor
    scale: Tensor

    def __call__(self, vectors: Tensor) -> Tensor:
        """(N, D) the vectors in their own precision, without what their language shares."""
        wide = widened(vectors)
        return ((wide - self.mean.to(wide)) / self.scale.to(wide)).to(vectors.dtype)

    def rows(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, D) the same as vectors of length 1."""
        return _unit(self(torch.from_numpy(np.ascontiguousarray(vectors))).numpy())

    def to_dict(self) -> dict[str, list[float]]:
        """For JSON; `from_dict` reads it back, to the bit."""
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        mean, scale = (torch.tensor(document[name], dtype=torch.float64) for name in ("mean", "scale"))
        return cls(mean, scale)


class Moments:
    """Mean and variance of vectors that come in parts, in constant memory (Chan et al. 1983)."""

    def __init__(self) -> None:
        self.count = 0
        self._mean = self._squares = torch.zeros(0, dtype=torch.float64)

    def add(self, vectors: Tensor | NDArray[np.float32]) -> None:
        """Take (N, D) vectors into account."""
        part = torch.as_tensor(vectors).cpu().double()
        if not len(part):
            return
        mean = part.mean(0)
        squares = (part - mean).square().sum(0)
        if not self.count:
            self.count, self._mean, self._squares = len(part), mean, squares
            return
        apart, count = mean - self._mean, self.count + len(part)
        self._squares = self._squares + squares + apart.square() * (self.count * len(part) / count)
        self._mean = self._mean + apart * (len(part) / count)
        self.count = count

    def space(self, kind: str, *, of: str) -> Space:
        """What is shared: `center` or `zscore`. A number that never varies is not divided."""
        if self.count < _LEAST:
            raise ConfigError(
                f"{self.count} vectors of {of} do not tell what its vectors share",
                remedy="give text to measure it on, `space_text`, or leave space out",
                setting="space",
            )
        scale = torch.ones_like(self._mean)
        if kind == "zscore":
            deviation = (self._squares / self.count).sqrt()
            scale = torch.where(deviation > 1e-9 * deviation.max().clamp_min(1e-30), deviation, 1.0)
        return Space(self._mean, scale)


def normalised_rows(vectors: NDArray[np.float32], kind: str, *, of: str) -> NDArray[np.float32]:
    """Unit vectors (N, D) of one language as `space` asks for, measured on themselves, again of length 1."""
    if kind == "none":
        return vectors
    moments = Moments()
    moments.add(vectors)
    return moments.space(kind, of=of).rows(vectors)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, D) with length 1."""
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.asarray(vectors / lengths, dtype=np.float32)
