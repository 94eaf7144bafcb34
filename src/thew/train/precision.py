"""Precision policies: which dtype computes, which one keeps the parameters, and dynamic loss scaling.

Mixed precision follows Micikevicius et al. 2018: master weights and updates stay wide, activations and gradients are
stored in 16 bits, and the loss is multiplied by a scale that is found while training, so that small gradients survive.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from thew.errors import InputError, UnsupportedError
from thew.ir.graph import Array


@dataclass(frozen=True)
class LossScaling:
    """Dynamic loss scaling: double after `interval` clean steps, halve and skip a step whose gradients overflow."""

    start: float = 2.0**16
    growth: float = 2.0
    backoff: float = 0.5
    interval: int = 2000
    least: float = 1.0
    most: float = 2.0**24

    def __post_init__(self) -> None:
        if not (0 < self.backoff < 1 < self.growth and 0 < self.least <= self.start <= self.most and self.interval > 0):
            raise InputError(
                f"LossScaling: must have 0 < backoff < 1 < growth, 0 < least ≤ start ≤ most, interval > 0, got {self}"
            )

    def first(self) -> Array:
        """The state before the first step: scale, clean steps, skipped steps."""
        return np.array([self.start, 0.0, 0.0])

    def hyper(self) -> Array:
        """What `update_loss_scale` takes."""
        return np.array([self.growth, self.backoff, self.interval, self.least, self.most], np.float64)


@dataclass(frozen=True)
class Precision:
    """A policy.

    Attributes:
        name: as users write it.
        wide: dtype of parameters, update, reductions and loss.
        half: dtype of products and activations where it differs from `wide`; empty where it does not.
        is_scaled: whether the loss is scaled.
        scaling: how.
    """

    name: str
    wide: str
    half: str = ""
    is_scaled: bool = False
    scaling: LossScaling = field(default_factory=LossScaling)

    @property
    def master(self) -> str:
        """Dtype of the parameters and optimiser states."""
        return self.wide

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The types that products may be computed in, the widest first: fp64 has fp32 between it and 16 bits."""
        return tuple(filter(None, dict.fromkeys((self.wide, "fp32" if self.half else "", self.half))))


_POLICIES = {
    "fp32": Precision("fp32", "fp32"),
    "fp64": Precision("fp64", "fp64"),
    "mixed-fp16": Precision("mixed-fp16", "fp32", "fp16", True),
    "mixed-bf16": Precision("mixed-bf16", "fp32", "bf16"),
    "mixed-fp64-fp16": Precision("mixed-fp64-fp16", "fp64", "fp16", True),
}
PRECISIONS = tuple(_POLICIES)


def precision_of(name: str, scaling: LossScaling | None = None) -> Precision:
    """The policy of that name. Raises UnsupportedError where there is none."""
    if name not in _POLICIES:
        raise UnsupportedError(f"precision: must be one of {', '.join(_POLICIES)}, got {name!r}")
    found = _POLICIES[name]
    if scaling is None:
        return found
    return Precision(found.name, found.wide, found.half, found.is_scaled, scaling)
