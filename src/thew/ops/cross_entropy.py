"""softmax_cross_entropy: the loss of logits against class numbers, and its gradient for the logits in the same pass.

With p = softmax(logits) along axis 1 and the smoothed target t = (1 − s) · onehot + s / c (Szegedy et al. 2016), a
sample loses −Σ w_j t_j log p_j and its gradient is (Σ w_j t_j) · p − w · t. "mean" divides the sum by Σ w of the
labels, as PyTorch does, "sum" by nothing. A sample whose label is ignore_index counts for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import FLOATS
from thew.errors import ModelError
from thew.ir.graph import Array
from thew.ops.opdef import Call, Candidate, OpDef, define
from thew.ops.rules import Shape, dtype_of, rank_at_least, typed, widened
from thew.ops.softmax import log_softmax


def _shapes(call: Call) -> list[Shape | None]:
    shape = rank_at_least(call, 2)
    labels = (shape[0], *shape[2:])
    if call.shape(1) != labels or call.type(1).dtype not in ("int64", "int32"):
        raise call.refuse(f"labels must be int64 or int32 of shape {labels}, got {call.type(1)}")
    if call.has(2) and call.shape(2) != (shape[1],):
        raise call.refuse(f"weights must have shape ({shape[1]},), got {call.shape(2)}")
    if call.attribute("reduction") not in ("mean", "sum"):
        raise call.refuse(f"reduction must be mean or sum, got {call.attribute('reduction')!r}")
    if not 0 <= call.attribute("label_smoothing") <= 1:
        raise call.refuse(f"label_smoothing must be within [0, 1], got {call.attribute('label_smoothing')}")
    return [(), shape]


def _reference(
    attributes: Mapping[str, Any], logits: Array, labels: Array, weights: Array | None = None
) -> list[Array]:
    classes, wanted = logits.shape[1], labels.astype(np.int64)
    is_kept = wanted != attributes["ignore_index"]
    if np.any(is_kept & ((wanted < 0) | (wanted >= classes))):
        raise ModelError(
            f"softmax_cross_entropy: labels must be within [0, {classes - 1}] or ignore_index, got {wanted.min()} to "
            f"{wanted.max()}"
        )
    log_probability = log_softmax({"axis": 1}, widened(logits))[0]
    place = np.where(is_kept, wanted, 0)
    by_class = np.ones(classes) if weights is None else widened(weights)
    smoothing = attributes["label_smoothing"]
    onehot = np.moveaxis(np.eye(classes)[place], -1, 1)
    target = (1 - smoothing) * onehot + smoothing / max(classes, 1)
    target *= by_class.reshape(1, -1, *(1,) * (logits.ndim - 2)) * is_kept[:, None]
    divisor = (by_class[place] * is_kept).sum() if attributes["reduction"] == "mean" else 1.0
    terms = np.where(target == 0, 0.0, target * log_probability)  # 0 · −∞ is nothing
    gradient = target.sum(axis=1, keepdims=True) * np.exp(log_probability) - target
    gradient = np.where(is_kept[:, None], gradient / divisor, 0)
    return [np.asarray(-terms.sum() / divisor).astype(logits.dtype), gradient.astype(logits.dtype)]


define(
    OpDef(
        "softmax_cross_entropy",
        typed(_shapes, dtype_of(0, 2, among=FLOATS)),
        _reference,
        {"ignore_index": -100, "label_smoothing": 0.0, "reduction": "mean"},
        (2, 3),
        (2, 2),
        flops=lambda call: 6 * prod(call.shape(0)),
        candidates=(Candidate("cross_entropy", "strided"),),
    )
)
