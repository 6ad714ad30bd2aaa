"""A corpus to a file of word links: a line of text for each line, window by window, from any window on."""

from __future__ import annotations

import gzip
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from otkit import __version__
from otkit.alignment.aligner import Alignment, WordAligner
from otkit.alignment.documents import DocumentPair, cut_document
from otkit.alignment.prior import CorpusPrior, check_prior, countable, sampled
from otkit.alignment.sink import Sink, as_left, finished_facts, forget_partial
from otkit.data.documents import read_documents
from otkit.data.lines import SpaceCount, read_once, words_of
from otkit.data.parallel import BadLine, Pair, is_passing, read_pairs, silent
from otkit.data.segmentation import RawText, Segment, segmenters_of, segments
from otkit.encoders.space import Space
from otkit.errors import ConfigError, InputError, choose
from otkit.files import check_outputs, format_of, hold, sha256_of, to_json

__all__ = [
    "LINE_FORMATS",
    "CorpusStream",
    "Extracted",
    "Line",
    "LineFormat",
    "Piece",
    "check_extraction",
    "extract_corpus",
    "fingerprint_of",
    "go_on_with",
    "known_of",
    "torch_threads",
]

Segments = tuple[list[Segment], list[Segment]]
Engine = Callable[[Iterable[Any]], Iterator[list[Alignment | None]]]
Places = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Line:
    """A line that was aligned: its number in the input, counted from 1, and where its words stand in raw
    text."""

    number: int
    alignment: Alignment
    places: tuple[Places, Places] | None = None

    @classmethod
    def of_segments(cls, number: int, alignment: Alignment, sides: tuple[list[Segment], ...]) -> Line:
        """A line of raw text, its words as they were cut."""
        source, target = (tuple((part.start, part.end) for part in side) for side in sides)
        return cls(number, alignment, (source, target))


LineFormat = Callable[[Line, bool], str]


def pharaoh(line: Line, scores: bool) -> str:
    """`i-j` counted from 0; `i-j:share` with scores."""
    if not scores:
        return line.alignment.pharaoh
    return " ".join([f"{i}-{j}:{score:.4f}" for i, j, score in line.alignment.links])


def words(line: Line, scores: bool) -> str:
    """Linked words, `source target` (and share), links separated by tabs."""
    source, target = line.alignment.source, line.alignment.target
    share = " {:.4f}" if scores else ""
    return "\t".join(
        [f"{source[i]} {target[j]}{share.format(score)}" for i, j, score in line.alignment.links]
    )


def jsonl(line: Line, scores: bool) -> str:
    """A JSON object: line, source, target, links (with strength), words without a partner, cost, places."""
    document = {"line": line.number, **line.alignment.to_dict()}
    if not scores:
        document["links"] = [[i, j] for i, j, _ in line.alignment.links]
        document = {name: value for name, value in document.items() if not name.endswith("_no_partner")}
    if line.places is not None:
        document["source_places"], document["target_places"] = line.places
    return to_json(document, indent=None).rstrip("\n")


LINE_FORMATS: Mapping[str, LineFormat] = {"pharaoh": pharaoh, "jsonl": jsonl, "words": words}

_ENDINGS = {
    ".align": "pharaoh",
    ".pharaoh": "pharaoh",
    ".txt": "pharaoh",
    ".words": "words",
    ".jsonl": "jsonl",
}


def check_extraction(
    corpus: str | Path, output: Path | None, *, format: str | None, resume: bool, overwrite: bool
) -> str:
    """The name of the format: the one given, or what the output's ending says, or pharaoh; an error where these
    settings do not go together.
    """
    if resume and (output is None or str(corpus) == "-"):
        raise ConfigError("`resume` needs files on both ends", remedy="name a corpus and an output")
    if resume and overwrite:
        raise ConfigError("`resume` and `overwrite` were given", remedy="give one of them")
    if format is not None:
        choose(format, LINE_FORMATS, what="format", setting="format")
        return format
    return format_of(output, _ENDINGS, default="pharaoh", others=True)


@dataclass(frozen=True)
class Piece:
    """The lines of one window.

    text has one line for each line read, an empty one for a bad line; `bad` are those; `known` lets another
    stream go on behind this piece.
    """

    text: str
    lines: int
    bad: tuple[BadLine, ...]
    known: dict[str, Any]


