"""Every row that computes a gradient of a convolution, against the ops' references in fp64: windows, strides,
dilations, groups, layouts, tails, threads.

A gradient is a sum of k products, each rounded once more as it is added: it errs by at most (k + 4)·eps·Σ|terms|. k is
kh·kw·oc/group for the input, n·oh·ow for the weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_cases import DTYPES, LAYOUTS, NO_PADS, Case, native, placed, rows, summed

from thew import ops
from thew.errors import PlanError

IMPLICIT = [row for row in rows("conv") if row.values[0].algorithm == "implicit"]
POINTWISE = [row for row in rows("conv") if row.values[0].algorithm == "pointwise"]
BATCH = rows("conv_batch")
PLANES = rows("conv_planes")
DEPTHWISE = [row for row in rows("depthwise") if row.values[0].algorithm == "direct"]
DEPTHWISE_WEIGHT = [row for row in rows("depthwise") if row.values[0].algorithm == "gradient"]
LAYOUT_OF = {
    "conv_batch": "batch_innermost",
    "conv_planes": "plain",
    "depthwise": "channels_last",
}  # of families that want one
RNG = np.random.default_rng(17)


def gradient_attributes(case: Case) -> dict[str, Any]:
    """The window in full, and the shape of the forward op's input."""
    x, _, _ = case.shapes()
    return {**case.attributes, "auto_pad": "NOTSET", "kernel_shape": case.kernel, "input_shape": x}


CASES = (
    Case(32, 47, 9, 11, n=2), Case(3, 16, 12, 13, n=2), Case(1, 6, 12, 12, (5, 5), pads=(2, 2, 2, 2), n=3),
    Case(64, 130, 5, 5), Case(16, 24, 9, 9, strides=(2, 2)), Case(19, 9, 8, 7, (4, 2), (3, 2), (0, 2, 1, 0), n=2),
    Case(8, 8, 10, 10, dilations=(2, 3), pads=(2, 3, 2, 3)), Case(6, 5, 11, 12, (3, 3), (2, 3), (1, 1, 2, 0), (2, 2)),
    Case(5, 7, 12, 9, (3, 2), (4, 6), (3, 0, 0, 2), (2, 4)), Case(12, 18, 7, 9, group=3), Case(6, 6, 7, 7, group=6),
    Case(4, 32, 20, 23, (8, 8), (4, 4), NO_PADS, n=2), Case(1, 6, 12, 9, (5, 5), pads=NO_PADS),
    Case(3, 8, 9, 11, pads=(1, 0, 2, 0), n=2),
    Case(4, 10, 6, 8, group=2, strides=(2, 1), n=2), Case(5, 7, 4, 4, pads=(4, 4, 3, 5)),
    Case(2, 3, 1, 17, (1, 5), pads=(0, 4, 0, 1)), Case(40, 17, 9, 8, (1, 1), (2, 3), NO_PADS),
    Case(9, 33, 6, 6, (1, 1), pads=NO_PADS, n=3), Case(7, 4, 5, 5, (1, 1), pads=(1, 0, 2, 1)),
    Case(20, 23, 24, 24, n=2),
)  # fmt: skip
POINTS = (
    Case(24, 40, 15, 13, (1, 1), pads=NO_PADS, n=2), Case(40, 17, 9, 8, (1, 1), (2, 3), NO_PADS),
    Case(32, 48, 5, 5, (1, 1), pads=NO_PADS, group=4),
)  # fmt: skip
BATCHES = (
    Case(1, 6, 12, 12, (5, 5), pads=(2, 2, 2, 2), n=32), Case(6, 16, 9, 9, (5, 5), pads=NO_PADS, n=16),
    Case(3, 7, 7, 8, strides=(2, 2), n=16), Case(4, 5, 11, 9, (3, 2), (2, 3), (1, 1, 2, 0), (2, 2), n=16),
    Case(2, 13, 5, 5, pads=(3, 4, 4, 3), n=16), Case(2, 3, 3, 10, (2, 7), pads=(0, 3, 0, 3), n=48),
    Case(3, 4, 6, 5, (1, 1), (3, 2), NO_PADS, n=16),
)  # fmt: skip
# Widths below, at and beyond a vector; images that their windows leave far behind; one row; many channels to few.
FLAT = (
    Case(1, 6, 12, 28, (5, 5), pads=(2, 2, 2, 2)), Case(6, 16, 9, 9, (5, 5), pads=NO_PADS, n=3),
    Case(3, 7, 7, 16, (3, 2), pads=(1, 1, 2, 0), dilations=(2, 3), n=2), Case(2, 13, 3, 4, pads=(3, 4, 4, 3)),
    Case(5, 3, 1, 35, (1, 7), pads=(0, 3, 0, 6), n=2), Case(4, 4, 5, 6, (1, 1), pads=NO_PADS, n=5),
    Case(40, 1, 11, 33, (5, 5), pads=(2, 2, 2, 2)), Case(37, 3, 6, 20, n=2),
)  # fmt: skip
# Remainders of strides that few taps reach or none, windows wider than what is summed at once, few columns inside.
DEPTHS = (
    Case(33, 33, 9, 11, group=33, n=2), Case(16, 16, 8, 8, strides=(2, 2), group=16, n=2),
    Case(40, 40, 10, 9, (5, 5), (2, 2), (2, 2, 2, 2), group=40),
    Case(7, 7, 9, 13, (3, 7), (1, 3), (2, 3, 1, 3), (2, 1), 7),
    Case(20, 20, 5, 5, (1, 1), (2, 2), NO_PADS, group=20, n=2), Case(2, 2, 4, 4, pads=(3, 0, 2, 1), group=2),
    Case(64, 64, 7, 2, (3, 3), group=64, n=3), Case(9, 9, 12, 12, (3, 3), (4, 3), group=9),
)  # fmt: skip


