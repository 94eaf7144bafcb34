"""Lets the gradient of a max pool take in that of the relu before it: the maxima that are found again tell relu′."""

from __future__ import annotations

from thew.ir import Graph
from thew.passes.editor import Editor


def fuse_activation_grads(graph: Graph) -> Graph:
    """The graph with `activation_grad` of relu as an attribute of the `max_pool_grad` whose result it multiplies.

    Both must look at the same tensor: the relu's output, which the pool reads.
    """
    editor = Editor(graph)
    for node in editor.walk():
        if node.op != "activation_grad" or node.attributes.get("activation") != "relu":
            continue
        dy, v = node.inputs
        pool = editor.producer(dy)
        if pool is None or pool.op != "max_pool_grad" or pool.inputs[0] != v or not editor.is_private(dy):
            continue
        if not pool.attributes.get("activation"):
            fused = pool.replace(outputs=node.outputs, attributes={**pool.attributes, "activation": "relu"})
            editor.put(node, fused)
            editor.drop(pool)
    return editor.graph()
