"""Ops in fp32 as BLAS is used for them: convolutions by an explicit im2col and a product for each group, dense layers
by a product, all else by NumPy's vector loops, one op after the other.

A maker is given a call, its arrays and the workspace, and gives what runs the op: nothing is allocated later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np

from thew.errors import ShapeError
from thew.ir.graph import Array
from thew.ops import Call
from thew.ops.conv import is_depthwise, window
from thew.ops.interpret import apply
from thew.ops.window import Window, window_of
from thew.search.blas.sgemm import Sgemm

Run = Callable[[], object]
_NEAR_BYTES = 1 << 18  # of patches of a depthwise convolution at a time: they stay in a second-level cache


@dataclass(frozen=True)
class Place:
    """Where an op computes.

    Attributes:
        inputs: arrays, None for an absent one.
        outputs: arrays to be written.
        workspace: fp32, as large as `workspace_size` asked for.
        sgemm: the product.
    """

    call: Call
    inputs: Sequence[Any]
    outputs: Sequence[Array]
    workspace: Array
    sgemm: Sgemm


def workspace_size(call: Call) -> int:
    """Elements of workspace that a call wants: the matrix of one image's patches."""
    if call.node.op != "conv":
        return 0
    found = window(call)
    if is_depthwise(call):
        return _channels_at_a_time(call.shape(0)[1], found) * prod(found.kernel) * prod(found.output)
    return 0 if _is_matrix(call, found) else prod(call.shape(1)[1:]) * prod(found.output)


def _is_matrix(call: Call, found: Window) -> bool:
    """Whether an image is its own matrix of patches."""
    single = prod(found.kernel) == 1 and not any(found.pads) and set(found.strides) <= {1}
    return single and call.attribute("group") == 1


def make(place: Place) -> Run:
    """What runs a call: its maker's, or the op's reference where there is none or it is not in fp32."""
    arrays = [array for array in (*place.inputs, *place.outputs) if array is not None]
    maker = MAKERS.get(place.call.node.op)
    if maker is None or any(array.dtype != np.float32 for array in arrays if array.dtype.kind == "f"):
        return partial(_reference, place)
    runs = maker(place)
    return runs[0] if len(runs) == 1 else partial(_all, runs)


def _all(runs: Sequence[Run]) -> None:
    for run in runs:
        run()


def _reference(place: Place) -> None:
    for output, result in zip(place.outputs, apply(place.call.node, list(place.inputs)), strict=False):
        np.copyto(output, result)


# Convolutions


def _conv(place: Place) -> list[Run]:
    call, (x, weight), (y,) = place.call, place.inputs[:2], place.outputs
    found, group = window(call), call.attribute("group")
    runs: list[Run] = []
    for image in range(len(x)):
        if is_depthwise(call):
            runs += _depthwise(place, found, x[image], weight, y[image])
            continue
        of_group = [matrices.reshape(group, -1, *matrices.shape[1:]) for matrices in (x[image], weight, y[image])]
        for source, filters, result in zip(*of_group, strict=True):
            runs += _product(place, found, source, filters, result)
    if len(place.inputs) > 2 and place.inputs[2] is not None:
        bias = place.inputs[2].reshape(-1, *[1] * len(found.output))
        runs.append(partial(np.add, y, bias, y))
    return runs


def _product(place: Place, found: Window, source: Array, filters: Array, result: Array) -> list[Run]:
    """One image's group: patches side by side, and one product."""
    runs: list[Run] = []
    if _is_matrix(place.call, found):
        columns = source.reshape(len(source), -1)
    else:
        shape = (*filters.shape[1:], *found.output)
        patches = place.workspace[: prod(shape)].reshape(shape)
        for tap, out, read in found.taps():
            runs.append(partial(np.copyto, patches[:, *tap[1:]][out], source[read]))
        runs = [*_borders(patches, found), *runs]
        columns = patches.reshape(prod(filters.shape[1:]), -1)
    runs.append(place.sgemm.bind(filters.reshape(len(filters), -1), columns, result.reshape(len(result), -1)))
    return runs


def _borders(patches: Array, found: Window) -> list[Run]:
    """Zeroes what no tap writes: by axis and place in the kernel, the outputs before and after those it reaches."""
    rank = len(found.output)
    reached = {(axis, tap[1 + axis]): out[1 + axis] for tap, out, _ in found.taps() for axis in range(rank)}
    runs: list[Run] = []
    for axis, extent in enumerate(found.output):
        for k in range(found.kernel[axis]):
            inside = reached.get((axis, k), slice(0, 0))
            for gap in (slice(0, inside.start), slice(inside.stop, extent)):
                at: list[Any] = [slice(None)] * patches.ndim
                at[1 + axis], at[1 + rank + axis] = k, gap
                if patches[tuple(at)].size:
                    runs.append(partial(patches[tuple(at)].fill, 0.0))
    return runs


def _depthwise(place: Place, found: Window, source: Array, weight: Array, result: Array) -> list[Run]:
    """As many channels at a time as stay near: their patches, and a product of few rows for each."""
    channels, pixels, taps = len(source), prod(found.output), prod(found.kernel)
    filters = weight.reshape(channels, -1, taps)
    results = result.reshape(channels, -1, pixels)
    step = _channels_at_a_time(channels, found)
    patches = place.workspace[: step * taps * pixels].reshape(step, *found.kernel, *found.output)
    runs = _borders(patches, found)
    for first in range(0, channels, step):
        part = source[first : first + step]
        here = patches[: len(part)]
        for tap, out, read in found.taps():
            runs.append(partial(np.copyto, here[:, *tap[1:]][out], part[read]))
        of_part = slice(first, first + step)
        runs.append(partial(np.matmul, filters[of_part], here.reshape(len(part), taps, pixels), results[of_part]))
    return runs


