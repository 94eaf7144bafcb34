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
        graph g(%x: fp16[2,4,6], %v: fp16[2,4,6], %u: fp32[2,24]) -> (%y) {
          %a: fp16[2,4,6] = activation_grad(%x, %v) {activation="tanh"} "a"
          %b: fp16[2,24] = flatten(%a) "b"
          %c: fp16[2,24] = cast(%u) {to="fp16", rounds=0} "c"
          %y: fp16[2,24] = activation_grad(%b, %c) {activation="tanh"} "y"
        }
        """,
        """
        graph g(%x: fp16[2,4,6], %v: fp16[2,4,6], %u: fp32[2,24]) -> (%y) {
          %"x:fp32": fp32[2,4,6] = cast(%x) {to="fp32"} "x:fp32"
          %"v:fp32": fp32[2,4,6] = cast(%v) {to="fp32"} "v:fp32"
          %"a:fp32": fp32[2,4,6] = activation_grad(%"x:fp32", %"v:fp32") {activation="tanh"} "a"
          %"b:fp32": fp32[2,24] = flatten(%"a:fp32") "b:fp32"
          %"y:fp32": fp32[2,24] = activation_grad(%"b:fp32", %u) {activation="tanh"} "y"
          %y: fp16[2,24] = cast(%"y:fp32") {to="fp16"} "y:fp16"
        }
        """,
    )


def test_a_cast_that_rounds_stays(read_graph):
    """Those of the model are meant."""
    graph = read_graph(
        """
        graph g(%u: fp32[8], %d: fp16[8]) -> (%y) {
          %c: fp16[8] = cast(%u) {to="fp16"} "c"
          %y: fp16[8] = activation_grad(%d, %c) {activation="tanh"} "y"
        }
        """
    )
    assert [node.attributes.get("to") for node in widened(graph).nodes if node.op == "cast"].count("fp16") == 2