def cases(found: list[Any], some: tuple[Case, ...]) -> list[Any]:
    return [pytest.param(row.values[0], case, id=f"{row.id}-{case}") for row in found for case in some]


def packs_columns(row: Any) -> bool:
    """Whether a row computes the gradient of weights: those of AMX and bfmmla do not."""
    return not (row.a == "bf16" and row.isa in ("amx", "neon_bf16"))


COLUMNS = [row for row in IMPLICIT if packs_columns(row.values[0])]
GRAD_INPUT = cases(IMPLICIT, CASES) + cases(POINTWISE, POINTS) + cases(BATCH, BATCHES)
GRAD_INPUT += cases(PLANES, FLAT) + cases(DEPTHWISE, DEPTHS)
GRAD_WEIGHT = cases(COLUMNS, CASES + POINTS) + cases(BATCH, BATCHES) + cases(PLANES, FLAT)
GRAD_WEIGHT += cases(DEPTHWISE_WEIGHT, DEPTHS)


def operands(case: Case, row: Any) -> tuple[Any, Any, Any]:
    """x, w and dy."""
    x, weight, dy = (RNG.standard_normal(shape).astype(DTYPES[row.a]) for shape in case.shapes())
    return x, weight, dy


def as_row_wants(row: Any, array: Any, layout: str) -> Any:
    return placed(array, LAYOUT_OF.get(row.family, layout))


def exact(row: Any, op: str, case: Case, dy: Any, other: Any) -> tuple[Any, Any]:
    """The reference in fp64, and what an error is measured by."""
    find = ops.get(op).reference
    wide = [array.astype(np.float64) for array in (dy, other)]
    (value,), (size,) = find(gradient_attributes(case), *wide), find(gradient_attributes(case), *map(np.abs, wide))
    _, weight, y = case.shapes()
    terms = weight[2] * weight[3] * case.oc // case.group if op == "conv_grad_input" else y[0] * y[2] * y[3]
    least = 2.0**-25 if row.a == "fp16" else 0.0  # half of the smallest step, where a result is below normal numbers
    return value, summed(row, terms) * size + least


