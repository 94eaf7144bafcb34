"""Matrix products: matmul (a[…, m, k] · b[…, k, n], batch dimensions broadcast), gemm, and integer matmul.

The fused form is matmul(a, b, bias?, residual?), both added with broadcasting, and then the activation. Floats sum in
fp64. scaled_matmul is the same with int8 weights, counted in steps of `scale` (one number, or one a column): what a
product of floats with dequantised weights becomes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import FLOATS, size_bytes
from thew.ir.graph import Array
from thew.ops.activation import EPILOGUE, check_epilogue, epilogue
from thew.ops.opdef import Call, Candidate, OpDef, Work, define
from thew.ops.rules import Shape, broadcast, demand_broadcast_to, dtype_of, rank_at_least, typed, widened
from thew.ops.sparsity import BLOCKS, STRUCTURED, is_sparse, sparse_work

_NUMBERS = (*FLOATS, "int32", "int64", "uint32", "uint64")


def product_shape(call: Call, a: int = 0, b: int = 1) -> Shape:
    """Shape of the product of two inputs, with NumPy's rule for vectors."""
    left, right = rank_at_least(call, 1, a), rank_at_least(call, 1, b)
    rows, columns = left[-2:-1], right[-1:] if len(right) > 1 else ()
    depth = right[-2] if len(right) > 1 else right[0]
    if left[-1] != depth:
        raise call.refuse(f"inner extents must agree, got {left} and {right}")
    return broadcast(call, left[:-2], right[:-2]) + rows + columns


def _shapes(call: Call) -> list[Shape | None]:
    shape = product_shape(call)
    for index, what in ((2, "bias"), (3, "residual")):
        if call.has(index):
            demand_broadcast_to(call, what, call.shape(index), shape)
    check_epilogue(call)
    return [shape]


def _reference(
    attributes: Mapping[str, Any], a: Array, b: Array, bias: Array | None = None, residual: Array | None = None
) -> list[Array]:
    product = np.matmul(widened(a), widened(b))
    if bias is not None:
        product = product + widened(bias)
    return [epilogue(attributes, np.asarray(product), residual, a.dtype)]


