"""Code-switched training data: labelled examples with words of other languages in them, labels and answers exact."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path

from otkit.alignment.aligner import WordAligner
from otkit.alignment.corpus import fingerprint_of, go_on_with, known_of, torch_threads
from otkit.alignment.settings import AlignmentSettings
from otkit.alignment.shares import shares_between
from otkit.alignment.sink import Sink, as_left, finished_facts, forget_partial
from otkit.api.project import open_aligner, tell
from otkit.data.parallel import silent
from otkit.data.tasks import read_nli, read_qa
from otkit.encoders.encoder import Encoder
from otkit.errors import ConfigError, InputError, choose
from otkit.files import parse_json, sha256_of, to_json
from otkit.projection.forms import check_ending, form_of
from otkit.projection.lexicon import open_lexicon
from otkit.projection.places import Place, Text
from otkit.projection.settings import SHARE
from otkit.projection.switching import (
    LexiconWords,
    Switched,
    aligned_words,
    chosen,
    drawing,
    switch,
    switched,
)

__all__ = ["AUGMENT_FORMS", "AugmentResult", "augment"]

FilePath = str | Path
_SAMPLE = 2000  # words that show which side of a lexicon is the text's
_WINDOW = 1024  # texts that are kept together where a lexicon has the words


@dataclass(frozen=True)
class Part:
    """A text of an example, its places (answers), its translation where there is one, and what draws its words."""

    text: Text
    places: tuple[Place, ...]
    target: Text | None
    key: str


@dataclass(frozen=True)
class Examples:
    """The texts of a file, how many examples they make, and how it is written with others in their places."""

    parts: tuple[Part, ...]
    count: int
    written: Callable[[Sequence[Switched]], str]
    skipped: int
    bad: tuple[InputError, ...]


@dataclass(frozen=True)
class AugmentResult:
    """How many examples there are, how many words their texts have, how many of them were replaced, how many items
    were skipped (`bad` holds the errors of the first), and the text where no file was asked for. `finished_before`: an
    earlier run had done all of it; `replaced` is 0 then where its file was copied here."""

    examples: int
    words: int
    replaced: int
    skipped: int
    bad: tuple[InputError, ...]
    text: str | None
    finished_before: bool = False


def augment(
    source: FilePath,
    output: FilePath | None = None,
    *,
    target: FilePath | None = None,
    lexicons: Sequence[FilePath] = (),
    langs: str | None = None,
    share: float = SHARE,
    seed: int = 0,
    form: str = "auto",
    on_error: str = "raise",
    resume: bool = False,
    overwrite: bool = False,
    model: FilePath | Encoder | None = None,
    alignment: AlignmentSettings | None = None,
    device: str = "auto",
    aligner: WordAligner | None = None,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
    note: Callable[[str], None] = silent,
) -> AugmentResult:
    """Labelled examples with a share of their words in other languages, as `otkit project --augment` writes them.

    source    XNLI (premise, hypothesis, label between tabs: form nli) or SQuAD JSON (form squad)
    target    the same examples in another language: words are replaced by those that they are aligned with
    lexicons  of `otkit lexicon` (.sqlite) instead: of each word one is drawn, and from it a translation
    langs     languages of the two, where their names do not tell them, for a tokenizer that wants to know (NLLB, mBART)
    share     the probability of a word to be replaced; those without a translation stay
    seed      the same seed and input give the same text
    resume    go on with an interrupted run of the same settings and texts, to the same bytes
    """
    if resume and (output is None or "-" in (str(source), str(target))):
        raise ConfigError("`resume` needs files on both ends", remedy="name an input and an output")
    name = augment_form(source, form, output)
    read = AUGMENT_FORMS[name]
    if not 0 <= share <= 1:
        raise ConfigError(f"the share is {share}", remedy="give one from 0 to 1", setting="share")
    if (target is None) == (not lexicons):
        raise ConfigError(
            "words come from a translation or from lexicons", remedy="give one of the two", setting="lexicon"
        )
    examples = read(source, target, on_error)
    if target is not None and aligner is None:
        aligner = open_aligner(model, alignment, device=device)
    tell(aligner, source, target, langs, note)
    done: list[Switched] = []

    def take(opened: WordAligner | None, keep: Callable[[list[Switched]], object]) -> None:
        for window in _switched(examples.parts, opened, lexicons, share, seed, done=len(done)):
            done.extend(window)
            keep(window)
            on_progress(len(done), len(examples.parts))

    def result(text: str | None) -> AugmentResult:
        words = sum(len(part.text.words) for part in examples.parts)
        replaced = sum(each.replaced for each in done)
        return AugmentResult(examples.count, words, replaced, examples.skipped, examples.bad, text)

    if output is None:
        take(aligner, lambda window: None)
        return result(examples.written(done))
    fingerprint = fingerprint_of(
        aligner,
        {
            "form": name,
            "share": share,
            "seed": seed,
            "on_error": on_error,
            "text": _sha256(examples),
            "lexicons": [_digest(path) for path in lexicons],
        },
    )
    if resume and (facts := finished_facts(Path(output), fingerprint)) is not None:
        forget_partial(Path(output))
        return replace(result(None), replaced=facts.get("replaced", 0), finished_before=True)
    with (
        Sink(Path(output), fingerprint=fingerprint, resume=resume, overwrite=overwrite) as sink,
        torch_threads(sink.known.get("threads")),
    ):
        if sink.known:
            with as_left():
                done += map(_read, sink.kept().splitlines())
                go_on_with(aligner, sink.known)
        take(aligner, lambda window: sink.write("".join(map(_kept, window)), known_of(aligner)))
        sink.finish({"replaced": sum(each.replaced for each in done)}, whole=examples.written(done))
    return result(None)


def augment_form(source: FilePath, form: str, output: FilePath | None) -> str:
    """The form of examples: of the name, where `auto` asks; a ConfigError where the output is called otherwise."""
    shown = "squad" if form_of(source) == "squad" else "nli"
    name = shown if form == "auto" else form
    choose(name, AUGMENT_FORMS, what="form", setting="input_format")
    check_ending(output, name)
    return name


def _digest(lexicon: FilePath) -> str:
    open_lexicon(lexicon).close()  # says what is wrong with a file that is none
    return sha256_of(Path(lexicon))


def _kept(one: Switched) -> str:
    """A line that an unfinished run leaves."""
    places = [[place.label, place.start, place.end] for place in one.places]
    return to_json([one.text, places, one.replaced], indent=None)


def _read(line: str) -> Switched:
    text, places, replaced = parse_json(line)
    return Switched(
        str(text), tuple(Place(str(label), int(at), int(end)) for label, at, end in places), int(replaced)
    )


def _sha256(examples: Examples) -> str:
    """Of everything that the examples are made from."""
    found = hashlib.sha256()
    found.update(
        examples.written([Switched(part.text.text, part.places, 0) for part in examples.parts]).encode()
    )
    for part in examples.parts:
        found.update(to_json(None if part.target is None else part.target.text, indent=None).encode())
    return found.hexdigest()


def _switched(
    parts: Sequence[Part],
    aligner: WordAligner | None,
    lexicons: Sequence[FilePath],
    share: float,
    seed: int,
    *,
    done: int,
) -> Iterator[list[Switched]]:
    """Windows of texts with their words replaced, of those behind the first `done`."""

    rest = parts[done:]
    if lexicons:
        sample = [word for part in parts[:_SAMPLE] for word in part.text.bare][:_SAMPLE]
        with closing(LexiconWords(lexicons, sample)) as lexicon:
            stream = iter(rest)
            while window := list(islice(stream, _WINDOW)):
                yield [
                    switched(part.text, part.places, lexicon, share, drawing(part.key, seed=seed))
                    for part in window
                ]
        return
    assert aligner is not None
    waiting: deque[Part] = deque()

    def pairs() -> Iterator[tuple[Sequence[str], Sequence[str]] | None]:
        for part in rest:
            waiting.append(part)
            usable = part.target is not None and part.text.words and part.target.words
            yield (part.text.bare, part.target.bare) if usable and part.target is not None else None

    for alignments in aligner.align_windows(pairs(), plans=True):
        found = []
        for alignment in alignments:
            part = waiting.popleft()
            words = {}
            if alignment is not None and part.target is not None:
                indices = chosen(part.text, share, drawing(part.key, seed=seed))
                words = aligned_words(part.text, part.target, shares_between(alignment), indices)
            found.append(switch(part.text, part.places, words))
        yield found


def _nli(source: FilePath, target: FilePath | None, on_error: str) -> Examples:
    found = read_nli(source, on_error=on_error)
    others = None if target is None else read_nli(target, on_error=on_error)
    if others is not None and len(others) != len(found):
        raise InputError(
            f"has {len(others)} examples, and {source} has {len(found)}",
            where=str(target),
            remedy="give the same examples in the same order",
        )
    if others is not None and (found.skipped or others.skipped):
        raise InputError(
            f"{found.skipped} examples and {others.skipped} of their translations cannot be used, so that it is not"
            " known which stand beside which",
            where=str(target),
            remedy="mend the lines, or leave the examples out of both files",
        )
    parts = []
    for number, item in enumerate(found):
        for side in ("premise", "hypothesis"):
            other = None if others is None else Text.of(getattr(others[number], side))
            parts.append(Part(Text.of(getattr(item, side)), (), other, f"{number} {side}"))
    labels = [item.label for item in found]

    def written(texts: Sequence[Switched]) -> str:
        rows = zip(texts[::2], texts[1::2], labels, strict=True)
        return "".join(
            "\t".join([_in_a_cell(one.text), _in_a_cell(other.text), *([] if label is None else [label])])
            + "\n"
            for one, other, label in rows
        )

    return Examples(tuple(parts), len(found), written, found.skipped, found.bad)


def _in_a_cell(text: str) -> str:
    """A tab or a line's end inside a text would be read as one of the table's."""
    return re.sub(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+", " ", text)


def _squad(source: FilePath, target: FilePath | None, on_error: str) -> Examples:
    found = read_qa(source, on_error=on_error)
    others = {} if target is None else {item.id: item for item in read_qa(target, on_error=on_error)}
    paragraphs = [(context, list(items)) for context, items in groupby(found, key=lambda item: item.context)]
    parts = []
    for number, (context, items) in enumerate(paragraphs):
        places = [
            Place(item.id, answer.start, answer.start + len(answer.text))
            for item in items
            for answer in item.answers
        ]
        other = next((others[item.id] for item in items if item.id in others), None)
        parts.append(
            Part(
                Text.of(context),
                tuple(places),
                None if other is None else Text.of(other.context),
                f"{number} context",
            )
        )
        for item in items:
            theirs = others.get(item.id)
            parts.append(
                Part(
                    Text.of(item.question),
                    (),
                    None if theirs is None else Text.of(theirs.question),
                    f"question {item.id}",
                )
            )

    def written(texts: Sequence[Switched]) -> str:
        stream, data = iter(texts), []
        for _, items in paragraphs:
            context = next(stream)
            answers: Mapping[str, list[dict[str, object]]] = {item.id: [] for item in items}
            for place in context.places:
                text = context.text[place.start : place.end]
                answers[place.label].append({"text": text, "answer_start": place.start})
            qas = [
                {"id": item.id, "question": next(stream).text, "answers": answers[item.id]} for item in items
            ]
            data.append({"context": context.text, "qas": qas})
        return to_json({"version": "1.1", "data": [{"paragraphs": data}]})

    return Examples(tuple(parts), len(found), written, found.skipped, found.bad)


AUGMENT_FORMS: Mapping[str, Callable[[FilePath, FilePath | None, str], Examples]] = {
    "nli": _nli,
    "squad": _squad,
}
