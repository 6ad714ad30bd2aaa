"""The stream of alignments: order, independence of neighbours, any length, and real sentences."""

from __future__ import annotations

import json
import math
import random
import threading
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
import torch

from otkit.alignment import links
from otkit.alignment.aligner import Alignment, Link, WordAligner
from otkit.alignment.corpus import LINE_FORMATS, Line
from otkit.alignment.settings import AlignmentSettings
from otkit.alignment.store import encode_window, tokenise
from otkit.encoders.pooling import pool_words
from otkit.encoders.sentences import encode_words
from otkit.encoders.tokens import letters_of
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError
from otkit.resources import sample_data
from otkit.transport.phrases import weighted_shares
from tests.conftest import BENCHMARK_DATA

Pairs = list[tuple[tuple[str, ...], tuple[str, ...]]]
LETTERS = "das haus ist klein the house is small ein der die straße 12 3.5 , . ? kleines"
WORDS = LETTERS.split()
GERMAN = "Das ist ein kleines Haus , und wir haben gestern das neue Museum besucht ."
ENGLISH = "This is a small house , and we visited the new museum yesterday ."
# Without articles, and with fewer prepositions.
RUSSIAN = "После войны правительство построило новый завод на берегу реки ."
RIVER = "After the war the government built a new factory on the bank of the river ."
DATA = BENCHMARK_DATA / "word-alignment"


def real_pairs(count: int) -> Pairs:
    """Sentences of the sample data."""
    lines = (sample_data() / "parallel" / "de-en.train.tsv").read_text("utf-8").splitlines()[:count]
    sides = [line.split("\t") for line in lines]
    return [(tuple(source.split()), tuple(target.split())) for source, target in sides]


def joined(pairs: Pairs) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """All pairs as one text."""
    source, target = (
        tuple(word for sentence in side for word in sentence) for side in zip(*pairs, strict=True)
    )
    return source, target


def random_pairs(count: int, *, seed: int = 0, longest: int = 12) -> Pairs:
    rng = random.Random(seed)
    return [
        tuple(tuple(rng.choices(WORDS, k=rng.randint(1, longest))) for _ in range(2))  # type: ignore[misc]
        for _ in range(count)
    ]


def same(one: Alignment, other: Alignment) -> None:
    assert (one.source, one.target) == (other.source, other.target)
    assert one.pharaoh == other.pharaoh
    for side in ("source_no_partner", "target_no_partner"):
        left, right = getattr(one, side), getattr(other, side)
        assert (left is None) == (right is None)
        if left is not None:
            np.testing.assert_allclose(left, right, atol=1e-3)
    assert one.cost == pytest.approx(other.cost, abs=1e-4)


@pytest.mark.parametrize("granularity", ["word", "subword"])
def test_a_batch_is_its_pairs_in_order(tiny_encoder: TorchEncoder, granularity: str) -> None:
    pairs = random_pairs(60)
    config = AlignmentSettings(granularity=granularity)
    together = list(WordAligner(tiny_encoder, config, window=17, batch_tokens=200).align(pairs))
    single = WordAligner(tiny_encoder, config)
    assert [(each.source, each.target) for each in together] == pairs
    for pair, found in zip(pairs, together, strict=True):
        (alone,) = single.align([pair])
        same(found, alone)
        assert found.plan is not None
        assert alone.plan is not None
        np.testing.assert_allclose(found.plan, alone.plan, atol=1e-5)
        assert found.plan.shape == (len(pair[0]), len(pair[1]))


@pytest.mark.parametrize("strategy", ["threshold", "mutual", "match", "softmax"])
def test_links_are_sorted_in_range_and_scored(tiny_encoder: TorchEncoder, strategy: str) -> None:
    for found in WordAligner(tiny_encoder, AlignmentSettings(strategy=strategy)).align(
        random_pairs(40, seed=1)
    ):
        cells = [(link.source, link.target) for link in found.links]
        assert cells == sorted(set(cells))
        assert all(0 <= i < len(found.source) and 0 <= j < len(found.target) for i, j in cells)
        assert all(0 <= link.score <= 1 for link in found.links)
        assert ((found.source_no_partner >= 0) & (found.source_no_partner <= 1)).all()


