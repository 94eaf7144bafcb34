from thew.passes.fuse_activation_grads import fuse_activation_grads


def test_relu_goes_into_the_gradient_of_the_pool(rewrites):
    rewrites(
        fuse_activation_grads,
        """
        graph g(%y: fp64[2,3,4,4], %dp: fp64[2,3,2,2]) -> (%dx) {
          %dy: fp64[2,3,4,4] = max_pool_grad(%y, %dp) {kernel_shape=[2, 2], strides=[2, 2]} "pool"
          %dx: fp64[2,3,4,4] = activation_grad(%dy, %y) {activation="relu"} "relu"
        }
        """,
        """
        graph g(%y: fp64[2,3,4,4], %dp: fp64[2,3,2,2]) -> (%dx) {
          %dx: fp64[2,3,4,4] = max_pool_grad(%y, %dp) {kernel_shape=[2, 2], strides=[2, 2], activation="relu"} "pool"
        }
        """,
    )


def test_left_alone(read_graph):
    """Another activation, another tensor, a gradient that others read too."""
    for dx in (
        '%dx: fp64[2,3,4,4] = activation_grad(%dy, %y) {activation="tanh"} "act"',
        '%dx: fp64[2,3,4,4] = activation_grad(%dy, %z) {activation="relu"} "act"',
        '%dx: fp64[2,3,4,4] = activation_grad(%dy, %y) {activation="relu"} "act"\n'
        '          %other: fp64[2,3,4,4] = neg(%dy) "neg"',
    ):
        graph = read_graph(
            f"""
        graph g(%y: fp64[2,3,4,4], %z: fp64[2,3,4,4], %dp: fp64[2,3,2,2]) -> (%dx) {{
          %dy: fp64[2,3,4,4] = max_pool_grad(%y, %dp) {{kernel_shape=[2, 2], strides=[2, 2]}} "pool"
          {dx}
        }}
        """
        )
        assert fuse_activation_grads(graph) is graph
