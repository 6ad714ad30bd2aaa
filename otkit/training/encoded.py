"""What objectives see: the encoded pairs of a batch, and what they give back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from otkit.alignment.settings import AlignmentSettings
from otkit.encoders.pooling import Encoded, centred

__all__ = ["Aims", "EncodedPairs", "Joint", "Losses", "Masked", "Part"]


@dataclass(frozen=True)
class Masked:
    """Some text of which words were hidden, encoded: K hidden subwords.

    states   (B,T,D) the last hidden states
    places   (K,) where the hidden subwords stand among the B*T
    answers  (K,) the subwords that stood there
    """

    states: Tensor
    places: Tensor
    answers: Tensor


@dataclass(frozen=True)
class Joint:
    """Pairs encoded together as one text with some words hidden, as far as both sentences fit in.

    rows            (B',) which of the B pairs these are
    masked          the text as it was encoded
    source, target  Encoded (B',N',D) and (B',M',D), the units of both sides in that text
    hidden          (B',N') and (B',M') bool, the units that were hidden
    """

    rows: Tensor
    masked: Masked
    source: Encoded
    target: Encoded
    hidden: tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Aims:
    """Where the words of one side are to go.

    vectors  (B,N,D) their static vectors in the encoder's space, less its middle (D,)
    mask     (B,N) bool, the words that have one
    """

    vectors: Tensor
    mask: Tensor
    middle: Tensor


@dataclass(frozen=True)
class EncodedPairs:
    """The units of a batch of pairs as vectors, ready for any objective.

    source, target                  Encoded (B,N,D) and (B,M,D), in fp32
    source_weights, target_weights  (B,N) and (B,M), each row a distribution, exactly 0 at padding
    start                           (B,M,D) target vectors of the frozen start, or None where no part needs
                                    them
    batch_fraction                  B over the pairs of the whole micro-step
    targets                         target units of the whole micro-step

    The rest is None (or empty) where no part needs it:

    links      (B,N,M) bool, links between units that somebody gave
    read       (B,N,M) bool, links that the word aligner read some steps ago
    letters    (B,N) and (B,M) letters of the units, which are words; 0 for punctuation and padding
    teacher    Encoded (B,M',D') target units of a frozen teacher
    static     Aims of both sides
    sentences  two (B,D) unit vectors a pair
    masked     both sides, each by itself, with words hidden
    joint      both sides as one text, with words hidden
    moved      trained weights, each with what it was at the start
    embedding  (V,D) the encoder's table of subword vectors
    heads      trained beside the encoder, by what they are for
    alignment  how the word aligner reads links
    """

    source: Encoded
    target: Encoded
    source_weights: Tensor
    target_weights: Tensor
    start: Tensor | None
    batch_fraction: float
    targets: int
    links: Tensor | None = None
    read: Tensor | None = None
    letters: tuple[Tensor, Tensor] | None = None
    teacher: Encoded | None = None
    static: tuple[Aims, Aims] | None = None
    sentences: tuple[Tensor, Tensor] | None = None
    masked: tuple[Masked, ...] = ()
    joint: Joint | None = None
    moved: Sequence[tuple[Tensor, Tensor]] = ()
    embedding: Tensor | None = None
    heads: Mapping[str, nn.Module] = field(default_factory=dict)
    alignment: AlignmentSettings = field(default_factory=AlignmentSettings)

    def compared(self, center: str) -> tuple[Encoded, Encoded]:
        """Both sides as words are compared with each other: minus the mean of the pair's words, or as they are."""
        if center == "none":
            return self.source, self.target
        sides = self.source, self.target
        vectors = centred(*(side.vectors for side in sides), *(side.mask for side in sides))
        return sides[0].with_vectors(vectors[0]), sides[1].with_vectors(vectors[1])


@dataclass(frozen=True)
class Losses:
    """Weighted losses by name (scalars, with gradient) and metrics by name (scalars, without)."""

    parts: dict[str, Tensor]
    metrics: dict[str, Tensor]


@dataclass(frozen=True)
class Part:
    """One unweighted objective value and what it can tell on the side."""

    value: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)
