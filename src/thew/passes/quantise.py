"""Quantises a float graph: a quantisation and a dequantisation at every site, weights and biases as integers.

The result is ONNX's QDQ form: it computes in floats what a quantised network computes, and becomes integer ops when it
is loaded. Every value keeps its name; what is quantised is `<name>_float` before. Products of steps are biases' steps
(Jacob et al. 2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from thew.ir import Graph, Node
from thew.ir.graph import Array
from thew.passes.editor import Editor
from thew.passes.quantisable import Layer, Sites

LARGEST_BIAS = 2.0**23  # in steps: with the products of a depthwise window, sums stay exact in fp32


@dataclass(frozen=True, eq=False)
class Encoding:
    """How numbers are counted: q = saturate(round(x / scale) + zero). Values that share steps share the object.

    Attributes:
        scale: fp32, one number or one a channel.
        zero: the integer that stands for 0, of the scale's shape; its dtype is the integers'.
    """

    scale: Array
    zero: Array

    def integers(self, x: Array, axis: int = 0) -> Array:
        """The numbers as integers; channels lie along an axis."""
        scale, zero = (self._along(array, x.ndim, axis).astype(np.float64) for array in (self.scale, self.zero))
        limits = np.iinfo(self.zero.dtype)
        steps = np.clip(np.rint(x / scale) + zero, limits.min, limits.max)
        return np.asarray(steps.astype(self.zero.dtype))

    def floats(self, integers: Array, axis: int = 0) -> Array:
        """What integers stand for, in fp32."""
        scale, zero = (self._along(array, integers.ndim, axis).astype(np.float64) for array in (self.scale, self.zero))
        return np.asarray(((integers - zero) * scale).astype(np.float32))

    def rounded(self, x: Array, axis: int = 0) -> Array:
        """The numbers as the integers hold them."""
        return self.floats(self.integers(x, axis), axis)

    def _along(self, array: Array, rank: int, axis: int) -> Array:
        return array if array.ndim == 0 else array.reshape([-1 if place == axis else 1 for place in range(rank)])


@dataclass(frozen=True, eq=False)
class Weights:
    """A layer's weights as integers.

    Attributes:
        integers: of the shape of the weights.
        encoding: their steps.
    """

    integers: Array
    encoding: Encoding


def quantise(graph: Graph, sites: Sites, encodings: Mapping[str, Encoding], weights: Mapping[str, Weights]) -> Graph:
    """The graph with (de)quantisations.

    Args:
        graph: from `quantisable.prepare`.
        sites: what of it is quantised.
        encodings: of every value of the sites, by name.
        weights: of every layer of the sites that has weights, by key.
    """
    return _Writer(graph, sites, encodings, weights).graph()


class _Writer:
    """Puts the nodes of one graph in their new order; constants are added as they come."""

    def __init__(
        self, graph: Graph, sites: Sites, encodings: Mapping[str, Encoding], weights: Mapping[str, Weights]
    ) -> None:
        self._source, self._sites, self._encodings, self._weights = graph, sites, encodings, weights
        self._editor = Editor(graph)  # for fresh names and constants only
        self._values = frozenset(sites.values)
        self._renamed: dict[str, str] = {}  # graph inputs, by what stands for them
        self._pairs: dict[Encoding, tuple[str, str]] = {}

    def graph(self) -> Graph:
        nodes: list[Node] = []
        for value in self._source.inputs:
            if value.name in self._values:
                self._renamed[value.name] = self._editor.fresh(f"{value.name}_rounded")
                nodes.extend(self._pair(value.name, value.name, self._renamed[value.name]))
        for node in self._source.nodes:
            nodes.extend(self._written(node))
        read = {name for node in nodes for name in node.inputs} | set(self._source.outputs)
        constants = {name: array for name, array in self._editor.constants.items() if name in read}
        return self._source.replace(nodes=tuple(nodes), constants=constants, types={})

    def _written(self, node: Node) -> list[Node]:
        before: list[Node] = []
        inputs = [self._renamed.get(name, name) for name in node.inputs]
        layer = self._sites.layers.get(node.outputs[0])
        if layer is not None and layer.weight:
            before, inputs[1:] = self._parameters(layer)
        outputs = [self._editor.fresh(f"{name}_float") if name in self._values else name for name in node.outputs]
        after = [
            made
            for source, name in zip(outputs, node.outputs, strict=True)
            if source != name
            for made in self._pair(source, name, name)
        ]
        return [*before, node.replace(inputs=tuple(inputs), outputs=tuple(outputs)), *after]

    def _pair(self, source: str, value: str, output: str) -> list[Node]:
        """A quantisation of a value and its dequantisation."""
        encoding = self._encodings[value]
        if encoding not in self._pairs:
            self._pairs[encoding] = _steps(self._editor, encoding, value)
        steps = self._pairs[encoding]
        whole = self._editor.fresh(f"{value}_integers")
        return [
            Node("quantize_linear", (source, *steps), (whole,)),
            Node("dequantize_linear", (whole, *steps), (output,)),
        ]

    def _parameters(self, layer: Layer) -> tuple[list[Node], list[str]]:
        """Dequantisations of a layer's weights and bias."""
        own = self._weights[layer.key]
        nodes = [dequantised(self._editor, layer.weight, own.integers, own.encoding, layer.axis)]
        if layer.bias:
            step = self._encodings[layer.operands[0]].scale * own.encoding.scale
            zero = np.zeros(step.shape, np.int32)
            counted = Encoding(step, zero)
            whole = counted.integers(self._source.constants[layer.bias])
            nodes.append(dequantised(self._editor, layer.bias, whole, counted, 0))
        return nodes, [node.outputs[0] for node in nodes]


def dequantised(editor: Editor, name: str, integers: Array, encoding: Encoding, axis: int) -> Node:
    """The dequantisation of a constant: its integers and steps are added, the node is the caller's to place."""
    stored = editor.add_constant(integers, f"{name}_integers")
    output = editor.fresh(f"{name}_rounded")
    attributes = {"axis": axis} if encoding.scale.ndim else {}
    return Node("dequantize_linear", (stored, *_steps(editor, encoding, name)), (output,), attributes)


def _steps(editor: Editor, encoding: Encoding, stem: str) -> tuple[str, str]:
    return editor.add_constant(encoding.scale, f"{stem}_scale"), editor.add_constant(encoding.zero, f"{stem}_zero")
