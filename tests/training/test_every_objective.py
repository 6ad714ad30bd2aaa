"""Every objective: against a few plain lines, least where it should be, and moving only what it should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import ot as pot
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from otkit.data.batching import PairBatch, PairSource
from otkit.data.parallel import open_corpus
from otkit.data.settings import BatchingSettings
from otkit.encoders.pooling import Encoded, pool_words
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, InputError
from otkit.training.encoded import Aims, EncodedPairs, Joint, Masked
from otkit.training.frozen import CopiedStart
from otkit.training.objectives import OBJECTIVES, AlignmentModel, encode_units
from otkit.training.settings import NEEDS, ObjectiveSettings
from otkit.training.static import StaticVectors, map_words
from otkit.training.supervision import GivenLinks, Teacher, read_links

CONFIG = ObjectiveSettings(
    losses=(("ot", 1.0),),
    cost="cosine",
    epsilon=0.1,
    iterations=2000,
    tolerance=1e-7,
    links="given",
    context_words=3,
)
MASKS = ([[1, 1, 1, 0], [1, 1, 0, 0]], [[1, 1, 0], [1, 1, 1]])
LINKS = [[(0, 0), (2, 1)], [(0, 2), (1, 0)]]


class Dot(nn.Module):
    """A head without weights: dot products of two sets of vectors, (K,D) with (V,D) or (B,N,D) with (B,M,D)."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x @ y.transpose(-1, -2)


def random_pairs() -> EncodedPairs:
    """Two padded pairs of random vectors, everything that an objective may ask for beside them."""
    generator = torch.Generator().manual_seed(1)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    masks = [torch.tensor(rows, dtype=torch.bool) for rows in MASKS]
    sides = [Encoded(randn(*mask.shape, 5) * mask[..., None], mask) for mask in masks]
    weights = [mask.float() / mask.sum(1, keepdim=True) for mask in masks]
    links = torch.zeros(2, 4, 3, dtype=torch.bool)
    for row, own in enumerate(LINKS):
        for i, j in own:
            links[row, i, j] = True
    masked = Masked(randn(2, 4, 5), torch.tensor([1, 6]), torch.tensor([3, 0]))
    joint = Joint(
        torch.tensor([0, 1]),
        masked,
        Encoded(randn(2, 4, 5) * masks[0][..., None], masks[0]),
        Encoded(randn(2, 3, 5) * masks[1][..., None], masks[1]),
        (torch.tensor([[1, 1, 0, 0], [0, 1, 0, 0]]).bool(), torch.tensor([[1, 0, 0], [0, 0, 1]]).bool()),
    )
    return EncodedPairs(
        *sides,
        *weights,
        start=randn(2, 3, 5),
        batch_fraction=1.0,
        targets=5,
        links=links,
        teacher=Encoded(randn(2, 3, 5) * masks[1][..., None], masks[1]),
        static=(
            Aims(randn(2, 4, 5), masks[0] & torch.tensor([1, 0, 1, 1]).bool(), randn(5)),
            Aims(randn(2, 3, 5), masks[1], randn(5)),
        ),
        sentences=(functional.normalize(randn(2, 5), dim=1), functional.normalize(randn(2, 5), dim=1)),
        masked=(masked, replace(masked, answers=torch.tensor([2, 2]))),
        joint=joint,
        moved=((randn(3, 2), randn(3, 2)), (randn(4), randn(4))),
        embedding=randn(6, 5),
        heads={"vocabulary": Dot(), "pointer": Dot()},
    )


def value(name: str, pairs: EncodedPairs, **changes: object) -> float:
    return OBJECTIVES[name](pairs, replace(CONFIG, **changes)).value.item()


