"""`otkit embed`: corpora to a folder of vectors and an index, as a stream that a killed run goes on with."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from otkit import __version__
from otkit.data.lines import SKIP, SpaceCount, read_once
from otkit.data.parallel import BadLine, is_passing, silent
from otkit.data.texts import Text, languages_of_texts, read_texts
from otkit.encoders.encoder import stated_settings
from otkit.encoders.space import Space
from otkit.errors import ConfigError, InputError, OutputError
from otkit.files import differences, sha256_of, to_json, versions
from otkit.vectors.embedder import Embedded, Embedder, Spoken
from otkit.vectors.folder import Vectors, growing, open_vectors
from otkit.vectors.index import Recall, build_index, measure_recall, open_index
from otkit.vectors.settings import EmbeddingSettings
from otkit.vectors.shards import Row
from otkit.vectors.spaces import in_spaces, languages_and_texts, measure_spaces
from otkit.vectors.writer import MANIFEST, VectorWriter, working_folder

__all__ = ["Embedding", "Progress", "TextInput", "embed_corpora"]

# Texts, and characters of them, that are read ahead, sorted and encoded together. What a window gives depends
# on nothing else, so that it may be computed anywhere, and again.
WINDOW_TEXTS, WINDOW_CHARACTERS = 1024, 1 << 18

Engine = Callable[[Iterable[Spoken]], Iterator[Embedded]]


@dataclass(frozen=True)
class TextInput:
    """A file (`-` is stdin), or two line-aligned ones, and the languages of its sides where they are known."""

    path: str
    target: str | None = None
    format: str = "auto"
    languages: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, str]:
        """The file that each side is read from, as rows name it."""
        first = "<stdin>" if self.path == "-" else self.path
        return {"text": first, "source": first, "target": self.target or first}

    @property
    def files(self) -> list[str]:
        """The one, or both."""
        return [file for file in (self.path, self.target) if file is not None]

    @property
    def passes(self) -> bool:
        """Whether it is gone when it was read."""
        return any(map(read_once, self.files))

    def facts(self) -> dict[str, Any]:
        """What the manifest says; the hash is of the file's bytes, and unknown for streams."""
        hashes = [None if is_passing(file) else sha256_of(Path(file)) for file in self.files]
        return {
            "files": self.files,
            "sha256": hashes,
            "languages": dict(self.languages),
            "format": self.format,
        }


@dataclass(frozen=True)
class Progress:
    """How far a run is: texts read and rows made, of them rows of an earlier run; bad lines of this window."""

    texts: int
    rows: int
    skipped: int
    bad: tuple[InputError, ...]


@dataclass(frozen=True)
class Embedding:
    """A finished folder: its rows and how they were stored, the texts behind them, texts that were skipped, and the
    index's recall (None where the search is exact)."""

    vectors: Vectors
    settings: EmbeddingSettings
    texts: int
    skipped: int
    recall: Recall | None
    made_before: bool = False
    """Nothing was computed: the folder was finished by an earlier run of the same kind."""


@dataclass(frozen=True)
class _Window:
    """Texts read together, and the bad lines between them."""

    texts: list[tuple[Text, TextInput]]
    bad: list[InputError]

    @property
    def records(self) -> int:
        return len(self.texts) + len(self.bad)


