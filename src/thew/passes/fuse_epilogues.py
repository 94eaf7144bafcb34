"""Moves what follows a product into its epilogue: a bias, a residual of the same shape, an activation.

The fused node takes the place of the last one, so that all it reads is defined before it and no cycle can arise.
Nothing is fused across a value that someone else reads, or that is a graph output.
"""

from __future__ import annotations

from thew.dtypes import FLOATS
from thew.ir import Graph, Node
from thew.ir.graph import Array
from thew.ops import attribute
from thew.passes.editor import Editor
from thew.passes.epilogue import (
    BIAS,
    FUSIBLE,
    PRODUCTS,
    RESIDUAL,
    activation_of,
    parse_activation,
    with_activation,
    with_input,
)


def fuse_epilogues(graph: Graph) -> Graph:
    """The graph with biases, residuals and activations fused into products and binary ops."""
    editor = Editor(graph)
    for node in editor.walk():
        if node.op == "add":
            node = _fuse_add(editor, node)
        else:
            _fuse_activation(editor, node)
    return editor.graph()


def _fuse_add(editor: Editor, node: Node) -> Node:
    """Fuses an add, with the activation it may have already, into one of its operands."""
    for fuse in (_bias, _residual):
        candidates = []
        for index in (0, 1):
            product = editor.producer(node.inputs[index])
            if product is None or product.op not in PRODUCTS or not editor.is_private(product.outputs[0]):
                continue
            if not activation_of(product)[0] and not product.input(RESIDUAL):
                fused = fuse(editor, node, product, node.inputs[1 - index])
                if fused is not None:
                    candidates.append((product, fused))
        if candidates:
            product, fused = max(candidates, key=lambda pair: _preference(pair[0]))
            fused = fused.replace(outputs=node.outputs)
            name, parameters = activation_of(node)
            fused = with_activation(fused, name, parameters) if name else fused
            editor.put(node, fused)
            editor.drop(product)
            return fused
    return node


def _preference(product: Node) -> int:
    """Dense products hide a residual's memory traffic better than depthwise ones."""
    return 0 if product.op == "conv" and attribute(product, "group") != 1 else 1


def _bias(editor: Editor, node: Node, product: Node, other: str) -> Node | None:
    operand = editor.constant(other)
    if operand is None or product.input(BIAS):
        return None
    if product.op != "conv":
        if not operand.ndim or operand.size != operand.shape[-1] or not _keeps_shape(editor, node, product, operand):
            return None
        return with_input(product, BIAS, _flat(editor, other))
    weight = editor.type_of(product.inputs[1])
    if weight is None or weight.shape is None or operand.ndim > len(weight.shape):
        return None
    shape = (1,) * (len(weight.shape) - operand.ndim) + operand.shape
    if operand.size != weight.shape[0] or shape[1] != operand.size:
        return None
    return with_input(product, BIAS, _flat(editor, other))


def _flat(editor: Editor, name: str) -> str:
    array = editor.constants[name]
    return name if array.ndim == 1 else editor.add_constant(array.reshape(-1), name)


def _keeps_shape(editor: Editor, node: Node, product: Node, operand: Array) -> bool:
    """Whether an add does not broadcast the product to a larger shape; for a 1-d bias the matrix's columns tell."""
    weight = editor.type_of(product.inputs[1])
    if operand.ndim == 1 and weight is not None and weight.shape is not None and len(weight.shape) >= 2:
        return operand.shape[0] in (1, weight.shape[-1])
    shape = editor.static_shape(product.outputs[0])
    return shape is not None and shape == editor.static_shape(node.outputs[0])


def _residual(editor: Editor, node: Node, product: Node, other: str) -> Node | None:
    mine, theirs = editor.type_of(product.outputs[0]), editor.type_of(other)
    if mine is None or not mine.is_static or mine != theirs or other == product.outputs[0]:
        return None
    return with_input(product, RESIDUAL, other)


def _fuse_activation(editor: Editor, node: Node) -> None:
    bounds: list[float | None] = []
    if not node.inputs or not node.inputs[0]:
        return
    source = editor.producer(node.inputs[0])
    if (
        source is None
        or source.op not in FUSIBLE
        or activation_of(source)[0]
        or not editor.is_private(source.outputs[0])
    ):
        return
    if source.op not in ("conv", "scaled_matmul"):  # which take floats only
        known = editor.type_of(source.outputs[0]) or editor.type_of(source.inputs[1])
        if known is None or known.dtype not in FLOATS:  # an activation would not be exact for integers
            return
    for name in node.inputs[1:]:
        bounds.append(editor.number(name))
        if name and bounds[-1] is None:
            return
    found = parse_activation(node, bounds)
    if found is None:
        return
    editor.put(node, with_activation(source, *found).replace(outputs=node.outputs))
    editor.drop(source)
