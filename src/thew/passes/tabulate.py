"""Functions of one byte become tables: whatever stands between the integers of a tensor and those that it is quantised
to, be it a sigmoid, HardSwish or x·sigmoid(x) with a quantisation within, has 256 results.

They are computed here by the ops' references, so that a table gives what the nodes give. Sums and products of several
tensors, and activations that a convolution clamps to by itself, have been taken by the passes before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from thew.errors import Error
from thew.ir import Graph, Node
from thew.ir.graph import Array
from thew.ops import get
from thew.ops.interpret import apply
from thew.ops.quant import TABLE
from thew.passes.editor import Editor
from thew.passes.quantised import BYTES, is_plain

_POINTWISE = frozenset({"unary", "binary", "select", "cast"})  # families of kernels whose ops act element by element
_QUANTISERS = ("quantize_linear", "dequantize_linear")
_MOST_NODES = 64
_LEAST_OF_IMAGES = 3  # dimensions: samples, channels and one of space


def tabulate(graph: Graph) -> Graph:
    """The graph with a lookup in place of every quantisation whose input is a function of one 8-bit tensor."""
    editor = Editor(graph)
    for node in editor.walk():
        if node.op != "quantize_linear":
            continue
        found = _Function(editor)
        table = found.table() if found.reaches(node) else None
        if table is not None:
            name = editor.add_constant(table, f"{node.outputs[0]}_table")
            editor.put(node, Node("lookup", (found.source, name), node.outputs, {}, node.name))
    return editor.graph()


@dataclass
class _Function:
    """What is found upstream of a quantisation: the nodes, in order, and the bytes that they are a function of."""

    editor: Editor
    source: str = ""
    dtype: str = ""  # of the source
    rank: int = 0  # that the source must have at least, for the numbers beside it not to lend it theirs
    nodes: dict[str, Node] = field(default_factory=dict)  # by output, each behind those that it reads

    def reaches(self, node: Node) -> bool:
        """Whether only elementwise nodes with single numbers stand between a node and one tensor of bytes."""
        if node.outputs[0] in self.nodes:
            return True
        if len(node.outputs) != 1 or not _is_pointwise(node) or len(self.nodes) >= _MOST_NODES:
            return False
        if not all(self._takes(node, index) for index, name in enumerate(node.inputs) if name):
            return False
        self.nodes[node.outputs[0]] = node
        return True

    def _takes(self, node: Node, index: int) -> bool:
        name = node.inputs[index]
        constant, producer = self.editor.constant(name), self.editor.producer(name)
        if constant is not None:
            if node.op == "lookup":
                return index == 1
            if node.op not in _QUANTISERS:
                self.rank = max(self.rank, constant.ndim)
            return constant.size == 1
        dtype = self._dtype(node, name)
        if dtype in BYTES and (producer is None or producer.op != "lookup"):
            self.source = self.source or name
            self.dtype = self.dtype if node.op == "lookup" and self.dtype else dtype
            return self.source == name
        return producer is not None and self.reaches(producer)

    def _dtype(self, node: Node, name: str) -> str:
        """Of what a node reads; where nothing is known, a lookup is content with any byte."""
        known = self.editor.type_of(name)
        if known is None and node.op == "dequantize_linear" and node.input(2):
            known = self.editor.type_of(node.inputs[2])  # of the zero point
        return known.dtype if known is not None else BYTES[0] if node.op == "lookup" else ""

    def table(self) -> Array | None:
        """What the last node gives for every byte; None where that is no byte, or cannot be computed."""
        if not self.source or self.rank > self._source_rank():
            return None
        values: dict[str, Array] = {self.source: np.arange(TABLE).astype(np.uint8).view(self.dtype)}
        try:
            for output, node in self.nodes.items():
                (values[output],) = apply(node, [self._value(values, name) for name in node.inputs])
        except Error:
            return None
        table = values[next(reversed(self.nodes))]
        return table if table.dtype.name in BYTES and table.shape == (TABLE,) else None

    def _source_rank(self) -> int:
        """Its rank as far as it is known: a convolution gives images, whatever their extents."""
        known, producer = self.editor.type_of(self.source), self.editor.producer(self.source)
        if known is not None and known.shape is not None:
            return len(known.shape)
        return _LEAST_OF_IMAGES if producer is not None and producer.op == "qlinear_conv" else 0

    def _value(self, values: Mapping[str, Array], name: str) -> Array | None:
        if not name or name in values:
            return values.get(name)
        constant = self.editor.constants[name]
        return constant.reshape(()) if constant.size == 1 else constant


def _is_pointwise(node: Node) -> bool:
    if node.op in _QUANTISERS:
        return is_plain(node)
    return node.op == "lookup" or any(way.family in _POINTWISE for way in get(node.op).candidates)