def embed_corpora(
    embedder: Embedder,
    inputs: Sequence[TextInput],
    folder: Path,
    *,
    config: EmbeddingSettings,
    on_error: str = "raise",
    resume: bool = False,
    engine: Engine | None = None,
    progress: Callable[[Progress], None] = lambda state: None,
    note: Callable[[str], None] = lambda step: None,
    overwrite: bool = False,
) -> Embedding:
    """Write `folder`: shards, index, and last the manifest. Rows stand in the order of the inputs.

    engine: what maps windows of texts to vectors, in order; None is this process.
    """

    def texts_of(one: TextInput, note: Callable[[str], None] = silent) -> Iterator[Text | BadLine]:
        return read_texts(
            one.path, target=one.target, format=one.format, side=config.side, on_error=on_error, note=note
        )

    measured = _measured_on(inputs, config)
    for one in inputs:  # the hash of a large file takes minutes: what is no text is said before
        if not any(map(is_passing, one.files)):
            next(texts_of(one), None)
    streams = [(texts_of(one, note), one) for one in inputs]
    model = _model_facts(embedder)
    spaces = _spaces(embedder, measured, config, on_error=on_error, note=note)
    facts = {
        "otkit": __version__,
        "versions": versions(),
        "model": model,
        "config": {**config.to_dict(), "batch_tokens": embedder.batch_tokens},
        "threads": torch.get_num_threads(),  # sums in another order end in other digits
        "inputs": [one.facts() for one in inputs],
        **({"spaces": {name: space.to_dict() for name, space in spaces.items()}} if spaces else {}),
    }
    if resume and (done := _finished(folder, {**facts, "on_error": on_error})) is not None:
        note(f"{folder} is finished: nothing to resume")
        texts, skipped = (int(done.facts[name]) for name in ("texts", "skipped"))
        return Embedding(done, config, texts, skipped, None, made_before=True)
    writer = VectorWriter(
        folder,
        fingerprint={**facts, "on_error": on_error},
        dtype=config.dtype,
        shards=config.shards,
        shard_rows=config.shard_rows,
        resume=resume,
        overwrite=overwrite,
        inputs=[embedder.encoder.origin, *(file for one in inputs for file in (one.path, one.target))],
    )
    with writer:
        texts, skipped = (int(writer.known.get(name, 0)) for name in ("texts", "skipped"))
        waiting: deque[_Window] = deque()
        records = islice(
            _records(streams, None if config.raw else note, by_word=config.unit == "word"),
            texts + skipped,
            None,
        )
        found = (engine or _here(embedder))(_texts(_windows(records), waiting))
        for embedded in found:
            window = waiting.popleft()
            rows, too_long = _rows(window, embedded)
            if too_long and on_error == "raise":
                raise too_long[0]
            bad = (*window.bad, *too_long)
            texts, skipped = texts + window.records - len(bad), skipped + len(bad)
            vectors = embedded.vectors
            if spaces:
                vectors = in_spaces(embedded, [row.language or row.side for row in rows], spaces)
            writer.add(rows, vectors, {"texts": texts, "skipped": skipped})
            progress(Progress(texts, writer.rows, skipped, bad))
        writer.close({"texts": texts, "skipped": skipped})
        if not writer.rows:
            raise InputError(
                f"all {skipped} lines were skipped: there is nothing to embed",
                remedy="check their format (`format`)",
            )
        made = growing(writer, embedder.dimension, config.shards)
        note("building the index")
        index, recall = build_index(made, config.index), None
        if index is not None and config.index != "flat":
            note("measuring its recall")
            recall = measure_recall(made, open_index(made, index))
            index["recall"] = asdict(recall)
        writer.finish({**facts, "on_error": on_error, "texts": texts, "skipped": skipped, "index": index})
    return Embedding(replace(made, folder=folder), config, texts, skipped, recall)


def _measured_on(inputs: Sequence[TextInput], config: EmbeddingSettings) -> Sequence[TextInput]:
    """The texts that the space of each language is measured on; an error where they are gone by then."""
    text = config.space_text
    gone = {file for one in inputs for file in one.files if read_once(file)}
    if config.space != "none" and (gone if text is None else text in gone):
        raise ConfigError(
            "standard input and pipes cannot be read twice, and the space of their languages is measured first",
            remedy="name a file to measure it on",
            setting="space_text",
        )
    return inputs if text is None else [TextInput(text, languages=languages_of_texts(text, None))]


