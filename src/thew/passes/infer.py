"""Types of one node's outputs, with every failure turned into a typed error that names the node."""

from __future__ import annotations

from collections.abc import Sequence

from thew.dtypes import from_numpy
from thew.errors import Error, ShapeError, UnsupportedError
from thew.ir import Node, TensorType
from thew.ir.graph import Array
from thew.ops import Call, OpDef, find

# What NumPy, indexing and arithmetic raise when attributes or constant inputs of an untrusted model make no sense.
MALFORMED = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


def value_type(array: Array) -> TensorType:
    """The type of an array."""
    return TensorType(from_numpy(array.dtype), array.shape)


def op_of(node: Node) -> OpDef:
    """The definition of a node's op. Raises UnsupportedError."""
    op = find(node.op)
    if op is None:
        raise UnsupportedError(
            f"{node}: op must be one that Thew knows, got '{node.op}'; `thew.ops.names()` lists them"
        )
    return op


def infer_node(
    node: Node, types: Sequence[TensorType | None], values: Sequence[Array | None]
) -> Sequence[TensorType | None]:
    """Types of the outputs, from static types of all inputs that are given and values of those that are constant."""
    op = op_of(node)
    try:
        return op.infer(Call(node, tuple(types), tuple(values)))
    except Error as error:
        raise error if str(node) in str(error) else type(error)(f"{node}: {error}") from error
    except MALFORMED as error:
        raise ShapeError(
            f"{node}: attributes and inputs must fit the op, got {type(error).__name__}: {error}"
        ) from error
