"""One real start of the command: its address, an answer, and its end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import httpx2

from tests.conftest import make_tiny_encoder


def test_the_server_says_where_it_is_and_stops_when_told(tmp_path: Path) -> None:
    make_tiny_encoder().save(tmp_path / "tiny")
    (tmp_path / "c.de-en.tsv").write_text("das haus\tthe house\nein haus\ta house\n")
    words = ["c.de-en.tsv", "--model", "tiny", "--model", "sample", "--no-browser", "--output", "notes"]
    run = subprocess.Popen(
        [sys.executable, "-m", "otkit", "inspect", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    url = run.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:"), run.communicate()
    facts = httpx2.post(f"{url}settings", json={}, timeout=60).json()
    assert [model["name"] for model in facts["models"]] == ["tiny", "sample encoder"]
    assert facts["corpus"] == {"name": "c.de-en.tsv", "pairs": 2, "gold": False}
    pair = {"source": "das haus", "target": "the house", "by": "me", "cells": [[0, 0, "sure"]]}
    assert httpx2.post(f"{url}annotate", json=pair, timeout=60).json()["cells"] == [[0, 0, "sure"]]
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=120)
    assert (run.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in err
    assert (tmp_path / "notes" / "me.tsv").read_text() == "das haus\tthe house\t0-0\n"
    assert not list((tmp_path).glob(".*lock"))