def test_scores_are_shares_of_the_plan(sample_encoder: TorchEncoder) -> None:
    (found,) = WordAligner(sample_encoder).align(
        [(["Das", "ist", "ein", "kleines", "Haus", "."], ["This", "is", "a", "small", "house", "."])]
    )
    assert found.pharaoh == "0-0 1-1 2-2 3-3 4-4 5-5"
    plan = found.plan
    assert plan is not None
    for i, j, score in found.links:
        assert score == pytest.approx(math.sqrt(plan[i, j] ** 2 / plan[i].sum() / plan[:, j].sum()), abs=1e-5)


def test_swapping_the_sides_swaps_the_links(sample_encoder: TorchEncoder) -> None:
    pair = ("Wir haben gestern das neue Museum besucht .", "We visited the new museum yesterday .")
    source, target = (side.split() for side in pair)
    (one,) = WordAligner(sample_encoder).align([(source, target)])
    (other,) = WordAligner(sample_encoder).align([(target, source)])
    assert one.pairs == {(j, i) for i, j in other.pairs}


def test_empty_sides_and_missing_lines_keep_their_place(tiny_encoder: TorchEncoder) -> None:
    aligner = WordAligner(tiny_encoder)
    lines = [None, ((), ("the",)), (("das",), ("the",)), ((), ()), None, (("das",), ())]
    (window,) = aligner.align_windows(lines)
    assert [found is None for found in window] == [line is None for line in lines]
    empty = window[1]
    assert empty is not None
    assert (empty.pharaoh, empty.source_no_partner.shape, empty.target_no_partner.shape) == ("", (0,), (1,))
    assert math.isnan(empty.cost)
    assert window[2] is not None
    assert window[2].pharaoh == "0-0"
    assert list(aligner.align([])) == []


def test_strange_words_do_no_harm(tiny_encoder: TorchEncoder) -> None:
    odd = ("\u200b", "</s>", "[SEP]", "\udcff", "x" * 500, "🏳️‍🌈")
    for found in WordAligner(tiny_encoder).align([(odd, odd), (odd, ("the",))]):
        assert len(found.source_no_partner) == len(found.source)


def test_memory_and_order_of_windows(tiny_encoder: TorchEncoder) -> None:
    """Input is read at most two windows ahead, on another thread."""
    read: list[int] = []
    threads: set[int] = set()

    def lines() -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
        for number, pair in enumerate(random_pairs(50)):
            read.append(number)
            threads.add(threading.get_ident())
            yield pair

    done = 0
    for window in WordAligner(tiny_encoder, window=10).align_windows(lines()):
        done += len(window)
        assert len(read) <= done + 20
    assert done == 50
    assert threading.get_ident() not in threads


def test_an_error_while_reading_arrives(tiny_encoder: TorchEncoder) -> None:
    def lines() -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
        yield ("das",), ("the",)
        raise ConfigError("the reader gave up")

    with pytest.raises(ConfigError, match="gave up"):
        list(WordAligner(tiny_encoder, window=1).align(lines()))


def test_the_stream_leaves_gradients_alone(tiny_encoder: TorchEncoder) -> None:
    stream = WordAligner(tiny_encoder, window=1).align(random_pairs(3))
    next(stream)
    assert not torch.is_inference_mode_enabled()
    assert torch.ones(1, requires_grad=True).sum().requires_grad


