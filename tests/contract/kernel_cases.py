"""What the contract tests of kernels share: a family's rows that this CPU can run, awkward memory, errors in ulp."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest

native = pytest.importorskip("thew.runtime.native", reason="the native module is not built")

DTYPES: dict[str, Any] = {
    "fp64": np.float64,
    "fp32": np.float32,
    "fp16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    **{f"{kind}{bits}": np.dtype(f"{kind}{bits}") for kind in ("int", "uint") for bits in (64, 32, 16, 8)},
    "bool": np.bool_,
}
INTEGERS = tuple(name for name in DTYPES if "int" in name)


class Case(NamedTuple):
    """A convolution to be tried."""

    c: int
    oc: int
    h: int
    w: int
    kernel: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (1, 1, 1, 1)
    dilations: tuple[int, int] = (1, 1)
    group: int = 1
    n: int = 1

    @property
    def attributes(self) -> dict[str, Any]:
        """Those of its window."""
        return {name: getattr(self, name) for name in ("strides", "pads", "dilations", "group")}

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of x, w and y."""
        out = [
            (extent + self.pads[i] + self.pads[i + 2] - (kernel - 1) * dilation - 1) // stride + 1
            for i, (extent, kernel, dilation, stride) in enumerate(
                zip((self.h, self.w), self.kernel, self.dilations, self.strides, strict=True)
            )
        ]
        weight = (self.oc, self.c // self.group, *self.kernel)
        return (self.n, self.c, self.h, self.w), weight, (self.n, self.oc, *out)


NO_PADS = (0, 0, 0, 0)


def rows(family: str, *dtypes: str) -> list[Any]:
    """Parameters of a test: the family's rows, of some dtypes only where they are given."""
    found = [row for row in native.supported_rows() if row.family == family and (not dtypes or row.a in dtypes)]
    return [pytest.param(row, id=row.name) for row in found]


def _plain(shape: tuple[int, ...], dtype: Any) -> Any:
    return np.empty(shape, dtype)


def _channels_last(shape: tuple[int, ...], dtype: Any) -> Any:
    if len(shape) < 3:
        return np.empty(shape[::-1], dtype).T
    return np.moveaxis(np.empty((shape[0], *shape[2:], shape[1]), dtype), -1, 1)


def _batch_innermost(shape: tuple[int, ...], dtype: Any) -> Any:
    return np.moveaxis(np.empty((*shape[1:], *shape[:1]), dtype), -1, 0) if shape else np.empty(shape, dtype)


def _every_other(shape: tuple[int, ...], dtype: Any) -> Any:
    return np.empty(tuple(2 * extent + 1 for extent in shape), dtype)[(*(slice(1, None, 2) for _ in shape), ...)]


def _part(shape: tuple[int, ...], dtype: Any) -> Any:
    return np.empty(tuple(extent + 3 for extent in shape), dtype)[(*(slice(1, -2) for _ in shape), ...)]


def _reversed(shape: tuple[int, ...], dtype: Any) -> Any:
    return np.empty(shape, dtype)[(*(slice(None, None, -1) for _ in shape), ...)]


def _misaligned(shape: tuple[int, ...], dtype: Any) -> Any:
    size = np.dtype(dtype).itemsize
    whole = np.empty(int(np.prod(shape)) * size + size, np.uint8)
    skipped = size - whole.ctypes.data % size if size > 1 else 0
    return whole[skipped : skipped + int(np.prod(shape)) * size].view(dtype).reshape(shape)


# Memory of a shape, in every form that a plan may hand to a kernel; `misaligned` is aligned for its elements only.
LAYOUTS: dict[str, Callable[[tuple[int, ...], Any], Any]] = {
    "plain": _plain,
    "channels_last": _channels_last,
    "batch_innermost": _batch_innermost,
    "every_other": _every_other,
    "part": _part,
    "reversed": _reversed,
    "misaligned": _misaligned,
}

# Tails of every vector length, extents of 0 and 1, rows longer and shorter than a block of the strided loop.
SHAPES: tuple[tuple[int, ...], ...] = (
    (), (1,), (3,), (16,), (67,), (0, 4), (3, 7, 5), (2, 3, 5, 33), (1, 64, 3, 3), (2, 1, 300), (1, 1, 1),
)  # fmt: skip


def placed(array: Any, layout: str) -> Any:
    """A copy of an array in some layout."""
    array = np.asarray(array)
    copy = LAYOUTS[layout](array.shape, array.dtype)
    copy[...] = array
    return copy


def layout_pairs() -> Iterator[tuple[str, str]]:
    """Each layout with each other."""
    return ((a, b) for a in LAYOUTS for b in LAYOUTS)


def random(dtype: str, shape: tuple[int, ...], seed: int = 0) -> Any:
    """Values over the dtype's whole range where it is an integer, normal ones of all magnitudes where it is not."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(DTYPES[dtype])
    if dtype == "bool":
        return np.asarray(rng.integers(0, 2, shape)).astype(np.bool_)
    if dtype in INTEGERS:
        limits = np.iinfo(kind)
        return np.asarray(rng.integers(limits.min, limits.max, shape, dtype=kind, endpoint=True))
    return np.asarray(rng.standard_normal(shape) * 10.0 ** rng.uniform(-3, 2, shape)).astype(kind)


def epsilon(dtype: Any) -> float:
    """That of the type that a dtype is computed in: fp16 and bf16 are in fp32."""
    return float(np.finfo(np.float32 if np.dtype(dtype).itemsize == 2 else dtype).eps)


def relative(dtype: Any, roundings: Any) -> Any:
    """What so many roundings on the way amount to, relative to their terms, with that of the result to 16 bits (at most
    two, where an activation follows).
    """
    once = float(ml_dtypes.finfo(dtype).eps) if np.dtype(dtype).itemsize == 2 else 0.0
    return roundings * epsilon(dtype) + once


BLOCK = 192  # products that rows with sums in fp16 add up before they go on in fp32


def summed(row: Any, terms: int) -> Any:
    """What a row's sum of so many products may err by, as a share of Σ|terms|: each is rounded as it is added, and four
    times more after that, and the result to the row's type.
    """
    in_blocks = (min(terms, BLOCK) + 2) * 2.0**-11 if row.acc == "fp16" else 0.0
    return relative(DTYPES[row.a], terms + 4) + in_blocks


def same(actual: Any, expected: Any) -> bool:
    """Whether all elements are equal, NaN to NaN, which NumPy does not say of bf16."""
    if actual.dtype != expected.dtype:
        return False
    wide = (lambda array: array.astype(np.float32)) if actual.dtype == DTYPES["bf16"] else np.asarray
    return np.array_equal(wide(actual), wide(expected), equal_nan=actual.dtype.kind not in "iub")


def ulps(actual: Any, exact: Any) -> float:
    """The largest distance from the exact result, given in a wider type, in units of its last place."""
    finite = np.isfinite(np.asarray(exact).astype(actual.dtype))
    assert np.array_equal(np.isfinite(actual), finite)
    wide, true = actual[finite].astype(np.longdouble), exact[finite].astype(np.longdouble)
    spacing = np.spacing(np.abs(exact[finite]).astype(actual.dtype)).astype(np.longdouble)
    return float(np.max(np.abs(wide - true) / spacing, initial=0))
