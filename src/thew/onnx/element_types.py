"""ONNX's numbers for element types, and Thew's names for them.

The numbers are written out, so that a model with a type newer than the installed `onnx` package is still named in the
error.
"""

from __future__ import annotations

from thew.errors import ModelError, UnsupportedError

NAMES: dict[int, str] = {
    1: "fp32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "fp16",
    11: "fp64",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
    16: "bf16",
    17: "fp8e4m3fn",
    18: "fp8e4m3fnuz",
    19: "fp8e5m2",
    20: "fp8e5m2fnuz",
    21: "uint4",
    22: "int4",
    23: "fp4e2m1",
    24: "fp8e8m0",
    25: "uint2",
    26: "int2",
}
NUMBERS = {name: number for number, name in NAMES.items()}
PACKED_BITS = {"uint4": 4, "int4": 4, "fp4e2m1": 4, "uint2": 2, "int2": 2}


def dtype_of(number: int, where: str) -> str:
    """The name of an ONNX element type."""
    if number in NAMES:
        return NAMES[number]
    if number == 0:
        raise ModelError(f"{where}: must have an element type, got 0 (undefined)")
    raise UnsupportedError(f"{where}: element type must be one of ONNX's 1 to {max(NAMES)}, got {number}")


def number_of(dtype: str) -> int:
    """ONNX's number for a dtype."""
    if dtype not in NUMBERS:
        raise UnsupportedError(f"dtype {dtype!r}: ONNX has no such element type")
    return NUMBERS[dtype]
