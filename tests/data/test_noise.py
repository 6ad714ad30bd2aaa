"""Damaged input of every reader ends in a result or in an error of otkit, never in another exception."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from otkit.data.gold import read_gold
from otkit.data.parallel import read_pairs
from otkit.data.tasks import read_nli, read_qa
from otkit.errors import OtkitError

TEXT = "das Haus\tthe house\nja !\tyes !\n" * 20
CONTENT: dict[str, bytes] = {
    "pairs": TEXT.encode(),
    "jsonl": 9
    * (json.dumps({"source": "ä", "target": "b", "premise": "c", "hypothesis": "d"}) + "\n").encode(),
    "gold": b"das Haus\tthe house\t0-0 1-1\nja !\tyes !\t0-0 1?1\n" * 9,
    "naacl": b"1 1 1 S\n1 2 2 P\n2 1 1\n" * 3,
    "pharaoh": b"0-0 1p1\n1-0\n" * 20,
    "nli": b"Er kam .\tHe came .\tneutral\nNein .\tNo .\tentailment\n" * 9,
    "qa": json.dumps(
        {"data": [{"paragraphs": [{"context": "Im Jahr 1901 .", "qas": [
            {"id": "1", "question": "?", "answers": [{"text": "1901", "answer_start": 8}]}]}]}]}
    ).encode(),
}  # fmt: skip


def damaged(content: bytes, generator: random.Random) -> bytes:
    """Some bytes replaced, removed, doubled, or others put in that mean something; at times gzip, damaged."""
    data = bytearray(content)
    for _ in range(generator.randint(1, 6)):
        place = generator.randrange(len(data) + 1)
        kind = generator.randrange(4)
        if kind == 0:
            data[place : place + 1] = bytes([generator.randrange(256)])
        elif kind == 1:
            del data[place : place + generator.choice([1, 5, len(data) // 2])]
        elif kind == 2:
            data[place:place] = generator.choice(
                [b"\n", b"\t", b"\0", b"\r", b" ||| ", b"\xff", b"{", b"]", b"0-0", b"null", b"-1", b"1e999"]
            )
        else:
            data[place:place] = data[: generator.randrange(20)]
    if generator.random() < 0.3:
        data = bytearray(gzip.compress(bytes(data)))
        if generator.random() < 0.5:
            data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    return bytes(data)


@pytest.mark.parametrize("name", CONTENT)
def test_damage_is_answered(name: str, tmp_path: Path) -> None:
    text = tmp_path / "text.tsv"
    text.write_text(TEXT)
    readers: list[Callable[[Path, str], object]] = [
        lambda path, on_error: list(read_pairs(path, on_error=on_error)),
        lambda path, on_error: read_gold(path, on_error=on_error),
        lambda path, on_error: read_gold(path, text=text, on_error=on_error),
        lambda path, on_error: read_nli(path, on_error=on_error),
        lambda path, on_error: read_qa(path, on_error=on_error),
    ]
    generator = random.Random(name)
    path = tmp_path / "input"
    messages = []
    for _ in range(120):
        path.write_bytes(damaged(CONTENT[name], generator))
        for reader in readers:
            for on_error in ("raise", "skip"):
                try:
                    reader(path, on_error)
                except OtkitError as error:
                    messages.append(str(error))
    assert len(messages) > 100
    assert all(len(message) < 900 and "\n" not in message for message in messages)
