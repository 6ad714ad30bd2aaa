"""A corpus as vectors: the same as one by one, in order, whole or refused, and found across languages."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from otkit.api.embed import embed
from otkit.encoders.open import open_encoder
from otkit.encoders.sentences import encode_sentences, encode_words
from otkit.encoders.torch import TorchEncoder
from otkit.errors import CheckpointError, ExportError, InputError, OutputError
from otkit.resources import sample_data
from otkit.vectors import embeddings
from otkit.vectors.embedder import Embedded, Embedder, Spoken, embedder_of
from otkit.vectors.embeddings import Embedding, Progress, TextInput, embed_corpora
from otkit.vectors.folder import open_vectors
from otkit.vectors.search import VectorSearch, open_search
from otkit.vectors.settings import EmbeddingSettings
from tests.conftest import mostly_slow

LINES = [
    ("das haus ist klein .", "the house is small ."),
    ("ein haus", "a house"),
    ("x", "is the house small or is the small house a small house ?"),
    ("der hund", "the dog"),
    ("die katze", "the cat"),
]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "c.de-en.tsv"
    path.write_text("".join(f"{source}\t{target}\n" for source, target in LINES), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three texts a window, so that a few lines make several windows and shards."""
    monkeypatch.setattr(embeddings, "WINDOW_TEXTS", 3)


def npy(**settings: object) -> EmbeddingSettings:
    return EmbeddingSettings(shards="npy", shard_rows=3, **{"index": "none", **settings})  # type: ignore[arg-type]


