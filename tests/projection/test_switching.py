"""Code-switched examples: spans and labels exact whatever is replaced, the same seed the same text."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from otkit.alignment.aligner import WordAligner
from otkit.alignment.settings import AlignmentSettings
from otkit.api import augment as augmenting
from otkit.api.augment import AugmentResult, augment
from otkit.api.lexicon import lexicon
from otkit.data.tasks import read_nli, read_qa
from otkit.errors import ConfigError, InputError, OutputError
from otkit.projection.copies import SwitchedCopies
from otkit.projection.places import Place, Text
from otkit.projection.switching import LexiconWords, aligned_words, switch
from otkit.resources import sample_data
from tests.conftest import make_tiny_encoder

SAMPLE = Path(str(sample_data()))


@pytest.mark.parametrize("seed", range(50))
def test_places_hold_the_same_words_before_and_after(seed: int) -> None:
    generator = random.Random(seed)
    text = Text.of(" ".join(f"w{generator.randrange(1000)}" for _ in range(12)) + " .")
    # Whole words of the text, and places that cut one.
    starts = [word.start for word in text.words] + [text.words[3].start + 1]
    places = []
    for _ in range(4):
        first, last = sorted(generator.choices(range(len(text.words)), k=2))
        start = generator.choice([text.words[first].start, starts[-1]])
        end = max(start + 1, text.words[last].end)
        places.append(Place("A", start, end))
    words = {
        index: generator.choice(["x", "ein Wort", "länger"])
        for index in range(12)
        if generator.random() < 0.6
    }
    found = switch(text, places, words)
    cut = {
        index
        for index, word in enumerate(text.words)
        for place in places
        if word.start < place.start < word.end or word.start < place.end < word.end
    }
    kept = {index: word for index, word in words.items() if index not in cut}
    assert found.replaced == len(kept)
    for place, moved in zip(places, found.places, strict=True):
        inside = text.text[place.start : place.end]
        expected = switch(
            Text.of(inside),
            (),
            {
                at: kept[index]
                for index, word in enumerate(text.words)
                if index in kept and place.start <= word.start and word.end <= place.end
                for at, other in enumerate(Text.of(inside).words)
                if other.start == word.start - place.start
            },
        )
        assert found.text[moved.start : moved.end] == expected.text


def test_aligned_words_are_the_surest_and_no_punctuation() -> None:
    text, target = Text.of("the red car ."), Text.of("la voiture rouge .")
    shares = np.array([[0.8, 0, 0, 0], [0, 0.2, 0.9, 0], [0, 0.4, 0, 0], [0, 0, 0, 0.9]])
    assert aligned_words(text, target, shares, range(4)) == {0: "la", 1: "rouge"}


@pytest.fixture
def lexicons(tmp_path: Path) -> list[Path]:
    made = []
    for name, words in (("de-en", "das haus steht"), ("en-fr", "la maison est")):
        pair = (words, "the house stands") if name == "de-en" else ("the house is", words)
        (tmp_path / f"{name}.tsv").write_text("\t".join(pair) + "\n")
        (tmp_path / "links").write_text("0-0 1-1 2-2\n")
        made.append(tmp_path / f"{name}.sqlite")
        lexicon(tmp_path / f"{name}.tsv", made[-1], links=tmp_path / "links", form="sqlite")
    return made


def test_examples_through_lexicons_of_either_direction(lexicons: list[Path], tmp_path: Path) -> None:
    (tmp_path / "en.tsv").write_text(
        "premise\thypothesis\tlabel\n" + "The house stands .\tA house is there .\tneutral\n" * 40
    )
    result = augment(tmp_path / "en.tsv", lexicons=lexicons, share=0.8)
    assert result.examples == 40
    assert 0 < result.replaced < result.words
    words = set((result.text or "").split())
    assert {"das", "haus", "la", "maison", "est", "steht", "there"} <= words
    assert result.text == augment(tmp_path / "en.tsv", lexicons=lexicons, share=0.8).text
    assert result.text != augment(tmp_path / "en.tsv", lexicons=lexicons, share=0.8, seed=1).text
    (tmp_path / "mixed.tsv").write_text(result.text or "")
    assert [item.label for item in read_nli(tmp_path / "mixed.tsv")] == ["neutral"] * 40
    nothing = augment(tmp_path / "en.tsv", lexicons=lexicons, share=0)
    assert nothing.replaced == 0
    assert (nothing.text or "").splitlines()[0] == "The house stands .\tA house is there .\tneutral"


def test_a_text_with_a_tab_or_a_line_s_end_stays_in_its_cell(lexicons: list[Path], tmp_path: Path) -> None:
    """JSON holds such texts; a table would take them for its own."""
    row = {"premise": "the\thouse\u2028stands", "hypothesis": "the house\r\nstands", "label": "neutral"}
    (tmp_path / "en.jsonl").write_text(json.dumps(row) + "\n")
    augment(tmp_path / "en.jsonl", tmp_path / "de.tsv", lexicons=lexicons, share=0)
    (found,) = read_nli(tmp_path / "de.tsv")
    assert (found.premise, found.hypothesis, found.label) == (
        "the house stands",
        "the house stands",
        "neutral",
    )


def test_the_form_of_a_lexicon_is_what_its_name_ends_in(tmp_path: Path) -> None:
    (tmp_path / "de-en.tsv").write_text("das haus\tthe house\n")
    (tmp_path / "links").write_text("0-0 1-1\n")
    for name in ("words.sqlite", "words.jsonl", "words.tsv", "words.lexicon"):
        lexicon(tmp_path / "de-en.tsv", tmp_path / name, links=tmp_path / "links")
    heads = {path.suffix: path.read_bytes()[:7] for path in tmp_path.glob("words.*")}
    assert heads[".sqlite"] == b"SQLite "
    assert heads[".jsonl"].startswith(b"{")
    assert heads[".tsv"] == heads[".lexicon"]


def test_examples_through_their_translation() -> None:
    """All labels, ids and answers of the sample stay exact, and German words stand in English text."""
    nli = augment(SAMPLE / "nli" / "en.tsv", target=SAMPLE / "nli" / "de.tsv", share=0.5)
    lines = [line.split("\t") for line in (nli.text or "").splitlines()]
    assert [line[2] for line in lines] == [item.label for item in read_nli(SAMPLE / "nli" / "en.tsv")]
    assert 0.2 * nli.words < nli.replaced < 0.5 * nli.words
    assert {"die", "der", "und"} & set(" ".join(line[0] for line in lines).split())


def test_answers_stay_in_their_contexts(tmp_path: Path) -> None:
    result = augment(
        SAMPLE / "qa" / "en.json", tmp_path / "mixed.json", target=SAMPLE / "qa" / "de.json", share=0.5
    )
    before, after = read_qa(SAMPLE / "qa" / "en.json"), read_qa(tmp_path / "mixed.json")
    assert [item.id for item in after] == [item.id for item in before]
    assert [len(item.answers) for item in after] == [len(item.answers) for item in before]
    assert result.replaced > 50
    changed = [one.answers != other.answers for one, other in zip(before, after, strict=True)]
    assert any(changed)


@pytest.mark.parametrize("name", ["nli/en.tsv", "qa/en.json"])
def test_copies_written_when_asked_for_are_those_of_the_file(
    lexicons: list[Path], tmp_path: Path, name: str
) -> None:
    text = tmp_path / "words.tsv"
    words = ["the", "of", "and", "in", "to", "is", "was", "city", "people", "man", "what", "which"]
    text.write_text("".join(f"{word}x\t{word}\n" for word in words), encoding="utf-8")
    (tmp_path / "links").write_text("0-0\n" * len(words), encoding="utf-8")
    lexicon(text, tmp_path / "words.sqlite", links=tmp_path / "links", form="sqlite", langs="de-en")
    read = read_qa if name.startswith("qa") else read_nli
    source, output = SAMPLE / name, tmp_path / Path(name).name
    made = augment(source, output, lexicons=[tmp_path / "words.sqlite"], share=0.5, seed=3)
    assert made.replaced > 50
    train: Any = read(source)
    copies = SwitchedCopies(train, LexiconWords([tmp_path / "words.sqlite"], ["the"]), 0.5, seed=3)
    expected: Any = read(output)
    assert copies[-1] == expected[len(expected) - 1]  # in any order
    assert list(copies) == list(expected)
    assert copies[2:4] == list(expected[2:4])


def test_what_cannot_be_augmented_is_told(lexicons: list[Path], tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("p\th\tneutral\nbad\n")
    with pytest.raises(InputError, match=r"a\.tsv:2"):
        augment(tmp_path / "a.tsv", lexicons=lexicons)
    skipped = augment(tmp_path / "a.tsv", lexicons=lexicons, on_error="skip")
    assert (skipped.examples, skipped.skipped) == (1, 1)
    with pytest.raises(ConfigError, match="words come from a translation or from lexicons"):
        augment(tmp_path / "a.tsv")
    with pytest.raises(ConfigError, match="the share is 2"):
        augment(tmp_path / "a.tsv", lexicons=lexicons, share=2)
    (tmp_path / "b.tsv").write_text("p\th\tneutral\n" * 2)
    (tmp_path / "c.tsv").write_text("p\th\tneutral\n")
    with pytest.raises(InputError, match="has 1 examples, and"):
        augment(tmp_path / "b.tsv", target=tmp_path / "c.tsv")
    with pytest.raises(InputError, match="is no lexicon of otkit"):
        augment(tmp_path / "b.tsv", lexicons=[tmp_path / "c.tsv"])


@pytest.mark.parametrize("words", ["lexicon", "translation"])
def test_a_killed_augmentation_goes_on_to_the_same_bytes(
    words: str, lexicons: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever the words come from; XNLI here, SQuAD there, whose answers move."""
    monkeypatch.setattr(augmenting, "_WINDOW", 10)
    aligner = WordAligner(make_tiny_encoder(), AlignmentSettings(space="center"), window=10)
    source = SAMPLE / "qa" / "en.json"
    if words == "lexicon":
        source = tmp_path / "a.tsv"
        source.write_text("".join(f"the house stands {n}\tthe house is\tneutral\n" for n in range(13)))

    def run(output: str, resume: bool = False, stop: int = 0, share: float = 0.5) -> AugmentResult:
        def progress(done: int, total: int) -> None:
            if done == stop:
                raise KeyboardInterrupt

        aligner.spaces = None
        return augment(
            source,
            tmp_path / output,
            target=None if words == "lexicon" else SAMPLE / "qa" / "de.json",
            lexicons=lexicons if words == "lexicon" else (),
            share=share,
            aligner=None if words == "lexicon" else aligner,
            resume=resume,
            on_progress=progress,
        )

    whole = run("whole")
    assert whole.replaced
    with pytest.raises(KeyboardInterrupt):
        run("out", stop=20)
    assert not (tmp_path / "out").exists()
    with pytest.raises(OutputError, match="an interrupted run left a part"):
        run("out")
    with pytest.raises(OutputError, match="the interrupted run differs"):
        run("out", resume=True, share=0.6)
    assert run("out", resume=True) == whole
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()
    assert not list(tmp_path.glob("out.*"))
    assert run("out", resume=True).finished_before
    with pytest.raises(OutputError, match="the finished output differs"):
        run("out", resume=True, share=0.6)
