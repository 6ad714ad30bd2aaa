"""How probably a word has no partner: the rules of `otkit/alignment/partners.py`, fitted and tested.

    python -m benchmarks.no_partner [--fit]

Words of the twelve gold sets of `benchmarks.word_alignment`, under each transport that has a null: a word has a partner
where the gold links it, surely or possibly. Reliability: each language under rules fitted on the eleven others, all
words together by tenths of what is predicted. In a fit each language counts the same: annotators differ, and the one
with most words without a link would sway the rule. `--fit` writes the rules to `otkit/alignment/partners.json`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import otkit
from benchmarks.common import show
from benchmarks.word_alignment import gold_sets
from otkit.alignment.aligner import WordAligner
from otkit.alignment.links import find_all
from otkit.alignment.partners import KINDS, features
from otkit.alignment.settings import AlignmentSettings
from otkit.alignment.shares import shares_of
from otkit.alignment.store import UnitStore, averaged
from otkit.data.gold import GoldPair
from otkit.encoders.open import open_encoder
from otkit.evaluation.word_alignment import encode_gold
from otkit.files import write_file

TRANSPORTS = ("unbalanced", "semi", "partial")
_CAUTION = {"linked": 1.0, "unlinked": 1.0, "mark": 3000.0}
"""How much evidence the share and the null mass of a kind must bring: there are few marks without a link."""
_LEAST = 50
"""Words of a tenth below which its share of partnerless words is not held against what was predicted."""

Words = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Kinds (W,), features (W, 4), and whether the gold has no link."""


def words_of(pairs: list[GoldPair], store: UnitStore, config: AlignmentSettings) -> Words:
    kinds, rows, alone = [], [], []
    for pair, found in zip(pairs, find_all(store, config, plans=True), strict=True):
        assert found.plan is not None
        share = shares_of(found.plan)
        for side, words in enumerate((pair.source, pair.target)):
            moved = found.plan.sum(1 - side) * len(words)
            linked, gold = set(found.links[side]), {link[side] for link in pair.possible}
            largest = share.max(1 - side) if share.size else np.zeros(len(words))
            for k, word in enumerate(words):
                mark = not any(map(str.isalnum, word))
                kinds.append(0 if k in linked else 2 if mark else 1)
                rows.append((largest[k], min(max(1 - moved[k], 0.0), 1.0)))
                alone.append(k not in gold)
    figures = torch.tensor(np.array(rows))
    return np.array(kinds), features(figures[:, 0], figures[:, 1]).numpy(), np.array(alone)


def fitted(sets: list[Words]) -> dict[str, list[float]]:
    """The rules by Newton's method, each set of the same weight, small numbers for all but the constant preferred."""
    kinds, rows, alone = together(sets)
    rules = {}
    for place, kind in enumerate(KINDS):
        x, y = rows[kinds == place], alone[kinds == place]
        counts = [int((each[0] == place).sum()) for each in sets]
        weights = np.concatenate([np.full(n, len(x) / len(sets) / max(n, 1)) for n in counts])[:, None]
        middle = np.array([0.0, *np.average(x[:, 1:], axis=0, weights=weights[:, 0])])
        x = x - middle
        prior = np.diag([1e-3, *[_CAUTION[kind]] * (x.shape[1] - 1)])
        rule = np.zeros(x.shape[1])
        for _ in range(50):
            p = 1 / (1 + np.exp(-x @ rule))
            hessian = (x * weights * (p * (1 - p))[:, None]).T @ x + prior
            rule += np.linalg.solve(hessian, x.T @ (weights[:, 0] * (y - p)) - prior @ rule)
        rule[0] -= rule @ middle
        rules[kind] = rule.round(3).tolist()
    return rules


def predicted(words: Words, rules: dict[str, list[float]]) -> np.ndarray:
    kinds, rows, _ = words
    numbers = np.array([rules[kind] for kind in KINDS])[kinds]
    return np.asarray(1 / (1 + np.exp(-(rows * numbers).sum(1))))


def together(sets: list[Words]) -> Words:
    kinds, rows, alone = (np.concatenate(parts) for parts in zip(*sets, strict=True))
    return kinds, rows, alone


def report(transport: str, sets: dict[str, Words]) -> None:
    held_out = {
        name: predicted(words, fitted([other for key, other in sets.items() if key != name]))
        for name, words in sets.items()
    }
    p, y = np.concatenate(list(held_out.values())), together(list(sets.values()))[2]
    rows = []
    for tenth in range(10):
        inside = (p * 10).astype(int).clip(max=9) == tenth
        if inside.any():
            gap = y[inside].mean() - p[inside].mean()
            said = f"{gap:+.3f}" if inside.sum() >= _LEAST else f"({gap:+.3f})"
            rows.append([f"{tenth / 10:.1f}", int(inside.sum()), p[inside].mean(), y[inside].mean(), said])
    loss = -np.where(y, np.log(p), np.log(1 - p)).mean()
    base = -(y.mean() * np.log(y.mean()) + (1 - y.mean()) * np.log(1 - y.mean()))
    title = f"{transport}: log-loss {loss:.3f} (the plain share of all words: {base:.3f})"
    show(title, ("from", "words", "predicted", "without a partner", "gap"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fit", action="store_true", help="write the rules")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    encoder = open_encoder(device="cpu")
    sets: dict[str, dict[str, Words]] = {name: {} for name in TRANSPORTS}
    default = AlignmentSettings()
    for language, gold in gold_sets().items():
        pairs = list(gold)
        store = averaged(encode_gold(encoder, pairs, layers=WordAligner(encoder).layers, config=default))
        for name, found in sets.items():
            found[language] = words_of(pairs, store, replace(default, transport=name))
        print(language, flush=True)
    rules = {name: fitted(list(found.values())) for name, found in sets.items()}
    for name, found in sets.items():
        report(name, found)
        show(
            f"{name}: rules",
            ("kind", "constant", "share", "null", "moved"),
            [[k, *rule] for k, rule in rules[name].items()],
        )
    if options.fit:
        rows = (f'"{name}": {json.dumps(each)}' for name, each in rules.items())
        path = Path(otkit.__file__).parent / "alignment" / "partners.json"
        write_file(path, "{\n" + ",\n".join(rows) + "\n}\n", overwrite=True)


if __name__ == "__main__":
    main()
