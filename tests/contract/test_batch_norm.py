"""Every batch_norm row against the ops' references in fp64: layouts, tails, in place, threads, large means.

Sums run over blocks of 64 rows in the images' type, so a mean errs by at most 66·eps·mean|x| and a variance by as much
relatively; the gradient's sums by 66·eps·Σ|terms|. What is computed from them takes a few roundings more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_cases import DTYPES, LAYOUTS, native, placed, rows

from thew import ops
from thew.errors import PlanError

ROWS = rows("batch_norm")
RNG = np.random.default_rng(47)
SHAPES = ((2, 16, 5, 7), (3, 19, 9, 4), (64, 33), (5, 1, 6, 6), (2, 70, 40), (1, 5, 1, 1), (3, 4, 2, 3, 5))
GIVEN = {"epsilon": 1e-3, "momentum": 0.2, "ranks": 1}


def vectors(count: int, channels: int, row: Any) -> list[Any]:
    return [np.abs(RNG.standard_normal(channels)).astype(DTYPES[row.a]) + 0.5 for _ in range(count)]


def wide(arrays: list[Any]) -> list[Any]:
    return [array.astype(np.float64) for array in arrays]


def trained(row: Any, inputs: list[Any], layout: str, threads: int) -> list[Any]:
    outputs = [placed(np.full_like(inputs[0], np.nan), layout), *(np.full_like(inputs[1], np.nan) for _ in range(4))]
    given = [placed(inputs[0], layout), *inputs[1:]]
    native.run_kernel(row.name, "batch_norm_training", given, outputs, GIVEN, (), threads)
    return outputs


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("row", ROWS)
def test_training(row: Any, shape: tuple[int, ...]) -> None:
    """With a mean that is large beside the deviation too."""
    for shift in (0.0, 100.0):
        x = (RNG.standard_normal(shape) + shift).astype(DTYPES[row.a])
        inputs = [x, *vectors(4, shape[1], row)]
        exact = ops.get("batch_norm_training").reference(GIVEN, *wide(inputs))
        eps = np.finfo(x.dtype).eps
        inverse = float(np.max(exact[4]))
        bound = 80 * eps * (1 + shift) * (1 + inverse) ** 2 * 4
        for layout, threads in (("channels_last", 1), ("plain", 3), ("part", 2)):
            for found, value in zip(trained(row, inputs, layout, threads), exact, strict=True):
                assert np.all(np.abs(found - value) <= bound * (1 + np.abs(value))), layout


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("row", ROWS)
def test_gradient(row: Any, shape: tuple[int, ...]) -> None:
    dy, x = (RNG.standard_normal(shape).astype(DTYPES[row.a]) for _ in range(2))
    inputs = [dy, x, *vectors(3, shape[1], row)]
    exact = ops.get("batch_norm_grad").reference({}, *wide(inputs))
    terms = x.size // shape[1]
    bound = 80 * np.finfo(x.dtype).eps
    for layout, threads in (("channels_last", 1), ("plain", 3), ("part", 2)):
        dx = placed(np.full_like(x, np.nan), layout)
        sums = [np.full_like(inputs[2], np.nan) for _ in range(2)]
        given = [placed(dy, layout), placed(x, layout), *inputs[2:]]
        native.run_kernel(row.name, "batch_norm_grad", given, [dx, *sums], {}, (), threads)
        assert np.all(np.abs(dx - exact[0]) <= 20 * bound * (1 + np.abs(exact[0]))), layout
        for found, value in zip(sums, exact[1:], strict=True):
            assert np.all(np.abs(found - value) <= 20 * bound * terms)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("row", ROWS)
def test_halves_of_processes(row: Any, shape: tuple[int, ...]) -> None:
    """Three processes with a third of the batch each find together what one finds with the whole of it."""
    dy, x = (RNG.standard_normal((3 * shape[0], *shape[1:])).astype(DTYPES[row.a]) for _ in range(2))
    scale, bias, mean, variance = vectors(4, shape[1], row)
    ranks, given = {"ranks": 3}, {**GIVEN, "ranks": 3}
    whole = ops.get("batch_norm_training").reference(GIVEN, *wide([x, scale, bias, mean, variance]))
    whole_grad = ops.get("batch_norm_grad").reference({}, *wide([dy, x, scale, *whole[3:]]))
    bound = 2000 * np.finfo(x.dtype).eps * (1 + np.max(whole[4])) ** 2
    moments, sums = np.zeros((2, 2, shape[1]))
    for part in np.split(x, 3):
        own = np.full_like(moments, np.nan)
        native.run_kernel(row.name, "batch_norm_moments", [placed(part, "channels_last")], [own], ranks, (), 2)
        (exact,) = ops.get("batch_norm_moments").reference(ranks, part.astype(np.float64))
        np.testing.assert_allclose(own, exact, bound, bound)
        moments += own
    outputs = []
    for part in np.split(x, 3):
        found = [np.full_like(part, np.nan), *(np.full_like(mean, np.nan) for _ in range(4))]
        native.run_kernel(row.name, "batch_norm_training", [part, scale, bias, mean, variance, moments], found, given)
        outputs.append(found)
    for found, value in zip([np.concatenate([f[0] for f in outputs]), *outputs[0][1:]], whole, strict=True):
        assert np.all(np.abs(found - value) <= bound * (1 + np.abs(value)))
    kept = outputs[0][3:]
    for part_dy, part in zip(np.split(dy, 3), np.split(x, 3), strict=True):
        own = np.full_like(sums, np.nan)
        native.run_kernel(row.name, "batch_norm_sums", [part_dy, placed(part, "part"), *kept], [own], {}, (), 3)
        sums += own
    for index, (part_dy, part) in enumerate(zip(np.split(dy, 3), np.split(x, 3), strict=True)):
        found = [np.full_like(part, np.nan), *(np.full_like(mean, np.nan) for _ in range(2))]
        native.run_kernel(row.name, "batch_norm_grad", [part_dy, part, scale, *kept, sums], found, ranks)
        exact = [np.split(whole_grad[0], 3)[index], whole_grad[1] / 3, whole_grad[2] / 3]
        for array, value in zip(found, exact, strict=True):
            assert np.all(np.abs(array - value) <= bound * (1 + np.abs(value)) * (1 + x.size / shape[1]) ** 0.5)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("row", ROWS)
def test_strides_and_in_place(row: Any, layout: str) -> None:
    """Each image in each layout; y on x, and dx on dy, next statistics on the running ones."""
    x, *rest = [RNG.standard_normal((3, 18, 4, 5)).astype(DTYPES[row.a]), *vectors(4, 18, row)]
    plain = trained(row, [x, *rest], "plain", 1)
    itself, running = placed(x, layout), [array.copy() for array in rest]
    kept = [np.empty_like(rest[0]) for _ in range(2)]
    outputs = [itself, running[2], running[3], *kept]
    native.run_kernel(row.name, "batch_norm_training", [itself, *running], outputs, GIVEN, (), 2)
    for found, value in zip(outputs, plain, strict=True):
        np.testing.assert_allclose(found, value, rtol=0, atol=64 * np.finfo(x.dtype).eps * np.abs(value).max())
    dy = placed(x[::-1], layout)
    wanted = ops.get("batch_norm_grad").reference({}, *wide([dy, x, rest[0], *kept]))[0]
    native.run_kernel(row.name, "batch_norm_grad", [dy, x, rest[0], *kept], [dy, *rest[2:]], {}, (), 2)
    np.testing.assert_allclose(dy, wanted, rtol=0, atol=1600 * np.finfo(x.dtype).eps * np.abs(wanted).max())


@pytest.mark.parametrize("row", ROWS)
def test_threads_do_not_change_a_bit(row: Any) -> None:
    x = RNG.standard_normal((40, 24, 11, 13)).astype(DTYPES[row.a])
    inputs = [x, *vectors(4, 24, row)]
    found = {b"".join(a.tobytes() for a in trained(row, inputs, "channels_last", threads)) for threads in (1, 2, 5)}
    assert len(found) == 1


@pytest.mark.parametrize("row", ROWS)
def test_a_bad_channel_spoils_no_other(row: Any) -> None:
    x = RNG.standard_normal((4, 18, 3, 3)).astype(DTYPES[row.a])
    x[1, 7, 0, 0] = np.nan
    y, *statistics = trained(row, [x, *vectors(4, 18, row)], "channels_last", 1)
    assert np.all(np.isnan(y[:, 7])) and np.all(np.isfinite(np.delete(y, 7, 1)))
    assert all(list(np.flatnonzero(~np.isfinite(vector))) == [7] for vector in statistics)


@pytest.mark.parametrize("row", ROWS[:1])
def test_what_is_refused(row: Any) -> None:
    x = np.zeros((2, 6, 3, 3), DTYPES[row.a])
    with pytest.raises(PlanError, match="vector over channels"):
        trained(row, [x, *vectors(4, 5, row)], "plain", 1)
