"""A local Ray cluster of two workers: the bytes of one machine, one worker killed in the middle."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from otkit.alignment.aligner import WordAligner
from otkit.alignment.cluster import align_on_cluster
from otkit.alignment.corpus import LINE_FORMATS, CorpusStream
from otkit.alignment.settings import AlignmentSettings
from otkit.api.align import Aligner
from otkit.api.lexicon import lexicon, with_weak_links
from otkit.cluster import _Worker, map_windows
from otkit.data.parallel import Pair
from otkit.encoders.open import open_encoder
from otkit.errors import CheckpointError, InputError
from otkit.projection.settings import LexiconSettings
from otkit.vectors import embeddings
from otkit.vectors.embedder import Embedder, OpenEmbedder
from otkit.vectors.embeddings import TextInput, embed_corpora
from otkit.vectors.settings import EmbeddingSettings
from tests.cli.test_embed import corpus, everything
from tests.conftest import make_tiny_encoder


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray's own start takes a minute of processor time: what needs a cluster is for the slow suite."""
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    make_tiny_encoder().save(tmp_path / "tiny")
    return tmp_path / "tiny"


pytestmark = pytest.mark.usefixtures("one_thread")


@dataclass(frozen=True)
class Mortal:
    """Opens what `opener` opens; the worker that gets the third window kills itself, the first time."""

    opener: Callable[[], Callable[[Any], Any]]
    marks: Path

    def __call__(self) -> Callable[[Any], Any]:
        work = self.opener()

        def apply(window: Any) -> Any:
            (self.marks / f"{os.getpid()}-{len(list(self.marks.iterdir()))}").touch()
            killed = self.marks / "killed"
            if len(list(self.marks.iterdir())) >= 3 and not killed.exists():
                killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return work(window)

        return apply


@pytest.mark.slow
def test_a_killed_worker_changes_no_byte(
    cluster: None, model: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(embeddings, "WINDOW_TEXTS", 64)
    inputs = [TextInput(str(corpus(tmp_path / "c.tsv", 400)))]
    embedder = Embedder(open_encoder(model))
    config = EmbeddingSettings(shards="npy", shard_rows=200, dtype="float16")
    embed_corpora(embedder, inputs, tmp_path / "here", config=config)
    (marks := tmp_path / "marks").mkdir()
    opener = Mortal(OpenEmbedder(str(model), EmbeddingSettings(), threads=1), marks)
    embed_corpora(
        embedder,
        inputs,
        tmp_path / "there",
        config=config,
        engine=lambda windows: map_windows(opener, windows),
    )
    assert (marks / "killed").exists()
    workers = {path.name.split("-")[0] for path in marks.iterdir()} - {"killed"}
    assert len(workers) >= 2
    assert str(os.getpid()) not in workers
    assert everything(tmp_path / "there") == everything(tmp_path / "here")


@pytest.mark.slow
def test_alignments_are_those_of_one_machine(cluster: None, model: Path, tmp_path: Path) -> None:
    """Less the first window's means, which every worker has to know."""
    lines = corpus(tmp_path / "c.tsv", 200).read_text().splitlines()
    records = [Pair(*line.split("\t"), number) for number, line in enumerate(lines, 1)]

    def extract(*, on_ray: bool) -> str:
        aligner = WordAligner(
            open_encoder(model), AlignmentSettings(center="none", space="center"), window=32
        )
        engine = align_on_cluster(aligner, model=str(model), device="cpu", address=None)
        stream = CorpusStream(
            aligner, LINE_FORMATS["pharaoh"], scores=True, engine=engine if on_ray else None
        )
        return "".join(piece.text for piece in stream.pieces(records, {}))

    assert extract(on_ray=True) == extract(on_ray=False)


@pytest.mark.slow
def test_an_extraction_on_a_cluster_is_the_same_file(cluster: None, model: Path, tmp_path: Path) -> None:
    lines = corpus(tmp_path / "c.tsv", 1500)
    aligner = Aligner(model, device="cpu", center="none", space="center")
    done = aligner.extract(lines, output=tmp_path / "there", scores=True, engine="ray")
    Aligner(model, device="cpu", center="none", space="center").extract(
        lines, output=tmp_path / "here", scores=True
    )
    assert (tmp_path / "there").read_bytes() == (tmp_path / "here").read_bytes()
    assert done.lines == 1500


@pytest.mark.slow
def test_a_lexicon_of_a_cluster_is_the_same_file(cluster: None, model: Path, tmp_path: Path) -> None:
    """Counts, probabilities and examples, with each link's share, which says most of its digits."""
    lines = corpus(tmp_path / "c.tsv", 200)

    def count(output: str, *, on_ray: bool) -> bytes:
        settings = LexiconSettings(weigh="shares")
        alignment = with_weak_links(AlignmentSettings(space="center"), settings)
        aligner = WordAligner(open_encoder(model), alignment, window=64)
        engine = align_on_cluster(aligner, model=str(model), device="cpu", address=None)
        made = lexicon(
            lines,
            tmp_path / output,
            form="jsonl",
            settings=settings,
            aligner=aligner,
            engine=engine if on_ray else None,
        )
        assert made.pairs == 200
        assert made.entries > 0
        return (tmp_path / output).read_bytes()

    assert count("there", on_ray=True) == count("here", on_ray=False)


def refuse(window: Any) -> Any:
    raise InputError("cannot be used", where="file:3", remedy="mend it")


def open_refuse() -> Callable[[Any], Any]:
    return refuse


@pytest.mark.slow
def test_an_error_of_a_worker_is_an_error_here(cluster: None) -> None:
    with pytest.raises(InputError, match="file:3: cannot be used; mend it"):
        list(map_windows(open_refuse, range(2)))


def open_nothing() -> Callable[[Any], Any]:
    raise CheckpointError("is not on this worker", where="model", remedy="put it there")


def test_a_worker_that_cannot_open_its_model_says_so() -> None:
    batch = {"number": np.array([0]), "window": np.array([pickle.dumps("text")], dtype=object)}
    (result,) = _Worker(open_nothing)(batch)["result"]
    assert str(pickle.loads(result)) == "model: is not on this worker; put it there"
