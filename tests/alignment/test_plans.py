"""The aligner's plans: against the core's solvers, and what must not change them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from otkit.alignment.links import find_links, fold, link_strengths, linked_shares
from otkit.alignment.plans import PLANS, Problem, ordered, problem_of, solve, solver_of
from otkit.alignment.settings import TRANSPORTS, AlignmentSettings
from otkit.encoders.pooling import Encoded, centred
from otkit.errors import ConfigError
from otkit.transport.approximate import capped_plan, soft_plan
from otkit.transport.config import SinkhornConfig
from otkit.transport.marginals import uniform
from otkit.transport.plan import shares
from otkit.transport.sinkhorn import sinkhorn
from tests.transport.partial import one_sided, partial

SLOW = ("fgw", "exact")


def problems(seed: int = 0, *, weights: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """Six problems of up to 7 x 9 units, with padding and uneven weights."""
    rng = torch.Generator().manual_seed(seed)
    cost = torch.rand(6, 7, 9, generator=rng)
    a, b = torch.rand(6, 7, generator=rng) + 0.1, torch.rand(6, 9, generator=rng) + 0.1
    for place in range(6):
        a[place, 2 + place :], b[place, 9 - place :] = 0, 0
    if not weights:
        a, b = (a > 0).float(), (b > 0).float()
    return cost, a / a.sum(1, keepdim=True), b / b.sum(1, keepdim=True)


@pytest.mark.parametrize("tau", [(0.1, 0.1), (None, 0.2), (0.05, None), (None, None)])
def test_soft_plans_are_the_cores(tau: tuple[float | None, float | None]) -> None:
    cost, a, b = problems()
    epsilon = torch.full((6,), 0.06)
    penalties = tuple(None if value is None else torch.full((6,), value) for value in tau)
    config = SinkhornConfig(epsilon=0.06, tau=tau, max_iterations=5000, tolerance=1e-7)
    found = soft_plan(cost, a, b, epsilon=epsilon, tau=penalties, iterations=500)  # type: ignore[arg-type]
    torch.testing.assert_close(found, sinkhorn(cost, a, b, config=config).matrix, atol=2e-6, rtol=1e-3)


def test_capped_plans_are_the_cores() -> None:
    cost, a, b = problems()
    epsilon = torch.full((6,), 0.06)
    config = SinkhornConfig(epsilon=0.06, max_iterations=5000, tolerance=1e-8)
    mass = torch.full((6,), 0.7)
    found = capped_plan(cost, a, b, epsilon=epsilon, hard_source=False, mass=mass, iterations=2000)
    theirs = partial(cost, a, b, mass=0.7, config=config, reference="counting").matrix
    torch.testing.assert_close(found, theirs, atol=2e-6, rtol=1e-3)
    wide = torch.cat([cost, torch.full((6, 7, 1), 0.3)], 2), torch.cat([b, torch.ones(6, 1)], 1)
    found = capped_plan(wide[0], a, wide[1], epsilon=epsilon, hard_source=True, iterations=2000)
    one = one_sided(cost, a, b, null_cost=0.3, config=config)
    torch.testing.assert_close(found[:, :, :-1], one.matrix, atol=2e-6, rtol=1e-3)
    torch.testing.assert_close(found[:, :, -1], one.null, atol=2e-6, rtol=1e-3)


def test_cold_problems_stay_finite() -> None:
    cost, a, b = problems()
    epsilon, tau = torch.full((6,), 1e-4), torch.full((6,), 0.1)
    for penalties in ((tau, tau), (None, None)):
        plan = soft_plan(cost, a, b, epsilon=epsilon, tau=penalties, iterations=50)
        assert torch.isfinite(plan).all()
        assert not plan[~((a > 0)[:, :, None] & (b > 0)[:, None, :])].any()


def sides(seed: int = 0) -> tuple[Encoded, Encoded]:
    """Four pairs of clouds that translate each other, of 2 to 8 units; padding is 0."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(4, 8, 16, generator=rng)
    y = x[:, [1, 0, 2, 3, 4, 5, 6, 7]] + 0.5 * torch.randn(4, 8, 16, generator=rng)
    source, target = (
        torch.arange(8) < torch.tensor(counts)[:, None] for counts in ([2, 5, 8, 3], [3, 5, 7, 2])
    )
    return Encoded(x * source[:, :, None], source), Encoded(y * target[:, :, None], target)


def padded(side: Encoded, extra: int) -> Encoded:
    return Encoded(
        torch.nn.functional.pad(side.vectors, (0, 0, 0, extra)),
        torch.nn.functional.pad(side.mask, (0, extra)),
    )


def one_of(side: Encoded, place: int) -> Encoded:
    return Encoded(side.vectors[place : place + 1], side.mask[place : place + 1])


