"""Retrieval, word retrieval and mining against brute force over the whole similarity matrix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from otkit.data.gold import GoldPair
from otkit.data.parallel import open_corpus
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, InputError
from otkit.evaluation.mining import (
    Mined,
    MiningSet,
    best_threshold,
    mine,
    read_mining,
    score_mined,
)
from otkit.evaluation.retrieval import evaluate_retrieval, random_cosine, score_retrieval
from otkit.evaluation.search import build_index, nearest, recall, search_both_ways
from otkit.evaluation.settings import MiningSettings, RetrievalSettings, SearchSettings, WordRetrievalSettings
from otkit.evaluation.word_retrieval import evaluate_word_retrieval, one_to_one

Matrix = NDArray[np.float64]


def unit(rows: int, width: int = 12, seed: int = 0) -> NDArray[np.float32]:
    found = np.random.default_rng(seed).normal(size=(rows, width))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def translations(rows: int, noise: float, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    source = unit(rows, seed=seed)
    target = source + noise * unit(rows, seed=seed + 1)
    return source, (target / np.linalg.norm(target, axis=1, keepdims=True)).astype(np.float32)


def brute_scores(source: Matrix, target: Matrix, score: str, k: int) -> Matrix:
    """The definition, on the whole matrix."""
    cosines = source @ target.T
    rows = np.sort(cosines, axis=1)[:, -k:].mean(axis=1)[:, None]
    columns = np.sort(cosines, axis=0)[-k:].mean(axis=0)[None, :]
    if score == "csls":
        return 2 * cosines - rows - columns
    return cosines / ((rows + columns) / 2) if score == "margin" else cosines


@pytest.mark.parametrize("score", ["cosine", "csls", "margin"])
def test_ranks_of_both_directions_are_those_of_the_whole_matrix(score: str) -> None:
    source, target = translations(90, 0.9)
    found = score_retrieval(source, target, config=RetrievalSettings(score=score, neighbours=4))
    matrix = brute_scores(source.astype(float), target.astype(float), score, 4)
    for direction, scores in ((found.forward, matrix), (found.backward, matrix.T)):
        ranks = 1 + (scores > np.diag(scores)[:, None]).sum(axis=1)
        assert np.array_equal(direction.ranks, ranks)
        assert direction.accuracy(5) == pytest.approx((ranks <= 5).mean())
        assert direction.mrr == pytest.approx((1 / ranks).mean())
    assert 0.2 < found.mean < 0.95, "the example must be neither trivial nor hopeless"


def test_strong_alignment_counts_sentences_of_the_own_language_as_rivals() -> None:
    source, target = translations(70, 0.8)
    found = score_retrieval(source, target, config=RetrievalSettings())
    for direction, x, y in ((found.forward, source, target), (found.backward, target, source)):
        pool = np.concatenate([x @ y.T, x @ x.T - 9 * np.eye(len(x))], axis=1)
        assert np.array_equal(direction.strong, pool.argmax(axis=1) == np.arange(len(x)))
    assert found.forward.strong.mean() < found.forward.accuracy(1)


def test_strong_differs_from_weak_where_paraphrases_stand_beside_each_other() -> None:
    source = np.eye(4, dtype=np.float32)[[0, 1]]
    twin = np.array([[0.9, 0.1, 0, 0]], dtype=np.float32)
    source = np.concatenate([source, twin / np.linalg.norm(twin)])
    target = np.array([[0.8, 0, 0.6, 0], [0, 0.8, 0.6, 0], [0.6, 0.1, 0, 0.7]], dtype=np.float32)
    target /= np.linalg.norm(target, axis=1, keepdims=True)
    found = score_retrieval(source, target, config=RetrievalSettings())
    assert found.forward.accuracy(1) == pytest.approx(2 / 3)
    assert found.forward.strong.tolist() == [False, True, False]


def test_swapping_the_sides_swaps_the_directions() -> None:
    source, target = translations(40, 0.7)
    config = RetrievalSettings(score="csls")
    there, back = (score_retrieval(*sides, config=config) for sides in ((source, target), (target, source)))
    assert np.array_equal(there.forward.ranks, back.backward.ranks)
    assert there.forward.hubness == back.backward.hubness
    assert there.isotropy == pytest.approx(back.isotropy)


def test_cosines_of_matched_and_random_pairs_are_means_over_the_matrix() -> None:
    source, target = translations(30, 0.5)
    found = score_retrieval(source, target, config=RetrievalSettings())
    matrix = source @ target.T
    others = matrix[~np.eye(30, dtype=bool)]
    assert found.matched == pytest.approx(np.diag(matrix).mean(), abs=1e-6)
    assert found.random == pytest.approx(others.mean(), abs=1e-6)
    within = (source @ source.T)[~np.eye(30, dtype=bool)]
    assert random_cosine(source) == pytest.approx(within.mean(), abs=1e-6)


def test_a_collapsed_space_has_no_isotropy_and_no_gap() -> None:
    point = np.tile(unit(1), (20, 1))
    found = score_retrieval(point, point, config=RetrievalSettings())
    assert found.isotropy == pytest.approx(0, abs=1e-6)
    assert found.gap == pytest.approx(0, abs=1e-6)


def test_centring_undoes_a_constant_shift_of_one_language() -> None:
    source, target = translations(60, 0.3)
    shifted = target + 3 * unit(1, seed=9)
    shifted = (shifted / np.linalg.norm(shifted, axis=1, keepdims=True)).astype(np.float32)
    plain, centred = (
        score_retrieval(source, shifted, config=RetrievalSettings(space=space))
        for space in ("none", "center")
    )
    assert centred.forward.accuracy(1) > plain.forward.accuracy(1)
    assert centred.gap > plain.gap + 0.3
    assert centred.isotropy == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("index", ["hnsw", "ivf"])
def test_an_approximate_index_with_full_effort_is_exact_and_tells_its_recall(index: str) -> None:
    source, target = translations(500, 0.8)
    config = SearchSettings(index=index, effort=1000, candidates=50)
    exact = search_both_ways(source, target, SearchSettings(candidates=50))
    found = search_both_ways(source, target, config)
    assert exact.recall is None
    assert found.recall == pytest.approx(1.0, abs=0.02)
    assert (found.forward.ids[:, 0] == exact.forward.ids[:, 0]).mean() > 0.98


def test_recall_is_the_share_of_the_exact_ten_that_were_found() -> None:
    queries, pool = unit(30), unit(200, seed=5)
    exact = nearest(build_index(pool, SearchSettings()), queries, k=10)
    worse = exact.ids.copy()
    worse[:, 7:] = -1
    assert recall(exact, queries, pool) == 1.0
    assert recall(type(exact)(worse, exact.scores), queries, pool) == pytest.approx(0.7)


def test_unknown_names_are_answered_with_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"unknown score 'coseno'.*choose from: cosine, csls, margin"):
        SearchSettings(score="coseno")
    with pytest.raises(ConfigError, match="unknown index 'annoy'"):
        SearchSettings(index="annoy")


# Whole corpora through an encoder


def test_a_text_finds_itself_and_twins_are_encoded_once(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    path = tmp_path / "de-en.tsv"
    path.write_text("das haus\tdas haus\nein kleines\tein kleines\nthe house is small\tthe house is small\n")
    scores = evaluate_retrieval(tiny_encoder, [open_corpus(path)])
    assert scores["de"].mean == 1.0
    assert scores["de"].matched == pytest.approx(1.0)
    assert scores["de"].count == 3


def test_a_sentence_that_is_too_long_is_named_with_its_line_or_skipped(
    tiny_encoder: TorchEncoder, tmp_path: Path
) -> None:
    path = tmp_path / "de-en.tsv"
    path.write_text("das haus\tthe house\n" + "haus " * 70 + "\thouse\nklein\tsmall\n")
    corpus = open_corpus(path)
    with pytest.raises(InputError, match=r"de-en\.tsv:2: .*takes 64.*`on_error='skip'`"):
        evaluate_retrieval(tiny_encoder, [corpus])
    found = evaluate_retrieval(tiny_encoder, [corpus], on_error="skip")
    assert (found["de"].count, found["de"].skipped) == (2, 1)


EQUAL = [
    "the house is small\tthe house is small",
    "das haus\tdas haus",
    "ein kleines\tein kleines",
    "das haus\tdas  haus",
]


def test_equal_sentences_are_counted_and_scored_both_ways(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    path = tmp_path / "de-en.tsv"
    path.write_text("".join(f"{line}\n" for line in EQUAL))
    scores = evaluate_retrieval(tiny_encoder, [open_corpus(path)])["de"]
    for side in (scores.forward, scores.backward):
        assert side.accuracy(1) == 0.75  # of two equal sentences one comes first
        assert side.equal.mean() == 1.0
        assert side.repeated == 2
    path.write_text("".join(f"{line}\n" for line in EQUAL[:3]))
    scores = evaluate_retrieval(tiny_encoder, [open_corpus(path)])["de"]
    assert (scores.forward.repeated, scores.forward.equal.tolist()) == (0, [True, True, True])


@pytest.mark.parametrize("score", ["cosine", "csls", "margin"])
def test_equal_items_are_those_of_the_whole_matrix(score: str) -> None:
    """Items of a group share their vector; the definition counts any of the right one's group."""
    groups = np.random.default_rng(1).integers(0, 30, 70)
    target = unit(30)[groups]
    source = target + 0.9 * unit(70, seed=1)
    source /= np.linalg.norm(source, axis=1, keepdims=True)
    numbers = np.array([np.flatnonzero(groups == group)[0] for group in groups])
    config = RetrievalSettings(score=score, neighbours=4)
    found = score_retrieval(source, target, config=config, equals=(np.arange(70), numbers))
    matrix = brute_scores(source.astype(float), target.astype(float), score, 4)
    assert np.array_equal(found.forward.equal, groups[matrix.argmax(axis=1)] == groups)
    assert found.forward.repeated == sum(int((groups == group).sum()) > 1 for group in groups)
    assert found.backward.repeated == 0
    assert np.array_equal(found.backward.equal, found.backward.ranks == 1)
    assert found.forward.accuracy(1) < found.forward.equal.mean()
    unknown = score_retrieval(source, target, config=config)
    assert np.array_equal(unknown.forward.ranks, found.forward.ranks)
    assert np.array_equal(unknown.forward.equal, unknown.forward.ranks == 1)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "published"), [("swh", 0.718), ("cmn", 0.784)])
