"""One hash says whether two encoders are the same: every byte of every weight counts, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from otkit.encoders.open import open_encoder
from otkit.encoders.torch import TorchEncoder


def swap_last_rows(words: torch.Tensor) -> None:
    words[[-2, -1]] = words[[-1, -2]]


def next_float(words: torch.Tensor) -> None:
    words[-1, -1] = torch.nextafter(words[-1, -1], torch.tensor(torch.inf))


CHANGES: dict[str, Callable[[torch.Tensor], None]] = {
    "rows past the first values change places": swap_last_rows,
    "the last value moves by one step": next_float,
    "the sign of a zero": lambda words: words[-1, -1:].mul_(-1.0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_byte_counts(change: str, tiny_encoder: TorchEncoder) -> None:
    words = tiny_encoder.model.get_input_embeddings().weight.detach()
    words[-1, -1] = 0.0
    before, total, first = tiny_encoder.weights_sha256(), float(words.double().sum()), words[:2].clone()
    CHANGES[change](words)
    assert float(words.double().sum()) == pytest.approx(total)
    assert torch.equal(words[:2], first)
    assert tiny_encoder.weights_sha256() != before


def test_only_the_weights_count(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    before = tiny_encoder.weights_sha256()
    tiny_encoder.save(tmp_path / "other-name")
    assert open_encoder(tmp_path / "other-name", device="cpu").weights_sha256() == before
    table = tiny_encoder.model.embeddings.word_embeddings
    table.weight = torch.nn.Parameter(table.weight.detach().t().contiguous().t())  # other strides
    assert tiny_encoder.weights_sha256() == before


def test_shards_are_hashed_whole(tiny_encoder: TorchEncoder) -> None:
    whole = tiny_encoder.weights_sha256()
    sharded = copy.deepcopy(tiny_encoder)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        for module in sharded.model.modules():
            for name, weight in list(module.named_parameters(recurse=False)):
                part = distribute_tensor(weight.detach(), mesh, [Shard(0)])
                setattr(module, name, torch.nn.Parameter(part))
        assert sharded.weights_sha256() == whole
    finally:
        dist.destroy_process_group()
