"""Older forms of operators become the latest: one file a family, each rule one function.

A rule says from which operator set on its work is already done: ``@converts("Clip", before=11)``. All rules of an
operator that apply run in the order of their operator sets, each on the result of the one before. A family that is not
here never changed its meaning: newer operator sets gave it dtypes, or attributes whose defaults mean the older form.
"""

from __future__ import annotations

from thew.onnx.convert import activation, elementwise, matmul, norm, pool, reduce, shape
from thew.onnx.convert.rewrite import Rewrite, convert

__all__ = ["Rewrite", "activation", "convert", "elementwise", "matmul", "norm", "pool", "reduce", "shape"]
