"""Gradients of pools."""

from __future__ import annotations

from math import prod
from typing import Any

from thew.ops import pool
from thew.ops.gradients.backward import Backward, Gradients
from thew.ops.opdef import differentiate_by


def _geometry(back: Backward) -> dict[str, Any]:
    found = pool.window(back.call)
    return {
        "kernel_shape": tuple(map(int, found.kernel)),
        "pads": tuple(map(int, found.pads)),
        "strides": tuple(map(int, found.strides)),
        "dilations": tuple(map(int, found.dilations)),
        "ceil_mode": back.call.attribute("ceil_mode"),
    }


@differentiate_by("max_pool")
def _max_pool(back: Backward) -> Gradients:
    return [back.op("max_pool_grad", back.x, back.dy, **_geometry(back))]


@differentiate_by("average_pool")
def _average_pool(back: Backward) -> Gradients:
    how = {"count_include_pad": back.call.attribute("count_include_pad"), "input_shape": back.call.shape(0)}
    return [back.op("average_pool_grad", back.dy, **_geometry(back), **how)]


@differentiate_by("global_average_pool")
def _global_average_pool(back: Backward) -> Gradients:
    shape = back.call.shape(0)
    return [back.expanded(back.scaled(back.dy, 1 / max(prod(shape[2:]), 1)), shape)]


@differentiate_by("global_max_pool")
def _global_max_pool(back: Backward) -> Gradients:
    return [back.op("max_pool_grad", back.x, back.dy, kernel_shape=back.call.shape(0)[2:])]
