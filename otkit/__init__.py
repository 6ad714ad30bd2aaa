"""otkit: multilingual encoders that agree across languages, by optimal transport.

What the commands of `otkit` do, functions here do: fine-tune an encoder so that translated sentences get the same
cloud of word vectors (`train`), look at the word links that the transport plans contain (`align_words`, `Aligner`),
measure and ship the result (`evaluate`, `export`). Importing this package imports nothing heavy: each name is fetched
when it is first asked for.

Shape letters, the same in every file:

    B  sentence pairs in a batch        D  width of a vector
    N  source units (words, subwords)   T  subword tokens of a padded sentence
    M  target units                     W  words of a padded sentence
    K  layers or neighbours
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

# Or the first import of ONNX Runtime, from wherever, writes an identifier of this device below the user's cache.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from otkit import errors
    from otkit.api import evaluate
    from otkit.api.align import Aligner, align_words
    from otkit.api.augment import augment
    from otkit.api.check import check
    from otkit.api.compare import compare
    from otkit.api.embed import embed, search
    from otkit.api.export import export
    from otkit.api.inspect import inspect
    from otkit.api.lexicon import lexicon
    from otkit.api.project import project
    from otkit.api.push import push
    from otkit.api.tags import tags, transfer_tags
    from otkit.api.train import train
    from otkit.encoders.open import open_encoder
    from otkit.training.recipe import Recipe

__all__ = [
    "Aligner",
    "Recipe",
    "__version__",
    "align_words",
    "augment",
    "check",
    "compare",
    "embed",
    "errors",
    "evaluate",
    "export",
    "inspect",
    "lexicon",
    "open_encoder",
    "project",
    "push",
    "search",
    "tags",
    "train",
    "transfer_tags",
]

__version__ = "0.2.0"

_HOMES = {
    "Aligner": "otkit.api.align",
    "Recipe": "otkit.training.recipe",
    "align_words": "otkit.api.align",
    "augment": "otkit.api.augment",
    "check": "otkit.api.check",
    "compare": "otkit.api.compare",
    "embed": "otkit.api.embed",
    "export": "otkit.api.export",
    "inspect": "otkit.api.inspect",
    "lexicon": "otkit.api.lexicon",
    "open_encoder": "otkit.encoders.open",
    "project": "otkit.api.project",
    "push": "otkit.api.push",
    "search": "otkit.api.embed",
    "tags": "otkit.api.tags",
    "train": "otkit.api.train",
    "transfer_tags": "otkit.api.tags",
}
_MODULES = {"errors": "otkit.errors", "evaluate": "otkit.api.evaluate"}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        value: object = import_module(_MODULES[name])
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value  # asked once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})
