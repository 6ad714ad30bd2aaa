"""Whole checks: planted errors come first, in their class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import otkit
from otkit.alignment import checking
from otkit.alignment.checking import TranslationChecker
from otkit.checks import language
from otkit.checks.classes import CLASSES
from otkit.encoders.measured import every_measured
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


def test_a_score_is_the_same_whatever_file_is_first(
    tiny_encoder: TorchEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scale is the encoder's: neither the words of the first file nor what was kept before change it."""
    (tmp_path / "short.tsv").write_text("das haus ist klein\tthe house\n" * 2, encoding="utf-8")
    (tmp_path / "long.tsv").write_text("ein haus\tis the small house a house\n" * 2, encoding="utf-8")
    found = {}
    for turn, names in enumerate((["short", "long"], ["long", "short"], ["long"])):
        monkeypatch.setattr(
            "platformdirs.user_cache_dir", lambda *a, turn=turn, **k: str(tmp_path / f"{turn}")
        )
        read = otkit.check([tmp_path / f"{name}.tsv" for name in names], tiny_encoder)
        found[turn] = {
            (line.file, line.line): {name: each.score for name, each in line.found.items()}
            for line in read.worst
        }
    assert found[0] == found[1]
    assert {key: value for key, value in found[0].items() if "long" in key[0]} == found[2]


def test_what_the_sample_costs_is_measured_once(
    tiny_encoder: TorchEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *a, **k: str(tmp_path / "cache"))
    (tmp_path / "some.tsv").write_text("das haus\tthe small house\n", encoding="utf-8")
    calls: list[str] = []
    for name, owner in (("unaligned_minima", checking), ("check_sample", TranslationChecker)):
        real = getattr(owner, name)

        def counted(*given: object, real: Any = real, name: str = name) -> Any:
            calls.append(name)
            return real(*given)

        monkeypatch.setattr(owner, name, counted)

    def scores() -> dict[str, float]:
        (line,) = otkit.check(tmp_path / "some.tsv", tiny_encoder).worst
        return {name: each.score for name, each in line.found.items()}

    first = scores()
    assert sorted(calls) == ["check_sample", "unaligned_minima"]
    assert scores() == first
    assert len(calls) == 2
    for each in every_measured():
        content = each.file.read_bytes()
        for damaged in (
            b"",
            content[:40],
            b'{"found": {"costs": [NaN], "added": [1, null]}}',
            b'{"found": []}',
        ):
            each.file.write_bytes(damaged)
            assert scores() == first, "a damaged file is made anew"
        assert each.file.read_bytes() == content
    assert len(calls) == 2 + 2 * 4
    next(iter(tiny_encoder.model.parameters())).data.mul_(1.5)
    scores()
    assert len(calls) == 2 + 2 * 4 + 2, "other weights"


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