@pytest.mark.parametrize("space", ["center", "zscore"])
def test_a_space_is_measured_on_the_first_window_and_stays(tiny_encoder: TorchEncoder, space: str) -> None:
    pairs, config = random_pairs(30), AlignmentSettings(space=space, center="none")
    aligner = WordAligner(tiny_encoder, config, window=20)
    found = list(aligner.align(pairs))
    assert aligner.spaces is not None
    again = WordAligner(tiny_encoder, config, window=20)
    again.spaces = aligner.spaces
    for one, other in zip(found[20:], again.align(pairs[20:]), strict=True):
        same(one, other)
    alone = WordAligner(tiny_encoder, config, window=20)
    list(alone.align(pairs[:20]))
    assert alone.spaces is not None
    torch.testing.assert_close(alone.spaces[0].mean, aligner.spaces[0].mean)
    # By hand: all words of the first side together.
    with torch.inference_mode():
        sides = [
            encode_words(tiny_encoder, [pair[0]], layers=[1])[0].vectors[0].double()
            for pair in pairs[:20]
            if pair[0]
        ]
    words = torch.cat(sides)
    torch.testing.assert_close(aligner.spaces[0].mean, words.mean(0), rtol=1e-5, atol=1e-6)
    scale = words.std(0, correction=0) if space == "zscore" else torch.ones(words.shape[1]).double()
    torch.testing.assert_close(aligner.spaces[0].scale, scale, rtol=1e-4, atol=1e-6)


