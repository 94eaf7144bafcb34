"""Computes once what is computed twice, and keeps one of several equal small constants."""

from __future__ import annotations

from collections.abc import Hashable

from thew.ir import Graph, Node
from thew.ops import find
from thew.passes.editor import Editor

SMALL_BYTES = 256  # constants up to this size are compared


def share(graph: Graph) -> Graph:
    """The graph without repeated nodes and small constants."""
    editor = Editor(graph)
    first_constant: dict[Hashable, str] = {}
    stands_for: dict[str, str] = {}
    for name, array in editor.constants.items():
        if array.nbytes <= SMALL_BYTES and array.dtype.kind != "O":
            first = first_constant.setdefault((array.dtype.str, str(array.dtype), array.shape, array.tobytes()), name)
            if first != name:
                stands_for[name] = first
    first_node: dict[Hashable, Node] = {}
    for node in editor.walk():
        if any(name in stands_for for name in node.inputs):
            shared = node.replace(inputs=tuple(stands_for.get(name, name) for name in node.inputs))
            editor.put(node, shared)
            node = shared
        op, key = find(node.op), _key(node)
        if op is None or not op.is_pure or key is None:
            continue
        same = first_node.setdefault(key, node)
        if same is not node:
            editor.substitute(node, same.outputs)
    return editor.graph()


def _key(node: Node) -> Hashable | None:
    """What two nodes must have in common to be the same; None where an attribute cannot be compared."""
    key = (node.op, node.inputs, tuple(bool(name) for name in node.outputs), tuple(sorted(node.attributes.items())))
    try:
        hash(key)
    except TypeError:
        return None
    return key
