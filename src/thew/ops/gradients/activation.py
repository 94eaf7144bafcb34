"""Gradients of activations, softmax and log_softmax."""

from __future__ import annotations

from thew.ops.activation import ACTIVATIONS, activation_of
from thew.ops.activation_grad import DERIVATIVES
from thew.ops.gradients.backward import Backward, Gradients
from thew.ops.opdef import differentiate_by


@differentiate_by(*(name for name in ACTIVATIONS if name not in ("clip", "gelu_tanh")))
def _activation(back: Backward) -> Gradients:
    found = activation_of(back.node.op, back.node.attributes)
    assert found is not None
    return [_through(back, *found)]


def _through(back: Backward, name: str, parameters: tuple[float, ...]) -> str:
    seen = back.y if DERIVATIVES[name].of_output else back.x
    return back.op("activation_grad", back.dy, seen, activation=name, activation_parameters=parameters)


@differentiate_by("clip")
def _clip(back: Backward) -> Gradients:
    bounds = []
    for index, default in ((1, float("-inf")), (2, float("inf"))):
        value = back.call.value(index)
        if back.call.has(index) and value is None:
            raise back.refuse(f"input {index}, a bound, must be constant")
        bounds.append(default if value is None else float(value.reshape(())))
    return [_through(back, "clip", (bounds[0], bounds[1]))]


@differentiate_by("softmax")
def _softmax(back: Backward) -> Gradients:
    """dx = y · (dy − Σ dy · y)."""
    total = back.summed(back.op("mul", back.dy, back.y), [back.call.attribute("axis")], keep=True)
    return [back.op("mul", back.op("sub", back.dy, total), back.y)]


@differentiate_by("log_softmax")
def _log_softmax(back: Backward) -> Gradients:
    """dx = dy − e^y · Σ dy."""
    total = back.summed(back.dy, [back.call.attribute("axis")], keep=True)
    return [back.op("sub", back.dy, back.op("mul", back.op("exp", back.y), total))]


@differentiate_by("dropout_training")
def _dropout_training(back: Backward) -> Gradients:
    return [back.op("dropout_training", back.dy, *back.node.inputs[1:], **back.node.attributes), None, None]


@differentiate_by("dropout")
def _dropout(back: Backward) -> Gradients:
    if back.call.has(2):
        raise back.refuse("in training it must be drawn by counter, as dropout_training")
    return [back.dy, None, None]
