"""Translations checked from Python: the worst of a corpus, and which of their words nothing accounts for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from otkit.alignment.checking import TranslationChecker
from otkit.alignment.settings import CheckSettings
from otkit.checks.reader import PairReader
from otkit.data.languages import languages_to_tell
from otkit.data.lines import SpaceCount
from otkit.data.parallel import BadLine, Pair, read_pairs, silent
from otkit.data.segmentation import RawText, words_between
from otkit.encoders.encoder import Encoder
from otkit.encoders.open import open_encoder
from otkit.errors import ConfigError, choose
from otkit.exports.cached import encoder_in
from otkit.files import check_file, check_outputs, format_of, hold, write_file
from otkit.recipes import settings_of
from otkit.reports.checked import CHECK_FORMATS, CheckedLine, WorstLines

__all__ = ["CheckResult", "check", "check_format"]

_FIRST = 60
"""Lines that are read ahead to tell the languages of a file."""

_ENDINGS = {
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".html": "html",
    ".htm": "html",
}


@dataclass(frozen=True, eq=False)
class CheckResult:
    """What a check found.

    worst          the worst translations, the worst first: each with its file, its line, and the scores of its words
    pairs          translations that were checked; `skipped` lines were bad
    hallucination, omission  mean shares of words over all of them, in [0, 1]
    flagged        of each class, how many of them have a score of at least 0.93
    off            classes that could not be told, each with the reason
    format         of `text()` and of the output
    output         the file that was written, if one was asked for
    model, used    the encoder, and the settings as they were used, with their units
    """

    worst: tuple[CheckedLine, ...]
    pairs: int
    skipped: int
    hallucination: float
    omission: float
    flagged: Mapping[str, int]
    off: Mapping[str, str]
    files: tuple[str, ...]
    format: str
    output: Path | None
    model: str
    used: Mapping[str, Any]

    def text(self, format: str | None = None) -> str:
        """The worst translations as jsonl, tsv, text or html."""
        lines = choose(format or self.format, CHECK_FORMATS, what="format", setting="format")
        title = f"The {len(self.worst)} worst of {self.pairs} translations"
        text = "".join(f"{line}\n" for line in lines(self.worst, len(self.files) > 1, title))
        return text.encode("utf-8", "replace").decode("utf-8")


def check_format(format: str | None, output: Path | None) -> str:
    """The name of the format: the one given, or what the output's ending says, or jsonl."""
    shape = format or format_of(output, _ENDINGS, default="jsonl")
    choose(shape, CHECK_FORMATS, what="format", setting="format")
    return shape


