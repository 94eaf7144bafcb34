"""A graph in ncnn's format: a text of layers with numbered parameters, and a file of weights in their order.

A value that several layers read must be split explicitly; a ReLU or clip that alone reads a convolution is fused
into it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from thew import ops
from thew.errors import UnsupportedError
from thew.ir import Graph, Node
from thew.ir.graph import Array

Layer = tuple[str, dict[int, Any], list[Array]]  # type, parameters, weights (a tag before the first where it has one)
_RELU, _CLIP = 1, 3
_TAGGED = ("Convolution", "ConvolutionDepthWise", "InnerProduct")  # their first weights carry a storage tag


def write(graph: Graph, parameters: Path, weights: Path) -> None:
    """Writes both files. Raises UnsupportedError for an op that has no layer here."""
    fused = _fused(graph)
    nodes = [node for node in graph.nodes if node.outputs[0] not in fused.values()]
    readers = _readers(graph, nodes)
    lines: list[str] = []
    data: list[bytes] = []
    for value in graph.inputs:
        lines += [f"Input {value.name}_layer 0 1 {value.name}", *_split(value.name, readers)]
    taken: dict[str, Iterator[str]] = {name: iter(_copies(name, count)) for name, count in readers.items()}
    for node in nodes:
        kind, numbers, arrays = _layer(graph, node, fused.get(node.outputs[0]))
        inputs = [next(taken[name]) for name in node.inputs if name and name not in graph.constants]
        output = fused.get(node.outputs[0], node.outputs[0])
        given = " ".join(f"{key}={_text(value)}" for key, value in numbers.items())
        lines.append(f"{kind} {output}_layer {len(inputs)} 1 {' '.join(inputs)} {output} {given}".rstrip())
        lines += _split(output, readers)
        for position, array in enumerate(arrays):
            data.append((b"\0\0\0\0" if position == 0 and kind in _TAGGED else b"") + array.astype("<f4").tobytes())
    blobs = sum(int(line.split()[3]) for line in lines)
    parameters.write_text("\n".join(["7767517", f"{len(lines)} {blobs}", *lines]) + "\n")
    weights.write_bytes(b"".join(data))


def _fused(graph: Graph) -> dict[str, str]:
    """Output of a convolution or dense layer → output of the activation that alone reads it."""
    found = {}
    for node in graph.nodes:
        readers = graph.consumers.get(node.outputs[0], ())
        is_alone = len(readers) == 1 and node.outputs[0] not in graph.outputs
        if node.op in ("conv", "gemm") and is_alone and readers[0].op in ("relu", "clip"):
            found[node.outputs[0]] = readers[0].outputs[0]
    return found


def _readers(graph: Graph, nodes: list[Node]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in [name for node in nodes for name in node.inputs if name and name not in graph.constants]:
        counts[name] = counts.get(name, 0) + 1
    return counts


def _copies(name: str, count: int) -> list[str]:
    return [name] if count <= 1 else [f"{name}_split{index}" for index in range(count)]


def _split(name: str, readers: dict[str, int]) -> list[str]:
    copies = _copies(name, readers.get(name, 0))
    return [f"Split {name}_splitter 1 {len(copies)} {name} {' '.join(copies)}"] if len(copies) > 1 else []


def _text(value: Any) -> str:
    return f"{value:e}" if isinstance(value, float) else str(value)


def _layer(graph: Graph, node: Node, activation: str | None) -> Layer:
    if node.op not in LAYERS:
        raise UnsupportedError(f"ncnn: {node}: has no counterpart in this table; leave the peer out")
    kind, numbers, arrays = LAYERS[node.op](graph, node)
    if activation is not None:
        reader = graph.producers[activation]
        numbers[9] = _RELU if reader.op == "relu" else _CLIP
        if reader.op == "clip":
            low, high = _bounds(graph, reader)
            numbers[-23310] = f"2,{low:e},{high:e}"
    return kind, numbers, arrays


def _attribute(node: Node, name: str) -> Any:
    return ops.attribute(node, name)


def _constant(graph: Graph, node: Node, position: int) -> Array | None:
    name = node.input(position)
    return graph.constants[name] if name else None


def _bounds(graph: Graph, node: Node) -> tuple[float, float]:
    low, high = _constant(graph, node, 1), _constant(graph, node, 2)
    return (-3e38 if low is None else float(low.reshape(-1)[0])), (3e38 if high is None else float(high.reshape(-1)[0]))


def _window(node: Node, kernel: tuple[int, ...], keys: tuple[int, ...]) -> dict[int, Any]:
    """Width before height: kernel, strides, and pads (left, top, right, bottom) under ncnn's numbers."""
    strides = tuple(_attribute(node, "strides") or (1, 1))
    top, left, bottom, right = tuple(_attribute(node, "pads") or (0, 0, 0, 0))
    values = (kernel[1], kernel[0], strides[1], strides[0], left, top, right, bottom)
    return dict(zip(keys, values, strict=True))


