"""Markup carried to plain translations: of strings, and of whole files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from otkit.alignment.aligner import WordAligner
from otkit.alignment.corpus import fingerprint_of, go_on_with, identity_of, known_of, torch_threads
from otkit.alignment.settings import AlignmentSettings
from otkit.alignment.sink import Sink, as_left, finished_facts, forget_partial
from otkit.api.project import open_aligner, tell
from otkit.data.lines import LineSource, counted
from otkit.data.parallel import silent
from otkit.encoders.encoder import Encoder
from otkit.errors import ConfigError, InputError, choose
from otkit.files import parse_json, to_json
from otkit.projection.corpus import read_links
from otkit.projection.markup import SYNTAXES, syntax_of
from otkit.projection.tagfiles import TAG_FORMS, open_tags, plain_text, tag_form_of
from otkit.projection.transfer import transfer_tags as transfer
from otkit.projection.transfer import transfer_windows

__all__ = ["TagsResult", "tag_texts", "tags", "transfer_tags"]

FilePath = str | Path
Job = tuple[str, str | None, str | None]


@dataclass(frozen=True)
class TagsResult:
    """How many texts a file has, how many got their tags, what was wrong with those that were skipped, and what was
    written where no file was asked for. `finished_before`: an earlier run had done all of it."""

    units: int
    filled: int
    text: str | None
    bad: tuple[InputError, ...] = ()
    finished_before: bool = False


def transfer_tags(
    sources: Sequence[str],
    targets: Sequence[str],
    model: FilePath | Encoder | None = None,
    *,
    syntax: str = "auto",
    langs: str | None = None,
    alignment: AlignmentSettings | None = None,
    device: str = "auto",
) -> list[str]:
    """Each plain target with the markup of the source of the same place: every tag once, and well-formed. langs: of
    the two, such as "de-en", for a tokenizer that wants to know (NLLB, mBART)."""
    if isinstance(sources, str) or isinstance(targets, str) or len(sources) != len(targets):
        raise InputError("expected as many sources as targets", remedy="give two lists of strings")
    known = _syntax(syntax)
    pairs = [(source, target, known) for source, target in zip(sources, targets, strict=True)]
    aligner = open_aligner(model, alignment, device=device)
    tell(aligner, "", None, langs, silent)
    return [text or "" for text in transfer(pairs, aligner)]


def tags(
    source: FilePath,
    target: FilePath | None = None,
    output: FilePath | None = None,
    *,
    model: FilePath | Encoder | None = None,
    links: FilePath | None = None,
    langs: str | None = None,
    form: str = "auto",
    syntax: str = "auto",
    on_error: str = "raise",
    resume: bool = False,
    overwrite: bool = False,
    alignment: AlignmentSettings | None = None,
    device: str = "auto",
    aligner: WordAligner | None = None,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
    note: Callable[[str], None] = silent,
) -> TagsResult:
    """Put the markup of `source` into its plain translation, as `otkit tags` does.

    source    HTML, XLIFF, TMX, PO, JSONL, or a string a line; form says which, where the name does not
    target    its translation, a line for each text (see `tag_texts`); without it, the translations within the file
    langs     languages of the two, where their names do not tell them, for a tokenizer that wants to know (NLLB, mBART)
    on_error  "skip" leaves a line that cannot be used as it is (empty in text, a note in JSONL), "raise" stops there
    resume    go on with an interrupted run of the same settings and texts, to the same bytes
    """
    if resume and (output is None or "-" in (str(source), str(target))):
        raise ConfigError("`resume` needs files on both ends", remedy="name an input and an output")
    known_form = _tag_form(source, form)
    if known_form == "lines" and target is None:
        raise ConfigError("plain lines hold no translation", remedy="give it", setting="target")
    file = open_tags(source, known_form, on_error)
    bad = [unit.bad for unit in file.units if unit.bad is not None]
    plain = [unit.target for unit in file.units]
    if target is not None:
        plain = _lines_of(target, len(file.units), on_error, bad)
    wanted = _syntax(syntax)
    jobs = [(unit.source, text, unit.syntax or wanted) for unit, text in zip(file.units, plain, strict=True)]
    jobs = [
        (source, None if unit.bad else text, known)
        for unit, (source, text, known) in zip(file.units, jobs, strict=True)
    ]
    if links is None and aligner is None:
        aligner = open_aligner(model, alignment, device=device)
    tell(aligner, source, target, langs, note)
    given = None if links is None else read_links(links)
    done: list[str | None] = []

    def take(windows: Iterator[list[str | None]], keep: Callable[[list[str | None]], object]) -> None:
        for window in windows:
            done.extend(window)
            keep(window)
            on_progress(len(done), len(jobs))

    if output is None:
        take(transfer_windows(jobs, aligner, links=given), lambda window: None)
        return TagsResult(len(done), _filled(done), file.filled(done), tuple(bad))
    fingerprint = fingerprint_of(
        aligner,
        {
            "form": known_form,
            "syntax": syntax,
            "on_error": on_error,
            "links": identity_of(links),
            "text": _sha256(jobs),
            "source": identity_of(source),
            "target": identity_of(target),
        },
    )
    if resume and finished_facts(Path(output), fingerprint) is not None:
        forget_partial(Path(output))
        return TagsResult(len(jobs), 0, None, tuple(bad), finished_before=True)
    with (
        Sink(Path(output), fingerprint=fingerprint, resume=resume, overwrite=overwrite) as sink,
        torch_threads(sink.known.get("threads")),
    ):
        if sink.known:
            with as_left():
                done += [
                    None if text is None else str(text) for text in map(parse_json, sink.kept().splitlines())
                ]
                go_on_with(aligner, sink.known)
                if given is not None:
                    next(islice(given, len(done) - 1, len(done)), None)
        take(
            transfer_windows(jobs[len(done) :], aligner, links=given),
            lambda window: sink.write(
                "".join(to_json(text, indent=None) for text in window), known_of(aligner)
            ),
        )
        sink.finish({"texts": len(done)}, whole=file.filled(done))
    return TagsResult(len(done), _filled(done), None, tuple(bad))


def _filled(done: Sequence[str | None]) -> int:
    return sum(text is not None for text in done)


def _sha256(jobs: Sequence[Job]) -> str:
    found = hashlib.sha256()
    for job in jobs:
        found.update(to_json(job, indent=None).encode())
    return found.hexdigest()


def tag_texts(
    source: FilePath, *, form: str = "auto", syntax: str = "auto", on_error: str = "raise"
) -> list[str]:
    """The plain texts of a file with markup, in order: what a translator gets. syntax: of the tags, as in `tags`."""
    file, wanted = open_tags(source, _tag_form(source, form), on_error), _syntax(syntax)
    return [plain_text(unit.source, unit.syntax or wanted or syntax_of(unit.source)) for unit in file.units]


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


def _lines_of(path: FilePath, units: int, on_error: str, bad: list[InputError]) -> list[str | None]:
    """The lines of a translation, None for blank ones and those that cannot be used, which go to `bad`."""
    lines: list[str | None] = []
    for line in LineSource(path):
        if isinstance(line, InputError):
            if on_error == "raise":
                raise line
            bad.append(line)
            lines.append(None)
        else:
            lines.append(line if line.strip() else None)
    if len(lines) != units:
        raise InputError(
            f"has {counted(len(lines), 'line')}, and the file has {counted(units, 'text')}",
            where=str(path),
            remedy="give one line for each text, blank for one that is to stay as it is",
        )
    return lines
