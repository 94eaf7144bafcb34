import pytest

from thew.passes.fold_pads import fold_pads


@pytest.mark.parametrize(
    ("filler", "node", "folded"),
    [
        ("0.0", "conv(%p, %w) {pads=[1, 0, 0, 0]}", "conv(%x, %w) {pads=[2, 2, 0, 3]}"),
        ("0.0", 'conv(%p, %w) {auto_pad="VALID"}', 'conv(%x, %w) {auto_pad="NOTSET", pads=[1, 2, 0, 3]}'),
        (
            "0.0",
            "average_pool(%p) {kernel_shape=[2, 2]}",
            "average_pool(%x) {kernel_shape=[2, 2], pads=[1, 2, 0, 3], count_include_pad=1}",
        ),
        (
            "-inf",
            "max_pool(%p) {kernel_shape=[2, 2], pads=[0, 0, 1, 0]}",
            "max_pool(%x) {kernel_shape=[2, 2], pads=[1, 2, 1, 3]}",
        ),
    ],
)
def test_goes_into_the_window(filler, node, folded, rewrites):
    head = f"""
        graph g(%x: fp64[n,1,4,4]) -> (%z) {{
          const %w: fp64[1,1,2,2] = [1.0, 2.0, 3.0, 4.0]
          const %pads: int64[8] = [0, 0, 1, 2, 0, 0, 0, 3]
          const %filler: fp64[] = [{filler}]
          %p = pad(%x, %pads, %filler) "pad\""""
    rewrites(
        fold_pads, f"{head}\n          %z = {node}\n        }}\n", f"{head}\n          %z = {folded}\n        }}\n"
    )


@pytest.mark.parametrize(
    ("pads", "filler", "mode", "node"),
    [
        ("[0, 0, 1, 1, 0, 0, 1, 1]", "1.0", "constant", "conv(%p, %w)"),
        ("[0, 0, 1, 1, 0, 0, 1, 1]", "0.0", "reflect", "conv(%p, %w)"),
        ("[0, 0, -1, 0, 0, 0, 0, 0]", "0.0", "constant", "conv(%p, %w)"),
        ("[1, 0, 1, 1, 0, 0, 1, 1]", "0.0", "constant", "conv(%p, %w)"),
        ("[0, 0, 1, 1, 0, 0, 1, 1]", "0.0", "constant", 'conv(%p, %w) {auto_pad="SAME_UPPER"}'),
        ("[0, 0, 1, 1, 0, 0, 1, 1]", "0.0", "constant", "max_pool(%p) {kernel_shape=[2, 2]}"),
        ("[0, 0, 1, 1, 0, 0, 1, 1]", "0.0", "constant", "average_pool(%p) {kernel_shape=[2, 2], ceil_mode=1}"),
        ("[0, 0, 1, 1, 0, 0, 1, 1]", "0.0", "constant", "average_pool(%p) {kernel_shape=[2, 2], pads=[1, 1, 1, 1]}"),
    ],
)
def test_left_alone(pads, filler, mode, node, read_graph):
    graph = read_graph(
        f"""
        graph g(%x: fp64[1,1,4,4]) -> (%z) {{
          const %w: fp64[1,1,2,2] = [1.0, 2.0, 3.0, 4.0]
          const %pads: int64[8] = {pads}
          const %filler: fp64[] = [{filler}]
          %p = pad(%x, %pads, %filler) {{mode="{mode}"}}
          %z = {node}
        }}
        """
    )
    assert fold_pads(graph) is graph
