import numpy as np
import pytest

from thew.autodiff import Extension, differentiate
from thew.ops.interpret import evaluate
from thew.passes.specialise import specialise
from thew.passes.split_phases import split_phases


def test_phases_of_an_image_are_channels_behind_its_channels(rewrites):
    rewrites(
        split_phases,
        """
        graph g(%x: fp64[1,2,6,10], %w: fp64[3,2,4,4], %b: fp64[3]) -> (%z) {
          %z = conv(%x, %w, %b) {activation="relu", strides=[2, 2]} "conv"
        }
        """,
        """
        graph g(%x: fp64[1,2,6,10], %w: fp64[3,2,4,4], %b: fp64[3]) -> (%z) {
          %x.phases: fp64[1,8,3,5] = space_to_depth(%x) {blocksize=2, mode="CRD"} "x.phases"
          %w.phases: fp64[3,8,2,2] = space_to_depth(%w) {blocksize=2, mode="CRD"} "w.phases"
          %z: fp64[1,3,2,4] = conv(%x.phases, %w.phases, %b) {activation="relu", strides=[1, 1]} "conv"
        }
        """,
    )


def test_behind_a_convolution_they_come_before_its_channels(rewrites):
    rewrites(
        split_phases,
        """
        graph g(%x: fp64[1,2,5,5], %v: fp64[4,2,2,2], %w: fp64[3,4,4,4]) -> (%z) {
          %c: fp64[1,4,4,4] = conv(%x, %v)
          %r: fp64[1,4,4,4] = relu(%c)
          %z = conv(%r, %w) {strides=[2, 2], kernel_shape=[4, 4], auto_pad="VALID"}
        }
        """,
        """
        graph g(%x: fp64[1,2,5,5], %v: fp64[4,2,2,2], %w: fp64[3,4,4,4]) -> (%z) {
          %c: fp64[1,4,4,4] = conv(%x, %v)
          %r: fp64[1,4,4,4] = relu(%c)
          %r.phases: fp64[1,16,2,2] = space_to_depth(%r) {blocksize=2, mode="DCR"} "r.phases"
          %w.phases: fp64[3,16,2,2] = space_to_depth(%w) {blocksize=2, mode="DCR"} "w.phases"
          %z: fp64[1,3,1,1] = conv(%r.phases, %w.phases) {strides=[1, 1], kernel_shape=[], auto_pad="NOTSET"}
        }
        """,
    )


def test_integers_are_moved_before_they_are_scaled(read_graph):
    graph = read_graph(
        """
        graph g(%x: uint8[2,4,12,12], %w: fp32[3,4,8,8]) -> (%z) {
          const %scale: fp32[] = [0.25]
          %d: fp32[2,4,12,12] = dequantize_linear(%x, %scale)
          %z = conv(%d, %w) {strides=[4, 4]}
        }
        """
    )
    after = split_phases(graph)
    expected = "dequantize_linear space_to_depth dequantize_linear space_to_depth conv"
    assert [node.op for node in after.nodes] == expected.split()
    random = np.random.default_rng(0)
    feeds = {
        "x": random.integers(0, 256, (2, 4, 12, 12)).astype(np.uint8),
        "w": random.standard_normal((3, 4, 8, 8)).astype(np.float32),
    }
    # Sums of 256 terms, whose order changes.
    np.testing.assert_allclose(evaluate(after, feeds)["z"], evaluate(graph, feeds)["z"], rtol=0, atol=256 * 64 * 6e-8)


@pytest.mark.parametrize(
    ("shape", "weight", "attributes"),
    [
        ("1,2,6,6", "3,2,4,4", "pads=[1, 1, 1, 1], strides=[2, 2]"),
        ("1,2,7,7", "3,2,4,4", "strides=[2, 2]"),
        ("1,2,6,6", "3,2,3,3", "strides=[3, 3]"),
        ("1,2,5,5", "3,2,3,3", "strides=[2, 2]"),
        ("1,4,6,6", "4,2,4,4", "strides=[2, 2], group=2"),
        ("1,2,8,6", "3,2,4,4", "strides=[4, 2]"),
        ("n,2,6,6", "3,2,4,4", "strides=[2, 2]"),
    ],
)
def test_stays(shape, weight, attributes, read_graph):
    graph = read_graph(
        f"graph g(%x: fp64[{shape}], %w: fp64[{weight}]) -> (%z) {{\n  %z = conv(%x, %w) {{{attributes}}}\n}}\n"
    )
    assert split_phases(graph) is graph


def test_both_have_the_same_gradients(read_graph):
    graph = read_graph(
        """
        graph g(%x: fp64[2,2,8,8], %w: fp64[3,2,4,4]) -> (%s) {
          const %axes: int64[4] = [0, 1, 2, 3]
          %z = conv(%x, %w) {strides=[2, 2]}
          %q = mul(%z, %z)
          %s = reduce_sum(%q, %axes) {keepdims=0}
        }
        """
    )
    random = np.random.default_rng(1)
    feeds = {"x": random.standard_normal((2, 2, 8, 8)), "w": random.standard_normal((3, 2, 4, 4))}
    found = []
    for each in (graph, split_phases(graph)):
        extension = Extension(specialise(each, {value.name: value.type for value in each.inputs}))
        gradients = differentiate(extension, "s", ["x", "w"])
        values = evaluate(extension.graph(list(gradients.values())), feeds)
        found.append([values[gradients[name]] for name in feeds])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
