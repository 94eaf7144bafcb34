import pytest

from thew.passes.simplify_transposes import simplify_transposes


def test_composes(rewrites):
    rewrites(
        simplify_transposes,
        """
        graph g(%x: fp64[2,3,4]) -> (%z) {
          %y: fp64[3,4,2] = transpose(%x) {perm=[1, 2, 0]}
          %z: fp64[4,3,2] = transpose(%y) {perm=[1, 0, 2]}
        }
        """,
        """
        graph g(%x: fp64[2,3,4]) -> (%z) {
          %z: fp64[4,3,2] = transpose(%x) {perm=[2, 1, 0]}
        }
        """,
    )


def test_cancels_around_elementwise_ops(rewrites):
    """The order of axes does not matter to relu, nor to an addition whose vector is turned as well."""
    rewrites(
        simplify_transposes,
        """
        graph g(%x: fp64[2,3,4]) -> (%z) {
          const %v: fp64[3] = [1.0, 2.0, 3.0]
          %y: fp64[2,4,3] = transpose(%x) {perm=[0, 2, 1]}
          %r: fp64[2,4,3] = relu(%y) "relu"
          %a: fp64[2,4,3] = add(%v, %r) "add"
          %z: fp64[2,3,4] = transpose(%a) {perm=[0, 2, 1]}
        }
        """,
        """
        graph g(%x: fp64[2,3,4]) -> (%z) {
          const %v: fp64[3] = [1.0, 2.0, 3.0]
          const %v_1: fp64[1,3,1] = [1.0, 2.0, 3.0]
          %r_transposed: fp64[2,3,4] = relu(%x) "relu"
          %z: fp64[2,3,4] = add(%v_1, %r_transposed) "add"
        }
        """,
    )


def test_pulls_two_through_concat(rewrites):
    """The permutation is no inverse of itself: channels last and back."""
    rewrites(
        simplify_transposes,
        """
        graph g(%x: fp64[2,3,4], %y: fp64[2,5,4]) -> (%z) {
          %a: fp64[4,2,3] = transpose(%x) {perm=[2, 0, 1]}
          %b: fp64[4,2,5] = transpose(%y) {perm=[2, 0, 1]}
          %c: fp64[4,2,8] = concat(%a, %b) {axis=-1} "concat"
          %z: fp64[2,8,4] = transpose(%c) {perm=[1, 2, 0]}
        }
        """,
        """
        graph g(%x: fp64[2,3,4], %y: fp64[2,5,4]) -> (%z) {
          %z: fp64[2,8,4] = concat(%x, %y) {axis=1} "concat"
        }
        """,
    )


def test_one_of_two_operands_is_worth_it(rewrites):
    """Two transposes become one."""
    rewrites(
        simplify_transposes,
        """
        graph g(%x: fp64[2,3], %y: fp64[3,2]) -> (%z) {
          %a: fp64[3,2] = transpose(%x) {perm=[1, 0]}
          %s: fp64[3,2] = add(%a, %y) "add"
          %z: fp64[2,3] = transpose(%s) {perm=[1, 0]}
        }
        """,
        """
        graph g(%x: fp64[2,3], %y: fp64[3,2]) -> (%z) {
          %y_transposed: fp64[2,3] = transpose(%y) {perm=[1, 0]}
          %z: fp64[2,3] = add(%x, %y_transposed) "add"
        }
        """,
    )


def test_works_without_shapes(rewrites):
    rewrites(
        simplify_transposes,
        """
        graph g(%x: fp64[n,3,4]) -> (%z) {
          const %one: fp64[] = [1.0]
          %y = transpose(%x) {perm=[0, 2, 1]}
          %r = add(%y, %one) "add"
          %z = transpose(%r) {perm=[0, 2, 1]}
        }
        """,
        """
        graph g(%x: fp64[n,3,4]) -> (%z) {
          const %one: fp64[] = [1.0]
          %z = add(%x, %one) "add"
        }
        """,
    )


def test_moving_ones_is_a_reshape(rewrites):
    rewrites(
        simplify_transposes,
        """
        graph g(%x: fp64[2,3,1,1]) -> (%z) {
          %z: fp64[2,1,1,3] = transpose(%x) {perm=[0, 2, 3, 1]} "nhwc"
        }
        """,
        """
        graph g(%x: fp64[2,3,1,1]) -> (%z) {
          const %z_shape: int64[4] = [2, 1, 1, 3]
          %z: fp64[2,1,1,3] = reshape(%x, %z_shape) "nhwc"
        }
        """,
    )


@pytest.mark.parametrize(
    "text",
    [
        # Moving it past relu would save nothing.
        """
        graph g(%x: fp64[2,3]) -> (%z) {
          %y: fp64[2,3] = relu(%x)
          %z: fp64[3,2] = transpose(%y) {perm=[1, 0]}
        }
        """,
        # Somebody else reads what lies between.
        """
        graph g(%x: fp64[2,3]) -> (%z, %y) {
          %a: fp64[3,2] = transpose(%x) {perm=[1, 0]}
          %y: fp64[3,2] = relu(%a)
          %z: fp64[2,3] = transpose(%y) {perm=[1, 0]}
        }
        """,
        # The operand broadcasts to more dimensions.
        """
        graph g(%x: fp64[2,3], %v: fp64[2,3,2]) -> (%z) {
          %a: fp64[3,2] = transpose(%x) {perm=[1, 0]}
          %y: fp64[2,3,2] = add(%a, %v)
          %z: fp64[2,2,3] = transpose(%y) {perm=[0, 2, 1]}
        }
        """,
        # Softmax does care.
        """
        graph g(%x: fp64[2,3]) -> (%z) {
          %a: fp64[3,2] = transpose(%x) {perm=[1, 0]}
          %y: fp64[3,2] = softmax(%a) {axis=-1}
          %z: fp64[2,3] = transpose(%y) {perm=[1, 0]}
        }
        """,
    ],
)
def test_left_alone(text, read_graph):
    graph = read_graph(text)
    assert simplify_transposes(graph) is graph
