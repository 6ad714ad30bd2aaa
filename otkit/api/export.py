"""`otkit.export`: an encoder for other programs, proven to be still the same encoder."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from otkit.data.lines import LineSource
from otkit.encoders.encoder import Encoder, EncoderSettings, resolve_layers
from otkit.encoders.open import open_encoder
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError
from otkit.exports.folders import export_folder
from otkit.exports.onnx import ExportReport, export_onnx
from otkit.exports.settings import OUTPUT, ExportSettings
from otkit.exports.trim import TrimReport, pieces_of, trim_vocabulary
from otkit.inspector.website import export_website

__all__ = ["Exported", "export"]


@dataclass(frozen=True)
class Exported:
    """A finished export.

    folder    what was written;  bytes: of the graph (ONNX, web), or of all files
    name, encoder   the encoder's name, and its own settings as they are written
    settings  how it was exported
    onnx      the recipes that were tried and their figures, where there is a graph
    trim      what a smaller vocabulary saves and costs, where one was asked for
    """

    folder: Path
    bytes: int
    name: str
    encoder: EncoderSettings
    settings: ExportSettings
    onnx: ExportReport | None = None
    trim: TrimReport | None = None

    def to_dict(self) -> dict[str, Any]:
        """All figures, for JSON."""
        found: dict[str, Any] = {
            "model": self.name,
            "to": self.settings.to,
            "settings": asdict(self.encoder),
            "export_settings": self.settings.to_dict(),
            "bytes": self.bytes,
        }
        if self.trim is not None:
            found["trim"] = asdict(self.trim)
        if self.onnx is not None:
            found["export"] = {**asdict(self.onnx), "folder": str(self.folder)}
        return found


def export(
    encoder: Encoder | str | Path | None = None,
    to: str = "onnx",
    *,
    output: str | Path = OUTPUT,
    trim_vocab: Iterable[str | Path] = (),
    overwrite: bool = False,
    on_progress: Callable[[str], None] = lambda step: None,
    **settings: Any,
) -> Exported:
    """Write the folder `output` with an encoder in the form `to`, or nothing at all.

    encoder     an open encoder, or what `open_encoder` takes: a Hub name, a folder, a .gguf file; None is the sample
                encoder. An open one must lie on the CPU, and is left as it is.
    to          "onnx", "transformers", "sentence-transformers", "gguf" or "web"
    trim_vocab  files of text, plain or .gz: only the subwords that they need are kept, or those of a tokenizer.json
    overwrite   replace a folder that otkit did not make
    on_progress told what begins, in a few words
    settings    the other fields of `ExportSettings`: quantize ("int8", "int4"), gguf_type, layers, opset, max_graph_mb
                (of a page), and limits of the gate: min_cosine, min_agreement (0 to 1) and
                max_retrieval_loss (points of accuracy)

    An ONNX graph is compared with the original on real sentences in five languages. Past a limit nothing is written and
    a `GateError` names the figure. With `quantize`, recipes are tried from the smallest on and the first within the
    limits is taken. `ConfigError` for settings that do not go together, `ExportError` for an architecture that the
    target has no place for.

    >>> import otkit
    >>> made = otkit.export("sample_data/encoder", "transformers", output="runs/hf", overwrite=True)
    >>> made.folder.name, otkit.open_encoder(made.folder).layers
    ('hf', 12)
    """
    chosen = ExportSettings().changed(to=to, **settings)
    files = [Path(file) for file in trim_vocab]
    given = encoder if isinstance(encoder, str | Path) else None
    opened = open_encoder(encoder, device="cpu")
    # An open encoder has a place too, which must not be written over.
    inputs: list[str | Path | None] = [given, opened.origin, *files]
    if not isinstance(opened, TorchEncoder):
        raise ConfigError(
            "an ONNX folder is already exported",
            where=opened.name if given is None else str(given),
            remedy="export the encoder it was made from",
        )
    if chosen.layers is not None:
        opened = copy.copy(opened)
        layers = resolve_layers(chosen.layers, opened.layers)
        opened.settings = replace(opened.settings, alignment_layers=layers)
    trim = None
    if files:
        on_progress("trimming the vocabulary")
        vocabularies = [file for file in files if file.name == "tokenizer.json"]
        named = frozenset[str]().union(*map(pieces_of, vocabularies))
        texts = [file for file in files if file not in vocabularies]
        opened, trim = trim_vocabulary(opened, _lines(texts), also=named)
    folder, report = Path(output), None
    origin = {} if opened.hub_name is None else {"hub_name": opened.hub_name}
    if to == "onnx":
        report = export_onnx(
            opened,
            folder,
            chosen,
            progress=on_progress,
            metadata=origin,
            inputs=inputs,
            overwrite=overwrite,
        )
        written = report.chosen.bytes
    elif to == "web":
        report, written = export_website(
            opened, folder, chosen, progress=on_progress, inputs=inputs, overwrite=overwrite
        )
    else:
        on_progress(f"writing for {to}")
        written = export_folder(
            opened,
            folder,
            to=to,
            gguf_type=chosen.gguf_type,
            metadata=origin,
            inputs=inputs,
            overwrite=overwrite,
        )
    return Exported(folder, written, opened.name, opened.settings, chosen, report, trim)


def _lines(files: list[Path]) -> Iterator[str]:
    """The text of all files, line by line; a bad line is an error here: a vocabulary is no place to guess."""
    for file in files:
        for line in LineSource(file):
            if not isinstance(line, str):
                raise line
            yield line
