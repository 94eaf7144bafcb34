"""Pooling: no form ever changed its meaning; later operator sets added attributes whose defaults mean the older
form.
"""

from __future__ import annotations

from thew.onnx.convert.rewrite import Rewrite, converts
from thew.onnx.nodes import OnnxNode


@converts("GlobalLpPool", "LpPool", before=2)
def integer_norm(node: OnnxNode, rewrite: Rewrite) -> None:
    """`p` was a real number."""
    if "p" in node.attributes:
        node.attributes["p"] = int(node.attributes["p"])
