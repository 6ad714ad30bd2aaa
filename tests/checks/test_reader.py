"""Whole checks: planted errors come first, in their class."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import otkit
from otkit.checks import language
from otkit.checks.classes import CLASSES
from otkit.encoders.torch import TorchEncoder
from otkit.resources import sample_data

PLANTED = {
    "copy": (
        "Der Zug nach Hamburg fährt heute leider nicht .",
        "Der Zug nach Hamburg fährt heute leider nicht .",
    ),
    "numbers": ("Im Jahr 1987 wohnten dort 120 Menschen .", "In 1978 120 people lived there ."),
    "negation": ("Wir haben das Haus gestern verkauft .", "We did not sell the house yesterday ."),
    "dropped": (
        "Das Haus ist alt , und der Garten hinter dem Haus ist voller Apfelbäume und Rosen .",
        "The house is old .",
    ),
    "added": (
        "Das Haus ist alt .",
        "The house is old , and in the harbour the fishermen were mending their torn nets .",
    ),
}


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample pairs of German and English, and behind them one of each error."""
    clean = (sample_data() / "parallel" / "de-en.dev.tsv").read_text(encoding="utf-8")
    path = tmp_path_factory.mktemp("checks") / "spoilt.de-en.tsv"
    path.write_text(
        clean + "".join(f"{source}\t{target}\n" for source, target in PLANTED.values()), encoding="utf-8"
    )
    return path


def test_planted_errors_come_first_in_their_class(sample_encoder: TorchEncoder, spoilt: Path) -> None:
    pytest.importorskip("py3langid")
    found = otkit.check(spoilt, sample_encoder)
    assert found.off == {}
    first = {line.line: line for line in found.worst[: len(PLANTED) + 2]}
    for place, name in enumerate(PLANTED):
        line = first[33 + place]
        assert line.found[name].score >= 0.93, name
        assert set(line.found) == set(CLASSES)
    assert first[34].found["numbers"].what == "1987 / 1978"
    assert first[37].found["added"].what.endswith("nets")
    assert found.flagged["numbers"] == 1
    scores = [line.score for line in found.worst]
    assert scores == sorted(scores, reverse=True)
    by_class = otkit.check(spoilt, sample_encoder, sort="negation", top=1)
    assert by_class.worst[0].line == 35


def test_without_the_identifier_its_class_is_off_and_said(
    tiny_encoder: TorchEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language.importlib.util, "find_spec", lambda name: None)
    notes: list[str] = []
    for name in ("corpus.de-en.tsv", "corpus.tsv"):
        (tmp_path / name).write_text("das haus\tthe house\n", encoding="utf-8")
    found = otkit.check(tmp_path / "corpus.de-en.tsv", tiny_encoder, on_note=notes.append)
    assert list(found.off) == ["language"]
    assert "otkit[language]" in notes[0]
    assert "language" not in json.loads(found.text())["classes"]
    found = otkit.check(tmp_path / "corpus.tsv", tiny_encoder)
    assert list(found.off) == ["language", "negation"]
