"""Inference and question sets: every form, every way to be wrong with file and item, the real files."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from otkit.data.benchmarks import language_file, languages_in
from otkit.data.examples import Answer, NliExample, QaExample
from otkit.data.lines import SKIP
from otkit.data.tasks import read_nli, read_qa
from otkit.errors import ConfigError, InputError
from otkit.resources import sample_data

NLI = (
    NliExample("Er kam spät .", "Er war pünktlich .", "contradiction"),
    NliExample("{laughter} Ja .", "Nein .", "neutral"),
    NliExample("Er aß .", "Er aß etwas .", "entailment"),
)
ROWS = [(item.premise, item.hypothesis, item.label or "") for item in NLI]
PLAIN = "".join("\t".join(row) + "\n" for row in ROWS)
OFFICIAL = "language\tgold_label\tsentence1_parse\tsentence1\tsentence2\tpairID\n" + "".join(
    f"{language}\t{label}\t(x)\t{premise}{'' if language == 'de' else ' en'}\t{hypothesis}\t{number}\n"
    for language in ("de", "en")
    for number, (premise, hypothesis, label) in enumerate(ROWS)
)
NAMED = "Premise\tHypo\tLabel\n" + PLAIN.replace("contradiction", "contradictory")
JSONL = "".join(json.dumps({"premise": p, "hypothesis": h, "label": label}) + "\n" for p, h, label in ROWS)
OFFICIAL_JSONL = "".join(
    json.dumps({"language": "de", "gold_label": label, "sentence1": p, "sentence2": h}) + "\n"
    for p, h, label in ROWS
)
NUMBERED = "".join(
    json.dumps(
        {"premise": p, "hypothesis": h, "label": ["entailment", "neutral", "contradiction"].index(label)}
    )
    + "\n"
    for p, h, label in ROWS
)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("content", [PLAIN, NAMED, OFFICIAL, JSONL, OFFICIAL_JSONL, NUMBERED])
def test_nli_in_every_form(content: str, packed: bool, tmp_path: Path) -> None:
    path = write(
        tmp_path / "dev-de", gzip.compress(content.encode()) if packed else content.replace("\n", "\r\n")
    )
    found = read_nli(path, language="de")
    assert found.examples == tuple(found) == NLI
    assert (found.labelled, found.skipped, found.bad, found.name) == (True, 0, (), str(path))
    if packed:
        assert found.sha256 == hashlib.sha256(content.encode()).hexdigest()


@pytest.mark.parametrize(
    "content",
    [
        "".join(f"{p}\t{h}\n" for p, h, _ in ROWS),
        "".join(f"{p}\t{h}\t\n" for p, h, _ in ROWS),
        "premise\thypothesis\n" + "".join(f"{p}\t{h}\n" for p, h, _ in ROWS),
        "".join(json.dumps({"premise": p, "hypothesis": h, "label": -1}) + "\n" for p, h, _ in ROWS),
    ],
)
def test_a_file_without_labels_says_so(content: str, tmp_path: Path) -> None:
    found = read_nli(write(tmp_path / "test-de.tsv", content))
    assert not found.labelled
    assert found.examples == tuple(NliExample(item.premise, item.hypothesis, None) for item in NLI)


BAD_NLI: dict[str, tuple[str, str]] = {
    "a label outside the three": (
        "a\tb\tmaybe\n",
        ":2: the label 'maybe' is none of entailment, neutral, contradiction;",
    ),
    "a label in capitals": ("a\tb\tNeutral\n", ":2: the label 'Neutral' is none of"),
    "no agreement": (
        "a\tb\t-\n",
        ":2: the label '-' is none of entailment, neutral, contradiction; '-' marks items without",
    ),
    "one column": (
        "a\n",
        ":2: 1 columns, expected 2 or 3 (received 'a'); write premise<TAB>hypothesis<TAB>label",
    ),
    "four columns": ("a\tb\tneutral\tc\n", ":2: 4 columns, expected 2 or 3"),
    "an empty premise": (" \tb\tneutral\n", ":2: the premise is empty, expected text"),
    "an empty hypothesis": ("a\t\tneutral\n", ":2: the hypothesis is empty, expected text"),
    "an empty line": ("\n", ":2: the line is empty; delete it, or skip such lines: `on_error='skip'`"),
    "a label missing among others": (
        "a\tb\n",
        ":2: the item lacks its label; label all items of a file, or none",
    ),
    "invalid UTF-8": ("a\tb\tneutral\udcff\n", ":2: invalid UTF-8 at byte 11"),
    "NUL": ("a\0\tb\tneutral\n", ":2: a NUL at byte 1"),
    "broken JSON": ('{"premise": "a"\n', ":2: invalid JSON (Expecting ',' delimiter"),
    "JSON without a hypothesis": (
        '{"premise": "a", "label": 1}\n',
        ":2: the hypothesis is missing (received 'premise, label')",
    ),
    "JSON of numbers": (
        '{"premise": 5, "hypothesis": "b", "label": 1}\n',
        ":2: the premise is '5', expected text",
    ),
    "JSON with half a character": (
        '{"premise": "\\ud83d", "hypothesis": "b", "label": 1}\n',
        ":2: half a surrogate pair inside the premise; write the character itself, as UTF-8",
    ),
    "JSON with another number": (
        '{"premise": "a", "hypothesis": "b", "label": 3}\n',
        ":2: the label 3 is none of",
    ),
    "JSON with a strange label": (
        '{"premise": "a", "hypothesis": "b", "label": [1]}\n',
        ":2: the label [1] is none of",
    ),
}


@pytest.mark.parametrize("name", BAD_NLI)
def test_a_bad_item_is_named_and_can_be_skipped(name: str, tmp_path: Path) -> None:
    line, message = BAD_NLI[name]
    first, *others = PLAIN.splitlines(keepends=True)
    path = write(tmp_path / "dev.tsv", (first + line + "".join(others)).encode(errors="surrogateescape"))
    with pytest.raises(InputError) as caught:
        read_nli(path)
    assert str(caught.value).startswith(f"{path}{message}")
    assert caught.value.remedy
    found = read_nli(path, on_error="skip")
    assert (found.examples, found.skipped, len(found.bad)) == (NLI, 1, 1)
    assert f"{found.bad[0]}, or {SKIP}" == str(caught.value)


def test_nli_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dev-sw\.tsv: there is no such file"):
        read_nli(tmp_path / "dev-sw.tsv")
    with pytest.raises(InputError, match="dev: the file is empty"):
        read_nli(write(tmp_path / "dev", ""))
    with pytest.raises(InputError, match="dev: the gzip data ends too early"):
        read_nli(write(tmp_path / "dev", gzip.compress(PLAIN.encode())[:-9]))
    with pytest.raises(InputError, match="dev: no usable item, 0 bad ones; check the file"):
        read_nli(write(tmp_path / "dev", "premise\thypothesis\tlabel\n"))
    with pytest.raises(InputError, match=r"dev: no usable item, 2 bad ones; the first: .*dev:1: 1 columns"):
        read_nli(write(tmp_path / "dev", "a\nb\n"), on_error="skip")
    path = write(tmp_path / "xnli.dev.tsv", OFFICIAL)
    with pytest.raises(
        InputError, match=r"xnli\.dev\.tsv:5: the file holds several languages \(de, en, \.\.\.\); name one"
    ):
        read_nli(path)
    with pytest.raises(InputError, match=r"no items of the language 'sw'; it has de, en"):
        read_nli(path, language="sw")
    with pytest.raises(InputError, match=r"xnli\.dev\.tsv:3: 5 columns, expected 6"):
        read_nli(write(path, OFFICIAL.replace("(x)\t{laugh", "{laugh", 1)), language="de")
    with pytest.raises(ConfigError, match="unknown way to treat bad items 'ignore'"):
        read_nli(path, on_error="ignore")


CONTEXT = "Die 😀 Brücke wurde 1901 gebaut . Sie ist 120 m lang ."


def question(**changes: Any) -> dict[str, Any]:
    item = {
        "id": "q1",
        "question": "Wann ?",
        "answers": [{"text": "1901", "answer_start": CONTEXT.index("1901")}],
    }
    return {key: value for key, value in {**item, **changes}.items() if value is not None}


def squad(*questions: Any, context: Any = CONTEXT) -> str:
    return json.dumps(
        {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": context, "qas": questions}]}]}
    )


GOOD = question(
    id="q2",
    answers=[{"text": "120 m", "answer_start": CONTEXT.index("120")}, {"text": "120", "answer_start": 41}],
)


@pytest.mark.parametrize("packed", [False, True])
def test_squad(packed: bool, tmp_path: Path) -> None:
    content = squad(question(), GOOD, question(id=7)).encode()
    path = write(tmp_path / "xquad.de.json", gzip.compress(content) if packed else b"\xef\xbb\xbf" + content)
    found = read_qa(path)
    assert found[:2] == (
        QaExample("q1", "Wann ?", CONTEXT, (Answer("1901", 19),)),
        QaExample("q2", "Wann ?", CONTEXT, (Answer("120 m", 41), Answer("120", 41))),
    )
    assert (found[2].id, len(found), found.labelled, found.skipped) == ("7", 3, True, 0)
    # starts count characters, not bytes or UTF-16 units: the emoji before them is one
    assert all(CONTEXT[a.start :].startswith(a.text) for item in found for a in item.answers)


def test_questions_without_answers_are_unlabelled(tmp_path: Path) -> None:
    path = write(tmp_path / "test.json", squad(question(answers=[]), question(id="q2", answers=None)))
    assert not read_qa(path).labelled


BAD_QA: dict[str, tuple[Any, str]] = {
    "an answer elsewhere": (
        question(answers=[{"text": "1901", "answer_start": 3}]),
        ": question q1: the answer '1901' is not in its context at character 3 (it stands at 19); correct",
    ),
    "an answer nowhere": (
        question(answers=[{"text": "1902", "answer_start": 20}]),
        ": question q1: the answer '1902' is not in its context at character 20 (it stands nowhere in it)",
    ),
    "a start below 0": (
        question(answers=[{"text": ".", "answer_start": -1}]),
        ": question q1: the answer '.' is not in its context at character -1",
    ),
    "a start past the end": (
        question(answers=[{"text": "1901", "answer_start": 9999}]),
        ": question q1: the answer '1901' is not in its context at character 9999",
    ),
    "an empty answer": (
        question(answers=[{"text": "", "answer_start": 0}]),
        ": question q1: received the answer",
    ),
    "an answer without start": (
        question(answers=[{"text": "1901"}]),
        ": question q1: received the answer \"{'text'",
    ),
    "a start in words": (
        question(answers=[{"text": "1901", "answer_start": "20"}]),
        ": question q1: received the answer",
    ),
    "answers of text": (
        question(answers="1901"),
        ": question q1: the answers are \"'1901'\", expected a list",
    ),
    "lists of two lengths": (
        question(answers={"text": ["1901"], "answer_start": []}),
        ": question q1: the answers are",
    ),
    "no answer among answered ones": (
        question(answers=[]),
        ": question q1: the item lacks its label; label all items",
    ),
    "half a character": (
        question(question="\ud83d"),
        ": question q1: half a surrogate pair inside the question; write the character itself",
    ),
    "no question": (question(question=None), ": question q1: the question is missing, expected text"),
    "an empty question": (question(question=" "), ": question q1: the question is \"' '\", expected text"),
    "no id": (question(id=None), ": data[0].paragraphs[0].qas[1]: the id is missing, expected text"),
    "the same id": (
        question(id="q2"),
        ": question q2: another question has the same id; give every question its own",
    ),
    "not an object": ("Wann ?", ": data[0].paragraphs[0].qas[1]: the id is missing"),
}


@pytest.mark.parametrize("name", BAD_QA)
def test_a_bad_question_is_named_and_can_be_skipped(name: str, tmp_path: Path) -> None:
    item, message = BAD_QA[name]
    path = write(tmp_path / "xquad.de.json", squad(GOOD, item, question(id="q3")))
    with pytest.raises(InputError) as caught:
        read_qa(path)
    assert str(caught.value).startswith(f"{path}{message}")
    assert caught.value.remedy
    found = read_qa(path, on_error="skip")
    assert ([example.id for example in found], found.skipped) == (["q2", "q3"], 1)
    assert f"{found.bad[0]}, or {SKIP}" == str(caught.value)


BAD_JSON: dict[str, tuple[str, str]] = {
    "truncated": (
        squad(question())[:-3],
        ":1: the JSON ends too early (truncated file); download or write the file again",
    ),
    "truncated in a string": (squad(question())[:60], ":1: the JSON ends too early (truncated file)"),
    "truncated in line 5": (
        json.dumps(json.loads(squad(question())), indent=0)[:40],
        ":5: the JSON ends too early",
    ),
    "broken": (squad(question()).replace(":", ";", 3), ":1: invalid JSON (Expecting ':' delimiter)"),
    "JSON lines": (squad(question()) + "\n" + squad(question()), ":2: invalid JSON (Extra data)"),
    "empty": ("", ": the file is empty"),
    "blank": ("  \n", ":"),
    "brackets": ("[" * 100_000, ": the JSON is nested too deeply"),
    "a list": (
        "[]",
        ": no usable item, 1 bad ones; the first: {path}: a list 'data' is missing; expected SQuAD: data",
    ),
    "no data": (
        '{"version": "1.1"}',
        ": no usable item, 1 bad ones; the first: {path}: a list 'data' is missing",
    ),
    "no articles": ('{"data": []}', ": no usable item, 0 bad ones; check the file"),
    "an article without paragraphs": (
        '{"data": [{}]}',
        ": no usable item, 1 bad ones; the first: {path}: data[0]: a list 'pa",
    ),
    "a paragraph without questions": (
        '{"data": [{"paragraphs": [5]}]}',
        ": no usable item, 1 bad ones; the first: {path}: data[0].paragraphs[0]: a list 'qas' is missing",
    ),
    "a paragraph without context": (
        squad(question(), context=None),
        ": no usable item, 1 bad ones; the first: {path}: question q1: the context is missing, expected text",
    ),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_a_bad_squad_file_says_what_is_wrong(name: str, tmp_path: Path) -> None:
    content, message = BAD_JSON[name]
    path = write(tmp_path / "train.json", content)
    with pytest.raises(InputError) as caught:
        read_qa(path, on_error="skip")
    assert str(caught.value).startswith(f"{path}{message.replace('{path}', str(path))}")
    with pytest.raises(InputError):
        read_qa(path)


def test_files_of_a_folder(tmp_path: Path) -> None:
    for name in (
        "dev-de.tsv.gz",
        "dev-fr.jsonl",
        "train-en.tsv",
        "dev-zh_CN.tsv",
        "README.md",
        "dev.tsv",
        "xquad.el.json.gz",
    ):
        write(tmp_path / name, "x")
    assert languages_in(tmp_path, task="nli") == ("de", "fr", "zh_CN")
    assert language_file(tmp_path, "de", task="nli") == tmp_path / "dev-de.tsv.gz"
    assert language_file(tmp_path, "en", task="nli", split="train") == tmp_path / "train-en.tsv"
    assert language_file(tmp_path, "el", task="qa") == tmp_path / "xquad.el.json.gz"
    with pytest.raises(InputError) as caught:
        language_file(tmp_path, "sw", task="nli")
    assert str(caught.value) == (
        f"{tmp_path}: there is no dev file for the language 'sw'; expected one of dev-sw.tsv, dev-sw.jsonl, "
        "sw.tsv, sw.jsonl, or with .gz; the folder has de, fr, zh_CN"
    )
    with pytest.raises(
        InputError, match="absent: there is no such folder; name the folder that holds one file a"
    ):
        languages_in(tmp_path / "absent", task="nli")
    with pytest.raises(InputError, match=r"README\.md: received a file, expected a folder"):
        languages_in(tmp_path / "README.md", task="nli")
    with pytest.raises(ConfigError, match="unknown task 'nil'; did you mean 'nli'"):
        languages_in(tmp_path, task="nil")


def test_sample_data() -> None:
    nli, qa = sample_data() / "nli", sample_data() / "qa"
    assert languages_in(nli, task="nli") == ("de", "en", "es", "fr")
    for language in languages_in(nli, task="nli"):
        found = read_nli(language_file(nli, language, task="nli"))
        assert Counter(item.label for item in found) == {"entailment": 10, "neutral": 10, "contradiction": 10}
    for language in languages_in(qa, task="qa"):
        assert len(read_qa(language_file(qa, language, task="qa"))) == 20


def test_real_files(benchmark_data: Path) -> None:
    languages = languages_in(benchmark_data / "xnli", task="nli")
    assert len(languages) == 15
    for language in languages:
        found = read_nli(language_file(benchmark_data / "xnli", language, task="nli"))
        assert (len(found), found.labelled) == (2490, True)
        assert set(Counter(item.label for item in found).values()) == {830}
    assert languages_in(benchmark_data / "xquad", task="qa") == ("ar", "de", "el", "en", "es", "zh")
    for language in languages_in(benchmark_data / "xquad", task="qa"):
        assert len(read_qa(language_file(benchmark_data / "xquad", language, task="qa"))) == 1190
