"""Sum trees: drawing in proportion to priorities (Schaul et al. 2016).

A tree over n priorities is 2n numbers in fp64: priority s is number n + s, number i < n is the sum of numbers 2i and
2i + 1, so that number 1 is the sum of all; number 0 is not used.

sample_sum_tree(tree, draws) → (slots, shares): draws[i] within [0, 1) falls into the i-th of equal parts of the sum, so
that draws are spread evenly; slots[i] is the priority found there, shares[i] its share of the sum. A priority of 0 is
not drawn while another is above 0.

update_sum_tree(tree, slots, values) → next tree: those priorities are set, in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from thew.errors import ModelError
from thew.ir.graph import Array
from thew.ops.opdef import Call, Candidate, OpDef, define
from thew.ops.rules import Shape, typed

_NATIVE = (Candidate("sum_tree", "binary", layout="plain", dtypes=("fp64",)),)


def _demand(call: Call, slots: int | None, *numbers: int) -> int:
    """The number of slots or draws, having refused a tree, slots or numbers (inputs by index) of other types."""
    shape = call.shape(0)
    if call.type(0).dtype != "fp64" or len(shape) != 1 or shape[0] < 2 or shape[0] % 2:
        raise call.refuse(f"a tree must be fp64 with two numbers for each priority, got {call.type(0)}")
    count = call.shape(1)
    if len(count) != 1:
        raise call.refuse(f"input 1 must be a vector, got {call.type(1)}")
    for index in (*numbers, *([] if slots is None else [slots])):
        wanted = "int64" if index == slots else "fp64"
        if call.shape(index) != count or call.type(index).dtype != wanted:
            raise call.refuse(f"input {index} must be {wanted} of shape {count}, got {call.type(index)}")
    return count[0]


def _sample_shapes(call: Call) -> list[Shape | None]:
    count = _demand(call, None, 1)
    return [(count,), (count,)]


def _sample(attributes: Mapping[str, Any], tree: Array, draws: Array) -> list[Array]:
    leaves, total = len(tree) // 2, tree[1]
    slots = np.empty(len(draws), np.int64)
    for index, draw in enumerate(draws):
        node, rest = 1, (index + draw) * (total / len(draws))
        while node < leaves:
            left, right = tree[2 * node], tree[2 * node + 1]
            node *= 2
            if rest >= left and right > 0:
                node, rest = node + 1, rest - left
        slots[index] = node - leaves
    return [slots, tree[leaves + slots] / total if total > 0 else np.zeros(len(draws))]


define(
    OpDef(
        "sample_sum_tree",
        typed(_sample_shapes, "int64", "fp64"),
        _sample,
        inputs=(2, 2),
        outputs=(2, 2),
        candidates=_NATIVE,
        flops=lambda call: 0,
    )
)


def _update_shapes(call: Call) -> list[Shape | None]:
    _demand(call, 1, 2)
    return [call.shape(0)]


def _update(attributes: Mapping[str, Any], tree: Array, slots: Array, values: Array) -> list[Array]:
    tree, leaves = tree.copy(), len(tree) // 2
    if slots.size and not 0 <= slots.min() <= slots.max() < leaves:
        raise ModelError(f"update_sum_tree: slots must be within [0, {leaves - 1}], got {slots.min()} to {slots.max()}")
    for slot, value in zip(slots, values, strict=True):
        node = leaves + slot
        tree[node] = value
        while node > 1:
            node //= 2
            tree[node] = tree[2 * node] + tree[2 * node + 1]
    return [tree]


define(
    OpDef(
        "update_sum_tree",
        typed(_update_shapes, "fp64"),
        _update,
        inputs=(3, 3),
        candidates=_NATIVE,
        flops=lambda call: 0,
        updates=((0, 0),),
    )
)
