"""Mixed precision: products and what lies between them in narrower types, statistics, reductions and losses wide.

An op is one of three kinds. Products and what moves or maps elements may be computed in any type; of a batch norm the
data, while scale, bias and statistics stay wide; all that is in no table, what adds up many terms or stretches small
differences, stays wide. Which of those that may be narrow are, the caller says (`thew.train.narrowing`).

Constants and parameters are wide, and are cast where a narrower op reads them. The gradient of a cast is the cast back.
The casts do not insist on rounding: where only wider arithmetic is at hand, none are left (`compute_half_wide`).
"""

from __future__ import annotations

from collections.abc import Mapping

from thew.dtypes import FLOATS, size_bytes, to_numpy
from thew.ir import Graph, Node, TensorType
from thew.ir.graph import as_constant
from thew.ops.activation import ACTIVATIONS

PRODUCTS = frozenset({"conv", "conv_transpose", "matmul", "gemm"})
# Their first input is data; scale, bias and statistics stay wide.
DATA_FIRST = frozenset({"batch_norm_training"})
_POINTWISE = frozenset(
    {
        *ACTIVATIONS,
        "add",
        "average_pool",
        "concat",
        "depth_to_space",
        "dropout_training",
        "expand",
        "flatten",
        "gather",
        "identity",
        "max",
        "max_pool",
        "min",
        "mul",
        "pad",
        "reshape",
        "slice",
        "space_to_depth",
        "split",
        "squeeze",
        "sub",
        "transpose",
        "unsqueeze",
    }
)


def may_narrow(graph: Graph, node: Node, wide: str) -> bool:
    """Whether a node of a graph whose floats are `wide` may be computed in a narrower type."""
    made = graph.producers
    first = node.inputs[:1] if node.op in DATA_FIRST else node.inputs
    data = [name for name in first if name in made and _dtype(graph, name) == wide]
    return node.op in PRODUCTS or (node.op in _POINTWISE | DATA_FIRST and bool(data))


def _dtype(graph: Graph, name: str) -> str:
    known = graph.type_of(name) if name else None
    return "" if known is None else known.dtype


def narrow_training(graph: Graph, wide: str, dtypes: Mapping[str, str]) -> Graph:
    """The graph with some nodes in narrower types; inputs, constants and outputs stay wide.

    Args:
        graph: its types are static.
        wide: the dtype of its floats, fp32 or fp64.
        dtypes: what nodes that may be narrow are computed in, by their first output; the others are as they were.
    """
    return _Narrowing(graph, wide, dtypes).rewritten()


class _Narrowing:
    """The walk: what each value is by now, and its casts so far."""

    def __init__(self, graph: Graph, wide: str, dtypes: Mapping[str, str]) -> None:
        self._graph, self._wide, self._dtypes = graph, wide, dtypes
        self._nodes: list[Node] = []
        self._held: dict[str, str] = {}  # dtypes of the values that are narrow under their own names
        self._casts: dict[tuple[str, str], str] = {}
        self._constants = dict(graph.constants)
        self._types: dict[str, TensorType] = {}

    def rewritten(self) -> Graph:
        """The graph with casts, and types where dtypes changed."""
        for node in self._graph.nodes:
            self._visit(node)
        types = {**self._graph.types, **self._types}
        return self._graph.replace(nodes=tuple(self._nodes), constants=self._constants, types=types)

    def _is_wide_float(self, name: str) -> bool:
        return _dtype(self._graph, name) == self._wide

    def _visit(self, node: Node) -> None:
        dtype = next((self._dtypes[name] for name in node.outputs[:1] if name in self._dtypes), self._wide)
        inputs = [
            self._as(name, dtype if index == 0 or node.op not in DATA_FIRST else self._wide)
            for index, name in enumerate(node.inputs)
        ]
        if dtype == self._wide:
            self._nodes.append(node.replace(inputs=tuple(inputs)))
            return
        changed = node.outputs[:1] if node.op in DATA_FIRST else node.outputs
        outputs = list(node.outputs)
        for index, name in enumerate(changed):
            if not self._is_wide_float(name):
                continue
            if name in self._graph.outputs:
                outputs[index] = f"{name}.{dtype}"
            self._enter(outputs[index], name, dtype)
        self._nodes.append(node.replace(inputs=tuple(inputs), outputs=tuple(outputs)))
        for name, made in zip(node.outputs, outputs, strict=True):
            if made != name:
                self._nodes.append(Node("cast", (made,), (name,), {"to": self._wide}, name))
                self._casts[name, dtype] = made
            elif name in changed and self._is_wide_float(name):
                self._held[name] = dtype

    def _as(self, name: str, dtype: str) -> str:
        """The value in a dtype; anything but a wide float stays as it is."""
        if not name or not self._is_wide_float(name) or self._held.get(name, self._wide) == dtype:
            return name
        if (name, dtype) not in self._casts:
            self._casts[name, dtype] = self._cast(name, dtype)
        return self._casts[name, dtype]

    def _cast(self, name: str, dtype: str) -> str:
        made = f"{name}.{dtype}"
        if name in self._constants:
            self._constants[made] = as_constant(self._constants[name].astype(to_numpy(dtype)))
            return made
        source = name if name in self._held else narrower_source(self._graph, name)
        if source != name and _dtype(self._graph, source) == dtype:
            return source
        self._nodes.append(Node("cast", (source,), (made,), {"to": dtype, "rounds": 0}, made))
        self._enter(made, name, dtype)
        return made

    def _enter(self, name: str, like: str, dtype: str) -> None:
        known = self._graph.type_of(like)
        assert known is not None
        self._types[name] = TensorType(dtype, known.shape)


def narrower_source(graph: Graph, name: str) -> str:
    """The float that a value was widened from, or the value itself."""
    maker = graph.producers.get(name)
    if maker is None or maker.op != "cast" or _dtype(graph, maker.inputs[0]) not in FLOATS:
        return name
    source, known = maker.inputs[0], _dtype(graph, name)
    return source if size_bytes(_dtype(graph, source)) < size_bytes(known) else name
