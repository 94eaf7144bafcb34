"""Takes out nodes that give back an input as it is: identity, dropout in inference, casts to the same dtype, no pads.

The table says for each op when that is so. Where both names must stay (a graph output that is a graph input), identity
remains.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from thew.ir import Graph, Node
from thew.ops import attribute
from thew.passes.editor import Editor


def eliminate_no_ops(graph: Graph) -> Graph:
    """The graph without nodes that change nothing."""
    editor = Editor(graph)
    for node in editor.walk():
        is_no_op = NO_OPS.get(node.op)
        if is_no_op is None or not node.inputs or not node.inputs[0] or not is_no_op(editor, node):
            continue
        if any(name and (editor.reads(name) or name in editor.pinned) for name in node.outputs[1:]):
            continue
        if not editor.forward(node, node.inputs[0]) and node.op != "identity":
            editor.put(node, Node("identity", node.inputs[:1], node.outputs[:1], {}, node.name))
    return editor.graph()


def _always(editor: Editor, node: Node) -> bool:
    return True


def _keeps_type(editor: Editor, node: Node) -> bool:
    """For ops that are the identity whenever dtype and static shape stay the same."""
    known = editor.type_of(node.inputs[0])
    return known is not None and known.is_static and known == editor.type_of(node.outputs[0])


def _is_inference(editor: Editor, node: Node) -> bool:
    training = node.input(2)
    value = editor.constant(training)
    return not training or (value is not None and not value.any())


def _is_same_cast(editor: Editor, node: Node) -> bool:
    known = editor.type_of(node.inputs[0])
    return known is not None and known.dtype == attribute(node, "to")


def _is_same_order(editor: Editor, node: Node) -> bool:
    perm = attribute(node, "perm")
    return bool(perm) and tuple(perm) == tuple(range(len(perm)))


def _pads_nothing(editor: Editor, node: Node) -> bool:
    pads = editor.integers(node.input(1))
    return pads is not None and not any(pads)


def _has_one_input(editor: Editor, node: Node) -> bool:
    return len(node.inputs) == 1


def _has_one_output(editor: Editor, node: Node) -> bool:
    return len(node.outputs) == 1


def _is_unbounded(editor: Editor, node: Node) -> bool:
    return not any(node.inputs[1:])


def _is_whole_slice(editor: Editor, node: Node) -> bool:
    steps = editor.integers(node.input(4))
    forward = not node.input(4) or (steps is not None and all(step == 1 for step in steps))
    return forward and _keeps_type(editor, node)


def _is_neutral(neutral: float) -> Callable[[Editor, Node], bool]:
    """For binary ops: whether input 1 is a constant that changes nothing, and no shape either."""

    def rule(editor: Editor, node: Node) -> bool:
        operand = editor.constant(node.input(1))
        if operand is None or operand.size == 0 or operand.dtype.kind == "O" or node.attributes.get("activation"):
            return False
        return bool(np.all(operand == neutral)) and (operand.ndim == 0 or _keeps_type(editor, node))

    return rule


NO_OPS: dict[str, Callable[[Editor, Node], bool]] = {
    "identity": _always,
    "straight_through": _always,
    "dropout": _is_inference,
    "cast": _is_same_cast,
    "transpose": _is_same_order,
    "reshape": _keeps_type,
    "flatten": _keeps_type,
    "squeeze": _keeps_type,
    "unsqueeze": _keeps_type,
    "expand": _keeps_type,
    "tile": _keeps_type,
    "slice": _is_whole_slice,
    "pad": _pads_nothing,
    "concat": _has_one_input,
    "split": _has_one_output,
    "sum": _has_one_input,
    "max": _has_one_input,
    "min": _has_one_input,
    "mean": _has_one_input,
    "clip": _is_unbounded,
    "add": _is_neutral(0),
    "sub": _is_neutral(0),
    "mul": _is_neutral(1),
    "div": _is_neutral(1),
    # An extent of 1 is its own sum, mean, product and maximum.
    "reduce_sum": _keeps_type,
    "reduce_mean": _keeps_type,
    "reduce_max": _keeps_type,
    "reduce_min": _keeps_type,
    "reduce_prod": _keeps_type,
    "global_average_pool": _keeps_type,
    "global_max_pool": _keeps_type,
}
