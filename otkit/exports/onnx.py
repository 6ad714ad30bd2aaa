"""A folder with one ONNX graph and all that is needed to use it, written only if it passes
the gate."""

from __future__ import annotations

import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from otkit.data.lines import words_of
from otkit.data.parallel import Pair
from otkit.encoders.encoder import SETTINGS_FILE, settings_document
from otkit.encoders.onnx import MODEL_FILE, OnnxEncoder, output_names, write_manifest
from otkit.encoders.torch import TorchEncoder, quiet_transformers
from otkit.errors import ConfigError, ExportError, GateError
from otkit.exports.card import onnx_card
from otkit.exports.gate import (
    Limits,
    Parity,
    Views,
    compare,
    fitting,
    limits_of,
    look_at,
    missed,
    real_sentences,
)
from otkit.exports.graph import INPUTS, whole_width, write_graph
from otkit.exports.quantize import RECIPES, Feed, Quantisation
from otkit.exports.settings import ExportSettings
from otkit.files import fresh_folder, versions

__all__ = ["Attempt", "ExportReport", "export_onnx"]

_CALIBRATION = 24  # sentences that show a recipe which layers have outliers


@dataclass(frozen=True)
class Attempt:
    """A recipe that was tried: bytes of its graph, its figures, and the limits that it missed."""

    recipe: str
    bytes: int
    parity: Parity
    missed: tuple[str, ...]


@dataclass(frozen=True)
class ExportReport:
    """An export that passed: the last attempt is the one in the folder; fp32_bytes is the size before
    quantisation."""

    folder: Path
    quantize: str | None
    opset: int
    fp32_bytes: int
    attempts: tuple[Attempt, ...]
    seconds: float

    @property
    def chosen(self) -> Attempt:
        return self.attempts[-1]

    @property
    def share(self) -> float:
        """Size of the graph as a share of the fp32 graph."""
        return self.chosen.bytes / self.fp32_bytes


def export_onnx(
    encoder: TorchEncoder,
    folder: Path,
    settings: ExportSettings = ExportSettings(),  # noqa: B008  (frozen)
    *,
    limits: Limits | None = None,
    pairs: Mapping[str, list[Pair]] | None = None,
    metadata: Mapping[str, Any] | None = None,
    progress: Callable[[str], None] = lambda step: None,
    inputs: Iterable[str | Path | None] = (),
    overwrite: bool = False,
    also: Sequence[int] = (),
) -> ExportReport:
    """Write `folder` with the encoder as an ONNX graph, or raise GateError and leave nothing behind.

    The recipes of a quantisation are tried from the smallest to the most careful, and the first within the limits is
    taken. limits: those of the gate, by default what the settings say. pairs: its sentences by language, by default
    real ones of the sample data. A folder that holds one of `inputs` is never replaced. also: hidden states that the
    graph gives beside its own.
    """
    start = time.perf_counter()
    if encoder.device.type != "cpu":
        raise ConfigError("an encoder is exported from the CPU", remedy="open it with device='cpu'")
    recipes = RECIPES[settings.quantize] if settings.quantize else (Quantisation("fp32", _copy),)
    limits = limits or limits_of(settings)
    training = encoder.model.training
    attempts: list[Attempt] = []
    encoder.eval()
    try:
        with fresh_folder(Path(folder), "encoder", inputs=inputs, overwrite=overwrite) as target:
            with tempfile.TemporaryDirectory(dir=target) as scratch:  # gone before the folder is sealed
                progress("tracing the graph")
                whole = Path(scratch) / MODEL_FILE
                write_graph(encoder, whole, opset=settings.opset, also=also)
                progress("encoding the gate's sentences with torch")
                texts, measure = compare(fitting(pairs or real_sentences(), encoder))
                before = look_at(encoder, texts)
                for recipe in recipes:
                    progress(f"trying: {recipe.name}")
                    attempts.append(_attempt(encoder, recipe, whole, target, texts, before, measure, limits))
                    if not attempts[-1].missed:
                        break
                else:
                    raise GateError(
                        f"the exported encoder differs too much from its original: {_reasons(attempts)}",
                        where=str(folder),
                        remedy=("export without quantisation", "loosen the limit if you accept the loss"),
                    )
                fp32_bytes = _size(whole)
            report = ExportReport(
                folder=Path(folder),
                quantize=settings.quantize,
                opset=settings.opset,
                fp32_bytes=fp32_bytes,
                attempts=tuple(attempts),
                seconds=time.perf_counter() - start,
            )
            _write_companions(encoder, target, report, limits, dict(metadata or {}))
    finally:
        encoder.train(training)
    return report


