"""Inference in 16 bits: the fp32 parts of a model that stand it are computed on fp16 or bf16 tensors.

Weights become constants of the reduced type; activations are cast once, where they come from ops that stay in fp32 or
from the caller, and back where such ops or the caller read them. Inputs and outputs of the graph keep their dtypes.
Kernels sum in fp32 and round once an op, so that what is lost is the rounding of tensors to 11 (fp16) or 8 (bf16) bits.

Three things stay in fp32, since their rounding shows in the results and costs next to nothing to avoid (figures are in
decision 26): what comes before the second product (inputs are exact, and no sum averages their errors out) and after
the last but one (logits that round to equal numbers); biases; and weights of depthwise convolutions, whose sums are
short. In fp16 a last product whose elements are averaged many at a time is reduced (decision 50): its rounding averages
out, and what the average gives is fp32.

fp16 holds magnitudes up to 65504; beyond, a tensor's elements become infinite, as they do in fp16 everywhere. A network
whose activations go there wants bf16, which has fp32's range.

Training has a pass of its own, `autocast`: there parameters and statistics stay wide. The choice of ops is that of
Micikevicius et al., "Mixed Precision Training" (2018), carried over to inference: products and what lies between them
reduced; exponentials, powers and sums over many elements as results of their own not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

import numpy as np

from thew.dtypes import HALVES, to_numpy
from thew.errors import UnsupportedError
from thew.ir import Graph, Node
from thew.ir.graph import Array
from thew.ops import attribute
from thew.passes.editor import Editor

# Ops on reduced tensors, with the inputs that are reduced; None for all that are fp32.
_COMPUTE: dict[str, tuple[int, ...] | None] = dict.fromkeys(
    (
        "conv", "matmul", "max_pool", "average_pool", "global_max_pool", "global_average_pool",
        "add", "sub", "mul", "div", "min", "max", "prelu", "abs", "neg", "clip",
        "relu", "leaky_relu", "elu", "selu", "celu", "sigmoid", "hard_sigmoid", "hard_swish", "silu", "swish", "tanh",
        "softplus", "softsign", "gelu", "erf", "mish", "thresholded_relu",
        "softmax", "log_softmax", "batch_normalization", "instance_normalization", "group_normalization",
        "layer_normalization", "lrn", "reduce_mean", "reduce_max", "reduce_min",
    )
)  # fmt: skip
# Ops that move elements: reduced where what they move is reduced already.
_MOVE: dict[str, tuple[int, ...] | None] = {
    **dict.fromkeys(("concat", "identity"), None),
    "where": (1, 2),
    "pad": (0, 2),
    **dict.fromkeys(
        ("reshape", "flatten", "squeeze", "unsqueeze", "transpose", "slice", "split", "expand", "tile", "gather",
         "dropout", "depth_to_space", "space_to_depth", "resize"),
        (0,),
    ),
}  # fmt: skip


_PRODUCTS = {"conv": 0, "matmul": -1}  # axis of the filters in their weights, input 1
_ALL_PRODUCTS = (*_PRODUCTS, "scaled_matmul", "qlinear_conv", "qlinear_matmul")
_AVERAGES, _MANY = ("global_average_pool", "reduce_mean"), 16  # and how many elements make an average


def ends_of(graph: Graph, precision: str) -> frozenset[str]:
    """First outputs of the nodes without a product before them or none after them, themselves aside, that stay in fp32;
    none where no product lies between.
    """
    forward = _without_product(graph, graph.nodes, lambda node: node.inputs, lambda node: node.outputs)
    backward = _without_product(graph, graph.nodes[::-1], lambda node: node.outputs, lambda node: node.inputs)
    if precision == "fp16":  # bf16 has three bits less, and errors of weights are the same in all of an average
        averaged = _averaged(graph)
        backward = [name for name in backward if name not in averaged]
    ends = frozenset((*forward, *backward))
    between = any(node.op in _ALL_PRODUCTS and node.outputs[0] not in ends for node in graph.nodes)
    return ends if between else frozenset()


def _averaged(graph: Graph) -> frozenset[str]:
    """First outputs of the nodes of which all that is read goes into averages of many elements."""
    found: set[str] = set()
    for node in reversed(graph.nodes):
        name = node.outputs[0]
        readers = graph.consumers.get(name, ())
        if readers and name not in graph.outputs and all(r.outputs[0] in found or _averages(graph, r) for r in readers):
            found.add(name)
    return frozenset(found)


def _averages(graph: Graph, node: Node) -> bool:
    if node.op not in _AVERAGES:
        return False
    before, after = (graph.type_of(name) for name in (node.inputs[0], node.outputs[0]))
    if before is None or after is None or not (before.is_static and after.is_static):
        return False
    return math.prod(before.static_shape) >= _MANY * math.prod(after.static_shape)


def _without_product(
    graph: Graph, nodes: Sequence[Node], read: Callable[[Node], Sequence[str]], made: Callable[[Node], Sequence[str]]
) -> list[str]:
    """First outputs of the nodes that no product comes before, in the order in which they are given."""
    behind: set[str] = set()  # values that a product comes before
    found = []
    for node in nodes:
        passed = any(name in behind for name in read(node) if name)
        if not passed:
            found.append(node.outputs[0])
        if passed or node.op in _ALL_PRODUCTS:
            behind.update(name for name in made(node) if name and name not in graph.constants)
    return found


def reduce_precision(graph: Graph, precision: str, kept: Collection[str] = ()) -> Graph:
    """The graph with fp32 tensors in a reduced precision where that is safe.

    Args:
        graph: specialised: its types are read.
        precision: "fp16" or "bf16".
        kept: nodes that stay in fp32, by their first output.

    Raises:
        UnsupportedError: the precision is neither.
    """
    return _reduced(graph, precision, kept).editor.graph()


def reduced_nodes(graph: Graph, precision: str) -> frozenset[str]:
    """First outputs of the nodes that `reduce_precision` reduces where nothing is kept."""
    return frozenset(_reduced(graph, precision, ()).done)


def _reduced(graph: Graph, precision: str, kept: Collection[str]) -> _Reducer:
    if precision not in HALVES:
        raise UnsupportedError(f"reduce_precision: precision must be one of {', '.join(HALVES)}, got {precision!r}")
    cast = _Reducer(graph, precision, ends_of(graph, precision) | frozenset(kept))
    for node in cast.editor.walk():
        cast.visit(node)
    return cast


class _Reducer:
    """The walk: which values are reduced by now, and the casts between.

    A node keeps its name and the names of its outputs, whose types change; a graph output keeps its type.
    """

    def __init__(self, graph: Graph, precision: str, kept: frozenset[str]) -> None:
        self.editor = Editor(graph)
        self.precision = precision
        self.kept = kept
        self.reduced: dict[str, str] = {}  # fp32 value of the graph → its reduced form, which may have its name
        self.done: list[str] = []  # first outputs, as they were, of the nodes that run reduced
        self.wide: dict[str, str] = {}  # the same, for values whose name is of the reduced form now → fp32

    def visit(self, node: Node) -> None:
        """Rewrites one node to run reduced, or to read fp32."""
        if self._runs_reduced(node):
            self.done.append(next(name for name in node.outputs if name))
            self._reduce(node)
        else:
            self._widen_inputs(node)

    def _is_reduced(self, name: str) -> bool:
        return self.reduced.get(name) == name

    def _is_fp32(self, name: str) -> bool:
        known = self.editor.type_of(name) if name else None
        return known is not None and known.dtype == "fp32" and known.is_static

    def _inputs(self, node: Node) -> list[int]:
        """Positions of the inputs that are reduced, or are to be."""
        positions = _COMPUTE[node.op] if node.op in _COMPUTE else _MOVE[node.op]
        chosen = range(len(node.inputs)) if positions is None else positions
        return [
            i
            for i in chosen
            if i < len(node.inputs)
            and (self._is_reduced(node.inputs[i]) or self._is_fp32(node.inputs[i]))
            and not self._stays_wide(node, i)
        ]

    def _stays_wide(self, node: Node, index: int) -> bool:
        """Whether an input is a constant that kernels read as fp32: a bias, or depthwise weights."""
        array = self.editor.constant(node.inputs[index])
        if array is None or node.op not in _PRODUCTS:
            return False
        if node.op == "conv" and index == 1:
            return bool(array.shape[1] == 1 and attribute(node, "group") > 1)
        return index == 2 and array.size == (array.shape[-1] if array.ndim else 1)

    def _runs_reduced(self, node: Node) -> bool:
        if node.op not in _COMPUTE and node.op not in _MOVE:
            return False
        inputs = self._inputs(node)
        outputs = [name for name in node.outputs if name]
        if not inputs or not all(map(self._is_fp32, outputs)) or outputs[0] in self.kept:
            return False
        if any(self._is_dequantised(node.inputs[i]) for i in inputs):  # integers in fp32 are exact, in 16 bits not
            return False
        if node.op in _MOVE:
            return any(self._is_reduced(node.inputs[i]) for i in inputs)
        return len(outputs) == 1  # others are statistics, which have a type of their own

    def _is_dequantised(self, name: str) -> bool:
        producer = self.editor.producer(name)
        return producer is not None and producer.op == "dequantize_linear"

    def _reduce(self, node: Node) -> None:
        casts: list[Node] = []
        inputs = list(node.inputs)
        for i in self._inputs(node):
            inputs[i] = self._in_reduced(inputs[i], casts, _PRODUCTS.get(node.op) if i == 1 else None)
        outputs, backs = [], []
        for name in node.outputs:
            reduced = name
            if name in self.editor.pinned:
                reduced = self.editor.fresh(f"{name}:{self.precision}")
                backs.append(Node("cast", (reduced,), (name,), {"to": "fp32"}, f"{name}:fp32"))
            elif name:
                self.editor.forget_type(name)
            self.reduced[name] = reduced
            outputs.append(reduced)
        self.editor.put(node, *casts, node.replace(inputs=tuple(inputs), outputs=tuple(outputs)), *backs)

    def _in_reduced(self, name: str, casts: list[Node], filters: int | None) -> str:
        """The reduced form of a value: made before, a constant, or by a cast that is added to `casts`; `filters` is the
        axis of the filters, where it is weights.
        """
        if name not in self.reduced:
            array = self.editor.constant(name)
            if array is None:
                self.reduced[name] = reduced = self.editor.fresh(f"{name}:{self.precision}")
                casts.append(Node("cast", (name,), (reduced,), {"to": self.precision}, reduced))
            else:
                narrow = _narrowed(array, self.precision, filters)
                self.reduced[name] = self.editor.add_constant(narrow, f"{name}:{self.precision}")
        return self.reduced[name]

    def _widen_inputs(self, node: Node) -> None:
        """Casts before a node that stays in fp32, one for each value and for all that read it later."""
        if not any(map(self._is_reduced, node.inputs)):
            return
        casts: list[Node] = []
        inputs = [self._in_fp32(name, casts) if self._is_reduced(name) else name for name in node.inputs]
        self.editor.put(node, *casts, node.replace(inputs=tuple(inputs)))

    def _in_fp32(self, name: str, casts: list[Node]) -> str:
        if name not in self.wide:
            self.wide[name] = wide = self.editor.fresh(f"{name}:fp32")
            casts.append(Node("cast", (name,), (wide,), {"to": "fp32"}, wide))
        return self.wide[name]


def _narrowed(array: Array, precision: str, filters: int | None) -> Array:
    """A constant in the reduced type: rounded to nearest, weights so that the errors of a filter add up to less than
    one of them. What is rounded off a weight is added to the next, since inputs behind a ReLU have a mean, which
    errors that go one way would shift: on ResNets outputs move by 10 to 25 % less from those in fp32.
    """
    dtype = to_numpy(precision)
    with np.errstate(over="ignore", invalid="ignore"):
        if filters is None or array.ndim < 2:
            return array.astype(dtype)
        by_filter = np.moveaxis(array, filters, -1)
        rows = by_filter.reshape(-1, by_filter.shape[-1])
        narrow = np.empty(rows.shape, dtype)
        carried = np.zeros(rows.shape[1], np.float32)
        for row, to in zip(rows, narrow, strict=True):
            wanted = row + carried
            to[:] = wanted.astype(dtype)
            carried = wanted - to.astype(np.float32)
            carried[~np.isfinite(carried)] = 0  # of what overflows
    return np.ascontiguousarray(np.moveaxis(narrow.reshape(by_filter.shape), -1, filters))
