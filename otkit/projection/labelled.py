"""Labelled text in the forms that people have it in, with its translation beside it: read, and written on the target.

Whatever the form, a labelled text is a `Labelled`: two texts with their words, and places in the first. A form reads
them in order, one at a time, and writes each in its own way:

    conll   a token a line, columns between tabs or spaces, a blank line between sentences; IOB1, IOB2 or BIOES
    jsonl   an object a line: text, spans of characters as {"start", "end", "label"} or [start, end, label]
    squad   SQuAD and XQuAD: data, paragraphs, qas, answers with their answer_start
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol

from otkit.data.lines import LineSource, checked, located, quote, refuse_unwritable, trimmed, unskipped
from otkit.data.parallel import BadLine
from otkit.errors import ConfigError, InputError, choose
from otkit.files import to_json
from otkit.projection.places import Place, Placed, Text, joined, spaced

__all__ = [
    "FORMS",
    "SCHEMES",
    "Form",
    "Labelled",
    "LabelledWords",
    "decode",
    "encode",
    "form_of",
    "read_answers",
    "read_conll_labels",
]

FORM_NAMES = {
    "auto": "seen from the name: .json is squad, .jsonl jsonl, others conll",
    "conll": "a token a line, labels in a column, a blank line between sentences",
    "jsonl": 'an object a line: {"text": "...", "spans": [{"start": 0, "end": 4, "label": "PER"}]}',
    "squad": "SQuAD or XQuAD",
    "nli": "XNLI, to be augmented: premise, hypothesis and label between tabs",
}
SCHEMES = {
    "auto": "as the source has it",
    "iob1": "I- begins a span, B- where one follows another of its kind at once",
    "iob2": "B- begins a span",
    "bioes": "B- begins, E- ends, S- is a whole span",
}


@dataclass(frozen=True)
class Labelled:
    """A labelled text and its translation; `record` is what its form needs to write it."""

    source: Text
    target: Text
    places: tuple[Place, ...]
    line: int
    record: Any = None


Item = Labelled | BadLine


class Form(Protocol):
    """How one form is read and written."""

    copies: bool
    """Whether a part of a word may be a span."""
    rule: str
    """The rule for its spans, where none is given."""
    chooses: bool
    """Whether it leaves out incomplete parts of a text itself."""
    state: dict[str, int]
    """What has been written, as far as what follows depends on it: an interrupted run goes on with it."""

    def read(self) -> Iterator[Item]:
        """What the files hold, in order; a bad one in its place or raised."""

    def write(self, item: Labelled, placed: Sequence[Placed]) -> str:
        """The text to append for one of them."""

    def skipped(self, item: BadLine) -> str:
        """The text that stands for a bad one."""

    def end(self) -> str:
        """What is written last."""


# --- labels of words


def decode(labels: Sequence[str], *, where: Sequence[str] = ()) -> list[tuple[str, int, int]]:
    """Spans (label, start, end) of labels in any of the schemes, as seqeval's lenient mode and conlleval count them.

    O, or a prefix, "-" and a label; B and S begin a span, and so do U, and I after another label or after an end (E, S,
    L, U, O). `where` names each label's place in errors.
    """
    spans: list[tuple[str, int, int]] = []
    begun: tuple[str, int] | None = None
    ended = True
    for place, label in enumerate(labels):
        prefix, dash, kind = label.partition("-")
        if label == "O":
            prefix, kind = "O", ""
        elif not dash or prefix not in ("B", "I", "E", "S", "L", "U", "M") or not kind:
            raise InputError(
                f"received the label {quote(label)}, expected O, or B-, I-, E- or S- and a name",
                where=where[place] if where else None,
                remedy="say in which column the labels are: `column=N`",
            )
        begins = prefix in ("B", "S", "U") or (prefix != "O" and (ended or begun is None or kind != begun[0]))
        if begun is not None and (begins or prefix == "O"):
            spans.append((*begun, place))
            begun = None
        if begins:
            begun = (kind, place)
        ended = prefix in ("E", "S", "L", "U", "O")
    if begun is not None:
        spans.append((*begun, len(labels)))
    return spans


def encode(spans: Iterable[tuple[str, int, int]], length: int, scheme: str) -> list[str]:
    """Labels of `length` words; where spans overlap, the first has the words."""
    labels = ["O"] * length
    for label, start, end in spans:
        if any(each != "O" for each in labels[start:end]):
            continue
        for place in range(start, end):
            labels[place] = f"{_prefix(place, start, end, scheme)}-{label}"
    if scheme == "iob1":
        for place in range(1, length):
            if labels[place][:1] == "B" and labels[place - 1][2:] != labels[place][2:]:
                labels[place] = f"I{labels[place][1:]}"
        if length and labels[0][:1] == "B":
            labels[0] = f"I{labels[0][1:]}"
    return labels


def _prefix(place: int, start: int, end: int, scheme: str) -> str:
    if scheme == "bioes" and end - start == 1:
        return "S"
    if place == start:
        return "B"
    return "E" if scheme == "bioes" and place == end - 1 else "I"


def scheme_of(sentences: Iterable[Sequence[str]]) -> str:
    """The scheme that labels show; IOB2 where they show none."""
    begins_inside = False
    for labels in sentences:
        if any(label[:2] in ("E-", "S-", "L-", "U-") for label in labels):
            return "bioes"
        for before, label in zip(["O", *labels], labels, strict=False):
            begins_inside |= label[:2] == "I-" and before[2:] != label[2:]
    return "iob1" if begins_inside else "iob2"


# --- files


@dataclass(frozen=True)
class _Block:
    """The lines of one sentence of a CoNLL file, with their numbers."""

    rows: list[tuple[int, list[str]]] = field(default_factory=list)
    bad: InputError | None = None


_HEAD = 1000  # sentences that show the scheme


@dataclass
class Conll:
    """CoNLL files. The target is of the same kind, its labels ignored, or has one sentence of words a line.

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
                [row[self._at(row)] for _, row in block.rows if abs(self.column) <= len(row)]
                for block in head
            ]
            self.scheme = scheme_of(labels)
        targets = _target_sentences(words)
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

    def _at(self, row: Sequence[str]) -> int:
        return self.column - 1 if self.column > 0 else len(row) + self.column

    def _item(self, block: _Block, sentence: tuple[str, ...] | InputError, name: str, line: int) -> Labelled:
        if isinstance(sentence, InputError):
            raise sentence
        tokens, labels, places = [], [], []
        for number, row in block.rows:
            first = self.token_column - 1 if self.token_column > 0 else len(row) + self.token_column
            if not (0 <= self._at(row) < len(row) and 0 <= first < len(row)) or len(row) < 2:
                raise InputError(
                    f"has {len(row)} columns, and the labels are expected in column {self.column}",
                    where=f"{name}:{number}",
                    remedy="say which column holds the labels",
                )
            tokens.append(row[first])
            labels.append(row[self._at(row)])
            places.append(f"{name}:{number}")
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
        return self._lines(words, ["O"] * len(words), [""] * len(words), 2)

    def _lines(self, words: Sequence[str], labels: Sequence[str], scores: Sequence[str], columns: int) -> str:
        rows = []
        for word, label, score in zip(words, labels, scores, strict=True):
            row = ["_"] * columns
            row[self._at(row) if abs(self.column) <= columns else -1] = label
            row[self.token_column - 1 if self.token_column > 0 else self.token_column] = word
            rows.append("\t".join([*row, *([score or "_"] if self.scores else [])]))
        return "".join(f"{row}\n" for row in [*rows, ""])

    def end(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class _Skipped(BadLine):
    """A sentence that is left out, and the words that stand without labels for it."""

    words: tuple[str, ...] = ()


def _blocks(source: LineSource) -> Iterator[_Block]:
    """The sentences of a CoNLL file; comments before the first token of one and -DOCSTART- are passed over."""
    block = _Block()
    for number, line in enumerate(source, 1):
        if isinstance(line, InputError):
            block = _Block(block.rows, line)
            continue
        if not trimmed(line):
            if block.rows or block.bad:
                yield block
            block = _Block()
            continue
        row = line.split("\t") if "\t" in line else line.split()
        if (row[0] == "-DOCSTART-" or (line.startswith("# ") and "\t" not in line)) and not block.rows:
            continue
        block.rows.append((number, [cell.strip() for cell in row]))
    if block.rows or block.bad:
        yield block


def _target_sentences(source: LineSource) -> Iterator[tuple[str, ...] | InputError]:
    """Words of each sentence: of CoNLL, which tabs or blank lines among the first lines show, or a sentence a line."""
    lines = iter(source)
    head = list(islice(lines, _HEAD))
    filled = [line for line in head if isinstance(line, str) and trimmed(line)]
    single = sum(len(line.split()) == 1 for line in filled) == len(filled)
    if any("\t" in line for line in filled) or (single and len(filled) < len(head)):
        yield from _target_tokens(chain(head, lines))
        return
    for number, line in enumerate(chain(head, lines), 1):
        if isinstance(line, str) and not trimmed(line):
            line = InputError("the line is empty", where=f"{source.name}:{number}", remedy="fill it")
        yield line if isinstance(line, InputError) else spaced(line).bare


def _target_tokens(lines: Iterable[str | InputError]) -> Iterator[tuple[str, ...] | InputError]:
    words: list[str] = []
    bad: InputError | None = None
    for line in chain(lines, [""]):
        if isinstance(line, InputError):
            bad = line
        elif trimmed(line):
            words.append(re.split(r"\t| ", line, maxsplit=1)[0])
        elif words or bad:
            yield bad or tuple(words)
            words, bad = [], None


@dataclass
class Jsonl:
    """Objects with `text` (or `source`) and `spans` (or `labels`, `entities`); the translation under `target` or
    `translation`, or a line for each in a file of its own."""

    source: str | Path
    target: str | Path | None
    on_error: str = "raise"
    copies: bool = True
    rule: str = "price"
    chooses: bool = False
    state: dict[str, int] = field(default_factory=dict)

    def read(self) -> Iterator[Item]:
        lines = LineSource(self.source)
        others = iter(LineSource(self.target)) if self.target is not None else None
        for number, line in enumerate(lines, 1):
            where = f"{lines.name}:{number}"
            other = None
            if others is not None:
                other = next(others, None)
                if other is None:
                    raise InputError(
                        f"ends after line {number - 1}, and {lines.name} goes on",
                        where=str(self.target),
                        remedy="give one line of it for each labelled one",
                    )
            try:
                yield _json_item(checked(line), None if other is None else checked(other), number)
            except InputError as error:
                if self.on_error == "raise":
                    raise unskipped(error, where) from None
                yield BadLine(number, located(error, where))
        if others is not None and next(others, None) is not None:
            raise InputError(
                f"goes on after the last line of {lines.name}",
                where=str(self.target),
                remedy="give one line of it for each labelled one",
            )

    def write(self, item: Labelled, placed: Sequence[Placed]) -> str:
        keys, record = item.record
        spans, lost = [], []
        for each, given in zip(placed, record[keys["spans"]], strict=True):
            own = given if isinstance(given, dict) else {}
            rest = {key: value for key, value in own.items() if key not in ("start", "end", "text")}
            rest["label"] = each.place.label
            for start, end in each.stretches:
                text = item.target.text[start:end]
                found = {"start": start, "end": end, **rest, "text": text}
                spans.append({**found, "confidence": round(each.confidence, 4)})
            if each.lost is not None:
                found = {"start": each.place.start, "end": each.place.end, **rest, "reason": each.lost}
                lost.append({**found, "confidence": round(each.confidence, 4)})
        kept = {key: value for key, value in record.items() if key not in (*_TARGET_KEYS, *keys.values())}
        document = {**kept, keys["text"]: item.target.text, keys["spans"]: spans, "lost": lost}
        return to_json(document, indent=None)

    def skipped(self, item: BadLine) -> str:
        return to_json({"skipped": item.error.what}, indent=None)

    def end(self) -> str:
        return ""


_TEXT_KEYS, _TARGET_KEYS = ("text", "source", "sentence"), ("target", "translation")
_SPAN_KEYS = ("spans", "labels", "entities", "label", "rationales")


def _json_item(line: str, other: str | None, number: int) -> Labelled:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise InputError(f"is no JSON ({error})", remedy="write one object a line") from None
    if not isinstance(record, dict):
        raise InputError(f"received {quote(line)}, expected an object", remedy="write one object a line")
    keys = {
        "text": next((key for key in _TEXT_KEYS if isinstance(record.get(key), str)), None),
        "spans": next((key for key in _SPAN_KEYS if isinstance(record.get(key), list)), None),
    }
    if keys["text"] is None or keys["spans"] is None:
        raise InputError(
            f"has the fields {', '.join(map(str, record))}",
            remedy='expected "text" and "spans"',
        )
    text = record[keys["text"]]
    target = (
        other
        if other is not None
        else next((record[key] for key in _TARGET_KEYS if isinstance(record.get(key), str)), None)
    )
    if target is None:
        raise InputError(
            'has no "target"', remedy="put the translation there, or give a file: `target='FILE'`"
        )
    for value, name in ((text, "text"), (target, "target")):
        refuse_unwritable(value, name)
        if not value.strip():
            raise InputError(f"the {name} is empty", remedy="fill it")
    places = tuple(_json_place(span, text) for span in record[keys["spans"]])
    source = Text.of(text, parts=True)
    return Labelled(source, Text.of(target, parts=True), places, number, (keys, record))


def _json_place(span: Any, text: str) -> Place:
    found: Sequence[Any] = ()
    if isinstance(span, dict):
        found = (span.get("start"), span.get("end"), span.get("label", "span"))
    elif isinstance(span, list) and len(span) in (2, 3):
        found = (*span, "span")[:3]
    match found:
        case (int(start), int(end), str(label)) if 0 <= start < end <= len(text):
            return Place(label, start, end)
    raise InputError(
        f"received the span {quote(to_json(span, indent=None).strip())} of a text of {len(text)} characters",
        remedy='expected {"start": 0, "end": 4, "label": "PER"}, in characters',
    )


@dataclass
class Squad:
    """SQuAD files. The target has the same paragraphs: another such file, or one context a line.

    A paragraph is written as soon as its answers are known: `state` says how far the file is.
    """

    source: str | Path
    target: str | Path
    on_error: str = "raise"
    surety: float | None = None
    """Leave out questions with a less sure answer, and those with a lost one."""
    copies: bool = True
    rule: str = "overlap"
    chooses: bool = True
    state: dict[str, int] = field(default_factory=lambda: {"article": -1})
    _titles: list[str] = field(default_factory=list)
    _version: Any = "1.1"

    def read(self) -> Iterator[Item]:
        content = _json_file(self.source)
        self._version = content.get("version", "1.1") if isinstance(content, dict) else "1.1"
        contexts, questions = self._targets()
        number = 0
        for a, article in enumerate(_list_of(content, "data", str(self.source))):
            self._titles.append(str(article.get("title", "")) if isinstance(article, dict) else "")
            for paragraph in _list_of(article, "paragraphs", f"{self.source}: data[{a}]"):
                number += 1
                where = f"{self.source}: paragraph {number}"
                if number > len(contexts):
                    raise InputError(
                        f"has {len(contexts)} paragraphs, and {self.source} has more",
                        where=str(self.target),
                        remedy="give one for each",
                    )
                try:
                    yield self._item(paragraph, contexts[number - 1], questions, where, a, number)
                except InputError as error:
                    if self.on_error == "raise":
                        raise unskipped(error, where) from None
                    yield BadLine(number, located(error, where))
        if number < len(contexts):
            raise InputError(
                f"has {len(contexts)} paragraphs, and {self.source} has {number}",
                where=str(self.target),
                remedy="give one for each",
            )

    def _targets(self) -> tuple[list[str], dict[str, str]]:
        """The contexts in order, and the questions by id where the file has them."""
        if str(self.target).removesuffix(".gz").endswith(".json"):
            content, contexts, questions = _json_file(self.target), [], {}
            for a, article in enumerate(_list_of(content, "data", str(self.target))):
                for paragraph in _list_of(article, "paragraphs", f"{self.target}: data[{a}]"):
                    contexts.append(_text_of(paragraph, "context", str(self.target)))
                    for question in paragraph.get("qas", []):
                        if isinstance(question, dict) and isinstance(question.get("question"), str):
                            questions[str(question.get("id"))] = question["question"]
            return contexts, questions
        return [checked(line) for line in LineSource(self.target)], {}

    def _item(
        self,
        paragraph: Any,
        context: str,
        questions: Mapping[str, str],
        where: str,
        article: int,
        number: int,
    ) -> Labelled:
        text = _text_of(paragraph, "context", where)
        places, asked = [], []
        for question in _list_of(paragraph, "qas", where):
            name = str(question.get("id"))
            asked.append((name, questions.get(name, question.get("question", ""))))
            for answer in _list_of(question, "answers", f"{where}: question {name}"):
                start, words = answer.get("answer_start"), answer.get("text")
                if not (isinstance(start, int) and isinstance(words, str) and words) or (
                    text[start : start + len(words)] != words
                ):
                    raise InputError(
                        f"the answer {quote(str(words))} is not in its context at character {start}",
                        where=f"{where}: question {name}",
                        remedy="correct answer_start",
                    )
                places.append(Place(name, start, start + len(words)))
        source, target = Text.of(text, parts=True), Text.of(context, parts=True)
        return Labelled(source, target, tuple(places), number, (article, asked))

    def write(self, item: Labelled, placed: Sequence[Placed]) -> str:
        article, asked = item.record
        qas = []
        for name, question in asked:
            mine = [each for each in placed if each.place.label == name]
            answers = [
                {
                    "text": item.target.text[start:end],
                    "answer_start": start,
                    "confidence": round(each.confidence, 4),
                }
                for each in mine
                for start, end in each.stretches[:1]
            ]
            lost = [each.lost for each in mine if each.lost is not None]
            if lost and self.surety is not None:
                continue
            if self.surety is not None and any(each.confidence < self.surety for each in mine):
                continue
            qas.append(
                {"id": name, "question": question, "answers": answers, **({"lost": lost} if lost else {})}
            )
        if not qas:
            return ""
        paragraph = to_json({"context": item.target.text, "qas": qas}, indent=None).rstrip("\n")
        before, self.state["article"] = self.state["article"], article
        if article == before:
            return f",\n{paragraph}"
        title = to_json(self._titles[article], indent=None).rstrip("\n")
        head = f'"title": {title}, ' if self._titles[article] else ""
        return f'{self._begun(before)}{{{head}"paragraphs": [\n{paragraph}'

    def _begun(self, article: int) -> str:
        """What stands before the next article: the head of the file, or the end of the article before."""
        version = to_json(self._version, indent=None).rstrip("\n")
        return f'{{"version": {version}, "data": [\n' if article < 0 else "\n]},\n"

    def skipped(self, item: BadLine) -> str:
        return ""

    def end(self) -> str:
        return self._begun(-1) + "]}\n" if self.state["article"] < 0 else "\n]}\n]}\n"


def _json_file(path: str | Path) -> Any:
    text = "\n".join(checked(line) for line in LineSource(path, line_limit=1 << 30))
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"is no JSON ({error})", where=str(path), remedy="expected SQuAD") from None


