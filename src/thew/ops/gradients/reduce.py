"""Gradients of reductions: what was folded takes the gradient back, broadcast and weighted."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from thew.ops.gradients.backward import Backward, Gradients
from thew.ops.opdef import differentiate_by
from thew.ops.reduce import resolved_axes


def _axes(back: Backward) -> tuple[int, ...]:
    axes = resolved_axes(back.call)
    if axes is None:
        raise back.refuse("its axes must be constant")
    return axes


def _kept(back: Backward, name: str) -> str:
    """A value of the output's shape with the folded axes there, of extent 1."""
    axes = _axes(back)
    return back.reshaped(name, [1 if axis in axes else n for axis, n in enumerate(back.call.shape(0))])


def _weighted(back: Backward, build: Callable[[str, str], str]) -> Gradients:
    """`build(dy, y)` from both in the shape with the folded axes; the result broadcasts to x."""
    found = build(_kept(back, back.dy), _kept(back, back.y))
    return [back.expanded(found, back.call.shape(0)), *[None] * (len(back.node.inputs) - 1)]


@differentiate_by("reduce_sum")
def _sum(back: Backward) -> Gradients:
    return _weighted(back, lambda dy, y: dy)


@differentiate_by("reduce_mean")
def _mean(back: Backward) -> Gradients:
    count = prod(back.call.shape(0)[axis] for axis in _axes(back))
    return _weighted(back, lambda dy, y: back.scaled(dy, 1 / max(count, 1)))


@differentiate_by("reduce_max", "reduce_min")
def _extreme(back: Backward) -> Gradients:
    """Those that equal the result share its gradient."""

    def shared(dy: str, y: str) -> str:
        mask = back.mask(back.op("equal", back.x, y), dy)
        return back.op("mul", mask, back.op("div", dy, back.summed(mask, _axes(back), keep=True)))

    return _weighted(back, shared)


@differentiate_by("reduce_sum_square")
def _sum_square(back: Backward) -> Gradients:
    return _weighted(back, lambda dy, y: back.op("mul", back.x, back.scaled(dy, 2)))


@differentiate_by("reduce_l1")
def _l1(back: Backward) -> Gradients:
    return _weighted(back, lambda dy, y: back.op("mul", back.op("sign", back.x), dy))


@differentiate_by("reduce_l2")
def _l2(back: Backward) -> Gradients:
    return _weighted(back, lambda dy, y: back.op("mul", back.x, back.op("div", dy, y)))


@differentiate_by("reduce_log_sum_exp")
def _log_sum_exp(back: Backward) -> Gradients:
    return _weighted(back, lambda dy, y: back.op("mul", back.op("exp", back.op("sub", back.x, y)), dy))