def test_tatoeba_figures_of_the_sample_encoder(
    name: str, published: float, sample_encoder: TorchEncoder, benchmark_data: Path
) -> None:
    corpus = open_corpus(benchmark_data / "tatoeba" / f"{name}-eng.tsv.gz")
    scores = evaluate_retrieval(sample_encoder, [corpus])
    assert scores[name].forward.accuracy(1) == pytest.approx(published, abs=0.005)


# Words


def test_only_words_with_one_link_have_one_right_answer() -> None:
    links = frozenset({(0, 0), (1, 1), (1, 2), (3, 3)})
    pair = GoldPair(("a", "b", "c", "d"), ("w", "x", "y", "z"), links, links | {(2, 3)})
    assert one_to_one(pair) == [(0, 0)]


@pytest.mark.parametrize("pool", ["aligned", "all"])
def test_words_of_equal_sentences_find_themselves(tiny_encoder: TorchEncoder, pool: str) -> None:
    words = [("das", "haus", "ist", "klein"), ("the", "small", "house")]
    pairs = [
        GoldPair(side, side, frozenset((i, i) for i in range(2)), frozenset((i, i) for i in range(2)))
        for side in words
    ]
    config = WordRetrievalSettings(pool=pool, score="cosine", candidates=128)
    found = evaluate_word_retrieval(tiny_encoder, pairs, config=config)
    assert found.count == 4
    assert found.forward.ranks.tolist() == [1, 1, 1, 1]
    assert found.matched == pytest.approx(1.0)


