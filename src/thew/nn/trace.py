"""Turns a run of `forward` on symbolic tensors into a graph.

A trace knows the arrays of the module that it traces by identity, so that a parameter becomes a constant under its own
name (``layer1.0.conv1.weight``), however it reaches the op; every other array becomes an anonymous constant. Shapes are
found by asking each op's `infer` twice, with two different extents in place of every symbol: an extent that differs
between the two is symbolic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from thew import dtypes, ops
from thew.errors import ShapeError
from thew.ir import Attribute, Dim, Graph, GraphBuilder, Node, TensorType
from thew.ir.graph import Array

if TYPE_CHECKING:
    from thew.nn.tensor import Tensor

_PROBES = (224, 416)  # large enough for any net's pooling; symbol i gets probe + 32 * i
Probed = tuple[TensorType | None, TensorType | None]


class Trace:
    """One graph in the making, shared by the symbolic tensors that belong to it."""

    def __init__(self, name: str, arrays: Mapping[str, Array], paths: Mapping[int, str], dtype: str) -> None:
        self.dtype = dtype
        self._builder = GraphBuilder(name)
        self._names = {id(array): known for known, array in arrays.items()}
        self._alive: list[Array] = list(arrays.values())  # an id is only a name while its array lives
        self._paths = paths
        self._stack: list[tuple[str, bool]] = []
        self._entered: dict[int, str] = {}
        self._values: dict[str, Array] = {}
        self._probed: dict[str, Probed] = {}
        self._symbols: dict[tuple[int, int], str] = {}

    def input(self, name: str, shape: Sequence[Dim], dtype: str = "") -> Tensor:
        """Adds a graph input, of the trace's dtype where none is given, and gives the symbolic tensor for it."""
        dtype = dtype or self.dtype
        for extent in shape:
            if isinstance(extent, str) and extent not in self._symbols.values():
                step = 32 * len(self._symbols)
                self._symbols[_PROBES[0] + step, _PROBES[1] + step] = extent
        name = self._builder.input(name, dtype, shape)
        pairs = {symbol: pair for pair, symbol in self._symbols.items()}
        probed = [tuple(pairs[d][probe] if isinstance(d, str) else int(d) for d in shape) for probe in (0, 1)]
        self._probed[name] = (TensorType(dtype, probed[0]), TensorType(dtype, probed[1]))
        return self._tensor(name)

    @contextmanager
    def inside(self, module: object, is_leaf: bool) -> Iterator[None]:
        """Nodes made within are named after the module."""
        self._stack.append((self._paths.get(id(module), type(module).__name__.lower()), is_leaf))
        try:
            yield
        finally:
            self._stack.pop()

    def node(self, op: str, inputs: Sequence[Any], outputs: int = 1, **attributes: Attribute) -> tuple[Tensor, ...]:
        """Adds a node; inputs are tensors, arrays, numbers or None, and numbers take the dtype of the first tensor."""
        from thew.nn.tensor import Tensor

        dtype = next((value.dtype for value in inputs if isinstance(value, Tensor)), self.dtype)
        names = [self._operand(value, dtype) for value in inputs]
        while names and not names[-1]:
            names.pop()
        path, is_leaf = self._stack[-1] if self._stack else ("", False)
        stem = path if is_leaf and path else ".".join(filter(None, (path, op)))
        results = tuple(self._builder.unique(stem) for _ in range(outputs))
        node = Node(op, tuple(names), results, attributes, results[0])
        self._infer(node)
        self._builder.append(node, [self._display(name) for name in results])
        return tuple(self._tensor(name) for name in results)

    def constant(self, array: Array) -> Tensor:
        """A constant of the array's own dtype, whatever that of the trace."""
        return self._tensor(self._constant(array, "constant"))

    def constant_of(self, array: Array) -> str | None:
        """The constant that an array of the module has become; None where it has not been read."""
        return self._entered.get(id(array))

    def finish(self, outputs: Sequence[Tensor]) -> Graph:
        """The graph; a sole output is called ``output``."""
        from thew.ir import verify

        graph = self._builder.graph([tensor.name for tensor in outputs])
        final = graph.outputs[0]
        is_taken = "output" in graph.producers or graph.type_of("output") is not None
        if len(outputs) != 1 or final not in graph.producers or is_taken:
            return graph

        def renamed(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple("output" if name == final else name for name in names)

        nodes = tuple(node.replace(inputs=renamed(node.inputs), outputs=renamed(node.outputs)) for node in graph.nodes)
        types = {"output" if name == final else name: known for name, known in graph.types.items()}
        graph = graph.replace(nodes=nodes, outputs=("output",), types=types)
        verify(graph)
        return graph

    def _operand(self, value: Any, dtype: str) -> str:
        from thew.nn.tensor import Tensor

        if value is None:
            return ""
        if isinstance(value, Tensor):
            if value.trace is not self:
                raise ShapeError(f"tensor '{value.name}': must belong to the graph being built, got another's")
            return value.name
        if isinstance(value, np.ndarray):
            return self._array(value)
        return self._constant(np.asarray(value, dtypes.to_numpy(dtype)), "constant")

    def _array(self, array: Array) -> str:
        if id(array) in self._entered:
            return self._entered[id(array)]
        self._alive.append(array)
        is_float = dtypes.from_numpy(array.dtype) in dtypes.FLOATS
        stored = array.astype(dtypes.to_numpy(self.dtype), copy=False) if is_float else array
        name = self._constant(stored, self._names.get(id(array), "constant"))
        self._entered[id(array)] = name
        return name

    def _constant(self, array: Array, stem: str) -> str:
        name = self._builder.constant(array, stem)
        known = TensorType(dtypes.from_numpy(array.dtype), tuple(array.shape))
        self._values[name], self._probed[name] = array, (known, known)
        return name

    def _infer(self, node: Node) -> None:
        definition = ops.get(node.op)
        values = tuple(self._values.get(name) for name in node.inputs)
        found: list[Sequence[TensorType | None]] = []
        for probe in (0, 1):
            types = tuple(self._probed[name][probe] if name else None for name in node.inputs)
            if any(known is not None and not known.is_static for known in types):
                first = types[0]
                found.append([None if first is None else TensorType(first.dtype, None)] * len(node.outputs))
            else:
                found.append(definition.infer(ops.Call(node, types, values)))
        for name, first, second in zip(node.outputs, *found, strict=False):
            self._probed[name] = (first, second)

    def _display(self, name: str) -> TensorType | None:
        first, second = self._probed[name]
        if first is None or second is None or first.shape is None or second.shape is None:
            return first
        pairs = zip(first.static_shape, second.static_shape, strict=True)
        return TensorType(first.dtype, tuple(self._extent(a, b) for a, b in pairs))

    def _extent(self, first: int, second: int) -> Dim:
        return first if first == second else self._symbols.setdefault((first, second), f"d{len(self._symbols)}")

    def _tensor(self, name: str) -> Tensor:
        from thew.nn.tensor import Tensor

        return Tensor(self, name, self._display(name))
