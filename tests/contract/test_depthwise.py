"""Every row of depthwise and narrow groups against a sum over taps in fp64: windows, tails, epilogues, NaN and Inf.

A sum of `width`·kh·kw products and a bias, each rounded once more as it is added, errs by at most
(width·kh·kw + 2)·eps·Σ|terms|; the activations here have slopes of at most 1.1, and their own error adds a few eps of
the result.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from kernel_cases import DTYPES, LAYOUTS, native, placed, relative, rows, same

from thew.errors import PlanError

ROWS = [row for row in rows("depthwise", "fp32", "fp64") if row.values[0].algorithm != "gradient"]
RNG = np.random.default_rng(5)


class Case(NamedTuple):
    c: int
    h: int
    w: int
    kernel: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (1, 1, 1, 1)
    dilations: tuple[int, int] = (1, 1)
    multiplier: int = 1
    width: int = 1


# Full and partial vectors of channels and tiles of pixels, for the fixed windows (3×3, 5×5) and others.
DIRECT = (
    Case(7, 10, 11, pads=(0, 1, 2, 0)), Case(16, 8, 8, multiplier=2),
    Case(5, 8, 8, (3, 2), (2, 1), (1, 0, 1, 1), (2, 1), multiplier=3), Case(300, 5, 4),
    Case(32, 9, 9), Case(37, 14, 14, strides=(2, 2)), Case(1, 1, 1), Case(48, 7, 7, (5, 5), pads=(2, 2, 2, 2)),
    Case(19, 15, 9, (5, 5), (2, 2), (2, 1, 1, 2)), Case(130, 3, 2), Case(601, 6, 8),
    Case(33, 20, 20, (7, 7), pads=(3, 3, 3, 3)), Case(33, 12, 12, dilations=(2, 2), pads=(2, 2, 2, 2)),
    Case(64, 1, 17, (1, 3), pads=(0, 1, 0, 1)), Case(20, 4, 4, pads=(5, 5, 5, 5)), Case(9, 8, 8, strides=(2, 1)),
)  # fmt: skip
# Vectors that hold several groups, one, or a part of one; channels that fill no vector, or not the last.
GROUPED = (
    Case(12, 9, 10, pads=(0, 1, 2, 0), width=4), Case(104, 10, 16, strides=(2, 2), width=8),
    Case(34, 8, 8, (3, 2), (2, 1), (1, 0, 1, 1), (2, 1), width=2), Case(24, 5, 4, width=8),
    Case(32, 9, 9, width=4), Case(48, 14, 14, strides=(2, 2), width=16), Case(6, 1, 1, width=2),
    Case(64, 7, 7, (5, 5), pads=(2, 2, 2, 2), width=32), Case(96, 6, 8, width=32), Case(36, 3, 2, width=2),
    Case(64, 9, 30, strides=(2, 2), pads=(0, 0, 1, 1), width=32), Case(40, 12, 12, (1, 1), pads=(0, 0, 0, 0), width=4),
    Case(20, 4, 4, pads=(5, 5, 5, 5), width=4), Case(32, 15, 9, dilations=(2, 2), width=16), Case(200, 8, 8, width=8),
)  # fmt: skip
CASES = {"direct": DIRECT, "grouped": GROUPED}
ALL = [
    pytest.param(*row.values, case, id=f"{row.id}-{case}") for row in ROWS for case in CASES[row.values[0].algorithm]
]
SMALL = DIRECT[0]

ACTIVATIONS: dict[str, tuple[list[float], Any]] = {
    "relu": ([], lambda x: np.maximum(x, 0)),
    "clip": ([-0.5, 0.75], lambda x: np.clip(x, -0.5, 0.75)),
    "leaky_relu": ([0.25], lambda x: np.where(x < 0, 0.25 * x, x)),
    "hard_swish": ([], lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "hard_sigmoid": ([0.25, 0.5], lambda x: np.clip(x * 0.25 + 0.5, 0, 1)),
    "sigmoid": ([], lambda x: 1 / (1 + np.exp(-x))),
    "silu": ([], lambda x: np.where(x == -np.inf, 0, x / (1 + np.exp(-x)))),
    "tanh": ([], np.tanh),
    "elu": ([0.5], lambda x: np.where(x < 0, 0.5 * np.expm1(np.minimum(x, 0)), x)),
}


def convolved(case: Case, x: Any, weight: Any) -> Any:
    """The sums over taps in fp64; of |x| and |weight| they are what errors are relative to."""
    top, left, bottom, right = case.pads
    wide = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (top, bottom), (left, right)))
    spans = [(size - 1) * d + 1 for size, d in zip(case.kernel, case.dilations, strict=True)]
    extents = [(wide.shape[2 + i] - spans[i]) // case.strides[i] + 1 for i in range(2)]
    groups = weight.reshape(case.c // case.width, -1, case.width, *case.kernel).astype(np.float64)
    wide = wide.reshape(len(x), *groups.shape[::2][:2], *wide.shape[2:])
    total = np.zeros((*wide.shape[:2], groups.shape[1], *extents))
    for ky, kx in np.ndindex(*case.kernel):
        starts = (ky * case.dilations[0], kx * case.dilations[1])
        window = [
            slice(s, s + (o - 1) * step + 1, step) for s, o, step in zip(starts, extents, case.strides, strict=True)
        ]
        total += np.einsum("ngihw,goi->ngohw", wide[..., window[0], window[1]], groups[..., ky, kx])
    return total.reshape(len(x), -1, *extents)


def channels_last(array: Any, gap: int = 0) -> Any:
    """A copy with channel stride 1: a slice of `gap` more channels, from an odd address on."""
    n, c, h, w = array.shape
    memory = np.full(n * h * w * (c + gap) + 1, np.nan, array.dtype)[1:].reshape(n, h, w, c + gap)
    view = memory[..., :c].transpose(0, 3, 1, 2)
    view[...] = array
    return view


def attributes(case: Case, activation: str = "") -> dict[str, Any]:
    given = {"strides": case.strides, "pads": case.pads, "dilations": case.dilations, "group": case.c // case.width}
    parameters = {"activation": activation, "activation_parameters": ACTIVATIONS[activation][0]} if activation else {}
    return {**given, **parameters}


def operands(case: Case, dtype: Any) -> tuple[Any, Any, Any]:
    x = RNG.standard_normal((2, case.c, case.h, case.w)).astype(dtype)
    channels = case.c * case.multiplier
    return (
        x,
        RNG.standard_normal((channels, case.width, *case.kernel)).astype(dtype),
        RNG.standard_normal(channels).astype(dtype),
    )


def tolerance(case: Case, x: Any, weight: Any, extra: Any) -> Any:
    terms = convolved(case, np.abs(x), np.abs(weight)) + extra
    return relative(x.dtype, case.width * np.prod(case.kernel) + 2) * terms


@pytest.mark.parametrize(("row", "case"), ALL)
def test_windows(row: Any, case: Case) -> None:
    x, weight, bias = operands(case, DTYPES[row.a])
    exact = convolved(case, x, weight) + bias.astype(np.float64)[:, None, None]
    for gap, constants, threads in ((0, (1, 2), 1), (3, (1,), 2)):
        y = channels_last(np.full(exact.shape, 7, x.dtype), gap)
        native.run_kernel(
            row.name, "conv", [channels_last(x, gap), weight, bias], [y], attributes(case), constants, threads
        )
        error = np.abs(y - exact)
        assert np.all(error <= tolerance(case, x, weight, np.abs(bias)[:, None, None])), error.max()
        around = y.base if y.base.ndim == 4 else y.base.reshape(-1)[1:].reshape(2, *exact.shape[2:], -1)
        assert np.isnan(around[..., exact.shape[1] :]).all(), "wrote beyond its channels"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("row", ROWS)
def test_output_strides(row: Any, layout: str) -> None:
    for case in CASES[row.algorithm][:3]:
        x, weight, _ = operands(case, DTYPES[row.a])
        exact = convolved(case, x, weight)
        y = placed(np.zeros(exact.shape, x.dtype), layout)
        native.run_kernel(row.name, "conv", [channels_last(x), weight], [y], attributes(case), (1,), 2)
        assert np.all(np.abs(y - exact) <= tolerance(case, x, weight, 0))


@pytest.mark.parametrize("activation", ["", *ACTIVATIONS])
@pytest.mark.parametrize("row", ROWS)
def test_epilogues(row: Any, activation: str) -> None:
    """Residual first, activation after it; the residual in other strides, absent, or where y is to be written."""
    function = ACTIVATIONS[activation][1] if activation else lambda x: x
    for case in CASES[row.algorithm][:4]:
        x, weight, bias = operands(case, DTYPES[row.a])
        sums = convolved(case, x, weight) + bias.astype(np.float64)[:, None, None]
        added = RNG.standard_normal(sums.shape).astype(x.dtype)
        y = channels_last(added)
        residuals = {"none": None, "plain": added, "strided": placed(added, "every_other"), "in place": y}
        for name, residual in residuals.items():
            target = y if name == "in place" else channels_last(np.zeros_like(added))
            inputs = [channels_last(x), weight, bias, residual]
            native.run_kernel(row.name, "conv", inputs, [target], attributes(case, activation), (1, 2), 2)
            exact = function(sums if residual is None else sums + added)
            allowed = 1.1 * tolerance(case, x, weight, np.abs(bias)[:, None, None] + np.abs(added))
            allowed += relative(x.dtype, 6) * (np.abs(exact) + 0.5)
            assert np.all(np.abs(target - exact) <= allowed), name


@pytest.mark.parametrize("activation", ["", "relu", "clip", "silu"])
@pytest.mark.parametrize("row", ROWS)
def test_nan_and_infinity(row: Any, activation: str) -> None:
    """They reach every output whose window holds them, and no other."""
    function = ACTIVATIONS[activation][1] if activation else lambda x: x
    c, width = (33, 1) if row.algorithm == "direct" else (36, 4)
    for case in (Case(c, 9, 9, width=width), Case(c, 9, 9, (2, 2), pads=(0, 0, 0, 0), width=width)):
        x, weight, _ = operands(case, DTYPES[row.a])
        x[0, 0, 4, 4], x[0, 32, 0, 0], x[1, 16, 8, 8] = np.nan, np.inf, -np.inf
        with np.errstate(invalid="ignore", over="ignore"):
            exact = function(convolved(case, x, weight))
        y = channels_last(np.zeros(exact.shape, x.dtype))
        native.run_kernel(row.name, "conv", [channels_last(x), weight], [y], attributes(case, activation), (1,))
        reached = convolved(case, ~np.isfinite(x), np.ones_like(weight)) > 0
        assert same(y[reached], exact[reached].astype(x.dtype))
        assert np.isfinite(y[~reached]).all()


@pytest.mark.parametrize("row", ROWS[:1])
def test_refusals(row: Any) -> None:
    case = SMALL
    x, weight, bias = operands(case, DTYPES[row.a])
    y = channels_last(np.zeros(convolved(case, x, weight).shape, x.dtype))
    good = attributes(case)
    with pytest.raises(PlanError, match="channels-last"):
        native.run_kernel(row.name, "conv", [x, weight], [y], good, (1,))
    with pytest.raises(PlanError, match="group"):
        native.run_kernel(row.name, "conv", [channels_last(x), weight], [y], {**good, "group": 1}, (1,))
    with pytest.raises(PlanError, match="output extent"):
        native.run_kernel(row.name, "conv", [channels_last(x), weight], [y], {**good, "pads": [0, 0, 0, 0]}, (1,))
    with pytest.raises(PlanError, match="bias must be"):
        native.run_kernel(row.name, "conv", [channels_last(x), weight, bias[:3].copy()], [y], good, (1, 2))