@pytest.mark.parametrize(("row", "case"), GRAD_INPUT)
def test_grad_input(row: Any, case: Case) -> None:
    x, weight, dy = operands(case, row)
    value, tolerance = exact(row, "conv_grad_input", case, dy, weight)
    for layout, constants, threads in (("channels_last", (), 1), ("plain", (), 3)):
        dx = as_row_wants(row, np.full(x.shape, np.nan, x.dtype), "channels_last")
        given = [as_row_wants(row, dy, layout), weight]
        native.run_kernel(row.name, "conv_grad_input", given, [dx], gradient_attributes(case), constants, threads)
        assert np.all(np.abs(dx - value) <= tolerance), (layout, np.nanmax(np.abs(dx - value)))


@pytest.mark.parametrize(("row", "case"), GRAD_WEIGHT)
def test_grad_weight(row: Any, case: Case) -> None:
    """Also into weights whose output channels are innermost."""
    x, weight, dy = operands(case, row)
    value, tolerance = exact(row, "conv_grad_weight", case, dy, x)
    for layout, into, threads in (("channels_last", "plain", 1), ("plain", "plain", 3), ("channels_last", "oc", 2)):
        blank = np.full(weight.shape, np.nan, x.dtype)
        dw = placed(blank, "batch_innermost") if into == "oc" and row.family != "conv_planes" else blank
        given = [as_row_wants(row, dy, layout), as_row_wants(row, x, layout)]
        native.run_kernel(row.name, "conv_grad_weight", given, [dw], gradient_attributes(case), (), threads)
        assert np.all(np.abs(dw - value) <= tolerance), (layout, into, np.nanmax(np.abs(dw - value)))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("row", COLUMNS)
def test_strides(row: Any, layout: str) -> None:
    """Each operand in each layout."""
    case = CASES[5]
    x, weight, dy = operands(case, row)
    for op, other, result in (("conv_grad_input", weight, x), ("conv_grad_weight", x, weight)):
        value, tolerance = exact(row, op, case, dy, other)
        for which in range(4):
            given = [placed(array, layout) if which in (n, 3) else array for n, array in enumerate((dy, other))]
            out = placed(np.zeros_like(result), layout if which >= 2 else "plain")
            native.run_kernel(row.name, op, given, [out], gradient_attributes(case), (), 2)
            assert np.all(np.abs(out - value) <= tolerance), (op, which)


