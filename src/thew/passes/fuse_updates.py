"""Lets the update of a matrix take its gradient as a product, where the sum is short: on few samples a dense layer's
gradient costs more to write and read than to compute.
"""

from __future__ import annotations

from thew.ir import Graph, Node
from thew.ops.update import HYPER, right_factor
from thew.passes.editor import Editor

SHORT_SUM = 8  # beyond it, a product on the trunk's tiles is faster by more than the gradient's way through memory


def fuse_updates(graph: Graph) -> Graph:
    """The graph with products that only an update reads, of at most `SHORT_SUM` terms, as inputs of the update."""
    editor = Editor(graph)
    for node in editor.walk():
        product = editor.producer(node.inputs[1]) if node.op in HYPER else None
        if product is None or not _is_short(editor, product) or not editor.is_private(node.inputs[1]):
            continue
        left, right = product.inputs
        inputs = [node.input(index) for index in range(right_factor(node.op))]
        editor.put(node, node.replace(inputs=(inputs[0], left, *inputs[2:], right)))
        editor.drop(product)
    return editor.graph()


def _is_short(editor: Editor, product: Node) -> bool:
    if product.op != "matmul" or len(product.inputs) != 2 or product.attributes.get("activation"):
        return False
    shapes = [editor.static_shape(name) for name in product.inputs]
    return all(shape is not None and len(shape) == 2 for shape in shapes) and 0 < (shapes[0] or (0,))[-1] <= SHORT_SUM
