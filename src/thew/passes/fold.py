"""Folding one node into constants: the rule that `specialise` and `fold_constants` share.

A node may be folded when it is pure, all its inputs are constant, and what it makes and costs is bounded *before* it is
run: the sizes come from inference, since the model may be hostile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from thew.dtypes import size_bytes, to_numpy
from thew.errors import Error, MemoryLimitError, ShapeError
from thew.ir import Node, TensorType
from thew.ir.graph import Array, as_constant
from thew.ops import Call, OpDef
from thew.ops.interpret import apply
from thew.passes.infer import MALFORMED

# Ops that read of an input its type only; its elements may stay unknown.
READS_TYPE_ONLY = frozenset({"shape", "size"})


@dataclass(frozen=True)
class Budget:
    """How much folding one node may make and cost.

    Attributes:
        result_bytes: results up to this size are always folded; larger ones up to `growth` times the inputs' size.
        unsized_bytes: where the shape of a result depends on data, all inputs together may have this size.
        flops: floating-point operations of the node.
    """

    result_bytes: int = 16 << 20
    growth: int = 4
    unsized_bytes: int = 1 << 20
    flops: int = 1 << 31


DEFAULT = Budget()


def fold(
    op: OpDef,
    node: Node,
    types: Sequence[TensorType | None],
    values: Sequence[Array | None],
    results: Sequence[TensorType | None],
    budget: Budget = DEFAULT,
) -> tuple[Array, ...] | None:
    """The outputs of a node as constants, or None where it may not or should not be folded."""
    if not op.is_pure or any(known is None or known.dtype == "opaque" for known in results):
        return None  # sequences and optionals are no constants
    if node.op in READS_TYPE_ONLY and types[0] is not None and types[0].is_static:
        shape = types[0].static_shape
        values = [np.broadcast_to(np.zeros((), to_numpy(types[0].dtype)), shape) if prod(shape) < 1 << 62 else None]
    if any(name and value is None for name, value in zip(node.inputs, values, strict=True)):
        return None
    if not _affordable(op, Call(node, tuple(types), tuple(values)), results, budget):
        return None
    return _run(node, values)


def _affordable(op: OpDef, call: Call, results: Sequence[TensorType | None], budget: Budget) -> bool:
    if call.node.op in READS_TYPE_ONLY:
        return True
    given = sum(value.nbytes for value in call.values if value is not None)
    if not all(known is not None and known.is_static for known in results):
        return given <= budget.unsized_bytes
    made = sum(prod(known.static_shape) * size_bytes(known.dtype) for known in results if known is not None)
    return made <= max(budget.result_bytes, budget.growth * given) and op.flops(call) <= budget.flops


def _run(node: Node, values: Sequence[Array | None]) -> tuple[Array, ...]:
    try:
        return tuple(as_constant(result) for result in apply(node, values))
    except Error as error:
        raise error if str(node) in str(error) else type(error)(f"{node}: {error}") from error
    except MemoryError as error:
        raise MemoryLimitError(f"{node}: its constant result does not fit into memory, {error}") from error
    except MALFORMED as error:
        raise ShapeError(f"{node}: constant inputs must fit the op, got {type(error).__name__}: {error}") from error
