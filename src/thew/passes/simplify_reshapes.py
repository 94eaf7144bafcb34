"""One form for all that only renames axes, and one node for a chain of it.

Flatten, squeeze and unsqueeze with a static result become reshape to a constant shape; a reshape of a reshape reads the
first one's input.
"""

from __future__ import annotations

import numpy as np

from thew.ir import Graph, Node
from thew.ops import attribute
from thew.passes.editor import Editor

RESHAPES = frozenset({"reshape", "flatten", "squeeze", "unsqueeze"})


def simplify_reshapes(graph: Graph) -> Graph:
    """The graph with each chain of reshapes as one."""
    editor = Editor(graph)
    for node in editor.walk():
        if node.op in RESHAPES:
            _simplify(editor, node)
    return editor.graph()


def reshape_node(editor: Editor, source: str, shape: tuple[int, ...], output: str, name: str) -> Node:
    """A reshape to a static shape; its shape constant is added."""
    target = editor.add_constant(np.asarray(shape, np.int64), f"{output}_shape")
    # Without allowzero a 0 would mean the extent of the input.
    attributes = {"allowzero": 1} if 0 in shape else {}
    return Node("reshape", (source, target), (output,), attributes, name)


def _simplify(editor: Editor, node: Node) -> None:
    source = node.inputs[0]
    while (above := editor.producer(source)) is not None and above.op in RESHAPES:
        source = above.inputs[0]
    shape = editor.static_shape(node.outputs[0])
    if shape is not None and (node.op != "reshape" or editor.constant(node.inputs[1]) is None):
        editor.put(node, reshape_node(editor, source, shape, node.outputs[0], node.name))
    elif source != node.inputs[0] and node.op == "reshape" and _stands_alone(editor, node, shape):
        editor.put(node, node.replace(inputs=(source, node.inputs[1])))


def _stands_alone(editor: Editor, node: Node, shape: tuple[int, ...] | None) -> bool:
    """Whether a reshape's constant target means the same whatever shape its input has."""
    target = editor.constant(node.inputs[1])
    if target is None:
        return False
    if attribute(node, "allowzero"):
        return shape is not None and shape == tuple(target.tolist())
    return not (target == 0).any()
