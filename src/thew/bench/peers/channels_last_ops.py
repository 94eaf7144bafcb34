"""A network's nodes for array libraries that convolve channels-last images: what plain convolutional networks use.

`Kernels` are what such a library is asked for; images are (n, h, w, c), weights of convolutions (kh, kw, c, oc).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thew.errors import UnsupportedError
from thew.ir import Graph, Node
from thew.ops.opdef import attribute

Pairs = tuple[int, ...]


@dataclass(frozen=True)
class Kernels:
    """Functions of one library."""

    conv: Callable[[Any, Any, Pairs, Sequence[tuple[int, int]]], Any]  # x, w, strides, (before, after) pads
    max_pool: Callable[[Any, Pairs, Pairs], Any]  # x, window, strides
    relu: Callable[[Any], Any]
    mean: Callable[[Any], Any]  # over h and w, kept
    transpose: Callable[[Any, Sequence[int]], Any]
    reshape: Callable[[Any, Sequence[int]], Any]


@dataclass(frozen=True)
class Network:
    """A graph whose nodes all have a counterpart, and its weights as such libraries lay them out."""

    graph: Graph
    weights: Mapping[str, Any]

    def __call__(self, kernels: Kernels, weights: Mapping[str, Any], x: Any) -> Any:
        """The output for channels-last images."""
        values: dict[str, Any] = {**weights, self.graph.inputs[0].name: x}
        for node in self.graph.nodes:
            given = [values[name] for name in node.inputs if name in values]
            values[node.outputs[0]] = _OPS[node.op](kernels, node, *given)
        return values[self.graph.outputs[0]]


def read_network(path: str, library: str) -> Network:
    """Reads an ONNX file. Raises UnsupportedError for an op that the table lacks."""
    from thew.onnx import read
    from thew.passes.fold_constants import fold_constants

    graph = fold_constants(read(path))
    for node in graph.nodes:
        if node.op not in _OPS:
            raise UnsupportedError(f"{library}: {node}: has no counterpart in this table; leave the peer out")
    images = {node.inputs[1] for node in graph.nodes if node.op == "conv"}
    weights = {n: a.transpose(2, 3, 1, 0) if n in images else a for n, a in graph.constants.items()}
    return Network(graph, {name: np.array(array, order="C") for name, array in weights.items()})


def _conv(kernels: Kernels, node: Node, x: Any, w: Any, b: Any = None) -> Any:
    pads = tuple(attribute(node, "pads")) or (0,) * 4
    if attribute(node, "group") != 1 or set(attribute(node, "dilations")) - {1}:
        raise UnsupportedError(f"{node}: must have one group and no dilation here; leave the peer out")
    y = kernels.conv(x, w, tuple(attribute(node, "strides")) or (1, 1), [(pads[0], pads[2]), (pads[1], pads[3])])
    return y if b is None else y + b


def _max_pool(kernels: Kernels, node: Node, x: Any) -> Any:
    if any(attribute(node, "pads")):
        raise UnsupportedError(f"{node}: must have no pads here; leave the peer out")
    return kernels.max_pool(x, tuple(attribute(node, "kernel_shape")), tuple(attribute(node, "strides")))


def _flatten(kernels: Kernels, node: Node, x: Any, *shape: Any) -> Any:
    return kernels.reshape(kernels.transpose(x, (0, 3, 1, 2)), (x.shape[0], -1))


def _gemm(kernels: Kernels, node: Node, x: Any, w: Any, b: Any = None) -> Any:
    y = x @ (kernels.transpose(w, (1, 0)) if attribute(node, "transB") else w)
    return y if b is None else y + b


_OPS: Mapping[str, Callable[..., Any]] = {
    "conv": _conv,
    "flatten": _flatten,
    "gemm": _gemm,
    "global_average_pool": lambda kernels, node, x: kernels.mean(x),
    "max_pool": _max_pool,
    "relu": lambda kernels, node, x: kernels.relu(x),
}
