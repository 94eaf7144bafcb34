"""Every sum_tree row against the ops' references, bit for bit, and against the definition of proportional draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_cases import native, rows

from thew import ops
from thew.errors import InputError, PlanError

ROWS = rows("sum_tree")
RNG = np.random.default_rng(7)


def tree_of(priorities: Any) -> Any:
    tree = np.zeros(2 * len(priorities))
    slots = np.arange(len(priorities))
    return ops.get("update_sum_tree").reference({}, tree, slots, np.asarray(priorities, np.float64))[0]


def sample(row: Any, tree: Any, draws: Any) -> tuple[Any, Any]:
    slots, shares = np.full(len(draws), -1), np.full(len(draws), np.nan)
    native.run_kernel(row.name, "sample_sum_tree", [tree, draws], [slots, shares])
    return slots, shares


@pytest.mark.parametrize("leaves", [1, 2, 3, 7, 8, 1000])
@pytest.mark.parametrize("row", ROWS)
def test_draws_and_updates(row: Any, leaves: int) -> None:
    tree = tree_of(RNG.random(leaves) * (RNG.random(leaves) < 0.7) + (np.arange(leaves) == leaves // 2))
    np.testing.assert_allclose(tree[1], tree[leaves:].sum(), rtol=leaves * np.finfo(np.float64).eps)
    for count in (1, 8, 13, 64):
        draws = RNG.random(count)
        for found, wanted in zip(
            sample(row, tree, draws), ops.get("sample_sum_tree").reference({}, tree, draws), strict=True
        ):
            np.testing.assert_array_equal(found, wanted)
        slots, values = RNG.integers(leaves, size=count), RNG.random(count)  # a slot may come twice: the last counts
        (wanted,) = ops.get("update_sum_tree").reference({}, tree, slots, values)
        beside = np.full(2 * leaves, np.nan)
        native.run_kernel(row.name, "update_sum_tree", [tree, slots, values], [beside])
        np.testing.assert_array_equal(beside, wanted)
        native.run_kernel(row.name, "update_sum_tree", [tree, slots, values], [tree])
        np.testing.assert_array_equal(tree, wanted)


@pytest.mark.parametrize("row", ROWS)
def test_slots_come_as_often_as_their_priorities_say(row: Any) -> None:
    """Draws that cover the sum evenly: counts differ from expectation by less than two a slot."""
    priorities = RNG.random(37) * (RNG.random(37) < 0.6)
    slots, shares = sample(row, tree_of(priorities), np.full(100_000, 0.5))
    wanted = priorities / priorities.sum()
    np.testing.assert_allclose(shares, wanted[slots], rtol=1e-12)
    assert np.abs(np.bincount(slots, minlength=37) - wanted * 100_000).max() < 2


@pytest.mark.parametrize("row", ROWS)
def test_nothing_of_priority_0_is_drawn(row: Any) -> None:
    """Not by rounding at the upper end of a draw either."""
    priorities = np.zeros(1000)
    priorities[[3, 500]] = 0.1, 0.3
    slots, _ = sample(row, tree_of(priorities), np.full(1 << 12, np.nextafter(1.0, 0.0)))
    assert set(slots) == {3, 500}
    slots, shares = sample(row, np.zeros(2000), np.array([0.0, 0.9]))
    assert ((slots >= 0) & (slots < 1000)).all() and (shares == 0).all()


@pytest.mark.parametrize("row", ROWS)
def test_what_is_refused(row: Any) -> None:
    tree = np.ones(8)
    for slot in (-1, 4):
        with pytest.raises(InputError, match="slots must be within"):
            native.run_kernel(row.name, "update_sum_tree", [tree, np.array([slot]), np.ones(1)], [tree])
    with pytest.raises(PlanError, match="two numbers a leaf"):
        sample(row, np.ones(7), np.zeros(2))
    with pytest.raises(PlanError, match="as many"):
        native.run_kernel(row.name, "update_sum_tree", [tree, np.zeros(2, np.int64), np.ones(3)], [tree])
