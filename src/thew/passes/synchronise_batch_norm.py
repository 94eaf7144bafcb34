"""Lets processes that train together normalise their batches as one: each batch norm takes the statistics of all."""

from __future__ import annotations

from thew.ir import Graph, Node
from thew.ops.collective import BEGIN, END
from thew.passes.editor import Editor


def synchronise_batch_norm(graph: Graph, ranks: int) -> Graph:
    """The graph whose batch_norm_training nodes are given the moments that `ranks` processes sum."""
    editor = Editor(graph)
    for node in list(editor.walk()):
        if node.op != "batch_norm_training":
            continue
        own, begun, total = (editor.fresh(f"{node.outputs[0]}.{what}") for what in ("own", "begun", "moments"))
        editor.put(
            node,
            Node("batch_norm_moments", node.inputs[:1], (own,), {"ranks": ranks}, f"{node.name}.moments"),
            Node(BEGIN, (own,), (begun,), {}, f"{node.name}.begin"),
            Node(END, (begun,), (total,), {}, f"{node.name}.end"),
            node.replace(inputs=(*node.inputs, total), attributes={**node.attributes, "ranks": ranks}),
        )
    return editor.graph()
