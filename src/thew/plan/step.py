"""`Step`: one kernel call of a plan, and `View`: a tensor that it reads or writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thew.plan.layouts import layout_name, span_bytes


@dataclass(frozen=True, slots=True)
class View:
    """A strided tensor and where it lies.

    `place` is "arena", "external" (array `index` of the call: inputs, then outputs), "state" or "constant" (by name),
    or "strip" (what one stage of a step hands to the next). Strides are in elements, of the logical axes: channels-last
    data of shape (n, c, h, w) has stride 1 at c.
    """

    place: str
    index: int
    name: str
    offset_bytes: int
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __str__(self) -> str:
        named = {"constant": f"%{self.name}", "state": f"${self.name}", "strip": "strip"}
        at = {"arena": f"@{self.offset_bytes}", "external": f"#{self.index}", **named}[self.place]
        return f"{at}:{self.dtype}[{','.join(map(str, self.shape))}]{layout_name(self.shape, self.strides)}"


@dataclass(frozen=True, slots=True)
class Step:
    """One kernel call: a row of the table, the op and node it serves, and its views.

    A step of kernel "strips" runs its stages depth first: each reads as its input 0 what the one before it wrote; the
    step's inputs are all the others, in order.
    """

    kernel: str
    op: str
    name: str
    inputs: tuple[View | None, ...]
    outputs: tuple[View, ...]
    attributes: Mapping[str, Any]
    flops: int = 0
    stages: tuple[Step, ...] = ()

    @property
    def algorithm(self) -> str:
        """The rows that the call runs."""
        return " → ".join(stage.kernel for stage in self.stages) or self.kernel

    @property
    def moved_bytes(self) -> int:
        """Bytes that the call must read and write at the least."""
        views = [view for view in (*self.inputs, *self.outputs) if view is not None]
        return sum(span_bytes(view.dtype, view.shape, view.strides) for view in views)

    def __str__(self) -> str:
        sources = ", ".join("-" if view is None else str(view) for view in self.inputs)
        extras = " ".join(f"{key}={value}" for key, value in self.attributes.items())
        line = f"{', '.join(map(str, self.outputs))} = {self.kernel}({sources}) {extras} '{self.name}'"
        return "".join([line, *(f"\n    {stage}" for stage in self.stages)])


def _view_from(fields: dict[str, Any] | None) -> View | None:
    if fields is None:
        return None
    return View(**{**fields, "shape": tuple(fields["shape"]), "strides": tuple(fields["strides"])})


def step_from(fields: dict[str, Any]) -> Step:
    """A step as `Plan.save` writes it."""
    outputs = tuple(view for view in map(_view_from, fields.pop("outputs")) if view is not None)
    attributes = {
        key: tuple(value) if isinstance(value, list) else value for key, value in fields.pop("attributes").items()
    }
    stages = tuple(map(step_from, fields.pop("stages")))
    inputs = tuple(map(_view_from, fields.pop("inputs")))
    return Step(inputs=inputs, outputs=outputs, attributes=attributes, stages=stages, **fields)
