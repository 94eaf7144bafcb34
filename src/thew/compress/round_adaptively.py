"""Adaptive rounding: each weight goes to the integer below or above it, whichever makes the layer's output closer.

What is least is E‖(w̃ - w) x‖², a quadratic form in the errors with the inputs' second moments, as in Nagel et al.,
"Up or down? Adaptive rounding", 2020; found by coordinate descent from rounding to nearest, so that it never gets
worse, in place of their relaxation.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from thew.compress.observe import values_of
from thew.compress.samples import Feeds
from thew.ir import Graph
from thew.ir.graph import Array
from thew.ops import call_of
from thew.ops.conv import window
from thew.passes.quantisable import Layer
from thew.passes.quantise import Encoding, Weights

_PLACES = 64  # of a sample's output that are looked at
_SWEEPS = 4  # over a layer's weights
_BLOCK = 64  # columns between two updates of all others


def round_adaptively(graph: Graph, layer: Layer, encoding: Encoding, feeds: Feeds, batch: int, threads: int) -> Weights:
    """A layer's weights, rounded so that its output on samples is closest.

    Args:
        graph: from `quantisable.prepare`.
        layer: one of its layers with weights.
        encoding: steps of its weights.
        feeds: samples by input.
        batch: samples of a run.
        threads: workers of a run.
    """
    weight = graph.constants[layer.weight]
    rows = np.moveaxis(weight, layer.axis, 0).reshape(weight.shape[layer.axis], -1).astype(np.float64)
    steps = np.broadcast_to(encoding.scale.astype(np.float64), len(rows))[:, None]
    group = int(layer.node.attributes.get("group", 1))  # type: ignore[call-overload]
    moments = _moments(graph, layer, feeds, batch, threads, group)
    found = np.empty_like(rows)
    for index, own in enumerate(np.split(np.arange(len(rows)), group)):
        found[own] = rounded(rows[own] / steps[own], moments[index])
    integers = np.moveaxis(found.reshape(np.moveaxis(weight, layer.axis, 0).shape), 0, layer.axis)
    return Weights(np.ascontiguousarray(integers.astype(encoding.zero.dtype)), encoding)


def rounded(exact: Array, moments: Array, limit: int = 127) -> Array:
    """Whole numbers beside exact ones, row by row, with less of (q - w) M (q - w)ᵀ than the nearest have.

    Args:
        exact: weights in steps, (rows, k).
        moments: M, of the inputs, (k, k), symmetric and positive semidefinite.
        limit: the largest magnitude.
    """
    below = np.floor(exact)
    whole = np.clip(np.rint(exact), -limit, limit)
    gradient = (whole - exact) @ moments  # half of it
    for _ in range(_SWEEPS):
        changed = False
        for start in range(0, exact.shape[1], _BLOCK):
            stop = min(start + _BLOCK, exact.shape[1])
            block = moments[start:stop, start:stop]
            local, before = gradient[:, start:stop].copy(), whole[:, start:stop].copy()
            for j in range(stop - start):
                column = whole[:, start + j]
                low = below[:, start + j]
                step = np.where(column == low, 1.0, -1.0)
                step = np.where(np.abs(column + step) > limit, 0.0, step)
                gain = 2 * step * local[:, j] + step * step * block[j, j]
                step = np.where(gain < -1e-9 * block[j, j], step, 0.0)
                column += step
                local += step[:, None] * block[j]
            moved = whole[:, start:stop] - before
            if moved.any():
                changed = True
                gradient += moved @ moments[start:stop]
        if not changed:
            break
    return np.asarray(whole)


def _moments(graph: Graph, layer: Layer, feeds: Feeds, batch: int, threads: int, group: int) -> list[Array]:
    """Second moments of what each group's rows are multiplied with."""
    random = np.random.default_rng(0)
    total: list[Array] = []
    for found in values_of(graph, layer.operands, feeds, batch, threads):
        columns = _columns(graph, layer, found[layer.operands[0]], random)
        parts = np.split(columns, group, axis=1)
        sums = [np.asarray(part.T @ part, np.float64) for part in parts]
        total = [a + b for a, b in zip(total, sums, strict=True)] if total else sums
    return total


def _columns(graph: Graph, layer: Layer, x: Array, random: np.random.Generator) -> Array:
    """Some of the vectors that the layer's rows are multiplied with, (vectors, c · kh · kw)."""
    if layer.node.op != "conv":
        return x.reshape(-1, x.shape[-1])
    found = window(call_of("conv", layer.node.attributes, (x, graph.constants[layer.weight]), layer.node))
    pads = [(int(a), int(b)) for a, b in zip(found.pads[:2], found.pads[2:], strict=True)]
    padded = np.pad(x, ((0, 0), (0, 0), *pads))
    spans = [(k - 1) * d + 1 for k, d in zip(found.kernel, found.dilations, strict=True)]
    windows = sliding_window_view(padded, spans, axis=(2, 3))
    (sy, sx), (dy, dx) = found.strides, found.dilations
    windows = windows[:, :, ::sy, ::sx, ::dy, ::dx]
    height, width = windows.shape[2:4]
    places = random.permutation(height * width)[:_PLACES]
    taken = windows[:, :, places // width, places % width]  # (n, c, places, kh, kw)
    return np.asarray(taken.transpose(0, 2, 1, 3, 4).reshape(len(x) * len(places), -1))
