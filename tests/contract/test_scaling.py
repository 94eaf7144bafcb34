"""Every scaling row against the ops' references: sums of squares of gradients of all types, factors, the loss scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_cases import DTYPES, native, placed, rows

from thew import ops
from thew.errors import PlanError

ROWS = rows("scaling")
RNG = np.random.default_rng(43)


def check_all(row: Any, scale: float, limit: float, gradients: list[Any], threads: int = 1) -> tuple[Any, Any]:
    factor, squares = np.full(1, np.nan), np.full(len(gradients), np.nan)
    given = [np.array([scale]), np.array([limit]), *gradients]
    native.run_kernel(row.name, "unscale_check", given, [factor, squares], {}, (), threads)
    return factor, squares


@pytest.mark.parametrize("row", ROWS)
def test_squares_and_factor(row: Any) -> None:
    """Squares that no narrower type holds, tails, empty gradients; a sum of n terms errs by at most (n + 3)·eps."""
    shapes = [(7,), (3, 5, 3, 3), (0, 4), (), (40_000,), (33, 17), (1,), (130,)]
    kinds = ["fp32", "fp64", "fp16", "bf16"] * 2
    gradients = [np.asarray(RNG.standard_normal(s), DTYPES[k]) for s, k in zip(shapes, kinds, strict=True)]
    gradients[0][3] = 1e30
    gradients[1] = placed(gradients[1], "channels_last")
    for scale, limit in ((1.0, np.inf), (1024.0, 0.5), (3.0, 1e40)):
        wanted = ops.get("unscale_check").reference({}, np.array([scale]), np.array([limit]), *gradients)
        for found, value in zip(check_all(row, scale, limit, gradients, 3), wanted, strict=True):
            np.testing.assert_allclose(found, value, rtol=40_003 * np.finfo(np.float64).eps)


@pytest.mark.parametrize("row", ROWS)
def test_elements_that_a_narrow_type_could_not_hold(row: Any) -> None:
    """Beyond ±most, before unscaling, counts as infinite; at it does not."""
    for value, is_finite in ((65504.0, True), (-65504.0, True), (65536.0, False), (-1e30, False)):
        gradients = [np.full(77, 3, np.float32), np.append(np.ones(40_000, np.float32), np.float32(value))]
        factor, squares = np.zeros(1), np.zeros(2)
        given = [np.array([1024.0]), np.array([np.inf]), *gradients]
        native.run_kernel(row.name, "unscale_check", given, [factor, squares], {"most": 65504.0})
        wanted = ops.get("unscale_check").reference({"most": 65504.0}, *given)
        np.testing.assert_allclose(factor, wanted[0])
        assert np.isfinite(squares).tolist() == np.isfinite(wanted[1]).tolist() == [True, is_finite]


@pytest.mark.parametrize("kind", ["fp32", "fp64", "fp16", "bf16"])
@pytest.mark.parametrize("row", ROWS)
def test_one_bad_element_stops_the_step(row: Any, kind: str) -> None:
    for bad in (np.nan, np.inf, -np.inf):
        gradients = [RNG.standard_normal(20_000).astype(DTYPES[kind]) for _ in range(3)]
        gradients[1][17_003] = bad
        factor, squares = check_all(row, 2.0, np.inf, gradients, 2)
        assert factor[0] == 0 and list(np.isfinite(squares)) == [True, False, True]


@pytest.mark.parametrize("row", ROWS)
def test_threads_do_not_change_a_bit(row: Any) -> None:
    gradients = [RNG.standard_normal(size).astype(np.float32) for size in (100_000, 3, 70_001)]
    assert len({b"".join(part.tobytes() for part in check_all(row, 1.0, 1.0, gradients, n)) for n in (1, 2, 5)}) == 1


@pytest.mark.parametrize("row", ROWS)
def test_loss_scale_and_count(row: Any) -> None:
    hyper = np.array([2.0, 0.5, 3.0, 1.0, 2048.0])
    for scale, clean in ((1024.0, 0.0), (1024.0, 2.0), (2048.0, 2.0), (1.0, 1.0)):
        for factor in (np.array([0.0]), np.array([0.25])):
            state = np.array([scale, clean, 5.0])
            (wanted,) = ops.get("update_loss_scale").reference({}, state, factor, hyper)
            native.run_kernel(row.name, "update_loss_scale", [state, factor, hyper], [state])
            np.testing.assert_array_equal(state, wanted)
    for given, wanted in (([np.array([4.0])], 5.0), ([np.array([4.0]), np.array([0.0])], 4.0)):
        native.run_kernel(row.name, "count_update", given, [given[0]])
        assert given[0][0] == wanted


@pytest.mark.parametrize("row", ROWS)
def test_what_is_refused(row: Any) -> None:
    with pytest.raises(PlanError, match="dense"):
        check_all(row, 1.0, 1.0, [np.zeros((4, 4), np.float32)[:, ::2]])
    with pytest.raises(PlanError, match="dense"):
        check_all(row, 1.0, 1.0, [np.zeros(4, np.int32)])
