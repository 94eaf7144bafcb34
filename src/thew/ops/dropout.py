"""Dropout (Srivastava et al. 2014): the identity, unless input 2 asks for training; then it scales what it keeps.

The mask is NumPy's legacy uniform stream of the seed, as in ONNX's own reference, so that results can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from thew.dtypes import FLOATS, NATIVE
from thew.ir.graph import Array
from thew.ops.opdef import Call, Candidate, OpDef, define
from thew.ops.rules import Shape, dtype_of, same_shape, scalar_of, typed, widened


def is_training(call: Call) -> bool:
    """Whether it may drop anything: training is asked for, or not known not to be."""
    return call.has(2) and scalar_of(call, 2, "training_mode", ("bool",)) is not False


def _shapes(call: Call) -> list[Shape | None]:
    is_training(call)
    ratio = scalar_of(call, 1, "ratio", FLOATS)
    if ratio is not None and not 0 <= float(ratio) < 1:
        raise call.refuse(f"ratio must be within [0, 1), got {ratio}")
    return same_shape(call)


def _reference(
    attributes: Mapping[str, Any], x: Array, ratio: Array | None = None, training: Array | None = None
) -> list[Array]:
    if training is None or not training.reshape(-1)[0]:
        return [x, np.ones(x.shape, np.bool_)]
    share = 0.5 if ratio is None else float(ratio.reshape(-1)[0])
    seed = attributes["seed"]
    kept = np.random.RandomState(seed).uniform(0.0, 1.0, x.shape) >= share
    return [np.where(kept, widened(x) / (1 - share), 0).astype(x.dtype), np.asarray(kept)]


def _is_identity(call: Call) -> bool:
    return not is_training(call) and not any(call.node.outputs[1:])


define(
    OpDef(
        "dropout",
        typed(_shapes, dtype_of(0, among=FLOATS), "bool"),
        _reference,
        {"seed": None},
        (1, 3),
        (1, 2),
        flops=lambda call: 0,
        candidates=(Candidate("view", "strided", dtypes=NATIVE, when=_is_identity),),
        is_pure=False,
    )
)
