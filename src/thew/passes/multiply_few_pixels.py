"""Turns convolutions of few pixels with weights that change, and their gradients, into products of matrices.

Where a weight is multiplied with a few pixels only, as in deep layers of a training step on one sample, packing it
costs more than its products. Patches of few pixels are small, so they are written out, (pixels, c·taps), and the
weights are read where they lie, (oc, c·taps); a gradient of the weights is written where it is to lie:

    y = patches · wᵀ        dw = dyᵀ · patches        dx = fold(dy · w)

A patch is gathered by number: `Window.taps` tells which pixel an output reads through each tap, or the zero that is put
behind the pixels. Folding gathers the other way, what each pixel was read for, and adds up over the taps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np

from thew.ir import Graph, Node
from thew.ir.graph import Array
from thew.ops import Call, attribute, conv, conv_grad
from thew.ops.window import Window
from thew.passes.editor import Editor
from thew.passes.epilogue import activation_of
from thew.passes.nodes import Nodes

MANY_WEIGHTS = 1 << 16
WIDEST = 16  # input pixels an output pixel: strides of 4
_FLOATS = frozenset({"fp32", "fp64"})


def multiply_few_pixels(graph: Graph) -> Graph:
    """The graph with products in place of convolutions whose weights are many for each pixel."""
    editor = Editor(graph)
    for node in editor.walk():
        if node.op in _LOWERED:
            call = _call(editor, node)
            if call is not None and _is_worth_it(call):
                made = _Nodes(editor, node)
                made.end(_LOWERED[node.op](made, call))
    return editor.graph()


def _call(editor: Editor, node: Node) -> Call | None:
    """The node with its types, where it is a plain convolution of one group with weights that change."""
    call = editor.static_call(node)
    if call is None or call.type(0).dtype not in _FLOATS or attribute(node, "group") != 1:
        return None
    fixed = node.op != "conv_grad_weight" and call.value(1) is not None
    fused = node.op == "conv" and (bool(activation_of(node)[0]) or bool(node.input(3)))
    return None if fixed or fused else call


def _forward(call: Call) -> Call:
    return call if call.node.op == "conv" else conv_grad.forward_call(call)


def _is_worth_it(call: Call) -> bool:
    forward = _forward(call)
    window = conv.window(forward)
    outputs, inputs = (forward.shape(0)[0] * prod(extents) for extents in (window.output, window.extents))
    few = 0 < outputs <= conv.FEW_PIXELS and inputs <= WIDEST * conv.FEW_PIXELS
    return few and prod(forward.shape(1)) >= MANY_WEIGHTS


class _Nodes(Nodes):
    """The nodes that one is turned into."""

    def channels_last(self, image: str, n: int, channels: int, extents: Sequence[int]) -> str:
        """An image as (n, pixels, channels), which is no copy where its channels lie together."""
        last = self.transpose(image, 0, *range(2, len(extents) + 2), 1)
        return self.reshape(last, n, prod(extents), channels)

    def gather(self, value: str, numbers: Array) -> str:
        """Rows of a value (n, rows, channels) by number; the number behind the last is that of a row of zeros."""
        padded = self.add("pad", value, self.integers((0, 0, 0, 0, 1, 0)))
        return self.add("gather", padded, self.integers(numbers.reshape(-1)), axis=1)

    def image(self, value: str, n: int, channels: int, extents: Sequence[int]) -> str:
        """What has its channels last as an image."""
        last = self.reshape(value, n, *extents, channels)
        return self.transpose(last, 0, len(extents) + 1, *range(1, len(extents) + 1))


def _read_by_output(window: Window) -> Array:
    """(output pixel, tap): the number of the input pixel, or how many there are where it is padding."""
    numbers = np.arange(prod(window.extents)).reshape(window.extents)
    found = np.full((*window.output, *window.kernel), numbers.size)
    for tap, out, into in window.taps():
        found[(*out[1:], *tap[1:])] = numbers[into]
    return found.reshape(prod(window.output), -1)


def _reading_input(window: Window) -> Array:
    """(input pixel, tap): which (output pixel, tap) read it, or how many there are where none did."""
    numbers = np.arange(prod(window.output) * prod(window.kernel)).reshape(*window.output, *window.kernel)
    found = np.full((*window.extents, *window.kernel), numbers.size)
    for tap, out, into in window.taps():
        found[(*into[1:], *tap[1:])] = numbers[(*out[1:], *tap[1:])]
    return found.reshape(prod(window.extents), -1)


def _patches(made: _Nodes, x: str, forward: Call) -> str:
    """(pixels, c·taps): what each output pixel reads of x."""
    n, c = forward.shape(0)[:2]
    window = conv.window(forward)
    pixels, taps = prod(window.output), prod(window.kernel)
    read = made.gather(made.channels_last(x, n, c, window.extents), _read_by_output(window))
    of_pixels = made.reshape(read, n, pixels, taps, c)
    return made.reshape(made.transpose(of_pixels, 0, 1, 3, 2), n * pixels, c * taps)


def _pixels(made: _Nodes, dy: str, forward: Call) -> str:
    """(pixels, oc) of the gradient of the output."""
    n, oc, *extents = conv.output_shape(forward)
    return made.reshape(made.channels_last(dy, n, oc, extents), n * prod(extents), oc)


def _rows_of_weights(made: _Nodes, w: str, forward: Call) -> str:
    oc, *rest = forward.shape(1)
    return made.reshape(w, oc, prod(rest))


def _conv(made: _Nodes, call: Call) -> str:
    x, w, *bias = call.node.inputs[:3]
    n, oc, *extents = conv.output_shape(call)
    turned = made.transpose(_rows_of_weights(made, w, call), 1, 0)
    return made.image(made.add("matmul", _patches(made, x, call), turned, *bias), n, oc, extents)


def _conv_grad_weight(made: _Nodes, call: Call) -> str:
    dy, x = call.node.inputs
    forward = _forward(call)
    columns = made.transpose(_pixels(made, dy, forward), 1, 0)
    product = made.add("matmul", columns, _patches(made, x, forward))
    return made.reshape(product, *forward.shape(1))


def _conv_grad_input(made: _Nodes, call: Call) -> str:
    dy, w = call.node.inputs
    forward = _forward(call)
    n, c, *extents = forward.shape(0)
    window = conv.window(forward)
    pixels, taps = prod(window.output), prod(window.kernel)
    product = made.add("matmul", _pixels(made, dy, forward), _rows_of_weights(made, w, forward))
    of_taps = made.transpose(made.reshape(product, n, pixels, c, taps), 0, 1, 3, 2)
    read = made.gather(made.reshape(of_taps, n, pixels * taps, c), _reading_input(window))
    parts = made.reshape(read, n, prod(extents), taps, c)
    return made.image(made.add("reduce_sum", parts, made.integers([2]), keepdims=0), n, c, extents)


_LOWERED: Mapping[str, Callable[[_Nodes, Call], str]] = {
    "conv": _conv,
    "conv_grad_weight": _conv_grad_weight,
    "conv_grad_input": _conv_grad_input,
}