def test_a_folder_of_the_user_s_beside_the_output_stays(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    """`overwrite` is said of the output, and not of the folder that the run works in."""
    (tmp_path / "a.txt").write_text("das haus\n", encoding="utf-8")
    (tmp_path / "v.partial").mkdir()
    (tmp_path / "v.partial" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="files that otkit did not make"):
        embed([tmp_path / "a.txt"], encoder=tiny_encoder, output=tmp_path / "v", overwrite=True)
    assert (tmp_path / "v.partial" / "thesis.txt").read_text() == "years of work"


def test_rows_are_those_of_the_encoder_in_the_order_of_the_input(
    tiny_encoder: TorchEncoder, corpus: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "more.fr"
    plain.write_text("klein\nhouse\n")
    inputs = [
        TextInput(str(corpus), languages={"source": "de", "target": "en"}),
        TextInput(str(plain), languages={"text": "fr"}),
    ]
    report = embed_corpora(Embedder(tiny_encoder), inputs, tmp_path / "v", config=npy())
    assert (report.texts, report.skipped) == (12, 0)
    found = open_vectors(tmp_path / "v")
    rows = found.rows(range(len(found)))
    expected = [(str(corpus), n, side) for n in range(1, 6) for side in ("source", "target")]
    expected += [(str(plain), 1, "text"), (str(plain), 2, "text")]
    assert [(row.file, row.line, row.side) for row in rows] == expected
    assert [row.text for row in rows] == [text for pair in LINES for text in pair] + ["klein", "house"]
    assert [row.language for row in rows] == ["de", "en"] * 5 + ["fr", "fr"]
    singles = [encode_sentences(tiny_encoder, [row.text.split()])[0] for row in rows]
    np.testing.assert_allclose(np.concatenate(list(found.blocks())), np.stack(singles), atol=1e-5)


def test_word_rows_are_the_mean_of_the_alignment_layers(
    tiny_encoder: TorchEncoder, corpus: Path, tmp_path: Path
) -> None:
    config = npy(unit="word", dtype="float16", side="target")
    report = embed_corpora(
        Embedder(tiny_encoder, unit="word"), [TextInput(str(corpus))], tmp_path / "v", config=config
    )
    words = [target.split() for _, target in LINES]
    rows = report.vectors.rows(range(len(report.vectors)))
    assert [(row.line, row.word, row.text) for row in rows] == [
        (line, place, word) for line, text in enumerate(words, 1) for place, word in enumerate(text)
    ]
    vectors = np.concatenate(list(report.vectors.blocks()))
    layers = tiny_encoder.settings.alignment_layers
    for line, text in enumerate(words, 1):
        states = encode_words(tiny_encoder, [text], layers=layers, word_vector="mean")
        mean = np.mean([state.vectors[0].detach().numpy() for state in states], axis=0)
        mean /= np.linalg.norm(mean, axis=1, keepdims=True)
        here = [row.line == line for row in rows]
        np.testing.assert_allclose(vectors[here], mean, atol=1e-3)


def test_a_sentence_past_the_encoder_is_named_or_skipped(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text(f"haus\n{'haus ' * 70}\nklein\n")
    inputs = [TextInput(str(path))]
    with pytest.raises(InputError, match=r"long\.txt:2: the sentence has 72 tokens"):
        embed_corpora(Embedder(tiny_encoder), inputs, tmp_path / "v", config=npy())
    report = embed_corpora(Embedder(tiny_encoder), inputs, tmp_path / "v", config=npy(), on_error="skip")
    assert (report.texts, report.skipped) == (2, 1)
    assert [row.line for row in report.vectors.rows([0, 1])] == [1, 3]


class CutError(Exception):
    """Stands for the end of a process."""


def cut_after(windows: int) -> Callable[[Progress], None]:
    left = [windows]

    def watch(state: Progress) -> None:
        left[0] -= 1
        if not left[0]:
            raise CutError

    return watch


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("windows", [1, 2, 3, 4])
def test_a_cut_run_goes_on_to_the_same_bytes(
    tiny_encoder: TorchEncoder, corpus: Path, tmp_path: Path, windows: int
) -> None:
    embedder, inputs = Embedder(tiny_encoder), [TextInput(str(corpus))]
    config = EmbeddingSettings(shards="npy", shard_rows=4, index="hnsw", dtype="int8")
    embed_corpora(embedder, inputs, tmp_path / "whole", config=config)
    with pytest.raises(CutError):
        embed_corpora(embedder, inputs, tmp_path / "cut", config=config, progress=cut_after(windows))
    # Three texts are no shard of four rows yet: such a run leaves nothing to go on with.
    begun = tmp_path / "cut.partial"
    assert begun.exists() == (windows > 1)
    if windows > 1:
        with pytest.raises(ExportError, match="is not finished; run the same command with `resume=True`"):
            open_vectors(tmp_path / "cut")
        (begun / "part-00002.npy").write_bytes(b"half a shard")
    embed_corpora(embedder, inputs, tmp_path / "cut", config=config, resume=True)
    assert everything(tmp_path / "cut") == everything(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir() if path != corpus) == ["cut", "whole"]


def test_part_of_a_run_is_not_thrown_away_unasked(
    tiny_encoder: TorchEncoder, corpus: Path, tmp_path: Path
) -> None:
    embedder, inputs, folder = Embedder(tiny_encoder), [TextInput(str(corpus))], tmp_path / "v"
    whole = embed_corpora(embedder, inputs, folder, config=npy(dtype="int8"))
    with pytest.raises(CutError):
        embed_corpora(embedder, inputs, folder, config=npy(), progress=cut_after(3))
    assert len(open_vectors(folder)) == len(
        whole.vectors
    )  # the finished one stays until the new one is whole
    with pytest.raises(OutputError, match="holds a part of this output, which an interrupted run left"):
        embed_corpora(embedder, inputs, folder, config=npy())
    embed_corpora(embedder, inputs, folder, config=npy(), overwrite=True)
    assert open_vectors(folder).facts["config"]["dtype"] == "float32"


def test_a_finished_folder_is_resumed_only_as_it_was_made(
    tiny_encoder: TorchEncoder, corpus: Path, tmp_path: Path
) -> None:
    embedder, inputs, folder = Embedder(tiny_encoder), [TextInput(str(corpus))], tmp_path / "v"
    embed_corpora(embedder, inputs, folder, config=npy())
    said: list[str] = []
    embed_corpora(embedder, inputs, folder, config=npy(), resume=True, note=said.append)
    assert said == [f"{folder} is finished: nothing to resume"]
    with pytest.raises(
        OutputError, match='the finished output differs: config: dtype was "float32", is "int8"'
    ):
        embed_corpora(embedder, inputs, folder, config=npy(dtype="int8"), resume=True)
    with corpus.open("a") as file:
        file.write("noch eins\tone more\n")
    with pytest.raises(OutputError, match="the finished output differs: inputs was"):
        embed_corpora(embedder, inputs, folder, config=npy(), resume=True)


def test_a_bad_file_leaves_the_finished_folder(
    tiny_encoder: TorchEncoder, corpus: Path, tmp_path: Path
) -> None:
    embedder, folder, bad = Embedder(tiny_encoder), tmp_path / "v", tmp_path / "bad.tsv"
    embed_corpora(embedder, [TextInput(str(corpus))], folder, config=npy())
    before = everything(folder)
    bad.write_text("one column only\n")
    with pytest.raises(InputError, match=r"bad\.tsv:1"):
        embed_corpora(embedder, [TextInput(str(bad), format="tsv")], folder, config=npy())
    assert everything(folder) == before


def test_a_run_goes_on_only_as_it_began(tiny_encoder: TorchEncoder, corpus: Path, tmp_path: Path) -> None:
    embedder, inputs, folder = Embedder(tiny_encoder), [TextInput(str(corpus))], tmp_path / "v"
    with pytest.raises(CutError):
        embed_corpora(embedder, inputs, folder, config=npy(), progress=cut_after(3))
    with pytest.raises(OutputError, match="the interrupted run differs: config: dtype was"):
        embed_corpora(embedder, inputs, folder, config=npy(dtype="int8"), resume=True)
    shard = tmp_path / "v.partial" / "part-00000.npy"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(ExportError, match=r"part-00000\.npy: is missing or not as it was written"):
        embed_corpora(embedder, inputs, folder, config=npy(), resume=True)
    shard.write_bytes(whole)
    with corpus.open("a") as file:
        file.write("noch eins\tone more\n")  # behind what was read: only a hash of it all sees that
    with pytest.raises(OutputError, match=r"differs: inputs was .* run it with the same input"):
        embed_corpora(embedder, inputs, folder, config=npy(), resume=True)


@pytest.fixture
def finished(tiny_encoder: TorchEncoder, corpus: Path, tmp_path: Path) -> Embedding:
    tiny_encoder.save(tmp_path / "model")
    tiny_encoder.origin = str(tmp_path / "model")
    embedder = Embedder(tiny_encoder)
    return embed_corpora(embedder, [TextInput(str(corpus))], tmp_path / "v", config=npy(index="flat"))


def test_a_damaged_folder_is_refused(finished: Embedding) -> None:
    folder = finished.vectors.folder
    shard, index = folder / "part-00001.npy", folder / "index.faiss"
    for path, ask in (
        (shard, lambda: list(open_vectors(folder).blocks())),
        (index, lambda: open_search(folder)),
        (folder / "part-00001.jsonl", lambda: open_vectors(folder).rows([4])),
    ):
        whole = path.read_bytes()
        path.write_bytes(whole[:-3])
        with pytest.raises(
            ExportError, match=rf"{path.name}: has {len(whole) - 3} bytes, expected {len(whole)}"
        ):
            ask()
        path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        with pytest.raises(ExportError, match="is not the file that was written"):
            ask()
        path.unlink()
        with pytest.raises(ExportError, match="is missing"):
            ask()
        path.write_bytes(whole)
    manifest = folder / "manifest.json"
    facts = json.loads(manifest.read_text())
    for spoil, message in (
        ({"format": "other"}, "its format is 'other'"),
        ({"rows": 3}, "10 rows in shards, 3 stated"),
        ({"model": {"dimension": 32, "name": "x"}}, "'path'"),
        ({"config": {"shards": "npy", "unit": "word"}}, "'raw'"),
        ({"shards": [{"name": "../x", "rows": 10, "files": {}}]}, r"shard 0 is called '\.\./x'"),
    ):
        manifest.write_text(json.dumps({**facts, **spoil}))
        with pytest.raises(ExportError, match=message):
            open_vectors(folder)


def test_an_index_with_another_header_is_not_read(finished: Embedding) -> None:
    from otkit.files import sha256_of

    folder = finished.vectors.folder
    index, manifest = folder / "index.faiss", folder / "manifest.json"
    whole = index.read_bytes()
    # Somebody who can write the index can write the manifest too: a billion vectors in a file of a few.
    index.write_bytes(whole[:8] + (10**9).to_bytes(8, "little") + whole[16:])
    facts = json.loads(manifest.read_text())
    facts["index"]["sha256"] = sha256_of(index)
    manifest.write_text(json.dumps(facts))
    with pytest.raises(ExportError, match="is not an index of 10 vectors of width 32"):
        open_search(folder)


def test_only_the_encoder_that_made_the_vectors_answers(
    finished: Embedding, tiny_encoder: TorchEncoder, sample_encoder: TorchEncoder, tmp_path: Path
) -> None:
    folder = finished.vectors.folder
    hit = open_search(folder)(["der hund"], k=1)[0].hits[0]
    assert (hit.row.text, hit.row.line, hit.row.side) == ("der hund", 4, "source")
    assert hit.score == pytest.approx(1, abs=1e-5)
    sample_encoder.save(tmp_path / "wide")
    with pytest.raises(CheckpointError, match="the vectors have width 32, and those of 'wide' 384"):
        open_search(folder, encoder=str(tmp_path / "wide"))
    tiny_encoder.model.get_input_embeddings().weight.data[7] += 1
    tiny_encoder.save(tmp_path / "other")
    with pytest.raises(CheckpointError, match="the weights differ"):
        open_search(folder, encoder=str(tmp_path / "other"))
    settings = tmp_path / "model" / "otkit.json"
    settings.write_text(settings.read_text().replace('"prefix": ""', '"prefix": "query: "'))
    with pytest.raises(
        CheckpointError, match=r'otkit.json is another than then: prefix was "", is "query: "'
    ):
        open_search(folder)


@pytest.mark.parametrize(
    ("unit", "prompt", "change", "told"),
    [
        ("word", None, {"alignment_layers": [2]}, "alignment_layers was"),
        ("sentence", "passage", {"prompts": {"passage": "text: "}}, "prefix was"),
        ("sentence", None, {"pool_prompt": False}, "pool_prompt was"),
    ],
)
def test_no_question_is_asked_in_another_space(
    tiny_encoder: TorchEncoder,
    corpus: Path,
    tmp_path: Path,
    unit: str,
    prompt: str | None,
    change: Any,
    told: str,
) -> None:
    tiny_encoder.settings = replace(tiny_encoder.settings, prompts={"passage": "passage: "})
    tiny_encoder.save(tmp_path / "here")
    encoder = open_encoder(str(tmp_path / "here"))
    config = EmbeddingSettings(unit=unit, prompt=prompt, shards="npy", index="none")
    made = embed_corpora(
        embedder_of(encoder, config), [TextInput(str(corpus))], tmp_path / "v", config=config
    )
    assert open_search(made.vectors.folder)(["hund"], k=1)
    settings = tmp_path / "here" / "otkit.json"
    stated = json.loads(settings.read_text())
    settings.write_text(json.dumps({**stated, "encoder": {**stated["encoder"], **change}}))
    with pytest.raises(CheckpointError, match=told):
        open_search(made.vectors.folder)


def test_a_kill_before_the_folder_has_its_name_costs_no_vector(
    tiny_encoder: TorchEncoder, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flushing a large folder to the disk takes minutes: what is encoded by then is not encoded again."""
    from otkit.vectors import writer

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(writer, "finish_folder", killed)
        with pytest.raises(KeyboardInterrupt):
            embed_corpora(Embedder(tiny_encoder), [TextInput(str(corpus))], tmp_path / "v", config=npy())
    assert not (tmp_path / "v").exists()

    class Idle(Embedder):
        def spoken(self, texts: Spoken) -> Embedded:
            raise AssertionError("encoded again")

    again = embed_corpora(
        Idle(tiny_encoder), [TextInput(str(corpus))], tmp_path / "v", config=npy(), resume=True
    )
    embed_corpora(Embedder(tiny_encoder), [TextInput(str(corpus))], tmp_path / "at-once", config=npy())
    assert again.texts == 10
    assert {path.name: path.read_bytes() for path in (tmp_path / "v").iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "at-once").iterdir()
    }


def test_a_folder_of_other_files_is_left_alone(
    tiny_encoder: TorchEncoder, corpus: Path, tmp_path: Path
) -> None:
    foreign = tmp_path / "v"
    foreign.mkdir()
    for name in ("part-0.tsv", "state.json", "manifest.json"):  # as ours are called
        (foreign / name).write_text("{}")
    for folder, reason in ((corpus.parent, "holds an input"), (foreign, "otkit did not make")):
        with pytest.raises(OutputError, match=reason):
            embed_corpora(Embedder(tiny_encoder), [TextInput(str(corpus))], folder, config=npy())
    assert corpus.is_file()
    assert len(list(foreign.iterdir())) == 3


@pytest.mark.parametrize("index", mostly_slow(["flat", "hnsw", "ivf", "none"], "flat", "hnsw"))
def test_a_sentence_finds_its_translation(sample_encoder: TorchEncoder, tmp_path: Path, index: str) -> None:
    """English sentences of two corpora are searched with the German ones."""
    folder = sample_data() / "parallel"
    inputs = [TextInput(str(folder / f"{code}-en.dev.tsv")) for code in ("de", "zh")]
    config = EmbeddingSettings(side="target", shards="npy", index=index)
    report = embed_corpora(Embedder(sample_encoder), inputs, tmp_path / "v", config=config)
    search = VectorSearch(report.vectors, Embedder(sample_encoder), None)
    if index != "none":
        from otkit.vectors.index import open_index

        opened = open_index(report.vectors, open_vectors(tmp_path / "v").facts["index"])
        search = VectorSearch(report.vectors, Embedder(sample_encoder), opened)
    pairs = [line.split("\t") for line in (folder / "de-en.dev.tsv").read_text(encoding="utf-8").splitlines()]
    answers = search([source for source, _ in pairs], k=3)
    right = [
        answer.hits[0].row.text == target.strip() for answer, (_, target) in zip(answers, pairs, strict=True)
    ]
    assert np.mean(right) >= 0.9
    assert all(
        a.score >= b.score for answer in answers for a, b in zip(answer.hits, answer.hits[1:], strict=False)
    )
