"""Labels in every scheme, files in every form, and scores against seqeval's."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from seqeval.metrics import f1_score, precision_score, recall_score

from otkit.api.project import ProjectionResult, project
from otkit.errors import ConfigError, InputError, OutputError
from otkit.projection import corpus
from otkit.projection.corpus import Tally
from otkit.projection.labels import decode, encode, scheme_of
from otkit.projection.scores import answer_scores, score_files, span_scores


def random_labels(generator: random.Random, length: int) -> list[str]:
    return [generator.choice(["O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC"]) for _ in range(length)]


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_seqeval(seed: int) -> None:
    generator = random.Random(seed)
    lengths = [generator.randint(1, 12) for _ in range(40)]
    ours, gold = ([random_labels(generator, length) for length in lengths] for _ in range(2))
    scores = span_scores([decode(one) for one in ours], [decode(one) for one in gold], resamples=50)
    for name, theirs in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        assert scores.figures[name].value == pytest.approx(theirs(gold, ours))
        assert scores.figures[name].low <= scores.figures[name].value <= scores.figures[name].high
    for label in ("PER", "LOC"):
        only = [
            [[tag if tag.endswith(label) else "O" for tag in one] for one in side] for side in (gold, ours)
        ]
        assert scores.labels[label]["f1"] == pytest.approx(f1_score(*only))


@pytest.mark.parametrize("scheme", ["iob1", "iob2", "bioes", "bilou"])
def test_what_is_encoded_is_decoded(scheme: str) -> None:
    generator = random.Random(0)
    for _ in range(200):
        spans, place = [], 0
        while place < 12:
            start = place + generator.randint(0, 3)
            place = start + generator.randint(1, 3)
            if place <= 12:
                spans.append((generator.choice("AB"), start, place))
        labels = encode(spans, 12, scheme)
        assert decode(labels) == spans
        if scheme in ("bioes", "bilou"):
            assert scheme_of([labels]) == (scheme if spans else "iob2")


def test_labels_by_hand() -> None:
    assert decode(["I-A", "I-A", "O", "I-B", "B-B", "E-B", "S-C", "U-C", "I-C"]) == [
        ("A", 0, 2),
        ("B", 3, 4),
        ("B", 4, 6),
        ("C", 6, 7),
        ("C", 7, 8),
        ("C", 8, 9),
    ]
    assert encode([("A", 0, 2), ("A", 2, 3), ("B", 3, 4)], 4, "iob1") == ["I-A", "I-A", "B-A", "I-B"]
    assert scheme_of([["O", "I-A"]]) == "iob1"
    assert scheme_of([["O", "S-A"]]) == "bioes"
    assert scheme_of([["O", "U-A"]]) == "bilou", "they came back as BIOES"
    with pytest.raises(InputError, match="received the label 'NN', expected O"):
        decode(["NN"])


LINKS = "0-0 1-1 2-2\n0-1 1-0\n"
CONLL = "# a comment\nMary\tNNP\tB-PER\nsees\tVB\tO\nRome\tNNP\tB-LOC\n\nRome\tNNP\tB-LOC\nsleeps\tVB\tO\n"


def test_conll_with_given_links(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text(CONLL)
    (tmp_path / "b.txt").write_text("Maria sieht Rom\nschläft Rom\n")
    (tmp_path / "links").write_text(LINKS)
    result = project(tmp_path / "a.conll", tmp_path / "b.txt", links=tmp_path / "links", scores=True)
    assert result.text == (
        "Maria\t_\tB-PER\t0.96\nsieht\t_\tO\t_\nRom\t_\tB-LOC\t0.96\n\n"
        "schläft\t_\tO\t_\nRom\t_\tB-LOC\t0.96\n\n"
    )
    assert (result.tally.spans, result.tally.lost, result.tally.written) == (3, 0, 2)
    bioes = project(tmp_path / "a.conll", tmp_path / "b.txt", links=tmp_path / "links", scheme="bioes")
    assert bioes.text is not None
    assert "S-PER" in bioes.text
    # The target as CoNLL gives the same.
    (tmp_path / "b.conll").write_text("Maria\tO\nsieht\tO\nRom\tO\n\nschläft\tO\nRom\tO\n")
    assert (
        project(tmp_path / "a.conll", tmp_path / "b.conll", links=tmp_path / "links", scores=True).text
        == result.text
    )


@pytest.mark.parametrize(
    ("column", "rows", "between"),
    [
        (1, ("{word}\tNNP\tO",), "\t"),
        (2, ("{place}\t{word}\tNNP\tO",), "\t"),
        (1, ("{word} NNP O",), " "),
        (-2, ("{place} x {word} O",), " "),
    ],
)
def test_a_translation_in_conll_is_read_as_the_source_is(
    tmp_path: Path, column: int, rows: tuple[str, ...], between: str
) -> None:
    """Comments and -DOCSTART- are no words, and words stand in the column of the tokens; they were taken from the first
    column of whatever had a tab, and the output was wrong without a word."""

    def written(sentences: list[str], label: str) -> str:
        text = f"-DOCSTART-{between}-X-{between}O\n\n"
        for number, sentence in enumerate(sentences):
            text += f"# id {number}\n"
            for place, word in enumerate(sentence.split(" ")):
                text += (
                    rows[0].format(word=word, place=place)[:-1] + (label if word == "Rome" else "O") + "\n"
                )
            text += "\n"
        return text

    (tmp_path / "a.conll").write_text(written(["Mary sees Rome", "Rome sleeps"], "B-LOC"))
    (tmp_path / "b.conll").write_text(written(["Maria sieht Rom", "schläft\u00a0tief Rom"], "O"))
    (tmp_path / "b.txt").write_text("Maria sieht Rom\nschläft\u00a0tief Rom\n")
    (tmp_path / "links").write_text(LINKS)
    found = [
        project(tmp_path / "a.conll", tmp_path / name, links=tmp_path / "links", token_column=column).text
        for name in ("b.conll", "b.txt")
    ]
    assert found[0] == found[1]
    assert [
        line.split("\t")[column - 1 if column > 0 else column] for line in str(found[0]).splitlines() if line
    ] == ["Maria", "sieht", "Rom", "schläft\u00a0tief", "Rom"]
    assert str(found[0]).count("B-LOC") == 2


@pytest.mark.parametrize("text", ["das haus ist\n\n", "das haus ist\nein haus war\n\n", "a\nb\n"])
def test_a_sentence_a_line_is_no_conll_for_its_last_line(tmp_path: Path, text: str) -> None:
    lines = [line for line in text.splitlines() if line]
    (tmp_path / "a.conll").write_text("\n".join("x\tO\n" for _ in lines))
    (tmp_path / "b.txt").write_text(text)
    (tmp_path / "links").write_text("0-0\n" * len(lines))
    if text.endswith("\n\n"):
        with pytest.raises(InputError, match="goes on after sentence"):
            project(tmp_path / "a.conll", tmp_path / "b.txt", links=tmp_path / "links")
        return
    found = project(tmp_path / "a.conll", tmp_path / "b.txt", links=tmp_path / "links").text
    assert str(found).split("\n\n")[: len(lines)] == [
        "\n".join(f"{w}\tO" for w in line.split()) for line in lines
    ]


def given(tmp_path: Path, text: str) -> dict[str, Path]:
    """Sentences of two words, each a name, a translation of it, and links."""
    count = len([line for line in text.splitlines() if line])
    (tmp_path / "a.conll").write_text("Anna B-PER\nruns O\n\n" * count)
    (tmp_path / "b.txt").write_text(text)
    (tmp_path / "links").write_text("0-0 1-1\n" * count)
    return {"source": tmp_path / "a.conll", "target": tmp_path / "b.txt", "links": tmp_path / "links"}


@pytest.mark.parametrize(
    "text", ["Anna\trennt sehr schnell\nBob schläft\nEve singt\n", "Anna rennt\tsehr schnell\n"]
)
def test_words_behind_a_tab_of_a_translation_are_not_left_out(tmp_path: Path, text: str) -> None:
    made = project(**given(tmp_path, text))
    assert made.text is not None
    assert [line.split()[0] for line in made.text.splitlines() if line] == text.split()


def test_sentences_with_blank_lines_between_are_no_tokens(tmp_path: Path) -> None:
    """Of three words each, all but the first were left out."""
    with pytest.raises(InputError, match=r"b\.txt:2: the line is empty"):
        project(**given(tmp_path, "Anna rennt .\n\nBob schläft .\n\nEve singt .\n"))


def test_labels_that_changed_are_not_gone_on_with(tmp_path: Path) -> None:
    """Neither finished nor interrupted work: only the words were compared."""
    (tmp_path / "a.conll").write_text(CONLL)
    (tmp_path / "b.txt").write_text("Maria sieht Rom\nschläft Rom\n")
    (tmp_path / "links").write_text(LINKS)
    how: Any = {"links": tmp_path / "links"}
    files = tmp_path / "a.conll", tmp_path / "b.txt", tmp_path / "out.conll"
    project(*files, **how)
    assert project(*files, **how, resume=True).finished_before
    (tmp_path / "a.conll").write_text(CONLL.replace("B-LOC", "B-ORG"))
    with pytest.raises(OutputError, match="asked: source was"):
        project(*files, **how, resume=True)


def test_a_hash_above_a_token_is_a_token(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("# a comment of its own\n# O\n1 O\nBerlin B-LOC\n\n# id 7\nx O\n")
    (tmp_path / "b.txt").write_text("# 1 Berlin\ny\n")
    (tmp_path / "links").write_text("0-0 1-1 2-2\n0-0\n")
    found = project(tmp_path / "a.conll", tmp_path / "b.txt", links=tmp_path / "links").text
    assert found == "#\tO\n1\tO\nBerlin\tB-LOC\n\ny\tO\n\n"


def asking(*questions: dict[str, Any], context: str = "Bob met Tim.") -> str:
    return json.dumps(
        {"version": "v2.0", "data": [{"paragraphs": [{"context": context, "qas": list(questions)}]}]}
    )


def test_questions_keep_what_they_say_and_need_a_name_each(tmp_path: Path) -> None:
    asked = {"question": "Who?", "answers": [{"text": "Bob", "answer_start": 0}], "is_impossible": False}
    (tmp_path / "a.json").write_text(asking({**asked, "id": "q1"}))
    (tmp_path / "b.txt").write_text("Bob traf Tim.\n")
    (tmp_path / "links").write_text("0-0 1-1 2-2 3-3\n")
    how: Any = {"links": tmp_path / "links"}
    (question,) = json.loads(project(tmp_path / "a.json", tmp_path / "b.txt", **how).text or "")["data"][0][
        "paragraphs"
    ][0]["qas"]
    assert question["is_impossible"] is False
    for wrong in (asking(asked), asking({**asked, "id": "q"}, {**asked, "id": "q"})):
        (tmp_path / "a.json").write_text(wrong)
        with pytest.raises(InputError, match="a question has no id of its own"):
            project(tmp_path / "a.json", tmp_path / "b.txt", **how)
    (tmp_path / "a.json").write_text(asking({**asked, "id": "q1"}))
    (tmp_path / "b.txt").write_text("\n")
    with pytest.raises(InputError, match="the translation of its context is empty"):
        project(tmp_path / "a.json", tmp_path / "b.txt", **how)


def test_incomplete_sentences_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text(CONLL)
    (tmp_path / "b.txt").write_text("Maria sieht Rom\nschläft Rom\n")
    (tmp_path / "links").write_text("0-0 1-1\n0-1 1-0\n")
    result = project(tmp_path / "a.conll", tmp_path / "b.txt", links=tmp_path / "links", keep="complete")
    assert result.text == "schläft\t_\tO\nRom\t_\tB-LOC\n\n"
    assert (result.tally.lost, result.tally.written) == (1, 1)


@pytest.mark.parametrize(
    ("labels", "target", "links", "said"),
    [
        ("a\tX\n", "b\n", "0-0\n", "a.conll:1: received the label 'X', expected O"),
        ("a\n", "b\n", "0-0\n", "a.conll:1: has 1 columns"),
        ("a\tO\n\nb\tO\n", "b\n", "0-0\n", "b.txt: ends after sentence 1, and"),
        ("a\tO\n", "b\nc\n", "0-0\n0-0\n", "b.txt: goes on after sentence 1"),
        ("a\tO\n", "b\n", "0-7\n", "there is a link 0-7, and the sentences have 1 and 1 words"),
        ("a\tO\n", "b\n", "x\n", "links:1: received 'x', expected a link"),
        ("a\tO\n", "b\n", "", "links: the file is empty"),
    ],
)
def test_bad_input_is_told_by_file_and_line(
    labels: str, target: str, links: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "a.conll").write_text(labels)
    (tmp_path / "b.txt").write_text(target)
    (tmp_path / "links").write_text(links)
    with pytest.raises(Exception, match=said.replace(".", r"\.")):
        project(tmp_path / "a.conll", tmp_path / "b.txt", links=tmp_path / "links")


def test_bad_sentences_are_skipped_and_keep_their_place(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("a\tX\n\nb\tB-PER\n")
    (tmp_path / "b.txt").write_text("A\nB\n")
    (tmp_path / "links").write_text("0-0\n0-0\n")
    result = project(tmp_path / "a.conll", tmp_path / "b.txt", links=tmp_path / "links", on_error="skip")
    assert result.text == "A\tO\n\nB\tB-PER\n\n"
    assert result.tally.skipped == 1


def test_a_sentence_that_is_left_out_has_the_columns_of_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("1\t_\tAnna\tB-PER\n\n1\tBob\n")
    (tmp_path / "b.txt").write_text("Anna\nBob\n")
    (tmp_path / "links").write_text("0-0\n0-0\n")
    result = project(
        tmp_path / "a.conll",
        tmp_path / "b.txt",
        links=tmp_path / "links",
        token_column=3,
        on_error="skip",
    )
    assert result.text == "_\t_\tAnna\tB-PER\n\n_\t_\tBob\tO\n\n"


def test_jsonl_keeps_its_fields_and_says_what_was_lost(tmp_path: Path) -> None:
    record = {
        "id": 7,
        "text": "Mary sees Rome",
        "target": "Maria sieht Rom",
        "spans": [{"start": 0, "end": 4, "label": "PER", "by": "Ann"}, [10, 14, "LOC"]],
    }
    (tmp_path / "a.jsonl").write_text(json.dumps(record) + "\nnonsense\n")
    (tmp_path / "links").write_text("0-0 1-1\n\n")
    result = project(tmp_path / "a.jsonl", links=tmp_path / "links", on_error="skip")
    first, second = (json.loads(line) for line in (result.text or "").splitlines())
    sure = first["spans"][0]["confidence"]
    assert 0.9 < sure < 1
    assert first == {
        "id": 7,
        "text": "Maria sieht Rom",
        "spans": [{"start": 0, "end": 5, "by": "Ann", "label": "PER", "text": "Maria", "confidence": sure}],
        "lost": [{"start": 10, "end": 14, "label": "LOC", "reason": "no word is its own", "confidence": 0.0}],
    }
    assert "no JSON" in second["skipped"]


def test_spans_within_a_word_go_their_own_ways(tmp_path: Path) -> None:
    spans = [{"start": 0, "end": 4, "label": "A"}, {"start": 5, "end": 6, "label": "B"}]
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "Ctrl+C", "target": "Strg+C", "spans": spans}))
    (tmp_path / "links").write_text("0-0 1-1 2-2\n")
    result = project(tmp_path / "a.jsonl", links=tmp_path / "links")
    assert [each["text"] for each in json.loads(result.text or "")["spans"]] == ["Strg", "C"]


def squad(context: str, question: str, answer: str) -> str:
    qas = [
        {
            "id": "1",
            "question": question,
            "answers": [{"text": answer, "answer_start": context.index(answer)}],
        }
    ]
    return json.dumps(
        {"version": "1.1", "data": [{"title": "T", "paragraphs": [{"context": context, "qas": qas}]}]}
    )


def test_answers_of_squad(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(squad("Mary sees old Rome.", "Where?", "old Rome"))
    (tmp_path / "b.json").write_text(squad("Maria sieht das alte Rom.", "Wo?", "alte Rom"))
    (tmp_path / "links").write_text("0-0 1-1 2-3 3-4 4-5\n")
    result = project(tmp_path / "a.json", tmp_path / "b.json", tmp_path / "c.json", links=tmp_path / "links")
    document = json.loads((tmp_path / "c.json").read_text())
    [question] = document["data"][0]["paragraphs"][0]["qas"]
    assert question["question"] == "Wo?"
    assert question["answers"][0]["text"] == "alte Rom"
    assert document["data"][0]["title"] == "T"
    assert result.tally.lost == 0
    scores = score_files(tmp_path / "c.json", tmp_path / "b.json", language="de", resamples=10)
    assert {name: each.value for name, each in scores.figures.items()} == dict.fromkeys(
        ("exact", "f1", "mlqa exact", "mlqa f1"), 1.0
    )
    assert answer_scores({}, {"1": ["x"]}, resamples=5).figures["exact"].value == 0


def test_scores_of_files_need_the_same_sentences(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x\tB-A\n\ny\tO\n")
    (tmp_path / "b").write_text("x\tB-A\n\ny\tO\nz\tO\n")
    with pytest.raises(InputError, match="sentence 2 has 1 words, and 2 in"):
        score_files(tmp_path / "a", tmp_path / "b")
    assert score_files(tmp_path / "a", tmp_path / "a", resamples=10).figures["f1"].value == 1


def test_a_killed_projection_goes_on_in_python_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "_WINDOW", 2)
    (tmp_path / "a.conll").write_text("".join(f"Haus{n}\tB-LOC\n\n" for n in range(6)))
    (tmp_path / "b.txt").write_text("".join(f"house{n}\n" for n in range(6)))
    (tmp_path / "links").write_text("0-0\n" * 6)

    def run(output: str, resume: bool = False, stop: int = 0) -> ProjectionResult:
        def progress(tally: Tally) -> None:
            if tally.sentences == stop:
                raise KeyboardInterrupt

        return project(
            tmp_path / "a.conll",
            tmp_path / "b.txt",
            tmp_path / output,
            links=tmp_path / "links",
            resume=resume,
            on_progress=progress,
        )

    whole = run("whole.conll")
    assert whole.tally.written == 6
    with pytest.raises(KeyboardInterrupt):
        run("out.conll", stop=4)
    assert run("out.conll", resume=True) == whole
    assert (tmp_path / "out.conll").read_bytes() == (tmp_path / "whole.conll").read_bytes()
    assert run("out.conll", resume=True).finished_before
    with pytest.raises(ConfigError, match="`resume` needs files on both ends"):
        project(tmp_path / "a.conll", tmp_path / "b.txt", links=tmp_path / "links", resume=True)