class CorpusStream:
    """Reads records, aligns them and writes them as lines, remembering how far it is and what it read.

    documents: whether the records are documents, which are cut into sentences first. `done` counts the lines that
    are aligned, of documents the sentences of both sides.
    engine: what aligns windows of pairs, in order, where that is not the aligner itself; there need be none then.
    """

    def __init__(
        self,
        aligner: WordAligner | None,
        line_format: LineFormat,
        *,
        scores: bool = False,
        raw: RawText = False,
        documents: bool = False,
        engine: Engine | None = None,
    ) -> None:
        if engine is None:
            assert aligner is not None
            engine = aligner.align_document_windows if documents else aligner.align_windows
        self._align = engine
        self._cut: Callable[[Pair | BadLine], Any] = self._sentences if documents else self._words
        self._aligner, self._format, self._scores, self._raw = aligner, line_format, scores, raw
        self._hash = hashlib.sha256()
        self._waiting: deque[tuple[Pair | BadLine, Segments | None, int]] = deque()
        self.lines = self.skipped = self.links = self.done = 0
        self.spaces = SpaceCount()

    @property
    def sha256(self) -> str:
        """Of the sentences read so far."""
        return self._hash.hexdigest()

    def read_only(self, records: Iterable[Pair | BadLine]) -> tuple[int, str]:
        """How many lines there are and their hash, without aligning any."""
        for record in records:
            self._count(record)
        return self.lines, self.sha256

    def pieces(self, records: Iterable[Pair | BadLine], known: dict[str, Any]) -> Iterator[Piece]:
        """Pieces of text for all records, or for those behind the piece that `known` came with."""
        stream = iter(records)
        if known:
            with as_left():
                self._go_on(stream, known)
        for window in self._align(map(self._cut, stream)):
            yield self._piece(window)

    def _go_on(self, stream: Iterator[Pair | BadLine], known: dict[str, Any]) -> None:
        for _ in range(int(known["lines"])):
            record = next(stream, None)
            if record is None:
                break
            self._count(record)
        if self._hash.hexdigest() != known["sha256"]:
            raise InputError(
                f"the first {known['lines']} lines are not those of the interrupted run",
                remedy="give the same input, or start over with `overwrite=True`",
            )
        go_on_with(self._aligner, known)
        self.links, self.done = int(known.get("links", 0)), int(known.get("done", self.lines))

    def _words(self, record: Pair | BadLine) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """The words of a record for the aligner, which asks for them on its reading thread."""
        if isinstance(record, BadLine):
            self._waiting.append((record, None, 1))
            return None
        (source, target), sides = _words_in(record, self._raw)
        self._waiting.append((record, sides, 1))
        return source, target

    def _sentences(self, record: Pair | BadLine) -> DocumentPair | None:
        """The sentences of a record that is a pair of documents."""
        if isinstance(record, BadLine):
            self._waiting.append((record, None, 1))
            return None
        source, target = (cut_document(text, raw=self._raw) for text in (record.source, record.target))
        places = (source[1], target[1]) if self._raw else None
        self._waiting.append((record, places, len(source[0]) + len(target[0])))
        return source[0], target[0]

    def _count(self, record: Pair | BadLine) -> None:
        self.lines += 1
        if isinstance(record, BadLine):
            self.skipped += 1
            self._hash.update(b"\0")
        else:
            if not self._raw:
                self.spaces.look(record.line, record.source, record.target)
            self._hash.update(f"{record.source}\t{record.target}\n".encode("utf-8", "surrogatepass"))

    def _piece(self, window: list[Any]) -> Piece:
        texts, bad = [], []
        for alignment in window:
            record, sides, size = self._waiting.popleft()
            self._count(record)
            self.done += size
            if isinstance(record, BadLine):
                bad.append(record)
                texts.append("")
                continue
            self.links += len(alignment.links)
            if sides is None:
                texts.append(self._format(Line(record.line, alignment), self._scores))
            else:
                texts.append(self._format(Line.of_segments(record.line, alignment, sides), self._scores))
        known = {
            "lines": self.lines,
            "links": self.links,
            "done": self.done,
            "sha256": self._hash.hexdigest(),
            **known_of(self._aligner),
        }
        return Piece("".join([f"{text}\n" for text in texts]), len(window), tuple(bad), known)


