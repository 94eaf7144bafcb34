from thew.passes.eliminate_dead import eliminate_dead
from thew.passes.share import share


def test_equal_nodes_and_constants(rewrites):
    rewrites(
        lambda graph: eliminate_dead(share(graph)),
        """
        graph g(%x: fp64[2,3]) -> (%z) {
          const %a: fp64[1] = [1.0]
          const %b: fp64[1] = [1.0]
          const %c: fp32[1] = [1.0]
          %s: fp64[2,3] = add(%x, %a) "one"
          %t: fp64[2,3] = add(%x, %b) "two"
          %u: fp64[2,3] = leaky_relu(%s) {alpha=0.5} "three"
          %v: fp64[2,3] = leaky_relu(%t) {alpha=0.5} "four"
          %w: fp64[2,3] = leaky_relu(%t) {alpha=0.25} "five"
          %y: fp64[2,3] = add(%u, %v) "six"
          %z: fp64[2,3] = add(%y, %w) "seven"
        }
        """,
        """
        graph g(%x: fp64[2,3]) -> (%z) {
          const %a: fp64[1] = [1.0]
          %s: fp64[2,3] = add(%x, %a) "one"
          %u: fp64[2,3] = leaky_relu(%s) {alpha=0.5} "three"
          %w: fp64[2,3] = leaky_relu(%s) {alpha=0.25} "five"
          %y: fp64[2,3] = add(%u, %u) "six"
          %z: fp64[2,3] = add(%y, %w) "seven"
        }
        """,
    )


def test_outputs_keep_their_names(read_graph):
    graph = read_graph(
        """
        graph g(%x: fp64[2]) -> (%y, %z) {
          %y = exp(%x)
          %z = exp(%x)
        }
        """
    )
    assert share(graph) is graph


def test_zero_and_minus_zero_differ(read_graph):
    graph = read_graph(
        """
        graph g(%x: fp64[1]) -> (%y, %z) {
          const %a: fp64[1] = [0.0]
          const %b: fp64[1] = [-0.0]
          %y = div(%x, %a)
          %z = div(%x, %b)
        }
        """
    )
    assert share(graph) is graph
