"""Shards of vectors on disk: the number formats, Parquet or `.npy`, and the text behind each row.

Shapes: R rows, D width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from otkit.errors import require_extra
from otkit.files import parse_json, to_json

__all__ = ["DTYPES", "SHARDS", "Packed", "Row", "ShardFormat", "pack"]

Vectors = NDArray[np.float32]


class Row(NamedTuple):
    """Where a vector comes from; `word` is the place of the word in its line, None for a sentence."""

    file: str
    line: int
    side: str
    language: str
    text: str
    word: int | None = None


@dataclass(frozen=True, eq=False)
class Packed:
    """(R, D) numbers as they are stored, and for int8 the (R,) float32 factor that each row is to be
    multiplied with."""

    values: NDArray[Any]
    scales: NDArray[np.float32] | None = None

    def unpack(self) -> Vectors:
        """The (R, D) vectors that the stored numbers stand for."""
        vectors = np.asarray(self.values, dtype=np.float32)
        return vectors if self.scales is None else vectors * self.scales[:, None]


def _int8(vectors: Vectors) -> Packed:
    """Each vector's largest absolute number becomes 127, so no number is off by more than half its scale."""
    scales = (np.abs(vectors).max(axis=1, initial=0) / 127).astype(np.float32)
    safe = np.where(scales > 0, scales, np.float32(1))
    return Packed(np.rint(vectors / safe[:, None]).clip(-127, 127).astype(np.int8), scales)


DTYPES: dict[str, Callable[[Vectors], Packed]] = {
    "float32": lambda vectors: Packed(np.asarray(vectors, dtype=np.float32)),
    "float16": lambda vectors: Packed(vectors.astype(np.float16)),
    "int8": _int8,
}


def pack(vectors: Vectors, dtype: str) -> Packed:
    """Vectors (R, D) in a stored number format."""
    return DTYPES[dtype](vectors)


def _text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class ShardFormat:
    """How a shard lies on disk.

    suffixes  of its files, the one with the vectors first; `.scales.npy` only for int8
    write     (stem, rows, packed): one file for each suffix that is needed
    vectors   the numbers of a shard that is said to hold (rows, width) of them
    rows      what stands behind some of its `rows`, in the order asked
    """

    suffixes: tuple[str, ...]
    write: Callable[[Callable[[str], Path], Sequence[Row], Packed], None]
    vectors: Callable[[Callable[[str], Path], int, int], Packed]
    rows: Callable[[Callable[[str], Path], int, Sequence[int]], list[Row]]


def _write_parquet(place: Callable[[str], Path], rows: Sequence[Row], packed: Packed) -> None:
    arrow, parquet = (require_extra(name, extra="parquet") for name in ("pyarrow", "pyarrow.parquet"))
    columns = {name: [row[number] for row in rows] for number, name in enumerate(Row._fields)}
    arrays = {
        "file": arrow.array(columns["file"], arrow.string()),
        "line": arrow.array(columns["line"], arrow.int64()),
        "side": arrow.array(columns["side"], arrow.string()),
        "language": arrow.array(columns["language"], arrow.string()),
        "text": arrow.array(columns["text"], arrow.string()),
        "hash": arrow.array([_text_hash(row.text) for row in rows], arrow.string()),
    }
    if rows and rows[0].word is not None:
        arrays["word"] = arrow.array(columns["word"], arrow.int32())
    flat = arrow.array(packed.values.reshape(-1))
    arrays["vector"] = arrow.FixedSizeListArray.from_arrays(flat, packed.values.shape[1])
    if packed.scales is not None:
        arrays["scale"] = arrow.array(packed.scales)
    table = arrow.table(arrays)
    # Dictionaries where a value fills many rows; vectors are as good as noise, nothing packs them.
    parquet.write_table(
        table, place(".parquet"), use_dictionary=["file", "side", "language"], compression="zstd"
    )


_PACKED = 256  # how many times its size a file of texts may hold


def _parquet(place: Callable[[str], Path], rows: int, numbers: int | None = None) -> Any:
    """The file, after a look at what it claims to hold: some kilobytes may hide gigabytes.

    numbers: how many bytes of vectors there may be; of texts it is what packs that well.
    """
    path = place(".parquet")
    # Dictionaries stay packed: one text of megabytes may fill many rows.
    texts = ["file", "side", "language", "text"]
    file = require_extra("pyarrow.parquet", extra="parquet").ParquetFile(path, read_dictionary=texts)
    size = path.stat().st_size
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    columns = [group.column(number) for group in groups for number in range(group.num_columns)]
    for kind, most in (("vector", numbers), ("", max(_PACKED * size, 1 << 26))):
        held = sum(
            each.total_uncompressed_size
            for each in columns
            if each.path_in_schema.startswith("vector") == bool(kind)
        )
        if most is not None and held > most:
            raise ValueError(f"its {size:,} bytes would be {held:,}, expected at most {most:,}")
    if file.metadata.num_rows != rows:
        raise ValueError(f"it holds {file.metadata.num_rows:,} rows, expected {rows:,}")
    return file


def _parquet_vectors(place: Callable[[str], Path], rows: int, width: int) -> Packed:
    file = _parquet(place, rows, numbers=(rows + 1) * (4 * width + 64) + (1 << 20))
    names = [name for name in ("vector", "scale") if name in file.schema_arrow.names]
    table = file.read(columns=names).combine_chunks()
    column = table.column("vector").combine_chunks()
    width = column.type.list_size
    values = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)  # (R, D)
    return Packed(values, table.column("scale").to_numpy() if "scale" in names else None)


def _parquet_rows(place: Callable[[str], Path], rows: int, asked: Sequence[int]) -> list[Row]:
    file = _parquet(place, rows)
    names = [name for name in Row._fields if name in file.schema_arrow.names]
    return [Row(**found) for found in file.read(columns=names).take(list(asked)).to_pylist()]


def _write_npy(place: Callable[[str], Path], rows: Sequence[Row], packed: Packed) -> None:
    for suffix, array in ((".npy", packed.values), (".scales.npy", packed.scales)):
        if array is not None:
            with place(suffix).open("wb") as file:  # a path would get another .npy behind it
                np.save(file, array, allow_pickle=False)
    with place(".jsonl").open("w", encoding="utf-8") as file:
        for row in rows:
            known = {name: value for name, value in row._asdict().items() if value is not None}
            file.write(to_json({**known, "hash": _text_hash(row.text)}, indent=None))


def _npy_vectors(place: Callable[[str], Path], rows: int, width: int) -> Packed:
    scales = place(".scales.npy")
    return Packed(
        _mapped(place(".npy")),
        _mapped(scales) if scales.exists() else None,
    )


def _mapped(path: Path) -> NDArray[Any]:
    """An array that stays in its file: a header that claims more than the file holds is an error, and no memory."""
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _npy_rows(place: Callable[[str], Path], rows: int, asked: Sequence[int]) -> list[Row]:
    wanted = set(asked)
    found = dict(_lines(place(".jsonl"), wanted))
    return [found[number] for number in asked]


def _lines(path: Path, wanted: set[int]) -> Iterator[tuple[int, Row]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file):
            if number in wanted:
                known = parse_json(line)
                yield number, Row(**{name: known[name] for name in Row._fields if name in known})


SHARDS: dict[str, ShardFormat] = {
    "parquet": ShardFormat((".parquet",), _write_parquet, _parquet_vectors, _parquet_rows),
    "npy": ShardFormat((".npy", ".scales.npy", ".jsonl"), _write_npy, _npy_vectors, _npy_rows),
}