def _spaces(
    embedder: Embedder,
    inputs: Sequence[TextInput],
    config: EmbeddingSettings,
    *,
    on_error: str,
    note: Callable[[str], None],
) -> dict[str, Space]:
    """What each language shares, where the settings want it taken off."""
    if config.space == "none":
        return {}
    note(f"measuring what each language shares ({config.space})")
    texts = languages_and_texts(
        (
            read_texts(one.path, target=one.target, format=one.format, side=config.side, on_error=on_error),
            one.languages,
        )
        for one in inputs
    )
    return measure_spaces(embedder, texts, config.space)


def _finished(folder: Path, fingerprint: Mapping[str, Any]) -> Vectors | None:
    """The folder that this very run made before; an error where it was made otherwise."""
    if not (folder / MANIFEST).is_file() or working_folder(folder).exists():
        return None
    found = open_vectors(folder)
    now = json.loads(to_json(fingerprint))
    changed = differences({key: found.facts.get(key) for key in now}, now)
    if changed:
        raise OutputError(
            f"the finished output differs: {changed}",
            where=str(folder),
            remedy="choose another output, or make this one again with `overwrite=True`",
        )
    return found


def _here(embedder: Embedder) -> Engine:
    return lambda windows: map(embedder.spoken, windows)


def _model_facts(embedder: Embedder) -> dict[str, Any]:
    encoder = embedder.encoder
    return {
        "name": encoder.name,
        "path": encoder.origin,
        "sha256": encoder.weights_sha256(),
        "precision": encoder.precision,
        "dimension": embedder.dimension,
        "settings": stated_settings(encoder.settings),
    }


Record = tuple[Text | BadLine, TextInput]


def _records(
    streams: Iterable[tuple[Iterator[Text | BadLine], TextInput]],
    note: Callable[[str], None] | None,
    *,
    by_word: bool,
) -> Iterator[Record]:
    """All records; `note` is told of words that other programs count otherwise, and of text without any where it is
    embedded by the word (None: words are still to be found)."""
    for stream, one in streams:
        spaces = SpaceCount()
        for record in stream:
            if isinstance(record, Text):
                spaces.look(record.line, record.text)
            yield record, one
        if note is None:
            continue
        name = " + ".join(dict.fromkeys(one.names.values()))
        for text in filter(None, spaces.notes(name) if by_word else [spaces.note(name)]):
            note(text)


def _windows(records: Iterator[Record]) -> Iterator[_Window]:
    while True:
        window, characters = _Window([], []), 0
        for record, one in records:
            if isinstance(record, BadLine):
                window.bad.append(record.error)
            else:
                window.texts.append((record, one))
                characters += len(record.text)
            if window.records >= WINDOW_TEXTS or characters >= WINDOW_CHARACTERS:
                break
        if not window.records:
            return
        yield window


def _texts(windows: Iterable[_Window], waiting: deque[_Window]) -> Iterator[Spoken]:
    """What the engine needs of each window; the rest waits here for its result."""
    for window in windows:
        waiting.append(window)
        yield (
            tuple(text.text for text, _ in window.texts),
            tuple(one.languages.get(text.side) for text, one in window.texts),
        )


def _rows(window: _Window, embedded: Embedded) -> tuple[list[Row], list[InputError]]:
    rows = []
    for number, owner in enumerate(embedded.owners.tolist()):
        text, one = window.texts[owner]
        place, shown = embedded.words[number] if embedded.words else (None, text.text)
        file, language = one.names[text.side], one.languages.get(text.side, "")
        rows.append(Row(file, text.line, text.side, language, shown, place))
    too_long = []
    for owner, tokens in embedded.too_long:
        text, one = window.texts[owner]
        too_long.append(
            InputError(
                f"the sentence has {tokens} tokens, more than the encoder takes",
                where=f"{one.names[text.side]}:{text.line}",
                remedy=("cut it", SKIP),
            )
        )
    return rows, too_long
