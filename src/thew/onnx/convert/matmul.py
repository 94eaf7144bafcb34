"""Matrix products: Gemm's addend was once broadcast on request."""

from __future__ import annotations

from thew.onnx.convert.rewrite import Rewrite, converts
from thew.onnx.nodes import OnnxNode


@converts("Gemm", before=7)
def gemm_broadcast(node: OnnxNode, rewrite: Rewrite) -> None:
    """The addend is now always broadcast where it must be."""
    node.pop("broadcast")
