"""What is packed: bombs are read as streams or refused by what they claim, damaged members are one error, and lines
without number stay out of memory."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import zlib
from pathlib import Path

import numpy as np
import pytest

from otkit.data.lines import LineSource
from otkit.data.parallel import read_pairs
from otkit.errors import InputError, OtkitError
from otkit.vectors.embedder import Embedder
from otkit.vectors.embeddings import TextInput, embed_corpora
from otkit.vectors.folder import open_vectors
from otkit.vectors.settings import EmbeddingSettings
from tests.conftest import make_tiny_encoder
from tests.hostile.commands import Server

GROWN = """
import resource, sys
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
{work}
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def _bomb(path: Path, line: bytes, megabytes: int) -> None:
    """Some kilobytes of gzip: the same megabyte again and again, packed once."""
    block = line * (1_000_000 // len(line))
    packer = zlib.compressobj(9, wbits=31)
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(packer.compress(block))
        file.write(packer.flush())


def _peak(work: str, *words: str) -> int:
    """By how many kilobytes a fresh process grows while it works."""
    import subprocess
    import sys

    run = subprocess.run(
        [sys.executable, "-c", GROWN.format(work=work), *words],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return int(run.stdout)


READ = """
from collections import deque
from otkit.data.parallel import read_pairs
deque(read_pairs(sys.argv[1], format="tsv", on_error="skip"), maxlen=0)
"""


@pytest.mark.parametrize(
    ("line", "megabytes"),
    [
        (b"das haus\tthe house\n", 8),
        (b"a" * 1_000_000, 8),  # one line without an end
        pytest.param(b"das haus ist klein\tthe house is small\n", 1000, marks=pytest.mark.slow),
        pytest.param(b"\n", 20, marks=pytest.mark.slow),
    ],
    ids=["lines", "endless", "a gigabyte", "twenty million blank"],
)
def test_a_bomb_of_gzip_does_not_fill_memory(line: bytes, megabytes: int, tmp_path: Path) -> None:
    path = tmp_path / "bomb.de-en.tsv.gz"
    _bomb(path, line, megabytes)
    assert path.stat().st_size < 3_000 * megabytes + 2_000
    work = (
        READ
        if line != b"a" * 1_000_000
        else f"try:\n{READ.strip()}\nexcept Exception: pass".replace("\n", "\n    ").replace(
            "    except", "except"
        )
    )
    assert _peak("import otkit.data.parallel, zlib\n" + work, str(path)) < 60_000


def test_check_keeps_no_bad_line(tmp_path: Path, server: Server, bench: Path) -> None:
    """Complaints are counted, not kept: ten times the blank lines take no more memory."""
    peaks = []
    for megabytes in (1, 3):
        path = tmp_path / f"{megabytes}.de-en.tsv.gz"
        with gzip.open(path, "wb", compresslevel=1) as file:
            file.write(b"das haus\tthe house\n" + b"\n" * (megabytes * 50_000))
        words = [
            "check",
            str(path),
            "--model",
            str(bench / "tiny"),
            "--on-error",
            "skip",
            "-q",
            "--input-format",
            "tsv",
        ]
        ended = server.start([*words, "--output", str(tmp_path / f"{megabytes}.tsv")], tmp_path)
        assert ended.code == 0, ended.stderr
        assert f"{megabytes * 50_000}" in ended.stderr.replace(",", "")
        peaks.append(ended.peak)
    assert peaks[1] - peaks[0] < 30_000, peaks


LINES = [f"das haus {n}\tthe house {n}".encode() for n in range(200)]
WHOLE = b"".join(line + b"\n" for line in LINES)
A, B = gzip.compress(WHOLE[:1000]), gzip.compress(WHOLE[1000:])
READABLE = {
    "one member": gzip.compress(WHOLE),
    "glued": A + B,
    "an empty member between": A + gzip.compress(b"") + B,
    "a member a line": b"".join(gzip.compress(line + b"\n") for line in LINES),
    "a member a byte": b"".join(gzip.compress(bytes([byte])) for byte in WHOLE),
    "padded": A + bytes(500) + B + bytes(500),
    "stored": gzip.compress(WHOLE, compresslevel=0),
}
DAMAGED = {
    "garbage behind": A + B + b"garbage",
    "garbage between": A + b"garbage" + B,
    "text behind": A + b"das haus\tthe house\n",
    "cut": A + B[:-1],
    "cut in the head": A + B[:7],
    "cut to a magic": A + B[:2],
    "a byte behind": A + B + b"\x1f",
    "a wrong sum": A[:-8] + bytes(4) + A[-4:],
    "a wrong size": A[:-4] + bytes(4),
}


@pytest.mark.parametrize("kind", READABLE)
def test_members_of_gzip_are_one_text(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.de-en.tsv.gz"
    path.write_bytes(READABLE[kind])
    assert [pair.line for pair in read_pairs(path, format="tsv")] == list(range(1, 201))


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_damaged_gzip_is_one_error(kind: str, on_error: str, tmp_path: Path) -> None:
    path = tmp_path / "x.de-en.tsv.gz"
    path.write_bytes(DAMAGED[kind])
    with pytest.raises(InputError, match="gzip"):
        list(read_pairs(path, format="tsv", on_error=on_error))


def test_gzip_with_any_bytes_changed_is_read_or_one_error(tmp_path: Path) -> None:
    """A changed byte never gives other lines without an error."""
    luck = random.Random(0)
    packed, path = gzip.compress(WHOLE, mtime=0), tmp_path / "x.gz"
    for _ in range(300):
        data = bytearray(packed)
        for _ in range(luck.randint(1, 4)):
            data[luck.randrange(10, len(data))] = luck.randrange(256)
        path.write_bytes(data[: luck.randrange(20, len(data))] if luck.random() < 0.3 else data)
        try:
            found = [line for line in LineSource(path) if isinstance(line, str)]
        except OtkitError:
            continue
        assert "\n".join(found).encode() + b"\n" == WHOLE


# --- Parquet


def _read_all(folder: Path) -> None:
    found = open_vectors(folder)
    found.rows([0, 3])
    list(found.blocks())


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parquet")
    text = folder / "de-en.tsv"
    text.write_text("".join(f"das haus {n}\tthe house {n}\n" for n in range(12)), encoding="utf-8")
    inputs = [TextInput(str(text), languages={"source": "de", "target": "en"})]
    embed_corpora(
        Embedder(make_tiny_encoder()),
        inputs,
        folder / "out",
        config=EmbeddingSettings(shards="parquet", index="none"),
    )
    return folder / "out"


@pytest.mark.parametrize("told", ["the manifest lies", "the manifest knows", "texts"])
def test_a_bomb_of_parquet_is_refused_before_it_is_read(told: str, vectors: Path, tmp_path: Path) -> None:
    """Eleven kilobytes that would be three hundred megabytes."""
    import shutil

    import pyarrow
    import pyarrow.parquet

    folder = Path(shutil.copytree(vectors, tmp_path / "out"))
    part, manifest = folder / "part-00000.parquet", folder / "manifest.json"
    table = pyarrow.parquet.read_table(part)
    rows = 2_400_000 if told != "texts" else table.num_rows
    if told == "texts":
        texts = pyarrow.array(["a" * 12_000_000] * rows)
        table = table.set_column(table.column_names.index("text"), "text", texts)
    else:
        width = table.column("vector").type.list_size
        zeros = pyarrow.FixedSizeListArray.from_arrays(
            pyarrow.array(np.zeros(rows * width, np.float32)), width
        )
        table = pyarrow.table(
            {
                **{name: pyarrow.repeat(table.column(name)[0], rows) for name in table.column_names[:-1]},
                "vector": zeros,
            }
        )
    pyarrow.parquet.write_table(
        table, part, compression="zstd", use_dictionary=told != "texts", row_group_size=rows
    )
    del table
    facts = json.loads(manifest.read_text())
    size = {"bytes": part.stat().st_size, "sha256": hashlib.sha256(part.read_bytes()).hexdigest()}
    facts["shards"][0]["files"] = {part.name: size}
    if told == "the manifest knows":
        facts["shards"][0]["rows"] = facts["rows"] = rows
    manifest.write_text(json.dumps(facts))
    held = pyarrow.total_allocated_bytes()
    with pytest.raises(OtkitError, match=r"rows|would be"):
        _read_all(folder)
    assert pyarrow.total_allocated_bytes() - held < 20_000_000