@pytest.mark.parametrize("pool", ["aligned", "all"])
def test_equal_words_are_those_at_one_place_of_equal_sentences(tiny_encoder: TorchEncoder, pool: str) -> None:
    one_link = frozenset({(0, 0), (1, 1)})
    sides = [("das", "haus"), ("ein", "haus"), ("das", "haus"), ("das", "klein")]
    pairs = [GoldPair(side, side, one_link, one_link) for side in sides]
    found = evaluate_word_retrieval(tiny_encoder, pairs, config=WordRetrievalSettings(pool=pool))
    assert found.count == 8
    # Both words of both equal sentences; `haus` and `das` of the others stand in other sentences.
    assert found.forward.repeated == found.backward.repeated == 4
    assert found.forward.accuracy(1) == 0.75
    assert found.forward.equal.all()


def test_a_larger_pool_never_makes_retrieval_easier(tiny_encoder: TorchEncoder) -> None:
    rng = np.random.default_rng(0)
    letters = list("abcdefghijklmnop")
    pairs = []
    for _ in range(12):
        side, other = (tuple(rng.choice(letters, 5)) for _ in range(2))
        pairs.append(GoldPair(side, other, frozenset({(0, 0), (1, 1)}), frozenset({(0, 0), (1, 1)})))
    few, many = (
        evaluate_word_retrieval(tiny_encoder, pairs, config=WordRetrievalSettings(pool=pool, score="cosine"))
        for pool in ("aligned", "all")
    )
    assert many.count == few.count == 24
    assert (many.forward.ranks >= few.forward.ranks).all()


