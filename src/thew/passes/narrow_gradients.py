"""Lets checks and updates read gradients in the narrower type that they were computed in: both widen what they read, so
that a cast before them would only write and read it once more.
"""

from __future__ import annotations

from thew.ir import Graph
from thew.ops.update import HYPER, right_factor
from thew.passes.editor import Editor
from thew.passes.narrow_training import narrower_source


def narrow_gradients(graph: Graph) -> Graph:
    """The graph with the sources of widening casts as gradients."""
    editor = Editor(graph)
    for node in editor.walk():
        if node.op == "unscale_check":
            gradients = range(2, len(node.inputs))
        elif node.op in HYPER and not node.input(right_factor(node.op)):
            gradients = range(1, 2)
        else:
            continue
        inputs = list(node.inputs)
        for index in gradients:
            inputs[index] = narrower_source(graph, inputs[index])
        if inputs != list(node.inputs):
            editor.put(node, node.replace(inputs=tuple(inputs)))
    return editor.graph()
