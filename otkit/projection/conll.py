"""CoNLL files: a token a line, columns between tabs or spaces, a blank line between sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise
from pathlib import Path
from statistics import mode

from otkit.data.lines import LineSource, located, trimmed, unskipped
from otkit.data.parallel import BadLine
from otkit.errors import ConfigError, InputError, choose
from otkit.projection.labelled import Item, Labelled
from otkit.projection.labels import SCHEMES, decode, encode, scheme_of
from otkit.projection.places import Place, Placed, joined, spaced

__all__ = ["Conll", "LabelledWords", "read_conll_labels"]


@dataclass(frozen=True)
class _Block:
    """The lines of one sentence of a CoNLL file, with their numbers."""

    rows: list[tuple[int, list[str]]] = field(default_factory=list)
    bad: InputError | None = None


_HEAD = 1000  # sentences that show the scheme
_DOCUMENT = "-DOCSTART-"
_LABEL = re.compile(r"O|[BIELSUM]-\S+")


@dataclass
class Conll:
    """CoNLL files. The target is of the same kind, its labels ignored, or has one sentence of words a line.

    Comments are not carried over.

    column, token_column  counted from 1, or from the end below 0
    """

    source: str | Path
    target: str | Path
    on_error: str = "raise"
    column: int = -1
    token_column: int = 1
    scheme: str = "auto"
    scores: bool = False
    copies: bool = False
    rule: str = "price"
    chooses: bool = False
    state: dict[str, int] = field(default_factory=dict)
    _columns: int = 2
    """Of most sentences: those of one that is left out."""

    def __post_init__(self) -> None:
        for name, column in (("column", self.column), ("token_column", self.token_column)):
            if column == 0:
                raise ConfigError(
                    f"{name} is 0, and columns are counted from 1",
                    remedy="give 1 for the first, -1 for the last",
                    setting=name,
                )
        choose(self.scheme, SCHEMES, what="scheme", setting="scheme")

    def read(self) -> Iterator[Item]:
        labelled, words = LineSource(self.source), LineSource(self.target)
        blocks = _blocks(labelled)
        head = list(islice(blocks, _HEAD))
        if self.scheme == "auto":
            labels = [
                [row[_index(self.column)] for _, row in block.rows if abs(self.column) <= len(row)]
                for block in head
            ]
            self.scheme = scheme_of(labels)
        widths = [len(row) for block in head for _, row in block.rows[:1]]
        self._columns = max(2, *map(abs, (self.column, self.token_column)), mode(widths) if widths else 0)
        targets = _target_sentences(words, self.token_column)
        number = 0
        for number, block in enumerate(chain(head, blocks), 1):
            sentence = next(targets, None)
            if sentence is None:
                raise InputError(
                    f"ends after sentence {number - 1}, and {labelled.name} goes on",
                    where=words.name,
                    remedy="give one sentence of it for each labelled one",
                )
            line = block.rows[0][0] if block.rows else number
            try:
                if block.bad is not None:
                    raise block.bad
                yield self._item(block, sentence, labelled.name, line)
            except InputError as error:
                if self.on_error == "raise":
                    raise unskipped(error, f"{labelled.name}:{line}") from None
                where = located(error, f"{labelled.name}:{line}")
                yield _Skipped(line, where, sentence if isinstance(sentence, tuple) else ())
        if next(targets, None) is not None:
            raise InputError(
                f"goes on after sentence {number}, and {labelled.name} does not",
                where=words.name,
                remedy="give one sentence of it for each labelled one",
            )

    def _item(self, block: _Block, sentence: tuple[str, ...] | InputError, name: str, line: int) -> Labelled:
        if isinstance(sentence, InputError):
            raise sentence
        tokens, labels, places = [], [], []
        for number, row in block.rows:
            where = f"{name}:{number}"
            tokens.append(_cell(row, self.token_column, "tokens", where))
            labels.append(_cell(row, self.column, "labels", where))
            places.append(where)
        source = joined(tokens)
        spans = [
            Place(label, source.words[start].start, source.words[end - 1].end)
            for label, start, end in decode(labels, where=places)
        ]
        return Labelled(source, joined(sentence), tuple(spans), line, len(block.rows[0][1]))

    def write(self, item: Labelled, placed: Sequence[Placed]) -> str:
        spans = []
        scores = [""] * len(item.target.words)
        for each in placed:
            for start, end in each.stretches:
                first, last = item.target.covered(start, end)
                spans.append((each.place.label, first, last))
                scores[first:last] = [f"{each.confidence:.2f}"] * (last - first)
        labels = encode(spans, len(item.target.words), self.scheme)
        lost = "".join(
            f"# lost: {each.place.label} {item.source.text[each.place.start : each.place.end]}: {each.lost}\n"
            for each in placed
            if self.scores and each.lost is not None
        )
        return lost + self._lines(item.target.bare, labels, scores, item.record)

    def skipped(self, item: BadLine) -> str:
        words = item.words if isinstance(item, _Skipped) else ()
        return self._lines(words, ["O"] * len(words), [""] * len(words), self._columns)

    def _lines(self, words: Sequence[str], labels: Sequence[str], scores: Sequence[str], columns: int) -> str:
        rows = []
        for word, label, score in zip(words, labels, scores, strict=True):
            row = ["_"] * columns
            row[_index(self.column)] = label
            row[_index(self.token_column)] = word
            rows.append("\t".join([*row, *([score or "_"] if self.scores else [])]))
        return "".join(f"{row}\n" for row in [*rows, ""])

    def end(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class _Skipped(BadLine):
    """A sentence that is left out, and the words that stand without labels for it."""

    words: tuple[str, ...] = ()


def _index(column: int) -> int:
    return column - 1 if column > 0 else column


def _cell(row: Sequence[str], column: int, what: str, where: str) -> str:
    """The cell of a row in a column that holds `what`."""
    if len(row) < 2 or abs(column) > len(row):
        raise InputError(
            f"has {len(row)} columns, and the {what} are expected in column {column}",
            where=where,
            remedy=f"say which column holds the {what}",
        )
    return row[_index(column)]


def _blocks(lines: Iterable[str | InputError]) -> Iterator[_Block]:
    """The sentences of a CoNLL file; comments before the first token of one and -DOCSTART- are passed over."""
    block, comment = _Block(), None
    for number, line in enumerate(lines, 1):
        if isinstance(line, InputError):
            block = _Block(block.rows, line)
            continue
        if not trimmed(line):
            if block.rows or block.bad:
                yield block
            block = _Block()
            continue
        row = _row(line)
        if row[0] == _DOCUMENT and not block.rows:
            continue
        if _is_comment(line) and not block.rows:
            comment = number, row
            continue
        # "# O" above "the O" is a token: as many cells, a label last.
        above = comment if comment is not None and comment[0] == number - 1 and not block.rows else None
        if above is not None and len(above[1]) == len(row) and _LABEL.fullmatch(above[1][-1]):
            block.rows.append(above)
        block.rows.append((number, row))
    if block.rows or block.bad:
        yield block


def _row(line: str) -> list[str]:
    """The cells of a line, between tabs or between ASCII spaces: a word may hold another kind of space."""
    return [trimmed(cell) for cell in line.split("\t")] if "\t" in line else list(spaced(line).bare)


def _is_comment(line: str) -> bool:
    return line.startswith("# ") and "\t" not in line


def _target_sentences(source: LineSource, column: int) -> Iterator[tuple[str, ...] | InputError]:
    """Words of each sentence: of CoNLL, in the column of the source's, or of a sentence a line."""
    lines = iter(source)
    head = list(islice(lines, _HEAD))
    if _is_conll(head):
        for block in _blocks(chain(head, lines)):
            try:
                yield block.bad or tuple(
                    row[0] if len(row) == 1 else _cell(row, column, "tokens", f"{source.name}:{number}")
                    for number, row in block.rows
                )
            except InputError as error:
                yield error
        return
    for number, line in enumerate(chain(head, lines), 1):
        if isinstance(line, str) and not trimmed(line):
            line = InputError("the line is empty", where=f"{source.name}:{number}", remedy="fill it")
        yield line if isinstance(line, InputError) else spaced(line).bare


