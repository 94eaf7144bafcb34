"""Gradients of elementwise ops: a broadcast input takes the sum over the axes along which it was repeated."""

from __future__ import annotations

import math
from collections.abc import Callable

from thew.dtypes import FLOATS
from thew.ops.gradients.backward import Backward, Gradients
from thew.ops.opdef import differentiate_by


def _fit(back: Backward, gradients: list[Callable[[], str]]) -> Gradients:
    """Builds the gradients that are wanted, and sums each to its input's shape."""
    return [
        back.sum_to(build(), back.call.shape(index)) if back.wants(index) else None
        for index, build in enumerate(gradients)
    ]


@differentiate_by("add")
def _add(back: Backward) -> Gradients:
    return _fit(back, [lambda: back.dy, lambda: back.dy])


@differentiate_by("sub")
def _sub(back: Backward) -> Gradients:
    return _fit(back, [lambda: back.dy, lambda: back.op("neg", back.dy)])


@differentiate_by("mul")
def _mul(back: Backward) -> Gradients:
    a, b = back.node.inputs
    return _fit(back, [lambda: back.op("mul", back.dy, b), lambda: back.op("mul", back.dy, a)])


@differentiate_by("div")
def _div(back: Backward) -> Gradients:
    _, b = back.node.inputs
    quotient = back.op("div", back.dy, b)
    return _fit(back, [lambda: quotient, lambda: back.op("neg", back.op("mul", quotient, back.y))])


@differentiate_by("pow")
def _pow(back: Backward) -> Gradients:
    """d/dx = p · x^(p−1), d/dp = y · log x."""
    x, power = back.node.inputs
    dtype = back.call.type(0).dtype
    exponent = power if back.call.type(1).dtype == dtype else back.op("cast", power, to=dtype)

    def base() -> str:
        less = back.op("sub", exponent, back.number(1, exponent))
        return back.op("mul", back.dy, back.op("mul", exponent, back.op("pow", x, less)))

    return _fit(back, [base, lambda: back.op("mul", back.dy, back.op("mul", back.y, back.op("log", x)))])


@differentiate_by("max", "min")
def _extreme(back: Backward) -> Gradients:
    """Those that equal the result share its gradient."""
    wide = [back.expanded(name, back.shape(back.y)) for name in back.node.inputs]
    masks = [back.mask(back.op("equal", name, back.y), back.y) for name in wide]
    count = masks[0]
    for mask in masks[1:]:
        count = back.op("add", count, mask)
    share = back.op("div", back.dy, count)
    return _fit(back, [lambda mask=mask: back.op("mul", share, mask) for mask in masks])  # type: ignore[misc]


@differentiate_by("sum", "mean")
def _sum(back: Backward) -> Gradients:
    share = back.scaled(back.dy, 1 if back.node.op == "sum" else 1 / len(back.node.inputs))
    return _fit(back, [lambda: share] * len(back.node.inputs))


@differentiate_by("where")
def _where(back: Backward) -> Gradients:
    condition, a, b = back.node.inputs
    nothing = back.number(0, back.dy)
    grads = [
        back.sum_to(back.op("where", condition, *pair), back.shape(name)) if back.wants(index) else None
        for index, name, pair in ((1, a, (back.dy, nothing)), (2, b, (nothing, back.dy)))
    ]
    return [None, *grads]


@differentiate_by("prelu")
def _prelu(back: Backward) -> Gradients:
    x, slope = back.node.inputs
    is_below = back.op("less", x, back.number(0, x))
    bent = back.op("where", is_below, back.op("mul", back.dy, slope), back.dy)
    into = back.op("where", is_below, back.op("mul", back.dy, x), back.number(0, x)) if back.wants(1) else None
    return [bent, None if into is None else back.sum_to(into, back.call.shape(1))]


@differentiate_by("cast")
def _cast(back: Backward) -> Gradients:
    source = back.call.type(0).dtype
    return [back.op("cast", back.dy, to=source) if source in FLOATS else None]


@differentiate_by("identity")
def _identity(back: Backward) -> Gradients:
    return [back.dy]


@differentiate_by("floor", "ceil", "round", "sign")
def _flat(back: Backward) -> Gradients:
    return [None]


def _square(back: Backward, name: str) -> str:
    return back.op("mul", name, name)


def _one_and(back: Backward, sign: str, name: str) -> str:
    return back.op(sign, back.number(1, name), _square(back, name))


# f′ from x and y, by which dy is multiplied.
_FACTORS: dict[str, Callable[[Backward], str]] = {
    "exp": lambda back: back.y,
    "log": lambda back: back.op("reciprocal", back.x),
    "sqrt": lambda back: back.op("div", back.number(0.5, back.y), back.y),
    "reciprocal": lambda back: back.op("neg", _square(back, back.y)),
    "neg": lambda back: back.number(-1, back.x),
    "abs": lambda back: back.op("sign", back.x),
    "sin": lambda back: back.op("cos", back.x),
    "cos": lambda back: back.op("neg", back.op("sin", back.x)),
    "tan": lambda back: _one_and(back, "add", back.y),
    "asin": lambda back: back.op("reciprocal", back.op("sqrt", _one_and(back, "sub", back.x))),
    "acos": lambda back: back.op("neg", back.op("reciprocal", back.op("sqrt", _one_and(back, "sub", back.x)))),
    "atan": lambda back: back.op("reciprocal", _one_and(back, "add", back.x)),
    "sinh": lambda back: back.op("cosh", back.x),
    "cosh": lambda back: back.op("sinh", back.x),
    "asinh": lambda back: back.op("reciprocal", back.op("sqrt", _one_and(back, "add", back.x))),
    "acosh": lambda back: back.op(
        "reciprocal", back.op("sqrt", back.op("sub", _square(back, back.x), back.number(1, back.x)))
    ),
    "atanh": lambda back: back.op("reciprocal", _one_and(back, "sub", back.x)),
    "erf": lambda back: back.scaled(back.op("exp", back.op("neg", _square(back, back.x))), 2 / math.sqrt(math.pi)),
}


@differentiate_by(*_FACTORS)
def _function(back: Backward) -> Gradients:
    return [back.op("mul", back.dy, _FACTORS[back.node.op](back))]
