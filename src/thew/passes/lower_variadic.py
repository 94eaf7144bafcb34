"""Turns ops of any number of inputs into chains of binary ones: sum → add, max and min of three or more, mean → add and
mul.
"""

from __future__ import annotations

import numpy as np

from thew.dtypes import FLOATS, to_numpy
from thew.ir import Graph, Node
from thew.passes.editor import Editor

_BINARY = {"sum": "add", "mean": "add", "max": "max", "min": "min"}


def lower_variadic(graph: Graph) -> Graph:
    """The graph with binary ops only where ONNX has variadic ones."""
    editor = Editor(graph)
    for node in editor.walk():
        least = 3 if node.op in ("max", "min") else 2
        if node.op in _BINARY and len(node.inputs) >= least and all(node.inputs):
            _lower(editor, node)
    return editor.graph()


def _lower(editor: Editor, node: Node) -> None:
    op, count = _BINARY[node.op], len(node.inputs)
    divisor = ""
    if node.op == "mean":
        known = next((found for found in map(editor.type_of, node.inputs) if found is not None), None)
        if known is None or known.dtype not in FLOATS:
            return
        divisor = editor.add_constant(np.asarray(count, to_numpy(known.dtype)), f"{node.outputs[0]}_count")
    chain: list[Node] = []
    total = node.inputs[0]
    for index, operand in enumerate(node.inputs[1:], start=2):
        is_last = index == count and not divisor
        output = node.outputs[0] if is_last else editor.fresh(f"{node.outputs[0]}_partial")
        chain.append(Node(op, (total, operand), (output,), {}, node.name))
        total = output
    if divisor:
        chain.append(Node("div", (total, divisor), node.outputs, {}, node.name))
    editor.put(node, *chain)
