"""`read`: an ONNX model becomes a graph.

Models are not trusted. This is the one boundary at which what a decoder or a library says of a bad model becomes a
typed error.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from thew.errors import Error, MemoryLimitError, ModelError
from thew.ir.graph import Graph
from thew.ir.pages import LEAST_BYTES
from thew.onnx.limits import MAX_FILE_BYTES
from thew.onnx.skeleton import skeleton_of

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

    with ExitStack() as opened:
        if not _is_path(source) and not isinstance(source, bytes | bytearray | memoryview | onnx.ModelProto):
            raise ModelError(f"model: must be a path, the bytes of an ONNX model, or one, got {type(source).__name__}")
        file = opened.enter_context(_opened(Path(source))) if _is_path(source) else None
        model = source if isinstance(source, onnx.ModelProto) else onnx.ModelProto.FromString(_bytes(file or source))
        check_text(model, 0)
        if not model.HasField("graph"):
            raise ModelError("model: must hold a graph, got none; is this an ONNX model?")
        budget = Budget(memory_limit_bytes)
        files = ExternalFiles(Path(source).parent, file) if _is_path(source) else ExternalFiles(None)
        graph = Importer(model, TensorReader(files, budget), budget).graph()
    verify(graph)
    return graph


def _bytes(source: Any) -> bytes:
    """The model's bytes, of a large file without its weights."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    size = os.fstat(source.fileno()).st_size
    small = skeleton_of(source, size) if size >= LEAST_BYTES else None
    source.seek(0)
    return source.read() if small is None else small


def _opened(path: Path) -> BinaryIO:
    if not path.is_file():
        raise ModelError(f"model '{path}': must be a file, got {'a folder' if path.is_dir() else 'no such file'}")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise ModelError(
            f"model '{path}': must have at most {MAX_FILE_BYTES} bytes, got {size}; keep its weights in external data"
        )
    return path.open("rb")


def _decoding_errors() -> tuple[type[Exception], ...]:
    from google.protobuf.message import DecodeError, EncodeError

    return (DecodeError, EncodeError, UnicodeError, ValueError, OverflowError)
