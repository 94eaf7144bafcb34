"""Fused nodes as the ONNX operators that they are made of: a product, its bias, its residual and its activation, one
after another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from thew.dtypes import to_numpy
from thew.ir import Graph, Node
from thew.ir.graph import Array
from thew.ops.activation import ACTIVATIONS, filled

FUSED_INPUTS = {
    "conv": 3,
    "matmul": 2,
}  # how many inputs ONNX's operator takes; a bias of matmul and residuals come after
_EPILOGUE = ("activation", "activation_parameters")


def lowered(graph: Graph) -> Graph:
    """The graph, and the graphs in it, with ONNX's operators only."""
    lowering = _Lowering(graph)
    nodes = tuple(plain for node in graph.nodes for plain in lowering.nodes(_with_lowered_bodies(node)))
    return graph.replace(nodes=nodes, constants={**graph.constants, **lowering.constants})


def _with_lowered_bodies(node: Node) -> Node:
    bodies = {key: lowered(value) for key, value in node.attributes.items() if isinstance(value, Graph)}
    return node.with_attributes(**bodies) if bodies else node


class _Lowering:
    """Splits the fused nodes of one graph; `constants` collects what that adds."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._fresh = graph.fresh_names()
        self.constants: dict[str, Array] = {}

    def nodes(self, node: Node) -> Iterator[Node]:
        """The node in ONNX's terms."""
        if node.op == "silu":
            yield from self._activation("silu", (), node.inputs[0], node.outputs[0], node)
            return
        addends = [name for name in node.inputs[FUSED_INPUTS.get(node.op, len(node.inputs)) :] if name]
        parameters: Any = node.attributes.get("activation_parameters", ())
        activation = str(node.attributes.get("activation", ""))
        if not addends and not activation:
            yield node.replace(attributes={k: v for k, v in node.attributes.items() if k not in _EPILOGUE})
            return
        output = self._next(bool(addends or activation), node)
        plain = {key: value for key, value in node.attributes.items() if key not in _EPILOGUE}
        inputs = node.inputs[: FUSED_INPUTS.get(node.op, len(node.inputs))]
        yield node.replace(inputs=inputs, outputs=(output,), attributes=plain)
        for index, addend in enumerate(addends, start=1):
            source, output = output, self._next(index < len(addends) or bool(activation), node)
            yield Node("add", (source, addend), (output,), {}, f"{node.name}_add" if node.name else "")
        if activation:
            yield from self._activation(activation, tuple(parameters), output, node.outputs[0], node)

    def _next(self, is_inner: bool, node: Node) -> str:
        return next(self._fresh) if is_inner else node.outputs[0]

    def _activation(self, name: str, given: tuple[float, ...], source: str, output: str, node: Node) -> Iterator[Node]:
        parameters = filled(name, given)
        label = f"{node.name}_{name}" if node.name else ""
        if name == "silu":
            gate = next(self._fresh)
            yield Node("sigmoid", (source,), (gate,), {}, f"{label}_gate" if label else "")
            yield Node("mul", (source, gate), (output,), {}, label)
        elif name == "clip":
            known = self._graph.type_of(node.inputs[0]) or self._graph.type_of(node.outputs[0])
            dtype = to_numpy(known.dtype if known is not None else "fp32")
            bounds = [self._constant(np.array(bound, dtype)) if np.isfinite(bound) else "" for bound in parameters]
            yield Node("clip", (source, *bounds), (output,), {}, label)
        elif name == "gelu_tanh":
            yield Node("gelu", (source,), (output,), {"approximate": "tanh"}, label)
        else:
            attributes: dict[str, Any] = dict(zip(ACTIVATIONS[name].parameters, parameters, strict=True))
            yield Node(name, (source,), (output,), attributes, label)

    def _constant(self, array: Array) -> str:
        name = next(self._fresh)
        self.constants[name] = array
        return name
