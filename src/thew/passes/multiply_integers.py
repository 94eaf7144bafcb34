"""A matrix product of dequantised values that is quantised again becomes one of integers: qlinear_matmul.

As convolve_integers, for matmul with a constant matrix and for gemm without factors.
"""

from __future__ import annotations

import numpy as np

from thew.ir import Graph, Node
from thew.passes.convolve_integers import LONGEST
from thew.passes.editor import Editor
from thew.passes.quantised import (
    Quantised,
    integer_bias,
    quantised,
    quantised_constant,
    replace_with,
    steps_of_products,
    tail_of,
)


def multiply_integers(graph: Graph) -> Graph:
    """The graph with integer products where a quantised one is followed by a quantisation."""
    editor = Editor(graph)
    for node in editor.walk():
        if node.op == "matmul" or (node.op == "gemm" and is_plain_gemm(node)):
            _rewrite(editor, node, graph)
    return editor.graph()


def is_plain_gemm(node: Node) -> bool:
    """Whether a gemm is a product and perhaps a bias: no factors, and its first matrix as it is."""
    factors = (node.attributes.get("alpha", 1.0), node.attributes.get("beta", 1.0) if node.input(2) else 1.0)
    return factors == (1.0, 1.0) and not node.attributes.get("transA")


def _rewrite(editor: Editor, node: Node, graph: Graph) -> None:
    if node.attributes.get("activation") or (node.op == "matmul" and len(node.inputs) > 2):
        return
    is_transposed = bool(node.attributes.get("transB"))
    tail, x = tail_of(editor, node, graph), quantised(editor, node.inputs[0])
    weight = quantised_constant(editor, node.inputs[1], 0 if is_transposed else 1)
    if tail is None or x is None or weight is None:
        return
    stored = editor.constants[weight.integers]
    if stored.ndim != 2 or stored.shape[is_transposed] >= LONGEST:
        return
    bias = integer_bias(editor, node.input(2), steps_of_products(editor, x, weight)) if node.input(2) else ""
    if bias is None:
        return
    columns = stored.shape[0 if is_transposed else 1]
    if bias and editor.constants[bias].shape != (columns,):
        return
    if is_transposed:
        turned = editor.add_constant(np.ascontiguousarray(stored.T), f"{weight.integers}_turned")
        weight = Quantised(turned, weight.scale, weight.zero)
    inputs = (*x.names, *weight.names, *tail.quantise.inputs[1:3], *((bias,) if bias else ()))
    replace_with(editor, node, tail, "qlinear_matmul", inputs, {})
