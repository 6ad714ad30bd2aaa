"""Where the sample encoder and the sample data lie: inside the wheel, or beside the package in a checkout."""

from __future__ import annotations

from pathlib import Path

from otkit.errors import InputError

__all__ = ["sample_data", "sample_encoder"]


def sample_data() -> Path:
    """The folder `sample_data`."""
    here = Path(__file__).resolve().parent
    for folder in (here / "sample_data", here.parent / "sample_data"):
        if (folder / "README.md").is_file():
            return folder
    raise InputError("the sample data is not installed", where=str(here), remedy="reinstall otkit")


def sample_encoder() -> Path:
    """The folder of the embedded encoder."""
    return sample_data() / "encoder"
