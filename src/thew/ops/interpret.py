"""Runs a graph node by node with the NumPy references of its ops: the oracle for all that is faster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import size_bytes, to_numpy
from thew.errors import Error, InputError, MemoryLimitError, ShapeError
from thew.ir.graph import Array, Graph, Node, TensorType
from thew.ops.opdef import call_of, get, is_defined

MALFORMED = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
DEFAULT_LIMIT_BYTES = 16 << 30


def apply(node: Node, inputs: Sequence[Any], limit_bytes: int | None = None) -> tuple[Array, ...]:
    """Outputs of one node from the arrays of its inputs; an absent input is None.

    The op's `infer` sees the arrays first, so that values that come from data are checked, and sizes known, before
    anything is allocated.

    Args:
        node: the node.
        inputs: its inputs; sequences and optionals are lists.
        limit_bytes: the most that the outputs together may take; 16 GiB where None.

    Raises:
        ShapeError: the inputs do not fit the op.
        MemoryLimitError: the outputs are over the limit, or do not fit into memory.
    """
    op = get(node.op)
    try:
        if is_defined(node.op):
            types = op.infer(call_of(node.op, node.attributes, inputs, node))
            _check_sizes(node, types, DEFAULT_LIMIT_BYTES if limit_bytes is None else limit_bytes)
            if all(found is not None and found.is_static and 0 in found.static_shape for found in types):
                # Nothing to compute; a reference might build tables for extents that cost nothing here.
                return tuple(
                    np.zeros(found.static_shape, to_numpy(found.dtype)) for found in types if found is not None
                )
        return tuple(op.reference(node.attributes, *inputs))
    except Error as error:
        raise error if str(node) in str(error) else type(error)(f"{node}: {error}") from error
    except MemoryError as error:
        raise MemoryLimitError(f"{node}: outputs must fit into memory, got {error}") from error
    except MALFORMED as error:
        raise ShapeError(f"{node}: inputs must fit the op, got {type(error).__name__}: {error}") from error


def _check_sizes(node: Node, types: Sequence[TensorType | None], limit_bytes: int) -> None:
    known = [found for found in types if found is not None and found.is_static]
    wanted = sum(prod(found.static_shape) * size_bytes(found.dtype) for found in known)
    if wanted > limit_bytes:
        raise MemoryLimitError(f"{node}: outputs must take at most {limit_bytes} bytes, got {wanted}")


def evaluate(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """All outputs of a graph by name, from all its inputs by name. Raises InputError where an input is missing.

    Example:
        >>> evaluate(graph, {"x": numpy.ones((2, 4), numpy.float32)})["y"]
    """
    values: dict[str, Array] = dict(graph.constants)
    for declared in graph.inputs:
        if declared.name not in inputs:
            raise InputError(f"input '{declared.name}': must be given, got only {sorted(inputs)}")
        values[declared.name] = inputs[declared.name]
    for node in graph.nodes:
        results = apply(node, [values[name] if name else None for name in node.inputs])
        values.update((name, result) for name, result in zip(node.outputs, results, strict=False) if name)
    return {name: values[name] for name in graph.outputs}
