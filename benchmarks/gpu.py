"""A training step on a GPU: pairs a second, model FLOP utilisation, the transport's share, peak memory.

    python -m benchmarks.gpu [--models sample,base] [--batches 24,64,128,256,512] [--length 64] [--layers plain,fused]

The paper's objective under bf16 autocast, on pairs of random subwords, every sentence LENGTH of them long, three to
two words. `base` has BERT-base's size with random weights and the sample encoder's vocabulary. The step is the
training loop's: both sides and the frozen start encoded, transport, anchor, backward, clipping, Adam; on CUDA one
step runs with host syncs forbidden. The transport is timed by itself on the same clouds, in turns with the step.

Utilisation counts what the tuned encoder must do (forward and backward of its layers, attention included: 6 FLOP a
weight and token and 12 L T D; not the embedding tables, or anything recomputed), against the fastest large product
measured here and the card's published dense bf16 rate where it is known; there also with the frozen start's forward
pass over the targets, which the anchor needs and which is a sixth as much. `fused` layers are
those of `otkit align --compile`.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from benchmarks.common import Silent, show
from otkit.data.batching import PairBatch
from otkit.data.parallel import open_corpus
from otkit.encoders.open import open_encoder
from otkit.encoders.tokens import Tokens
from otkit.encoders.torch import TorchEncoder
from otkit.reports.tables import Value
from otkit.resources import sample_data
from otkit.training.objectives import AlignmentModel
from otkit.training.recipe import Recipe
from otkit.training.run import build_model
from otkit.training.settings import ObjectiveSettings
from otkit.training.transport_losses import optimal_transport
from otkit.transport.cost import pairwise_cost
from otkit.transport.divergence import sinkhorn_divergence

# Dense bf16 FLOP/s of the data sheets, by a part of the device's name.
PUBLISHED = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}


def wait(device: torch.device) -> None:
    """Until the device has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(work: Callable[[], object], device: torch.device, *, turns: int) -> float:
    """Of one call, after a first that does not count."""
    work()
    wait(device)
    begun = time.perf_counter()
    for _ in range(turns):
        work()
    wait(device)
    return (time.perf_counter() - begun) / turns


def product_rate(device: torch.device) -> float:
    """FLOP/s of a large bf16 product, the best of a few shapes."""
    best = 0.0
    for size in (4096, 8192) if device.type == "cuda" else (1024,):
        a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
        best = max(best, 2 * size**3 / seconds(lambda a=a: a @ a, device, turns=10))  # type: ignore[misc]
    return best


def base_encoder(device: str) -> TorchEncoder:
    """BERT-base's size with random weights."""
    small = open_encoder(device="cpu")
    assert isinstance(small, TorchEncoder)
    config = BertConfig(vocab_size=small.model.config.vocab_size, pad_token_id=small.subwords.padding_id)
    model = BertModel(config, add_pooling_layer=False)
    torch.nn.Module.to(model, device)
    return TorchEncoder(
        model,
        small.tokenizer,
        name="bert-base size",
        settings=replace(small.settings, alignment_layers=(8,)),
    )


