"""Samples from files: an .npz file with x and y, or a folder of pictures whose names begin with a class's number."""

from __future__ import annotations

import os
import re
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from thew.cli import images, models
from thew.errors import InputError
from thew.ir import Graph
from thew.ir.graph import Array

_BACKGROUND = 1001  # outputs of networks that count a background class before the others


def read(path: Path, model: str | os.PathLike[str] | Graph, preprocess: str = "auto") -> tuple[Array, Array]:
    """Samples x for a model, and their classes y.

    Args:
        path: an .npz file with arrays x and y, or a folder of pictures such as ``0042_name.jpg``.
        model: what they are for.
        preprocess: one of `images.PRESETS`, or "auto".

    Raises:
        InputError: the path holds neither.
    """
    if path.is_dir():
        return _pictures(path, model, preprocess)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays["x"], arrays["y"]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise InputError(f"data '{path}': must be a folder or an .npz file with x and y, got {error}") from error


def split(data: tuple[Array, Array], count: int, seed: int) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """So many samples chosen by chance, and the others. Raises InputError where none would be left."""
    x, y = data
    if not 0 < count < len(x):
        raise InputError(f"data: must hold more samples than the {count} that are taken out, got {len(x)}; take fewer")
    order = np.random.default_rng(seed).permutation(len(x))
    first, others = np.sort(order[:count]), np.sort(order[count:])
    return (x[first], y[first]), (x[others], y[others])


def _pictures(folder: Path, model: str | os.PathLike[str] | Graph, preprocess: str) -> tuple[Array, Array]:
    import thew

    files = sorted(child for child in folder.iterdir() if child.suffix.lower() in images.SUFFIXES)
    numbers = [re.match(r"\d+", file.name) for file in files]
    if not files or None in numbers:
        odd = next((file.name for file, found in zip(files, numbers, strict=True) if found is None), "none")
        raise InputError(f"data '{folder}': must hold pictures whose names begin with their class's number, got {odd}")
    session = thew.InferenceSession(model)
    shape = models.shape_of(session.get_inputs()[0])
    classes = (session.get_outputs()[0].shape or [0])[-1]
    name = images.guess(shape, classes if isinstance(classes, int) else 0) if preprocess == "auto" else preprocess
    if name not in images.PRESETS:
        raise InputError(f"--preprocess: must be auto, {', '.join(images.PRESETS)}, got {name!r}")
    x = np.stack([images.read(file, shape, images.PRESETS[name]) for file in files])
    y = np.array([int(found.group()) for found in numbers if found], dtype=np.int64)
    return x, y + 1 if classes == _BACKGROUND else y
