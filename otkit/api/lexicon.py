"""Bilingual lexicons: counted from a corpus, written in any form, looked up."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from otkit.alignment.aligner import Alignment, Link, SentencePair, WordAligner
from otkit.alignment.corpus import CorpusStream, Engine, Line, fingerprint_of, identity_of, torch_threads
from otkit.alignment.settings import AlignmentSettings
from otkit.alignment.sink import as_left, finished_facts, partial_of
from otkit.api.project import open_aligner, tell
from otkit.data.languages import languages_of
from otkit.data.lines import counted
from otkit.data.parallel import BadLine, Pair, read_pairs
from otkit.data.segmentation import RawText
from otkit.encoders.encoder import Encoder
from otkit.errors import ConfigError, InputError, OutputError, choose
from otkit.files import check_file, ending_of, is_packed, is_stream, write_file
from otkit.projection.corpus import read_links
from otkit.projection.lexicon import (
    LexiconCounts,
    count_into,
    counts_begun,
    counts_or_nothing,
    forget_counts,
    look_up,
    open_lexicon,
    sound,
)
from otkit.projection.lexicon_files import LEXICON_FORMS, shortlist
from otkit.projection.settings import LEXICON_ENDINGS, LexiconSettings

__all__ = [
    "LexiconResult",
    "lexicon",
    "lexicon_begun",
    "look_up",
    "shortlist_files",
    "with_weak_links",
]

FilePath = str | Path
_WEAK = 0.0001  # the least share that can be counted, where each link counts its share
_WINDOW = 1024  # lines with given links that are counted together


@dataclass(frozen=True)
class LexiconResult:
    """How many sentence pairs were counted and how many lines were skipped, how many entries there are, and the text
    where no file was asked for. `finished_before`: an earlier run had done all of it, and the counts are its own;
    0 where the file was copied here."""

    pairs: int
    skipped: int
    entries: int
    text: str | None
    finished_before: bool = False


def with_weak_links(alignment: AlignmentSettings | None, settings: LexiconSettings) -> AlignmentSettings:
    """The settings of the aligner; where each link counts its share, weak links too, unless there is a threshold."""
    alignment = alignment or AlignmentSettings()
    if settings.weigh == "shares" and alignment.threshold is None and alignment.strategy == "threshold":
        return alignment.changed(threshold=_WEAK)
    return alignment


def lexicon(
    corpus: FilePath,
    output: FilePath | None = None,
    *,
    target: FilePath | None = None,
    model: FilePath | Encoder | None = None,
    links: FilePath | None = None,
    form: str | None = None,
    input_format: str = "auto",
    raw: RawText = False,
    langs: str | None = None,
    on_error: str = "raise",
    resume: bool = False,
    overwrite: bool = False,
    settings: LexiconSettings | None = None,
    alignment: AlignmentSettings | None = None,
    device: str = "auto",
    aligner: WordAligner | None = None,
    engine: Engine | None = None,
    note: Callable[[str], None] = lambda text: None,
    on_bad_line: Callable[[BadLine], object] = lambda bad: None,
    on_progress: Callable[[int], object] = lambda lines: None,
) -> LexiconResult:
    """Count which words of a corpus belong together, as `otkit lexicon` does.

    corpus  parallel text, or the source side of it where `target` is the other
    output  a file, or None for the text
    form    tsv, jsonl, tbx, html, sqlite, or shortlist (two files, the name with .s2t and .t2s); by default what the
            name ends in, else tsv
    links   Pharaoh lines instead of links found with `model`; engine: what aligns instead of this process
    langs   languages of the two, where their names do not tell them ("de-en")
    resume  go on with an interrupted run of the same settings, to the same bytes
    """
    form = form or LEXICON_ENDINGS.get(ending_of(Path(output or "")), "tsv")
    choose(form, {**LEXICON_FORMS, "sqlite": None, "shortlist": None}, what="form", setting="format")
    if output is None and form not in LEXICON_FORMS:
        raise ConfigError(f"the form {form!r} is of files", remedy="name one", setting="output")
    if resume and (output is None or str(corpus) == "-"):
        raise ConfigError("`resume` needs files on both ends", remedy="name a corpus and an output")
    settings = settings or LexiconSettings()
    if form == "sqlite" and is_packed(Path(output or "")):
        raise ConfigError(
            f"received {str(output)!r}, and a lexicon in SQLite is read where it lies, unpacked",
            remedy="leave .gz out",
            setting="output",
        )
    if form == "shortlist" and settings.phrases > 1:
        raise ConfigError(
            f"received {settings.phrases}, and a shortlist has words alone",
            remedy=("leave it out", "choose another form, such as tsv"),
            setting="phrases",
        )
    if links is None and aligner is None:
        aligner = open_aligner(model, with_weak_links(alignment, settings), device=device)
    tell(aligner, corpus, target, langs, note)
    spoken = _languages(corpus, target, langs, needed=form == "tbx")
    fingerprint = fingerprint_of(
        aligner,
        {
            "form": form,
            "input_format": input_format,
            "raw": raw,
            "languages": list(spoken),
            "on_error": on_error,
            "links": identity_of(links),
            "settings": settings.to_dict(),
        },
    )
    place = _place(output, form)
    given = None if links is None else _GivenLinks(links)

    def count(line: Line, scores: bool) -> str:
        found = line.alignment
        counts.add(line.number, found.source, found.target, found.links)
        return ""

    stream = CorpusStream(aligner, count, raw=raw, engine=given or engine)
    records = read_pairs(corpus, target=target, format=input_format, on_error=on_error, note=note)
    if resume and place is not None and not counts_begun(partial_of(place)):
        facts = finished_facts(place, fingerprint)
        if facts is not None:
            _check_same(output, facts, stream, records)
            forget_counts(partial_of(place))
            pairs, skipped, entries = (int(facts.get(name, 0)) for name in ("pairs", "skipped", "entries"))
            return LexiconResult(pairs, skipped, entries, None, finished_before=True)
    with _growing(place, settings, fingerprint, resume=resume, overwrite=overwrite) as counts:
        known = counts.known
        if given is not None:
            with as_left():
                given.skip(int(known.get("lines", 0)))
        if counts.finished:  # it was killed while the lexicon was written
            _check_same(output, known, stream, records)
        else:
            with torch_threads(known.get("threads")):
                for piece in stream.pieces(records, known):
                    for bad in piece.bad:
                        on_bad_line(bad)
                    known = piece.known
                    counts.keep(known)
                    on_progress(stream.lines)
            counts.keep(known, now=True)
            for said in () if raw else stream.spaces.notes(str(corpus)):
                note(said)
        if given is not None:
            given.check_end()
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "lexicon.sqlite"
            entries = counts.finish(made, {"corpus": str(corpus), "languages": "-".join(spoken)})
            result = LexiconResult(stream.lines - stream.skipped, stream.skipped, entries, None)
            facts = {
                "of": fingerprint,
                "pairs": result.pairs,
                "skipped": result.skipped,
                "entries": result.entries,
                "sha256": stream.sha256,
            }
            text = _written(made, output, form, spoken, overwrite=overwrite, facts=facts)
    return replace(result, text=text)


def _languages(
    corpus: FilePath, target: FilePath | None, langs: str | None, *, needed: bool
) -> tuple[str, str]:
    """Of both sides, for the lexicon: `und` (undetermined) where nothing tells them and the form does not need them."""
    try:
        return languages_of(corpus, langs, target=target)
    except InputError:
        if langs is not None or needed:
            raise
        return "und", "und"


def _check_same(
    output: FilePath | None, facts: Mapping[str, Any], stream: CorpusStream, records: Iterable[Pair | BadLine]
) -> None:
    """Read the corpus without aligning it; an error where it is not the one that the facts are of."""
    _, sha256 = stream.read_only(records)
    if facts.get("sha256", sha256) != sha256:
        raise InputError(
            "was made from another corpus: its text has changed since",
            where=str(output),
            remedy="choose another output, or make this one again with `overwrite=True`",
        )


def _place(output: FilePath | None, form: str) -> Path | None:
    """The file beside which unfinished counts lie, links followed; None where there is none."""
    if output is None or is_stream(Path(output)):
        return None
    place = shortlist_files(output)[0] if form == "shortlist" else Path(output)
    return place.resolve() if place.is_symlink() else place


def lexicon_begun(output: FilePath | None, form: str) -> bool:
    """Whether an unfinished run left something to go on with."""
    place = _place(output, form)
    return place is not None and counts_begun(partial_of(place))


@contextmanager
def _growing(
    place: Path | None,
    settings: LexiconSettings,
    fingerprint: dict[str, Any],
    *,
    resume: bool,
    overwrite: bool,
) -> Iterator[LexiconCounts]:
    """Counts beside their output, which a run that is killed leaves there; in a passing folder without one."""
    with tempfile.TemporaryDirectory() as folder:
        if place is None:
            partial = Path(folder) / "counts.sqlite"
        else:
            partial = partial_of(check_file(place, overwrite=overwrite))
            if partial.is_symlink() or not counts_or_nothing(partial):
                raise OutputError(
                    "stands where unfinished work is kept, and otkit did not make it",
                    where=str(partial),
                    remedy="choose another output, or move that file",
                )
            if overwrite or not counts_begun(partial):
                forget_counts(partial)
            elif not resume:
                raise OutputError(
                    "an interrupted run left a part of this output",
                    where=str(partial),
                    remedy="go on with `resume=True`, or start over with `overwrite=True`",
                )
            partial.parent.mkdir(parents=True, exist_ok=True)
        begun, done = partial.exists(), False  # what was there before stays, where it cannot be gone on with
        try:
            with count_into(partial, settings, fingerprint=fingerprint) as counts:
                try:
                    yield counts
                    done = True
                finally:
                    begun = bool(counts.known)
        finally:
            if done or not begun:  # nothing is in it: the next run starts without a word
                forget_counts(partial)


class _GivenLinks:
    """Links of a file in the place of an aligner, from a line on."""

    def __init__(self, path: FilePath) -> None:
        self._name, self._lines = str(path), read_links(path)
        self._read = 0

    def skip(self, done: int) -> None:
        """Pass over the links of the lines that are done."""
        self._read += sum(1 for _ in islice(self._lines, done))

    def __call__(self, pairs: Iterable[SentencePair | None]) -> Iterator[list[Alignment | None]]:
        stream = iter(pairs)
        while window := list(islice(stream, _WINDOW)):
            yield [self._linked(pair) for pair in window]

    def _linked(self, pair: SentencePair | None) -> Alignment | None:
        line = next(self._lines, None)
        self._read += 1
        if line is None:
            raise self._unequal("has fewer lines than the corpus")
        if pair is None:
            return None
        source, target = tuple(pair[0]), tuple(pair[1])
        if any(i >= len(source) or j >= len(target) for i, j, _ in line):
            raise InputError(
                f"a link of line {self._read} is to a word that is not there",
                where=f"{self._name}:{self._read}",
                remedy="give links of this corpus",
            )
        nothing = np.zeros(0, dtype=np.float32)
        links = tuple(Link(*each) for each in line)
        return Alignment(source, target, links, None, nothing, nothing, float("nan"))

    def check_end(self) -> None:
        """An error where there are more links than lines."""
        if next(self._lines, None) is not None:
            raise self._unequal(f"has more lines than the corpus, which has {counted(self._read, 'line')}")

    def _unequal(self, what: str) -> InputError:
        return InputError(
            what, where=self._name, remedy="give a line of links for each pair, blank where it has none"
        )


def _written(
    place: Path,
    output: FilePath | None,
    form: str,
    langs: tuple[str, str],
    *,
    overwrite: bool,
    facts: dict[str, Any],
) -> str | None:
    if form == "sqlite" and output is not None:
        write_file(Path(output), lambda path: shutil.copyfile(place, path), overwrite=overwrite, facts=facts)
        return None
    base = open_lexicon(place)
    try:
        with sound(place):
            if output is None:
                return "".join(LEXICON_FORMS[form](base, langs))
            files = shortlist_files(output)[::-1] if form == "shortlist" else (Path(output),)
            for path in files:
                pieces = (
                    shortlist(base, reverse=path == files[0])
                    if form == "shortlist"
                    else LEXICON_FORMS[form](base, langs)
                )
                write_file(path, _filler(pieces), overwrite=overwrite, facts=facts)
            return None
    finally:
        base.close()


def shortlist_files(output: FilePath) -> tuple[Path, Path]:
    """The two files of a shortlist: NAME.s2t and NAME.t2s, both packed where the name ends in .gz."""
    plain = str(output).removesuffix(".gz")
    packed = str(output)[len(plain) :]
    name = plain.removesuffix(".s2t").removesuffix(".t2s")
    return Path(f"{name}.s2t{packed}"), Path(f"{name}.t2s{packed}")


def _filler(pieces: Iterator[str]) -> Callable[[Path], None]:
    def fill(place: Path) -> None:
        with place.open("w", encoding="utf-8", errors="surrogatepass", newline="\n") as file:
            file.writelines(pieces)

    return fill
