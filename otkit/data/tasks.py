"""Readers of the transfer tasks: XNLI and MultiNLI (TSV, JSONL), SQuAD and XQuAD (JSON); plain or gzip.

Every item that cannot be used is an error naming file and item, or left out and counted with on_error="skip".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from otkit.data.examples import NLI_LABELS, Answer, NliExample, QaExample, TaskSet, gather
from otkit.data.lines import LineSource, quote, refuse_unwritable, trimmed
from otkit.errors import InputError

__all__ = [
    "NLI_LABELS",
    "Answer",
    "NliExample",
    "QaExample",
    "TaskSet",
    "nli_example",
    "qa_example",
    "read_nli",
    "read_qa",
]

FilePath = str | Path
Record = Mapping[str, Any]

# what the official files call a column, whatever their case
PREMISE = ("premise", "sentence1")
HYPOTHESIS = ("hypothesis", "sentence2", "hypo")
LABEL = ("label", "gold_label")
LANGUAGE = ("language", "lang")
NLI_FORM = "write premise<TAB>hypothesis<TAB>label, or JSON objects with these keys"
SAME_LABEL = {"contradictory": "contradiction"}  # as the translated training files of XNLI have it
WHOLE_FILE = 1 << 31  # JSON may be one line


def read_nli(path: FilePath, *, language: str | None = None, on_error: str = "raise") -> TaskSet[NliExample]:
    """XNLI in any of its forms: two or three columns without a header (two: unlabelled), columns named by a
    header, or JSON lines. `language` picks one from a file that holds several.
    """
    source = LineSource(path)
    items = _of_language(_nli_records(source), language, source.name)
    made = ((where, item if isinstance(item, InputError) else _try_nli(item)) for where, item in items)
    return gather(made, name=source.name, on_error=on_error, digest=lambda: source.sha256)


def _nli_records(source: LineSource) -> Iterator[tuple[str, Record | InputError]]:
    names: Sequence[str] | None = None
    for number, line in enumerate(source, 1):
        where = f"{source.name}:{number}"
        if isinstance(line, InputError):
            yield where, line
        elif not line.strip():
            yield where, InputError("the line is empty", remedy="delete it")
        elif line.lstrip().startswith("{") and "\t" not in line:
            yield where, _json_record(line)
        else:
            cells = [trimmed(cell) for cell in line.split("\t")]
            if names is None:
                lower = [cell.lower() for cell in cells]
                if any(name in lower for name in PREMISE) and any(name in lower for name in HYPOTHESIS):
                    names = lower
                    continue
            columns = names or ("premise", "hypothesis", "label")[: max(2, len(cells))]
            if len(cells) != len(columns):
                expected = len(columns) if names else "2 or 3"
                what = f"{len(cells)} columns, expected {expected} (received {quote(line)})"
                yield where, InputError(what, remedy=NLI_FORM)
            else:
                yield where, dict(zip(columns, cells, strict=True))


def _json_record(line: str) -> Record | InputError:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        return InputError(f"invalid JSON ({error}; received {quote(line)})", remedy=NLI_FORM)
    return {str(key).lower(): value for key, value in record.items()}


def _of_language(
    records: Iterator[tuple[str, Record | InputError]], language: str | None, name: str
) -> Iterator[tuple[str, Record | InputError]]:
    """The records of one language; where the file names none, all of them."""
    seen: dict[str, None] = {}
    for where, record in records:
        own = None if isinstance(record, InputError) else _first(record, LANGUAGE)
        if own is not None:
            seen[str(own)] = None
            if language is None and len(seen) > 1:
                what = f"the file holds several languages ({', '.join(seen)}, ...)"
                raise InputError(what, where=where, remedy="name one of them")
        if own is None or language is None or own == language:
            yield where, record
    if language is not None and seen and language not in seen:
        what = f"the file has no items of the language {language!r}"
        raise InputError(what, where=name, remedy=f"it has {', '.join(sorted(seen))}")


def _first(record: Record, names: Sequence[str]) -> Any:
    return next((record[name] for name in names if name in record), None)


def _try_nli(record: Record) -> NliExample | InputError:
    try:
        return nli_example(record)
    except InputError as error:
        return error


def nli_example(record: Record) -> NliExample:
    """One item from named fields. Numbers are labels as on the Hub: 0, 1, 2 of NLI_LABELS, -1 for none."""
    texts = []
    for names in (PREMISE, HYPOTHESIS):
        text = _first(record, names)
        if text is None:
            what = f"the {names[0]} is missing (received {quote(', '.join(record))})"
            raise InputError(what, remedy=NLI_FORM)
        if not isinstance(text, str) or not text.strip():
            what = f"the {names[0]} is {'empty' if text == '' else quote(repr(text))}, expected text"
            raise InputError(what, remedy=NLI_FORM)
        refuse_unwritable(text, names[0])
        texts.append(trimmed(text))
    label = _first(record, LABEL)
    if isinstance(label, int) and not isinstance(label, bool) and -1 <= label < len(NLI_LABELS):
        label = NLI_LABELS[label] if label >= 0 else None
    label = SAME_LABEL.get(label, label) if isinstance(label, str) else label
    if label in ("", None):
        return NliExample(texts[0], texts[1], None)
    if label not in NLI_LABELS:
        disagreed = "; '-' marks items without agreement, leave them out" if label == "-" else ""
        what = f"the label {label!r} is none of {', '.join(NLI_LABELS)}{disagreed}"
        raise InputError(what, remedy="correct it")
    return NliExample(texts[0], texts[1], label)


def read_qa(path: FilePath, *, on_error: str = "raise") -> TaskSet[QaExample]:
    """SQuAD v1.1 or XQuAD: a JSON object of articles, paragraphs, questions."""
    source = LineSource(path, line_limit=WHOLE_FILE)
    lines = []
    for line in source:
        if isinstance(line, InputError):
            raise line
        lines.append(line)
    text = "\n".join(lines)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        short = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        what = "the JSON ends too early (truncated file)" if short else f"invalid JSON ({error.msg})"
        where = f"{source.name}:{error.lineno}"
        raise InputError(what, where=where, remedy="download or write the file again") from error
    except RecursionError as error:
        raise InputError(
            "the JSON is nested too deeply", where=source.name, remedy="expected SQuAD"
        ) from error
    items = _unique(_qa_items(content, source.name))
    return gather(items, name=source.name, on_error=on_error, digest=lambda: source.sha256)


def _unique(
    items: Iterator[tuple[str, QaExample | InputError]],
) -> Iterator[tuple[str, QaExample | InputError]]:
    """Predictions are kept by id, so an id may occur once."""
    seen: set[str] = set()
    for where, item in items:
        if isinstance(item, QaExample) and item.id in seen:
            yield where, InputError("another question has the same id", remedy="give every question its own")
            continue
        if isinstance(item, QaExample):
            seen.add(item.id)
        yield where, item


def _qa_items(content: Any, name: str) -> Iterator[tuple[str, QaExample | InputError]]:
    articles = _list(content, "data")
    if isinstance(articles, InputError):
        yield name, articles
        return
    for a, article in enumerate(articles):
        paragraphs = _list(article, "paragraphs")
        if isinstance(paragraphs, InputError):
            yield f"{name}: data[{a}]", paragraphs
            continue
        for p, paragraph in enumerate(paragraphs):
            place = f"{name}: data[{a}].paragraphs[{p}]"
            questions = _list(paragraph, "qas")
            if isinstance(questions, InputError):
                yield place, questions
                continue
            for q, question in enumerate(questions):
                known = isinstance(question, dict) and isinstance(question.get("id"), str | int)
                where = f"{name}: question {question['id']}" if known else f"{place}.qas[{q}]"
                try:
                    yield where, qa_example(question, paragraph.get("context"))
                except InputError as error:
                    yield where, error


def _list(record: Any, key: str) -> list[Any] | InputError:
    value = record.get(key) if isinstance(record, dict) else None
    if isinstance(value, list):
        return value
    return InputError(f"a list {key!r} is missing", remedy="expected SQuAD: data, paragraphs, qas")


def qa_example(question: Any, context: Any) -> QaExample:
    """One question; answers as SQuAD has them, or as the Hub has them (an object of two lists)."""
    texts = []
    fields = question if isinstance(question, dict) else {}
    for name, value in (("id", fields.get("id")), ("question", fields.get("question")), ("context", context)):
        value = str(value) if name == "id" and isinstance(value, int) else value
        if not isinstance(value, str) or not value.strip():
            what = f"the {name} is {'missing' if value is None else quote(repr(value))}, expected text"
            raise InputError(what, remedy="expected a question of SQuAD v1.1")
        refuse_unwritable(value, name)
        texts.append(value)
    answers = fields.get("answers", [])
    if isinstance(answers, dict):
        starts, words = answers.get("answer_start", []), answers.get("text", [])
        if not (isinstance(starts, list) and isinstance(words, list) and len(starts) == len(words)):
            what = f"the answers are {quote(repr(answers))}, expected as many texts as starts"
            raise InputError(what, remedy="expected SQuAD v1.1")
        answers = [{"text": text, "answer_start": start} for text, start in zip(words, starts, strict=True)]
    if not isinstance(answers, list):
        raise InputError(
            f"the answers are {quote(repr(answers))}, expected a list", remedy="expected SQuAD v1.1"
        )
    return QaExample(texts[0], texts[1], texts[2], tuple(_answer(answer, texts[2]) for answer in answers))


def _answer(answer: Any, context: str) -> Answer:
    fields = answer if isinstance(answer, dict) else {}
    text, start = fields.get("text"), fields.get("answer_start")
    if not isinstance(text, str) or not text or not isinstance(start, int) or isinstance(start, bool):
        what = f"received the answer {quote(repr(answer))}, expected a text and its answer_start"
        raise InputError(what, remedy="expected SQuAD v1.1")
    if start < 0 or context[start : start + len(text)] != text:
        found = context.find(text)
        there = f"it stands at {found}" if found >= 0 else "it stands nowhere in it"
        what = f"the answer {quote(text)} is not in its context at character {start} ({there})"
        raise InputError(what, remedy="correct answer_start")
    return Answer(text, start)
