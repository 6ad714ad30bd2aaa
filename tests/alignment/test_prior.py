"""The corpus as teacher: what is counted, what it holds against a link, and that it stays within its bounds."""

from __future__ import annotations

import gzip
import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from otkit.alignment import links
from otkit.alignment.aligner import SentencePair, WordAligner
from otkit.alignment.cluster import OpenAligner
from otkit.alignment.links import find_all
from otkit.alignment.prior import CorpusPrior, KnownWords, LinkCounts, sampled
from otkit.api.align import Aligner
from otkit.data.gold import read_gold
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError
from otkit.evaluation.metrics import ALIGNMENT_METRICS, alignment_table
from tests.conftest import make_tiny_encoder


def test_what_seldom_goes_together_is_held_against_a_link() -> None:
    counts = LinkCounts()
    for _ in range(40):
        counts.add(("Das", "haus"), ("the", "House"), [(0, 0, 0.8), (1, 1, 0.9)])
    counts.add(("x",), ("y",), [])
    prior = counts.prior()
    found = prior.between(("das", "HAUS", "new"), ("the", "house", "x"))
    never = ((0.5 / 41 + 0.02) / 0.5) ** (0.3 * 40 / 60)
    expected = [[1, never, 1], [never, 1, 1], [1, 1, 1]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert prior.pairs == 41
    once = ((0.5 / 2 + 0.02) / 0.5) ** (0.3 / 21)  # seen once says next to nothing
    np.testing.assert_allclose(prior.between(("x",), ("y",)), [[once]], rtol=1e-6)
    assert once > 0.99


def test_a_word_that_stands_twice_is_with_another_once_a_pair() -> None:
    counts = LinkCounts()
    for _ in range(10):
        counts.add(("the", "the"), ("die",), [(0, 0, 0.05), (1, 0, 0.1)])
    mean = (10 * 0.15 + 0.5) / 11
    expected = ((mean + 0.02) / 0.5) ** (0.3 * 10 / 30)
    np.testing.assert_allclose(counts.prior().between(("the",), ("die",)), [[expected]], rtol=1e-5)


def test_sides_without_words_and_texts_are_left_out() -> None:
    counts = LinkCounts()
    counts.add((), ("a",), [])
    counts.add(("a",), ("b",) * 129, [])
    prior = counts.prior()
    assert prior.pairs == 0
    np.testing.assert_array_equal(prior.between(("a",), ("b", "c")), np.ones((1, 2)))


def test_the_table_is_bounded_and_keeps_what_is_frequent() -> None:
    luck, counts, exact = random.Random(0), LinkCounts(most=500), LinkCounts()
    for _ in range(400):
        pair = ("the", *(f"s{luck.randrange(300)}" for _ in range(8))), ("die", f"t{luck.randrange(300)}")
        for each in (counts, exact):
            each.add(*pair, [(0, 0, 0.2)])
    bounded, whole = counts.prior(), exact.prior()
    assert len(bounded.keys) <= 500 < len(whole.keys)
    frequent = [prior.between(("the",), ("die",)) for prior in (bounded, whole)]
    np.testing.assert_allclose(*frequent, rtol=1e-6)
    assert frequent[0] < 1


def test_a_sample_is_the_same_every_time_in_order_and_of_the_whole() -> None:
    assert sampled(range(5), 10) == [0, 1, 2, 3, 4]
    kept = sampled(range(20_000), 2_000)
    assert kept == sampled(iter(range(20_000)), 2_000) == sorted(set(kept))
    assert len(kept) == 2_000
    assert abs(np.mean(kept) - 10_000) < 4 * 20_000 / (12 * 2_000) ** 0.5  # four standard errors


def _random_prior(words: int) -> CorpusPrior:
    counts = LinkCounts()
    luck = random.Random(1)
    for _ in range(200):
        sides = [tuple(f"w{luck.randrange(words)}" for _ in range(6)) for _ in range(2)]
        counts.add(sides[0], sides[1], [(0, 0, 0.9)])
    return counts.prior()


def test_batches_and_parts_are_cells_of_the_whole() -> None:
    prior = _random_prior(30)
    pairs = [
        (tuple(f"w{i}" for i in range(n)), tuple(f"w{i}" for i in range(m)))
        for n, m in ((5, 9), (0, 3), (7, 2))
    ]
    known = KnownWords(prior, pairs)
    batch = known.batch([2, 0, 1], 7, 9)
    assert batch.shape == (3, 7, 9)
    for place, pair in enumerate([2, 0, 1]):
        source, target = pairs[pair]
        whole = torch.from_numpy(prior.between(source, target))
        torch.testing.assert_close(batch[place, : len(source), : len(target)], whole)
        assert (batch[place, len(source) :] == 1).all()
        assert (batch[place, :, len(target) :] == 1).all()
    torch.testing.assert_close(
        known.part(0, slice(1, 4), slice(3, 9)), torch.from_numpy(prior.between(*pairs[0]))[None, 1:4, 3:9]
    )


@pytest.mark.parametrize("granularity", ["word", "subword"])
def test_a_link_that_all_is_held_against_goes_and_the_others_stay(
    granularity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same in one matrix and in blocks."""
    encoder = make_tiny_encoder()
    aligner = WordAligner(
        encoder, Aligner(encoder, granularity=granularity, threshold=0.05, rival_factor=1.0).settings
    )
    pair = ("das", "haus", "ist", "klein", "und", "alt"), ("the", "house", "is", "small", "and", "old")
    (before,) = aligner.align([pair])
    assert len(before.links) > 2
    gone = before.links[1]
    ids = [{word: place for place, word in enumerate(side)} for side in pair]
    key = (ids[0][pair[0][gone.source]] << 32) | ids[1][pair[1][gone.target]]
    none = np.array([key], dtype=np.int64), np.array([0], dtype=np.float32)
    aligner.prior = CorpusPrior(1, ids[0], ids[1], *none)
    (after,) = aligner.align([pair])
    assert after.pairs == before.pairs - {(gone.source, gone.target)}
    scores = {link[:2]: link.score for link in before.links}
    assert all(link.score == scores[link[:2]] for link in after.links)
    aligner.prior = None
    store = aligner._store(aligner._tokenised([pair]).tokens)
    monkeypatch.setattr(links, "MOST_CELLS", 30)
    with torch.inference_mode():
        free, held = (
            set(zip(*find_all(store, aligner.config, plans=False, known=known)[0].links[:2], strict=True))
            for known in (None, KnownWords(CorpusPrior(1, ids[0], ids[1], *none), [pair]))
        )
    assert (gone.source, gone.target) in free
    assert held == free - {(gone.source, gone.target)}


def test_an_extraction_counts_first_and_links_less(tmp_path: Path) -> None:
    luck, corpus, encoder = random.Random(2), tmp_path / "c.de-en.tsv", make_tiny_encoder()
    words = ["das", "haus", "ist", "klein", "the", "house", "small", "ein", "der", "12", "."]
    pairs = [tuple(tuple(luck.choices(words, k=luck.randint(1, 9))) for _ in range(2)) for _ in range(300)]
    corpus.write_text("".join("\t".join(map(" ".join, pair)) + "\n" for pair in pairs), encoding="utf-8")
    aligner, told = Aligner(encoder), list[tuple[int, int]]()
    plain = aligner.extract(corpus, output=tmp_path / "plain.align")
    done = aligner.extract(
        corpus, output=tmp_path / "prior.align", corpus_prior=True, on_counted=lambda *each: told.append(each)
    )
    assert plain.counted is None
    assert done.counted == done.lines == 300
    assert told[0] == (0, 300)
    assert told[-1] == (300, 300)
    inner = WordAligner(encoder)
    inner.prior = inner.count(pairs)  # type: ignore[arg-type]
    expected = [found.pharaoh for found in inner.align(pairs, plans=False)]  # type: ignore[arg-type]
    assert (tmp_path / "prior.align").read_text().splitlines() == expected
    free = (tmp_path / "plain.align").read_text().splitlines()
    assert free != expected
    assert all(set(held.split()) <= set(line.split()) for held, line in zip(expected, free, strict=True))
    # The next run of the same aligner knows nothing of it.
    aligner.extract(corpus, output=tmp_path / "again.align")
    assert (tmp_path / "again.align").read_bytes() == (tmp_path / "plain.align").read_bytes()


def test_a_worker_of_a_cluster_knows_it_too(tmp_path: Path) -> None:
    encoder = make_tiny_encoder()
    encoder.save(tmp_path / "tiny")
    words = ["das", "haus", "ist", "klein", "the", "house"]
    luck = random.Random(3)
    pairs: list[SentencePair | None] = [
        tuple(tuple(luck.choices(words, k=5)) for _ in range(2))  # type: ignore[misc]
        for _ in range(150)
    ]
    settings = Aligner(encoder, threshold=0.2).settings
    here = WordAligner(encoder, settings)
    free = here.align_window(pairs)
    here.prior = here.count([pair for pair in pairs if pair is not None])
    worker = OpenAligner(
        str(tmp_path / "tiny"),
        "cpu",
        torch.get_num_threads(),
        settings,
        here.batch_tokens,
        here.window,
        "fp32",
        prior=here.prior,
    )()
    lines = [
        [found.pharaoh for found in each if found is not None]
        for each in (worker(pairs), here.align_window(pairs), free)
    ]
    assert lines[0] == lines[1] != lines[2]


@pytest.mark.parametrize(
    ("settings", "beside", "said"),
    [
        ({"strategy": "mutual"}, {}, "strategy 'mutual' compares none"),
        ({}, {"documents": True}, "these are documents"),
        ({}, {"corpus": "-"}, "a stream can be read once"),
        ({}, {"corpus": "/dev/stdin"}, "a stream can be read once"),
    ],
)
def test_where_a_corpus_cannot_teach(
    settings: dict[str, str], beside: dict[str, object], said: str, tmp_path: Path
) -> None:
    aligner = Aligner(make_tiny_encoder(), **settings)
    with pytest.raises(ConfigError, match=said) as error:
        aligner.extract(**{"corpus": "x.tsv", "output": tmp_path / "o", "corpus_prior": True, **beside})  # type: ignore[arg-type]
    assert error.value.setting == "corpus_prior"
    assert not (tmp_path / "o").exists()


@pytest.mark.slow  # a minute of encoding
def test_a_thousand_sentences_make_links_better(benchmark_data: Path, sample_encoder: TorchEncoder) -> None:
    """Chosen on this set, among others; `benchmarks.corpus_prior` has those that it was not chosen on."""
    folder = benchmark_data / "word-alignment"
    gold = list(read_gold(folder / "xlwa-en-bg.dev.tsv.gz"))
    with gzip.open(folder / "xlwa-en-bg.train.tsv.gz", "rt", encoding="utf-8") as file:
        silver = [line.split("\t") for line in itertools.islice(file, 1_000)]
    text = [(pair.source, pair.target) for pair in gold]
    aligner = WordAligner(sample_encoder)

    def aer() -> float:
        found = [each.pairs for each in aligner.align(text, plans=False)]
        return float(ALIGNMENT_METRICS["aer"](alignment_table(found, gold).sum(axis=0)))

    before = aer()
    aligner.prior = aligner.count(
        [*text, *((tuple(line[0].split(" ")), tuple(line[1].split(" "))) for line in silver)]
    )
    assert aer() < before - 0.002
