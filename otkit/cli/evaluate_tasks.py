"""What each task of `otkit evaluate` reads: options in, a task of the protocol out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from otkit.cli.evaluate_request import Request, check_languages, files_of
from otkit.cli.evaluate_transfer import xnli, xquad
from otkit.cli.evaluate_words import word_alignment, word_retrieval
from otkit.cli.options import note_corpus
from otkit.cli.values import changed
from otkit.errors import ConfigError, InputError

if TYPE_CHECKING:
    from otkit.data.views import PairCorpus
    from otkit.evaluation.protocol import Task
    from otkit.evaluation.search import SearchConfig

__all__ = ["NAMES", "TASKS"]


def _retrieval(request: Request) -> Task:
    from otkit.evaluation.retrieval import RetrievalConfig
    from otkit.evaluation.search import SearchConfig
    from otkit.evaluation.tasks import retrieval_task

    layers = request.layers or (None,)
    if len(layers) > 1:
        raise ConfigError(
            f"received {len(layers)} layers, and retrieval takes one", remedy="name one", setting="layers"
        )
    config = RetrievalConfig(
        search=_search(request, SearchConfig()),
        layer=layers[0],
        center=request.language_centred,
        batch_tokens=request.batch_tokens or RetrievalConfig.batch_tokens,
        on_error=request.on_error,
    )
    return retrieval_task(_corpora(request), config)


def _mining(request: Request) -> Task:
    from otkit.data.languages import languages_of
    from otkit.evaluation.codes import short_code
    from otkit.evaluation.mining import MiningConfig, read_mining
    from otkit.evaluation.tasks import mining_task

    if request.source is None or request.target is None or len(request.gold) != 1:
        raise ConfigError(
            "mining needs two collections and the pairs hidden in them",
            remedy="give --source F --target F (id<TAB>sentence) and --gold F (id<TAB>id)",
        )
    default = MiningConfig()
    search = _search(request, default.retrieval.search)
    data = read_mining(request.source, request.target, request.gold[0], on_error=request.on_error)
    try:
        language = short_code(languages_of(request.gold[0], request.langs)[0])
    except InputError:
        language = Path(request.gold[0]).name
    config = replace(
        default,
        retrieval=replace(
            default.retrieval,
            search=search,
            center=request.language_centred,
            batch_tokens=request.batch_tokens or default.retrieval.batch_tokens,
        ),
    )
    return mining_task({language: data}, config)


def _search(request: Request, default: SearchConfig) -> SearchConfig:
    chosen = changed(default, score=request.score, index=request.index, neighbourhood=request.neighbourhood)
    # Asked for a thousand neighbours, an approximate index would visit everything and save no time.
    return chosen if chosen.index == "flat" else replace(chosen, candidates=min(chosen.candidates, 100))


def _translation_errors(request: Request) -> Task:
    from otkit.alignment.settings import CheckSettings
    from otkit.data.halomi import read_halomi
    from otkit.evaluation.error_task import translation_errors_task

    if request.data is None:
        raise ConfigError(
            "translation-errors needs translations that people have judged",
            remedy="give --data FILE, a TSV with the columns of HalOmi",
        )
    config = changed(CheckSettings(), layers=request.layers)
    return translation_errors_task(read_halomi(request.data, on_error=request.on_error), config)


def _corpora(request: Request) -> list[PairCorpus]:
    """The parallel files, English last in each, in those languages that were asked for."""
    from otkit.data.parallel import open_corpus
    from otkit.data.views import english_last
    from otkit.evaluation.codes import short_code

    texts = request.texts or [
        (name, None)
        for name in files_of(request, "tatoeba", "*.tsv*") or _sample("parallel", "??-??.dev.tsv")
    ]
    opened = [
        open_corpus(
            name, target=target, format=request.format, langs=request.langs, on_error=request.on_error
        )
        for name, target in texts
    ]
    for corpus in opened:
        note_corpus(corpus, quiet=request.quiet)
    corpora = [english_last(corpus) for corpus in opened]
    kept = {
        short_code(corpus.languages[0]): corpus
        for corpus in corpora
        if request.wants(short_code(corpus.languages[0]))
    }
    check_languages(kept, request)
    return [corpus for corpus in corpora if request.wants(short_code(corpus.languages[0]))]


def _sample(folder: str, pattern: str) -> Sequence[str]:
    from otkit.resources import sample_data

    return [str(path) for path in sorted((sample_data() / folder).glob(pattern))]


TASKS: dict[str, Callable[[Request], Task]] = {
    "retrieval": _retrieval,
    "word-alignment": word_alignment,
    "word-retrieval": lambda request: word_retrieval(request, _search),
    "mining": _mining,
    "xnli": xnli,
    "xquad": xquad,
    "translation-errors": _translation_errors,
}
NAMES = (*TASKS, "all")