def _list_of(record: Any, key: str, where: str) -> list[Any]:
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise InputError(
            f"a list {key!r} of objects is missing",
            where=where,
            remedy="expected SQuAD: data, paragraphs, qas",
        )
    return value


def _text_of(record: Any, key: str, where: str) -> str:
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"the {key} is missing", where=where, remedy="expected SQuAD v1.1")
    refuse_unwritable(value, key)
    return value


FORMS: Mapping[str, Callable[..., Form]] = {"conll": Conll, "jsonl": Jsonl, "squad": Squad}


def form_of(path: str | Path) -> str:
    """The form that a name shows."""
    name = str(path).removesuffix(".gz").lower()
    return "squad" if name.endswith(".json") else "jsonl" if name.endswith((".jsonl", ".ndjson")) else "conll"


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
            at = column - 1 if column > 0 else len(row) + column
            if len(row) < 2 or not 0 <= at < len(row):
                raise InputError(
                    f"has {len(row)} columns, and the labels are expected in column {column}",
                    where=f"{source.name}:{number}",
                    remedy="say which column holds the labels",
                )
            labels.append(row[at])
            places.append(f"{source.name}:{number}")
        sentences.append(LabelledWords(len(labels), decode(labels, where=places)))
    return sentences


def read_answers(path: str | Path) -> dict[str, list[str]]:
    """The answers of each question of a SQuAD file, by id."""
    found: dict[str, list[str]] = {}
    for article in _list_of(_json_file(path), "data", str(path)):
        for paragraph in _list_of(article, "paragraphs", str(path)):
            for question in _list_of(paragraph, "qas", str(path)):
                answers = _list_of(question, "answers", f"{path}: question {question.get('id')}")
                found[str(question.get("id"))] = [str(answer.get("text", "")) for answer in answers]
    return found
