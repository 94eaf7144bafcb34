from thew.passes.simplify_reshapes import simplify_reshapes


def test_chain_becomes_one(rewrites):
    rewrites(
        simplify_reshapes,
        """
        graph g(%x: fp64[2,1,3]) -> (%z) {
          const %axis: int64[1] = [1]
          const %shape: int64[2] = [-1, 2]
          %a: fp64[2,3] = squeeze(%x, %axis) "squeeze"
          %b: fp64[6,1] = flatten(%a) {axis=2} "flatten"
          %z: fp64[3,2] = reshape(%b, %shape) "reshape"
        }
        """,
        """
        graph g(%x: fp64[2,1,3]) -> (%z) {
          const %axis: int64[1] = [1]
          const %shape: int64[2] = [-1, 2]
          const %a_shape: int64[2] = [2, 3]
          const %b_shape: int64[2] = [6, 1]
          %a: fp64[2,3] = reshape(%x, %a_shape) "squeeze"
          %b: fp64[6,1] = reshape(%x, %b_shape) "flatten"
          %z: fp64[3,2] = reshape(%x, %shape) "reshape"
        }
        """,
    )


def test_zero_stands_for_an_extent_of_what_is_skipped(rewrites):
    """Without shapes, a 0 in the second target keeps it where it is."""
    text = """
        graph g(%x: fp64[n,2,3]) -> (%z, %w) {
          const %pair: int64[2] = [-1, 6]
          const %keep: int64[2] = [0, -1]
          const %triple: int64[3] = [-1, 3, 2]
          %y = reshape(%x, %pair) "first"
          %z = reshape(%y, %keep) "second"
          %w = reshape(%y, %triple) "third"
        }
        """
    rewrites(simplify_reshapes, text, text.replace("%w = reshape(%y", "%w = reshape(%x").replace("        ", ""))


def test_empty_tensors_need_allowzero(rewrites):
    rewrites(
        simplify_reshapes,
        """
        graph g(%x: fp64[0,2]) -> (%z) {
          %z: fp64[1,0] = flatten(%x) {axis=0} "flatten"
        }
        """,
        """
        graph g(%x: fp64[0,2]) -> (%z) {
          const %z_shape: int64[2] = [1, 0]
          %z: fp64[1,0] = reshape(%x, %z_shape) {allowzero=1} "flatten"
        }
        """,
    )
