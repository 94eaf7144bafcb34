"""Graphs of 8-bit integers in TensorFlow Lite's format: qlinear_* ops as the operators that carry scales on tensors.

LiteRT takes weights that are int8 by channel with zero points of 0, and activations of int8; or all of uint8, with one
scale a tensor. uint8 activations beside int8 weights are written as int8, their zero points 128 lower: the same
numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from thew.bench.peers.tflite_format import OPS, OPTIONS, Writer, convolution, save
from thew.errors import UnsupportedError
from thew.ir import Graph, Node
from thew.ir.graph import Array
from thew.ops import attribute

# Where an op says in which steps its result is counted: scale and zero point among its inputs.
_STEPS = {"quantize_linear": (1, 2), "qlinear_conv": (6, 7), "qlinear_matmul": (6, 7), "qlinear_add": (6, 7)}
_WEIGHTS = ("qlinear_conv", "qlinear_matmul")


def write_integers(graph: Graph, path: Path) -> None:
    """Writes the file. Raises UnsupportedError for what has no counterpart here."""
    save(IntegerWriter(graph), path)


class IntegerWriter(Writer):
    """A writer that knows the scales of values."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.ops = {**OPS, **_INTEGER_OPS}
        self._steps: dict[str, tuple[Array, Array]] = {}  # of values of integers
        for node in graph.nodes:
            if node.op in _STEPS:
                scale, zero = (graph.constants[node.inputs[i]] for i in _STEPS[node.op])
                self._steps[node.outputs[0]] = scale, zero
            elif node.inputs and node.inputs[0] in self._steps and node.op != "dequantize_linear":
                self._steps[node.outputs[0]] = self._steps[node.inputs[0]]
        weights = [graph.constants.get(node.inputs[3]) for node in graph.nodes if node.op in _WEIGHTS]
        self.is_signed = all(weight is None or weight.dtype == np.int8 for weight in weights)

    def kind(self, name: str) -> dict[str, Any]:
        """Type, scale and zero point of integers."""
        if name not in self._steps:
            return {}
        scale, zero = self._steps[name]
        return {"dtype": "int8" if self.is_signed else "uint8", "scale": scale, "zero": zero + self._shift(zero)}

    def least_is_zero(self, name: str) -> bool:
        """Pads are of the zero point."""
        if name not in self._steps:
            return super().least_is_zero(name)
        zero = self._steps[name][1]
        if zero.reshape(-1)[0] != np.iinfo(zero.dtype).min:
            raise UnsupportedError(f"LiteRT: value '{name}': pads below its zero point are not written; leave it out")
        return True

    def _shift(self, zero: Array) -> Array:
        return np.array(-128 if self.is_signed and zero.dtype == np.uint8 else 0, np.int64)

    def clamp(self, node: Node) -> int:
        """The activation that a node's limits stand for."""
        scale, zero = self._steps[node.outputs[0]]
        info, point = np.iinfo(zero.dtype), int(zero.reshape(-1)[0])
        low, high = (attribute(node, name) for name in ("low", "high"))
        least = info.min if low is None else max(int(low), info.min)
        most = info.max if high is None else min(int(high), info.max)
        kinds = self.schema.ActivationFunctionType
        if most == info.max:
            if least == info.min:
                return int(kinds.NONE)
            if least == point:
                return int(kinds.RELU)
        six = round(6 / float(scale.reshape(-1)[0])) + point
        if (least, most) == (point, min(six, info.max)):
            return int(kinds.RELU6)
        raise UnsupportedError(f"LiteRT: {node}: limits must be those of an activation, got {least} and {most}")

    def weights(self, node: Node, data: Array, axis: int) -> list[int]:
        """The tensors of weights, laid out as given, and of the bias that sums begin with."""
        x_scale, scale, zero = (self.graph.constants[node.inputs[i]] for i in (1, 4, 5))
        if data.dtype == np.int8 and np.any(zero):
            raise UnsupportedError(f"LiteRT: {node}: zero points of int8 weights must be 0; leave the peer out")
        name, filters = node.outputs[0], data.shape[axis]
        bias = self.graph.constants[node.inputs[8]] if node.input(8) else np.zeros(filters, np.int32)
        of_sums = np.asarray(x_scale.reshape(-1)[0] * scale.reshape(-1), np.float32)
        return [
            self.tensor(f"{name}_w", data.shape, data, scale=scale, zero=zero, axis=axis),
            self.tensor(f"{name}_b", bias.shape, bias, scale=of_sums, zero=np.zeros(1, np.int64)),
        ]


def _conv(writer: Any, node: Node) -> None:
    data, axis, builtin, inputs, fields = convolution(writer, node, writer.graph.constants[node.inputs[3]], 0.0)
    inputs += writer.weights(node, data, axis)
    fields["fusedActivationFunction"] = writer.clamp(node)
    writer.layer(node, builtin, inputs, OPTIONS[builtin], **fields)


def _matmul(writer: Any, node: Node) -> None:
    weight = writer.graph.constants[node.inputs[3]]
    inputs = [writer.place(node.inputs[0]), *writer.weights(node, np.ascontiguousarray(weight.T), 0)]
    kind = writer.clamp(node)
    writer.layer(node, "FULLY_CONNECTED", inputs, "FullyConnectedOptions", fusedActivationFunction=kind)


def _add(writer: Any, node: Node) -> None:
    inputs = [writer.place(node.inputs[i]) for i in (0, 3)]
    writer.layer(node, "ADD", inputs, "AddOptions", fusedActivationFunction=writer.clamp(node))


def _convert(builtin: str) -> Callable[[Any, Node], None]:
    return lambda writer, node: writer.layer(node, builtin, [writer.place(node.inputs[0])])


_INTEGER_OPS: dict[str, Callable[[Any, Node], None]] = {
    "quantize_linear": _convert("QUANTIZE"),
    "dequantize_linear": _convert("DEQUANTIZE"),
    "qlinear_conv": _conv,
    "qlinear_matmul": _matmul,
    "qlinear_add": _add,
}