@pytest.mark.parametrize("row", DEPTHWISE_WEIGHT)
def test_threads_do_not_change_sums_of_depthwise_weights(row: Any) -> None:
    case = Case(100, 100, 9, 8, group=100, n=2)
    x, weight, dy = operands(case, row)
    given, found = [as_row_wants(row, array, "") for array in (dy, x)], set()
    for threads in (1, 2, 5):
        dw = np.zeros_like(weight)
        native.run_kernel(row.name, "conv_grad_weight", given, [dw], gradient_attributes(case), (), threads)
        found.add(dw.tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("row", [*COLUMNS, *BATCH, *PLANES])
def test_threads_do_not_change_the_sums(row: Any) -> None:
    """Bit for bit, also where k is cut into several blocks."""
    case = {"conv_batch": BATCHES[0], "conv_planes": FLAT[1]}.get(row.family, Case(20, 40, 30, 30, n=2))
    x, weight, dy = operands(case, row)
    for op, other, result in (("conv_grad_input", weight, x), ("conv_grad_weight", x, weight)):
        found = []
        for threads in (1, 2, 5):
            out = as_row_wants(row, np.zeros_like(result), "channels_last") if result is x else np.zeros_like(result)
            given = [as_row_wants(row, dy, "channels_last")]
            given.append(as_row_wants(row, other, "channels_last") if other is x else other)
            native.run_kernel(row.name, op, given, [out], gradient_attributes(case), (), threads)
            found.append(out.tobytes())
        assert len(set(found)) == 1


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("row", [*BATCH, *PLANES])
def test_forward_of_few_channels(row: Any, activation: str) -> None:
    """The convolution itself, with bias and activation, weights constant or not."""
    for case in BATCHES if row.family == "conv_batch" else FLAT:
        x, weight, dy = operands(case, row)
        bias = RNG.standard_normal(case.oc).astype(x.dtype)
        attributes = {name: value for name, value in gradient_attributes(case).items() if name != "input_shape"}
        attributes |= {"activation": activation, "activation_parameters": ()}
        find = ops.get("conv").reference
        wide = [array.astype(np.float64) for array in (x, weight, bias)]
        (value,), (size,) = find(attributes, *wide), find(attributes, *map(np.abs, wide))
        terms = weight[0].size + 4
        for constants, threads in (((1,), 1), ((), 3)):
            y = as_row_wants(row, np.full(dy.shape, np.nan, x.dtype), "plain")
            given = [as_row_wants(row, x, "plain"), weight, bias]
            native.run_kernel(row.name, "conv", given, [y], attributes, constants, threads)
            assert np.all(np.abs(y - value) <= terms * np.finfo(x.dtype).eps * size)


@pytest.mark.parametrize("row", [*COLUMNS, *BATCH])
def test_nan_and_infinity_stay_where_they_belong(row: Any) -> None:
    """A bad image spoils its own dx; a bad output channel spoils its own dw."""
    case = BATCHES[1] if row.family == "conv_batch" else CASES[0]
    x, weight, dy = operands(case, row)
    for bad in (np.nan, np.inf):
        spoilt = dy.copy()
        spoilt[1] = bad
        dx = as_row_wants(row, np.zeros_like(x), "channels_last")
        native.run_kernel(
            row.name,
            "conv_grad_input",
            [as_row_wants(row, spoilt, "channels_last"), weight],
            [dx],
            gradient_attributes(case),
        )
        assert np.all(np.isfinite(dx[0])) and not np.any(np.isfinite(dx[1]))
        spoilt = dy.copy()
        spoilt[:, 2] = bad
        dw = np.zeros_like(weight)
        given = [as_row_wants(row, spoilt, "channels_last"), as_row_wants(row, x, "channels_last")]
        native.run_kernel(row.name, "conv_grad_weight", given, [dw], gradient_attributes(case))
        assert np.all(np.isfinite(np.delete(dw, 2, 0))) and not np.any(np.isfinite(dw[2]))


@pytest.mark.parametrize("row", IMPLICIT[:1])
def test_what_is_refused(row: Any) -> None:
    case = CASES[0]
    x, weight, dy = operands(case, row)
    with pytest.raises(PlanError, match="must fit"):
        native.run_kernel(row.name, "conv_grad_input", [dy[:, :-1], weight], [x], gradient_attributes(case))
    with pytest.raises(PlanError, match="output extent"):
        native.run_kernel(row.name, "conv_grad_weight", [dy[:, :, :-1], x], [weight], gradient_attributes(case))


@pytest.mark.parametrize("row", PLANES[:1])
def test_planes_that_rows_refuse(row: Any) -> None:
    x, weight, dy = operands(Case(2, 3, 9, 9, strides=(2, 2)), row)
    with pytest.raises(PlanError, match="strides must be 1"):
        native.run_kernel(row.name, "conv", [x, weight], [dy], {"pads": (1,) * 4, "strides": (2, 2)})
    x, weight, dy = operands(Case(2, 3, 9, 9), row)
    with pytest.raises(PlanError, match="side by side"):
        native.run_kernel(row.name, "conv", [placed(x, "channels_last"), weight], [dy], {"pads": (1,) * 4})


@pytest.mark.parametrize("row", BATCH[:1])
def test_batches_that_rows_refuse(row: Any) -> None:
    case = Case(2, 3, 5, 5, n=3)
    x, weight, dy = operands(case, row)
    with pytest.raises(PlanError, match="side by side"):
        native.run_kernel(
            row.name,
            "conv",
            [placed(x, "batch_innermost"), weight],
            [placed(dy, "batch_innermost")],
            {"pads": (1,) * 4},
        )