def _is_conll(head: Sequence[str | InputError]) -> bool:
    """Whether the first lines are of a token each, not of a sentence: -DOCSTART- shows it, a token before a tab in nine
    of ten, and a blank line behind single words, or behind several lines of equally many."""
    texts = [trimmed(line) for line in head if isinstance(line, str)]
    if any(line.startswith(_DOCUMENT) for line in texts):
        return True
    rows = [line for line in texts if line and not _is_comment(line)]
    # A sentence may have a tab in it, and even at its first word.
    tokens = sum(len(spaced(line.partition("\t")[0]).bare) == 1 for line in rows if "\t" in line)
    if rows and 10 * tokens >= 9 * len(rows):
        return True
    widths = {len(spaced(line).bare) for line in rows}
    blank = [place for place, line in enumerate(texts) if not line]
    # Sentences with a blank line after each have equally many words by chance.
    between = any(any(texts[place + 1 :]) for place in blank[:1])
    several = any(before and after for before, after in pairwise(texts))
    return bool(blank) and (widths == {1} or (len(widths) == 1 and between and several))


@dataclass(frozen=True)
class LabelledWords:
    """How many words a sentence has, and its spans (label, start, end)."""

    words: int
    spans: list[tuple[str, int, int]]


def read_conll_labels(path: str | Path, column: int = -1) -> list[LabelledWords]:
    """The spans of each sentence of a CoNLL file, all in memory: for scoring."""
    source, sentences = LineSource(path), []
    for block in _blocks(source):
        if block.bad is not None:
            raise block.bad
        labels, places = [], []
        for number, row in block.rows:
            places.append(f"{source.name}:{number}")
            labels.append(_cell(row, column, "labels", places[-1]))
        sentences.append(LabelledWords(len(labels), decode(labels, where=places)))
    return sentences
