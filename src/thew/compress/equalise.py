"""Cross-layer equalisation: scales channels between two layers so that the weights of both spread alike.

relu(s · y) = s · relu(y) for s > 0, so a channel of one layer may be divided by s and the next layer's weights for it
multiplied: s = √(r₁ / r₂) gives both the range √(r₁ · r₂) (Nagel et al., "Data-free quantization through weight
equalization and bias correction", 2019). Through a clip, channels move only as far as its bound stays out of reach of
what was seen; those that do reach it stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from thew.ir import Graph
from thew.ir.graph import Array, as_constant
from thew.passes.quantisable import Layer, layers

_SWEEPS = 20  # over all pairs
_SETTLED = 1e-3  # of a scale's logarithm
Highs = Callable[[tuple[str, ...]], dict[str, Array]]


@dataclass(frozen=True)
class Pair:
    """Two layers, the second of which alone reads the first's result.

    Attributes:
        first: the layer whose output channels are scaled.
        second: the layer that takes the scales back.
        input_axis: the axis of the second's weights along which its input channels lie.
        bound: of a clip between them; infinite where there is none.
    """

    first: Layer
    second: Layer
    input_axis: int
    bound: float


def equalise(graph: Graph, highs: Highs) -> Graph:
    """The graph with equalised weights, which computes the same for what was seen.

    Args:
        graph: from `quantisable.prepare`.
        highs: gives the most that each channel (axis 1) of some values was seen to be.
    """
    found = pairs(graph)
    clipped = tuple(pair.first.result for pair in found if np.isfinite(pair.bound))
    seen = highs(clipped) if clipped else {}
    constants = {**graph.constants}
    for _ in range(_SWEEPS):
        if max((_equalise(constants, pair, seen) for pair in found), default=0.0) < _SETTLED:
            break
    return graph.replace(constants={name: as_constant(array) for name, array in constants.items()})


def pairs(graph: Graph) -> list[Pair]:
    """All pairs of layers that can be equalised, in order."""
    known = {key: layer for key, layer in layers(graph).items() if layer.weight}
    reader_of = {layer.operands[0]: layer for layer in known.values()}
    found = []
    for layer in known.values():
        second = reader_of.get(layer.result)
        bound = _bound(graph, layer)
        if second is None or graph.use_count(layer.result) != 1 or bound is None:
            continue
        axis = _input_axis(graph, layer, second)
        names = (layer.weight, second.weight, *filter(None, (layer.bias,)))
        if axis is not None and all(graph.use_count(name) == 1 for name in names):
            found.append(Pair(layer, second, axis, bound))
    return found


def _bound(graph: Graph, layer: Layer) -> float | None:
    """The upper bound between a layer and its result; None where what is between does not scale."""
    if layer.result == layer.key:
        return np.inf
    between = graph.producers[layer.result]
    if between.op == "relu":
        return np.inf
    low, high = (graph.constants[name].item() if name else None for name in (between.input(1), between.input(2)))
    return None if low != 0 else np.inf if high is None else float(high)


def _input_axis(graph: Graph, first: Layer, second: Layer) -> int | None:
    weight = graph.constants[second.weight]
    group = second.node.attributes.get("group", 1)
    axis = 0 if group != 1 else 1 - second.axis
    fits = weight.shape[axis] == graph.constants[first.weight].shape[first.axis]
    return axis if fits and (group == 1 or (weight.shape[1] == 1 and weight.shape[0] == group)) else None


def _spread(weight: Array, axis: int) -> Array:
    return np.asarray(np.abs(np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)).max(axis=1), np.float64)


def _equalise(constants: dict[str, Array], pair: Pair, seen: dict[str, Array]) -> float:
    """Scales one pair; returns the largest change, as a logarithm."""
    first, second = constants[pair.first.weight], constants[pair.second.weight]
    spread_of_first, spread_of_second = _spread(first, pair.first.axis), _spread(second, pair.input_axis)
    usable = (spread_of_first > 0) & (spread_of_second > 0)
    scale = np.ones(len(usable))
    scale[usable] = np.sqrt(spread_of_first[usable] / spread_of_second[usable])
    if np.isfinite(pair.bound):
        high = np.maximum(seen[pair.first.result].astype(np.float64), 0)
        scale = np.where(high < pair.bound, np.maximum(scale, high / pair.bound), 1.0)
        seen[pair.first.result] = np.where(scale != 1.0, high / scale, high)
    constants[pair.first.weight] = _times(first, 1 / scale, pair.first.axis)
    constants[pair.second.weight] = _times(second, scale, pair.input_axis)
    if pair.first.bias:
        constants[pair.first.bias] = _times(constants[pair.first.bias], 1 / scale, 0)
    return float(np.abs(np.log(scale)).max(initial=0.0))


def _times(array: Array, scale: Array, axis: int) -> Array:
    shaped = scale.reshape([-1 if place == axis else 1 for place in range(array.ndim)])
    return np.asarray((array * shaped).astype(array.dtype))
