"""Writing files: whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def write_atomically(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Writes a file, text as UTF-8, that appears whole or not at all, also when the machine stops in between.

    Raises:
        OSError: the folder is not there or cannot be written; a file that was there stays as it was.
    """
    path = Path(path)
    try:
        _write(path, data.encode() if isinstance(data, str) else data)
    except OSError as error:  # which names a temporary file
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _write(path: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_json(path: str | os.PathLike[str], document: Any) -> None:
    """Writes plain data as JSON, atomically. Raises OSError as `write_atomically`."""
    write_atomically(path, json.dumps(document, indent=1) + "\n")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
