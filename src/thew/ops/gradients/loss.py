"""Gradient of softmax_cross_entropy: its second output, times the gradient of the loss."""

from __future__ import annotations

from thew.ops.gradients.backward import Backward, Gradients
from thew.ops.opdef import differentiate_by


@differentiate_by("softmax_cross_entropy")
def _softmax_cross_entropy(back: Backward) -> Gradients:
    if back.gradients[1] is not None:
        raise back.refuse("its second output is a gradient already")
    return [back.op("mul", back.node.outputs[1], back.dy), *[None] * (len(back.node.inputs) - 1)]