def random_pairs(encoder: TorchEncoder, pairs: int, length: int) -> PairBatch:
    """PAIRS sentence pairs of random subwords on the encoder's device, two words to three subwords."""
    generator = torch.Generator().manual_seed(pairs)
    place = torch.arange(length)
    inside = (place > 0) & (place < length - 1)
    word = torch.where(inside, (place - 1) * 2 // 3, -1).expand(pairs, -1).contiguous()
    words = int(word.max()) + 1
    sides = []
    for _ in range(2):
        ids = torch.randint(1000, 60_000, (pairs, length), generator=generator)
        tokens = Tokens(ids, torch.ones_like(ids, dtype=torch.bool), word, (words,) * pairs)
        sides.append(tokens.to(encoder.device))
    units = (words * pairs, (length - 2) * pairs)
    letters = torch.full((pairs, words), 4)
    return PairBatch(
        0,
        "de",
        tuple(range(pairs)),
        sides[0],
        sides[1],
        batch_fraction=1.0,
        target_units=units,
        letters=(letters, letters),
    )


def training_step(module: AlignmentModel, batch: PairBatch, adam: torch.optim.Optimizer) -> None:
    """One optimiser step, as the training loop takes it."""
    with torch.autocast(module.encoder.device.type, dtype=torch.bfloat16):
        losses = module(batch)
        loss = torch.stack(list(losses.parts.values())).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    adam.step()
    adam.zero_grad()


def flops(encoder: TorchEncoder, batch: PairBatch) -> float:
    """Of the tuned encoder in one step, forward and backward, both sides."""
    stack = [weight for name, weight in encoder.model.named_parameters() if ".layer." in name]
    weights = sum(weight.numel() for weight in stack if weight.ndim == 2)
    rows, length = batch.source.ids.shape
    tokens = 2 * rows * length
    return tokens * (6.0 * weights + 12.0 * encoder.layers * length * encoder.dimension)


def measured(
    encoder: TorchEncoder, pairs: int, layers: str, options: argparse.Namespace, rate: float
) -> list[Value]:
    """One row of the table."""
    device = encoder.device
    corpora = [open_corpus(sample_data() / "parallel" / "de-en.train.tsv")]
    settings = Recipe.read("paper").changed(
        batching={"batch_size": pairs, "pairs_per_language": None},
        training={"precision": "bf16"},
        tuning={"compile": layers == "fused"},
    )
    module = build_model(encoder, corpora, settings, observer=Silent()).train()
    adam = torch.optim.AdamW(module.parameters(), lr=1e-6, fused=True)
    batch = random_pairs(encoder, pairs, options.length)
    training_step(module, batch, adam)  # allocations, and what torch.compile has to do
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
        training_step(module, batch, adam)
        torch.cuda.set_sync_debug_mode("default")
        torch.cuda.reset_peak_memory_stats(device)
    step = seconds(lambda: training_step(module, batch, adam), device, turns=options.turns)
    memory = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
    with torch.no_grad():
        found = module.encode(batch, anchored=False)
    sides = [
        side.with_vectors(side.vectors.detach().requires_grad_()) for side in (found.source, found.target)
    ]
    clouds = replace(found, source=sides[0], target=sides[1])

    def transport() -> Tensor:
        part = optimal_transport(clouds, module.config)
        part.value.backward()  # type: ignore[no-untyped-call]
        return part.metrics["marginal_error"]

    share = seconds(transport, device, turns=options.turns) / step
    done = flops(encoder, batch) / step
    known = next((peak for part, peak in PUBLISHED.items() if part in device_name(device)), None)
    utilisation = None if known is None else 100 * done / known
    return [
        encoder.name.split("/")[-1],
        layers,
        pairs,
        1000 * step,
        pairs / step,
        utilisation,
        None if utilisation is None else utilisation * 7 / 6,
        100 * done / rate,
        100 * share,
        100 * float(transport()),
        memory,
    ]


def batch_cloud(size: int, device: torch.device, config: ObjectiveSettings) -> list[Value]:
    """`--scope batch`: one divergence of SIZE against SIZE words, beside the memory of one cost matrix."""
    x, y = (torch.randn(1, size, 768, device=device) for _ in range(2))
    x.requires_grad_()
    weights = torch.full((1, size), 1 / size, device=device)
    solver = replace(config, tolerance=None, iterations=30).sinkhorn

    def solve() -> Tensor:
        return sinkhorn_divergence(x, y, weights, weights, cost=config.cost, config=solver).value.sum()

    took = seconds(solve, device, turns=3)
    if device.type != "cuda":
        return [f"{size} x {size}", 1000 * took, None, None]
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    value = solve()
    kept = torch.cuda.memory_allocated(device) - before
    peak = torch.cuda.max_memory_allocated(device) - before
    one = pairwise_cost(x.detach(), y, cost=config.cost).nbytes
    value.backward()  # type: ignore[no-untyped-call]
    return [f"{size} x {size}", 1000 * took, peak / one, kept / one]


def device_name(device: torch.device) -> str:
    """As its maker calls it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default="sample,base")
    parser.add_argument("--batches", default="24,64,128,256,512")
    parser.add_argument("--length", type=int, default=64, help="subwords of a sentence")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--layers", default="plain,fused")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    torch.set_float32_matmul_precision("high")
    device = torch.device(options.device)
    rate = product_rate(device)
    rows = []
    for name in options.models.split(","):
        encoder = base_encoder(options.device) if name == "base" else open_encoder(device=options.device)
        assert isinstance(encoder, TorchEncoder)
        for layers in options.layers.split(","):
            for pairs in map(int, options.batches.split(",")):
                # Every row starts from the same weights, and leaves no optimiser behind.
                rows.append(measured(copy.deepcopy(encoder), pairs, layers, options, rate))
                print(*rows[-1], file=sys.stderr, flush=True)
    columns = (
        *("encoder", "layers", "pairs", "ms", "pairs/s", "% of published", "with the start", "% of measured"),
        *("transport %", "marginal error %", "peak GiB"),
    )
    title = f"{device_name(device)}, {options.length} subwords a sentence, bf16, product {rate / 1e12:.0f} TFLOP/s"
    show(title, columns, rows, digits=1)
    clouds = [batch_cloud(size, device, Recipe.read("paper").objective) for size in (500, 1000, 2000)]
    heads = ("words of a batch", "ms", "peak, cost matrices", "kept for backward, cost matrices")
    show("`--scope batch`, forward pass of the divergence", heads, clouds, digits=2)


if __name__ == "__main__":
    main()
