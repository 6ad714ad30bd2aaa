"""Every command that encodes text whose languages are known tells them to a tokenizer that names them (NLLB, mBART)."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import transformers as hf
from torch import Tensor
from typer.testing import CliRunner

from otkit.cli.app import app
from otkit.encoders.open import open_encoder
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError
from otkit.evaluation.finetune import pair_tokenizers
from tests.encoders.families import nllb_tokenizer, write_translator

TEXTS = (("das haus", "la maison"), ("ein tag", "un jour"))
LANGUAGES = ("deu_Latn", "fra_Latn")  # the tokenizer's own choice is eng_Latn
FILES = {
    "text": "".join(f"{source}\t{target}\n" for source, target in TEXTS),
    "gold": "".join(f"{source}\t{target}\t0-0 1-1\n" for source, target in TEXTS),
    "labels": "das\tO\nhaus\tB-X\n\nein\tO\ntag\tB-X\n",
    "nli": "das haus\tein tag\tneutral\n",
    "nli_fr": "la maison\tun jour\tneutral\n",
    "marked": "<b>das</b> haus\n<b>ein</b> tag\n",
    "de": "das haus\nein tag\n",
    "fr": "la maison\nun jour\n",
    "mine_de": "1\tdas haus\n2\tein tag\n",
    "mine_fr": "1\tla maison\n2\tun jour\n",
    "mined": "1\t1\n2\t2\n",
    "beads": "[0]:[0]\n[1]:[1]\n",
}
COMMANDS = {
    "extract": "extract text --output out",
    "extract beads": "extract --source de --target fr --level sentence --output out",
    "extract documents": "extract text --documents --output out",
    "show-alignment": "show-alignment 'das haus' 'la maison' --format pharaoh",
    "show-alignment, why": "show-alignment 'das haus' 'la maison' --explain haus",
    "check": "check text --output out.jsonl",
    "project": "project labels --input-format conll --target fr --output out.conll",
    "project --augment": "project nli --augment --target nli_fr --share 1 --output out.tsv",
    "tags": "tags marked fr --output out.txt",
    "lexicon": "lexicon text --output out.tsv",
    "embed": "embed text --output out --index none",
    "embed words": "embed text --output out --unit word --index none",
    "embed, less their space": "embed text --output out --space center --index none",
    "report": "report text --output out",
    "info": "info MODEL --layers text",
    "evaluate retrieval": "evaluate retrieval text",
    "evaluate word-retrieval": "evaluate word-retrieval --gold gold",
    "evaluate word-alignment": "evaluate word-alignment --gold gold",
    "evaluate mining": "evaluate mining --source mine_de --target mine_fr --gold mined --dev-share 0.5",
    "evaluate documents": "evaluate documents --source de --target fr --gold beads",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    return str(write_translator(nllb_tokenizer(), hf.M2M100Config, folder))


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[tuple[int, ...]]]:
    """The rows of subwords that went through the encoder."""
    found: set[tuple[int, ...]] = set()
    states = TorchEncoder.states

    def watched(self: TorchEncoder, ids: Tensor, attention: Tensor, *more: Any, **rest: Any) -> Any:
        found.update(tuple(row[mask].tolist()) for row, mask in zip(ids, attention.bool(), strict=True))
        return states(self, ids, attention, *more, **rest)

    monkeypatch.setattr(TorchEncoder, "states", watched)
    return found


def check(encoded: set[tuple[int, ...]], texts: Sequence[tuple[str, ...]] = TEXTS) -> None:
    """Each side went through the encoder as the tokenizer itself has it in its language, and in no other."""
    tokenizer = nllb_tokenizer()
    for side, language in enumerate(LANGUAGES[: len(texts[0])]):
        for pair in texts:
            for code in (language, "eng_Latn"):
                tokenizer.src_lang = code
                row = tuple(tokenizer(pair[side]).input_ids)
                assert (row in encoded) == (code == language), f"{pair[side]!r} as {code}"


def run(*words: str) -> None:
    result = CliRunner().invoke(app, [*words, "-q"])
    assert result.exit_code == 0, f"{words}: {result.output} {result.exception!r}"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_tells_the_languages_that_are_stated(
    name: str, model: str, encoded: set[tuple[int, ...]], place: Path
) -> None:
    words = [model if word == "MODEL" else word for word in shlex.split(COMMANDS[name])]
    run(*words, "--langs", "de-fr", *(() if name == "info" else ("--model", model)))
    check(encoded, TEXTS[:1] if name.startswith("show") else TEXTS)


@pytest.mark.parametrize(
    "words",
    [
        "project labels.de.conll --target text.fr --output out.conll",
        "tags page.de.txt page.fr.txt --output out.txt",
        "embed corpus.de-fr.tsv --output out --index none",
    ],
)
def test_names_tell_them_too(words: str, model: str, encoded: set[tuple[int, ...]], place: Path) -> None:
    for name, told in {
        "labels": "labels.de.conll",
        "fr": "text.fr",
        "marked": "page.de.txt",
        "text": "corpus.de-fr.tsv",
    }.items():
        (place / told).write_text(FILES[name], encoding="utf-8")
    (place / "page.fr.txt").write_text(FILES["fr"], encoding="utf-8")
    run(*shlex.split(words), "--model", model)
    check(encoded)


def test_a_question_is_in_its_language(model: str, encoded: set[tuple[int, ...]], place: Path) -> None:
    run("embed", "text", "--langs", "de-fr", "--output", "out", "--index", "none", "--model", model)
    encoded.clear()
    run("search", "out", "das haus", "--langs", "de")
    check(encoded, [("das haus",)])
    told = CliRunner().invoke(app, ["search", "out", "das haus"]).stderr
    assert "nothing tells it here: each counts as eng_Latn" in told
    assert "--langs" in told


def test_a_language_that_the_tokenizer_lacks_is_refused_at_the_door(model: str, place: Path) -> None:
    for words in ("check text", "embed text --output out", "tags marked fr", "search out x"):
        if words.startswith("search"):
            run("embed", "text", "--output", "out", "--index", "none", "--model", model)
        result = CliRunner().invoke(app, [*words.split(), "--langs", "xx-yy", "--model", model])
        assert result.exit_code == 2, result.output
        assert "--langs: the tokenizer has no token for the language 'xx" in result.stderr


def test_fine_tuned_tasks_put_the_language_before_two_texts(model: str) -> None:
    encoder, tokenizer = open_encoder(model, device="cpu"), nllb_tokenizer()
    assert isinstance(encoder, TorchEncoder)
    made = pair_tokenizers(encoder, ["de", "fr"])
    for code, own in (("en", "eng_Latn"), ("de", "deu_Latn"), ("fr", "fra_Latn")):
        tokenizer.src_lang = own
        pieces = made[code].pieces(["das haus", "ein tag"])
        ids, _ = made[code].join(pieces["das haus"].ids, pieces["ein tag"].ids)
        assert ids.tolist() == tokenizer("das haus", "ein tag").input_ids
    with pytest.raises(ConfigError, match="has no token for xx, yy; score the others: `languages='de'`"):
        pair_tokenizers(encoder, ["xx", "de", "yy"])