# Mining


def test_planted_pairs_are_mined_and_the_rest_is_not() -> None:
    shared, noise = 60, 40
    source, target = translations(shared, 0.2)
    source = np.concatenate([source, unit(noise, seed=7)])
    target = np.concatenate([unit(noise, seed=8), target])
    gold = frozenset((i, noise + i) for i in range(shared))
    texts = tuple(str(i) for i in range(shared + noise))
    found = mine(source, target, SearchSettings(score="margin", neighbours=4, candidates=16))
    assert len(set(found.source.tolist())) == len(found.source) == len(set(found.target.tolist()))
    scores = score_mined(found, MiningSet("planted", texts, texts, gold), MiningSettings(dev_share=0.5))
    assert scores.f1 > 0.95
    assert scores.dev_f1 > 0.95


def test_the_threshold_is_the_best_of_all_cuts() -> None:
    rng = np.random.default_rng(3)
    scores = np.sort(rng.choice(np.linspace(0, 1, 12), 40))[::-1].astype(np.float32)
    right = rng.random(40) < scores
    gold = int(right.sum()) + 5
    threshold, f1 = best_threshold(scores, right, gold)

    def f1_of(cut: float) -> float:
        kept = scores >= cut
        return 2 * int(right[kept].sum()) / (int(kept.sum()) + gold)

    assert f1 == pytest.approx(max(f1_of(cut) for cut in scores))
    assert f1_of(threshold) == pytest.approx(f1)


def test_the_scored_part_does_not_choose_the_threshold() -> None:
    """Gold pairs of the dev part count neither as found nor as missed."""
    count = 400
    order = np.arange(count)
    mined = Mined(order, order, np.linspace(2, 1, count).astype(np.float32))
    texts = tuple(str(i) for i in range(count))
    data = MiningSet("half", texts, texts, frozenset((i, i) for i in range(200)))
    scores = score_mined(mined, data, MiningSettings(dev_share=0.5))
    assert scores.gold < 200
    assert scores.threshold == pytest.approx(1.5, abs=0.02)
    assert scores.f1 == pytest.approx(1.0, abs=0.03)


