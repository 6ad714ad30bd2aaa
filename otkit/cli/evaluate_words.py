"""Word alignment and word retrieval for `otkit evaluate`: gold files in, or parallel text linked by an encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from otkit.cli.aligning import aligner_config
from otkit.cli.evaluate_request import Request, check_languages, files_of

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
    sets = _gold(request)
    notes = [f"{language}: {note}" for language, found in sets.items() for note in found.notes]
    pairs = {language: (found, found.sha256) for language, found in sets.items()}
    return word_alignment_task(pairs, config, notes=notes)


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
    if request.files and not request.gold:
        linked = _linked(request)
        note = f"words linked by the sample encoder's mutual matches, first {LINKED_PAIRS} pairs of each file"
        return word_retrieval_task(linked, config, notes=(note,))
    return word_retrieval_task(
        {language: (found, found.sha256) for language, found in _gold(request).items()}, config
    )


def _gold(request: Request) -> dict[str, GoldSet]:
    """The gold files by the language that is not English."""
    from otkit.data.gold import read_gold
    from otkit.data.languages import languages_of
    from otkit.evaluation.codes import short_code
    from otkit.resources import sample_data

    names: Sequence[str | Path] = request.gold or files_of(request, "word-alignment", "xlwa-*.dev.tsv*")
    sets: dict[str, GoldSet] = {}
    for name in names or sorted((sample_data() / "gold").glob("*.dev.tsv")):
        first, second = languages_of(name, request.langs)
        language = short_code(second if first in ("en", "eng") else first)
        if request.wants(language):
            sets[language] = read_gold(name, on_error=request.on_error)
    check_languages(sets, request)
    return sets


def _linked(request: Request) -> dict[str, tuple[list[GoldPair], str]]:
    """Parallel text with the links that the sample encoder finds: one judge for the model and its baseline."""
    from otkit.data.gold import GoldPair
    from otkit.data.lines import words_of
    from otkit.data.parallel import open_corpus
    from otkit.encoders.checkpoint import open_encoder
    from otkit.evaluation.codes import short_code
    from otkit.extraction.aligner import AlignerConfig, WordAligner

    aligner = WordAligner(open_encoder(device="cpu"), AlignerConfig(strategy="mutual"))
    sets: dict[str, tuple[list[GoldPair], str]] = {}
    for name in request.files:
        corpus = open_corpus(name, format=request.format, langs=request.langs, on_error=request.on_error)
        language = short_code(corpus.languages[0])
        if request.wants(language):
            texts = [(words_of(pair.source), words_of(pair.target)) for pair in islice(corpus, LINKED_PAIRS)]
            found = aligner.align(texts, plans=False)
            linked = [GoldPair(one.source, one.target, one.pairs, one.pairs) for one in found]
            sets[language] = (linked, corpus.sha256)
    check_languages(sets, request)
    return sets
