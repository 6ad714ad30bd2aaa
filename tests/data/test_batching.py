"""Batches: the right pairs, in a repeatable order, from any start, with little padding."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch

from otkit.data.batching import PairBatch, PairSource, padding_share
from otkit.data.parallel import open_corpus
from otkit.data.settings import BatchingSettings
from otkit.data.views import CorpusView, PairCorpus, english_last, hold_out
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, InputError


def corpus(folder: Path, name: str, count: int, *, first: int = 1) -> PairCorpus:
    lines = [
        f"{'das ' * (number % 7 + 1)}{number}\t{'the ' * (number % 5 + 1)}{number}"
        for number in range(first, first + count)
    ]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return open_corpus(folder / name)


def members(source: PairSource, start: int, stop: int) -> list[list[tuple[int, ...]]]:
    return [[batch.indices for batch in parts] for parts in source.micro_steps(start, stop)]


def equal(left: PairBatch, right: PairBatch) -> bool:
    return left.indices == right.indices and torch.equal(left.source.ids, right.source.ids)


def test_a_step_holds_every_language_pair_and_small_corpora_come_round_again(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    corpora = [corpus(tmp_path, "de-en.tsv", 40), corpus(tmp_path, "fr-en.tsv", 10)]
    source = PairSource(corpora, tiny_encoder, BatchingSettings(batch_size=4, window=3))
    assert source.micro_steps_per_epoch == 10
    seen: list[Counter[int]] = [Counter(), Counter()]
    for parts in source.micro_steps(0, 10):
        assert [batch.language for batch in parts] == ["de", "fr"]
        for batch in parts:
            assert len(batch.indices) == 4
            seen[batch.corpus].update(batch.indices)
    assert seen[0] == Counter(range(40))  # once each
    assert seen[1] == Counter(dict.fromkeys(range(10), 4))  # upsampled evenly


def test_a_quota_below_the_corpus_takes_other_pairs_in_the_next_epoch(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    source = PairSource(
        [corpus(tmp_path, "de-en.tsv", 100)],
        tiny_encoder,
        BatchingSettings(batch_size=5, pairs_per_language=20),
    )
    epochs = [
        {i for parts in members(source, 4 * e, 4 * e + 4) for part in parts for i in part} for e in range(2)
    ]
    assert [len(epoch) for epoch in epochs] == [20, 20]
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("start", [0, 1, 4, 5, 9, 10, 17])
def test_a_run_can_start_anywhere(tmp_path: Path, tiny_encoder: TorchEncoder, start: int) -> None:
    corpora = [corpus(tmp_path, "de-en.tsv", 37), corpus(tmp_path, "fr-en.tsv", 11)]

    def fresh() -> PairSource:
        return PairSource(
            corpora, tiny_encoder, BatchingSettings(batch_size=4, window=3, batch_tokens=40), seed=5
        )

    whole = list(fresh().micro_steps(0, 20))[start:]
    rest = list(fresh().micro_steps(start, 20))
    assert len(whole) == len(rest)
    assert all(
        equal(a, b) for left, right in zip(whole, rest, strict=True) for a, b in zip(left, right, strict=True)
    )


@pytest.mark.parametrize(("start", "stride"), [(0, 2), (3, 2), (5, 3), (1, 7), (2, 25)])
def test_processes_share_the_micro_steps_out(
    tmp_path: Path, tiny_encoder: TorchEncoder, start: int, stride: int
) -> None:
    corpora = [corpus(tmp_path, "de-en.tsv", 37), corpus(tmp_path, "fr-en.tsv", 11)]

    def fresh() -> PairSource:
        return PairSource(
            corpora, tiny_encoder, BatchingSettings(batch_size=4, window=3, batch_tokens=40), seed=5
        )

    whole = list(fresh().micro_steps(0, 32))[start:]
    for process in range(min(stride, 3)):
        source = fresh()
        own = list(source.micro_steps(start + process, 32, stride))
        assert len(own) == len(whole[process::stride])
        for left, right in zip(own, whole[process::stride], strict=True):
            assert all(equal(a, b) for a, b in zip(left, right, strict=True))
        # Nothing of the others' was made.
        assert source.filled == sum(
            int(side.attention.sum()) for b in sum(own, ()) for side in (b.source, b.target)
        )


def test_another_seed_is_another_order(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    text = corpus(tmp_path, "de-en.tsv", 30)
    orders = [
        members(PairSource([text], tiny_encoder, BatchingSettings(batch_size=4), seed=seed), 0, 8)
        for seed in (0, 1, 0)
    ]
    assert orders[0] == orders[2] != orders[1]


def test_a_token_budget_splits_a_step_and_the_shares_add_up(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    text = corpus(tmp_path, "de-en.tsv", 48)
    whole = PairSource([text], tiny_encoder, BatchingSettings(batch_size=12))
    split = PairSource([text], tiny_encoder, BatchingSettings(batch_size=12, batch_tokens=30))
    for one, many in zip(whole.micro_steps(0, 4), split.micro_steps(0, 4), strict=True):
        assert len(many) > len(one) == 1
        assert sum(batch.batch_fraction for batch in many) == pytest.approx(1)
        assert sorted(i for batch in many for i in batch.indices) == sorted(one[0].indices)
        for batch in many:
            widest = max(batch.source.ids.shape[1], batch.target.ids.shape[1])
            assert len(batch.indices) == 1 or widest * len(batch.indices) <= 30
            assert batch.target_units == one[0].target_units
    assert one[0].target_units[0] == sum(one[0].target.counts)


def test_one_long_sentence_does_not_make_a_whole_batch_as_long(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    usual = "das haus ist klein\tthe house is small"
    path = tmp_path / "de-en.tsv"
    path.write_text("\n".join([*[usual] * 3, "das " * 50 + "\tthe house"]), encoding="utf-8")
    tight = BatchingSettings(batch_size=4, batch_tokens=96)
    for config, pieces in ((BatchingSettings(batch_size=4), 1), (tight, 2)):
        found = [
            len(parts) for parts in PairSource([open_corpus(path)], tiny_encoder, config).micro_steps(0, 1)
        ]
        assert found == [pieces]
    assert BatchingSettings(batch_size=24).budget == 24 * 96
    assert BatchingSettings(batch_tokens=None).budget is None
    assert tight.budget == 96


def test_sorting_by_length_saves_padding(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    text = corpus(tmp_path, "de-en.tsv", 600)
    shares = []
    for window in (1, 50):
        source = PairSource([text], tiny_encoder, BatchingSettings(batch_size=12, window=window))
        list(source.micro_steps(0, 50))
        shares.append(padding_share(source))
    assert shares[1] < 0.6 * shares[0]


def test_a_sentence_too_long_for_the_encoder_names_its_line(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    path = tmp_path / "de-en.tsv"
    path.write_text("das haus\tthe house\n" + "das " * 80 + "\tthe house\nein\ta\n", encoding="utf-8")
    text = open_corpus(path)
    with pytest.raises(InputError, match=r"de-en\.tsv:2: .*82 subword tokens .* takes 64.*`on_error='skip'`"):
        list(PairSource([text], tiny_encoder, BatchingSettings(batch_size=2)).micro_steps(0, 2))
    source = PairSource([text], tiny_encoder, BatchingSettings(batch_size=2, on_error="skip"))
    assert sorted(i for parts in members(source, 0, 2) for part in parts for i in part) == [0, 2]
    assert source.too_long == 1
    # No batch is empty, however few pairs are left: processes wait for one another at each.
    alone = PairSource([text], tiny_encoder, BatchingSettings(batch_size=1, on_error="skip"))
    batches = [part for parts in members(alone, 0, 3) for part in parts]
    assert [len(part) for part in batches] == [1, 1, 1]
    assert {i for part in batches for i in part} == {0, 2}


def test_english_becomes_the_target_and_held_out_pairs_leave_training(tmp_path: Path) -> None:
    text = corpus(tmp_path, "en-de.tsv", 100)
    turned = english_last(text)
    assert turned.languages == ("de", "en")
    assert (turned[3].source, turned[3].target) == (text[3].target, text[3].source)
    assert english_last(turned) is turned
    (train,), (dev,) = hold_out([turned], seed=1)
    assert (len(train), len(dev)) == (95, 5)
    lines = [{part[index].line for index in range(len(part))} for part in (train, dev)]
    assert not lines[0] & lines[1]
    assert isinstance(train, CorpusView)


def test_held_out_text_of_many_languages_has_a_bound(tmp_path: Path) -> None:
    """To measure thirteen languages before and after took as long as to train on them."""
    large, small = corpus(tmp_path, "en-de.tsv", 6000), corpus(tmp_path, "en-fr.tsv", 10)
    for count, most in ((1, 200), (5, 200), (13, 76), (2000, 1)):
        trained, held = hold_out([large] * count, seed=1)
        assert {len(part) for part in held} == {most}
        assert {len(part) for part in trained} == {6000 - most}
    assert [len(part) for part in hold_out([large, small], seed=1)[1]] == [200, 1]


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="batch_size is 0"):
        BatchingSettings(batch_size=0)