def test_a_space_may_be_measured_on_other_text(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    text = tmp_path / "de-en.tsv"
    text.write_text("das haus\tthe house\nein haus ist klein\ta house is small\n", encoding="utf-8")
    given = WordAligner(tiny_encoder, AlignmentSettings(space="zscore", space_text=str(text)))
    found = list(given.align(random_pairs(3)))
    own = WordAligner(tiny_encoder, AlignmentSettings(space="zscore"))
    own_pairs = [tuple(side.split() for side in line.split("\t")) for line in text.read_text().splitlines()]
    list(own.align(own_pairs))  # type: ignore[arg-type]
    assert given.spaces is not None
    assert own.spaces is not None
    torch.testing.assert_close(given.spaces[1].scale, own.spaces[1].scale)
    for one, other in zip(found, own.align(random_pairs(3)), strict=True):
        same(one, other)
    with pytest.raises(ConfigError, match="space is none; set space too"):
        AlignmentSettings(space_text="x.tsv")


def test_words_past_the_encoders_limit_are_aligned(sample_encoder: TorchEncoder) -> None:
    pairs = real_pairs(45)
    source, other = joined(pairs)
    assert len(source) > 600
    (found,) = WordAligner(sample_encoder).align([(source, other)], plans=False)
    linked = {link.source for link in found.links}
    late = [i for i in range(len(source) - 300, len(source)) if i in linked]
    assert len(late) > 200
    # The full stop at the end of each sentence is itself in the other language.
    ends = [list(accumulate(map(len, side))) for side in zip(*pairs, strict=True)]
    right = sum((i - 1, j - 1) in found.pairs for i, j in zip(*ends, strict=True))
    assert right >= 0.8 * len(pairs)


@pytest.mark.parametrize(
    "settings",
    [{}, {"transport": "none"}, {"granularity": "subword"}],
    ids=["words", "similarity", "subwords"],
)
def test_pairs_that_all_have_an_empty_side(tiny_encoder: TorchEncoder, settings: dict[str, str]) -> None:
    aligner = WordAligner(tiny_encoder, AlignmentSettings().changed(**settings))
    pairs = [(("das", "haus"), ()), ((), ()), ((), ("house",))]
    for some in (pairs[:1], pairs[1:2], pairs):
        for found, (source, target) in zip(aligner.align(some), some, strict=True):
            assert (found.links, found.plan.shape) == ((), (len(source), len(target)))
            if settings.get("transport") == "none":
                assert found.source_no_partner is found.target_no_partner is None
                continue
            assert found.source_no_partner.tolist() == [1.0] * len(source)
            assert found.target_no_partner.tolist() == [1.0] * len(target)


def test_blocks_find_what_the_whole_finds(
    sample_encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = [joined(real_pairs(10))]
    (whole,) = WordAligner(sample_encoder).align(pair, plans=False)
    monkeypatch.setattr(links, "MOST_CELLS", 4000)
    (cut,) = WordAligner(sample_encoder).align(pair, plans=False)
    assert len(whole.pairs & cut.pairs) >= 0.95 * len(whole.pairs | cut.pairs)
    assert cut.source_no_partner.shape == whole.source_no_partner.shape
    np.testing.assert_allclose(cut.cost, whole.cost, atol=0.1)


def test_layers_are_the_encoders_or_ours(tiny_encoder: TorchEncoder) -> None:
    assert WordAligner(tiny_encoder).layers == (1,)
    assert WordAligner(tiny_encoder, AlignmentSettings(layers=(-1, 0))).layers == (2, 0)
    with pytest.raises(ConfigError, match="no layer 7"):
        WordAligner(tiny_encoder, AlignmentSettings(layers=(7,)))


def test_lines_of_each_format() -> None:
    found = Alignment(
        source=("das", "Haus", "da"),
        target=("the", "house"),
        links=(Link(0, 0, 0.98765), Link(1, 1, 0.5)),
        plan=None,
        source_no_partner=np.array([0.1, 0.2, 1.0], dtype=np.float32),
        target_no_partner=np.array([0.0, 0.0], dtype=np.float32),
        cost=0.25,
    )
    line = Line(7, found)
    assert LINE_FORMATS["pharaoh"](line, False) == "0-0 1-1"
    assert LINE_FORMATS["pharaoh"](line, True) == "0-0:0.9877 1-1:0.5000"
    assert LINE_FORMATS["words"](line, False) == "das the\tHaus house"
    assert LINE_FORMATS["words"](line, True) == "das the 0.9877\tHaus house 0.5000"
    document = json.loads(LINE_FORMATS["jsonl"](line, True))
    assert document == {
        "line": 7,
        "source": ["das", "Haus", "da"],
        "target": ["the", "house"],
        "links": [[0, 0, 0.9877], [1, 1, 0.5]],
        "source_no_partner": [0.1, 0.2, 1.0],
        "target_no_partner": [0.0, 0.0],
        "cost": 0.25,
    }
    assert json.loads(LINE_FORMATS["jsonl"](line, False))["links"] == [[0, 0], [1, 1]]


@pytest.mark.skipif(not DATA.is_dir(), reason="the benchmark data is not here")
def test_the_default_beats_mutual_argmax(sample_encoder: TorchEncoder) -> None:
    from otkit.data.gold import read_gold
    from otkit.evaluation.word_alignment import evaluate_word_alignment

    sets = {"et": read_gold(DATA / "xlwa-en-et.dev.tsv.gz")[:30]}
    ours = evaluate_word_alignment(sample_encoder, sets).mean()
    plain = AlignmentSettings(transport="none", strategy="mutual", center="none")
    assert ours < evaluate_word_alignment(sample_encoder, sets, config=plain).mean() - 0.03


def test_half_precision_changes_next_to_nothing(sample_encoder: TorchEncoder) -> None:
    pair = [(tuple(GERMAN.split()), tuple(ENGLISH.split()))]
    (full,) = WordAligner(sample_encoder).align(pair)
    (half,) = WordAligner(sample_encoder.in_precision("bf16")).align(pair)
    assert full.plan is not None
    assert half.plan is not None
    assert half.plan.dtype == np.float32
    np.testing.assert_allclose(half.plan, full.plan, atol=5e-3)
    assert half.pairs == full.pairs


def test_joint_encoding_is_one_text_cut_in_two(tiny_encoder: TorchEncoder) -> None:
    pairs = [
        (["das", "haus", "ist", "klein"], ["the", "house", "is", "small"]),
        (["ein"], []),
        (["x"] * 9, ["y", "z"]),
    ]
    sentences = [side for pair in pairs for side in pair]
    options = {"layers": [1, 2], "unit": "word", "word_vector": "mean", "batch_tokens": 64}
    with torch.inference_mode():
        store = encode_window(tiny_encoder, tokenise(tiny_encoder, sentences, joint=True), **options)  # type: ignore[arg-type]
        assert store.counts.tolist() == [len(side) for side in sentences]
        for index, (source, target) in enumerate(pairs):
            tokens = tiny_encoder.subwords.join([source], [target])
            states = tiny_encoder.hidden_states(tokens, layers=[1, 2])
            whole = torch.stack([pool_words(x, tokens, word_vector="mean").vectors[0] for x in states]).mean(
                0
            )
            for side, expected in ((0, whole[: len(source)]), (1, whole[len(source) :])):
                found = store.gather(torch.tensor([2 * index + side]))
                torch.testing.assert_close(found.vectors[found.mask], expected, atol=1e-5, rtol=1e-4)
                assert found.word_ids[found.mask].tolist() == list(range(len(expected)))


def test_joint_encoding_aligns_lines_of_any_kind(tiny_encoder: TorchEncoder) -> None:
    aligner = WordAligner(tiny_encoder, AlignmentSettings(encoding="joint", length_power=0.0))
    lines = [(["a"], ["b"]), (["c"] * 300, ["d"] * 200), (["e"] * 4000, ["f"] * 3), ([], ["g"])]
    found = list(aligner.align(lines, plans=False))
    assert [(each.source, each.target) for each in found] == [(tuple(a), tuple(b)) for a, b in lines]
    assert found[0].pairs == {(0, 0)}
    assert found[2].source_no_partner.shape == (4000,)
    (alone,) = aligner.align(lines[:1], plans=False)
    assert alone.pairs == found[0].pairs


@pytest.mark.parametrize("granularity", ["word", "subword"])
@pytest.mark.parametrize("encoding", ["separate", "joint"])
def test_lengths_weigh_the_shares_that_the_threshold_sees(
    sample_encoder: TorchEncoder, granularity: str, encoding: str
) -> None:
    pair = (tuple(RUSSIAN.split()), tuple(RIVER.split()))
    settings = {"granularity": granularity, "encoding": encoding, "threshold": 0.3, "rival_factor": 1.0}
    every = AlignmentSettings(**{**settings, "threshold": 0.01})  # type: ignore[arg-type]
    config = AlignmentSettings(**settings, length_power=0.5, attach_factor=3.0)  # type: ignore[arg-type]
    lines = [pair, ((), ()), (("a",), ("b",)), pair]
    (plain, *_) = WordAligner(sample_encoder, every).align(lines)
    first, _, _, last = WordAligner(sample_encoder, config).align(lines)
    assert first.pairs == last.pairs
    share = torch.zeros(1, len(pair[0]), len(pair[1]))
    for i, j, score in plain.links:
        share[0, i, j] = score
    letters = [torch.tensor([[letters_of(word) for word in side]]) for side in pair]
    weighed = weighted_shares(share, *letters, power=0.5, attach_factor=3.0, threshold=0.3)[0]
    assert first.pairs == {(i, j) for i, j in (weighed > 0.3).nonzero().tolist()}
    assert first.pairs != {(i, j) for i, j in (share[0] > 0.3).nonzero().tolist()}


def test_lengths_weigh_in_the_blocks_of_long_pairs_too(
    sample_encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = (tuple(RUSSIAN.split() * 3), tuple(RIVER.split() * 3))
    plain, weighed = AlignmentSettings(), AlignmentSettings(length_power=0.5, attach_factor=3.0)
    whole = [next(WordAligner(sample_encoder, config).align([pair])).pairs for config in (plain, weighed)]
    monkeypatch.setattr(links, "MOST_CELLS", 900)
    parts = [next(WordAligner(sample_encoder, config).align([pair])).pairs for config in (plain, weighed)]
    assert whole[0] != whole[1]
    assert parts[0] != parts[1]
    assert len(parts[1] & whole[1]) > 0.8 * len(parts[1] | whole[1])


@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="needs the benchmark data")
def test_weighed_lengths_the_default_lower_the_error_rate(sample_encoder: TorchEncoder) -> None:
    from otkit.data.gold import read_gold
    from otkit.evaluation.word_alignment import evaluate_word_alignment

    sets = {code: read_gold(DATA / f"xlwa-en-{code}.dev.tsv.gz")[:40] for code in ("da", "sl")}
    plain = AlignmentSettings(length_power=0.0, attach_factor=1.0)
    without = evaluate_word_alignment(sample_encoder, sets, config=plain).mean()
    assert evaluate_word_alignment(sample_encoder, sets).mean() < without - 0.015


def test_settings_of_lengths_are_checked() -> None:
    for wrong in ({"length_power": -1.0}, {"attach_factor": -0.5}, {"length_power": math.inf}):
        with pytest.raises(ConfigError, match="give a number of at least 0"):
            AlignmentSettings(**wrong)
