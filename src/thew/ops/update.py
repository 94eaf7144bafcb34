"""Updates of parameters: update_<method>(param, grad, hyper, factor?, states…) → (next param, next states…).

One pass over a parameter does all that an optimiser does. `hyper` is an fp64 vector of the numbers that HYPER names, in
that order: an input, so that a schedule changes no plan. Every method starts with g = clamp(grad · factor, ±clip) (an
absent factor is 1); a factor of 0 skips the step: every output equals its input. Outputs may lie exactly on the inputs
whose next values they are. `step` counts from 1 the updates made, this one included.

The gradient of a matrix may be given as a product: `grad` is then its left factor, and the right one comes last, behind
the numbers (`right_factor`).

Definitions are those of PyTorch's optimisers: SGD with Nesterov momentum (Sutskever et al. 2013), Adam (Kingma and Ba
2015), AdamW (`decoupled`; Loshchilov and Hutter 2019), RMSprop (Tieleman and Hinton 2012), Adagrad (Duchi et al. 2011),
Nadam (Dozat 2016).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import FLOATS
from thew.ir.graph import Array, Attribute
from thew.ops.opdef import Call, Candidate, OpDef, define
from thew.ops.rules import Shape, dtype_of, typed, widened

FIRST_STATE = 4

HYPER: Mapping[str, tuple[str, ...]] = {
    "update_sgd": ("lr", "weight_decay", "clip", "momentum"),
    "update_adam": ("lr", "weight_decay", "clip", "beta1", "beta2", "epsilon"),
    "update_rmsprop": ("lr", "weight_decay", "clip", "alpha", "epsilon", "momentum"),
    "update_adagrad": ("lr", "weight_decay", "clip", "epsilon", "lr_decay"),
    "update_nadam": ("lr", "weight_decay", "clip", "beta1", "beta2", "epsilon", "momentum_decay"),
}
# What follows the factor: states like the parameter (a * marks what may be absent), then single fp64 numbers. The
# outputs are the next param and states, and the next `product`.
STATES: Mapping[str, tuple[str, ...]] = {
    "update_sgd": ("velocity*",),
    "update_adam": ("mean", "square"),
    "update_rmsprop": ("square", "velocity*", "middle*"),
    "update_adagrad": ("square",),
    "update_nadam": ("mean", "square"),
}
NUMBERS: Mapping[str, tuple[str, ...]] = {
    "update_sgd": (),
    "update_adam": ("step",),
    "update_rmsprop": (),
    "update_adagrad": ("step",),
    "update_nadam": ("product", "step"),
}
_ATTRIBUTES: Mapping[str, Mapping[str, Attribute]] = {
    "update_sgd": {"nesterov": 0},
    "update_adam": {"decoupled": 0},
    "update_rmsprop": {},
    "update_adagrad": {},
    "update_nadam": {"decoupled": 0},
}
Hyper = Mapping[str, float]
Results = Sequence[Array | None]


def right_factor(op: str) -> int:
    """The input that is the right factor of the gradient, where that is given as a product."""
    return FIRST_STATE + len(STATES[op]) + len(NUMBERS[op])


def _check_product(call: Call, right: int) -> None:
    (*left, depth), shape = call.shape(1), call.shape(right)
    if len(left) != 1 or len(shape) != 2 or depth != shape[0] or (*left, shape[1]) != call.shape(0):
        wanted, got = f"(m, k) by (k, n) for {call.shape(0)}", f"{call.shape(1)} by {shape}"
        raise call.refuse(f"a gradient given as a product must be {wanted}, got {got}")


def _shapes(call: Call) -> list[Shape | None]:
    op, shape = call.node.op, call.shape(0)
    states, numbers = STATES[op], NUMBERS[op]
    is_product = call.has(right_factor(op))
    if is_product:
        _check_product(call, right_factor(op))
    for position, name in enumerate(("grad", *states)):
        index = FIRST_STATE + position - 1 if position else 1
        if is_product and name == "grad":
            continue
        if (not name.endswith("*") or call.has(index)) and call.shape(index) != shape:
            raise call.refuse(f"{name} must have the parameter's shape {shape}, got {call.shape(index)}")
        if name.endswith("*") and not call.has(index) and any(call.node.outputs[position : position + 1]):
            raise call.refuse(f"output {position} must be absent where {name[:-1]} is, got a name")
    singles = [(FIRST_STATE + len(states) + position, 1) for position in range(len(numbers))]
    for index, wanted in ((2, len(HYPER[op])), *singles, *([(3, 1)] if call.has(3) else ())):
        if call.shape(index) != (wanted,) or call.type(index).dtype != "fp64":
            raise call.refuse(f"input {index} must be fp64 of shape ({wanted},), got {call.type(index)}")
    return [*[shape] * (1 + len(states)), *([(1,)] if "product" in numbers else [])]


def _sgd(given: Mapping[str, Any], hyper: Hyper, w: Array, g: Array, velocity: Array | None) -> Results:
    g = g + hyper["weight_decay"] * w
    if velocity is None:
        return w - hyper["lr"] * g, None
    velocity = hyper["momentum"] * velocity + g
    g = g + hyper["momentum"] * velocity if given["nesterov"] else velocity
    return w - hyper["lr"] * g, velocity


def _decayed(given: Mapping[str, Any], hyper: Hyper, w: Array, g: Array) -> tuple[Array, Array]:
    """The parameter and gradient after weight decay, which is added to one or the other."""
    if given["decoupled"]:
        return w * (1 - hyper["lr"] * hyper["weight_decay"]), g
    return w, g + hyper["weight_decay"] * w


def _moments(hyper: Hyper, g: Array, mean: Array, square: Array) -> tuple[Array, Array]:
    mean = hyper["beta1"] * mean + (1 - hyper["beta1"]) * g
    return mean, hyper["beta2"] * square + (1 - hyper["beta2"]) * g * g


def _adam(
    given: Mapping[str, Any], hyper: Hyper, w: Array, g: Array, mean: Array, square: Array, step: Array
) -> Results:
    w, g = _decayed(given, hyper, w, g)
    mean, square = _moments(hyper, g, mean, square)
    root = np.sqrt(square / (1 - hyper["beta2"] ** step)) + hyper["epsilon"]
    return w - hyper["lr"] / (1 - hyper["beta1"] ** step) * mean / root, mean, square


def _rmsprop(
    given: Mapping[str, Any],
    hyper: Hyper,
    w: Array,
    g: Array,
    square: Array,
    velocity: Array | None,
    middle: Array | None,
) -> Results:
    g = g + hyper["weight_decay"] * w
    square = hyper["alpha"] * square + (1 - hyper["alpha"]) * g * g
    spread = square
    if middle is not None:  # centred: the variance of the gradient in place of its square
        middle = hyper["alpha"] * middle + (1 - hyper["alpha"]) * g
        spread = square - middle * middle
    change = g / (np.sqrt(spread) + hyper["epsilon"])
    if velocity is not None:
        velocity = change = hyper["momentum"] * velocity + change
    return w - hyper["lr"] * change, square, velocity, middle


def _adagrad(given: Mapping[str, Any], hyper: Hyper, w: Array, g: Array, square: Array, step: Array) -> Results:
    g = g + hyper["weight_decay"] * w
    square = square + g * g
    rate = hyper["lr"] / (1 + (step - 1) * hyper["lr_decay"])
    return w - rate * g / (np.sqrt(square) + hyper["epsilon"]), square


def _nadam(
    given: Mapping[str, Any],
    hyper: Hyper,
    w: Array,
    g: Array,
    mean: Array,
    square: Array,
    product: Array,
    step: Array,
) -> Results:
    w, g = _decayed(given, hyper, w, g)
    mean, square = _moments(hyper, g, mean, square)
    now, later = (hyper["beta1"] * (1 - 0.5 * 0.96 ** (t * hyper["momentum_decay"])) for t in (step, step + 1))
    product = product * now
    root = np.sqrt(square / (1 - hyper["beta2"] ** step)) + hyper["epsilon"]
    along = g * (1 - now) / (1 - product) + mean * later / (1 - product * later)
    return w - hyper["lr"] * along / root, mean, square, product


_FUNCTIONS: Mapping[str, tuple[Callable[..., Results], int]] = {  # with operations an element
    "update_sgd": (_sgd, 6),
    "update_adam": (_adam, 14),
    "update_rmsprop": (_rmsprop, 12),
    "update_adagrad": (_adagrad, 9),
    "update_nadam": (_nadam, 16),
}


def _define(name: str, function: Callable[..., Results], flops: int) -> None:
    count = len(STATES[name]) + len(NUMBERS[name])
    changing = 1 + len(STATES[name]) + ("product" in NUMBERS[name])

    def reference(
        given: Mapping[str, Any],
        param: Array,
        grad: Array,
        hyper: Array,
        factor: Array | None = None,
        *rest: Array | None,
    ) -> list[Any]:
        states, right = rest[:count], rest[count] if len(rest) > count else None
        old = [param, *states, *[None] * (count - len(states))]
        scale = 1.0 if factor is None else float(factor[0])
        if scale == 0:
            return [None if array is None else array.copy() for array in old[:changing]]
        named = dict(zip(HYPER[name], map(float, hyper), strict=True))
        whole = widened(grad) if right is None else widened(grad) @ widened(right)
        gradient = np.clip(whole * scale, -named["clip"], named["clip"])
        results = function(given, named, widened(param), gradient, *(a if a is None else widened(a) for a in old[1:]))
        pairs = zip(results, old, strict=False)
        return [
            None if value is None or before is None else value.astype(before.dtype).reshape(before.shape)
            for value, before in pairs
        ]

    states = range(FIRST_STATE, FIRST_STATE + len(STATES[name]))
    define(
        OpDef(
            name,
            typed(_shapes, *[dtype_of(0, *states, right_factor(name), among=FLOATS)] * (1 + len(states)), "fp64"),
            reference,
            _ATTRIBUTES[name],
            (3, right_factor(name) + 1),
            (1, changing),
            flops=lambda call: flops * prod(call.shape(0)),
            candidates=(Candidate("update", "fused", "plain"),),
            updates=((0, 0), *((i, FIRST_STATE - 1 + i) for i in range(1, changing))),
        )
    )


for _name, (_function, _operations) in _FUNCTIONS.items():
    _define(_name, _function, _operations)
