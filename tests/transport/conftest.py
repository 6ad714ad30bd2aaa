"""Small problems are faster on one thread, and the suite shares its cores."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _on_one_thread(one_thread: None) -> None:
    pass
