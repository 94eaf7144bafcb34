"""TensorProto to NumPy array and back.

Every count is checked before memory is taken: extents, element count, and that count times the element's size against
the bytes that are really there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from thew.dtypes import from_numpy, to_numpy
from thew.errors import ModelError
from thew.ir.graph import Array
from thew.onnx.element_types import PACKED_BITS, dtype_of, number_of
from thew.onnx.external import ExternalFiles, entries_of
from thew.onnx.limits import Budget, count_elements

EXTERNAL = 1  # TensorProto.DataLocation

# Where TensorProto keeps elements that are not raw, and how they read back; small types share a wider field.
_FIELDS: dict[str, str] = {
    "fp32": "float_data",
    "complex64": "float_data",
    "fp64": "double_data",
    "complex128": "double_data",
}
_FIELDS |= {"int64": "int64_data", "uint32": "uint64_data", "uint64": "uint64_data", "string": "string_data"}
_WIDE: dict[str, Any] = {
    "float_data": np.float32,
    "double_data": np.float64,
    "int32_data": np.int32,
    "int64_data": np.int64,
    "uint64_data": np.uint64,
}


class TensorReader:
    """Reads the tensors of one model: knows its data files and its budget."""

    def __init__(self, files: ExternalFiles, budget: Budget) -> None:
        self._files = files
        self._budget = budget

    def tensor(self, proto: Any, where: str) -> Array:
        """The array that a TensorProto holds; read-only where it shares the proto's or the file's memory."""
        dtype = dtype_of(proto.data_type, where)
        shape = tuple(proto.dims)
        count = count_elements(shape, where)
        if dtype == "string":
            return _strings(proto, shape, count, where)
        self._budget.take_bytes(count * to_numpy(dtype).itemsize, where)
        if proto.HasField("segment"):
            raise ModelError(f"{where}: tensors in segments are not in use any more, got one; store the tensor whole")
        if proto.data_location == EXTERNAL:
            buffer = self._files.read(entries_of(proto, where), _raw_bytes(dtype, count), where)
            return _from_raw(buffer, dtype, shape, count, where)
        if proto.HasField("raw_data"):
            return _from_raw(memoryview(proto.raw_data), dtype, shape, count, where)
        return _from_field(proto, dtype, shape, count, where)

    def sparse(self, proto: Any, where: str) -> Array:
        """The dense array of a SparseTensorProto."""
        shape = tuple(proto.dims)
        count = count_elements(shape, where)
        values = self.tensor(proto.values, f"{where} values")
        indices = self.tensor(proto.indices, f"{where} indices")
        self._budget.take_bytes(count * values.dtype.itemsize, where)
        if values.ndim != 1 or indices.dtype != np.int64:
            raise ModelError(
                f"{where}: a sparse tensor must have 1-d values and int64 indices, "
                f"got {values.shape} and {indices.dtype}"
            )
        entries = values.shape[0]
        if indices.shape == (entries, len(shape)) and shape:
            if np.any(indices < 0) or np.any(indices >= np.array(shape)):
                raise ModelError(f"{where}: sparse indices must lie inside {shape}")
            indices = np.ravel_multi_index(tuple(indices.T), shape).astype(np.int64)
        if indices.shape != (entries,) or np.any(indices < 0) or np.any(indices >= count):
            raise ModelError(
                f"{where}: sparse indices must be ({entries},) or ({entries}, {len(shape)}) inside {shape}, "
                f"got {indices.shape}"
            )
        try:
            dense = np.zeros(count, values.dtype)
        except MemoryError as error:
            raise ModelError(f"{where}: no memory for a dense tensor of shape {shape}") from error
        dense[indices] = values
        return np.asarray(dense.reshape(shape))


def _raw_bytes(dtype: str, count: int) -> int:
    bits = PACKED_BITS.get(dtype)
    return (count * bits + 7) // 8 if bits else count * to_numpy(dtype).itemsize


def _from_raw(buffer: memoryview, dtype: str, shape: tuple[int, ...], count: int, where: str) -> Array:
    expected = _raw_bytes(dtype, count)
    if len(buffer) != expected:
        raise ModelError(f"{where}: {dtype} tensor of shape {shape} must hold {expected} bytes, got {len(buffer)}")
    if dtype in PACKED_BITS:
        return _unpack(np.frombuffer(buffer, np.uint8), dtype, count).reshape(shape)
    if dtype == "bool":
        return np.asarray(np.frombuffer(buffer, np.uint8) != 0).reshape(shape)
    array = np.frombuffer(buffer, to_numpy(dtype)).reshape(shape)
    if sys.byteorder == "big":
        array = array.byteswap()
    return np.asarray(array)


def _unpack(packed: Array, dtype: str, count: int) -> Array:
    """Elements of less than a byte, low bits first."""
    bits = PACKED_BITS[dtype]
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    codes = ((packed[:, None] >> shifts) & ((1 << bits) - 1)).reshape(-1)[:count].astype(np.uint8)
    if dtype.startswith("int"):
        sign = 1 << (bits - 1)
        return ((codes.astype(np.int8) ^ sign) - sign).astype(to_numpy(dtype))
    return codes.astype(to_numpy(dtype)) if dtype.startswith("uint") else codes.view(to_numpy(dtype))


def _from_field(proto: Any, dtype: str, shape: tuple[int, ...], count: int, where: str) -> Array:
    field = _FIELDS.get(dtype, "int32_data")
    stored = getattr(proto, field)
    per_element = 2 if dtype.startswith("complex") else 1
    expected = _raw_bytes(dtype, count) if dtype in PACKED_BITS else count * per_element
    if len(stored) != expected:
        raise ModelError(
            f"{where}: {dtype} tensor of shape {shape} must hold {expected} entries in {field}, got {len(stored)}"
        )
    wide = np.array(stored, _WIDE[field])
    if dtype in PACKED_BITS:
        return _unpack(wide.astype(np.uint8), dtype, count).reshape(shape)
    return _NARROW.get(dtype, _by_value)(wide, to_numpy(dtype)).reshape(shape)


def _by_value(wide: Array, target: np.dtype[Any]) -> Array:
    return wide.astype(target)


def _by_bits(wide: Array, target: np.dtype[Any]) -> Array:
    return wide.astype(f"u{target.itemsize}").view(target)


def _by_pairs(wide: Array, target: np.dtype[Any]) -> Array:
    return np.asarray(wide.view(target))


_NARROW: dict[str, Callable[[Array, np.dtype[Any]], Array]] = {
    "complex64": _by_pairs,
    "complex128": _by_pairs,
    "fp16": _by_bits,
    "bf16": _by_bits,
}
_NARROW |= dict.fromkeys(("fp8e4m3fn", "fp8e4m3fnuz", "fp8e5m2", "fp8e5m2fnuz", "fp8e8m0"), _by_bits)


def _strings(proto: Any, shape: tuple[int, ...], count: int, where: str) -> Array:
    if proto.HasField("raw_data") or len(proto.string_data) != count:
        raise ModelError(
            f"{where}: string tensor of shape {shape} must hold {count} entries in string_data, "
            f"got {len(proto.string_data)}"
        )
    array = np.empty(count, np.object_)
    array[:] = [text.decode("utf-8") for text in proto.string_data]
    return array.reshape(shape)


def to_tensor(array: Array, name: str = "") -> Any:
    """The TensorProto that holds an array, its elements raw."""
    import onnx

    dtype = from_numpy(array.dtype)
    proto = onnx.TensorProto(name=name, data_type=number_of(dtype), dims=array.shape)
    if dtype == "string":
        proto.string_data.extend(str(text).encode() for text in array.reshape(-1))
    elif dtype in PACKED_BITS:
        proto.raw_data = _pack(array.reshape(-1), dtype)
    else:
        proto.raw_data = (array.byteswap() if sys.byteorder == "big" else array).tobytes()
    return proto


def _pack(array: Array, dtype: str) -> bytes:
    bits = PACKED_BITS[dtype]
    lanes = 8 // bits
    codes = array.view(np.uint8) if dtype == "fp4e2m1" else array.astype(np.int8).view(np.uint8)
    codes = np.pad(codes & ((1 << bits) - 1), (0, -len(codes) % lanes)).reshape(-1, lanes)
    packed = (codes << np.arange(0, 8, bits, dtype=np.uint8)).sum(axis=1, dtype=np.uint8)
    return bytes(packed.tobytes())
