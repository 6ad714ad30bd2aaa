"""What people do with word links, in Python: labels, tags and lexicons carried across languages."""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from otkit.alignment.aligner import Alignment, SentencePair, WordAligner
from otkit.alignment.settings import AlignmentSettings
from otkit.alignment.sink import Sink
from otkit.data.lines import LineSource, checked, counted
from otkit.data.parallel import BadLine, Pair, read_pairs
from otkit.data.segmentation import words_between
from otkit.encoders.encoder import Encoder
from otkit.encoders.open import open_encoder
from otkit.errors import ConfigError, InputError, choose
from otkit.files import write_file
from otkit.projection.corpus import ProjectionStream, Tally, read_links
from otkit.projection.labelled import FORMS, form_of
from otkit.projection.lexicon import LexiconCounts, look_up, open_lexicon
from otkit.projection.lexicon_files import LEXICON_FORMS, shortlist
from otkit.projection.markup import SYNTAXES, syntax_of
from otkit.projection.settings import LexiconSettings, SpanSettings
from otkit.projection.tagfiles import TAG_FORMS, open_tags, plain_text, tag_form_of
from otkit.projection.transfer import transfer_tags as transfer

__all__ = [
    "LexiconResult",
    "ProjectionResult",
    "TagsResult",
    "lexicon",
    "look_up",
    "open_aligner",
    "open_projection",
    "project",
    "shortlist_files",
    "tag_texts",
    "tags",
    "transfer_tags",
]

FilePath = str | Path


@dataclass(frozen=True)
class ProjectionResult:
    """What was carried: counts of sentences and spans, and the text where no file was asked for."""

    tally: Tally
    text: str | None


def open_aligner(
    model: FilePath | Encoder | None,
    settings: AlignmentSettings | None = None,
    *,
    device: str = "auto",
    batch_tokens: int | None = None,
) -> WordAligner:
    """An aligner for a model's name, an open encoder, or None for the sample encoder."""
    encoder = open_encoder(model, device=device) if model is None or isinstance(model, str | Path) else model
    return WordAligner(encoder, settings, batch_tokens=batch_tokens)


def open_projection(
    source: FilePath,
    target: FilePath | None,
    *,
    aligner: WordAligner | None,
    links: FilePath | None = None,
    form: str = "auto",
    spans: SpanSettings | None = None,
    keep: str = "all",
    on_error: str = "raise",
    options: Mapping[str, Any] | None = None,
) -> ProjectionStream:
    """The stream behind `project`; `options` are those of the form (column, token_column, scheme, scores)."""
    name = form_of(source) if form == "auto" else form
    make = choose(name, FORMS, what="form", setting="input_format")
    own = dict(options or {}) if name == "conll" else {}
    if name == "squad":
        own["complete"] = keep == "complete"
    return ProjectionStream(
        make(source, target, on_error=on_error, **own),
        spans or SpanSettings(),
        aligner=aligner,
        links=None if links is None else read_links(links),
        keep=keep,
    )


def project(
    source: FilePath,
    target: FilePath | None = None,
    output: FilePath | None = None,
    *,
    model: FilePath | Encoder | None = None,
    links: FilePath | None = None,
    form: str = "auto",
    column: int = -1,
    token_column: int = 1,
    scheme: str = "auto",
    scores: bool = False,
    keep: str = "all",
    on_error: str = "raise",
    overwrite: bool = False,
    spans: SpanSettings | None = None,
    alignment: AlignmentSettings | None = None,
    device: str = "auto",
    on_progress: Callable[[Tally], object] = lambda tally: None,
) -> ProjectionResult:
    """Carry the labels of `source` to its translation `target`, as `otkit project` does.

    source   CoNLL, JSONL with spans of characters, or SQuAD JSON; form says which, where the name does not
    target   its translation: the same form, or a sentence (SQuAD: a context) a line; JSONL may hold it itself
    output   a file to write, or None for the text in the result
    links    Pharaoh lines instead of links found with `model`
    """
    stream = open_projection(
        source,
        target,
        aligner=None if links is not None else open_aligner(model, alignment, device=device),
        links=links,
        form=form,
        spans=spans,
        keep=keep,
        on_error=on_error,
        options={"column": column, "token_column": token_column, "scheme": scheme, "scores": scores},
    )
    if output is None:
        texts = []
        for piece in stream.pieces():
            texts.append(piece.text)
            on_progress(stream.tally)
        return ProjectionResult(stream.tally, "".join(texts))
    with Sink(Path(output), fingerprint={}, overwrite=overwrite) as sink:
        for piece in stream.pieces():
            sink.write(piece.text, piece.known)
            on_progress(stream.tally)
        sink.finish({"sentences": stream.tally.sentences})
    return ProjectionResult(stream.tally, None)


