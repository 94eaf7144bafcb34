"""How gradients are built in IR: one file a family, with the names of `thew.ops`; importing registers every rule."""

from thew.ops.gradients import (
    activation,
    conv,
    elementwise,
    loss,
    matmul,
    norm,
    pool,
    quantisation_aware,
    reduce,
    resize,
    shape,
)
from thew.ops.gradients.backward import Backward, Emitter

__all__ = [
    "Backward",
    "Emitter",
    "activation",
    "conv",
    "elementwise",
    "loss",
    "matmul",
    "norm",
    "pool",
    "quantisation_aware",
    "reduce",
    "resize",
    "shape",
]
