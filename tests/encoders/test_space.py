"""What a language shares: the moments of its vectors, in whatever parts they come, and what is left without them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from otkit.encoders.space import Moments, Space, normalised_rows
from otkit.errors import ConfigError

DRAW = np.random.default_rng(0)
VECTORS = (DRAW.normal(size=(100, 7)) * np.arange(1, 8) + 5).astype(np.float32)


@pytest.mark.parametrize("cuts", [[], [1], [3, 3, 50], [99]])
def test_parts_give_the_moments_of_the_whole(cuts: list[int]) -> None:
    moments = Moments()
    for part in np.split(VECTORS, cuts):
        moments.add(part)
    space = moments.space("zscore", of="x")
    whole = VECTORS.astype(np.float64)
    assert moments.count == 100
    np.testing.assert_allclose(space.mean.numpy(), whole.mean(0), rtol=1e-12)
    np.testing.assert_allclose(space.scale.numpy(), whole.std(0), rtol=1e-12)
    left = space(torch.from_numpy(VECTORS)).double()
    torch.testing.assert_close(left.mean(0), torch.zeros(7).double(), rtol=0, atol=1e-5)
    torch.testing.assert_close(left.std(0, correction=0), torch.ones(7).double(), rtol=1e-5, atol=0)


def test_centring_takes_the_mean_alone_and_rows_have_length_one() -> None:
    found = normalised_rows(VECTORS, "center", of="x")
    less = VECTORS - VECTORS.mean(0)
    np.testing.assert_allclose(found, less / np.linalg.norm(less, axis=1, keepdims=True), atol=1e-6)
    assert found.dtype == np.float32
    assert normalised_rows(VECTORS, "none", of="x") is VECTORS


def test_a_number_that_never_varies_is_not_divided() -> None:
    still = VECTORS.copy()
    still[:, 2] = 4.0
    found = normalised_rows(still, "zscore", of="x")
    assert np.isfinite(found).all()
    assert (found[:, 2] == 0).all()


def test_a_space_is_read_back_to_the_bit() -> None:
    moments = Moments()
    moments.add(VECTORS)
    space = moments.space("zscore", of="x")
    again = Space.from_dict(json.loads(json.dumps(space.to_dict())))
    assert torch.equal(again.mean, space.mean)
    assert torch.equal(again.scale, space.scale)


def test_one_vector_tells_nothing() -> None:
    moments = Moments()
    moments.add(VECTORS[:1])
    moments.add(VECTORS[:0])
    with pytest.raises(ConfigError, match="1 vectors of German do not tell what its vectors share"):
        moments.space("center", of="German")
