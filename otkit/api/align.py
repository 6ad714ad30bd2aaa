"""Word alignment from Python: sentences in, alignments out that draw themselves, and whole corpora to files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from otkit.alignment.aligner import Alignment, WordAligner
from otkit.alignment.corpus import Engine, Extracted, Written, extract_corpus
from otkit.alignment.settings import AlignmentSettings
from otkit.cluster import ENGINES
from otkit.data.parallel import BadLine, silent
from otkit.data.segmentation import words_between
from otkit.encoders.encoder import Encoder
from otkit.encoders.open import open_encoder
from otkit.errors import ConfigError, InputError, choose
from otkit.recipes import settings_of
from otkit.reports.fragment import STYLE, fragment_html
from otkit.reports.variants import caption_of
from otkit.reports.view import GridView, view_of

__all__ = ["Aligner", "Alignments", "DrawnAlignment", "Sentence", "Sentences", "align_words"]

Sentence = str | Sequence[str]
"""A sentence as a string, or as the list of its words."""
Sentences = str | Sequence[Sentence]
"""One sentence as a string, or several, each a string or a list of words."""

_DRAWN = 20


# Pictures are made above the floor of alignments, which knows nothing of HTML. So what is drawn is an Alignment that
# was given its picture up here, where both are known, and a notebook shows what `otkit report` shows.
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


class Aligner:
    """An encoder and the settings of a word alignment, ready for sentences and for corpora.

    encoder       a Hub name, a folder, a file, an open encoder, or None for the sample encoder
    recipe        the settings to start from: a recipe's name, a TOML file, or a folder that was trained
    batch_tokens  padded subwords of one forward pass; None chooses by the device
    precision     of the encoder: fp32, bf16, fp16, or int8, which makes a graph of it once and keeps it (`otkit cache`)
    on_note       is told what takes time before the first sentence
    settings      any of `AlignmentSettings`, such as transport="balanced"; `otkit recipe keys alignment` lists them

    An unknown name or an impossible value is a ConfigError, which names the nearest name or what is expected.

    >>> aligner = Aligner(transport="balanced", layers=6)
    >>> aligner.layers
    (6,)
    >>> aligner.align_words("Das Haus ist klein .", "The house is small .")
    [<Das Haus ist klein . | The house is small . | 0-0 1-1 2-2 3-3 4-4>]

    The problems and the rules for links are those of `docs/method.md`, which has the references.
    """

    def __init__(
        self,
        encoder: str | Path | Encoder | None = None,
        *,
        recipe: str | Path | None = None,
        batch_tokens: int | None = None,
        precision: str = "fp32",
        device: str = "auto",
        on_note: Callable[[str], None] = silent,
        **settings: Any,
    ) -> None:
        self.settings = settings_of(recipe, "alignment", AlignmentSettings).changed(**settings)
        self._device = device
        self._opened = encoder is None or isinstance(encoder, str | Path)
        self.encoder = (
            open_encoder(encoder, device=device)
            if encoder is None or isinstance(encoder, str | Path)
            else encoder
        )
        if precision == "int8":
            from otkit.exports.cached import int8_encoder

            self.encoder = int8_encoder(self.encoder, self.settings.layers, progress=on_note)
        self._aligner = WordAligner(
            self.encoder, self.settings, batch_tokens=batch_tokens, precision=precision
        )

    @property
    def layers(self) -> tuple[int, ...]:
        """The hidden states that are used, counted from 0 (embeddings)."""
        return self._aligner.layers

    def used(self) -> dict[str, Any]:
        """The settings as they are used, for a record; `settings.units()` says what their numbers are counted in."""
        return self._aligner.used()

    def align(
        self, pairs: Iterable[tuple[Sentence, Sentence]], *, raw: bool = False, plans: bool = True
    ) -> Iterator[Alignment]:
        """The alignment of each pair, in order, as a stream: a window of pairs is read ahead and encoded together.

        A string is split at its spaces, or, with `raw`, by a segmenter that knows languages without spaces. Without
        `plans` the (N, M) plans are left out, which saves memory. A side may be empty.

        >>> [found.pharaoh for found in Aligner().align([("das Haus", "the house"), ("", "nothing")])]
        ['0-0 1-1', '']
        """
        return self._aligner.align(
            (tuple(_words(side, raw=raw) for side in pair) for pair in pairs),  # type: ignore[misc]
            plans=plans,
        )

    def align_words(self, sources: Sentences, targets: Sentences, *, raw: bool = False) -> Alignments:
        """The word alignment of each source sentence with the target sentence of the same place, as a list that draws
        itself in a notebook.

        A string alone is one sentence; a list of strings is a list of sentences, so one pair whose words you have is
        given as `[words], [words]`. Sentences that are empty, or not as many on both sides, are an InputError.
        """
        sides = [
            _sentences(side, texts, raw=raw) for side, texts in (("source", sources), ("target", targets))
        ]
        if len(sides[0]) != len(sides[1]):
            raise InputError(
                f"there are {len(sides[0])} source sentences and {len(sides[1])} target sentences",
                remedy="give as many of both; one pair as lists of words is written [words], [words]",
            )
        caption = caption_of(self._aligner, name=self.encoder.name)
        used = self.settings.described()
        return Alignments(
            DrawnAlignment(**{name: getattr(found, name) for name in _FIELDS}, caption=caption, settings=used)
            for found in self._aligner.align(zip(*sides, strict=True))
        )

    def extract(
        self,
        corpus: str | Path,
        *,
        output: str | Path | Written,
        target: str | Path | None = None,
        format: str | None = None,
        scores: bool = False,
        raw: bool = False,
        input_format: str = "auto",
        on_error: str = "raise",
        resume: bool = False,
        overwrite: bool = False,
        engine: str = "local",
        address: str | None = None,
        on_progress: Callable[[int, int | None], None] = lambda done, total: None,
        on_note: Callable[[str], None] = silent,
        on_bad_line: Callable[[BadLine], None] = lambda bad: None,
    ) -> Extracted:
        """Align a corpus of any length, and write a line of links for each of its lines.

        corpus        parallel text, plain or .gz: TSV, ` ||| `, JSONL, or with `target` two line-aligned files
        output        a file, packed where it ends in .gz, which has its name once it is whole; or an open text file
        format        pharaoh (`i-j`, from 0), words or jsonl; None goes by the ending of the output
        scores        write each link's link strength too, in [0, 1]
        raw           the text is raw: find its words first, in any script
        input_format  auto, tsv, bars, jsonl or files
        on_error      "skip" leaves the line of a bad line empty, "raise" stops there with an InputError
        resume        go on with an interrupted run of the same settings, to the same bytes
        overwrite     replace an output, or start an interrupted run over
        engine        local, or ray for the workers of the Ray cluster at `address` (None: one of this machine alone)
        on_progress   is told how many lines are done, and how many there are once that is known

        An output that another run made, or that otkit did not make, is an OutputError.

        >>> from otkit.resources import sample_data
        >>> links = Aligner().extract(sample_data() / "parallel" / "de-en.dev.tsv", output="de-en.align")
        >>> links.lines, links.skipped
        (32, 0)
        """
        choose(engine, ENGINES, what="engine", setting="engine")
        return extract_corpus(
            self._aligner,
            corpus,
            output,
            target=target,
            format=format,
            scores=scores,
            raw=raw,
            input_format=input_format,
            on_error=on_error,
            resume=resume,
            overwrite=overwrite,
            engine=self._workers(address) if engine == "ray" else None,
            on_progress=on_progress,
            on_note=on_note,
            on_bad_line=on_bad_line,
        )

    def _workers(self, address: str | None) -> Engine:
        from otkit.alignment.cluster import align_on_cluster

        if self._aligner.precision == "int8":
            raise ConfigError(
                "the workers of a cluster compute in fp32 or a half precision",
                remedy="leave int8 out, or export the encoder with quantize='int8' and give its folder",
                setting="precision",
            )
        if not self._opened:
            raise ConfigError(
                "the workers of a cluster open the encoder themselves",
                remedy="give the aligner the encoder's name or folder",
                setting="engine",
            )
        return align_on_cluster(
            self._aligner,
            model=self.encoder.origin,
            device=self._device,
            precision=self._aligner.precision,
            address=address,
        )


_FIELDS = tuple(field.name for field in dataclasses.fields(Alignment))


def align_words(
    sources: Sentences,
    targets: Sentences,
    encoder: str | Path | Encoder | None = None,
    *,
    raw: bool = False,
    recipe: str | Path | None = None,
    batch_tokens: int | None = None,
    precision: str = "fp32",
    device: str = "auto",
    **settings: Any,
) -> Alignments:
    """The word alignment of each source sentence with the target sentence of the same place: `Aligner.align_words` of
    an `Aligner` with these settings. Make one where you align often: it opens the encoder once.

    >>> align_words("das Haus", "the house")
    [<das Haus | the house | 0-0 1-1>]
    """
    aligner = Aligner(
        encoder, recipe=recipe, batch_tokens=batch_tokens, precision=precision, device=device, **settings
    )
    return aligner.align_words(sources, targets, raw=raw)


def _words(sentence: Sentence, *, raw: bool) -> tuple[str, ...]:
    if isinstance(sentence, str):
        return words_between(sentence, raw=raw)
    if raw:
        raise InputError(
            "a list of words has been cut into words already", remedy="give a string, or leave raw out"
        )
    return tuple(sentence)


def _sentences(side: str, texts: Sentences, *, raw: bool) -> list[tuple[str, ...]]:
    sentences = []
    for number, text in enumerate([texts] if isinstance(texts, str) else texts, start=1):
        where = f"{side} sentence {number}"
        try:
            words = _words(text, raw=raw)
        except InputError as error:
            raise InputError(error.what, where=where, remedy=error.remedies) from None
        if not words:
            raise InputError("is empty", where=where, remedy="leave the pair out")
        sentences.append(words)
    return sentences
