"""Losses over classes: negative_log_likelihood_loss, softmax_cross_entropy_loss; input (n, c, d…), target (n, d…)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from thew.dtypes import FLOATS
from thew.errors import ModelError
from thew.ir.graph import Array, Attribute
from thew.ops.opdef import Call, OpDef, define
from thew.ops.rules import Shape, dtype_of, rank_at_least, typed, widened
from thew.ops.softmax import log_softmax

_LOSS: Mapping[str, Attribute] = {"ignore_index": None, "reduction": "mean"}
_REDUCTIONS = ("none", "sum", "mean")


def _shapes(call: Call) -> list[Shape | None]:
    shape = rank_at_least(call, 2)
    target = (shape[0], *shape[2:])
    if call.shape(1) != target:
        raise call.refuse(f"target must have shape {target}, got {call.shape(1)}")
    if call.has(2) and call.shape(2) != (shape[1],):
        raise call.refuse(f"weight must have shape ({shape[1]},), got {call.shape(2)}")
    if call.attribute("reduction") not in _REDUCTIONS:
        raise call.refuse(f"reduction must be one of {', '.join(_REDUCTIONS)}, got {call.attribute('reduction')!r}")
    return [target if call.attribute("reduction") == "none" else (), shape]


def _loss(attributes: Mapping[str, Any], log_probability: Array, target: Array, weight: Array | None) -> Array:
    """The reduced loss in fp64, from log-probabilities in fp64."""
    classes, ignored = log_probability.shape[1], attributes["ignore_index"]
    wanted = target.astype(np.int64)
    is_kept = np.ones(target.shape, np.bool_) if ignored is None else wanted != ignored
    if np.any(is_kept & ((wanted < 0) | (wanted >= classes))):
        raise ModelError(
            f"loss: targets must be within [0, {classes - 1}] or ignore_index, got {wanted.min()} to {wanted.max()}"
        )
    place = np.where(is_kept, wanted, 0)
    chosen = np.take_along_axis(log_probability, place[:, None], 1)[:, 0] if place.size else np.zeros(place.shape)
    factor = np.where(is_kept, 1.0 if weight is None else widened(weight)[place], 0.0)
    losses = np.where(is_kept, -chosen * factor, 0.0)
    if attributes["reduction"] == "none":
        return losses
    return np.asarray(losses.sum() / (factor.sum() if attributes["reduction"] == "mean" else 1.0))


def _negative_log_likelihood(
    attributes: Mapping[str, Any], x: Array, target: Array, weight: Array | None = None
) -> list[Array]:
    return [_loss(attributes, widened(x), target, weight).astype(x.dtype)]


def _cross_entropy(attributes: Mapping[str, Any], x: Array, target: Array, weight: Array | None = None) -> list[Array]:
    log_probability = log_softmax({"axis": 1}, widened(x))[0]
    return [_loss(attributes, log_probability, target, weight).astype(x.dtype), log_probability.astype(x.dtype)]


_infer = typed(_shapes, dtype_of(0, 2, among=FLOATS))
define(OpDef("negative_log_likelihood_loss", _infer, _negative_log_likelihood, _LOSS, (2, 3)))
define(OpDef("softmax_cross_entropy_loss", _infer, _cross_entropy, _LOSS, (2, 3), (1, 2)))
