"""Graphs as text: `print_graph` writes what `parse_graph` (parse.py) reads back.

    graph lenet5(%x: fp32[n,1,28,28]) -> (%y) {
      const %w: fp32[6,1,5,5] = sha256:0d55f7a1c1e2b3d4
      %y: fp32[n,6,24,24] = conv(%x, %w) {strides=[1,1]} "conv1"
    }

A value is `%name`, quoted as JSON where the name is odd; an absent optional input or output is `_`. Constants of a few
elements are written out; larger ones are known by a prefix of the SHA-256 of their bytes, or in base64 where `data` is
set. Attributes are integers, floats, strings, booleans, lists of these, tensors and graphs.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from thew.dtypes import from_numpy
from thew.errors import ModelError
from thew.ir.graph import Array, Graph, Node, TensorType

INLINE_ELEMENTS = 16  # constants up to this size are written out
DIGEST_DIGITS = 16  # hexadecimal digits of the SHA-256 that stand for a larger one
_BARE = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./]*\Z")
_SYMBOL = re.compile(r"(?!inf\Z|nan\Z)[A-Za-z_][A-Za-z0-9_./]*\Z")


def print_graph(graph: Graph, data: bool = False) -> str:
    """The graph as text; with `data`, all constants are written out, so that the text stands alone."""
    return "\n".join(_graph_lines(graph, data)) + "\n"


def _graph_lines(graph: Graph, data: bool) -> Iterator[str]:
    inputs = ", ".join(f"{_value(value.name)}: {_type(value.type)}" for value in graph.inputs)
    outputs = ", ".join(map(_value, graph.outputs))
    yield f"graph {_name(graph.name)}({inputs}) -> ({outputs}) {{"
    for name, array in graph.constants.items():
        yield f"  const {_value(name)}: {_tensor(array, data)}"
    for node in graph.nodes:
        yield "  " + _node(graph, node, data)
    yield "}"


def _node(graph: Graph, node: Node, data: bool) -> str:
    results = []
    for output in node.outputs:
        known = graph.types.get(output) if output else None
        results.append(_value(output) + (f": {_type(known)}" if known else ""))
    text = f"{', '.join(results)} = {_name(node.op)}({', '.join(map(_value, node.inputs))})"
    if node.attributes:
        pairs = (f"{_name(key)}={_attribute(value, data)}" for key, value in node.attributes.items())
        text += f" {{{', '.join(pairs)}}}"
    return text + (f" {json.dumps(node.name)}" if node.name else "")


def _name(name: str) -> str:
    return name if _BARE.match(name) else json.dumps(name)


def _value(name: str) -> str:
    return f"%{_name(name)}" if name else "_"


def _type(tensor: TensorType) -> str:
    if tensor.shape is None:
        return f"{tensor.dtype}[...]"
    dims = (str(dim) if isinstance(dim, int) or _SYMBOL.match(dim) else json.dumps(dim) for dim in tensor.shape)
    return f"{tensor.dtype}[{','.join(dims)}]"


def _attribute(value: Any, data: bool) -> str:
    if isinstance(value, Graph):
        return "\n  ".join(_graph_lines(value, data=True))  # its constants are not among those given to the parser
    if isinstance(value, np.ndarray):
        return f"tensor {_tensor(value, data=True)}"  # it has no name by which to pass it to the parser
    if isinstance(value, tuple | list):
        return f"[{', '.join(_attribute(item, data) for item in value)}]"
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return repr(float(value))
    raise ModelError(f"attribute {value!r}: must be a number, text, a list of these, a tensor or a graph to be printed")


def _tensor(array: Array, data: bool) -> str:
    dtype = from_numpy(array.dtype)
    head = f"{_type(TensorType(dtype, array.shape))} = "
    if dtype == "string":
        return head + json.dumps([str(item) for item in array.reshape(-1)])
    if array.size <= INLINE_ELEMENTS:
        inline = _inline(array, dtype)
        if inline is not None:
            return head + inline
    if data or array.size <= INLINE_ELEMENTS:
        return head + "base64:" + base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return head + "sha256:" + digest(array)


def digest(array: Array) -> str:
    """What stands for a constant's bytes in the text."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:DIGEST_DIGITS]


def _inline(array: Array, dtype: str) -> str | None:
    """The elements as a list; None where that would lose bits (complex numbers, the payload of a NaN)."""
    if array.size == 0:
        return "[]"
    if dtype.startswith("complex"):
        return None
    flat = array.reshape(-1)
    if dtype == "bool":
        return f"[{', '.join('true' if item else 'false' for item in flat)}]"
    if dtype.lstrip("u").startswith("int"):
        return f"[{', '.join(str(int(item)) for item in flat)}]"
    texts = [_shortest(item) for item in flat]
    with np.errstate(over="ignore"):
        again = np.array([float(text) for text in texts], np.float64).astype(array.dtype)
    return f"[{', '.join(texts)}]" if again.tobytes() == flat.tobytes() else None


def _shortest(item: Any) -> str:
    """The shortest decimal that reads back, as a float literal."""
    text = str(item)
    with np.errstate(over="ignore"):
        if type(item)(float(text)) != item:
            text = repr(float(item))
    return text if re.search(r"[.en]", text) else text + ".0"
