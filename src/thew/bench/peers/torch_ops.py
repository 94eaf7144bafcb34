"""A graph as a `torch.nn.Module`: one entry of a table for each op that convolutional networks use.

Parameters become torch parameters in the wanted memory format; constants that are arguments (shapes, axes, limits)
stay numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from thew import ops
from thew.errors import UnsupportedError
from thew.ir import Graph, Node

Values = Sequence[Any]  # tensors, or NumPy arrays for the inputs that OF_NUMBERS names


def _conv(a: Callable[[str], Any], x: Any, w: Any, b: Any = None) -> Any:
    rank = w.ndim - 2
    pads = tuple(a("pads") or (0,) * (2 * rank))
    before, after = pads[:rank], pads[rank:]
    if before != after:
        x, before = (
            F.pad(x, [side for pair in reversed(list(zip(before, after, strict=True))) for side in pair]),
            (0,) * rank,
        )
    function = F.conv1d if rank == 1 else F.conv2d
    strides, dilations = tuple(a("strides") or (1,) * rank), tuple(a("dilations") or (1,) * rank)
    return function(x, w, b, strides, before, dilations, a("group"))


def _pool_sides(a: Callable[[str], Any], x: Any, fill: float) -> tuple[Any, tuple[int, ...]]:
    rank = len(a("kernel_shape"))
    pads = tuple(a("pads") or (0,) * (2 * rank))
    before, after = pads[:rank], pads[rank:]
    if before == after:
        return x, before
    sides = [side for pair in reversed(list(zip(before, after, strict=True))) for side in pair]
    return F.pad(x, sides, value=fill), (0,) * rank


def _max_pool(a: Callable[[str], Any], x: Any) -> Any:
    x, padding = _pool_sides(a, x, float("-inf"))
    kernel = tuple(a("kernel_shape"))
    strides, dilations = tuple(a("strides") or (1,) * len(kernel)), tuple(a("dilations") or (1,) * len(kernel))
    function = F.max_pool1d if len(kernel) == 1 else F.max_pool2d
    return function(x, kernel, strides, padding, dilations, bool(a("ceil_mode")))


def _average_pool(a: Callable[[str], Any], x: Any) -> Any:
    kernel = tuple(a("kernel_shape"))
    pads = tuple(a("pads") or (0,) * (2 * len(kernel)))
    if pads[: len(kernel)] != pads[len(kernel) :]:
        raise UnsupportedError(f"torch: average_pool needs the same padding on both sides, got {pads}")
    strides = tuple(a("strides") or (1,) * len(kernel))
    return F.avg_pool2d(x, kernel, strides, pads[: len(kernel)], bool(a("ceil_mode")), bool(a("count_include_pad")))


def _gemm(a: Callable[[str], Any], x: Any, w: Any, b: Any = None) -> Any:
    x = x.t() if a("transA") else x
    w = w if a("transB") else w.t()
    if a("alpha") == 1 and a("beta") == 1:
        return F.linear(x, w, b)
    return a("alpha") * F.linear(x, w) + (0 if b is None else a("beta") * b)


def _batch_norm(a: Callable[[str], Any], x: Any, scale: Any, bias: Any, mean: Any, var: Any) -> Any:
    return F.batch_norm(x, mean, var, scale, bias, False, 0.0, a("epsilon"))


def _clip(a: Callable[[str], Any], x: Any, low: Any = None, high: Any = None) -> Any:
    return torch.clamp(x, None if low is None else float(low), None if high is None else float(high))


def _reduce_mean(a: Callable[[str], Any], x: Any, axes: Any = None) -> Any:
    dims = tuple(range(x.ndim)) if axes is None else tuple(int(axis) for axis in axes)
    return x.mean(dims, keepdim=bool(a("keepdims")))


def _pad(a: Callable[[str], Any], x: Any, pads: Any, value: Any = None, axes: Any = None) -> Any:
    if a("mode") != "constant" or axes is not None:
        raise UnsupportedError(f"torch: pad must be constant over all axes, got mode {a('mode')}")
    half = len(pads) // 2
    sides = [int(side) for axis in reversed(range(half)) for side in (pads[axis], pads[half + axis])]
    return F.pad(x, sides, value=0.0 if value is None else float(value))


def _reshape(a: Callable[[str], Any], x: Any, shape: Any) -> Any:
    return x.reshape([x.shape[axis] if extent == 0 else int(extent) for axis, extent in enumerate(shape)])


def _slice(a: Callable[[str], Any], x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    index = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        index[int(axis)] = slice(int(start), int(end), int(step))
    return x[tuple(index)]


_Op = Callable[..., Any]
OPS: Mapping[str, _Op] = {
    "conv": _conv,
    "gemm": _gemm,
    "matmul": lambda a, x, y: torch.matmul(x, y),
    "batch_normalization": _batch_norm,
    "max_pool": _max_pool,
    "average_pool": _average_pool,
    "global_average_pool": lambda a, x: F.adaptive_avg_pool2d(x, 1),
    "relu": lambda a, x: F.relu(x),
    "leaky_relu": lambda a, x: F.leaky_relu(x, a("alpha")),
    "clip": _clip,
    "sigmoid": lambda a, x: torch.sigmoid(x),
    "tanh": lambda a, x: torch.tanh(x),
    "hard_swish": lambda a, x: F.hardswish(x),
    "hard_sigmoid": lambda a, x: torch.clamp(x * a("alpha") + a("beta"), 0, 1),
    "softmax": lambda a, x: torch.softmax(x, a("axis")),
    "add": lambda a, x, y: x + y,
    "sub": lambda a, x, y: x - y,
    "mul": lambda a, x, y: x * y,
    "div": lambda a, x, y: x / y,
    "concat": lambda a, *xs: torch.cat(xs, a("axis")),
    "flatten": lambda a, x: torch.flatten(x, a("axis")),
    "identity": lambda a, x: x,
    "dropout": lambda a, x, *rest: x,
    "lrn": lambda a, x: F.local_response_norm(x, a("size"), a("alpha"), a("beta"), a("bias")),
    "pad": _pad,
    "reduce_mean": _reduce_mean,
    "reshape": _reshape,
    "slice": _slice,
    "transpose": lambda a, x: x.permute(tuple(a("perm") or reversed(range(x.ndim)))),
}
OF_NUMBERS = {
    "clip": (1, 2),
    "pad": (1, 2, 3),
    "reduce_mean": (1,),
    "reshape": (1,),
    "slice": (1, 2, 3, 4),
    "dropout": (1, 2),
}


class GraphModule(torch.nn.Module):
    """The graph's nodes in order; values are dropped after their last use, as Python would."""

    def __init__(self, graph: Graph, memory_format: Any) -> None:
        super().__init__()
        self._input_names = [value.name for value in graph.inputs]
        self._output_names = list(graph.outputs)
        numbers = {node.input(i) for node in graph.nodes for i in OF_NUMBERS.get(node.op, ())}
        self._numbers = {name: array for name, array in graph.constants.items() if name in numbers}
        self._keys: dict[str, str] = {}
        for name, array in graph.constants.items():
            if name not in numbers:
                tensor = torch.from_numpy(array.copy())
                tensor = tensor.contiguous(memory_format=memory_format) if tensor.ndim == 4 else tensor
                self._keys[name] = f"constant{len(self._keys)}"
                self.register_buffer(self._keys[name], tensor)
        last = {name: index for index, node in enumerate(graph.nodes) for name in node.inputs}
        kept = set(graph.outputs)
        self._steps = [
            (
                node,
                _attributes(node),
                OPS[node.op],
                [n for n in dict.fromkeys(node.inputs) if last[n] == i and n not in kept],
            )
            for i, node in enumerate(graph.nodes)
        ]

    def forward(self, *inputs: Any) -> list[Any]:
        """All outputs."""
        values: dict[str, Any] = dict(zip(self._input_names, inputs, strict=True))
        values.update(self._numbers)
        values.update({name: getattr(self, key) for name, key in self._keys.items()})
        for node, attributes, function, dead in self._steps:
            arguments = [values[name] if name else None for name in node.inputs]
            values[node.outputs[0]] = function(attributes, *arguments)
            for name in dead:
                values.pop(name, None)
        return [values[name] for name in self._output_names]


def _attributes(node: Node) -> Callable[[str], Any]:
    given = {**ops.get(node.op).attributes, **node.attributes}  # a plain mapping, which the compiler can follow
    return given.__getitem__


def as_module(path: str, memory_format: Any) -> GraphModule:
    """A module for an ONNX file. Raises UnsupportedError for an op that the table lacks."""
    from thew.onnx import read
    from thew.passes.fold_constants import fold_constants

    graph = fold_constants(read(path))
    for node in graph.nodes:
        if node.op not in OPS:
            raise UnsupportedError(f"torch: {node}: has no counterpart in this table; leave the peer out")
    return GraphModule(graph, memory_format)
