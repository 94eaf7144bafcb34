"""What a step decides from all gradients together: whether they are finite, their norm, and the factor of the update.

unscale_check(scale, limit, g0, g1, …) → (factor, squares): squares[i] = Σ (g_i / scale)², and factor =
min(1, limit / (‖g‖ + 1e-6)) / scale with ‖g‖² = Σ squares, or 0 where ‖g‖ is not finite. With the attribute `most`, a
gradient's element beyond ±most counts as infinite: one that a 16-bit type could not hold, in whatever type it is here.
The updates multiply gradients by the factor, so that unscaling and clipping by norm cost no pass of their own
(clipping: Pascanu et al. 2013).

update_loss_scale(state, factor, hyper) → next state: dynamic loss scaling (Micikevicius et al. 2018). State: scale,
clean steps since it changed, skipped steps in all. A factor of 0 multiplies the scale by `backoff`, `interval` clean
steps by `growth`; it stays within [least, most].

count_update(step, factor?) → step + 1, or step where the factor is 0: skipped steps do not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import FLOATS
from thew.ir.graph import Array
from thew.ops.opdef import Call, Candidate, OpDef, define
from thew.ops.rules import Shape, typed, widened

STATE = ("scale", "clean", "skipped")
_NATIVE = (Candidate("scaling", "strided", dtypes=("fp64",)),)
HYPER = ("growth", "backoff", "interval", "least", "most")


def _demand(call: Call, *wanted: tuple[int, int]) -> None:
    """Refuses an input (by index) that is not an fp64 vector of so many numbers."""
    for index, count in wanted:
        if call.has(index) and (call.shape(index) != (count,) or call.type(index).dtype != "fp64"):
            raise call.refuse(f"input {index} must be fp64 of shape ({count},), got {call.type(index)}")


def _check_shapes(call: Call) -> list[Shape | None]:
    _demand(call, (0, 1), (1, 1))
    for index in range(2, len(call.types)):
        if call.type(index).dtype not in FLOATS:
            raise call.refuse(f"input {index}, a gradient, must be one of {', '.join(FLOATS)}, got {call.type(index)}")
    return [(1,), (len(call.types) - 2,)]


def _check(attributes: Mapping[str, Any], scale: Array, limit: Array, *gradients: Array) -> list[Array]:
    most = attributes["most"] or np.inf
    wide = [np.asarray(widened(gradient), np.float64) for gradient in gradients]
    squares = np.array([np.sum(np.where(np.abs(g) > most, np.inf, g / scale[0]) ** 2) for g in wide])
    norm = np.sqrt(squares.sum())
    factor = min(1.0, limit[0] / (norm + 1e-6)) / scale[0] if np.isfinite(norm) else 0.0
    return [np.array([factor]), squares]


define(
    OpDef(
        "unscale_check",
        typed(_check_shapes, "fp64"),
        _check,
        {"most": 0.0},
        inputs=(3, -1),
        outputs=(2, 2),
        candidates=_NATIVE,
        flops=lambda call: 2 * sum(prod(call.shape(index)) for index in range(2, len(call.types))),
    )
)


def _scale_shapes(call: Call) -> list[Shape | None]:
    _demand(call, (0, len(STATE)), (1, 1), (2, len(HYPER)))
    return [(len(STATE),)]


def _next_scale(attributes: Mapping[str, Any], state: Array, factor: Array, hyper: Array) -> list[Array]:
    scale, clean, skipped = map(float, state)
    growth, backoff, interval, least, most = map(float, hyper)
    if factor[0] == 0:
        scale, clean, skipped = max(scale * backoff, least), 0.0, skipped + 1
    else:
        clean += 1
        if clean >= interval:
            scale, clean = min(scale * growth, most), 0.0
    return [np.array([scale, clean, skipped])]


define(
    OpDef(
        "update_loss_scale",
        typed(_scale_shapes, "fp64"),
        _next_scale,
        inputs=(3, 3),
        candidates=_NATIVE,
        updates=((0, 0),),
    )
)


def _count_shapes(call: Call) -> list[Shape | None]:
    _demand(call, (0, 1), (1, 1))
    return [(1,)]


def _count(attributes: Mapping[str, Any], step: Array, factor: Array | None = None) -> list[Array]:
    return [step + (1.0 if factor is None or factor[0] != 0 else 0.0)]


define(
    OpDef(
        "count_update",
        typed(_count_shapes, "fp64"),
        _count,
        inputs=(1, 2),
        candidates=_NATIVE,
        updates=((0, 0),),
    )
)