@dataclass(frozen=True)
class TagsResult:
    """How many texts a file has, how many got their tags, and what was written where no file was asked for."""

    units: int
    filled: int
    text: str | None


def transfer_tags(
    sources: Sequence[str],
    targets: Sequence[str],
    model: FilePath | Encoder | None = None,
    *,
    syntax: str = "auto",
    alignment: AlignmentSettings | None = None,
    device: str = "auto",
) -> list[str]:
    """Each plain target with the markup of the source of the same place: every tag once, and well-formed."""
    if isinstance(sources, str) or isinstance(targets, str) or len(sources) != len(targets):
        raise InputError("expected as many sources as targets", remedy="give two lists of strings")
    known = _syntax(syntax)
    pairs = [(source, target, known) for source, target in zip(sources, targets, strict=True)]
    return [text or "" for text in transfer(pairs, open_aligner(model, alignment, device=device))]


def tags(
    source: FilePath,
    target: FilePath | None = None,
    output: FilePath | None = None,
    *,
    model: FilePath | Encoder | None = None,
    links: FilePath | None = None,
    form: str = "auto",
    syntax: str = "auto",
    overwrite: bool = False,
    alignment: AlignmentSettings | None = None,
    device: str = "auto",
    aligner: WordAligner | None = None,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
) -> TagsResult:
    """Put the markup of `source` into its plain translation, as `otkit tags` does.

    source  HTML, XLIFF, TMX, PO, JSONL, or a string a line; form says which, where the name does not
    target  its translation, a line for each text (see `tag_texts`); without it, the translations within the file
    """
    file = open_tags(source, _tag_form(source, form))
    plain = [unit.target for unit in file.units] if target is None else _lines_of(target, len(file.units))
    wanted = _syntax(syntax)
    pairs = [(unit.source, text, unit.syntax or wanted) for unit, text in zip(file.units, plain, strict=True)]
    if links is None and aligner is None:
        aligner = open_aligner(model, alignment, device=device)
    done: list[str | None] = []
    for text in transfer(pairs, aligner, links=None if links is None else read_links(links)):
        done.append(text)
        on_progress(len(done), len(pairs))
    written = file.filled(done)
    filled = sum(text is not None for text in done)
    if output is None:
        return TagsResult(len(done), filled, written)
    write_file(Path(output), written, overwrite=overwrite)
    return TagsResult(len(done), filled, None)


def tag_texts(source: FilePath, *, form: str = "auto") -> list[str]:
    """The plain texts of a file with markup, in order: what a translator gets."""
    file = open_tags(source, _tag_form(source, form))
    return [plain_text(unit.source, unit.syntax or syntax_of(unit.source)) for unit in file.units]


def _syntax(name: str) -> str | None:
    """The syntax of that name; None where each string shows its own."""
    if name == "auto":
        return None
    choose(name, SYNTAXES, what="syntax", setting="syntax")
    return name


def _tag_form(source: FilePath, form: str) -> str:
    name = tag_form_of(source) if form == "auto" else form
    choose(name, TAG_FORMS, what="form", setting="input_format")
    return name


def _lines_of(path: FilePath, units: int) -> list[str | None]:
    lines = [checked(line) for line in LineSource(path)]
    if len(lines) != units:
        raise InputError(
            f"has {counted(len(lines), 'line')}, and the file has {counted(units, 'text')}",
            where=str(path),
            remedy="give one line for each text, blank for one that is to stay as it is",
        )
    return [line if line.strip() else None for line in lines]


@dataclass(frozen=True)
class LexiconResult:
    """How many sentence pairs were counted and how many lines were skipped, how many entries there are, and the text
    where no file was asked for."""

    pairs: int
    skipped: int
    entries: int
    text: str | None


Engine = Callable[[Iterable[SentencePair | None]], Iterator[list[Alignment | None]]]


