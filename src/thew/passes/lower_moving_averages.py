"""Turns moving_average into the arithmetic that it is."""

from __future__ import annotations

import numpy as np

from thew.dtypes import to_numpy
from thew.ir import Graph, Node
from thew.ops import attribute
from thew.passes.editor import Editor


def lower_moving_averages(graph: Graph) -> Graph:
    """The graph with sub, mul and add in place of moving_average."""
    editor = Editor(graph)
    for node in editor.walk():
        known = editor.type_of(node.inputs[1]) if node.op == "moving_average" else None
        if known is None:
            continue
        value, state = node.inputs
        (output,) = node.outputs
        share = editor.add_constant(
            np.asarray(attribute(node, "momentum"), to_numpy(known.dtype)), f"{output}_momentum"
        )
        change, part = editor.fresh(f"{output}_change"), editor.fresh(f"{output}_part")
        editor.put(
            node,
            Node("sub", (value, state), (change,), {}, node.name),
            Node("mul", (change, share), (part,), {}, node.name),
            Node("add", (state, part), (output,), {}, node.name),
        )
    return editor.graph()
