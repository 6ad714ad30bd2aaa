"""Static word vectors that a run holds on to: out of fastText's text files, mapped into the encoder's space.

`word v1 ... vD` a line, a first line with both counts or none, plain or gzip. Only the words of the text are kept.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otkit.data.batching import PairBatch
from otkit.data.languages import is_known, short_code
from otkit.data.lines import LineSource, checked, words_of
from otkit.data.views import PairCorpus, files_of, languages_of_pairs
from otkit.encoders.device import send
from otkit.encoders.pooling import Encoded
from otkit.encoders.tokens import Tokens
from otkit.encoders.torch import TorchEncoder
from otkit.errors import InputError, TrainingError
from otkit.training.encoded import Aims

__all__ = ["MappedWords", "StaticVectors", "map_words"]

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_FORM = re.compile(rf"(.*?)((?: {_NUMBER})+)")
_ANY = "*"  # the language of a file whose name tells none
# Words that the map is fitted to, and pairs that are encoded at once for it.
_FITTED, _AT_ONCE = 20_000, 32
# Of the mean square of a vector's number: what keeps the map from following words that are few.
_RIDGE = 1e-2


class StaticVectors:
    """Unit vectors of words by language; a word in the spelling of the text, else in lower case."""

    def __init__(self, files: Sequence[str | Path], corpora: Sequence[PairCorpus]) -> None:
        self._corpora, self.names = tuple(corpora), tuple(Path(file).name for file in files)
        wanted = _words_by_language(corpora)
        self._rows: dict[str, dict[str, int]] = {}
        found: list[NDArray[np.float32]] = []
        digest = hashlib.sha256()
        for file in files:
            language = _language(Path(file).name)
            rows = self._rows.setdefault(language, {})
            words = set().union(*wanted.values()) if language == _ANY else wanted.get(language, set())
            for word, vector in _vectors(Path(file), words):
                if found and len(vector) != len(found[0]):
                    raise InputError(
                        f"its vectors have {len(vector)} numbers, and those before {len(found[0])}",
                        where=str(file),
                        remedy="give files of one width",
                    )
                if rows.setdefault(word, len(found)) == len(found):
                    found.append(vector)
                    digest.update(f"{language} {word}\n".encode() + vector.tobytes())
        if not found:
            raise InputError(
                "none of them is of a word of the text",
                where=", ".join(map(str, files)),
                remedy="give vectors of its languages, named as fastText does: cc.de.300.vec",
            )
        self.table = torch.from_numpy(np.stack(found))
        self.sha256 = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.table)

    def rows(self, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """(B,N) and (B,M) rows of the table for the words of both sides, -1 where there is none."""
        return self.rows_of(self._corpora[batch.corpus], batch.indices)

    def rows_of(self, corpus: PairCorpus, members: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The same for pairs of a corpus."""
        pairs = [corpus[index] for index in members]
        sides = [pair.source for pair in pairs], [pair.target for pair in pairs]
        found = []
        for texts, languages in zip(sides, languages_of_pairs(corpus, members), strict=True):
            rows = [
                [self._row(word, language) for word in words_of(text)]
                for text, language in zip(texts, languages, strict=True)
            ]
            width = max(map(len, rows), default=0)
            found.append(torch.tensor([row + [-1] * (width - len(row)) for row in rows], dtype=torch.int64))
        return found[0], found[1]

    def _row(self, word: str, language: str | None) -> int:
        for name in (_ANY if language is None else short_code(language), _ANY):
            rows = self._rows.get(name, {})
            for spelling in (word, word.lower()):
                if spelling in rows:
                    return rows[spelling]
        return -1


def _language(name: str) -> str:
    """`de` of `cc.de.300.vec.gz` or `wiki.multi.de.vec`."""
    codes = [part for part in re.split(r"[._-]", name) if part != "vec" and is_known(part)]
    return short_code(codes[0]) if len(codes) == 1 else _ANY


def _words_by_language(corpora: Sequence[PairCorpus]) -> dict[str, set[str]]:
    """The words of the text, and their lower case, by the language of their side."""
    found: dict[str, set[str]] = {}
    for corpus in files_of(corpora):
        for language, side in zip(corpus.languages, ("source", "target"), strict=True):
            words = found.setdefault(short_code(language), set())
            for index in range(len(corpus)):
                words.update(words_of(getattr(corpus[index], side)))
    return {language: words | {word.lower() for word in words} for language, words in found.items()}


