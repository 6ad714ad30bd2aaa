"""Copies of English examples in other languages, made from parallel text alone: words are replaced through lexicons
that are counted on it (Qin et al. 2020, CoSDA-ML).

A copy is written when it is asked for: of fourteen languages and 400,000 examples a run reads one copy of each.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from otkit.api.lexicon import lexicon
from otkit.data.examples import NliExample, TaskSet
from otkit.data.views import PairCorpus
from otkit.errors import InputError
from otkit.evaluation.protocol import Progress
from otkit.files import replace_file, to_json
from otkit.projection.copies import SwitchedCopies
from otkit.projection.lexicon import open_lexicon
from otkit.projection.places import Text
from otkit.projection.switching import LexiconWords, drawing, switched
from otkit.training.settings import TransferSettings

__all__ = ["copies_from_text"]

# Of short sentences nearly every word has its partner, and a pass of the aligner over them is soon done.
_SHORT = range(3, 15)
_SAMPLE = 200  # texts that show which side of a lexicon is English


@contextmanager
def copies_from_text(
    train: TaskSet[Any],
    corpora: Sequence[PairCorpus],
    settings: TransferSettings,
    *,
    device: str = "auto",
    progress: Progress,
    note: Callable[[str], None],
) -> Iterator[list[TaskSet[Any]]]:
    """A copy of the training examples for each corpus, English its target: each word is replaced with the probability
    `settings.copy_share`, where the lexicon of the first `settings.copy_pairs` short pairs has a translation. `note` is
    told how many that are.

    InputError: a corpus has no short pair.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="otkit-copies-")))
        found, first = [], [Text.of(text) for text in _first_texts(train)]
        for number, corpus in enumerate(corpora):
            path = _counted(corpus, folder / str(number), settings.copy_pairs, device, progress)
            words = LexiconWords([path], [word for text in first for word in text.bare])
            stack.callback(words.close)
            note(
                f"{corpus.name}: its lexicon replaces {_replaced(first, words, settings):.0%} of the words of copies"
            )
            known = hashlib.sha256(f"{train.sha256} {_entries(path)} {settings.copy_share}".encode())
            found.append(
                replace(
                    train,
                    name=f"{train.name} with words of {corpus.name}",
                    examples=SwitchedCopies(train, words, settings.copy_share),
                    sha256=known.hexdigest(),
                )
            )
        yield found


def _counted(corpus: PairCorpus, stem: Path, most: int, device: str, progress: Progress) -> Path:
    """The lexicon of the first short pairs."""
    pairs = (corpus[number] for number in range(len(corpus)))
    lines = [
        " ".join(pair.source.split()) + "\t" + " ".join(pair.target.split()) + "\n"
        for pair in islice((pair for pair in pairs if len(pair.target.split()) in _SHORT), most)
    ]
    if not lines:
        raise InputError(
            f"no pair has {_SHORT.start} to {_SHORT.stop - 1} English words, so no lexicon can be counted",
            where=corpus.name,
            remedy="give text with shorter sentences, or copies that you made yourself",
        )
    text, path = stem.with_suffix(".tsv"), stem.with_suffix(".sqlite")
    replace_file(text, "".join(lines))
    what = f"counting the lexicon of {corpus.name}"
    lexicon(
        text,
        path,
        form="sqlite",
        raw=True,
        langs="-".join(corpus.languages),
        device=device,
        on_progress=lambda done: progress(done, len(lines), what),
    )
    return path


def _entries(path: Path) -> str:
    """What the lexicon says; its file also says when and where it was made."""
    found = hashlib.sha256()
    with closing(open_lexicon(path)) as base:
        for row in base.execute(
            "SELECT source, target, target_given_source, source_given_target FROM entries ORDER BY 1, 2"
        ):
            found.update(to_json(row, indent=None).encode())
    return found.hexdigest()


def _replaced(texts: Sequence[Text], words: LexiconWords, settings: TransferSettings) -> float:
    """The share of the words that are replaced."""
    made = (switched(text, (), words, settings.copy_share, drawing(text.text, seed=0)) for text in texts)
    return sum(each.replaced for each in made) / max(1, sum(len(text.words) for text in texts))


def _first_texts(train: TaskSet[Any]) -> Iterator[str]:
    for example in islice(train.examples, _SAMPLE):
        yield example.premise if isinstance(example, NliExample) else example.question
