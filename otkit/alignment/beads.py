"""Sentences of two documents to beads: groups of one to a few sentences that say the same, in both languages.

Three things tell a bead: the vectors of its sentences, how many of its words find a partner within it, and its lengths.
The first and the last lead a chain of beads through the document (see `lanes`); words are compared around that chain,
and a second chain is led by all three. Vectors of several sentences are means of those of each, so no sentence goes
through the encoder in five groups. Order is preferred and not demanded: a chain may break off and go on elsewhere.

The search is after Vecalign (Thompson and Koehn 2019) in its cost and its blocks, after Gale and Church (1993) in its
lengths, and after Bertalign (Liu and Zhu 2023) in its anchors, which say where to look in a long document.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from otkit.alignment.chains import Anchor, anchors_of, chains_of, lanes_of
from otkit.alignment.lanes import Lane, Step, best_path
from otkit.alignment.settings import BeadSettings
from otkit.alignment.store import averaged, encode_layers, tokenise, tokens_at_once
from otkit.encoders.encoder import Encoder, resolve_layers
from otkit.encoders.sentences import encode_sentences
from otkit.encoders.tokens import Sentence, letters_of

__all__ = ["Bead", "BeadSettings", "Beads", "Side", "align_sentences", "encode_side", "find_beads"]

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

_TOGETHER = 512  # sentences whose word vectors are in full precision at one time
_WHOLE = 1_000_000  # cells of a document that is searched whole
_WINDOW = 5  # target sentences to each side of the chain whose words are looked at
_ROUND = 32  # source sentences whose words are compared together
_ANCHOR = 0.35  # the least cosine of an anchor, of centred vectors
_CHAIN_BREAK = 3.0  # in cosines of anchors
# Chosen on the development document of Text+Berg (German and French), in units of a bead of one and one sentence whose
# cost is that of unrelated ones. A cost below _COST speaks for a bead.
_COST, _MERGED, _LENGTHS, _MOST_LENGTHS, _WORDS, _ENDS = 0.95, 0.32, 0.12, 3.0, 0.9, 0.2
_FIRST_COST, _FIRST_MERGED = 0.9, 0.2
_SPREAD = 6.8  # Gale and Church's variance of the characters that translate one


class Bead(NamedTuple):
    """Places of sentences, counted from 0, on each side; one side may have none."""

    source: tuple[int, ...]
    target: tuple[int, ...]

    def __str__(self) -> str:
        return f"{list(self.source)}:{list(self.target)}"


@dataclass(frozen=True, eq=False)
class Beads:
    """All sentences of two documents, each in one bead, in the order of the source; those of the target that have no
    partner stand where they stand on their side.

    scores   cosine of the two sides of each bead, their documents' means taken off; 0 where a side is empty
    """

    beads: tuple[Bead, ...]
    scores: FloatArray

    @property
    def text(self) -> str:
        """A line a bead, in Vecalign's form: `[0, 1]:[2]`."""
        return "".join(f"{bead}\n" for bead in self.beads)


@dataclass(frozen=True, eq=False)
class Side:
    """A document of N sentences of U words.

    sentences (N, D)  unit vectors, as they leave the encoder; 0 for a sentence without words
    words (U, D)  unit vectors, the document's mean taken off, in half precision;  sentence (U,) of each word
    letters (U,)  whether a word has any
    counts, characters (N,) words and characters of each sentence;  ends (N,) how it ends: 0 in a word, else a mark
    """

    sentences: FloatArray
    words: NDArray[np.float16]
    sentence: IntArray
    letters: NDArray[np.bool_]
    counts: IntArray
    characters: IntArray
    ends: IntArray

    def __len__(self) -> int:
        return len(self.counts)

    @cached_property
    def mean(self) -> FloatArray:
        """(D,) mean vector of the sentences: what says only that this is text. Of few sentences it says more."""
        return np.asarray(self.sentences.sum(0) / (len(self) + 1), dtype=np.float32)

    def blocks(self, size: int) -> FloatArray:
        """(N - size + 1, D) unit vectors of so many sentences in a row: a short one says as much as a long one."""
        return _unit(_running(self.sentences - self.mean, size).astype(np.float32))


