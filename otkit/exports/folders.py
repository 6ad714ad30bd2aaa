"""Exports without ONNX: a transformers folder, a sentence-transformers folder, a GGUF folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from otkit.encoders.encoder import SETTINGS_FILE, settings_document
from otkit.encoders.families import WITH_DECODER
from otkit.encoders.torch import TorchEncoder, quiet_transformers
from otkit.errors import ExportError, choose
from otkit.exports.card import folder_card
from otkit.exports.gguf import POOLING_TYPES, write_gguf
from otkit.exports.settings import ExportSettings
from otkit.files import fresh_folder

__all__ = ["FOLDERS", "export_folder"]

Metadata = Mapping[str, Any]


def _transformers(encoder: TorchEncoder, folder: Path, kind: str) -> None:
    encoder.model.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)


def _sentence_transformers(encoder: TorchEncoder, folder: Path, kind: str) -> None:
    """The layout that `SentenceTransformer(FOLDER)` reads: encoder, pooling and what stands behind it as modules."""
    family = encoder.model.config.model_type
    if family in WITH_DECODER:
        raise ExportError(
            f"sentence-transformers opens {family} with a decoder, which this encoder has not",
            where=encoder.name,
            remedy="choose `to='transformers'` or `to='onnx'`",
        )
    _transformers(encoder, folder, kind)
    encoder.write_stack(folder)


def _gguf(encoder: TorchEncoder, folder: Path, kind: str) -> None:
    """The GGUF file with its tokenizer inside, and tokenizer.json beside it, which is exact where both
    differ."""
    write_gguf(encoder, folder / f"encoder-{kind}.gguf", kind=kind)
    encoder.tokenizer.save_pretrained(folder)


FOLDERS: dict[str, Callable[[TorchEncoder, Path, str], None]] = {
    "transformers": _transformers,
    "sentence-transformers": _sentence_transformers,
    "gguf": _gguf,
}


def export_folder(
    encoder: TorchEncoder,
    folder: Path,
    *,
    to: str,
    gguf_type: str = ExportSettings.gguf_type,
    metadata: Metadata | None = None,
    inputs: Iterable[str | Path | None] = (),
    overwrite: bool = False,
) -> int:
    """Write `folder` in the layout `to`, whole or not at all, with otkit.json and a model card; returns its
    bytes. A folder that holds one of `inputs` is never replaced."""
    write = choose(to, FOLDERS, what="export target")
    pooling = encoder.settings.pooling
    lost = encoder.head.names if encoder.head.changes else []
    lost += [f"pooling {pooling}"] if to == "gguf" and pooling not in POOLING_TYPES else []
    if lost and to != "sentence-transformers":
        raise ExportError(
            f"its sentence vectors need {', '.join(lost)}, which a folder for {to} does not hold",
            where=encoder.name,
            remedy="choose `to='sentence-transformers'` or `to='onnx'`",
        )
    with fresh_folder(Path(folder), "encoder", inputs=inputs, overwrite=overwrite) as target:
        with quiet_transformers():
            write(encoder, target, gguf_type)
        text = settings_document(encoder.name, encoder.settings, metadata or {})
        (target / SETTINGS_FILE).write_text(text, encoding="utf-8")
        (target / "README.md").write_text(folder_card(encoder, to), encoding="utf-8")
        written = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
        if not written:
            raise ExportError("nothing was written", where=str(folder))
    return written