def _conv(graph: Graph, node: Node) -> Layer:
    weight, bias = _constant(graph, node, 1), _constant(graph, node, 2)
    if weight is None or weight.ndim != 4:
        raise UnsupportedError(f"ncnn: {node}: only 2-d convolutions with constant weights are written")
    dilations, group = tuple(_attribute(node, "dilations") or (1, 1)), int(_attribute(node, "group"))
    numbers: dict[int, Any] = {0: weight.shape[0], 2: dilations[1], 12: dilations[0], 5: int(bias is not None)}
    numbers |= {6: weight.size, **_window(node, weight.shape[2:], (1, 11, 3, 13, 4, 14, 15, 16))}
    kind = "Convolution" if group == 1 else "ConvolutionDepthWise"
    return kind, numbers | ({7: group} if group != 1 else {}), [weight, *([bias] if bias is not None else [])]


def _gemm(graph: Graph, node: Node) -> Layer:
    weight, bias = _constant(graph, node, 1), _constant(graph, node, 2)
    if weight is None or _attribute(node, "transA") or _attribute(node, "alpha") != 1 or _attribute(node, "beta") != 1:
        raise UnsupportedError(f"ncnn: {node}: only dense layers with constant weights are written")
    weight = weight if _attribute(node, "transB") else weight.T
    bias = np.zeros(weight.shape[0], np.float32) if bias is None else np.broadcast_to(bias, (weight.shape[0],))
    return "InnerProduct", {0: weight.shape[0], 1: 1, 2: weight.size}, [np.ascontiguousarray(weight), bias]


def _pool(kind: int) -> Callable[[Graph, Node], Layer]:
    def layer(graph: Graph, node: Node) -> Layer:
        numbers = {0: kind, **_window(node, tuple(_attribute(node, "kernel_shape")), (1, 11, 2, 12, 3, 13, 14, 15))}
        numbers[5] = 0 if _attribute(node, "ceil_mode") else 1
        if kind == 1:
            numbers[6] = int(_attribute(node, "count_include_pad"))
        return "Pooling", numbers, []

    return layer


def _plain(kind: str, numbers: dict[int, Any]) -> Callable[[Graph, Node], Layer]:
    return lambda graph, node: (kind, dict(numbers), [])


def _batch_norm(graph: Graph, node: Node) -> Layer:
    scale, bias, mean, var = (graph.constants[name] for name in node.inputs[1:5])
    return "BatchNorm", {0: scale.size, 1: float(_attribute(node, "epsilon"))}, [scale, mean, var, bias]


def _concat(graph: Graph, node: Node) -> Layer:
    return "Concat", {0: _attribute(node, "axis") - 1}, []


def _softmax(graph: Graph, node: Node) -> Layer:
    axis = _attribute(node, "axis")
    return "Softmax", {0: axis if axis < 0 else axis - 1, 1: 1}, []


def _clip(graph: Graph, node: Node) -> Layer:
    low, high = _bounds(graph, node)
    return "Clip", {0: low, 1: high}, []


LAYERS: dict[str, Callable[[Graph, Node], Layer]] = {
    "add": _plain("BinaryOp", {0: 0}),
    "average_pool": _pool(1),
    "batch_normalization": _batch_norm,
    "clip": _clip,
    "concat": _concat,
    "conv": _conv,
    "dropout": _plain("Noop", {}),
    "flatten": _plain("Flatten", {}),
    "gemm": _gemm,
    "global_average_pool": _plain("Pooling", {0: 1, 4: 1}),
    "max_pool": _pool(0),
    "relu": _plain("ReLU", {}),
    "sigmoid": _plain("Sigmoid", {}),
    "softmax": _softmax,
}
