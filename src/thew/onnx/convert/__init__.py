"""Older forms of operators become the latest: one file a family, each rule one function.

A rule says from which operator set on its work is already done: ``@converts("Clip", before=11)``. All rules of an operator that apply
run in the order of their operator sets, each on the result of the one before.
"""

from __future__ import annotations

from thew.onnx.convert import activation, conv, elementwise, matmul, norm, pool, quant, reduce, shape
from thew.onnx.convert.rewrite import Rewrite, convert

__all__ = ["Rewrite", "activation", "conv", "convert", "elementwise", "matmul", "norm", "pool", "quant", "reduce", "shape"]
