"""Python's short way in, made for notebooks: sentences in, alignments out that draw themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from otkit.alignment.aligner import Alignment, WordAligner
from otkit.alignment.settings import AlignmentSettings
from otkit.data.lines import words_of
from otkit.data.segmentation import segment
from otkit.encoders.checkpoint import open_encoder
from otkit.encoders.encoder import Encoder
from otkit.errors import InputError
from otkit.reports.fragment import STYLE, fragment_html
from otkit.reports.variants import caption_of
from otkit.reports.view import GridView, view_of

__all__ = ["Alignments", "DrawnAlignment", "Sentences", "align_words"]

Sentences = str | Sequence[str | Sequence[str]]
"""One sentence as a string, or several, each a string or a list of words."""

_DRAWN = 20


# Pictures are made two floors above the alignments that the extraction floor returns, and a floor knows nothing of
# those above it. So what is drawn is an Alignment that was given its picture up here, where both are known;
# extraction stays free of HTML, and a notebook shows what `otkit report` shows.
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class DrawnAlignment(Alignment):
    """An Alignment that a notebook shows as a picture."""

    caption: str = ""
    settings: str = ""

    @cached_property
    def view(self) -> GridView:
        """What `otkit.reports.picture.write_picture` and `otkit.reports.html.write_page` draw from."""
        return view_of(self, caption=self.caption, settings=self.settings)

    def __repr__(self) -> str:
        return f"<{' '.join(self.source)} | {' '.join(self.target)} | {self.pharaoh}>"

    def _repr_html_(self) -> str:
        return STYLE + fragment_html(self.view)


class Alignments(list[DrawnAlignment]):
    """A list of alignments; a notebook shows the first twenty of them as pictures."""

    def _repr_html_(self) -> str:
        drawn = [fragment_html(alignment.view) for alignment in self[:_DRAWN]]
        rest = f"<p>and {len(self) - _DRAWN} more</p>" if len(self) > _DRAWN else ""
        return "".join([STYLE, *drawn, rest])


def align_words(
    sources: Sentences,
    targets: Sentences,
    model: str | Path | Encoder | None = None,
    *,
    raw: bool = False,
    transport: str | None = None,
    cost: str | None = None,
    epsilon: float | None = None,
    epsilon_relative: float | None = None,
    tau: float | None = None,
    mass: float | None = None,
    structure: float | None = None,
    distances: str | None = None,
    null: str | None = None,
    strategy: str | None = None,
    threshold: float | None = None,
    encoding: str | None = None,
    unit: str | None = None,
    layers: Sequence[int] | None = None,
    word_vector: str | None = None,
    weights: str | None = None,
    center: str | None = None,
    distortion: float | None = None,
    agreement: float | None = None,
    rounds: int | None = None,
    letters: float | None = None,
    attach_factor: float | None = None,
    batch_tokens: int | None = None,
    device: str = "auto",
) -> Alignments:
    """The word alignment of each source sentence with the target sentence of the same place.

    A string is split at its spaces, or, with `raw`, by a segmenter that knows languages without spaces. A
    string alone is one sentence; a list of strings is a list of sentences, so one pair whose words you have
    is given as `[words], [words]`. The answer is a list in every case.

    `model` is what `--model` takes on the command line, or an open encoder: open it once with
    `otkit.open_encoder` where you align often. The other settings are those of `otkit show-alignment`; None is
    the default of `AlignmentSettings`, which says what each of them is.
    """
    settings = {
        "transport": transport,
        "cost": cost,
        "epsilon": epsilon,
        "epsilon_relative": epsilon_relative,
        "tau": tau,
        "mass": mass,
        "structure": structure,
        "distances": distances,
        "null": null,
        "strategy": strategy,
        "threshold": threshold,
        "encoding": encoding,
        "unit": unit,
        "layers": layers,
        "word_vector": word_vector,
        "weights": weights,
        "center": center,
        "distortion": distortion,
        "agreement": agreement,
        "rounds": rounds,
        "letters": letters,
        "attach_factor": attach_factor,
    }
    config = AlignmentSettings.from_dict(
        {name: value for name, value in settings.items() if value is not None}
    )
    sides = [_sentences(side, texts, raw=raw) for side, texts in (("source", sources), ("target", targets))]
    if len(sides[0]) != len(sides[1]):
        raise InputError(
            f"there are {len(sides[0])} source sentences and {len(sides[1])} target sentences",
            remedy="give as many of both; one pair as lists of words is written [words], [words]",
        )
    encoder = open_encoder(model, device=device) if model is None or isinstance(model, str | Path) else model
    aligner = WordAligner(encoder, config, batch_tokens=batch_tokens)
    caption, used = caption_of(aligner, name=encoder.name), config.described()
    return Alignments(
        DrawnAlignment(**{name: getattr(found, name) for name in _FIELDS}, caption=caption, settings=used)
        for found in aligner.align(zip(*sides, strict=True))
    )


_FIELDS = tuple(field.name for field in dataclasses.fields(Alignment))


def _sentences(side: str, texts: Sentences, *, raw: bool) -> list[tuple[str, ...]]:
    given = [texts] if isinstance(texts, str) else list(texts)
    sentences = []
    for number, text in enumerate(given, start=1):
        if isinstance(text, str):
            words = tuple(segment(text)) if raw else words_of(text)
        elif raw:
            raise InputError(
                "a list of words has been cut into words already",
                where=f"{side} sentence {number}",
                remedy="give a string, or leave raw out",
            )
        else:
            words = tuple(text)
        if not words:
            raise InputError("is empty", where=f"{side} sentence {number}", remedy="leave the pair out")
        sentences.append(words)
    return sentences
