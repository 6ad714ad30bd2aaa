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
import onnxruntime
from numpy.typing import NDArray

__all__ = ["RECIPES", "Feed", "Quantisation"]


Feed = dict[str, NDArray[np.int64]]
Write = Callable[[Path, Path, Feed], None]


@dataclass(frozen=True)
class Quantisation:
    """A named way to make a graph smaller: `write(source, target, feed)`; feed is a batch of real sentences."""

    name: str
    write: Write


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


def _linear_layers(model: Any) -> list[Any]:
    """The MatMul nodes with a constant weight."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [node for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in constants]


def _noisy_layers(source: Path, feed: Feed, limit: float) -> list[str]:
    """The linear layers whose input suffers when it is rounded to 256 steps between its extremes.

    Rounding adds step^2 / 12 to the mean square of a value; outliers widen the step for all values. In the sample
    encoder three feed-forward layers (1, 5 and 6 of 12) pass 1 % of the signal and make two thirds of the loss.
    """
    import onnx

    model = onnx.load(str(source))
    layers = _linear_layers(model)
    if not layers:  # GPT-2 multiplies in nodes of another kind
        return []
    inputs = list(dict.fromkeys(node.input[0] for node in layers))
    del model.graph.output[:]
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(x, onnx.TensorProto.FLOAT, None) for x in inputs
    )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    noise = {}
    for name, values in zip(inputs, session.run(inputs, feed), strict=True):
        step = (float(values.max()) - float(values.min())) / 255
        noise[name] = step * step / 12 / max(float(np.mean(np.square(values))), 1e-12)
    return [node.name for node in layers if noise[node.input[0]] > limit]


def _int8(*, noise: float, reduce_range: bool = False) -> Write:
    """Dynamic int8 with a scale for each output; layers noisier than `noise` go into blocks of 128 weights."""

    def write(source: Path, target: Path, feed: Feed) -> None:
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic

        noisy = _noisy_layers(source, feed, noise)
        model = onnx.load(str(source))
        # quantize_dynamic infers the shapes itself, and fails where the exporter's notes of them say otherwise: of
        # sentence vectors that a Dense module made narrower they do.
        del model.graph.value_info[:]
        _int8_tables(model)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            middle = Path(folder) / "tables.onnx"
            onnx.save(model, str(middle))
            with _no_advice():
                quantize_dynamic(
                    str(middle),
                    str(target),
                    op_types_to_quantize=["MatMul"],
                    nodes_to_exclude=noisy,
                    weight_type=QuantType.QInt8,
                    per_channel=True,
                    reduce_range=reduce_range,
                    extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
                )
        if noisy:
            _write_blocks(onnx.load(str(target)), target, 8, block=128, accuracy_level=4, layers=noisy)

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


def _blocks(bits: int, *, block: int, accuracy_level: int | None, symmetric: bool = True) -> Write:
    """Every linear layer in blocks; tables as 4-bit blocks (GatherBlockQuantized), or int8 rows beside 8 bits."""

    def write(source: Path, target: Path, feed: Feed) -> None:
        import onnx

        model = onnx.load(str(source))
        if bits == 8:
            _int8_tables(model)
        _write_blocks(model, target, bits, block=block, accuracy_level=accuracy_level, symmetric=symmetric)

    return write


def _write_blocks(
    model: Any,
    target: Path,
    bits: int,
    *,
    block: int,
    accuracy_level: int | None,
    symmetric: bool = True,
    layers: list[str] | None = None,
) -> None:
    """Weights in blocks with a scale each (MatMulNBits); accuracy_level 4 computes with int8 activations."""
    import onnx
    from onnxruntime.quantization import matmul_nbits_quantizer as nbits

    config = nbits.DefaultWeightOnlyQuantConfig(
        block_size=block,
        is_symmetric=symmetric,
        accuracy_level=accuracy_level,
        op_types_to_quantize=("MatMul", "Gather") if bits == 4 else ("MatMul",),
        quant_axes=(("MatMul", 0), ("Gather", 1)),
        bits=bits,
    )
    nbits.logger.setLevel("ERROR")  # it reports every node that it skips
    quantizer = nbits.MatMulNBitsQuantizer(model, nodes_to_include=layers, algo_config=config)
    with np.errstate(divide="ignore", invalid="ignore"):  # it divides by the scale of all-zero blocks, unused
        quantizer.process()
    onnx.save(quantizer.model.model, str(target))


RECIPES: dict[str, tuple[Quantisation, ...]] = {
    "int8": (
        Quantisation("int8, dynamic; layers with outliers in blocks", _int8(noise=1e-2)),
        Quantisation("int8, dynamic; noisy layers in blocks", _int8(noise=2.5e-3)),
        # Seven bits do not overflow the 16-bit sums of x86 processors without VNNI.
        Quantisation(
            "int8, 7-bit weights, dynamic; layers with outliers in blocks",
            _int8(noise=1e-2, reduce_range=True),
        ),
        Quantisation("int8 in blocks of 128", _blocks(8, block=128, accuracy_level=4)),
    ),
    "int4": (
        Quantisation("4 bits in blocks of 32, int8 activations", _blocks(4, block=32, accuracy_level=4)),
        Quantisation("4 bits in blocks of 32", _blocks(4, block=32, accuracy_level=None)),
        Quantisation(
            "4 bits with offsets in blocks of 32", _blocks(4, block=32, accuracy_level=None, symmetric=False)
        ),
    ),
}
