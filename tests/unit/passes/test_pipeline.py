from itertools import pairwise

import pytest

from thew.ir import TensorType
from thew.passes import LOAD, SPECIALISED, Change, run, specialise

NET = """
    graph net(%x: fp64[n,2,4,4]) -> (%y) {
      const %w: fp64[2,2,1,1] = [1.0, 2.0, 3.0, 4.0]
      const %ones: fp64[2] = [1.0, 1.0]
      const %fc: fp64[1,2] = [1.0, 2.0]
      %a = conv(%x, %w) "conv"
      %b = batch_normalization(%a, %ones, %ones, %ones, %ones) {epsilon=0.0} "bn"
      %c = sum(%b, %x) "residual"
      %d = relu(%c) "relu"
      %e = global_average_pool(%d) "pool"
      %f = flatten(%e) "flatten"
      %g = gemm(%f, %fc) {transB=1} "fc"
      %y = dropout(%g) "dropout"
    }
    """


def test_a_residual_block_becomes_one_convolution(read_graph, rewrites):
    def passes(graph):
        return run(specialise(run(graph, LOAD), {"x": TensorType("fp64", (2, 2, 4, 4))}), SPECIALISED)

    rewrites(
        passes,
        NET,
        """
        graph net(%x: fp64[2,2,4,4]) -> (%y) {
          const %fc_1: fp64[2,1] = [1.0, 2.0]
          const %w_1: fp64[2,2,1,1] = [1.0, 2.0, 3.0, 4.0]
          const %b_bias: fp64[2] = [0.0, 0.0]
          const %f_shape: int64[2] = [2, 2]
          %d: fp64[2,2,4,4] = conv(%x, %w_1, %b_bias, %x) {activation="relu"} "conv"
          %e: fp64[2,2,1,1] = global_average_pool(%d) "pool"
          %f: fp64[2,2] = reshape(%e, %f_shape) "flatten"
          %y: fp64[2,1] = matmul(%f, %fc_1) "fc"
        }
        """,
    )


def test_the_trace_says_what_each_pass_did(read_graph):
    graph, trace = read_graph(NET), []
    after = run(graph, LOAD, trace)
    assert [change.name for change in trace] == [rewrite.__name__ for rewrite in LOAD]
    assert trace[0].nodes_before == len(graph.nodes) and trace[-1].nodes_after == len(after.nodes)
    for one, two in pairwise(trace):
        assert (one.nodes_after, one.constants_after) == (two.nodes_before, two.constants_before)
    assert str(Change("share", 3, 2, 5, 4)) == "share: nodes 3 → 2, constants 5 → 4"


@pytest.mark.parametrize("passes", [LOAD, SPECIALISED], ids=["load", "specialised"])
def test_a_graph_with_nothing_to_do_stays_the_same_object(passes, read_graph):
    graph = read_graph(
        """
        graph g(%x: fp64[2,2]) -> (%y) {
          %y: fp64[2,2] = exp(%x)
        }
        """
    )
    assert run(graph, passes) is graph
