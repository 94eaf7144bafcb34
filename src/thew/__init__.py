"""Thew trains, optimises and runs convolutional networks on CPUs, Arm first.

The public names are imported when they are first used, so that ``import thew`` stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from thew._version import __version__
from thew.errors import Error

if TYPE_CHECKING:
    from thew import data, models, nn, optim, rl, train
    from thew.compress import prune, quantize
    from thew.ir import Graph
    from thew.onnx import export_onnx, from_onnx
    from thew.runtime import InferenceSession
    from thew.search import search
    from thew.train import Trainer

_LAZY = {
    "Graph": "thew.ir",
    "InferenceSession": "thew.runtime",
    "Trainer": "thew.train",
    "export_onnx": "thew.onnx",
    "from_onnx": "thew.onnx",
    "data": "thew.data",
    "models": "thew.models",
    "nn": "thew.nn",
    "optim": "thew.optim",
    "prune": "thew.compress",
    "quantize": "thew.compress",
    "rl": "thew.rl",
    "search": "thew.search",
    "train": "thew.train",
}

__all__ = [
    "Error",
    "Graph",
    "InferenceSession",
    "Trainer",
    "__version__",
    "data",
    "export_onnx",
    "from_onnx",
    "models",
    "nn",
    "optim",
    "prune",
    "quantize",
    "rl",
    "search",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'thew' has no attribute {name!r}")
    module = importlib.import_module(_LAZY[name])
    value = module if _LAZY[name] == f"thew.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
