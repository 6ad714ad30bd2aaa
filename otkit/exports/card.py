"""The README.md of an exported folder."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import yaml  # type: ignore[import-untyped]

from otkit import __version__
from otkit.encoders.torch import TorchEncoder
from otkit.exports.graph import whole_width
from otkit.training.card import PLACE, based_on, opening

if TYPE_CHECKING:
    from otkit.exports.onnx import ExportReport

__all__ = ["folder_card", "onnx_card"]


def _front(encoder: TorchEncoder, library: str, *tags: str) -> str:
    front = {
        "library_name": library,
        "tags": ["word-alignment", "sentence-similarity", "multilingual", *tags, "otkit"],
        **based_on(encoder),
    }
    return str(yaml.safe_dump(front, default_style='"', sort_keys=False, width=10**9))


def onnx_card(encoder: TorchEncoder, report: ExportReport) -> str:
    """What the folder holds, how it is used, and how far it is from its original."""
    parity, layers = report.chosen.parity, encoder.settings.alignment_layers
    prefix = (
        f"the text `{_one_line(encoder.settings.prefix)}` before it"
        if encoder.settings.prefix
        else "no prefix"
    )
    listed = ", ".join(map(str, layers))
    states = f"the mean of hidden states {listed}" if len(layers) > 1 else f"hidden state {listed}"
    single = "".join(
        f"- `layer_{layer}` (batch, tokens, {encoder.dimension})\n" for layer in layers if len(layers) > 1
    )
    name = _one_line(encoder.name)
    return f"""---
{_front(encoder, "onnx", "onnx")}---

# `{name}`, as ONNX

Exported by otkit {__version__}: {report.chosen.recipe}; opset {report.opset}; {report.chosen.bytes / 1e6:.1f} MB,
{report.share:.0%} of fp32.

Inputs: `input_ids` and `attention_mask`, int64 (batch, tokens), at most {encoder.max_tokens} tokens. Outputs:

- `token_states` (batch, tokens, {encoder.dimension}): for word alignment, {states}
- `sentence_vector` (batch, {whole_width(encoder)}): for search, unit length, {_sentence_vector(encoder)};
  a sentence is encoded with {prefix}
{single}
Measured on {parity.sentences} real sentences against the torch encoder, on {platform.machine()}:

| figure | value |
|---|---|
| largest absolute difference | {parity.largest_difference:.2g} |
| lowest / mean cosine of sentence vectors | {parity.lowest_cosine:.4f} / {parity.mean_cosine:.4f} |
| mean cosine of token states | {parity.mean_token_cosine:.4f} |
| agreement of word links (F1) | {parity.link_agreement:.3f} |
| retrieval accuracy before / after | {parity.retrieval_before:.1f} / {parity.retrieval_after:.1f} |

`otkit show-alignment --model {PLACE} SOURCE TARGET` uses it; with onnxruntime, numpy and tokenizers alone, see
`examples/use_onnx.py` of otkit. `manifest.json` holds versions, hashes and every recipe that was tried.
"""


def _sentence_vector(encoder: TorchEncoder) -> str:
    """What makes it, in its order."""
    return ", ".join((f"{encoder.settings.pooling} pooling", *encoder.head.names))


def _one_line(name: str) -> str:
    """A folder's name, which may be anything, as a title can have it."""
    return "".join(c if c.isprintable() else " " for c in name).replace("`", "'")


_USE = {
    "sentence-transformers": """from sentence_transformers import SentenceTransformer

vectors = SentenceTransformer("{place}"{kept}).encode(["a sentence"])""",
    "gguf": "otkit show-alignment --model {place} SOURCE TARGET",
}


def folder_card(encoder: TorchEncoder, to: str) -> str:
    """The README.md of an export in another layout than ONNX."""
    layers = ", ".join(map(str, encoder.settings.alignment_layers))
    # Its folder has no place for it: who opens it says so.
    kept = f", truncate_dim={encoder.settings.truncate_dim}" if encoder.settings.truncate_dim else ""
    return f"""---
{_front(encoder, to)}---

# `{_one_line(encoder.name)}`

Written by otkit {__version__} for {to}:

```{"sh" if to == "gguf" else "python"}
{opening(encoder) if to == "transformers" else _USE[to].format(place=PLACE, kept=kept)}
```

Sentence vectors: {_sentence_vector(encoder)} of the last layer, unit length, prefix
`{_one_line(encoder.settings.prefix)}`. Word alignment: hidden states {layers} of {encoder.layers}.
"""
