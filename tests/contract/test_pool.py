"""Every pooling row against windows taken one by one: ceiling rule, padding counts, dilation, strides, NaN, 1-d.

A maximum is exact. An average sums rows, then their sums, so it errs by at most (kh + kw + 1)·eps·mean|x|.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from kernel_cases import DTYPES, LAYOUTS, native, placed, relative, rows, same

from thew.errors import PlanError

ROWS = rows("pool")
FLOATS = rows("pool", "fp32", "fp64", "fp16", "bf16")
RNG = np.random.default_rng(6)


class Case(NamedTuple):
    shape: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    ceil_mode: int = 0


CASES = (
    Case((2, 19, 9, 11), (3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),
    Case((1, 70, 8, 8), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1)),
    Case((1, 16, 7, 7), (3, 3), (2, 2), (0, 0, 0, 0), (1, 1), 1),
    Case((1, 4, 6, 6), (2, 2), (3, 3), (1, 1, 1, 1), (1, 1), 1),  # a last window would start in the right padding
    Case((2, 5, 7, 8), (3, 2), (2, 3), (1, 0, 2, 1), (2, 1), 1),
    Case((1, 33, 6, 6), (5, 5), (1, 1), (2, 2, 2, 2), (1, 1)),
    Case((1, 1, 5, 5), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
    Case((3, 300, 4, 4), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
    Case((1, 8, 2, 90), (2, 80), (1, 1), (0, 0, 0, 0), (1, 1)),
    Case((2, 6, 40), (4,), (2,), (3, 1), (2,)),
)


def images(rank: int, values: tuple[int, ...], fill: int) -> tuple[int, ...]:
    """Spatial attributes of a 1-d image as those of a 2-d one; pads have begins, then ends."""
    if rank == 4:
        return values
    return (fill, values[0], fill, values[1]) if len(values) == 2 and fill == 0 else (fill, values[0])


def pooled(case: Case, x: Any, average: bool, include_pad: bool) -> Any:
    rank = len(case.shape)
    if rank == 3:
        x = x[:, :, None]
    kernel, strides, dilations = (images(rank, getattr(case, name), 1) for name in ("kernel", "strides", "dilations"))
    pads = images(rank, case.pads, 0)
    extents = []
    for i in range(2):
        room = x.shape[2 + i] + pads[i] + pads[2 + i] - (kernel[i] - 1) * dilations[i] - 1
        extent = (-(-room // strides[i]) if case.ceil_mode else room // strides[i]) + 1
        extents.append(extent - (case.ceil_mode and (extent - 1) * strides[i] >= x.shape[2 + i] + pads[i]))
    wide = x.astype(np.int64 if x.dtype.kind in "iu" else np.float64)
    y = np.zeros((*x.shape[:2], *extents), wide.dtype)
    for oy, ox in np.ndindex(*extents):
        at = [[o * s - p + k * d for k in range(size)]
              for o, s, p, size, d in zip((oy, ox), strides, pads, kernel, dilations, strict=False)]  # fmt: skip
        inside = [[v for v in axis if 0 <= v < extent] for axis, extent in zip(at, x.shape[2:], strict=True)]
        counted = [
            sum(v < extent + end for v in axis) for axis, extent, end in zip(at, x.shape[2:], pads[2:], strict=True)
        ]
        window = wide[:, :, inside[0]][:, :, :, inside[1]]
        if average:
            count = np.prod(counted) if include_pad else len(inside[0]) * len(inside[1])
            y[:, :, oy, ox] = window.sum((2, 3)) / count
        else:
            y[:, :, oy, ox] = window.max((2, 3))
    return y if rank == 4 else y[:, :, 0]


def values(row: Any, shape: tuple[int, ...]) -> Any:
    if row.a.startswith(("fp", "bf")):
        return RNG.standard_normal(shape).astype(DTYPES[row.a])
    limits = np.iinfo(DTYPES[row.a])
    return RNG.integers(limits.min, limits.max, shape, DTYPES[row.a], endpoint=True)


def attributes(case: Case) -> dict[str, Any]:
    names = ("strides", "pads", "dilations", "ceil_mode")
    return {"kernel_shape": case.kernel, **{name: getattr(case, name) for name in names}}


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("row", ROWS)
def test_max(row: Any, case: Case) -> None:
    x = values(row, case.shape)
    if x.dtype.kind not in "iu":
        x[0, 0].flat[0], x[-1, -1].flat[-1], x[-1, 0].flat[-2] = np.nan, -np.inf, np.inf
    exact = pooled(case, x, False, False).astype(x.dtype)
    for layout in ("plain", "channels_last", "batch_innermost", "part"):
        y = placed(np.zeros_like(exact), layout)
        native.run_kernel(row.name, "max_pool", [placed(x, layout)], [y], attributes(case), threads=2)
        assert same(y, exact), layout


@pytest.mark.parametrize("include_pad", [0, 1])
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("row", FLOATS)
def test_average(row: Any, case: Case, include_pad: int) -> None:
    x = values(row, case.shape)
    exact, size = pooled(case, x, True, bool(include_pad)), pooled(case, np.abs(x), True, bool(include_pad))
    spoiled = x.copy()
    spoiled[0, 0].flat[0], spoiled[-1, -1].flat[-1] = np.nan, np.inf
    special = pooled(case, spoiled, True, bool(include_pad))
    tolerance = relative(x.dtype, sum(images(len(case.shape), case.kernel, 1)) + 1) * size
    for layout in ("plain", "channels_last", "batch_innermost", "part"):
        y = placed(np.zeros(exact.shape, x.dtype), layout)
        given = {**attributes(case), "count_include_pad": include_pad}
        native.run_kernel(row.name, "average_pool", [placed(x, layout)], [y], given, threads=2)
        assert np.all(np.abs(y - exact) <= tolerance), layout
        native.run_kernel(row.name, "average_pool", [placed(spoiled, layout)], [y], given)
        odd = ~np.isfinite(special)
        assert same(y[odd], special[odd].astype(x.dtype)) and np.isfinite(y[~odd]).all()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("row", FLOATS)
def test_strides(row: Any, layout: str) -> None:
    case = CASES[0]
    x = values(row, case.shape)
    exact = pooled(case, x, False, False).astype(x.dtype)
    for other in LAYOUTS:
        y = placed(np.zeros_like(exact), other)
        native.run_kernel(row.name, "max_pool", [placed(x, layout)], [y], attributes(case))
        assert np.array_equal(y, exact), other


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(2, 19, 7, 7), (1, 300, 3, 50), (2, 4, 40, 30), (2, 5, 1, 1), (2, 6, 9)])
@pytest.mark.parametrize("row", FLOATS)
def test_global(row: Any, shape: tuple[int, ...], layout: str) -> None:
    x = values(row, shape)
    axes = tuple(range(2, len(shape)))
    wide = x.astype(np.float64)
    for threads in (1, 2):
        y = placed(np.zeros((*shape[:2], *(1 for _ in axes)), x.dtype), layout)
        native.run_kernel(row.name, "global_max_pool", [placed(x, layout)], [y], threads=threads)
        assert np.array_equal(y, x.max(axes, keepdims=True))
        native.run_kernel(row.name, "global_average_pool", [placed(x, layout)], [y], threads=threads)
        # as one window of all rows end to end it is sum over n / lanes terms a lane: never more than h·w terms
        tolerance = relative(x.dtype, np.prod(shape[2:]) + 2) * np.abs(wide).mean(axes, keepdims=True)
        assert np.all(np.abs(y - wide.mean(axes, keepdims=True)) <= tolerance)


@pytest.mark.parametrize("row", ROWS[:1])
def test_refusals(row: Any) -> None:
    case = CASES[0]
    x = values(row, case.shape)
    y = np.zeros(pooled(case, x, False, False).shape, x.dtype)
    indices = np.zeros(y.shape, np.int64)
    with pytest.raises(PlanError, match="one output"):
        native.run_kernel(row.name, "max_pool", [x], [y, indices], attributes(case))
    with pytest.raises(PlanError, match="output extent"):
        native.run_kernel(row.name, "max_pool", [x], [y], {**attributes(case), "strides": (1, 1)})
    with pytest.raises(PlanError, match="kernel_shape"):
        native.run_kernel(row.name, "max_pool", [x], [y], {**attributes(case), "kernel_shape": (3,)})
