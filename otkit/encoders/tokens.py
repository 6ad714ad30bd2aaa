"""Words in, padded subword ids out: the batch type that carries its own mask and word ids."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, compress
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, normalizers
from torch import Tensor
from torch.nn.functional import pad

from otkit.encoders.device import send
from otkit.encoders.languages import language_key
from otkit.errors import CheckpointError, ConfigError, InputError, OtkitError

__all__ = [
    "SENTENCEPIECE",
    "Sentence",
    "SubwordTokenizer",
    "Tokens",
    "TooLongError",
    "letters_of",
    "lower_case",
    "own_tokenizer",
    "refuse_huge",
    "refuse_too_long",
    "stack_tokens",
    "tokenizer_errors",
]

Sentence = Sequence[str]

# A Chinese character, a kana or a Hangul syllable says about as much as three letters.
_WIDE = 3


@lru_cache(maxsize=1 << 16)
def letters_of(word: str) -> int:
    """The length of a word in letters, wide characters counting three; 0 for punctuation."""
    if not any(map(str.isalnum, word)):
        return 0
    return sum(_WIDE if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in word)


@contextmanager
def tokenizer_errors() -> Iterator[None]:
    """Within the block whatever tokenizers raises is a CheckpointError: its errors are bare `Exception`s, and a panic
    of the Rust underneath is not even one."""
    try:
        yield
    except OtkitError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise CheckpointError(
            f"its tokenizer cannot be used: {(str(error).splitlines() or [type(error).__name__])[0][:200]}",
            remedy="restore tokenizer.json, or use another encoder",
        ) from error


SENTENCEPIECE = (
    "sentencepiece.bpe.model",
    "sentencepiece.model",
    "spiece.model",
    "spm.model",
    "tokenizer.model",
)
"""Where a folder has the pieces of sentencepiece, which transformers converts where there is no tokenizer.json."""
_HUGE = 1 << 28  # bytes; the largest vocabularies that are known take a fifth
_READ_WHOLE = (
    *("config.json", "otkit.json", "manifest.json", "modules.json", "adapter_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", *SENTENCEPIECE),
    "model.safetensors.index.json",
)


def refuse_huge(folder: Path) -> None:
    """An error for a file beside an encoder's weights that is larger than any need be: its readers hold all of it in
    memory."""
    for path in (folder / name for name in _READ_WHOLE):
        if path.is_file() and path.stat().st_size > _HUGE:
            raise CheckpointError(
                f"has {path.stat().st_size:,} bytes, expected at most {_HUGE:,}",
                where=str(path),
                remedy="restore the file, or use another encoder",
            )


class TooLongError(InputError):
    """A sentence has more subword tokens than the encoder has positions."""

    def __init__(self, *, index: int, tokens: int, limit: int, whole: bool = False) -> None:
        """whole: it gets one vector, which windows do not have."""
        self.index, self.tokens, self.limit = index, tokens, limit
        way = (
            "leave its end away: `long='cut'`"
            if whole
            else "encode it in overlapping windows: `long='window'`"
        )
        super().__init__(
            f"sentence {index} has {tokens} subword tokens and the encoder takes {limit}",
            remedy=("split the sentence", way),
        )


@dataclass(frozen=True, slots=True)
class Tokens:
    """A padded batch of subword ids.

    ids: (B, T) int64.  attention: (B, T) bool, False at padding.  word_ids: (B, T) int64, the index of the
    word that a token belongs to; -1 for special tokens, the prefix and padding.  counts: words of each
    sentence (found from word_ids when not given), so that no later step has to ask a device for them.  lead: tokens up
    to the end of the prefix, of every sentence alike; 0 where there is no prefix.
    """

    ids: Tensor
    attention: Tensor
    word_ids: Tensor
    counts: tuple[int, ...] = ()
    lead: int = 0

    def __post_init__(self) -> None:
        shape = tuple(self.ids.shape)
        if len(shape) != 2 or tuple(self.attention.shape) != shape or tuple(self.word_ids.shape) != shape:
            raise ValueError(
                f"ids, attention and word_ids must be (B, T) alike, got {shape}, "
                f"{tuple(self.attention.shape)}, {tuple(self.word_ids.shape)}"
            )
        if (self.ids.dtype, self.attention.dtype, self.word_ids.dtype) != (
            torch.int64,
            torch.bool,
            torch.int64,
        ):
            raise ValueError("ids and word_ids must be int64 and attention bool")
        if not self.counts and shape[0]:
            found = self.word_ids.amax(dim=1) + 1 if shape[1] else torch.zeros(shape[0], dtype=torch.int64)
            object.__setattr__(self, "counts", tuple(int(n) for n in found.tolist()))
        if len(self.counts) != shape[0]:
            raise ValueError(f"{len(self.counts)} word counts for {shape[0]} sentences")

    def __len__(self) -> int:
        return int(self.ids.shape[0])

    @property
    def lengths(self) -> Tensor:
        """(B,) number of tokens that are not padding."""
        return self.attention.sum(dim=1)

    def select(self, rows: Tensor) -> Tokens:
        """Some sentences of the batch, without the columns that are padding in all of them."""
        width = int(self.lengths[rows].max()) if len(rows) else 0
        ids, attention, word_ids = (x[rows, :width] for x in (self.ids, self.attention, self.word_ids))
        return Tokens(ids, attention, word_ids, tuple(self.counts[row] for row in rows.tolist()), self.lead)

    def to(self, device: torch.device | str) -> Tokens:
        """The same batch on another device."""
        ids, attention, word_ids = (send(x, device) for x in (self.ids, self.attention, self.word_ids))
        return Tokens(ids, attention, word_ids, self.counts, self.lead)


def stack_tokens(batches: Sequence[Tokens], *, padding_id: int) -> Tokens:
    """Several batches as one, each padded to the widest: (B1+B2+..., T)."""
    width = max(tokens.ids.shape[1] for tokens in batches)

    def stacked(columns: Sequence[Tensor], value: int) -> Tensor:
        return torch.cat([pad(column, (0, width - column.shape[1]), value=value) for column in columns])

    return Tokens(
        stacked([tokens.ids for tokens in batches], padding_id),
        stacked([tokens.attention for tokens in batches], False),
        stacked([tokens.word_ids for tokens in batches], -1),
        tuple(count for tokens in batches for count in tokens.counts),
    )


def refuse_too_long(
    tokens: Tokens, limit: int, *, numbers: Sequence[int] | None = None, whole: bool = False
) -> None:
    """Raise TooLongError for the first sentence with more than `limit` tokens; `numbers` says which each row is,
    `whole` that it gets one vector."""
    if tokens.ids.shape[1] > limit:
        row = int(tokens.lengths.gt(limit).to(torch.int64).argmax())
        index = row if numbers is None else int(numbers[row])
        raise TooLongError(index=index, tokens=int(tokens.lengths[row]), limit=limit, whole=whole)


class SubwordTokenizer:
    """Splits pre-split words into subwords with a `tokenizers.Tokenizer`, without losing count of the words.

    Every word is tokenised by itself (which is what the tokenizer does with pre-split input anyway), so that
    the pieces of a word are remembered: real text repeats its words, and a remembered word costs one
    dictionary look-up. Text that looks like a special token (`</s>`, `[SEP]`) is text here. A word without
    any piece (an empty string, or only characters that the tokenizer's normaliser deletes) is given the
    unknown token, so it stays a unit.

    languages: the tokens that name the language of a text, where the tokenizer has such (NLLB, M2M100, mBART), by its
    codes; `usual` is the one that it puts where nobody says.  truncation_side: the end that `encode_texts` cuts, as the
    tokenizer's own settings have it.
    """

    REMEMBERED = 200_000  # words; about 50 MB, then the memory starts anew: a stream of any length stays flat

    def __init__(
        self,
        backend: Tokenizer,
        *,
        unknown_id: int,
        padding_id: int,
        limit: int,
        languages: Mapping[str, int] | None = None,
        usual: int | None = None,
        truncation_side: str = "right",
    ) -> None:
        self.unknown_id, self.padding_id, self.limit = unknown_id, padding_id, limit
        self.truncation_side = truncation_side
        with tokenizer_errors():
            self.backend = backend = own_tokenizer(backend)
            self._space = _space_before_words(backend)
            probe = backend.encode(["a"], is_pretokenized=True)
        inside = [i for i, word in enumerate(probe.word_ids) if word is not None]
        if not inside:
            raise CheckpointError(
                "the tokenizer gives no token for the letter 'a'",
                remedy="check that tokenizer.json belongs to this encoder",
            )
        self._before, self._after = probe.ids[: inside[0]], probe.ids[inside[-1] + 1 :]
        self.languages = dict(languages or {})
        self.usual = usual if usual in (*self._before, *self._after) else None
        self._pieces: dict[str, tuple[int, ...]] = {}

    def pieces(self, words: Sequence[str]) -> list[tuple[int, ...]]:
        """The subword ids of each word, never empty."""
        known = self._pieces
        new = list({word for word in words if word not in known})
        if new:
            if len(known) + len(new) > self.REMEMBERED:
                known = self._pieces = {}
                new = list(set(words))
            texts = list(map(_unicode, new))
            if self._space:
                texts = [text if text[:1].isspace() else f" {text}" for text in texts]
            with tokenizer_errors():
                found = self.backend.encode_batch_fast(
                    [[text] for text in texts], is_pretokenized=True, add_special_tokens=False
                )
            for word, encoding in zip(new, found, strict=True):
                known[word] = tuple(encoding.ids) or (self.unknown_id,)
        return [known[word] for word in words]

    def spelled(self, words: Sequence[str]) -> list[list[str]]:
        """The subwords of each word as a person reads them; a piece without letters of its own by its name."""
        with tokenizer_errors():
            return [[self._spelled(piece) for piece in pieces] for pieces in self.pieces(words)]

    def _spelled(self, piece: int) -> str:
        name = str(self.backend.id_to_token(piece))
        return self.backend.decode([piece]).strip() or name.lstrip("\u2581\u0120") or name

    def truecase(self, sentences: Sequence[Sentence]) -> list[Sentence]:
        """The sentences, each with its first word in lower case where that is fewer pieces.

        A capital that says no more than "here a sentence begins" makes two pieces of a word that the vocabulary has
        (Lita et al. 2003, "tRuEcasIng"). Names and nouns that are known with their capital keep it.
        """
        places = [
            next((k for k, word in enumerate(words) if _lettered(word)), len(words)) for words in sentences
        ]
        firsts = {word for words, k in zip(sentences, places, strict=True) for word in words[k : k + 1]}
        capitals = sorted(filter(_begins, firsts))
        small = [word.lower() for word in capitals]
        sizes = zip(self.pieces(small), self.pieces(capitals), strict=True)
        fewer = [len(after) < len(before) for after, before in sizes]
        read = dict(compress(zip(capitals, small, strict=True), fewer))
        return [
            (*words[:k], read[words[k]], *words[k + 1 :]) if k < len(words) and words[k] in read else words
            for words, k in zip(sentences, places, strict=True)
        ]

    def encode(self, sentences: Sequence[Sentence], *, prefix: str = "") -> Tokens:
        """Tokens of any length: nothing is cut, and nothing is refused here (see `tokenize` of the
        encoders)."""
        lead = [*self._before, *chain.from_iterable(self.pieces(prefix.split()))]
        pieces = self.pieces([*chain.from_iterable(sentences)])
        tokens = self._assembled(tuple(map(len, sentences)), pieces, lead)
        return replace(tokens, lead=len(lead)) if prefix else tokens

    def lengths_of_texts(self, texts: Sequence[str], *, prefix: str = "") -> list[int]:
        """How many tokens `encode_texts` would give each, without the matrix that the longest makes wide."""
        whole = [_unicode(prefix + text) for text in texts]
        return [len(found.ids) for found in self.backend.encode_batch_fast(whole)]

    def encode_texts(self, texts: Sequence[str], *, prefix: str = "", limit: int | None = None) -> Tokens:
        """Tokens of whole texts, cut exactly as the tokenizer cuts the prefix and the text in one; no word ids.

        limit: the most tokens; a longer text loses its end, or its beginning where the tokenizer's `truncation_side` is
        left, as in sentence-transformers.
        """
        whole = [_unicode(prefix + text) for text in texts]
        rows = [found.ids for found in self.backend.encode_batch_fast(whole)]
        if limit is not None:
            rows = [row if len(row) <= limit else self._cut(row, limit) for row in rows]
        width = max(map(len, rows), default=0)
        ids = torch.tensor([row + [self.padding_id] * (width - len(row)) for row in rows], dtype=torch.int64)
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
        attention = torch.arange(width) < lengths[:, None]
        counts = (0,) * len(rows)
        lead = len(self.backend.encode(_unicode(prefix)).ids) - len(self._after[:1]) if prefix else 0
        ids = ids.reshape(len(rows), width)
        return Tokens(ids, attention, torch.full_like(ids, -1), counts, lead)

    def _cut(self, row: list[int], limit: int) -> list[int]:
        """The text of a row shorter, between the special tokens of every text."""
        first, last = len(self._before), len(row) - len(self._after)
        kept = limit - first - len(self._after)
        inside = row[first : first + kept] if self.truncation_side != "left" else row[last - kept : last]
        return [*row[:first], *inside, *row[last:]]

    def in_languages(self, tokens: Tokens, languages: str | Sequence[str | None] | None) -> Tokens:
        """The same sentences, each said to be in its language (`de`, `deu_Latn`), one for all or one each; None leaves
        the tokenizer's own choice. A tokenizer without tokens for languages changes nothing."""
        if self.usual is None or languages is None or not len(tokens):
            return tokens
        asked = [languages] * len(tokens) if isinstance(languages, str) else languages
        spoken = {code: self.language_token(code) for code in {*asked}}
        own = torch.tensor([spoken[code] for code in asked], device=tokens.ids.device)
        # By its place: the vocabulary of mBART has the codes as pieces of text too.
        if self.usual in self._before:
            place = torch.full_like(own, self._before.index(self.usual))
        else:
            place = tokens.lengths - len(self._after) + self._after.index(self.usual)
        return replace(tokens, ids=tokens.ids.scatter(1, place[:, None], own[:, None]))

    def known(self, languages: Sequence[str]) -> list[str | None]:
        """The same languages, without those that no token stands for: of text that is not the user's."""
        found: dict[str, str | None] = {}
        for code in {*languages} if self.usual is not None else ():
            with suppress(ConfigError):
                found[code] = language_key(code, self.languages)
        return [found.get(code) for code in languages]

    def language_token(self, code: str | None) -> int:
        """The token that says so; None: the tokenizer's own choice."""
        assert self.usual is not None
        return self.usual if code is None else self.languages[language_key(code, self.languages)]

    def of_pieces(self, rows: Sequence[Sequence[int]]) -> Tokens:
        """Subword ids between the special tokens, each a word of its own."""
        pieces = [(piece,) for piece in chain.from_iterable(rows)]
        return self._assembled(tuple(map(len, rows)), pieces, self._before)

    def _assembled(
        self, counts: tuple[int, ...], pieces: Sequence[tuple[int, ...]], lead: Sequence[int]
    ) -> Tokens:
        """Sentences of `counts` words, whose pieces lie one after another, with `lead` before each."""
        sizes = np.fromiter(map(len, pieces), np.int64, len(pieces))  # tokens of each word
        flat = np.fromiter(chain.from_iterable(pieces), np.int64, int(sizes.sum()))
        rows, within = _segments(np.asarray(counts, np.int64))  # sentence, and place in it, of each word
        content = np.bincount(rows, weights=sizes, minlength=len(counts)).astype(
            np.int64
        )  # tokens of each sentence
        lengths = content + len(lead) + len(self._after)
        shape = (len(counts), int(lengths.max(initial=0)))

        ids = np.full(shape, self.padding_id, np.int64)
        word_ids = np.full(shape, -1, np.int64)
        ids[:, : len(lead)] = lead
        columns = np.arange(shape[1])
        for place, token in enumerate(self._after):
            ids[np.arange(shape[0]), lengths - len(self._after) + place] = token
        row, column = _segments(content)
        ids[row, column + len(lead)] = flat
        word_ids[row, column + len(lead)] = np.repeat(within, sizes)
        attention = columns[None, :] < lengths[:, None]
        return Tokens(torch.from_numpy(ids), torch.from_numpy(attention), torch.from_numpy(word_ids), counts)

    def join(self, first: Sequence[Sentence], second: Sequence[Sentence], *, prefix: str = "") -> Tokens:
        """Both sentences of each pair as one text, with what the tokenizer puts between two texts; the words
        of the second count on from those of the first."""
        head, tail = self.encode(first, prefix=prefix), self.encode(second)
        between = np.asarray(self._between(), np.int64)
        kept = head.lengths.numpy() - len(self._after)
        added = tail.lengths.numpy() - len(self._before)
        shape = (len(head), int((kept + len(between) + added).max(initial=0)))
        ids = np.full(shape, self.padding_id, np.int64)
        word_ids = np.full(shape, -1, np.int64)
        row, column = _segments(kept)
        ids[row, column], word_ids[row, column] = (
            head.ids.numpy()[row, column],
            head.word_ids.numpy()[row, column],
        )
        ids[np.arange(shape[0])[:, None], kept[:, None] + np.arange(len(between))] = between
        row, column = _segments(added)
        words = tail.word_ids.numpy()[row, column + len(self._before)]
        place = column + kept[row] + len(between)
        ids[row, place] = tail.ids.numpy()[row, column + len(self._before)]
        word_ids[row, place] = np.where(words >= 0, words + np.asarray(head.counts, np.int64)[row], -1)
        attention = np.arange(shape[1])[None, :] < (kept + len(between) + added)[:, None]
        counts = tuple(n + m for n, m in zip(head.counts, tail.counts, strict=True))
        return Tokens(torch.from_numpy(ids), torch.from_numpy(attention), torch.from_numpy(word_ids), counts)

    def _between(self) -> list[int]:
        """The special tokens between two texts; a tokenizer without a form for two ends the first as ever."""
        probe = self.backend.encode(["a"], ["a"], is_pretokenized=True)
        sides = probe.sequence_ids
        if 0 not in sides or 1 not in sides:
            return self._after
        return probe.ids[len(sides) - sides[::-1].index(0) : sides.index(1)] or self._after

    def tokenize(self, sentences: Sequence[Sentence], *, prefix: str = "") -> Tokens:
        """Tokens within the encoder's limit; a longer sentence raises `TooLongError`, it is never cut."""
        tokens = self.encode(sentences, prefix=prefix)
        refuse_too_long(tokens, self.limit)
        return tokens


def _lettered(word: str) -> bool:
    """Whether a word has a letter, or a figure that is small or a capital."""
    return any(map(str.isalpha, word)) or word.lower() != word.upper()


def _begins(word: str) -> bool:
    """Whether its first letter is a capital, and no other is."""
    letters = [letter for letter in word if letter.isalpha()]
    return [letter.isupper() for letter in letters] == [True] + [False] * (len(letters) - 1)


def _unicode(text: str) -> str:
    """Half a surrogate pair (undecodable bytes of a command line) is not Unicode: it becomes "?"."""
    return text.encode("utf-8", "replace").decode("utf-8")


def own_tokenizer(backend: Tokenizer) -> Tokenizer:
    """A tokenizer that cuts text as `backend` does, and whose settings are its own: nothing is cut short or padded,
    and text that looks like a special token is text.

    The vocabulary and the steps are shared, and nobody changes them here: a copy of 72,000 pieces takes half a second.
    """
    own = Tokenizer(backend.model)
    for step in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        if getattr(backend, step) is not None:
            setattr(own, step, getattr(backend, step))
    added = backend.get_added_tokens_decoder()
    own.add_tokens([added[number] for number in sorted(added)])
    if own.get_added_tokens_decoder() != added:  # it numbers them without gaps
        own = Tokenizer.from_str(backend.to_str())
        own.no_truncation()
        own.no_padding()
    own.encode_special_tokens = True
    return own


def lower_case(backend: Tokenizer) -> None:
    """Let a tokenizer lower-case all text first."""
    own = backend.normalizer
    backend.normalizer = (
        normalizers.Lowercase() if own is None else normalizers.Sequence([normalizers.Lowercase(), own])
    )


def _space_before_words(backend: Tokenizer) -> bool:
    """Whether a word in the middle of a text is cut as it is by itself only with a space before it: byte-level
    tokenizers, and those of Gemma, mark the start of a word by that space."""
    text = backend.encode("a a", add_special_tokens=False)
    second = [piece for piece, (_, end) in zip(text.ids, text.offsets, strict=True) if end > len("a")]
    alone, spaced = (
        backend.encode([word], is_pretokenized=True, add_special_tokens=False).ids for word in ("a", " a")
    )
    return alone != second == spaced


def _segments(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For segments of these sizes laid end to end: the segment of each element, and its place in the
    segment."""
    starts = np.cumsum(sizes) - sizes
    rows = np.repeat(np.arange(len(sizes)), sizes)
    return rows, np.arange(len(rows)) - starts[rows]
