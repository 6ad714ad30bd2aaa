"""Exports without ONNX: a transformers folder, a sentence-transformers folder, a GGUF folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from otkit.encoders.encoder import SETTINGS_FILE, settings_document
from otkit.encoders.torch import TorchEncoder, quiet_transformers
from otkit.errors import ExportError, choose
from otkit.exports.card import folder_card
from otkit.exports.gguf import write_gguf
from otkit.exports.settings import ExportSettings
from otkit.files import fresh_folder, to_json

__all__ = ["FOLDERS", "export_folder"]

Metadata = Mapping[str, Any]


def _transformers(encoder: TorchEncoder, folder: Path, kind: str) -> None:
    encoder.model.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)


def _sentence_transformers(encoder: TorchEncoder, folder: Path, kind: str) -> None:
    """The layout that `SentenceTransformer(FOLDER)` reads: encoder, pooling and normalisation as three
    modules."""
    _transformers(encoder, folder, kind)
    settings = encoder.settings
    modules = ("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (name, path) in enumerate(modules)
    ]
    pooling = {
        "word_embedding_dimension": encoder.dimension,
        "pooling_mode_cls_token": settings.pooling == "cls",
        "pooling_mode_mean_tokens": settings.pooling == "mean",
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
        "include_prompt": True,  # E5's mean runs over the prefix too
    }
    prompts = {
        "prompts": {"query": settings.prefix} if settings.prefix else {},
        "default_prompt_name": "query" if settings.prefix else None,
        "similarity_fn_name": "cosine",
    }
    for name in ("1_Pooling", "2_Normalize"):
        (folder / name).mkdir()
    _write_json(folder / "modules.json", listed)
    _write_json(folder / "1_Pooling" / "config.json", pooling)
    _write_json(folder / "2_Normalize" / "config.json", {})
    _write_json(folder / "config_sentence_transformers.json", prompts)
    _write_json(
        folder / "sentence_bert_config.json", {"max_seq_length": encoder.max_tokens, "do_lower_case": False}
    )


def _gguf(encoder: TorchEncoder, folder: Path, kind: str) -> None:
    """The GGUF file with its tokenizer inside, and tokenizer.json beside it, which is exact where both
    differ."""
    write_gguf(encoder, folder / f"encoder-{kind}.gguf", kind=kind)
    encoder.tokenizer.save_pretrained(folder)


def _write_json(path: Path, document: object) -> None:
    path.write_text(to_json(document), encoding="utf-8")


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
