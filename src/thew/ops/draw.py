"""dropout_training: a mask drawn by counter, so that it is the same for any number of threads and never stored.

The generator is Philox4x32-10 (Salmon et al. 2011). Element i of the tensor, in C order, takes word i mod 4 of the
block whose counter is (i / 4 low, i / 4 high, offset low, stream) under the key (seed low, seed high). It is dropped
where the word is below ratio · 2³², else divided by 1 − ratio. The gradient is the same op on dy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from thew.dtypes import FLOATS
from thew.ir.graph import Array
from thew.ops.opdef import Call, Candidate, OpDef, define
from thew.ops.rules import Shape, dtype_of, same_shape, typed, widened

_LOW = np.uint64(0xFFFFFFFF)
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10


def philox(counter: tuple[Array, Array, Array, Array], key: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    """The four words of each block: arrays of uint64 that hold 32 bits, as the counter's are."""
    a, b, c, d = counter
    for turn in range(_ROUNDS):
        left, right = ((part + turn * step) & 0xFFFFFFFF for part, step in zip(key, _WEYL, strict=True))
        first, second = _MULTIPLIERS[0] * a, _MULTIPLIERS[1] * c
        shift = np.uint64(32)
        a, b, c, d = (
            (second >> shift) ^ b ^ np.uint64(left),
            second & _LOW,
            (first >> shift) ^ d ^ np.uint64(right),
            first & _LOW,
        )
    return a, b, c, d


def words(count: int, seed: int, offset: int, stream: int) -> Array:
    """The first `count` words of a stream, as uint64."""
    blocks = np.arange(-(-count // 4), dtype=np.uint64)
    full = np.full(blocks.shape, offset & 0xFFFFFFFF, np.uint64)
    counter = (blocks & _LOW, blocks >> np.uint64(32), full, np.full(blocks.shape, stream & 0xFFFFFFFF, np.uint64))
    return np.stack(philox(counter, (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)), -1).reshape(-1)[:count]


def _shapes(call: Call) -> list[Shape | None]:
    for index, what in ((1, "seed"), (2, "offset")):
        if call.shape(index) not in ((), (1,)) or call.type(index).dtype != "int64":
            raise call.refuse(f"{what} must be one int64, got {call.type(index)}")
    if not 0 <= call.attribute("ratio") < 1:
        raise call.refuse(f"ratio must be within [0, 1), got {call.attribute('ratio')}")
    return same_shape(call)


def _reference(attributes: Mapping[str, Any], x: Array, seed: Array, offset: Array) -> list[Array]:
    ratio, numbers = attributes["ratio"], (int(seed.reshape(())), int(offset.reshape(())))
    is_kept = words(x.size, *numbers, attributes["stream"]) >= np.uint64(ratio * 2.0**32)
    return [np.where(is_kept.reshape(x.shape), widened(x) / (1 - ratio), 0).astype(x.dtype)]


define(
    OpDef(
        "dropout_training",
        typed(_shapes, dtype_of(0, among=FLOATS)),
        _reference,
        {"ratio": 0.5, "stream": 0},
        (3, 3),
        candidates=(Candidate("dropout", "counter"),),
    )
)
