"""SQuAD and XQuAD: data, paragraphs, qas, answers with their answer_start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otkit.data.lines import LineSource, checked, located, quote, refuse_unwritable, trimmed, unskipped
from otkit.data.parallel import BadLine
from otkit.errors import InputError
from otkit.files import parse_json, to_json
from otkit.projection.labelled import Item, Labelled
from otkit.projection.places import Place, Placed, Text

__all__ = ["Squad", "read_answers"]


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
        if not trimmed(context):
            raise InputError("the translation of its context is empty", where=where, remedy="fill the line")
        places: list[Place] = []
        asked: list[tuple[str, str, dict[str, Any]]] = []
        for question in _list_of(paragraph, "qas", where):
            name = str(question.get("id"))
            if "id" not in question or name in {known for known, *_ in asked}:
                raise InputError(
                    "a question has no id of its own",
                    where=f"{where}: question {name}",
                    remedy="give each one",
                )
            more = {key: value for key, value in question.items() if key not in _REPLACED}
            asked.append((name, questions.get(name, question.get("question", "")), more))
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
        ends = {end for place in places for end in (place.start, place.end)}
        source, target = Text.of(text, parts=True, cuts=ends), Text.of(context, parts=True)
        return Labelled(source, target, tuple(places), number, (article, asked))

    def write(self, item: Labelled, placed: Sequence[Placed]) -> str:
        article, asked = item.record
        qas = []
        for name, question, more in asked:
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
                {
                    "id": name,
                    "question": question,
                    "answers": answers,
                    **more,
                    **({"lost": lost} if lost else {}),
                }
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


# Of a question; answers to one without any ("plausible") are not carried.
_REPLACED = frozenset(("id", "question", "answers", "plausible_answers", "lost"))


def _json_file(path: str | Path) -> Any:
    text = "\n".join(checked(line) for line in LineSource(path, line_limit=1 << 30))
    try:
        return parse_json(text)
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


def read_answers(path: str | Path) -> dict[str, list[str]]:
    """The answers of each question of a SQuAD file, by id."""
    found: dict[str, list[str]] = {}
    for article in _list_of(_json_file(path), "data", str(path)):
        for paragraph in _list_of(article, "paragraphs", str(path)):
            for question in _list_of(paragraph, "qas", str(path)):
                answers = _list_of(question, "answers", f"{path}: question {question.get('id')}")
                found[str(question.get("id"))] = [str(answer.get("text", "")) for answer in answers]
    return found
