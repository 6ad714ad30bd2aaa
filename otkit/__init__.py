"""otkit: multilingual encoders that agree across languages, by optimal transport.

Every command of `otkit` is a function here: fine-tune an encoder so that translated sentences get the same cloud of
word vectors (`train`), look at the word links that the transport plans contain (`align_words`, `Aligner`), measure and
ship the result (`evaluate`, `export`). Importing this package imports nothing heavy: each name is fetched when it is
first asked for.

Shape letters, the same in every file:

    B  sentence pairs in a batch        D  width of a vector
    N  source units (words, subwords)   T  subword tokens of a padded sentence
    M  target units                     W  words of a padded sentence
    K  layers or neighbours
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otkit import errors
    from otkit.api import evaluate
    from otkit.api.align import Aligner, align_words
    from otkit.api.check import check
    from otkit.api.compare import compare
    from otkit.api.embed import embed, search
    from otkit.api.export import export
    from otkit.api.inspect import inspect
    from otkit.api.project import lexicon, project, tags, transfer_tags
    from otkit.api.train import train
    from otkit.encoders.open import open_encoder
    from otkit.training.recipe import Recipe

__all__ = [
    "Aligner",
    "Recipe",
    "__version__",
    "align_words",
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
    "check": "otkit.api.check",
    "compare": "otkit.api.compare",
    "embed": "otkit.api.embed",
    "export": "otkit.api.export",
    "inspect": "otkit.api.inspect",
    "lexicon": "otkit.api.project",
    "open_encoder": "otkit.encoders.open",
    "project": "otkit.api.project",
    "search": "otkit.api.embed",
    "tags": "otkit.api.project",
    "train": "otkit.api.train",
    "transfer_tags": "otkit.api.project",
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
