import numpy as np

from thew.ir import GraphBuilder
from thew.passes.fold import Budget
from thew.passes.fold_constants import fold_constants


def test_names_stay(rewrites):
    rewrites(
        fold_constants,
        """
        graph g(%x: fp64[n,2]) -> (%z, %b) {
          const %a: fp64[2] = [1.0, 2.0]
          %b = exp(%a) "exp"
          %c = sub(%b, %b) "sub"
          %z = add(%x, %c) "add"
        }
        """,
        f"""
        graph g(%x: fp64[n,2]) -> (%z, %b) {{
          const %a: fp64[2] = [1.0, 2.0]
          const %b: fp64[2] = [{np.exp(1.0)!r}, {np.exp(2.0)!r}]
          const %c: fp64[2] = [0.0, 0.0]
          %z = add(%x, %c) "add"
        }}
        """.replace("np.float64(", "")
        .replace(")]", "]")
        .replace("), ", ", "),
    )


def test_quantised_weights_become_floats(rewrites):
    rewrites(
        fold_constants,
        """
        graph g(%x: fp64[n,2]) -> (%z) {
          const %q: int8[2,1] = [-3, 4]
          const %scale: fp32[] = [0.5]
          const %zero: int8[] = [1]
          %w = dequantize_linear(%q, %scale, %zero) "dequantise"
          %v = cast(%w) {to="fp64"} "cast"
          %z = matmul(%x, %v) "matmul"
        }
        """,
        """
        graph g(%x: fp64[n,2]) -> (%z) {
          const %q: int8[2,1] = [-3, 4]
          const %scale: fp32[] = [0.5]
          const %zero: int8[] = [1]
          const %w: fp32[2,1] = [-2.0, 1.5]
          const %v: fp64[2,1] = [-2.0, 1.5]
          %z = matmul(%x, %v) "matmul"
        }
        """,
    )


def test_nodes_of_unknown_ops_stay(read_graph):
    graph = read_graph("graph g() -> (%y) {\n const %a: fp32[1] = [1.0]\n %y = frobnicate(%a)\n}\n")
    assert fold_constants(graph) is graph


def test_budget():
    builder = GraphBuilder("g")
    graph = builder.graph([builder.node("tile", [builder.constant(np.ones(8)), builder.constant(np.array([5]))])])
    assert fold_constants(graph, Budget(result_bytes=0, growth=4)) is graph
    assert not fold_constants(graph, Budget(result_bytes=0, growth=5)).nodes