def lexicon(
    corpus: FilePath,
    output: FilePath | None = None,
    *,
    target: FilePath | None = None,
    model: FilePath | Encoder | None = None,
    links: FilePath | None = None,
    form: str = "tsv",
    input_format: str = "auto",
    raw: bool = False,
    langs: tuple[str, str] = ("und", "und"),
    on_error: str = "raise",
    overwrite: bool = False,
    settings: LexiconSettings | None = None,
    alignment: AlignmentSettings | None = None,
    device: str = "auto",
    aligner: WordAligner | None = None,
    engine: Engine | None = None,
    note: Callable[[str], None] = lambda text: None,
    on_progress: Callable[[int], object] = lambda lines: None,
) -> LexiconResult:
    """Count which words of a corpus belong together, as `otkit lexicon` does.

    corpus  parallel text, or the source side of it where `target` is the other
    output  a file in the given form (shortlist: two files, its name with .s2t and .t2s), or None for the text
    links   Pharaoh lines instead of links found with `model`; engine: what aligns instead of this process
    """
    choose(form, {**LEXICON_FORMS, "sqlite": None, "shortlist": None}, what="form", setting="format")
    if output is None and form not in LEXICON_FORMS:
        raise ConfigError(f"the form {form!r} is of files", remedy="name one", setting="output")
    records = read_pairs(corpus, target=target, format=input_format, on_error=on_error, note=note)
    if links is None and aligner is None:
        aligner = open_aligner(model, alignment, device=device)
    if aligner is not None and aligner.languages is None and "und" not in langs:
        aligner.languages = langs
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "lexicon.sqlite"
        counts = LexiconCounts(place, settings)
        lines = skipped = 0
        linked = (
            _given_links(records, links, raw)
            if links is not None
            else _found_links(records, aligner, engine, raw)
        )
        for record, alignment_of_it in linked:
            lines += 1
            if isinstance(record, BadLine) or alignment_of_it is None:
                skipped += 1
            else:
                counts.add(record.line, *alignment_of_it)
            on_progress(lines)
        entries = counts.finish({"corpus": str(corpus), "languages": "-".join(langs)})
        counts.close()
        text = _write_lexicon(place, output, form, langs, overwrite=overwrite)
    return LexiconResult(lines - skipped, skipped, entries, text)


Linked = tuple[Sequence[str], Sequence[str], Iterable[tuple[int, int, float]]]


def _words(record: Pair, raw: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return words_between(record.source, raw=raw), words_between(record.target, raw=raw)


def _found_links(
    records: Iterable[Pair | BadLine], aligner: WordAligner | None, engine: Engine | None, raw: bool
) -> Iterator[tuple[Pair | BadLine, Linked | None]]:
    waiting: deque[Pair | BadLine] = deque()

    def pairs() -> Iterator[SentencePair | None]:
        for record in records:
            waiting.append(record)
            yield None if isinstance(record, BadLine) else _words(record, raw)

    if engine is None:
        assert aligner is not None
        engine = aligner.align_windows
    for window in engine(pairs()):
        for found in window:
            yield waiting.popleft(), None if found is None else (found.source, found.target, found.links)


def _given_links(
    records: Iterable[Pair | BadLine], links: FilePath, raw: bool
) -> Iterator[tuple[Pair | BadLine, Linked | None]]:
    for record, line in zip_longest(records, read_links(links)):
        if record is None or line is None:
            raise InputError(
                "has more lines than the corpus" if record is None else "has fewer lines than the corpus",
                where=str(links),
                remedy="give a line of links for each pair, blank where it has none",
            )
        if isinstance(record, BadLine):
            yield record, None
            continue
        source, target = _words(record, raw)
        if any(i >= len(source) or j >= len(target) for i, j, _ in line):
            raise InputError(
                f"a link of line {record.line} is to a word that is not there",
                where=str(links),
                remedy="give links of this corpus",
            )
        yield record, (source, target, line)


def _write_lexicon(
    place: Path, output: FilePath | None, form: str, langs: tuple[str, str], *, overwrite: bool
) -> str | None:
    if form == "sqlite" and output is not None:
        write_file(Path(output), lambda path: shutil.copyfile(place, path), overwrite=overwrite)
        return None
    base = open_lexicon(place)
    try:
        if form == "shortlist" and output is not None:
            for path, reverse in zip(shortlist_files(output), (False, True), strict=True):
                _write_pieces(path, shortlist(base, reverse=reverse), overwrite)
            return None
        pieces = LEXICON_FORMS[form](base, langs)
        if output is None:
            return "".join(pieces)
        _write_pieces(Path(output), pieces, overwrite)
        return None
    finally:
        base.close()


def shortlist_files(output: FilePath) -> tuple[Path, Path]:
    """The two files of a shortlist: NAME.s2t and NAME.t2s."""
    name = str(output).removesuffix(".s2t").removesuffix(".t2s")
    return Path(f"{name}.s2t"), Path(f"{name}.t2s")


def _write_pieces(path: Path, pieces: Iterator[str], overwrite: bool) -> None:
    def fill(place: Path) -> None:
        with place.open("w", encoding="utf-8", errors="surrogatepass", newline="\n") as file:
            file.writelines(pieces)

    write_file(path, fill, overwrite=overwrite)
