"""What stands on the Hub after a push, and what is said where it cannot be: the real client, a stand-in for the Hub."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from typer.testing import CliRunner

import otkit
from otkit.cli.app import app, main
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, OtkitError, OutputError
from tests.hub import READS, Hub, Repo, use

TEXT = "das haus ist klein\tthe house is small\nein haus\ta house\ndie haus\tthe house\n"


def run(*words: object, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def saved(tiny_encoder: TorchEncoder, tmp_path: Path) -> Path:
    tiny_encoder.save(tmp_path / "model")
    return tmp_path / "model"


def test_a_trained_encoder_comes_back_from_the_hub_as_it_was(hub: Hub, saved: Path, tmp_path: Path) -> None:
    text = tmp_path / "de-en.tsv"
    text.write_text(TEXT)
    out = tmp_path / "out"
    said = run(
        "align", text, "--model", saved, "--steps", 2, "--batch-size", 2, "--pairs-per-language", 3,
        "--save-every", 1, "--eval-every", 1, "--output", out, "--push-to-hub", "aligned",
    )  # fmt: skip
    assert "to http://127.0.0.1" in said.stderr
    assert "ann/aligned (private)" in said.stderr.replace("\n", "")
    repo = hub.repos["ann/aligned"]
    assert repo.private
    assert repo.commits == 1
    assert {
        "README.md",
        "otkit.json",
        "recipe.toml",
        "history.jsonl",
        "model.safetensors",
        "tokenizer.json",
    } <= {*repo.files}
    for name, content in repo.files.items():
        assert "/" not in name
        assert name not in ("run.json", ".made-by-otkit.json")
        if name != ".gitattributes":
            assert content == (out / name).read_bytes() or name == "README.md"
        assert str(tmp_path).encode() not in content
    card = ModelCard(repo.files["README.md"].decode(), ignore_metadata_errors=False)
    assert card.data.to_dict()["language"] == ["de", "en"]
    assert 'AutoModel.from_pretrained("ann/aligned")' in card.text
    assert "| epsilon | 0.05, in units of the cost |" in card.text

    back, local = (otkit.open_encoder(name, device="cpu") for name in ("ann/aligned", out))
    assert back.weights_sha256() == local.weights_sha256()
    again = otkit.Recipe.read(out)
    assert repo.files["recipe.toml"].decode() == (out / "recipe.toml").read_text()
    assert again.training.steps == 2
    # What is made of it names it as its base, and what is made of that does too.
    for model, folder in (("ann/aligned", "st"), (tmp_path / "st", "hf")):
        to = "sentence-transformers" if folder == "st" else "transformers"
        run("export", model, "--to", to, "--output", tmp_path / folder, "--push-to-hub", f"lab/{folder}")
        pushed = hub.repos[f"lab/{folder}"].files
        front = ModelCard(pushed["README.md"].decode(), ignore_metadata_errors=False).data.to_dict()
        assert (front["base_model"], front["library_name"]) == ("ann/aligned", to)
    assert "1_Pooling/config.json" in hub.repos["lab/st"].files
    same = otkit.open_encoder("lab/st", device="cpu")
    tokens = same.tokenize([["das", "haus"]])
    torch.testing.assert_close(same.encode_sentences(tokens), local.encode_sentences(tokens))


def test_a_new_push_takes_the_place_of_the_old_one_and_of_nothing_else(hub: Hub, saved: Path) -> None:
    first = otkit.push(saved, "tiny")
    assert (first.name, first.private) == ("ann/tiny", True)
    (saved / "vocab.txt").write_text("a\n")
    assert "vocab.txt" in otkit.push(saved, "ann/tiny").files
    (saved / "vocab.txt").unlink()
    otkit.push(saved, "ann/tiny")
    assert "vocab.txt" not in hub.repos["ann/tiny"].files
    assert hub.repos["ann/tiny"].commits == 3
    hub.repos["ann/thesis"] = Repo(True, {"thesis.pdf": b"five years"})
    with pytest.raises(OutputError, match=r"did not push \(thesis.pdf\); choose another name"):
        otkit.push(saved, "ann/thesis")
    assert hub.repos["ann/thesis"].files == {"thesis.pdf": b"five years"}
    hub.repos["ann/tiny"].private = False
    with pytest.raises(OutputError, match="and is public; say that it may be: `public=True`"):
        otkit.push(saved, "ann/tiny")
    assert not otkit.push(saved, "ann/tiny", public=True).private
    hub.repos["ann/tiny"].private = True
    assert otkit.push(saved, "ann/tiny", public=True).private  # as it was
    assert not otkit.push(saved, "lab/new", public=True).private
    assert not hub.repos["lab/new"].private


@pytest.mark.parametrize("name", ["a//b", "a/b/c", "-x", "two words", ""])
def test_what_is_no_name_is_told_before_any_work(name: str, tmp_path: Path) -> None:
    said = run("export", "--output", tmp_path / "out", "--push-to-hub", name, code=2).stderr
    assert said.startswith(
        f"error: --push-to-hub: received {name!r}, which is no name on the Hub; write NAME or"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("token", "refuse", "name", "said"),
    [
        (None, {}, "x", "x: there is no token for the Hub here; make one that may write at https://"),
        ("hf_other", {}, "x", "x: the Hub does not take the token; run: hf auth login"),
        (READS, {}, "x", "x: the token may only read; make one that may write"),
        (
            "hf_writes",
            {},
            "bob/x",
            "bob/x: the token is of 'ann', who is no member of 'bob'; push to ann/NAME or lab/NAME",
        ),
        (
            "hf_writes",
            {"whoami": 0},
            "x",
            "x: the Hub cannot be reached (RemoteProtocolError); check the network",
        ),
        ("hf_writes", {"whoami": 429}, "x", "x: the Hub refuses: "),
        ("hf_writes", {"models/ann/x": 403}, "x", "ann/x: the token may not write there"),
    ],
)
def test_a_push_that_would_fail_is_told_before_the_work(
    hub: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    token: str | None,
    refuse: dict[str, int],
    name: str,
    said: str,
) -> None:
    from huggingface_hub import constants

    use(monkeypatch, constants.ENDPOINT, tmp_path, token=token)
    hub.refuse = refuse
    for command in ("align", "export"):
        shown = run(command, "--output", tmp_path / "out", "--push-to-hub", name, code=1).stderr
        assert shown.startswith(f"error: {said.partition(': ')[0]}")
        assert said in shown
        assert "Traceback" not in shown
    assert not (tmp_path / "out").exists()
    assert not hub.repos


def test_without_network_the_hub_is_not_asked(hub: Hub, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(OutputError, match=r"switched off \(HF_HUB_OFFLINE\); unset it"):
        otkit.push(saved, "x")
    assert not hub.asked


@pytest.mark.parametrize("where", ["POST .*/commit/", "PUT /lfs/"])
def test_a_push_that_breaks_off_leaves_both_ends_as_they_were(hub: Hub, saved: Path, where: str) -> None:
    (saved / "README.md").write_text("---\n---\n")
    otkit.push(saved, "ann/tiny")
    before, here = dict(hub.repos["ann/tiny"].files), {p.name: p.read_bytes() for p in saved.iterdir()}
    hub.refuse = {where: 400}
    document = json.loads((saved / "otkit.json").read_text())
    (saved / "otkit.json").write_text(json.dumps({**document, "more": 1}))
    here["otkit.json"] = (saved / "otkit.json").read_bytes()
    with pytest.raises(OtkitError) as stop:
        otkit.push(saved, "ann/tiny")
    assert f"the folder {saved} holds it all" in str(stop.value)
    assert f"otkit.push({str(saved)!r}, 'ann/tiny')" in str(stop.value)
    assert hub.repos["ann/tiny"].files == before
    assert {p.name: p.read_bytes() for p in saved.iterdir()} == here
    hub.refuse = {}
    otkit.push(saved, "ann/tiny")
    assert b"more" in hub.repos["ann/tiny"].files["otkit.json"]


def test_an_interrupted_push_says_how_it_is_made_up_for(
    hub: Hub, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(asked: str) -> None:
        if "/commit/" in asked:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)

    hub.before = interrupt
    out = tmp_path / "out"
    words = [
        "export",
        str(saved),
        "--to",
        "transformers",
        "--output",
        str(out),
        "--push-to-hub",
        "tiny",
        "-q",
    ]
    monkeypatch.setattr("sys.argv", ["otkit", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 130
    said = capsys.readouterr().err
    assert f"{out} is whole and was not pushed; do it with: python -c" in said
    assert f"otkit.push({str(out)!r}, 'tiny')" in said
    assert otkit.open_encoder(out, device="cpu").dimension == 32
    hub.before = lambda asked: None
    assert otkit.push(out, "tiny").name == "ann/tiny"


def test_what_is_no_folder_of_an_encoder_and_public_alone_are_refused(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"holds no otkit.json; give the folder of an encoder that otkit wrote"
    ):
        otkit.push(tmp_path, "ann/x")
    assert "--public: nothing is pushed; add --push-to-hub" in run("export", "--public", code=2).stderr
    words = ("export", "--to", "web", "--output", tmp_path / "page", "--push-to-hub", "page")
    assert "--push-to-hub: received 'page', and a page is no encoder" in run(*words, code=2).stderr
    assert not (tmp_path / "page").exists()
    assert not hub.asked
