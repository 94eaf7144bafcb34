"""Moves a sum of integers into the convolution before it, which adds to its result while it is in registers.

The bits stay those of the two ops: qlinear_conv with a residual is defined by them.
"""

from __future__ import annotations

from thew.ir import Graph, Node
from thew.ops import attribute
from thew.ops.qlinear import RESIDUAL
from thew.passes.editor import Editor

_SUMMANDS = (0, 3)  # of qlinear_add


def fuse_integer_sums(graph: Graph) -> Graph:
    """The graph with every qlinear_add that follows a qlinear_conv in that convolution."""
    editor = Editor(graph)
    for node in editor.walk():
        if node.op == "qlinear_add":
            _fuse(editor, node)
    return editor.graph()


def _fuse(editor: Editor, node: Node) -> None:
    for own, other in (_SUMMANDS, _SUMMANDS[::-1]):
        product = editor.producer(node.inputs[own])
        if product is None or not _takes_sum(editor, product) or not _is_like(editor, product, node.inputs[other]):
            continue
        if not _same_steps(editor, product.inputs[6:8], node.inputs[own + 1 : own + 3]):
            continue
        inputs = (*product.inputs, *[""] * (RESIDUAL - len(product.inputs)))
        residual = node.inputs[other : other + 3]
        limits = {name: node.attributes.get(name) for name in ("low", "high")}
        kept = {name: value for name, value in {**product.attributes, **limits}.items() if value is not None}
        fused = Node("qlinear_conv", (*inputs, *residual, *node.inputs[6:8]), node.outputs, kept, product.name)
        editor.put(node, fused)
        editor.drop(product)
        return


def _takes_sum(editor: Editor, product: Node) -> bool:
    """A dense convolution that no other reads, without a residual or a clamp of its own.

    A depthwise one has a kernel that adds nothing.
    """
    return (
        product.op == "qlinear_conv"
        and editor.is_private(product.outputs[0])
        and not product.input(RESIDUAL)
        and attribute(product, "group") == 1
        and all(product.attributes.get(name) is None for name in ("low", "high"))
    )


def _same_steps(editor: Editor, written: tuple[str, ...], read: tuple[str, ...]) -> bool:
    """Whether what the convolution quantises with is what the sum dequantises with."""
    pairs = [(editor.constant(one), editor.constant(other)) for one, other in zip(written, read, strict=True)]
    return all(one is not None and other is not None and one.item() == other.item() for one, other in pairs)


def _is_like(editor: Editor, product: Node, other: str) -> bool:
    mine, theirs = editor.type_of(product.outputs[0]), editor.type_of(other)
    return mine is not None and mine.is_static and mine == theirs and other != product.outputs[0]
