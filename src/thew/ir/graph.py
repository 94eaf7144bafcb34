"""`Graph`, `Node`, `Value`: immutable, SSA, topologically ordered.

A value is known by its name. It is defined once: by a graph input, a constant or a node's output, before its first use.
Rewrites make a new graph (`Graph.replace`), and share what they do not change.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Dim = int | str  # a symbol ("batch") stands for an extent that is known only when the inputs are
Array = NDArray[Any]
Attribute = int | float | str | bool | tuple[int, ...] | tuple[float, ...] | tuple[str, ...] | object


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type and shape of a tensor; `shape` is None where even the rank is unknown."""

    dtype: str
    shape: tuple[Dim, ...] | None

    @property
    def is_static(self) -> bool:
        """Whether every extent is a number."""
        return self.shape is not None and all(isinstance(extent, int) for extent in self.shape)

    @property
    def static_shape(self) -> tuple[int, ...]:
        """The shape, of which `is_static` holds."""
        assert self.shape is not None
        return tuple(int(extent) for extent in self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}[{'...' if self.shape is None else ','.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class Value:
    """A named graph input with its type."""

    name: str
    type: TensorType


def _freeze(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping if isinstance(mapping, MappingProxyType) else MappingProxyType(dict(mapping))


@dataclass(frozen=True)
class Node:
    """One application of an op. An optional input that is absent is the empty name."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", _freeze(self.attributes))

    def replace(self, **changes: Any) -> Node:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def with_attributes(self, **changes: Attribute) -> Node:
        """A copy with some attributes added or changed."""
        return self.replace(attributes={**self.attributes, **changes})

    def input(self, index: int) -> str:
        """Name of input `index`; empty where it is absent or beyond the end."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def __str__(self) -> str:
        return f"{self.op} '{self.name or (self.outputs[0] if self.outputs else '')}'"


@dataclass(frozen=True, eq=False)
class Graph:
    """A function from `inputs` to `outputs`.

    `constants` are the weights, read-only arrays; `types` holds what is known of values' types (graph inputs and
    constants need no entry there). Two graphs are equal only if they are the same object: constants are large.
    """

    name: str
    inputs: tuple[Value, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array] = field(default_factory=dict)
    types: Mapping[str, TensorType] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "constants", _freeze(self.constants))
        object.__setattr__(self, "types", _freeze(self.types))

    def replace(self, **changes: Any) -> Graph:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    @cached_property
    def producers(self) -> Mapping[str, Node]:
        """The node that defines each value (inputs and constants have none)."""
        return {output: node for node in self.nodes for output in node.outputs if output}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that read each value, in order; a node that reads it twice is listed twice."""
        readers: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.inputs:
                if name:
                    readers.setdefault(name, []).append(node)
        return {name: tuple(nodes) for name, nodes in readers.items()}

    def use_count(self, name: str) -> int:
        """How often a value is read, graph outputs included."""
        return len(self.consumers.get(name, ())) + self.outputs.count(name)

    @cached_property
    def _input_types(self) -> Mapping[str, TensorType]:
        return {value.name: value.type for value in self.inputs}

    def type_of(self, name: str) -> TensorType | None:
        """What is known of a value's type."""
        from thew.dtypes import from_numpy

        if name in self.constants:
            array = self.constants[name]
            return TensorType(from_numpy(array.dtype), tuple(int(extent) for extent in array.shape))
        return self._input_types.get(name) or self.types.get(name)

    def fresh_names(self) -> Iterator[str]:
        """Names that no value of the graph has: v0, v1, …"""
        taken = {value.name for value in self.inputs} | set(self.constants) | set(self.producers)
        number = 0
        while True:
            name = f"v{number}"
            if name not in taken:
                yield name
            number += 1

    def __str__(self) -> str:
        from thew.ir.text import print_graph

        return print_graph(self)


def as_constant(array: Any) -> Array:
    """A read-only array to put into `Graph.constants`; shares memory where it can."""
    constant = np.asarray(array).view()
    constant.flags.writeable = False
    return constant