def _channels_at_a_time(channels: int, found: Window) -> int:
    return min(channels, max(1, _NEAR_BYTES // (4 * prod(found.kernel) * prod(found.output))))


# Dense layers


def _gemm(place: Place) -> list[Run]:
    attribute = place.call.attribute
    a, b = place.inputs[:2]
    if attribute("alpha") != 1 or attribute("beta") != 1 or attribute("transA") or place.call.value(1) is None:
        return [partial(_reference, place)]
    (y,) = place.outputs
    runs: list[Run] = [place.sgemm.bind(a, np.ascontiguousarray(b.T if attribute("transB") else b), y)]
    if len(place.inputs) > 2 and place.inputs[2] is not None:
        runs.append(partial(np.add, y, place.inputs[2], y))
    return runs


def _matmul(place: Place) -> list[Run]:
    a, b = place.inputs
    (y,) = place.outputs
    if a.ndim != 2 or b.ndim != 2:
        return [partial(np.matmul, a, b, y)]
    return [place.sgemm.bind(a, b, y)]


# All else


def _batch_normalization(place: Place) -> list[Run]:
    x, scale, bias, mean, variance = (array.astype(np.float64) for array in place.inputs[:5])
    if place.call.attribute("training_mode"):
        return [partial(_reference, place)]
    factor = scale / np.sqrt(variance + place.call.attribute("epsilon"))
    shape, (y,) = (-1, *[1] * (x.ndim - 2)), place.outputs
    shift = (bias - mean * factor).astype(np.float32).reshape(shape)
    return [
        partial(np.multiply, place.inputs[0], factor.astype(np.float32).reshape(shape), y),
        partial(np.add, y, shift, y),
    ]


def _clip(place: Place) -> list[Run]:
    low, high = ([*place.inputs, None, None][position] for position in (1, 2))
    x, (y,) = place.inputs[0], place.outputs
    return [partial(np.clip, x, -np.inf if low is None else low, np.inf if high is None else high, y)]


def _relu(place: Place) -> list[Run]:
    return [partial(np.maximum, place.inputs[0], np.float32(0), out=place.outputs[0])]


def _binary(function: Callable[..., Any]) -> Callable[[Place], list[Run]]:
    return lambda place: [partial(function, place.inputs[0], place.inputs[1], place.outputs[0])]


def _pool(place: Place, start: float, combine: Callable[..., Any]) -> tuple[list[Run], Window]:
    x, y = place.inputs[0], place.outputs[0]
    kernel = tuple(place.call.attribute("kernel_shape"))
    found = window_of(place.call, x.shape[2:], kernel)
    runs: list[Run] = [partial(y.fill, start)]
    for _, out, read in found.taps():
        runs.append(partial(combine, y[out], x[read], out=y[out]))
    return runs, found


def _max_pool(place: Place) -> list[Run]:
    if len(place.outputs) > 1:
        raise ShapeError(f"{place.call.node}: BLAS baseline has no indices of maxima")
    return _pool(place, -np.inf, np.maximum)[0]


def _average_pool(place: Place) -> list[Run]:
    runs, found = _pool(place, 0.0, np.add)
    y, counts = place.outputs[0], found.counts(bool(place.call.attribute("count_include_pad")))
    return [*runs, partial(np.multiply, y, (1 / counts).astype(np.float32), y)]


def _global_average_pool(place: Place) -> list[Run]:
    x, (y,) = place.inputs[0], place.outputs
    return [lambda: np.mean(x, axis=tuple(range(2, x.ndim)), keepdims=True, out=y)]


def _softmax(place: Place) -> list[Run]:
    x, (y,), axis = place.inputs[0], place.outputs, place.call.attribute("axis")

    def run() -> None:
        np.subtract(x, x.max(axis=axis, keepdims=True), out=y)
        np.exp(y, out=y)
        np.divide(y, y.sum(axis=axis, keepdims=True), out=y)

    return [run]


def _concat(place: Place) -> list[Run]:
    arrays, axis, out = list(place.inputs), place.call.attribute("axis"), place.outputs[0]
    return [lambda: np.concatenate(arrays, axis=axis, out=out)]


def _same_data(place: Place) -> list[Run]:
    return [partial(np.copyto, place.outputs[0], place.inputs[0].reshape(place.outputs[0].shape))]


MAKERS: Mapping[str, Callable[[Place], list[Run]]] = {
    "add": _binary(np.add),
    "average_pool": _average_pool,
    "batch_normalization": _batch_normalization,
    "clip": _clip,
    "concat": _concat,
    "conv": _conv,
    "flatten": _same_data,
    "gemm": _gemm,
    "global_average_pool": _global_average_pool,
    "matmul": _matmul,
    "max_pool": _max_pool,
    "mul": _binary(np.multiply),
    "relu": _relu,
    "reshape": _same_data,
    "softmax": _softmax,
    "sub": _binary(np.subtract),
}
