from thew.ir import Graph
from thew.passes.compute_half_wide import compute_half_wide
from thew.passes.eliminate_dead import eliminate_dead


def widened(graph: Graph) -> Graph:
    return eliminate_dead(compute_half_wide(graph))


def test_between_ops_without_kernels_for_halves_nothing_is_converted(rewrites):
    """One conversion on the way in, one on the way out; what lies between moves in fp32 too."""
    rewrites(
        widened,
        """
        graph g(%x: fp16[2,4,6], %v: fp16[4,4,1], %u: fp32[4,4,1]) -> (%y) {
          %a: fp16[2,4,6] = conv_transpose(%x, %v) "a"
          %b: fp16[6,4,2] = transpose(%a) {perm=[2, 1, 0]} "b"
          %c: fp16[4,4,1] = cast(%u) {to="fp16", rounds=0} "c"
          %y: fp16[6,4,2] = conv_transpose(%b, %c) "y"
        }
        """,
        """
        graph g(%x: fp16[2,4,6], %v: fp16[4,4,1], %u: fp32[4,4,1]) -> (%y) {
          %"x:fp32": fp32[2,4,6] = cast(%x) {to="fp32"} "x:fp32"
          %"v:fp32": fp32[4,4,1] = cast(%v) {to="fp32"} "v:fp32"
          %"a:fp32": fp32[2,4,6] = conv_transpose(%"x:fp32", %"v:fp32") "a"
          %"b:fp32": fp32[6,4,2] = transpose(%"a:fp32") {perm=[2, 1, 0]} "b:fp32"
          %"y:fp32": fp32[6,4,2] = conv_transpose(%"b:fp32", %u) "y"
          %y: fp16[6,4,2] = cast(%"y:fp32") {to="fp16"} "y:fp16"
        }
        """,
    )


def test_a_cast_that_rounds_stays(read_graph):
    """Those of the model are meant."""
    graph = read_graph(
        """
        graph g(%u: fp32[4,4,1], %d: fp16[2,4,6]) -> (%y) {
          %c: fp16[4,4,1] = cast(%u) {to="fp16"} "c"
          %y: fp16[2,4,6] = conv_transpose(%d, %c) "y"
        }
        """
    )
    assert [node.attributes.get("to") for node in widened(graph).nodes if node.op == "cast"].count("fp16") == 2
