"""The operator Constant: its value in each of the forms that an attribute gives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from thew.ir.graph import Array
from thew.onnx.nodes import OnnxNode


def _text(value: Any) -> Array:
    return np.array(value, np.object_)


_FORMS: dict[str, Callable[[Any], Array]] = {
    "value": lambda value: value,
    "sparse_value": lambda value: value,
    "value_int": lambda value: np.array(value, np.int64),
    "value_ints": lambda value: np.array(value, np.int64),
    "value_float": lambda value: np.array(value, np.float32),
    "value_floats": lambda value: np.array(value, np.float32),
    "value_string": _text,
    "value_strings": _text,
}


def constant_value(node: OnnxNode) -> Array:
    """The array that a Constant node stands for."""
    given = [name for name in _FORMS if name in node.attributes]
    if len(given) != 1:
        raise node.refuse(f"must have exactly one of the attributes {', '.join(_FORMS)}, got {given}")
    return _FORMS[given[0]](node.attributes[given[0]])
