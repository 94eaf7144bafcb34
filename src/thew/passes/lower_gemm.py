"""Turns gemm into matmul: α · A' B' + β · C = matmul(A', α · B', β · C), where ' is a transpose where asked for.

What is constant is transposed and scaled here, the transpose as a view; what is not gets a transpose node, which is a
matter of strides.
"""

from __future__ import annotations

import numpy as np

from thew.dtypes import FLOATS
from thew.ir import Graph, Node
from thew.ops import attribute
from thew.passes.editor import Editor
from thew.passes.epilogue import BIAS, activation_of, with_activation, with_input


def lower_gemm(graph: Graph) -> Graph:
    """The graph with matmul in place of gemm, save where scaling needs a dtype that is not known yet."""
    editor = Editor(graph)
    for node in editor.walk():
        if node.op == "gemm":
            _lower(editor, node)
    return editor.graph()


def _lower(editor: Editor, node: Node) -> None:
    alpha, beta = float(attribute(node, "alpha")), float(attribute(node, "beta"))
    addend = node.input(2) if beta != 0 else ""
    if not _can_scale(editor, node.inputs[:2], alpha) or (addend and not _can_scale(editor, (addend,), beta)):
        return
    made: list[Node] = []
    a, b = node.inputs[:2]
    if alpha != 1:
        scaled = next(name for name in (b, a) if editor.constant(name) is not None)
        new = _scaled(editor, scaled, alpha)
        a, b = (a, new) if scaled == b else (new, b)
    if attribute(node, "transA"):
        a = _transposed(editor, a, made)
    if attribute(node, "transB"):
        b = _transposed(editor, b, made)
    product = Node("matmul", (a, b), node.outputs, {}, node.name)
    if addend:
        product = with_input(product, BIAS, _scaled(editor, addend, beta) if beta != 1 else addend)
    name, parameters = activation_of(node)
    editor.put(node, *made, with_activation(product, name, parameters) if name else product)


def _can_scale(editor: Editor, names: tuple[str, ...], factor: float) -> bool:
    """Whether one of the values is a constant that takes the factor."""
    known = (editor.type_of(name) for name in names if editor.constant(name) is not None)
    return factor == 1 or any(type_ is not None and type_.dtype in FLOATS for type_ in known)


def _scaled(editor: Editor, name: str, factor: float) -> str:
    array = editor.constants[name]
    return editor.add_constant((array.astype(np.float64) * factor).astype(array.dtype), name)


def _transposed(editor: Editor, name: str, made: list[Node]) -> str:
    array = editor.constant(name)
    if array is not None and array.ndim == 2:
        return editor.add_constant(array.T, name)
    node = Node("transpose", (name,), (editor.fresh(f"{name}_transposed"),), {"perm": (1, 0)})
    made.append(node)
    return node.outputs[0]
