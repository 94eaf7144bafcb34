import numpy as np
import pytest

from thew.errors import InputError, UnsupportedError
from thew.ir import parse_graph
from thew.ops.interpret import apply, evaluate


def test_a_graph_by_hand():
    graph = parse_graph(
        """
        graph g(%x: fp32[2,3], %y: fp32[3]) -> (%z, %c, %x) {
          const %c: fp32[] = [2.0]
          %a = add(%x, %y)
          %b, %rest = split(%a) {axis=1, num_outputs=2}
          %z = mul(%b, %c)
        }
        """
    )
    x, y = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([10, 20, 30], np.float32)
    got = evaluate(graph, {"x": x, "y": y})
    assert list(got) == ["z", "c", "x"]
    np.testing.assert_array_equal(got["z"], [[20, 42], [26, 48]])
    assert got["c"] == 2 and got["x"] is x


def test_absent_inputs_are_none():
    (node,) = parse_graph("graph g() -> () {\n %y = clip(%x, _, %hi)\n}").nodes
    (y,) = apply(node, [np.array([-5.0, 5.0]), None, np.array(1.0)])
    np.testing.assert_array_equal(y, [-5, 1])


def test_missing_input():
    with pytest.raises(InputError, match=r"input 'x': must be given, got only \['y'\]"):
        evaluate(parse_graph("graph g(%x: fp32[1]) -> (%x) {\n}"), {"y": np.zeros(1)})


def test_unknown_op():
    with pytest.raises(UnsupportedError, match="frobnicate"):
        evaluate(parse_graph("graph g(%x: fp32[1]) -> (%y) {\n %y = frobnicate(%x)\n}"), {"x": np.zeros(1)})
