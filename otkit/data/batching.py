"""Batches of sentence pairs: the same order for the same seed, little padding, and a start anywhere in the
run.

One micro-step holds `batch_size` pairs of every language pair, as in the paper. Pairs are shuffled, grouped
into windows of a few dozen batches, and sorted by length inside a window, so that a batch holds sentences of
one length while the order stays random beyond the window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from otkit.data.lines import unskipped, words_of
from otkit.data.parallel import Pair
from otkit.data.settings import BatchingSettings
from otkit.data.views import MixedCorpus, PairCorpus, languages_of_pairs
from otkit.encoders.encoder import Encoder
from otkit.encoders.tokens import Sentence, Tokens, TooLongError, letters_of
from otkit.errors import ConfigError, InputError

__all__ = ["PairBatch", "PairSource", "mix_languages", "padding_share", "pairs_per_epoch"]


def mix_languages(corpora: Sequence[PairCorpus], config: BatchingSettings, *, seed: int) -> list[PairCorpus]:
    """All corpora as one where the settings say so, of which a batch holds `batch_size` pairs."""
    if not config.mix_languages or len(corpora) == 1:
        return list(corpora)
    return [MixedCorpus(corpora, quota=config.pairs_per_language, seed=seed)]


def pairs_per_epoch(corpora: Sequence[PairCorpus], config: BatchingSettings) -> int:
    """Pairs of each of the corpora in an epoch: of a mixed one all that it has."""
    if any(isinstance(corpus, MixedCorpus) for corpus in corpora):
        return max(map(len, corpora))
    return config.pairs_per_language or max(map(len, corpora))


@dataclass(frozen=True)
class PairBatch:
    """Some pairs of one corpus, tokenised: what one forward pass of each side takes.

    corpus, indices    where the pairs come from: corpora[corpus][indices[b]]
    source, target     Tokens of B sentences each
    batch_fraction     B over the pairs of the whole micro-step of this language pair (1.0 unless split)
    target_units       (words, subwords) on the target side of that whole micro-step
    letters            (B,W) and (B,V) int, of the words of both sides, 0 for punctuation and padding
    draw               seeds what is drawn at random for these pairs: another number at every visit, the same
                       in every process and after a resumption
    """

    corpus: int
    language: str
    indices: tuple[int, ...]
    source: Tokens
    target: Tokens
    batch_fraction: float
    target_units: tuple[int, int]
    letters: tuple[Tensor, Tensor]
    draw: int = 0


class PairSource:
    """Corpora of several language pairs as one endless-by-epochs sequence of micro-steps."""

    def __init__(
        self,
        corpora: Sequence[PairCorpus],
        encoder: Encoder,
        config: BatchingSettings,
        *,
        seed: int = 0,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """`progress` hears of how many corpora the next window was tokenised, and of how many there are."""
        if not corpora:
            raise ConfigError("there is no parallel text to train on", remedy="name at least one file")
        for corpus in corpora:
            if len(corpus) == 0:
                raise InputError("the file has no usable sentence pair", where=corpus.name)
        self.corpora, self.encoder, self.config = tuple(corpora), encoder, config
        self.quota = pairs_per_epoch(corpora, config)
        self.micro_steps_per_epoch = math.ceil(self.quota / config.batch_size)
        self.splits = config.budget is not None
        self.too_long, self._seed, self._progress = 0, seed, progress
        self._orders: dict[int, tuple[int, NDArray[np.int64]]] = {}
        self.padded = self.filled = 0

    def micro_steps(
        self, start: int = 0, stop: int | None = None, stride: int = 1
    ) -> Iterator[tuple[PairBatch, ...]]:
        """Every `stride`-th micro-step from `start` up to `stop`, each the batches of all language pairs; equal seeds
        give equal batches.
        """
        streams = [self.batches_of(index, start, stride) for index in range(len(self.corpora))]
        step = start
        while stop is None or step < stop:
            yield tuple(part for stream in streams for part in next(stream))
            step += stride

    def windows(self, index: int, stop: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """The windows of one corpus up to micro-step `stop`, within the first epoch: the micro-step that each begins
        at, and its pairs."""
        size, span, order = self.config.batch_size, self.config.window, self._epoch_order(index, 0)
        for first in range(0, min(stop, self.micro_steps_per_epoch), span):
            yield first, order[first * size : (first + span) * size]

    def batches_of(self, index: int, start: int, stride: int = 1) -> Iterator[tuple[PairBatch, ...]]:
        """The endless batches of one corpus from micro-step `start` on; windows without one that is asked for are
        not tokenised.
        """
        size, span, number = self.config.batch_size, self.config.window, start
        while True:
            epoch, place = divmod(number, self.micro_steps_per_epoch)
            order = self._epoch_order(index, epoch)
            while place < self.micro_steps_per_epoch:
                first = place // span * span
                last = min(first + span, self.micro_steps_per_epoch)
                members = order[first * size : last * size]
                rng = np.random.default_rng([self._seed, epoch, index, first])
                asked = range(place - first, last - first, stride)
                yield from self._window(index, members, last - first, rng, asked)
                place += stride * len(asked)
            number = epoch * self.micro_steps_per_epoch + place

    def _epoch_order(self, index: int, epoch: int) -> NDArray[np.int64]:
        """The pairs of an epoch: a random part of a large corpus, a small one over and over (upsampling)."""
        known, order = self._orders.get(index, (-1, None))
        if known != epoch or order is None:
            count = len(self.corpora[index])
            rng = np.random.default_rng([self._seed, epoch, index])
            rounds = [rng.permutation(count) for _ in range(math.ceil(self.quota / count))]
            order = np.concatenate(rounds)[: self.quota]
            self._orders[index] = epoch, order
        return order

    def _window(
        self, index: int, members: NDArray[np.int64], batches: int, rng: np.random.Generator, asked: range
    ) -> Iterator[tuple[PairBatch, ...]]:
        members, source, target, letters = self._tokenise(index, members)
        self._progress(index + 1, len(self.corpora))
        lengths = np.stack([tokens.lengths.numpy() for tokens in (source, target)])  # (2, pairs)
        order = _by_length(lengths, batches)
        # The number of batches is fixed beforehand, whatever was skipped: a resumed run counts on it.
        # None is empty: processes that wait for one another have a batch at every step.
        parts = np.array_split(np.resize(order, max(len(order), batches)), batches)
        turns = rng.permutation(batches)
        draws = rng.integers(2**31, size=batches)
        for which in turns[asked.start :: asked.step]:
            yield tuple(
                self._collate(
                    index, members, (source, target), letters, lengths, parts[which], int(draws[which])
                )
            )

    def _tokenise(
        self, index: int, members: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], Tokens, Tokens, tuple[_Letters, _Letters]]:
        corpus, kept, sides = self.corpora[index], [], ([], [])  # type: ignore[var-annotated]
        for member in members.tolist():
            pair = corpus[member]
            words = [words_of(pair.source), words_of(pair.target)]
            if any(self._refuses(corpus, pair, side) for side in words):
                self.too_long += 1
                continue
            kept.append(member)
            for column, side in zip(sides, words, strict=True):
                column.append(side)
        if not kept:
            raise InputError(
                "every sentence pair of a window is too long for the encoder",
                where=corpus.name,
                remedy=f"split sentences to at most {self.encoder.max_tokens} subwords",
            )
        first, second = (
            self.encoder.subwords.in_languages(self.encoder.tokenize(side, prefix=""), spoken)
            for side, spoken in zip(sides, languages_of_pairs(corpus, kept), strict=True)
        )
        return np.asarray(kept), first, second, (_letters(sides[0]), _letters(sides[1]))

    def _refuses(self, corpus: PairCorpus, pair: Pair, words: tuple[str, ...]) -> bool:
        """True for a sentence to skip; an error where skipping was not asked for."""
        # A word has at most one subword more than characters, so most sentences need no second tokenisation
        # here.
        if sum(map(len, words)) + len(words) + 16 < self.encoder.max_tokens:
            return False
        try:
            self.encoder.tokenize([words], prefix="")
        except TooLongError as error:
            if self.config.on_error == "skip":
                return True
            refusal = InputError(error.what, remedy="split the sentence")
            raise unskipped(refusal, f"{corpus.name}:{pair.line}") from error
        return False

    def _collate(
        self,
        index: int,
        members: NDArray[np.int64],
        sides: tuple[Tokens, Tokens],
        letters: tuple[_Letters, _Letters],
        lengths: NDArray[np.int64],
        rows: NDArray[np.int64],
        draw: int,
    ) -> Iterator[PairBatch]:
        """One micro-step of a language pair, in as many pieces as the token budget asks for."""
        if len(rows) == 0:
            return
        whole = _rows(sides[1], rows)
        units = (sum(whole.counts), int((whole.word_ids >= 0).sum()))
        for number, piece in enumerate(_within_budget(rows, lengths, self.config.budget)):
            batch = PairBatch(
                corpus=index,
                language=self.corpora[index].languages[0],
                indices=tuple(members[piece].tolist()),
                source=_rows(sides[0], piece),
                target=_rows(sides[1], piece),
                batch_fraction=len(piece) / len(rows),
                target_units=units,
                letters=(_padded(letters[0], piece), _padded(letters[1], piece)),
                draw=draw + number,
            )
            for tokens in (batch.source, batch.target):
                self.padded += tokens.ids.numel()
                self.filled += int(tokens.attention.sum())
            yield batch


_Letters = list[Tensor]


def _letters(sentences: list[Sentence]) -> _Letters:
    return [torch.tensor([letters_of(word) for word in words]) for words in sentences]


def _padded(letters: _Letters, rows: NDArray[np.int64]) -> Tensor:
    return pad_sequence([letters[row] for row in rows.tolist()], batch_first=True)


def padding_share(source: PairSource) -> float:
    """The share of padding among all subwords batched so far, in [0, 1]."""
    return 1 - source.filled / source.padded if source.padded else 0.0


def _by_length(lengths: NDArray[np.int64], batches: int) -> NDArray[np.int64]:
    """An order in which neighbours are alike in both lengths (2, pairs).

    Sorting by one side alone leaves the other unsorted, and both are padded: so pairs are cut by source
    length into about as many groups as each group holds batches, and each group is sorted by target length.
    """
    order = np.argsort(lengths[0], kind="stable")
    groups = np.array_split(order, max(1, math.isqrt(batches)))
    # Every second group runs downwards, so that batches across a border between groups stay alike.
    return np.concatenate(
        [
            group[np.argsort(lengths[1][group] * (-1) ** turn, kind="stable")]
            for turn, group in enumerate(groups)
        ]
    )


def _within_budget(
    rows: NDArray[np.int64], lengths: NDArray[np.int64], budget: int | None
) -> Iterator[NDArray[np.int64]]:
    """Cut rows into runs whose longest side, padded, stays within the budget; a single pair always passes."""
    begin, longest = 0, 0
    for position, length in enumerate(lengths[:, rows].max(0).tolist()):
        longest = max(longest, length)
        if budget is not None and position > begin and longest * (position + 1 - begin) > budget:
            yield rows[begin:position]
            begin, longest = position, length
    yield rows[begin:]


def _rows(tokens: Tokens, rows: NDArray[np.int64]) -> Tokens:
    """Some sentences of a padded batch, cut to the longest of them."""
    width = int(tokens.lengths[rows].max())
    counts = tuple(tokens.counts[row] for row in rows.tolist())
    return Tokens(
        tokens.ids[rows, :width], tokens.attention[rows, :width], tokens.word_ids[rows, :width], counts
    )
