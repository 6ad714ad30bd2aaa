"""Every strategy: worked examples, independent restatements of the published definitions, and invariants."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from otkit.alignment.strategies import (
    STRATEGIES,
    entmax15,
    extract_links,
)
from otkit.errors import ConfigError
from otkit.transport.plan import shares

Matrix = NDArray[np.float64]

#   the cat sat   /  die Katze sass da
EXAMPLE = [[0.9, 0.2, 0.1, 0.3], [0.1, 0.8, 0.3, 0.2], [0.2, 0.1, 0.6, 0.5]]


def links(scores: list[list[float]] | Matrix | Tensor, strategy: str, threshold: float | None = None) -> set:
    values = torch.as_tensor(np.asarray(scores), dtype=torch.float64)[None]
    mask = torch.ones_like(values, dtype=torch.bool)
    found = extract_links(values, mask, strategy=strategy, threshold=threshold)[0]
    return {(int(i), int(j)) for i, j in found.nonzero()}


def random_matrices(count: int, *, seed: int = 0, largest: int = 9) -> list[Matrix]:
    rng = np.random.default_rng(seed)
    return [rng.random(tuple(rng.integers(1, largest, 2))) for _ in range(count)]


@pytest.mark.parametrize(
    ("strategy", "threshold", "expected"),
    [
        ("forward", None, {(0, 0), (1, 1), (2, 2)}),
        ("backward", None, {(0, 0), (1, 1), (2, 2), (2, 3)}),
        ("mutual", None, {(0, 0), (1, 1), (2, 2)}),
        ("union", None, {(0, 0), (1, 1), (2, 2), (2, 3)}),
        ("grow-diag-final-and", None, {(0, 0), (1, 1), (2, 2), (2, 3)}),
        ("itermax", None, {(0, 0), (1, 1), (2, 2)}),  # no source word is free
        ("match", None, {(0, 0), (1, 1), (2, 2)}),
        # shares: 0.9/1.5 and 0.9/1.2; 0.8/1.4 and 0.8/1.1; 0.6/1.4 and 0.6/1.0; 0.5/1.4 and 0.5/1.0
        ("threshold", 0.5, {(0, 0), (1, 1), (2, 2)}),
        ("threshold", 0.42, {(0, 0), (1, 1), (2, 2), (2, 3)}),
        ("top-k", 1, {(0, 0), (1, 1), (2, 2)}),
        ("top-k", 2, {(0, 0), (0, 3), (1, 1), (1, 2), (2, 2), (2, 3)}),
    ],
)
def test_worked_example(strategy: str, threshold: float | None, expected: set[tuple[int, int]]) -> None:
    assert links(EXAMPLE, strategy, threshold) == expected


def test_itermax_looks_again_for_free_words() -> None:
    # mutual: 0-0, 1-1. Free: rows 2, 3 and columns 2, 3. Row 2: 0.9 * 0.75 for column 0 against 0.7 for column
    # 2, which is also the best of its column; row 3: 0.9 * 0.6 for column 1 against 0.5 for column 3.
    scores = [[0.9, 0.1, 0.3, 0.1], [0.1, 0.9, 0.1, 0.2], [0.75, 0.1, 0.7, 0.1], [0.1, 0.6, 0.1, 0.5]]
    assert links(scores, "mutual") == {(0, 0), (1, 1)}
    assert links(scores, "itermax") == {(0, 0), (1, 1), (2, 2), (3, 1)}


def test_grow_diag_final_and_links_two_free_words_last() -> None:
    # mutual: 0-0. Row 2 points at column 2 and column 2 at row 1: 2-2 is in the union, touches no link and
    # has both words free, so it comes last; 1-2 then has a column that is taken and a row that is free: not "and".
    scores = [[0.9, 0.1, 0.1, 0.1], [0.8, 0.1, 0.1, 0.1], [0.2, 0.1, 0.3, 0.7], [0.1, 0.1, 0.5, 0.9]]
    assert links(scores, "grow-diag-final-and") == {(0, 0), (1, 0), (3, 3), (2, 3), (3, 2), (0, 1)}


def simalign_inter(sim: Matrix) -> Matrix:
    rows, columns = sim.shape
    return np.array(
        [
            [float(sim[i].argmax() == j and sim[:, j].argmax() == i) for j in range(columns)]
            for i in range(rows)
        ]
    )


def simalign_itermax(sim: Matrix, rounds: int = 2) -> Matrix:
    """The definition, cell by cell: section 3.3 of Jalili Sabet et al. 2020 with alpha 0.9."""
    found = simalign_inter(sim)
    if min(sim.shape) <= 2:
        return found
    for _ in range(rounds - 1):
        row_free, column_free = found.sum(1) == 0, found.sum(0) == 0
        if not row_free.any() or not column_free.any():
            break
        weighted = np.array(
            [
                [
                    sim[i, j] * (1.0 if row_free[i] and column_free[j] else 0.9)
                    if row_free[i] or column_free[j]
                    else 0.0
                    for j in range(sim.shape[1])
                ]
                for i in range(sim.shape[0])
            ]
        )
        allowed = row_free[:, None] | column_free[None, :]
        found = np.maximum(found, simalign_inter(weighted) * allowed)
    return found


def as_set(matrix: Matrix) -> set[tuple[int, int]]:
    return {(int(i), int(j)) for i, j in np.argwhere(matrix > 0)}


def test_mutual_and_itermax_are_the_published_definitions() -> None:
    for sim in random_matrices(300):
        assert links(sim, "mutual") == as_set(simalign_inter(sim))
        assert links(sim, "itermax") == as_set(simalign_itermax(sim))
        assert links(sim, "itermax", 3) == as_set(simalign_itermax(sim, 3))


def test_match_is_the_best_assignment() -> None:
    for sim in random_matrices(60, largest=6):
        tall = sim if sim.shape[0] <= sim.shape[1] else sim.T
        best = max(
            sum(tall[i, j] for i, j in enumerate(chosen))
            for chosen in itertools.permutations(range(tall.shape[1]), tall.shape[0])
        )
        found = links(sim, "match")
        assert len(found) == min(sim.shape)
        assert sum(sim[i, j] for i, j in found) == pytest.approx(best)


def grow_diag_final_and(ahead: set, back: set, rows: int, columns: int) -> set:
    """The pseudo-code of Koehn et al. 2005, figure 1."""
    union, found = ahead | back, ahead & back
    steps = [(-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]
    new = True
    while new:
        new = False
        for i in range(rows):
            for j in range(columns):
                if (i, j) not in found:
                    continue
                for di, dj in steps:
                    cell = (i + di, j + dj)
                    free = cell[0] not in {x for x, _ in found} or cell[1] not in {y for _, y in found}
                    if cell in union and cell not in found and free:
                        found.add(cell)
                        new = True
    for direction in (ahead, back):
        for cell in sorted(direction):
            if cell[0] not in {x for x, _ in found} and cell[1] not in {y for _, y in found}:
                found.add(cell)
    return found


def test_grow_diag_final_and_is_the_published_definition() -> None:
    for sim in random_matrices(300, seed=1):
        ahead, back = links(sim, "forward"), links(sim, "backward")
        mine = links(sim, "grow-diag-final-and")
        theirs = grow_diag_final_and(ahead, back, *sim.shape)
        assert mine == theirs


def test_softmax_is_awesome_aligns() -> None:
    for sim in random_matrices(100, seed=2):
        dots = 8 * sim - 4
        rows = np.exp(dots) / np.exp(dots).sum(1, keepdims=True)
        columns = np.exp(dots) / np.exp(dots).sum(0, keepdims=True)
        assert links(dots, "softmax", 0.1) == as_set((rows > 0.1) & (columns > 0.1))


def test_entmax_solves_its_problem() -> None:
    # p = ((z/2 - tau)_+)^2 with the tau that makes it sum to 1, found by bisection
    for z in np.random.default_rng(3).normal(size=(200, 7)) * 3:
        low, high = z.max() / 2 - 1, z.max() / 2
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if (np.clip(z / 2 - middle, 0, None) ** 2).sum() > 1 else (low, middle)
        expected = np.clip(z / 2 - low, 0, None) ** 2
        padded = torch.tensor([*z, -np.inf, -np.inf])[None]
        np.testing.assert_allclose(entmax15(padded)[0, :7].numpy(), expected, atol=1e-9)
        assert entmax15(padded)[0, 7:].abs().sum() == 0


def test_shares_are_geometric_means() -> None:
    plan = torch.tensor([[[0.3, 0.1], [0.0, 0.2]]])
    found = shares(plan, torch.ones_like(plan, dtype=torch.bool))
    expected = [[(0.3 / 0.4 * 0.3 / 0.3) ** 0.5, (0.1 / 0.4 * 0.1 / 0.3) ** 0.5], [0, (0.2 / 0.3) ** 0.5]]
    torch.testing.assert_close(found[0], torch.tensor(expected))


# Invariants of all of them.

ALL = sorted(STRATEGIES)
SYMMETRIC = [name for name in ALL if name not in ("forward", "backward", "grow-diag-final-and")]


@pytest.mark.parametrize("strategy", ALL)
def test_padding_and_neighbours_change_nothing(strategy: str) -> None:
    matrices = random_matrices(40, seed=4)
    height, width = (max(m.shape[axis] for m in matrices) + 3 for axis in (0, 1))
    scores = torch.full((len(matrices), height, width), float("nan"), dtype=torch.float64)
    mask = torch.zeros(scores.shape, dtype=torch.bool)
    for place, matrix in enumerate(matrices):
        scores[place, : matrix.shape[0], : matrix.shape[1]] = torch.from_numpy(matrix)
        mask[place, : matrix.shape[0], : matrix.shape[1]] = True
    scores = torch.where(mask, scores, 7.0)  # padding may hold anything finite
    found = extract_links(scores, mask, strategy=strategy)
    assert not found[~mask].any()
    for place, matrix in enumerate(matrices):
        assert {(int(i), int(j)) for i, j in found[place].nonzero()} == links(matrix, strategy)


@pytest.mark.parametrize("strategy", SYMMETRIC)
def test_transposing_transposes(strategy: str) -> None:
    for matrix in random_matrices(60, seed=5):
        assert {(j, i) for i, j in links(matrix.T, strategy)} == links(matrix, strategy)


@pytest.mark.parametrize("strategy", ALL)
def test_one_word_each_is_linked(strategy: str) -> None:
    assert links([[0.7]], strategy) == {(0, 0)}


@pytest.mark.parametrize("strategy", ALL)
def test_nothing_from_nothing(strategy: str) -> None:
    for shape in ((0, 3, 4), (2, 0, 4), (2, 3, 0)):
        empty = torch.zeros(shape)
        assert extract_links(empty, torch.ones(shape, dtype=torch.bool), strategy=strategy).shape == shape
    nothing = torch.zeros(2, 3, 4)
    assert not extract_links(nothing, torch.zeros(2, 3, 4, dtype=torch.bool), strategy=strategy).any()


def test_inclusions() -> None:
    for matrix in random_matrices(100, seed=6):
        mutual, union = links(matrix, "mutual"), links(matrix, "union")
        for larger in ("forward", "backward", "grow-diag-final-and", "itermax"):
            assert mutual <= links(matrix, larger)
        for smaller in ("forward", "backward", "grow-diag-final-and"):
            assert links(matrix, smaller) <= union
        assert links(matrix, "top-k", 1) == mutual
        assert links(matrix, "threshold", 0.6) <= links(matrix, "threshold", 0.3)


def test_an_unknown_strategy_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'itermax'"):
        links(EXAMPLE, "itermx")


def test_shapes_must_agree() -> None:
    with pytest.raises(ConfigError, match="do not belong together"):
        extract_links(torch.zeros(1, 2, 3), torch.ones(1, 3, 2, dtype=torch.bool), strategy="mutual")


@pytest.mark.slow
def test_simalign_itself() -> None:
    simalign = pytest.importorskip("simalign.simalign")
    aligner = simalign.SentenceAligner
    rng = np.random.default_rng(7)
    for _ in range(300):
        x, y = (rng.normal(size=(rng.integers(1, 30), 16)) for _ in range(2))
        sim = aligner.get_similarity(x, y)
        ahead, back = aligner.get_alignment_matrix(sim)
        assert links(sim, "mutual") == as_set(ahead * back)
        assert links(sim, "itermax") == as_set(aligner.iter_max(sim))
        assert links(sim, "match") == as_set(aligner.get_max_weight_match(sim))
