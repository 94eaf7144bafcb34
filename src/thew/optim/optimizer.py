"""`Optimizer`: which update op a method is, the numbers that it hands to it, and the states that it keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from thew.errors import InputError
from thew.ir.graph import Array
from thew.ops.update import HYPER, NUMBERS, STATES

_NUMBER = int | float | np.floating


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """What all methods share.

    Attributes:
        lr: learning rate; a schedule multiplies it.
        weight_decay: L2 penalty, or decoupled decay where the method says so.
        clip_norm: gradients are scaled so that the norm of all of them together is at most this.
        clip_value: every element of a gradient is clamped to ±this, after clip_norm.
    """

    op: ClassVar[str]

    lr: float
    weight_decay: float = 0.0
    clip_norm: float | None = None
    clip_value: float | None = None

    def __post_init__(self) -> None:
        for name, value in self.hyperparameters().items():
            if not isinstance(value, _NUMBER) or math.isnan(value) or value < 0:
                raise InputError(f"{type(self).__name__}: {name} must be at least 0, got {value!r}")
        for name in ("clip_norm", "clip_value"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, _NUMBER) and value > 0):
                raise InputError(f"{type(self).__name__}: {name} must be above 0 or None, got {value!r}")

    def hyperparameters(self) -> dict[str, float]:
        """The numbers by the names of `thew.ops.update.HYPER`."""
        known = {"clip": math.inf if self.clip_value is None else self.clip_value}
        return {name: known[name] if name in known else getattr(self, name) for name in HYPER[self.op]}

    def hyper(self, factor: float = 1.0) -> Array:
        """The vector that the update takes, with the learning rate times a schedule's factor."""
        values = self.hyperparameters()
        return np.array([values["lr"] * factor, *list(values.values())[1:]], np.float64)

    def attributes(self) -> Mapping[str, int]:
        """Attributes of the update op."""
        return {}

    def kept(self) -> tuple[str, ...]:
        """The states beside each parameter that this description needs, as `STATES` names them."""
        return tuple(name for name in STATES[self.op] if not name.endswith("*"))

    def numbers(self) -> tuple[str, ...]:
        """The single numbers that the update takes after its states."""
        return NUMBERS[self.op]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON: the method's name and its arguments."""
        values = {
            name: value.item() if isinstance(value, np.generic) else value for name, value in asdict(self).items()
        }
        return {"method": type(self).__name__, **values}
