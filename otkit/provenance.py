"""What a figure rests on: the versions of the packages that computed it."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from otkit import __version__

__all__ = ["versions"]

_PACKAGES = ("torch", "transformers", "accelerate", "numpy", "faiss-cpu", "onnxruntime", "pot")


def versions() -> dict[str, str]:
    """otkit's, Python's and the packages' versions, of those that are installed."""
    found = {"otkit": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
