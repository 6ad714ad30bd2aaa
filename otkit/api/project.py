"""What people do with word links, in Python: labels, tags and lexicons carried across languages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from otkit.alignment.aligner import WordAligner
from otkit.alignment.corpus import fingerprint_of, identity_of, torch_threads
from otkit.alignment.settings import AlignmentSettings
from otkit.alignment.sink import Sink, finished_facts, forget_partial
from otkit.data.languages import languages_to_tell
from otkit.data.parallel import silent
from otkit.encoders.encoder import Encoder
from otkit.encoders.open import open_encoder
from otkit.errors import ConfigError, choose
from otkit.projection.corpus import ProjectionStream, Tally, read_links
from otkit.projection.forms import FORMS, check_ending, form_of
from otkit.projection.settings import SpanSettings

__all__ = [
    "ProjectionResult",
    "open_aligner",
    "open_projection",
    "project",
    "tell",
    "write_projection",
]

FilePath = str | Path
Note = Callable[[str], None]


@dataclass(frozen=True)
class ProjectionResult:
    """What was carried: counts of sentences and spans, and the text where no file was asked for. `finished_before`: an
    earlier run had done all of it, and the counts are its own; 0 where the file was copied here."""

    tally: Tally
    text: str | None
    finished_before: bool = False


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


def tell(
    aligner: WordAligner | None, source: FilePath, target: FilePath | None, langs: str | None, note: Note
) -> None:
    """Tell an aligner the languages of a file: those stated, else those that it knows, else what the names tell."""
    if aligner is not None and (langs is not None or aligner.languages is None):
        aligner.languages = languages_to_tell([aligner.encoder], source, langs, target=target, note=note)


def open_projection(
    source: FilePath,
    target: FilePath | None,
    *,
    aligner: WordAligner | None,
    links: FilePath | None = None,
    langs: str | None = None,
    form: str = "auto",
    spans: SpanSettings | None = None,
    keep: str = "all",
    on_error: str = "raise",
    options: Mapping[str, Any] | None = None,
    note: Note = silent,
) -> ProjectionStream:
    """The stream behind `project`; `options` are those of the form (column, token_column, scheme, scores)."""
    name = form_of(source) if form == "auto" else form
    make = choose(name, FORMS, what="form", setting="input_format")
    own = dict(options or {}) if name == "conll" else {}
    spans = spans or SpanSettings()
    if name == "squad" and keep == "complete":
        own["surety"] = spans.surety
    tell(aligner, source, target, langs, note)
    asked = {
        "source": identity_of(source),
        "target": identity_of(target),
        "form": name,
        **own,
        "keep": keep,
        "on_error": on_error,
        "links": identity_of(links),
        "spans": spans.to_dict(),
    }
    return ProjectionStream(
        make(source, target, on_error=on_error, **own),
        spans,
        aligner=aligner,
        links=None if links is None else read_links(links),
        keep=keep,
        fingerprint=fingerprint_of(aligner, asked),
    )


def write_projection(
    stream: ProjectionStream,
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    on_progress: Callable[[Tally], object] = lambda tally: None,
) -> bool:
    """Write all pieces of the stream to a file; False where an earlier run had done all of it, whose counts the stream
    has then, if they are known."""
    if resume and (facts := finished_facts(output, stream.fingerprint)) is not None:
        forget_partial(output)
        stream.tally = Tally(**facts.get("tally", {}))
        return False
    with (
        Sink(output, fingerprint=stream.fingerprint, resume=resume, overwrite=overwrite) as sink,
        torch_threads(sink.known.get("threads")),
    ):
        for piece in stream.pieces(sink.known):
            sink.write(piece.text, piece.known)
            on_progress(stream.tally)
        sink.finish({"tally": asdict(stream.tally)})
    return True


def project(
    source: FilePath,
    target: FilePath | None = None,
    output: FilePath | None = None,
    *,
    model: FilePath | Encoder | None = None,
    links: FilePath | None = None,
    langs: str | None = None,
    form: str = "auto",
    column: int = -1,
    token_column: int = 1,
    scheme: str = "auto",
    scores: bool = False,
    keep: str = "all",
    on_error: str = "raise",
    resume: bool = False,
    overwrite: bool = False,
    spans: SpanSettings | None = None,
    alignment: AlignmentSettings | None = None,
    device: str = "auto",
    on_progress: Callable[[Tally], object] = lambda tally: None,
    note: Note = silent,
) -> ProjectionResult:
    """Carry the labels of `source` to its translation `target`, as `otkit project` does.

    source   CoNLL, JSONL with spans of characters, or SQuAD JSON; form says which, where the name does not
    target   its translation: the same form, or a sentence (SQuAD: a context) a line; JSONL may hold it itself
    output   a file to write, or None for the text in the result
    links    Pharaoh lines instead of links found with `model`
    langs    languages of the two, where their names do not tell them, for a tokenizer that wants to know (NLLB, mBART)
    resume   go on with an interrupted run of the same settings, to the same bytes
    """
    if resume and (output is None or "-" in (str(source), str(target))):
        raise ConfigError("`resume` needs files on both ends", remedy="name an input and an output")
    check_ending(output, form_of(source) if form == "auto" else form)
    stream = open_projection(
        source,
        target,
        aligner=None if links is not None else open_aligner(model, alignment, device=device),
        links=links,
        langs=langs,
        form=form,
        spans=spans,
        keep=keep,
        on_error=on_error,
        options={"column": column, "token_column": token_column, "scheme": scheme, "scores": scores},
        note=note,
    )
    if output is None:
        texts = []
        for piece in stream.pieces():
            texts.append(piece.text)
            on_progress(stream.tally)
        return ProjectionResult(stream.tally, "".join(texts))
    wrote = write_projection(
        stream, Path(output), resume=resume, overwrite=overwrite, on_progress=on_progress
    )
    return ProjectionResult(stream.tally, None, finished_before=not wrote)
