"""What goes in and out of a session: arguments as onnxruntime describes them, and arrays as users give them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from thew.dtypes import from_numpy, to_numpy
from thew.errors import InputError, MemoryLimitError, UnsupportedError
from thew.ir import Dim, TensorType


@dataclass(frozen=True, slots=True)
class Argument:
    """An input or output; `shape` holds names for extents known only at run time; `type` is as in onnxruntime."""

    name: str
    shape: list[Dim] | None
    type: str


def numpy_or_none(dtype: str) -> Any:
    """The NumPy dtype of a name; None for one that NumPy has none for."""
    try:
        return to_numpy(dtype)
    except UnsupportedError:
        return None


def as_array(name: str, value: Any, dtype: Any) -> Any:
    """The value as an array of the declared dtype; a Python number or list takes it, an array must have it."""
    if dtype is None or dtype.kind == "O":
        return value
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
    else:
        try:
            array = np.from_dlpack(value) if hasattr(value, "__dlpack__") else np.asarray(value, dtype)
        except (TypeError, ValueError, OverflowError, BufferError, RuntimeError) as error:
            raise InputError(
                f"input '{name}': must be an array of {from_numpy(dtype)}, got {type(value).__name__}: {error}"
            ) from error
    if array.dtype != dtype:
        raise InputError(f"input '{name}': dtype must be {from_numpy(dtype)}, got {array.dtype}; convert the array")
    return array


def contiguous(name: str, array: Any) -> Any:
    """The array in C order. Raises MemoryLimitError where a copy does not fit the memory."""
    try:
        return np.ascontiguousarray(array).reshape(array.shape)
    except MemoryError as error:
        raise MemoryLimitError(f"input '{name}': a copy in C order must fit the memory there is, {error}") from error


_ONNX_TYPES = {"fp64": "double", "fp32": "float", "fp16": "float16", "bf16": "bfloat16"}


def argument_of(name: str, found: TensorType | None) -> Argument:
    """The description of an input or output of a type, or of one that is not known."""
    if found is None:
        return Argument(name, None, "unknown")
    shape = None if found.shape is None else list(found.shape)
    return Argument(name, shape, f"tensor({_ONNX_TYPES.get(found.dtype, found.dtype)})")
