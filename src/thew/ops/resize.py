"""resize: nearest, linear and cubic (Keys 1981) interpolation, with antialiasing, after all of ONNX's rules.

It is separable: one axis after the other, each output a weighted sum of neighbours (`samples`). Axes that shrink go
first, so that no intermediate result is larger than both input and output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor, isfinite
from typing import Any

import numpy as np

from thew.dtypes import NATIVE
from thew.ir.graph import Array
from thew.ops.opdef import Call, Candidate, OpDef, call_of, define
from thew.ops.rules import NUMBERS, Shape, axes_of, dtype_of, typed, widened

_COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)
_CHOICES = {
    "mode": ("nearest", "linear", "cubic"),
    "coordinate_transformation_mode": _COORDINATES,
    "nearest_mode": ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
    "keep_aspect_ratio_policy": ("stretch", "not_larger", "not_smaller"),
}


@dataclass(frozen=True)
class Axis:
    """How one axis is resized: `extent` to `output` by `scale`; `start`, `end` are the region of tf_crop_and_resize."""

    extent: int
    output: int
    scale: float
    start: float = 0.0
    end: float = 1.0

    @property
    def is_kept(self) -> bool:
        """Whether nothing changes along it."""
        return self.extent == self.output and self.scale == 1 and (self.start, self.end) == (0, 1)


def resolved_axes(call: Call) -> tuple[Axis, ...] | None:
    """What happens to each axis; None where scales, sizes or region are not constant."""
    for name, choices in _CHOICES.items():
        if call.attribute(name) not in choices:
            raise call.refuse(f"{name} must be one of {', '.join(choices)}, got {call.attribute(name)!r}")
    shape = call.shape(0)
    axes = axes_of(call, tuple(call.attribute("axes")) or tuple(range(len(shape))), len(shape))
    needs_region = call.attribute("coordinate_transformation_mode") == "tf_crop_and_resize"
    wanted = [
        index for index in (1, 2, 3) if call.has(index) and call.shape(index) != (0,) and (index != 1 or needs_region)
    ]
    if any(call.value(index) is None for index in wanted):
        return None
    if len({2, 3} & set(wanted)) != 1 or (needs_region and 1 not in wanted):
        raise call.refuse(
            "exactly one of scales and sizes must be given, and a region where the coordinates are tf_crop_and_resize"
        )
    region = _numbers(call, 1, 2 * len(axes)) if needs_region else (0.0,) * len(axes) + (1.0,) * len(axes)
    given = _scaled(call, shape, axes, region) if 2 in wanted else _sized(call, shape, axes)
    found = [Axis(extent, extent, 1.0) for extent in shape]
    for place, (axis, (output, scale)) in enumerate(zip(axes, given, strict=True)):
        found[axis] = Axis(shape[axis], output, scale, region[place], region[place + len(axes)])
        if output and not shape[axis]:
            raise call.refuse(f"axis {axis} must have elements to resize, got shape {shape}")
    return tuple(found)


def _numbers(call: Call, index: int, count: int) -> tuple[float, ...]:
    array = call.value(index)
    assert array is not None
    numbers = tuple(float(number) for number in array.reshape(-1))
    if len(numbers) != count or not all(isfinite(number) for number in numbers):
        raise call.refuse(f"input {index} must be {count} finite numbers, got {numbers}")
    return numbers


def _scaled(call: Call, shape: Shape, axes: Shape, region: tuple[float, ...]) -> list[tuple[int, float]]:
    scales = _numbers(call, 2, len(axes))
    if any(scale <= 0 for scale in scales):
        raise call.refuse(f"scales must be greater than 0, got {scales}")
    found = []
    for place, (axis, scale) in enumerate(zip(axes, scales, strict=True)):
        # In fp32, as ONNX's shape inference has it: 10 · 0.7 is 7.
        share = np.float32(region[place + len(axes)]) - np.float32(region[place])
        product = float(np.float32(shape[axis]) * share * np.float32(scale))
        if not 0 <= product < 1 << 59:
            raise call.refuse(f"scales must give extents of at least 0, got {product} for axis {axis}")
        found.append((floor(product), scale))
    return found


def _sized(call: Call, shape: Shape, axes: Shape) -> list[tuple[int, float]]:
    sizes = call.ints(3)
    assert sizes is not None
    if len(sizes) != len(axes) or any(size < 0 for size in sizes):
        raise call.refuse(f"sizes must be {len(axes)} numbers of at least 0, got {sizes}")
    ratios = [size / max(shape[axis], 1) for size, axis in zip(sizes, axes, strict=True)]
    policy = call.attribute("keep_aspect_ratio_policy")
    if policy == "stretch" or not axes:
        return [(size, ratio if size else 1.0) for size, ratio in zip(sizes, ratios, strict=True)]
    ratio = min(ratios) if policy == "not_larger" else max(ratios)
    return [(floor(ratio * shape[axis] + 0.5), ratio or 1.0) for axis in axes]


def coordinates(axis: Axis, mode: str) -> Array:
    """Where in the input each output element lies, in fp64."""
    places = np.arange(axis.output, dtype=np.float64)
    length = axis.scale * axis.extent  # fractional where it comes from scales
    if mode == "asymmetric":
        return places / axis.scale
    if mode == "align_corners":
        return np.zeros_like(places) if length == 1 else places * (axis.extent - 1) / (length - 1)
    if mode == "tf_crop_and_resize":
        last = axis.extent - 1
        if axis.output <= 1:
            return np.full_like(places, 0.5 * (axis.start + axis.end) * last)
        return axis.start * last + places * (axis.end - axis.start) * last / (axis.output - 1)
    centred = (places + 0.5) / axis.scale - 0.5
    if mode == "pytorch_half_pixel" and axis.output == 1:
        return np.zeros_like(places)
    if mode == "half_pixel_symmetric":
        return axis.extent / 2 * (1 - axis.output / length) + centred
    return centred


def _nearest(x: Array, mode: str) -> Array:
    rounded = {
        "round_prefer_floor": lambda: np.ceil(x - 0.5),
        "round_prefer_ceil": lambda: np.floor(x + 0.5),
        "floor": lambda: np.floor(x),
        "ceil": lambda: np.ceil(x),
    }[mode]()
    return np.asarray(rounded)


def _cubic(distance: Array, a: float) -> Array:
    t = np.abs(distance)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((t - 5) * t + 8) * t * a - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def samples(axis: Axis, attributes: Mapping[str, Any]) -> tuple[Array, Array]:
    """Indices and weights, both (output, taps), of the input elements that each output element sums."""
    x = coordinates(axis, attributes["coordinate_transformation_mode"])
    # A hostile region may lie anywhere; what is beyond the input by its length reads the border in any case.
    x = np.clip(x, -axis.extent - 4.0, 2 * axis.extent + 4.0)
    if attributes["mode"] == "nearest":
        index = np.clip(_nearest(x, attributes["nearest_mode"]), 0, axis.extent - 1).astype(np.int64)
        return index[:, None], np.ones((axis.output, 1))
    shrink = min(axis.scale, 1.0) if attributes["antialias"] else 1.0
    radius = (1 if attributes["mode"] == "linear" else 2) / shrink
    first = np.floor(x - radius).astype(np.int64) + 1
    index = first[:, None] + np.arange(int(np.ceil(2 * radius)))
    distance = (index - x[:, None]) * shrink
    linear = attributes["mode"] == "linear"
    weights = np.maximum(1 - np.abs(distance), 0) if linear else _cubic(distance, attributes["cubic_coeff_a"])
    if attributes["exclude_outside"]:
        weights = np.where((index < 0) | (index >= axis.extent), 0, weights)
    if attributes["exclude_outside"] or attributes["antialias"]:
        total = weights.sum(axis=1, keepdims=True)
        weights = weights / np.where(total == 0, 1, total)
    return np.clip(index, 0, axis.extent - 1), weights


def _resized(y: Array, place: int, axis: Axis, attributes: Mapping[str, Any]) -> Array:
    index, weights = samples(axis, attributes)
    if attributes["mode"] == "nearest":
        result = np.take(y, index[:, 0], place)
    else:
        result = np.zeros((*y.shape[:place], axis.output, *y.shape[place + 1 :]))
        along = (-1, *(1,) * (y.ndim - place - 1))
        for tap in range(index.shape[1]):
            result += np.take(y, index[:, tap], place) * weights[:, tap].reshape(along)
    if attributes["coordinate_transformation_mode"] == "tf_crop_and_resize":
        x = coordinates(axis, "tf_crop_and_resize")
        outside = ((x < 0) | (x > axis.extent - 1)).reshape(-1, *(1,) * (y.ndim - place - 1))
        result = np.where(outside, attributes["extrapolation_value"], result)
    return result


def weights_along(axis: Axis, attributes: Mapping[str, Any]) -> Array:
    """The (output, extent) matrix that resizing along an axis multiplies by."""
    return _resized(np.eye(axis.extent), 0, axis, attributes)


def _shapes(call: Call) -> list[Shape | None]:
    axes = resolved_axes(call)
    return [None if axes is None else tuple(axis.output for axis in axes)]


def _reference(attributes: Mapping[str, Any], x: Array, *sizes: Array | None) -> list[Array]:
    axes = resolved_axes(call_of("resize", attributes, (x, *sizes)))
    assert axes is not None
    y = x if attributes["mode"] == "nearest" else widened(x).astype(np.float64)
    for place in sorted(range(len(axes)), key=lambda place: axes[place].output - axes[place].extent):
        if not axes[place].is_kept:
            y = _resized(y, place, axes[place], attributes)
    if x.dtype.kind in "iu" and y.dtype != x.dtype:
        limits = np.iinfo(x.dtype)
        y = np.clip(np.rint(y), limits.min, limits.max)
    return [y.astype(x.dtype)]


def _is_native(call: Call) -> bool:
    """Nearest of any dtype, linear and cubic of fp32 and fp64, with sizes known and no region."""
    if call.attribute("coordinate_transformation_mode") == "tf_crop_and_resize" or resolved_axes(call) is None:
        return False
    return call.attribute("mode") == "nearest" or call.type(0).dtype in ("fp32", "fp64")


define(
    OpDef(
        "resize",
        typed(_shapes, dtype_of(0, among=(*NUMBERS, "bool"))),
        _reference,
        {
            "antialias": 0,
            "axes": (),
            "coordinate_transformation_mode": "half_pixel",
            "cubic_coeff_a": -0.75,
            "exclude_outside": 0,
            "extrapolation_value": 0.0,
            "keep_aspect_ratio_policy": "stretch",
            "mode": "nearest",
            "nearest_mode": "round_prefer_floor",
        },
        (1, 4),
        candidates=(Candidate("move", "strided", dtypes=NATIVE, when=_is_native),),
    )
)
