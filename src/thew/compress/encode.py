"""From ranges and weights to encodings: steps of 8 bits for activations and weights.

Activations are uint8: what is never negative uses all 256 steps. Weights are int8 around 0, from -127 to 127, one step
a channel or one a tensor (Krishnamoorthi 2018).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from thew.compress.calibration import Histogram, Policy
from thew.ir import Graph
from thew.ir.graph import Array
from thew.passes.quantisable import Layer, Sites
from thew.passes.quantise import LARGEST_BIAS, Encoding

Range = tuple[float, float]
_LEAST_STEP = 2.0**-60  # products of two steps stay normal numbers
_MOST_COARSER = 2.0  # an operand of a concat takes the result's steps where they are at most so many times its own


def activation_encoding(low: float, high: float, symmetric: bool) -> Encoding:
    """The encoding of values in a range, which 0 is put into.

    Args:
        low: least value.
        high: most value.
        symmetric: whether 0 is the middle step where there are negative values.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if symmetric and low < 0:
        step, zero = max(-low, high) / 127, 128
    else:
        step = (high - low) / 255
        zero = int(np.clip(np.rint(-low / max(step, _LEAST_STEP)), 0, 255))
    return Encoding(np.asarray(max(step, _LEAST_STEP), np.float32), np.asarray(zero, np.uint8))


def encodings_of(
    sites: Sites, histograms: Mapping[str, Histogram], policy: Policy, symmetric: bool
) -> dict[str, Encoding]:
    """An encoding for every value of the sites; values that share one share the object."""
    ranges = {name: policy(histograms[name]) for name in sites.values}
    leader = {name: name for name in sites.values}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    def join(names: tuple[str, ...]) -> None:
        roots = list(dict.fromkeys(map(find, names)))
        wide = _union(ranges[root] for root in roots)
        for root in roots:
            leader[root] = roots[0]
        ranges[roots[0]] = wide

    for group in sites.ties:
        join(group)
    for group in sites.concats:
        *operands, result = group
        wide = _union(ranges[find(name)] for name in operands)
        ranges[find(result)] = wide
        join((result, *(name for name in operands if _width(wide) <= _MOST_COARSER * _width(ranges[find(name)]))))
    made: dict[str, Encoding] = {}
    for name in sites.values:
        root = find(name)
        if root not in made:
            made[root] = activation_encoding(*ranges[root], symmetric)
    return {name: made[find(name)] for name in sites.values}


def weight_steps(graph: Graph, layer: Layer) -> Array:
    """By channel, the step of which the largest weight is 127; fp64."""
    weight = np.moveaxis(graph.constants[layer.weight], layer.axis, 0)
    steps: Array = np.abs(weight.reshape(len(weight), -1)).max(axis=1).astype(np.float64) / 127
    return steps


def weight_encoding(graph: Graph, layer: Layer, x: Encoding, per_channel: bool) -> Encoding:
    """The encoding of a layer's weights: the largest is 127, unless its bias would not fit the steps of the sums."""
    most = weight_steps(graph, layer)
    if layer.bias:
        bias = np.abs(graph.constants[layer.bias].astype(np.float64))
        most = np.maximum(most, bias / (float(x.scale) * LARGEST_BIAS))
    step: Array = np.maximum(most if per_channel else most.max(), _LEAST_STEP).astype(np.float32)
    return Encoding(step, np.zeros(step.shape, np.int8))


def _union(ranges: Iterable[Range]) -> Range:
    lows, highs = zip(*ranges, strict=True)
    return min(lows), max(highs)


def _width(found: Range) -> float:
    return found[1] - found[0]
