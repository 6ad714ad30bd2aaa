"""How each public set is laid out for the scripts: from the files as their homes have them to the lines that are read.

A layout takes a folder with the fetched files and gives (path in the data folder, lines).
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.archives import member, members
from benchmarks.fluent import messages, tagged
from otkit.errors import InputError

__all__ = ["LAYOUTS"]

Laid = Iterator[tuple[str, Iterable[str]]]

# The codes of NTREX and FLORES-200.
_PARALLEL = {
    "ar": ("arb", "arb_Arab"),
    "bg": ("bul", "bul_Cyrl"),
    "de": ("deu", "deu_Latn"),
    "el": ("ell", "ell_Grek"),
    "es": ("spa", "spa_Latn"),
    "fr": ("fra", "fra_Latn"),
    "hi": ("hin", "hin_Deva"),
    "ro": ("ron", "ron_Latn"),
    "ru": ("rus", "rus_Cyrl"),
    "sw": ("swa", "swh_Latn"),
    "th": ("tha", "tha_Thai"),
    "tr": ("tur", "tur_Latn"),
    "ur": ("urd", "urd_Arab"),
    "vi": ("vie", "vie_Latn"),
    "zh": ("zho-CN", "zho_Hans"),
}
_TRAINING_PAIRS = 36_000
_ENTITY_SENTENCES = 400
_FIRST = 100  # pairs of en-fr


def xl_wa(raw: Path) -> Laid:
    for path in sorted(raw.glob("*.*.tsv")):
        # Some lines end in a row of tabs.
        lines = ("\t".join(line.split("\t")[:3]) for line in _lines(path))
        yield f"word-alignment/xlwa-en-{path.name}.gz", lines


def en_fr(raw: Path) -> Laid:
    for part in ("src-tgt", "gold"):
        yield f"word-alignment/en-fr.first{_FIRST}.{part}.gz", _lines(raw / f"enfr.{part}")[:_FIRST]


def xnli(raw: Path) -> Laid:
    pairs: defaultdict[str, list[str]] = defaultdict(list)
    for row in _table(member(raw / "XNLI-1.0.zip", "XNLI-1.0/xnli.dev.tsv")):
        pairs[row["language"]].append("\t".join((row["sentence1"], row["sentence2"], row["gold_label"])))
    for language, lines in pairs.items():
        yield f"xnli/dev-{language}.tsv.gz", lines


def multinli(raw: Path) -> Laid:
    rows = _table(member(raw / "multinli_1.0.zip", "multinli_1.0/multinli_1.0_train.txt"))
    lines = [
        "\t".join((row["sentence1"], row["sentence2"], row["gold_label"]))
        for row in rows
        if row["gold_label"] in ("entailment", "neutral", "contradiction")
    ]
    yield "xnli/train-en.tsv.gz", random.Random(0).sample(lines, min(_TRAINING_PAIRS, len(lines)))


def xquad(raw: Path) -> Laid:
    for path in sorted(raw.glob("xquad.*.json")):
        yield f"xquad/{path.name}.gz", _lines(path)


def squad(raw: Path) -> Laid:
    yield "xquad/train-en.json.gz", _lines(raw / "train-v1.1.json")


def tatoeba(raw: Path) -> Laid:
    for path in sorted(raw.glob("*-eng.eng")):
        language = path.name.partition("-")[0]
        yield (
            f"tatoeba/{language}-eng.tsv.gz",
            _paired(_lines(raw / f"{language}-eng.{language}"), _lines(path)),
        )


def halomi(raw: Path) -> Laid:
    yield "halomi/halomi.tsv.gz", _split(member(raw / "halomi_release_v2.zip", "data/halomi_core.tsv"))


def europarl_ner(raw: Path) -> Laid:
    for path in sorted(raw.glob("*.conll")):
        blocks = path.read_text(encoding="utf-8").strip().split("\n\n")[:_ENTITY_SENTENCES]
        lines = "\n\n".join(blocks).split("\n")
        yield f"projection/europarl-ner.{path.stem}.dev.conll.gz", lines


def text_berg(raw: Path) -> Laid:
    for path in sorted(raw.glob("*.*")):
        yield f"documents/text-berg.{path.name}.gz", _lines(path)


def mozilla(raw: Path) -> Laid:
    """Strings with the same tags, in whatever order, on both sides."""
    texts: defaultdict[str, dict[str, str]] = defaultdict(dict)
    wanted = ("en", "de", "fr", "ja")
    archive = raw / "www-l10n.tar.gz"
    # The first part of a path is the archive's own folder, the second the language.
    for path, content in members(
        archive, lambda parts: len(parts) > 2 and parts[1] in wanted and parts[-1].endswith(".ftl")
    ):
        _, language, *rest = path.split("/")
        for name, text in messages(content.decode("utf-8")):
            texts[language]["/".join((*rest, name))] = text
    for language in wanted[1:]:
        rows = []
        for name, source in texts["en"].items():
            ours, theirs = tagged(source), tagged(texts[language].get(name, ""))
            if ours is None or theirs is None or not ours[1]:
                continue
            if sorted(tag[0] for tag in ours[1]) == sorted(tag[0] for tag in theirs[1]):
                row = {
                    "source": ours[0],
                    "target": theirs[0],
                    "source_tags": ours[1],
                    "target_tags": theirs[1],
                }
                rows.append(json.dumps(row, ensure_ascii=False))
        yield f"tags/www-l10n.en-{language}.dev.jsonl.gz", rows


def parallel(raw: Path) -> Laid:
    english = _lines(raw / "newstest2019-src.eng.txt")
    codes = {f"{flores}.dev" for _, flores in _PARALLEL.values()} | {"eng_Latn.dev"}
    archive = raw / "flores200_dataset.tar.gz"
    flores = {
        Path(path).name: _split(content)
        for path, content in members(archive, lambda parts: parts[-2:-1] == ("dev",) and parts[-1] in codes)
    }
    for language, (ours, theirs) in _PARALLEL.items():
        news = _paired(_lines(raw / f"newstest2019-ref.{ours}.txt"), english)
        yield (
            f"parallel/{language}-en.tsv.gz",
            [*news, *_paired(flores[f"{theirs}.dev"], flores["eng_Latn.dev"])],
        )


LAYOUTS: dict[str, Callable[[Path], Laid]] = {
    "xl-wa": xl_wa,
    "en-fr": en_fr,
    "xnli": xnli,
    "multinli": multinli,
    "xquad": xquad,
    "squad": squad,
    "tatoeba": tatoeba,
    "halomi": halomi,
    "europarl-ner": europarl_ner,
    "text-berg": text_berg,
    "mozilla": mozilla,
    "parallel": parallel,
}


def _lines(path: Path) -> list[str]:
    return _split(path.read_bytes())


def _split(content: bytes) -> list[str]:
    """Lines end at line feeds alone, as everywhere in otkit."""
    lines = content.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _table(content: bytes) -> Iterator[dict[str, str]]:
    """Rows of a TSV with a header, quotes taken as they stand."""
    header, *rows = (line.split("\t") for line in _split(content))
    return (dict(zip(header, row, strict=False)) for row in rows)  # rows may end early


def _paired(sources: Sequence[str], targets: Sequence[str]) -> list[str]:
    if len(sources) != len(targets):
        raise InputError(
            f"the two sides have {len(sources)} and {len(targets)} lines, expected as many of each"
        )
    pairs = ([" ".join(side.split("\t")) for side in pair] for pair in zip(sources, targets, strict=True))
    return ["\t".join(pair) for pair in pairs if all(map(str.strip, pair))]
