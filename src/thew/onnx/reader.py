"""`read`: an ONNX model becomes a graph.

Models are not trusted. This is the one boundary at which what a decoder or a library says of a bad model becomes a
typed error.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thew.errors import Error, MemoryLimitError, ModelError
from thew.ir.graph import Graph
from thew.onnx.limits import MAX_FILE_BYTES

if TYPE_CHECKING:
    from thew.nn import GraphModule


def read(source: str | os.PathLike[str] | bytes | Any, memory_limit_bytes: int | None = None) -> Graph:
    """Reads an ONNX model.

    Operators of older operator sets are converted to their latest form, functions are expanded, and an operator that
    Thew has no op for becomes a foreign op, which the `onnx` package's reference runs. Initializers are constants, also
    where the model lists them as inputs.

    Args:
        source: a path, the bytes of a model, or an ``onnx.ModelProto``.
        memory_limit_bytes: the most that all constants together may take; 16 GiB where None.

    Returns:
        The graph; its inputs are the model's inputs that no initializer fills.

    Raises:
        ModelError: the model is malformed, inconsistent or unsafe.
        UnsupportedError: the model is valid, but needs what Thew does not have.
        MemoryLimitError: the constants are over the limit.

    Example:
        >>> graph = thew.onnx.read("mobilenet_v2.onnx")
    """
    label = (
        "model" if isinstance(source, bytes | bytearray | memoryview) or not _is_path(source) else f"model '{source}'"
    )
    try:
        return _read(source, memory_limit_bytes)
    except Error:
        raise
    except MemoryError as error:
        raise MemoryLimitError(f"{label}: must fit the memory there is") from error
    except RecursionError as error:
        raise ModelError(f"{label}: nests too deep") from error
    except OSError as error:
        raise ModelError(f"{label}: cannot be opened: {error.strerror or error}") from error
    except _decoding_errors() as error:
        raise ModelError(
            f"{label}: must be a valid ONNX model, got one on which decoding fails: {str(error)[:300]}"
        ) from error


def from_onnx(source: str | os.PathLike[str] | bytes | Any) -> GraphModule:
    """Imports an ONNX model as a module: a `Trainer` trains it, `export_onnx` writes it, a session runs its `graph()`.

    Example:
        >>> model = from_onnx("model.onnx")
        >>> trainer = thew.Trainer(model, input_shape=(3, 32, 32))
    """
    from thew.nn import GraphModule

    return GraphModule(read(source))


def _is_path(source: Any) -> bool:
    return isinstance(source, str | os.PathLike)


def _read(source: Any, memory_limit_bytes: int | None) -> Graph:
    import onnx

    from thew.ir.verify import verify
    from thew.onnx.external import ExternalFiles
    from thew.onnx.importer import Importer
    from thew.onnx.limits import Budget
    from thew.onnx.tensors import TensorReader
    from thew.onnx.text import check_text

    folder = Path(source).parent if _is_path(source) else None
    model = source if isinstance(source, onnx.ModelProto) else onnx.ModelProto.FromString(_bytes(source))
    check_text(model, 0)
    if not model.HasField("graph"):
        raise ModelError("model: must hold a graph, got none; is this an ONNX model?")
    budget = Budget(memory_limit_bytes)
    graph = Importer(model, TensorReader(ExternalFiles(folder), budget), budget).graph()
    verify(graph)
    return graph


def _bytes(source: Any) -> bytes:
    if not _is_path(source):
        return bytes(source)
    path = Path(source)
    if not path.is_file():
        raise ModelError(f"model '{path}': must be a file, got {'a folder' if path.is_dir() else 'no such file'}")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise ModelError(
            f"model '{path}': must have at most {MAX_FILE_BYTES} bytes, got {size}; keep its weights in external data"
        )
    return path.read_bytes()


def _decoding_errors() -> tuple[type[Exception], ...]:
    from google.protobuf.message import DecodeError, EncodeError

    return (DecodeError, EncodeError, UnicodeError, ValueError, OverflowError)
