"""Where commands write what they make of a model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from thew.errors import InputError

if TYPE_CHECKING:
    from thew.compress.accuracy import Accuracy
    from thew.ir import Graph


def beside(model: str) -> Path:
    """A model's path without its suffix, to which commands add theirs; in the current folder where the model's own
    takes no files, and for networks of the zoo.
    """
    stem = Path(model.removeprefix("zoo:")).with_suffix("")
    return stem if os.access(stem.parent, os.W_OK) else Path(stem.name)


def check_folder(path: Path) -> None:
    """Raises InputError where a file cannot be written: before long work, not after it."""
    if not os.access(path.parent, os.W_OK):
        raise InputError(
            f"'{path}': must be in a folder that files can be written to, got '{path.parent}'; give another"
        )


class Compressed(Protocol):
    """A model that was made smaller: what `thew.compress` gives."""

    @property
    def graph(self) -> Graph:
        """The model."""

    @property
    def before(self) -> Accuracy | None:
        """Accuracy of the model that it was made of, where that was measured."""

    @property
    def after(self) -> Accuracy | None:
        """Its own."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes it as ONNX."""


def write_compressed(
    made: Compressed, model: str, source: Graph | str, suffix: str, output: Path | None, threads: int
) -> tuple[Path, dict[str, Any]]:
    """Writes what became of a model, by default beside it with a suffix: where to, and what it is beside the model."""
    from thew.compress import comparison

    target = output or Path(f"{beside(model)}_{suffix}.onnx")
    made.save(target)
    return target, comparison.compare(source, made.graph, made.before, made.after, threads)
