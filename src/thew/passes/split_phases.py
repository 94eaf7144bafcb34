"""Turns convolutions whose windows are a whole number m of strides wide into such of m×m windows at stride 1, of the
input's phases: every s-th pixel, for each of s² starts, is a channel (polyphase decomposition; Vaidyanathan 1990).

    y[o] = Σ_{c, i, j} w[o, c, i, j] · x[c, s·y + i, s·x + j]     with i = s·a + p, j = s·b + q
         = Σ_{(c, p, q), a, b} w'[o, (c, p, q), a, b] · x'[(c, p, q), y + a, x + b]

The products are the same ones, but Winograd's algorithm runs small windows at stride 1, and what a patch reads lies
together. Phases cost a copy of the input: behind a convolution, whose pixels have their channels side by side, they are
(p, q, c), so that a row's q·c stay one run; elsewhere (c, p, q). A scale that has one value and casts to wider types
follow the copy, which then moves integers.
"""

from __future__ import annotations

from thew.dtypes import size_bytes
from thew.ir import Graph, Node
from thew.ops import attribute, conv
from thew.ops.activation import ACTIVATIONS
from thew.passes.editor import Editor

_WINDOWS = {r for _, r in conv.WINOGRAD.values()}
_POINTWISE = {*ACTIVATIONS, "cast", "dequantize_linear"}


def split_phases(graph: Graph) -> Graph:
    """The graph with convolutions of phases where their types are static and the windows cover the input."""
    editor = Editor(graph)
    for node in editor.walk():
        if node.op == "conv":
            stride = _stride(editor, node)
            if stride:
                _split(editor, node, stride)
    return editor.graph()


def _stride(editor: Editor, node: Node) -> int:
    """The stride of a convolution that is to be split, else 0."""
    shapes = [editor.static_shape(name) or () for name in node.inputs[:2]]
    if any(len(shape) != 4 for shape in shapes):
        return 0
    found = conv.window(editor.call(node))
    s, kernel = found.strides[0], found.kernel[0]
    is_square = set(found.strides) == {s} and set(found.kernel) == {kernel}
    covers = all(extent == (count - 1) * s + kernel for extent, count in zip(found.extents, found.output, strict=True))
    is_plain = attribute(node, "group") == 1 and set(found.dilations) == {1} and not any(found.pads)
    is_whole = s > 1 and kernel % s == 0 and kernel // s in _WINDOWS
    return s if is_square and is_plain and is_whole and covers else 0


def _split(editor: Editor, node: Node, stride: int) -> None:
    x, w = node.inputs[:2]
    how = {"blocksize": stride, "mode": "CRD" if _is_planar(editor, x) else "DCR"}

    def phases(name: str) -> Node:
        return Node("space_to_depth", (name,), (editor.fresh(f"{name}.phases"),), how, f"{name}.phases")

    source, chain = x, []
    while (maker := editor.producer(source)) is not None and _grows(editor, maker):
        chain.append(maker)
        source = maker.inputs[0]
    made = [phases(source)]
    for maker in reversed(chain):
        inputs, output = (*made[-1].outputs, *maker.inputs[1:]), editor.fresh(f"{maker.outputs[0]}.phases")
        made.append(maker.replace(inputs=inputs, outputs=(output,)))
    weights = phases(w)
    changed = node.replace(inputs=(*made[-1].outputs, *weights.outputs, *node.inputs[2:]))
    plain = {"kernel_shape": (), "auto_pad": "NOTSET"}  # as the weights have it; no pads
    given = {name: value for name, value in plain.items() if name in node.attributes}
    editor.put(node, *made, weights, changed.with_attributes(strides=(1, 1), **given))


def _is_planar(editor: Editor, name: str) -> bool:
    """Whether no convolution made the value, so that its channels lie apart."""
    source = editor.producer(name)
    while source is not None and source.op in _POINTWISE:
        source = editor.producer(source.inputs[0])
    return source is None or source.op != "conv"


def _grows(editor: Editor, node: Node) -> bool:
    """Whether a node makes wider elements of each element alone: a scale that has one value, or a cast."""
    if node.op == "dequantize_linear":
        return editor.number(node.inputs[1]) is not None and not node.input(2)
    types = editor.type_of(node.inputs[0]) if node.op == "cast" else None
    return types is not None and size_bytes(types.dtype) < size_bytes(attribute(node, "to"))