def _words_in(record: Pair, raw: RawText) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], Segments | None]:
    """The words of a record, and of raw text where they stand."""
    if not raw:
        return (words_of(record.source), words_of(record.target)), None
    sides = segments(record.source, raw), segments(record.target, raw)
    source, target = (tuple(part.text for part in side) for side in sides)
    return (source, target), sides


def known_of(aligner: WordAligner | None) -> dict[str, Any]:
    """What an aligner must be given to go on as it would have."""
    spaces = None if aligner is None else aligner.spaces
    return {
        "threads": torch.get_num_threads(),  # sums in another order end in other digits
        "spaces": None if spaces is None else [space.to_dict() for space in spaces],
    }


def go_on_with(aligner: WordAligner | None, known: Mapping[str, Any]) -> None:
    """Give an aligner the spaces of the run that goes on; `torch_threads` gives torch its threads."""
    if aligner is not None and known["spaces"] is not None:
        source, target = map(Space.from_dict, known["spaces"])
        aligner.spaces = source, target


class Written(Protocol):
    """Where lines may go that are not kept in a file: whatever text can be written to."""

    def write(self, text: str, /) -> object:
        """Take a piece of text."""


@dataclass(frozen=True)
class Extracted:
    """What `extract_corpus` did.

    output    the file, or None where the lines were only handed on
    lines     lines of the corpus, and so of the output; those of the `skipped` bad ones are empty
    links     links on all of them; None where a finished output does not tell
    sha256    of the sentences
    finished_before  True where an earlier run had done all of it
    counted   pairs that were counted for the corpus prior, where there is one
    """

    output: Path | None
    lines: int
    links: int | None
    skipped: int
    sha256: str
    finished_before: bool = False
    counted: int | None = None


def extract_corpus(
    aligner: WordAligner,
    corpus: str | Path,
    output: str | Path | Written,
    *,
    target: str | Path | None = None,
    format: str | None = None,
    scores: bool = False,
    raw: RawText = False,
    documents: bool = False,
    corpus_prior: bool = False,
    input_format: str = "auto",
    on_error: str = "raise",
    resume: bool = False,
    overwrite: bool = False,
    engine: Engine | None = None,
    on_progress: Callable[[int, int | None], None] = lambda done, total: None,
    on_counted: Callable[[int, int], None] = lambda done, total: None,
    on_note: Callable[[str], None] = silent,
    on_bad_line: Callable[[BadLine], None] = lambda bad: None,
) -> Extracted:
    """Align a corpus and write a line for each of its lines; `otkit.Aligner.extract` says what the settings do."""
    file = Path(output) if isinstance(output, str | Path) else None
    shape = check_extraction(corpus, file, format=format, resume=resume, overwrite=overwrite)
    check_outputs({"output": file}, [corpus, target])
    if corpus_prior:
        again = not any(map(read_once, (each for each in (corpus, target) if each is not None)))
        check_prior(aligner.config, documents=documents, readable_twice=again)
    read = read_documents if documents else read_pairs
    records = read(corpus, target=target, format=input_format, on_error=on_error, note=on_note)
    stream = CorpusStream(
        aligner, LINE_FORMATS[shape], scores=scores, raw=raw, documents=documents, engine=engine
    )

    taught: CorpusPrior | None = None
    beside: dict[str, str] = {}  # what a run that goes on must find again, with each piece

    def run(known: dict[str, Any], write: Callable[[Piece], object]) -> None:
        nonlocal taught
        with as_left():
            done = int(known.get("done", 0))
        if corpus_prior:
            # Counted anew by a run that goes on: the same pairs, in the same windows, have the same links.
            text = read_pairs(corpus, target=target, format=input_format, on_error=on_error, note=silent)
            sample = sampled(
                record
                for record in text
                if isinstance(record, Pair) and countable(record.source, record.target)
            )
            taught = aligner.prior = aligner.count(
                [_words_in(record, raw)[0] for record in sample],
                progress=lambda pairs: on_counted(pairs, len(sample)),
            )
            if known and known.get("prior") != taught.sha256:
                raise InputError(
                    "what the corpus says of its words is not what it said to the interrupted run",
                    remedy="give the same input, or start over with `overwrite=True`",
                )
            beside["prior"] = taught.sha256
        told, aligner.on_encoded = aligner.on_encoded, lambda more: on_progress(stream.done + more, None)
        try:
            on_progress(done, None)
            for piece in stream.pieces(records, known):
                write(piece)
                on_progress(stream.done, None)
                for bad in piece.bad:
                    on_bad_line(bad)
        finally:
            aligner.on_encoded, aligner.prior = told, None
        on_progress(stream.done, stream.done)

    if file is None:
        assert not isinstance(output, str | Path)
        run({}, lambda piece: output.write(piece.text))
    else:
        cut = segmenters_of(raw) if raw else None
        asked = {
            "format": shape,
            "scores": scores,
            "segmenters": cut,
            "documents": documents,
            "input_format": input_format,
            "on_error": on_error,
            "corpus_prior": corpus_prior,
        }
        fingerprint = fingerprint_of(aligner, asked)
        with hold(file):
            if resume and (done := _finished(file, fingerprint, records, stream)) is not None:
                forget_partial(file)
                return done
            with (
                Sink(file, fingerprint=fingerprint, resume=resume, overwrite=overwrite) as sink,
                torch_threads(sink.known.get("threads")),
            ):
                run(sink.known, lambda piece: sink.write(piece.text, piece.known | beside))
                sink.finish({"lines": stream.lines, "links": stream.links, "sha256": stream.sha256})
    for said in stream.spaces.notes(str(corpus)):
        on_note(said)
    pairs = None if taught is None else taught.pairs
    return Extracted(file, stream.lines, stream.links, stream.skipped, stream.sha256, counted=pairs)