def clouds(pairs: EncodedPairs, *, other: Encoded | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
    """The sentences of both sides without padding, in double precision."""
    sides = (pairs.source, other or pairs.target)
    return [
        tuple(side.vectors[row][side.mask[row]].double().numpy() for side in sides)  # type: ignore[misc]
        for row in range(len(pairs.source.mask))
    ]


def cosine_cost(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 1 - (x / np.linalg.norm(x, axis=1)[:, None]) @ (y / np.linalg.norm(y, axis=1)[:, None]).T


def entropic(cost: np.ndarray) -> tuple[np.ndarray, float]:
    """POT's plan with uniform weights and the value of equation 1."""
    a, b = (np.full(n, 1 / n) for n in cost.shape)
    plan = pot.sinkhorn(a, b, cost, 0.1, method="sinkhorn_log", stopThr=1e-10, numItermax=20_000)
    return plan, float((plan * cost).sum() + 0.1 * (plan * np.log(plan / np.outer(a, b))).sum())


def divergence_of(x: np.ndarray, y: np.ndarray) -> float:
    terms = [entropic(cosine_cost(u, v))[1] for u, v in ((x, y), (x, x), (y, y))]
    return terms[0] - terms[1] / 2 - terms[2] / 2


def reference_ot(pairs: EncodedPairs) -> float:
    return float(np.mean([divergence_of(x, y) for x, y in clouds(pairs)]))


def reference_linear(sets: list[tuple[np.ndarray, np.ndarray]]) -> float:
    costs = [cosine_cost(x, y) for x, y in sets]
    return float(np.mean([(entropic(cost)[0] * cost).sum() for cost in costs]))


def reference_distill(pairs: EncodedPairs) -> float:
    swapped = replace(pairs, source=pairs.target)
    return (
        reference_linear(clouds(pairs, other=pairs.teacher))
        + reference_linear(clouds(swapped, other=pairs.teacher))
    ) / 2


def linked(pairs: EncodedPairs) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of both ends of all links of the batch."""
    ends = [(x[i], y[j]) for (x, y), links in zip(clouds(pairs), LINKS, strict=True) for i, j in links]
    return np.array([x for x, _ in ends]), np.array([y for _, y in ends])


def reference_weak(pairs: EncodedPairs) -> float:
    x, y = linked(pairs)
    s = (1 - cosine_cost(x, y)) / 0.1
    rows = [np.log(np.exp(s[i]).sum()) - s[i, i] for i in range(len(s))]
    columns = [np.log(np.exp(s[:, i]).sum()) - s[i, i] for i in range(len(s))]
    return float(np.mean(rows) + np.mean(columns)) / 2


def reference_strong(pairs: EncodedPairs) -> float:
    x, y = linked(pairs)
    both = np.concatenate([x, y])
    s, n = (1 - cosine_cost(both, both)) / 0.1, len(both)
    losses = [
        np.log(sum(np.exp(s[i, j]) for j in range(n) if j != i)) - s[i, (i + n // 2) % n] for i in range(n)
    ]
    return float(np.mean(losses))


def softmax(scores: np.ndarray, axis: int) -> np.ndarray:
    return np.exp(scores) / np.exp(scores).sum(axis, keepdims=True)


def reference_self_training(pairs: EncodedPairs) -> float:
    total = 0.0
    for (x, y), links in zip(clouds(pairs), LINKS, strict=True):
        s = x @ y.T
        total -= sum(softmax(s, 1)[i, j] / len(x) + softmax(s, 0)[i, j] / len(y) for i, j in links)
    return total / 2


def reference_consistency(pairs: EncodedPairs) -> float:
    found = [
        np.trace(softmax(x @ y.T, 1).T @ softmax(x @ y.T, 0)) / min(len(x), len(y)) for x, y in clouds(pairs)
    ]
    return -float(np.mean(found))


def guess(masked: Masked, embedding: Tensor) -> float:
    states = masked.states.reshape(-1, 5)[masked.places].double().numpy()
    scores = softmax(states @ embedding.double().numpy().T, 1)
    return -float(np.mean([np.log(scores[k, answer]) for k, answer in enumerate(masked.answers.tolist())]))


def reference_pointer(pairs: EncodedPairs) -> float:
    joint, losses = pairs.joint, []
    assert joint is not None
    for row, links in enumerate(LINKS):
        x, y = (side.vectors[row][side.mask[row]].double().numpy() for side in (joint.source, joint.target))
        losses += [-np.log(softmax(x @ y.T, 1)[i, j]) for i, j in links if joint.hidden[0][row, i]]
        losses += [-np.log(softmax(x @ y.T, 0)[i, j]) for i, j in links if joint.hidden[1][row, j]]
    return float(np.mean(losses))


def reference_sentences(pairs: EncodedPairs) -> float:
    assert pairs.sentences is not None
    u, v = (side.double().numpy() for side in pairs.sentences)
    s = u @ v.T / 0.1
    return -float(np.log(np.diag(softmax(s, 1))).mean() + np.log(np.diag(softmax(s, 0))).mean()) / 2


def reference_supervised(pairs: EncodedPairs) -> float:
    def scaled(z: np.ndarray) -> np.ndarray:
        return (z - z.min()) / (z.max() - z.min())

    total = 0.0
    for (x, y), links in zip(clouds(pairs), LINKS, strict=True):
        p = 0.001 + 0.998 * scaled(entropic(scaled(cosine_cost(x, y)))[0])
        total -= sum(
            np.log(p[i, j] if (i, j) in links else 1 - p[i, j]) for i in range(len(x)) for j in range(len(y))
        )
    return total / 2


def astray(weight: np.ndarray) -> np.ndarray:
    """How far each cell leads away from where the words around its row go, after `distortion_cost`'s docstring."""
    n, m = weight.shape
    found = np.zeros_like(weight)
    offset = {(k, j): j * n / m - k for k in range(n) for j in range(m)}
    for i in range(n):
        told = [
            (
                np.exp(-((i - k) ** 2) / 32) * weight[k].sum(),
                sum(weight[k, j] * offset[k, j] for j in range(m)) / weight[k].sum(),
            )
            for k in range(n)
            if k != i
        ]
        told.append((0.02, 0.0))
        total = sum(each for each, _ in told)
        mean = sum(each * where for each, where in told) / total
        variance = sum(each * where**2 for each, where in told) / total - mean**2
        for j in range(m):
            found[i, j] = (offset[i, j] - mean) ** 2 / (200 + variance)
    return found


def in_order(cost: np.ndarray) -> np.ndarray:
    """Shares of the plan that the word aligner reads: dearer where a link leads away from those around it, cheaper
    beside other links."""
    cells = [(i, j) for i in range(cost.shape[0]) for j in range(cost.shape[1])]
    price = np.zeros_like(cost)
    for _ in range(3):
        plan = entropic(cost + cost.mean() * price)[0]
        share = plan / np.sqrt(np.outer(plan.sum(1), plan.sum(0)))
        support = np.array(
            [
                sum(
                    share[x, y] * np.exp(0.5 - (x - i - y + j) ** 2 / 2 - (x - i + y - j) ** 2 / 8)
                    for x, y in cells
                    if (x, y) != (i, j)
                )
                for i, j in cells
            ]
        ).reshape(cost.shape)
        away = (astray(share**4) + astray(share.T**4).T) / 2
        price = 0.2 * np.minimum(away, 16) - 0.1 * support
    return share


def reference_likelihood(pairs: EncodedPairs) -> float:
    assert pairs.letters is None
    total = 0.0
    for (x, y), links in zip(clouds(pairs), LINKS, strict=True):
        odds = (in_order(cosine_cost(x, y)) - 0.45) / 0.1
        for i, j in np.ndindex(*odds.shape):
            likely = 1 / (1 + np.exp(-odds[i, j]))
            total -= 2 / sum(odds.shape) * np.log(likely if (i, j) in links else 1 - likely)
    return total / 2


def reference_static(pairs: EncodedPairs) -> float:
    assert pairs.static is not None
    apart = []
    for side, aims in zip((pairs.source, pairs.target), pairs.static, strict=True):
        words = (side.vectors - aims.middle)[aims.mask].double().numpy()
        apart += list(np.diag(cosine_cost(words, aims.vectors[aims.mask].double().numpy())))
    return float(np.mean(apart))


def reference_window(pairs: EncodedPairs) -> float:
    values = []
    for (x, y), links in zip(clouds(pairs), LINKS, strict=True):
        for i, j in links:
            around = x[max(i - 1, 0) : i + 2], y[max(j - 1, 0) : j + 2]
            values.append(divergence_of(*around))
    return float(np.mean(values))


def reference_mmd(pairs: EncodedPairs) -> float:
    def mean(x: np.ndarray, y: np.ndarray) -> float:
        squared = ((x[:, None] - y[None]) ** 2).sum(2)
        return float(np.mean(sum(10 * s / (10 * s + squared) for s in (0.1, 0.2, 0.5, 1, 2, 5, 10))))

    return float(np.mean([mean(x, x) + mean(y, y) - 2 * mean(x, y) for x, y in clouds(pairs)]))


def reference_w2(pairs: EncodedPairs) -> float:
    gaps = [
        ((x.mean(0) - y.mean(0)) ** 2).sum() + ((x.std(0) - y.std(0)) ** 2).sum() for x, y in clouds(pairs)
    ]
    return float(np.mean(gaps))


REFERENCES: dict[str, Callable[[EncodedPairs], float]] = {
    "ot": reference_ot,
    "ot-value": lambda p: float(np.mean([entropic(cosine_cost(x, y))[1] for x, y in clouds(p)])),
    "ot-linear": lambda p: reference_linear(clouds(p)),
    "anchor": lambda p: float(((p.target.vectors - p.start)[p.target.mask] ** 2).sum()),
    "parameter-anchor": lambda p: float(sum(((a - b) ** 2).sum() for a, b in p.moved)) ** 0.5,
    "l2": lambda p: float(((linked(p)[0] - linked(p)[1]) ** 2).sum()),
    "contrastive-weak": reference_weak,
    "contrastive-strong": reference_strong,
    "self-training": reference_self_training,
    "consistency": reference_consistency,
    "link-likelihood": reference_likelihood,
    "mlm": lambda p: float(np.mean([guess(side, p.embedding) for side in p.masked])),
    "tlm": lambda p: guess(p.joint.masked, p.embedding),
    "denoising-alignment": reference_pointer,
    "sentence-contrastive": reference_sentences,
    "ot-distill": reference_distill,
    "word-alignment-supervised": reference_supervised,
    "gaussian-w2": reference_w2,
    "mmd": reference_mmd,
    "static-anchor": reference_static,
    "window-ot": reference_window,
}


def test_every_objective_is_named_once_and_tested_here() -> None:
    assert set(OBJECTIVES) == set(NEEDS) == set(REFERENCES) == set(FLOORS) == set(MOVES)
    for function in OBJECTIVES.values():
        assert "20" in (function.__doc__ or ""), f"{function.__name__} names no paper"


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_few_plain_lines_give_the_same_value(name: str) -> None:
    pairs = random_pairs()
    assert value(name, pairs) == pytest.approx(REFERENCES[name](pairs), rel=2e-4, abs=2e-5)
    halved = replace(pairs, batch_fraction=0.5)
    if name not in ("anchor", "l2"):  # sums over units, not means over pairs
        assert value(name, halved) == pytest.approx(0.5 * value(name, pairs), rel=1e-4, abs=1e-6)


def simplex(count: int) -> Tensor:
    """Unit vectors (n, n) with the same, negative, cosine between any two: as far apart as they can be."""
    return functional.normalize(torch.eye(count) - 1 / count, dim=1)


def ideal_pairs() -> EncodedPairs:
    """One pair in which all is as the objectives want it."""
    words, mask = 40 * simplex(4)[None], torch.ones(1, 4, dtype=torch.bool)
    side, weights = Encoded(words, mask), torch.full((1, 4), 0.25)
    masked = Masked(words, torch.tensor([0, 2]), torch.tensor([0, 2]))
    everything = (mask, mask)
    return EncodedPairs(
        source=side,
        target=side,
        source_weights=weights,
        target_weights=weights,
        start=words,
        batch_fraction=1.0,
        targets=4,
        links=torch.eye(4, dtype=torch.bool)[None],
        teacher=side,
        static=(Aims(words, mask, torch.zeros(4)), Aims(words, mask, torch.zeros(4))),
        sentences=(simplex(4), simplex(4)),
        masked=(masked,),
        joint=Joint(torch.tensor([0]), masked, side, side, everything),
        moved=((torch.ones(3), torch.ones(3)),),
        embedding=words[0],
        heads={"vocabulary": Dot(), "pointer": Dot()},
    )


# Cosine between vectors of a simplex of four is -1/3: what InfoNCE leaves there, with 3 and with 6 negatives.
APART = np.exp(-(1 + 1 / 3) / 0.1)
FLOORS = {
    "ot": 0.0,
    "ot-value": 0.1 * np.log(4),  # the entropy that a one-to-one plan lacks
    "ot-linear": 0.0,
    "anchor": 0.0,
    "parameter-anchor": 0.0,
    "l2": 0.0,
    "contrastive-weak": np.log1p(3 * APART),
    "contrastive-strong": np.log1p(6 * APART),
    "self-training": -2.0,
    "consistency": -1.0,
    "mlm": 0.0,
    "tlm": 0.0,
    "denoising-alignment": 0.0,
    "sentence-contrastive": np.log1p(3 * APART),
    "ot-distill": 0.0,
    "word-alignment-supervised": -16 * np.log(0.999),
    "link-likelihood": np.log1p(np.exp(-5.5)) + 3 * np.log1p(np.exp(-4.5)),  # shares of 1 and of 0
    "gaussian-w2": 0.0,
    "mmd": 0.0,
    "static-anchor": 0.0,
    "window-ot": 0.0,
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_identical_sides_have_the_least_value(name: str) -> None:
    pairs = ideal_pairs()
    least = value(name, pairs)
    # The plan at epsilon 0.1 leaks e^(-13) to each wrong word.
    assert least == pytest.approx(FLOORS[name], abs=1e-4)
    generator = torch.Generator().manual_seed(0)
    for size in (0.3, 1.0, 3.0):

        def noise(like: Tensor, scale: float = 1.0, size: float = size) -> Tensor:
            return like + size * scale * torch.randn(like.shape, generator=generator)

        moved = pairs.target.with_vectors(noise(pairs.target.vectors, 10.0))
        assert pairs.joint is not None
        worse = replace(
            pairs,
            target=moved,
            sentences=(simplex(4), functional.normalize(noise(simplex(4)), dim=1)),
            masked=(Masked(noise(pairs.masked[0].states, 20.0), *[torch.tensor([0, 2])] * 2),),
            joint=replace(
                pairs.joint,
                target=moved,
                masked=Masked(noise(pairs.masked[0].states, 20.0), *[torch.tensor([0, 2])] * 2),
            ),
            moved=((noise(torch.ones(3)), torch.ones(3)),),
        )
        assert value(name, worse) >= least - 1e-6


# What an objective on layer 1 of 2 may move, in the encoder and beside it.
BELOW, ALL = {"embeddings", "encoder.layer.0"}, {"embeddings", "encoder.layer.0", "encoder.layer.1"}
MOVES: dict[str, set[str]] = {
    **dict.fromkeys(OBJECTIVES, BELOW),
    "parameter-anchor": ALL,
    "mlm": ALL | {"heads.vocabulary"},
    "tlm": ALL | {"heads.vocabulary"},
    "denoising-alignment": ALL | {"heads.pointer"},
    "sentence-contrastive": ALL,
    "contrastive-weak": BELOW | {"heads.projection"},
    "contrastive-strong": BELOW | {"heads.projection"},
    "ot-distill": BELOW | {"heads.teacher"},
    "word-alignment-supervised": BELOW | {"heads.tanh"},
}
TEXT = "das haus ist klein .\tthe house is small .\nein haus\ta house\ndas ist ein haus !\tthis is a house\n"
STATIC = "5 3\ndas 1 0 0\nhaus 0 2 0\nist 0 0 1\nein 1 1 0\nklein 0 1 1\n"
PHARAOH = "0-0 1-1 2-2 3-3 4-4\n0-0 1-1\n0-0 1-1 2-2 3-3\n"


def prepared(
    folder: Path, encoder: TorchEncoder, name: str, *, other: TorchEncoder | None = None, **changes: object
) -> tuple[AlignmentModel, PairBatch]:
    (folder / "de-en.tsv").write_text(TEXT, encoding="utf-8")
    (folder / "links").write_text(PHARAOH, encoding="utf-8")
    corpora = [open_corpus(folder / "de-en.tsv")]
    (batch,) = next(PairSource(corpora, encoder, BatchingSettings(batch_size=3), seed=4).micro_steps(0, 1))
    config = replace(CONFIG, losses=((name, 1.0),), layers=(1,), mask_share=0.6, projection=7, iterations=50)
    config = replace(config, **changes)
    (folder / "cc.de.5.vec").write_text(STATIC, encoding="utf-8")
    static = StaticVectors([folder / "cc.de.5.vec"], corpora)
    mapped = map_words(static, encoder, corpora, lambda e, t: encode_units(e, t, config))
    module = AlignmentModel(
        encoder,
        config,
        start=CopiedStart(encoder, lambda e, t: encode_units(e, t, config), dtype=torch.float32),
        links=GivenLinks(corpora, [read_links(folder / "links")]),
        teacher=None if other is None else Teacher(other, corpora),
        static=mapped if "static" in config.needs else None,
    )
    return module, batch


@pytest.fixture
def narrow(tiny_encoder: TorchEncoder) -> TorchEncoder:
    """An encoder of another width with the same tokenizer."""
    from transformers import BertConfig, BertModel

    config = BertConfig(**{**tiny_encoder.model.config.to_dict(), "hidden_size": 16, "intermediate_size": 32})
    torch.manual_seed(1)
    model = BertModel(config, add_pooling_layer=False).eval()
    return TorchEncoder(model, tiny_encoder.tokenizer, name="narrow", settings=tiny_encoder.settings)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_gradient_moves_what_it_should_and_nothing_else(
    tmp_path: Path, tiny_encoder: TorchEncoder, narrow: TorchEncoder, name: str
) -> None:
    module, batch = prepared(tmp_path, tiny_encoder, name, other=narrow if name == "ot-distill" else None)
    with torch.no_grad():  # away from the start, where the anchors do not pull
        for weight in tiny_encoder.model.parameters():
            weight.mul_(1.05)
    module(batch).parts[name].backward()
    moved = set()
    for parameter, weight in module.named_parameters():
        if weight.grad is not None:
            assert bool(weight.grad.isfinite().all()), parameter
            if bool((weight.grad != 0).any()):
                parts = parameter.removeprefix("model.").split(".")
                moved.add(".".join(parts[: {"embeddings": 1, "heads": 2}.get(parts[0], 3)]))
    assert moved == MOVES[name]
    assert all(weight.grad is None for weight in narrow.model.parameters())


@pytest.mark.parametrize("name", sorted(set(OBJECTIVES) - {"anchor", "parameter-anchor"}))
def test_steps_down_lower_it(tmp_path: Path, tiny_encoder: TorchEncoder, name: str) -> None:
    module, batch = prepared(tmp_path, tiny_encoder, name, iterations=30)
    adam = torch.optim.Adam(module.parameters(), lr=3e-3)
    values = []
    for _ in range(6):
        loss = module(batch).parts[name]
        values.append(loss.item())
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert values[-1] < values[0] - 0.02 * abs(values[0])


def test_a_teacher_reads_with_its_own_tokenizer_and_by_default_is_the_start(
    tmp_path: Path, tiny_encoder: TorchEncoder, narrow: TorchEncoder
) -> None:
    module, batch = prepared(tmp_path, tiny_encoder, "ot-distill", other=narrow)
    taught = module.encode(batch).teacher
    assert taught is not None
    (states,) = narrow.hidden_states(batch.target, layers=[-1])
    torch.testing.assert_close(taught.vectors, pool_words(states, batch.target, word_vector="mean").vectors)
    alone, _ = prepared(tmp_path, tiny_encoder, "ot-distill")
    pairs = alone.encode(batch)
    assert pairs.teacher is not None
    torch.testing.assert_close(pairs.teacher.vectors, pairs.start)
    assert "teacher" not in pairs.heads


def test_own_links_are_those_that_both_sides_prefer(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    from otkit.training.link_losses import own_links

    pairs = random_pairs()
    found = own_links(pairs, CONFIG)
    for row, (x, y) in enumerate(clouds(pairs)):
        plan = entropic(cosine_cost(x, y))[0]
        both = {
            (i, j)
            for i in range(len(x))
            for j in range(len(y))
            if plan[i].argmax() == j and plan[:, j].argmax() == i
        }
        assert set(map(tuple, found[row].nonzero().tolist())) == both


def test_self_training_finds_its_own_links_and_spreads_them_over_the_subwords_of_words() -> None:
    pairs = random_pairs()
    ids = (torch.tensor([[0, 0, 1, -1], [0, 1, -1, -1]]), torch.tensor([[0, 1, -1], [0, 1, 1]]))
    sharp = [
        replace(side, vectors=3 * side.vectors, word_ids=words)
        for side, words in zip((pairs.source, pairs.target), ids, strict=True)
    ]
    pairs = replace(pairs, source=sharp[0], target=sharp[1])
    expected, found = 0.0, []
    for row, (x, y) in enumerate(clouds(pairs)):
        forward, backward = softmax(x @ y.T, 1), softmax(x @ y.T, 0)
        cells = list(np.ndindex(*forward.shape))
        words = {
            (int(ids[0][row, i]), int(ids[1][row, j]))
            for i, j in cells
            if forward[i, j] > 0.001 and backward[i, j] > 0.001
        }
        kept = [(i, j) for i, j in cells if (int(ids[0][row, i]), int(ids[1][row, j])) in words]
        found += [len(kept) / len(cells)]
        expected -= sum(forward[i, j] / len(x) + backward[i, j] / len(y) for i, j in kept) / 2
    assert 0 < min(found) < 1  # neither all cells nor none
    assert value("self-training", pairs, links="own") == pytest.approx(expected, rel=1e-5)


def test_hidden_words_point_where_the_plan_of_the_sentences_does(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = random_pairs()
    own = []
    for x, y in clouds(pairs):
        plan = entropic(cosine_cost(x, y))[0]
        cells = np.ndindex(*plan.shape)
        own.append([(i, j) for i, j in cells if plan[i].argmax() == j and plan[:, j].argmax() == i])
    assert own != LINKS
    monkeypatch.setitem(globals(), "LINKS", own)
    assert value("denoising-alignment", pairs, links="own") == pytest.approx(
        reference_pointer(pairs), rel=1e-4
    )


def test_given_links_reach_the_subwords_of_their_words(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    module, batch = prepared(tmp_path, tiny_encoder, "self-training", granularity="subword")
    pairs = module.encode(batch)
    assert pairs.links is not None
    given = [{(i, i) for i in range(5)}, {(0, 0), (1, 1)}, {(i, i) for i in range(4)}]
    for row, index in enumerate(batch.indices):
        for i, u in enumerate(pairs.source.word_ids[row].tolist()):
            for j, v in enumerate(pairs.target.word_ids[row].tolist()):
                assert bool(pairs.links[row, i, j]) == ((u, v) in given[index])


def test_links_outside_their_sentence_are_named(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    module, batch = prepared(tmp_path, tiny_encoder, "l2")
    corpora = [open_corpus(tmp_path / "de-en.tsv")]
    bad = GivenLinks(corpora, [{1: [(0, 9)], 2: [], 3: []}])
    with pytest.raises(
        InputError, match=r"de-en.tsv:1: the link 0-9 lies outside sentences of 5 and 5 words"
    ):
        bad.words(batch)
    with pytest.raises(ConfigError, match="needs given links"):
        AlignmentModel(tiny_encoder, replace(CONFIG, losses=(("l2", 1.0),)))
    assert module.config.needs == {"links", "pairing"}


@pytest.mark.parametrize("links", ["own", "given"])
def test_a_pointer_has_the_same_loss_where_a_gpu_leaves_units_wide(
    tmp_path: Path, tiny_encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch, links: str
) -> None:
    """Of a joint text they are then wider than the sentences whose links they are held against."""
    found = []
    for wide in (False, True):
        monkeypatch.setattr("otkit.encoders.pooling._waits", lambda values, wide=wide: wide)
        module, batch = prepared(
            tmp_path, tiny_encoder, "denoising-alignment", granularity="subword", links=links
        )
        found.append(module(batch).parts["denoising-alignment"])
    assert found[0] > 0
    assert torch.allclose(found[0], found[1], atol=1e-6)


@pytest.mark.parametrize("name", ["tlm", "denoising-alignment"])
def test_pairs_that_do_not_fit_together_cost_nothing(
    tmp_path: Path, tiny_encoder: TorchEncoder, name: str
) -> None:
    """Such a pair ends up alone in a piece of a batch; it ended the run, after hours, and could not be skipped."""
    module, _ = prepared(tmp_path, tiny_encoder, name)
    most = tiny_encoder.max_tokens * 2 // 3
    (tmp_path / "de-en.tsv").write_text(f"{'das ' * most}\t{'the ' * most}\n", encoding="utf-8")
    corpora = [open_corpus(tmp_path / "de-en.tsv")]
    (batch,) = next(PairSource(corpora, tiny_encoder, BatchingSettings(batch_size=1)).micro_steps(0, 1))
    loss = module(batch).parts[name]
    assert float(loss.detach()) == 0
    loss.backward()
    assert all(bool((w.grad == 0).all()) for w in module.parameters() if w.grad is not None)


def test_layers_with_weights_are_compared_one_by_one(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    parts = (("ot", 1.0), ("anchor", 0.5))
    with torch.no_grad():
        weighted, batch = prepared(
            tmp_path, tiny_encoder, "ot", losses=parts, layers=(1, 2), layer_weights=(0.25, 2.0)
        )
        singles = [
            prepared(tmp_path, tiny_encoder, "ot", losses=parts, layers=(layer,))[0] for layer in (1, 2)
        ]
        for weight in tiny_encoder.model.parameters():
            weight.mul_(1.1)
        found = weighted(batch).parts
        first, second = (module(batch).parts for module in singles)
    for name in found:
        assert found[name].item() == pytest.approx(
            0.25 * first[name].item() + 2 * second[name].item(), rel=1e-4
        )


def test_a_language_has_its_weight(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    plain, batch = prepared(tmp_path, tiny_encoder, "ot")
    halved, _ = prepared(tmp_path, tiny_encoder, "ot", language_weights=(("de", 0.5), ("fr", 9.0)))
    assert halved(batch).parts["ot"].item() == pytest.approx(plain(batch).parts["ot"].item() / 2, rel=1e-5)


def test_the_position_feature_is_one_more_coordinate() -> None:
    pairs = random_pairs()
    sides = []
    for side in (pairs.source, pairs.target):
        place = torch.zeros(*side.mask.shape, 1)
        for row, count in enumerate(side.mask.sum(1).tolist()):
            place[row, :count, 0] = 10 * torch.linspace(0, 1, count)
        sides.append(Encoded(torch.cat([side.vectors, place], 2), side.mask))
    by_hand = replace(pairs, source=sides[0], target=sides[1])
    settings = {"cost": "euclidean", "epsilon": 1.0}
    assert value("ot", pairs, position=10.0, **settings) == pytest.approx(
        value("ot", by_hand, **settings), rel=1e-5
    )


@pytest.mark.parametrize(
    ("name", "power"),
    [
        *(("ot", 1), ("ot-value", 1), ("ot-linear", 1), ("ot-distill", 1), ("l2", 2)),
        *(("contrastive-weak", 0), ("contrastive-strong", 0), ("link-likelihood", 0)),
        ("word-alignment-supervised", 0),
    ],
)
def test_in_units_of_the_mean_cost_the_scale_of_the_vectors_changes_no_plan(name: str, power: int) -> None:
    """Temperature and tau, whichever part asks for the plan: in one unit, all of them are indifferent to scale."""
    pairs = random_pairs()
    scaled = {
        side: encoded.with_vectors(10 * encoded.vectors)
        for side in ("source", "target", "teacher")
        if (encoded := getattr(pairs, side)) is not None
    }
    settings = {
        "epsilon": 0.2,
        "unit": "mean-cost",
        "tau": 0.3,
        "cost": "euclidean",
        "iterations": 300,
        "links": "given" if name == "word-alignment-supervised" else "own",
    }
    found = value(name, pairs, **settings)
    assert value(name, replace(pairs, **scaled), **settings) == pytest.approx(found * 10**power, rel=1e-4)
    # Both matter: otherwise their unit could not be seen.
    if name not in ("l2", "contrastive-weak", "contrastive-strong"):
        for other in ({"tau": 0.6}, {"epsilon": 0.4}):
            assert value(name, pairs, **{**settings, **other}) != pytest.approx(found, rel=1e-4)


def test_hidden_words_are_the_same_for_the_same_batch_and_others_at_the_next_visit(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    module, batch = prepared(tmp_path, tiny_encoder, "tlm")
    corpora = [open_corpus(tmp_path / "de-en.tsv")]
    source = PairSource(corpora, tiny_encoder, BatchingSettings(batch_size=3), seed=4)
    again, other = (next(source.micro_steps(step, step + 1))[0] for step in (0, 1))
    places = [module.encode(each).joint.masked.places.tolist() for each in (batch, again, other)]  # type: ignore[union-attr]
    assert places[0] == places[1]
    assert batch.draw == again.draw != other.draw


def test_heads_are_the_same_for_the_same_seed_and_stay_out_of_the_encoder(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    config = replace(
        CONFIG, losses=(("contrastive-weak", 1.0), ("mlm", 1.0), ("denoising-alignment", 1.0)), links="own"
    )
    config = replace(config, projection=7)
    modules = [AlignmentModel(tiny_encoder, config, seed=seed) for seed in (3, 3, 4)]
    states = [module.heads.state_dict() for module in modules]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["pointer.query.weight"], states[2]["pointer.query.weight"])
    tiny_encoder.save(tmp_path / "saved")
    from safetensors.torch import load_file

    assert not any(
        "head" in name or "pointer" in name for name in load_file(tmp_path / "saved" / "model.safetensors")
    )


@pytest.mark.parametrize(("length_power", "attach_factor"), [(0.0, 1.0), (0.5, 3.0)])
def test_likelihood_reads_the_links_that_the_word_aligner_reads(
    tmp_path: Path,
    sample_encoder: TorchEncoder,
    monkeypatch: pytest.MonkeyPatch,
    length_power: float,
    attach_factor: float,
) -> None:
    from otkit.alignment.aligner import WordAligner
    from otkit.alignment.settings import AlignmentSettings

    linked_from = AlignmentSettings().compared_with

    russian = "После войны правительство построило новый завод на берегу реки ."
    english = "After the war the government built a new factory on the bank of the river ."
    text = f"{russian}\t{english}\nDas Ende des Krieges .\tThe end of the war .\n"
    (tmp_path / "de-en.tsv").write_text(text, encoding="utf-8")
    monkeypatch.setattr(sample_encoder, "settings", replace(sample_encoder.settings, prefix=""))
    corpora = [open_corpus(tmp_path / "de-en.tsv")]
    (batch,) = next(PairSource(corpora, sample_encoder, BatchingSettings(batch_size=2)).micro_steps(0, 1))
    config = ObjectiveSettings(
        losses=(("link-likelihood", 1.0),),
        cost="cosine",
        epsilon=0.075,
        unit="mean-cost",
        tau=0.1,
        center="sentence",  # type: ignore[arg-type]
        word_vector="mean",
        layers=(7,),
        length_power=length_power,
        attach_factor=attach_factor,  # type: ignore[arg-type]
    )
    module = AlignmentModel(sample_encoder, config)
    with torch.no_grad():
        found = module(batch).parts["link-likelihood"].item()
    lines = [tuple(tuple(side.split()) for side in line.split("\t")) for line in text.splitlines()]
    settings = {"layers": (7,), "length_power": length_power, "attach_factor": attach_factor}
    links = list(WordAligner(sample_encoder, AlignmentSettings(**settings)).align(lines))  # type: ignore[arg-type]
    every = WordAligner(sample_encoder, AlignmentSettings(layers=(7,), threshold=0.0)).align(lines)
    expected = 0.0
    for read, shares in zip(links, every, strict=True):
        p = np.zeros((len(read.source), len(read.target)))
        for i, j, score in shares.links:
            p[i, j] = score
        linked = np.zeros_like(p, dtype=bool)
        for i, j in read.pairs:
            linked[i, j] = True
        if length_power:
            assert (linked != (p > linked_from)).any()
        p = 1 / (1 + np.exp((linked_from - p) / 0.1))
        expected -= np.where(linked, np.log(p), np.log(1 - p)).sum() * 2 / sum(p.shape) / 2
    assert found == pytest.approx(expected, rel=5e-3)


def test_letters_are_of_words() -> None:
    with pytest.raises(ConfigError, match="use the granularity word"):
        ObjectiveSettings(length_power=0.25, granularity="subword")
    with pytest.raises(ConfigError, match="at least 0"):
        ObjectiveSettings(attach_factor=-1.0)
    pairs = random_pairs()
    with pytest.raises(ConfigError, match="the lengths of the words are not known"):
        value("link-likelihood", pairs, links="own", length_power=0.25)
