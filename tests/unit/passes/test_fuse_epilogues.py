import pytest

from thew.passes.eliminate_dead import eliminate_dead
from thew.passes.fuse_epilogues import fuse_epilogues


def test_residual_then_activation(rewrites):
    rewrites(
        fuse_epilogues,
        """
        graph g(%x: fp64[1,1,2,2]) -> (%z) {
          const %w: fp64[1,1,1,1] = [2.0]
          %y: fp64[1,1,2,2] = conv(%x, %w) "conv"
          %s: fp64[1,1,2,2] = add(%x, %y) "add"
          %z: fp64[1,1,2,2] = relu(%s) "relu"
        }
        """,
        """
        graph g(%x: fp64[1,1,2,2]) -> (%z) {
          const %w: fp64[1,1,1,1] = [2.0]
          %z: fp64[1,1,2,2] = conv(%x, %w, _, %x) {activation="relu"} "conv"
        }
        """,
    )


def test_residual_of_two_products_goes_to_the_dense_one(rewrites):
    rewrites(
        fuse_epilogues,
        """
        graph g(%x: fp64[1,2,2,2]) -> (%s) {
          const %w: fp64[2,2,1,1] = [2.0, 1.0, 3.0, 4.0]
          const %d: fp64[2,1,1,1] = [2.0, 1.0]
          %y: fp64[1,2,2,2] = conv(%x, %w) "dense"
          %v: fp64[1,2,2,2] = conv(%x, %d) {group=2} "depthwise"
          %s: fp64[1,2,2,2] = add(%v, %y) "add"
        }
        """,
        """
        graph g(%x: fp64[1,2,2,2]) -> (%s) {
          const %w: fp64[2,2,1,1] = [2.0, 1.0, 3.0, 4.0]
          const %d: fp64[2,1,1,1] = [2.0, 1.0]
          %v: fp64[1,2,2,2] = conv(%x, %d) {group=2} "depthwise"
          %s: fp64[1,2,2,2] = conv(%x, %w, _, %v) "dense"
        }
        """,
    )


def test_bias_by_channel_with_weights_that_are_not_constant(rewrites):
    rewrites(
        lambda graph: eliminate_dead(fuse_epilogues(graph)),
        """
        graph g(%x: fp64[1,1,2,2], %w: fp64[2,1,1,1]) -> (%z) {
          const %b: fp64[2,1,1] = [2.0, 3.0]
          %y = conv(%x, %w) "conv"
          %z = add(%b, %y) "add"
        }
        """,
        """
        graph g(%x: fp64[1,1,2,2], %w: fp64[2,1,1,1]) -> (%z) {
          const %b_1: fp64[2] = [2.0, 3.0]
          %z: fp64[1,2,2,2] = conv(%x, %w, %b_1) "conv"
        }
        """,
    )


def test_matmul_takes_bias_and_activation(rewrites):
    rewrites(
        fuse_epilogues,
        """
        graph g(%x: fp64[n,1]) -> (%z) {
          const %w: fp64[1,2] = [1.0, 2.0]
          const %b: fp64[2] = [2.0, 3.0]
          %y = matmul(%x, %w) "product"
          %t = add(%y, %b) "add"
          %z = elu(%t) {alpha=0.5} "elu"
        }
        """,
        """
        graph g(%x: fp64[n,1]) -> (%z) {
          const %w: fp64[1,2] = [1.0, 2.0]
          const %b: fp64[2] = [2.0, 3.0]
          %z = matmul(%x, %w, %b) {activation="elu", activation_parameters=[0.5]} "product"
        }
        """,
    )


def test_matmul_takes_a_row_as_bias(rewrites):
    rewrites(
        lambda graph: eliminate_dead(fuse_epilogues(graph)),
        """
        graph g(%x: fp64[2,1]) -> (%z) {
          const %w: fp64[1,2] = [1.0, 2.0]
          const %b: fp64[1,2] = [2.0, 3.0]
          %y: fp64[2,2] = matmul(%x, %w) "product"
          %z: fp64[2,2] = add(%y, %b) {activation="relu"} "add"
        }
        """,
        """
        graph g(%x: fp64[2,1]) -> (%z) {
          const %w: fp64[1,2] = [1.0, 2.0]
          const %b_1: fp64[2] = [2.0, 3.0]
          %z: fp64[2,2] = matmul(%x, %w, %b_1) {activation="relu"} "product"
        }
        """,
    )


