"""Ops that only choose or move elements do so to the integers, where a quantisation takes back what was dequantised.

quantise(op(dequantise(q))) is op(q) where both have one scale and one zero point: max_pool, reshapes, transposes,
slices, pads with zero, concat. An operand of a concat in other steps is brought into those of the result first.
"""

from __future__ import annotations

import numpy as np

from thew.ir import Graph, Node
from thew.passes.editor import Editor
from thew.passes.quantised import Quantised, Tail, quantised, replace_with, tail_of

_MOVES = ("max_pool", "reshape", "flatten", "squeeze", "unsqueeze", "transpose", "slice", "pad", "concat")
_FILLER = 2  # position of what a pad fills with


def moves_integers(graph: Graph, node: Node) -> bool:
    """Whether a node only chooses or places elements of its operands, or zeros."""
    if node.op not in _MOVES or len(node.outputs) != 1:
        return False
    filler = graph.constants.get(node.input(_FILLER)) if node.op == "pad" and node.input(_FILLER) else np.zeros(1)
    return filler is not None and not np.any(filler)


def move_integers(graph: Graph) -> Graph:
    """The graph with moves of integers in place of moves of what they stand for."""
    editor = Editor(graph)
    for node in editor.walk():
        tail = tail_of(editor, node, graph) if moves_integers(graph, node) else None
        if tail is None or tail.clip is not None:
            continue
        operands = node.inputs if node.op == "concat" else node.inputs[:1]
        sources = [quantised(editor, name) for name in operands]
        found = [source for source in sources if source is not None]
        if len(found) < len(sources) or any(not _alike(editor, one, tail, node.op == "concat") for one in found):
            continue
        before: list[Node] = []
        moved = tuple(_in_steps_of(editor, source, tail, before) for source in found)
        inputs = (*moved, *node.inputs[len(operands) :])
        if node.op == "pad":
            zero = editor.constants[tail.quantise.inputs[2]].reshape(())
            inputs = (*moved, node.inputs[1], editor.add_constant(zero, f"{node.outputs[0]}_zero"), *node.inputs[3:])
        replace_with(editor, node, tail, node.op, inputs, node.attributes, before)
    return editor.graph()


def _same_steps(editor: Editor, source: Quantised, tail: Tail) -> bool:
    scale, zero = (editor.constants[name] for name in tail.quantise.inputs[1:3])
    own_scale, own_zero = editor.constants[source.scale], editor.constants[source.zero]
    return bool(own_scale.reshape(()) == scale.reshape(()) and own_zero.reshape(()) == zero.reshape(()))


def _alike(editor: Editor, source: Quantised, tail: Tail, may_rescale: bool) -> bool:
    zero = editor.constants[tail.quantise.inputs[2]]
    return editor.constants[source.zero].dtype == zero.dtype and (may_rescale or _same_steps(editor, source, tail))


def _in_steps_of(editor: Editor, source: Quantised, tail: Tail, before: list[Node]) -> str:
    """The source's integers, counted in the tail's steps; appends the nodes that bring them there."""
    if _same_steps(editor, source, tail):
        return source.integers
    real, whole = (editor.fresh(f"{source.integers}_{name}") for name in ("real", "rescaled"))
    before.append(Node("dequantize_linear", source.names, (real,)))
    before.append(Node("quantize_linear", (real, *tail.quantise.inputs[1:3]), (whole,)))
    return whole
