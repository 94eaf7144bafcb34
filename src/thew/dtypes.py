"""The vocabulary of element types: one short name each, the same in Python, in text and in native code."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from thew.errors import UnsupportedError

_NUMPY: dict[str, Any] = {
    "fp64": np.float64,
    "fp32": np.float32,
    "fp16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "int64": np.int64,
    "int32": np.int32,
    "int16": np.int16,
    "int8": np.int8,
    "uint64": np.uint64,
    "uint32": np.uint32,
    "uint16": np.uint16,
    "uint8": np.uint8,
    "bool": np.bool_,
    "complex64": np.complex64,
    "complex128": np.complex128,
    "string": np.object_,
    "fp8e4m3fn": ml_dtypes.float8_e4m3fn,
    "fp8e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "fp8e5m2": ml_dtypes.float8_e5m2,
    "fp8e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "fp8e8m0": ml_dtypes.float8_e8m0fnu,
    "fp4e2m1": ml_dtypes.float4_e2m1fn,
    "int4": ml_dtypes.int4,
    "uint4": ml_dtypes.uint4,
    "int2": ml_dtypes.int2,
    "uint2": ml_dtypes.uint2,
}
_NAMES = {np.dtype(numpy_type): name for name, numpy_type in _NUMPY.items()}

NATIVE = (
    "fp64",
    "fp32",
    "fp16",
    "bf16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint64",
    "uint32",
    "uint16",
    "uint8",
    "bool",
)
FLOATS = ("fp64", "fp32", "fp16", "bf16")
HALVES = ("fp16", "bf16")  # stored in 16 bits, computed wider


def to_numpy(dtype: str) -> np.dtype[Any]:
    """The NumPy dtype of a name. Raises UnsupportedError for a name that is not in the vocabulary."""
    if dtype not in _NUMPY:
        raise UnsupportedError(f"dtype {dtype!r}: must be one of {', '.join(_NUMPY)}")
    found: np.dtype[Any] = np.dtype(_NUMPY[dtype])
    return found


def from_numpy(dtype: Any) -> str:
    """The name of a NumPy dtype; every kind of text is ``string``."""
    dtype = np.dtype(dtype)
    if dtype.kind in "US":
        return "string"
    if dtype not in _NAMES:
        raise UnsupportedError(f"dtype {dtype}: Thew has no name for it; it knows {', '.join(_NUMPY)}")
    return _NAMES[dtype]


def size_bytes(dtype: str) -> int:
    """Bytes of one element."""
    return to_numpy(dtype).itemsize