def identity_of(file: str | Path | None) -> str | None:
    """What an input beside the text is, for a fingerprint: the hash of its bytes, or its name where it is gone when it
    was read."""
    if file is None:
        return None
    if is_passing(file):
        return str(file)
    try:
        return sha256_of(Path(file))
    except OSError:  # said by whoever reads it
        return None


def fingerprint_of(aligner: WordAligner | None, asked: Mapping[str, object]) -> dict[str, Any]:
    """What must be the same for a run to go on, the aligner (None: nothing is aligned) and what was asked of it; the
    text itself is compared as it is read."""
    known = {"version": __version__, "asked": dict(asked)}
    if aligner is None:
        return known
    return {
        **known,
        "languages": aligner.languages,
        "encoder": {
            "name": aligner.encoder.name,
            "settings": asdict(aligner.encoder.settings),
            "weights": aligner.encoder.weights_sha256(),
        },
        "settings": aligner.config.to_dict(),
        "layers": list(aligner.layers),
        "batch-tokens": aligner.batch_tokens,
        "precision": aligner.encoder.precision,
        "window": aligner.window,
    }


def _finished(
    output: Path, fingerprint: dict[str, Any], records: Iterator[Pair | BadLine], stream: CorpusStream
) -> Extracted | None:
    """What this very run did before; None where it was not finished, an error where the output is another run's."""
    facts = finished_facts(output, fingerprint)
    if facts is None:
        return None
    lines, sha256 = stream.read_only(records)
    written = int(facts["lines"]) if "lines" in facts else _lines_of(output)
    if lines != written or facts.get("sha256", sha256) != sha256:
        raise InputError(
            f"was made from another corpus ({written} lines then, {lines} now)"
            if lines != written
            else "was made from another corpus: its text has changed since",
            where=str(output),
            remedy="choose another output, or make this one again with `overwrite=True`",
        )
    return Extracted(output, lines, facts.get("links"), stream.skipped, sha256, finished_before=True)


def _lines_of(path: Path) -> int:
    """Lines of an output, packed or not."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


@contextmanager
def torch_threads(number: int | None) -> Iterator[None]:
    """Within the block torch has the threads of the run that is gone on with: sums in another order end in other
    digits.
    """
    before = torch.get_num_threads()
    with as_left():
        if number is not None and not 1 <= number <= 1024:
            raise ValueError(f"{number} threads")
        torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
