import pytest

from thew.passes.eliminate_no_ops import eliminate_no_ops


@pytest.mark.parametrize(
    "node",
    [
        "identity(%t)",
        "dropout(%t)",
        "dropout(%t, _, %no)",
        'cast(%t) {to="fp64"}',
        "transpose(%t) {perm=[0, 1]}",
        "reshape(%t, %shape)",
        "flatten(%t)",
        "expand(%t, %ones)",
        "tile(%t, %ones)",
        "slice(%t, %zero, %big, %zero)",
        "pad(%t, %pads)",
        "concat(%t) {axis=1}",
        "sum(%t)",
        "max(%t)",
        "mean(%t)",
        "clip(%t)",
        "add(%t, %no_shift)",
        "sub(%t, %no_shift)",
        "mul(%t, %no_scale)",
        "div(%t, %no_scale)",
        "reduce_sum(%t, %zero) {keepdims=1}",
        "reduce_mean(%t, %zero)",
    ],
)
def test_gives_back_its_input(node, rewrites):
    head = """
        graph g(%x: fp64[1,3]) -> (%z) {
          const %no: bool[] = [false]
          const %shape: int64[2] = [1, -1]
          const %ones: int64[2] = [1, 1]
          const %zero: int64[1] = [0]
          const %big: int64[1] = [9]
          const %pads: int64[4] = [0, 0, 0, 0]
          const %no_shift: fp64[] = [0.0]
          const %no_scale: fp64[1,3] = [1.0, 1.0, 1.0]
          %t: fp64[1,3] = exp(%x) "exp\""""
    rewrites(
        eliminate_no_ops,
        f"""{head}
          %y: fp64[1,3] = {node}
          %z: fp64[1,3] = neg(%y) "neg"
        }}
        """,
        f"""{head}
          %z: fp64[1,3] = neg(%t) "neg"
        }}
        """,
    )


@pytest.mark.parametrize(
    "node",
    [
        "dropout(%t, _, %yes)",
        'cast(%t) {to="fp32"}',
        "transpose(%t) {perm=[1, 0]}",
        "reshape(%t, %shape)",
        "slice(%t, %last, %before, %zero, %back)",
        "pad(%t, %pads)",
        "concat(%t, %t) {axis=1}",
        "add(%t, %column)",
        "mul(%t, %half)",
        "sub(%half, %t)",
    ],
)
def test_left_alone(node, read_graph):
    graph = read_graph(
        f"""
        graph g(%x: fp64[1,3]) -> (%y) {{
          const %yes: bool[] = [true]
          const %shape: int64[2] = [3, 1]
          const %last: int64[1] = [-1]
          const %before: int64[1] = [-9]
          const %back: int64[1] = [-1]
          const %zero: int64[1] = [1]
          const %pads: int64[4] = [0, 0, 0, 1]
          const %column: fp64[3,1] = [0.0, 0.0, 0.0]
          const %half: fp64[] = [0.5]
          %t: fp64[1,3] = exp(%x)
          %y = {node}
        }}
        """
    )
    assert eliminate_no_ops(graph) is graph


def test_output_name_moves_up(rewrites):
    rewrites(
        eliminate_no_ops,
        """
        graph g(%x: fp64[3]) -> (%z, %w) {
          %t: fp64[3] = exp(%x) "exp"
          %u: fp64[3] = neg(%t) "neg"
          %z: fp64[3] = identity(%t) "identity"
          %w: fp64[3] = add(%t, %u) "add"
        }
        """,
        """
        graph g(%x: fp64[3]) -> (%z, %w) {
          %z: fp64[3] = exp(%x) "exp"
          %u: fp64[3] = neg(%z) "neg"
          %w: fp64[3] = add(%z, %u) "add"
        }
        """,
    )


def test_identity_stays_between_input_and_output(rewrites):
    """Neither name can go; a dropout becomes the plainer op."""
    rewrites(
        eliminate_no_ops,
        """
        graph g(%x: fp64[3]) -> (%y, %z) {
          %y: fp64[3] = dropout(%x) "drop"
          %z: fp64[3] = identity(%y) "same"
        }
        """,
        """
        graph g(%x: fp64[3]) -> (%y, %z) {
          %y: fp64[3] = identity(%x) "drop"
          %z: fp64[3] = identity(%y) "same"
        }
        """,
    )


def test_mask_that_is_read_keeps_dropout(read_graph):
    graph = read_graph(
        """
        graph g(%x: fp64[3]) -> (%y, %mask) {
          %y, %mask = dropout(%x)
        }
        """
    )
    assert eliminate_no_ops(graph) is graph
