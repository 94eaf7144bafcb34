"""Returns over several steps, against sums written out."""

from __future__ import annotations

import pytest

from thew.rl.n_step import NStep, Return


def test_one_step_is_the_reward():
    returns = NStep(1, 0.9)
    assert returns.push(4, 2.0, False, False) == [Return(4, 2.0, 0.9, 1)]
    assert returns.push(5, -1.0, True, False) == [Return(5, -1.0, 0.0, 1)]


@pytest.mark.parametrize(("terminated", "left"), [(True, 0.0), (False, 1.0)])
def test_an_end_completes_all_that_is_pending(terminated, left):
    """Behind a cut the state's value still counts; behind an end there is none."""
    returns = NStep(3, 0.5)
    assert returns.push(0, 1.0, False, False) == []
    assert returns.push(1, 2.0, False, False) == []
    assert returns.push(2, 4.0, False, False) == [Return(0, 1 + 1 + 1, 0.125, 3)]
    assert returns.push(3, 8.0, terminated, not terminated) == [
        Return(1, 2 + 2 + 2, 0.125 * left, 3),
        Return(2, 4 + 4, 0.25 * left, 2),
        Return(3, 8, 0.5 * left, 1),
    ]
    assert returns.push(9, 1.0, True, False) == [Return(9, 1.0, 0.0, 1)]
