"""Losses on linked words: pull the two words of a link together, or apart from all the others."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from otkit.alignment.links import linked_shares
from otkit.alignment.plans import Problem, problem_of, solve
from otkit.alignment.settings import AlignmentSettings
from otkit.errors import ConfigError
from otkit.training.encoded import EncodedPairs, Part
from otkit.training.settings import ObjectiveSettings
from otkit.training.transport_losses import plan_between
from otkit.transport.plan import shares
from otkit.transport.sinkhorn import sinkhorn

__all__ = [
    "aligner_links",
    "aligner_settings",
    "aligner_shares",
    "consistency",
    "contrastive_strong",
    "contrastive_weak",
    "l2",
    "link_likelihood",
    "own_links",
    "self_training",
    "single_links",
]

# awesome-align's default threshold on both softmaxes.
_THRESHOLD = 1e-3
# Iterations that the gradient goes through: soft marginals are met exactly by then, hard ones within 2e-3 on average
# (real sentences, cosine, 0.075 of the mean cost).
_UNROLLED = 50
# A share this far above the aligner's threshold has the odds e to 1 of a link. Half of it and twice of it teach less.
_SPREAD = 0.1


def l2(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """The squared distance of both words of a link, summed (or averaged) over links that are one to one.

    sum over links (i,j) of |f(x_i) - f(y_j)|^2 (Cao, Kitaev, Klein, ICLR 2020, section 3.1); beside it goes
    the `anchor` on English, with weight 1 there. `anchor_reduction` says sum or mean for both, so that the
    two keep their proportion.
    """
    source, target, linked = _linked(pairs, config)
    squared = (source - target).square().sum(1).masked_fill(~linked, 0.0)  # (B*N,)
    count = linked.sum()
    total = squared.sum()
    value = total if config.anchor_reduction == "sum" else total / count.clamp(min=1) * pairs.batch_fraction
    return Part(value, {"links": count.detach().float()})


def contrastive_weak(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """A word must prefer its partner to the other linked words of the other side.

    L = 1/2N sum_i [ -log e^{sim(s_i,t_i)} / sum_j e^{sim(s_i,t_j)} - log e^{sim(s_i,t_i)} / sum_j
    e^{sim(s_j,t_i)} ], sim = cos / temperature over the N links of the batch, optionally behind a projection
    (Wu and Dredze, EMNLP 2020, equation 2; temperature 0.1, Linear-ReLU-Linear to 128).
    """
    source, target, linked = _projected(pairs, config)
    scores = source @ target.T / config.temperature  # (L,L)
    columns = scores.masked_fill(~linked[None, :], -torch.inf).logsumexp(1)
    rows = scores.masked_fill(~linked[:, None], -torch.inf).logsumexp(0)
    losses = (columns + rows) / 2 - scores.diagonal()
    return Part(_mean(losses, linked) * pairs.batch_fraction)


def contrastive_strong(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """A word must prefer its partner to all other linked words, of its own language too.

    L = -1/2N sum_x log e^{sim(x,x+)} / sum_{y != x} e^{sim(x,y)} over the 2N vectors of both sides
    (Wu and Dredze, EMNLP 2020, equation 3).
    """
    source, target, linked = _projected(pairs, config)
    both, real = torch.cat([source, target]), torch.cat([linked, linked])  # (2L,D)
    scores = both @ both.T / config.temperature
    itself = torch.eye(len(both), dtype=torch.bool, device=both.device)
    norms = scores.masked_fill(itself | ~real[None, :], -torch.inf).logsumexp(1)
    partner = (source * target).sum(1) / config.temperature
    return Part(_mean(norms - torch.cat([partner, partner]), real) * pairs.batch_fraction)


def self_training(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """Raise the probability of the links that the encoder itself finds, or that are given.

    L_SO = -mean over pairs of [ sum A * S_xy / n + sum A * S_yx / m ], S_xy and S_yx the softmaxes of the dot
    products over targets and over sources, A the links where both exceed 0.001, spread over all subwords of
    linked words (awesome-align: Dou and Neubig, EACL 2021, section 2.2). A has no gradient.
    """
    forward, backward = _softmaxes(pairs, config)
    if config.links == "given":
        links = _given(pairs)
    else:
        with torch.no_grad():
            links = _spread((forward > _THRESHOLD) & (backward > _THRESHOLD), pairs)
    kept = links.to(forward.dtype)
    lengths = [side.mask.sum(1).clamp(min=1) for side in (pairs.source, pairs.target)]
    gained = (kept * forward).sum((1, 2)) / lengths[0] + (kept * backward).sum((1, 2)) / lengths[1]
    return Part(-gained.mean() * pairs.batch_fraction)


def consistency(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """Both directions should agree: L_CO = -mean over pairs of trace(S_xy^T S_yx) / min(n, m).

    The agreement term of awesome-align (Dou and Neubig, EACL 2021, section 2.2): it raises recall.
    """
    forward, backward = _softmaxes(pairs, config)
    lengths = [side.mask.sum(1).clamp(min=1) for side in (pairs.source, pairs.target)]
    agreed = (forward * backward).sum((1, 2)) / torch.minimum(*lengths)
    return Part(-agreed.mean() * pairs.batch_fraction)


def link_likelihood(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """What the word aligner reads, as odds of links, and the negative log-likelihood of the links under them.

    L = -mean over pairs of 2/(n+m) sum_ij [ A_ij log s_ij + (1 - A_ij) log(1 - s_ij) ], s_ij = sigmoid((p_ij - 0.45) /
    0.1), where p_ij = P_ij / sqrt(sum_j P_ij sum_i P_ij), the plan's share of row and column, is what otkit's word
    aligner weighs by lengths and rivals and compares with its threshold of 0.45, its word order included: what that
    settles needs no learning, nor does a share that lies far on the right side. The gradient goes through the unrolled
    solver, as in OTAlign's loss (Arase, Bao, Yokoi, ACL 2023, section 4.3), whose scaling of each plan to [0, 1] and
    projection head are left out: what is learnt is then in the encoder, and a pair without links can say so. Own links
    are those of `aligner_links`: in a run those of some steps ago (training.reading).
    """
    share = aligner_shares(pairs, config)
    if config.links == "given":
        links = _given(pairs)
    else:
        links = aligner_links(share.detach(), pairs, config) if pairs.read is None else pairs.read
    real = pairs.source.mask[:, :, None] & pairs.target.mask[:, None, :]
    odds = (share - (aligner_settings(pairs, config).compared_with or 0.0)) / _SPREAD
    loss = binary_cross_entropy_with_logits(odds, links.to(odds.dtype), reduction="none")
    words = pairs.source.mask.sum(1) + pairs.target.mask.sum(1)
    return Part((2 * loss.masked_fill(~real, 0.0).sum((1, 2)) / words).mean() * pairs.batch_fraction)


def aligner_shares(pairs: EncodedPairs, config: ObjectiveSettings) -> Tensor:
    """(B,N,M) in [0,1]: what the word aligner weighs by lengths and rivals, from the plan under the objective's cost,
    temperature and tau, with the aligner's word order. With gradients, through the unrolled solver, where they are on.
    """
    solver = replace(config.sinkhorn, max_iterations=min(config.iterations, _UNROLLED))

    def plan(problem: Problem) -> Tensor:
        used = solver
        if torch.is_grad_enabled():
            used = replace(solver, gradient="unroll", tolerance=None)
        unit = problem.unit if solver.relative else None
        return sinkhorn(problem.cost, problem.a, problem.b, config=used, unit=unit).matrix

    settings = aligner_settings(pairs, config)
    weights = pairs.source_weights, pairs.target_weights
    problem = problem_of(pairs.source, pairs.target, settings, weights, pairs.letters)
    return shares(solve(problem, settings, plan), problem.mask)


def aligner_links(share: Tensor, pairs: EncodedPairs, config: ObjectiveSettings) -> Tensor:
    """(B,N,M) bool: what the word aligner links at these shares, without gradient."""
    return linked_shares(share, aligner_settings(pairs, config), pairs.letters)


def aligner_settings(pairs: EncodedPairs, config: ObjectiveSettings) -> AlignmentSettings:
    """The aligner that training reads: the objective's cost, centring and length of words; word order, rivals and
    threshold are the recipe's for alignment. The text is read as it is written."""
    order = pairs.alignment
    return AlignmentSettings(
        cost=config.cost,
        center=config.center,
        distortion=order.distortion,
        agreement=order.agreement,
        rounds=order.rounds,
        rival_factor=order.rival_factor,
        threshold=order.compared_with if order.strategy == "threshold" else None,
    ).changed(**config.lengths)


