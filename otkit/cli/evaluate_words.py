"""Word alignment and word retrieval for `otkit evaluate`: gold files in, or parallel text linked by an encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from otkit.cli.aligning import aligner_config
from otkit.cli.command import with_options
from otkit.cli.evaluate_request import Request, check_languages, files_of
from otkit.cli.options import note, note_corpus
from otkit.errors import ConfigError, InputError

if TYPE_CHECKING:
    from otkit.data.gold import GoldPair, GoldSet
    from otkit.evaluation.protocol import Task
    from otkit.evaluation.search import SearchConfig

__all__ = ["word_alignment", "word_retrieval"]

LINKED_PAIRS = 1024  # the size of the test sets of Cao, Kitaev and Klein 2020


def word_alignment(request: Request) -> Task:
    """Links of the aligner against gold."""
    from otkit.evaluation.word_alignment import word_alignment_task

    config = aligner_config(request.aligner_settings)
    if request.strict and request.texts and not request.gold:
        raise ConfigError(
            "the text has no gold links to compare with", remedy="name them: --gold FILE, one for each text"
        )
    sets = _gold(request)
    pairs = {language: (found, found.sha256) for language, found in sets.items()}
    return word_alignment_task(pairs, config, notes=_notes(sets))


def word_retrieval(request: Request, search: Callable[[Request, SearchConfig], SearchConfig]) -> Task:
    """Contextual word retrieval of gold links; of parallel text, where files are given and no gold."""
    from otkit.evaluation.tasks import word_retrieval_task
    from otkit.evaluation.word_retrieval import WordRetrievalConfig

    default = WordRetrievalConfig()
    config = WordRetrievalConfig(
        search=search(request, default.search),
        pool=request.pool or default.pool,
        word_vector=request.word_vector or default.word_vector,
        layers=request.layers or None,
        center=request.language_centred,
        batch_tokens=request.batch_tokens or default.batch_tokens,
    )
    if request.texts and not request.gold:
        linked = _linked(request)
        note = f"words linked by the sample encoder's mutual matches, first {LINKED_PAIRS} pairs of each file"
        return word_retrieval_task(linked, config, notes=(note,))
    sets = _gold(request)
    return word_retrieval_task(
        {language: (found, found.sha256) for language, found in sets.items()}, config, notes=_notes(sets)
    )


def _notes(sets: Mapping[str, GoldSet]) -> list[str]:
    """What a reader must know of the gold beside the figures."""
    return [f"{language}: {with_options(each)}" for language, found in sets.items() for each in found.notes]


def _gold(request: Request) -> dict[str, GoldSet]:
    """The gold files by the language that is not English."""
    from otkit.data.gold import read_gold
    from otkit.resources import sample_data

    names: Sequence[str | Path] = request.gold or files_of(request, "word-alignment", "xlwa-*.dev.tsv*")
    names = names or sorted((sample_data() / "gold").glob("*.dev.tsv"))
    sets: dict[str, GoldSet] = {}
    for name, (text, target) in zip(names, _texts(request, names), strict=True):
        language = _language(request, name, text, target)
        if language in sets:
            raise ConfigError(
                f"two files have gold of the language {language!r}", remedy="evaluate one by one"
            )
        if request.wants(language):
            sets[language] = read_gold(
                name,
                text=text,
                target=target,
                text_format="auto" if text is None else request.format,
                base=request.base,
                on_error=request.on_error,
            )
            note(sets[language].spaces.note(str(text or name)), quiet=request.quiet)
    check_languages(sets, request)
    return sets


def _texts(request: Request, gold: Sequence[str | Path]) -> list[tuple[str | None, str | None]]:
    """The text of each file of links, in order; none where the gold holds it, as all gold files do if none is named."""
    from otkit.data.gold import gold_format

    texts = request.texts if request.gold else []
    if not texts or (not request.strict and all(gold_format(name) == "tsv" for name in gold)):
        return [(None, None)] * len(gold)
    if len(texts) != len(gold):
        raise ConfigError(
            f"{len(texts)} texts were given for {len(gold)} files of gold links",
            remedy="give one text for each --gold, in the same order",
        )
    return list(texts)


def _language(request: Request, name: str | Path, text: str | None, target: str | None) -> str:
    """The language that is not English, as stated or told by the name of the text or of its links."""
    from otkit.data.languages import languages_of
    from otkit.evaluation.codes import short_code

    try:
        first, second = languages_of(text or name, request.langs, target=target)
    except InputError:
        if text is None:
            raise
        first, second = languages_of(name)
    return short_code(second if first in ("en", "eng") else first)


def _linked(request: Request) -> dict[str, tuple[list[GoldPair], str]]:
    """Parallel text with the links that the sample encoder finds: one judge for the model and its baseline."""
    from otkit.alignment.aligner import WordAligner
    from otkit.alignment.settings import AlignmentSettings
    from otkit.data.gold import GoldPair
    from otkit.data.lines import words_of
    from otkit.data.parallel import open_corpus
    from otkit.encoders.open import open_encoder
    from otkit.evaluation.codes import short_code

    aligner = WordAligner(open_encoder(device="cpu"), AlignmentSettings(strategy="mutual"))
    sets: dict[str, tuple[list[GoldPair], str]] = {}
    for name, target in request.texts:
        corpus = open_corpus(
            name, target=target, format=request.format, langs=request.langs, on_error=request.on_error
        )
        note_corpus(corpus, quiet=request.quiet)
        language = short_code(corpus.languages[0])
        if language in sets:
            raise ConfigError(f"two files have the first language {language!r}", remedy="evaluate one by one")
        if request.wants(language):
            texts = [(words_of(pair.source), words_of(pair.target)) for pair in islice(corpus, LINKED_PAIRS)]
            found = aligner.align(texts, plans=False)
            linked = [GoldPair(one.source, one.target, one.pairs, one.pairs) for one in found]
            sets[language] = (linked, corpus.sha256)
    check_languages(sets, request)
    return sets
