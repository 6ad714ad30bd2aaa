"""Scores of word links: by hand, from the command of the field, by layer, tuned, against a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest

from otkit.alignment.aligner import WordAligner
from otkit.alignment.settings import AlignmentSettings
from otkit.data.gold import GoldPair
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, InputError
from otkit.evaluation.protocol import CellStore, run_cells
from otkit.evaluation.summary import summarise
from otkit.evaluation.word_alignment import (
    WORD_ALIGNMENT_METRICS,
    aer_by_layer,
    evaluate_word_alignment,
    tune_word_alignment,
    word_alignment_task,
)
from otkit.recipes import read_recipe, recipe_text
from otkit.resources import sample_data

Cells = set[tuple[int, int]]


def gold(source: str, target: str, sure: Cells, possible: Cells = frozenset()) -> GoldPair:  # type: ignore[assignment]
    return GoldPair(
        tuple(source.split()), tuple(target.split()), frozenset(sure), frozenset(sure) | frozenset(possible)
    )


PAIRS = [
    gold("das haus ist klein", "the house is small", {(0, 0), (1, 1), (2, 2), (3, 3)}),
    gold("ein kleines haus", "a small house", {(2, 2)}, {(0, 0), (1, 1)}),
    gold("das ist ein haus .", "the house", {(3, 1)}, {(0, 0)}),
]


def test_figures_are_those_of_the_links(tiny_encoder: TorchEncoder) -> None:
    scores = evaluate_word_alignment(tiny_encoder, {"de": PAIRS})
    found = [each.pairs for each in WordAligner(tiny_encoder).align([(p.source, p.target) for p in PAIRS])]
    a = sum(map(len, found))
    s = sum(len(pair.sure) for pair in PAIRS)
    a_and_s = sum(len(links & pair.sure) for links, pair in zip(found, PAIRS, strict=True))
    a_and_p = sum(len(links & pair.possible) for links, pair in zip(found, PAIRS, strict=True))
    assert scores.value("de") == pytest.approx(1 - (a_and_s + a_and_p) / (a + s), abs=1e-12)
    assert scores.value("de", "precision") == pytest.approx(a_and_p / a, abs=1e-12)
    assert scores.value("de", "recall") == pytest.approx(a_and_s / s, abs=1e-12)
    assert scores.mean() == scores.value("de")
    interval = scores.interval("de")
    assert interval.low <= interval.value <= interval.high
    with pytest.raises(ConfigError, match="did you mean 'precision'"):
        scores.value("de", "precison")


def test_a_baseline_is_compared_pair_by_pair(tiny_encoder: TorchEncoder) -> None:
    ours = evaluate_word_alignment(tiny_encoder, {"de": PAIRS})
    theirs = evaluate_word_alignment(tiny_encoder, {"de": PAIRS}, config=AlignmentSettings(layers=(0,)))
    found = ours.against(theirs, "de")
    assert found.difference.value == pytest.approx(ours.value("de") - theirs.value("de"))
    assert ours.against(ours, "de").p_value == 1.0


def test_every_layer_is_what_it_is_alone(tiny_encoder: TorchEncoder) -> None:
    layers = aer_by_layer(tiny_encoder, {"de": PAIRS})
    assert list(layers) == [0, 1, 2]
    for layer, scores in layers.items():
        alone = evaluate_word_alignment(
            tiny_encoder, {"de": PAIRS}, config=AlignmentSettings(layers=(layer,))
        )
        np.testing.assert_array_equal(scores.tables["de"], alone.tables["de"])
        assert scores.config.layers == (layer,)


@pytest.mark.parametrize("truecase", [True, False])
def test_layers_are_read_as_the_aligner_reads(sample_encoder: TorchEncoder, truecase: bool) -> None:
    source, target = "Dün Tom kendini bıçağıyla kesti .", "Tom cut himself with his knife yesterday ."
    links = frozenset({(0, 6), (1, 0), (2, 2), (4, 1), (5, 7)})
    sets = {"tr": [GoldPair(tuple(source.split()), tuple(target.split()), links, links)]}
    config = AlignmentSettings(truecase=truecase, layers=(7,))
    whole = evaluate_word_alignment(sample_encoder, sets, config=config)
    (layer,) = aer_by_layer(sample_encoder, sets, config=config, layers=[7]).values()
    np.testing.assert_array_equal(layer.tables["tr"], whole.tables["tr"])
    other = evaluate_word_alignment(sample_encoder, sets, config=config.changed(truecase=not truecase))
    assert other.value("tr") != whole.value("tr")


def test_tuning_never_ends_worse_and_its_recipe_is_read(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    sets = {"de": PAIRS, "fr": PAIRS[:2]}
    grid = {"strategy": ("threshold", "mutual"), "threshold": (0.3, 0.6), "tau": (0.1, 0.4)}
    tuned = tune_word_alignment(tiny_encoder, sets, grid=grid)
    kept = [trial.figure for trial in tuned.trials if trial.kept]
    assert kept == sorted(kept, reverse=True)
    assert tuned.figure == kept[-1]
    again = evaluate_word_alignment(tiny_encoder, sets, config=tuned.config)
    assert again.mean() == pytest.approx(tuned.figure, abs=1e-12)
    path = tmp_path / "tuned.toml"
    path.write_text(recipe_text({"alignment": tuned.config.to_dict()}, source="tuned on three pairs"))
    assert AlignmentSettings.from_dict(read_recipe(path).table("alignment")) == tuned.config


def test_tuning_begins_with_a_threshold_and_passes_over_what_does_not_go(tiny_encoder: TorchEncoder) -> None:
    """As a recipe has it that was tuned before, and as a dot product has no transport."""
    grid = {"strategy": ("mutual", "threshold"), "transport": ("none", "balanced"), "tau": (0.1, 0.4)}
    start = AlignmentSettings(threshold=0.4)
    tuned = tune_word_alignment(tiny_encoder, {"de": PAIRS}, config=start, grid=grid)
    assert {trial.value for trial in tuned.trials if trial.setting == "strategy"} == {"mutual"}
    dot = tune_word_alignment(
        tiny_encoder,
        {"de": PAIRS},
        config=AlignmentSettings(transport="none", cost="dot", tau=0.1),
        grid=grid,
    )
    assert not [trial for trial in dot.trials if trial.setting == "transport"]


def test_a_task_of_the_protocol(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    task = word_alignment_task({"de": (PAIRS, "hash")}, AlignmentSettings())
    store = CellStore(tmp_path, resume=False)
    openers = {"model": lambda: tiny_encoder, "baseline": lambda: tiny_encoder}
    cells = run_cells(task, openers, seeds=[0, 1], store=store)
    assert len(cells) == 2  # nothing is random
    summary = summarise(cells, WORD_ALIGNMENT_METRICS)
    figure = summary.rows["de"]["aer"]
    assert figure.mean == pytest.approx(evaluate_word_alignment(tiny_encoder, {"de": PAIRS}).mean())
    assert figure.difference == 0.0


def test_nothing_to_score_is_an_error(tiny_encoder: TorchEncoder) -> None:
    for sets in ({}, {"de": []}):
        with pytest.raises(InputError, match="no gold pairs"):
            evaluate_word_alignment(tiny_encoder, sets)


def test_the_default_on_the_sample_gold(sample_encoder: TorchEncoder) -> None:
    from otkit.data.gold import read_gold

    sets = {path.name[:2]: read_gold(path) for path in sorted((sample_data() / "gold").glob("*.dev.tsv"))}
    ours = evaluate_word_alignment(sample_encoder, sets)
    plain = AlignmentSettings(transport="none", strategy="mutual", center="none")
    assert ours.mean() < evaluate_word_alignment(sample_encoder, sets, config=plain).mean()
    assert ours.mean() < 0.2


def test_order_is_a_prior_and_no_law(sample_encoder: TorchEncoder) -> None:
    """Sentences whose order differs, and a text whose halves are exchanged."""
    from otkit.data.gold import read_gold

    reordered = {
        path.name[:2]: read_gold(path) for path in sorted((sample_data() / "reordered").glob("*.tsv"))
    }
    assert evaluate_word_alignment(sample_encoder, reordered).mean() < 0.1
    pairs = read_gold(sample_data() / "gold" / "de-en.dev.tsv")[:8]
    texts = {"as it was": _joined(pairs, range(8)), "exchanged": _joined(pairs, [4, 5, 6, 7, 0, 1, 2, 3])}
    found = evaluate_word_alignment(sample_encoder, {name: [pair] for name, pair in texts.items()})
    assert found.value("exchanged") < found.value("as it was") + 0.1 < 0.25


def _joined(pairs: Sequence[GoldPair], order: Sequence[int]) -> GoldPair:
    """One text of all pairs, its target sentences in another order."""
    rows = list(accumulate((len(pair.source) for pair in pairs), initial=0))
    columns: dict[int, int] = {}
    target: tuple[str, ...] = ()
    for place in order:
        columns[place] = len(target)
        target += tuple(pairs[place].target)
    sure, possible = (
        frozenset(
            (i + rows[k], j + columns[k]) for k, pair in enumerate(pairs) for i, j in getattr(pair, name)
        )
        for name in ("sure", "possible")
    )
    return GoldPair(tuple(word for pair in pairs for word in pair.source), target, sure, possible)