def own_links(pairs: EncodedPairs, config: ObjectiveSettings) -> Tensor:
    """(B,N,M) bool: units that the current transport plan gives to each other before all others, without
    gradient.
    """
    with torch.no_grad():
        plan = plan_between(pairs, replace(config, scope="pair")).matrix
        most = (plan == plan.amax(2, keepdim=True)) & (plan == plan.amax(1, keepdim=True))
        return most & (plan > 0)


def _given(pairs: EncodedPairs) -> Tensor:
    if pairs.links is None:
        raise ConfigError("no links were given", remedy="give links for every pair, or use links 'own'")
    return pairs.links


def single_links(pairs: EncodedPairs, config: ObjectiveSettings) -> Tensor:
    """(B,N,M) bool: the given links, or the encoder's own, that are one to one."""
    links = _given(pairs) if config.links == "given" else own_links(pairs, config)
    return (links.sum(2, keepdim=True) == 1) & (links.sum(1, keepdim=True) == 1) & links


def _linked(pairs: EncodedPairs, config: ObjectiveSettings) -> tuple[Tensor, Tensor, Tensor]:
    """(L,D) every source unit with its partner, L = B*N, and (L,) whether it has one.

    Links that are not one to one are dropped, as both papers do. Units without a link stay in as rows that
    the losses leave out: picking the linked ones would need a host sync for their number.
    """
    single = single_links(pairs, config)
    partner = single.to(torch.int8).argmax(2)  # (B,N)
    sides = pairs.compared(config.center)
    index = partner[..., None].expand(-1, -1, sides[1].vectors.shape[2])
    target = sides[1].vectors.gather(1, index)  # (B,N,D)
    return sides[0].vectors.flatten(0, 1), target.flatten(0, 1), single.any(2).flatten()


