"""ONNX in and out: `read` gives a graph, `export_onnx` writes one, `backend` is the interface of the standard test
suite.

Importing this package does not import `onnx`, which is slow to load: that happens with the first model.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thew.onnx import backend
    from thew.onnx.reader import from_onnx, read
    from thew.onnx.writer import export_onnx

_LAZY = {
    "backend": "thew.onnx.backend",
    "export_onnx": "thew.onnx.writer",
    "from_onnx": "thew.onnx.reader",
    "read": "thew.onnx.reader",
}

__all__ = ["backend", "export_onnx", "from_onnx", "read"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'thew.onnx' has no attribute {name!r}")
    module = importlib.import_module(_LAZY[name])
    value = module if _LAZY[name] == f"thew.onnx.{name}" else getattr(module, name)
    globals()[name] = value
    return value
