"""A matrix product of floats with dequantised weights becomes scaled_matmul, whose kernels may keep the integers: what
waits for weights from memory waits for a quarter of them. Which kernel runs it, the planner says: one that dequantises
weights once is among them.

Comes after the passes that make products of integers, and before constants are folded, which would make floats of the
weights.
"""

from __future__ import annotations

import numpy as np

from thew.ir import Graph, Node
from thew.ir.graph import Array
from thew.passes.editor import Editor
from thew.passes.epilogue import BIAS, with_input
from thew.passes.multiply_integers import is_plain_gemm
from thew.passes.quantised import quantised_constant

SCALE = 4  # position among the inputs


def multiply_dequantised(graph: Graph) -> Graph:
    """The graph with scaled_matmul in the place of products with dequantised weights."""
    editor = Editor(graph)
    for node in editor.walk():
        if node.op == "matmul" or (node.op == "gemm" and is_plain_gemm(node)):
            _rewrite(editor, node)
    return editor.graph()


def _rewrite(editor: Editor, node: Node) -> None:
    if node.attributes.get("activation") or (node.op == "matmul" and len(node.inputs) > 2):
        return
    name, is_turned = node.inputs[1], bool(node.attributes.get("transB"))
    made = editor.producer(name)
    if node.op == "matmul" and made is not None and made.op == "transpose":
        name, is_turned = made.inputs[0], True
    weight = quantised_constant(editor, name, 0 if is_turned else 1)
    if weight is None or editor.constants[weight.integers].ndim != 2:
        return
    centred = _centred(editor.constants[weight.integers], editor.constants[weight.zero], 0 if is_turned else 1)
    if centred is None:
        return
    columns = centred.shape[0 if is_turned else 1]
    bias = editor.constant(node.input(BIAS))
    if node.input(BIAS) and (bias is None or bias.size != columns or bias.shape[-1:] != (columns,)):
        return
    integers = editor.add_constant(centred.T if is_turned else centred, f"{weight.integers}_centred")
    product = with_input(
        Node("scaled_matmul", (node.inputs[0], integers), node.outputs, {}, node.name), SCALE, weight.scale
    )
    if bias is not None:
        product = with_input(product, BIAS, editor.add_constant(bias.reshape(-1), node.input(BIAS)))
    editor.put(node, product)


def _centred(integers: Array, zero: Array, axis: int) -> Array | None:
    """The integers less their zero points, in int8; None where they do not fit."""
    if not np.any(zero) and integers.dtype == np.int8:
        return integers
    points = zero.astype(np.int16).reshape([-1 if place == axis and zero.size > 1 else 1 for place in range(2)])
    centred = integers.astype(np.int16) - points
    limits = np.iinfo(np.int8)
    if centred.min(initial=0) < limits.min or centred.max(initial=0) > limits.max:
        return None
    return np.asarray(centred.astype(np.int8))
