"""Reductions: axes were an attribute before they were an input."""

from __future__ import annotations

import numpy as np

from thew.onnx.convert.rewrite import Rewrite, converts
from thew.onnx.nodes import OnnxNode


@converts(
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSumSquare", before=18,
)  # fmt: skip
@converts("ReduceSum", "Squeeze", "Unsqueeze", before=13)
def axes_to_input(node: OnnxNode, rewrite: Rewrite) -> None:
    """The attribute `axes` becomes input 1."""
    axes = node.pop("axes")
    if axes is not None:
        node.set_input(1, rewrite.constant(axes, np.int64, "axes"))
