"""Word alignment from Python: sentences in, alignments out that draw themselves, and whole corpora to files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from otkit.alignment.aligner import Alignment, WordAligner
from otkit.alignment.beads import Beads
from otkit.alignment.corpus import Engine, Extracted, Written, extract_corpus
from otkit.alignment.documents import cut_document
from otkit.alignment.explain import Explanation, Trace
from otkit.alignment.layer_choice import kept_choice, layers_of
from otkit.alignment.settings import STRATEGIES, AlignmentSettings
from otkit.cluster import ENGINES
from otkit.data.documents import sentences_in
from otkit.data.languages import languages_of, languages_to_tell
from otkit.data.lines import LineSource
from otkit.data.parallel import BadLine, silent
from otkit.data.segmentation import RawText, words_between
from otkit.encoders.encoder import Encoder
from otkit.encoders.open import open_encoder
from otkit.errors import ConfigError, InputError, choose, require_extra
from otkit.files import write_file
from otkit.recipes import settings_of
from otkit.reports.fragment import STYLE, fragment_html
from otkit.reports.live import LinkRule, LiveView
from otkit.reports.variants import caption_of
from otkit.reports.view import GoldLinks, GridView, parse_gold, view_of

if TYPE_CHECKING:
    import pandas

__all__ = ["Aligner", "Alignments", "DrawnAlignment", "Sentence", "Sentences", "align_words"]

Sentence = str | Sequence[str]
"""A sentence as a string, or as the list of its words."""
Sentences = str | Sequence[Sentence]
"""One sentence as a string, or several, each a string or a list of words."""

Document = str | Sequence[Sentence]
"""A document as a string of lines or sentences, or as the list of its sentences."""

_DRAWN = 20


# Pictures are made above the floor of alignments, which knows nothing of HTML. So what is drawn is an Alignment that
# was given its picture up here, where both are known, and a notebook shows what `otkit report` shows.
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class DrawnAlignment(Alignment):
    """An Alignment that a notebook shows as a picture."""

    caption: str = ""
    settings: str = ""
    gold: GoldLinks | None = None
    aligner: WordAligner | None = None

    def explain(self, word: int | str, *, side: str = "source") -> Explanation:
        """Why a word is linked as it is: its five best candidates with everything that was weighed.

        word  its place, counted from 0, in the `source` or in the `target`; or the word itself, where it stands first

        >>> (pair,) = align_words("das Haus", "the house")
        >>> why = pair.explain("Haus")
        >>> why.candidates[0].word, why.candidates[0].linked, why.threshold
        ('house', True, 0.45)
        """
        if isinstance(word, str):
            side, word = self.trace.places_of(word)[0]
        return self.trace.explain(word, side=side)

    @cached_property
    def trace(self) -> Trace:
        """Every figure of every pair of words, as arrays."""
        assert self.aligner is not None  # align_words gave it
        return self.aligner.trace((self.source, self.target))

    def live(self) -> LiveView:
        """A picture for a notebook in which strategy and threshold can be changed, and the links follow: for each rule
        those that the aligner makes of this pair.

        >>> (pair,) = align_words("das Haus", "the house")
        >>> live = pair.live()
        >>> [rule.links for rule in live.rules if rule.asked or rule.strategy == "mutual"]
        [((0, 0), (1, 1)), ((0, 0), (1, 1))]
        """
        assert self.aligner is not None  # align_words gave it
        asked = self.aligner.config
        rules = _rules(asked)
        links = self.aligner.links_under((self.source, self.target), rules)
        return LiveView(
            self.view,
            tuple(
                LinkRule(rule.strategy, rule.compared_with, found, rule == asked)
                for rule, found in zip(rules, links, strict=True)
            ),
            self.trace.cosine,
        )

    @cached_property
    def view(self) -> GridView:
        """What `otkit.reports.picture.write_picture` and `otkit.reports.html.write_page` draw from."""
        spoken = None if self.aligner is None else self.aligner.languages
        return view_of(self, gold=self.gold, caption=self.caption, settings=self.settings, languages=spoken)

    def __repr__(self) -> str:
        return f"<{' '.join(self.source)} | {' '.join(self.target)} | {self.pharaoh}>"

    def _repr_html_(self) -> str:
        return STYLE + fragment_html(self.view)


_THRESHOLDS = tuple(step / 20 for step in range(1, 20))


def _rules(asked: AlignmentSettings) -> list[AlignmentSettings]:
    """Every strategy, `threshold` at every twentieth, and what was asked for, in order."""
    rules = [
        dataclasses.replace(asked, strategy="threshold", threshold=threshold) for threshold in _THRESHOLDS
    ]
    rules += [
        dataclasses.replace(asked, strategy=name, threshold=None)
        for name in STRATEGIES
        if name != "threshold"
    ]
    place = next(
        (
            place
            for place, rule in enumerate(rules)
            if rule.strategy == asked.strategy and rule.compared_with == asked.compared_with
        ),
        None,
    )
    if place is not None:
        rules[place] = asked
        return rules
    order = list(STRATEGIES)
    return sorted([*rules, asked], key=lambda rule: (order.index(rule.strategy), rule.compared_with or 0))


class Alignments(list[DrawnAlignment]):
    """A list of alignments; a notebook shows the first twenty of them as pictures."""

    @overload
    def __getitem__(self, index: SupportsIndex) -> DrawnAlignment: ...
    @overload
    def __getitem__(self, index: slice) -> Alignments: ...
    def __getitem__(self, index: SupportsIndex | slice) -> DrawnAlignment | Alignments:
        """An alignment, or some of them, which draw themselves too."""
        found = super().__getitem__(index)
        return Alignments(found) if isinstance(found, list) else found

    def to_frame(self) -> pandas.DataFrame:
        """The links as a table of pandas, a row a link: pair, source, target, both words, share.

        >>> align_words("das Haus", "the house").to_frame()[["source_word", "target_word"]].values.tolist()
        [['das', 'the'], ['Haus', 'house']]
        """
        frames = require_extra("pandas", extra="frames")
        rows = [
            (pair, i, j, found.source[i], found.target[j], score)
            for pair, found in enumerate(self)
            for i, j, score in found.links
        ]
        columns = ["pair", "source", "target", "source_word", "target_word", "share"]
        frame: pandas.DataFrame = frames.DataFrame(rows, columns=columns)
        return frame

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
    langs         languages of the sides, such as "de-en": an encoder whose tokenizer names them (NLLB, mBART) is told,
                  and pictures are drawn in their fonts; the corpus of `extract` may tell them by its name
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
        langs: str | None = None,
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
        if isinstance(self.settings.layers, str) and kept_choice(self.encoder) is None:
            on_note(f"measuring which hidden state of {self.encoder.name} aligns best, once")
        if precision != self.encoder.precision:
            from otkit.exports.cached import encoder_in

            layers = layers_of(self.encoder, self.settings.layers)
            self.encoder = encoder_in(precision, self.encoder, layers, progress=on_note)
            self.settings = self.settings.changed(layers=layers)
        self._langs = langs
        if langs is not None:
            languages_to_tell([self.encoder], "", langs)  # what its tokenizer does not know is refused
        self._aligner = WordAligner(
            self.encoder,
            self.settings,
            batch_tokens=batch_tokens,
            languages=None if langs is None else languages_of("", langs),
        )

    @property
    def layers(self) -> tuple[int, ...]:
        """The hidden states that are used, counted from 0 (embeddings)."""
        return self._aligner.layers

    def used(self) -> dict[str, Any]:
        """The settings as they are used, for a record; `settings.units()` says what their numbers are counted in."""
        return self._aligner.used()

    def align(
        self, pairs: Iterable[tuple[Sentence, Sentence]], *, raw: RawText = False, plans: bool = True
    ) -> Iterator[Alignment]:
        """The alignment of each pair, in order, as a stream: a window of pairs is read ahead and encoded together.

        A string is split at its spaces, or, with `raw`, by what knows languages without spaces: the best that is
        installed, or what `raw` names (see `otkit.data.segmentation.SEGMENTERS`). Without `plans` the (N, M) plans are
        left out, which saves memory. A side may be empty.

        >>> [found.pharaoh for found in Aligner().align([("das Haus", "the house"), ("", "nothing")])]
        ['0-0 1-1', '']
        """
        return self._aligner.align(
            (tuple(_words(side, raw=raw) for side in pair) for pair in pairs),  # type: ignore[misc]
            plans=plans,
        )

    def align_documents(
        self, documents: Iterable[tuple[Document, Document]], *, raw: RawText = False
    ) -> Iterator[Alignment]:
        """The alignment of each pair of documents, in order, as a stream: they are cut into sentences, those that say
        the same are found in any order, and words are linked within these. Words are counted through the document.

        A document is a string, whose sentences end at final marks and at line ends, or a list of its sentences, each a
        string or a list of words. Plans are left out.

        >>> german = "Das Haus ist alt . Ich trinke gern Tee . Morgen fahren wir ans Meer . Der Hund schläft dort ."
        >>> english = "Tomorrow we are going to the sea . The dog is sleeping there . The house is old . I like tea ."
        >>> (found,) = Aligner().align_documents([(german, english)])
        >>> found.pharaoh.split()[:5]
        ['0-14', '1-15', '2-16', '3-17', '4-18']
        """
        return self._aligner.align_documents(
            (_document(source, raw=raw), _document(target, raw=raw)) for source, target in documents
        )

    def align_words(
        self,
        sources: Sentences,
        targets: Sentences,
        *,
        raw: RawText = False,
        gold: str | Sequence[str] | None = None,
    ) -> Alignments:
        """The word alignment of each source sentence with the target sentence of the same place, as a list that draws
        itself in a notebook.

        A string alone is one sentence; a list of strings is a list of sentences, so one pair whose words you have is
        given as `[words], [words]`. `gold` are links made by hand, a line a pair such as `0-0 1p2`, which pictures show
        beside. Sentences that are empty, or not as many on both sides, are an InputError.
        """
        sides = [
            _sentences(side, texts, raw=raw) for side, texts in (("source", sources), ("target", targets))
        ]
        if len(sides[0]) != len(sides[1]):
            raise InputError(
                f"there are {len(sides[0])} source sentences and {len(sides[1])} target sentences",
                remedy="give as many of both; one pair as lists of words is written [words], [words]",
            )
        lines = [None] * len(sides[0]) if gold is None else [gold] if isinstance(gold, str) else list(gold)
        if len(lines) != len(sides[0]):
            raise InputError(
                f"there are {len(lines)} lines of gold for {len(sides[0])} pairs", remedy="give one a pair"
            )
        links = [
            line and parse_gold(line, source_words=len(source), target_words=len(target))
            for line, source, target in zip(lines, *sides, strict=True)
        ]
        caption = caption_of(self._aligner, name=self.encoder.name)
        used = self.settings.described()
        return Alignments(
            DrawnAlignment(
                **{name: getattr(found, name) for name in _FIELDS},
                caption=caption,
                settings=used,
                gold=hand or None,
                aligner=self._aligner,
            )
            for found, hand in zip(self._aligner.align(zip(*sides, strict=True)), links, strict=True)
        )

    def extract(
        self,
        corpus: str | Path,
        *,
        output: str | Path | Written,
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
        engine: str = "local",
        address: str | None = None,
        on_progress: Callable[[int, int | None], None] = lambda done, total: None,
        on_counted: Callable[[int, int], None] = lambda done, total: None,
        on_note: Callable[[str], None] = silent,
        on_bad_line: Callable[[BadLine], None] = lambda bad: None,
    ) -> Extracted:
        """Align a corpus of any length, and write a line of links for each of its lines.

        corpus        parallel text, plain or .gz: TSV, ` ||| `, JSONL, or with `target` two line-aligned files
        output        a file, packed where it ends in .gz, which has its name once it is whole; or an open text file
        format        pharaoh (`i-j`, from 0), words or jsonl; None goes by the ending of the output
        scores        write each link's link strength too, in [0, 1]
        raw           the text is raw: find its words first, in any script; or the name of what finds them (icu, jieba,
                      sudachi, newmm)
        documents     each pair is one of documents: they are cut into sentences, and aligned as `align_documents` does.
                      Two files have a blank line between documents, and a line of links is written for each document
        corpus_prior  align a sample of the corpus first (at most 10,000 pairs), and hold against a link what the sample
                      says: that its two words seldom go together though they often stand in the same pair. The corpus
                      is read twice, so it is no stream; the strategy is threshold
        input_format  auto, tsv, bars, jsonl or files
        on_error      "skip" leaves the line of a bad line empty, "raise" stops there with an InputError
        resume        go on with an interrupted run of the same settings, to the same bytes
        overwrite     replace an output, or start an interrupted run over
        engine        local, or ray for the workers of the Ray cluster at `address` (None: one of this machine alone)
        on_progress   is told how many lines are done (of documents: sentences of both sides), and how many there are
                      once that is known; on_counted, how many pairs of the sample are counted for `corpus_prior`

        An output that another run made, or that otkit did not make, is an OutputError.

        >>> from otkit.resources import sample_data
        >>> links = Aligner().extract(sample_data() / "parallel" / "de-en.dev.tsv", output="de-en.align")
        >>> links.lines, links.skipped
        (32, 0)
        """
        choose(engine, ENGINES, what="engine", setting="engine")
        if documents and engine != "local":
            raise ConfigError(
                "documents are aligned by one process",
                remedy="use the local engine, or give each process documents of its own",
                setting="engine",
            )
        self._tell(corpus, target, on_note)
        return extract_corpus(
            self._aligner,
            corpus,
            output,
            target=target,
            format=format,
            scores=scores,
            raw=raw,
            documents=documents,
            corpus_prior=corpus_prior,
            input_format=input_format,
            on_error=on_error,
            resume=resume,
            overwrite=overwrite,
            engine=self._workers(address) if engine == "ray" else None,
            on_progress=on_progress,
            on_counted=on_counted,
            on_note=on_note,
            on_bad_line=on_bad_line,
        )

    def extract_beads(
        self,
        source: str | Path,
        target: str | Path,
        *,
        output: str | Path | None = None,
        overwrite: bool = False,
        on_progress: Callable[[int, int | None], None] = lambda done, total: None,
        on_note: Callable[[str], None] = silent,
    ) -> Beads:
        """Which sentences of two documents are translations of each other, in any order: groups of one to a few on
        each side. With `output` they are written there too, in Vecalign's form (`[0, 1]:[2]`, counted from 0).

        The files have a sentence a line; an empty line is a sentence too. `on_progress` is told how many sentences of
        both sides are encoded; `on_note` gets what a person should know.

        >>> for name, text in (("de", "Das Haus ist alt .\\nIch trinke Tee .\\n"), ("en", "I drink tea .\\n")):
        ...     _ = Path(f"tea.{name}").write_text(text)
        >>> print(Aligner().extract_beads("tea.de", "tea.en").text, end="")
        [0]:[]
        [1]:[0]
        """
        sides = sentences_in(LineSource(source)), sentences_in(LineSource(target))
        self._tell(source, target, on_note)
        total = sum(map(len, sides))
        found = self._aligner.beads(sides, progress=lambda done: on_progress(done, total))
        if output is not None:
            write_file(Path(output), found.text, overwrite=overwrite)
        return found

    def _tell(self, source: str | Path, target: str | Path | None, note: Callable[[str], None]) -> None:
        """Tell the tokenizer the languages of a corpus."""
        self._aligner.languages = languages_to_tell(
            [self.encoder], source, self._langs, target=target, note=note
        )

    def _workers(self, address: str | None) -> Engine:
        from otkit.alignment.cluster import align_on_cluster

        if self.encoder.precision == "int8":
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
            address=address,
        )


_FIELDS = tuple(field.name for field in dataclasses.fields(Alignment))


def align_words(
    sources: Sentences,
    targets: Sentences,
    encoder: str | Path | Encoder | None = None,
    *,
    raw: RawText = False,
    gold: str | Sequence[str] | None = None,
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
    return aligner.align_words(sources, targets, raw=raw, gold=gold)


def _words(sentence: Sentence, *, raw: RawText) -> tuple[str, ...]:
    if isinstance(sentence, str):
        return words_between(sentence, raw=raw)
    if raw:
        raise InputError(
            "a list of words has been cut into words already", remedy="give a string, or leave raw out"
        )
    return tuple(sentence)


def _document(document: Document, *, raw: RawText) -> list[Sequence[str]]:
    if isinstance(document, str):
        return cut_document(document, raw=raw)[0]
    return [_words(sentence, raw=raw) for sentence in document]


def _sentences(side: str, texts: Sentences, *, raw: RawText) -> list[tuple[str, ...]]:
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
