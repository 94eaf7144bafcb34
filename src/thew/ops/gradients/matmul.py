"""Gradients of matrix products: products with one factor transposed, which the planner reads as views."""

from __future__ import annotations

from math import prod

from thew.ops.gradients.backward import Backward, Gradients
from thew.ops.opdef import differentiate_by


@differentiate_by("matmul")
def _matmul(back: Backward) -> Gradients:
    """da = dy · bᵀ, db = aᵀ · dy; vectors are a matrix's row or column, and a broadcast factor takes the sum."""
    a, b = back.node.inputs[:2]
    shapes = back.call.shape(0), back.call.shape(1)
    left = back.reshaped(a, (1, *shapes[0])) if len(shapes[0]) == 1 else a
    right = back.reshaped(b, (*shapes[1], 1)) if len(shapes[1]) == 1 else b
    rows, columns = back.shape(left), back.shape(right)
    lead = back.shape(back.dy)[: max(len(rows), len(columns)) - 2]
    dy = back.reshaped(back.dy, (*lead, rows[-2], columns[-1]))
    grads: list[str | None] = [None] * len(back.node.inputs)
    if back.wants(1):
        if len(columns) == 2 < len(rows):  # one matrix for the whole batch: one product over all its rows
            many = prod(rows[:-1])
            flat = back.reshaped(left, (many, rows[-1])), back.reshaped(dy, (many, columns[-1]))
            found = back.op("matmul", back.transposed(flat[0]), flat[1])
        else:
            found = back.sum_to(back.op("matmul", back.transposed(left), dy), columns)
        grads[1] = back.reshaped(found, shapes[1])
    if back.wants(0):
        found = back.sum_to(back.op("matmul", dy, back.transposed(right)), rows)
        grads[0] = back.reshaped(found, shapes[0])
    for index in (2, 3):
        if back.wants(index):
            grads[index] = back.sum_to(back.dy, back.call.shape(index))
    return grads


def _swapped(back: Backward, left: str, right: str) -> tuple[str, str]:
    """The factors of the transposed product."""
    return back.transposed(right), back.transposed(left)


@differentiate_by("gemm")
def _gemm(back: Backward) -> Gradients:
    """y = α · A · B + β · C with A, B transposed on demand."""
    a, b = back.node.inputs[:2]
    turned = back.call.attribute("transA"), back.call.attribute("transB")
    dy = back.scaled(back.dy, back.call.attribute("alpha"))
    grads: list[str | None] = [None] * len(back.node.inputs)
    if back.wants(1):
        left = a if turned[0] else back.transposed(a)
        grads[1] = back.op("matmul", *_swapped(back, left, dy) if turned[1] else (left, dy))
    if back.wants(0):
        right = b if turned[1] else back.transposed(b)
        grads[0] = back.op("matmul", *_swapped(back, dy, right) if turned[0] else (dy, right))
    if back.wants(2):
        grads[2] = back.sum_to(back.scaled(back.dy, back.call.attribute("beta")), back.call.shape(2))
    return grads
