"""A first layer's weight gradient asks for channels last where that makes its window's rows runs."""

from __future__ import annotations

import pytest

from thew import ops
from thew.ir import Node, TensorType
from thew.ops import Call
from thew.ops.conv_grad import joins_taps


@pytest.mark.parametrize(
    ("changes", "joins"),
    [({}, True), ({"pads": (2, 0, 2, 0)}, True), ({"pads": (0, 1, 0, 0)}, False), ({"dilations": (1, 2)}, False)],
)
def test_taps_join_where_no_window_leaves_the_image_sideways(changes, joins):
    attributes = {"kernel_shape": (8, 8), "strides": (4, 4), "pads": (0, 0, 0, 0), "dilations": (1, 1), **changes}
    x = TensorType("fp32", (2, 4, 84, 84))
    extents = [
        (84 + pads[0] + pads[1] - 7 * dilation - 1) // 4 + 1
        for pads, dilation in zip(
            ((attributes["pads"][0], attributes["pads"][2]), (attributes["pads"][1], attributes["pads"][3])),
            attributes["dilations"],
            strict=True,
        )
    ]
    dy = TensorType("fp32", (2, 32, *extents))
    node = Node("conv_grad_weight", ("dy", "x"), ("dw",), attributes)
    call = Call(node, (dy, x), (None, None))
    assert ops.get("conv_grad_weight").infer(call)[0] == TensorType("fp32", (32, 4, 8, 8))
    assert joins_taps(call) is joins
