"""Every winograd row against conv's sums over taps in fp64: tails of every kind, epilogues, NaN and Inf.

A result of F(m×m, r×r) errs by at most (roundings)·eps·|Aᵀ| [ Σ_c (|G| |w| |Gᵀ|) ⊙ (|Bᵀ| |x| |B|) ] |A|: a product of
matrices whose every step rounds once more. A line of either transform of a = m + r − 1 points rounds at most a/2 times
and there are two lines each way; weights are transformed in fp64 and rounded once (in fp64 itself: 2·(r + 1) times);
the sum over c channels rounds c times; bias, residual and activation three times.

Rows that sum in fp16 are held to what independent roundings amount to, since that bound would allow anything there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_cases import DTYPES, epsilon, native, placed, relative, rows
from test_conv import ACTIVATIONS, Case, attributes, channels, convolved

from thew import ops
from thew.errors import PlanError

ROWS = rows("winograd")
GRADIENT_ROWS = [row for row in ROWS if row.values[0].acc != "fp16"]
RNG = np.random.default_rng(23)
POINTS = {4: (0, 1, -1), 6: (0, 0.75, -0.75, 1.5, -1.5), 8: (0, 1, -1, 2, -2, 0.5, -0.5)}


def sizes(row: Any) -> tuple[int, int]:
    """m and r of F(m×m, r×r) from the row's algorithm, as in "4x4_3x3"."""
    tile, window = row.algorithm.split("_")
    return int(tile.split("x")[0]), int(window.split("x")[0])


def matrices(m: int, r: int) -> tuple[Any, Any, Any]:
    """Aᵀ, G and Bᵀ by Toom and Cook: polynomials through the finite points, and ∞."""
    points = np.asarray(POINTS[m + r - 1])
    others = [np.delete(points, t) for t in range(len(points))]
    evaluate = np.vander(points, max(m, r), increasing=True)
    unit = np.eye(max(m, r))
    output = np.vstack([evaluate[:, :m], unit[m - 1, :m]]).T
    scale = [np.prod(points[t] - others[t]) for t in range(len(points))]
    weight = np.vstack([evaluate[:, :r] / np.transpose([scale]), unit[r - 1, :r]])
    lagrange = [np.append(np.poly(rest)[::-1], 0) for rest in others]
    return output, weight, np.vstack([*lagrange, np.poly(points)[::-1]])


