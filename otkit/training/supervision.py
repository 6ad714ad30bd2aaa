"""What teaches beside the text: word links that somebody gave, and a frozen teacher with a tokenizer of its
own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from otkit.data.batching import PairBatch
from otkit.data.gold import GoldSet, holds_text, read_gold
from otkit.data.languages import languages_of
from otkit.data.lines import LineSource, checked, words_of
from otkit.data.links import parse_links
from otkit.data.parallel import Pair
from otkit.data.views import PairCorpus, languages_of_pairs
from otkit.encoders.pooling import Encoded, pool_words
from otkit.encoders.tokens import TooLongError
from otkit.encoders.torch import TorchEncoder
from otkit.errors import InputError

__all__ = ["GivenLinks", "GoldCorpus", "Teacher", "gold_corpus", "read_links", "spread_links"]

WordLinks = Iterable[tuple[int, int]]


class GoldCorpus:
    """Gold pairs as parallel text to train on, the same sentences in the same order."""

    def __init__(self, gold: GoldSet, *, languages: tuple[str, str]) -> None:
        self.pairs, self.name, self.sha256, self.languages = gold.pairs, gold.name, gold.sha256, languages
        self.skipped, self.notes, self.spaces = gold.skipped, gold.notes, gold.spaces

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Pair:
        pair = self.pairs[index]
        return Pair(" ".join(pair.source), " ".join(pair.target), pair.line)


class GivenLinks:
    """Word links of every corpus, by the line that a pair was read from."""

    def __init__(self, corpora: Sequence[PairCorpus], links: Sequence[Mapping[int, WordLinks]]) -> None:
        self._corpora, self._links = tuple(corpora), tuple(links)

    @property
    def sha256(self) -> str:
        """A hash of all links, whatever file or format they came in."""
        digest = hashlib.sha256()
        for number, links in enumerate(self._links):
            for line in sorted(links):
                digest.update(f"{number} {line} {sorted(links[line])}\n".encode())
        return digest.hexdigest()

    def words(self, batch: PairBatch) -> Tensor:
        """(B,W,V) bool on the CPU: links between the words of both sides, 0-based."""
        corpus, links = self._corpora[batch.corpus], self._links[batch.corpus]
        sides = batch.source.counts, batch.target.counts
        matrix = torch.zeros(len(batch.indices), max(sides[0]), max(sides[1]), dtype=torch.bool)
        for row, index in enumerate(batch.indices):
            line = corpus[index].line
            if line not in links:
                raise InputError("the pair has no line of links", where=f"{corpus.name}:{line}")
            for i, j in links[line]:
                if not (0 <= i < sides[0][row] and 0 <= j < sides[1][row]):
                    raise InputError(
                        f"the link {i}-{j} lies outside sentences of {sides[0][row]} and {sides[1][row]} words",
                        where=f"{corpus.name}:{line}",
                        remedy="links count words from 0",
                    )
                matrix[row, i, j] = True
        return matrix


def spread_links(words: Tensor, source: Encoded, target: Encoded) -> Tensor:
    """(B,N,M) bool links between units, from (B,W,V) links between their words."""
    rows = source.word_ids.clamp(0, words.shape[1] - 1)[:, :, None]
    columns = target.word_ids.clamp(0, words.shape[2] - 1)[:, None, :]
    batch = torch.arange(len(words), device=words.device)[:, None, None]
    return words[batch, rows, columns] & source.mask[:, :, None] & target.mask[:, None, :]


def gold_corpus(path: Path, *, langs: str | None = None, on_error: str = "raise") -> GoldCorpus:
    """The sentences of a gold file (`source<TAB>target<TAB>links`) as text to train on."""
    if not holds_text(path):
        raise InputError(
            "the file holds links without their sentences",
            where=str(path),
            remedy="give the text that they belong to as well",
        )
    return GoldCorpus(read_gold(path, on_error=on_error), languages=languages_of(path.name, langs))


def read_links(path: Path, *, swap: bool = False, on_error: str = "raise") -> dict[int, WordLinks]:
    """The links of every line of a text, by line from 1: Pharaoh `i-j`, or a gold file's third column, sure
    and possible ones. `swap` exchanges the sides.
    """
    found: dict[int, WordLinks] = {}
    if holds_text(path):
        found = {pair.line: pair.possible for pair in read_gold(path, on_error=on_error)}
    else:
        for number, line in enumerate(map(checked, LineSource(path)), 1):
            found[number] = [(i, j) for i, j, _ in parse_links(line, where=f"{path}:{number}")]
    return {line: [(j, i) for i, j in links] for line, links in found.items()} if swap else found


class Teacher:
    """A frozen encoder that reads the target side with its own tokenizer, one unit a word."""

    def __init__(
        self,
        encoder: TorchEncoder,
        corpora: Sequence[PairCorpus],
        *,
        layers: Sequence[int] = (-1,),
        word_vector: str = "mean",
    ) -> None:
        encoder.eval().model.requires_grad_(False)
        self.encoder, self.width = encoder, encoder.dimension
        self._corpora, self._layers, self._word_vector = tuple(corpora), tuple(layers), word_vector

    def units(self, batch: PairBatch) -> Encoded:
        """(B,M,D') the words of the batch's target sentences."""
        corpus = self._corpora[batch.corpus]
        try:
            tokens = self.encoder.tokenize([words_of(corpus[index].target) for index in batch.indices])
        except TooLongError as error:
            raise InputError(
                f"has {error.tokens} subword tokens for the teacher, which takes {error.limit}",
                where=f"{corpus.name}:{corpus[batch.indices[error.index]].line}",
                remedy="shorten the sentence, or choose another teacher",
            ) from error
        _, spoken = languages_of_pairs(corpus, batch.indices)
        tokens = self.encoder.subwords.in_languages(tokens, spoken).to(self.encoder.device)
        with torch.no_grad():
            states = self.encoder.hidden_states(tokens, layers=self._layers)
            hidden = torch.stack([state.float() for state in states]).mean(0)
            return pool_words(hidden, tokens, word_vector=self._word_vector)
