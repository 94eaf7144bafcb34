"""A convolution of dequantised values that is quantised again becomes one of integers: qlinear_conv.

conv(s·(q − z), t·(w − u), s·t·b), clipped and quantised, is the integers' sum, scaled and rounded once. With the scales
inside, roundings of the last bit turn steps over, and over many layers pictures into other classes (measured: 85.8
instead of 86.8 % of 500 pictures for MobileNetV2). Runs before constants are folded, while weights are still seen as
integers. The form of the arithmetic is that of Jacob et al. 2018.
"""

from __future__ import annotations

from thew.ir import Graph, Node
from thew.passes.editor import Editor
from thew.passes.quantised import (
    integer_bias,
    quantised,
    quantised_constant,
    replace_with,
    steps_of_products,
    tail_of,
)

LONGEST = 2**31 // (255 * 255)  # products whose sum int32 is sure to hold


def convolve_integers(graph: Graph) -> Graph:
    """The graph with integer convolutions where a quantised one is followed by a quantisation."""
    editor = Editor(graph)
    for node in editor.walk():
        if node.op == "conv" and not node.attributes.get("activation") and not node.input(3):
            _rewrite(editor, node, graph)
    return editor.graph()


def _rewrite(editor: Editor, node: Node, graph: Graph) -> None:
    tail = tail_of(editor, node, graph)
    x, weight = quantised(editor, node.inputs[0]), quantised_constant(editor, node.inputs[1], 0)
    if tail is None or x is None or weight is None:
        return
    stored = editor.constants[weight.integers]
    bias = integer_bias(editor, node.input(2), steps_of_products(editor, x, weight)) if node.input(2) else ""
    if bias is None or stored.size // stored.shape[0] >= LONGEST:
        return
    if bias and editor.constants[bias].shape != stored.shape[:1]:
        return
    inputs = (*x.names, *weight.names, *tail.quantise.inputs[1:3], *((bias,) if bias else ()))
    replace_with(editor, node, tail, "qlinear_conv", inputs, node.attributes)
