"""The aligner on a Ray cluster: windows of sentence pairs out, their alignments back in order, the same as
here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch

from otkit.alignment.aligner import Alignment, SentencePair, WordAligner, cut_window
from otkit.alignment.prior import CorpusPrior
from otkit.alignment.settings import AlignmentSettings
from otkit.cluster import map_windows
from otkit.encoders.open import open_encoder
from otkit.encoders.space import Space
from otkit.encoders.torch import TorchEncoder

__all__ = ["OpenAligner", "align_on_cluster"]

Aligned = list[Alignment | None]


@dataclass(frozen=True)
class OpenAligner:
    """How a worker comes by the aligner that the driver has."""

    model: str | None
    device: str
    threads: int
    config: AlignmentSettings
    batch_tokens: int
    window: int
    precision: str
    spaces: tuple[Space, Space] | None = None
    languages: tuple[str, str] | None = None
    prior: CorpusPrior | None = None

    def __call__(self) -> Callable[[list[SentencePair | None]], Aligned]:
        """Open the encoder here."""
        torch.set_num_threads(self.threads)
        encoder = open_encoder(self.model, device=self.device)
        if isinstance(encoder, TorchEncoder):
            encoder = encoder.in_precision(self.precision)
        aligner = WordAligner(
            encoder,
            self.config,
            batch_tokens=self.batch_tokens,
            window=self.window,
            languages=self.languages,
        )
        aligner.spaces, aligner.prior = self.spaces, self.prior
        return aligner.align_window


def align_on_cluster(
    aligner: WordAligner,
    *,
    model: str | None,
    device: str,
    address: str | None,
) -> Callable[[Iterable[SentencePair | None]], Iterator[Aligned]]:
    """What may stand for `aligner.align_windows`: the same windows, aligned by workers of as many threads as
    torch has here, which is what makes them end in the same digits."""

    def align_windows(pairs: Iterable[SentencePair | None]) -> Iterator[Aligned]:
        lines = iter(pairs)
        windows = iter(lambda: cut_window(lines, aligner.window), [])
        if aligner.config.space != "none" and aligner.spaces is None:
            # The first window of a corpus is measured for all others: it is aligned here.
            first = next(windows, None)
            if first is None:
                return
            yield aligner.align_window(first)
        threads = torch.get_num_threads()
        opener = OpenAligner(
            model,
            device,
            threads,
            aligner.config,
            aligner.batch_tokens,
            aligner.window,
            aligner.encoder.precision,
            aligner.spaces,
            aligner.languages,
            aligner.prior,
        )
        yield from map_windows(opener, windows, address=address, threads=threads, gpus=int("cuda" in device))

    return align_windows
