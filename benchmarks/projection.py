"""Projection by the sample encoder: entities of Europarl, answers of XQuAD, tags of Mozilla's strings, lexicons.

    python -m benchmarks.projection [entities] [answers] [tags] [lexicon] [--set KEY=VALUE ...]

The few numbers of the span rules were chosen on the even sentences of Europarl NER and the even strings of Mozilla; the
odd ones were not looked at for that, and nothing at all was chosen on XQuAD.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import data, show
from otkit.alignment.aligner import Alignment
from otkit.alignment.settings import AlignmentSettings
from otkit.alignment.shares import Shares, shares_of
from otkit.api.lexicon import lexicon
from otkit.api.project import open_aligner
from otkit.data.gold import read_gold
from otkit.projection.labelled import Labelled, Squad, decode
from otkit.projection.lexicon import look_up
from otkit.projection.places import Place, Text, carry_places
from otkit.projection.scores import answer_scores, span_scores
from otkit.projection.settings import SpanSettings
from otkit.projection.spans import RULES, Span, carry_spans
from otkit.projection.tags import TAG_SETTINGS
from otkit.reports.tables import Value

Sentence = tuple[list[str], list[tuple[str, int, int]]]


def sentences(language: str) -> list[Sentence]:
    """Words and gold spans of Europarl NER."""
    path = data("projection", f"europarl-ner.{language}.dev.conll.gz")
    blocks = gzip.decompress(path.read_bytes()).decode().strip().split("\n\n")
    rows = [[line.split("\t") for line in block.split("\n")] for block in blocks]
    return [([word for word, _ in block], decode([label for _, label in block])) for block in rows]


def _shares(alignment: Alignment) -> Shares:
    """Of the plan, which every pair has that is short enough for one."""
    assert alignment.plan is not None
    return shares_of(alignment.plan)


def entities(settings: AlignmentSettings) -> None:
    """Span F1 of every rule, of all sentences, and of those that nothing was chosen on."""
    aligner, english = open_aligner(None, settings), sentences("en")
    plans, gold = {}, {}
    for language in ("de", "es", "it"):
        theirs = sentences(language)
        pairs = [(a, b) for (a, _), (b, _) in zip(english, theirs, strict=True)]
        plans[language] = [(found.target, _shares(found)) for found in aligner.align(pairs)]
        gold[language] = [spans for _, spans in theirs]
    rows = []
    for rule in RULES:
        own = SpanSettings(rule=rule) if rule in ("price", "overlap") else SpanSettings(rule=rule, floor=0.0)
        row: list[Any] = [rule]
        for part in (slice(None), slice(1, None, 2)):
            scores = []
            for language, found in plans.items():
                projected = [
                    [
                        (each.span.label, *place)
                        for each in carry_spans(shares, source, target, [Span(*one) for one in spans], own)
                        for place in each.stretches
                    ]
                    for (source, spans), (target, shares) in zip(english, found, strict=True)
                ]
                scores.append(100 * span_scores(projected[part], gold[language][part]).figures["f1"].value)
            row += [*scores, float(np.mean(scores))]
        rows.append(row)
    names = ["de", "es", "it", "mean"]
    show("Europarl NER, span F1", ["rule", *names, *(f"{name} (odd)" for name in names)], rows, digits=1)


def answers(settings: AlignmentSettings, languages: Sequence[str] = ("de", "es", "el", "ar", "zh")) -> None:
    """Exact match and F1 of gold answers of English carried to the other languages, as SQuAD and as MLQA count."""
    aligner = open_aligner(None, settings)
    rows: list[list[Value]] = []
    for language in languages:
        with tempfile.TemporaryDirectory() as folder:
            files = {name: Path(folder) / f"{name}.json" for name in ("en", language)}
            for name, file in files.items():
                file.write_bytes(gzip.decompress(data("xquad", f"xquad.{name}.json.gz").read_bytes()))
            items = [
                item for item in Squad(files["en"], files[language]).read() if isinstance(item, Labelled)
            ]
            content = json.loads(files[language].read_text(encoding="utf-8"))
        gold = {
            question["id"]: [answer["text"] for answer in question["answers"]]
            for article in content["data"]
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        }
        found: dict[str, str] = {}
        pairs = [(item.source.bare, item.target.bare) for item in items]
        for item, alignment in zip(items, aligner.align(pairs), strict=True):
            shares = _shares(alignment)
            own = SpanSettings(rule="overlap")
            for each in carry_places(shares, item.source, item.target, item.places, own):
                found[each.place.label] = " ".join(item.target.text[slice(*one)] for one in each.stretches)
        scores = answer_scores(found, gold, language=language).figures
        rows.append([language, *(100 * each.value for each in scores.values())])
    show("XQuAD gold answers", ["language", "EM", "F1", "EM (MLQA)", "F1 (MLQA)"], rows, digits=1)


_EDGES = ' \u00a0\u202f.,:;!?。、：！？…()（）"“”„«»「」'


def tags(settings: AlignmentSettings) -> None:
    """Tags at the very characters where people put them; and with punctuation and spaces at the edges left out."""
    aligner, rows = open_aligner(None, settings), []
    for language in ("de", "fr", "ja"):
        packed = data("tags", f"www-l10n.en-{language}.dev.jsonl.gz").read_bytes()
        lines = gzip.decompress(packed).decode().splitlines()
        records = [json.loads(line) for line in lines]
        texts = [(Text.of(record["source"]), Text.of(record["target"])) for record in records]
        exact, loose, odd = [], [], []
        found = aligner.align([(a.bare, b.bare) for a, b in texts])
        for number, (record, (source, target), alignment) in enumerate(
            zip(records, texts, found, strict=True)
        ):
            places = [Place(*tag) for tag in record["source_tags"]]
            carried = carry_places(_shares(alignment), source, target, places, TAG_SETTINGS)
            for each, (_, start, end) in zip(carried, record["target_tags"], strict=True):
                place = each.stretches[0] if each.stretches else (-1, -1)
                exact.append(place == (start, end))
                loose.append(_inner(target.text, *place) == _inner(target.text, start, end))
                odd += [exact[-1]] if number % 2 else []
        rows.append([language, *(100 * float(np.mean(each)) for each in (exact, loose, odd)), len(exact)])
    show(
        "Mozilla strings, exact span",
        ["language", "exact", "edges aside", "exact (odd)", "tags"],
        rows,
        digits=1,
    )


def _inner(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start] in _EDGES:
        start += 1
    while end > start and text[end - 1] in _EDGES:
        end -= 1
    return start, end


def induction(settings: AlignmentSettings) -> None:
    """Gold-linked targets of seen words among the 50 first entries of a lexicon of the same text."""
    rows = []
    for language in ("bg", "it", "nl"):
        gold = read_gold(data("word-alignment", f"xlwa-en-{language}.dev.tsv.gz"))
        with tempfile.TemporaryDirectory() as folder:
            corpus, output = Path(folder) / "corpus.tsv", Path(folder) / "lexicon.sqlite"
            lines = [f"{' '.join(pair.source)}\t{' '.join(pair.target)}\n" for pair in gold]
            corpus.write_text("".join(lines), encoding="utf-8")
            lexicon(corpus, output, form="sqlite", alignment=settings)
            hits = total = 0
            known: dict[str, set[str]] = {}
            for pair in gold:
                for i, j in pair.sure:
                    word = pair.source[i]
                    if word not in known:
                        entries = [each for each in look_up(output, word, most=1000) if each.source == word]
                        known[word] = {each.target for each in entries[:50]}
                    hits += pair.target[j] in known[word]
                    total += 1
        rows.append([language, 100 * hits / total, total])
    show("Lexicon induction, gold targets in the top 50", ["language", "%", "links"], rows, digits=1)


PARTS = {"entities": entities, "answers": answers, "tags": tags, "lexicon": induction}


def main() -> None:
    """Run the parts that are named, or all."""
    words = sys.argv[1:]
    changes = dict(words[at + 1].split("=") for at, word in enumerate(words) if word == "--set")
    settings = AlignmentSettings.from_dict({name: float(value) for name, value in changes.items()})
    for name in [word for word in words if word in PARTS] or PARTS:
        PARTS[name](settings)


if __name__ == "__main__":
    main()
