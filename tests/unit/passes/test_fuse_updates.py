import pytest

from thew.passes.fuse_updates import SHORT_SUM, fuse_updates


def test_a_short_product_goes_into_the_update(rewrites):
    rewrites(
        fuse_updates,
        """
        graph g(%w: fp64[6,5], %v: fp64[6,5], %h: fp64[4], %dy: fp64[6,2], %x: fp64[2,5]) -> (%w.next, %v.next) {
          %g: fp64[6,5] = matmul(%dy, %x) "product"
          %w.next: fp64[6,5], %v.next: fp64[6,5] = update_sgd(%w, %g, %h, _, %v) "update"
        }
        """,
        """
        graph g(%w: fp64[6,5], %v: fp64[6,5], %h: fp64[4], %dy: fp64[6,2], %x: fp64[2,5]) -> (%w.next, %v.next) {
          %w.next: fp64[6,5], %v.next: fp64[6,5] = update_sgd(%w, %dy, %h, _, %v, %x) "update"
        }
        """,
    )


@pytest.mark.parametrize(("depth", "outputs"), [(SHORT_SUM + 1, ""), (1, ", %g")])
def test_left_alone(read_graph, depth, outputs):
    """A long sum, and a gradient that others read too."""
    graph = read_graph(
        f"""
        graph g(%w: fp64[6,5], %h: fp64[4], %dy: fp64[6,{depth}], %x: fp64[{depth},5]) -> (%w.next{outputs}) {{
          %g: fp64[6,5] = matmul(%dy, %x) {{}} "product"
          %w.next: fp64[6,5] = update_sgd(%w, %g, %h) {{}} "update"
        }}
        """
    )
    assert fuse_updates(graph) is graph
