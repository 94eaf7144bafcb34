"""External data: tensors whose bytes lie in files beside the model.

A location is followed only inside the model's folder: no absolute path, no ``..``, no symbolic link that leaves it.
Offset and length are checked against the file's size, and the file is memory mapped, so that only what is used is read.
"""

from __future__ import annotations

import mmap
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from thew.errors import ModelError
from thew.ir.pages import Pages
from thew.onnx.skeleton import INSIDE


class ExternalFiles:
    """The data files of one model. `folder` is None for a model that came as bytes and so may have none.

    `model` is the model's own file, where weights were left out of it (see `thew.onnx.skeleton`).
    """

    def __init__(self, folder: Path | None, model: BinaryIO | None = None) -> None:
        self._folder, self._model = folder, model
        self._maps: dict[Path, mmap.mmap | bytes] = {}

    def read(self, entries: dict[str, str], expected_bytes: int, where: str) -> memoryview:
        """The bytes that a tensor's external_data entries name."""
        location = entries.get("location", "")
        if self._model is not None and location == INSIDE:
            return self._read_inside(self._model, entries, expected_bytes, where)
        data = self._open(location, where)
        offset = _number(entries.get("offset", "0"), "offset", where)
        length = _number(entries.get("length", str(expected_bytes)), "length", where)
        if length != expected_bytes:
            raise ModelError(
                f"{where}: external data must hold {expected_bytes} bytes as its shape says, got length {length}"
            )
        if offset + length > len(data):
            raise ModelError(
                f"{where}: external data must lie inside its file of {len(data)} bytes, "
                f"got offset {offset}, length {length}"
            )
        return memoryview(data)[offset : offset + length]

    @staticmethod
    def _read_inside(model: BinaryIO, entries: dict[str, str], expected_bytes: int, where: str) -> memoryview:
        """A copy in pages of its own, which go back to the system with it."""
        length = int(entries["length"])
        if length != expected_bytes:
            raise ModelError(f"{where}: must hold {expected_bytes} bytes as its shape says, got {length}")
        pages = Pages(length)
        model.seek(int(entries["offset"]))
        if model.readinto(pages) != length:  # type: ignore[attr-defined]
            raise ModelError(f"{where}: the file ends before its {length} bytes do; was it changed while it was read?")
        return memoryview(pages).toreadonly()

    def _open(self, location: str, where: str) -> mmap.mmap | bytes:
        path = self._resolve(location, where)
        if path not in self._maps:
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            except OSError as error:
                raise ModelError(
                    f"{where}: external data file {location!r} cannot be opened: {error.strerror}"
                ) from error
            with os.fdopen(descriptor, "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise ModelError(f"{where}: external data must be a regular file, got {location!r}")
                # An empty file cannot be mapped.
                self._maps[path] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if status.st_size else b""
        return self._maps[path]

    def _resolve(self, location: str, where: str) -> Path:
        if self._folder is None:
            raise ModelError(
                f"{where}: a model given as bytes must hold its data, got external data {location!r}; "
                "give the model's path"
            )
        parts = location.replace("\\", "/").split("/")
        if not location or "\0" in location or os.path.isabs(location) or ".." in parts or ":" in parts[0]:
            raise ModelError(f"{where}: external data must be a path inside the model's folder, got {location!r}")
        folder = self._folder.resolve()
        try:
            path = (folder / location).resolve()
        except (OSError, RuntimeError) as error:
            raise ModelError(f"{where}: external data path {location!r} cannot be followed: {error}") from error
        if not path.is_relative_to(folder):
            raise ModelError(
                f"{where}: external data must stay inside the model's folder, got {location!r}, a link out of it"
            )
        return path


def _number(text: str, name: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ModelError(f"{where}: external data {name} must be a number of bytes, got {text[:40]!r}")
    return int(text)


def entries_of(proto: Any, where: str) -> dict[str, str]:
    """The external_data entries of a TensorProto as a dictionary."""
    entries = {entry.key: entry.value for entry in proto.external_data}
    if len(entries) != len(proto.external_data):
        raise ModelError(
            f"{where}: external data entries must be distinct, got {[entry.key for entry in proto.external_data]}"
        )
    return entries
