"""The frozen start: what a run needs of it and no more, the same bits whenever it is asked."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from otkit.data.batching import PairBatch, PairSource
from otkit.data.parallel import ParallelCorpus, open_corpus
from otkit.data.settings import BatchingSettings
from otkit.encoders.pooling import Encoded
from otkit.encoders.tokens import Tokens
from otkit.encoders.torch import TorchEncoder
from otkit.training.frozen import CachedStart, CopiedStart, copy_dtype, open_start, passes_saved
from otkit.training.objectives import encode_units
from otkit.training.recipe import Recipe
from otkit.training.run import align_encoder, build_model
from otkit.training.settings import ObjectiveSettings, TrainingSettings, TuningSettings
from tests.conftest import make_tiny_encoder
from tests.training.support import Silent

CONFIG = ObjectiveSettings(losses=(("ot", 1.0), ("anchor", 1.0)), cost="cosine", epsilon=0.1, layers=(1,))
COUNT = 40


@pytest.fixture
def corpus(tmp_path: Path) -> ParallelCorpus:
    lines = (
        f"das haus ist {'klein ' * (n % 7)}{n} .\tthe house is {'small ' * (n % 5)}{n} ."
        for n in range(COUNT)
    )
    (tmp_path / "de-en.tsv").write_text("\n".join(lines), encoding="utf-8")
    return open_corpus(tmp_path / "de-en.tsv")


class Encoding:
    """`encode_units`, which counts what it is asked for."""

    def __init__(self, config: ObjectiveSettings = CONFIG) -> None:
        self.config, self.sentences = config, 0

    def __call__(self, encoder: TorchEncoder, tokens: Tokens) -> Encoded:
        self.sentences += len(tokens.ids)
        return encode_units(encoder, tokens, self.config)


def batches(
    encoder: TorchEncoder, corpus: ParallelCorpus, *, seed: int = 0, count: int = 10
) -> list[PairBatch]:
    source = PairSource([corpus], encoder, BatchingSettings(batch_size=4), seed=seed)
    return [batch for parts in source.micro_steps(0, count) for batch in parts]


def by_sentence(start: CachedStart, asked: Sequence[PairBatch]) -> dict[int, Tensor]:
    found = {}
    for batch in asked:
        rows = start.vectors(batch, batch.target)
        words = batch.target.counts
        found |= {index: row[:n] for index, row, n in zip(batch.indices, rows, words, strict=True)}
    return found


def test_a_cache_encodes_what_is_asked_for_and_each_sentence_once(
    tiny_encoder: TorchEncoder, corpus: ParallelCorpus
) -> None:
    encode = Encoding()
    cache = CachedStart(CopiedStart(tiny_encoder, encode, dtype=torch.float32), tiny_encoder, [corpus])
    assert encode.sentences == 0
    asked = batches(tiny_encoder, corpus)
    cache.vectors(asked[0], asked[0].target)
    assert 4 <= encode.sentences < COUNT
    by_sentence(cache, asked)
    assert encode.sentences == COUNT
    by_sentence(cache, asked)
    assert encode.sentences == COUNT


def test_what_is_cached_does_not_depend_on_who_asked_first(corpus: ParallelCorpus) -> None:
    found = []
    for seed in (0, 1, 2):
        encoder = make_tiny_encoder()
        cache = CachedStart(CopiedStart(encoder, Encoding(), dtype=torch.float32), encoder, [corpus])
        # In the precision of a training step or not.
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=seed == 2):
            found.append(by_sentence(cache, batches(encoder, corpus, seed=seed)))
    assert set(found[0]) == set(range(COUNT))
    for other in found[1:]:
        assert all(torch.equal(found[0][index], other[index]) for index in range(COUNT))


def test_a_full_cache_lets_go_of_the_copy(tiny_encoder: TorchEncoder, corpus: ParallelCorpus) -> None:
    copied = CopiedStart(tiny_encoder, Encoding(), dtype=torch.float32)
    alive = weakref.ref(copied)
    cache = CachedStart(copied, tiny_encoder, [corpus])
    del copied
    asked = batches(tiny_encoder, corpus)
    cache.vectors(asked[0], asked[0].target)
    assert alive() is not None
    by_sentence(cache, asked)
    gc.collect()
    assert alive() is None


def test_a_sentence_that_is_too_long_is_nobodys_neighbour(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    lines = [f"das haus {n}\tthe house {n}" for n in range(9)]
    lines[4] = "das haus\t" + "the " * 100
    (tmp_path / "de-en.tsv").write_text("\n".join(lines), encoding="utf-8")
    corpus = open_corpus(tmp_path / "de-en.tsv")
    copied = CopiedStart(tiny_encoder, Encoding(), dtype=torch.float32)
    cache = CachedStart(copied, tiny_encoder, [corpus])
    source = PairSource([corpus], tiny_encoder, BatchingSettings(batch_size=3, on_error="skip"))
    for (batch,) in source.micro_steps(0, 3):
        expected = copied.vectors(batch, batch.target)
        torch.testing.assert_close(cache.vectors(batch, batch.target), expected, rtol=1e-3, atol=1e-3)
    assert source.too_long == 1


def test_a_copy_has_only_what_changes_and_what_is_read(
    tiny_encoder: TorchEncoder, corpus: ParallelCorpus
) -> None:
    model = tiny_encoder.model
    model.embeddings.requires_grad_(False)
    copied = CopiedStart(
        tiny_encoder,
        Encoding(),
        dtype=torch.float32,
        layers=CONFIG.layers,
        changing=lambda weight: weight.requires_grad,
    )
    assert copied.bytes == 4 * sum(weight.numel() for weight in model.encoder.layer[0].parameters())
    whole = CopiedStart(tiny_encoder, Encoding(), dtype=torch.bfloat16)
    assert whole.bytes == 2 * sum(weight.numel() for weight in model.parameters())
    # Numbers that are no weights stay as they are: frequencies of positions, rounded, would turn far words.
    model.register_buffer("frequencies", torch.linspace(0, 1, 7))
    (own,) = (
        b
        for n, b in CopiedStart(tiny_encoder, Encoding(), dtype=torch.bfloat16)._encoder.model.named_buffers()
        if n == "frequencies"
    )
    assert torch.equal(own, model.frequencies)
    assert own.dtype == torch.float32
    (batch,) = batches(tiny_encoder, corpus, count=1)
    expected = encode_units(tiny_encoder, batch.target, CONFIG).vectors.detach()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.mul_(1.5)
    assert torch.equal(copied.vectors(batch, batch.target), expected)
    torch.testing.assert_close(whole.vectors(batch, batch.target), expected, rtol=0.1, atol=0.1)
    assert not torch.equal(encode_units(tiny_encoder, batch.target, CONFIG).vectors, expected)
    assert all(weight.requires_grad for weight in model.encoder.parameters())


def test_the_start_of_adapters_takes_no_memory_and_stays(
    tiny_encoder: TorchEncoder, corpus: ParallelCorpus
) -> None:
    pytest.importorskip("peft")
    settings = Recipe(
        objective=CONFIG,
        batching=BatchingSettings(batch_size=4),
        training=TrainingSettings(steps=2),
        tuning=TuningSettings(lora_rank=2, freeze=0),
    )
    (batch,) = batches(tiny_encoder, corpus, count=1)
    expected = encode_units(tiny_encoder, batch.target, CONFIG).vectors.detach()
    heard = []

    class Listening(Silent):
        def note(self, message: str) -> None:
            heard.append(message)

    module = build_model(tiny_encoder, [corpus], settings, observer=Listening())
    assert "copy of 0 MiB" in heard[0]
    if copy_dtype(tiny_encoder.device) != torch.float32:
        pytest.skip("in half precision everything is copied")
    with torch.no_grad():
        for weight in module.parameters():
            if weight.requires_grad:
                weight.add_(0.5)
    pairs = module.encode(batch)
    assert pairs.start is not None
    assert torch.equal(pairs.start, expected)
    assert not torch.equal(pairs.target.vectors, expected)


def test_how_often_a_cache_would_be_asked() -> None:
    def saved(*sizes: int, epochs: float, quota: int) -> float:
        return passes_saved([range(size) for size in sizes], epochs=epochs, quota=quota)  # type: ignore[misc]

    assert saved(1000, epochs=1, quota=1000) == pytest.approx(1.0)
    assert saved(1000, 500, epochs=3, quota=1000) == pytest.approx(6000 / 1500)
    assert saved(45, epochs=1, quota=100) == pytest.approx(100 / 45)
    # Ten steps of eight pairs of 9,800: whole blocks would be encoded for single sentences.
    assert saved(9800, 9800, epochs=80 / 9800, quota=9800) < 0.1
    # Three random twentieths of the text, nearly every block of which somebody is in.
    assert saved(10_000, epochs=3, quota=500) < 0.2
    assert saved(10_000, epochs=60, quota=500) > 2


@pytest.mark.parametrize(
    ("train", "kind"),
    [
        (TrainingSettings(steps=2), "a copy of"),
        (TrainingSettings(epochs=1), "a copy of"),
        (TrainingSettings(epochs=3), "a cache of"),
        (TrainingSettings(steps=30), "a cache of"),
        (TrainingSettings(epochs=3, steps=2), "a copy of"),
    ],
)
def test_visits_that_the_run_makes_decide(
    tiny_encoder: TorchEncoder, corpus: ParallelCorpus, train: TrainingSettings, kind: str
) -> None:
    heard = []

    class Listening(Silent):
        def note(self, message: str) -> None:
            heard.append(message)

    settings = Recipe(objective=CONFIG, batching=BatchingSettings(batch_size=4), training=train)
    build_model(tiny_encoder, [corpus], settings, observer=Listening())
    assert kind in heard[0]


def test_a_stopped_run_goes_on_to_the_same_bits_with_a_cache(tmp_path: Path, corpus: ParallelCorpus) -> None:
    settings = Recipe(
        objective=replace(CONFIG, anchor_reduction="mean"),
        batching=BatchingSettings(batch_size=4),
        training=TrainingSettings(epochs=3, lr=3e-2, save_every=7),
    )
    encoders = {name: make_tiny_encoder() for name in ("whole", "parts", "rest")}
    heard: list[str] = []

    class Listening(Silent):
        def note(self, message: str) -> None:
            heard.append(message)

    def run(name: str, folder: str, **options: object) -> int:
        (tmp_path / folder).mkdir(exist_ok=True)
        result = align_encoder(
            encoders[name],
            [corpus],
            [corpus],
            settings,
            folder=tmp_path / folder,
            observer=Listening(),
            **options,  # type: ignore[arg-type]
        )
        return result.step

    assert run("whole", "whole") == 30
    assert any("a cache of" in message for message in heard)
    stops = iter([False] * 12 + [True])
    assert run("parts", "parts", should_stop=lambda: next(stops)) == 13
    assert run("rest", "parts", resume=True) == 30
    weights = [encoders[name].model.state_dict() for name in ("whole", "rest")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_open_start_without_memory_for_a_cache_copies(
    tiny_encoder: TorchEncoder, corpus: ParallelCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(open_start(tiny_encoder, Encoding(), [corpus], saved=3.0), CachedStart)
    assert isinstance(open_start(tiny_encoder, Encoding(), [corpus], saved=1.0), CopiedStart)
    monkeypatch.setattr("otkit.training.frozen.CACHE_LIMIT_BYTES", 1000)
    assert isinstance(open_start(tiny_encoder, Encoding(), [corpus], saved=3.0), CopiedStart)