def _vectors(path: Path, words: set[str]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The vectors of these words, of length 1; a word that stands twice has its first."""
    for number, line in enumerate(map(checked, LineSource(path)), 1):
        if number == 1 and re.fullmatch(r"\d+ \d+", line.strip()):
            continue
        word = line.partition(" ")[0]
        if word not in words:  # also what no vector could be: only lines that count are looked at
            continue
        parts = _FORM.fullmatch(line.rstrip())
        if parts is None:
            raise InputError(
                f"the line of {word!r} is no vector", where=f"{path}:{number}", remedy="write: word v1 v2 ..."
            )
        vector = np.array(parts[2].split(), dtype=np.float32)
        length = float(np.linalg.norm(vector))
        if parts[1] == word and length > 0 and np.isfinite(length):
            yield word, vector / np.float32(length)


@dataclass(frozen=True)
class MappedWords:
    """Static vectors in the space of an encoder.

    words   what finds the row of a word
    table   (V,D) the mapped vectors, less the middle of the encoder's words
    middle  (D,) that middle
    """

    words: StaticVectors
    table: Tensor
    middle: Tensor

    def aims(self, batch: PairBatch, sides: Sequence[Encoded]) -> tuple[Aims, Aims]:
        """Where the units of both sides, which are words, are to go."""
        found = []
        for side, rows in zip(sides, self.words.rows(batch), strict=True):
            places, known = _rows_of_units(rows, side)
            found.append(Aims(self.table[places] * known[..., None], known, self.middle))
        return found[0], found[1]


def _rows_of_units(rows: Tensor, side: Encoded) -> tuple[Tensor, Tensor]:
    """(B,N) the rows of words (B,W) for the units of a side, 0 where there is none, and (B,N) where there is one."""
    words = side.word_ids.clamp(0, max(rows.shape[1] - 1, 0))
    own = send(rows, words.device).gather(1, words)
    known = (own >= 0) & side.mask & (side.word_ids >= 0)
    return torch.where(known, own, 0), known


def map_words(
    static: StaticVectors,
    encoder: TorchEncoder,
    corpora: Sequence[PairCorpus],
    encode: Callable[[TorchEncoder, Tokens], Encoded],
) -> MappedWords:
    """The static vectors in the space of the encoder as it is now: through the linear map that ridge regression finds
    between the first words of each corpus, both less their means.

    A = (V'V + r I)^-1 V'H, r a hundredth of the mean of V'V's diagonal.
    """
    seen: list[Tensor] = []
    aims: list[Tensor] = []
    encoder.eval()
    for corpus in corpora:
        wanted, first = _FITTED // len(corpora), 0
        while wanted > 0 and first < len(corpus):
            members = range(first, min(first + _AT_ONCE, len(corpus)))
            first += _AT_ONCE
            spoken = languages_of_pairs(corpus, members)
            for side, rows, codes in zip(
                ("source", "target"), static.rows_of(corpus, members), spoken, strict=True
            ):
                sentences = [words_of(getattr(corpus[index], side)) for index in members]
                tokens = encoder.subwords.encode(sentences)
                fits = (tokens.lengths <= encoder.max_tokens).nonzero().flatten()
                if not len(fits):
                    continue
                chosen = encoder.subwords.in_languages(tokens, codes).select(fits).to(encoder.device)
                with torch.no_grad():
                    units = encode(encoder, chosen)
                places, known = _rows_of_units(rows[fits], units)
                seen.append(units.vectors[known].cpu().double())
                aims.append(static.table[places[known].cpu()].double())
                wanted -= len(aims[-1])
    if sum(map(len, aims)) < 2:
        raise TrainingError(
            "fewer than two words of the text have a static vector", remedy="give vectors of its languages"
        )
    vectors, targets = torch.cat(aims), torch.cat(seen)
    centre, middle = vectors.mean(0), targets.mean(0)
    v, h = vectors - centre, targets - middle
    gram = v.T @ v
    ridge = _RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    matrix = torch.linalg.solve(gram + ridge, v.T @ h)
    mapped = (static.table.double() - centre) @ matrix
    return MappedWords(static, mapped.float().to(encoder.device), middle.float().to(encoder.device))
