"""A model file without the bytes of its large weights, which are then read one by one, straight to where they stay.

Parsing a file whole takes it three times: its bytes, the parsed message, the weights. Here the file is walked field by
field (Protocol Buffers' wire format), what is large and raw among the initializers is left out, and each is told where
it lies as ONNX tells it of external data. What is not as expected is left to the parser, which says what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from thew.ir.pages import LEAST_BYTES

INSIDE = "\0"  # the location that stands for the file itself; no path can be that
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_GRAPH, _INITIALIZER = 7, 5  # fields of ModelProto, GraphProto
_RAW, _EXTERNAL, _LOCATION = 9, 13, 14  # of TensorProto
_MOST_VARINT = 10


class _Unexpected(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a message, by places in the file: all of it, and what it holds where its length is written."""

    number: int
    wire: int
    first: int
    begin: int
    end: int


def skeleton_of(file: BinaryIO, size: int) -> bytes | None:
    """The file's bytes without its large weights; None where it is to be parsed whole."""
    try:
        return b"".join(_model(file, size))
    except _Unexpected:
        return None


def _model(file: BinaryIO, size: int) -> Iterator[bytes]:
    fields = list(_fields(file, 0, size))
    if sum(field.number == _GRAPH for field in fields) != 1:
        raise _Unexpected
    for field in fields:
        if field.number == _GRAPH and field.wire == _BYTES:
            yield _message(_GRAPH, b"".join(_graph(file, field)))
        else:
            yield _read(file, field.first, field.end)


def _graph(file: BinaryIO, graph: _Field) -> Iterator[bytes]:
    for field in _fields(file, graph.begin, graph.end):
        large = field.number == _INITIALIZER and field.wire == _BYTES and field.end - field.begin >= LEAST_BYTES
        yield (_tensor(file, field) if large else None) or _read(file, field.first, field.end)


def _tensor(file: BinaryIO, tensor: _Field) -> bytes | None:
    fields = list(_fields(file, tensor.begin, tensor.end))
    raw = [field for field in fields if field.number == _RAW and field.wire == _BYTES]
    if len(raw) != 1 or any(field.number in (_EXTERNAL, _LOCATION) for field in fields):
        return None
    where = {"location": INSIDE, "offset": str(raw[0].begin), "length": str(raw[0].end - raw[0].begin)}
    entries = [
        _message(_EXTERNAL, _message(1, key.encode()) + _message(2, value.encode())) for key, value in where.items()
    ]
    others = [_read(file, field.first, field.end) for field in fields if field is not raw[0]]
    return _message(_INITIALIZER, b"".join([*others, *entries, _varint(_LOCATION << 3 | _VARINT), b"\1"]))


def _fields(file: BinaryIO, begin: int, end: int) -> Iterator[_Field]:
    at = begin
    while at < end:
        first = at
        key, at = _read_varint(file, at)
        number, wire = key >> 3, key & 7
        inside = at
        if wire == _VARINT:
            _, at = _read_varint(file, at)
        elif wire in (_FIXED32, _FIXED64):
            at += 4 if wire == _FIXED32 else 8
        elif wire == _BYTES:
            length, inside = _read_varint(file, at)
            at = inside + length
        else:
            raise _Unexpected
        if at > end:
            raise _Unexpected
        yield _Field(number, wire, first, inside, at)


def _read(file: BinaryIO, begin: int, end: int) -> bytes:
    file.seek(begin)
    found = file.read(end - begin)
    if len(found) != end - begin:
        raise _Unexpected
    return found


def _read_varint(file: BinaryIO, at: int) -> tuple[int, int]:
    file.seek(at)
    value = 0
    for place, byte in enumerate(file.read(_MOST_VARINT)):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise _Unexpected


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*parts, value))


def _message(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content
