"""What users hand to a `Trainer`, checked before anything is made of it: each rule raises InputError."""

from __future__ import annotations

from typing import Any

import numpy as np

from thew.errors import InputError
from thew.ir.graph import Array


def check(name: str, value: Any, kind: Any, rule: str, holds: bool = True) -> None:
    """Refuses an argument that is not of a kind, or for which more does not hold."""
    if not isinstance(value, kind) or not holds:
        raise InputError(f"Trainer: {name} must be {rule}, got {value!r}")


def sample_shape(given: Any) -> tuple[int, ...] | None:
    """The shape of one sample, where one is given."""
    try:
        shape = None if given is None else tuple(int(extent) for extent in given)
    except (TypeError, ValueError):
        shape = (0,)
    if shape is not None and not all(extent > 0 for extent in shape):
        raise InputError(f"Trainer: input_shape must be the shape of one sample, as (1, 28, 28), got {given!r}")
    return shape


def numbers(name: str, given: Any) -> Array:
    """What was given as an array of numbers."""
    try:
        array = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists; tensors that need their gradient
        raise InputError(f"{name}: must be an array of numbers, got {type(given).__name__}: {error}") from error
    if array.dtype.kind in "OSUcmM":
        raise InputError(f"{name}: must be an array of numbers, got {type(given).__name__} of {array.dtype}")
    return array
