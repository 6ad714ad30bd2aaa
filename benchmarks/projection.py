"""Projection by the sample encoder: entities of Europarl, answers of XQuAD, tags of Mozilla's strings, lexicons.

    python -m benchmarks.projection [entities] [answers] [tags] [lexicon] [--set KEY=VALUE ...]

The few numbers of the span rules were chosen on the even sentences of Europarl NER and the even strings of Mozilla; the
odd ones were not looked at for that. On XQuAD one number was chosen, the edge of answers, by its German and Spanish
(each of them prefers the same); weights of confidence see all of them (see benchmarks/confidence.py).
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import data, ended, show
from otkit.alignment.aligner import Alignment
from otkit.alignment.settings import AlignmentSettings
from otkit.alignment.shares import Shares, shares_of
from otkit.api.lexicon import lexicon
from otkit.api.project import open_aligner
from otkit.data.gold import GoldPair, read_gold
from otkit.errors import choose
from otkit.projection.labelled import Labelled
from otkit.projection.labels import decode
from otkit.projection.lexicon import look_up
from otkit.projection.places import Place, Text, carry_places
from otkit.projection.scores import answer_scores, span_scores
from otkit.projection.settings import LexiconSettings, SpanSettings
from otkit.projection.spans import RULES, Span, carry_spans
from otkit.projection.squad import Squad
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


def xquad(language: str) -> tuple[list[Labelled], Any]:
    """The paragraphs of XQuAD in English and a language, and the file of the language."""
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.json" for name in ("en", language)}
        for name, file in files.items():
            file.write_bytes(gzip.decompress(data("xquad", f"xquad.{name}.json.gz").read_bytes()))
        items = [item for item in Squad(files["en"], files[language]).read() if isinstance(item, Labelled)]
        return items, json.loads(files[language].read_text(encoding="utf-8"))


def answers(settings: AlignmentSettings, languages: Sequence[str] = ("de", "es", "el", "ar", "zh")) -> None:
    """Exact match and F1 of gold answers of English carried to the other languages, as SQuAD and as MLQA count."""
    aligner = open_aligner(None, settings)
    rows: list[list[Value]] = []
    for language in languages:
        items, content = xquad(language)
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
            own = SpanSettings().resolved("overlap")
            for each in carry_places(shares, item.source, item.target, item.places, own):
                found[each.place.label] = " ".join(item.target.text[slice(*one)] for one in each.stretches)
        scores = answer_scores(found, gold, language=language).figures
        rows.append([language, *(100 * each.value for each in scores.values())])
    show("XQuAD gold answers", ["language", "EM", "F1", "EM (MLQA)", "F1 (MLQA)"], rows, digits=1)


def _tagged(record: dict[str, Any]) -> tuple[Text, Text]:
    """Both texts of a string, as `otkit tags` cuts them into words."""
    ends = {place for _, *places in record["source_tags"] for place in places}
    return Text.of(record["source"], cuts=ends), Text.of(record["target"], parts=True)


_EDGES = ' \u00a0\u202f.,:;!?。、：！？…()（）"“”„«»「」'


def tags(settings: AlignmentSettings) -> None:
    """Tags at the very characters where people put them; and with punctuation and spaces at the edges left out."""
    aligner, rows = open_aligner(None, settings), []
    for language in ("de", "fr", "ja"):
        packed = data("tags", f"www-l10n.en-{language}.dev.jsonl.gz").read_bytes()
        lines = gzip.decompress(packed).decode().splitlines()
        records = [json.loads(line) for line in lines]
        texts = [_tagged(record) for record in records]
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
    """Gold-linked targets of seen words among the 50 first entries of a lexicon of the same text: of links, of shares,
    and the most that 50 entries can hold; and of shares, of the words that have no more than 50 targets in the gold."""
    rows = []
    for language in ("bg", "it", "nl", "es", "pt", "sl"):
        gold = list(read_gold(data("word-alignment", f"xlwa-en-{language}.dev.tsv.gz")))
        seen: dict[str, Counter[str]] = {}
        for pair in gold:
            for i, j in pair.sure:
                seen.setdefault(pair.source[i], Counter())[pair.target[j]] += 1
        most = {word: [target for target, _ in targets.most_common(_TOP)] for word, targets in seen.items()}
        few = {word: targets for word, targets in seen.items() if len(targets) <= _TOP}
        (links, sure), (shares, weak) = (_induced(gold, settings, weigh) for weigh in ("links", "shares"))
        figures = (_held(seen, links), _held(seen, shares), _held(seen, most), _held(few, shares))
        rows.append([language, *figures, sure, weak])
    columns = [
        "language",
        "links",
        "shares",
        "most",
        f"shares, of at most {_TOP}",
        "entries (links)",
        "entries (shares)",
    ]
    show(f"Lexicon induction, % of gold targets in the top {_TOP}", columns, rows, digits=1)


_TOP = 50


def _held(seen: Mapping[str, Counter[str]], known: Mapping[str, Collection[str]]) -> float:
    """The share of the gold links, in percent, whose target is among those that are known of their word."""
    held = sum(
        count for word, targets in seen.items() for one, count in targets.items() if one in known[word]
    )
    return 100 * held / sum(targets.total() for targets in seen.values())


def _induced(
    gold: Sequence[GoldPair], settings: AlignmentSettings, weigh: str
) -> tuple[dict[str, list[str]], int]:
    """The first entries of each word in a lexicon of the text, and how many it has in all."""
    with tempfile.TemporaryDirectory() as folder:
        corpus, output = Path(folder) / "corpus.tsv", Path(folder) / "lexicon.sqlite"
        lines = [f"{' '.join(pair.source)}\t{' '.join(pair.target)}\n" for pair in gold]
        corpus.write_text("".join(lines), encoding="utf-8")
        made = lexicon(
            corpus, output, form="sqlite", alignment=settings, settings=LexiconSettings(weigh=weigh)
        )
        known = {}
        for word in {word for pair in gold for word in pair.source}:
            entries = [each for each in look_up(output, word, most=10_000) if each.source == word]
            known[word] = [each.target for each in entries[:_TOP]]
    return known, made.entries


@dataclass(frozen=True)
class GoldSpans:
    """A sentence pair with spans of source words [start, end) and the target words where people have each of them."""

    task: str
    language: str
    rule: str
    source: Sequence[str]
    target: Sequence[str]
    shares: Shares
    places: Sequence[tuple[int, int]]
    gold: Sequence[Collection[tuple[int, int]]]


def gold_entities(settings: AlignmentSettings) -> Iterator[GoldSpans]:
    """Europarl NER: a span is right where the other side has one of its label."""
    aligner, english = open_aligner(None, settings), sentences("en")
    for language in ("de", "es", "it"):
        theirs = sentences(language)
        pairs = [(a, b) for (a, _), (b, _) in zip(english, theirs, strict=True)]
        for (source, spans), (target, gold), found in zip(english, theirs, aligner.align(pairs), strict=True):
            wanted = [{(start, end) for label, start, end in gold if label == one[0]} for one in spans]
            places = [(start, end) for _, start, end in spans]
            yield GoldSpans("entities", language, "price", source, target, _shares(found), places, wanted)


def gold_tags(settings: AlignmentSettings) -> Iterator[GoldSpans]:
    """Mozilla's strings."""
    aligner = open_aligner(None, settings)
    for language in ("de", "fr", "ja"):
        packed = data("tags", f"www-l10n.en-{language}.dev.jsonl.gz").read_bytes()
        records = [json.loads(line) for line in gzip.decompress(packed).decode().splitlines()]
        texts = [_tagged(record) for record in records]
        plans = aligner.align([(a.bare, b.bare) for a, b in texts])
        for record, (a, b), found in zip(records, texts, plans, strict=True):
            places = [a.covered(start, end) for _, start, end in record["source_tags"]]
            wanted = [{b.covered(start, end)} for _, start, end in record["target_tags"]]
            yield GoldSpans("tags", language, "overlap", a.bare, b.bare, _shares(found), places, wanted)


