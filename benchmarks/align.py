"""Where a training step's time goes: encoder, transport, anchor and bookkeeping, for the paper's settings.

    python -m benchmarks.align [STEPS] [THREADS]

Every phase of the same step is timed in the same run, so shares hold even on a busy machine; process time is used,
which a neighbour's load does not enter. L2 on mutual-argmax links stands for the baseline of Cao et al. (2020).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from benchmarks.common import data, numbers, show
from otkit.data.batching import PairBatch, PairSource
from otkit.data.parallel import open_corpus
from otkit.data.settings import BatchingSettings
from otkit.encoders.open import open_encoder
from otkit.encoders.torch import TorchEncoder
from otkit.reports.tables import Value
from otkit.training.anchors import stay_close
from otkit.training.encoded import EncodedPairs
from otkit.training.frozen import CopiedStart, copy_dtype
from otkit.training.objectives import AlignmentModel, encode_units
from otkit.training.recipe import Recipe
from otkit.training.transport_losses import optimal_transport


class Clock:
    """Seconds of process time by phase."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Add the time of the block to a phase."""
        begun = time.process_time()
        yield
        self.seconds[phase] += time.process_time() - begun


def l2_on_links(pairs: EncodedPairs) -> Tensor:
    """The mean squared distance over mutual-argmax links, the plan-free baseline."""
    x, y = pairs.source.vectors, pairs.target.vectors
    with torch.no_grad():
        near = x @ y.transpose(1, 2) - 1e9 * ~(pairs.source.mask[:, :, None] & pairs.target.mask[:, None, :])
        best = torch.zeros_like(near).scatter_(2, near.argmax(2, keepdim=True), 1)
        links = best * torch.zeros_like(near).scatter_(1, near.argmax(1, keepdim=True), 1)
    batch, i, j = links.nonzero(as_tuple=True)
    return (x[batch, i] - y[batch, j]).square().sum(-1).mean()


def step(
    clock: Clock, module: AlignmentModel, start: CopiedStart, batch: PairBatch, adam: torch.optim.Adam
) -> None:
    """One training step, phase by phase."""
    with clock("encoder forward"):
        pairs = module.encode(batch, anchored=False)
    vectors = (pairs.source.vectors, pairs.target.vectors)
    with clock("frozen start"):
        anchored = EncodedPairs(**{**vars(pairs), "start": start.vectors(batch, batch.target)})
    with clock("transport"):
        divergence = optimal_transport(anchored, module.config).value
        gradients = torch.autograd.grad(divergence, vectors, retain_graph=True)
    with clock("anchor"):
        anchor = stay_close(anchored, module.config).value
        gradients = (
            gradients[0],
            gradients[1] + torch.autograd.grad(anchor, vectors[1], retain_graph=True)[0],
        )
    with clock("(L2 on links, for comparison)"):
        torch.autograd.grad(l2_on_links(pairs), vectors, retain_graph=True)
    with clock("encoder backward"):
        torch.autograd.backward(vectors, gradients)
    with clock("clip and Adam"):
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        adam.step()
        adam.zero_grad()


def main(steps: int, threads: int) -> None:
    """Print the share of each phase."""
    torch.set_num_threads(threads)
    encoder = open_encoder(device="cpu")
    assert isinstance(encoder, TorchEncoder)
    config = Recipe.read("paper").objective
    start = CopiedStart(
        encoder, lambda which, tokens: encode_units(which, tokens, config), dtype=copy_dtype(encoder.device)
    )
    module = AlignmentModel(encoder, config, start=start).train()
    adam = torch.optim.Adam(module.parameters(), lr=5e-5, fused=True)
    source = PairSource(
        [open_corpus(data("parallel", "de-en.tsv.gz"))], encoder, BatchingSettings(batch_size=24)
    )
    clock = Clock()
    micro_steps = source.micro_steps(0, steps)
    while True:
        with clock("tokenising and batching"):
            batches = next(micro_steps, None)
        if batches is None:
            break
        for batch in batches:
            step(clock, module, start, batch, adam)
    compared = clock.seconds.pop("(L2 on links, for comparison)")
    total = sum(clock.seconds.values())
    rows: list[list[Value]] = [
        [phase, seconds, 100 * seconds / total] for phase, seconds in clock.seconds.items()
    ]
    own = sum(
        clock.seconds[name] for name in ("transport", "anchor", "frozen start", "tokenising and batching")
    )
    rows.append(["all", total, 100.0])
    rows.append(["transport + anchor + frozen start + batching", own, 100 * own / total])
    show(
        f"the paper's recipe, {steps} steps of 24 pairs, {threads} thread(s)",
        ["phase", "seconds", "% of step"],
        rows,
    )
    overhead = (clock.seconds["transport"] - compared) / (total - clock.seconds["transport"] + compared)
    print(f"\nAgainst L2 on mutual-argmax links the step costs {100 * overhead:+.1f} % (the paper: +30 %).")


if __name__ == "__main__":
    main(*numbers(__doc__, steps=12, threads=1))
