"""Computes a model's fp32 parts in double precision: constants and casts become fp64, inputs and outputs keep their
dtype.

What an op fixes itself (int64 indices, bool masks) is untouched, and so are models in other precisions.
"""

from __future__ import annotations

import numpy as np

from thew.ir import Graph, Node
from thew.ir.graph import as_constant

_DTYPE_ATTRIBUTES = ("to", "dtype", "output_dtype")  # attributes that name a result's dtype


def widen(graph: Graph) -> Graph:
    """The graph with fp64 in place of fp32, converted where it meets the caller."""
    names = graph.fresh_names()
    renamed: dict[str, str] = {}
    before: list[Node] = []
    for value in graph.inputs:
        if value.type.dtype == "fp32":
            renamed[value.name] = wide = next(names)
            before.append(Node("cast", (value.name,), (wide,), {"to": "fp64"}, f"{value.name}:fp64"))
    inner = {output: next(names) for output in dict.fromkeys(graph.outputs) if output in graph.producers}
    renamed.update(inner)
    nodes = [_widened(node, renamed) for node in graph.nodes]
    after = [
        Node("cast", (name,), (output,), {"to": _declared(graph, output)}, f"{output}:out")
        for output, name in inner.items()
    ]
    constants = {
        name: as_constant(array.astype(np.float64))
        if array.dtype == np.float32 and name not in graph.outputs
        else array
        for name, array in graph.constants.items()
    }
    return graph.replace(nodes=(*before, *nodes, *after), constants=constants, types={})


def _declared(graph: Graph, output: str) -> str:
    """The dtype that the caller expects of an output; an output of unknown type is taken for fp32."""
    found = graph.type_of(output)
    return found.dtype if found is not None else "fp32"


def _widened(node: Node, renamed: dict[str, str]) -> Node:
    attributes = {
        name: "fp64" if name in _DTYPE_ATTRIBUTES and value == "fp32" else value
        for name, value in node.attributes.items()
    }
    inputs = tuple(renamed.get(name, name) for name in node.inputs)
    outputs = tuple(renamed.get(name, name) for name in node.outputs)
    return node.replace(inputs=inputs, outputs=outputs, attributes=attributes)