def tiled(case: Case, x: Any, weight: Any, row: Any, squares: bool = False) -> Any:
    """What errors are relative to: the algorithm with absolute values throughout.

    With `squares`, the squares that errors sum up to which are independent and as large as each product.
    """
    m, r = sizes(row)
    output, g, b = matrices(m, r) if squares else (np.abs(matrix) for matrix in matrices(m, r))
    images, weights = (
        array.astype(np.float64) if squares else np.abs(array).astype(np.float64) for array in (x, weight)
    )
    top, left, bottom, right = case.pads
    oh, ow = case.h + top + bottom - r + 1, case.w + left + right - r + 1
    tall, wide = -(-oh // m), -(-ow // m)
    margins = ((0, 0), (0, 0), (max(top, 0), tall * m + r), (max(left, 0), wide * m + r))
    padded = np.pad(images[:, :, max(-top, 0) :, max(-left, 0) :], margins)
    of_group, inputs = case.oc // case.group, case.c // case.group
    u = (g @ weights @ g.T).reshape(case.group, of_group, inputs, m + r - 1, m + r - 1)
    y = np.zeros((case.n, case.oc, tall * m, wide * m))
    for i, j in np.ndindex(tall, wide):
        v = b @ padded[:, :, i * m : i * m + m + r - 1, j * m : j * m + m + r - 1] @ b.T
        products = np.einsum("ngcab,gocab->ngoab", v.reshape(case.n, case.group, inputs, *v.shape[2:]), u)
        z = output**2 @ products**2 @ (output**2).T if squares else output @ products @ output.T
        y[:, :, i * m : (i + 1) * m, j * m : (j + 1) * m] = z.reshape(case.n, case.oc, m, m)
    return y[:, :, :oh, :ow]


def step(row: Any) -> float:
    """Epsilon of what a row computes in."""
    return 2.0**-10 if row.acc == "fp16" else epsilon(DTYPES[row.a])


def tolerance(case: Case, x: Any, weight: Any, extra: Any, row: Any) -> Any:
    m, r = sizes(row)
    roundings = case.c // case.group + 2 * (m + r - 1) + 2 * (r + 1) + 3
    if row.acc == "fp16":
        return 4 * step(row) * np.sqrt(roundings * (tiled(case, x, weight, row, squares=True) + extra**2))
    return relative(x.dtype, roundings) * (tiled(case, x, weight, row) + extra)


def operands(case: Case, row: Any) -> tuple[Any, Any, Any]:
    shapes = ((case.n, case.c, case.h, case.w), (case.oc, case.c // case.group, *case.kernel), (case.oc,))
    x, weight, bias = (RNG.standard_normal(shape).astype(DTYPES[row.a]) for shape in shapes)
    return x, weight, bias


def last(array: Any) -> Any:
    return placed(array, "channels_last")


def cases(row: Any) -> tuple[Case, ...]:
    """Extents that are multiples of a tile and that are not, one tile and many blocks, few and many channels."""
    m, r = sizes(row)
    window, same, none = (r, r), (r // 2,) * 4, (0,) * 4
    return (
        Case(32, 32, 4 * m, 3 * m, window, pads=same),
        Case(19, 47, 4 * m + 1, 3 * m + r, window, pads=none, n=2),
        Case(3, 1, r, r, window, pads=none),
        Case(1, 5, 1, 2, window, pads=same),
        Case(130, 65, m + 1, 2 * m - 1, window, pads=same),
        Case(12, 18, 7, 9, window, pads=same, group=3, n=3),
        Case(5, 7, 6, 5, window, pads=(3, 2, 5, 4)),
        Case(9, 33, 11, 12, window, pads=(-1, 0, 1, -2)),
        Case(2, 3, 26 * m, 26 * m - 1, window, pads=same),
    )


@pytest.mark.parametrize("row", ROWS)
def test_windows(row: Any) -> None:
    """One worker and several, weights constant or transformed at each run."""
    for case in cases(row):
        x, weight, bias = operands(case, row)
        exact = convolved(case, x, weight) + channels(bias)
        for constants, threads in (((1, 2), 1), ((1,), 3), ((), 2)):
            y = last(np.full(exact.shape, np.nan, x.dtype))
            native.run_kernel(row.name, "conv", [last(x), weight, bias], [y], attributes(case), constants, threads)
            error = np.abs(y - exact)
            assert np.all(error <= tolerance(case, x, weight, np.abs(channels(bias)), row)), (case, threads)


@pytest.mark.parametrize("row", [row for row in ROWS if row not in GRADIENT_ROWS])
@pytest.mark.parametrize(("channels_in", "most"), [(48, 0.006), (128, 0.01), (300, 0.01)])
def test_error_of_sums_in_fp16(row: Any, channels_in: int, most: float) -> None:
    """Relative to the results on rectified normal numbers: sums of more than 128 channels do not add to it."""
    m, r = sizes(row)
    case = Case(channels_in, 24, 4 * m, 4 * m, (r, r), pads=(r // 2,) * 4)
    x, weight, _ = operands(case, row)
    x = np.maximum(x, 0)
    exact = convolved(case, x, weight)
    y = last(np.zeros(exact.shape, x.dtype))
    native.run_kernel(row.name, "conv", [last(x), weight], [y], attributes(case), (1,), 1)
    assert np.sqrt(np.mean((y - exact) ** 2) / np.mean(exact**2)) <= most / (1 if m == 4 else 3)


@pytest.mark.parametrize("row", [row for row in ROWS if row not in GRADIENT_ROWS])
def test_large_inputs_in_fp16(row: Any) -> None:
    """Bᵀ alone would grow 2,100 out of fp16's range."""
    m, r = sizes(row)
    case = Case(16, 8, 2 * m, 2 * m, (r, r), pads=(r // 2,) * 4)
    x, weight, _ = operands(case, row)
    x, weight = (np.sign(x) * 2100).astype(x.dtype), (weight / 64).astype(weight.dtype)
    exact = convolved(case, x, weight)
    y = last(np.zeros(exact.shape, x.dtype))
    native.run_kernel(row.name, "conv", [last(x), weight], [y], attributes(case), (1,), 1)
    assert np.all(np.abs(y - exact) <= tolerance(case, x, weight, 0, row))


@pytest.mark.parametrize("row", GRADIENT_ROWS)
def test_gradients_of_the_input(row: Any) -> None:
    """They are the convolution of dy by the weights turned around, which the bound is taken of."""
    m, r = sizes(row)
    for case, pads in (
        (Case(13, 18, 2 * m + 1, m + 3, (r, r), group=1, n=2), (r // 2,) * 4),
        (Case(6, 9, m + 2, 2 * m, (r, r), group=3), (0, 1, 1, 0)),
    ):
        _, weight, _ = operands(case, row)
        backward = tuple(r - 1 - pad for pad in pads)
        forward = Case(*case[:4], case.kernel, pads=pads, group=case.group, n=case.n)
        shape = (case.n, case.oc, case.h + pads[0] + pads[2] - r + 1, case.w + pads[1] + pads[3] - r + 1)
        dy = RNG.standard_normal(shape).astype(weight.dtype)
        grouped = weight.reshape(case.group, -1, *weight.shape[1:])[:, :, :, ::-1, ::-1]
        turned = grouped.swapaxes(1, 2).reshape(case.c, -1, r, r)
        turned_case = Case(case.oc, case.c, *shape[2:], case.kernel, pads=backward, group=case.group, n=case.n)
        exact = convolved(turned_case, dy, turned)
        assert exact.shape == (case.n, case.c, case.h, case.w)
        dx = last(np.full(exact.shape, np.nan, dy.dtype))
        native.run_kernel(row.name, "conv_grad_input", [last(dy), weight], [dx], attributes(forward), (), 2)
        assert np.all(np.abs(dx - exact) <= tolerance(turned_case, dy, turned, 0, row)), case


def of_gradient(case: Case, x: Any, dy: Any, row: Any) -> Any:
    """What errors of the gradient of weights are relative to: |Gᵀ| [ Σ (|A| |dy| |Aᵀ|) ⊙ (|Bᵀ| |x| |B|) ] |G|."""
    m, r = sizes(row)
    output, g, b = map(np.abs, matrices(m, r))
    tall, wide = -(-dy.shape[2] // m), -(-dy.shape[3] // m)
    top, left = (max(pad, 0) for pad in case.pads[:2])
    inside = np.abs(x[:, :, max(-case.pads[0], 0) :, max(-case.pads[1], 0) :]).astype(np.float64)
    images = np.pad(inside, ((0, 0), (0, 0), (top, tall * m + r), (left, wide * m + r)))
    gradients = np.pad(np.abs(dy).astype(np.float64), ((0, 0), (0, 0), (0, tall * m), (0, wide * m)))
    total = np.zeros((case.group, case.oc // case.group, case.c // case.group, m + r - 1, m + r - 1))
    for i, j in np.ndindex(tall, wide):
        v = b @ images[:, :, i * m : i * m + m + r - 1, j * m : j * m + m + r - 1] @ b.T
        d = output.T @ gradients[:, :, i * m : i * m + m, j * m : j * m + m] @ output
        grouped = (array.reshape(case.n, case.group, -1, *array.shape[2:]) for array in (d, v))
        total += np.einsum("ngoab,ngcab->gocab", *grouped)
    return (g.T @ total @ g).reshape(case.oc, case.c // case.group, r, r)


@pytest.mark.parametrize("row", GRADIENT_ROWS)
def test_gradients_of_weights(row: Any) -> None:
    """Tiles in one block and in two; weights in each order; the same bits for any number of workers.

    Sums over tiles round once a tile; two lines of each transform at most a/2, (m + 2)/2 and (a + 2)/2 times.
    """
    m, r = sizes(row)
    padded = (case for case in cases(row)[:-1] if min(case.pads) >= 0)  # the op's reference wants them so
    for case in (*padded, Case(3, 700, 4 * m, 4 * m, (r, r), pads=(r // 2,) * 4, n=11)):
        x, weight, _ = operands(case, row)
        shape = convolved(case, x[:1], weight).shape[2:]
        dy = RNG.standard_normal((case.n, case.oc, *shape)).astype(x.dtype)
        found = attributes(case) | {"kernel_shape": (r, r), "auto_pad": "NOTSET"}
        (exact,) = ops.get("conv_grad_weight").reference(found, dy.astype(np.float64), x.astype(np.float64))
        tiles = case.n * -(-shape[0] // m) * -(-shape[1] // m)
        bound = relative(x.dtype, tiles + 3 * (m + r) + m + 6) * of_gradient(case, x, dy, row)
        bits = set()
        for layout, threads in (("plain", 1), ("plain", 3), ("channels_last", 2), ("every_other", 1)):
            dw = placed(np.full(weight.shape, np.nan, x.dtype), layout)
            native.run_kernel(row.name, "conv_grad_weight", [last(dy), last(x)], [dw], found, (), threads)
            assert np.all(np.abs(dw - exact) <= bound), (case, layout)
            bits.add(np.ascontiguousarray(dw).tobytes())
        assert len(bits) == 1, case


@pytest.mark.parametrize("row", ROWS)
def test_typical_error(row: Any) -> None:
    """On images as nets have them the root mean square error is that of c independent roundings of each product."""
    m, r = sizes(row)
    case = Case(64, 32, 4 * m, 4 * m, (r, r), pads=(r // 2,) * 4)
    x, weight, _ = operands(case, row)
    x = np.maximum(x, 0)
    exact = convolved(case, x, weight)
    y = last(np.zeros(exact.shape, x.dtype))
    native.run_kernel(row.name, "conv", [last(x), weight], [y], attributes(case), (1,), 1)
    squares = step(row) ** 2 * case.c * np.mean(tiled(case, x, weight, row, squares=True))
    squares += relative(x.dtype, 0) ** 2 * np.mean(exact**2)
    assert np.mean((y - exact) ** 2) <= squares


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("row", ROWS)
def test_epilogues(row: Any, activation: str) -> None:
    """Residual first, activation after it; the residual absent, elsewhere, broadcast, or where y is to be written."""
    m, r = sizes(row)
    case = Case(20, 37, 2 * m + 1, m, (r, r), pads=(r // 2,) * 4)
    x, weight, bias = operands(case, row)
    weight /= 16
    sums = convolved(case, x, weight) + channels(bias)
    added = RNG.standard_normal(sums.shape).astype(x.dtype)
    for place in ("absent", "elsewhere", "broadcast", "in place"):
        y = last(added)
        residual = {"absent": None, "elsewhere": last(added), "broadcast": last(added[:, :, :1, :1]), "in place": y}[
            place
        ]
        exact = ACTIVATIONS[activation][1](sums + (0 if residual is None else residual))
        native.run_kernel(
            row.name, "conv", [last(x), weight, bias, residual], [y], attributes(case, activation), (1,), 2
        )
        bound = 2 * tolerance(case, x, weight, np.abs(channels(bias)) + np.abs(added) + 1, row)
        assert np.all(np.abs(y - exact) <= bound), place


@pytest.mark.parametrize("row", ROWS)
def test_parts_of_wider_memory(row: Any) -> None:
    """x, y and the residual are slices of larger images; nothing outside is written, and nothing read counts."""
    m, r = sizes(row)
    case = Case(21, 19, m + 2, 2 * m + 1, (r, r), pads=(r // 2,) * 4, n=2)
    x, weight, bias = operands(case, row)
    exact = convolved(case, x, weight) + channels(bias)

    def part(shape: tuple[int, ...], fill: float) -> tuple[Any, Any]:
        n, c, h, w = shape
        memory = np.full((n, h + 2, w + 3, c + 5), fill, x.dtype)
        return memory, memory[:, 1:-1, 1:-2, 2:-3].transpose(0, 3, 1, 2)

    _, source = part(x.shape, np.nan)
    memory, y = part(exact.shape, 7)
    source[...] = x
    native.run_kernel(row.name, "conv", [source, weight, bias], [y], attributes(case), (1,), 2)
    assert np.all(np.abs(y - exact) <= tolerance(case, x, weight, np.abs(channels(bias)), row))
    y[...] = 7
    assert np.all(memory == 7)


@pytest.mark.parametrize("row", ROWS)
def test_nan_and_inf_stay_in_their_tiles(row: Any) -> None:
    """Every output whose window holds one is NaN or Inf; those of tiles that do not read it are as if it were not."""
    m, r = sizes(row)
    case = Case(18, 21, 4 * m, 4 * m, (r, r), pads=(r // 2, r // 2, (r - 1) // 2, (r - 1) // 2), n=2)
    x, weight, _ = operands(case, row)
    spoilt = x.copy()
    spoilt[0, 2, 2 * m, 2 * m], spoilt[1, 17, 0, 0] = np.nan, np.inf
    y, clean = (last(np.zeros(convolved(case, x, weight).shape, x.dtype)) for _ in range(2))
    for image, result in ((spoilt, y), (x, clean)):
        native.run_kernel(row.name, "conv", [last(image), weight], [result], attributes(case), (1,), 1)
    one = np.ones_like(weight)
    holds = convolved(case, (~np.isfinite(spoilt)).astype(x.dtype), one) > 0
    assert not np.isfinite(y[holds]).any()
    by_tile = holds.reshape(case.n, case.oc, 4, m, 4, m).any((3, 5))  # tiles that read it: no other has such outputs
    read = np.repeat(np.repeat(by_tile, m, 2), m, 3)
    assert np.array_equal(y[~read], clean[~read])
    weight[3, 5, 0, 1] = np.nan
    native.run_kernel(row.name, "conv", [last(x), weight], [y], attributes(case), (1,), 1)
    assert np.isnan(y[:, 3]).all()
    assert np.array_equal(np.delete(y, 3, 1), np.delete(clean, 3, 1))


@pytest.mark.parametrize("row", ROWS)
def test_rejects(row: Any) -> None:
    _, r = sizes(row)
    case = Case(8, 8, 9, 9, (r, r), pads=(r // 2,) * 4)
    x, weight, _ = operands(case, row)
    y = last(np.zeros(convolved(case, x, weight).shape, x.dtype))

    def run(inputs: list[Any], output: Any = y, **changed: Any) -> None:
        native.run_kernel(row.name, "conv", inputs, [output], {**attributes(case), **changed}, (1,), 1)

    with pytest.raises(PlanError, match="channels-last"):
        run([x, weight])
    with pytest.raises(PlanError, match="strides and dilations"):
        run([last(x), weight], last(np.zeros((1, 8, 5, 5), x.dtype)), strides=(2, 2))
    with pytest.raises(PlanError, match="group"):
        run([last(x), weight], group=3)
    with pytest.raises(PlanError, match="output extent"):
        run([last(x), weight], pads=(0, 0, 0, 0))
    if row.acc == "fp16":
        with pytest.raises(PlanError, match="no gradients"):
            native.run_kernel(row.name, "conv_grad_input", [last(y), weight], [last(x)], attributes(case), (), 1)
