"""How an encoder is exported. It imports no torch: `otkit export --help` shows these settings.

The names that a setting takes stand here with their meaning; a test compares them with the tables of the modules that
act on them.
"""

from __future__ import annotations

from dataclasses import dataclass

from otkit.errors import ConfigError
from otkit.settings import Settings, declared, setting

__all__ = ["GGUF_TYPES", "OUTPUT", "QUANTISATIONS", "TARGETS", "ExportSettings"]

OUTPUT = "runs/exported"
"""The folder that an export goes to where nobody names one."""

TARGETS = {
    "onnx": "one graph for ONNX Runtime",
    "transformers": "safetensors",
    "sentence-transformers": "safetensors with pooling and normalisation",
    "gguf": "llama.cpp's format",
    "web": "the inspector's page, for any static host",
}
QUANTISATIONS = {"int8": "about a quarter of fp32", "int4": "about an eighth"}
GGUF_TYPES = {"q4_0": "4.5 bits a weight", "q8_0": "8.5 bits", "f16": "16 bits", "f32": "32 bits"}
# Settings that only some targets look at.
_OF_TARGETS = {
    **dict.fromkeys(
        ("quantize", "opset", "min_cosine", "min_agreement", "max_retrieval_loss"), ("onnx", "web")
    ),
    "gguf_type": ("gguf",),
    "max_graph_mb": ("web",),
}
_PANEL, _GATE = "Export", "Gate"


@dataclass(frozen=True)
class ExportSettings(Settings):
    """What is written, and what the gate lets pass."""

    to: str = setting("onnx", "What to write.", choices=TARGETS, panel=_PANEL, everyday=True)
    quantize: str | None = setting(
        None,
        "Make the ONNX graph smaller. The smallest recipe that passes the gate is taken. A page's is int8 at least.",
        choices=QUANTISATIONS,
        panel=_PANEL,
        everyday=True,
    )
    gguf_type: str = setting(
        "q8_0", "The type of the weights in a GGUF file.", choices=GGUF_TYPES, panel=_PANEL, everyday=True
    )
    max_graph_mb: float = setting(
        25.0, "The largest graph that a page may load.", above=0, most=2000, unit="MB", panel=_PANEL
    )
    layers: tuple[int, ...] | None = setting(
        None,
        "The hidden states for word alignment, averaged; negative numbers count from the end. Without it, the"
        " encoder's own choice.",
        option="--layer",
        metavar="N[,N...]",
        panel=_PANEL,
        everyday=True,
    )
    opset: int = setting(
        18,
        "The ONNX opset. 18 runs nearly everywhere; 23 and up have native Attention nodes.",
        least=18,
        most=24,
        panel=_PANEL,
    )
    min_cosine: float | None = setting(
        None,
        "The lowest cosine of a sentence vector with its original that passes.",
        least=-1,
        most=1,
        panel=_GATE,
    )
    min_agreement: float | None = setting(
        None,
        "The lowest agreement (F1) of word links with the original's that passes.",
        least=0,
        most=1,
        panel=_GATE,
    )
    max_retrieval_loss: float | None = setting(
        None,
        "The most points of retrieval accuracy that may be lost.",
        least=0,
        most=100,
        panel=_GATE,
    )

    def agree(self) -> None:
        for name, targets in _OF_TARGETS.items():
            value = getattr(self, name)
            if self.to not in targets and value != declared(type(self))[name].default:
                raise ConfigError(
                    f"received {value!r}, which is about {' and '.join(targets)} alone",
                    remedy=f"leave it out, or export to it with `to='{targets[0]}'`",
                    setting=name,
                )
