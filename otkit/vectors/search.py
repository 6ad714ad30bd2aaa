"""Questions to a folder of vectors: the encoder that made it, its index, and the text behind each answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from otkit.encoders.encoder import Encoder, stated_settings
from otkit.encoders.open import open_encoder
from otkit.encoders.space import Space
from otkit.errors import CheckpointError, ConfigError, ExportError, InputError
from otkit.files import differences
from otkit.vectors.embedder import Embedder
from otkit.vectors.folder import Vectors, open_vectors
from otkit.vectors.index import exact, open_index
from otkit.vectors.settings import NEIGHBOURS
from otkit.vectors.shards import Row
from otkit.vectors.spaces import Spaces, question_in_space
from otkit.vectors.writer import INDEX_FILE

__all__ = ["Answer", "Hit", "VectorSearch", "open_search"]

# What the vectors of each unit depend on. A limit or a width changes no question that fits.
_READ_BY = {"sentence": ("pooling", "pool_prompt"), "word": ("alignment_layers",)}


@dataclass(frozen=True)
class Hit:
    """A row that was found, and its cosine with the query (a rough one where the index holds codes)."""

    score: float
    row: Row


@dataclass(frozen=True)
class Answer:
    """A query, or a word of one where the vectors are those of words, and what was found, best first."""

    query: str
    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class VectorSearch:
    """A folder of vectors with its encoder and its index (None: the shards are read for each search), and what was
    taken off the vectors of each language."""

    vectors: Vectors
    embedder: Embedder
    index: Any
    spaces: Spaces = field(default_factory=dict)

    def __call__(
        self, queries: Sequence[str], *, k: int = NEIGHBOURS, language: str | None = None
    ) -> list[Answer]:
        """The k nearest rows of each query, or of each word of it. language: of the queries, for an encoder whose
        tokenizer wants to know."""
        if k < 1:
            raise ConfigError(f"received {k}", remedy="give a whole number of at least 1", setting="k")
        if not queries:
            raise InputError("there is no question", remedy="write one")
        for number, query in enumerate(queries, 1):
            if not query.strip():
                raise InputError(f"question {number} is empty", remedy="write a sentence")
        found = self.embedder(queries, [language] * len(queries))
        for owner, tokens in found.too_long:
            raise InputError(
                f"question {owner + 1} has {tokens} tokens, more than the encoder takes", remedy="shorten it"
            )
        if self.spaces:
            found = replace(found, vectors=question_in_space(found, self.spaces))
        labels = [word for _, word in found.words] or list(queries)
        k = min(k, len(self.vectors))
        if self.index is None:
            scores, ids = exact(self.vectors, found.vectors, k)
        else:
            scores, ids = self.index.search(found.vectors, k)
            if ids.max() >= len(self.vectors):  # a cell of an index names its rows itself
                raise ExportError(
                    f"names row {ids.max()} of {len(self.vectors)}",
                    where=str(self.vectors.folder / INDEX_FILE),
                    remedy="embed the corpus again",
                )
        wanted = sorted({number for number in ids.flatten().tolist() if number >= 0})
        rows = dict(zip(wanted, self.vectors.rows(wanted), strict=True))
        return [
            Answer(label, tuple(Hit(s, rows[i]) for s, i in zip(near, places, strict=True) if i >= 0))
            for label, near, places in zip(labels, scores.tolist(), ids.tolist(), strict=True)
        ]


def open_search(
    folder: Path,
    *,
    prompt: str | None = None,
    encoder: Encoder | str | Path | None = None,
    device: str = "auto",
) -> VectorSearch:
    """Open a folder with the encoder that its manifest names, or with `encoder`, which must be the same one."""
    vectors = open_vectors(folder)
    facts, config = vectors.facts["model"], vectors.facts["config"]
    if prompt is not None and config["unit"] == "word":
        raise ConfigError(
            f"received {prompt!r}, and the vectors are those of words, which have none",
            remedy="leave it out",
            setting="prompt",
        )
    remedy = f"give the encoder that made them, as `encoder` (it was {facts['name']!r})"
    if encoder is None:
        try:
            encoder = open_encoder(facts["path"], device=device)
        except CheckpointError as error:
            raise CheckpointError(
                f"the encoder that made the vectors cannot be opened: {error.what}",
                where=str(folder),
                remedy=(remedy, *error.remedies),
            ) from error
    encoder = open_encoder(encoder, device=device)
    kept = config.get("truncate_dim")  # folders of before this setting have none
    width = encoder.dimension if config["unit"] == "word" else kept or encoder.sentence_dimension
    if width != vectors.dimension:
        raise CheckpointError(
            f"the vectors have width {vectors.dimension}, and those of {encoder.name!r} {width}",
            where=str(folder),
            remedy=remedy,
        )
    if encoder.weights_sha256() != facts["sha256"]:
        raise CheckpointError(
            f"the vectors were made by another encoder than {encoder.name!r}: the weights differ",
            where=str(folder),
            remedy=remedy,
        )
    then, now = (
        _read(settings, config) for settings in (facts["settings"], stated_settings(encoder.settings))
    )
    if changed := differences(then, now):
        raise CheckpointError(
            f"the encoder's otkit.json is another than then: {changed}",
            where=str(folder),
            remedy="embed the corpus again, or restore otkit.json",
        )
    embedder = Embedder(
        encoder,
        unit=config["unit"],
        raw=config["raw"],
        prompt=config.get("prompt") if prompt is None else prompt,
        long=config.get("long", "error"),
        truncate_dim=kept,
    )
    index = vectors.facts["index"]
    spaces = {name: Space.from_dict(space) for name, space in vectors.facts.get("spaces", {}).items()}
    return VectorSearch(vectors, embedder, None if index is None else open_index(vectors, index), spaces)


def _read(settings: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """What the vectors were, or would be, made by; None is what was not stated, and so is as usual."""
    prompt = config.get("prompt")
    before = settings["prefix"] if prompt is None else settings.get("prompts", {}).get(prompt, prompt)
    return {"prefix": before, **{name: settings.get(name) for name in _READ_BY[config["unit"]]}}
