"""Convolutions of few pixels as products: the same outputs, and only where weights change and are many."""

import numpy as np
import pytest

from thew.ops.interpret import evaluate
from thew.passes import multiply_few_pixels as module
from thew.passes.multiply_few_pixels import multiply_few_pixels

CONV = """
graph g(%x: fp64[1,2,2,1], %w: fp64[3,2,2,1], %b: fp64[3]) -> (%z) {
  %z: fp64[1,3,1,1] = conv(%x, %w, %b) "conv"
}
"""
WINDOWS = {  # shapes of x and w, attributes, shape of y
    "padded": ((2, 3, 4, 4), (5, 3, 3, 3), "pads=[1, 1, 1, 1]", (2, 5, 4, 4)),
    "strided": ((1, 2, 7, 5), (4, 2, 3, 2), "strides=[2, 3], pads=[1, 0, 0, 1]", (1, 4, 3, 2)),
    "dilated": ((3, 2, 5, 6), (2, 2, 2, 3), "dilations=[2, 2], pads=[0, 2, 1, 0]", (3, 2, 4, 4)),
    "same": ((1, 2, 3, 3), (2, 2, 2, 2), 'auto_pad="SAME_UPPER", strides=[2, 2]', (1, 2, 2, 2)),
    "line": ((2, 3, 9), (4, 3, 3), "pads=[1, 1], strides=[2]", (2, 4, 5)),
    "pointwise": ((2, 6, 2, 2), (3, 6, 1, 1), "strides=[1, 1]", (2, 3, 2, 2)),
    "unread": ((1, 1, 5, 5), (2, 1, 1, 1), "strides=[3, 3]", (1, 2, 2, 2)),
}


def texts(x, w, window, y):
    """The convolution and its two gradients."""
    images = [f"fp64[{','.join(map(str, shape))}]" for shape in (x, w, y)]
    heads = ("%x: {0}, %w: {1}, %b: fp64[{3}]", "%x: {2}, %w: {1}", "%x: {2}, %w: {0}")
    calls = (
        f"conv(%x, %w, %b) {{{window}}}",
        f"conv_grad_input(%x, %w) {{{window}, input_shape={list(x)}, kernel_shape={list(w[2:])}}}",
        f"conv_grad_weight(%x, %w) {{{window}, kernel_shape={list(w[2:])}}}",
    )
    results = (images[2], images[0], images[1])
    for head, call, result in zip(heads, calls, results, strict=True):
        yield f"graph g({head.format(*images, y[1])}) -> (%z) {{\n  %z: {result} = {call}\n}}\n"


@pytest.fixture(autouse=True)
def any_number_of_weights(monkeypatch):
    monkeypatch.setattr(module, "MANY_WEIGHTS", 1)


def test_patches_times_weights_as_they_lie(rewrites):
    rewrites(
        multiply_few_pixels,
        CONV,
        """
        graph g(%x: fp64[1,2,2,1], %w: fp64[3,2,2,1], %b: fp64[3]) -> (%z) {
          const %z.integers: int64[2] = [3, 4]
          const %z.integers_1: int64[3] = [1, 2, 2]
          const %z.integers_2: int64[6] = [0, 0, 0, 0, 1, 0]
          const %z.integers_3: int64[2] = [0, 1]
          const %z.integers_4: int64[4] = [1, 1, 2, 2]
          const %z.integers_5: int64[2] = [1, 4]
          const %z.integers_6: int64[4] = [1, 1, 1, 3]
          %z.reshape: fp64[3,4] = reshape(%w, %z.integers) "conv"
          %z.transpose: fp64[4,3] = transpose(%z.reshape) {perm=[1, 0]} "conv"
          %z.transpose_1: fp64[1,2,1,2] = transpose(%x) {perm=[0, 2, 3, 1]} "conv"
          %z.reshape_1: fp64[1,2,2] = reshape(%z.transpose_1, %z.integers_1) "conv"
          %z.pad: fp64[1,3,2] = pad(%z.reshape_1, %z.integers_2) "conv"
          %z.gather: fp64[1,2,2] = gather(%z.pad, %z.integers_3) {axis=1} "conv"
          %z.reshape_2: fp64[1,1,2,2] = reshape(%z.gather, %z.integers_4) "conv"
          %z.transpose_2: fp64[1,1,2,2] = transpose(%z.reshape_2) {perm=[0, 1, 3, 2]} "conv"
          %z.reshape_3: fp64[1,4] = reshape(%z.transpose_2, %z.integers_5) "conv"
          %z.matmul: fp64[1,3] = matmul(%z.reshape_3, %z.transpose, %b) "conv"
          %z.reshape_4: fp64[1,1,1,3] = reshape(%z.matmul, %z.integers_6) "conv"
          %z: fp64[1,3,1,1] = transpose(%z.reshape_4) {perm=[0, 3, 1, 2]} "conv"
        }
        """,
    )


@pytest.mark.parametrize("window", WINDOWS)
def test_computes_the_same(read_graph, window):
    for text in texts(*WINDOWS[window]):
        graph = read_graph(text)
        changed = multiply_few_pixels(graph)
        assert not any(node.op.startswith("conv") for node in changed.nodes)
        random = np.random.default_rng(0)
        feeds = {value.name: random.normal(size=value.type.static_shape) for value in graph.inputs}
        (expected,), (got,) = (list(evaluate(g, feeds).values()) for g in (graph, changed))
        terms = 64 * 16 * 4  # of magnitudes below 4, at most
        np.testing.assert_allclose(got, expected, rtol=0, atol=terms * np.finfo(np.float64).eps)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("%w: fp64[3,2,2,1], %b: fp64[3])", "%b: fp64[3])"),  # and a constant, below
        ("fp64[1,", "fp64[65,"),
        ("fp64[", "fp16["),
        ("conv(%x, %w, %b)", 'conv(%x, %w, %b) {activation="relu"}'),
    ],
    ids=["constant weights", "many pixels", "halves", "an activation fused"],
)
def test_leaves_other_convolutions_alone(read_graph, old, new):
    text = CONV.replace(old, new)
    if "%w:" not in text:
        text = text.replace("{\n", "{\n  const %w: fp64[3,2,2,1] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]\n", 1)
    graph = read_graph(text)
    assert multiply_few_pixels(graph) is graph


def test_leaves_convolutions_of_few_weights_alone(read_graph, monkeypatch):
    monkeypatch.setattr(module, "MANY_WEIGHTS", 13)
    graph = read_graph(CONV)
    assert multiply_few_pixels(graph) is graph
