import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thew.ir import GraphBuilder
from thew.ops.interpret import evaluate
from thew.passes.eliminate_dead import eliminate_dead
from thew.passes.fold_batch_norm import fold_batch_norm


def fold(graph):
    return eliminate_dead(fold_batch_norm(graph))


def test_batch_norm_goes_into_conv(rewrites):
    rewrites(
        fold,
        """
        graph g(%x: fp64[n,1,3,3]) -> (%z) {
          const %w: fp64[2,1,1,1] = [1.0, 2.0]
          const %b: fp64[2] = [1.0, 1.0]
          const %scale: fp64[2] = [3.0, 4.0]
          const %shift: fp64[2] = [0.5, 0.25]
          const %mean: fp64[2] = [1.0, 2.0]
          const %variance: fp64[2] = [4.0, 1.0]
          %y = conv(%x, %w, %b) "conv"
          %z = batch_normalization(%y, %scale, %shift, %mean, %variance) {epsilon=0.0} "bn"
        }
        """,
        """
        graph g(%x: fp64[n,1,3,3]) -> (%z) {
          const %w_1: fp64[2,1,1,1] = [1.5, 8.0]
          const %b_1: fp64[2] = [0.5, -3.75]
          %z = conv(%x, %w_1, %b_1) "conv"
        }
        """,
    )


def test_arithmetic_by_channel_goes_into_conv(rewrites):
    rewrites(
        fold,
        """
        graph g(%x: fp64[n,1,3,3]) -> (%v) {
          const %w: fp64[2,1,1,1] = [1.0, 2.0]
          const %a: fp64[2,1,1] = [3.0, 4.0]
          const %b: fp64[1,2,1,1] = [0.5, 0.25]
          const %c: fp64[] = [2.0]
          const %d: fp64[2,1,1] = [1.0, 2.0]
          %y = conv(%x, %w) "conv"
          %z = mul(%a, %y) "mul"
          %t = add(%z, %b) "add"
          %u = div(%t, %c) "div"
          %v = sub(%u, %d) "sub"
        }
        """,
        """
        graph g(%x: fp64[n,1,3,3]) -> (%v) {
          const %w_1_1: fp64[2,1,1,1] = [1.5, 4.0]
          const %t_bias_1_1: fp64[2] = [-0.75, -1.875]
          %v = conv(%x, %w_1_1, %t_bias_1_1) "conv"
        }
        """,
    )


def test_batch_norm_goes_into_matmul_of_matrices(rewrites):
    rewrites(
        fold,
        """
        graph g(%x: fp64[3,1]) -> (%z) {
          const %w: fp64[1,2] = [1.0, 2.0]
          const %scale: fp64[2] = [3.0, 4.0]
          const %shift: fp64[2] = [0.5, 0.25]
          const %mean: fp64[2] = [0.0, 0.0]
          const %variance: fp64[2] = [1.0, 4.0]
          %y: fp64[3,2] = matmul(%x, %w) "product"
          %z: fp64[3,2] = batch_normalization(%y, %scale, %shift, %mean, %variance) {epsilon=0.0} "bn"
        }
        """,
        """
        graph g(%x: fp64[3,1]) -> (%z) {
          const %w_1: fp64[1,2] = [3.0, 4.0]
          const %z_bias: fp64[2] = [0.5, 0.25]
          %z: fp64[3,2] = matmul(%x, %w_1, %z_bias) "product"
        }
        """,
    )


