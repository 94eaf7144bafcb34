"""The fused form of ops, read and written here only: `conv(x, w, bias?, residual?)`, `matmul(a, b, bias?, residual?)`,
and an activation as the attributes `activation` and `activation_parameters` of these and of binary ops.

The result is activation(product + bias + residual). The names are those of the native kernels' enum.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from thew.ir import Node
from thew.ops import activation as activations

BIAS, RESIDUAL = 2, 3  # positions among the inputs
PRODUCTS = frozenset({"conv", "matmul", "scaled_matmul"})  # take a bias, a residual and an activation
BINARY = frozenset({"add", "sub", "mul", "div"})  # take an activation
FUSIBLE = PRODUCTS | BINARY
_TAKE_ACTIVATION = FUSIBLE | {"gemm"}
NATIVE = frozenset(
    {"relu", "clip", "leaky_relu", "hard_swish", "hard_sigmoid", "sigmoid", "silu", "tanh", "gelu", "elu"}
)  # what native epilogues can do


def activation_of(node: Node) -> tuple[str, tuple[float, ...]]:
    """Name and parameters of a node's fused activation; the empty name where it has none."""
    if node.op not in _TAKE_ACTIVATION:
        return "", ()
    parameters: Any = node.attributes.get("activation_parameters", ())
    return str(node.attributes.get("activation", "")), tuple(float(item) for item in parameters)


def with_activation(node: Node, name: str, parameters: Sequence[float] = ()) -> Node:
    """The node with an activation after it; it must have none yet."""
    assert not activation_of(node)[0], node
    if not parameters:
        return node.with_attributes(activation=name)
    return node.with_attributes(activation=name, activation_parameters=tuple(float(item) for item in parameters))


def with_input(node: Node, index: int, name: str) -> Node:
    """The node with optional input `index` set."""
    inputs = list(node.inputs) + [""] * (index + 1 - len(node.inputs))
    inputs[index] = name
    return node.replace(inputs=tuple(inputs))


def parse_activation(node: Node, bounds: Sequence[float | None] = ()) -> tuple[str, tuple[float, ...]] | None:
    """The activation that a unary node stands for, or None where kernels cannot fuse it.

    Args:
        node: any node.
        bounds: for clip, its constant bounds, None where absent.
    """
    if node.op == "clip":
        low, high = (*bounds, None, None)[:2]
        return "clip", (-inf if low is None else low, inf if high is None else high)
    found = activations.activation_of(node.op, node.attributes)
    if found == ("swish", (1.0,)):
        return "silu", ()
    return found if found is not None and found[0] in NATIVE else None