def _copy(source: Path, target: Path, feed: Feed) -> None:
    for path in source.parent.glob(f"{MODEL_FILE}*"):  # with its .data file where it is past 2 GB
        shutil.copy(path, target.parent / path.name)


def _size(graph: Path) -> int:
    return sum(path.stat().st_size for path in graph.parent.glob(f"{MODEL_FILE}*"))


def _attempt(
    encoder: TorchEncoder,
    recipe: Quantisation,
    whole: Path,
    target: Path,
    texts: list[str],
    before: Views,
    measure: Callable[[Views, Views], Parity],
    limits: Limits,
) -> Attempt:
    for path in target.glob(f"{MODEL_FILE}*"):
        path.unlink()
    tokens = encoder.tokenize([words_of(text) for text in texts[:_CALIBRATION]])
    feed = {"input_ids": tokens.ids.numpy(), "attention_mask": tokens.attention.to(torch.int64).numpy()}
    try:
        recipe.write(whole, target / MODEL_FILE, feed)
    except Exception as error:  # whatever ONNX Runtime's tools meet in a graph that they do not know
        raise ExportError(
            f"its graph cannot be made smaller ({recipe.name}): {error or type(error).__name__}",
            where=encoder.name,
            remedy="export without quantisation",
        ) from error
    exported = OnnxEncoder(
        target / MODEL_FILE,
        encoder.subwords,
        name=encoder.name,
        settings=encoder.settings,
        dimension=encoder.dimension,
        layers=encoder.layers,
        sentence_dimension=whole_width(encoder),
    )
    parity = measure(before, look_at(exported, texts))
    return Attempt(recipe.name, _size(target / MODEL_FILE), parity, missed(parity, limits))


def _cpu() -> dict[str, str | bool]:
    """Where the figures were measured: int8 products round differently on x86 processors without VNNI."""
    flags = Path("/proc/cpuinfo")
    known = flags.read_text(encoding="utf-8", errors="replace") if flags.is_file() else ""
    return {"machine": platform.machine(), "vnni": "vnni" in known}


def _reasons(attempts: list[Attempt]) -> str:
    return "; ".join(f"{attempt.recipe}: {', '.join(attempt.missed)}" for attempt in attempts)


def _write_companions(
    encoder: TorchEncoder, target: Path, report: ExportReport, limits: Limits, metadata: dict[str, Any]
) -> None:
    """Tokenizer, config, otkit.json, model card, and last the manifest with the hashes of them all."""
    with quiet_transformers():
        encoder.model.config.save_pretrained(target)
        encoder.tokenizer.save_pretrained(target)
    (target / SETTINGS_FILE).write_text(
        settings_document(encoder.name, encoder.settings, metadata), encoding="utf-8"
    )
    (target / "README.md").write_text(onnx_card(encoder, report), encoding="utf-8")
    write_manifest(
        target,
        {
            "cpu": _cpu(),
            "versions": versions(),
            "encoder": {
                "name": encoder.name,
                "dimension": encoder.dimension,
                "sentence_dimension": whole_width(encoder),
                "modules": encoder.head.names if encoder.head.changes else [],
                "layers": encoder.layers,
                "max_tokens": encoder.max_tokens,
                "unknown_id": encoder.subwords.unknown_id,
                "padding_id": encoder.subwords.padding_id,
                "languages": encoder.subwords.languages,
                "usual_language": encoder.subwords.usual,
                "truncation_side": encoder.subwords.truncation_side,
            },
            "graph": {
                "file": MODEL_FILE,
                "opset": report.opset,
                "inputs": list(INPUTS),
                "outputs": list(output_names(encoder.settings.alignment_layers)),
                "alignment_layers": list(encoder.settings.alignment_layers),
            },
            "quantize": report.quantize,
            "fp32_bytes": report.fp32_bytes,
            "limits": {key: value for key, value in asdict(limits).items() if value != float("inf")},
            "attempts": [asdict(attempt) for attempt in report.attempts],
        },
    )
