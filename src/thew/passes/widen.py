"""Computes a model's fp32 parts in double precision: constants, casts and bodies of control flow become fp64, the
model's inputs and outputs keep their dtype.

What an op fixes itself (int64 indices, bool masks) is untouched, and so are models in other precisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from thew.ir import Graph, Node, TensorType, Value
from thew.ir.graph import Array, as_constant
from thew.passes.specialise import guessed_types

_DTYPE_ATTRIBUTES = ("to", "dtype", "output_dtype")  # attributes that name a result's dtype


def widen(graph: Graph) -> Graph:
    """The graph with fp64 in place of fp32, converted where it meets the caller."""
    names = graph.fresh_names()
    inputs = {value.name: next(names) for value in graph.inputs if value.type.dtype == "fp32"}
    results = {name: next(names) for name in _fp32_results(graph)}
    given = {name: next(names) for name in graph.outputs if _is_fp32(graph.constants.get(name))}
    renamed = {**inputs, **results, **given}
    before = [Node("cast", (name,), (wide,), {"to": "fp64"}, f"{name}:fp64") for name, wide in inputs.items()]
    after = [Node("cast", (wide,), (name,), {"to": "fp32"}, f"{name}:out") for name, wide in results.items()]
    constants = {renamed.get(name, name): _widened_constant(array) for name, array in graph.constants.items()}
    constants.update((name, graph.constants[name]) for name in given)
    nodes = [_widened(node, renamed) for node in graph.nodes]
    return graph.replace(nodes=(*before, *nodes, *after), constants=constants, types={})


def _fp32_results(graph: Graph) -> list[str]:
    """Outputs of nodes that the caller expects in fp32, those of unknown type among them."""
    results = [name for name in dict.fromkeys(graph.outputs) if name in graph.producers]
    types = graph.types if all(name in graph.types for name in results) else guessed_types(graph)
    return [name for name in results if name not in types or types[name].dtype == "fp32"]


def _is_fp32(array: Array | None) -> bool:
    return array is not None and array.dtype == np.float32


def _widened_constant(array: Array) -> Array:
    return as_constant(array.astype(np.float64)) if _is_fp32(array) else array


def _widened(node: Node, renamed: Mapping[str, str]) -> Node:
    attributes = {name: _widened_attribute(name, value) for name, value in node.attributes.items()}
    inputs = tuple(renamed.get(name, name) for name in node.inputs)
    outputs = tuple(renamed.get(name, name) for name in node.outputs)
    return node.replace(inputs=inputs, outputs=outputs, attributes=attributes)


def _widened_attribute(name: str, value: Any) -> Any:
    if isinstance(value, Graph):
        return _widened_body(value)
    return "fp64" if name in _DTYPE_ATTRIBUTES and value == "fp32" else value


def _widened_body(body: Graph) -> Graph:
    """A body of control flow: its inputs come from, and its outputs go to, what is in fp64 too."""
    return body.replace(
        inputs=tuple(Value(value.name, _widened_type(value.type)) for value in body.inputs),
        nodes=tuple(_widened(node, {}) for node in body.nodes),
        constants={name: _widened_constant(array) for name, array in body.constants.items()},
        types={name: _widened_type(known) for name, known in body.types.items()},
    )


def _widened_type(known: TensorType) -> TensorType:
    return TensorType("fp64", known.shape) if known.dtype == "fp32" else known
