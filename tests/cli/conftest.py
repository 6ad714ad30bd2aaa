"""A folder with a small encoder, small data and vectors, in which every command runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import make_tiny_encoder

PAIRS = [
    ("das haus ist klein .", "the house is small ."),
    ("ein haus → 房子", "a house → 房子"),
    ("die Straße 12", "the street 12"),
    ("das ist ein kleines haus", "the the small small house"),
]

# Of every command, with what writes to stdout: the words behind `otkit`.
COMMANDS: dict[str, tuple[str, ...]] = {
    "show-alignment": ("show-alignment", "das Häuser 房子", "the houses →", "--model", "tiny"),
    "show-alignment pairs": (
        "show-alignment",
        "das Häuser 房子",
        "the houses →",
        "--model",
        "tiny",
        "-f",
        "pairs",
    ),
    "show-alignment json": (
        "show-alignment",
        "das Häuser 房子",
        "the houses →",
        "--model",
        "tiny",
        "-f",
        "json",
    ),
    "extract": ("extract", "de-en.tsv", "--model", "tiny", "--format", "words"),
    "check": ("check", "de-en.tsv", "--model", "tiny"),
    "check tsv": ("check", "de-en.tsv", "--model", "tiny", "-f", "tsv"),
    "report": ("report", "de-en.tsv", "--model", "tiny", "--output", "pages"),
    "search": ("search", "vectors", "die Straße 房子", "-k", "2"),
    "evaluate": ("evaluate", "word-alignment", "--gold", "gold.de-en.tsv", "--model", "tiny", "-o", "cells"),
    "info": ("info", "tiny"),
    "align --dry-run": (
        "align",
        "de-en.tsv",
        "--model",
        "tiny",
        "--steps",
        "1",
        "--batch-size",
        "2",
        "--dry-run",
    ),
}


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder; commands write nothing there but what they are told to."""
    folder = tmp_path_factory.mktemp("bench")
    make_tiny_encoder().save(folder / "tiny")
    text = "".join(f"{source}\t{target}\n" for source, target in PAIRS)
    (folder / "de-en.tsv").write_text(text, encoding="utf-8")
    (folder / "gold.de-en.tsv").write_text(
        "".join(f"{source}\t{target}\t0-0 1-1\n" for source, target in PAIRS), encoding="utf-8"
    )
    from otkit.encoders.open import open_encoder
    from otkit.vectors.embedder import Embedder
    from otkit.vectors.embeddings import TextInput, embed_corpora
    from otkit.vectors.settings import EmbeddingSettings

    here = Path.cwd()
    os.chdir(folder)
    try:
        embedder = Embedder(open_encoder("tiny", device="cpu"))
        inputs = [TextInput("de-en.tsv", languages={"source": "de", "target": "en"})]
        embed_corpora(
            embedder, inputs, folder / "vectors", config=EmbeddingSettings(shards="npy", index="none")
        )
    finally:
        os.chdir(here)
    return folder
