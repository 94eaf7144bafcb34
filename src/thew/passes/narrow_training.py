"""Mixed precision: products and what lies between them in 16 bits, statistics, reductions and losses wide.

An op is one of three kinds. Those of `NARROW` take and give the half dtype; those that add up many terms or stretch
small differences, all that is in no table, stay wide; those of `FOLLOWING` are narrow where all data that they read is.
Constants and parameters are wide, and are cast where a narrow op reads them. The gradient of a cast is the cast back.

Convolutions of few channels stay in fp32: their kernels hold pixels or images in vectors, and no memory bounds them.
So do products of few rows: their weights, cast at each step and their gradients cast back, are most of what they touch.
The casts do not insist on rounding: where only wider arithmetic is at hand, none are left (`compute_half_wide`).
"""

from __future__ import annotations

from math import prod

from thew.dtypes import to_numpy
from thew.ir import Graph, Node, TensorType
from thew.ir.graph import as_constant
from thew.ops.activation import ACTIVATIONS
from thew.ops.conv import FEW_PIXELS, FEW_PLANES

NARROW = frozenset({"conv", "conv_transpose", "matmul", "gemm"})
FEW_ROWS = 16
# Their first input is data; scale, bias and statistics stay wide.
DATA_FIRST = frozenset({"batch_norm_training"})
FOLLOWING = frozenset(
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


def narrow_training(graph: Graph, half: str, wide: str) -> Graph:
    """The graph with `half` in place of `wide` where that is safe; inputs, constants and outputs stay wide.

    Args:
        graph: its types are static.
        half: the narrow dtype, fp16 or bf16.
        wide: the dtype of the graph, fp32 or fp64.
    """
    return _Narrowing(graph, half, wide).rewritten()


class _Narrowing:
    """The walk: what each value is by now, and its casts so far."""

    def __init__(self, graph: Graph, half: str, wide: str) -> None:
        self._graph, self._half, self._wide = graph, half, wide
        self._nodes: list[Node] = []
        self._narrow: set[str] = set()  # values that are narrow under their own names
        self._casts: dict[tuple[str, str], str] = {}
        self._constants = dict(graph.constants)
        self._made = set(graph.producers)
        self._types: dict[str, TensorType] = {}

    def rewritten(self) -> Graph:
        """The graph with casts, and types where dtypes changed."""
        for node in self._graph.nodes:
            self._visit(node)
        types = {**self._graph.types, **self._types}
        return self._graph.replace(nodes=tuple(self._nodes), constants=self._constants, types=types)

    def _is_wide_float(self, name: str) -> bool:
        known = self._graph.type_of(name)
        return known is not None and known.dtype == self._wide

    def _is_narrow(self, node: Node) -> bool:
        if node.op in NARROW:
            return self._wide != "fp32" or not (self._has_few_channels(node) or self._has_few_rows(node))
        first = node.inputs[:1] if node.op in DATA_FIRST else node.inputs
        data = [name for name in first if name in self._made and self._is_wide_float(name)]
        return node.op in FOLLOWING | DATA_FIRST and bool(data) and all(name in self._narrow for name in data)

    def _has_few_channels(self, node: Node) -> bool:
        known = self._graph.type_of(node.inputs[1])
        return node.op == "conv" and known is not None and max(known.static_shape[:2]) <= FEW_PLANES

    def _has_few_rows(self, node: Node) -> bool:
        """Rows that each weight is multiplied with: samples, and pixels of each."""
        known = self._graph.type_of(node.outputs[0])
        if known is None or not known.static_shape or node.inputs[1] in self._made:
            return False
        n, *rest = known.static_shape
        if node.op.startswith("conv"):
            return n * prod(rest[1:]) <= FEW_PIXELS
        return n * prod(rest[:-1]) < FEW_ROWS

    def _visit(self, node: Node) -> None:
        narrow = self._is_narrow(node)
        inputs = [
            self._as(name, self._half if narrow and (index == 0 or node.op not in DATA_FIRST) else self._wide)
            for index, name in enumerate(node.inputs)
        ]
        if not narrow:
            self._nodes.append(node.replace(inputs=tuple(inputs)))
            return
        changed = node.outputs[:1] if node.op in DATA_FIRST else node.outputs
        outputs = list(node.outputs)
        for index, name in enumerate(changed):
            if not self._is_wide_float(name):
                continue
            if name in self._graph.outputs:
                outputs[index] = f"{name}.{self._half}"
            self._enter(outputs[index], name, self._half)
        self._nodes.append(node.replace(inputs=tuple(inputs), outputs=tuple(outputs)))
        for name, made in zip(node.outputs, outputs, strict=True):
            if made != name:
                self._nodes.append(Node("cast", (made,), (name,), {"to": self._wide}, name))
                self._casts[name, self._half] = made
            elif name in changed and self._is_wide_float(name):
                self._narrow.add(name)

    def _as(self, name: str, dtype: str) -> str:
        """The value in one of the two dtypes; anything but a wide float stays as it is."""
        if not name or not self._is_wide_float(name) or (name in self._narrow) == (dtype == self._half):
            return name
        if (name, dtype) not in self._casts:
            made = f"{name}.{dtype}"
            self._casts[name, dtype] = made
            if name in self._constants:
                self._constants[made] = as_constant(self._constants[name].astype(to_numpy(dtype)))
                return made
            self._nodes.append(Node("cast", (name,), (made,), {"to": dtype, "rounds": 0}, made))
            self._enter(made, name, dtype)
        return self._casts[name, dtype]

    def _enter(self, name: str, like: str, dtype: str) -> None:
        known = self._graph.type_of(like)
        assert known is not None
        self._types[name] = TensorType(dtype, known.shape)
