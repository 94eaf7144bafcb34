"""The safetensors format: tensors by name in one file that holds nothing but data.

Eight bytes with the length of the header (little-endian), the header in JSON, the tensors in C order one behind
another. The header gives each tensor's dtype, shape and span of bytes, and texts under ``__metadata__``. Files are not
trusted: spans must lie side by side and fill the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from thew.dtypes import from_numpy, size_bytes, to_numpy
from thew.errors import CheckpointError
from thew.ir.graph import Array

_CODES = {
    "fp64": "F64",
    "fp32": "F32",
    "fp16": "F16",
    "bf16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}
_NAMES = {code: name for name, code in _CODES.items()}
_MOST_HEADER_BYTES = 100_000_000


def pack(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """The bytes of a file."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    parts, offset = [], 0
    for name, array in tensors.items():
        data = np.ascontiguousarray(array).tobytes()
        span = [offset, offset + len(data)]
        header[name] = {"dtype": _CODES[from_numpy(array.dtype)], "shape": list(array.shape), "data_offsets": span}
        parts.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def unpack(data: bytes, where: str) -> tuple[dict[str, Array], dict[str, str]]:
    """Tensors, which are copies, and metadata of a file. Raises CheckpointError where it is malformed."""
    try:
        length = int.from_bytes(data[:8], "little")
        if len(data) < 8 or length > min(_MOST_HEADER_BYTES, len(data) - 8):
            raise CheckpointError(f"{where}: header must lie within the file, got {length} of {len(data)} bytes")
        header = json.loads(data[8 : 8 + length])
        metadata = {str(key): str(value) for key, value in header.pop("__metadata__", {}).items()}
        body, end, tensors = memoryview(data)[8 + length :], 0, {}
        for name, fields in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            dtype, shape = _NAMES[fields["dtype"]], tuple(fields["shape"])
            begin, stop = fields["data_offsets"]
            if begin != end or stop - begin != prod(shape) * size_bytes(dtype) or stop > len(body):
                raise CheckpointError(
                    f"{where}: tensor '{name}' must follow the one before it, got bytes {begin}-{stop}"
                )
            tensors[name] = np.frombuffer(body[begin:stop], to_numpy(dtype)).reshape(shape).copy()
            end = stop
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{where}: must be a safetensors file, got {type(error).__name__}: {error}") from error
    if end != len(body):
        raise CheckpointError(f"{where}: tensors must fill the file, got {len(body) - end} bytes more")
    return tensors, metadata
