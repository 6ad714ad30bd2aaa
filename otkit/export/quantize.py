"""Smaller graphs: recipes from the smallest to the most careful, of which the first that passes the gate is
taken.

Weights of the linear layers go to int8 by ONNX Runtime's dynamic quantisation (activations are quantised on
the fly) or to 4 bits by MatMulNBits. The word table is most of the bytes of a multilingual encoder. One scale
for a whole table is what makes int8 multilingual encoders bad, so here every row (int8) or block of 32 values
(4 bits) has its own.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from otkit.errors import require_extra

__all__ = ["RECIPES", "Recipe"]


@dataclass(frozen=True)
class Recipe:
    """A named way to make a graph smaller: `write(source, target)`."""

    name: str
    write: Callable[[Path, Path], None]


def _embedding_gathers(model: Any) -> list[tuple[Any, Any]]:
    """The Gather nodes that look rows up in a large constant table, each with its table."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    return [
        (node, constants[node.input[0]])
        for node in model.graph.node
        if node.op_type == "Gather"
        and node.input[0] in constants
        and np.prod(constants[node.input[0]].dims) > 100_000
    ]


def _replace_table(model: Any, node: Any, table: Any, nodes: list[Any], constants: list[Any]) -> None:
    """Put `nodes`, which make the same output from `constants`, in the place of a Gather and its table."""
    graph = model.graph
    place = list(graph.node).index(node)
    graph.node.remove(node)
    for offset, new in enumerate(nodes):
        graph.node.insert(place + offset, new)
    if not any(table.name in other.input for other in graph.node):
        graph.initializer.remove(table)
    graph.initializer.extend(constants)


def _int8_tables(model: Any) -> None:
    """Tables as int8 rows with an fp32 scale each: Gather, Cast, and a product with the gathered scales."""
    from onnx import TensorProto, helper, numpy_helper

    for node, table in _embedding_gathers(model):
        values = numpy_helper.to_array(table)
        scales = np.maximum(np.abs(values).max(axis=1, keepdims=True) / 127, np.float32(1e-12)).astype(
            np.float32
        )
        name = table.name
        constants = [
            numpy_helper.from_array(np.rint(values / scales).astype(np.int8), f"{name}_int8"),
            numpy_helper.from_array(scales, f"{name}_scale"),
        ]
        ids, output = node.input[1], node.output[0]
        nodes = [
            helper.make_node("Gather", [f"{name}_int8", ids], [f"{output}_int8"], name=f"{node.name}_rows"),
            helper.make_node(
                "Cast",
                [f"{output}_int8"],
                [f"{output}_float"],
                name=f"{node.name}_cast",
                to=TensorProto.FLOAT,
            ),
            helper.make_node(
                "Gather", [f"{name}_scale", ids], [f"{output}_scale"], name=f"{node.name}_scales"
            ),
            helper.make_node(
                "Mul", [f"{output}_float", f"{output}_scale"], [output], name=f"{node.name}_product"
            ),
        ]
        _replace_table(model, node, table, nodes, constants)


def _int8(*, per_channel: bool, reduce_range: bool = False) -> Callable[[Path, Path], None]:
    def write(source: Path, target: Path) -> None:
        onnx = require_extra("onnx", extra="export")
        from onnxruntime.quantization import QuantType, quantize_dynamic

        model = onnx.load(str(source))
        _int8_tables(model)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            middle = Path(folder) / "tables.onnx"
            onnx.save(model, str(middle))
            with _no_advice():
                quantize_dynamic(
                    str(middle),
                    str(target),
                    op_types_to_quantize=["MatMul"],
                    weight_type=QuantType.QInt8,
                    per_channel=per_channel,
                    reduce_range=reduce_range,
                    extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
                )

    return write


@contextmanager
def _no_advice() -> Iterator[None]:
    """quantize_dynamic advises a preparation that fails on BERT graphs, through the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _blocks(
    bits: int, *, block: int, accuracy_level: int | None, symmetric: bool = True
) -> Callable[[Path, Path], None]:
    """Weights in blocks with a scale each (MatMulNBits); accuracy_level 4 computes with int8 activations.

    Tables: 4-bit blocks in GatherBlockQuantized, or int8 rows beside 8-bit blocks.
    """

    def write(source: Path, target: Path) -> None:
        onnx = require_extra("onnx", extra="export")
        from onnxruntime.quantization import matmul_nbits_quantizer as nbits

        model = onnx.load(str(source))
        if bits == 8:
            _int8_tables(model)
        config = nbits.DefaultWeightOnlyQuantConfig(
            block_size=block,
            is_symmetric=symmetric,
            accuracy_level=accuracy_level,
            op_types_to_quantize=("MatMul", "Gather") if bits == 4 else ("MatMul",),
            quant_axes=(("MatMul", 0), ("Gather", 1)),
            bits=bits,
        )
        nbits.logger.setLevel("ERROR")  # it reports every node that it skips
        quantizer = nbits.MatMulNBitsQuantizer(model, algo_config=config)
        with np.errstate(
            divide="ignore", invalid="ignore"
        ):  # it divides by the scale of all-zero blocks, unused
            quantizer.process()
        onnx.save(quantizer.model.model, str(target))

    return write


RECIPES: dict[str, tuple[Recipe, ...]] = {
    "int8": (
        Recipe("int8, dynamic, one scale a weight matrix", _int8(per_channel=False)),
        Recipe("int8, dynamic, one scale an output", _int8(per_channel=True)),
        # Seven bits do not overflow the 16-bit sums of x86 processors without VNNI.
        Recipe(
            "int8, dynamic, 7-bit weights, one scale an output", _int8(per_channel=True, reduce_range=True)
        ),
        Recipe("int8 in blocks of 128", _blocks(8, block=128, accuracy_level=4)),
    ),
    "int4": (
        Recipe("4 bits in blocks of 32, int8 activations", _blocks(4, block=32, accuracy_level=4)),
        Recipe("4 bits in blocks of 32", _blocks(4, block=32, accuracy_level=None)),
        Recipe(
            "4 bits with offsets in blocks of 32", _blocks(4, block=32, accuracy_level=None, symmetric=False)
        ),
    ),
}