def _projected(pairs: EncodedPairs, config: ObjectiveSettings) -> tuple[Tensor, Tensor, Tensor]:
    source, target, linked = _linked(pairs, config)
    head = pairs.heads.get("projection", torch.nn.Identity())
    return normalize(head(source), dim=1), normalize(head(target), dim=1), linked


def _mean(losses: Tensor, real: Tensor) -> Tensor:
    # What is not linked may be infinite: it is replaced, since 0 * inf would be NaN, and so would its
    # gradient.
    return torch.where(real, losses, 0.0).sum() / real.sum().clamp(min=1)


def _softmaxes(pairs: EncodedPairs, config: ObjectiveSettings) -> tuple[Tensor, Tensor]:
    """(B,N,M) softmaxes of the dot products over the targets and over the sources, exactly 0 at padding."""
    source, target = (side.vectors for side in pairs.compared(config.center))
    scores = torch.bmm(source, target.transpose(1, 2))
    real = pairs.source.mask[:, :, None] & pairs.target.mask[:, None, :]
    scores = scores.masked_fill(~real, torch.finfo(scores.dtype).min)
    return (scores.softmax(2).masked_fill(~real, 0.0), scores.softmax(1).masked_fill(~real, 0.0))


def _spread(links: Tensor, pairs: EncodedPairs) -> Tensor:
    """(B,N,M): links between any subwords of two words as links between all their subwords."""
    own = []
    for side in (pairs.source, pairs.target):
        ids = side.word_ids
        own.append(
            ((ids[:, :, None] == ids[:, None, :]) & side.mask[:, :, None] & side.mask[:, None, :]).float()
        )
    return own[0] @ links.float() @ own[1] > 0
