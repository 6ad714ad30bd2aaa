"""Hallucination and omission: known words, swapped sides, one-sided plans of the slow solver, strange input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from otkit.alignment import checking
from otkit.alignment.checking import Checked, TranslationChecker
from otkit.alignment.settings import CheckSettings
from otkit.alignment.store import UnitStore
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError
from otkit.transport.config import SinkhornConfig
from otkit.transport.cost import pairwise_cost
from tests.transport.partial import one_sided

SHORT = (("Das", "Haus", "ist", "alt", "."), ("The", "house", "is", "old", "."))
LONG = (
    ("Das", "Haus", "ist", "alt", ",", "und", "der", "Garten", "ist", "voller", "Apfelbäume", "."),
    ("The", "house", "is", "old", ",", "and", "the", "garden", "is", "full", "of", "apple", "trees", "."),
)
BOTH = CheckSettings(hallucination_null=0.3, omission_null=0.3)


def by_hand(source: list[list[float]], target: list[list[float]]) -> UnitStore:
    """One pair of given word vectors."""
    vectors = torch.tensor([*source, *target])
    counts = torch.tensor([len(source), len(target)])
    words = torch.cat([torch.arange(len(source)), torch.arange(len(target))])
    return UnitStore(vectors, words, torch.tensor([0, len(source)]), counts, torch.ones_like(words))


def checker_at(encoder: TorchEncoder, price: float, **settings: object) -> TranslationChecker:
    """A checker whose null costs `price`, whatever the share asked for."""
    checker = TranslationChecker(encoder, CheckSettings(epsilon=0.02, **settings))  # type: ignore[arg-type]
    checker._measured.append(np.full(3, price, dtype=np.float32))
    return checker


def test_known_answers_by_hand(tiny_encoder: TorchEncoder) -> None:
    """Orthogonal words: what has no copy on the other side is unaccounted for, and so is the surplus copy."""
    a, b, c = np.eye(3).tolist()
    checker = checker_at(tiny_encoder, 0.5)
    ((lost, made_up),) = checker.check_store(by_hand([a, b, c], [a, b]))
    np.testing.assert_allclose(lost, [0, 0, 1], atol=1e-3)
    np.testing.assert_allclose(made_up, [0, 0], atol=1e-3)
    ((lost, made_up),) = checker.check_store(by_hand([a], [a, a]))
    np.testing.assert_allclose(lost, [0], atol=1e-3)
    np.testing.assert_allclose(made_up, [0.5, 0.5], atol=1e-3)
    # With a mass of 1 for each side both copies fit into the one source word.
    ((_, made_up),) = checker_at(tiny_encoder, 0.5, mass="sentence").check_store(by_hand([a], [a, a]))
    np.testing.assert_allclose(made_up, [0, 0], atol=1e-3)


def test_scores_are_those_of_the_exact_one_sided_plan(tiny_encoder: TorchEncoder) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(7, 5), torch.randn(5, 5)
    checker = checker_at(tiny_encoder, 0.6)
    checker.config = CheckSettings(epsilon=0.1)
    ((lost, made_up),) = checker.check_store(by_hand(x.tolist(), y.tolist()))
    cost = pairwise_cost(x[None], y[None], cost="cosine")
    config = SinkhornConfig(epsilon=0.06, tolerance=1e-9, max_iterations=20_000)
    for scores, matrix in ((lost, cost), (made_up, cost.transpose(1, 2))):
        n, m = matrix.shape[1:]
        plan = one_sided(
            matrix, torch.ones(1, n), torch.ones(1, m), null_cost=0.6, null_weight=float(n), config=config
        )
        np.testing.assert_allclose(scores, plan.null[0].numpy(), atol=2e-3)


def test_a_dropped_and_an_inserted_clause_get_the_highest_scores(sample_encoder: TorchEncoder) -> None:
    checker = TranslationChecker(sample_encoder)
    dropped, inserted, whole = checker.check([(LONG[0], SHORT[1]), (SHORT[0], LONG[1]), SHORT])
    words = dict(zip(dropped.source, dropped.source_scores, strict=True))
    assert min(words[word] for word in ("Garten", "voller", "Apfelbäume")) > 0.9
    assert max(words[word] for word in ("Haus", "alt")) < 0.1
    assert dropped.omission > 0.4
    assert dropped.hallucination < 0.1
    words = dict(zip(inserted.target, inserted.target_scores, strict=True))
    assert min(words[word] for word in ("garden", "full", "apple", "trees")) > 0.9
    assert max(words[word] for word in ("house", "old")) < 0.1
    assert inserted.hallucination > 0.4
    assert inserted.omission < 0.1
    assert whole.hallucination < 0.1
    assert whole.omission < 0.1


def test_swapping_the_sides_swaps_the_errors(sample_encoder: TorchEncoder) -> None:
    checker = TranslationChecker(sample_encoder, BOTH)
    one, other = checker.check([(LONG[0], SHORT[1]), (SHORT[1], LONG[0])])
    np.testing.assert_allclose(one.source_scores, other.target_scores, atol=1e-5)
    np.testing.assert_allclose(one.target_scores, other.source_scores, atol=1e-5)
    assert one.omission == pytest.approx(other.hallucination, abs=1e-5)


def test_a_pair_does_not_depend_on_its_neighbours(tiny_encoder: TorchEncoder) -> None:
    pairs = [LONG, SHORT, (LONG[0], SHORT[1]), ((), SHORT[1]), ((), ()), (SHORT[0] * 9, LONG[1])]
    together = list(TranslationChecker(tiny_encoder, BOTH, window=4).check(pairs))
    single = TranslationChecker(tiny_encoder, BOTH)
    assert [(each.source, each.target) for each in together] == pairs
    for pair, found in zip(pairs, together, strict=True):
        (alone,) = single.check([pair])
        np.testing.assert_allclose(found.source_scores, alone.source_scores, atol=1e-4)
        np.testing.assert_allclose(found.target_scores, alone.target_scores, atol=1e-4)
        assert ((found.target_scores >= 0) & (found.target_scores <= 1)).all()


def test_an_empty_side(tiny_encoder: TorchEncoder) -> None:
    nothing, half = TranslationChecker(tiny_encoder, BOTH).check([((), ()), ((), SHORT[1])])
    assert (nothing.hallucination, nothing.omission) == (0.0, 0.0)
    assert (half.hallucination, half.omission) == (1.0, 0.0)


@pytest.mark.parametrize("rule", ["mean", "median", "middle", "equidistant", "larger"])
def test_every_rule_of_the_null_gives_shares(tiny_encoder: TorchEncoder, rule: str) -> None:
    for mass in ("word", "sentence"):
        config = CheckSettings(hallucination_null=rule, omission_null=rule, mass=mass)
        for found in TranslationChecker(tiny_encoder, config).check([LONG, SHORT]):
            assert np.isfinite(found.target_scores).all()
            assert 0 <= found.hallucination <= 1


@pytest.mark.slow
def test_a_long_pair_is_checked_in_blocks(
    sample_encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = [(LONG[0] * 6, LONG[1] * 6)]
    (whole,) = TranslationChecker(sample_encoder).check(long)
    monkeypatch.setattr(checking, "MOST_CELLS", 2000)
    (cut,) = TranslationChecker(sample_encoder).check(long)
    assert cut.source_scores.shape == whole.source_scores.shape
    assert cut.omission == pytest.approx(whole.omission, abs=0.1)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(
        ConfigError, match=r"omission_null is 1.5; give one of mean, median, .* above 0 and below 1"
    ):
        CheckSettings(omission_null=1.5)
    with pytest.raises(ConfigError, match="did you mean 'median'"):
        CheckSettings(hallucination_null="medain")
    with pytest.raises(ConfigError, match="choose from: word, sentence"):
        CheckSettings(mass="token")
    assert Checked((), (), np.zeros(0, np.float32), np.zeros(0, np.float32)).omission == 0.0
