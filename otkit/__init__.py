"""otkit: multilingual encoders that agree across languages, by optimal transport.

Fine-tune an encoder so that translated sentences get the same cloud of word vectors (`otkit align`), look at the
transport plans (`otkit show-alignment`), and measure and ship the result. Importing this package imports nothing
heavy; `otkit.align_words` and `otkit.open_encoder` are fetched when first asked for.

Shape letters, the same in every file:

    B  sentence pairs in a batch        D  width of a vector
    N  source units (words, subwords)   T  subword tokens of a padded sentence
    M  target units                     W  words of a padded sentence
    K  layers or neighbours
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otkit.api import align_words
    from otkit.encoders.checkpoint import open_encoder

__all__ = ["__version__", "align_words", "open_encoder"]

__version__ = "0.1.0"

_HOMES = {"align_words": "otkit.api", "open_encoder": "otkit.encoders.checkpoint"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # asked once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
