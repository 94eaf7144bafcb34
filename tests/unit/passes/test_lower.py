"""lower_gemm and lower_variadic: ops that kernels do not know become ops that they do."""

import pytest

from thew.passes.eliminate_dead import eliminate_dead
from thew.passes.lower_gemm import lower_gemm
from thew.passes.lower_variadic import lower_variadic


def test_gemm_with_constants(rewrites):
    rewrites(
        lambda graph: eliminate_dead(lower_gemm(graph)),
        """
        graph g(%x: fp64[n,2]) -> (%z) {
          const %b: fp64[3,2] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
          const %c: fp64[3] = [1.0, 2.0, 3.0]
          %z = gemm(%x, %b, %c) {alpha=0.5, beta=2.0, transB=1, activation="relu"} "fc"
        }
        """,
        """
        graph g(%x: fp64[n,2]) -> (%z) {
          const %b_1_1: fp64[2,3] = [0.5, 1.5, 2.5, 1.0, 2.0, 3.0]
          const %c_1: fp64[3] = [2.0, 4.0, 6.0]
          %z = matmul(%x, %b_1_1, %c_1) {activation="relu"} "fc"
        }
        """,
    )


def test_gemm_of_inputs_turns_them(rewrites):
    rewrites(
        lower_gemm,
        """
        graph g(%x: fp64[2,n], %y: fp64[3,2]) -> (%z) {
          %z = gemm(%x, %y) {transA=1, transB=1} "product"
        }
        """,
        """
        graph g(%x: fp64[2,n], %y: fp64[3,2]) -> (%z) {
          %x_transposed = transpose(%x) {perm=[1, 0]}
          %y_transposed: fp64[2,3] = transpose(%y) {perm=[1, 0]}
          %z = matmul(%x_transposed, %y_transposed) "product"
        }
        """,
    )


def test_gemm_that_scales_inputs_stays(read_graph):
    graph = read_graph(
        """
        graph g(%x: fp64[2,2], %y: fp64[2,2]) -> (%z) {
          %z = gemm(%x, %y) {alpha=0.5}
        }
        """
    )
    assert lower_gemm(graph) is graph


@pytest.mark.parametrize(("op", "binary"), [("sum", "add"), ("max", "max"), ("min", "min")])
def test_three_operands(op, binary, rewrites):
    rewrites(
        lower_variadic,
        f"""
        graph g(%x: fp64[2], %y: fp64[2], %w: fp64[2]) -> (%z) {{
          %z: fp64[2] = {op}(%x, %y, %w) "node"
        }}
        """,
        f"""
        graph g(%x: fp64[2], %y: fp64[2], %w: fp64[2]) -> (%z) {{
          %z_partial: fp64[2] = {binary}(%x, %y) "node"
          %z: fp64[2] = {binary}(%z_partial, %w) "node"
        }}
        """,
    )


def test_mean_divides_last(rewrites):
    rewrites(
        lower_variadic,
        """
        graph g(%x: fp64[2], %y: fp64[2]) -> (%z) {
          %z: fp64[2] = mean(%x, %y) "mean"
        }
        """,
        """
        graph g(%x: fp64[2], %y: fp64[2]) -> (%z) {
          const %z_count: fp64[] = [2.0]
          %z_partial: fp64[2] = add(%x, %y) "mean"
          %z: fp64[2] = div(%z_partial, %z_count) "mean"
        }
        """,
    )
