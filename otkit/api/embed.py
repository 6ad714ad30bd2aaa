"""`otkit.embed` and `otkit.search`: corpora to vectors with an index, and questions to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from otkit.cluster import ENGINES, map_windows
from otkit.data.languages import untold
from otkit.data.texts import SIDES, languages_of_texts
from otkit.encoders.encoder import Encoder
from otkit.encoders.open import open_encoder
from otkit.errors import ConfigError, choose
from otkit.exports.cached import encoder_in
from otkit.vectors.embedder import Embedded, OpenEmbedder, Spoken, embedder_of
from otkit.vectors.embeddings import Embedding, Progress, TextInput, embed_corpora
from otkit.vectors.search import Answer, open_search
from otkit.vectors.settings import NEIGHBOURS, EmbeddingSettings
from otkit.vectors.writer import read_state, working_folder

__all__ = ["Answer", "Embedding", "Files", "embed", "search", "text_inputs"]

Files = str | Path | TextInput | Sequence[str | Path | TextInput | tuple[str | Path, str | Path]]
"""A file, or several: each a path (`-` is stdin), two line-aligned files as a pair, or a TextInput."""


def text_inputs(files: Files, *, format: str = "auto", langs: str | None = None) -> list[TextInput]:
    """Files with their languages, which their names tell where `langs` ("de-en", "de") does not."""
    every = [files] if isinstance(files, str | Path | TextInput) else files
    found = []
    for one in every:
        if isinstance(one, TextInput):
            found.append(one)
            continue
        path, other = (one, None) if isinstance(one, str | Path) else map(str, one)
        found.append(TextInput(str(path), other, format, languages_of_texts(str(path), langs, target=other)))
    if not found:
        raise ConfigError("there is no text to embed", remedy="name a file, or - for stdin")
    if sum((one.path, one.target).count("-") for one in found) > 1:
        raise ConfigError("standard input was given twice", remedy="name it once")
    return found


def embed(
    files: Files,
    *,
    encoder: Encoder | str | Path | None = None,
    output: str | Path,
    format: str = "auto",
    langs: str | None = None,
    on_error: str = "raise",
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    precision: str = "fp32",
    threads: int | None = None,
    engine: str = "local",
    address: str | None = None,
    on_progress: Callable[[Progress], None] = lambda state: None,
    on_encoded: Callable[[int], None] = lambda texts: None,
    note: Callable[[str], None] = lambda text: None,
    **settings: Any,
) -> Embedding:
    """Write the folder `output`: the vectors of a corpus, the text behind each, an index, and last a manifest.

    files       text, parallel or a sentence a line, plain or .gz: see `Files`
    encoder     an open encoder, or what `open_encoder` takes (None is the sample encoder); device: where it is opened
    precision   of the encoder: fp32, bf16, fp16, or int8, which makes a graph of it once and keeps it (`otkit cache`)
    format      of the files: "auto", "tsv", "bars" (` ||| `), "jsonl", "files" or "text"
    langs       languages of the sides, where the names of the files do not tell them
    on_error    "raise" at a line that cannot be used, or "skip" it
    resume      go on with an interrupted run, to the same bytes: with the same files and settings, or a finished folder
                stays as it is. `overwrite` starts over, and replaces a folder that otkit did not make.
    threads     CPU threads; sums in another order end in other digits, so a resumed run takes its own
    engine      "local", or "ray": the workers of the cluster at `address`, which open the encoder by its name and give
                the same bytes
    on_progress gets a `Progress` after each window of about a thousand texts
    on_encoded  gets the number of texts of a window that are through the encoder
    note        gets what a person should know of the files
    settings    fields of `EmbeddingSettings`: unit ("sentence", "word"), raw, side, prompt (one of the encoder's by its
                name, or a text), long ("error", "cut"), truncate_dim (numbers of a vector that are kept), space
                ("center", "zscore": what each language shares is taken off), space_text (where it is measured), dtype,
                shards, shard_rows (vectors a shard), index ("flat", "hnsw", "ivf", "none"), batch_tokens (subwords)

    Rows stand in the order of the files, and vectors have length 1. `InputError` names the file and line of text that
    cannot be used, `OutputError` an output that must not be replaced, or an interrupted run with other settings.

    >>> import otkit
    >>> made = otkit.embed("sample_data/parallel/de-en.dev.tsv", output="runs/vectors", overwrite=True)
    >>> len(made.vectors), made.vectors.dimension, made.texts
    (64, 384, 64)
    """
    chosen, folder = EmbeddingSettings().changed(**settings).resolved(), Path(output)
    choose(engine, ENGINES, what="engine", setting="engine")
    inputs = text_inputs(files, format=format, langs=langs)
    if resume and any(one.passes for one in inputs):
        raise ConfigError(
            "standard input and pipes cannot be read again", remedy="name the corpus", setting="resume"
        )
    if resume and threads is None and (state := read_state(working_folder(folder))) is not None:
        threads = int(state["of"]["threads"])
    if threads is not None:
        torch.set_num_threads(threads)
    opened = open_encoder(encoder, device=device)
    if engine == "ray" and encoder is not None and opened.origin is None:
        raise ConfigError(
            "the workers of a cluster open the encoder themselves",
            remedy="save it, and give its folder",
            setting="engine",
        )
    if engine == "ray" and precision != "fp32":
        raise ConfigError(
            "the workers of a cluster embed in fp32", remedy="leave the precision out", setting="precision"
        )
    _check_languages(opened, inputs, chosen.side, note)
    embedder = embedder_of(encoder_in(precision, opened, progress=note), chosen)
    embedder.on_encoded = on_encoded

    def on_ray(windows: Iterable[Spoken]) -> Iterator[Embedded]:
        opener = OpenEmbedder(opened.origin, chosen, device, threads)
        return map_windows(
            opener, windows, address=address, threads=threads or 1, gpus=int(opened.device.type == "cuda")
        )

    return embed_corpora(
        embedder,
        inputs,
        folder,
        config=chosen,
        on_error=on_error,
        resume=resume,
        engine=on_ray if engine == "ray" else None,
        progress=on_progress,
        note=note,
        overwrite=overwrite,
    )


def _check_languages(
    encoder: Encoder, inputs: Sequence[TextInput], side: str, note: Callable[[str], None]
) -> None:
    """Of texts for a tokenizer that names their language: an error for one that it does not know, and a note where
    nothing tells it."""
    if encoder.subwords.usual is None:
        return
    for code in dict.fromkeys(code for one in inputs for code in one.languages.values()):
        encoder.subwords.language_token(code)
    if not all({"text", *SIDES[side]} & one.languages.keys() for one in inputs):
        note(untold(encoder))


def search(
    vectors: str | Path,
    questions: str | Sequence[str],
    *,
    k: int = NEIGHBOURS,
    prompt: str | None = None,
    langs: str | None = None,
    encoder: Encoder | str | Path | None = None,
    device: str = "auto",
    note: Callable[[str], None] = lambda text: None,
) -> tuple[Answer, ...]:
    """The `k` texts of a folder of vectors that are nearest to each question, in whatever language it is asked.

    vectors     a folder that `embed` wrote
    questions   a sentence, or several; where the vectors are those of words, each word is answered by itself
    prompt      what stands before each question: a prompt of the encoder by its name ("query"), or a text; None is
                what stood before the texts
    langs       the language of the questions ("de"), for an encoder whose tokenizer names it (NLLB, mBART)
    encoder     the encoder that made the vectors, open or by its name; None opens the one that the folder names
    device      where it is opened
    note        gets what a person should know

    Scores are cosines, in [-1, 1]. `CheckpointError` where the encoder is not the one that made the vectors,
    `ExportError` where the folder is damaged or not finished.

    >>> import otkit
    >>> (answer,) = otkit.search("runs/vectors", "Where is the station?", k=3)
    >>> len(answer.hits), answer.hits[0].score >= answer.hits[1].score
    (3, True)
    """
    asked = (questions,) if isinstance(questions, str) else tuple(questions)
    opened = open_search(Path(vectors), prompt=prompt, encoder=encoder, device=device)
    encoder = opened.embedder.encoder
    if langs is None and encoder.subwords.usual is not None:
        note(untold(encoder, "state it: `langs='de'`"))
    return tuple(opened(asked, k=k, language=langs))