@pytest.mark.parametrize(
    ("node", "fused"),
    [
        ("relu(%y)", 'activation="relu"'),
        ("clip(%y, %zero, %six)", 'activation="clip", activation_parameters=[0.0, 6.0]'),
        ("clip(%y, _, %six)", 'activation="clip", activation_parameters=[-inf, 6.0]'),
        ("leaky_relu(%y) {alpha=0.25}", 'activation="leaky_relu", activation_parameters=[0.25]'),
        ("leaky_relu(%y)", 'activation="leaky_relu", activation_parameters=[0.01]'),
        ("elu(%y)", 'activation="elu", activation_parameters=[1.0]'),
        ("hard_sigmoid(%y)", 'activation="hard_sigmoid", activation_parameters=[0.2, 0.5]'),
        ("hard_swish(%y)", 'activation="hard_swish"'),
        ("sigmoid(%y)", 'activation="sigmoid"'),
        ("silu(%y)", 'activation="silu"'),
        ("swish(%y)", 'activation="silu"'),
        ("tanh(%y)", 'activation="tanh"'),
        ("gelu(%y)", 'activation="gelu"'),
    ],
)
@pytest.mark.parametrize(
    "source", ["conv(%x, %w)", "add(%x, %w)", "mul(%x, %w)", "sub(%x, %w)", "div(%x, %w)", "matmul(%x, %w)"]
)
def test_every_activation_of_the_native_enum(node, fused, source, rewrites):
    head = """
        graph g(%x: fp64[1,1,3,1]) -> (%z) {
          const %w: fp64[1,1,1,1] = [2.0]
          const %zero: fp64[] = [0.0]
          const %six: fp64[] = [6.0]"""
    rewrites(
        fuse_epilogues,
        f"""{head}
          %y: fp64[1,1,3,1] = {source} "source"
          %z: fp64[1,1,3,1] = {node}
        }}
        """,
        f"""{head}
          %z: fp64[1,1,3,1] = {source} {{{fused}}} "source"
        }}
        """,
    )


@pytest.mark.parametrize(
    "text",
    [
        # The sum is larger than the product: the add broadcasts it.
        """
        graph g(%x: fp64[1,1,1,1], %r: fp64[2,1,2,2]) -> (%z) {
          const %w: fp64[1,1,1,1] = [2.0]
          %y: fp64[1,1,1,1] = conv(%x, %w)
          %z: fp64[2,1,2,2] = add(%y, %r)
        }
        """,
        # The shapes are not known.
        """
        graph g(%x: fp64[n,1,1,1]) -> (%z) {
          const %w: fp64[1,1,1,1] = [2.0]
          %y = conv(%x, %w)
          %z = add(%y, %x)
        }
        """,
        # A product that is doubled would be read twice.
        """
        graph g(%x: fp64[1,1,1,1]) -> (%z) {
          const %w: fp64[1,1,1,1] = [2.0]
          %y: fp64[1,1,1,1] = conv(%x, %w)
          %z: fp64[1,1,1,1] = add(%y, %y)
        }
        """,
        # The convolution's result is an output.
        """
        graph g(%x: fp64[1,1,1,1]) -> (%y, %z) {
          const %w: fp64[1,1,1,1] = [2.0]
          %y: fp64[1,1,1,1] = conv(%x, %w)
          %z: fp64[1,1,1,1] = relu(%y)
        }
        """,
        # One activation is all that a node has room for.
        """
        graph g(%x: fp64[1,1,1,1]) -> (%z) {
          const %w: fp64[1,1,1,1] = [2.0]
          %y: fp64[1,1,1,1] = conv(%x, %w) {activation="relu"}
          %z: fp64[1,1,1,1] = sigmoid(%y)
        }
        """,
        # Bounds that are not constant.
        """
        graph g(%x: fp64[1,1,1,1], %low: fp64[]) -> (%z) {
          const %w: fp64[1,1,1,1] = [2.0]
          %y: fp64[1,1,1,1] = conv(%x, %w)
          %z: fp64[1,1,1,1] = clip(%y, %low)
        }
        """,
        # Kernels have no fused mish, nor the tanh form of gelu.
        """
        graph g(%x: fp64[1,1,1,1]) -> (%z) {
          const %w: fp64[1,1,1,1] = [2.0]
          %y: fp64[1,1,1,1] = conv(%x, %w)
          %z: fp64[1,1,1,1] = mish(%y)
        }
        """,
        """
        graph g(%x: fp64[1,1,1,1]) -> (%z) {
          const %w: fp64[1,1,1,1] = [2.0]
          %y: fp64[1,1,1,1] = conv(%x, %w)
          %z: fp64[1,1,1,1] = gelu(%y) {approximate="tanh"}
        }
        """,
        # Integers do not pass through floating point.
        """
        graph g(%x: int64[2]) -> (%z) {
          %y: int64[2] = add(%x, %x)
          %z: int64[2] = relu(%y)
        }
        """,
        # One bias for a vector of rows would be the wrong one.
        """
        graph g(%x: fp64[2,3]) -> (%z) {
          const %w: fp64[3,1] = [1.0, 2.0, 3.0]
          const %b: fp64[2] = [1.0, 2.0]
          %y: fp64[2,1] = matmul(%x, %w)
          %z: fp64[2,2] = add(%y, %b)
        }
        """,
    ],
)
def test_left_alone(text, read_graph):
    graph = read_graph(text)
    assert fuse_epilogues(graph) is graph


def test_the_residual_is_defined_before_the_fused_node(rewrites):
    """The product comes first in the text, the residual after it."""
    rewrites(
        fuse_epilogues,
        """
        graph g(%x: fp64[1,1,2,2]) -> (%z) {
          const %w: fp64[1,1,1,1] = [2.0]
          %y: fp64[1,1,2,2] = conv(%x, %w) "conv"
          %r: fp64[1,1,2,2] = exp(%x) "exp"
          %z: fp64[1,1,2,2] = add(%y, %r) {activation="tanh"} "add"
        }
        """,
        """
        graph g(%x: fp64[1,1,2,2]) -> (%z) {
          const %w: fp64[1,1,1,1] = [2.0]
          %r: fp64[1,1,2,2] = exp(%x) "exp"
          %z: fp64[1,1,2,2] = conv(%x, %w, _, %r) {activation="tanh"} "conv"
        }
        """,
    )
