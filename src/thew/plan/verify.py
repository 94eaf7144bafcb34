"""What must hold of a plan that comes from a file, before any of it reaches native code: every view lies within what it
is a view of, and nothing is written but the arena, the caller's outputs and states. Kernels check the rest themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from thew.dtypes import NATIVE, size_bytes
from thew.errors import PlanError
from thew.ir import Value
from thew.plan.step import Step, View

MOST_BYTES = 1 << 46
_MOST_EXTENT = 1 << 40
_MOST_RANK = 8
_WRITTEN = ("arena", "external", "state", "strip")


def check_count(name: str, value: object, least: int, most: int) -> None:
    """Refuses what is no number within these. Raises PlanError."""
    _demand(_is_count(value, most, least), f"{name} must be between {least} and {most}", value)


def check_steps(steps: Sequence[Step], inputs: Sequence[Value], outputs: Sequence[Value], arena_bytes: int) -> None:
    """Refuses steps that reach beyond arena or caller's arrays, or write what is not theirs. Raises PlanError."""
    sizes = [size_bytes(value.type.dtype) * prod(value.type.static_shape) for value in (*inputs, *outputs)]
    for step in steps:
        _check_step(step, sizes, len(inputs), arena_bytes)


def check_value(value: Value) -> None:
    """Refuses what is no value. Raises PlanError."""
    shape, dtype = value.type.shape, value.type.dtype
    sound = dtype in NATIVE and isinstance(value.name, str) and shape is not None and _is_shape(shape, dtype)
    _demand(sound, "a value must have a name and a type", value)


def _check_step(step: Step, sizes: Sequence[int], inputs: int, arena_bytes: int) -> None:
    named = all(isinstance(text, str) for text in (step.kernel, step.op, step.name))
    _demand(named and isinstance(step.attributes, dict), "a step must have names and attributes", step.name)
    for view in (*step.inputs, *step.outputs):
        if view is not None:
            _check_view(view, sizes, arena_bytes)
    for view in step.outputs:
        mine = view.place in _WRITTEN and (view.place != "external" or view.index >= inputs)
        _demand(mine, f"step '{step.name}' must write what is its own", view.place)
    for stage in step.stages:
        _check_step(stage, sizes, inputs, arena_bytes)


def _check_view(view: View, sizes: Sequence[int], arena_bytes: int) -> None:
    sound = (
        view.place in (*_WRITTEN, "constant")
        and isinstance(view.name, str)
        and view.dtype in NATIVE
        and _is_shape(view.shape, view.dtype)
        and len(view.strides) == len(view.shape)
        and all(_is_count(abs(stride), _MOST_EXTENT) for stride in view.strides if _is_whole(stride))
        and all(map(_is_whole, view.strides))
        and _is_count(view.offset_bytes, MOST_BYTES)
        and _is_count(view.index, max(len(sizes) - 1, 0))
    )
    _demand(sound, "a view must have a place, a type, and a stride for each extent", (view.place, view.strides))
    if view.place not in ("arena", "external") or 0 in view.shape:
        return
    size = arena_bytes if view.place == "arena" else sizes[view.index]
    spans = [(extent - 1) * stride for extent, stride in zip(view.shape, view.strides, strict=True)]
    item = size_bytes(view.dtype)
    low = view.offset_bytes + item * sum(span for span in spans if span < 0)
    high = view.offset_bytes + item * (1 + sum(span for span in spans if span > 0))
    _demand(low >= 0 and high <= size, f"a view must lie within the {size} bytes of its {view.place}", (low, high))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_count(value: Any, most: int, least: int = 0) -> bool:
    return _is_whole(value) and least <= value <= most


def _is_shape(shape: tuple[Any, ...], dtype: str) -> bool:
    sound = len(shape) <= _MOST_RANK and all(_is_count(extent, _MOST_EXTENT) for extent in shape)
    return sound and prod(shape) * size_bytes(dtype) <= MOST_BYTES


def _demand(holds: bool, rule: str, got: object) -> None:
    if not holds:
        raise PlanError(f"plan: {rule}, got {got}; plan the model again")
