"""What an option of a layer looks like as numbers, so that what is learnt of one layer holds for others, in this
network and in the next: shapes, work, algorithm, precision, layout. Words become places of a vector by a hash that
never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2, prod
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from thew.ops import Call, get
from thew.plan.alternatives import Alternative

Features = NDArray[np.float32]
_PRECISIONS = ("fp32", "int8", "fp16", "bf16")
_LAYOUTS = ("plain", "channels_last", "batch_innermost")
_WORDS = 24  # places for algorithms
_OF_SHAPE = 8  # extents of the first input and of the output
_LARGEST = 32.0  # log2 of what is counted


def width() -> int:
    """How many numbers describe an option."""
    return _OF_SHAPE + 2 + len(_PRECISIONS) + len(_LAYOUTS) + _WORDS


def of_option(call: Call, output: tuple[int, ...], way: Alternative) -> Features:
    """The numbers of a way to run a call."""
    first = next((known.static_shape for known in call.types if known is not None), ())
    work = get(call.node.op).flops(call)
    counts = [*_padded(first), *_padded(output), work, way.choice.threads]
    parts = [
        np.array([log2(1 + count) / _LARGEST for count in counts]),
        _one_of(way.choice.precision, _PRECISIONS),
        _one_of(way.choice.layout, _LAYOUTS),
        _hashed(way.choice.algorithm),
    ]
    return np.concatenate(parts).astype(np.float32)


def of_labels(names: Sequence[str], labels: Sequence[Sequence[str]]) -> tuple[Features, ...]:
    """Numbers for a table that has nothing but names: a layer is told from others, an option by its label and place."""
    made = []
    for name, options in zip(names, labels, strict=True):
        rows = np.zeros((len(options), width()), np.float32)
        for index, label in enumerate(options):
            rows[index, :_OF_SHAPE] = np.random.default_rng(crc32(name.encode())).uniform(0, 1, _OF_SHAPE)
            rows[index, -_WORDS:] = _hashed(f"{label} {index}")
        made.append(rows)
    return tuple(made)


def _padded(shape: tuple[int, ...]) -> list[int]:
    """Four extents; what is beyond is multiplied into the last."""
    extents = list(shape[:4]) + [1] * (4 - len(shape[:4]))
    extents[3] *= prod(shape[4:])
    return extents


def _one_of(word: str, words: Sequence[str]) -> NDArray[np.float64]:
    return np.array([float(word == one) for one in words])


def _hashed(word: str) -> NDArray[np.float64]:
    places = np.zeros(_WORDS)
    places[crc32(word.encode()) % _WORDS] = 1.0
    return places