def gold_answers(settings: AlignmentSettings) -> Iterator[GoldSpans]:
    """XQuAD."""
    aligner = open_aligner(None, settings)
    for language in ("de", "es", "el"):
        items, content = xquad(language)
        gold = {
            question["id"]: (answer["answer_start"], answer["answer_start"] + len(answer["text"]))
            for article in content["data"]
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
            for answer in question["answers"][:1]
        }
        plans = aligner.align([(item.source.bare, item.target.bare) for item in items])
        for item, found in zip(items, plans, strict=True):
            places = [item.source.covered(place.start, place.end) for place in item.places]
            wanted = [{item.target.covered(*gold[place.label])} for place in item.places]
            yield GoldSpans(
                "answers",
                language,
                "overlap",
                item.source.bare,
                item.target.bare,
                _shares(found),
                places,
                wanted,
            )


GOLD_SPANS = (gold_entities, gold_tags, gold_answers)

PARTS = {"entities": entities, "answers": answers, "tags": tags, "lexicon": induction}


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all where none is named")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="of the alignment")
    options = parser.parse_args()
    chosen = [choose(name, PARTS, what="part") for name in options.parts] or list(PARTS.values())
    try:
        changes = {key: float(value) for key, value in (word.split("=") for word in options.set)}
    except ValueError:
        parser.error("--set takes KEY=VALUE, with a number")
    settings = AlignmentSettings.from_dict(changes)
    for part in chosen:
        part(settings)


if __name__ == "__main__":
    ended(main)
