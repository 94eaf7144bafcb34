"""Folds a constant pad into the window of the convolution or pool that reads it.

Zeros may go into conv, and into average_pool where pads are counted; minus infinity into max_pool. Only spatial axes
may be padded.
"""

from __future__ import annotations

import numpy as np

from thew.ir import Graph, Node
from thew.ops import attribute
from thew.passes.editor import Editor

_NEUTRAL = {"conv": 0.0, "average_pool": 0.0, "max_pool": -np.inf}


def fold_pads(graph: Graph) -> Graph:
    """The graph with pads as attributes of windows where that is the same."""
    editor = Editor(graph)
    for node in editor.walk():
        if node.op not in _NEUTRAL:
            continue
        source = editor.producer(node.inputs[0])
        if source is not None and source.op == "pad":
            _fold(editor, node, source)
    return editor.graph()


def _fold(editor: Editor, node: Node, pad: Node) -> None:
    amounts = _spatial_pads(editor, node, pad)
    if (
        amounts is None
        or not _is_neutral(editor, node, pad)
        or attribute(node, "auto_pad") not in ("", "NOTSET", "VALID")
    ):
        return
    is_valid = attribute(node, "auto_pad") == "VALID"  # then `pads` are not read
    own = (not is_valid and tuple(attribute(node, "pads"))) or (0,) * len(amounts)
    if len(own) != len(amounts):
        return
    changes: dict[str, object] = {"pads": tuple(a + b for a, b in zip(own, amounts, strict=True))}
    if is_valid:
        changes["auto_pad"] = "NOTSET"
    if node.op != "conv":
        # ceil_mode drops a window that starts in the pads, and indices of maxima count the padded tensor's elements.
        if attribute(node, "ceil_mode") or len([name for name in node.outputs if name]) > 1:
            return
        if node.op == "average_pool":
            if any(own) and not attribute(node, "count_include_pad"):
                return
            changes["count_include_pad"] = 1
    editor.put(node, node.replace(inputs=(pad.inputs[0], *node.inputs[1:])).with_attributes(**changes))


def _is_neutral(editor: Editor, node: Node, pad: Node) -> bool:
    filler = editor.number(pad.input(2)) if pad.input(2) else 0.0
    return attribute(pad, "mode") == "constant" and filler == _NEUTRAL[node.op]


def _spatial_pads(editor: Editor, node: Node, pad: Node) -> tuple[int, ...] | None:
    """Begins, then ends of the spatial axes; None where they are not constant, negative, or other axes are padded."""
    amounts, axes = editor.integers(pad.input(1)), editor.integers(pad.input(3))
    if amounts is None or (pad.input(3) and axes is None) or min(amounts, default=0) < 0:
        return None
    rank = _rank(editor, node, len(amounts) // 2 if axes is None else None)
    if not rank:
        return None
    padded = list(range(rank)) if axes is None else [axis % rank for axis in axes]
    if len(amounts) != 2 * len(padded):
        return None
    begins, ends = dict(zip(padded, amounts, strict=False)), dict(zip(padded, amounts[len(padded) :], strict=True))
    if any(table.get(axis) for table in (begins, ends) for axis in (0, 1)):
        return None
    return tuple(table.get(axis, 0) for table in (begins, ends) for axis in range(2, rank))


def _rank(editor: Editor, node: Node, otherwise: int | None) -> int | None:
    """The rank of a window's input."""
    if node.op == "conv":
        weight = editor.type_of(node.inputs[1])
        return otherwise if weight is None or weight.shape is None else len(weight.shape)
    return len(attribute(node, "kernel_shape")) + 2
