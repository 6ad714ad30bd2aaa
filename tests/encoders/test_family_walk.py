"""Every family through every command: a tiny random model is looked at, aligned, trained, measured and exported.

One family walks with each run of the tests; the others are slow.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from otkit.cli.app import app
from otkit.encoders.families import UNMASKED
from otkit.encoders.open import open_encoder
from tests.encoders.families import FAMILIES, canine, write_family
from tests.encoders.test_families import UNTRACEABLE

PAIRS = "".join(f"das haus ist {word}\tthe house is {word}\n" for word in "abcdefgh")
QUICK = ("-q", "--threads", "1")
RUN = ("--steps", "2", "--batch-size", "2", "--layer", "1", "--dev", "de-en.tsv", *QUICK)
FAST = {"distilbert"}
WITHOUT_LINEAR = {"ibert"}  # its layers are of a kind of their own, in 8 bits, which adapters do not know
WALKED = {**FAMILIES, "canine": canine}
WALKS = [pytest.param(family, marks=() if family in FAST else pytest.mark.slow) for family in WALKED]


def otkit(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == code, f"otkit {' '.join(words)}: {result.output} {result.exception!r}"
    return result.output


def test_the_page_of_encoders_names_those_that_walk() -> None:
    page = (Path(__file__).parents[2] / "docs" / "encoders.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| .* \| (`.*) \|$", page, flags=re.MULTILINE)
    named = {name for row in table for name in re.findall(r"`([a-z0-9_-]+)`", row)}
    assert named == WALKED.keys()
    (graphs, adapters) = re.findall(
        r"^No graph .*?: (.*?)\. No `--lora`: (.*?)\.$", page, flags=re.MULTILINE
    )[0]
    assert set(re.findall(r"`(.*?)`", graphs)) == (UNMASKED | UNTRACEABLE) & WALKED.keys()
    assert set(re.findall(r"`(.*?)`", adapters)) == WITHOUT_LINEAR


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "de-en.tsv").write_text(PAIRS, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("family", WALKS)
def test_a_family_walks_through_every_command(family: str, place: Path) -> None:
    write_family(WALKED[family], place / "tiny")
    model = ("--model", "tiny")
    assert "layers" in otkit("info", "tiny", "-q")
    otkit("show-alignment", "das haus ist a", "the house is a", *model, "--format", "pharaoh", "-q")
    otkit("extract", "de-en.tsv", *model, "--output", "links.align", *QUICK)
    assert len((place / "links.align").read_text().splitlines()) == 8
    otkit("embed", "de-en.tsv", *model, "--output", "vectors", "--index", "none", *QUICK)
    otkit("evaluate", "retrieval", "de-en.tsv", *model, "--json", "scores.json", "-q")
    assert json.loads((place / "scores.json").read_text(encoding="utf-8"))["tasks"]["retrieval"]

    otkit("align", "de-en.tsv", *model, "--output", "full", *RUN)
    adapters = ("align", "de-en.tsv", *model, "--lora", "2", "--output", "lora", *RUN)
    if family in WITHOUT_LINEAR:
        assert "leave the adapters out" in otkit(*adapters, code=1)
    else:
        otkit(*adapters)
    before = open_encoder(place / "tiny", device="cpu").weights_sha256()
    for output in ("full",) if family in WITHOUT_LINEAR else ("full", "lora"):
        assert open_encoder(place / output, device="cpu").weights_sha256() != before, output

    # A run whose last checkpoint is gone goes on from the one before it, to the same weights.
    saved = ("align", "de-en.tsv", *model, "--save-every", "1", "--output", "saved", *RUN)
    otkit(*saved)
    whole = open_encoder(place / "saved", device="cpu").weights_sha256()
    last = sorted((place / "saved" / "checkpoints").iterdir())[-1]
    last.rename(place / "aside")
    (place / "saved" / "model.safetensors").unlink()
    otkit(*saved, "--resume")
    assert open_encoder(place / "saved", device="cpu").weights_sha256() == whole

    export = ("export", "tiny", "--output", "graph", "--min-agreement", "0", "-q")
    if family in UNMASKED | UNTRACEABLE:
        assert f"the architecture '{family}'" in otkit(*export, code=1)
    elif family not in FAST:  # ten seconds; `test_families` exports them too
        otkit(*export)
        assert open_encoder(place / "graph", device="cpu").layers == 3
