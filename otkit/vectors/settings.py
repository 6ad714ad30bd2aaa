"""What `otkit embed` stores, and how. It imports no torch: commands show these settings in their help.

The names that a setting takes stand here with their meaning; the functions behind them are in the tables of the
modules that act on them, and a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from otkit.alignment.settings import check_space, space_setting, space_text_setting
from otkit.errors import ConfigError
from otkit.settings import Settings, setting

__all__ = [
    "DTYPES",
    "INDEXES",
    "LONG_SENTENCES",
    "NEIGHBOURS",
    "SHARDS",
    "SIDES",
    "UNITS",
    "EmbeddingSettings",
]

NEIGHBOURS = 10
"""Answers to a question where nobody asks for another number."""

UNITS = {"sentence": "one vector a sentence", "word": "one vector a word"}
LONG_SENTENCES = {
    "error": "refuse it, as other lines that cannot be used",
    "cut": "leave its end away, as sentence-transformers does",
}
SIDES = {"source": "the first of both", "target": "the second", "both": "one after the other"}
DTYPES = {
    "float32": "4 bytes a number",
    "float16": "2 bytes",
    "int8": "1 byte, with a factor for each vector",
}
SHARDS = {
    "auto": "parquet where pyarrow is installed, else npy",
    "parquet": "Parquet",
    "npy": "NumPy, with a .jsonl beside it",
}
INDEXES = {
    "flat": "exact; N x D x 4 bytes",
    "hnsw": "a graph of neighbours; a little more than flat, and far quicker",
    "ivf": "cells, and half a byte a number; for what does not fit into memory",
    "none": "shards alone; a search reads them all",
}


@dataclass(frozen=True)
class EmbeddingSettings(Settings):
    """What is stored, and how."""

    unit: str = setting(
        "sentence",
        "What gets a vector: each sentence, or each word.",
        choices=UNITS,
        panel="Data",
        everyday=True,
    )
    raw: bool = setting(
        False,
        "Find the words of raw text, in any script. Set it where words do not stand between spaces.",
        panel="Data",
        everyday=True,
    )
    side: str = setting("both", "Which side of parallel text to embed.", choices=SIDES, panel="Data")
    prompt: str | None = setting(
        None,
        "A prompt of the model by its name (query, document), or text to put before every sentence. Without it, the"
        " model's own.",
        metavar="NAME|TEXT",
        panel="Data",
        everyday=True,
    )
    long: str = setting(
        "error",
        "What to do with a text that is longer than the model reads.",
        choices=LONG_SENTENCES,
        panel="Data",
    )
    truncate_dim: int | None = setting(
        None,
        "Keep this many numbers of a sentence vector. Set it for models whose first numbers say the most (Matryoshka).",
        least=1,
        panel="Output",
    )
    space: str = space_setting("Output")
    space_text: str | None = space_text_setting("Output")
    index: str = setting(
        "flat",
        "The FAISS index. Choose hnsw for quick answers from many vectors, ivf where memory is short.",
        choices=INDEXES,
        panel="Output",
        everyday=True,
    )
    dtype: str = setting(
        "float32",
        "The number format. Choose float16 or int8 for smaller files.",
        choices=DTYPES,
        panel="Output",
        everyday=True,
    )
    shards: str = setting("auto", "The file format of the vectors.", choices=SHARDS, panel="Output")
    shard_rows: int = setting(8192, "How many vectors a shard has, about.", least=1, panel="Output")
    batch_tokens: int | None = setting(
        None,
        "The most padded subwords in one forward pass. Without it, as many as suit the device.",
        least=1,
        panel="Run",
    )

    def agree(self) -> None:
        check_space(self.space, self.space_text)
        for name, usual in (("prompt", None), ("long", "error"), ("truncate_dim", None)):
            if self.unit == "word" and getattr(self, name) != usual:
                raise ConfigError(
                    f"received {getattr(self, name)!r}, which is about sentence vectors alone",
                    remedy="leave it out, or choose `unit='sentence'`",
                    setting=name,
                )

    def resolved(self) -> EmbeddingSettings:
        """The same with the kind of shard that this installation writes."""
        if self.shards != "auto":
            return self
        return self.changed(shards="parquet" if find_spec("pyarrow") else "npy")
