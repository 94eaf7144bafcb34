from thew.passes.narrow_training import narrow_training

GRAPH = """
graph g(%x: fp32[{n},24], %w: fp32[24,8], %v: fp32[8,8]) -> (%z) {{
  %y: fp32[{n},8] = matmul(%x, %w) "y"
  %z: fp32[{n},8] = matmul(%y, %v) "z"
}}
"""


def dtypes(graph):
    return {name: graph.type_of(name).dtype for node in graph.nodes for name in node.inputs}


def test_products_of_few_rows_stay_wide(read_graph):
    """What they multiply is mostly weights, which are wide."""
    few, many = (read_graph(GRAPH.format(n=n)) for n in (15, 16))
    assert narrow_training(few, "bf16", "fp32").nodes == few.nodes
    assert dtypes(narrow_training(many, "bf16", "fp32")) == {
        "x": "fp32", "w": "fp32", "v": "fp32", "x.bf16": "bf16", "w.bf16": "bf16", "v.bf16": "bf16", "y": "bf16",
        "z.bf16": "bf16",
    }  # fmt: skip


def test_nothing_but_16_bits_is_faster_than_fp64(read_graph):
    graph = read_graph(GRAPH.format(n=1).replace("fp32", "fp64"))
    assert dtypes(narrow_training(graph, "fp16", "fp64"))["y"] == "fp16"
