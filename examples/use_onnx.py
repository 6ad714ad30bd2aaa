"""An encoder that `otkit export` wrote, with onnxruntime, numpy and tokenizers alone.

python use_onnx.py FOLDER "Das ist ein Haus ." "This is a house ."
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

parser = argparse.ArgumentParser(description="Similarity and word links of two sentences.")
parser.add_argument("folder", type=Path, help="what `otkit export` wrote")
parser.add_argument("source", help="a sentence, its words between spaces")
parser.add_argument("target", help="its translation, likewise")
given = parser.parse_args()
folder: Path = given.folder
for name in ("model.onnx", "otkit.json", "manifest.json", "tokenizer.json"):
    if not (folder / name).is_file():
        parser.error(f"{folder} has no {name}: name a folder that `otkit export` wrote")
if not given.source.split() or not given.target.split():
    parser.error("a sentence is empty")
prefix = json.loads((folder / "otkit.json").read_text(encoding="utf-8"))["encoder"]["prefix"]
encoder = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["encoder"]
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.no_truncation()
tokenizer.enable_padding(pad_id=encoder["padding_id"])
session = onnxruntime.InferenceSession(str(folder / "model.onnx"))

skip = len(prefix.encode().split())  # of bytes: ASCII white space alone separates words
words = [
    [word.decode() for word in f"{prefix} {text}".encode().split()] for text in (given.source, given.target)
]
batch = tokenizer.encode_batch(words, is_pretokenized=True)
if (longest := len(batch[0].ids)) > encoder["max_tokens"]:
    parser.error(f"a sentence has {longest} subwords, and the encoder takes {encoder['max_tokens']}")
feed = {
    "input_ids": np.array([encoding.ids for encoding in batch], np.int64),
    "attention_mask": np.array([encoding.attention_mask for encoding in batch], np.int64),
}
states, vectors = session.run(["token_states", "sentence_vector"], feed)
print(f"similarity {vectors[0] @ vectors[1]:.4f}")  # noqa: T201

sides = []
for row, encoding in enumerate(batch):
    owner = np.array([-1 if word is None else word - skip for word in encoding.word_ids])
    mean = np.stack([states[row, owner == word].mean(axis=0) for word in range(len(words[row]) - skip)])
    sides.append(mean / np.linalg.norm(mean, axis=1, keepdims=True))
cosine = sides[0] @ sides[1].T
for i, j in enumerate(cosine.argmax(axis=1)):
    if cosine[:, j].argmax() == i:
        print(words[0][skip + i], words[1][skip + j], f"{cosine[i, j]:.3f}", sep="\t")  # noqa: T201
