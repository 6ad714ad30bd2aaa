"""The inspector in the browser alone: a folder that any static host serves, and that asks no server anything.

The page is that of `otkit inspect`. In the place of the server that answers it stand modules which cut words into
pieces, run the encoder's graph in ONNX Runtime (WebAssembly) and solve the transport; tests hold each of them to
Python's figures.
"""

from __future__ import annotations

import dataclasses
import json
import lzma
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterable
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from otkit.alignment.layer_choice import layers_of
from otkit.alignment.partners import rules_of
from otkit.alignment.settings import AlignmentSettings
from otkit.encoders.onnx import MODEL_FILE, layer_output, without_unused
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ExportError, OutputError
from otkit.exports.onnx import ExportReport, export_onnx
from otkit.exports.settings import ExportSettings
from otkit.files import fresh_folder, to_json
from otkit.inspector.endpoints import settings_facts

__all__ = ["export_website"]

_POLICY = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'self' "
    "'wasm-unsafe-eval'; connect-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:\">"
)
# What assets/aligner.js has of the transports and of the strategies.
_HAS = {"transport": ("unbalanced",), "strategy": ("threshold", "mutual", "forward", "backward", "union")}


def export_website(
    encoder: TorchEncoder,
    folder: Path,
    settings: ExportSettings,
    *,
    progress: Callable[[str], None] = lambda step: None,
    inputs: Iterable[str | Path | None] = (),
    overwrite: bool = False,
) -> tuple[ExportReport, int]:
    """Write `folder` with the page and the encoder's quantised graph, cut above the last hidden state that words are
    aligned by; returns how it was quantised, and the bytes of the graph. Past the gate, or larger than the settings
    say, nothing is written."""
    tokenizer = _tokenizer(encoder)
    own = layers_of(encoder, None)
    states = max(own) + 1
    quantize = settings.quantize or "int8"
    table = encoder.model.get_input_embeddings().get_parameter("weight").numel()
    _check_size(table / 2 if quantize == "int4" else table, settings, folder)  # before minutes of work
    with tempfile.TemporaryDirectory() as scratch:
        graph = Path(scratch) / "graph"
        quantised = settings.changed(to="onnx", quantize=quantize, max_graph_mb=ExportSettings.max_graph_mb)
        report = export_onnx(encoder, graph, quantised, progress=progress, also=range(states))
        short = without_unused(graph / MODEL_FILE, [layer_output(layer) for layer in range(states)])
    if short is None:
        raise ExportError(
            "its weights do not fit into one file of a graph",
            where=encoder.name,
            remedy="choose a smaller encoder",
        )
    _check_size(len(short), settings, folder)
    facts = _facts(encoder, own, states)
    with fresh_folder(folder, "encoder", inputs=inputs, overwrite=overwrite) as target:
        (target / "assets").mkdir()
        room = resources.files("otkit.inspector")
        for name in ("assets", "website_assets"):  # the second has an `ask.js` of its own
            _copied(room / name, target / "assets")
        page = (target / "assets" / "index.html").read_text(encoding="utf-8")
        (target / "assets" / "index.html").unlink()
        page = page.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n{_POLICY}')
        page = page.replace('  <a href="docs">endpoints</a>\n', "")
        (target / "index.html").write_text(page, encoding="utf-8")
        (target / "assets" / MODEL_FILE).write_bytes(short)
        (target / "assets" / "tokenizer.json").write_text(to_json(tokenizer, indent=None), encoding="utf-8")
        (target / "assets" / "page.json").write_text(to_json(facts, indent=None), encoding="utf-8")
    return dataclasses.replace(report, folder=folder), len(short)


def _check_size(size: float, settings: ExportSettings, folder: Path) -> None:
    if size > 1e6 * settings.max_graph_mb:
        raise OutputError(
            f"the graph needs {size / 1e6:.3g} MB, and a page may load {settings.max_graph_mb:g}",
            where=str(folder),
            remedy=(
                "keep the words of the page's languages alone: give `trim_vocab` text in them",
                "allow a larger one with `max_graph_mb`",
            ),
        )


def _copied(source: Traversable, target: Path) -> None:
    """The files of a folder, those that are packed unpacked."""
    target.mkdir(exist_ok=True)
    for file in source.iterdir():
        if file.is_dir():
            _copied(file, target / file.name)
        elif file.name.endswith(".xz"):
            (target / file.name.removesuffix(".xz")).write_bytes(lzma.decompress(file.read_bytes()))
        else:
            (target / file.name).write_bytes(file.read_bytes())


def _tokenizer(encoder: TorchEncoder) -> dict[str, Any]:
    """What assets/tokenizer.js needs of the encoder's tokenizer, which must be of its kind."""
    document = json.loads(encoder.tokenizer.backend_tokenizer.to_str())
    model, normalizer, cut = (document[key] or {} for key in ("model", "normalizer", "pre_tokenizer"))
    steps = normalizer.get("normalizers", [normalizer] if normalizer else [])
    cuts = [step for step in cut.get("pretokenizers", [cut]) if step.get("type") != "WhitespaceSplit"]
    known = (
        model.get("type") == "Unigram"
        and not model.get("byte_fallback")
        and model.get("unk_id") is not None
        and all(step.get("type") == "Precompiled" or "Regex" in (step.get("pattern") or {}) for step in steps)
        and [(step.get("type"), step.get("prepend_scheme")) for step in cuts] == [("Metaspace", "always")]
    )
    if not known:
        raise ExportError(
            f"the page cuts words into SentencePiece's unigram pieces alone, and its tokenizer is {model.get('type')}",
            where=encoder.name,
            remedy="choose an encoder of XLM-R's family or the sample encoder, or serve it with the inspector",
        )
    return {"model": {key: model[key] for key in ("vocab", "unk_id")}, "normalizer": document["normalizer"]}


def _facts(encoder: TorchEncoder, own: tuple[int, ...], states: int) -> dict[str, Any]:
    """What the page is told of the settings and of the encoder."""
    start = AlignmentSettings()
    facts = settings_facts(start)
    for name, values in _HAS.items():
        choices = facts["settings"][name]["choices"]
        facts["settings"][name]["choices"] = {value: choices[value] for value in values}
    example = encoder.subwords.encode([("a",)], prefix=encoder.settings.prefix)
    inside = (example.word_ids[0] >= 0).nonzero().flatten().tolist()
    ids = example.ids[0].tolist()
    return {
        **facts,
        "models": [{"name": encoder.name, "states": states, "layers": list(own)}],
        "corpus": None,
        "annotations": False,
        "alone": True,
        "start": start.used(),
        "rules": rules_of(start),
        "wide": _wide(),
        "encoder": {
            "states": states,
            "lead": ids[: inside[0]],
            "after": ids[inside[-1] + 1 :],
            "padding": encoder.subwords.padding_id,
            "limit": encoder.max_tokens,
        },
    }


def _wide() -> list[int]:
    """The code points of wide characters as ranges, from and to by turns."""
    found: list[int] = []
    for code in range(sys.maxunicode + 1):
        if unicodedata.east_asian_width(chr(code)) in "WF":
            if found and found[-1] == code - 1:
                found[-1] = code
            else:
                found += [code, code]
    return found
