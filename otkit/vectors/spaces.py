"""What the vectors of each language of a corpus share: measured before it is embedded, and taken off questions too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from otkit.data.parallel import BadLine
from otkit.data.texts import Text
from otkit.encoders.space import Moments, Space
from otkit.errors import InputError
from otkit.vectors.embedder import Embedded, Embedder

__all__ = ["Spaces", "in_spaces", "languages_and_texts", "measure_spaces", "question_in_space"]

Spaces = Mapping[str, Space]
"""By language; a side whose language is not known goes by its own name."""

MEASURED = 1024  # texts of a language
_AT_ONCE = 256


def measure_spaces(embedder: Embedder, texts: Iterable[tuple[str, str]], kind: str) -> dict[str, Space]:
    """What each language shares, of the first texts of each among (language, text) pairs; a text that is too long for
    the encoder does not count."""
    moments: dict[str, Moments] = {}
    taken: dict[str, int] = {}

    def wanted() -> Iterator[tuple[str, str]]:
        for language, text in texts:
            taken[language] = taken.get(language, 0) + 1
            if taken[language] <= MEASURED:
                yield language, text

    stream = wanted()
    while part := list(islice(stream, _AT_ONCE)):
        spoken = embedder.encoder.subwords.known([language for language, _ in part])
        found = embedder([text for _, text in part], spoken)
        languages = np.array([language for language, _ in part])[found.owners]
        for language in dict.fromkeys(languages.tolist()):
            moments.setdefault(language, Moments()).add(found.vectors[languages == language])
    return {language: each.space(kind, of=f"the language {language!r}") for language, each in moments.items()}


def languages_and_texts(
    streams: Iterable[tuple[Iterable[Text | BadLine], Mapping[str, str]]],
) -> Iterator[tuple[str, str]]:
    """The first texts of each input with their languages."""
    for stream, languages in streams:
        for record in islice(stream, 2 * MEASURED):
            if isinstance(record, Text):
                yield languages.get(record.side, record.side), record.text


def in_spaces(found: Embedded, languages: Sequence[str], spaces: Spaces) -> NDArray[np.float32]:
    """The vectors of some rows without what their languages share."""
    vectors, every = found.vectors.copy(), np.array(languages)
    for language in dict.fromkeys(languages):
        if language not in spaces:
            raise InputError(
                f"nothing is known of the space of {language!r}",
                remedy=f"give text in it as `space_text`; measured: {', '.join(spaces) or 'none'}",
            )
        rows = every == language
        vectors[rows] = spaces[language].rows(vectors[rows])
    return vectors


def question_in_space(found: Embedded, spaces: Spaces) -> NDArray[np.float32]:
    """The vectors of questions without what their language shares: of the languages, the one whose mean is nearest."""
    names = list(spaces)
    means = np.stack([space.mean.numpy() for space in spaces.values()])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    vectors = found.vectors.copy()
    for owner in dict.fromkeys(found.owners.tolist()):
        rows = found.owners == owner
        nearest = names[int((means @ vectors[rows].mean(0)).argmax())]
        vectors[rows] = spaces[nearest].rows(vectors[rows])
    return vectors
