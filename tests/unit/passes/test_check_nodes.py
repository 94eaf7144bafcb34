import pytest

from thew.errors import ShapeError
from thew.passes.check_nodes import check_nodes


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("add(%x)", "must have 2 inputs, got 1"),
        ("add(%x, _)", "input 1 must be given, got none"),
        ("relu(%x, %x)", "must have 1 inputs, got 2"),
        ("transpose(%x) {perm=1}", "attribute perm must be like its default"),
        ('gemm(%x, %x) {alpha="a"}', "attribute alpha must be like its default"),
    ],
)
def test_what_does_not_fit_is_named(node, message, read_graph):
    graph = read_graph(f'graph g(%x: fp32[2,2]) -> (%y) {{\n %y = {node} "layer1"\n}}\n')
    with pytest.raises(ShapeError, match=f"'layer1': {message}"):
        check_nodes(graph)


def test_unknown_ops_pass(read_graph):
    graph = read_graph("graph g() -> (%y) {\n %y = frobnicate()\n}\n")
    assert check_nodes(graph) is graph
