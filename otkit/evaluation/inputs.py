"""What is measured on: files, folders or Hub names in, the data of each task out, by language."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from otkit.alignment.aligner import WordAligner
from otkit.alignment.settings import AlignmentSettings
from otkit.data.benchmarks import (
    language_file,
    languages_in,
    read_nli_hub,
    read_qa_hub,
    scored_split,
    training_file,
)
from otkit.data.examples import TaskSet
from otkit.data.gold import GoldPair, GoldSet, holds_text, read_gold
from otkit.data.languages import languages_of, languages_told, short_code
from otkit.data.lines import SpaceCount, words_of
from otkit.data.parallel import ParallelCorpus, open_corpus
from otkit.data.tasks import read_nli, read_qa
from otkit.data.views import PairCorpus, english_last
from otkit.encoders.open import open_encoder
from otkit.errors import ConfigError, InputError
from otkit.evaluation.finetune import check_copies
from otkit.evaluation.mining import MiningSet, read_mining
from otkit.evaluation.xnli import XnliData
from otkit.evaluation.xquad import XquadData
from otkit.resources import sample_data

__all__ = [
    "LINKED_PAIRS",
    "FilePath",
    "ParallelFile",
    "Reading",
    "gold_sets",
    "linked_sets",
    "mining_sets",
    "parallel_corpora",
    "xnli_data",
    "xquad_data",
]

FilePath = str | Path
ParallelFile = FilePath | tuple[FilePath, FilePath]
"""A file of pairs, or two line-aligned files."""

LINKED_PAIRS = 1024  # the size of the test sets of Cao, Kitaev and Klein 2020

Reader = Callable[..., TaskSet[Any]]

# Of files: no data set on the Hub is called so.
_SUFFIXES = {".csv", ".gz", ".json", ".jsonl", ".tsv", ".txt"}


@dataclass(frozen=True)
class Reading:
    """How files are read.

    languages  only these; None: all
    langs      the two languages of a file, where its name does not tell them
    format     of parallel files
    on_error   "skip" leaves out lines that cannot be used
    strict     False for one of several tasks: it need not have every language, nor its part of a data folder
    note       is told what a reader must know of the files
    """

    languages: tuple[str, ...] | None = None
    langs: str | None = None
    format: str = "auto"
    on_error: str = "raise"
    strict: bool = True
    note: Callable[[str], None] = lambda text: None

    def wants(self, language: str) -> bool:
        """Whether a language is to be measured."""
        return self.languages is None or language in self.languages

    def check(self, found: Mapping[str, object]) -> None:
        """Every language that was asked for must be there, English aside where it is the other side."""
        missing = [language for language in self.languages or () if language not in found]
        if missing and self.strict and missing != ["en"]:
            raise InputError(
                f"there is no file for {' and '.join(missing)}",
                remedy="give a file of each of `languages`, or leave the language out",
            )
        if not found and self.strict:
            raise InputError("there is nothing to evaluate", remedy="give a file, or `data='DIR'`")

    def check_data(self, data: FilePath | None, named: Sequence[object]) -> None:
        """A folder of one task beside files that are named would not be read; several tasks read both."""
        if data is not None and named and self.strict:
            raise ConfigError(
                f"received {str(data)!r} beside files by name, and only one of them is read",
                remedy="name the files, or the folder",
                setting="data",
            )

    def files(self, data: FilePath | None, folder: str, pattern: str, *, sample: str) -> list[Path]:
        """The files of a task in its part of a data folder; those of the sample data where no folder is named, and
        where one of several tasks has no part there."""
        place = sample_data() / sample if data is None else Path(data) / folder
        found = sorted(place.glob(pattern if data is not None else "??-??.dev.tsv"))
        if found or data is None:
            return found
        if self.strict:
            raise InputError(
                f"there is no {pattern}",
                where=str(place),
                remedy=f"name the folder that holds {folder}/, or the files themselves",
            )
        self.note(
            f"{data}: there is no {folder}/ with {pattern}, so that part of the sample data is measured"
        )
        return self.files(None, folder, pattern, sample=sample)

    def corpus(self, file: ParallelFile, *, by_word: bool = False) -> ParallelCorpus:
        """A parallel file, open; `by_word` where its words matter, and not its sentences alone."""
        name, target = file if isinstance(file, tuple) else (file, None)
        corpus = open_corpus(
            name, target=target, format=self.format, langs=self.langs, on_error=self.on_error
        )
        said = corpus.spaces.notes(corpus.name, cut=False) if by_word else [corpus.spaces.note(corpus.name)]
        for text in (*corpus.notes, *said):
            if text:
                self.note(text)
        return corpus


def parallel_corpora(
    files: Sequence[ParallelFile], data: FilePath | None, reading: Reading
) -> list[PairCorpus]:
    """The parallel files, English last in each, in those languages that were asked for."""
    reading.check_data(data, files)
    places = files or reading.files(data, "tatoeba", "*.tsv*", sample="parallel")
    corpora = [english_last(reading.corpus(file)) for file in places]
    kept = [corpus for corpus in corpora if reading.wants(short_code(corpus.languages[0]))]
    reading.check({short_code(corpus.languages[0]): corpus for corpus in kept})
    return kept


def gold_sets(
    gold: Sequence[FilePath],
    texts: Sequence[ParallelFile],
    data: FilePath | None,
    reading: Reading,
    *,
    base: int | None = None,
) -> dict[str, GoldSet]:
    """The gold files by the language that is not English; `texts` has the text of each, where gold holds none."""
    reading.check_data(data, gold)
    names = gold or reading.files(data, "word-alignment", "xlwa-*.dev.tsv*", sample="gold")
    sets: dict[str, GoldSet] = {}
    for name, text in zip(names, _texts_of(names, texts if gold else (), reading), strict=True):
        first, target = text if isinstance(text, tuple) else (text, None)
        languages = _languages(name, first, target, reading)
        language = short_code(languages[languages[0] in ("en", "eng")])
        if language in sets:
            raise ConfigError(
                f"two files have gold of the language {language!r}", remedy="evaluate one by one"
            )
        if reading.wants(language):
            found = read_gold(
                name,
                text=first,
                target=target,
                text_format="auto" if first is None else reading.format,
                base=base,
                on_error=reading.on_error,
            )
            sets[language] = replace(found, languages=languages)
            for said in sets[language].spaces.notes(str(first or name), cut=False):
                reading.note(said)
    reading.check(sets)
    return sets


def _texts_of(
    gold: Sequence[FilePath], texts: Sequence[ParallelFile], reading: Reading
) -> Sequence[ParallelFile | None]:
    """The text of each file of links, in order; none where the gold holds it, as all gold files do if none is named."""
    if not texts or (not reading.strict and all(map(holds_text, gold))):
        return [None] * len(gold)
    if len(texts) != len(gold):
        raise ConfigError(
            f"{len(texts)} texts were given for {len(gold)} files of gold links",
            remedy="give one text for each `gold`, in the same order",
        )
    return texts


def _languages(
    name: FilePath, text: FilePath | None, target: FilePath | None, reading: Reading
) -> tuple[str, str]:
    """Those stated, or told by the name of the text or of its links."""
    try:
        return languages_of(text or name, reading.langs, target=target)
    except InputError:
        if text is None:
            raise
        return languages_of(name)


def linked_sets(texts: Sequence[ParallelFile], reading: Reading) -> dict[str, GoldSet]:
    """The first pairs of parallel files with the mutual matches of the sample encoder as their links: one judge for
    the model and its baseline."""
    aligner = WordAligner(open_encoder(device="cpu"), AlignmentSettings(strategy="mutual"))
    sets: dict[str, GoldSet] = {}
    for text in texts:
        corpus = reading.corpus(text, by_word=True)
        language = short_code(corpus.languages[0])
        if language in sets:
            raise ConfigError(f"two files have the first language {language!r}", remedy="evaluate one by one")
        if reading.wants(language):
            pairs = [(words_of(pair.source), words_of(pair.target)) for pair in islice(corpus, LINKED_PAIRS)]
            found = aligner.align(pairs, plans=False)
            linked = tuple(GoldPair(one.source, one.target, one.pairs, one.pairs) for one in found)
            sets[language] = GoldSet(
                corpus.name,
                linked,
                format="tsv",
                base=0,
                detected=False,
                dropped=0,
                skipped=corpus.skipped,
                notes=(),
                spaces=SpaceCount(),
                sha256=corpus.sha256,
                languages=corpus.languages,
            )
    reading.check(sets)
    return sets


def mining_sets(source: FilePath, target: FilePath, gold: FilePath, reading: Reading) -> dict[str, MiningSet]:
    """Two collections and the pairs hidden in them, under the language that the name of the gold tells."""
    data = read_mining(source, target, gold, on_error=reading.on_error)
    try:
        told = languages_of(gold, reading.langs)
    except InputError:
        return {Path(gold).name: replace(data, languages=languages_told(source, target=target))}
    return {short_code(told[0]): replace(data, languages=told)}


def xnli_data(
    data: FilePath | None,
    train: str | None,
    reading: Reading,
    *,
    trains: bool = True,
    copies: Sequence[FilePath] = (),
) -> XnliData:
    """XNLI: `data` holds dev-xx or test-xx and train-en, as XTREME names them, or is a Hub name."""
    place = _place(data, "xnli", "nli")
    dev = None
    if place.is_dir():
        split = scored_split(place, task="nli")
        tests = _folder(place, "nli", split, read_nli, reading)
        if split == "test" and "en" in languages_in(place, task="nli", split="dev"):
            english = read_nli(language_file(place, "en", task="nli", split="dev"), on_error=reading.on_error)
            dev = english if english.labelled else None
    else:
        tests = _hub(str(place), "{}", read_nli_hub, reading)
        dev = read_nli_hub(str(place), config="en", split="validation", on_error=reading.on_error)
    training = _training(place, train, "nli", read_nli, read_nli_hub, "en", reading) if trains else None
    found = [read_nli(name, on_error=reading.on_error) for name in copies]
    check_copies(training, found, same=lambda example: example.label)
    return XnliData(training, tests, dev, found)


def xquad_data(
    data: FilePath | None,
    train: str | None,
    reading: Reading,
    *,
    trains: bool = True,
    copies: Sequence[FilePath] = (),
) -> XquadData:
    """XQuAD: `data` holds xquad.xx.json and train-en.json, or is a Hub name."""
    place = _place(data, "xquad", "qa")
    tests = (
        _folder(place, "qa", scored_split(place, task="qa"), read_qa, reading)
        if place.is_dir()
        else _hub(str(place), "xquad.{}", read_qa_hub, reading)
    )
    training = _training(place, train, "qa", read_qa, read_qa_hub, None, reading) if trains else None
    found = [read_qa(name, on_error=reading.on_error) for name in copies]
    check_copies(training, found, same=lambda example: example.id)
    return XquadData(training, tests, found)


def _place(data: FilePath | None, name: str, sample: str) -> Path:
    """The folder (or Hub name) of a task: `data`, its part of that name, or the sample data."""
    if data is None:
        return sample_data() / sample
    place = Path(data)
    place = place / name if (place / name).is_dir() else place
    if not place.is_dir():
        _expect_hub_name(place, "folder")
    return place


def _expect_hub_name(place: str | Path, what: str) -> None:
    """Refuse what is a path and not a name on the Hub, which would be asked for it, and tried again, for a minute."""
    path = Path(place)
    if path.exists():
        raise InputError(f"is no {what}", where=str(path), remedy=f"name a {what}, or a data set of the Hub")
    if path.is_absolute() or len(path.parts) > 2 or path.suffix in _SUFFIXES:
        raise InputError(
            f"there is no such {what}", where=str(path), remedy=f"name a {what}, or a data set of the Hub"
        )


def _folder(place: Path, task: str, split: str, read: Reader, reading: Reading) -> dict[str, TaskSet[Any]]:
    """The sets of a folder by language."""
    there = languages_in(place, task=task, split=split)
    chosen = reading.languages or there
    if not reading.strict:
        chosen = tuple(language for language in chosen if language in there)
    sets = {
        language: read(language_file(place, language, task=task, split=split), on_error=reading.on_error)
        for language in chosen
    }
    reading.check(sets)
    return sets


def _hub(name: str, config: str, read: Reader, reading: Reading) -> dict[str, TaskSet[Any]]:
    if not reading.languages:
        raise ConfigError(
            f"{name!r} is no folder, and for a Hub name the languages are needed",
            remedy="give an existing folder, or `languages='en,de'`",
            setting="data",
        )
    split = "test" if "xnli" in name else "validation"
    return {
        language: read(name, config=config.format(language), split=split, on_error=reading.on_error)
        for language in reading.languages
    }


def _training(
    place: Path,
    train: str | None,
    task: str,
    read: Reader,
    read_hub: Reader,
    config: str | None,
    reading: Reading,
) -> TaskSet[Any]:
    """English training examples: `train` as a file or a Hub name, else the training file of the folder."""
    if train is None and place.is_dir():
        return read(training_file(place, task=task), on_error=reading.on_error)
    if train is None:
        return read_hub(str(place), config=config, split="train", on_error=reading.on_error)
    if Path(train).is_file():
        return read(train, on_error=reading.on_error)
    _expect_hub_name(train, "file")
    return read_hub(train, split="train", on_error=reading.on_error)