def align_sentences(
    encoder: Encoder,
    source: Sequence[Sentence],
    target: Sequence[Sentence],
    *,
    settings: BeadSettings | None = None,
    languages: tuple[str, str] | None = None,
    batch_tokens: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Beads:
    """The beads of two documents, given as sentences of words; `progress` gets the sentences encoded after each batch.
    languages: of the two, for an encoder whose tokenizer wants to know.

    Time and memory grow with the number of sentences but for the search of anchors, which multiplies the sentence
    vectors of both documents: a second for 10,000 on each side.
    """
    here, there = languages or (None, None)
    first = encode_side(encoder, source, language=here, batch_tokens=batch_tokens, progress=progress)
    second = encode_side(
        encoder,
        target,
        language=there,
        batch_tokens=batch_tokens,
        progress=lambda done: progress(len(source) + done),
    )
    return find_beads(first, second, settings)


def encode_side(
    encoder: Encoder,
    sentences: Sequence[Sentence],
    *,
    language: str | None = None,
    batch_tokens: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Side:
    """A document through the encoder: words at its alignment layers, and the vectors of its sentences."""
    layers = resolve_layers(encoder.settings.alignment_layers, encoder.layers)
    counts = np.zeros(len(sentences), dtype=np.int64)
    words = [np.zeros((0, encoder.dimension), dtype=np.float16)]
    for begin in range(0, len(sentences), _TOGETHER):
        some = sentences[begin : begin + _TOGETHER]
        with torch.inference_mode():
            stores = encode_layers(
                encoder,
                tokenise(encoder, some, languages=[language] * len(some)),
                layers=layers,
                unit="word",
                word_vector="mean",
                batch_tokens=batch_tokens or tokens_at_once(encoder),
                progress=lambda done, begin=begin: progress(begin + done),  # type: ignore[misc]
            )
            here = stores[0].counts.cpu().numpy()
            order = np.repeat(stores[0].starts.cpu().numpy() - np.cumsum(here) + here, here) + np.arange(
                here.sum()
            )
            vectors = averaged(stores).vectors.cpu().numpy()
        words.append(vectors[order].astype(np.float16))
        counts[begin : begin + len(some)] = here
    vectors = encode_sentences(
        encoder,
        sentences,
        languages=[language] * len(sentences),
        long="cut",
        batch_tokens=batch_tokens or tokens_at_once(encoder),
    )
    return Side(
        sentences=np.where(counts[:, None] > 0, vectors, 0),
        words=_centred(np.concatenate(words)),
        sentence=np.repeat(np.arange(len(sentences)), counts),
        letters=np.array([letters_of(word) for sentence in sentences for word in sentence], dtype=np.int64)
        > 0,
        counts=counts,
        characters=np.array([sum(map(len, sentence)) for sentence in sentences], dtype=np.int64),
        ends=np.array([_end(sentence) for sentence in sentences], dtype=np.int64),
    )


def find_beads(source: Side, target: Side, settings: BeadSettings | None = None) -> Beads:
    """The beads of two encoded documents."""
    settings = settings or BeadSettings()
    if not len(source) or not len(target):
        return _finished([], source, target)
    search = _Search(source, target, settings)
    steps = search.chain(search.lanes(), first=True)
    search.compare_words(_kept(steps))
    return _finished(_kept(search.chain(search.lanes_around(steps), first=False)), source, target)


class _Search:
    """The vectors, lengths and words of two documents, and what beads between them are worth."""

    def __init__(self, source: Side, target: Side, settings: BeadSettings) -> None:
        self.sides, self.settings = (source, target), settings
        self.shape = len(source), len(target)
        sizes = range(1, settings.most + 1)
        self.types = [
            (a, b)
            for a in sizes
            for b in sizes
            if a + b <= settings.most + 1 and max(a, b) <= min(self.shape)
        ] or [(1, 1)]
        self.types = [(a, b) for a, b in self.types if a <= self.shape[0] and b <= self.shape[1]]
        self.blocks = [
            {size: side.blocks(size) for size in {each[place] for each in self.types}}
            for place, side in enumerate(self.sides)
        ]
        # A block's distance from unrelated text is that from the other side's mean.
        means = [blocks[1].mean(0) for blocks in self.blocks]
        self.far = [
            {size: 1 - vectors @ means[1 - place] for size, vectors in blocks.items()}
            for place, blocks in enumerate(self.blocks)
        ]
        self.characters = [_from_zero(side.characters) for side in self.sides]
        self.ratio = self.characters[1][-1] / max(self.characters[0][-1], 1)
        self.ends = 0.0  # what an unlike end costs
        self.shares: list[FloatArray] = []  # of each source sentence, running over `window` of it
        self.window = np.zeros((0, 2), dtype=np.int64)
        self.first = True

    def lanes(self) -> list[Lane]:
        """Where the first chain is looked for: everywhere, or around anchors."""
        if (self.shape[0] + 1) * (self.shape[1] + 1) <= _WHOLE:
            return [_everywhere(self.shape)]
        anchors = anchors_of(self.blocks[0][1], self.blocks[1][1], least=_ANCHOR)
        return lanes_of(self.shape, chains_of(anchors, jump=_CHAIN_BREAK))

    def lanes_around(self, steps: Sequence[Step]) -> list[Lane]:
        """Where the second chain is looked for: around the first."""
        if (self.shape[0] + 1) * (self.shape[1] + 1) <= _WHOLE:
            return [_everywhere(self.shape)]
        runs: dict[int, list[Anchor]] = {}
        for step in steps:
            runs.setdefault(step.run, []).append(
                Anchor(step.source - step.a, step.target - step.b, step.gain)
            )
        return lanes_of(self.shape, list(runs.values()))

    def chain(self, lanes: Sequence[Lane], *, first: bool) -> list[Step]:
        """The best chain by vectors and lengths, and after the first by words and ends too."""
        self.first = first
        return best_path(
            self.shape,
            lanes,
            self.gain,
            types=self.types,
            skip=0.0 if first else self.settings.skip,
            jump=self.settings.jump,
        )

    def gain(self, a: int, b: int, row: int, low: int, high: int) -> NDArray[np.float64]:
        """What beads of a sentences before `row` with b sentences before each of some columns are worth."""
        columns = slice(low - b, high - b)
        similar = self.blocks[1][b][columns] @ self.blocks[0][a][row - a]
        cost = 2 * (1 - similar) / (self.far[0][a][row - a] + self.far[1][b][columns])
        lengths = self._lengths(a, b, row, low, high)
        if self.first:
            worth = (a + b) / 2 * (_FIRST_COST - cost) - _FIRST_MERGED * (a + b - 2) - lengths
        else:
            unlike = self.sides[0].ends[row - 1] != self.sides[1].ends[low - 1 : high - 1]
            worth = (a + b) / 2 * (_COST - cost) - _MERGED * (a + b - 2) - lengths - self.ends * unlike
            worth = worth + _WORDS * self._partners(a, b, row, low, high)
        return np.asarray(worth, dtype=np.float64)

    def _lengths(self, a: int, b: int, row: int, low: int, high: int) -> NDArray[np.float64]:
        """Gale and Church's price of lengths that do not fit: half the squared deviation, up to a limit."""
        here = self.ratio * (self.characters[0][row] - self.characters[0][row - a])
        there = self.characters[1][low:high] - self.characters[1][low - b : high - b]
        deviation = (here - there) ** 2 / np.maximum(_SPREAD * (here + there) / 2, 1)
        return np.asarray(_LENGTHS * np.minimum(deviation / 2, _MOST_LENGTHS))

    def _partners(self, a: int, b: int, row: int, low: int, high: int) -> NDArray[np.float64]:
        """The share of its words that find a partner in the bead, summed over its sentences, halved."""
        found = np.zeros(high - low)
        for place in range(row - a, row):
            begin, end = self.window[place]
            running = self.shares[place]
            ends = np.arange(low, high)
            found += (
                running[(ends - begin).clip(0, end - begin)]
                - running[(ends - b - begin).clip(0, end - begin)]
            )
        return found

    def compare_words(self, steps: Sequence[Step]) -> None:
        """Partners of words around a chain, and what else it teaches: the ratio of lengths, and whether ends say
        anything."""
        source, target = self.sides
        if steps:
            rows, columns, a, b = np.array([step[:4] for step in steps], dtype=np.int64).T
            there = self.characters[1][columns] - self.characters[1][columns - b]
            here = self.characters[0][rows] - self.characters[0][rows - a]
            self.ratio = there.sum() / max(here.sum(), 1)
            alike = (source.ends[rows - 1] == target.ends[columns - 1]).mean()
            self.ends = _ENDS * max(0.0, 2 * float(alike) - 1)
        centre = _centre(steps, self.shape)
        self.window = np.stack([centre - _WINDOW, centre + _WINDOW + 1], 1).clip(0, self.shape[1])
        shares = _partner_shares(source, target, self.window)
        self.shares = [np.concatenate([[0.0], np.cumsum(row)]).astype(np.float32) for row in shares]


def _partner_shares(source: Side, target: Side, window: IntArray) -> list[FloatArray]:
    """For each source sentence and each target sentence of its window: how many words are each other's nearest among
    all that are compared, as a share of the words of the one and of the other, halved and added."""
    best = np.full(len(target.words), -2.0, dtype=np.float32)
    nearest = np.full(len(target.words), -1)
    ahead = np.full(len(source.words), -1)
    value = np.zeros(len(source.words), dtype=np.float32)
    begins = [_from_zero(side.counts) for side in (source, target)]
    for first, end in _rounds(window):
        rows = slice(begins[0][first], begins[0][end])
        columns = slice(begins[1][window[first:end, 0].min()], begins[1][window[first:end, 1].max()])
        if rows.start == rows.stop or columns.start == columns.stop:
            continue
        similar = source.words[rows].astype(np.float32) @ target.words[columns].astype(np.float32).T
        place, other = source.sentence[rows], target.sentence[columns]
        seen = (other >= window[place, :1]) & (other < window[place, 1:])
        seen &= source.letters[rows, None] & target.letters[None, columns]
        similar = np.where(seen, similar, -2.0)
        ahead[rows] = np.where(seen.any(1), similar.argmax(1) + columns.start, -1)
        value[rows] = similar.max(1)
        highest, where = similar.max(0), similar.argmax(0) + rows.start
        better = highest > best[columns]
        best[columns][better] = highest[better]
        nearest[columns][better] = where[better]
    linked = np.flatnonzero(ahead >= 0)
    linked = linked[nearest[ahead[linked]] == linked]
    i, j = source.sentence[linked], target.sentence[ahead[linked]]
    full = [
        np.maximum(np.bincount(side.sentence[side.letters], minlength=len(side)), 1)
        for side in (source, target)
    ]
    shares = [np.zeros(end - begin, dtype=np.float32) for begin, end in window]
    for row, column, similarity in zip(
        i.tolist(), j.tolist(), value[linked].clip(0, 1).tolist(), strict=True
    ):
        shares[row][column - window[row, 0]] += similarity * (1 / full[0][row] + 1 / full[1][column]) / 2
    return shares


def _rounds(window: IntArray) -> Iterator[tuple[int, int]]:
    """Source sentences to compare together, as [first, end): a few, whose windows lie together."""
    first = 0
    for place in range(1, len(window) + 1):
        if place < len(window) and place - first < _ROUND:
            low, high = window[first : place + 1].min(), window[first : place + 1].max()
            if high - low <= 2 * (_ROUND + 2 * _WINDOW):
                continue
        yield first, place
        first = place


def _centre(steps: Sequence[Step], shape: tuple[int, int]) -> IntArray:
    """(N,) the target sentence that a chain puts beside each source sentence: from the nearest bead on."""
    if not steps:
        return (np.arange(shape[0]) * shape[1] // max(shape[0], 1)).astype(np.int64)
    begins = np.array([(step.source - step.a, step.target - step.b) for step in steps])
    place = np.arange(shape[0])
    after = np.searchsorted(begins[:, 0], place).clip(0, len(steps) - 1)
    before = (after - 1).clip(0)
    nearer = np.where(place - begins[before, 0] <= begins[after, 0] - place, before, after)
    return np.asarray((begins[nearer, 1] + place - begins[nearer, 0]).clip(0, shape[1] - 1), dtype=np.int64)


def _kept(steps: Sequence[Step]) -> list[Step]:
    """The chain without beads whose target sentences a run of more worth has: order that may break would take a
    sentence twice."""
    worth: dict[int, float] = {}
    for step in steps:
        worth[step.run] = worth.get(step.run, 0.0) + step.gain
    taken: set[int] = set()
    kept = []
    for step in sorted(steps, key=lambda step: (-worth[step.run], step.source)):
        places = range(step.target - step.b, step.target)
        if taken.isdisjoint(places):
            taken.update(places)
            kept.append(step)
    return sorted(kept)


def _finished(steps: Sequence[Step], source: Side, target: Side) -> Beads:
    """Beads for all sentences: those of the chain, and the others alone."""
    found = [
        Bead(tuple(range(s.source - s.a, s.source)), tuple(range(s.target - s.b, s.target))) for s in steps
    ]
    used = [{place for bead in found for place in bead[side]} for side in (0, 1)]
    found += [Bead((place,), ()) for place in range(len(source)) if place not in used[0]]
    found.sort()
    # A target sentence alone comes after the bead of the sentence before it on its side.
    follows: dict[int, list[Bead]] = {}
    last = -1
    for place in range(len(target)):
        if place in used[1]:
            last = place
        else:
            follows.setdefault(last, []).append(Bead((), (place,)))
    ordered = follows.pop(-1, [])
    for bead in found:
        ordered.append(bead)
        for place in bead.target:
            ordered += follows.pop(place, [])
    return Beads(
        tuple(ordered), np.array([_similarity(bead, source, target) for bead in ordered], dtype=np.float32)
    )


def _similarity(bead: Bead, source: Side, target: Side) -> float:
    if not bead.source or not bead.target:
        return 0.0
    x, y = (
        (side.sentences[list(places)] - side.mean).sum(0)
        for side, places in ((source, bead.source), (target, bead.target))
    )
    return float(x @ y / max(float(np.linalg.norm(x) * np.linalg.norm(y)), 1e-9))


def _everywhere(shape: tuple[int, int]) -> Lane:
    rows = shape[0] + 1
    return Lane(0, np.zeros(rows, dtype=np.int64), np.full(rows, shape[1] + 1))


def _centred(words: NDArray[np.float16]) -> NDArray[np.float16]:
    """Unit vectors, less the mean of all, made piece by piece."""
    mean = words.sum(0, dtype=np.float64).astype(np.float32) / max(len(words), 1)
    for begin in range(0, len(words), 1 << 14):
        piece = words[begin : begin + (1 << 14)]
        piece[:] = _unit(piece.astype(np.float32) - mean)
    return words


def _unit(vectors: FloatArray) -> FloatArray:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-9), dtype=np.float32)


def _from_zero(values: IntArray) -> IntArray:
    """Running sums that begin with 0."""
    return np.concatenate([[0], np.cumsum(values)])


def _running(values: NDArray[np.generic], size: int) -> NDArray[np.generic]:
    """Sums of so many in a row."""
    count = len(values) - size + 1
    return sum(values[shift : shift + count] for shift in range(size))  # type: ignore[return-value]


_SAME = {
    "。": ".",
    "．": ".",
    "｡": ".",
    "।": ".",
    "॥": ".",
    "۔": ".",
    "？": "?",
    "؟": "?",
    "！": "!",
    "：": ":",
}


def _end(sentence: Sentence) -> int:
    """How a sentence ends: 0 in a letter or a number, else by its mark."""
    last = sentence[-1][-1] if sentence and sentence[-1] else ""
    if not last or unicodedata.category(last)[0] in "LNM":
        return 0
    return ord(_SAME.get(last, last))
