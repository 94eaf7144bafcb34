from thew.passes.eliminate_dead import eliminate_dead


def test_only_what_outputs_need_stays(rewrites):
    rewrites(
        eliminate_dead,
        """
        graph g(%x: fp64[2], %unused: fp64[2]) -> (%z, %kept) {
          const %a: fp64[2] = [1.0, 2.0]
          const %b: fp64[2] = [1.0, 2.0]
          const %kept: fp64[1] = [1.0]
          %y: fp64[2] = exp(%x) "exp"
          %dead: fp64[2] = add(%y, %b) "add"
          %deader: fp64[2] = neg(%dead) "neg"
          %z: fp64[2] = mul(%y, %a) "mul"
        }
        """,
        """
        graph g(%x: fp64[2], %unused: fp64[2]) -> (%z, %kept) {
          const %a: fp64[2] = [1.0, 2.0]
          const %kept: fp64[1] = [1.0]
          %y: fp64[2] = exp(%x) "exp"
          %z: fp64[2] = mul(%y, %a) "mul"
        }
        """,
    )


def test_one_needed_output_keeps_a_node(read_graph):
    graph = read_graph(
        """
        graph g(%x: fp64[4]) -> (%b) {
          const %sizes: int64[2] = [1, 3]
          %a, %b = split(%x, %sizes)
        }
        """
    )
    assert eliminate_dead(graph) is graph