@pytest.mark.parametrize(
    "text",
    [
        # Somebody else reads the convolution's result.
        """
        graph g(%x: fp64[n,1,3,3]) -> (%z, %y) {
          const %w: fp64[2,1,1,1] = [1.0, 2.0]
          const %a: fp64[2,1,1] = [3.0, 4.0]
          %y = conv(%x, %w)
          %z = mul(%y, %a)
        }
        """,
        # One number a column, not a channel.
        """
        graph g(%x: fp64[n,1,3,2]) -> (%z) {
          const %w: fp64[2,1,1,1] = [1.0, 2.0]
          const %a: fp64[2] = [3.0, 4.0]
          %y = conv(%x, %w)
          %z = mul(%y, %a)
        }
        """,
        # The constant adds a dimension.
        """
        graph g(%x: fp64[n,1,3,2]) -> (%z) {
          const %w: fp64[2,1,1,1] = [1.0, 2.0]
          const %a: fp64[1,1,1,1,1] = [3.0]
          %y = conv(%x, %w)
          %z = mul(%y, %a)
        }
        """,
        # The weights are not constant.
        """
        graph g(%x: fp64[n,1,3,2], %w: fp64[2,1,1,1]) -> (%z) {
          const %a: fp64[2,1,1] = [3.0, 4.0]
          %y = conv(%x, %w)
          %z = mul(%y, %a)
        }
        """,
        # Statistics of the batch itself.
        """
        graph g(%x: fp64[n,1,3,3]) -> (%z) {
          const %w: fp64[2,1,1,1] = [1.0, 2.0]
          const %one: fp64[2] = [1.0, 1.0]
          %y = conv(%x, %w)
          %z, %mean, %variance = batch_normalization(%y, %one, %one, %one, %one) {training_mode=1}
        }
        """,
        # An activation lies between.
        """
        graph g(%x: fp64[n,1,3,3]) -> (%z) {
          const %w: fp64[2,1,1,1] = [1.0, 2.0]
          const %a: fp64[2,1,1] = [3.0, 4.0]
          %y = conv(%x, %w) {activation="relu"}
          %z = mul(%y, %a)
        }
        """,
        # Division by zero is the model's, not ours.
        """
        graph g(%x: fp64[n,1,3,3]) -> (%z) {
          const %w: fp64[2,1,1,1] = [1.0, 2.0]
          const %a: fp64[2,1,1] = [3.0, 0.0]
          %y = conv(%x, %w)
          %z = div(%y, %a)
        }
        """,
    ],
)
def test_left_alone(text, read_graph):
    graph = read_graph(text)
    assert fold_batch_norm(graph) is graph


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_channels_of_grouped_transposed_conv(group, inputs, outputs, has_bias):
    random = np.random.default_rng(group * 100 + inputs * 10 + outputs)
    builder = GraphBuilder("g")
    x = builder.input("x", "fp64", (1, group * inputs, 3, 3))
    w = builder.constant(random.standard_normal((group * inputs, outputs, 2, 2)))
    bias = [builder.constant(random.standard_normal(group * outputs))] if has_bias else []
    y = builder.node("conv_transpose", [x, w, *bias], group=group)
    z = builder.node("mul", [y, builder.constant(random.standard_normal((group * outputs, 1, 1)))])
    graph = builder.graph([z])
    folded = fold_batch_norm(graph)
    assert [node.op for node in folded.nodes] == ["conv_transpose"]
    arrays = {"x": random.standard_normal((1, group * inputs, 3, 3))}
    # Sums of at most 4 · inputs products of standard normal numbers, scaled.
    np.testing.assert_allclose(
        evaluate(folded, arrays)[z], evaluate(graph, arrays)[z], rtol=0, atol=1000 * 2.3e-16 * 12
    )


def test_folds_in_double_and_keeps_the_dtype():
    random = np.random.default_rng(0)
    w, scale = (
        random.standard_normal((4, 3, 1, 1)).astype(np.float16),
        random.standard_normal((4, 1, 1)).astype(np.float16),
    )
    builder = GraphBuilder("g")
    x = builder.input("x", "fp16", (1, 3, 2, 2))
    y = builder.node("mul", [builder.node("conv", [x, builder.constant(w)]), builder.constant(scale)])
    folded = fold(builder.graph([y]))
    (weight,) = folded.constants.values()
    assert weight.dtype == np.float16
    np.testing.assert_array_equal(weight, (w.astype(np.float64) * scale.reshape(4, 1, 1, 1)).astype(np.float16))