def test_a_mined_pair_equal_to_a_gold_pair_counts_beside() -> None:
    """Two sources and two targets are equal; the other one of each was mined."""
    texts = ("a b", "a  b", *(str(number) for number in range(10)))
    data = MiningSet("twins", texts, texts, frozenset((i, i) for i in range(12)))
    dev = np.random.default_rng(0).random(12) < 0.2
    assert dev[2:].any()
    assert not dev[:2].any()
    target = np.arange(12)
    target[[0, 1]] = [1, 0]
    mined = Mined(np.arange(12), target, np.full(12, 1.0, dtype=np.float32))
    scores = score_mined(mined, data, MiningSettings())
    count = int((~dev).sum())
    assert scores.repeated == 4
    assert scores.f1 == scores.precision == scores.recall == pytest.approx((count - 2) / count)
    assert scores.equal_f1 == 1.0
    wrong = score_mined(Mined(mined.source, np.roll(target, 3), mined.scores), data, MiningSettings())
    assert wrong.equal_f1 < 0.5


def test_bad_lines_of_mining_files_are_skipped_with_their_pairs(tmp_path: Path) -> None:
    files = {
        "source": b"a\teins\nb\tzwei\nc\nd\t\xff\na\tnoch einmal\n",
        "target": b"x\tone\ny\ttwo\nz\tthree\n",
        "gold": b"a\tx\nb\ty\nc\tz\nrubbish\n",
    }
    paths = {name: tmp_path / name for name in files}
    for name, content in files.items():
        paths[name].write_bytes(content)
    with pytest.raises(
        InputError, match=r"source:3: received 'c', .*, or skip such lines: `on_error='skip'`"
    ):
        read_mining(*paths.values())
    data = read_mining(*paths.values(), on_error="skip")
    assert (data.source, data.gold, data.skipped) == (("eins", "zwei"), {(0, 0), (1, 1)}, 5)
    assert [str(error.where).rpartition("/")[2] for error in data.bad] == [
        "source:3",
        "source:4",
        "source:5",
        "gold:3",
        "gold:4",
    ]
    assert "on_error" not in " ".join(map(str, data.bad))


def test_mining_files_are_checked(tmp_path: Path) -> None:
    files = {"source": "a\teins\nb\tzwei\n", "target": "x\tone\ny\ttwo\n", "gold": "a\tx\n"}
    paths = {name: tmp_path / name for name in files}
    for name, text in files.items():
        paths[name].write_text(text)
    data = read_mining(*paths.values())
    assert data.gold == {(0, 0)}
    assert data.source == ("eins", "zwei")
    paths["gold"].write_text("a\tx\nb\tz\n")
    with pytest.raises(InputError, match=r"gold:2: the gold names 'z', which .*target does not have"):
        read_mining(*paths.values())
    paths["source"].write_text("a\teins\na\tzwei\n")
    with pytest.raises(InputError, match="source:2: the id 'a' occurs twice"):
        read_mining(*paths.values())


def test_the_names_that_settings_take_are_those_of_the_tables() -> None:
    from otkit.evaluation import search, settings

    assert list(settings.SCORES) == list(search.SCORES)
    assert list(settings.INDEXES) == list(search.INDEXES)
    assert list(settings.FINE_TUNINGS) == list(settings.XNLI_FINE_TUNING) == list(settings.XQUAD_FINE_TUNING)
    # An approximate index is asked for fewer, unless a number is given.
    assert SearchSettings().compared == 1024
    assert SearchSettings(index="hnsw").compared == 100
    assert SearchSettings(index="ivf", candidates=500).compared == 500