def _packed(call: Call) -> Work:
    shape, size = product_shape(call), size_bytes(call.type(0).dtype)
    depth, columns = call.shape(0)[-1], shape[-1] if len(call.shape(1)) > 1 else 1
    unpacked = [index for index in (0, 1) if call.value(index) is None]  # constants are packed once for all
    moved = 2 * size * sum(prod(call.shape(index)) for index in unpacked)
    return Work(prod(shape) * depth, columns, moved, moved // 2)


FEW_ROWS, SHORT_SUM = 32, 4  # up to here, packing costs more than a product that reads matrices as they lie


def _suits_vectors(call: Call) -> bool:
    """Whether a product has few rows or a short sum, and no factor that is packed once for all."""
    if len(call.shape(0)) != 2 or len(call.shape(1)) != 2 or call.has(3):
        return False
    rows, depth = call.shape(0)
    return (rows <= FEW_ROWS or depth <= SHORT_SUM) and call.value(1) is None


def _is_sparse(call: Call, structure: str) -> bool:
    return len(call.shape(0)) == len(call.shape(1)) == 2 and is_sparse(call, structure)


def _sparse(call: Call, structure: str) -> Work:
    passed = size_bytes("fp32") * (prod(call.shape(0)) + prod(product_shape(call)))
    return sparse_work(call, structure, call.shape(0)[0], passed)


define(
    OpDef(
        "matmul",
        typed(_shapes, dtype_of(0, 1, 2, 3, among=_NUMBERS, or_fp32=(2,))),
        _reference,
        EPILOGUE,
        inputs=(2, 4),
        flops=lambda call: 2 * prod(product_shape(call)) * call.shape(0)[-1],
        candidates=(
            Candidate("gemv", "direct", when=_suits_vectors),
            Candidate("matmul", "packed", dtypes=FLOATS, work=_packed),
            *(
                Candidate(
                    "gemv",
                    name,
                    when=partial(_is_sparse, structure=name),
                    dtypes=("fp32",),
                    work=partial(_sparse, structure=name),
                )
                for name in (BLOCKS, STRUCTURED)
            ),
        ),
    )
)


def _scaled_shapes(call: Call) -> list[Shape | None]:
    weight, scale = call.shape(1), call.shape(4)
    if len(weight) != 2 or scale not in ((), (1,), weight[1:]):
        raise call.refuse(f"weights must be a matrix, with a scale or one a column, got {weight} and {scale}")
    return _shapes(call)


def _scaled_dtype(call: Call) -> str:
    dtype_of(1, among=("int8",))(call)
    return dtype_of(0, 2, 3, 4, among=("fp32",))(call)


def _scaled_reference(
    attributes: Mapping[str, Any],
    a: Array,
    b: Array,
    bias: Array | None = None,
    residual: Array | None = None,
    scale: Array | None = None,
) -> list[Array]:
    assert scale is not None
    product = np.matmul(widened(a), b.astype(np.float64)) * widened(scale)
    return [epilogue(attributes, np.asarray(product if bias is None else product + widened(bias)), residual, a.dtype)]


_WIDENING = 2  # of a weight, in multiply-adds; rows of a share it only where there are registers for their sums


def _widened(call: Call) -> Work:
    rows, columns, weights = prod(call.shape(0)[:-1]), call.shape(1)[1], prod(call.shape(1))
    return Work(weights * rows * (1 + _WIDENING), columns)


def _dequantised(call: Call) -> Work:
    """As a product with fp32 weights, which are kept in the place of the integers."""
    packed, weights = _packed(call), prod(call.shape(1))
    passed = 4 * (prod(call.shape(0)) + prod(product_shape(call)) + weights)
    return replace(packed, kept_bytes=3 * weights, passed_bytes=passed)


define(
    OpDef(
        "scaled_matmul",
        typed(_scaled_shapes, _scaled_dtype),
        _scaled_reference,
        EPILOGUE,
        inputs=(2, 5),
        flops=lambda call: 2 * prod(product_shape(call)) * call.shape(0)[-1],
        candidates=(
            Candidate("gemv", "widened", when=lambda call: len(call.shape(0)) == 2, work=_widened),
            Candidate("matmul", "packed", work=_dequantised),
        ),
    )
)


def _gemm_shape(call: Call) -> Shape:
    a, b = call.shape(0), call.shape(1)
    if len(a) != 2 or len(b) != 2:
        raise call.refuse(f"inputs 0 and 1 must be matrices, got {a} and {b}")
    turned = call.attribute("transA"), call.attribute("transB")
    (m, k), (depth, n) = a[:: -1 if turned[0] else 1], b[:: -1 if turned[1] else 1]
    if k != depth:
        raise call.refuse(f"inner extents must agree, got {a} and {b} with transA, transB = {turned}")
    return m, n


def _gemm_shapes(call: Call) -> list[Shape | None]:
    shape = _gemm_shape(call)
    if call.has(2):
        demand_broadcast_to(call, "input 2", call.shape(2), shape)
    check_epilogue(call)
    return [shape]


def _gemm_reference(attributes: Mapping[str, Any], a: Array, b: Array, c: Array | None = None) -> list[Array]:
    left, right = (a.T if attributes["transA"] else a), (b.T if attributes["transB"] else b)
    product = widened(left) @ widened(right)
    # Integers stay integers where the factors are whole.
    alpha, beta = (
        int(f) if a.dtype.kind in "iu" and float(f).is_integer() else f
        for f in (attributes["alpha"], attributes["beta"])
    )
    total = product if alpha == 1 else alpha * product
    if c is not None and beta != 0:
        total = total + beta * widened(c)
    return [epilogue(attributes, total, None, a.dtype)]


# No candidates: a pass turns every gemm whose factors are known into a matmul.
define(
    OpDef(
        "gemm",
        typed(_gemm_shapes, dtype_of(0, 1, 2, among=_NUMBERS)),
        _gemm_reference,
        {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0, **EPILOGUE},
        inputs=(2, 3),
        flops=lambda call: 2 * prod(_gemm_shape(call)) * call.shape(0)[0 if call.attribute("transA") else 1],
    )
)
