"""Every conv row against sums over taps in fp64: windows, strides, groups, layouts, tails, epilogues, NaN and Inf.

A sum of k = kh·kw·c/group products, each rounded once more as it is added, with a bias and a residual errs by at most
(k + 4)·eps·Σ|terms|; activations here have slopes of at most 1.1.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from kernel_cases import DTYPES, LAYOUTS, NO_PADS, Case, native, placed, rows, summed

from thew.errors import PlanError

ROWS = rows("conv") + rows("im2col")
RNG = np.random.default_rng(11)


CASES = (
    Case(3, 64, 23, 25, (7, 7), (2, 2), (3, 3, 3, 3)), Case(32, 32, 9, 11),
    Case(1, 6, 12, 12, (5, 5), pads=(2, 2, 2, 2)), Case(19, 47, 8, 7, n=2), Case(16, 24, 9, 9, strides=(2, 2)),
    Case(130, 65, 5, 5), Case(300, 9, 3, 3),
    Case(8, 8, 10, 10, dilations=(2, 3), pads=(2, 3, 2, 3)), Case(12, 18, 7, 9, group=3), Case(6, 6, 7, 7, group=6),
    Case(4, 10, 6, 8, group=2, strides=(2, 1), n=2), Case(5, 7, 4, 4, pads=(5, 4, 3, 6)),
    Case(2, 3, 1, 17, (1, 5), pads=(0, 4, 0, 1)),
    Case(7, 5, 9, 4, (4, 2), (3, 2), (0, 2, 1, 0), (1, 2)), Case(9, 33, 6, 6, pads=(-1, 0, 1, -2)),
    Case(64, 32, 7, 7, (1, 1), pads=NO_PADS), Case(24, 144, 15, 13, (1, 1), pads=NO_PADS, n=2),
    Case(40, 17, 9, 8, (1, 1), (2, 2), NO_PADS), Case(32, 48, 5, 5, (1, 1), pads=NO_PADS, group=4),
    Case(1024, 6, 4, 4, (1, 1), pads=NO_PADS), Case(5, 3, 1, 1, (1, 1), pads=NO_PADS),
)  # fmt: skip
ANY, POINT = CASES[3], CASES[16]
FEW = Case(3, 47, 8, 7, n=2)

ACTIVATIONS: dict[str, tuple[list[float], Any]] = {
    "": ([], lambda x: x),
    "relu": ([], lambda x: np.maximum(x, 0)),
    "clip": ([-0.5, 0.75], lambda x: np.clip(x, -0.5, 0.75)),
    "leaky_relu": ([0.25], lambda x: np.where(x < 0, 0.25 * x, x)),
    "hard_swish": ([], lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "hard_sigmoid": ([0.25, 0.5], lambda x: np.clip(x * 0.25 + 0.5, 0, 1)),
    "silu": ([], lambda x: x / (1 + np.exp(-x))),
    "elu": ([0.5], lambda x: np.where(x < 0, 0.5 * np.expm1(np.minimum(x, 0)), x)),
}


def fits(row: Any, case: Case) -> bool:
    if row.algorithm == "direct":
        return case.group == 1 and case.c * case.kernel[0] <= 64
    return bool(row.algorithm != "pointwise" or (case.kernel == (1, 1) and case.pads == NO_PADS))


def for_row(row: Any) -> Case:
    return {"pointwise": POINT, "direct": FEW}.get(row.algorithm, ANY)


def writable(row: Any, layout: str) -> str:
    """The layout of y and the residual: `direct` writes channels-last only."""
    return "channels_last" if row.algorithm == "direct" else layout


def convolved(case: Case, x: Any, weight: Any) -> Any:
    """The sums over taps in fp64; of |x| and |weight| they are what errors are relative to."""
    top, left, bottom, right = case.pads
    span = [(size - 1) * dilation + 1 for size, dilation in zip(case.kernel, case.dilations, strict=True)]
    wide = np.zeros((x.shape[0], case.c, case.h + max(top, 0) + max(bottom, 0), case.w + max(left, 0) + max(right, 0)))
    wide[:, :, max(top, 0) :, max(left, 0) :][:, :, : case.h, : case.w] = x
    wide = wide[:, :, max(-top, 0) : wide.shape[2] - max(-bottom, 0), max(-left, 0) : wide.shape[3] - max(-right, 0)]
    extent = [(wide.shape[2 + i] - span[i]) // case.strides[i] + 1 for i in range(2)]
    y = np.zeros((x.shape[0], case.oc, *extent))
    of_group, channels = case.oc // case.group, case.c // case.group
    for group in range(case.group):
        into = y[:, group * of_group : (group + 1) * of_group]
        taps = weight[group * of_group : (group + 1) * of_group].astype(np.float64)
        for i, j in np.ndindex(*case.kernel):
            rows_, columns = (
                slice(t * d, t * d + (o - 1) * s + 1, s)
                for t, d, o, s in zip((i, j), case.dilations, extent, case.strides, strict=True)
            )
            part = wide[:, group * channels : (group + 1) * channels, rows_, columns]
            into += np.einsum("nchw,oc->nohw", part, taps[:, :, i, j])
    return y


def operands(case: Case, row: Any) -> tuple[Any, Any, Any]:
    shapes = ((case.n, case.c, case.h, case.w), (case.oc, case.c // case.group, *case.kernel), (case.oc,))
    x, weight, bias = (RNG.standard_normal(shape).astype(DTYPES[row.a]) for shape in shapes)
    return x, weight, bias


def attributes(case: Case, activation: str = "") -> dict[str, Any]:
    given = {"strides": case.strides, "pads": case.pads, "dilations": case.dilations, "group": case.group}
    return {**given, "activation": activation, "activation_parameters": ACTIVATIONS[activation][0]}


def tolerance(row: Any, case: Case, x: Any, weight: Any, extra: Any) -> Any:
    k = int(np.prod(case.kernel)) * case.c // case.group
    return summed(row, k) * (convolved(case, np.abs(x), np.abs(weight)) + extra)


def channels(bias: Any) -> Any:
    return bias.astype(np.float64)[:, None, None]


@pytest.mark.parametrize(
    ("row", "case"),
    [
        pytest.param(row.values[0], case, id=f"{row.id}-{case}")
        for row in ROWS
        for case in CASES
        if fits(row.values[0], case)
    ],
)
def test_windows(row: Any, case: Case) -> None:
    """Channels-last and NCHW images, weights constant or not, one thread or more."""
    x, weight, bias = operands(case, row)
    exact = convolved(case, x, weight) + channels(bias)
    for layout, constants, threads in (
        ("channels_last", (1, 2), 1), ("channels_last", (1,), 3), ("plain", (1, 2), 2), ("plain", (), 1),
    ):  # fmt: skip
        y = placed(np.full(exact.shape, np.nan, x.dtype), "channels_last")
        native.run_kernel(
            row.name, "conv", [placed(x, layout), weight, bias], [y], attributes(case), constants, threads
        )
        error = np.abs(y - exact)
        assert np.all(error <= tolerance(row, case, x, weight, np.abs(channels(bias)))), (layout, np.nanmax(error))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("row", ROWS)
def test_strides(row: Any, layout: str) -> None:
    """Each operand in turn, and all together, in each layout."""
    case = for_row(row)
    x, weight, bias = operands(case, row)
    residual = RNG.standard_normal(convolved(case, x, weight).shape).astype(x.dtype)
    exact = convolved(case, x, weight) + channels(bias) + residual
    for which in range(6):
        given = [placed(t, layout) if which in (n, 5) else t for n, t in enumerate((x, weight, bias))]
        given.append(placed(residual, writable(row, layout if which in (3, 5) else "plain")))
        y = placed(np.zeros(exact.shape, x.dtype), writable(row, layout) if which >= 4 else "channels_last")
        native.run_kernel(row.name, "conv", given, [y], attributes(case), (), 2)
        assert np.all(np.abs(y - exact) <= tolerance(row, case, x, weight, np.abs(residual) + np.abs(channels(bias))))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("row", ROWS)
def test_epilogues(row: Any, activation: str) -> None:
    """Residual first, activation after it; the residual absent, elsewhere, or where y is to be written."""
    several_blocks = (Case(700, oc, 3, 5, (1, 1), pads=NO_PADS) for oc in (21, 24))  # of k; with and without a tail
    for case in filter(partial(fits, row), (for_row(row), *several_blocks)):
        x, weight, bias = operands(case, row)
        weight = (weight / 16).astype(x.dtype)
        sums = convolved(case, x, weight) + channels(bias)
        added = placed(RNG.standard_normal(sums.shape).astype(x.dtype), writable(row, "plain"))
        for place in ("absent", "elsewhere", "in place"):
            y = placed(added, "channels_last")
            residual = {"absent": None, "elsewhere": added, "in place": y}[place]
            exact = ACTIVATIONS[activation][1](sums + (0 if residual is None else added))
            native.run_kernel(row.name, "conv", [x, weight, bias, residual], [y], attributes(case, activation), (1,), 2)
            bound = 2 * tolerance(row, case, x, weight, np.abs(channels(bias)) + np.abs(added) + 1)
            assert np.all(np.abs(y - exact) <= bound), (case, place)


@pytest.mark.parametrize("row", ROWS)
def test_writes_only_its_output(row: Any) -> None:
    case = for_row(row)
    x, weight, _ = operands(case, row)
    exact = convolved(case, x, weight)
    n, c, h, w = exact.shape
    memory = np.full((n, h + 2, w + 3, c + 5), 7, x.dtype)
    y = memory[:, 1:-1, 1:-2, 2:-3].transpose(0, 3, 1, 2)
    native.run_kernel(row.name, "conv", [x, weight], [y], attributes(case), (1,), 2)
    assert np.all(np.abs(y - exact) <= tolerance(row, case, x, weight, 0))
    y[...] = 7
    assert np.all(memory == 7)


@pytest.mark.parametrize("row", ROWS)
def test_nan_and_inf_reach_only_their_windows(row: Any) -> None:
    case = for_row(row)
    x, weight, _ = operands(case, row)
    shape = convolved(case, x, weight).shape
    x[0, 2, 3, 3], x[1, 0, 0, 0], weight[1, 0, 0, 0] = np.nan, np.inf, np.nan
    for layout in ("plain", "channels_last"):
        y = placed(np.zeros(shape, x.dtype), "channels_last")
        native.run_kernel(row.name, "conv", [placed(x, layout), weight], [y], attributes(case), (1,), 1)
        with np.errstate(invalid="ignore"):
            exact = convolved(case, x, weight)
        assert np.array_equal(np.isnan(y), np.isnan(exact))
        assert np.array_equal(np.isinf(y), np.isinf(exact))


@pytest.mark.parametrize("row", ROWS)
def test_images_of_one_dimension(row: Any) -> None:
    size, pad = (1, 0) if row.algorithm == "pointwise" else (3, 1)
    case = Case(5, 9, 1, 20, (1, size), (1, 2), (0, pad, 0, pad))
    x, weight, bias = operands(case, row)
    exact = (convolved(case, x, weight) + channels(bias))[:, :, 0]
    y = placed(np.zeros(exact.shape, x.dtype), writable(row, "plain"))
    given = {"strides": [2], "pads": [pad, pad]}
    native.run_kernel(row.name, "conv", [x[:, :, 0], weight[:, :, 0], bias], [y], given, (1,), 1)
    assert np.all(np.abs(y - exact) <= tolerance(row, case, x, weight, np.abs(channels(bias)))[:, :, 0])


@pytest.mark.parametrize("row", ROWS)
def test_rejects(row: Any) -> None:
    case = for_row(row) if row.algorithm == "direct" else POINT
    x, weight, bias = operands(case, row)
    y = placed(np.zeros(convolved(case, x, weight).shape, x.dtype), writable(row, "plain"))

    def run(inputs: list[Any], output: Any = y, **changed: Any) -> None:
        native.run_kernel(row.name, "conv", inputs, [output], {**attributes(case), **changed}, (1,), 1)

    with pytest.raises(PlanError, match="group"):
        run([x, weight], group=5)
    with pytest.raises(PlanError, match="output extent"):
        run([x, weight], strides=(2, 2))
    with pytest.raises(PlanError, match="bias must be"):
        run([x, weight, bias[1:]])
    with pytest.raises(PlanError, match="rank 3 or all rank 4"):
        run([x[..., None], weight[..., None]], y[..., None])
    if row.algorithm == "pointwise":
        with pytest.raises(PlanError, match="implicit"):
            run([x, RNG.standard_normal((case.oc, case.c, 3, 3)).astype(x.dtype)], pads=(1, 1, 1, 1))
    if row.algorithm == "direct":
        with pytest.raises(PlanError, match="channels-last"):
            run([x, weight], np.ascontiguousarray(y))