def check(
    files: str | Path | Sequence[str | Path],
    encoder: str | Path | Encoder | None = None,
    *,
    target: str | Path | None = None,
    output: str | Path | None = None,
    format: str | None = None,
    sort: str = "max",
    top: int = 1000,
    raw: RawText = False,
    langs: str | None = None,
    input_format: str = "auto",
    on_error: str = "raise",
    recipe: str | Path | None = None,
    batch_tokens: int | None = None,
    device: str = "auto",
    precision: str = "fp32",
    overwrite: bool = False,
    on_progress: Callable[[int, int | None], None] = lambda done, total: None,
    on_note: Callable[[str], None] = silent,
    on_bad_line: Callable[[BadLine], None] = lambda bad: None,
    **settings: Any,
) -> CheckResult:
    """Look for errors of many classes in translations, and keep the worst.

    The score of a class, in [0, 1], is how rare its figure is: 0.93 is above 98 of 100 clean pairs, 1 is above text
    that does not belong together, too. `otkit.checks.classes.CLASSES` says what each means; classes that need to know
    the languages take them from the file's name, or from its text. `hallucination` and `omission` of a pair are plain
    shares of its words besides.

    files       parallel text, plain or .gz; with `target` one file, whose translations are the lines of the other
    encoder     a Hub name, a folder, a file, an open encoder, or None for the sample encoder
    output      a file to write the worst to, as jsonl, tsv or html: its ending says which
    sort        worst by: max (the highest score of all classes), or a class
    top         how many to keep; these are what memory holds
    raw         the text is raw: find its words first, in any script
    langs       languages of all the files, such as "de-en", where their names do not tell them
    precision   of the encoder: fp32, bf16, fp16, or int8, which makes a graph of it once and keeps it (`otkit cache`)
    on_error    "skip" leaves bad lines out, "raise" stops there with an InputError
    on_progress is told how many lines are done, and how many there are once that is known
    settings    any of `CheckSettings`, such as omission_null=0.5; `otkit recipe keys check` lists them

    After Huang et al. 2024 (OTTAWA, section 3); `otkit.alignment.checking` says what differs.

    >>> from otkit.resources import sample_data
    >>> found = check(sample_data() / "parallel" / "de-en.dev.tsv", sort="omission", top=3)
    >>> found.pairs, len(found.worst)
    (32, 3)
    >>> 0 <= found.omission <= found.worst[0].checked.omission <= 1
    True
    """
    chosen = settings_of(recipe, "check", CheckSettings).changed(**settings)
    inputs = [files] if isinstance(files, str | Path) else list(files)
    if target is not None and len(inputs) != 1:
        raise ConfigError(
            f"a target goes with one file, and there are {len(inputs)}", remedy="give one", setting="target"
        )
    if top < 1:
        raise ConfigError(f"top is {top}", remedy="give a number of at least 1", setting="top")
    file = None if output is None else Path(output)
    shape = check_format(format, file)
    check_outputs({"output": file}, [*inputs, target])
    worst, skipped = WorstLines(sort, top), 0
    opened = (
        open_encoder(encoder, device=device)
        if encoder is None or isinstance(encoder, str | Path)
        else encoder
    )
    opened = encoder_in(precision, opened, chosen.layers, progress=on_note)
    checker = TranslationChecker(opened, chosen, batch_tokens=batch_tokens)
    reader, off, ranked = PairReader(checker), dict[str, str](), False
    checker.on_encoded = lambda pairs: on_progress(worst.pairs + skipped + pairs, None)

    def bad(line: BadLine) -> None:
        nonlocal skipped
        skipped += 1
        on_bad_line(line)

    with ExitStack() as stack:
        if file is not None:
            check_file(file, overwrite=overwrite)
            stack.enter_context(hold(file))
        on_progress(0, None)
        for number, place in enumerate(map(str, inputs), 1):
            records = read_pairs(place, target=target, format=input_format, on_error=on_error, note=on_note)
            spaces = SpaceCount()
            first = list(islice(records, _FIRST))
            checker.languages = languages_to_tell([opened], place, langs, target=target, note=on_note)
            known = [(each.source, each.target) for each in first if isinstance(each, Pair)]
            reader.begin(place, None if target is None else str(target), known, raw=raw, langs=langs)
            for name, why in reader.off.items():
                if off.get(name) != why:
                    on_note(f"{place}: no {name}: {why}")
            ranked = ranked or sort not in reader.off
            if not ranked and number == len(inputs):  # no file has a score to sort by
                raise ConfigError(
                    f"received {sort!r}, and the class is off: {reader.off[sort]}",
                    remedy=("state the languages: `langs='de-en'`", "sort by max"),
                    setting="sort",
                )
            off |= reader.off
            for pair, checked in _checked(checker, chain(first, records), spaces, bad, raw=raw):
                worst.add(
                    CheckedLine(place, pair.line, checked, reader.read(checked, pair.source, pair.target))
                )
                on_progress(worst.pairs + skipped, None)
            for said in spaces.notes(place):
                on_note(said)
        on_progress(worst.pairs + skipped, worst.pairs + skipped)
        result = CheckResult(
            worst=tuple(worst.lines()),
            pairs=worst.pairs,
            skipped=skipped,
            hallucination=worst.mean("hallucination"),
            omission=worst.mean("omission"),
            flagged={name: count for name, count in worst.flagged.items() if name not in off},
            off=off,
            files=tuple(map(str, inputs)),
            format=shape,
            output=file,
            model=opened.name,
            used={"precision": opened.precision, "layers": list(checker.layers), **checker.used()},
        )
        if file is not None:
            write_file(file, result.text(), overwrite=overwrite)
        return result


def _checked(
    checker: TranslationChecker,
    records: Iterator[Pair | BadLine],
    spaces: SpaceCount,
    bad: Callable[[BadLine], None],
    *,
    raw: RawText,
) -> Iterator[tuple[Pair, Any]]:
    """Each pair of an input with its scores; the input is read a window ahead."""
    waiting: deque[Pair] = deque()

    def sentences() -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
        for record in records:
            if isinstance(record, BadLine):
                bad(record)
                continue
            if not raw:
                spaces.look(record.line, record.source, record.target)
            waiting.append(record)
            yield words_between(record.source, raw=raw), words_between(record.target, raw=raw)

    for checked in checker.check(sentences()):
        yield waiting.popleft(), checked