@pytest.mark.parametrize("transport", sorted(TRANSPORTS))
def test_padding_and_neighbours_change_nothing(transport: str) -> None:
    config = AlignmentSettings(length_power=0.0, attach_factor=1.0, transport=transport)
    source, target = sides()
    together = find_links(source, target, config, plans=True)
    wider = find_links(padded(source, 3), padded(target, 5), config, plans=True)
    for place, (found, with_padding) in enumerate(zip(together, wider, strict=True)):
        (alone,) = find_links(one_of(source, place), one_of(target, place), config, plans=True)
        for other in (with_padding, alone):
            assert other.links[:2] == found.links[:2]
            torch.testing.assert_close(other.links[2], found.links[2], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(
                torch.tensor(other.plan), torch.tensor(found.plan), atol=1e-5, rtol=1e-3
            )
            assert other.cost == pytest.approx(found.cost, abs=1e-4)


@pytest.mark.parametrize("cost", ["cosine", "dot"])
@pytest.mark.parametrize("transport", sorted(TRANSPORTS))
def test_what_is_multiplied_in_half_precision_is_the_encoder_alone(transport: str, cost: str) -> None:
    if cost == "dot" and transport != "none":
        return
    config = AlignmentSettings(transport=transport, cost=cost, length_power=0.0, attach_factor=1.0)
    plain = find_links(*sides(), config, plans=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = find_links(*sides(), config, plans=True)
    for one, other in zip(plain, half, strict=True):
        assert one.plan is not None
        assert other.plan is not None
        assert one.plan.tolist() == other.plan.tolist()
        assert one.links == other.links


@pytest.mark.parametrize("transport", [name for name in sorted(TRANSPORTS) if name not in SLOW])
def test_transposing_transposes(transport: str) -> None:
    config = AlignmentSettings(length_power=0.0, attach_factor=1.0, transport=transport, epsilon=0.1)
    source, target = sides(2)
    for one, other in zip(
        find_links(source, target, config, plans=True),
        find_links(target, source, config, plans=True),
        strict=True,
    ):
        assert sorted(zip(*one.links[:2], strict=True)) == sorted(
            (j, i) for i, j in zip(*other.links[:2], strict=True)
        )
        torch.testing.assert_close(torch.tensor(one.plan), torch.tensor(other.plan).T, atol=2e-4, rtol=1e-2)


@pytest.mark.parametrize("transport", sorted(PLANS))
@pytest.mark.parametrize("null", [None, "median", 0.5])
def test_plans_keep_within_the_weights(transport: str, null: float | str | None) -> None:
    config = AlignmentSettings(transport=transport, null=null, agreement=0.0)
    problem = problem_of(*sides(3), config)
    plan = solve(problem, config)
    assert plan.shape == problem.cost.shape
    assert torch.isfinite(plan).all()
    assert (plan >= 0).all()
    assert not plan[~problem.mask].any()
    slack = 1.2 if transport == "unbalanced" else 1.02
    assert (plan.sum(2) <= slack * problem.a + 1e-4).all()
    assert (plan.sum(1) <= slack * problem.b + 1e-4).all()
    if transport in ("balanced", "exact", "fgw") and null is None:
        torch.testing.assert_close(plan.sum(2), problem.a, atol=2e-3, rtol=0)


def test_a_costly_null_is_none_and_a_free_one_takes_all() -> None:
    source, target = sides(4)
    plain = problem_of(source, target, AlignmentSettings())
    for transport in ("balanced", "exact"):
        none = solve(plain, AlignmentSettings(transport=transport, agreement=0.0))
        costly = solve(plain, AlignmentSettings(transport=transport, agreement=0.0, null=50.0))
        torch.testing.assert_close(none, costly, atol=2e-3, rtol=0)
        free = solve(plain, AlignmentSettings(transport=transport, agreement=0.0, null=0.0))
        assert float(free.sum((1, 2)).max()) < 0.25


def test_centring_takes_the_mean_of_both_sides() -> None:
    source, target = sides(5)
    x, y = centred(source.vectors, target.vectors, source.mask, target.mask)
    total = x.sum(1) + y.sum(1)
    torch.testing.assert_close(total, torch.zeros_like(total), atol=1e-4, rtol=0)
    assert not x[~source.mask].any()


def test_folding_adds_masses_and_keeps_the_best() -> None:
    values = torch.tensor([[[0.1, 0.2, 0.0], [0.3, 0.0, 0.4], [0.9, 0.9, 0.9]]])
    rows, columns = torch.tensor([[0, 0, -1]]), torch.tensor([[0, 1, 1]])
    torch.testing.assert_close(fold(values, rows, columns, reduce="sum"), torch.tensor([[[0.4, 0.6]]]))
    torch.testing.assert_close(fold(values, rows, columns, reduce="amax"), torch.tensor([[[0.3, 0.4]]]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"transport": "unblanced"}, "did you mean 'unbalanced'"),
        ({"epsilon": 0.0}, "epsilon is 0.0; give a number above 0"),
        ({"mass": 1.5}, "a number above 0 and at most 1"),
        ({"null": "medan"}, "did you mean 'median'"),
        ({"null": "larger", "cost": "euclidean"}, "made for cosines"),
        ({"null": -1.0}, "null is -1.0; give one of .*, or a number of at least 0, or none"),
        ({"cost": "dot"}, "use it with transport none"),
        ({"weights": "idf"}, "choose from: uniform, norm"),
        ({"layers": ()}, "layers is an empty list"),
        ({"rounds": -1}, "rounds is -1"),
        ({"threshold": float("nan")}, "threshold is nan"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AlignmentSettings(**settings)  # type: ignore[arg-type]


def test_settings_survive_json() -> None:
    import json

    config = AlignmentSettings(layers=(5, 6), null=0.4, transport="semi")
    document = json.loads(json.dumps(config.to_dict()))
    assert AlignmentSettings.from_dict(document) == config
    with pytest.raises(ConfigError, match="unknown setting 'epsilo'; did you mean 'epsilon'"):
        AlignmentSettings.from_dict({"epsilo": 0.1})


def test_fused_gromov_follows_the_places_it_is_given() -> None:
    """Words without likeness are linked by their places alone: the same order, or its mirror image."""
    source, target = sides(6)
    order = torch.arange(8)
    config = AlignmentSettings(transport="fgw", structure=1.0, distances="position", agreement=0.0)
    problem = problem_of(source, target, config)
    square = replace(problem, a=torch.full_like(problem.a, 1 / 8), b=torch.full_like(problem.b, 1 / 8))
    plan = solve(replace(square, cost=torch.zeros_like(square.cost)), config)
    for each in plan:
        found = each.argmax(1)
        assert torch.equal(found, order) or torch.equal(found, order.flip(0))


def test_only_the_last_of_the_plans_has_a_gradient() -> None:
    """Training reads the aligner's links through a solver of its own: all solves but the last are without gradient,
    and the links are those of the aligner."""
    source, target = sides(7)
    vectors = source.vectors.clone().requires_grad_()
    config = AlignmentSettings(length_power=0.0, attach_factor=1.0)
    unrolled = SinkhornConfig(
        config.epsilon, config.tau, config.unit, max_iterations=100, tolerance=None, gradient="unroll"
    )
    modes: list[bool] = []

    def solver(problem: Problem) -> Tensor:
        modes.append(torch.is_grad_enabled())
        return sinkhorn(problem.cost, problem.a, problem.b, config=unrolled, unit=problem.unit).matrix

    problem = problem_of(
        source.with_vectors(vectors), target, config, weights=(uniform(source.mask), uniform(target.mask))
    )
    share = shares(solve(problem, config, solver), problem.mask)
    assert modes == [False] * config.rounds + [True]
    share.sum().backward()
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()
    linked = linked_shares(share.detach(), config)
    for found, cells in zip(find_links(source, target, config, plans=False), linked, strict=True):
        assert list(zip(*found.links[:2], strict=True)) == [(i, j) for i, j in cells.nonzero().tolist()]


def test_a_link_of_two_words_that_both_have_a_stronger_one_counts_less() -> None:
    share = torch.tensor([[[0.9, 0.6, 0.1], [0.7, 0.5, 0.0], [0.0, 0.6, 0.6]]])
    plain = {"length_power": 0.0, "attach_factor": 1.0}
    half = link_strengths(share, AlignmentSettings(**plain))
    torch.testing.assert_close(half, torch.tensor([[[0.9, 0.6, 0.05], [0.7, 0.25, 0.0], [0.0, 0.6, 0.6]]]))
    assert torch.equal(link_strengths(share.mT, AlignmentSettings(**plain)), half.mT)
    assert torch.equal(link_strengths(share, AlignmentSettings(**plain, rival_factor=1.0)), share)
    assert linked_shares(share, AlignmentSettings(**plain))[0].tolist() == [
        [True, True, False],
        [True, False, False],
        [False, True, True],
    ]


def test_weighed_lengths_need_lengths() -> None:
    with pytest.raises(ConfigError, match="lengths of the words are not known"):
        linked_shares(torch.ones(1, 2, 2), AlignmentSettings(length_power=0.5))


def test_links_of_punctuation_say_nothing_of_their_neighbours() -> None:
    """A full stop at both ends must not pull the last words together, whatever their meaning."""
    rng = torch.Generator().manual_seed(3)
    words = torch.nn.functional.normalize(torch.randn(4, 16, generator=rng), dim=-1)
    # The first word of the source is the last of the target; both end with the same mark.
    source, target = words[[0, 1, 2, 3]], words[[1, 2, 0, 3]]
    mask, ids = torch.ones(1, 4, dtype=torch.bool), torch.arange(4)[None]
    sides = Encoded(source[None], mask, ids), Encoded(target[None], mask, ids)
    letters = torch.tensor([[5, 5, 5, 0]])
    config = AlignmentSettings()
    bonus = []
    for known in (None, (letters, letters)):
        problem = problem_of(*sides, config, letters=known)
        paid = ordered(problem, config, solver_of(config))
        assert paid.order_price is not None
        bonus.append(problem.cost + paid.order_price - paid.cost)
    assert bonus[0][0, 2, 2] - bonus[1][0, 2, 2] > 0.05, "what the mark's own link adds"
    torch.testing.assert_close(bonus[0][0, 0, 2], bonus[1][0, 0, 2], atol=0.01, rtol=0.1)  # far from the mark
